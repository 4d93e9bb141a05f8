package reconcile

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
)

// rig is a world of the simplest kind around one machine: a table, a tree, pods
// and DACs that do at once what they are told. It executes the machine's
// commands one by one, so that a test can stop, fail or lose any of them, and
// it judges: whatever must never happen ends up in broken.
type rig struct {
	cfg   Config
	m     *Machine
	now   time.Duration
	epoch int64
	token uint64
	uids  int
	born  int64

	rows  map[string]string // id → group
	tree  map[fleet.InstanceID]*fleet.TreeInstance
	pods  map[fleet.InstanceID]*fleet.Pod
	ctl   fleet.Control
	ctlV  int32
	queue []any                             // commands not yet executed
	runs  map[string]map[string]bool        // resource → pods (by UID) that run it
	lists map[fleet.InstanceID]*rigDAC      // what each running pod has loaded
	mute  map[fleet.InstanceID]bool         // pods that neither reload nor send
	idle  map[fleet.InstanceID]bool         // pods that send and do not reload
	hold  func(cmd Command) (verdict, bool) // a test's way to interfere

	later   [][]Event // answers that are on their way
	news    []Event   // what the watches will say, in this order
	slow    bool      // news are kept until somebody calls hear
	stall   bool      // while time passes neither answers nor news arrive
	quiet   bool      // heartbeats get lost on their way, and nobody knows it
	noStart bool      // pods stay Pending

	// inherited says that others wrote the tree: it need not be right until the
	// machine has put it right.
	inherited bool

	// twins says, before each event, whether the machine is replaced by one
	// restored from its snapshot; nil: never. The one replaced runs on beside it.
	twins   func() bool
	shadow  *Machine
	renewed int

	acked   uint64
	told    []Notified // every message so far
	replies map[uint64]string
	broken  []string
	trace   func(prefix string, what any) // each event and command
	created int
	deleted int
	stalls  int // pods deleted for what they did not confirm
}

type rigDAC struct {
	uid   string
	ids   map[string]bool
	times int64
}

// verdict is what a test makes of a command.
type verdict int

const (
	execute    verdict = iota
	lose               // neither done nor answered
	doSilently         // done, not answered
	refuse             // not done, answered with a failure
	conflict           // commits: another writer was faster
	unknown            // commits: done, answered as unknown
	unknownNot         // commits: not done, answered as unknown
	delay              // done now, answered when the test says so
	postpone           // done after what else is queued now
)

func newRig(cfg Config) *rig {
	g := &rig{cfg: cfg, rows: map[string]string{}, tree: map[fleet.InstanceID]*fleet.TreeInstance{}, pods: map[fleet.InstanceID]*fleet.Pod{},
		ctlV: -1, runs: map[string]map[string]bool{}, lists: map[fleet.InstanceID]*rigDAC{}, mute: map[fleet.InstanceID]bool{}, idle: map[fleet.InstanceID]bool{},
		replies: map[uint64]string{}, trace: func(string, any) {}}
	g.restart()
	return g
}

// restart is a crash of the orchestrator: a new machine, nothing of the old
// one's commands left.
func (g *rig) restart() {
	m, err := New(g.cfg)
	if err != nil {
		panic(err)
	}
	g.m, g.shadow, g.queue, g.later, g.news = m, nil, nil, nil, nil
	g.step(HeartbeatChannel{Up: true})
}

func (g *rig) lead() {
	g.epoch++
	g.step(Led{Epoch: g.epoch})
}

func (g *rig) break_(format string, args ...any) {
	g.broken = append(g.broken, fmt.Sprintf("%v: ", g.now)+fmt.Sprintf(format, args...))
}

func (g *rig) step(ev Event) {
	g.trace("> ", ev)
	for _, c := range g.both(ev) {
		g.trace("  ", c)
		switch c := c.(type) {
		case Ack:
			if c.Token <= g.acked || c.Token > g.token {
				g.break_("ack %d after %d, seen %d", c.Token, g.acked, g.token)
			}
			g.acked = c.Token
		case Reply:
			if old, twice := g.replies[c.Req]; twice {
				g.break_("order %d answered twice: %q, %q", c.Req, old, c.Err)
			}
			g.replies[c.Req] = c.Err
		case Note, Alarm:
		default:
			if d, ok := c.(DeletePod); ok {
				g.checkStall(d)
			}
			g.queue = append(g.queue, c)
		}
	}
}

