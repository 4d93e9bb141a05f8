package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// ErrLoading says that this process leads the kind and has not yet read what
// there is.
var ErrLoading = errors.New("ZooKeeper, the database and the pods are being read")

// ErrInterrupted says that the leadership ended while an order was carried out.
// Whoever leads next goes on with what of it stands in ZooKeeper.
var ErrInterrupted = errors.New("the leadership ended before the order was done")

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

// Order has a leader's machine carry out an order, and waits until it is done.
// Errors: those of Begin and of Taken.Wait.
func (l *Loop) Order(ctx context.Context, kind fleet.Kind, order reconcile.Order) error {
	taken, err := l.Begin(ctx, kind, order, nil)
	if err != nil {
		return err
	}
	return taken.Wait(ctx)
}

// Begin has a leader's machine take up an order. look, unless nil, is asked
// before, in the same turn: its error ends it. After an error nothing was done
// and nothing will be: ErrUnknownKind, ErrNotLeader when another process leads,
// ErrLoading, look's, or ctx's own.
func (l *Loop) Begin(ctx context.Context, kind fleet.Kind, order reconcile.Order, look func(State) error) (*Taken, error) {
	d := l.byKind[kind]
	if d == nil {
		return nil, ErrUnknownKind
	}
	t := &Taken{answer: make(chan error, 1)}
	var refused error
	err := d.ask(ctx, func(now time.Duration) {
		switch {
		case !d.proved() || d.machine.Stage() == reconcile.StageFollower:
			refused = ErrNotLeader
		case d.machine.Stage() != reconcile.StageActive:
			refused = ErrLoading
		case look != nil:
			refused = look(d.state(now))
		}
		if refused != nil {
			return
		}
		d.nextReq++
		d.orders[d.nextReq] = ordered{order, t.answer}
		d.step(reconcile.Ordered{Req: d.nextReq, Order: order})
	})
	switch {
	case errors.Is(err, errEnded):
		return nil, fmt.Errorf("%w: %w", ErrNotLeader, err)
	case err != nil:
		return nil, err
	}
	return t, refused
}

// Taken is an order that a machine has taken up. It goes on by itself, whether
// anybody waits for it or not.
type Taken struct{ answer chan error }

// Wait answers nil once the order is done, or why it is not: *RefusedError,
// ErrInterrupted, or ctx's own error when that ends before. It may be called once.
func (t *Taken) Wait(ctx context.Context) error {
	select {
	case err := <-t.answer:
		return err
	default:
	}
	select {
	case err := <-t.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Refused answers the machine's refusal, if it has refused the order as it took
// it up. It may be called once, and not beside Wait.
func (t *Taken) Refused() error {
	select {
	case err := <-t.answer:
		return err
	default:
		return nil
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
// nor take long: the machine waits. After an error look was not called and never
// will be: ErrUnknownKind, ctx's own, or that the process ends.
func (l *Loop) Inspect(ctx context.Context, kind fleet.Kind, look func(State)) error {
	d := l.byKind[kind]
	if d == nil {
		return ErrUnknownKind
	}
	return d.ask(ctx, func(now time.Duration) { look(d.state(now)) })
}

func (d *driver) state(now time.Duration) State {
	s := State{Now: now, Config: d.cfg, Machine: d.machine, Leading: d.term != nil, Waiting: len(d.inbox), driver: d}
	if d.term != nil {
		s.Epoch = d.term.epoch
	}
	return s
}
