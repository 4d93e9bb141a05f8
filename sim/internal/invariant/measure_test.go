package invariant

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

func metric(f history.Figures, name string) (float64, bool) {
	m, ok := history.ParseMetric(name)
	return f[m], ok
}

func TestFigures(t *testing.T) {
	c := healthy(fleet.HandoffFast) // three rows inserted at 1 s, running at 6 s
	c.Add(thing, history.MovesNeeded, 1)
	c.Raise(thing, history.OrchestrationTimeMax, 2)
	c.Raise(thing, history.OrchestrationTimeMax, 1)

	commit(c, 11, move()...)               // "b" from 0 to 1
	c.Running(at(12), thing, 1, "b", true) // overlaps for 3 s
	c.Running(at(15), thing, 0, "b", false)
	reloadBoth(c, 15)

	c.RowInserted(at(16), thing, fleet.Resource{ID: "late"}) // never placed
	c.RowInserted(at(17), thing, fleet.Resource{ID: "brief"})
	c.RowDeleted(at(19), thing, "brief") // never ran: waited 2 s

	c.Alive(at(20), thing, 1, false) // crashes, is replaced, comes back
	for _, id := range []string{"x", "b"} {
		c.Running(at(20), thing, 1, id, false)
	}
	c.Replaced(at(65), thing, 1, false)
	c.Alive(at(70), thing, 1, true)
	c.Reloaded(at(71), thing, 1, 2)
	c.Running(at(71), thing, 1, "x", true) // recovers after 51 s; "b" never does
	c.Replaced(at(80), thing, 0, true)     // needlessly
	c.Alive(at(81), thing, 0, false)
	c.Replaced(at(200), thing, 0, false) // again, the same pod: counts for nothing

	c.RowDeleted(at(210), thing, "a") // runs on: 90 s at the end
	c.End(at(300))
	c.End(at(400)) // closes nothing twice

	kinds, total := c.Figures()
	if len(kinds) != 1 || kinds[0].Figures != total {
		t.Errorf("the only kind and the total differ:\n%v\n%v", kinds, total)
	}
	for name, want := range map[string]float64{
		"resources": 3, "instances": 2, "resources_created": 5, "resources_deleted": 2,
		"transactions": 2, "instances_created": 0, "moves_needed": 1, "moves_made": 1, "moves_excess": 0,
		"instances_replaced": 2, "instances_replaced_needlessly": 1,
		"resources_unplaced_max": 3, "resources_unplaced_end": 1, "unsettled_end": 2,
		"settle_time_max": 284, "recover_time_max": 280, "overlap_time_max": 3, "detection_time_max": 45,
		"orchestration_time_max": 2, "capacity_used_max": 2.0 / 3, "imbalance_max_end": 1, "violations": 0,
	} {
		if got, ok := metric(total, name); !ok || got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// What the start takes is told apart: rows that were there neither count as
// created nor enter the settle times, nor is it a peak that nothing holds them
// yet.
func TestStart(t *testing.T) {
	c := New(Config{Kinds: []KindConfig{{Kind: thing}}})
	for _, id := range []string{"a", "b", "gone"} {
		c.RowPresent(0, thing, fleet.Resource{ID: id})
	}
	c.RowInserted(at(1), thing, fleet.Resource{ID: "new"})
	c.RowDeleted(at(2), thing, "gone")
	commit(c, 3, fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Used: 3, Capacity: 9, Times: 1, Add: []string{"a", "b", "new"}})
	c.Alive(at(4), thing, 0, true)
	for n, id := range []string{"a", "new", "b"} {
		c.Running(at(5+n), thing, 0, id, true)
	}
	c.Reloaded(at(7), thing, 0, 1)
	commit(c, 8, fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 9})
	c.RowInserted(at(9), thing, fleet.Resource{ID: "later"})
	c.End(at(20))
	_, total := c.Figures()
	for name, want := range map[string]float64{
		"start_time": 7, "resources_created": 2, "resources_deleted": 1, "settle_time_max": 11,
		"resources_unplaced_max": 1, "instances_created": 1, "recover_time_max": 0,
	} {
		if got, ok := metric(total, name); !ok || got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}

	c = New(Config{Kinds: []KindConfig{{Kind: thing}}})
	c.RowPresent(0, thing, fleet.Resource{ID: "a"})
	c.End(at(20))
	if _, total := c.Figures(); total[history.StartTime] != 20 {
		t.Errorf("a start that never ended took %v, want all of the run", total[history.StartTime])
	}
}

