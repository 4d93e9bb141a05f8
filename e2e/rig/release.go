package rig

import (
	"context"

	"dacorch/orchestrator/api"
)

// A Release is one installation of the chart, in a namespace of its own.
type Release struct {
	Namespace string // made when it is not there
	Name      string // default "dacorch"
	Replicas  int    // default 1
	Kinds     []ReleaseKind
	// Config is merged over the dacorch.yaml that Install makes; nil removes a key.
	Config map[string]any
	Image  string         // of the orchestrator; default the rig's own
	Values map[string]any // of the chart, merged over Install's
	NoWait bool           // return once Kubernetes has taken the release, not when it is ready
	// WrongPassword gives the orchestrator a wrong password for this service.
	WrongPassword ServiceName
}

// A ReleaseKind is a kind that the release orchestrates. Its table must be there,
// or the orchestrator waits for it.
type ReleaseKind struct {
	Kind         string
	InstanceName string
	Settings     map[string]any    // merged over the kind's entry in dacorch.yaml
	DAC          map[string]string // environment of the simulated DAC's pods, over Install's
	Template     string            // a whole pod template (YAML); default the simulated DAC's
}

// An Installed release is reached through the REST interface.
type Installed struct {
	URL   string // https on loopback
	Token string // may write
	Read  string // token that may only read

	rig       *Rig
	namespace string
	name      string
}

// Install installs a release, or upgrades the one of this name, and waits until
// it is ready.
func (r *Rig) Install(ctx context.Context, rel Release) (*Installed, error) {
	return nil, errNotYet
}

// API is a client with that token; "" calls as nobody.
func (i *Installed) API(token string) (*api.Client, error) {
	return api.New(api.Config{URL: i.URL, Token: token, TLS: i.rig.TLS()})
}

// Uninstall removes the release and its namespace with all pods, and waits until
// they are gone.
func (i *Installed) Uninstall(ctx context.Context) error { return errNotYet }
