package sim

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// liveWorld is where somebody steps in: rows come and go to the end, long after
// heal.
const liveWorld = `
duration: 1h
heal: 10m
kinds:
  - {kind: Thing, resources: 300, resourcePerInstance: 100, initInstances: 6, maxInstances: 20, policy: balance}
  - {kind: Rule, resources: 60, resourcePerInstance: 30, initInstances: 4, maxInstances: 10, heartbeat: true, handoff: strict}
nodes: {count: 6, podsPerNode: 8}
churn:
  - {kind: Thing, create: 1/s, delete: 1/s, update: 10/m, until: 1h}
  - {kind: Rule, create: 10/m, delete: 10/m, until: 1h}
`

func begin(t fataler, sc *scenarios.Scenario, opts Options) *Live {
	opts.Open = openFile
	l, err := Begin(sc, opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return l
}

// goTo takes a run on to a moment, in chunks as they are drawn.
func goTo(t fataler, l *Live, to time.Duration, draw *timeline.Stream) {
	for l.Now() < to {
		next, most := to, math.MaxInt
		if draw != nil && draw.Bool(0.5) {
			next = l.Now() + time.Duration(draw.Float64()*float64(to-l.Now()))
		}
		if draw != nil && draw.Bool(0.5) {
			most = draw.IntN(20_000)
		}
		before := l.Now()
		switch n, reached := l.Advance(next, most); {
		case n > most || reached != (l.Now() == next) && !reached || reached && l.Now() != next || l.Now() < before:
			t.Fatalf("Advance(%v, %d) from %v: %d events, reached %v, and it is %v", next, most, before, n, reached, l.Now())
		}
	}
}

func closed(t fataler, l *Live) *Report {
	res, err := l.Close()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return res.Report
}

// TestLiveIsRun takes shipped scenarios on in random chunks: what comes out is
// what Run says, to the last digit.
func TestLiveIsRun(t *testing.T) {
	names := []string{"first-light", "kafka-outage", "orchestrator-crash", "drain-and-maintenance", "silent-hang", "providers", "pod-crash-storm", "re-orchestrate-under-churn"}
	if raceEnabled || testing.Short() {
		names = names[:3]
	}
	for n, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := load(t, name)
			want := mustRun(t, sc).Report
			l := begin(t, sc, Options{})
			goTo(t, l, sc.Duration, timeline.Seed(n).Stream("chunks"))
			for !l.Ended() { // the last moment may have been reached in the middle of it
				l.Advance(sc.Duration, 1000)
			}
			if got := closed(t, l); !sameReport(t, got, want) {
				t.Errorf("the run has trace %s and %d events, taken on in chunks %s and %d", want.Trace, want.Events, got.Trace, got.Events)
			}
		})
	}
}

func sameReport(t *testing.T, a, b *Report) bool {
	t.Helper()
	var left, right bytes.Buffer
	if err := errors.Join(a.JSON(&left), b.JSON(&right)); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(left.Bytes(), right.Bytes())
}

// act is something that somebody does in a run.
type act struct {
	at    time.Duration
	fault *scenarios.Fault
	kind  fleet.Kind
	order reconcile.Order
}

// perform takes a run on and does what is to be done; each order must be answered
// once.
func perform(t fataler, l *Live, acts []act, draw *timeline.Stream) *Report {
	answers := make([]int, len(acts))
	for n, a := range acts {
		goTo(t, l, a.at, draw)
		for { // all that is due at this very moment
			if _, reached := l.Advance(a.at, math.MaxInt); reached {
				break
			}
		}
		if a.fault == nil {
			l.Order(a.kind, a.order, func(string) { answers[n]++ })
			continue
		}
		if _, err := l.Inject(*a.fault); err != nil {
			t.Fatalf("%s: %v", scenarios.FormatFault(*a.fault), err)
		}
	}
	goTo(t, l, l.run.sc.Duration, draw)
	rep := closed(t, l)
	for n, a := range acts {
		if a.fault == nil && answers[n] != 1 {
			t.Fatalf("%v at %v was answered %d times", a.order, a.at, answers[n])
		}
	}
	return rep
}

