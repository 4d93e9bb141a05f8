package loop

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// twin is a recorder that replays at once: a second machine is told what is
// recorded, and must answer the same and be in the same state after each event.
type twin struct {
	t        *testing.T
	machine  *reconcile.Machine
	answered []reconcile.Command
	events   map[string]int
	parted   bool
}

func (w *twin) Told(_ fleet.Kind, now time.Duration, ev reconcile.Event) {
	w.events[reflect.TypeOf(ev).Name()]++
	switch e := ev.(type) { // these are the machine's to keep
	case reconcile.Listed:
		e.Rows = slices.Clone(e.Rows)
		ev = e
	case reconcile.TreeRead:
		e.Tree.Instances = slices.Clone(e.Tree.Instances)
		for i := range e.Tree.Instances {
			e.Tree.Instances[i].IDs = slices.Clone(e.Tree.Instances[i].IDs)
		}
		ev = e
	}
	w.answered = w.machine.Step(now, ev)
}

func (w *twin) Answered(_ fleet.Kind, now time.Duration, commands []reconcile.Command, m *reconcile.Machine) {
	switch {
	case w.parted:
	case len(commands) != len(w.answered) || len(commands) > 0 && !reflect.DeepEqual(commands, w.answered):
		w.t.Errorf("at %v the machine answers %v, its twin %v", now, commands, w.answered)
		w.parted = true
	case !bytes.Equal(m.Snapshot(nil), w.machine.Snapshot(nil)):
		w.t.Errorf("at %v the machine is not in its twin's state: something that it was told is not recorded", now)
		w.parted = true
	}
}

// TestNoLoginIsTold: what a library's error says of a URL goes on without the login.
func TestNoLoginIsTold(t *testing.T) {
	for in, want := range map[string]string{
		`Get "https://me:pa:ss@[::1]:6443/api?x=a@b": refused`: `Get "https://***@[::1]:6443/api?x=a@b": refused`,
		"postgres://me@db/x and mqtt://u:p@broker":             "postgres://***@db/x and mqtt://***@broker",
		"https://host/path/a@b: mail me@home":                  "https://host/path/a@b: mail me@home",
	} {
		if got := text(errors.New(in)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestAllIsRecorded leads, is deposed, leads again, hears heartbeats and silence,
// replaces pods, takes orders and ends: a machine that is told what the recorder
// was told is always the same.
func TestAllIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(thing)
		w.rows[thing]["a"] = fleet.Resource{ID: "a"}
		c := machineConfig(thing)
		c.Heartbeat, c.SilentShare = true, 1
		m, err := reconcile.New(c)
		if err != nil {
			t.Fatal(err)
		}
		rec := &twin{t: t, machine: m, events: map[string]int{}}
		l, stop := startRecorded(t, w, rec, "one", c)
		settle(time.Minute)
		for range 4 {
			for id := range fleet.InstanceID(c.Limits.InitInstances - 1) {
				w.beats <- id
			}
			settle(time.Minute)
		}
		w.created(1, thing, "b")
		settle(time.Second)
		if err := l.Order(t.Context(), thing, reconcile.Maintenance{On: true}); err != nil {
			t.Error(err)
		}
		w.trees[thing].lose <- ErrNotLeader
		settle(10 * time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for _, event := range []string{"Led", "Deposed", "TreeRead", "Listed", "PodsListed", "Notified", "NotificationChannel", "Heartbeat",
			"HeartbeatChannel", "PodSeen", "PodCreated", "PodDeleted", "Committed", "Tick", "Ordered"} {
			if rec.events[event] == 0 {
				t.Errorf("no %s is recorded", event)
			}
		}
		if rec.events["Led"] < 2 {
			t.Error("it led once")
		}
	})
}
