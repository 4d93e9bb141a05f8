package wire

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
)

// How long it takes at most, in real time, until DACs work again with new
// sessions or connections, and until an orchestrator knows what Kubernetes has
// done, once they can. The invariants' own bounds begin then.
const (
	comingBack = 3 * time.Second
	catchingUp = 2 * time.Second
)

// disturb tells the checker what a fault that begins keeps from doing its part,
// for as long as it lasts: DACs that do not reach ZooKeeper, and orchestrators
// that cannot know what Kubernetes has done.
func (f *faults) disturb(now time.Duration, b *broken) {
	r := f.r
	switch b.What {
	case scenarios.ZooKeeperCut, scenarios.ZooKeeperSlow, scenarios.ZooKeeperReadOnly, scenarios.ZooKeeperDown:
		if b.Of != scenarios.OfOrchestrator {
			undo := f.disturbed(now, b, "ZooKeeper does not serve it as it should")
			b.undo = append(b.undo, func(now time.Duration) { // what is on its way then takes its time
				f.at(now+b.By+f.amount(b.What)+r.scaled(r.ComingBack), undo)
			})
		}
	case scenarios.KubernetesSlow, scenarios.KubernetesCutWatch, scenarios.KubernetesDown, scenarios.KubernetesError, scenarios.OrchestratorSplit:
		r.check.Blind(now, true)
		b.undo = append(b.undo, func(now time.Duration) {
			f.at(now+b.By+f.amount(b.What)+r.scaled(catchingUp), func(now time.Duration) { r.check.Blind(now, false) })
		})
	}
}

// disturbed tells the checker of the DACs that a fault is about: all of them, or
// those chosen; until undo is called.
func (f *faults) disturbed(now time.Duration, b *broken, why string) (undo func(now time.Duration)) {
	check := f.r.check
	if !b.Targeted() {
		kind := fleet.Kind(b.Kind)
		check.DisturbedAll(now, kind, true, why)
		return func(now time.Duration) { check.DisturbedAll(now, kind, false, why) }
	}
	f.mu.Lock()
	hit := slices.DeleteFunc(f.everyDAC(), func(at dacAt) bool { return !f.hits(now, b, at) })
	f.mu.Unlock()
	for _, at := range hit {
		check.Disturbed(now, at.kind, at.id, true, why)
	}
	return func(now time.Duration) {
		for _, at := range hit {
			check.Disturbed(now, at.kind, at.id, false, why)
		}
	}
}

// rejoined ends the disturbance of an instance whose machine cannot be reached:
// another pod of it has started elsewhere.
func (f *faults) rejoined(now time.Duration, at dacAt, here string) {
	f.parted[at] = slices.DeleteFunc(f.parted[at], func(node string) bool {
		if node != here {
			f.r.check.Disturbed(now, at.kind, at.id, false, cannotBeReached)
		}
		return node != here
	})
}

// at has something done at a moment to come.
func (f *faults) at(at time.Duration, do func(now time.Duration)) {
	f.r.plan(at, func(now time.Duration) error { do(now); return nil })
}
