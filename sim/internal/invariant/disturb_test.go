package invariant

import (
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
)

// story is facts on top of the healthy base, and the one invariant that they
// break once, with a part of its reason; invariantCount: none.
type story struct {
	name    string
	handoff fleet.Handoff
	facts   func(*Checker)
	breaks  Invariant
	reason  string
}

func tell(t *testing.T, stories []story) {
	t.Helper()
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			c := healthy(s.handoff)
			s.facts(c)
			for inv := range invariantCount {
				want := uint64(0)
				if inv == s.breaks {
					want = 1
				}
				if got := c.Broken(inv); got != want {
					t.Errorf("%s broke %d times, want %d: %v", inv, got, want, c.Violations())
				}
			}
			for _, v := range c.Violations() {
				if !strings.Contains(v.Reason, s.reason) {
					t.Errorf("%s: %q, want a reason with %q", v.Invariant, v.Reason, s.reason)
				}
			}
		})
	}
}

// What is suspended while a DAC is disturbed starts anew when that ends, and
// nothing else is suspended.
func TestDisturbed(t *testing.T) {
	const cut = "cut off from ZooKeeper"
	tell(t, []story{
		{"no reload while disturbed", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 1, true, cut)
			commit(c, 12, move()...)
			c.Reloaded(at(13), thing, 0, 2)
			c.Tick(at(500))
		}, invariantCount, ""},
		{"a reload owed before is not demanded meanwhile", fleet.HandoffFast, func(c *Checker) {
			commit(c, 12, move()...)
			c.Reloaded(at(13), thing, 0, 2)
			c.Disturbed(at(14), thing, 1, true, cut)
			c.Tick(at(500))
		}, invariantCount, ""},
		{"the reload's bound starts anew", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 1, true, cut)
			commit(c, 12, move()...)
			c.Reloaded(at(13), thing, 0, 2)
			c.Disturbed(at(100), thing, 1, false, cut)
			c.Tick(at(120))
			c.Reloaded(at(120), thing, 1, 2)
			c.Tick(at(500))
		}, invariantCount, ""},
		{"and breaks when it has passed", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 1, true, cut)
			commit(c, 12, move()...)
			c.Reloaded(at(13), thing, 0, 2)
			c.Disturbed(at(100), thing, 1, false, cut)
			c.Tick(at(121))
		}, ReloadReaches, "instance 1 is healthy, but has not applied _reload times 2, there since 1m40s"},
		{"of what it owed before the disturbance, too", fleet.HandoffFast, func(c *Checker) {
			commit(c, 12, move()...)
			c.Reloaded(at(13), thing, 0, 2)
			c.DisturbedAll(at(14), "", true, cut)
			c.DisturbedAll(at(15), "", false, cut)
			c.Tick(at(33)) // the bound from the commit on is void
			c.Tick(at(36))
		}, ReloadReaches, "there since 15s"},
		{"what is applied already is not owed again", fleet.HandoffFast, func(c *Checker) {
			c.DisturbedAll(at(14), thing, true, cut)
			commit(c, 15, move()...)
			reloadBoth(c, 16)
			c.DisturbedAll(at(20), thing, false, cut)
			c.Tick(at(500))
		}, invariantCount, ""},
		{"disturbances nest", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 1, true, cut)
			c.DisturbedAll(at(11), thing, true, "ZooKeeper down")
			c.Disturbed(at(12), thing, 1, true, "slow start")
			commit(c, 13, move()...)
			c.Reloaded(at(14), thing, 0, 2)
			c.DisturbedAll(at(50), thing, false, "ZooKeeper down")
			c.Disturbed(at(60), thing, 1, false, cut)
			c.Tick(at(99))
			c.Disturbed(at(100), thing, 1, false, "slow start")
			c.Tick(at(121))
		}, ReloadReaches, "there since 1m40s"},
		{"one that comes to work meanwhile owes its list afterwards", fleet.HandoffFast, func(c *Checker) {
			c.Alive(at(11), thing, 1, false)
			c.DisturbedAll(at(12), thing, true, cut)
			c.Alive(at(13), thing, 1, true)
			c.Tick(at(90))
			c.DisturbedAll(at(100), thing, false, cut)
			c.Tick(at(121))
		}, ReloadReaches, "(applied: none)"},
		{"one that works no more owes nothing", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 1, true, cut)
			commit(c, 12, move()...)
			c.Reloaded(at(13), thing, 0, 2)
			c.Hung(at(14), thing, 1)
			c.Disturbed(at(20), thing, 1, false, cut)
			c.Tick(at(500))
		}, invariantCount, ""},
		{"an overlap with one that is disturbed", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 0, true, cut)
			c.Running(at(12), thing, 1, "b", true)
			c.Tick(at(200))
			c.Running(at(300), thing, 0, "b", false)
		}, invariantCount, ""},
		{"its bound starts anew", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 0, true, cut)
			c.Running(at(12), thing, 1, "b", true)
			c.Disturbed(at(100), thing, 0, false, cut)
			c.Tick(at(110))
			c.Running(at(110), thing, 0, "b", false)
		}, invariantCount, ""},
		{"and breaks when it has passed, seen at a tick", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 0, true, cut)
			c.Running(at(12), thing, 1, "b", true)
			c.Disturbed(at(100), thing, 0, false, cut)
			c.Tick(at(111))
		}, Overlap, "at once from 1m40s on"},
		{"or at its end", fleet.HandoffFast, func(c *Checker) {
			c.DisturbedAll(at(11), thing, true, cut)
			c.Running(at(12), thing, 1, "b", true)
			c.DisturbedAll(at(100), thing, false, cut)
			c.Running(at(111), thing, 0, "b", false)
		}, Overlap, "at once from 1m40s on"},
		{"who is left when a stuck one stops has the whole bound", fleet.HandoffFast, func(c *Checker) {
			c.Hung(at(11), thing, 0)
			c.Running(at(12), thing, 1, "b", true)
			c.Running(at(13), thing, 2, "b", true)
			c.Tick(at(50))
			c.Running(at(50), thing, 0, "b", false)
			c.Tick(at(60))
			c.Tick(at(61))
		}, Overlap, "at once from 50s on"},
		{"strict handoff is not suspended", fleet.HandoffStrict, func(c *Checker) {
			c.DisturbedAll(at(11), thing, true, cut)
			c.Disturbed(at(11), thing, 0, true, cut)
			c.Running(at(12), thing, 1, "b", true)
		}, Overlap, "the handoff is strict"},
		{"what must settle after heal is not suspended", fleet.HandoffFast, func(c *Checker) {
			c.Disturbed(at(11), thing, 0, true, cut)
			c.Running(at(12), thing, 0, "a", false)
			c.Heal(at(20))
			c.Tick(at(81))
		}, Settled, "disturbed since 11s: " + cut},
		{"an end without a beginning", fleet.HandoffFast, func(c *Checker) { c.Disturbed(at(11), thing, 0, false, cut) }, Facts, "of instance 0 ends, but none has begun"},
		{"an end without a beginning, of all", fleet.HandoffFast, func(c *Checker) { c.DisturbedAll(at(11), "", false, cut) }, Facts, "of all instances ends, but none has begun"},
		{"sight without blindness", fleet.HandoffFast, func(c *Checker) { c.Blind(at(11), false) }, Facts, "never were"},
		{"a name asked for while blind", fleet.HandoffFast, func(c *Checker) {
			c.Blind(at(11), true)
			c.PodDeleted(at(11), thing, 0, "uid-0")
			c.PodRefused(at(12), thing, 0)
		}, invariantCount, ""},
		{"a name asked for with sight again", fleet.HandoffFast, func(c *Checker) {
			c.Blind(at(11), true)
			c.Blind(at(12), false)
			c.PodDeleted(at(13), thing, 0, "uid-0")
			c.PodRefused(at(14), thing, 0)
		}, PodName, "still terminates"},
		{"a name used again, however blind", fleet.HandoffFast, func(c *Checker) {
			c.Blind(at(11), true)
			c.PodDeleted(at(11), thing, 0, "uid-0")
			c.PodCreated(at(12), thing, 0, "uid-2")
		}, PodName, "was not seen gone"},
	})
}

