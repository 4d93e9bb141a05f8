package report_test

import (
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// TestOldestSegmentDeleted says that a recording whose beginning is gone begins
// with what the machine knew there.
func TestOldestSegmentDeleted(t *testing.T) {
	cfg := reconcile.DefaultConfig("Thing")
	m, err := reconcile.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tree := fleet.Tree{ControlVersion: -1, Instances: []fleet.TreeInstance{
		{ID: 0, Capacity: 10, Used: 2, IDs: []string{"a", "b"}}, {ID: 1, Capacity: 10, Used: 1, IDs: []string{"c"}}}}
	rows := []fleet.Resource{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	var digest fleet.Digest
	for _, r := range rows {
		digest.Add(r)
	}
	answers := []reconcile.Command(nil)
	answers = append(answers, m.Step(0, reconcile.Led{Epoch: 1})...)
	for len(answers) > 0 && m.Stage() != reconcile.StageActive {
		c := answers[0]
		answers = answers[1:]
		var ev reconcile.Event
		switch c := c.(type) {
		case reconcile.ReadTree:
			ev = reconcile.TreeRead{Req: c.Req, Tree: tree}
		case reconcile.ListRows:
			ev = reconcile.Listed{Req: c.Req, Rows: rows, Digest: digest}
		case reconcile.ListPods:
			ev = reconcile.PodsListed{Req: c.Req, Pods: []fleet.Pod{{Instance: 0, UID: "u0", Phase: fleet.PhaseRunning}, {Instance: 1, UID: "u1", Phase: fleet.PhaseRunning}}}
		default:
			continue
		}
		answers = append(answers, m.Step(time.Second, ev)...)
	}
	if m.Stage() != reconcile.StageActive {
		t.Fatalf("the machine is %v: the test's answers do not start it", m.Stage())
	}

	tp := newTape("Thing")
	tp.header.Segment = 3
	tp.entries = append(tp.entries, recording.Entry{At: time.Hour, Snapshot: m.Snapshot(nil)})
	tp.commit(time.Hour+time.Second, 9, fleet.OutcomeDone,
		fleet.Change{Instance: 0, Capacity: 10, Used: 1, Remove: []string{"a"}},
		fleet.Change{Instance: 1, Capacity: 10, Used: 2, Add: []string{"a"}})
	s := read(t, tp)
	if k := s.Kinds[0]; k.Resources != 3 || k.Instances != 2 || k.Moves != 1 {
		t.Errorf("%d resources on %d instances, %d moves, want 3 on 2 and 1", k.Resources, k.Instances, k.Moves)
	}
	if len(s.Problems) != 1 {
		t.Errorf("problems %q, want that what was before has been deleted", s.Problems)
	}
	if s.From != time.Hour {
		t.Errorf("the story begins at %v, want 1h", s.From)
	}
}