// drawActs draws acts of all sorts, in the order of their time.
func drawActs(t *rapid.T, last time.Duration) []act {
	var acts []act
	at, hung := time.Duration(0), false
	for range rapid.IntRange(1, 4).Draw(t, "acts") {
		at += time.Duration(rapid.IntRange(60_000, 480_000).Draw(t, "later")) * time.Millisecond
		if at > last {
			break
		}
		if kind := fleet.Kind(rapid.SampledFrom([]string{"Thing", "Rule"}).Draw(t, "kind")); rapid.IntRange(0, 2).Draw(t, "order") == 0 {
			id := fleet.InstanceID(rapid.IntRange(0, 3).Draw(t, "instance"))
			acts = append(acts, act{at: at, kind: kind, order: rapid.SampledFrom([]reconcile.Order{
				reconcile.Orchestrate{}, reconcile.Drain{Instance: id}, reconcile.Undrain{Instance: id}, reconcile.Replace{Instance: id},
				reconcile.Maintenance{On: true}, reconcile.Maintenance{},
			}).Draw(t, "what")})
			continue
		}
		f := randomFault(t, rapid.SampledFrom(scenarios.FaultWords).Draw(t, "fault"))
		if f.What == scenarios.PodHang { // when many fall silent, nobody is replaced: that is for people
			if hung {
				continue
			}
			hung = true
			f.One, f.Share, f.Count, f.For, f.Every = false, 0, 1, 0, 0
		}
		acts = append(acts, act{at: at, fault: &f})
	}
	return acts
}

// TestActs does the same at the same moments, whatever the chunks, and finds the
// same run; and one in which nothing that must hold breaks.
func TestActs(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine, and it takes long")
	}
	sc := parse(t, liveWorld)
	rapid.Check(t, func(t *rapid.T) {
		acts := drawActs(t, 25*time.Minute)
		chunks := timeline.Seed(rapid.Uint64().Draw(t, "chunks"))
		want := perform(t, begin(t, sc, Options{}), acts, nil)
		got := perform(t, begin(t, sc, Options{}), acts, chunks.Stream("a"))
		if got.Trace != want.Trace || got.Totals != want.Totals {
			t.Fatalf("the same acts gave %s, then %s", want.Trace, got.Trace)
		}
		if zombies := slices.ContainsFunc(acts, func(a act) bool { return a.fault != nil && a.fault.What == scenarios.PodZombie }); !want.OK() && !zombies {
			t.Fatalf("%+v", want.Violations) // a zombie that has lost its session as well is not found yet
		}
	})
}

// small is an injected fault of this sort that hits little.
func small(w scenarios.FaultWord) scenarios.Fault {
	f := scenarios.NewFault(w.What)
	if !f.Once() {
		f.For = 3 * time.Minute
	}
	if w.What.Subject() == "pod" {
		f.Kind = "Thing"
	}
	switch {
	case slices.Contains(w.Needs, "instance"):
		f.Kind, f.One, f.Instance = "Thing", true, 2
	case len(w.Needs) > 0:
		f.Count = 1
	}
	return f
}

// TestInjectedFaultsSettle breaks everything there is, one by one, before heal
// and after it: half an hour later all has settled, and nothing was demanded
// meanwhile.
func TestInjectedFaultsSettle(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine, and it takes long")
	}
	sc := parse(t, liveWorld)
	for _, w := range scenarios.FaultWords {
		t.Run(string(w.What), func(t *testing.T) {
			t.Parallel()
			forms := []scenarios.Fault{small(w)}
			if f := small(w); f.Once() {
				f.For, f.Every = 2*time.Minute, 30*time.Second
				forms = append(forms, f)
			}
			if slices.Contains(w.Keys, "share") && w.What != scenarios.PodZombie {
				f := small(w)
				f.One, f.Instance, f.Count, f.Share = false, 0, 0, 0.5
				if f.Of != "" {
					f.Of = scenarios.OfDACs
				}
				forms = append(forms, f)
			}
			if slices.Contains(w.Keys, "command") {
				f := small(w)
				f.Command, f.By, f.Chance = "commit", 5*time.Second, 0.1
				forms = append(forms, f)
			}
			for _, f := range forms {
				for _, at := range []time.Duration{9 * time.Minute, 12 * time.Minute} {
					rep := perform(t, begin(t, sc, Options{}), []act{{at: at, fault: &f}}, nil)
					manyHang := f.What == scenarios.PodHang && f.Share > 0 // that is for people
					if !rep.OK() || len(rep.Pending) > 0 && !manyHang {
						t.Errorf("%s at %v: %+v, pending %+v", scenarios.FormatFault(f), at, rep.Violations, rep.Pending)
					}
				}
			}
		})
	}
}
