package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/stage"
)

// openOrder is an operator's order that has not been answered for good.
type openOrder struct {
	order *scenarios.Order
	as    reconcile.Order // as the core is told it
	given time.Duration   // for the first time
	to    *process        // nil: nobody has it, and it is given again
	begun bool            // one that leads no longer had it, and may have begun it
	over  bool            // a later order is about the same: it is not given again

	answer func(err string) // whoever asked waits for the answer, and gives it again or not: then it is given once
}

// order is an operator's order. Its figures count it once, however often it is
// given.
func (r *run) order(now time.Duration, open openOrder) {
	o := open.order
	r.keepMark(now, r.kindNamed(fleet.Kind(o.Kind)), fleet.InstanceID(o.Instance), recording.OrderGiven, orderLabel(o))
	r.supersede(now, o)
	r.give(now, open)
}

// give hands an order to the kind's machine. While the orchestrator is down nobody
// takes it: its caller sees the connection refused.
func (r *run) give(now time.Duration, open openOrder) {
	r.nextReq++
	req, o := r.nextReq, open.order
	open.to = r.leader()
	r.orders[req] = open
	if open.to == nil {
		if now == open.given {
			r.recordLostOrder(now, o)
		}
		r.again(now, req, notReady+"no process of the orchestrator runs")
		return
	}
	r.kindNamed(fleet.Kind(o.Kind)).ordered = req
	if o.What == scenarios.Maintenance && !o.On {
		r.check.Lifting(now, fleet.Kind(o.Kind), true)
	}
	for _, d := range open.to.kinds {
		if d.name == fleet.Kind(o.Kind) {
			d.step(now, reconcile.Ordered{Req: req, Order: open.as})
		}
	}
}

// again sees to it that an order that nobody has is given once more, or gives it
// up. Why says what has become of it.
func (r *run) again(now time.Duration, req uint64, why string) {
	open := r.orders[req]
	open.to = nil
	r.orders[req] = open
	if open.answer != nil || open.over || now+stage.OrderAgain > max(open.given, r.sc.Heal, r.calmAt)+stage.OrderPatience {
		delete(r.orders, req)
		r.refused(now, open, why)
		return
	}
	r.at(now+stage.OrderAgain, func(now time.Duration) {
		switch open, waits := r.orders[req]; {
		case !waits:
		case r.underWay(open):
			r.again(now, req, why)
		default:
			delete(r.orders, req)
			r.give(now, open)
		}
	})
}

// underWay says that an orchestration whose operator has had no answer stands in
// ZooKeeper: who looks sees that, and waits for whoever comes next to go on with it.
func (r *run) underWay(open openOrder) bool {
	if !open.begun || open.order.What != scenarios.Orchestrate {
		return false
	}
	return r.world.ZooKeeper.Tree(fleet.Kind(open.order.Kind)).Control.TargetInstances != 0
}

// supersede takes back what waits to be given again and is about the same as a
// newer order: given after it, it would undo it.
func (r *run) supersede(now time.Duration, o *scenarios.Order) {
	for _, req := range slices.Sorted(maps.Keys(r.orders)) {
		switch open := r.orders[req]; {
		case open.order.Subject() != o.Subject():
		case open.to == nil:
			delete(r.orders, req)
			r.refused(now, open, "")
		default:
			open.over = true
			r.orders[req] = open
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

// OperatorOrder is an order that the core is told as a scenario has it; nil for
// one that no scenario has.
func OperatorOrder(kind fleet.Kind, o reconcile.Order, at time.Duration) *scenarios.Order {
	out := &scenarios.Order{At: at, Kind: string(kind)}
	switch o := o.(type) {
	case reconcile.Orchestrate:
		out.What = scenarios.Orchestrate
		if n := o.Request.MaxInstances; n != nil {
			out.MaxInstances = *n
		}
		if n := o.Request.ResourcePerInstance; n != nil {
			out.ResourcePerInstance = *n
		}
	case reconcile.Drain:
		out.What, out.Instance = scenarios.Drain, int(o.Instance)
	case reconcile.Undrain:
		out.What, out.Instance = scenarios.Undrain, int(o.Instance)
	case reconcile.Replace:
		out.What, out.Instance = scenarios.Replace, int(o.Instance)
	case reconcile.Maintenance:
		out.What, out.On = scenarios.Maintenance, o.On
	default:
		return nil
	}
	return out
}

// How the core words that another, or the same later, can take an order.
const (
	notReady = "not ready: "
	noLonger = "no longer the leader: "
)

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
	if c.Err != "" {
		r.unlift(now, open.order)
	}
	switch {
	case strings.HasPrefix(c.Err, notReady), strings.HasPrefix(c.Err, noLonger):
		open.begun = open.begun || strings.HasPrefix(c.Err, noLonger)
		r.orders[c.Req] = open
		r.again(now, c.Req, c.Err)
	case c.Err != "":
		r.refused(now, open, c.Err)
	default:
		if open.order.What == scenarios.Orchestrate {
			r.check.Add(d.name, history.OrchestrationsDone, 1)
			r.check.Raise(d.name, history.OrchestrationTimeMax, (now - open.given).Seconds())
		}
		open.tell("")
	}
}

// tell answers whoever waits for it.
func (open *openOrder) tell(err string) {
	if open.answer != nil {
		open.answer(err)
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

// refused notes an order that was not carried out. One that was begun by somebody
// who leads no longer is, by whoever comes next: who gives it again is told that it
// is under way or has been done, which is no refusal.
func (r *run) refused(now time.Duration, open openOrder, why string) {
	defer open.tell(why)
	if open.begun {
		return
	}
	if o := open.order; o.What == scenarios.Orchestrate {
		r.check.Add(fleet.Kind(o.Kind), history.OrchestrationsRefused, 1)
	}
	r.pics.mark(now, orderLabel(open.order)+" refused")
}

// dropOrders is the fate of the orders that a process leaves unanswered when it
// dies.
func (r *run) dropOrders(now time.Duration, p *process) {
	for _, req := range slices.Sorted(maps.Keys(r.orders)) {
		if open := r.orders[req]; open.to == p {
			r.pics.mark(now, orderLabel(open.order)+" unanswered")
			r.unlift(now, open.order)
			open.begun = true
			r.orders[req] = open
			r.again(now, req, noLonger+"its process has died")
		}
	}
}

// endOrders answers, at the end of the run, whoever still waits.
func (r *run) endOrders() {
	for _, req := range slices.Sorted(maps.Keys(r.orders)) {
		open := r.orders[req]
		open.tell(ErrEnded.Error())
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
