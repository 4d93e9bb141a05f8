package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

// openOrder is an operator's order that has not been answered.
type openOrder struct {
	order *scenarios.Order
	given time.Duration
	to    *process
}

// order gives an operator's order to the kind's machine. While the orchestrator
// is down nobody takes it: its caller sees the connection refused.
func (r *run) order(now time.Duration, o *scenarios.Order) {
	r.nextReq++
	r.keepMark(now, r.kindNamed(fleet.Kind(o.Kind)), fleet.InstanceID(o.Instance), recording.OrderGiven, orderLabel(o))
	p := r.leader()
	if p == nil {
		r.recordLostOrder(now, o)
		r.refused(now, o)
		return
	}
	r.orders[r.nextReq] = openOrder{o, now, p}
	r.kindNamed(fleet.Kind(o.Kind)).ordered = r.nextReq
	if o.What == scenarios.Maintenance && !o.On {
		r.check.Lifting(now, fleet.Kind(o.Kind), true)
	}
	for _, d := range p.kinds {
		if d.name == fleet.Kind(o.Kind) {
			d.step(now, reconcile.Ordered{Req: r.nextReq, Order: machineOrder(o)})
		}
	}
}

// machineOrder is an order as the core is told it.
func machineOrder(o *scenarios.Order) reconcile.Order {
	id := fleet.InstanceID(o.Instance)
	switch o.What {
	case scenarios.Drain:
		return reconcile.Drain{Instance: id}
	case scenarios.Undrain:
		return reconcile.Undrain{Instance: id}
	case scenarios.Replace:
		return reconcile.Replace{Instance: id}
	case scenarios.Maintenance:
		return reconcile.Maintenance{On: o.On}
	}
	var req placement.Request
	if o.MaxInstances > 0 {
		req.MaxInstances = &o.MaxInstances
	}
	if o.ResourcePerInstance > 0 {
		req.ResourcePerInstance = &o.ResourcePerInstance
	}
	return reconcile.Orchestrate{Request: req}
}

// replied notes the answer to an order.
func (r *run) replied(now time.Duration, d *driver, c reconcile.Reply) {
	open, ok := r.orders[c.Req]
	if !ok {
		return
	}
	delete(r.orders, c.Req)
	if c.Err == "" && r.newest(d) && r.kindNamed(d.name).ordered == c.Req { // else a later one may have undone it
		r.done(now, d, open.order)
	}
	switch {
	case c.Err != "":
		r.unlift(now, open.order)
		r.refused(now, open.order)
	case open.order.What == scenarios.Orchestrate:
		r.check.Add(d.name, history.OrchestrationsDone, 1)
		r.check.Raise(d.name, history.OrchestrationTimeMax, (now - open.given).Seconds())
	}
}

// done has the checker compare what an operator is told with what ZooKeeper holds.
func (r *run) done(now time.Duration, d *driver, o *scenarios.Order) {
	id := fleet.InstanceID(o.Instance)
	switch o.What {
	case scenarios.Maintenance:
		r.check.MaintenanceDone(now, d.name, o.On)
	case scenarios.Drain:
		r.check.DrainDone(now, d.name, id)
	case scenarios.Undrain:
		r.check.UndrainDone(now, d.name, id)
	case scenarios.Orchestrate:
		r.check.OrchestrationDone(now, d.name, o.ResourcePerInstance)
	}
}

// newest says that a driver's machine leads with the newest epoch: what another
// does and says, a newer leader has overtaken.
func (r *run) newest(d *driver) bool { return d.leads && d.epoch == r.world.ZooKeeper.Epoch(d.name) }

// unlift tells the checker that an order to end maintenance is lost.
func (r *run) unlift(now time.Duration, o *scenarios.Order) {
	if o.What == scenarios.Maintenance && !o.On {
		r.check.Lifting(now, fleet.Kind(o.Kind), false)
	}
}

// refused notes an order that was not carried out, or whose end nobody learnt.
func (r *run) refused(now time.Duration, o *scenarios.Order) {
	if o.What == scenarios.Orchestrate {
		r.check.Add(fleet.Kind(o.Kind), history.OrchestrationsRefused, 1)
	}
	r.pics.mark(now, orderLabel(o)+" refused")
}

// dropOrders is the fate of the orders that a process leaves unanswered when it
// dies. What it had begun of them a restart may well finish, but nobody is told.
func (r *run) dropOrders(now time.Duration, p *process) {
	for _, req := range slices.Sorted(maps.Keys(r.orders)) {
		if open := r.orders[req]; open.to == p {
			r.pics.mark(now, orderLabel(open.order)+" unanswered")
			r.unlift(now, open.order)
			delete(r.orders, req)
		}
	}
}

// unanswered are the orders that wait for their answer at the end.
func (r *run) unanswered() []history.Pending {
	var out []history.Pending
	for _, req := range slices.Sorted(maps.Keys(r.orders)) {
		open := r.orders[req]
		out = append(out, history.Pending{
			Kind: fleet.Kind(open.order.Kind), Count: 1, Since: open.given,
			Why: fmt.Sprintf("order %q has no answer", orderLabel(open.order)),
		})
	}
	return out
}

// orderLabel names an order in the timeline.
func orderLabel(o *scenarios.Order) string {
	switch o.What {
	case scenarios.Drain, scenarios.Undrain, scenarios.Replace:
		return fmt.Sprintf("%s %d", o.What, o.Instance)
	case scenarios.Maintenance:
		return string(o.What) + map[bool]string{true: " on", false: " off"}[o.On]
	}
	return string(o.What)
}
