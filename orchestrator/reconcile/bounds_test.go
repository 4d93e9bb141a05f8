package reconcile

import (
	"fmt"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"

	"pgregory.net/rapid"
)

// TestBacklogBound: notifications that come while the machine loads are kept up
// to a bound; what goes beyond it is found in the database.
func TestBacklogBound(t *testing.T) {
	cfg := DefaultConfig("Thing")
	g := newRig(cfg)
	g.hold = func(c Command) (verdict, bool) {
		_, rows := c.(ListRows)
		return delay, rows
	}
	g.lead()
	g.run()
	const n = maxBacklog + 7
	for i := range n {
		id := fmt.Sprintf("r%05d", i)
		g.rows[id] = ""
		g.notify(fleet.OpCreate, "Thing", true, id)
	}
	if len(g.m.backlog) != maxBacklog || g.acked != n {
		t.Errorf("%d notifications kept, %d of %d acknowledged", len(g.m.backlog), g.acked, n)
	}
	g.hold = nil
	g.arrive()
	g.run()
	if got := g.m.Resources(); got != maxBacklog || g.m.backlog != nil {
		t.Errorf("%d resources known after the backlog, %d notifications still kept", got, len(g.m.backlog))
	}
	g.pass(5 * time.Second)
	if got := g.m.Resources(); got != n {
		t.Errorf("%d resources of %d known after the comparison", got, n)
	}
	if len(g.broken) > 0 {
		t.Error(g.broken)
	}
}

// TestLookupBound: so many ids that looking each up costs more than a listing
// lead to one listing.
func TestLookupBound(t *testing.T) {
	cfg := DefaultConfig("Thing")
	cfg.Policy = fleet.PolicyGroup
	g := newRig(cfg)
	g.lead()
	g.run()
	var ids []string
	for i := range maxLookup + 1 {
		ids = append(ids, fmt.Sprintf("r%05d", i))
		g.rows[ids[i]] = "a"
	}
	lookups := 0
	g.hold = func(c Command) (verdict, bool) {
		if l, ok := c.(ListRows); ok && l.IDs != nil {
			lookups++
		}
		return execute, false
	}
	g.notify(fleet.OpBulkCreate, "Thing", false, ids...)
	g.pass(5 * time.Second)
	if got := g.m.Resources(); lookups != 0 || got != len(ids) {
		t.Errorf("%d lookups, %d resources of %d known", lookups, got, len(ids))
	}
}

// TestTimeGoesBack: an earlier time than the last is the last.
func TestTimeGoesBack(t *testing.T) {
	g := newRig(smallConfig(fleet.PolicyFill, fleet.HandoffFast))
	g.lead()
	g.run()
	g.pass(time.Minute)
	g.m.Step(time.Second, Tick{})
	if g.m.now != time.Minute {
		t.Errorf("now is %v", g.m.now)
	}
}

// TestDigestFollowsThePlan compares the digest that is kept with one made anew,
// through everything that changes the plan.
func TestDigestFollowsThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newRig(smallConfig(fleet.PolicyGroup, fleet.HandoffFast))
		c := &chaos{t: t, g: g, open: map[uint64]bool{}}
		for range rapid.IntRange(0, 10).Draw(t, "rows") {
			c.insert()
		}
		g.lead()
		g.run()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			c.act()
			if !g.m.digested {
				continue
			}
			var want fleet.Digest
			for _, r := range g.m.knownRows() {
				want.Add(r)
			}
			if g.m.digest != want {
				t.Fatalf("the digest is %+v, that of the plan's %d resources %+v", g.m.digest, g.m.plan.Len(), want)
			}
		}
	})
}

// TestDeadlineAhead: a machine asks for no Tick that it would ignore, nor for
// one long past: whoever drives it by Deadline would tick for ever, or take 0 for
// none.
func TestDeadlineAhead(t *testing.T) {
	g := newRig(smallConfig(fleet.PolicyFill, fleet.HandoffFast)) // has heard HeartbeatChannel{Up}
	if at, ok := g.m.Deadline(); ok {
		t.Errorf("a follower wants a tick at %v", at)
	}
	g.now = time.Minute
	g.lead()
	g.step(NotificationChannel{Up: true})
	if at, ok := g.m.Deadline(); ok && at < g.now {
		t.Errorf("a machine that loads wants a tick at %v, now is %v", at, g.now)
	}
}

// TestNotificationsBackWhileLoading: what publishers lost until they were
// connected again is looked for then, however far the machine was.
func TestNotificationsBackWhileLoading(t *testing.T) {
	g := newRig(smallConfig(fleet.PolicyFill, fleet.HandoffFast))
	g.now = time.Minute
	g.lead()
	g.step(NotificationChannel{Up: false})
	g.step(NotificationChannel{Up: true})
	g.run()
	g.pass(10 * time.Second)
	g.rows["lost"] = ""
	g.pass(30 * time.Second)
	if g.m.Resources() != 1 {
		t.Error("the row that nobody told of is not known half a minute later")
	}
}
