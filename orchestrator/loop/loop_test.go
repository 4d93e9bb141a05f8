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

const thing, rule fleet.Kind = "Thing", "Rule"

// settle lets virtual time pass and everything that follows happen.
func settle(d time.Duration) {
	<-time.After(d) // of the bubble
	synctest.Wait()
}

// TestPlaces follows one notification: it is placed, acknowledged once it stands
// in ZooKeeper, and found by readers.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing, rule)
		w.rows[thing]["a"] = fleet.Resource{ID: "a"}
		l, stop := startLoop(t, w, "one", machineConfig(thing), machineConfig(rule))
		settle(time.Minute)
		if _, ok := l.View(thing).Where("a"); !ok || len(w.pods[thing]) == 0 {
			t.Fatalf("a row of the start is not placed; pods %v", w.pods[thing])
		}
		w.commit = make(chan struct{})
		w.created(1, thing, "b")
		w.created(2, "Sensor", "x") // not ours
		synctest.Wait()
		if _, ok := l.View(thing).Where("b"); ok || len(w.acked) > 0 {
			t.Fatalf("placed (%t) or acknowledged (%v) before the transaction", ok, w.acked)
		}
		w.commit <- struct{}{}
		synctest.Wait()
		if in, ok := l.View(thing).Where("b"); !ok || !slices.Contains(w.trees[thing].instances[in].IDs, "b") {
			t.Fatalf("b is not where the view says: %v %t", in, ok)
		}
		if !slices.Equal(w.acked, []uint64{2}) {
			t.Fatalf("acknowledged %v, want both messages at once", w.acked)
		}
		w.commit = nil
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestHandsOver ends a leader while its transaction is in flight: it finishes
// and is acknowledged, the open order is answered, and another leads at once.
func TestHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		one, stopOne := startLoop(t, w, "one", machineConfig(thing))
		settle(time.Minute)
		two, stopTwo := startLoop(t, w, "two", machineConfig(thing))
		settle(time.Second)
		if who, self := two.Leader(thing); self || who.URL != "http://one" {
			t.Fatalf("the second process thinks that %v leads", who)
		}
		if err := two.Order(t.Context(), thing, reconcile.Maintenance{On: true}); !errors.Is(err, ErrNotLeader) {
			t.Fatalf("a follower's order: %v", err)
		}
		gate := make(chan struct{})
		w.commit = gate
		w.created(1, thing, "b")
		synctest.Wait()
		order := make(chan error, 1)
		go func() { order <- one.Order(t.Context(), thing, reconcile.Drain{Instance: 0}) }()
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- stopOne() }()
		synctest.Wait()
		if _, self := one.Leader(thing); !self {
			t.Fatal("the leadership was given up with a transaction in flight")
		}
		w.commit = nil
		close(gate)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := <-order; err == nil || !strings.Contains(err.Error(), "no longer the leader") {
			t.Fatalf("the open order was answered with %v", err)
		}
		if !slices.Contains(w.acked, 1) {
			t.Fatalf("the message was not acknowledged: %v", w.acked)
		}
		settle(time.Millisecond) // no session has to expire
		if _, self := two.Leader(thing); !self {
			t.Fatal("the second process does not lead")
		}
		settle(time.Minute)
		if _, ok := two.View(thing).Where("b"); !ok {
			t.Fatal("the new leader does not know b")
		}
		if err := stopTwo(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFollows keeps a follower's view in line with what the leader writes.
func TestFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		one, stopOne := startLoop(t, w, "one", machineConfig(thing))
		settle(time.Minute)
		two, stopTwo := startLoop(t, w, "two", machineConfig(thing))
		w.created(1, thing, "b")
		settle(time.Second)
		a, _ := one.View(thing).Where("b")
		if b, ok := two.View(thing).Where("b"); !ok || a != b || !two.View(thing).Ready() {
			t.Fatalf("leader says %v, follower %v", a, b)
		}
		for _, stop := range []func() error{stopTwo, stopOne} {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestLosesTheLead ends leaderships from outside. Answers that are late mean
// nothing, pods are not touched without proof, and the process leads again.
func TestLosesTheLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		l, stop := startLoop(t, w, "one", machineConfig(thing))
		settle(time.Minute)
		w.mu.Lock()
		w.called = nil
		w.trees[thing].held = false
		delete(w.pods[thing], 0)
		w.trees[thing].change()
		w.mu.Unlock()
		if err := l.Order(t.Context(), thing, reconcile.Replace{Instance: 1}); !errors.Is(err, ErrNotLeader) {
			t.Fatalf("an order without proof of the leadership: %v", err)
		}
		settle(time.Second)
		if len(w.called) > 0 {
			t.Fatalf("pods were touched without proof of the leadership: %v", w.called)
		}
		w.trees[thing].lose <- errors.New("the session cannot be proved")
		settle(time.Minute)
		var epoch int64
		if err := l.Inspect(t.Context(), thing, func(s State) { epoch = s.Epoch }); err != nil || epoch != 2 {
			t.Fatalf("epoch %d, %v", epoch, err)
		}
		w.created(7, thing, "late")
		settle(time.Second)
		if _, ok := l.View(thing).Where("late"); !ok {
			t.Fatal("the second leadership places nothing")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStepsDown has ZooKeeper tell the leader that a newer one was there.
func TestStepsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		l, stop := startLoop(t, w, "one", machineConfig(thing))
		settle(time.Minute)
		w.mu.Lock()
		w.trees[thing].epoch++ // another has led meanwhile
		w.mu.Unlock()
		w.created(1, thing, "b")
		settle(time.Minute)
		if _, ok := l.View(thing).Where("b"); !ok {
			t.Fatal("b is not placed by the next leadership")
		}
		if w.trees[thing].epoch != 3 {
			t.Fatalf("epoch %d", w.trees[thing].epoch)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestUnknownOutcome reads what became of a transaction without an answer.
func TestUnknownOutcome(t *testing.T) {
	for _, happens := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(thing)
			l, stop := startLoop(t, w, "one", machineConfig(thing))
			settle(time.Minute)
			once := true
			w.answer = func(*fleet.Txn) (fleet.Outcome, bool) {
				if once {
					once = false
					return fleet.OutcomeUnknown, happens
				}
				return fleet.OutcomeDone, true
			}
			w.created(1, thing, "b")
			settle(time.Minute)
			in, ok := l.View(thing).Where("b")
			if !ok || !slices.Equal(w.acked, []uint64{1}) {
				t.Fatalf("b on %v %t, acknowledged %v", in, ok, w.acked)
			}
			n := 0
			for _, ti := range w.trees[thing].instances {
				n += len(ti.IDs)
			}
			if n != 1 {
				t.Fatalf("%d entries in the lists", n)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestPortFails ends Run when a port says that no waiting mends it.
func TestPortFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		p := w.ports()
		p.Notifications = broken{w}
		l, err := New(Config{Who: fleet.Candidate{Name: "one"}, Kinds: []reconcile.Config{machineConfig(thing)}}, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Run(t.Context()); err == nil || err.Error() != "notifications: ca.pem is no certificate" {
			t.Fatalf("Run answered %v", err)
		}
	})
}

type broken struct{ *world }

func (broken) Listen(context.Context, func(uint64, *fleet.Notification), func(bool)) error {
	return errors.New("ca.pem is no certificate")
}

// TestHeartbeats are heard while the process leads.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		c := machineConfig(thing)
		c.Heartbeat = true
		l, stop := startLoop(t, w, "one", c)
		settle(time.Minute)
		w.beats <- 0
		synctest.Wait()
		heard := 0
		if err := l.Inspect(t.Context(), thing, func(s State) { heard = s.Machine.Stats().Heartbeats }); err != nil || heard != 1 {
			t.Fatalf("%d heartbeats heard, %v", heard, err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRefuses(t *testing.T) {
	w := newWorld(thing)
	ok := machineConfig(thing)
	beats := ok
	beats.Heartbeat = true
	noKafka := w.ports()
	noKafka.Heartbeats = nil
	for want, try := range map[string]func() error{
		"name":              func() error { _, err := New(Config{Kinds: []reconcile.Config{ok}}, w.ports()); return err },
		"at least one kind": func() error { _, err := New(Config{Who: fleet.Candidate{Name: "a"}}, w.ports()); return err },
		"each kind once": func() error {
			_, err := New(Config{Who: fleet.Candidate{Name: "a"}, Kinds: []reconcile.Config{ok, ok}}, w.ports())
			return err
		},
		"Thing.heartbeat": func() error {
			_, err := New(Config{Who: fleet.Candidate{Name: "a"}, Kinds: []reconcile.Config{beats}}, noKafka)
			return err
		},
		"more than 0s": func() error {
			_, err := New(Config{Who: fleet.Candidate{Name: "a"}, Kinds: []reconcile.Config{{Kind: thing, Policy: "fill", Handoff: "fast"}}}, w.ports())
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}
