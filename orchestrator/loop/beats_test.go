package loop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// TestBeatsGather while the driver is busy: all are heard, for few events.
func TestBeatsGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		c := machineConfig(thing)
		c.Heartbeat = true
		l, stop := startLoop(t, w, "one", c)
		settle(time.Minute)
		const sent = 3*mostBeats + 1
		looking, waiting := make(chan struct{}), make(chan int, 1)
		go func() {
			err := l.Inspect(t.Context(), thing, func(State) {
				close(looking)
				for range sent {
					w.beats <- 0
				}
				synctest.Wait() // the last one has been posted
				waiting <- len(l.byKind[thing].inbox)
			})
			if err != nil {
				t.Error(err)
			}
		}()
		<-looking
		if n := <-waiting; n != 4 {
			t.Errorf("%d events wait for %d heartbeats, want 4", n, sent)
		}
		synctest.Wait()
		heard := 0
		if err := l.Inspect(t.Context(), thing, func(s State) { heard = s.Machine.Stats().Heartbeats }); err != nil || heard != sent {
			t.Fatalf("%d heartbeats heard, %v, want %d", heard, err, sent)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBeatsKeepTheirPlace before what is told of the channel after them.
func TestBeatsKeepTheirPlace(t *testing.T) {
	d := &driver{l: &Loop{}, kind: thing, inbox: make(chan work, 10)}
	d.l.ports.Heartbeats = spoken(func(beat func(fleet.InstanceID), channel func(bool)) {
		beat(1)
		beat(2)
		channel(false)
		beat(3)
	})
	if err := d.listen(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if len(d.inbox) != 3 {
		t.Fatalf("%d events, want two heartbeats, the channel, one heartbeat", len(d.inbox))
	}
	<-d.inbox
	if w := <-d.inbox; w.ev != (reconcile.HeartbeatChannel{Up: false}) {
		t.Fatalf("%+v, want the channel", w)
	}
}

// spoken are heartbeats as a test tells them.
type spoken func(beat func(fleet.InstanceID), channel func(bool))

func (s spoken) Listen(_ context.Context, _ fleet.Kind, beat func(fleet.InstanceID), channel func(bool)) error {
	s(beat, channel)
	return nil
}
