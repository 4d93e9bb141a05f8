package sweep

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"dacorch/scenarios"
)

func parse(t testing.TB, text string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// crowded has much in it, of which one crash alone makes it fail.
const crowded = `
name: crowded
about: Much happens.
seed: 77
duration: 20m
heal: 9m
kinds:
  - {kind: Thing, resources: 300, resourcePerInstance: 50, initInstances: 7, handoff: strict, resync: 2m, replacing: 3}
  - {kind: Rule, resources: 100}
churn:
  - {kind: Thing, create: 30/m, delete: 1/s}
  - {kind: Thing, at: 2m, burst: 40, over: 10s, bulk: 5}
  - {kind: Rule, update: 6/m}
faults:
  - {at: 1m, for: 2m, kafka: down}
  - {at: 2m30s, for: 61s, every: 20s, pod: crash, kind: Thing, share: 30%}
  - {at: 3m, for: 1m, mqtt: down}
orders:
  - {at: 4m, kind: Thing, orchestrate: {resourcePerInstance: 40}}
  - {at: 5m, kind: Rule, drain: 1}
world: {zookeeper: {request: {mean: 8ms}}, mqtt: {publish: {mean: 20ms}}}
expect:
  - violations == 0
  - pods_crashed == 0
  - resources > 3
`

// TestShrink cuts all that does not matter away, and comes to the same end on
// one core and on several.
func TestShrink(t *testing.T) {
	sc := parse(t, crowded)
	var texts []string
	for _, jobs := range []int{1, 3} {
		watched := 0
		got, err := Shrink(t.Context(), sc, ShrinkOptions{Jobs: jobs, Watch: func(Shrinking) { watched++ }})
		if err != nil {
			t.Fatal(err)
		}
		text := string(scenarios.Format(got.Scenario))
		t.Logf("%d jobs: %d runs, %d cuts\n%s", jobs, got.Runs, got.Cuts, text)
		texts = append(texts, text)
		if n := strings.Count(text, "\n"); n > 10 || !got.Whole || watched == 0 {
			t.Errorf("%d lines, whole %v, watched %d times", n, got.Whole, watched)
		}
		if s := got.Scenario; len(s.Faults) != 1 || s.Faults[0].What != scenarios.PodCrash || len(s.Kinds) != 1 || len(s.Orders)+len(s.Churn) > 0 {
			t.Errorf("more is left than the crash")
		}
		back := parse(t, text)
		out, err := Play{}.Run(t.Context(), back)
		if err != nil || !slices.ContainsFunc(out.Failures, func(f Failure) bool { return f.Group == got.Failure.Group }) {
			t.Errorf("what is written does not fail as it should: %v %v", out.Failures, err)
		}
	}
	if texts[0] != texts[1] {
		t.Errorf("it depends on the number of jobs")
	}
}

// TestShrinkNothing says what holds, and what ends before it is done.
func TestShrinkNothing(t *testing.T) {
	sc := parse(t, crowded)
	good := clone(sc)
	good.Expect = demands()
	if _, err := Shrink(t.Context(), good, ShrinkOptions{}); !errors.Is(err, ErrHolds) {
		t.Errorf("without its expectations it holds: %v", err)
	}
	if _, err := Shrink(t.Context(), sc, ShrinkOptions{Group: "00000000"}); err == nil || !strings.Contains(err.Error(), "not for 00000000") {
		t.Errorf("a group that it does not fail for: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got, err := Shrink(ctx, sc, ShrinkOptions{Watch: func(Shrinking) { cancel() }})
	if err != nil || got.Whole {
		t.Fatalf("cut off: %v %v", got, err)
	}
	if !bytes.Contains(scenarios.Format(got.Scenario), []byte("pod: crash")) {
		t.Errorf("what is left does not fail")
	}
}