// partitioned is the healthy base with the pod of instance 0 on a machine that
// nobody reaches: its program runs "a" and "b" on.
func partitioned(c *Checker) {
	for _, id := range []string{"a", "b"} {
		c.Running(at(10), thing, 0, id, false)
		c.RunningPod(at(10), thing, 0, "uid-0", id, true)
	}
	c.Disturbed(at(11), thing, 0, true, "its machine cannot be reached")
}

// Strict handoff on a machine that cannot be reached: the core may give away what
// runs there once the pod is gone from Kubernetes, and not before.
func TestStrictHandoffOfTheUnreachable(t *testing.T) {
	gone := func(c *Checker, seconds int) {
		c.PodDeleted(at(seconds), thing, 0, "uid-0")
		c.PodGone(at(seconds), thing, 0, "uid-0")
	}
	tell(t, []story{
		{"given away after the pod was seen gone", fleet.HandoffStrict, func(c *Checker) {
			partitioned(c)
			gone(c, 20)
			commit(c, 21, move()...)
			c.RunningPod(at(22), thing, 1, "uid-1", "b", true)
			c.RunningPod(at(500), thing, 0, "uid-0", "b", false)
		}, invariantCount, ""},
		{"given away while the pod is only unreachable", fleet.HandoffStrict, func(c *Checker) {
			partitioned(c)
			commit(c, 21, move()...)
			c.RunningPod(at(22), thing, 1, "uid-1", "b", true)
		}, Overlap, "runs on instances 0 and 1 at once from 22s on, and the handoff is strict"},
		{"given away while it still terminates", fleet.HandoffStrict, func(c *Checker) {
			partitioned(c)
			c.PodDeleted(at(20), thing, 0, "uid-0")
			commit(c, 21, move()...)
			c.RunningPod(at(22), thing, 1, "uid-1", "b", true)
		}, Overlap, "and the handoff is strict"},
		{"given away too soon, and lucky", fleet.HandoffStrict, func(c *Checker) {
			partitioned(c)
			commit(c, 19, move()...)
			gone(c, 20)
			c.RunningPod(at(22), thing, 1, "uid-1", "b", true)
		}, Overlap, "instance 1 was given it at 19s, when the other's pod was not gone"},
		{"the next pod of the same instance", fleet.HandoffStrict, func(c *Checker) {
			partitioned(c)
			gone(c, 20)
			c.PodCreated(at(21), thing, 0, "uid-2")
			c.AlivePod(at(30), thing, 0, "uid-2", true)
			c.Reloaded(at(31), thing, 0, 1)
			c.RunningPod(at(31), thing, 0, "uid-2", "a", true)
			c.RunningPod(at(31), thing, 0, "uid-2", "b", true)
			c.AlivePod(at(60), thing, 0, "uid-0", false) // the machine is back, the old program ends
			c.RunningPod(at(60), thing, 0, "uid-0", "a", false)
			c.RunningPod(at(60), thing, 0, "uid-0", "b", false)
		}, invariantCount, ""},
		{"a third beside it", fleet.HandoffStrict, func(c *Checker) {
			partitioned(c)
			gone(c, 20)
			c.RunningPod(at(31), thing, 0, "uid-2", "b", true)
			c.RunningPod(at(32), thing, 1, "uid-1", "b", true)
		}, Overlap, "instances 0, 1 and 0 (the program of its former pod uid-0) at once from 32s on"},
		{"with fast handoff its overlap has no bound", fleet.HandoffFast, func(c *Checker) {
			partitioned(c)
			c.Disturbed(at(12), thing, 0, false, "")
			gone(c, 20)
			c.RunningPod(at(22), thing, 1, "uid-1", "b", true)
			c.Tick(at(300))
			c.RunningPod(at(500), thing, 0, "uid-0", "b", false)
		}, invariantCount, ""},
	})
}

