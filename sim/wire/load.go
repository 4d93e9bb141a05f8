package wire

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/stage"
)

// load is the scenario's load being played: users of the REST interface, and
// announcements besides those of churn. It calls and announces only rows of the
// start that churn leaves alone, so that every answer is known beforehand and no
// announcement can be overtaken by one of the data centre.
type load struct {
	rows    map[fleet.Kind][]fleet.Resource
	tallies map[fleet.Kind]*tally
	playing sync.WaitGroup
	began   map[int]bool // entries of the scenario's load
}

// spareFiles is what a run opens besides its users' connections, generously.
const spareFiles = 1000

// prepareLoad finds what the load can call, before anything is started.
func (r *run) prepareLoad() error {
	r.load.rows, r.load.tallies, r.load.began = map[fleet.Kind][]fleet.Resource{}, map[fleet.Kind]*tally{}, map[int]bool{}
	users := 0
	for i, t := range r.sc.Load {
		kind := fleet.Kind(t.Kind)
		if t.Users != nil {
			users += t.Users.Count
		}
		if r.load.tallies[kind] != nil {
			continue
		}
		rows, err := r.untouched(r.sc.KindNamed(t.Kind))
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("%s: load.%d: churn leaves no %s of the start alone, and the load is about those: want more kinds.%s.resources", r.sc.File, i, kind, kind)
		}
		r.load.rows[kind], r.load.tallies[kind] = rows, &tally{calls: map[scenarios.Call]*measure{}}
	}
	if limit, known := openFiles(); known && users > 0 && uint64(users)+spareFiles > limit {
		return fmt.Errorf("%s: load: %d users need about %d open files, and a process may have %d here: raise it (ulimit -n), or play fewer users", r.sc.File, users, users+spareFiles, limit)
	}
	return nil
}

