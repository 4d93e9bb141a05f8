package stage

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/timeline"
)

const text = `
name: test
about: A test.
duration: 1h
heal: 30m
kinds:
  - {kind: Thing, resources: 40, silence: 2m, unconfirmed: 3m, handoff: strict, groups: {g: 1}}
  - {kind: Rule, resources: 3, heartbeat: false, resync: 1s}
churn:
  - {kind: Thing, create: 1/s, update: 1/s, delete: 1/s}
  - {kind: Thing, at: 1m, burst: 7, over: 1s}
  - kind: Rule
    trace: {file: rows.csv, source: this test, id: id, created: from, deleted: to, time: s, origin: 0}
nodes:
  podsPerNode: 2
  trace: {file: nodes.csv, source: this test, header: false, time: s, at: 1, action: 2, node: 3, add: add, remove: remove}
expect:
  - violations == 0
`

var files = map[string]string{
	"rows.csv":  "id,from,to\na,0,60\nb,10,\n,20,\nb,30,\n",
	"nodes.csv": "0,add,n1\n60,add,n2\n90,remove,n1\n1800,remove,n2\n",
}

func script(t *testing.T, seed uint64) *Script {
	t.Helper()
	sc, err := scenarios.Load("test.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return &Script{Scenario: sc, Seed: timeline.Seed(seed), Open: func(path string) (io.ReadCloser, error) {
		if text, ok := files[path]; ok {
			return io.NopCloser(strings.NewReader(text)), nil
		}
		return nil, fs.ErrNotExist
	}}
}

func operations(t *testing.T, s *Script, kind int) (*Cast, []churn.Op) {
	t.Helper()
	cast, err := s.Cast(&s.Scenario.Kinds[kind])
	if err != nil {
		t.Fatal(err)
	}
	var all []churn.Op
	for op, ok := cast.Generator.Next(); ok && op.At < s.Scenario.Duration; op, ok = cast.Generator.Next() {
		all = append(all, op)
	}
	return cast, all
}

func ids(rows []fleet.Resource) []string {
	var all []string
	for _, r := range rows {
		all = append(all, r.ID)
	}
	return all
}

// TestCast: a seed makes the same table and the same operations again, another
// seed others, and each operation is about rows that are as it needs them.
func TestCast(t *testing.T) {
	cast, ops := operations(t, script(t, 1), 0)
	if len(cast.Initial) != 40 || cast.Initial[0].Group != "g" {
		t.Errorf("%d rows at the start, the first %+v", len(cast.Initial), cast.Initial[0])
	}
	there := map[string]bool{}
	for _, id := range ids(cast.Initial) {
		there[id] = true
	}
	count := map[churn.Verb]int{}
	burst := 0
	for i, op := range ops {
		if i > 0 && op.At < ops[i-1].At || op.At >= 30*time.Minute {
			t.Fatalf("operation %d is at %v", i, op.At)
		}
		if op.At >= time.Minute && op.At <= time.Minute+time.Second && op.Verb == churn.Create {
			burst++
		}
		for _, id := range ids(op.Resources) {
			count[op.Verb]++
			if there[id] != (op.Verb != churn.Create) {
				t.Fatalf("operation %d, verb %v, is about %s, which is there: %v", i, op.Verb, id, there[id])
			}
			there[id] = op.Verb != churn.Delete
		}
	}
	if count[churn.Create] < 1000 || count[churn.Update] < 100 || count[churn.Delete] < 1000 || burst < 7 {
		t.Errorf("rows by verb: %v, %d in the burst's second", count, burst)
	}
	same := func(a, b []churn.Op) bool {
		return slices.EqualFunc(a, b, func(a, b churn.Op) bool {
			return a.At == b.At && a.Verb == b.Verb && slices.Equal(a.Resources, b.Resources)
		})
	}
	if _, again := operations(t, script(t, 1), 0); !same(ops, again) {
		t.Error("the same seed makes other operations")
	}
	if _, other := operations(t, script(t, 2), 0); same(ops, other) {
		t.Error("another seed makes the same operations")
	}
}

// TestTraces: rows and machines come from files, and what is unusable is told of.
func TestTraces(t *testing.T) {
	s := script(t, 1)
	cast, ops := operations(t, s, 1)
	if cast.TraceRows == 0 || cast.TraceRows+cast.SkippedRows != 4 || len(s.Skipped) == 0 || s.Skipped[0].File != "rows.csv" {
		t.Errorf("%d rows used, %d skipped: %+v", cast.TraceRows, cast.SkippedRows, s.Skipped)
	}
	if len(ops) == 0 {
		t.Error("the trace does nothing")
	}
	nodes, err := s.Nodes()
	want := []churn.NodeEvent{{At: 0, Add: true, Node: "n1"}, {At: time.Minute, Add: true, Node: "n2"}, {At: 90 * time.Second, Node: "n1"}}
	if err != nil || !slices.Equal(nodes, want) {
		t.Errorf("machines: %v, %v, want %v: from heal on they stay", nodes, err, want)
	}
}

// TestCountedNodes: machines that are only counted are there from the start, and
// no file is opened for them.
func TestCountedNodes(t *testing.T) {
	s := script(t, 1)
	s.Open = nil
	s.Scenario.Nodes = &scenarios.Nodes{Count: 2, PerNode: 4}
	nodes, err := s.Nodes()
	want := []churn.NodeEvent{{Add: true, Node: "node-0"}, {Add: true, Node: "node-1"}}
	if err != nil || !slices.Equal(nodes, want) {
		t.Errorf("machines: %v, %v, want %v", nodes, err, want)
	}
}

// TestMissingTrace: a file that is not there is told with what it is and how to
// give another path.
func TestMissingTrace(t *testing.T) {
	s := script(t, 1)
	s.Open = func(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }
	_, err := s.Cast(&s.Scenario.Kinds[1])
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "this test") || !strings.Contains(err.Error(), "--set churn.2.trace.file=PATH") {
		t.Errorf("rows: %v", err)
	}
	if _, err := s.Nodes(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "--set nodes.trace.file=PATH") {
		t.Errorf("machines: %v", err)
	}
	s.Open = nil
	if _, err := s.Nodes(); err == nil || !strings.Contains(err.Error(), "may open no files") {
		t.Errorf("without Open: %v", err)
	}
	broken := errors.New("a broken disk")
	s.Open = func(string) (io.ReadCloser, error) { return nil, broken }
	if _, err := s.Nodes(); !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// TestMachine: the core's configuration of a kind is what the scenario says, and
// is valid.
func TestMachine(t *testing.T) {
	s := script(t, 1)
	thing, rule := Machine(&s.Scenario.Kinds[0]), Machine(&s.Scenario.Kinds[1])
	if thing.Kind != "Thing" || thing.Silence != 2*time.Minute || thing.Unconfirmed != 3*time.Minute || thing.Handoff != fleet.HandoffStrict || !thing.Heartbeat {
		t.Errorf("Thing: %+v", thing)
	}
	if rule.Heartbeat || rule.Resync != time.Second || rule.ResyncFloor > rule.Resync {
		t.Errorf("Rule: %+v", rule)
	}
	for _, cfg := range []interface{ Validate() error }{thing, rule} {
		if err := cfg.Validate(); err != nil {
			t.Error(err)
		}
	}
}
