package sim

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/world"
)

// disturb tells the checker what a fault that begins keeps from doing its part,
// for as long as it lasts: DACs that do not reach ZooKeeper, and orchestrators
// that cannot know what Kubernetes has done.
func (r *run) disturb(now time.Duration, b *broken) {
	switch b.What {
	case scenarios.ZooKeeperCut, scenarios.ZooKeeperSlow, scenarios.ZooKeeperReadOnly, scenarios.ZooKeeperDown:
		if b.clients()&world.DACClients != 0 {
			undo := r.disturbed(now, b, "ZooKeeper does not serve it as it should")
			b.undo = append(b.undo, func(now time.Duration) { // what is on its way then takes its time
				r.at(now+b.By+r.amount(b.What)+reopening, undo)
			})
		}
	case scenarios.KubernetesSlow, scenarios.KubernetesCutWatch, scenarios.KubernetesDown, scenarios.KubernetesError, scenarios.OrchestratorSplit:
		r.check.Blind(now, true)
		b.undo = append(b.undo, func(now time.Duration) {
			r.at(now+b.By+r.amount(b.What)+catchingUp, func(now time.Duration) { r.check.Blind(now, false) })
		})
	}
}

// catchingUp is how long an orchestrator takes at most until it knows what
// Kubernetes has done, once it can.
const catchingUp = 5 * time.Second

// disturbed tells the checker of the DACs that a fault is about: all of them, or
// those chosen, now or when they come; until undo is called.
func (r *run) disturbed(now time.Duration, b *broken, why string) (undo func(now time.Duration)) {
	if !b.Targeted() {
		kind := fleet.Kind(b.Kind)
		r.check.DisturbedAll(now, kind, true, why)
		return func(now time.Duration) { r.check.DisturbedAll(now, kind, false, why) }
	}
	about := &disturbance{why: why, hit: map[dacAt]bool{}}
	b.disturbs = about
	for _, at := range r.everyDAC() {
		r.newcomer(now, at, b)
	}
	return func(now time.Duration) {
		for _, at := range r.everyDAC() {
			if about.hit[at] {
				r.check.Disturbed(now, at.kind, at.id, false, why)
			}
		}
		if b.disturbs == about { // else it has happened again
			b.disturbs = nil
		}
	}
}

// disturbance is what the checker has been told of the DACs that a fault is about.
type disturbance struct {
	why string
	hit map[dacAt]bool
}

// newcomer tells the checker of a DAC that a fault is about: when the fault
// begins, or when the DAC comes, if that is later.
func (r *run) newcomer(now time.Duration, at dacAt, b *broken) {
	if d := b.disturbs; d != nil && !d.hit[at] && b.hits(r, now, at.kind, at.id) {
		d.hit[at] = true
		r.check.Disturbed(now, at.kind, at.id, true, d.why)
	}
}

// rejoined ends the disturbance of an instance whose machine cannot be reached:
// another pod of it has started elsewhere.
func (r *run) rejoined(now time.Duration, at dacAt) {
	here := r.world.Kubernetes.PodNode(at.kind, at.id)
	r.parted[at] = slices.DeleteFunc(r.parted[at], func(node string) bool {
		if node != here {
			r.check.Disturbed(now, at.kind, at.id, false, "its machine cannot be reached")
		}
		return node != here
	})
}

// at has something done at a moment to come.
func (r *run) at(at time.Duration, do func(now time.Duration)) { r.tl.At(at, r, opDo, 0, do) }
