package invariant

import (
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// TestHungIsReplaced measures the outage of what a hung DAC held from the hang
// on, not from the end of its pod.
func TestHungIsReplaced(t *testing.T) {
	c := healthy(fleet.HandoffFast)
	c.Hung(at(20), thing, 1)
	c.Replaced(at(110), thing, 1, false)
	c.Alive(at(112), thing, 1, false) // the pod ends
	c.Running(at(112), thing, 1, "x", false)
	c.Alive(at(118), thing, 1, true)
	c.Reloaded(at(119), thing, 1, 1)
	c.Running(at(120), thing, 1, "x", true)
	c.End(at(300))
	_, total := c.Figures()
	for name, want := range map[string]float64{"recover_time_max": 100, "detection_time_max": 90, "unsettled_end": 0, "violations": 0} {
		if got, _ := metric(total, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// TestHungForEver says that what a hung DAC holds does not run, although it
// stands where it should.
func TestHungForEver(t *testing.T) {
	for _, s := range []struct {
		end        int
		violations uint64
	}{{80, 0}, {200, 1}} {
		c := healthy(fleet.HandoffFast)
		c.Hung(at(20), thing, 1)
		c.Heal(at(30))
		c.End(at(s.end))
		_, total := c.Figures()
		for name, want := range map[string]float64{"recover_time_max": float64(s.end - 20), "unsettled_end": 1} {
			if got, _ := metric(total, name); got != want {
				t.Errorf("ended at %d s: %s = %v, want %v", s.end, name, got, want)
			}
		}
		if got := c.Broken(Settled); got != s.violations {
			t.Errorf("ended at %d s: %d violations, want %d", s.end, got, s.violations)
		}
		if p := c.Pending(); len(p) != 1 || p[0].Count != 1 || !strings.Contains(p[0].Why, "on instance 1, whose DAC hangs") {
			t.Errorf("ended at %d s: pending %+v", s.end, p)
		}
	}
	c := healthy(fleet.HandoffFast)
	c.Hung(at(20), thing, 1)
	c.RowDeleted(at(50), thing, "x")
	c.End(at(60))
	_, total := c.Figures()
	if got, _ := metric(total, "recover_time_max"); got != (30 * time.Second).Seconds() {
		t.Errorf("a row deleted while its DAC hung was out for %v s, want 30", got)
	}
}

// TestHungOverlap says how long a resource may be on two DACs when one of them
// hangs: with fast handoff until it is replaced, with strict not at all.
func TestHungOverlap(t *testing.T) {
	for handoff, want := range map[fleet.Handoff]uint64{fleet.HandoffFast: 0, fleet.HandoffStrict: 1} {
		c := healthy(handoff)
		c.Hung(at(11), thing, 0)
		commit(c, 12, move()...)
		c.Running(at(13), thing, 1, "b", true)
		c.Reloaded(at(13), thing, 1, 2)
		c.Tick(at(60))
		c.Alive(at(90), thing, 0, false)
		for _, id := range []string{"a", "b"} {
			c.Running(at(90), thing, 0, id, false)
		}
		c.Tick(at(120))
		if got := c.Broken(Overlap); got != want {
			t.Errorf("%s handoff: %d violations, want %d", handoff, got, want)
		}
	}
}
