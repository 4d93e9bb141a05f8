package invariant

import (
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
)

// promises is what a kind's orchestrator has undertaken towards its operators.
type promises struct {
	control fleet.Control // as ZooKeeper holds it
	lifting bool          // maintenance has been ordered to end, and may end at once

	resumed   bool          // maintenance has ended, if there ever was any
	resumedAt time.Duration // when it last did
}

// noted takes over what a transaction writes for the next leader. Before it does,
// it checks that nothing moves in maintenance: a transaction that was under way
// when the mode was ordered has committed before the one that notes the mode.
func (c *Checker) noted(k *kindState, txn *fleet.Txn) {
	on := k.control.Maintenance
	if txn.Control != nil {
		k.control = *txn.Control
		k.control.Closing = slices.Clone(k.control.Closing)
	}
	if on && k.control.Maintenance && len(txn.Changes) > 0 {
		c.fail(k, Maintenance, "transaction %d changes instance %d in maintenance", txn.ID, txn.Changes[0].Instance)
	}
	k.lifting = k.lifting && k.control.Maintenance
	if on && !k.control.Maintenance {
		k.resumed, k.resumedAt = true, c.now
	}
}

// rests says that nothing has to settle because of maintenance: it is on, or has
// ended less than the bound ago.
func (k *kindState) rests(now time.Duration) bool {
	return k.control.Maintenance || k.resumed && now-k.resumedAt < k.cfg.SettleBound
}

// Lifting says that an operator has ordered maintenance to end (on), or that
// nobody is left who knows of that order. Whoever was given it may act at once,
// before ZooKeeper holds the mode's end.
func (c *Checker) Lifting(now time.Duration, kind fleet.Kind, on bool) {
	if k := c.kind(now, kind); k != nil {
		k.lifting = on && k.control.Maintenance
	}
}

// Acted says that the newest leader has, by itself, ordered a pod created or
// deleted.
func (c *Checker) Acted(now time.Duration, kind fleet.Kind, id fleet.InstanceID, what string) {
	k := c.kind(now, kind)
	if k != nil && k.control.Maintenance && !k.lifting {
		c.fail(k, Maintenance, "in maintenance, the leader asks to %s the pod of instance %d", what, id)
	}
}

// MaintenanceDone says that the newest leader has told an operator that the mode
// is on, or off.
func (c *Checker) MaintenanceDone(now time.Duration, kind fleet.Kind, on bool) {
	if k := c.kind(now, kind); k != nil && k.control.Maintenance != on {
		c.fail(k, Orders, "an operator is told that maintenance is %s, and ZooKeeper says otherwise: a restart would not know", map[bool]string{true: "on", false: "off"}[on])
	}
}

// DrainDone says that the newest leader has told an operator that an instance is
// drained and gone.
func (c *Checker) DrainDone(now time.Duration, kind fleet.Kind, id fleet.InstanceID) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	if in := c.instance(k, id); in != nil && in.exists {
		c.fail(k, Orders, "an operator is told that instance %d is drained, and it stands in ZooKeeper with %d resources", id, in.used)
	}
}

// UndrainDone says that the newest leader has told an operator that an instance
// stays.
func (c *Checker) UndrainDone(now time.Duration, kind fleet.Kind, id fleet.InstanceID) {
	if k := c.kind(now, kind); k != nil && slices.Contains(k.control.Closing, id) {
		c.fail(k, Orders, "an operator is told that instance %d stays, and ZooKeeper has it closing: a restart would let it go", id)
	}
}

// OrchestrationDone says that the newest leader has told an operator that an
// orchestration is done, which had asked for so many resources per instance; 0
// for no number.
func (c *Checker) OrchestrationDone(now time.Duration, kind fleet.Kind, perInstance int) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	switch {
	case k.control.TargetInstances != 0:
		c.fail(k, Orders, "an operator is told that the orchestration is done, and ZooKeeper has it under way to %d instances", k.control.TargetInstances)
	case perInstance > 0 && k.control.ResourcePerInstance != perInstance:
		c.fail(k, Orders, "an operator is told that the orchestration is done, and ZooKeeper has %d resources per instance, not the %d asked for",
			k.control.ResourcePerInstance, perInstance)
	}
}

// odd notes since when an instance and its pod do not fit together: it stands in
// ZooKeeper and has no pod, or one that has failed; or its pod has no instance.
func (in *instance) odd(now time.Duration) {
	if odd := in.exists != (in.pod != ""); odd != in.isOdd {
		in.isOdd, in.oddAt = odd, now
	}
}

// endPods looks for instances and pods that did not find each other within the
// bound. What stands on such an instance would be found unsettled; an empty one
// is found here alone.
func (c *Checker) endPods(k *kindState) {
	if !c.healed || k.cfg.SettleBound == 0 || k.control.Maintenance {
		return
	}
	for id := range k.instances {
		in := &k.instances[id]
		switch {
		case in.isOdd && c.now-max(in.oddAt, c.healAt) > k.cfg.SettleBound && in.exists:
			c.fail(k, Pods, "instance %d stands in ZooKeeper and has had no pod since %v", id, in.oddAt)
		case in.isOdd && c.now-max(in.oddAt, c.healAt) > k.cfg.SettleBound:
			c.fail(k, Pods, "pod %s has had no instance %d in ZooKeeper since %v, and is still there", in.pod, id, in.oddAt)
		case in.exists && in.sick && c.now-max(in.unhealthyAt, c.healAt) > k.cfg.SettleBound && c.failed(k, fleet.InstanceID(id)):
			c.fail(k, Pods, "pod %s of instance %d has failed at %v, and nobody has replaced it", in.pod, id, in.unhealthyAt)
		}
	}
}

// failed says that an instance's pod is neither Running nor on its way there.
func (c *Checker) failed(k *kindState, id fleet.InstanceID) bool {
	return c.pod != nil && !slices.ContainsFunc([]fleet.Phase{fleet.PhaseRunning, fleet.PhasePending, fleet.PhaseMissing}, func(p fleet.Phase) bool {
		return strings.HasPrefix(c.pod(k.cfg.Kind, id), p.String())
	})
}
