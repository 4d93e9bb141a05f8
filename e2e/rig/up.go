package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Options say what Up makes. The zero value is the usual rig.
type Options struct {
	Name string // default Name; lower-case letters, digits and -

	// AirGapped takes the images that e2e/airgap/build makes, and pulls none.
	// Published takes those of registries. Without either a rig that is there keeps
	// its own, and a new one is of published images.
	AirGapped, Published bool
	// Images override the others; empty fields do not. A rig that is there keeps the
	// images that it was made of where nothing else is said. Where another is said, the
	// cluster or the service is made anew, with nothing of its data. Dacorch and DAC
	// are made of Binary in every Up that is not given them.
	Images Images
	// Binary is a static Linux executable of dacorch for the images; default: the
	// running one.
	Binary string
	// KindConfig is a file; default: kind-config.yaml in the working directory, and
	// where there is none the one that is built in. A cluster that is there keeps its
	// own; to give it another is an error.
	KindConfig string
	// PortOffset is added to every port on this machine, 0 to 12000, so that a rig
	// can be up beside another. nil is that of the rig that is there, or 0; to give a
	// rig that is there another is an error.
	PortOffset *int
	// NoInstall leaves the orchestrator as it is, not installed or of before: cluster
	// and services only.
	NoInstall bool

	Progress func(Step) // told of each step's begin and end, one call at a time; may be nil
}

// StepState is how far a step is.
type StepState string

// The states of a step.
const (
	StepBegun  StepState = "begun"
	StepDone   StepState = "done"  // made now
	StepThere  StepState = "there" // nothing to do
	StepFailed StepState = "failed"
)

// A Step of Up or Down.
type Step struct {
	Name  string
	State StepState
	Took  time.Duration // once it has ended
	Note  string
}

// A StepError says which step failed.
type StepError struct {
	Step string
	Err  error
	// Unchanged: nothing of the rig had been made or changed yet.
	Unchanged bool
}

func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }

// steps tells of steps that may run beside one another.
type steps struct {
	mu   sync.Mutex
	tell func(Step)
}

func (s *steps) say(step Step) {
	if s.tell != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tell(step)
	}
}

// run does one step. What it notes is told with it.
func (s *steps) run(name string, do func() (StepState, string, error)) error {
	s.say(Step{Name: name, State: StepBegun})
	began := time.Now()
	state, note, err := do()
	if err != nil {
		state, note = StepFailed, ""
		if errors.Is(err, context.Canceled) {
			note = "interrupted"
		}
	}
	s.say(Step{Name: name, State: state, Took: time.Since(began), Note: note})
	if err != nil {
		return &StepError{Step: name, Err: err}
	}
	return nil
}

// noNote is a step without a note.
func noNote(do func() (StepState, error)) func() (StepState, string, error) {
	return func() (StepState, string, error) {
		state, err := do()
		return state, "", err
	}
}

// maxPortOffset keeps the ports below those of a machine's own connections.
const maxPortOffset = 12000

// check refuses what can be right for no rig.
func (o Options) check() error {
	switch n := o.PortOffset; {
	case n != nil && (*n < 0 || *n > maxPortOffset):
		return fmt.Errorf("port offset %d: want 0 to %d", *n, maxPortOffset)
	case o.AirGapped && o.Published:
		return errors.New("images cannot be air-gapped and published: want one of them")
	case o.Binary != "" && o.Images.Dacorch != "" && o.Images.DAC != "":
		return fmt.Errorf("%s goes into no image where both of them are given (--image dacorch=…, --image dac=…): leave out --binary or one of these", o.Binary)
	}
	_, _, err := kindConfig(o.KindConfig)
	return err
}

