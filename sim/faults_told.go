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
			r.disturbUntil(now, b, b.dice.End()+reopening, "ZooKeeper does not serve it as it should")
		}
	case scenarios.KubernetesSlow, scenarios.KubernetesCutWatch, scenarios.KubernetesDown, scenarios.KubernetesError, scenarios.OrchestratorSplit:
		r.check.Blind(now, true)
		r.at(b.dice.End()+b.By+catchingUp, func(now time.Duration) { r.check.Blind(now, false) })
	}
}

// catchingUp is how long an orchestrator takes at most until it knows what
// Kubernetes has done, once it can.
const catchingUp = 5 * time.Second

func (r *run) disturbFor(now time.Duration, b *broken, d time.Duration, why string) {
	r.disturbUntil(now, b, now+d, why)
}

// disturbUntil tells the checker of the DACs that a fault is about: all of them,
// or those chosen.
func (r *run) disturbUntil(now time.Duration, b *broken, until time.Duration, why string) {
	if !b.targeted() {
		kind := fleet.Kind(b.Kind)
		r.check.DisturbedAll(now, kind, true, why)
		r.at(until, func(now time.Duration) { r.check.DisturbedAll(now, kind, false, why) })
		return
	}
	for _, at := range r.everyDAC() {
		if b.hits(r, now, at.kind, at.id) {
			r.check.Disturbed(now, at.kind, at.id, true, why)
			r.at(until, func(now time.Duration) { r.check.Disturbed(now, at.kind, at.id, false, why) })
		}
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
