package world

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// KindSpec is what the world must know about a kind.
type KindSpec struct {
	Kind         fleet.Kind
	InstanceName string // the pods are named <InstanceName>-<instance>
	Heartbeat    bool   // its DACs send heartbeats
	Confirms     bool   // its DACs write the times applied into tmp/status

	// HeartbeatInterval is the time between heartbeats; 0 is that of DACConfig.
	HeartbeatInterval time.Duration
}

// DACs are the simulated programs in the instance pods: each loads, reads its
// list and runs it, follows its watches, reports in tmp/status, and sends
// heartbeats. It is the Runtime of Kubernetes.
type DACs struct {
	tl    *timeline.Timeline
	cfg   DACConfig
	zk    *ZooKeeper
	kafka *Kafka

	loading, apply, reopen delay

	kinds map[fleet.Kind]*dacKind
	stats DACStats
	warm  bool // programs that start now have loaded already

	// OnRun, unless nil, hears of each resource that a DAC starts or stops.
	// A hung DAC still holds its resources; they stop when its pod ends.
	OnRun func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid, resource string, running bool)
	// OnReload, unless nil, hears when a DAC has applied what it had not before.
	OnReload func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, times int64)
	// OnProcess, unless nil, hears of each program that starts, hangs or ends.
	// The resources of one that ends stop right after.
	OnProcess func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, state ProcessState)
	// OnBeat, unless nil, is asked at each heartbeat how much later than its interval
	// says the DAC sends the next: its clock is slow, or with a negative answer fast.
	OnBeat func(now time.Duration, kind fleet.Kind, id fleet.InstanceID) time.Duration
}

// ProcessState is what has become of a DAC's program.
type ProcessState uint8

// The states of a program.
const (
	ProcessStarted ProcessState = iota
	ProcessHung
	ProcessEnded
	ProcessZombie // it has become a zombie: see DACs.Zombie
)

var processStateNames = [...]string{"started", "hung", "ended", "zombie"}

// String is the state's name in traces.
func (s ProcessState) String() string { return processStateNames[s] }

// DACStats counts since the start.
type DACStats struct {
	Reads      uint64 // of a list, by any DAC
	WholeReads uint64 // those that read the whole list rather than a difference
	Started    uint64 // resources started
	Stopped    uint64 // resources stopped
}

// DACView is a DAC's program as it stands now.
type DACView struct {
	Kind     fleet.Kind
	Instance fleet.InstanceID
	UID      string // of its pod
	Hung     bool   // it does nothing, yet its pod runs
	Zombie   bool   // it beats and does nothing else, yet its pod runs
	Loaded   bool   // it has begun to read its list
	Session  bool   // the ensemble holds a session of it
	Times    int64  // of the _reload applied last
	Held     []string
}

type dacKind struct {
	spec   KindSpec
	dacs   map[fleet.InstanceID]*dac
	strays map[string]*dac // by UID: what runs on although its instance has a newer pod
}

// NewDACs has no programs yet. The configuration must be valid.
func NewDACs(tl *timeline.Timeline, seed timeline.Seed, cfg DACConfig, zk *ZooKeeper, kafka *Kafka) *DACs {
	stream := func(name string) *timeline.Stream { return seed.Stream("world", "dac", name) }
	return &DACs{
		tl: tl, cfg: cfg, zk: zk, kafka: kafka, kinds: map[fleet.Kind]*dacKind{},
		loading: delay{cfg.Load, stream("load")},
		apply:   delay{cfg.Apply, stream("apply")},
		reopen:  delay{cfg.Reopen, stream("reopen")},
	}
}

// AddKind says how a kind's programs behave; an error when it is known already
// or its HeartbeatInterval is negative.
func (f *DACs) AddKind(spec KindSpec) error {
	if spec.HeartbeatInterval < 0 {
		return fmt.Errorf("heartbeatInterval: %v is not valid: want more than 0s, or 0s for the default", spec.HeartbeatInterval)
	}
	if f.kinds[spec.Kind] != nil {
		return fmt.Errorf("kind: %q is not valid: want a kind that has not been added before", spec.Kind)
	}
	f.kinds[spec.Kind] = &dacKind{spec: spec, dacs: map[fleet.InstanceID]*dac{}, strays: map[string]*dac{}}
	return nil
}

