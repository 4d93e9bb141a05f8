package tape

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// pods are what is known of a kind's pods.
type pods map[fleet.InstanceID]*podTape

// podTape is what has happened to an instance's pods.
type podTape struct {
	facts   []PodFact // the newest last
	dropped bool
	now     fleet.Pod // as last seen
	old     []string  // the latest UIDs that are gone
}

// The sorts of facts about a pod.
const (
	PodCreated     = "created" // it is there: created by the core, or found
	PodBound       = "bound"   // to a node: Text
	PodPhase       = "phase"   // it was seen in another phase
	PodDeleted     = "deleted" // its deletion was requested: Text says why
	PodGone        = "gone"
	ProgramStarted = "started" // its container
	ProgramHung    = "hung"
	ProgramEnded   = "ended"
)

// PodFact is something that has happened to a pod.
type PodFact struct {
	Event int64
	At    time.Duration
	What  string
	UID   string // of the pod; empty: of the one that there is

	// Of PodPhase.
	Phase       fleet.Phase
	Terminating bool
	NodeLost    bool
	Text        string // of PodPhase: Kubernetes' reason
}

func (f *PodFact) stamp() stamp { return stamp{f.Event, f.At} }

// The bounds of facts: of all instances of a kind, and the fewest of each.
const (
	factsMost   = 2_000_000
	factsFewest = 12
)

func (t *Tape) pod(k *kindTape, id fleet.InstanceID) *podTape {
	p := k.pods[id]
	if p == nil {
		p = &podTape{}
		k.pods[id] = p
	}
	return p
}

// podFact notes a fact. Of one pod it is created only once.
func (t *Tape) podFact(k *kindTape, id fleet.InstanceID, f PodFact) {
	if id == fleet.NoInstance {
		return
	}
	p := t.pod(k, id)
	if f.What == PodCreated {
		if f.UID == p.now.UID || slices.Contains(p.old, f.UID) {
			return
		}
		p.leave()
		p.now = fleet.Pod{Instance: id, UID: f.UID}
	}
	most := max(min(t.cfg.MaxPodFacts, factsMost/len(k.pods)), factsFewest)
	f.Event, f.At, f.Text = t.place.n, t.now, shortened(f.Text)
	p.dropped = p.dropped || len(p.facts) >= most
	p.facts = append(trimmed(p.facts, most), f)
}

// leave forgets the pod that there was.
func (p *podTape) leave() {
	if p.now.UID != "" {
		p.old = append(trimmed(p.old, 5), p.now.UID)
	}
	p.now = fleet.Pod{}
}

// podSeen notes a pod as Kubernetes has it, and tells what of it is new.
func (t *Tape) podSeen(k *kindTape, key machineKey, seen fleet.Pod) {
	p := t.pod(k, seen.Instance)
	was := p.now
	t.podIs(k, seen)
	if now := p.now; now.UID != seen.UID || was.UID == now.UID && was.Phase == now.Phase && was.Terminating == now.Terminating {
		return
	}
	t.tell(k, key.process, Entry{Type: EntryPod, Instance: seen.Instance, Phase: seen.Phase, Text: seen.State()})
}

// podIs notes a pod as it is. One that is known to be gone, and that another
// process has yet to hear of, is not.
func (t *Tape) podIs(k *kindTape, seen fleet.Pod) {
	p := t.pod(k, seen.Instance)
	if seen.UID == "" || slices.Contains(p.old, seen.UID) {
		return
	}
	t.podFact(k, seen.Instance, PodFact{What: PodCreated, UID: seen.UID})
	if p.now == seen {
		return
	}
	p.now = seen
	t.podFact(k, seen.Instance, PodFact{What: PodPhase, UID: seen.UID, Phase: seen.Phase, Terminating: seen.Terminating, NodeLost: seen.NodeLost, Text: seen.Reason})
}

