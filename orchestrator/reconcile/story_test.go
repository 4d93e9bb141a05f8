package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"

	"github.com/cockroachdb/datadriven"
)

// TestStories runs the stories in testdata/stories; -rewrite writes their
// output anew. A story answers what happens: each event ("> …"), what the
// machine makes of it ("  …"), and the time where it has changed ("@ …").
// Ticks, heartbeats and listings from which nothing follows are left out while
// time passes.
//
//	new [policy=] [handoff=] [R=] [max=] [init=] [moves=] [replacing=] [txnbytes=] [idbytes=] [noheartbeat] [unconfirmed=]
//	                        a world with an orchestrator that follows; small numbers unless told
//	rows a b [group=g]      rows that nobody tells of          unrows a b
//	create a b [group=g]    rows, and a message "c" for each   delete a b: the same with "d"
//	notify op=bc a b [table=T] [known]   a message as it is; the rows stay as they are
//	tree                    ZooKeeper as others left it: lines "0 used/count times=4: a b";
//	                        times=-1: without a _reload
//	control [capacity=] [target=] [closing=(1,2)] [maintenance]
//	pods                    pods as others left them: lines "0 Running"
//	lead, deposed, crash    crash: a new process that follows, whatever was under way is gone
//	run, one [n], pass 90s  execute what was commanded, all or n; let time pass
//	sleep 1s hold           a Tick later, nothing executed
//	phase 1 Failed [reason=r] [node-lost]   gone 1   mute 1   unmute 1
//	idle 1, busy 1          the DAC beats and does nothing; works again
//	cut 1                   it is cut off from ZooKeeper, until "busy 1"
//	vanish 1                somebody deletes the instance's nodes
//	start on|off            whether Pending pods get to run
//	beats on|off            off: heartbeats get lost and nobody knows
//	channel heartbeats|notifications up|down
//	status 1 times=3        a DAC's late word
//	fault create-pod refuse [n=2]   what goes wrong with the next commands of a sort; n=always, n=0 ends it
//	answer                  delivers the answers that "fault … delay" keeps
//	orchestrate [R=] [max=]   drain 1   undrain 1   replace 1   maintenance on|off
//	see pod 1 Running uid=u9 [terminating]   see gone 1 uid=u9   news of a pod as it comes, true or not
//	show [progress] [pending] [alarms] [unsettled]   without words: ZooKeeper and the pods
//
// What commands follow from an order or an event is executed at once, unless
// the line ends with "hold". A word x1..x5 stands for x1 x2 x3 x4 x5.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := s.tell(t, d)
			if s.g != nil && len(s.g.broken) > 0 {
				out += "BROKEN " + strings.Join(s.g.broken, "\nBROKEN ") + "\n"
				t.Errorf("%s: %v", d.Pos, s.g.broken)
				s.g.broken = nil
			}
			return out
		})
	})
}

// story is a rig and what its trace has said so far.
type story struct {
	g       *rig
	faults  map[string]*fault
	orders  uint64
	out     strings.Builder
	shown   time.Duration
	event   string // not yet written: nothing may follow from it
	skip    bool   // leave events out from which nothing follows
	passing bool
	twins   func() bool // the rig's
}

type fault struct {
	what  verdict
	times int
}

var verdicts = map[string]verdict{"lose": lose, "silent": doSilently, "refuse": refuse, "conflict": conflict,
	"unknown": unknown, "unknown-not": unknownNot, "delay": delay, "postpone": postpone}