// The total's unplaced maximum is that of one moment, and its percentiles come
// from all times together.
func TestFiguresOfSeveralKinds(t *testing.T) {
	const rule fleet.Kind = "Rule"
	c := New(Config{Kinds: []KindConfig{{Kind: thing}, {Kind: rule}}})
	c.RowInserted(at(0), thing, fleet.Resource{ID: "a"})
	c.RowDeleted(at(1), thing, "a")
	for i := range 99 {
		c.RowInserted(at(2), rule, fleet.Resource{ID: fmt.Sprint(i)})
	}
	for i := range 99 {
		c.RowDeleted(at(12), rule, fmt.Sprint(i))
	}
	_, total := c.Figures()
	for name, want := range map[string]float64{"resources_unplaced_max": 99, "settle_time_max": 10} {
		if got, _ := metric(total, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if got := total[history.SettleTimeP50]; got != 10 {
		t.Errorf("settle_time_p50 = %v, want 10: half of all is slower than the one Thing", got)
	}
}

func TestImbalanceComparesInsideGroups(t *testing.T) {
	c := newChecker(fleet.HandoffFast)
	groups := map[string]string{"a1": "a", "a2": "a", "a3": "a", "a4": "a", "b1": "b"}
	for _, id := range []string{"a1", "a2", "a3", "a4", "b1"} {
		c.RowInserted(at(1), thing, fleet.Resource{ID: id, Group: groups[id]})
	}
	commit(c, 2,
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 9, Used: 3, Add: []string{"a1", "a2", "a3"}},
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 9, Used: 1, Add: []string{"a4"}},
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 2, Capacity: 9, Used: 1, Add: []string{"b1"}},
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 3, Capacity: 9})
	c.End(at(3))
	if _, total := c.Figures(); total[history.ImbalanceMaxEnd] != 2 {
		t.Errorf("imbalance_max_end = %v, want 2: group a has 3 and 1", total[history.ImbalanceMaxEnd])
	}
}

func TestPendingGroupsByReason(t *testing.T) {
	c := New(Config{
		Kinds: []KindConfig{{Kind: thing, Handoff: fleet.HandoffFast}},
		Pod: func(_ fleet.Kind, id fleet.InstanceID) string {
			return fmt.Sprintf("Pending (Unschedulable) since %dm", id)
		},
	})
	var ids []string
	for i := 9; i >= 0; i-- {
		id := fmt.Sprintf("Thing-%d", i)
		c.RowInserted(at(10-i), thing, fleet.Resource{ID: id})
		ids = append(ids, id)
	}
	c.Committed(at(20), thing, 1, &fleet.Txn{Epoch: 1, Changes: []fleet.Change{
		{Kind: fleet.ChangeCreate, Instance: 4, Capacity: 9, Used: 7, Add: ids[:7], Times: 1},
		{Kind: fleet.ChangeCreate, Instance: 5, Capacity: 9, Used: 1, Add: ids[7:8], Times: 1},
		{Kind: fleet.ChangeCreate, Instance: 6, Capacity: 9, Used: 1, Add: ids[7:8], Times: 1},
	}})
	c.Running(at(21), thing, 5, "ghost", true)
	c.Running(at(21), thing, 5, ids[6], true)
	c.Running(at(21), thing, 6, ids[6], true)
	c.Running(at(21), thing, 5, ids[5], true)
	want := []history.Pending{
		{Kind: thing, Count: 5, Since: at(1), IDs: []string{"Thing-5", "Thing-6", "Thing-7"},
			Why: "on instance 4, not running; pod of instance 4: Pending (Unschedulable) since 4m; its DAC does not work"},
		{Kind: thing, Count: 2, Since: at(9), IDs: []string{"Thing-0", "Thing-1"}, Why: "not in any instance's list"},
		{Kind: thing, Count: 1, Since: at(21), IDs: []string{"ghost"},
			Why: "never in the database, on no list, but still running on instance 5; pod of instance 5: Pending (Unschedulable) since 5m; its DAC does not work"},
		{Kind: thing, Count: 1, Since: at(7), IDs: []string{"Thing-3"}, Why: "on instance 4, but running on instances 5 and 6"},
		{Kind: thing, Count: 1, Since: at(6), IDs: []string{"Thing-4"},
			Why: "on instance 4, but running on instance 5; pod of instance 4: Pending (Unschedulable) since 4m; its DAC does not work"},
		{Kind: thing, Count: 1, Since: at(8), IDs: []string{"Thing-2"}, Why: "on the lists of instances 5 and 6"},
	}
	for _, p := range c.Pending() {
		found := false
		for _, w := range want {
			found = found || reflect.DeepEqual(p, w)
		}
		if !found {
			t.Errorf("unexpected: %+v", p)
		}
	}
	got := c.Pending()
	if len(got) != len(want) || got[0].Count != 5 || got[1].Count != 2 {
		t.Errorf("%d groups, want %d, the largest first", len(got), len(want))
	}
}

