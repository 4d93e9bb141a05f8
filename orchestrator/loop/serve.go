package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// RefusedError says why the machine refused an order or gave it up.
type RefusedError struct{ Why string }

// Error is the machine's reason.
func (e *RefusedError) Error() string { return e.Why }

// Kinds answers the configured kinds, in the configuration's order.
func (l *Loop) Kinds() []reconcile.Config {
	out := make([]reconcile.Config, len(l.drivers))
	for i, d := range l.drivers {
		out[i] = d.cfg
	}
	return out
}

// View answers the kind's orchestration for reading; nil for an unknown kind.
func (l *Loop) View(kind fleet.Kind) *View {
	if d := l.byKind[kind]; d != nil {
		return d.view
	}
	return nil
}

// Leader answers who leads the kind, as far as this process knows, and whether
// it does so itself.
func (l *Loop) Leader(kind fleet.Kind) (who fleet.Candidate, self bool) {
	d := l.byKind[kind]
	if d == nil {
		return fleet.Candidate{}, false
	}
	if p := d.leader.Load(); p != nil {
		who = *p
	}
	return who, who.Name == l.cfg.Who.Name
}

// Busy answers for how long the kind's machine has been at work on one event; 0
// for one that waits. It does not ask the driver.
func (l *Loop) Busy(kind fleet.Kind) time.Duration {
	d := l.byKind[kind]
	if d == nil {
		return 0
	}
	began := time.Duration(d.busy.Load())
	if began == 0 {
		return 0
	}
	return l.now() - began
}

// NotificationsUp says whether notifications can reach this process.
func (l *Loop) NotificationsUp() bool { return l.notesUp.Load() }

// Order has a leader's machine carry out an order, and waits until it is done or
// refused (*RefusedError). When ctx ends before, the order goes on by itself.
// ErrNotLeader when another process leads.
func (l *Loop) Order(ctx context.Context, kind fleet.Kind, order reconcile.Order) error {
	d := l.byKind[kind]
	if d == nil {
		return ErrUnknownKind
	}
	answer := make(chan error, 1)
	w := work{do: func(time.Duration) {
		if d.term == nil {
			answer <- ErrNotLeader
			return
		}
		d.nextReq++
		d.orders[d.nextReq] = answer
		d.step(reconcile.Ordered{Req: d.nextReq, Order: order})
	}}
	select {
	case d.inbox <- w:
	case <-d.quit:
		return ErrNotLeader
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-answer:
		if err != nil && !errors.Is(err, ErrNotLeader) {
			return &RefusedError{err.Error()}
		}
		return err
	case <-d.quit:
		return fmt.Errorf("%w any more: the process ends", ErrNotLeader)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// State is what a driver shows to Inspect.
type State struct {
	Now     time.Duration
	Config  reconcile.Config
	Machine *reconcile.Machine
	Leading bool
	Epoch   int64
	Waiting int // events in the inbox
	driver  *driver
}

// Moved answers a resource's latest placements since this process leads, the
// latest first.
func (s State) Moved(id string, limit int) []Moved { return s.driver.moves.of(id, limit) }

// Remembers answers the time from which on Moved knows of every placement, and
// whether that is all since this process leads.
func (s State) Remembers() (since time.Duration, all bool) { return s.driver.moves.since() }

// Inspect has look read a kind's machine; it must neither change nor keep it,
// nor take long: the machine waits.
func (l *Loop) Inspect(ctx context.Context, kind fleet.Kind, look func(State)) error {
	d := l.byKind[kind]
	if d == nil {
		return ErrUnknownKind
	}
	done := make(chan struct{})
	w := work{do: func(now time.Duration) {
		defer close(done)
		s := State{Now: now, Config: d.cfg, Machine: d.machine, Leading: d.term != nil, Waiting: len(d.inbox), driver: d}
		if d.term != nil {
			s.Epoch = d.term.epoch
		}
		look(s)
	}}
	select {
	case d.inbox <- w:
	case <-d.quit:
		return errors.New("the process ends")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-done:
		return nil
	case <-d.quit:
		return errors.New("the process ends")
	}
}
