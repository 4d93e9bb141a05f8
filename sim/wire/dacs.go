package wire

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/dac"
	"dacorch/sim/wire/kubernetes"

	corev1 "k8s.io/api/core/v1"
)

// DACs runs the programs of the pods: a simulated DAC in each. It is the
// kubelet's Runner.
type DACs struct {
	p     *Platform
	facts Facts
	beats *dac.KafkaBeats
	kinds map[fleet.Kind]Kind

	mu       sync.Mutex
	programs map[dacAt]*program
}

// dacAt names a DAC.
type dacAt struct {
	kind fleet.Kind
	id   fleet.InstanceID
}

// program is a DAC that runs.
type program struct {
	at   dacAt
	dac  *dac.DAC
	hung bool
	gone chan struct{} // closed when everything about it has been told

	mu   sync.Mutex
	held map[string]struct{}
	over bool // what it ran has been told to have ended
}

func newDACs(p *Platform, cfg Config) (*DACs, error) {
	beats, err := dac.NewBeats(dac.BeatsConfig{Brokers: p.Kafka.Addrs()})
	if err != nil {
		return nil, fmt.Errorf("the DACs' heartbeats: %w", err)
	}
	d := &DACs{p: p, facts: cfg.Facts, beats: beats, kinds: map[fleet.Kind]Kind{}, programs: map[dacAt]*program{}}
	if d.facts == nil {
		d.facts = noFacts{}
	}
	for _, k := range cfg.Kinds {
		d.kinds[k.Kind] = k
	}
	return d, nil
}

func (d *DACs) close() error {
	d.beats.Close()
	return nil
}

// pod is the name of an instance's pod.
func (d *DACs) pod(kind fleet.Kind, id fleet.InstanceID) string {
	return d.kinds[kind].InstanceName + "-" + strconv.Itoa(int(id))
}

// variable is one variable of a pod's environment.
type variable struct{ name, value string }

// The variables of a DAC's environment; the instance's number stands first.
const (
	envInstance = "DAC_INSTANCE_ID"
	envKind     = "DAC_KIND"
)

func (p *Platform) environment(k Kind) []variable {
	return []variable{{envInstance, "?"}, {envKind, string(k.Kind)}}
}

// Run is kubernetes.Runner's.
func (d *DACs) Run(ctx context.Context, pod *corev1.Pod, log io.Writer) error {
	env := map[string]string{}
	for _, v := range pod.Spec.Containers[0].Env {
		env[v.Name] = v.Value
	}
	k, known := d.kinds[fleet.Kind(env[envKind])]
	id, err := strconv.ParseInt(env[envInstance], 10, 32)
	if !known || err != nil {
		return fmt.Errorf("%s: the environment names kind %q and instance %q: want a kind and a number", pod.Name, env[envKind], env[envInstance])
	}
	if k.Idle {
		<-ctx.Done()
		return nil
	}
	at := dacAt{k.Kind, fleet.InstanceID(id)}
	p := &program{at: at, held: map[string]struct{}{}, gone: make(chan struct{})}
	p.dac, err = dac.New(dac.Config{
		Kind: at.kind, Instance: at.id, ZooKeeper: []string{d.p.ZooKeeperAddr()}, Session: k.Session,
		Heartbeat: k.Heartbeat, Interval: k.HeartbeatInterval, Beats: told{d.beats, d.facts}, Confirms: k.Confirms,
		OnRun:    func(resource string, on bool) { p.ran(d.facts, resource, on) },
		OnReload: func(times int64) { d.facts.Reloaded(at.kind, at.id, times) },
		Log:      slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		return err
	}
	if !d.begin(ctx, p) {
		return nil
	}
	d.facts.Alive(at.kind, at.id, true)
	err = p.run(ctx)
	d.ended(p)
	return err
}

// begin has a program be its instance's, once the one before has ended: a pod
// that was deleted without grace may end after its successor has come. False: it
// was not to begin any more.
func (d *DACs) begin(ctx context.Context, p *program) bool {
	for {
		d.mu.Lock()
		before := d.programs[p.at]
		if before == nil {
			d.programs[p.at] = p
			d.mu.Unlock()
			return true
		}
		d.mu.Unlock()
		select {
		case <-before.gone:
		case <-ctx.Done():
			return false
		}
	}
}

// run runs the program until it is asked to end, or killed.
func (p *program) run(ctx context.Context) error {
	polite, ask := context.WithCancel(context.WithoutCancel(ctx))
	defer ask()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-ctx.Done():
		case <-done:
			return
		}
		killed := kubernetes.Killed(ctx)
		if killed.Err() == nil {
			ask()
		}
		select {
		case <-killed.Done():
			p.dac.Kill()
		case <-done:
		}
	}()
	return p.dac.Run(polite)
}

func (p *program) ran(facts Facts, resource string, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if on {
		p.held[resource] = struct{}{}
	} else {
		delete(p.held, resource)
	}
	facts.Ran(p.at.kind, p.at.id, resource, on)
}

// ended tells that what a program ran has ended with it.
func (d *DACs) ended(p *program) {
	p.mu.Lock()
	p.over = true
	for _, id := range slices.Sorted(maps.Keys(p.held)) {
		d.facts.Ran(p.at.kind, p.at.id, id, false)
	}
	clear(p.held)
	p.mu.Unlock()
	d.facts.Alive(p.at.kind, p.at.id, false)
	d.mu.Lock()
	delete(d.programs, p.at)
	d.mu.Unlock()
	close(p.gone)
}

// Hang is kubernetes.Hanger's.
func (d *DACs) Hang(pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at, p := range d.programs {
		if d.pod(at.kind, at.id) == pod.Name {
			p.hung = true
			p.dac.Hang()
			d.facts.Hung(at.kind, at.id)
		}
	}
}

// Working are the instances of a kind whose DAC runs and does not hang, ascending.
func (d *DACs) Working(kind fleet.Kind) []fleet.InstanceID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []fleet.InstanceID
	for at, p := range d.programs {
		if at.kind == kind && !p.hung {
			ids = append(ids, at.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// running is what each DAC of a kind runs.
func (d *DACs) running(kind fleet.Kind) map[fleet.InstanceID][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[fleet.InstanceID][]string{}
	for at, p := range d.programs {
		if at.kind == kind {
			p.mu.Lock()
			all[at.id] = slices.Sorted(maps.Keys(p.held))
			p.mu.Unlock()
		}
	}
	return all
}

// told tells of each heartbeat that it sends.
type told struct {
	dac.Beats
	facts Facts
}

// Send is dac.Beats'.
func (t told) Send(ctx context.Context, kind fleet.Kind, id fleet.InstanceID) error {
	t.facts.Beat(kind, id)
	return t.Beats.Send(ctx, kind, id)
}

// noFacts tells nobody.
type noFacts struct{}

func (noFacts) Ran(fleet.Kind, fleet.InstanceID, string, bool) {}
func (noFacts) Reloaded(fleet.Kind, fleet.InstanceID, int64)   {}
func (noFacts) Alive(fleet.Kind, fleet.InstanceID, bool)       {}
func (noFacts) Hung(fleet.Kind, fleet.InstanceID)              {}
func (noFacts) Beat(fleet.Kind, fleet.InstanceID)              {}