// Up brings a rig up. What is there and right is kept, so it may be called again
// to repair or to renew; only one process can at a time. When it fails or ctx ends
// what has been made stays: Up goes on with it, Down removes it. Options count from
// when everything that they name was found: a mistake in them is not kept.
func Up(ctx context.Context, opts Options) (*Rig, error) {
	var err error
	if opts.Name, err = checkName(opts.Name); err != nil {
		return nil, err
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &steps{tell: opts.Progress}
	r := &Rig{}
	err = s.run("docker", func() (StepState, string, error) {
		docker, err := connectDocker(ctx)
		if err != nil {
			return StepFailed, "", err
		}
		r.docker = docker
		note, err := daemon(ctx, docker)
		return StepThere, note, err
	})
	if err == nil {
		if err = r.up(ctx, s, opts); err == nil {
			return r, nil
		}
	}
	if r.docker != nil {
		err = errors.Join(err, r.docker.Close())
	}
	return nil, err
}

// up is Up once Docker answers.
func (r *Rig) up(ctx context.Context, s *steps, opts Options) error {
	var err error
	if r.state, err = newState(opts.Name); err != nil {
		return err
	}
	held, err := lock(r.state)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := errors.Join(r.ofAnother(ctx), r.prepareState(opts)); err != nil {
		return err
	}
	if err := r.look(ctx, s, opts); err != nil {
		return err // what is there is as it was, and so is what is kept of it
	}
	if err := os.MkdirAll(r.state.Dir, 0o700); err != nil {
		return err
	}
	err = r.steps(ctx, s, opts)
	r.mu.Lock()
	if ctx.Err() == nil { // a rig that was up is not less so for an interrupt
		r.state.Up = err == nil
	}
	r.mu.Unlock()
	return errors.Join(err, r.save())
}

// prepareState is the state of the rig that is there, with what the options
// change, or a new one.
func (r *Rig) prepareState(opts Options) error {
	state, err := readState(opts.Name)
	there := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		state, err = newState(opts.Name)
	}
	if err != nil {
		return err
	}
	if n := opts.PortOffset; n != nil && !there {
		state.PortOffset = *n
	} else if n != nil && *n != state.PortOffset {
		return fmt.Errorf("the rig %s has the port offset %d until it is taken down: leave --port-offset out, or give another rig a --name", state.Name, state.PortOffset)
	}
	if opts.KindConfig != "" && state.Node != "" && state.KindConfig != "" {
		cfg, from, err := kindConfig(opts.KindConfig)
		if err != nil {
			return err
		}
		if configHash(cfg) != state.KindConfig {
			return fmt.Errorf("the cluster of the rig %s was made of another configuration than %s, and keeps it until the rig is taken down: leave --kind-config out, or give another rig a --name", state.Name, from)
		}
	}
	if !there {
		for _, name := range ServiceNames {
			state.Services[name] = Service{Name: name, Outside: state.outside(name)}
		}
	}
	if !there || opts.AirGapped && !state.AirGapped || opts.Published && state.AirGapped {
		state.Images, state.AirGapped = opts.wanted(), opts.AirGapped
	} else {
		state.Images = opts.Images.or(state.Images)
	}
	r.state = state
	return nil
}

// A named step, as steps.run does it.
type namedStep struct {
	name string
	do   func() (StepState, string, error)
}