// The audit knows a program that outlived its pod.
func TestAuditOfAnOrphan(t *testing.T) {
	c := healthy(fleet.HandoffStrict)
	partitioned(c)
	c.PodGone(at(20), thing, 0, "uid-0")
	c.RunningPod(at(31), thing, 0, "uid-2", "b", true)
	truth := Truth{
		Rows: []fleet.Resource{{ID: "a"}, {ID: "b"}, {ID: "x"}},
		Tree: fleet.Tree{Instances: []fleet.TreeInstance{
			{ID: 0, Capacity: 3, Used: 2, IDs: []string{"a", "b"}, Times: 1},
			{ID: 1, Capacity: 3, Used: 1, IDs: []string{"x"}, Times: 1},
		}},
		Running: map[fleet.InstanceID][]string{0: {"b"}, 1: {"x"}},
		Orphans: map[string][]string{"uid-0": {"a", "b"}},
	}
	if diffs := c.Audit(at(40), thing, truth); len(diffs) > 0 {
		t.Errorf("nothing differs, but the audit says %v", diffs)
	}
	truth.Orphans["uid-0"] = []string{"a"}
	if diffs := c.Audit(at(40), thing, truth); len(diffs) == 0 {
		t.Error("the orphan runs less, and the audit does not see it")
	}
}