func (s *story) tell(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	words, hold := s.words(d)
	if d.Cmd == "new" {
		s.begin(t, d)
		return ""
	}
	g := s.g
	switch d.Cmd {
	case "rows":
		for _, id := range words {
			g.rows[id] = value(d, "group")
		}
	case "unrows":
		for _, id := range words {
			delete(g.rows, id)
		}
	case "create":
		for _, id := range words {
			g.rows[id] = value(d, "group")
			g.notify(fleet.OpCreate, "Thing", true, id)
		}
	case "delete":
		for _, id := range words {
			delete(g.rows, id)
			g.notify(fleet.OpDelete, "Thing", false, id)
		}
	case "notify":
		s.notify(t, d, words)
	case "tree":
		s.tree(t, d)
	case "control":
		s.control(d)
	case "pods":
		for _, l := range strings.Split(d.Input, "\n") {
			f := strings.Fields(l)
			g.uids++
			id := instanceID(t, d, f[0])
			g.pods[id] = &fleet.Pod{Instance: id, UID: fmt.Sprintf("u%d", g.uids), Phase: phase(t, d, f[1])}
		}
		g.reload()
	case "lead":
		g.lead()
	case "deposed":
		g.step(Deposed{Why: "session expired"})
	case "crash":
		g.restart()
	case "run":
	case "one":
		n := 1
		if len(words) > 0 {
			n = number(t, d, words[0])
		}
		for range n {
			g.one()
		}
		hold = true
	case "pass":
		span, err := time.ParseDuration(words[0])
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.passing = true
		g.pass(span)
		s.passing = false
	case "sleep":
		span, err := time.ParseDuration(words[0])
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		g.now += span
		g.step(Tick{})
	case "start":
		g.noStart = words[0] == "off"
	case "beats":
		g.quiet = words[0] == "off"
	case "channel":
		if up := words[1] == "up"; words[0] == "heartbeats" {
			g.step(HeartbeatChannel{Up: up})
		} else {
			g.step(NotificationChannel{Up: up})
		}
	case "fault":
		s.fault(t, d, words)
	case "answer":
		g.arrive()
	case "see":
		s.see(t, d, words)
	case "show":
		return s.show(words)
	default:
		s.instance(t, d, words)
	}
	if !hold {
		g.run()
	}
	s.flush()
	return s.out.String()
}

// instance tells what happens to an instance, and what people order.
func (s *story) instance(t *testing.T, d *datadriven.TestData, words []string) {
	g := s.g
	at := func() fleet.InstanceID { return instanceID(t, d, words[0]) }
	order := func(o Order) {
		s.orders++
		g.step(Ordered{Req: s.orders, Order: o})
	}
	switch d.Cmd {
	case "phase":
		p := g.pods[at()]
		p.Reason, p.NodeLost = value(d, "reason"), d.HasArg("node-lost")
		g.phase(at(), phase(t, d, words[1]))
	case "gone":
		g.gone(at())
	case "vanish":
		g.vanish(at())
	case "mute":
		g.mute[at()] = true
	case "unmute":
		delete(g.mute, at())
	case "idle":
		g.idle[at()] = true
	case "cut":
		g.cut(at())
	case "busy":
		delete(g.idle, at())
	case "status":
		g.step(StatusSeen{Instance: at(), Status: fleet.Status{Present: true, Times: int64(number(t, d, value(d, "times")))}})
	case "orchestrate":
		var req placement.Request
		if v := value(d, "R"); v != "" {
			n := number(t, d, v)
			req.ResourcePerInstance = &n
		}
		if v := value(d, "max"); v != "" {
			n := number(t, d, v)
			req.MaxInstances = &n
		}
		order(Orchestrate{Request: req})
	case "drain":
		order(Drain{at()})
	case "undrain":
		order(Undrain{at()})
	case "replace":
		order(Replace{at()})
	case "maintenance":
		order(Maintenance{On: words[0] == "on"})
	default:
		d.Fatalf(t, "unknown line %q", d.Cmd)
	}
}

