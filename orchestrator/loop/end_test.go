package loop

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// late takes its time to leave the group, as a consumer that is cut off does.
type late struct {
	heartbeats
	takes time.Duration
}

func (l late) Listen(ctx context.Context, kind fleet.Kind, beat func(fleet.InstanceID), channel func(bool)) error {
	err := l.heartbeats.Listen(ctx, kind, beat, channel)
	<-time.After(l.takes)
	return err
}

func startWith(t *testing.T, p Ports, c Config) (l *Loop, stop func() error) {
	t.Helper()
	l, err := New(c, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return l, func() error { cancel(); return <-ended }
}

// TestHandsOverAtOnce has another process lead while the first one's watches take
// their time to end. Its Run waits for them.
func TestHandsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		c := machineConfig(thing)
		c.Heartbeat = true
		p := w.ports()
		p.Heartbeats = late{heartbeats{w}, 2 * time.Second}
		_, stopOne := startWith(t, p, Config{Who: fleet.Candidate{Name: "one"}, Kinds: []reconcile.Config{c}})
		settle(time.Minute)
		two, stopTwo := startLoop(t, w, "two", machineConfig(thing))
		settle(time.Second)
		began := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- stopOne() }()
		settle(time.Millisecond)
		if _, self := two.Leader(thing); !self {
			t.Error("the leadership waits for a watch to end")
		}
		if err := <-ended; err != nil || time.Since(began) < 2*time.Second {
			t.Errorf("Run answered %v after %v, before its ports were at rest", err, time.Since(began))
		}
		if err := stopTwo(); err != nil {
			t.Error(err)
		}
	})
}

// fails is a port that no waiting mends, from some moment on.
type fails struct {
	*world
	when chan struct{}
}

func (f fails) Listen(ctx context.Context, note func(uint64, *fleet.Notification), channel func(bool)) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-f.when:
			cancel()
		case <-inner.Done():
		}
	}()
	if err := f.world.Listen(inner, note, channel); ctx.Err() != nil {
		return err
	}
	return errors.New("ca.pem is no certificate")
}

// TestPortFailsLater ends a leading process because of a port. It is an orderly
// end all the same: the transaction in flight finishes, its message is
// acknowledged, and the open order is answered.
func TestPortFailsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		p := w.ports()
		f := fails{w, make(chan struct{})}
		p.Notifications = f
		l, stop := startWith(t, p, Config{Who: fleet.Candidate{Name: "one"}, Kinds: []reconcile.Config{machineConfig(thing)}})
		settle(time.Minute)
		gate := make(chan struct{})
		w.commit = gate
		w.created(1, thing, "b")
		synctest.Wait()
		order := make(chan error, 1)
		go func() { order <- l.Order(t.Context(), thing, reconcile.Drain{Instance: 0}) }()
		synctest.Wait()
		close(f.when)
		synctest.Wait()
		w.commit = nil
		gate <- struct{}{}
		if err := <-order; !errors.Is(err, ErrInterrupted) {
			t.Errorf("the open order was answered with %v", err)
		}
		if err := stop(); err == nil || !strings.Contains(err.Error(), "notifications: ca.pem") {
			t.Errorf("Run answered %v", err)
		}
		if _, ok := l.View(thing).Where("b"); !ok || !slices.Contains(w.acked, 1) {
			t.Errorf("the transaction in flight was given up: b placed %t, acknowledged %v", ok, w.acked)
		}
	})
}

