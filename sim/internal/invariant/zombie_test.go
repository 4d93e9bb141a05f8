package invariant

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// confirming is the healthy base of a kind whose orchestrator promises to replace
// who leaves a list unconfirmed for a minute, as it sees every 10 s. The bound of
// what is to settle is a minute too, so a zombie must be gone after 190 s.
func confirming(handoff fleet.Handoff) *Checker {
	c := healthy(handoff)
	c.kinds[0].cfg.Unconfirmed, c.kinds[0].cfg.Monitor = time.Minute, 10*time.Second
	return c
}

// ticks looks at deadlines every second, as a run does.
func ticks(c *Checker, from, to int) {
	for s := from; s <= to; s++ {
		c.Tick(at(s))
	}
}

// moveStarted moves "b" from 0, whose DAC does nothing, to 1, which runs it.
func moveStarted(c *Checker, seconds int) {
	commit(c, seconds, move()...)
	c.Running(at(seconds), thing, 1, "b", true)
	c.Reloaded(at(seconds), thing, 1, 2)
}

// TestZombies demands of the orchestrator that it finds who does nothing, from
// the moment on when that can be found, and no more.
func TestZombies(t *testing.T) {
	unwell := func(c *Checker) { c.Alive(at(15), thing, 1, false) }
	for _, s := range []struct {
		name   string
		facts  func(c *Checker) // until 30 s
		end    int
		breaks uint64
		reason string
	}{
		{"its list stays: it runs what it should", func(*Checker) {}, 5000, 0, ""},
		{"its list changes: found in time", func(c *Checker) { moveStarted(c, 30) }, 219, 0, ""},
		{"a core that never replaces it", func(c *Checker) { moveStarted(c, 30) }, 221, 1, "does nothing but send heartbeats since 20s"},
		{"a core that never replaces it, long after", func(c *Checker) { moveStarted(c, 30) }, 400, 2, "its list is another since 30s"},
		{"the second time it may take twice as long", func(c *Checker) {
			c.Replaced(at(29), thing, 0, false)
			moveStarted(c, 30)
		}, 339, 0, ""},
		{"and no more", func(c *Checker) {
			c.Replaced(at(29), thing, 0, false)
			moveStarted(c, 30)
		}, 341, 1, "was not replaced within 5m10s"},
		{"nobody is judged", func(c *Checker) {
			c.kinds[0].cfg.Unconfirmed = 0
			moveStarted(c, 30)
		}, 5000, 0, ""},
		{"too many are unwell: people must act", func(c *Checker) {
			unwell(c)
			c.Alarm(at(25), thing, 1, "mass-unconfirmed", true)
			moveStarted(c, 30)
		}, 5000, 0, ""},
		{"an alarm without a reason excuses nobody", func(c *Checker) {
			c.Alarm(at(25), thing, 1, "mass-unconfirmed", true)
			moveStarted(c, 30)
		}, 221, 1, "was not replaced"},
		{"another alarm excuses nobody", func(c *Checker) {
			unwell(c)
			c.Alarm(at(25), thing, 1, "no-room", true)
			moveStarted(c, 30)
		}, 221, 1, "was not replaced"},
		{"maintenance excuses", func(c *Checker) {
			c.Alarm(at(25), thing, 1, "maintenance", true)
			moveStarted(c, 30)
		}, 5000, 0, ""},
		{"the alarm of an older leader is none", func(c *Checker) {
			c.Leads(at(22), thing, 2)
			c.Alarm(at(25), thing, 1, "maintenance", true)
			moveStarted(c, 30)
		}, 221, 1, "was not replaced"},
		{"nor is that of the leader before", func(c *Checker) {
			c.Alarm(at(21), thing, 1, "maintenance", true)
			c.Leads(at(22), thing, 2)
			moveStarted(c, 30)
		}, 221, 1, "was not replaced"},
		{"an alarm ends: the time begins anew", func(c *Checker) {
			c.Alarm(at(25), thing, 1, "maintenance", true)
			commit(c, 26, move()...)
			c.Running(at(26), thing, 1, "b", true)
			c.Alarm(at(30), thing, 1, "maintenance", false)
		}, 219, 0, ""},
		{"it hangs now, and sends nothing", func(c *Checker) { c.Hung(at(30), thing, 0) }, 92, 1, "hangs since 20s"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := confirming(fleet.HandoffFast)
			c.Heal(at(12))
			c.Zombie(at(20), thing, 0)
			s.facts(c)
			ticks(c, 31, s.end)
			c.kinds[0].recs[c.kinds[0].index["x"]].overdue = true // of the one that is unwell
			if got := c.Broken(Settled); got != s.breaks || s.breaks > 0 && !strings.Contains(fmt.Sprint(c.Violations()), s.reason) {
				t.Errorf("%d violations, want %d with %q: %v", got, s.breaks, s.reason, c.Violations())
			}
		})
	}
}

