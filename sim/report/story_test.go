package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/sim/internal/history"
	"dacorch/sim/report"
)

// tape is a segment in memory.
type tape struct {
	header  recording.Header
	entries []recording.Entry
	err     error // at its end; nil: io.EOF
}

func (t *tape) Header() recording.Header { return t.header }

func (t *tape) Next() (recording.Entry, error) {
	if len(t.entries) == 0 {
		if t.err != nil {
			return recording.Entry{}, t.err
		}
		return recording.Entry{}, io.EOF
	}
	e := t.entries[0]
	t.entries = t.entries[1:]
	return e, nil
}

func newTape(kinds ...fleet.Kind) *tape {
	t := &tape{header: recording.Header{Program: "dacorch test"}}
	for _, k := range kinds {
		t.header.Kinds = append(t.header.Kinds, recording.Kind{Config: reconcile.DefaultConfig(k)})
	}
	return t
}

func (t *tape) event(at time.Duration, ev reconcile.Event) {
	t.entries = append(t.entries, recording.Entry{At: at, Event: ev})
}

func (t *tape) commands(at time.Duration, c ...reconcile.Command) {
	t.entries = append(t.entries, recording.Entry{At: at, Commands: c})
}

// commit is a transaction and its answer.
func (t *tape) commit(at time.Duration, id uint64, outcome fleet.Outcome, changes ...fleet.Change) {
	t.commands(at, reconcile.Commit{Txn: &fleet.Txn{ID: id, Changes: changes}})
	t.event(at+time.Millisecond, reconcile.Committed{Txn: id, Outcome: outcome})
}

func read(t *testing.T, tapes ...*tape) *report.Story {
	t.Helper()
	story, err := report.Read(rows(tapes...)...)
	if err != nil {
		t.Fatal(err)
	}
	return story
}

// rows has a row for each tape.
func rows(tapes ...*tape) []iter.Seq2[report.Source, error] {
	var out []iter.Seq2[report.Source, error]
	for _, tp := range tapes {
		out = append(out, func(yield func(report.Source, error) bool) { yield(tp, nil) })
	}
	return out
}

func page(t *testing.T, s *report.Story) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("r%04d", i)
	}
	return out
}

// day is a recording with a bit of everything: two instances start, a row comes
// and goes, one moves, a pod fails and is replaced, a channel is down.
func day() *tape {
	tp := newTape("Thing")
	tp.event(0, reconcile.Led{Epoch: 1})
	tp.event(0, reconcile.TreeRead{})
	tp.commit(time.Second, 1, fleet.OutcomeDone,
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 10, Used: 2, Add: []string{"a", "b"}},
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 10})
	for i := range 2 {
		tp.event(2*time.Second, reconcile.PodSeen{Pod: fleet.Pod{Instance: fleet.InstanceID(i), UID: fmt.Sprint("u", i), Phase: fleet.PhaseRunning}})
	}
	tp.event(10*time.Second, reconcile.Notified{Note: &fleet.Notification{Op: fleet.OpCreate, Table: "Thing", Resources: []fleet.Resource{{ID: "c"}}}})
	tp.event(11*time.Second, reconcile.NotificationChannel{})
	tp.commit(14*time.Second, 2, fleet.OutcomeDone, fleet.Change{Instance: 1, Capacity: 10, Used: 1, Add: []string{"c"}})
	tp.event(20*time.Second, reconcile.NotificationChannel{Up: true})
	tp.commit(30*time.Second, 3, fleet.OutcomeDone,
		fleet.Change{Instance: 0, Capacity: 10, Used: 1, Remove: []string{"b"}},
		fleet.Change{Instance: 1, Capacity: 10, Used: 2, Add: []string{"b"}})
	tp.commit(31*time.Second, 4, fleet.OutcomeConflict, fleet.Change{Instance: 0, Capacity: 10, Used: 9, Add: []string{"z"}})
	tp.event(40*time.Second, reconcile.PodSeen{Pod: fleet.Pod{Instance: 1, UID: "u1", Phase: fleet.PhaseFailed}})
	tp.commands(40*time.Second, reconcile.DeletePod{Instance: 1, UID: "u1", Why: "Failed (Error)"},
		reconcile.Alarm{Code: "instance-down-1", On: true, Text: "it is down"}, reconcile.Note{Instance: 1, Text: "failed"})
	tp.event(41*time.Second, reconcile.PodGone{Instance: 1, UID: "u1"})
	tp.event(45*time.Second, reconcile.PodSeen{Pod: fleet.Pod{Instance: 1, UID: "u2", Phase: fleet.PhaseRunning}})
	tp.commands(45*time.Second, reconcile.Alarm{Code: "instance-down-1"})
	tp.event(50*time.Second, reconcile.Notified{Note: &fleet.Notification{Op: fleet.OpDelete, Table: "Thing", Resources: []fleet.Resource{{ID: "a"}}}})
	tp.commit(51*time.Second, 5, fleet.OutcomeDone, fleet.Change{Instance: 0, Capacity: 10, Remove: []string{"a"}})
	tp.event(60*time.Second, reconcile.Ordered{Req: 7, Order: reconcile.Drain{Instance: 0}})
	tp.commands(61*time.Second, reconcile.Reply{Req: 7, Err: "no room"})
	return tp
}

