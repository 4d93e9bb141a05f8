package sim

import (
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/fault"
	"dacorch/sim/internal/timeline"
)

// faults are the scenario's faults in this run, and those injected into it. What each does to the models
// stands in the tables of faults_servers.go: a fault that happens at a moment
// has a happening there, one that lasts a change, which brings the models in line
// with the faults of its sort that are active now. So several of one sort may
// overlap: switches stay on until the last one ends, amounts of time add up, and
// chances are thrown for each alone.
type faults struct {
	happenings, changes map[scenarios.FaultKind]action

	broken   []*broken                         // the scenario's, then the injected
	injected map[string]int                    // how many of each text
	active   map[scenarios.FaultKind][]*broken // of those that last, in the order of their beginnings
	out      map[string]int                    // unreachable machines: by how many faults
	drains   map[string]int                    // cordoned machines: by how many faults
	parted   map[dacAt][]string                // unreachable machines on which DACs run on
	switched map[scenarios.FaultKind]bool      // what onOff has switched on
	apart    bool                              // a split has parted the leader from ZooKeeper
}

// broken is one fault in this run.
type broken struct {
	*scenarios.Fault
	dice     *fault.Fault
	nth      int
	chosen   map[dacAt]bool   // decided when it began, or when the instance came
	nodes    []string         // the machines that it hits now
	flapping []string         // those that it hits whenever it does
	on       bool             // what is decided by turns: it applies now
	before   *timeline.Stream // whether what breaks breaks before or after it took effect
	undo     []func(now time.Duration)
	disturbs *disturbance // nil: no DAC
}

// makeFaults gives every fault of the scenario its streams.
func (r *run) makeFaults() {
	r.faults = faults{happenings: happenings(), changes: changes(), injected: map[string]int{}, active: map[scenarios.FaultKind][]*broken{}, out: map[string]int{}, drains: map[string]int{}, parted: map[dacAt][]string{}, switched: map[scenarios.FaultKind]bool{}}
	for i, f := range r.script.Faults() {
		r.breakable(&r.sc.Faults[i], f)
	}
}

func (r *run) breakable(f *scenarios.Fault, dice *fault.Fault) *broken {
	b := &broken{Fault: f, dice: dice, nth: len(r.broken), chosen: map[dacAt]bool{}, before: dice.Stream("before")}
	r.broken = append(r.broken, b)
	return b
}

// maxInjected bounds how many faults can be injected into a run.
const maxInjected = 10_000

// inject has a fault begin that the scenario does not foresee.
func (r *run) inject(now time.Duration, f *scenarios.Fault) {
	dice := r.script.Injected(f, r.injected[scenarios.FormatFault(*f)])
	r.injected[dice.Text]++
	r.askFaults()
	r.pics.fault(f)
	r.faultOn(now, r.breakable(f, dice))
	r.unsettle(now, f.At+f.For)
}

// unsettle takes back that everything must settle, until a moment: from then on
// it is demanded anew. Before the scenario's heal that is put off instead.
func (r *run) unsettle(now, until time.Duration) {
	r.calmAt = max(r.calmAt, until)
	if !r.healed {
		return
	}
	r.check.Unheal(now)
	if until <= now {
		r.check.Heal(now)
		return
	}
	r.healed = false
	r.tl.At(r.calmAt, r, opHeal, 0, nil)
}

// faultOn begins a fault that lasts, or lets one happen that happens at a moment.
func (r *run) faultOn(now time.Duration, b *broken) {
	r.keepMark(now, nil, fleet.NoInstance, recording.FaultBegan, b.dice.Text)
	if b.Once() {
		r.happenings[b.What](r, now, b)
		if at, again := b.dice.Next(now); again {
			r.tl.At(at, r, opFaultOn, int64(b.nth), nil)
		}
		return
	}
	r.tl.At(b.dice.End(), r, opFaultOff, int64(b.nth), nil)
	r.active[b.What] = append(r.active[b.What], b)
	b.choose(r, now)
	r.turn(now, b)
	r.disturb(now, b)
	if change := r.changes[b.What]; change != nil {
		change(r, now, b)
	}
}

// faultOff ends a fault that lasts.
func (r *run) faultOff(now time.Duration, b *broken) {
	r.keepMark(now, nil, fleet.NoInstance, recording.FaultEnded, b.dice.Text)
	r.active[b.What] = slices.DeleteFunc(r.active[b.What], func(x *broken) bool { return x == b })
	b.on = false
	if change := r.changes[b.What]; change != nil {
		change(r, now, b)
	}
	for _, undo := range b.undo {
		undo(now)
	}
	b.undo = nil
}

// faultAgain is the next turn of a fault that is decided by turns.
func (r *run) faultAgain(now time.Duration, b *broken) {
	if !slices.Contains(r.active[b.What], b) {
		return
	}
	r.turn(now, b)
	if change := r.changes[b.What]; change != nil {
		change(r, now, b)
	}
}

// leastTurn is how long a turn lasts at least: what is decided for each case
// alone where the models ask about cases is decided so often where they do not.
const leastTurn = time.Second

