package rig

import "context"

// What services*.go, certs*.go and secrets*.go provide. Each stands here, empty,
// until it is made there.

// Password is a user's password at a service; "" for one that it does not know.
func (r *Rig) Password(name ServiceName, user string) string { return "" }

// prepareSecrets makes or reads the passwords, below r.state.Dir. said is
// StepThere when nothing was made.
func (r *Rig) prepareSecrets() (StepState, error) { return "", errNotYet }

// prepareCertificates makes, renews or keeps the authority, r.state.CAFile, and the
// services' certificates.
func (r *Rig) prepareCertificates() (StepState, error) { return "", errNotYet }

// issue makes a certificate of the rig's authority for these names and addresses (PEM).
func (r *Rig) issue(names ...string) (cert, key []byte, err error) { return nil, nil, errNotYet }

// startService makes, starts or keeps the service's container
// <rig>-<service>, on network r.state.Network, labelled rigLabel=<rig>, waits until it
// answers, and enters it into r.state.Services under r.mu. Called for all at once.
func (r *Rig) startService(ctx context.Context, name ServiceName) (StepState, error) {
	return "", errNotYet
}

// StopService stops a service as a crash of its machine would; its data stay.
func (r *Rig) StopService(ctx context.Context, name ServiceName) error { return errNotYet }

// StartService starts a service that was stopped and waits until it answers.
func (r *Rig) StartService(ctx context.Context, name ServiceName) error { return errNotYet }

// PauseService freezes a service: connections stay, nothing answers.
func (r *Rig) PauseService(ctx context.Context, name ServiceName) error { return errNotYet }

// UnpauseService lets a frozen service go on.
func (r *Rig) UnpauseService(ctx context.Context, name ServiceName) error { return errNotYet }

// serviceAnswers says why a service does not answer; nil when it does.
func (r *Rig) serviceAnswers(ctx context.Context, name ServiceName) error { return errNotYet }
