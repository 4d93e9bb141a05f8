package invariant

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// Only what a failure took down has to recover; nobody's owning it is counted in
// any case.
func TestRecoveredOrHandedOver(t *testing.T) {
	stop := func(c *Checker) { c.Running(at(20), thing, 1, "x", false) }
	for _, s := range []struct {
		name    string
		facts   func(*Checker)
		recover float64
	}{
		{"handed over", stop, 0},
		{"its DAC fails first", func(c *Checker) { c.Alive(at(20), thing, 1, false); stop(c) }, 40},
		{"its DAC's end is told after it", func(c *Checker) { stop(c); c.Alive(at(21), thing, 1, false) }, 40},
		{"its DAC fails later", func(c *Checker) { stop(c); c.Alive(at(22), thing, 1, false) }, 0},
		{"its DAC comes and goes", func(c *Checker) {
			stop(c)
			c.Alive(at(21), thing, 1, false)
			c.Alive(at(25), thing, 1, true)
			c.Reloaded(at(25), thing, 1, 1)
			c.Alive(at(30), thing, 1, false)
		}, 40},
	} {
		c := healthy(fleet.HandoffFast)
		s.facts(c)
		c.Running(at(60), thing, 0, "x", true)
		c.End(at(70))
		_, total := c.Figures()
		for name, want := range map[string]float64{"recover_time_max": s.recover, "unowned_time_p50": 40, "unowned_time_p99": 40, "unowned_time_max": 40} {
			if got, _ := metric(total, name); got != want {
				t.Errorf("%s: %s = %v, want %v", s.name, name, got, want)
			}
		}
	}
}

// An order repeated for the same pod is one replacement; one that works but is cut
// off is detected from then on.
func TestReplacementsAndDetection(t *testing.T) {
	c := healthy(fleet.HandoffFast)
	c.Disturbed(at(20), thing, 0, true, "its machine cannot be reached")
	c.Replaced(at(110), thing, 0, false)
	c.Replaced(at(111), thing, 0, true) // by another that believes to lead
	c.PodDeleted(at(111), thing, 0, "uid-0")
	c.PodGone(at(112), thing, 0, "uid-0")
	c.PodCreated(at(113), thing, 0, "uid-2")
	c.Replaced(at(200), thing, 0, true) // the new pod
	c.Alive(at(210), thing, 1, false)
	c.Replaced(at(220), thing, 1, false)
	_, total := c.Figures()
	for name, want := range map[string]float64{
		"instances_replaced": 3, "instances_replaced_needlessly": 1,
		"detection_time_p50": 10, "detection_time_p99": 90, "detection_time_max": 90,
	} {
		if got, _ := metric(total, name); got < want || got > want*1.01 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

func TestImbalanceMean(t *testing.T) {
	c := healthy(fleet.HandoffFast)                                                                                                   // 2 and 1 from the start at 5 s on
	commit(c, 15, fleet.Change{Kind: fleet.ChangeCreate, Instance: 2, Capacity: 3})                                                   // 2, 1, 0: twice the mean
	commit(c, 20, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 2, Capacity: 3, Times: 1, Used: 1, Add: []string{"b"}}, move()[1]) // 1, 1, 1
	c.End(at(25))
	_, total := c.Figures()
	if got, want := total[history.ImbalanceMean], (10*(1/1.5)+5*2.0)/20; got < want-1e-9 || got > want+1e-9 {
		t.Errorf("imbalance_mean = %v, want %v (%v)", got, want, c.Violations())
	}
}

// TestSlowestSayWhy holds causes to sentences that a person can act on.
func TestSlowestSayWhy(t *testing.T) {
	var asked []string
	c := New(Config{
		Kinds: []KindConfig{{Kind: thing, Handoff: fleet.HandoffFast, OverlapBound: time.Minute, ReloadBound: time.Minute}},
		Pod:   func(fleet.Kind, fleet.InstanceID) string { return "Pending (Unschedulable)" },
		Why: func(_ fleet.Kind, id string, in fleet.InstanceID, from, to time.Duration) string {
			asked = append(asked, fmt.Sprintf("%s %d %v %v", id, in, from, to))
			if id == "new" && from == at(10) {
				return "the orchestrator was down from 10s to 30s"
			}
			return ""
		},
	})
	c.RowInserted(at(1), thing, fleet.Resource{ID: "a"})
	c.RowInserted(at(10), thing, fleet.Resource{ID: "new"})
	commit(c, 40, fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 9, Used: 2, Add: []string{"a", "new"}, Times: 1})
	c.RowInserted(at(50), thing, fleet.Resource{ID: "never"})
	c.Tick(at(60))
	c.Alive(at(100), thing, 0, true)
	c.Reloaded(at(102), thing, 0, 1)
	c.Running(at(102), thing, 0, "a", true)
	c.Running(at(102), thing, 0, "new", true)
	c.Disturbed(at(110), thing, 0, true, "cut off from ZooKeeper")
	c.RowDeleted(at(120), thing, "a")
	commit(c, 130, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 9, Used: 1, Remove: []string{"a"}, Times: 2})
	c.Running(at(150), thing, 0, "a", false)
	c.Disturbed(at(150), thing, 0, false, "cut off from ZooKeeper")
	c.Alive(at(160), thing, 0, false)
	c.Running(at(160), thing, 0, "new", false)
	c.Alive(at(170), thing, 0, true)
	c.Running(at(171), thing, 0, "new", true)
	c.End(at(200))
	want := []string{
		`never settle 50s 2m30s true -1 not in any instance's list`,
		`a settle 1s 1m41s false 0 on no list for 39s, then on instance 0's; the DAC of instance 0 worked 1m0s later, its pod before that: Pending (Unschedulable); 2s until instance 0 ran it`,
		`new settle 10s 1m32s false 0 on no list for 30s, then on instance 0's; the DAC of instance 0 worked 1m0s later, its pod before that: Pending (Unschedulable); 2s until instance 0 ran it; the orchestrator was down from 10s to 30s`,
		`a delete 2m0s 30s false -1 on a list for 10s; 20s until the DAC of instance 0 let it go`,
		`new recover 2m40s 11s false 0 the DAC of instance 0 stopped working; the DAC of instance 0 worked 10s later; 1s until instance 0 ran it`,
	}
	var got []string
	for _, s := range c.Slowest() {
		got = append(got, fmt.Sprintf("%s %s %v %v %v %d %s", s.Resource, s.What, s.From, s.Took, s.Open, s.Instance, s.Why))
	}
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("the slowest are\n%s\nwant\n%s", a, b)
	}
	if len(asked) != len(want) || asked[2] != "new 0 10s 1m42s" {
		t.Errorf("the caller was asked about %q", asked)
	}
}

