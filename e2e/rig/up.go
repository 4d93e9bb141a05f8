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

	"github.com/moby/moby/client"
)

// Options say what Up makes. The zero value is the usual rig.
type Options struct {
	Name string // default Name; lower-case letters, digits and -

	// AirGapped takes the images that e2e/airgap/build makes, and pulls none.
	AirGapped bool
	// Images override DefaultImages, or AirGappedImages; empty fields do not. A rig
	// that is there keeps the images that it was made of.
	Images Images
	// Binary is a static Linux executable of dacorch for the images; default: the
	// running one.
	Binary string
	// KindConfig is a file; default: kind-config.yaml in the working directory, and
	// where there is none the one that is built in.
	KindConfig string
	// PortOffset is added to every port on this machine, 0 to 12000, so that a rig
	// can be up beside another. It counts when a rig is first brought up.
	PortOffset int
	// NoInstall leaves the orchestrator out: cluster and services only.
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
		return &StepError{name, err}
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

// Up brings a rig up. What is there and right is kept, so it may be called again
// to repair or to renew; only one process can at a time. When it fails or ctx ends
// what has been made stays: Up goes on with it, Down removes it.
func Up(ctx context.Context, opts Options) (*Rig, error) {
	var err error
	if opts.Name, err = checkName(opts.Name); err != nil {
		return nil, err
	}
	if _, _, err := kindConfig(opts.KindConfig); err != nil {
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
	if err := r.prepareState(opts); err != nil {
		return err
	}
	held, err := lock(r.state)
	if err != nil {
		return err
	}
	defer held.Close()
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

// maxPortOffset keeps the ports below those of a machine's own connections.
const maxPortOffset = 12000

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
	if !there {
		if opts.PortOffset < 0 || opts.PortOffset > maxPortOffset {
			return fmt.Errorf("port offset %d: want 0 to %d", opts.PortOffset, maxPortOffset)
		}
		state.PortOffset = opts.PortOffset
		for _, name := range ServiceNames {
			state.Services[name] = Service{Name: name, Outside: state.outside(name)}
		}
	}
	if !there || opts.AirGapped && !state.AirGapped {
		state.Images, state.AirGapped = opts.wanted(), opts.AirGapped
	} else {
		state.Images = opts.Images.or(state.Images)
	}
	r.state = state
	return nil
}

// steps are all steps after the first.
func (r *Rig) steps(ctx context.Context, s *steps, opts Options) error {
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
	for _, step := range []struct {
		name string
		do   func() (StepState, string, error)
	}{
		{"helm", noNote(func() (StepState, error) {
			if opts.NoInstall {
				return StepThere, nil
			}
			_, err := helmProgram(ctx) // in the source tree it is built now
			return StepThere, err
		})},
		{"images", noNote(func() (StepState, error) { return r.ensureImages(ctx) })},
		{"ports", noNote(func() (StepState, error) { return StepThere, r.checkPorts(ctx, opts) })},
		{"network", noNote(func() (StepState, error) { return r.ensureNetwork(ctx) })},
		{"certificates", noNote(r.prepareCertificates)},
		{"passwords", noNote(r.prepareSecrets)},
	} {
		if err := s.run(step.name, step.do); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := errors.Join(r.loadCA(), r.save()); err != nil {
		return err
	}
	if err := s.beside(beside); err != nil {
		return err
	}
	r.mu.Lock()
	r.state.Images.Dacorch, r.state.Images.DAC = refs.Dacorch, refs.DAC
	r.mu.Unlock()
	if err := errors.Join(r.save(), s.beside(map[string]func() (StepState, string, error){
		"load":  noNote(func() (StepState, error) { return r.loadImages(ctx) }),
		"names": noNote(func() (StepState, error) { return r.namesResolve(ctx) }),
	})); err != nil {
		return err
	}
	if _, err := r.removeMade(ctx, refs.Dacorch, refs.DAC); err != nil {
		return err
	}
	if opts.NoInstall {
		return nil
	}
	return s.run("dacorch", func() (StepState, string, error) { return r.installOwn(ctx) })
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
	state, err := r.startService(ctx, name)
	if err != nil {
		return state, "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return state, r.state.Services[name].Outside, nil
}

// checkPorts says which of the ports on this machine are taken by others. Docker
// says so too, but late, and with less.
func (r *Rig) checkPorts(ctx context.Context, opts Options) error {
	host := r.docker.DaemonHost()
	if !strings.HasPrefix(host, "unix://") && !strings.HasPrefix(host, "npipe://") {
		return nil // the ports are another machine's
	}
	cfg, _, err := kindConfig(opts.KindConfig)
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
	type use struct{ address, by string }
	var uses []use
	for _, name := range ServiceNames {
		if !there[r.containerName(name)] {
			uses = append(uses, use{r.state.outside(name), string(name)})
		}
	}
	if !there[nodeName(r.state.Name)] {
		for _, m := range cfg.Nodes[0].ExtraPortMappings {
			if m.HostPort > 0 {
				uses = append(uses, use{net.JoinHostPort(m.ListenAddress, fmt.Sprint(int(m.HostPort)+r.state.PortOffset)), "the cluster (" + kindConfigFile + ")"})
			}
		}
	}
	var taken []string
	for _, u := range uses {
		l, err := net.Listen("tcp", u.address)
		if err != nil {
			taken = append(taken, fmt.Sprintf("%s for %s (%v)", u.address, u.by, errors.Unwrap(err)))
			continue
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	if len(taken) > 0 {
		return fmt.Errorf("not free on this machine: %s; end what holds them (docker ps, or ss -ltnp, says what), take another rig down (dacorch rig down --name), or bring a new one up with --port-offset",
			strings.Join(taken, ", "))
	}
	return nil
}