// inOrder runs steps one after another, up to the first that fails.
func (s *steps) inOrder(ctx context.Context, all []namedStep) error {
	for _, step := range all {
		if err := s.run(step.name, step.do); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// look sees that there is what Up needs. It makes the network at most, and nothing is
// kept of the options.
func (r *Rig) look(ctx context.Context, s *steps, opts Options) error {
	err := s.inOrder(ctx, []namedStep{
		{"program", func() (StepState, string, error) {
			file, err := r.program(ctx, opts)
			return StepThere, file, err
		}},
		{"helm", noNote(func() (StepState, error) {
			if opts.NoInstall {
				return StepThere, nil
			}
			_, err := helmProgram(ctx) // in the source tree it is built now
			return StepThere, err
		})},
		{"images", noNote(func() (StepState, error) { return r.ensureImages(ctx, opts) })},
		{"ports", noNote(func() (StepState, error) { return StepThere, r.checkPorts(ctx, opts) })},
		{"network", noNote(func() (StepState, error) { return r.ensureNetwork(ctx) })},
	})
	var failed *StepError
	if errors.As(err, &failed) {
		failed.Unchanged = true
	}
	return err
}

// steps are all that make something.
func (r *Rig) steps(ctx context.Context, s *steps, opts Options) error {
	err := s.inOrder(ctx, []namedStep{
		{"certificates", noNote(r.prepareCertificates)},
		{"passwords", noNote(r.prepareSecrets)},
	})
	if err != nil {
		return err
	}
	if err := errors.Join(r.loadCA(), r.save()); err != nil {
		return err
	}
	var refs Images // of the images made here
	beside := map[string]func() (StepState, string, error){
		"cluster": func() (StepState, string, error) { return r.ensureCluster(ctx, opts) },
		"build": func() (state StepState, note string, err error) {
			refs, state, err = r.makeImages(ctx, opts)
			return state, refs.Dacorch + ", " + refs.DAC, err
		},
	}
	for _, name := range ServiceNames {
		beside[string(name)] = func() (StepState, string, error) { return r.ensureService(ctx, name) }
	}
	if err := s.beside(beside); err != nil {
		return err
	}
	r.mu.Lock()
	r.state.Images.Dacorch, r.state.Images.DAC = refs.Dacorch, refs.DAC
	r.mu.Unlock()
	if err := errors.Join(r.save(), s.beside(map[string]func() (StepState, string, error){
		"load":  noNote(func() (StepState, error) { return r.loadImages(ctx, opts.Images) }),
		"names": noNote(func() (StepState, error) { return r.namesResolve(ctx) }),
	})); err != nil {
		return err
	}
	// One of before that somebody's container uses may stay: it does no harm.
	if _, err := r.removeMade(ctx, refs.Dacorch, refs.DAC); err != nil && !errdefs.IsConflict(err) {
		return &StepError{Step: "build", Err: err}
	}
	if opts.NoInstall {
		return nil
	}
	return s.run("dacorch", func() (StepState, string, error) { return r.installOwn(ctx, opts.Images) })
}

// unsettled notes that something of the rig is about to be removed, to be made
// anew: however this process ends, the rig is not whole before that is done.
func (r *Rig) unsettled() error {
	r.mu.Lock()
	r.state.Up = false
	r.mu.Unlock()
	return r.save()
}

// beside runs steps at once and answers the errors of all that failed.
func (s *steps) beside(all map[string]func() (StepState, string, error)) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for name, do := range all {
		wg.Go(func() {
			if err := s.run(name, do); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// ensureService starts a service and adds its last words to an error.
func (r *Rig) ensureService(ctx context.Context, name ServiceName) (StepState, string, error) {
	state, why, err := r.startService(ctx, name)
	if err != nil {
		return state, "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	note := r.state.Services[name].Outside
	if why != "" {
		note += "; " + why
	}
	return state, note, nil
}

// checkPorts says which of the ports on this machine are taken by others. Docker
// says so too, but late, and with less.
func (r *Rig) checkPorts(ctx context.Context, opts Options) error {
	if !local(r.docker.DaemonHost()) {
		return nil // the ports are another machine's
	}
	cfg, from, err := kindConfig(opts.KindConfig)
	if err != nil {
		return err
	}
	list, err := r.docker.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, c := range list.Items {
		for _, n := range c.Names {
			there[strings.TrimPrefix(n, "/")] = c.State == "running" || c.State == "paused"
		}
	}
	var taken []string
	see := func(by string, addresses ...string) {
		if held := notFree(addresses); len(held) == 1 {
			taken = append(taken, held[0]+" for "+by)
		} else if len(held) > 1 {
			taken = append(taken, fmt.Sprintf("%s and %d more for %s", held[0], len(held)-1, by))
		}
	}
	for _, name := range ServiceNames {
		if !there[r.containerName(name)] {
			see(string(name), r.state.outside(name))
		}
	}
	if !there[nodeName(r.state.Name)] {
		var addresses []string
		for _, m := range cfg.Nodes[0].ExtraPortMappings {
			if m.HostPort > 0 {
				addresses = append(addresses, net.JoinHostPort(m.ListenAddress, fmt.Sprint(int(m.HostPort)+r.state.PortOffset)))
			}
		}
		see("the cluster ("+from+")", addresses...)
	}
	if len(taken) > 0 {
		return fmt.Errorf("not free on this machine: %s; end what holds them (docker ps, or ss -ltnp, says what), take another rig down (dacorch rig down --name), or %s",
			strings.Join(taken, ", "), r.otherPorts())
	}
	return nil
}

// notFree are the addresses that nobody can listen on, each with the reason.
func notFree(addresses []string) []string {
	var held []string
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err == nil {
			err = l.Close()
		}
		var why *os.SyscallError
		if errors.As(err, &why) {
			held = append(held, fmt.Sprintf("%s (%v)", address, why.Err))
		} else if err != nil {
			held = append(held, err.Error())
		}
	}
	return held
}

// otherPorts is how the rig comes to have others.
func (r *Rig) otherPorts() string {
	if _, err := readState(r.state.Name); err == nil {
		return "take this one down, and bring it up with --port-offset"
	}
	return "give this one others with --port-offset"
}