func (s *story) begin(t *testing.T, d *datadriven.TestData) {
	cfg := smallConfig(fleet.PolicyFill, fleet.HandoffFast)
	if v := value(d, "policy"); v != "" {
		cfg.Policy = fleet.Policy(v)
	}
	if v := value(d, "handoff"); v != "" {
		cfg.Handoff = fleet.Handoff(v)
	}
	if v := value(d, "unconfirmed"); v != "" {
		span, err := time.ParseDuration(v)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		cfg.Unconfirmed = span
	}
	cfg.Heartbeat = !d.HasArg("noheartbeat")
	for key, field := range map[string]*int{"R": &cfg.Limits.ResourcePerInstance, "max": &cfg.Limits.MaxInstances, "init": &cfg.Limits.InitInstances,
		"moves": &cfg.MovesInFlight, "replacing": &cfg.Replacing, "txnbytes": &cfg.TxnBytes, "idbytes": &cfg.MaxIDBytes} {
		if v := value(d, key); v != "" {
			*field = number(t, d, v)
		}
	}
	*s = story{g: newRig(cfg), faults: map[string]*fault{}, twins: s.twins}
	s.g.twins = s.twins
	s.g.hold, s.g.stall = s.interfere, true
	s.g.trace = s.record
}

// record writes a line of the trace. An event waits for what follows from it.
func (s *story) record(prefix string, what any) {
	if prefix == "> " {
		s.flush()
		switch what.(type) {
		case Tick, Heartbeat, PodsListed, Listed, StatusSeen:
			s.skip = s.passing
		default:
			s.skip = false
		}
		s.event = line(prefix, what)
		return
	}
	if _, pods := what.(ListPods); pods && s.passing {
		return
	}
	if l, rows := what.(ListRows); rows && s.passing && l.IDs == nil {
		return
	}
	s.skip = false
	s.flush()
	s.write(line(prefix, what))
}

func (s *story) flush() {
	if s.event != "" && !s.skip {
		s.write(s.event)
	}
	s.event = ""
}

func (s *story) write(l string) {
	if s.g.now != s.shown {
		s.shown = s.g.now
		fmt.Fprintf(&s.out, "@ %v\n", s.g.now.Round(time.Millisecond))
	}
	s.out.WriteString(l + "\n")
}

// interfere lets go wrong what the story says.
func (s *story) interfere(c Command) (verdict, bool) {
	word, _, _ := strings.Cut(strings.NewReplacer("\n", " ", "[", " ", ":", " ").Replace(Describe(c)), " ")
	f := s.faults[word]
	if f == nil || f.times == 0 {
		return execute, false
	}
	f.times--
	return f.what, true
}

func (s *story) fault(t *testing.T, d *datadriven.TestData, words []string) {
	what, ok := verdicts[words[1]]
	if !ok {
		d.Fatalf(t, "unknown fault %q", words[1])
	}
	f := &fault{what: what, times: 1}
	switch n := value(d, "n"); n {
	case "":
	case "always":
		f.times = -1
	default:
		f.times = number(t, d, n)
	}
	s.faults[words[0]] = f
}

func (s *story) notify(t *testing.T, d *datadriven.TestData, words []string) {
	op := slices.IndexFunc([]fleet.Op{0, 1, 2, 3, 4, 5, 6}, func(o fleet.Op) bool { return o.String() == value(d, "op") })
	if op < 0 {
		d.Fatalf(t, "unknown op %q", value(d, "op"))
	}
	table := "Thing"
	if v := value(d, "table"); v != "" {
		table = v
	}
	s.g.notify(fleet.Op(op), table, d.HasArg("known"), words...)
}

func (s *story) tree(t *testing.T, d *datadriven.TestData) {
	for _, l := range strings.Split(d.Input, "\n") {
		head, ids, _ := strings.Cut(l, ":")
		ti := &fleet.TreeInstance{Status: fleet.Status{Times: -1}}
		if _, err := fmt.Sscanf(head, "%d %d/%d times=%d", &ti.ID, &ti.Used, &ti.Capacity, &ti.Times); err != nil {
			d.Fatalf(t, "%q: %v", l, err)
		}
		ti.IDs = spread(strings.Fields(ids))
		s.g.born++
		ti.Born = s.g.born
		if old := s.g.tree[ti.ID]; old != nil {
			ti.Versions, ti.Status = old.Versions, old.Status
			ti.Versions.Resources++
		}
		if ti.Times < 0 {
			ti.Times, ti.Versions.Reload = 0, -1
		}
		s.g.inherited = true
		s.g.tree[ti.ID] = ti
	}
}

