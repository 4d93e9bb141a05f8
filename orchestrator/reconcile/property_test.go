package reconcile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"

	"pgregory.net/rapid"
)

// smallConfig makes everything happen with few resources.
func smallConfig(policy fleet.Policy, handoff fleet.Handoff) Config {
	cfg := DefaultConfig("Thing")
	cfg.Policy, cfg.Handoff = policy, handoff
	cfg.Limits = placement.Limits{ResourcePerInstance: 6, MaxInstances: 9, InitInstances: 3}
	cfg.MaxIDBytes = 20
	cfg.MovesInFlight = 3
	cfg.Replacing = 2
	return cfg
}

// TestRandomEvents feeds random events, failures and restarts, lets the rig
// judge every committed state and command, then stops the failures and demands
// that everything settles and every order is answered.
func TestRandomEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := rapid.SampledFrom(fleet.Policies).Draw(t, "policy")
		handoff := rapid.SampledFrom([]fleet.Handoff{fleet.HandoffFast, fleet.HandoffStrict}).Draw(t, "handoff")
		randomEvents(t, smallConfig(policy, handoff), nil)
	})
}

func randomEvents(t *rapid.T, cfg Config, twins func() bool) {
	g := newRig(cfg)
	g.twins = twins
	type entry struct {
		now    time.Duration
		prefix string
		what   any
	}
	var log []entry
	g.trace = func(prefix string, what any) { log = append(log, entry{g.now, prefix, what}) }
	fail := func(format string, args ...any) {
		var b strings.Builder
		for _, e := range log {
			if l := line(e.prefix, e.what); !boring.MatchString(l) {
				fmt.Fprintf(&b, "%8v %s\n", e.now.Round(time.Millisecond), l)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(g.m.pending)) {
			c := g.m.pending[id]
			fmt.Fprintf(&b, "pending %s: %v → %v, in flight %t, queue %d: %v\n", id, c.from, c.to, c.inflight, c.at, c.why)
		}
		fmt.Fprintf(&b, "plan: %v\n", g.m.plan)
		t.Log(b.String())
		t.Fatalf(format+"\n%s", append(args, g.picture())...)
	}
	chaos := &chaos{t: t, g: g, open: map[uint64]bool{}}
	g.hold = chaos.interfere
	g.slow = rapid.Bool().Draw(t, "slow news")
	for range rapid.IntRange(0, 15).Draw(t, "rows") {
		chaos.insert()
	}
	g.lead()
	for range rapid.IntRange(10, 120).Draw(t, "steps") {
		chaos.act()
		if len(g.broken) > 0 {
			fail("%v", g.broken)
		}
	}
	// Heal: no more failures, everything that was cut is up again. Only a process
	// that waits for an answer that was lost, does not know that nodes have
	// vanished, or does not lead, is replaced.
	g.hold, g.slow, g.quiet, g.noStart = nil, false, false, false
	g.mute = map[fleet.InstanceID]bool{}
	for _, p := range g.pods {
		p.Reason, p.NodeLost = "", false
		g.step(PodSeen{Pod: *p})
	}
	if chaos.deaf || g.m.Stage() == StageFollower {
		chaos.crash()
		g.lead()
	}
	g.arrive()
	g.run()
	g.step(HeartbeatChannel{Up: true})
	g.step(NotificationChannel{Up: true})
	g.run()
	if g.m.Stage() == StageLoading {
		g.pass(2 * time.Minute) // what failed is read again
	}
	chaos.order(Maintenance{On: false})
	if len(g.idle) > 0 { // those that do nothing are found
		g.pass(time.Minute)
		owed := map[fleet.InstanceID]string{}
		for id := range g.idle {
			if uid := g.owes(id); uid != "" {
				owed[id] = uid
			}
		}
		g.rest()
		if left := g.doNothing(owed); len(left) > 0 {
			fail("%q", left)
		}
		clear(g.idle)
	}
	g.rest()
	if len(g.broken) > 0 {
		fail("%v", g.broken)
	}
	if left := g.unsettled(); len(left) > 0 {
		fail("not settled: %q", left)
	}
	if g.cfg.Policy == fleet.PolicyBalance {
		for _, x := range g.tree {
			for _, y := range g.tree {
				if !g.m.plan.Closed(x.ID) && x.Used < x.Capacity && y.Used > x.Used+1 {
					fail("balance: instance %v has room and %d resources, instance %v has %d", x.ID, x.Used, y.ID, y.Used)
				}
			}
		}
	}
	for _, req := range slices.Sorted(maps.Keys(chaos.open)) {
		if _, ok := g.replies[req]; !ok && g.m.alarms["no-room"] == "" {
			fail("order %d was never answered", req)
		}
	}
	for code, text := range g.m.alarms {
		if code != "unplaced" && code != "too-many" && code != "no-room" {
			fail("alarm %s is still on: %s", code, text)
		}
	}
}

// boring lines say that nothing happens.
var boring = regexp.MustCompile(`^(> tick|> heartbeat \d|> pods-listed \d+|> listed \d+ rows|  list-pods|  list-rows)$`)

// chaos draws what happens next.
type chaos struct {
	t    *rapid.T
	g    *rig
	ids  int
	req  uint64
	open map[uint64]bool // orders that the living process must answer
	deaf bool            // the living process cannot know something: it is the loop's to replace
}

// crash starts a new process that follows.
func (c *chaos) crash() {
	clear(c.open)
	c.deaf = false
	c.g.restart()
}

func (c *chaos) pick(label string, n int) int { return rapid.IntRange(0, n-1).Draw(c.t, label) }

// interfere lets one command in eight go wrong.
func (c *chaos) interfere(cmd Command) (verdict, bool) {
	if c.pick("fault", 8) != 0 {
		return execute, false
	}
	faults := []verdict{refuse, delay, delay, lose, doSilently}
	if _, ok := cmd.(Commit); ok {
		faults = []verdict{refuse, conflict, unknown, unknownNot, delay, postpone, lose, doSilently}
	}
	v := faults[c.pick("verdict", len(faults))]
	if _, none := cmd.(StepDown); !none && (v == lose || v == doSilently) {
		if c.pick("lost", 3) > 0 {
			return delay, true
		}
		c.deaf = true
	}
	return v, true
}

func (c *chaos) insert() string {
	c.ids++
	id := fmt.Sprintf("r%03d", c.ids)
	c.g.rows[id] = []string{"a", "b", "c"}[c.pick("group", 3)]
	return id
}

func (c *chaos) row() string {
	rows := c.g.list(nil)
	if len(rows) == 0 {
		return c.insert()
	}
	return rows[c.pick("row", len(rows))].ID
}

func (c *chaos) instance() fleet.InstanceID { return fleet.InstanceID(c.pick("instance", 9)) }

func (c *chaos) order(o Order) {
	c.req++
	c.open[c.req] = true
	c.g.step(Ordered{Req: c.req, Order: o})
}

func (c *chaos) act() {
	g := c.g
	switch c.pick("act", 34) {
	case 0, 1, 2:
		g.notify(fleet.OpCreate, "Thing", true, c.insert())
	case 3, 4:
		id := c.row()
		delete(g.rows, id)
		g.notify(fleet.OpDelete, "Thing", false, id)
	case 5: // bulk, in either direction
		var ids []string
		for range c.pick("bulk", 12) + 1 {
			ids = append(ids, c.insert())
		}
		g.notify(fleet.OpBulkCreate, "Thing", false, ids...)
	case 6:
		id := c.row()
		delete(g.rows, id)
		g.notify(fleet.OpBulkDelete, "Thing", false)
	case 7: // a message that is lost
		c.insert()
	case 8: // regroup
		id := c.row()
		g.rows[id] = []string{"a", "b", "c"}[c.pick("group", 3)]
		g.notify(fleet.OpUpdate, "Thing", c.pick("known", 2) == 0, id)
	case 9: // a late, false or foreign message
		id := fmt.Sprintf("r%03d", c.pick("any", c.ids+1))
		op := fleet.Op(c.pick("op", 7))
		g.notify(op, []string{"Thing", "Rule"}[c.pick("table", 2)], false, id)
	case 10:
		g.phase(c.instance(), []fleet.Phase{fleet.PhaseFailed, fleet.PhaseSucceeded, fleet.PhaseUnknown}[c.pick("phase", 3)])
	case 11: // hang
		if id := c.instance(); g.pods[id] != nil {
			g.mute[id] = true
		}
	case 12: // deleted behind our back
		if id := c.instance(); g.pods[id] != nil {
			g.gone(id)
		}
	case 13:
		g.step(HeartbeatChannel{Up: c.pick("up", 2) == 0})
	case 14:
		g.step(NotificationChannel{Up: c.pick("up", 2) == 0})
	case 15:
		c.crash()
		if c.pick("at once", 2) == 0 {
			g.lead()
		}
	case 16:
		g.step(Deposed{Why: "session expired"})
		g.news = nil // what a leadership's watches have not told, no later one is told
		if c.pick("given up", 2) == 0 {
			g.queue = nil
		}
		g.lead()
	case 17:
		r, n := c.pick("r", 5)+1, c.pick("max", 5)+3
		c.order(Orchestrate{Request: placement.Request{ResourcePerInstance: &r, MaxInstances: &n}})
	case 18:
		c.order(Drain{Instance: c.instance()})
	case 19:
		c.order([]Order{Undrain{c.instance()}, Replace{c.instance()}, Maintenance{On: c.pick("on", 3) == 0}}[c.pick("order", 3)])
	case 20: // a pod that never comes up
		if p := g.pods[c.instance()]; p != nil && p.Phase == fleet.PhasePending {
			p.Reason = "ErrImagePull"
		}
	case 21: // commands pile up
		for range c.pick("some", 4) {
			g.one()
		}
		return
	case 22: // one answer arrives, out of its turn
		if n := len(g.later); n > 0 {
			i := c.pick("answer", n)
			answers := g.later[i]
			g.later = slices.Delete(g.later, i, i+1)
			g.deliver(answers)
		}
	case 23:
		g.hear(c.pick("news", len(g.news)+1))
	case 24: // a message that comes again
		if n := len(g.told); n > 0 {
			old := g.told[c.pick("again", n)]
			g.token++
			old.Token = g.token
			g.step(old)
		}
	case 25: // its node does not answer, or does again
		if p := g.pods[c.instance()]; p != nil && p.Phase == fleet.PhaseRunning {
			p.NodeLost = !p.NodeLost
			g.phase(p.Instance, p.Phase)
		}
	case 26: // noticed by the next transaction that touches it, or the next process
		if id := c.instance(); g.tree[id] != nil {
			g.vanish(id)
			c.deaf = true
		}
	case 27:
		g.quiet = !g.quiet
	case 28:
		g.noStart = !g.noStart
	case 29: // a message for another table
		g.notify(fleet.OpCreate, "Rule", true, "foreign")
	case 30:
		if id := c.instance(); g.pods[id] != nil {
			g.idle[id] = true
		}
	case 31:
		if id := c.instance(); g.pods[id] != nil {
			g.cut(id)
		}
	case 32, 33:
		g.stall = c.pick("stall", 4) == 0
		g.pass(time.Duration(c.pick("minutes", 12)+1) * 37 * time.Second)
	}
	if c.pick("run", 3) > 0 {
		g.run()
		g.reload()
	}
}

// TestCrashAtEveryStep restarts the orchestrator before and after each command
// of a story that holds everything, and demands the same end.
func TestCrashAtEveryStep(t *testing.T) {
	for _, handoff := range []fleet.Handoff{fleet.HandoffFast, fleet.HandoffStrict} {
		want, commands := crashStory(t, handoff, -1, execute)
		if commands < 40 {
			t.Fatalf("the story has only %d commands", commands)
		}
		for k := range commands {
			for _, v := range []verdict{lose, doSilently} {
				got, _ := crashStory(t, handoff, k, v)
				if !slices.Equal(got, want) {
					t.Errorf("%v: crash at command %d (%v): ends with %v, without a crash with %v", handoff, k, v, got, want)
				}
			}
		}
	}
}

// crashStory is a life of a kind; the process dies at the crash-th command,
// which is lost or done without an answer. It answers the resources that run at
// the end and the number of commands.
func crashStory(t *testing.T, handoff fleet.Handoff, crash int, how verdict) ([]string, int) {
	g := newRig(smallConfig(fleet.PolicyFill, handoff))
	n, died := 0, false
	g.hold = func(Command) (verdict, bool) {
		n++
		if n-1 == crash {
			died = true
			return how, true
		}
		return execute, false
	}
	orders := map[uint64]Order{}
	order := func(req uint64, o Order) {
		orders[req] = o
		g.step(Ordered{Req: req, Order: o})
	}
	live := func(d time.Duration) {
		for g.run(); ; g.run() {
			if !died {
				g.pass(d)
				if !died {
					return
				}
			}
			died = false
			g.restart()
			g.lead()
			for req := range uint64(len(orders)) { // whoever got no answer asks again
				if _, answered := g.replies[req+1]; !answered {
					g.run()
					g.step(Ordered{Req: req + 1, Order: orders[req+1]})
				}
			}
		}
	}
	for i := range 10 {
		g.rows[fmt.Sprintf("r%02d", i)] = ""
	}
	g.lead()
	live(time.Minute)
	for i := 10; i < 20; i++ {
		id := fmt.Sprintf("r%02d", i)
		g.rows[id] = ""
		g.notify(fleet.OpCreate, "Thing", true, id)
	}
	live(time.Minute)
	r := 3
	order(1, Orchestrate{Request: placement.Request{ResourcePerInstance: &r}})
	g.rows["late"] = ""
	g.notify(fleet.OpCreate, "Thing", true, "late")
	live(3 * time.Minute)
	g.phase(1, fleet.PhaseFailed)
	live(time.Minute)
	order(2, Drain{Instance: 2})
	delete(g.rows, "r05")
	g.notify(fleet.OpBulkDelete, "Thing", false, "r05")
	live(3 * time.Minute)
	live(15 * time.Minute)
	if len(g.broken) > 0 {
		t.Fatalf("%v: crash at command %d (%v): %v", handoff, crash, how, g.broken)
	}
	if left := g.unsettled(); len(left) > 0 {
		t.Fatalf("%v: crash at command %d (%v): not settled: %q\n%s", handoff, crash, how, left, g.picture())
	}
	var end []string
	for _, row := range g.list(nil) {
		end = append(end, row.ID)
	}
	end = append(end, fmt.Sprintf("capacity=%d target=%d closing=%v", g.ctl.Capacity, g.ctl.TargetInstances, g.ctl.Closing))
	return end, n
}