// A program that runs nothing when the next pod comes is told apart as well: once
// it reads its list, being within reach for a moment, it runs that beside the new
// one.
func TestAuditOfALateStray(t *testing.T) {
	c := healthy(fleet.HandoffFast)
	c.AlivePod(at(11), thing, 0, "uid-0", true)
	for _, id := range []string{"a", "b"} {
		c.RunningPod(at(11), thing, 0, "uid-0", id, false)
	}
	c.Disturbed(at(12), thing, 0, true, "its machine cannot be reached")
	c.PodDeleted(at(15), thing, 0, "uid-0")
	c.PodGone(at(20), thing, 0, "uid-0")
	c.PodCreated(at(21), thing, 0, "uid-2")
	c.AlivePod(at(30), thing, 0, "uid-2", true)
	for _, id := range []string{"a", "b"} {
		c.RunningPod(at(31), thing, 0, "uid-2", id, true)
	}
	c.RunningPod(at(32), thing, 0, "uid-0", "a", true)
	truth := Truth{
		Rows: []fleet.Resource{{ID: "a"}, {ID: "b"}, {ID: "x"}},
		Tree: fleet.Tree{Instances: []fleet.TreeInstance{
			{ID: 0, Capacity: 3, Used: 2, IDs: []string{"a", "b"}, Times: 1},
			{ID: 1, Capacity: 3, Used: 1, IDs: []string{"x"}, Times: 1},
		}},
		Running: map[fleet.InstanceID][]string{0: {"a", "b"}, 1: {"x"}},
		Orphans: map[string][]string{"uid-0": {"a"}},
	}
	if diffs := c.Audit(at(33), thing, truth); len(diffs) > 0 {
		t.Errorf("nothing differs, but the audit says %v", diffs)
	}
	c.RunningPod(at(40), thing, 0, "uid-0", "a", false)
	if diffs := c.Audit(at(41), thing, Truth{Rows: truth.Rows, Tree: truth.Tree, Running: truth.Running}); len(diffs) > 0 {
		t.Errorf("the stray has ended, but the audit says %v", diffs)
	}
}
