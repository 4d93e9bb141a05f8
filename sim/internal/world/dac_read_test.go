package world

import (
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// A connection breaks and is back while the news of an instance's nodes is under
// way: the news makes the DAC ask for its list, and so does the new connection.
// The two reads must not take each other's answer.
func TestDACReadsOnceAcrossAReconnect(t *testing.T) {
	for _, gap := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond} {
		w := newWorld(t, 1, DefaultConfig())
		w.Kubernetes.CreatePod(thing, 1, 0, func(time.Duration, PodReply) {})
		runUntil(w.Timeline, time.Minute)
		committed := false
		w.ZooKeeper.OnCommit = func(time.Duration, fleet.Kind, *fleet.Txn) { committed = true }
		create := fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 10, Used: 1, Add: []string{"a"}}
		w.ZooKeeper.Open(nil).Submit(thing, &fleet.Txn{Changes: []fleet.Change{create}}, func(time.Duration, fleet.Kind, *fleet.Txn, fleet.Outcome) {})
		for !committed {
			w.Timeline.Step()
		}
		session := w.DACs.Session(thing, 1)
		session.Cut()
		runUntil(w.Timeline, w.Timeline.Now()+gap)
		session.Restore()
		runUntil(w.Timeline, w.Timeline.Now()+time.Minute)
		if v, _ := w.DACs.View(thing, 1); !slices.Equal(v.Held, []string{"a"}) {
			t.Errorf("back after %v, the instance runs %v; its list is [a]", gap, v.Held)
		}
	}
}