// A row that is inserted again and placed elsewhere has not moved.
func TestANewRowOfAnOldIDHasNotMoved(t *testing.T) {
	c := healthy(fleet.HandoffFast)
	c.RowDeleted(at(11), thing, "x")
	commit(c, 12, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 1, Capacity: 3, Remove: []string{"x"}, Times: 2})
	c.RowInserted(at(13), thing, fleet.Resource{ID: "x"}) // the old one still runs
	commit(c, 14, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 3, Add: []string{"x"}, Times: 2})
	if _, total := c.Figures(); total[history.MovesMade] != 0 || len(c.Violations()) > 0 {
		t.Errorf("moves_made = %v, violations %v; want none", total[history.MovesMade], c.Violations())
	}
}

// A move is one transaction: in its middle nothing is unplaced.
func TestAMoveLeavesNothingUnplaced(t *testing.T) {
	c := New(Config{Kinds: []KindConfig{{Kind: thing}}})
	commit(c, 1, fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 3, Used: 1, Add: []string{"b"}, Times: 1})
	commit(c, 2, fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 3, Times: 1})
	c.RowInserted(at(3), thing, fleet.Resource{ID: "b"})
	removed := move()[1]
	removed.Used = 0
	commit(c, 4, removed, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 1, Capacity: 3, Used: 1, Add: []string{"b"}, Times: 2})
	if _, total := c.Figures(); total[history.ResourcesUnplacedMax] != 0 || len(c.Violations()) > 0 {
		t.Errorf("resources_unplaced_max = %v, violations %v; want none", total[history.ResourcesUnplacedMax], c.Violations())
	}
}

// A tree that others wrote replaces what was known, without a moment in which
// everything looks unplaced.
func TestTreeReplacesWhatWasKnown(t *testing.T) {
	c := healthy(fleet.HandoffFast)
	before, _ := c.Figures()
	c.Tree(at(11), thing, fleet.Tree{Instances: []fleet.TreeInstance{
		{ID: 0, Capacity: 3, Used: 2, IDs: []string{"a", "x"}, Times: 7, Versions: versions(9)},
		{ID: 2, Capacity: 3, Used: 1, IDs: []string{"b"}, Times: 1, Versions: versions(1)},
	}})
	after, _ := c.Figures()
	if before[0].Figures[history.ResourcesUnplacedMax] != after[0].Figures[history.ResourcesUnplacedMax] {
		t.Error("the most unplaced rose by reading a tree")
	}
	if got, want := c.Live(thing), (Live{Resources: 3, Instances: 2, Pending: 2}); got != want {
		t.Errorf("Live = %+v, want %+v", got, want)
	}
	commit(c, 12, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 1, Remove: []string{"x"}, Times: 8, Versions: versions(9)})
	if len(c.Violations()) > 0 {
		t.Errorf("a right transaction on the new tree: %v", c.Violations())
	}
}

func TestAuditNamesWhatDiffers(t *testing.T) {
	c := healthy(fleet.HandoffFast)
	truth := func() Truth {
		return Truth{
			Rows: []fleet.Resource{{ID: "a"}, {ID: "b"}, {ID: "x"}},
			Tree: fleet.Tree{Instances: []fleet.TreeInstance{
				{ID: 0, Capacity: 3, Used: 2, IDs: []string{"a", "b"}, Times: 1},
				{ID: 1, Capacity: 3, Used: 1, IDs: []string{"x"}, Times: 1},
			}},
			Running: map[fleet.InstanceID][]string{0: {"a", "b"}, 1: {"x"}},
		}
	}
	if diffs := c.Audit(at(11), thing, truth()); len(diffs) != 0 {
		t.Errorf("nothing differs, but the audit says %v", diffs)
	}
	for name, change := range map[string]func(*Truth){
		"a row more":          func(w *Truth) { w.Rows = append(w.Rows, fleet.Resource{ID: "c"}) },
		"a row twice":         func(w *Truth) { w.Rows = append(w.Rows, fleet.Resource{ID: "a"}) },
		"a row less":          func(w *Truth) { w.Rows = w.Rows[1:] },
		"an instance more":    func(w *Truth) { w.Tree.Instances = append(w.Tree.Instances, fleet.TreeInstance{ID: 2}) },
		"an instance less":    func(w *Truth) { w.Tree.Instances = w.Tree.Instances[:1] },
		"another used":        func(w *Truth) { w.Tree.Instances[0].Used = 3 },
		"another capacity":    func(w *Truth) { w.Tree.Instances[0].Capacity = 4 },
		"another times":       func(w *Truth) { w.Tree.Instances[0].Times = 2 },
		"another version":     func(w *Truth) { w.Tree.Instances[0].Versions.Reload = 2 },
		"another list":        func(w *Truth) { w.Tree.Instances[0].IDs = []string{"a", "x"} },
		"a DAC less running":  func(w *Truth) { w.Running[1] = nil },
		"another DAC running": func(w *Truth) { w.Running[1] = []string{"x", "a"} },
	} {
		w := truth()
		change(&w)
		if diffs := healthy(fleet.HandoffFast).Audit(at(11), thing, w); len(diffs) == 0 {
			t.Errorf("%s: the audit does not see it", name)
		}
	}
	if c.Broken(Facts) != 0 {
		t.Error("an audit without differences counts a violation")
	}
	if c.Audit(at(12), thing, Truth{}); c.Broken(Facts) != 1 {
		t.Error("an audit with differences counts no violation")
	}
}

