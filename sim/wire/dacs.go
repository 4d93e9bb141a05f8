package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

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

	// troubles, unless nil, says what goes wrong with a DAC. It is set before the
	// first pod is created, and asked on any goroutine.
	troubles troubles

	mu       sync.Mutex
	programs map[dacAt]*program
	strays   map[*program]struct{} // that run on, although another pod has their instance
	crashes  map[string]time.Duration
	parted   map[string]bool // nodes that nobody reaches

	wiresMu sync.Mutex       // never held while another is taken
	wires   map[string]dacAt // connections to ZooKeeper, by their own address
}

// troubles is what goes wrong with DACs.
type troubles interface {
	// starting is asked before a pod's program starts, again while its image is not
	// there.
	starting(at dacAt, uid string) startTrouble
	// sending is asked about each heartbeat that is sent.
	sending(at dacAt) sendTrouble
	// beatLate is asked after each interval between two heartbeats how much longer
	// it is.
	beatLate(at dacAt) time.Duration
	// after does something later, unless the run is over.
	after(d time.Duration, do func(ctx context.Context))
}

// startTrouble is what happens to a pod that starts, in real time.
type startTrouble struct {
	late    time.Duration
	crash   time.Duration // it crashes so long after its start; 0: it does not
	noImage bool
}

// sendTrouble is what happens to a heartbeat, in real time.
type sendTrouble struct {
	lost       bool // it is never sent
	gone       bool // it is sent, and goes nowhere
	late, skew time.Duration
	copies     int // besides itself
}

// dacAt names a DAC.
type dacAt struct {
	kind fleet.Kind
	id   fleet.InstanceID
}

// program is a DAC that runs.
type program struct {
	at   dacAt
	uid  string // of its pod
	node string
	dac  *dac.DAC
	hung bool          // or a zombie
	gone chan struct{} // closed when everything about it has been told

	wire *dacWire // to ZooKeeper, nil before the first; guarded by the lock of all

	mu   sync.Mutex
	held map[string]struct{}
	over bool // what it ran has been told to have ended
}

func newDACs(p *Platform, cfg Config) (*DACs, error) {
	beats, err := dac.NewBeats(dac.BeatsConfig{Brokers: p.Kafka.Addrs()})
	if err != nil {
		return nil, fmt.Errorf("the DACs' heartbeats: %w", err)
	}
	d := &DACs{p: p, facts: cfg.Facts, beats: beats, kinds: map[fleet.Kind]Kind{}, programs: map[dacAt]*program{},
		strays: map[*program]struct{}{}, crashes: map[string]time.Duration{}, wires: map[string]dacAt{}, parted: map[string]bool{}}
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
	at, err := d.instanceOf(pod)
	if err != nil {
		return err
	}
	k := d.kinds[at.kind]
	if k.Idle {
		<-ctx.Done()
		return nil
	}
	p := &program{at: at, uid: string(pod.UID), node: pod.Spec.NodeName, held: map[string]struct{}{}, gone: make(chan struct{})}
	var late func() time.Duration
	if d.troubles != nil {
		late = func() time.Duration { return d.troubles.beatLate(at) }
	}
	p.dac, err = dac.New(dac.Config{
		Kind: at.kind, Instance: at.id, ZooKeeper: []string{d.p.ZooKeeperAddr()}, Session: k.Session,
		Dial: func(network, address string, timeout time.Duration) (net.Conn, error) {
			return d.dial(p, network, address, timeout)
		},
		Heartbeat: k.Heartbeat, Interval: k.HeartbeatInterval, Late: late, Beats: told{d, p}, Confirms: k.Confirms,
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
	d.facts.Alive(at.kind, at.id, p.uid, true)
	crash, crashed := d.crash(p)
	err = p.run(ctx)
	if crash.Stop(); crashed.Load() && ctx.Err() == nil {
		err = errCrashed
	}
	d.ended(p)
	return err
}

// errCrashed is how a program ends in a crash loop.
var errCrashed = errors.New("crashed soon after its start")

// crash has a program crash if that was decided when its pod started.
func (d *DACs) crash(p *program) (*time.Timer, *atomic.Bool) {
	d.mu.Lock()
	after := d.crashes[p.uid]
	delete(d.crashes, p.uid)
	d.mu.Unlock()
	crashed := &atomic.Bool{}
	timer := time.AfterFunc(cmp.Or(after, time.Hour), func() {
		crashed.Store(true)
		p.dac.Kill()
	})
	if after == 0 {
		timer.Stop()
	}
	return timer, crashed
}

// instanceOf reads a pod's environment.
func (d *DACs) instanceOf(pod *corev1.Pod) (dacAt, error) {
	env := map[string]string{}
	for _, v := range pod.Spec.Containers[0].Env {
		env[v.Name] = v.Value
	}
	k, known := d.kinds[fleet.Kind(env[envKind])]
	id, err := strconv.ParseInt(env[envInstance], 10, 32)
	if !known || err != nil {
		return dacAt{}, fmt.Errorf("%s: the environment names kind %q and instance %q: want a kind and a number", pod.Name, env[envKind], env[envInstance])
	}
	return dacAt{k.Kind, fleet.InstanceID(id)}, nil
}

// begin has a program be its instance's, once the one before has ended: a pod
// that was deleted without grace may end after its successor has come. One that
// nobody reaches runs on beside it. False: it was not to begin any more.
func (d *DACs) begin(ctx context.Context, p *program) bool {
	for {
		d.mu.Lock()
		before := d.programs[p.at]
		if before != nil && d.parted[before.node] && before.node != p.node {
			d.strays[before] = struct{}{}
			before = nil
		}
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
	facts.Ran(p.at.kind, p.at.id, p.uid, resource, on)
}

// ended tells that what a program ran has ended with it.
func (d *DACs) ended(p *program) {
	p.mu.Lock()
	p.over = true
	for _, id := range slices.Sorted(maps.Keys(p.held)) {
		d.facts.Ran(p.at.kind, p.at.id, p.uid, id, false)
	}
	clear(p.held)
	p.mu.Unlock()
	d.facts.Alive(p.at.kind, p.at.id, p.uid, false)
	d.mu.Lock()
	delete(d.strays, p)
	if d.programs[p.at] == p {
		delete(d.programs, p.at)
	}
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

// zombie makes a zombie of an instance's DAC; see dac.DAC.Zombie.
func (d *DACs) zombie(at dacAt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.programs[at]; p != nil && p.dac.Zombie() {
		p.hung = true
		d.facts.Zombie(at.kind, at.id)
	}
}

// orphans is what those run whose instance has another pod, by their own pod's
// uid.
func (d *DACs) orphans(kind fleet.Kind) map[string][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string][]string{}
	for p := range d.strays {
		if p.at.kind == kind {
			p.mu.Lock()
			all[p.uid] = slices.Sorted(maps.Keys(p.held))
			p.mu.Unlock()
		}
	}
	return all
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

// noFacts tells nobody.
type noFacts struct{}

func (noFacts) Ran(fleet.Kind, fleet.InstanceID, string, string, bool) {}
func (noFacts) Reloaded(fleet.Kind, fleet.InstanceID, int64)           {}
func (noFacts) Alive(fleet.Kind, fleet.InstanceID, string, bool)       {}
func (noFacts) Hung(fleet.Kind, fleet.InstanceID)                      {}
func (noFacts) Zombie(fleet.Kind, fleet.InstanceID)                    {}
func (noFacts) Beat(fleet.Kind, fleet.InstanceID)                      {}
