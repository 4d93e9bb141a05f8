package invariant

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// unfinished is since when what ZooKeeper holds of a kind's orders waits for the
// next step.
type unfinished struct {
	towards   int           // the instances that an orchestration under way works towards; 0: none
	towardsAt time.Duration // since when
	movedAt   time.Duration // when a resource came to another instance, or a leader began
}

// undertakes takes over what a transaction notes of orders that are under way.
func (k *kindState) undertakes(now time.Duration) {
	if to := k.control.TargetInstances; to != k.towards {
		k.towards, k.towardsAt = to, now
	}
	for id := range k.instances {
		in := &k.instances[id]
		if closing := slices.Contains(k.control.Closing, fleet.InstanceID(id)); closing != in.closing {
			in.closing, in.closingAt = closing, now
		}
	}
}

// endOrders looks for orders that ZooKeeper holds and nobody goes on with: whoever
// leads takes up what another left. Nothing is demanded while an instance does not
// work, since it may be the one that is waited for, nor within the bound of the
// last move, since what is long takes long.
func (c *Checker) endOrders(k *kindState) {
	if !c.healed || k.cfg.SettleBound == 0 || k.control.Maintenance || k.alarm() != "" || k.unwell() {
		return
	}
	late := func(since time.Duration) bool {
		return c.now-max(since, k.movedAt, c.healAt) > k.cfg.SettleBound
	}
	if k.towards != 0 && late(k.towardsAt) {
		c.fail(k, Orders, "ZooKeeper has an orchestration under way to %d instances since %v, and nobody goes on with it", k.towards, k.towardsAt)
	}
	room := 0
	for id := range k.instances {
		if in := &k.instances[id]; in.exists && !in.closing {
			room += max(0, in.capacity-in.used)
		}
	}
	for id := range k.instances {
		in := &k.instances[id]
		if !in.exists || !in.closing || in.terminating || !late(max(in.closingAt, in.usedAt)) {
			continue
		}
		switch {
		case in.used == 0:
			c.fail(k, Orders, "instance %d is to go since %v and is empty since %v, and still stands in ZooKeeper", id, in.closingAt, in.usedAt)
		case in.used <= room && !k.cfg.Grouped:
			c.fail(k, Orders, "instance %d is to go since %v, and still has %d resources, for which the others have room", id, in.closingAt, in.used)
		}
	}
}

// unwell says that some instance does not work as it should.
func (k *kindState) unwell() bool {
	return slices.ContainsFunc(k.instances, func(in instance) bool {
		return in.exists && (!in.healthy && !(in.closing && in.used == 0) || in.hung || k.suspended(&in))
	})
}