// What disturbed an instance is among the causes of what it was slow in.
func TestSlowestNameDisturbances(t *testing.T) {
	for name, disturb := range map[string]func(c *Checker, seconds int, on bool){
		"one": func(c *Checker, s int, on bool) { c.Disturbed(at(s), thing, 0, on, "slow start") },
		"all": func(c *Checker, s int, on bool) { c.DisturbedAll(at(s), "", on, "slow start") },
	} {
		c := healthy(fleet.HandoffFast)
		disturb(c, 11, true)
		c.RowInserted(at(12), thing, fleet.Resource{ID: "new"})
		commit(c, 13, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 3, Add: []string{"new"}, Times: 2})
		disturb(c, 50, false)
		c.Running(at(52), thing, 0, "new", true)
		if why := c.Slowest()[0].Why; why != "on no list for 1s, then on instance 0's; 39s until instance 0 ran it; instance 0 was disturbed: slow start" {
			t.Errorf("%s: %q", name, why)
		}
	}
}

func TestSlowestAreBounded(t *testing.T) {
	c := newChecker(fleet.HandoffFast)
	for i := range 1000 {
		id := fmt.Sprintf("Thing-%03d", i)
		c.RowInserted(at(i), thing, fleet.Resource{ID: id})
	}
	c.End(at(1000))
	all := c.Slowest()
	if len(all) != keptSlow || all[0].Resource != "Thing-000" || all[keptSlow-1].Took != 991*time.Second {
		t.Errorf("%d kept: %+v", len(all), all)
	}
	d := c.Distributions()
	if len(d) != 1 || d[0].Measure != "settle_time" || d[0].BoundsS[len(d[0].BoundsS)-1] != 1000 {
		t.Errorf("distributions %+v", d)
	}
}