// benchWorld is a checker with live resources on 1,000-resource instances, all
// running.
type benchWorld struct {
	c    *Checker
	ids  []string
	txn  fleet.Txn
	now  time.Duration
	next int
}

func newBenchWorld(live int) *benchWorld {
	w := &benchWorld{c: New(Config{Kinds: []KindConfig{{
		Kind: thing, Handoff: fleet.HandoffFast, OverlapBound: time.Minute, ReloadBound: time.Minute, SettleBound: time.Hour, Resources: live,
	}}})}
	for i := range 2 * live {
		w.ids = append(w.ids, fmt.Sprintf("Thing-%07d", i))
	}
	w.c.Heal(0)
	for at := 0; at < live; at += 1000 {
		id := fleet.InstanceID(at / 1000)
		w.c.Alive(0, thing, id, true)
		w.c.Committed(0, thing, 1, &fleet.Txn{Epoch: 1, Changes: []fleet.Change{
			{Kind: fleet.ChangeCreate, Instance: id, Capacity: 5000, Used: 1000, Add: w.ids[at : at+1000], Times: 1}}})
		w.c.Reloaded(0, thing, id, 1)
		for _, r := range w.ids[at : at+1000] {
			w.c.RowInserted(0, thing, fleet.Resource{ID: r})
			w.c.Running(0, thing, id, r, true)
		}
	}
	w.txn = fleet.Txn{Epoch: 1, Changes: make([]fleet.Change, 1)}
	return w
}

// change lets one resource come and another go, through every fact of both.
func (w *benchWorld) change() {
	live := len(w.ids) / 2
	in, out := w.ids[(w.next+live)%len(w.ids)], w.ids[w.next%len(w.ids)]
	by := fleet.InstanceID(w.next % live / 1000)
	w.next++
	w.now += 100 * time.Millisecond
	inst := &w.c.kinds[0].instances[by]
	w.c.RowInserted(w.now, thing, fleet.Resource{ID: in})
	w.c.RowDeleted(w.now, thing, out)
	ch := &w.txn.Changes[0]
	add, remove := append(ch.Add[:0], in), append(ch.Remove[:0], out)
	*ch = fleet.Change{Kind: fleet.ChangeUpdate, Instance: by, Capacity: 5000, Used: 1000, Add: add, Remove: remove,
		Times: inst.times + 1, Versions: inst.versions}
	w.c.Committed(w.now, thing, 1, &w.txn)
	w.c.Reloaded(w.now, thing, by, ch.Times)
	w.c.Running(w.now, thing, by, out, false)
	w.c.Running(w.now, thing, by, in, true)
	w.c.Tick(w.now)
}

func TestFactsDoNotAllocate(t *testing.T) {
	w := newBenchWorld(2000)
	for range 100000 { // until the queues have their size
		w.change()
	}
	if n := testing.AllocsPerRun(10000, w.change); n >= 0.01 {
		t.Errorf("%v allocations a change, want none", n)
	}
	if len(w.c.Violations()) > 0 {
		t.Errorf("a right world breaks %v", w.c.Violations()[0])
	}
}

// BenchmarkChange measures two resource changes, one coming and one going, with
// all their facts, at 100,000 live resources on 100 instances.
func BenchmarkChange(b *testing.B) {
	w := newBenchWorld(100000)
	for b.Loop() {
		w.change()
	}
}