// TestGivesUp has a busy machine's askers give up: they are answered at once, and
// what they asked for never happens.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		l, stop := startLoop(t, w, "one", machineConfig(thing))
		settle(time.Minute)
		at := make(chan struct{})
		go func() { _ = l.Inspect(t.Context(), thing, func(State) { <-at }) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		looked := false
		if err := l.Inspect(ctx, thing, func(State) { looked = true }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Inspect answered %v", err)
		}
		if err := l.Order(ctx, thing, reconcile.Maintenance{On: true}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Order answered %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("they were answered after %v", took)
		}
		if busy := l.Busy(thing); busy < time.Second {
			t.Errorf("the machine has been at work for %v", busy)
		}
		close(at)
		settle(time.Second)
		on := false
		if err := l.Inspect(t.Context(), thing, func(s State) { on = s.Machine.Control().Maintenance }); err != nil || looked || on {
			t.Errorf("what was given up happened: %v, looked %t, ordered %t", err, looked, on)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// slow is a ZooKeeper that takes its time to be read.
type slow struct {
	*world
	takes time.Duration
}

func (s slow) ReadTree(ctx context.Context, kind fleet.Kind) (fleet.Tree, error) {
	select {
	case <-time.After(s.takes):
		return s.world.ReadTree(ctx, kind)
	case <-ctx.Done():
		return fleet.Tree{}, ctx.Err()
	}
}

// TestOrders tells the reasons apart for which an order is not begun.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		p := w.ports()
		p.Store = slow{w, 10 * time.Second}
		l, stop := startWith(t, p, Config{Who: fleet.Candidate{Name: "one"}, Kinds: []reconcile.Config{machineConfig(thing)}})
		settle(time.Second)
		order := func() error { return l.Order(t.Context(), thing, reconcile.Maintenance{On: true}) }
		if err := order(); !errors.Is(err, ErrLoading) {
			t.Errorf("while it loads: %v", err)
		}
		settle(time.Minute)
		no := errors.New("no")
		if _, err := l.Begin(t.Context(), thing, reconcile.Maintenance{On: true}, func(s State) error {
			if !s.Leading || s.Epoch != 1 || s.Machine.Control().Maintenance {
				t.Errorf("look sees %+v", s)
			}
			return no
		}); err != no {
			t.Errorf("look found something, Begin answered %v", err)
		}
		var refused *RefusedError
		taken, err := l.Begin(t.Context(), thing, reconcile.Drain{Instance: 77}, nil)
		if err != nil || !errors.As(taken.Refused(), &refused) || refused.Error() != "no instance 77" {
			t.Errorf("taken up: %v; refused: %v", err, refused)
		}
		if err := order(); err != nil {
			t.Error(err)
		}
		if err := l.Order(t.Context(), "Sensor", reconcile.Maintenance{}); !errors.Is(err, ErrUnknownKind) {
			t.Errorf("an unknown kind: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := order(); !errors.Is(err, ErrNotLeader) {
			t.Errorf("after the end: %v", err)
		}
		if err := l.Inspect(t.Context(), thing, func(State) {}); err == nil {
			t.Error("a driver that has ended was inspected")
		}
		if err := l.Run(t.Context()); err == nil {
			t.Error("Run ran twice")
		}
	})
}

// blind cannot watch the pods, for a reason that no waiting mends.
type blind struct{ podPort }

func (blind) Watch(context.Context, fleet.Kind, func(fleet.Pod), func(fleet.InstanceID, string)) error {
	return errors.New("no right to watch pods")
}

// TestStepsDownSeldom has a process that cannot lead give way, each time for
// longer.
func TestStepsDownSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		p := w.ports()
		p.Pods = blind{podPort{w}}
		_, stop := startWith(t, p, Config{Who: fleet.Candidate{Name: "one"}, Kinds: []reconcile.Config{machineConfig(thing)}})
		settle(10 * time.Minute)
		if n := w.trees[thing].epoch; n < 10 || n > 30 {
			t.Errorf("it led %d times in ten minutes", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestAckCut forgets the messages of a connection that broke: they come again.
func TestAckCut(t *testing.T) {
	var told []uint64
	a := newAcks(func(token uint64) { told = append(told, token) })
	a.join(thing)
	a.join(rule)
	a.expect(thing, 1)
	a.expect(rule, 2)
	a.cut()
	a.expect(thing, 3) // 1 again
	a.safe(thing, 2)   // a machine that thinks of the first
	a.expect(rule, 4)
	if len(told) == 0 || slices.Max(told) > 2 {
		t.Fatalf("told %v while neither 3 nor 4 is safe", told)
	}
	a.safe(rule, 4)
	a.safe(thing, 3)
	if told[len(told)-1] != 4 {
		t.Errorf("told %v", told)
	}
}
