package wire

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/fault"
	"dacorch/sim/internal/timeline"
	"dacorch/sim/wire/zookeeper"
)

// faults are the scenario's faults in this run. As in virtual time, what each
// does stands in the tables of faults_servers.go: a fault that happens at a
// moment has a happening there, one that lasts a change, which brings the servers
// in line with the faults of its sort that are active now. So several of one sort
// may overlap: switches stay on until the last one ends, amounts of time add up,
// and chances are thrown for each alone.
//
// The run's goroutine alone begins and ends faults. Servers and DACs ask on any
// goroutine what befalls a case, so whatever those questions meet is guarded: dice,
// who was chosen, which faults are active. What the run's goroutine alone changes,
// it reads without the lock.
type faults struct {
	r                   *run
	happenings, changes map[scenarios.FaultKind]effect
	broken              []*broken
	switched            map[scenarios.FaultKind]bool // what onOff has switched on
	out                 map[string]int               // unreachable machines: by how many faults
	drains              map[string]int               // cordoned machines: by how many faults
	paused              map[string]bool              // orchestrators
	parted              map[dacAt][]string           // unreachable machines on which DACs run on
	apart               bool                         // a split has parted the leader from ZooKeeper
	restarts            int                          // orchestrators that are to be started again
	gone                bool                         // ZooKeeper is stopped
	notes               []string                     // what the report must say of them

	later sync.WaitGroup // of after

	mu     sync.Mutex
	over   bool                              // the run has ended
	active map[scenarios.FaultKind][]*broken // of those that last, in the order of their beginnings
	sizes  map[dacAt]size
	born   map[dacAt]time.Duration
	seen   map[fleet.Kind]map[fleet.InstanceID]bool // instances that have had a pod
	images map[string]bool                          // pods without an image, by their uid
	barred map[string]time.Time                     // who does not reach ZooKeeper, until when
}

// size is how full an instance is.
type size struct{ used, capacity int }

// broken is one fault of the scenario in this run.
type broken struct {
	*scenarios.Fault
	dice     *fault.Fault
	chosen   map[dacAt]bool   // decided when it began, or when the instance came
	nodes    []string         // the machines that it hits now
	flapping []string         // those that it hits whenever it does
	on       bool             // what is decided by turns: it applies now
	before   *timeline.Stream // whether what breaks breaks before or after it took effect
	met      int              // cases that it has befallen
	undo     []func(now time.Duration)
}

// makeFaults gives every fault of the scenario its streams: those that it has in
// virtual time.
func (r *run) makeFaults() {
	r.faults = &faults{
		r: r, happenings: happenings(), changes: changes(), switched: map[scenarios.FaultKind]bool{}, out: map[string]int{}, drains: map[string]int{},
		paused: map[string]bool{}, parted: map[dacAt][]string{}, active: map[scenarios.FaultKind][]*broken{}, sizes: map[dacAt]size{}, born: map[dacAt]time.Duration{},
		seen: map[fleet.Kind]map[fleet.InstanceID]bool{}, images: map[string]bool{}, barred: map[string]time.Time{},
	}
	for i, d := range r.script.Faults() {
		r.faults.broken = append(r.faults.broken, &broken{Fault: &r.sc.Faults[i], dice: d, chosen: map[dacAt]bool{}, before: d.Stream("before")})
	}
}

// attach has the platform's servers and DACs ask what befalls them. A run without
// faults is one that nobody asks about.
func (f *faults) attach() {
	if len(f.broken) == 0 {
		return
	}
	r := f.r
	r.p.DACs.troubles = f
	r.p.Kubernetes.Judge(f.judge)
	f.attachZooKeeper()
}

func (f *faults) attachZooKeeper() {
	f.r.p.ZooKeeper.Observe(f.r.zookeeper)
	f.r.p.ZooKeeper.Hook(f.request)
	f.r.p.ZooKeeper.Refuse(true, f.refused)
}

// close ends what is still to happen.
func (f *faults) close() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.later.Wait()
}

// after is part of troubles.
func (f *faults) after(d time.Duration, do func(ctx context.Context)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.later.Go(func() {
		if pause(f.r.ctx, d) {
			do(f.r.ctx)
		}
	})
}

// now is the moment in the scenario's time, on any goroutine.
func (f *faults) now() time.Duration { return f.r.scaled(time.Since(f.r.began)) }

