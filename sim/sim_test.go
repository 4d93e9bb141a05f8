package sim

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/stage"
	"dacorch/sim/internal/world"
)

// load reads a shipped scenario as the command line does.
func load(t testing.TB, name string, set ...string) *scenarios.Scenario {
	t.Helper()
	file := filepath.Join("..", "scenarios", name+".yaml")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var settings []scenarios.Setting
	for _, s := range set {
		setting, err := scenarios.ParseSetting(s)
		if err != nil {
			t.Fatal(err)
		}
		settings = append(settings, setting)
	}
	sc, err := scenarios.Load(file, f, settings...)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func openFile(path string) (io.ReadCloser, error) { return os.Open(path) }

func mustRun(t testing.TB, sc *scenarios.Scenario) *Result {
	t.Helper()
	res, err := Run(sc, Options{Open: openFile})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the trace file is not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// long are the scenarios that take more than a second or two: seconds without
// the race detector, a minute with it.
var long = map[string]bool{"borg-jobs": true, "million": true}

// TestShippedScenarios runs each of them: every expectation is met and nothing
// that must hold breaks.
func TestShippedScenarios(t *testing.T) {
	for _, name := range scenarios.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if long[name] && (raceEnabled || testing.Short()) {
				t.Skip("takes long: run by `make scenarios`")
			}
			sc := load(t, name)
			if sc.On == scenarios.OnWire {
				if _, err := Run(sc, Options{Open: openFile}); !errors.Is(err, ErrOnWire) {
					t.Errorf("Run answers %v, want %v", err, ErrOnWire)
				}
				return
			}
			res := mustRun(t, sc)
			if !res.Report.OK() {
				var b bytes.Buffer
				if err := res.Report.Table(&b, TableOptions{Width: 120}); err != nil {
					t.Fatal(err)
				}
				t.Error(b.String())
			}
		})
	}
}

// TestSameSeedSameTrace runs scenarios that use everything several times.
func TestSameSeedSameTrace(t *testing.T) {
	for _, name := range []string{"first-light", "orchestrator-crash", "providers", "drain-and-maintenance", "kafka-outage"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := load(t, name, "duration=20m", "heal=15m", "orders=[]", "faults=[{at: 3m, for: 1m, orchestrator: crash}, {at: 6m, pod: crash, kind: "+kindOf(t, name)+", count: 2}]")
			want := mustRun(t, sc).Report
			for range 3 {
				if got := mustRun(t, sc).Report; got.Trace != want.Trace || got.Totals != want.Totals || got.Events != want.Events {
					t.Fatalf("the same seed gave %s, then %s", want.Trace, got.Trace)
				}
			}
			sc.Seed++
			if other := mustRun(t, sc).Report; other.Trace == want.Trace {
				t.Error("another seed gave the same trace")
			}
		})
	}
}

func kindOf(t *testing.T, name string) string { return load(t, name).Kinds[0].Kind }

// TestLogTells holds the log to what the core was told and did.
func TestLogTells(t *testing.T) {
	var log bytes.Buffer
	sc := load(t, "first-light", "duration=6m", "heal=5m", "orders=[]")
	if _, err := Run(sc, Options{Log: &log}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"→ led epoch=1", "← commit", "→ committed done", "← create-pod 9: new instance", "→ pod-seen 3 Failed", "← delete-pod 3 uid=", "→ pod-gone 3", "newest with room"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
}

// TestLoadIsNotPlayed says that a run in virtual time tells what it left out.
func TestLoadIsNotPlayed(t *testing.T) {
	rep := mustRun(t, load(t, "first-light", "duration=2m", "heal=1m", "orders=[]", "faults=[]", "load=[{kind: Thing, users: 5}]", "expect=[violations == 0]")).Report
	if !rep.OK() || len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0], "load was not played") {
		t.Errorf("the report is ok %v and notes %q", rep.OK(), rep.Notes)
	}
}

// TestProgressEnds says that whoever watches can end the run.
func TestProgressEnds(t *testing.T) {
	stop := errors.New("enough")
	calls := 0
	_, err := Run(load(t, "steady-churn"), Options{Progress: func(p Progress) error {
		calls++
		if p.Now <= 0 || p.Now > p.Duration || p.Resources == 0 {
			t.Errorf("progress says %+v", p)
		}
		return stop
	}})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("Run answers %v after %d calls, want %v after 1", err, calls, stop)
	}
}