// TestZombiesThatConfirmedNothing are found only where others tell that DACs of
// the kind confirm at all.
func TestZombiesThatConfirmedNothing(t *testing.T) {
	for _, others := range []int{0, 1} {
		c := confirming(fleet.HandoffFast)
		c.Heal(at(12))
		for id := range fleet.InstanceID(2) {
			if int(id) >= others {
				c.Alive(at(13), thing, id, false)
				c.Alive(at(14), thing, id, true)
				c.Zombie(at(15), thing, id)
			}
		}
		ticks(c, 16, 300)
		if got := c.Broken(Settled); got != uint64(others) {
			t.Errorf("%d others have confirmed: %d violations: %v", others, got, c.Violations())
		}
	}
}

// TestStrictHandoffWaitsForZombies: what has left the list of one that does nothing
// waits for its end, and nobody can demand it earlier.
func TestStrictHandoffWaitsForZombies(t *testing.T) {
	for _, s := range []struct {
		replaced int
		breaks   uint64
	}{{150, 0}, {0, 2}} {
		c := confirming(fleet.HandoffStrict)
		c.Heal(at(12))
		c.Zombie(at(20), thing, 0)
		commit(c, 30, move()[1])
		ticks(c, 31, 149)
		if got := c.Broken(Settled); got != 0 {
			t.Errorf("%d violations while it can still be found: %v", got, c.Violations())
		}
		if s.replaced > 0 {
			c.Replaced(at(s.replaced), thing, 0, false)
			c.Alive(at(151), thing, 0, false)
			c.Running(at(151), thing, 0, "a", false)
			c.Running(at(151), thing, 0, "b", false)
			c.PodGone(at(151), thing, 0, "uid-0")
			commit(c, 152, move()[0])
			c.Running(at(153), thing, 1, "b", true)
			c.PodCreated(at(152), thing, 0, "uid-2")
			c.Alive(at(155), thing, 0, true)
			c.Reloaded(at(155), thing, 0, 2)
			c.Running(at(155), thing, 0, "a", true)
		}
		ticks(c, 156, 290)
		if got := c.Broken(Settled); got != s.breaks {
			t.Errorf("replaced at %d s: %d violations, want %d: %v", s.replaced, got, s.breaks, c.Violations())
		}
	}
}

// TestZombieFigures: what a zombie runs is run until its list changes.
func TestZombieFigures(t *testing.T) {
	c := confirming(fleet.HandoffFast)
	c.Zombie(at(20), thing, 1)
	c.Tick(at(50))
	if p := c.Pending(); len(p) != 0 {
		t.Errorf("pending %+v: nothing is wrong", p)
	}
	commit(c, 60, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 1, Capacity: 4, Used: 2, Add: []string{"z"}, Times: 2, Versions: versions(0)})
	if p := c.Pending(); len(p) != 2 || !strings.Contains(fmt.Sprint(p), "its DAC does nothing but send heartbeats since 20s") {
		t.Errorf("pending %+v: want what it runs and what it does not", p)
	}
	c.Replaced(at(150), thing, 1, false)
	c.End(at(160))
	_, total := c.Figures()
	for name, want := range map[string]float64{"recover_time_max": 100, "detection_time_max": 90, "unsettled_end": 1} {
		if got, _ := metric(total, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}