// begin begins a fault that lasts, or lets one happen that happens at a moment.
func (f *faults) begin(now time.Duration, b *broken) error {
	if b.Once() {
		if at, again := b.dice.Next(now); again {
			f.r.plan(at, func(now time.Duration) error { return f.begin(now, b) })
		}
		return f.happenings[b.What](f, now, b)
	}
	f.r.plan(b.dice.End(), func(now time.Duration) error { return f.end(now, b) })
	f.mu.Lock()
	f.active[b.What] = append(f.active[b.What], b)
	f.choose(now, b)
	f.mu.Unlock()
	f.turn(now, b)
	f.disturb(now, b)
	return f.change(now, b)
}

func (f *faults) change(now time.Duration, b *broken) error {
	if change := f.changes[b.What]; change != nil {
		return change(f, now, b)
	}
	return nil
}

// end ends a fault that lasts.
func (f *faults) end(now time.Duration, b *broken) error {
	f.mu.Lock()
	f.active[b.What] = slices.DeleteFunc(f.active[b.What], func(x *broken) bool { return x == b })
	b.on = false
	f.mu.Unlock()
	err := f.change(now, b)
	for _, undo := range b.undo {
		undo(now)
	}
	b.undo = nil
	return err
}

// again is the next turn of a fault that is decided by turns.
func (f *faults) again(now time.Duration, b *broken) error {
	if !slices.Contains(f.active[b.What], b) {
		return nil
	}
	f.turn(now, b)
	return f.change(now, b)
}

// leastTurn is how long a turn lasts at least, in the scenario's time and in real
// time.
const leastTurn, leastRealTurn = time.Second, 50 * time.Millisecond

// turn decides whether the whole of a fault applies until its next turn: always,
// unless it has a chance. Faults of single cases throw their dice themselves.
func (f *faults) turn(now time.Duration, b *broken) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := max(b.Stable, leastTurn, f.r.scaled(leastRealTurn))
	switch {
	case b.What == scenarios.NodeFlap || b.What == scenarios.KafkaRebalance:
		b.on = !b.on || b.What == scenarios.KafkaRebalance
		if b.on {
			b.on = b.strikes(now, "")
		}
	case b.What == scenarios.MQTTGarbage || b.What == scenarios.MQTTFlood:
		b.on = true // what it does then throws for each message
		next = max(time.Duration(float64(time.Second)/max(float64(b.Rate), 1e-6)), f.r.scaled(leastRealTurn))
	case byCase[b.What]:
		b.on = true
		return
	case !(b.Chance > 0 && b.Chance < 1):
		b.on = true
		if b.What != scenarios.OrchestratorPause && b.What != scenarios.OrchestratorSplit {
			b.met++
		}
		return
	default:
		b.on = b.strikes(now, "")
	}
	f.r.plan(now+next, func(now time.Duration) error { return f.again(now, b) })
}

// byCase are the faults that last whose chance is thrown where a case arises.
var byCase = map[scenarios.FaultKind]bool{
	scenarios.PodSlowStart: true, scenarios.PodCrashLoop: true, scenarios.PodNoImage: true,
	scenarios.NodeLose: true, scenarios.NodeDrain: true, scenarios.NodePartition: true,
	scenarios.HeartbeatsLose: true, scenarios.HeartbeatsDelay: true, scenarios.HeartbeatsDouble: true,
	scenarios.HeartbeatsSkew: true, scenarios.HeartbeatsDrift: true,
	scenarios.MQTTLose: true, scenarios.MQTTDuplicate: true, scenarios.MQTTReorder: true,
	scenarios.ZooKeeperCut: true, scenarios.KubernetesError: true, scenarios.KubernetesSlow: true,
	scenarios.KubernetesConflict: true, scenarios.KubernetesThrottle: true, scenarios.KubernetesQuota: true,
	scenarios.OrchestratorCrash: true,
}

// applies says whether any active fault of the sort applies now.
func (f *faults) applies(what scenarios.FaultKind) bool {
	return slices.ContainsFunc(f.active[what], func(b *broken) bool { return b.on })
}

// amount is the sum of what the active faults of the sort that apply say.
func (f *faults) amount(what scenarios.FaultKind) (sum time.Duration) {
	for _, b := range f.active[what] {
		if b.on {
			sum += b.By
		}
	}
	return sum
}

