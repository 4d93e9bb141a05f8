package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dacorch/e2e/rig"
)

// TestServersStopped: ZooKeeper, Kafka and Mosquitto each go away for a minute and
// come back, while rows come and go. No healthy instance is replaced or restarted,
// and nothing is lost. It runs alone: the servers are everybody's.
func TestServersStopped(t *testing.T) {
	k := newKind("Servers", nil)
	w := start(t, 30, k)
	for _, test := range []struct {
		server rig.ServiceName
		alarm  string // while it is away; empty: nobody leads then, so nobody can tell
	}{
		{rig.Mosquitto, "notifications-down"},
		{rig.Kafka, "heartbeats-down"},
		{rig.ZooKeeper, ""},
	} {
		t.Run(string(test.server), func(t *testing.T) { w.with(t).serverStopped(k, test.server, test.alarm) })
	}
}

func (w *world) serverStopped(k *kind, server rig.ServiceName, alarm string) {
	o, c := w.observe(k), w.stir(k)
	before := w.runs(k)
	since := time.Now()
	w.stopServer(server)
	gone := time.NewTimer(outage(w.t))
	defer gone.Stop()
	if alarm != "" {
		w.awaitAlarm(k, alarm)
	}
	select {
	case <-gone.C:
	case <-w.t.Context().Done():
	}
	w.startServer(server)
	w.t.Logf("%s was away for %v", server, took(since))

	back := time.Now()
	w.settledUnderChurn(k)
	w.t.Logf("at work again %v after its return", took(back))
	committed := c.end()
	w.verify()
	o.end()
	if server == rig.ZooKeeper { // nothing can be placed without it
		w.tellSlowest(o, committed)
	} else {
		w.promptly(o, committed)
	}
	w.sameRuns(k, before, string(server)+" stopped")
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

// settledUnderChurn waits until a row that is made now is placed by a message, and
// no alarm is on: all servers are used again.
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