// TestTraceFiles holds the errors of trace files to what a person needs.
func TestTraceFiles(t *testing.T) {
	files := fstest.MapFS{
		"short.csv": {Data: []byte("id,from,to\na,1,5\nb,2,\nbad,x,3\n")},
		"empty.csv": {Data: nil},
	}
	run := func(file string) (*Result, error) {
		sc, err := scenarios.Parse("s.yaml", []byte(`
name: s
about: s
duration: 10m
heal: 5m
kinds: [{kind: Thing, resources: 3}]
churn:
  - {kind: Thing, trace: {file: `+file+`, source: what it is, id: id, created: from, deleted: to, time: s}}
expect: [violations == 0]
`))
		if err != nil {
			t.Fatal(err)
		}
		return Run(sc, Options{Open: func(path string) (io.ReadCloser, error) { return files.Open(path) }})
	}
	res, err := run("short.csv")
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := res.Report.Metric("trace_rows"); v != 2 {
		t.Errorf("%v rows used, want 2", v)
	}
	if s := res.Report.Skipped; len(s) != 1 || s[0].Rows != 1 || !strings.Contains(s[0].Example, "line 4") {
		t.Errorf("skipped %+v, want the one row of line 4", s)
	}
	if v, _ := res.Report.Metric("resources"); v != 4 {
		t.Errorf("%v resources at the end, want the 3 of the start and b", v)
	}
	for file, want := range map[string][]string{
		"missing.csv": {"s.yaml", "missing.csv is not there", "what it is", "--set"},
		"empty.csv":   {"s.yaml", "empty.csv"},
	} {
		_, err := run(file)
		if err == nil {
			t.Errorf("%s: no error", file)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the error does not say %q: %v", file, w, err)
			}
		}
	}
	if _, err := Run(load(t, "stations"), Options{}); err == nil {
		t.Error("a run that may open nothing opened a trace")
	}
}

// TestVocabulariesAgree holds what the scenarios say of defaults and metrics to
// what the models and the report have.
func TestVocabulariesAgree(t *testing.T) {
	sc := load(t, "first-light")
	got, want := worldConfig(sc), world.DefaultConfig()
	got.DAC.Heartbeat = want.DAC.Heartbeat
	if got != want {
		t.Errorf("the scenarios' default latencies are not the models':\n%+v\n%+v", got, want)
	}
	var names []string
	for _, m := range scenarios.Metrics {
		h, ok := history.ParseMetric(m.Name)
		if !ok {
			t.Errorf("metric %s is in the vocabulary, and no report has it", m.Name)
			continue
		}
		if units := map[scenarios.Unit]history.Unit{scenarios.UnitCount: history.Count, scenarios.UnitDuration: history.Seconds, scenarios.UnitRatio: history.Ratio}; units[m.Unit] != h.Unit() {
			t.Errorf("metric %s: %v in the vocabulary, another unit in the report", m.Name, m.Unit)
		}
		names = append(names, m.Name)
	}
	if len(names) != len(history.Metrics()) {
		t.Errorf("%d metrics in the vocabulary, %d in the report", len(names), len(history.Metrics()))
	}
	cfg, def := stage.Machine(&sc.Kinds[0]), reconcile.DefaultConfig("Thing")
	cfg.Limits = def.Limits
	if cfg != def {
		t.Errorf("the scenarios' defaults of a kind are not the core's:\n%+v\n%+v", cfg, def)
	}
}

// TestStreamsAreTheirOwn adds a fault and finds the churn unchanged: each draws
// from a stream of its own.
func TestStreamsAreTheirOwn(t *testing.T) {
	created := func(faults string) [2]float64 {
		r := mustRun(t, load(t, "steady-churn", "duration=20m", "heal=10m", "faults="+faults)).Report
		return [2]float64{r.Totals[history.ResourcesCreated], r.Totals[history.ResourcesDeleted]}
	}
	if a, b := created("[]"), created("[{at: 3m, pod: crash, kind: Thing, count: 3}]"); a != b {
		t.Errorf("rows created and deleted: %v without the fault, %v with it", a, b)
	}
	hits := func(faults string) []string {
		_, log := told(t, "["+faults+"{at: 5m, pod: crash, kind: Thing, count: 2}]")
		return regexp.MustCompile(`(?m)^5m[1-3](?:\.\d+)?s +Thing → pod-seen \d Failed`).FindAllString(log, -1)
	}
	fields := func(lines []string) (out []string) {
		for _, l := range lines {
			out = append(out, l[strings.Index(l, "pod-seen"):])
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	if a, b := fields(hits("")), fields(hits("{at: 3m, pod: crash, kind: Thing, share: 50%}, {at: 2m, for: 1m, mqtt: lose, chance: 10%}, ")); len(a) != 2 || !slices.Equal(a, b) {
		t.Errorf("with other faults beside it a fault hits %v, not %v", b, a)
	}
}