// untouched are the rows of the start that churn neither changes nor deletes,
// found by having it do everything beforehand: the same seed does it again.
func (r *run) untouched(spec *scenarios.Kind) ([]fleet.Resource, error) {
	again := stage.Script{Scenario: r.sc, Seed: r.script.Seed, Open: r.opts.Open}
	cast, err := again.Cast(spec)
	if err != nil {
		return nil, err
	}
	touched := map[string]bool{}
	for op, ok := cast.Generator.Next(); ok && op.At < r.sc.Duration; op, ok = cast.Generator.Next() {
		if op.Verb == churn.Create {
			continue
		}
		for _, row := range op.Resources {
			touched[row.ID] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(cast.Initial), func(row fleet.Resource) bool { return touched[row.ID] }), nil
}

// beginLoad begins an entry once every row of the start has run.
func (r *run) beginLoad(now time.Duration, entry int) error {
	t := &r.sc.Load[entry]
	if now >= t.Until {
		return nil
	}
	kind := fleet.Kind(t.Kind)
	if !r.check.Started(kind) {
		r.plan(now+r.scaled(100*time.Millisecond), func(now time.Duration) error { return r.beginLoad(now, entry) })
		return nil
	}
	r.load.began[entry] = true
	stop, cancel := context.WithDeadline(r.ctx, r.began.Add(r.real(t.Until)))
	var play func(ctx, stop context.Context)
	if t.Users != nil {
		u := &users{kind: kind, spec: t.Users, real: r.real, rows: r.load.rows[kind], client: ownConnection,
			stream: r.script.Seed.Stream, entry: entry, tally: r.load.tallies[kind]}
		for _, p := range r.procs.all {
			u.urls = append(u.urls, p.url)
		}
		play = u.play
	} else {
		a := &announcer{kind: kind, perSecond: float64(t.Notifications) * r.opts.TimeScale, rows: r.load.rows[kind], tally: r.load.tallies[kind]}
		play = func(ctx, stop context.Context) { a.overMQTT(ctx, stop, r.p.MQTT.Addr(), entry) }
	}
	r.load.playing.Go(func() {
		defer cancel()
		play(r.ctx, stop)
	})
	return nil
}

// pause waits, and answers false when it is time to stop.
func pause(stop context.Context, d time.Duration) bool {
	if d <= 0 {
		return stop.Err() == nil
	}
	wake := time.NewTimer(d)
	defer wake.Stop()
	select {
	case <-wake.C:
		return stop.Err() == nil
	case <-stop.Done():
		return false
	}
}

// tally is what the load of a kind has met with, in real time.
type tally struct {
	mu        sync.Mutex
	requests  measure
	calls     map[scenarios.Call]*measure // the same, by call
	published measure
}

// measure is what became of many of a kind.
type measure struct {
	times  history.Histogram
	failed uint64
	why    map[string]uint64
}

// maxReasons bounds the reasons that are told apart.
const maxReasons = 20

// add counts one that took so long; why is empty when it went well.
func (m *measure) add(took time.Duration, why string) {
	m.times.Add(took)
	if why == "" {
		return
	}
	m.failed++
	if m.why == nil {
		m.why = map[string]uint64{}
	}
	if _, known := m.why[why]; !known && len(m.why) >= maxReasons {
		why = "others"
	}
	m.why[why]++
}

func (t *tally) answered(call scenarios.Call, took time.Duration, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests.add(took, why)
	if t.calls[call] == nil {
		t.calls[call] = &measure{}
	}
	t.calls[call].add(took, why)
}

func (t *tally) acknowledged(took time.Duration, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.published.add(took, why)
}

// figures puts what was measured beside what the checker has, for each kind and
// over all. The load must have ended.
func (l *load) figures(kinds []history.KindFigures, totals *history.Figures) {
	var requests, published measure
	for i := range kinds {
		t := l.tallies[kinds[i].Kind]
		if t == nil {
			continue
		}
		t.into(&kinds[i].Figures)
		for all, one := range map[*measure]*measure{&requests: &t.requests, &published: &t.published} {
			all.times.Merge(&one.times)
			all.failed += one.failed
		}
	}
	(&tally{requests: requests, published: published}).into(totals)
}

func (t *tally) into(f *history.Figures) {
	for _, m := range []struct {
		of                           *measure
		count, failed, p50, p99, max history.Metric
	}{
		{&t.requests, history.RestRequests, history.RestFailures, history.RestTimeP50, history.RestTimeP99, history.RestTimeMax},
		{&t.published, history.NotificationsPublished, history.PublishFailures, history.PublishTimeP50, history.PublishTimeP99, history.PublishTimeMax},
	} {
		f[m.count], f[m.failed] = float64(m.of.times.Count()), float64(m.of.failed)
		f[m.p50], f[m.p99], f[m.max] = m.of.times.Quantile(0.5).Seconds(), m.of.times.Quantile(0.99).Seconds(), m.of.times.Max().Seconds()
	}
}

// notes tells of each kind's load what the figures do not: the calls, why some
// failed, and what was never begun.
func (l *load) notes(sc *scenarios.Scenario) (notes []string) {
	for i, t := range sc.Load {
		if !l.began[i] {
			notes = append(notes, fmt.Sprintf("load.%d was never begun: until its end not every %s of the start had run.", i, t.Kind))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(l.tallies)) {
		t := l.tallies[kind]
		for _, c := range scenarios.Calls {
			if m := t.calls[c.Call]; m != nil {
				notes = append(notes, fmt.Sprintf("%s, call %s, real time: %s", kind, c.Call, m))
			}
		}
		if t.published.times.Count() > 0 {
			notes = append(notes, fmt.Sprintf("%s, notifications, real time: %s", kind, &t.published))
		}
	}
	return notes
}

// String is a line for people.
func (m *measure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d, p50 %v, p99 %v, max %v", m.times.Count(), short(m.times.Quantile(0.5)), short(m.times.Quantile(0.99)), short(m.times.Max()))
	if m.failed > 0 {
		fmt.Fprintf(&b, "; %d failed", m.failed)
		for _, why := range slices.Sorted(maps.Keys(m.why)) {
			fmt.Fprintf(&b, ", %d: %s", m.why[why], why)
		}
	}
	return b.String()
}

func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