func (s *story) control(d *datadriven.TestData) {
	s.g.ctlV++
	s.g.ctl = fleet.Control{Maintenance: d.HasArg("maintenance")}
	set := func(key string, field *int) {
		if v := value(d, key); v != "" {
			*field, _ = strconv.Atoi(v)
		}
	}
	set("capacity", &s.g.ctl.Capacity)
	set("target", &s.g.ctl.TargetInstances)
	s.g.ctl.ResourcePerInstance, s.g.ctl.MaxInstances = s.g.cfg.Limits.ResourcePerInstance, s.g.cfg.Limits.MaxInstances
	if a, ok := d.Arg("closing"); ok {
		for _, v := range a.Vals {
			n, _ := strconv.Atoi(v)
			s.g.ctl.Closing = append(s.g.ctl.Closing, fleet.InstanceID(n))
		}
	}
}

// see hands the machine news of a pod as it comes, true or not.
func (s *story) see(t *testing.T, d *datadriven.TestData, words []string) {
	id := instanceID(t, d, words[1])
	if words[0] == "gone" {
		s.g.step(PodGone{Instance: id, UID: value(d, "uid")})
		return
	}
	s.g.step(PodSeen{Pod: fleet.Pod{Instance: id, UID: value(d, "uid"), Phase: phase(t, d, words[2]), Terminating: d.HasArg("terminating")}})
}

func (s *story) show(words []string) string {
	if len(words) == 0 {
		return s.g.picture()
	}
	var b strings.Builder
	for _, w := range words {
		switch w {
		case "progress":
			fmt.Fprintf(&b, "progress: %v\n", s.g.m.Progress())
		case "pending":
			for _, p := range s.g.m.Pending(20) {
				fmt.Fprintf(&b, "pending: %s\n", p)
			}
		case "alarms":
			for _, code := range sortedKeys(s.g.m.alarms) {
				fmt.Fprintf(&b, "alarm %s: %s\n", code, s.g.m.alarms[code])
			}
		case "unsettled":
			for _, u := range s.g.unsettled() {
				fmt.Fprintf(&b, "unsettled: %s\n", u)
			}
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// words are the arguments that are no settings, spread, and whether the last
// says that nothing is to be executed yet.
func (s *story) words(d *datadriven.TestData) (words []string, hold bool) {
	for _, a := range d.CmdArgs {
		switch {
		case a.Key == "hold":
			hold = true
		case len(a.Vals) == 0 && !slices.Contains([]string{"known", "node-lost", "terminating", "noheartbeat"}, a.Key):
			words = append(words, a.Key)
		}
	}
	return spread(words), hold
}

// spread writes x1..x5 out.
func spread(words []string) []string {
	var out []string
	for _, w := range words {
		first, last, many := strings.Cut(w, "..")
		if !many {
			out = append(out, w)
			continue
		}
		stem := strings.TrimRight(first, "0123456789")
		from, _ := strconv.Atoi(first[len(stem):])
		to, _ := strconv.Atoi(strings.TrimPrefix(last, stem))
		for n := from; n <= to; n++ {
			out = append(out, fmt.Sprintf("%s%0*d", stem, len(first)-len(stem), n))
		}
	}
	return out
}

func value(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return ""
}

func number(t *testing.T, d *datadriven.TestData, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return n
}

func instanceID(t *testing.T, d *datadriven.TestData, s string) fleet.InstanceID {
	return fleet.InstanceID(number(t, d, s))
}

func phase(t *testing.T, d *datadriven.TestData, s string) fleet.Phase {
	for ph := fleet.PhaseMissing; ph <= fleet.PhaseUnknown; ph++ {
		if ph.String() == s {
			return ph
		}
	}
	d.Fatalf(t, "unknown phase %q", s)
	return 0
}
