package loop

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// driver hands events to the machine of one kind, in the order in which they
// come, and executes its commands. From machine to progress all belongs to its
// goroutine (run); the rest is for everybody.
type driver struct {
	l     *Loop
	kind  fleet.Kind
	cfg   reconcile.Config
	log   *slog.Logger
	inbox chan work
	quit  chan struct{} // closed when run has ended

	machine *reconcile.Machine
	term    *term // nil while another process leads
	flight  *reconcile.Commit
	orders  map[uint64]ordered // that have been taken up and not answered
	nextReq uint64
	phases  map[fleet.InstanceID]fleet.Pod // as last told
	moves   *moves

	progress reconcile.Progress // as last told

	pods   chan struct{} // a token for each pod call under way
	view   *View
	leader atomic.Pointer[fleet.Candidate]
	busy   atomic.Int64 // when the event being handled came up; 0 for none
	rows   atomic.Int64 // in the last listing of the whole table
}

// ordered is an order that the machine has taken up.
type ordered struct {
	order  reconcile.Order
	answer chan<- error // has room for it
}

// work is an event, or something else to be done by the driver's goroutine.
type work struct {
	term *term // the event is good only during this leadership; nil: always
	ev   reconcile.Event
	do   func(now time.Duration)
}

func newDriver(l *Loop, cfg reconcile.Config) (*driver, error) {
	m, err := reconcile.New(cfg)
	if err != nil {
		return nil, err
	}
	return &driver{
		l: l, kind: cfg.Kind, cfg: cfg, log: l.cfg.Log.With("kind", string(cfg.Kind)), machine: m,
		inbox: make(chan work, l.cfg.Inbox), quit: make(chan struct{}),
		orders: map[uint64]ordered{}, phases: map[fleet.InstanceID]fleet.Pod{}, moves: newMoves(l.cfg.Moves),
		pods: make(chan struct{}, l.cfg.PodCalls), view: newView(),
	}, nil
}

// run handles what comes until ctx ends.
func (d *driver) run(ctx context.Context) {
	defer close(d.quit)
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	for {
		d.busy.Store(0)
		if at, ok := d.machine.Deadline(); ok {
			tick.Reset(max(0, at-d.l.now()))
		} else {
			tick.Stop()
		}
		select {
		case w := <-d.inbox:
			d.busy.Store(int64(d.l.now()))
			d.handle(w)
		case <-tick.C:
			d.busy.Store(int64(d.l.now()))
			d.step(reconcile.Tick{})
		case <-ctx.Done():
			return
		}
	}
}

// post hands work to the driver; it waits while the inbox is full. It answers
// false when the driver has ended.
func (d *driver) post(w work) bool {
	select {
	case d.inbox <- w:
		return true
	case <-d.quit:
		return false
	}
}

// errEnded says that the driver has ended.
var errEnded = errors.New("the process ends")

// ask has the driver's goroutine do something, and waits for it. When ctx or the
// driver ends before its turn has come it is never done, and the error says why.
func (d *driver) ask(ctx context.Context, do func(now time.Duration)) error {
	var taken atomic.Bool
	done := make(chan struct{})
	w := work{do: func(now time.Duration) {
		if !taken.Swap(true) {
			do(now)
			close(done)
		}
	}}
	select {
	case d.inbox <- w:
	case <-d.quit:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	err := errEnded
	select {
	case <-done:
		return nil
	case <-d.quit:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if taken.Swap(true) {
		<-done // it is being done now, or was
		return nil
	}
	return err
}

func (d *driver) handle(w work) {
	if w.term != nil && w.term != d.term {
		return // of an earlier leadership
	}
	if w.do != nil {
		w.do(d.l.now())
	}
	if w.ev != nil {
		d.step(w.ev)
	}
}

// step hands an event to the machine and executes what it answers.
func (d *driver) step(ev reconcile.Event) {
	began := d.l.now()
	switch ev := ev.(type) {
	case reconcile.PodSeen:
		d.podChanged(ev.Pod)
	case reconcile.PodGone:
		d.podGone(ev)
	}
	for _, c := range d.answers(began, ev, d.l.cfg.Observe) {
		d.execute(c)
	}
	d.tellProgress()
}

// answers is the only place that steps the machine: what goes past it is in no
// recording. took, unless nil, is told how long the step alone took.
func (d *driver) answers(now time.Duration, ev reconcile.Event, took Observer) []reconcile.Command {
	rec := d.l.cfg.Record
	if rec != nil {
		rec.Told(d.kind, now, ev)
	}
	began := d.l.now()
	commands := d.machine.Step(now, ev)
	if took != nil {
		took.Stepped(d.kind, d.l.now()-began)
	}
	if rec != nil {
		rec.Answered(d.kind, now, commands, d.machine)
	}
	return commands
}

// begin takes up a leadership.
func (d *driver) begin(t *term) {
	d.term = t
	d.moves.began = d.l.now()
	d.log.Info("leads", "epoch", t.epoch)
	d.note(EntryLed, fleet.NoInstance, "%s leads with epoch %d", d.l.cfg.Who.Name, t.epoch)
	d.step(reconcile.Led{Epoch: t.epoch})
	d.step(reconcile.NotificationChannel{Up: d.l.notesUp.Load()})
}

// drain keeps new work from being begun and says when none is in flight.
func (d *driver) drain(t *term) {
	if d.term != t {
		close(t.idle)
		return
	}
	t.draining = true
	if d.flight == nil {
		close(t.idle)
	}
}

// end lays a leadership down: open orders are answered, the machine follows.
func (d *driver) end(t *term, why string) {
	if d.term != t {
		return
	}
	d.log.Info("follows", "epoch", t.epoch, "why", why)
	d.note(EntryDeposed, fleet.NoInstance, "%s follows: %s", d.l.cfg.Who.Name, why)
	d.step(reconcile.Deposed{Why: why})
	d.step(reconcile.HeartbeatChannel{Up: false})
	d.term, d.flight = nil, nil
	clear(d.phases)
	d.moves.clear()
}

// proved says that new work may be begun: this process leads, can prove it, and
// is not about to end.
func (d *driver) proved() bool {
	return d.term != nil && !d.term.draining && d.term.ctx.Err() == nil && d.term.held()
}
