package invariant

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

const thing fleet.Kind = "Thing"

// perInstance is what is configured: most lists of the stories are shorter.
const perInstance = 4

func newChecker(handoff fleet.Handoff) *Checker {
	return New(Config{Kinds: []KindConfig{{
		Kind: thing, Handoff: handoff,
		OverlapBound: 10 * time.Second, ReloadBound: 20 * time.Second, SettleBound: time.Minute,
		PerInstance: perInstance,
	}}})
}

func at(seconds int) time.Duration { return time.Duration(seconds) * time.Second }

func versions(n int32) fleet.Versions { return fleet.Versions{Node: n, Resources: n, Reload: n} }

func commit(c *Checker, seconds int, changes ...fleet.Change) {
	c.Committed(at(seconds), thing, 1, &fleet.Txn{ID: uint64(seconds), Epoch: 1, Changes: changes})
}

// healthy is the base of every story: instances 0 and 1 of capacity 3, their
// pods and DACs up, "a" and "b" on 0 and "x" on 1, all running. It ends at 10 s.
func healthy(handoff fleet.Handoff) *Checker {
	c := newChecker(handoff)
	for _, id := range []string{"a", "b", "x"} {
		c.RowInserted(at(1), thing, fleet.Resource{ID: id})
	}
	commit(c, 2,
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 3, Used: 2, Add: []string{"a", "b"}, Times: 1},
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 3, Used: 1, Add: []string{"x"}, Times: 1})
	for id := range fleet.InstanceID(2) {
		c.PodCreated(at(3), thing, id, fmt.Sprintf("uid-%d", id))
	}
	for id := range fleet.InstanceID(2) {
		c.Alive(at(5), thing, id, true)
	}
	for i, ids := range [][]string{{"a", "b"}, {"x"}} {
		id := fleet.InstanceID(i)
		c.Reloaded(at(6), thing, id, 1)
		for _, r := range ids {
			c.Running(at(6), thing, id, r, true)
		}
	}
	c.Tick(at(10))
	return c
}

// move is the transaction that moves "b" from 0 to 1.
func move() []fleet.Change {
	return []fleet.Change{
		{Kind: fleet.ChangeUpdate, Instance: 1, Capacity: 3, Used: 2, Add: []string{"b"}, Times: 2, Versions: versions(0)},
		{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 1, Remove: []string{"b"}, Times: 2, Versions: versions(0)},
	}
}

func reloadBoth(c *Checker, seconds int) {
	c.Reloaded(at(seconds), thing, 0, 2)
	c.Reloaded(at(seconds), thing, 1, 2)
}

