package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dacorch/e2e/rig"
)

// TestServersStopped: ZooKeeper, Kafka and Mosquitto each go away for a minute and
// come back, while rows come and go; then the database, for half as long. No healthy
// instance is replaced or restarted, nothing is lost, and what is announced
// afterwards is heard. It runs alone: the servers are everybody's.
func TestServersStopped(t *testing.T) {
	k, told := newKind("Servers", nil), newTold("ServersTold")
	w := start(t, 30, k, told)
	for _, test := range []struct {
		server rig.ServiceName
		alarm  string // while it is away; empty: nobody leads then, so nobody can tell
	}{
		{rig.Mosquitto, "notifications-down"},
		{rig.Kafka, "heartbeats-down"},
		{rig.ZooKeeper, ""},
	} {
		t.Run(string(test.server), func(t *testing.T) { w.with(t).serverStopped(k, told, test.server, test.alarm) })
	}
	t.Run(string(rig.PostgreSQL), func(t *testing.T) { w.with(t).databaseStopped(k, told) })
}

func (w *world) serverStopped(k, told *kind, server rig.ServiceName, alarm string) {
	o, c := w.observe(k), w.stir(k)
	before, beforeTold := w.runs(k), w.runs(told)
	w.away(server, outage(w.t), func() {
		if alarm != "" {
			w.awaitAlarm(k, alarm)
		}
		w.insert(told, "away-"+string(server))
		if server != rig.Mosquitto { // else only its return tells
			w.announce(told.created("away-" + string(server)))
		}
	})
	back := time.Now()
	w.settledUnderChurn(k)
	w.t.Logf("at work again %v after its return", took(back))
	o.again()
	committed := c.end()
	w.verify()
	w.hears(told)
	o.end()
	if server == rig.ZooKeeper { // nothing can be placed without it
		w.tellWaits(o, committed)
	} else {
		w.promptly(o, committed)
	}
	w.sameRuns(k, before, string(server)+" stopped")
	w.sameRuns(told, beforeTold, string(server)+" stopped")
}

// databaseStopped: what runs goes on and is kept running, what messages say is done
// as far as they say it, and the rest once the database is back.
func (w *world) databaseStopped(k, told *kind) {
	o, oTold := w.observe(k), w.observe(told)
	before, beforeTold, places := w.runs(k), w.runs(told), w.tree(k)
	w.insert(told, "said", "doubtful")
	w.away(rig.PostgreSQL, outage(w.t)/2, func() {
		w.announce(told.created("said"))
		w.awaitPlaced(told, placedWithin, "said")
		w.announce(message{Op: "u", Table: told.name, Key: key("doubtful"), Row: key("doubtful")}) // must be looked up
		w.awaitAlarm(told, "database-unreadable")
		w.awaitAlarm(k, "database-unreadable")
		w.deletePod(w.mustPods(k)[0])
		w.awaitRun(k, 0, before[0], replacedWithin)
		before[0] = w.runs(k)[0]
		w.samePlaces(k, places, "the database stopped")
	})
	back := time.Now()
	w.awaitPlaced(told, healedWithin, "doubtful")
	w.settledUnderChurn(k) // and compares again
	w.t.Logf("at work again %v after its return", took(back))
	w.verify()
	w.hears(told)
	o.end()
	oTold.end()
	w.sameRuns(k, before, "the database stopped")
	w.sameRuns(told, beforeTold, "the database stopped")
	w.samePlaces(k, places, "the database stopped")
}

// away stops a server for at least that long, and as long as meanwhile takes.
func (w *world) away(server rig.ServiceName, least time.Duration, meanwhile func()) {
	w.t.Helper()
	since := time.Now()
	w.stopServer(server)
	gone := time.NewTimer(least)
	defer gone.Stop()
	meanwhile()
	select {
	case <-gone.C:
	case <-w.t.Context().Done():
	}
	w.startServer(server)
	w.t.Logf("%s was away for %v", server, took(since))
}

// stopServer stops a server, and starts it at the end of the case at the latest.
func (w *world) stopServer(server rig.ServiceName) {
	w.t.Helper()
	w.t.Cleanup(func() {
		ctx, done := context.WithTimeout(context.Background(), healedWithin)
		defer done()
		if err := w.rig.StartService(ctx, server); err != nil {
			w.t.Errorf("start %s: %v", server, err)
		}
	})
	ctx, done := context.WithTimeout(w.t.Context(), healedWithin)
	defer done()
	if err := w.rig.StopService(ctx, server); err != nil {
		w.t.Fatalf("stop %s: %v", server, err)
	}
}

func (w *world) startServer(server rig.ServiceName) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), healedWithin)
	defer done()
	if err := w.rig.StartService(ctx, server); err != nil {
		w.t.Fatalf("start %s: %v", server, err)
	}
}

// awaitAlarm waits until an alarm is on.
func (w *world) awaitAlarm(k *kind, code string) {
	w.t.Helper()
	eventually(w.t, settledWithin, "the alarm "+code, func(ctx context.Context) error {
		status, err := w.api.Status(ctx, k.name)
		if err != nil {
			return err
		}
		for _, a := range status.Alarms {
			if a.Code == code {
				return nil
			}
		}
		return fmt.Errorf("the alarms are %v", status.Alarms)
	})
}

// settledUnderChurn waits until a row that is made now, and not announced, is
// placed, and no alarm is on: all servers are used again.
func (w *world) settledUnderChurn(k *kind) {
	w.t.Helper()
	marker := fmt.Sprintf("marker-%d", time.Now().UnixMilli())
	w.insert(k, marker)
	w.awaitPlaced(k, healedWithin, marker)
	eventually(w.t, healedWithin, "no alarm", func(ctx context.Context) error {
		status, err := w.api.Status(ctx, k.name)
		if err == nil && (len(status.Alarms) > 0 || status.Stage != "active") {
			err = fmt.Errorf("stage %s, alarms %v", status.Stage, status.Alarms)
		}
		return err
	})
}