func (t *Tape) podGone(k *kindTape, key machineKey, ev reconcile.PodGone) {
	p := t.pod(k, ev.Instance)
	if p.now.UID != ev.UID || ev.UID == "" {
		return
	}
	t.podFact(k, ev.Instance, PodFact{What: PodGone, UID: ev.UID})
	p.leave()
	t.tell(k, key.process, Entry{Type: EntryPod, Instance: ev.Instance, Phase: fleet.PhaseMissing, Text: "gone"})
}

// podsListed notes all pods that there are.
func (t *Tape) podsListed(k *kindTape, list []fleet.Pod) {
	there := make(map[fleet.InstanceID]bool, len(list))
	for i := range list {
		there[list[i].Instance] = true
		t.podIs(k, list[i])
	}
	for id, p := range k.pods {
		if !there[id] && p.now.UID != "" && p.now.Phase != fleet.PhaseMissing { // else it is on its way
			t.podFact(k, id, PodFact{What: PodGone, UID: p.now.UID})
			p.leave()
		}
	}
}

// Pod is what is known of an instance's pod at a moment.
type Pod struct {
	Incarnation               // the one that there is; UID is empty when there is none
	Past        []Incarnation // those before, the newest first
	Facts       []PodFact     // the newest first
	Complete    bool          // nothing older has been forgotten
}

// Incarnation is one pod of an instance.
type Incarnation struct {
	UID         string
	Node        string        // that it was bound to; empty: not known
	Created     time.Duration // when it was first heard of
	Phase       fleet.Phase   // as last seen
	Reason      string        // Kubernetes' own
	Terminating bool
	NodeLost    bool
	Hung        bool          // a simulation knows that its program does nothing
	Restarts    int           // of its container, as far as a simulation tells them
	Told        bool          // Restarts is known
	Ran         time.Duration // since when it has run, if Running
	Running     bool          // it has been seen to run
	DeletedWhy  string        // why its deletion was requested; empty: it was not
	Gone        bool
	GoneAt      time.Duration

	started int
}

// Pod answers what is known of an instance's pod.
func (m *Moment) Pod(kind fleet.Kind, id fleet.InstanceID) Pod {
	out := Pod{Complete: true}
	k := m.t.kind(kind)
	if k == nil || k.pods[id] == nil {
		return out
	}
	p := k.pods[id]
	facts := p.facts[:upTo(p.facts, m.stamp(), (*PodFact).stamp)]
	out.Complete = !p.dropped
	out.Facts = slices.Clone(facts)
	slices.Reverse(out.Facts)
	var all []Incarnation
	for i := range facts {
		all = reckon(all, &facts[i])
	}
	slices.Reverse(all)
	if out.Past = all; len(all) > 0 && !all[0].Gone {
		out.Incarnation, out.Past = all[0], all[1:]
	}
	return out
}

// reckon adds a fact to what is known of an instance's pods.
func reckon(all []Incarnation, f *PodFact) []Incarnation {
	var in *Incarnation
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].UID == f.UID || f.UID == "" {
			in = &all[i]
			break
		}
	}
	if in == nil {
		if f.UID == "" {
			return all
		}
		if n := len(all); n > 0 && !all[n-1].Gone { // its end was not told
			all[n-1].Gone, all[n-1].GoneAt = true, f.At
		}
		all = append(all, Incarnation{UID: f.UID, Created: f.At, Phase: fleet.PhasePending})
		in = &all[len(all)-1]
	}
	switch f.What {
	case PodBound:
		in.Node = f.Text
	case PodPhase:
		in.Phase, in.Reason, in.Terminating, in.NodeLost = f.Phase, f.Text, f.Terminating, f.NodeLost
		if f.Phase == fleet.PhaseRunning && !in.Running {
			in.Running, in.Ran = true, f.At
		}
	case PodDeleted:
		in.DeletedWhy = f.Text
	case PodGone:
		in.Gone, in.GoneAt = true, f.At
	case ProgramStarted:
		in.started++
		in.Told, in.Hung, in.Restarts = true, false, in.started-1
	case ProgramHung:
		in.Hung = true
	case ProgramEnded:
		in.Hung = false
	}
	return all
}