// run executes commands until none is left.
func (g *rig) run() {
	for n := 0; len(g.queue) > 0; n++ {
		if n > 2_000 {
			g.break_("the machine never comes to rest: %s", Describe(g.queue[0]))
			return
		}
		g.one()
	}
}

// one executes the first command.
func (g *rig) one() {
	if len(g.queue) == 0 {
		return
	}
	c := g.queue[0]
	g.queue = g.queue[1:]
	v := execute
	if g.hold != nil {
		if w, ok := g.hold(c.(Command)); ok {
			v = w
		}
	}
	if v == lose {
		return
	}
	if v == postpone {
		g.queue = append(g.queue, c)
		return
	}
	answers := g.execute(c, v)
	if v == delay { // the watches know nothing of it
		for _, ev := range answers {
			if _, news := ev.(PodSeen); news {
				g.tell(ev)
			}
		}
		answers = slices.DeleteFunc(answers, func(ev Event) bool { _, news := ev.(PodSeen); return news })
	}
	switch v {
	case doSilently:
	case delay:
		g.later = append(g.later, answers)
	default:
		g.deliver(answers)
	}
}

func (g *rig) deliver(answers []Event) {
	for _, ev := range answers {
		g.tell(ev)
	}
}

// tell hands the machine an event; what watches say may come late.
func (g *rig) tell(ev Event) {
	switch ev.(type) {
	case PodSeen, PodGone, StatusSeen:
		if g.slow {
			g.news = append(g.news, ev)
			return
		}
	}
	g.step(ev)
}

// hear lets the first n news arrive, or all.
func (g *rig) hear(n int) {
	n = min(n, len(g.news))
	news := g.news[:n]
	g.news = slices.Clone(g.news[n:])
	for _, ev := range news {
		g.step(ev)
	}
}

// arrive lets everything arrive that is on its way.
func (g *rig) arrive() {
	later := g.later
	g.later = nil
	for _, answers := range later {
		g.deliver(answers)
	}
	g.hear(len(g.news))
}

// vanish deletes an instance's nodes, as somebody else might.
func (g *rig) vanish(id fleet.InstanceID) {
	delete(g.tree, id)
	if d := g.lists[id]; d != nil {
		d.times = -1
	}
}

func (g *rig) execute(c any, v verdict) []Event {
	switch c := c.(type) {
	case ReadTree:
		if v == refuse {
			return []Event{TreeRead{Req: c.Req, Err: "connection refused"}}
		}
		return []Event{TreeRead{Req: c.Req, Tree: g.snapshot()}}
	case ListRows:
		if v == refuse {
			return []Event{Listed{Req: c.Req, Err: "connection refused"}}
		}
		ev := Listed{Req: c.Req, Rows: g.list(c.IDs)}
		for _, r := range ev.Rows {
			ev.Digest.Add(r)
		}
		return []Event{ev}
	case ListPods:
		if v == refuse {
			return []Event{PodsListed{Req: c.Req, Err: "connection refused"}}
		}
		pods := []fleet.Pod{}
		for _, id := range sortedIDs(g.pods) {
			pods = append(pods, *g.pods[id])
		}
		return []Event{PodsListed{Req: c.Req, Pods: pods}}
	case Commit:
		return g.commit(c.Txn, v)
	case CreatePod:
		if v == refuse {
			return []Event{PodCreated{Instance: c.Instance, Answer: PodRefused, Err: "quota exceeded"}}
		}
		if p := g.pods[c.Instance]; p != nil {
			return []Event{PodCreated{Instance: c.Instance, Answer: PodAlreadyExists}}
		}
		g.uids++
		g.created++
		p := &fleet.Pod{Instance: c.Instance, UID: fmt.Sprintf("u%d", g.uids), Phase: fleet.PhasePending}
		g.pods[c.Instance] = p
		return []Event{PodCreated{Instance: c.Instance, UID: p.UID, Answer: PodAccepted}, PodSeen{Pod: *p}}
	case DeletePod:
		if v == refuse {
			return []Event{PodDeleted{Instance: c.Instance, UID: c.UID, Answer: PodRefused, Err: "timeout"}}
		}
		p := g.pods[c.Instance]
		if p == nil || p.UID != c.UID {
			return []Event{PodDeleted{Instance: c.Instance, UID: c.UID, Answer: PodNotFound}}
		}
		g.deleted++
		p.Terminating = true
		return []Event{PodDeleted{Instance: c.Instance, UID: c.UID, Answer: PodAccepted}, PodSeen{Pod: *p}}
	case StepDown:
		return nil
	}
	panic(fmt.Sprintf("unknown command %T", c))
}

