package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dacorch/scenarios"
)

const little = `
name: little
about: Little happens.
duration: 5m
heal: 2m
kinds: [{kind: Thing, resources: 10, initInstances: 2}]
churn: [{kind: Thing, create: 6/m}]
faults: [{at: 1m, pod: crash, kind: Thing, instance: 0}]
expect: [violations == 0, unsettled_end == 0]
`

// TestSweepRepeats plays the same seeds on one core and on three: the same runs
// with the same traces, spread over the scenarios in turn.
func TestSweepRepeats(t *testing.T) {
	bases := []*scenarios.Scenario{parse(t, little), parse(t, strings.ReplaceAll(little, "little", "other"))}
	var all [2][]string
	for i, jobs := range []int{1, 3} {
		var runs []*Run
		sum, err := Sweep(t.Context(), Options{Bases: bases, Seeds: 9, From: 50, Swarm: true, Jobs: jobs,
			Each:  func(r *Run) error { runs = append(runs, r); return nil },
			Watch: func(Progress) {}})
		if err != nil || sum.Runs != 9 || sum.From != 50 || sum.To != 58 {
			t.Fatalf("%+v %v", sum, err)
		}
		slices.SortFunc(runs, func(a, b *Run) int { return a.Index - b.Index })
		for n, r := range runs {
			if want := bases[n%2].Name; r.Seed != uint64(50+n) || r.Base != want {
				t.Errorf("run %d is %s with seed %d", n, r.Base, r.Seed)
			}
			all[i] = append(all[i], fmt.Sprint(r.Seed, r.Report.Trace))
		}
	}
	if !slices.Equal(all[0], all[1]) {
		t.Errorf("they differ:\n%v\n%v", all[0], all[1])
	}
}

// TestSweepGroups says that runs that fail for one cause are one group, with the
// smallest of them.
func TestSweepGroups(t *testing.T) {
	large := parse(t, strings.Replace(strings.ReplaceAll(little, "[violations == 0, unsettled_end == 0]", "[pods_crashed == 0]"), "resources: 10", "resources: 30", 1))
	small := parse(t, strings.ReplaceAll(little, "[violations == 0, unsettled_end == 0]", "[pods_crashed == 0]"))
	sum, err := Sweep(t.Context(), Options{Bases: []*scenarios.Scenario{large, small}, Seeds: 6, From: 1})
	if err != nil || sum.Failed != 6 || len(sum.Groups) != 1 {
		t.Fatalf("%+v %v", sum, err)
	}
	g := sum.Groups[0]
	if g.Count != 6 || g.Smallest.Scenario.Kinds[0].Resources != 10 || g.Seed != 2 {
		t.Errorf("%d runs, the smallest is seed %d", g.Count, g.Seed)
	}
	var b strings.Builder
	if err := sum.Table(&b); err != nil || !strings.Contains(b.String(), "6 runs, 6 failed, 1 causes") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestSweepEnds says that a sweep ends with its context, and with the error of
// whoever is told of its runs.
func TestSweepEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	opts := Options{Bases: []*scenarios.Scenario{parse(t, little)}, From: 1, Jobs: 2, Each: func(*Run) error {
		if n++; n == 5 {
			cancel()
		}
		return nil
	}}
	sum, err := Sweep(ctx, opts)
	if err != nil || sum.Runs < 5 {
		t.Errorf("%+v %v", sum, err)
	}
	full := errors.New("the disk is full")
	opts.Each = func(*Run) error { return full }
	if _, err := Sweep(t.Context(), opts); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

// TestPlayFails says what a run that panics, does not end, or cannot be played
// comes to.
func TestPlayFails(t *testing.T) {
	endless := parse(t, strings.ReplaceAll(strings.ReplaceAll(little, "6/m", "200/s"), "5m", "20h"))
	for name, c := range map[string]struct {
		play   Play
		change func(*scenarios.Scenario)
		want   string
	}{
		"more events than it may": {Play{Events: 100}, func(*scenarios.Scenario) {}, NoEnd},
		"a kind that is none":     {Play{}, func(sc *scenarios.Scenario) { sc.Kinds[0].ResourcePerInstance = -1 }, Refused},
	} {
		sc := clone(endless)
		c.change(sc)
		out, err := c.play.Run(t.Context(), sc)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(out.Failures) != 1 || out.Failures[0].Invariant != c.want {
			t.Errorf("%s: %+v, want %s", name, out.Failures, c.want)
		}
	}
	f := panicked(endless, "Thing 7 is wrong", "goroutine 1 [running]:\ndacorch/sim/sweep.x()\npanic({0x1})\n\t/go/panic.go\ndacorch/sim.(*driver).step(0xc000, 0x1)\n\t/x/sim/process.go:1\n")
	if f.Invariant != Panic || f.Cause != "K N is wrong in sim.(*driver).step" || !strings.HasPrefix(f.Reason, "Thing 7 is wrong\n") {
		t.Errorf("%+v", f)
	}
}

// TestCauses says which reasons are one cause.
func TestCauses(t *testing.T) {
	for _, same := range [][2]string{
		{`Thing "a" stands on instances 0 and 1 after transaction 7 at 6.4s`, `Rule "b c" stands on instances 10 and 11 after transaction 8 at 1m3.4s`},
		{"now on instances 1, 2 and 3", "now on instance 3"},
		{"pod pod-12 of instance 3 created", "pod pod-7 of instance 30 created"},
	} {
		a, b := failure("x", "Thing", same[0], 1), failure("x", "Rule", same[1], 2)
		if a.Group != b.Group {
			t.Errorf("two causes:\n%s\n%s", a.Cause, b.Cause)
		}
		if failure("y", "Thing", same[0], 1).Group == a.Group {
			t.Errorf("the invariant does not count: %s", same[0])
		}
	}
	if failure("x", "", "on no list", 0).Group == failure("x", "", "on instance 3's list", 0).Group {
		t.Error("different reasons are one cause")
	}
}

// TestCompare sets variants beside each other.
func TestCompare(t *testing.T) {
	few := parse(t, strings.Replace(little, "initInstances: 2", "initInstances: 3", 1))
	many := parse(t, strings.Replace(little, "initInstances: 2", "initInstances: 6", 1))
	done := 0
	c, err := Compare(t.Context(), CompareOptions{Variants: []Variant{{"few", few}, {"many", many}}, Seeds: 3, From: 1, Jobs: 2, Watch: func(n, of int) { done, _ = n, of }})
	if err != nil || done != 6 {
		t.Fatalf("%d runs, %v", done, err)
	}
	i := slices.IndexFunc(c.Rows, func(r Row) bool { return r.Metric == "instances" })
	if i < 0 || c.Rows[i].Cells[0].Median != 3 || c.Rows[i].Cells[1].Median != 6 || c.Rows[i].Cells[1].Max != 6 {
		t.Errorf("%+v", c.Rows)
	}
	var b strings.Builder
	if err := c.Table(&b); err != nil || !strings.Contains(b.String(), "few") || strings.Contains(b.String(), " \n") {
		t.Errorf("%v\n%s", err, b.String())
	}
	broken := clone(few)
	broken.Kinds[0].ResourcePerInstance = -1
	if _, err := Compare(t.Context(), CompareOptions{Variants: []Variant{{"broken", broken}}, Seeds: 2, Jobs: 1}); err == nil || !strings.Contains(err.Error(), "broken, seed 0") {
		t.Errorf("a variant that cannot be played: %v", err)
	}
}