// turn decides whether the whole of a fault applies until its next turn: always,
// unless it has a chance. Faults of single cases throw their dice themselves.
func (r *run) turn(now time.Duration, b *broken) {
	var next time.Duration
	switch {
	case b.What == scenarios.NodeFlap || b.What == scenarios.KafkaRebalance:
		b.on = !b.on || b.What == scenarios.KafkaRebalance
		if b.on {
			b.on = b.dice.Hits(now, "")
		}
		next = max(b.Stable, leastTurn)
	case b.What == scenarios.MQTTGarbage || b.What == scenarios.MQTTFlood:
		b.on = b.dice.Hits(now, "")
		next = time.Duration(float64(time.Second) / max(float64(b.Rate), 1e-6))
	case byCase[b.What] || !(b.Chance > 0 && b.Chance < 1):
		b.on = true
		return
	default:
		b.on = b.dice.Hits(now, "")
		next = max(b.Stable, leastTurn)
	}
	r.tl.After(next, r, opFaultAgain, int64(b.nth), nil)
}

// byCase are the faults that last whose chance is thrown where a case arises.
var byCase = map[scenarios.FaultKind]bool{
	scenarios.PodSlowStart: true, scenarios.PodCrashLoop: true, scenarios.PodNoImage: true,
	scenarios.NodeLose: true, scenarios.NodeDrain: true, scenarios.NodePartition: true,
	scenarios.HeartbeatsLose: true, scenarios.HeartbeatsDelay: true, scenarios.HeartbeatsDouble: true,
	scenarios.HeartbeatsSkew: true, scenarios.HeartbeatsDrift: true, scenarios.KafkaSlow: true,
	scenarios.MQTTLose: true, scenarios.MQTTDuplicate: true, scenarios.MQTTReorder: true,
	scenarios.ZooKeeperCut: true, scenarios.KubernetesError: true, scenarios.KubernetesSlow: true,
	scenarios.KubernetesConflict: true, scenarios.KubernetesThrottle: true, scenarios.KubernetesQuota: true,
	scenarios.OrchestratorCrash: true,
}

// applies says whether any active fault of the sort applies now.
func (r *run) applies(what scenarios.FaultKind) bool {
	return slices.ContainsFunc(r.active[what], func(b *broken) bool { return b.on })
}

// amount is the sum of what the active faults of the sort that apply say.
func (r *run) amount(what scenarios.FaultKind) (sum time.Duration) {
	for _, b := range r.active[what] {
		if b.on {
			sum += b.By
		}
	}
	return sum
}

// choose decides whom a fault that lasts hits of those that are there now.
func (b *broken) choose(r *run, now time.Duration) {
	clear(b.chosen)
	if !b.Targeted() || b.What.Subject() == "node" {
		return
	}
	for _, k := range r.kinds {
		if b.Kind != "" && b.Kind != string(k.name) {
			continue
		}
		var allowed []fleet.InstanceID
		for _, c := range k.candidates(now) {
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
// instance's own lot.
func (b *broken) hits(r *run, now time.Duration, kind fleet.Kind, id fleet.InstanceID) bool {
	if b.Kind != "" && b.Kind != string(kind) {
		return false
	}
	if !b.Targeted() {
		return true
	}
	at := dacAt{kind, id}
	hit, known := b.chosen[at]
	if !known {
		hit = b.Count == 0 && (!b.One || int(id) == b.Instance) && b.dice.ByKey(keyOf(kind, id)) && b.dice.Allows(r.kindNamed(kind).candidate(now, id))
		b.chosen[at] = hit
	}
	return hit
}

// befalls throws the die of one case about an instance.
func (b *broken) befalls(r *run, now time.Duration, kind fleet.Kind, id fleet.InstanceID) bool {
	return b.hits(r, now, kind, id) && b.dice.Hits(now, keyOf(kind, id))
}

func keyOf(kind fleet.Kind, id fleet.InstanceID) string { return string(kind) + " " + id.String() }

func (r *run) has(name fleet.Kind) bool {
	return slices.ContainsFunc(r.kinds, func(k *kind) bool { return k.name == name })
}

func (r *run) kindNames() []string {
	var names []string
	for _, k := range r.kinds {
		names = append(names, string(k.name))
	}
	return names
}

func (r *run) kindNamed(name fleet.Kind) *kind {
	i := slices.IndexFunc(r.kinds, func(k *kind) bool { return k.name == name })
	return r.kinds[i] // the world knows no others
}

// candidates are the kind's instances, as conditions see them: those in
// ZooKeeper; before there are any, those that will be there first.
func (k *kind) candidates(now time.Duration) []fault.Candidate {
	var out []fault.Candidate
	for _, id := range slices.Sorted(maps.Keys(k.sizes)) {
		out = append(out, k.candidate(now, id))
	}
	for id := range fleet.InstanceID(k.spec.InitInstances) {
		if len(k.sizes) == 0 {
			out = append(out, fault.Candidate{Instance: id})
		}
	}
	return out
}

// candidate is an instance with the properties that conditions compare.
func (k *kind) candidate(now time.Duration, id fleet.InstanceID) fault.Candidate {
	c := fault.Candidate{Instance: id, Resources: k.sizes[id].used}
	if of := k.sizes[id].capacity; of > 0 {
		c.Load = float64(c.Resources) / float64(of)
	}
	if at, ok := k.born[id]; ok {
		c.Age = now - at
	}
	return c
}