func (g *rig) list(ids []string) []fleet.Resource {
	out := []fleet.Resource{}
	for id, group := range g.rows {
		if ids == nil || slices.Contains(ids, id) {
			out = append(out, fleet.Resource{ID: id, Group: group})
		}
	}
	slices.SortFunc(out, fleet.Resource.Compare)
	return out
}

// cut ends an instance's session and lets it open no other.
func (g *rig) cut(id fleet.InstanceID) {
	g.idle[id] = true
	if ti := g.tree[id]; ti != nil && ti.Status.Present {
		ti.Status = fleet.Status{Times: -1}
		g.tell(StatusSeen{Instance: id, Status: ti.Status})
	}
}

// settlePods lets every pod's state go one step on: Pending runs, Terminating
// ends.
func (g *rig) settlePods() {
	for _, id := range sortedIDs(g.pods) {
		p := g.pods[id]
		switch {
		case p.Terminating:
			g.gone(id)
		case p.Phase == fleet.PhasePending && p.Reason == "" && !g.noStart:
			g.phase(id, fleet.PhaseRunning)
		}
	}
}

func (g *rig) gone(id fleet.InstanceID) {
	p := g.pods[id]
	delete(g.pods, id)
	g.stop(id)
	delete(g.mute, id)
	delete(g.idle, id)
	g.tell(PodGone{Instance: id, UID: p.UID})
}

func (g *rig) phase(id fleet.InstanceID, ph fleet.Phase) {
	p := g.pods[id]
	if p == nil {
		return
	}
	p.Phase = ph
	if ph == fleet.PhaseFailed || ph == fleet.PhaseSucceeded {
		g.stop(id)
	}
	g.tell(PodSeen{Pod: *p})
}

// stop ends what an instance's DAC runs.
func (g *rig) stop(id fleet.InstanceID) {
	if d := g.lists[id]; d != nil {
		for r := range d.ids {
			delete(g.runs[r], d.uid)
		}
		delete(g.lists, id)
		if ti := g.tree[id]; ti != nil {
			ti.Status = fleet.Status{Times: -1}
		}
	}
}

// reload lets every running DAC read its list and confirm it.
func (g *rig) reload() {
	for _, id := range sortedIDs(g.pods) {
		p, ti := g.pods[id], g.tree[id]
		if p.Phase != fleet.PhaseRunning || ti == nil || g.mute[id] || g.idle[id] {
			continue
		}
		d := g.lists[id]
		if d == nil {
			d = &rigDAC{uid: p.UID, ids: map[string]bool{}, times: -1}
			g.lists[id] = d
		}
		if d.times == ti.Times && ti.Status.Present {
			continue
		}
		for r := range d.ids {
			if !slices.Contains(ti.IDs, r) {
				delete(d.ids, r)
				delete(g.runs[r], d.uid)
			}
		}
		for _, r := range ti.IDs {
			d.ids[r] = true
			if g.runs[r] == nil {
				g.runs[r] = map[string]bool{}
			}
			g.runs[r][d.uid] = true
			if len(g.runs[r]) > 1 && g.cfg.Handoff == fleet.HandoffStrict {
				g.break_("%s runs on %d pods", r, len(g.runs[r]))
			}
		}
		d.times = ti.Times
		ti.Status = fleet.Status{Present: true, Times: ti.Times}
		g.tell(StatusSeen{Instance: id, Status: ti.Status})
	}
}