// TestStory holds what a recording of production tells to what happened.
func TestStory(t *testing.T) {
	s := read(t, day())
	k := s.Kinds[0]
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"resources", k.Resources, 2},
		{"unplaced at most", k.UnplacedMax, 1},
		{"instances", k.Instances, 2},
		{"transactions", k.Transactions, 4},
		{"conflicts", k.Conflicts, 1},
		{"moves", k.Moves, 1},
		{"replaced", k.Replaced, 1},
		{"alarms", k.Alarms, 1},
		{"refused", k.Refused, 1},
		{"settled", s.Settle.Count(), 2},
		{"slowest", s.Slowest[0].For, 4*time.Second + time.Millisecond},
		{"its cause", s.Slowest[0].Cause, "meanwhile: notifications down"},
		{"back after", s.Replacements[0].Back, 5 * time.Second},
		{"down", s.Lanes[1].Down, 5 * time.Second},
		{"simulated", s.Simulated(), false},
		{"ended", s.Ended, false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	var bands []string
	for _, b := range s.Bands {
		bands = append(bands, fmt.Sprintf("%s %v-%v", b.Name, b.From, b.To))
	}
	if got, want := strings.Join(bands, "; "), "notifications down 11s-20s; instance-down 40s-45s; drain 0 1m0s-1m0s"; got != want {
		t.Errorf("bands %s, want %s", got, want)
	}
	var worst report.State
	for _, c := range s.Lanes[1].Cells {
		worst = max(worst, c.State)
	}
	if worst != report.Failed {
		t.Errorf("the worst that instance 1 shows is %v, want failed", worst)
	}
}

// TestUnseenTransaction says that what a crash hid, the next reading of
// ZooKeeper shows: its moves count.
func TestUnseenTransaction(t *testing.T) {
	tp := day()
	tp.commands(70*time.Second, reconcile.Commit{Txn: &fleet.Txn{ID: 6, Changes: []fleet.Change{
		{Instance: 1, Capacity: 10, Used: 1, Remove: []string{"b"}}, {Instance: 0, Capacity: 10, Used: 1, Add: []string{"b"}}}}})
	tp.entries = append(tp.entries, recording.Entry{At: 71 * time.Second, Restarted: true})
	tp.event(72*time.Second, reconcile.TreeRead{Tree: fleet.Tree{Instances: []fleet.TreeInstance{
		{ID: 0, Capacity: 10, IDs: []string{"b"}}, {ID: 1, Capacity: 10, IDs: []string{"c"}}}}})
	if s := read(t, tp); s.Kinds[0].Moves != 2 || s.Kinds[0].Restarts != 1 {
		t.Errorf("%d moves and %d restarts, want 2 and 1", s.Kinds[0].Moves, s.Kinds[0].Restarts)
	}
}