// TestMutants tells stories that are right, and the same with one fact wrong:
// the right ones break nothing, each wrong one its invariant and no other.
func TestMutants(t *testing.T) {
	for _, s := range []struct {
		name    string
		handoff fleet.Handoff
		facts   func(c *Checker)
		breaks  Invariant // invariantCount: none
		reason  string
	}{
		{"nothing happens", fleet.HandoffFast, func(*Checker) {}, invariantCount, ""},
		{"a move", fleet.HandoffStrict, func(c *Checker) {
			commit(c, 11, move()...)
			c.Running(at(12), thing, 0, "b", false)
			c.Running(at(13), thing, 1, "b", true)
			reloadBoth(c, 14)
		}, invariantCount, ""},
		{"one side of a move only", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, move()[:1]...)
			c.Reloaded(at(12), thing, 1, 2)
		}, OneOwner, `Thing "b" stands on instances 0 and 1 after transaction 11 at 11s`},
		{"used is not the list's length", fleet.HandoffFast, func(c *Checker) {
			m := move()
			m[0].Used = 3
			commit(c, 11, m...)
			reloadBoth(c, 12)
		}, Counters, "transaction 11 writes used 3 to instance 1, whose list then holds 2"},
		{"a full instance", fleet.HandoffFast, func(c *Checker) {
			m := move()
			m[0].Capacity = 2
			commit(c, 11, m...)
			reloadBoth(c, 12)
		}, invariantCount, ""},
		{"one more than full", fleet.HandoffFast, func(c *Checker) {
			m := move()
			m[0].Capacity = 1
			commit(c, 11, m...)
			reloadBoth(c, 12)
		}, Capacity, "transaction 11 leaves instance 1 with 2 resources, but its capacity is 1"},
		{"times stays", fleet.HandoffFast, func(c *Checker) {
			m := move()
			m[0].Times = 1
			commit(c, 11, m...)
			c.Reloaded(at(12), thing, 0, 2)
		}, TimesRise, "changes the list of instance 1, but its _reload times goes from 1 to 1 instead of 2"},
		{"times falls without a change of the list", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 4, Used: 2, Times: 0})
		}, TimesRise, "leaves the list of instance 0 as it is, but its _reload times goes from 1 to 0"},
		{"times rises by two without a change of the list", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 4, Used: 2, Times: 3})
		}, TimesRise, "leaves the list of instance 0 as it is, but its _reload times goes from 1 to 3"},
		{"a new capacity alone", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 4, Used: 2, Times: 1})
		}, invariantCount, ""},
		{"a version of before", fleet.HandoffFast, func(c *Checker) {
			m := move()
			m[1].Versions = versions(1)
			commit(c, 11, m...)
			reloadBoth(c, 12)
		}, VersionsMatch, "transaction 11 expects versions {1 1 1} of instance 0, which was at {0 0 0}"},
		{"the next leader", fleet.HandoffFast, func(c *Checker) {
			c.Committed(at(11), thing, 2, &fleet.Txn{ID: 1, Epoch: 2, Changes: move()})
			reloadBoth(c, 12)
		}, invariantCount, ""},
		{"a deposed leader", fleet.HandoffFast, func(c *Checker) {
			c.Committed(at(11), thing, 2, &fleet.Txn{ID: 9, Epoch: 1, Changes: move()})
			reloadBoth(c, 12)
		}, Epoch, "transaction 9 of epoch 1 committed at 11s, but epoch 2 was there already"},
		{"emptied and deleted in one", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11,
				fleet.Change{Kind: fleet.ChangeDelete, Instance: 1, Remove: []string{"x"}, Versions: versions(0)},
				fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 3, Add: []string{"x"}, Times: 2, Versions: versions(0)})
			c.Reloaded(at(12), thing, 0, 2)
		}, invariantCount, ""},
		{"deleted with a resource", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeDelete, Instance: 1, Versions: versions(0)})
		}, TreeShape, "transaction 11 deletes instance 1, whose list still holds 1 resources"},
		{"created twice", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 3, Used: 1})
		}, TreeShape, "transaction 11 creates instance 1, which exists with 1 resources"},
		{"an update of nothing", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 2, Capacity: 3})
		}, TreeShape, "transaction 11 updates instance 2, which does not exist"},
		{"a deletion of nothing", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeDelete, Instance: 2})
		}, TreeShape, "transaction 11 deletes instance 2, which does not exist"},
		{"an instance twice in one", fleet.HandoffFast, func(c *Checker) {
			again := fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 2, Times: 1}
			next := again
			next.Versions = versions(1)
			commit(c, 11, again, next)
		}, TreeShape, "transaction 11 changes instance 0 twice"},
		{"added where it is", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 2, Add: []string{"a"}, Times: 2})
			c.Reloaded(at(12), thing, 0, 2)
		}, TreeShape, `adds Thing "a" to instance 0, whose list holds it already`},
		{"removed where it is not", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 2, Remove: []string{"x"}, Times: 2})
			c.Reloaded(at(12), thing, 0, 2)
		}, TreeShape, `removes Thing "x" from instance 0, whose list does not hold it`},
		{"any overlap, strict", fleet.HandoffStrict, func(c *Checker) {
			c.Running(at(11), thing, 1, "b", true)
			c.Running(at(11), thing, 0, "b", false)
		}, Overlap, `Thing "b" runs on instances 0 and 1 at once from 11s on, and the handoff is strict`},
		{"an overlap up to the bound, fast", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 1, "b", true)
			c.Tick(at(21))
			c.Running(at(21), thing, 0, "b", false)
		}, invariantCount, ""},
		{"two short overlaps, fast", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 1, "b", true)
			c.Running(at(15), thing, 1, "b", false)
			c.Running(at(16), thing, 1, "b", true)
			c.Tick(at(23))
			c.Running(at(24), thing, 0, "b", false)
		}, invariantCount, ""},
		{"an overlap that ended too late, fast", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 1, "b", true)
			c.Running(at(22), thing, 0, "b", false)
			c.Tick(at(23))
		}, Overlap, "longer than the 10s that a fast handoff may take"},
		{"an overlap that does not end, fast", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 1, "b", true)
			c.Tick(at(22))
			c.Tick(at(40))
			c.Running(at(41), thing, 0, "b", false)
		}, Overlap, "now on instances 0 and 1"},
		{"a reload that comes too late", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, move()...)
			c.Reloaded(at(12), thing, 0, 2)
			c.Tick(at(32))
			c.Reloaded(at(33), thing, 1, 2)
		}, ReloadReaches, "instance 1 is healthy, but has not applied _reload times 2, there since 11s, within 20s (applied: 1)"},
		{"no reload by a DAC that is not healthy", fleet.HandoffFast, func(c *Checker) {
			commit(c, 11, move()...)
			c.Reloaded(at(12), thing, 0, 2)
			c.Alive(at(13), thing, 1, false)
			c.Tick(at(100))
			c.Alive(at(101), thing, 1, true)
			c.Reloaded(at(102), thing, 1, 2)
			c.Tick(at(200))
		}, invariantCount, ""},
		{"a DAC that comes back and loads nothing", fleet.HandoffFast, func(c *Checker) {
			c.Alive(at(11), thing, 1, false)
			c.Alive(at(12), thing, 1, true)
			c.Tick(at(33))
		}, ReloadReaches, "(applied: none)"},
		{"a reload of what nobody wrote", fleet.HandoffFast, func(c *Checker) {
			c.Reloaded(at(11), thing, 0, 2)
		}, ReloadReaches, "instance 0 has applied _reload times 2, but ZooKeeper has only 1"},
		{"delete, wait, create", fleet.HandoffFast, func(c *Checker) {
			c.PodDeleted(at(11), thing, 0, "uid-0")
			c.PodGone(at(12), thing, 0, "uid-0")
			c.PodCreated(at(13), thing, 0, "uid-2")
		}, invariantCount, ""},
		{"delete, create", fleet.HandoffFast, func(c *Checker) {
			c.PodDeleted(at(11), thing, 0, "uid-0")
			c.PodCreated(at(12), thing, 0, "uid-2")
		}, PodName, "pod uid-2 of instance 0 created, but pod uid-0 of that name was not seen gone"},
		{"asked for while it terminates", fleet.HandoffFast, func(c *Checker) {
			c.PodDeleted(at(11), thing, 0, "uid-0")
			c.PodRefused(at(12), thing, 0)
		}, PodName, "creation of the pod of instance 0 asked for while pod uid-0 of that name still terminates"},
		{"asked for again while it lives", fleet.HandoffFast, func(c *Checker) {
			c.PodRefused(at(12), thing, 0)
		}, invariantCount, ""},
		{"settles in time after heal", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 0, "a", false)
			c.Heal(at(20))
			c.Tick(at(80))
			c.Running(at(80), thing, 0, "a", true)
			c.Tick(at(200))
		}, invariantCount, ""},
		{"twice unsettled for a while after heal", fleet.HandoffFast, func(c *Checker) {
			c.Heal(at(20))
			c.Running(at(30), thing, 0, "a", false)
			c.Running(at(60), thing, 0, "a", true)
			c.Running(at(70), thing, 0, "a", false)
			c.Tick(at(100))
			c.Running(at(120), thing, 0, "a", true)
		}, invariantCount, ""},
		{"does not settle after heal", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 0, "a", false)
			c.Heal(at(20))
			c.Tick(at(81))
		}, Settled, `Thing "a" is not settled 1s after it had to be: on instance 0, not running; its DAC works and has applied every change`},
		{"never settles, but nothing healed", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 0, "a", false)
			c.Tick(at(10000))
		}, invariantCount, ""},
		{"does not settle while something is broken again", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 0, "a", false)
			c.Heal(at(20))
			c.Unheal(at(79))
			c.Tick(at(1000))
			c.Heal(at(1000))
			c.End(at(1060))
		}, invariantCount, ""},
		{"does not settle before something is broken again", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 0, "a", false)
			c.Heal(at(20))
			c.Unheal(at(81))
			c.Heal(at(82))
			c.Tick(at(200))
		}, Settled, `Thing "a" is not settled 1s after it had to be`},
		{"does not settle once what was broken again is over", fleet.HandoffFast, func(c *Checker) {
			c.Running(at(11), thing, 0, "a", false)
			c.Heal(at(20))
			c.Unheal(at(30))
			c.Heal(at(40))
			c.Tick(at(101))
		}, Settled, `Thing "a" is not settled 1s after it had to be`},
		{"a deleted row still runs after heal", fleet.HandoffFast, func(c *Checker) {
			c.Heal(at(20))
			c.RowDeleted(at(30), thing, "a")
			commit(c, 31, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 3, Used: 1, Remove: []string{"a"}, Times: 2})
			c.Reloaded(at(32), thing, 0, 2)
			c.Tick(at(95))
		}, Settled, "deleted from the database, on no list, but still running on instance 0"},
		{"a row that comes after heal and is placed by nobody", fleet.HandoffFast, func(c *Checker) {
			c.Heal(at(20))
			c.RowInserted(at(30), thing, fleet.Resource{ID: "new"})
			c.Tick(at(91))
		}, Settled, "not in any instance's list"},
		{"a row inserted twice", fleet.HandoffFast, func(c *Checker) {
			c.RowInserted(at(11), thing, fleet.Resource{ID: "a"})
		}, Facts, `row "a" inserted, but it has been there since 1s`},
		{"a row deleted that is not there", fleet.HandoffFast, func(c *Checker) { c.RowDeleted(at(11), thing, "z") }, Facts, `row "z" deleted, but there is none`},
		{"a row updated that is not there", fleet.HandoffFast, func(c *Checker) {
			c.RowUpdated(at(11), thing, fleet.Resource{ID: "z"})
		}, Facts, `row "z" updated, but there is none`},
		{"started twice", fleet.HandoffFast, func(c *Checker) { c.Running(at(11), thing, 0, "a", true) }, Facts, `instance 0 starts "a", which it runs already`},
		{"stopped where it does not run", fleet.HandoffFast, func(c *Checker) { c.Running(at(11), thing, 1, "a", false) }, Facts, `instance 1 stops "a", which it does not run`},
		{"another pod is gone", fleet.HandoffFast, func(c *Checker) { c.PodGone(at(11), thing, 0, "uid-9") }, Facts, `pod "uid-9" of instance 0 is gone, but the one of that name is "uid-0"`},
		{"a kind that is not configured", fleet.HandoffFast, func(c *Checker) { c.RowDeleted(at(11), "Rule", "a") }, Facts, `kind "Rule", which is not configured`},
		{"time goes back", fleet.HandoffFast, func(c *Checker) { c.Tick(at(5)) }, Facts, "time went back from 10s to 5s"},
		{"an instance that cannot be", fleet.HandoffFast, func(c *Checker) { c.Alive(at(11), thing, -1, true) }, Facts, "instance -1: its number is outside 0…1048575"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := healthy(s.handoff)
			s.facts(c)
			for inv := range invariantCount {
				want := uint64(0)
				if inv == s.breaks {
					want = 1
				}
				if got := c.Broken(inv); got != want {
					t.Errorf("%s broke %d times, want %d", inv, got, want)
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

// A flood of one invariant must not hide the first of another.
func TestViolationsAreBoundedAndHideNone(t *testing.T) {
	c := healthy(fleet.HandoffStrict)
	for range 5000 {
		c.RowDeleted(at(11), thing, "z")
	}
	c.Running(at(12), thing, 1, "a", true)
	vs := c.Violations()
	if len(vs) != keptViolations+1 || vs[keptViolations].Invariant != Overlap.String() {
		t.Errorf("%d violations kept, the last %v; want %d and the overlap", len(vs), vs[len(vs)-1], keptViolations+1)
	}
	if got := c.Counts()[Facts]; got.Broken != 5000 || got.Name != "facts" {
		t.Errorf("counted %+v, want 5000 facts", got)
	}
	_, total := c.Figures()
	if got, _ := metric(total, "violations"); got != 5001 {
		t.Errorf("violations = %v, want 5001", got)
	}
}