// pass lets time go by: due ticks, heartbeats every 20 s of those that send,
// pods and DACs that go on.
func (g *rig) pass(d time.Duration) {
	end := g.now + d
	for g.now < end {
		next := min(end, g.now-g.now%(20*time.Second)+20*time.Second)
		if at, ok := g.m.Deadline(); ok && at < next {
			next = max(at, g.now+time.Millisecond)
		}
		g.now = next
		if at, ok := g.m.Deadline(); ok && at <= g.now {
			g.step(Tick{})
		}
		if g.now%(20*time.Second) == 0 && g.cfg.Heartbeat && !g.quiet {
			for _, id := range sortedIDs(g.pods) {
				if p := g.pods[id]; p.Phase == fleet.PhaseRunning && !g.mute[id] {
					g.step(Heartbeat{Instance: id})
				}
			}
		}
		if !g.stall {
			g.arrive()
		}
		g.run()
		g.settlePods()
		g.run()
		g.reload()
		g.run()
	}
}

// rest lets everything come to its end: as pass, without failures.
func (g *rig) rest() { g.hold, g.slow, g.stall = nil, false, false; g.pass(25 * time.Minute) }

// unsettled answers what is not as it should be at rest.
func (g *rig) unsettled() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	owner := map[string]fleet.InstanceID{}
	for _, id := range sortedIDs(g.tree) {
		for _, r := range g.tree[id].IDs {
			owner[r] = id
			if _, exists := g.rows[r]; !exists {
				add("%s stands on instance %v and does not exist", r, id)
			}
		}
		if p := g.pods[id]; p == nil || p.Phase != fleet.PhaseRunning {
			add("instance %v has no running pod: %+v", id, p)
		}
	}
	for _, r := range g.list(nil) {
		if _, ok := owner[r.ID]; !ok {
			if at, _ := g.m.plan.Owner(r.ID); at != fleet.NoInstance || len(g.tree) < g.ctl.MaxInstances {
				add("%s stands nowhere", r.ID)
			}
		} else if len(g.runs[r.ID]) != 1 {
			add("%s runs on %d pods", r.ID, len(g.runs[r.ID]))
		}
	}
	for _, id := range sortedIDs(g.pods) {
		if g.tree[id] == nil {
			add("pod %v has no instance", id)
		}
	}
	for _, p := range g.m.Pending(5) {
		// Without room what closes keeps what it has, and what was to move there
		// stays where it runs.
		stuck := g.m.alarms["no-room"] != "" && (strings.Contains(p, "is being released") ||
			strings.Contains(p, "not yet where they should be") || strings.Contains(p, "an orchestration is running"))
		if !stuck && !strings.Contains(p, "has no place: ") {
			add("%s", p)
		}
	}
	return out
}

func (g *rig) notify(op fleet.Op, table string, known bool, ids ...string) {
	g.token++
	n := &fleet.Notification{Op: op, Table: table, GroupKnown: known}
	for _, id := range ids {
		n.Resources = append(n.Resources, fleet.Resource{ID: id, Group: g.rows[id]})
	}
	g.told = append(g.told, Notified{Token: g.token, Note: n})
	g.step(g.told[len(g.told)-1])
}

// line writes a line of the trace.
func line(prefix string, what any) string {
	if s, ok := what.(string); ok {
		return prefix + s
	}
	return prefix + strings.ReplaceAll(Describe(what), "\n", "\n"+prefix)
}

// picture is ZooKeeper and Kubernetes in a few lines.
func (g *rig) picture() string {
	var b strings.Builder
	for _, id := range sortedIDs(g.tree) {
		ti := g.tree[id]
		ids := slices.Clone(ti.IDs)
		sort.Strings(ids)
		fmt.Fprintf(&b, "%v %d/%d times=%d %s%s\n", id, ti.Used, ti.Capacity, ti.Times, podLine(g.pods[id]), list(" ", ids))
	}
	for _, id := range sortedIDs(g.pods) {
		if g.tree[id] == nil {
			fmt.Fprintf(&b, "no instance %v: %s\n", id, podLine(g.pods[id]))
		}
	}
	fmt.Fprintf(&b, "control %s\n", describeControl(&g.ctl))
	return b.String()
}

func podLine(p *fleet.Pod) string {
	if p == nil {
		return "no pod"
	}
	s := fmt.Sprintf("%v(%s)", p.Phase, p.UID)
	if p.Terminating {
		s += " terminating"
	}
	return s
}

func sortedIDs[V any](m map[fleet.InstanceID]V) []fleet.InstanceID {
	ids := make([]fleet.InstanceID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