// TestRowsSideBySide says that each kind's recording of one process is read in
// the order of time, whichever began first.
func TestRowsSideBySide(t *testing.T) {
	began := time.Date(2026, 11, 22, 22, 50, 0, 0, time.UTC)
	thing, rule := day(), newTape("Rule")
	thing.header.Began, rule.header.Began = began.Add(time.Second), began
	rule.event(0, reconcile.Led{Epoch: 1})
	rule.commands(90*time.Second, reconcile.Note{Instance: fleet.NoInstance, Text: "last"})
	s := read(t, thing, rule)
	if len(s.Kinds) != 2 || s.To != 90*time.Second || !s.Began.Equal(began) {
		t.Fatalf("%d kinds from %v until %v, want 2 from %v until 1m30s", len(s.Kinds), s.Began, s.To, began)
	}
	if at := s.Replacements[0].At; at != 41*time.Second {
		t.Errorf("replaced at %v, want 41s after the earliest began", at)
	}
	if html := page(t, s); !strings.Contains(html, "2026-11-22 22:50:00 to 22:51:30 UTC") {
		t.Error("the page does not say when it was by the wall clock")
	}
}

// TestCutOff says that what can be read is told, with the reason that it ends.
func TestCutOff(t *testing.T) {
	tp := day()
	tp.err = errors.New("the disk was full")
	s := read(t, tp)
	if len(s.Problems) != 1 || !strings.Contains(s.Problems[0], "the disk was full") {
		t.Errorf("problems %q", s.Problems)
	}
	if s.Kinds[0].Moves != 1 {
		t.Error("what stands before the end is not told")
	}
	if _, err := report.Read(rows(&tape{err: errors.New("no disk")})...); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("a recording without entries: %v", err)
	}
	if _, err := report.Read(); err == nil {
		t.Error("no recording at all makes a story")
	}
}

// TestOwnReport says that a simulation's report and marks come before what is
// derived.
func TestOwnReport(t *testing.T) {
	rep := &history.Report{
		Scenario: "a-run", Seed: 7, VirtualS: 120, Trace: "sha256:abc",
		Expectations: []history.Expectation{{Text: "moves_made == 0", Shown: "moves_made = 1", Value: 1}},
		Invariants:   []history.InvariantCount{{Name: "one-owner", Broken: 2}},
		Violations:   []history.Violation{{At: time.Second, Kind: "Thing", Invariant: "one-owner", Reason: "stands twice"}},
		Slowest:      []history.Slow{{Kind: "Thing", Resource: "slow-one", What: "settle", Took: time.Minute, Why: "its pod was down"}},
		Distributions: []history.Distribution{
			{Kind: "Thing", Measure: "settle_time", BoundsS: []float64{1, 60}, Counts: []uint64{10, 1}}},
	}
	rep.Totals[history.SettleTimeMax] = 60
	var text bytes.Buffer
	if err := rep.JSON(&text); err != nil {
		t.Fatal(err)
	}
	tp := day()
	tp.entries = append(tp.entries, recording.Entry{At: 100 * time.Second, Closing: &recording.Closing{Report: json.RawMessage(text.Bytes())}})
	s := read(t, tp)
	if s.To != 2*time.Minute || !s.Ended || s.Settle.Count() != 11 || s.Settle.Max() != time.Minute || s.Slowest[0].Resource != "slow-one" {
		t.Errorf("until %v, ended %t, %d settled, at most %v, slowest %+v", s.To, s.Ended, s.Settle.Count(), s.Settle.Max(), s.Slowest[0])
	}
	html := page(t, s)
	for _, want := range []string{"✗ FAIL", "a-run", "0 of 1 expectation met, 2 violations.", "stands twice", "its pod was down", "sha256:abc", "✗ not met"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
