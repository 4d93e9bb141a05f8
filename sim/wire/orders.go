package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/stage"
)

// openOrder is an operator's order that has not been answered for good.
type openOrder struct {
	*scenarios.Order
	given time.Duration // for the first time
	asked bool          // somebody has it now; else it waits to be given again
	begun bool          // one that had it is gone, or gave up, and may have begun it
	over  bool          // a later order is about the same: it is not given again
}

// order is an operator's order. Its figures count it once, however often it is
// given: as in virtual time, but no more often than every leastRealTurn of real
// time, and for as long besides as the real servers may take to come back.
func (r *run) order(now time.Duration, o *scenarios.Order) error {
	for _, open := range r.open {
		switch {
		case open.Subject() != o.Subject():
		case open.asked:
			open.over = true
		default: // given after this one it would undo it
			r.refused(now, open, errors.New("a later order is about the same"))
		}
	}
	open := &openOrder{Order: o, given: now}
	r.open[o] = open
	r.give(open)
	return nil
}

// give gives an order over REST, and takes the answer when it comes.
func (r *run) give(open *openOrder) {
	open.asked = true
	if open.What == scenarios.Replace { // each time: the deletion that the last one asked for was taken for it
		r.ordered[dacAt{fleet.Kind(open.Kind), fleet.InstanceID(open.Instance)}] = true
	}
	client := r.Crew.Client()
	r.hearing.Go(func() {
		err := give(r.ctx, client, r.called(fleet.Kind(open.Kind)), open.Order)
		answered := func() { r.replied(r.at(time.Now()), open, err) }
		select {
		case r.answers <- answered:
		case <-r.ctx.Done():
		}
	})
}

func give(ctx context.Context, client *api.Client, kind string, o *scenarios.Order) error {
	switch o.What {
	case scenarios.Drain:
		_, err := client.Drain(ctx, kind, o.Instance, false)
		return err
	case scenarios.Undrain:
		_, err := client.Undrain(ctx, kind, o.Instance)
		return err
	case scenarios.Replace:
		_, err := client.Replace(ctx, kind, o.Instance)
		return err
	case scenarios.Maintenance:
		_, err := client.SetMaintenance(ctx, kind, o.On)
		return err
	}
	var req api.OrchestrateRequest
	if o.MaxInstances > 0 {
		req.MaxInstances = &o.MaxInstances
	}
	if o.ResourcePerInstance > 0 {
		req.ResourcePerInstance = &o.ResourcePerInstance
	}
	_, err := client.Orchestrate(ctx, kind, req)
	return err
}

// replied notes the answer to an order.
func (r *run) replied(now time.Duration, open *openOrder, err error) {
	open.asked = false
	kind := fleet.Kind(open.Kind)
	later, begun := takenLater(err)
	open.begun = open.begun || begun || later && r.standsInZooKeeper(open)
	switch {
	case later, open.begun && errors.Is(err, &api.Error{Code: api.CodeConflict}) && r.standsInZooKeeper(open):
		r.again(now, open, err)
	case err != nil:
		r.refused(now, open, err)
	default:
		delete(r.open, open.Order)
		if open.What == scenarios.Orchestrate {
			r.check.Add(kind, history.OrchestrationsDone, 1)
			r.check.Raise(kind, history.OrchestrationTimeMax, (now - open.given).Seconds())
		}
	}
}

// takenLater says whether another, or the same later, can take an order that was
// answered so, and whether whoever was asked may have begun it.
func takenLater(err error) (later, begun bool) {
	var known *api.Error
	if err == nil {
		return false, false
	} else if !errors.As(err, &known) { // no answer
		var dial *net.OpError
		return true, !errors.As(err, &dial) || dial.Op != "dial"
	}
	switch known.Code {
	case api.CodeNotLeader, api.CodeNoLeader, api.CodeUnavailable, api.CodeBusy:
		return true, false
	case api.CodeUpstream, api.CodeTimeout:
		return true, true
	}
	return false, false
}

// again sees to it that an order that nobody has is given once more, or gives it
// up.
func (r *run) again(now time.Duration, open *openOrder, why error) {
	if open.over || now+stage.OrderAgain > max(open.given, r.sc.Heal)+stage.OrderPatience+r.scaled(r.ComingBack) {
		r.refused(now, open, why)
		return
	}
	r.plan(now+max(stage.OrderAgain, r.scaled(leastRealTurn)), func(now time.Duration) error {
		switch {
		case r.open[open.Order] != open: // it was given up
		case open.begun && r.standsInZooKeeper(open): // who looks sees that, and waits for whoever goes on with it
			r.again(now, open, why)
		default:
			r.give(open)
		}
		return nil
	})
}

// standsInZooKeeper says that an order to re-orchestrate is being carried out, or is
// to be by whoever leads next.
func (r *run) standsInZooKeeper(open *openOrder) bool {
	k := r.reader.kinds[fleet.Kind(open.Kind)]
	return open.What == scenarios.Orchestrate && k != nil && k.control.TargetInstances != 0
}

// refused notes an order that was not carried out. One that may have been begun is,
// by whoever comes next: who gives it again is told that it is under way or was
// done, which is no refusal.
func (r *run) refused(now time.Duration, open *openOrder, why error) {
	delete(r.open, open.Order)
	fmt.Fprintf(r.opts.Log, "%v: %s of %s: %v\n", now.Round(time.Millisecond), open.What, open.Kind, why)
	if open.begun {
		r.notes = append(r.notes, fmt.Sprintf("Nobody answered the order to %s %s of %v, which may have been begun: it counts neither as done nor as refused.", open.What, open.Kind, open.given))
		return
	}
	r.pics.series.Mark(now, string(open.What)+" refused")
	switch open.What {
	case scenarios.Orchestrate:
		r.check.Add(fleet.Kind(open.Kind), history.OrchestrationsRefused, 1)
	case scenarios.Replace:
		delete(r.ordered, dacAt{fleet.Kind(open.Kind), fleet.InstanceID(open.Instance)})
	}
}
