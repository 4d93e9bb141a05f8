package world

import (
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// BenchmarkChange is the world's share of one change at 10 changes a second, with
// 100 instances, heartbeats every 60 s and a listing of all rows every 5 minutes:
// from the row's commit through notification, transaction, watch, reload and
// status, to the fake orchestrator's last callback. One op is one change; setting
// up 100,000 rows is not timed.
func BenchmarkChange(b *testing.B) {
	const rows = 100_000
	w := newWorld(b, 1, DefaultConfig())
	f := startFeeder(w, 100, nil)
	runUntil(w.Timeline, time.Minute)
	t := newTicker(w, rows, rows+b.N)
	for t.made < rows {
		n := &fleet.Notification{Op: fleet.OpCreate, Table: string(thing), Resources: []fleet.Resource{{ID: t.names[t.made]}}}
		t.made++
		t.left--
		commit(w, n)
		if t.made%1000 == 0 {
			runUntil(w.Timeline, w.Timeline.Now()+time.Second)
		}
	}
	lister := &lister{w: w}
	lister.done = func(time.Duration, *Listing) {}
	lister.Handle(0, 0, 0, nil)
	runUntil(w.Timeline, w.Timeline.Now()+time.Minute)
	start, fired := w.Timeline.Now(), w.Timeline.Fired()
	b.ReportAllocs()
	b.ResetTimer()
	t.Handle(w.Timeline.Now(), 0, 0, nil)
	runUntil(w.Timeline, start+time.Duration(b.N)*100*time.Millisecond)
	b.StopTimer()
	if len(f.bad) > 0 {
		b.Fatal(f.bad[0])
	}
	b.ReportMetric(float64(w.Timeline.Fired()-fired)/float64(b.N), "events/op")
}

type lister struct {
	w    *World
	done func(time.Duration, *Listing)
}

func (l *lister) Handle(_ time.Duration, _ uint32, _ int64, _ any) {
	l.w.Database.List(thing, nil, 0, l.done)
	l.w.Timeline.After(5*time.Minute, l, 0, 0, nil)
}