// choose decides whom a fault that lasts hits of those that are there now. It
// needs the lock.
func (f *faults) choose(now time.Duration, b *broken) {
	clear(b.chosen)
	if !b.Targeted() || b.What.Subject() == "node" {
		return
	}
	for _, k := range f.r.kinds {
		if b.Kind != "" && b.Kind != string(k.name) {
			continue
		}
		var allowed []fleet.InstanceID
		for _, c := range f.candidates(now, k) {
			b.chosen[dacAt{k.name, c.Instance}] = false
			if b.dice.Allows(c) && (!b.One || int(c.Instance) == b.Instance) {
				allowed = append(allowed, c.Instance)
			}
		}
		for _, id := range b.dice.Draw(allowed) {
			b.chosen[dacAt{k.name, id}] = true
		}
	}
}

// hits says whether the fault is about an instance. One that came after it began
// is decided when it is first met: a count takes no more, a share goes by the
// instance's own lot. It needs the lock.
func (f *faults) hits(now time.Duration, b *broken, at dacAt) bool {
	if b.Kind != "" && b.Kind != string(at.kind) {
		return false
	}
	if !b.Targeted() {
		return true
	}
	hit, known := b.chosen[at]
	if !known {
		hit = b.Count == 0 && (!b.One || int(at.id) == b.Instance) && b.dice.ByKey(at.key()) && b.dice.Allows(f.candidate(now, at))
		b.chosen[at] = hit
	}
	return hit
}

// befalls throws the die of one case about an instance. It needs the lock.
func (f *faults) befalls(now time.Duration, b *broken, at dacAt) bool {
	return f.hits(now, b, at) && b.strikes(now, at.key())
}

// strikes throws the die of a case, and counts what it befalls. It needs the lock.
func (b *broken) strikes(now time.Duration, key string) bool {
	hit := b.dice.Hits(now, key)
	if hit {
		b.met++
	}
	return hit
}

// idle notes the faults that have befallen nothing: what they were to break never
// came.
func (f *faults) idle() {
	for _, b := range f.broken {
		if _, told := otherwiseDone[b.What]; b.met == 0 && !told && b.At < f.r.ended {
			f.note("The fault %q befell nothing.", b.Label())
		}
	}
}

func (at dacAt) key() string { return string(at.kind) + " " + at.id.String() }

// candidates are the kind's instances, as conditions see them: those in
// ZooKeeper; before there are any, those that will be there first. It needs the
// lock.
func (f *faults) candidates(now time.Duration, k *kind) []fault.Candidate {
	var out []fault.Candidate
	for _, at := range slices.SortedFunc(maps.Keys(f.sizes), func(a, b dacAt) int { return int(a.id - b.id) }) {
		if at.kind == k.name {
			out = append(out, f.candidate(now, at))
		}
	}
	if len(out) == 0 {
		for id := range fleet.InstanceID(k.spec.InitInstances) {
			out = append(out, fault.Candidate{Instance: id})
		}
	}
	return out
}

// candidate is an instance with the properties that conditions compare. It needs
// the lock.
func (f *faults) candidate(now time.Duration, at dacAt) fault.Candidate {
	c := fault.Candidate{Instance: at.id, Resources: f.sizes[at].used}
	if of := f.sizes[at].capacity; of > 0 {
		c.Load = float64(c.Resources) / float64(of)
	}
	if born, ok := f.born[at]; ok {
		c.Age = now - born
	}
	return c
}

// resize follows how full the instances are.
func (f *faults) resize(kind fleet.Kind, txn *fleet.Txn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range txn.Changes {
		if c, at := &txn.Changes[i], (dacAt{kind, txn.Changes[i].Instance}); c.Kind == fleet.ChangeDelete {
			delete(f.sizes, at)
		} else {
			f.sizes[at] = size{c.Used, c.Capacity}
		}
	}
}

// created notes an instance's new pod.
func (f *faults) created(now time.Duration, at dacAt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.born[at] = now
	if f.seen[at.kind] == nil {
		f.seen[at.kind] = map[fleet.InstanceID]bool{}
	}
	f.seen[at.kind][at.id] = true
}

// everyDAC are the instances that have had a pod, in stable order.
func (f *faults) everyDAC() (out []dacAt) {
	for _, k := range f.r.kinds {
		for _, id := range slices.Sorted(maps.Keys(f.seen[k.name])) {
			out = append(out, dacAt{k.name, id})
		}
	}
	return out
}

// classOf says whose a connection to ZooKeeper is: a DAC's, or an orchestrator's.
func (f *faults) classOf(s zookeeper.Session) (at dacAt, dac bool) {
	return f.r.p.DACs.client(s.RemoteAddr)
}

func (f *faults) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.notes, text) {
		f.notes = append(f.notes, text)
	}
}
