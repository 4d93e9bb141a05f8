package loop

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// instant is a store without a list to keep: what remains is the loop's own work.
type instant struct{ *world }

func (instant) Commit(context.Context, fleet.Kind, *fleet.Txn) (fleet.Outcome, error) {
	return fleet.OutcomeDone, nil
}

// BenchmarkNotifications is the way of a notification through the loop and the
// machine, to its acknowledgement, over ports that cost nothing.
func BenchmarkNotifications(b *testing.B) {
	w := newWorld(thing)
	p := w.ports()
	p.Store = instant{w}
	l, err := New(Config{Who: fleet.Candidate{Name: "one"}, Kinds: []reconcile.Config{machineConfig(thing)}}, p)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for active := false; !active; runtime.Gosched() {
		if err := l.Inspect(ctx, thing, func(s State) { active = s.Machine.Stage() == reconcile.StageActive }); err != nil {
			b.Fatal(err)
		}
	}
	token, began := uint64(0), time.Now()
	for b.Loop() {
		token++
		n := &fleet.Notification{Op: fleet.OpCreate, Table: string(thing), Resources: []fleet.Resource{{ID: fmt.Sprintf("r-%d", token/2)}}}
		if token%2 == 1 {
			n.Op = fleet.OpDelete // so that the lists stay short
		}
		l.notified(token, n)
	}
	for told := uint64(0); told < token; runtime.Gosched() {
		l.acks.mu.Lock()
		told = l.acks.told
		l.acks.mu.Unlock()
	}
	b.ReportMetric(float64(token)/time.Since(began).Seconds(), "notifications/s")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkView is what the view of 500,000 resources takes, beside their ids.
func BenchmarkView(b *testing.B) {
	tree := fullTree(100, 5000)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := contentOf(tree)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(100*5000), "bytes/resource")
		runtime.KeepAlive(c)
	}
}
