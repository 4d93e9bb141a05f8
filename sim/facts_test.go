package sim

import (
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

func parse(t *testing.T, body string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Parse("s.yaml", []byte("name: s\nabout: s\n"+body+"\nexpect: [violations == 0]\n"))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// TestNotificationsLost counts the messages that never reach the orchestrator:
// none while the broker is up, though the last are still on their way at the end.
func TestNotificationsLost(t *testing.T) {
	const body = `
duration: 10m
kinds: [{kind: Thing, resources: 10}, {kind: Rule, resources: 10}]
churn:
  - {kind: Thing, create: 20/s, arrivals: constant}
  - {kind: Rule, create: 10/s, arrivals: constant}
faults: `
	for _, c := range []struct {
		faults      string
		thing, rule [2]float64
	}{
		{"[]", [2]float64{0, 0}, [2]float64{0, 0}},
		{"[{at: 2m, for: 1m, orchestrator: crash}]", [2]float64{0, 0}, [2]float64{0, 0}},
		// Down for a minute, and until the data centre has connected again.
		{"[{at: 2m, for: 1m, mqtt: down}]", [2]float64{1200, 1700}, [2]float64{600, 850}},
	} {
		rep := mustRun(t, parse(t, body+c.faults)).Report
		thing := rep.Kinds[0].Figures[history.NotificationsLost]
		rule := rep.Kinds[1].Figures[history.NotificationsLost]
		if thing < c.thing[0] || thing > c.thing[1] || rule < c.rule[0] || rule > c.rule[1] {
			t.Errorf("faults %s: lost %v of Thing and %v of Rule, want %v and %v", c.faults, thing, rule, c.thing, c.rule)
		}
		if total := rep.Totals[history.NotificationsLost]; total != thing+rule {
			t.Errorf("faults %s: %v lost in all, not %v", c.faults, total, thing+rule)
		}
	}
}

// TestOrdersAreAnswered gives orders that nobody takes, that a crash cuts off,
// and that wait at the end.
func TestOrdersAreAnswered(t *testing.T) {
	run := func(faults, orders string) *Result {
		return mustRun(t, parse(t, `
duration: 10m
kinds: [{kind: Thing, resources: 100, resourcePerInstance: 50, handoff: strict}]
faults: `+faults+`
orders: `+orders))
	}
	const crash = "[{at: 2m, for: 30s, orchestrator: crash}]"
	const order = "kind: Thing, orchestrate: {resourcePerInstance: 5}}]"
	for _, c := range []struct {
		at            string
		done, refused float64
	}{
		{"1m", 1, 0},     // long before the crash
		{"2m10s", 1, 0},  // nobody is there: it is given again
		{"119.9s", 1, 0}, // the process dies without an answer: it is given again
	} {
		rep := run(crash, "[{at: "+c.at+", "+order).Report
		if d, f := rep.Totals[history.OrchestrationsDone], rep.Totals[history.OrchestrationsRefused]; d != c.done || f != c.refused {
			t.Errorf("order at %s: %v done and %v refused, want %v and %v", c.at, d, f, c.done, c.refused)
		}
		if len(rep.Pending) != 0 {
			t.Errorf("order at %s: pending %+v", c.at, rep.Pending)
		}
	}
	res := run("[]", "[{at: 9m59.9s, "+order)
	if p := res.Report.Pending; len(p) == 0 || p[len(p)-1].Why != `order "orchestrate" has no answer` || p[len(p)-1].Since != 10*time.Minute-100*time.Millisecond {
		t.Errorf("an order that waits at the end: pending %+v", p)
	}
}

// TestRecordsTellRunsApart records pairs that differ in one thing: the trace
// must differ too.
func TestRecordsTellRunsApart(t *testing.T) {
	rows := func(ids ...string) (out []fleet.Resource) {
		for _, id := range ids {
			out = append(out, fleet.Resource{ID: id})
		}
		return out
	}
	whole := func(ids ...string) reconcile.Listed {
		l := reconcile.Listed{Rows: rows(ids...)}
		for _, r := range l.Rows {
			l.Digest.Add(r)
		}
		return l
	}
	tree := func(id string) reconcile.TreeRead {
		return reconcile.TreeRead{Tree: fleet.Tree{Instances: []fleet.TreeInstance{{ID: 1, IDs: []string{id}}}}}
	}
	for name, pair := range map[string][2]reconcile.Event{
		"rows of a table":   {whole("a", "b"), whole("a", "c")},
		"rows looked up":    {reconcile.Listed{Rows: rows("a")}, reconcile.Listed{Rows: rows("b")}},
		"groups looked up":  {reconcile.Listed{Rows: []fleet.Resource{{ID: "a", Group: "x"}}}, reconcile.Listed{Rows: []fleet.Resource{{ID: "a", Group: "y"}}}},
		"lists in the tree": {tree("a"), tree("b")},
		"pods": {
			reconcile.PodsListed{Pods: []fleet.Pod{{Instance: 1, UID: "u", Phase: fleet.PhaseRunning}}},
			reconcile.PodsListed{Pods: []fleet.Pod{{Instance: 1, UID: "u", Phase: fleet.PhaseFailed}}},
		},
	} {
		var sums [2]string
		for i, ev := range pair {
			r := &run{trace: history.NewTrace()}
			r.recordEvent(0, &driver{k: &kind{name: "Thing"}}, ev)
			sums[i] = r.trace.Sum()
		}
		if sums[0] == sums[1] {
			t.Errorf("%s: two different events have one trace", name)
		}
	}
	for name, pair := range map[string][2]reconcile.Command{
		"ids to look up": {reconcile.ListRows{IDs: []string{"a"}}, reconcile.ListRows{IDs: []string{"b"}}},
		"purpose":        {reconcile.DeletePod{Instance: 1}, reconcile.DeletePod{Instance: 1, Purpose: reconcile.PurposeRelease}},
	} {
		var sums [2]string
		for i, c := range pair {
			r := &run{trace: history.NewTrace()}
			r.recordCommand(0, &driver{k: &kind{name: "Thing"}}, c)
			sums[i] = r.trace.Sum()
		}
		if sums[0] == sums[1] {
			t.Errorf("%s: two different commands have one trace", name)
		}
	}
	note := &fleet.Notification{Op: fleet.OpCreate}
	var sums [2]string
	for i := range sums {
		r := &run{trace: history.NewTrace()}
		r.recordChurn(0, &kind{number: int64(i)}, note, rows("a"))
		sums[i] = r.trace.Sum()
	}
	if sums[0] == sums[1] {
		t.Error("a row of two kinds has one trace")
	}
}

// TestFaultsOverlap holds two faults of one sort to what one that lasts as long
// as both does.
func TestFaultsOverlap(t *testing.T) {
	for _, what := range []string{"orchestrator: crash", "orchestrator: pause", "kafka: down", "mqtt: down", "zookeeper: down", "zookeeper: read-only", "zookeeper: full", "kubernetes: down", "kubernetes: cut-watch", "database: down"} {
		run := func(faults string) *Report {
			return mustRun(t, parse(t, `
duration: 20m
heal: 10m
kinds: [{kind: Thing, resources: 100}]
churn: [{kind: Thing, create: 1/s, delete: 1/s}]
orders: [{at: 7m, kind: Thing, orchestrate: {}}]
faults: `+faults)).Report
		}
		one := run("[{at: 4m, for: 4m, " + what + "}]")
		for _, two := range []string{
			"[{at: 4m, for: 2m, " + what + "}, {at: 5m, for: 3m, " + what + "}]",
			"[{at: 4m, for: 4m, " + what + "}, {at: 5m, for: 1m, " + what + "}]",
		} {
			if rep := run(two); rep.Trace != one.Trace {
				t.Errorf("%s gives another trace than one fault from 4m to 8m", two)
			}
		}
	}
}

// TestMovesNeededOverCrashes says that a restart which goes on with a
// re-orchestration does not count its moves again, and none is counted too few.
func TestMovesNeededOverCrashes(t *testing.T) {
	for _, handoff := range []string{"fast", "strict"} {
		for _, at := range []string{"2m0.05s", "2m0.3s", "2m5s", "2m5.5s", "2m6s", "2m6.2s", "2m7s"} {
			rep := mustRun(t, parse(t, `
duration: 20m
heal: 10m
kinds: [{kind: Thing, resources: 8000, resourcePerInstance: 2000, initInstances: 3, movesInFlight: 100, handoff: `+handoff+`}]
orders: [{at: 2m, kind: Thing, orchestrate: {resourcePerInstance: 500}}]
faults: [{at: `+at+`, for: 10s, orchestrator: crash}]
`)).Report
			needed, made := rep.Totals[history.MovesNeeded], rep.Totals[history.MovesMade]
			if made < 4000 || needed != made {
				t.Errorf("%s handoff, crash at %s: %v moves needed and %v made, want as many", handoff, at, needed, made)
			}
		}
	}
}
