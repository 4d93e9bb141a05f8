package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

// scenario is a shipped one, with settings such as duration=10m.
func scenario(t *testing.T, name string, settings ...string) *scenarios.Scenario {
	t.Helper()
	var all []scenarios.Setting
	for _, s := range settings {
		setting, err := scenarios.ParseSetting(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, setting)
	}
	sc, err := scenarios.Shipped(name, all...)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// emptyTemp has this test's platforms stand in a directory of their own, which
// must be empty at its end.
func emptyTemp(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// TestScenarios plays shipped scenarios at a speed at which only what does not
// depend on speed is demanded: no invariant breaks, everything settles, and what
// is counted is what happened.
func TestScenarios(t *testing.T) {
	emptyTemp(t)
	for _, s := range []struct {
		name     string
		scale    float64
		settings []string
		metrics  map[string]float64
	}{
		// A silence of six real seconds and more: a machine may have other work.
		{"first-light", 80, []string{"kinds.Thing.silence=10m", "kinds.Thing.unconfirmed=20m", "kinds.Thing.resources=500", "kinds.Thing.resourcePerInstance=100", "orders.0.orchestrate.resourcePerInstance=50"},
			map[string]float64{"pods_crashed": 1, "instances_replaced": 1, "instances_replaced_needlessly": 0, "orchestrations_done": 1}},
		{"silent-hang", 80, []string{"kinds.Thing.silence=8m", "kinds.Thing.unconfirmed=20m", "kinds.Thing.resources=1000", "duration=26m", "heal=18m", "faults.1.at=8m"},
			map[string]float64{"instances_replaced": 4, "instances_replaced_needlessly": 0, "moves_made": 0}},
		{"orchestrator-crash", 120, []string{"kinds.Thing.silence=12m", "kinds.Thing.unconfirmed=20m", "kinds.Thing.resources=1000", "kinds.Thing.resourcePerInstance=100",
			"orders.0.orchestrate.resourcePerInstance=50", "orders.1.orchestrate.resourcePerInstance=95",
			"churn.0.create=30/m", "churn.0.delete=30/m"},
			// An order whose orchestrator dies is given again.
			map[string]float64{"instances_replaced_needlessly": 0, "orchestrations_done": 2, "orchestrations_refused": 0}},
	} {
		t.Run(s.name, func(t *testing.T) {
			log := &syncBuffer{}
			result, err := Run(t.Context(), scenario(t, s.name, s.settings...), RunOptions{Serve: serveTest, TimeScale: s.scale, Log: log})
			if err != nil {
				t.Fatal(err)
			}
			rep := result.Report
			if !settled(rep) {
				shown := &bytes.Buffer{}
				if err := rep.JSON(shown); err != nil {
					t.Error(err)
				}
				t.Errorf("an invariant broke, or not everything settled:\n%s\n%s", shown, log.b.String())
			}
			for name, want := range s.metrics {
				if got, ok := rep.Metric(name); !ok || got != want {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
			if rep.Events == 0 || !rep.Real || rep.Trace != "" || rep.WallS <= 0 || rep.VirtualS <= 0 {
				t.Errorf("the report's head is %+v", rep)
			}
		})
	}
}

func settled(rep *history.Report) bool {
	violations, _ := rep.Metric("violations")
	unsettled, _ := rep.Metric("unsettled_end")
	unplaced, _ := rep.Metric("resources_unplaced_end")
	return violations == 0 && unsettled == 0 && unplaced == 0 && len(rep.Pending) == 0
}

// TestNodes: machines come and go, one of them twice. What ran on one that goes
// runs elsewhere as soon as there is room.
func TestNodes(t *testing.T) {
	emptyTemp(t)
	sc, err := scenarios.Load("nodes.yaml", strings.NewReader(`
name: nodes
about: Machines come and go.
duration: 12m
heal: 6m
kinds:
  - {kind: Thing, resources: 60, initInstances: 3, silence: 6m, unconfirmed: 20m}
nodes:
  podsPerNode: 2
  trace: {file: nodes.csv, source: this test, header: false, time: s, at: 1, action: 2, node: 3, add: add, remove: remove}
expect:
  - violations == 0
`))
	if err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	result, err := Run(t.Context(), sc, RunOptions{Serve: serveTest, TimeScale: 60, Log: log, Open: func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("0,add,node-0\n0,add,n2\n120,remove,node-0\n150,add,node-0\n210,remove,n2\n240,add,n3\n")), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	replaced, _ := result.Report.Metric("instances_replaced")
	needless, _ := result.Report.Metric("instances_replaced_needlessly")
	if !settled(result.Report) || replaced < 2 || needless != 0 {
		t.Errorf("%v replaced, %v needlessly, violations %+v, pending %+v\n%s", replaced, needless, result.Report.Violations, result.Report.Pending, log.b.String())
	}
}

// TestRunInterrupted: when the context ends the run does, at once and with nothing
// left behind.
func TestRunInterrupted(t *testing.T) {
	emptyTemp(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	progressed := 0
	var started []*exec.Cmd
	serve := func(ctx context.Context, config string) *exec.Cmd {
		started = append(started, serveTest(ctx, config))
		return started[len(started)-1]
	}
	_, err := Run(ctx, scenario(t, "first-light"), RunOptions{Serve: serve, Orchestrators: 2, TimeScale: 10, Progress: func(p Progress) error {
		if p.Duration != 20*time.Minute || p.Now <= 0 {
			t.Errorf("progress %+v", p)
		}
		if progressed++; progressed == 2 {
			cancel(enough)
		}
		return nil
	}})
	if !errors.Is(err, enough) {
		t.Errorf("the error is %v, want the context's cause", err)
	}
	for _, cmd := range started {
		if cmd.ProcessState == nil {
			t.Errorf("process %d still runs", cmd.Process.Pid)
		}
	}
	if len(started) != 2 {
		t.Errorf("%d processes were started, want 2", len(started))
	}
}

// TestRunRefused: what the caller of Run has wrong is an error that says so.
func TestRunRefused(t *testing.T) {
	emptyTemp(t)
	for _, scale := range []float64{0.5, 121, -1} {
		if _, err := Run(t.Context(), scenario(t, "first-light"), RunOptions{Serve: serveTest, TimeScale: scale}); err == nil || !strings.Contains(err.Error(), "time-scale") {
			t.Errorf("scale %v: %v", scale, err)
		}
	}
	stop := errors.New("stop")
	if _, err := Run(t.Context(), scenario(t, "first-light"), RunOptions{Serve: serveTest, Progress: func(Progress) error { return stop }}); !errors.Is(err, stop) {
		t.Errorf("Progress says stop, Run says %v", err)
	}
}

// TestRunNeverStarts: an orchestrator that refuses its configuration ends the run,
// which says what it said.
func TestRunNeverStarts(t *testing.T) {
	emptyTemp(t)
	_, err := Run(t.Context(), scenario(t, "first-light"), RunOptions{Serve: func(ctx context.Context, config string) *exec.Cmd {
		data, err := os.ReadFile(config)
		if err != nil {
			t.Error(err)
		}
		bad := filepath.Join(filepath.Dir(config), "bad.yaml")
		if err := os.WriteFile(bad, append(data, "nonsense: 1\n"...), 0o600); err != nil {
			t.Error(err)
		}
		return serveTest(ctx, bad)
	}})
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "orchestrator-1 ended by itself") {
		t.Errorf("the error is %v, want the orchestrator's own words", err)
	}
	if _, err := Run(t.Context(), scenario(t, "first-light"), RunOptions{Serve: func(ctx context.Context, _ string) *exec.Cmd {
		return exec.CommandContext(ctx, "/no/such/program")
	}}); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestRunLosesOne: one of two orchestrators ends by itself. The other does all that
// is to be done, and the report says what happened and nothing else.
func TestRunLosesOne(t *testing.T) {
	emptyTemp(t)
	var first *exec.Cmd
	result, err := Run(t.Context(), scenario(t, "first-light", "kinds.Thing.resources=500", "duration=14m", "heal=9m", "faults.0.at=5m", "orders.0.at=6m"), RunOptions{
		TimeScale: 60, Orchestrators: 2,
		Serve: func(ctx context.Context, config string) *exec.Cmd {
			cmd := serveTest(ctx, config)
			if first == nil {
				first = cmd
			}
			return cmd
		}, Progress: func(p Progress) error {
			if p.Now > time.Minute && p.Instances > 0 { // so one of them has led, however slow the machine
				_ = first.Process.Kill() // the second time it is dead
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	rep := result.Report
	if len(rep.Violations) != 1 || rep.Violations[0].Invariant != invariantProcess || len(rep.Pending) > 0 {
		t.Errorf("violations %+v, pending %+v, notes %q", rep.Violations, rep.Pending, rep.Notes)
	}
	for name, want := range map[string]float64{"violations": 1, "orchestrations_done": 1, "unsettled_end": 0, "pods_crashed": 1} {
		if got, _ := rep.Metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// TestRunDies: the only orchestrator ends by itself in the middle. The run ends,
// and its report says why and is no good one.
func TestRunDies(t *testing.T) {
	emptyTemp(t)
	var started *exec.Cmd
	result, err := Run(t.Context(), scenario(t, "first-light"), RunOptions{TimeScale: 60, Serve: func(ctx context.Context, config string) *exec.Cmd {
		started = serveTest(ctx, config)
		return started
	}, Progress: func(p Progress) error {
		if p.Instances > 0 {
			_ = started.Process.Kill() // the second time it is dead
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	rep := result.Report
	out := &bytes.Buffer{}
	if err := rep.JUnit(out); err != nil {
		t.Error(err)
	}
	if rep.OK() || !strings.Contains(out.String(), "orchestrator-1 ended by itself") || !strings.Contains(out.String(), "signal: killed") {
		t.Errorf("the report is good: %v, and says\n%s", rep.OK(), out)
	}
	if len(rep.Notes) == 0 || !strings.Contains(strings.Join(rep.Notes, "\n"), "no orchestrator was left") || rep.VirtualS >= 1200 {
		t.Errorf("after %v s: %q", rep.VirtualS, rep.Notes)
	}
	if n, _ := rep.Metric("violations"); n < 1 {
		t.Errorf("violations %v", n)
	}
	out.Reset()
	if err := rep.JSON(out); err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(out.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"scenario", "seed", "virtual_s", "wall_s", "events", "kinds", "totals", "expectations", "invariants", "violations", "pending"} {
		if fields[name] == nil {
			t.Errorf("the report has no field %s", name)
		}
	}
}