// Stats is what has been counted so far.
func (f *DACs) Stats() DACStats { return f.stats }

// View is an instance's program; false when none runs. It takes time in
// proportion to what the program holds.
func (f *DACs) View(kind fleet.Kind, id fleet.InstanceID) (DACView, bool) {
	d := f.find(kind, id)
	if d == nil {
		return DACView{}, false
	}
	return d.view(), true
}

func (d *dac) view() DACView {
	return DACView{
		Kind: d.kind.spec.Kind, Instance: d.id, UID: d.uid, Hung: d.hung, Zombie: d.zombie, Loaded: d.loaded,
		Session: d.session != nil && d.session.stands(), Times: d.times, Held: d.held.sorted(),
	}
}

// Holds says whether an instance's program runs a resource, or has hung with it.
func (f *DACs) Holds(kind fleet.Kind, id fleet.InstanceID, resource string) bool {
	d := f.find(kind, id)
	return d != nil && d.held.has(resource)
}

// Instances are those of the kind whose program runs or has hung, ascending.
func (f *DACs) Instances(kind fleet.Kind) []fleet.InstanceID {
	k := f.kinds[kind]
	if k == nil {
		return nil
	}
	ids := make([]fleet.InstanceID, 0, len(k.dacs))
	for id := range k.dacs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Hang makes an instance's program stop without ending: no heartbeats, no
// reaction to watches, its session expires, its pod runs. False when none runs,
// or it has hung already.
func (f *DACs) Hang(kind fleet.Kind, id fleet.InstanceID) bool {
	d := f.find(kind, id)
	if d == nil || d.hung {
		return false
	}
	d.hang()
	f.process(f.tl.Now(), d, ProcessHung)
	return true
}

// Session is the session of an instance's program, to cut, restore or expire;
// nil while it has none.
func (f *DACs) Session(kind fleet.Kind, id fleet.InstanceID) *Session {
	if d := f.find(kind, id); d != nil {
		return d.session
	}
	return nil
}

// StartContainer starts an instance's program.
func (f *DACs) StartContainer(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string) {
	k := f.kinds[kind]
	if k == nil {
		return
	}
	d := &dac{dacs: f, kind: k, id: id, uid: uid, nodes: f.zk.instance(f.zk.tree(kind), id)}
	if old := k.dacs[id]; old != nil {
		k.strays[old.uid] = old
	}
	k.dacs[id] = d
	f.process(now, d, ProcessStarted)
	load := time.Duration(0)
	if !f.warm {
		load = f.loading.draw()
	}
	f.tl.After(load, d, opLoaded, 0, nil)
}

// Responds says whether an instance's program has not hung.
func (f *DACs) Responds(kind fleet.Kind, id fleet.InstanceID, uid string) bool {
	d := f.pod(kind, id, uid)
	return d != nil && !d.hung
}

// StopContainer ends an instance's program.
func (f *DACs) StopContainer(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, tidy bool) {
	d := f.pod(kind, id, uid)
	if d == nil {
		return
	}
	d.kind.drop(d)
	f.process(now, d, ProcessEnded)
	d.end(now, tidy)
}

func (f *DACs) find(kind fleet.Kind, id fleet.InstanceID) *dac {
	if k := f.kinds[kind]; k != nil {
		return k.dacs[id]
	}
	return nil
}

func (f *DACs) process(now time.Duration, d *dac, state ProcessState) {
	if f.OnProcess != nil {
		f.OnProcess(now, d.kind.spec.Kind, d.id, d.uid, state)
	}
}

func (f *DACs) ran(now time.Duration, d *dac, resource string, running bool) {
	if running {
		f.stats.Started++
	} else {
		f.stats.Stopped++
	}
	if f.OnRun != nil {
		f.OnRun(now, d.kind.spec.Kind, d.id, d.uid, resource, running)
	}
}
