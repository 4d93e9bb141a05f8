package tape

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
)

// MarkClass says what a mark is about.
type MarkClass string

// The classes of marks, named as the interface does.
const (
	MarkFault     MarkClass = "fault"     // something was broken, or broke
	MarkViolation MarkClass = "violation" // an invariant broke
	MarkOutage    MarkClass = "outage"    // a leader was told that a channel is down
	MarkAlarm     MarkClass = "alarm"     // the core raised an alarm
	MarkOrder     MarkClass = "order"     // an operator's order, until it was answered
	MarkLeader    MarkClass = "leader"    // another leader, or a process that began anew
	MarkHeal      MarkClass = "heal"      // from here on no fault of the scenario begins
)

// Mark is something that a timeline shows.
type Mark struct {
	At, Until time.Duration // Until: when it was over; the End while it lasts
	Open      bool          // it lasts
	Once      bool          // it happened at At
	Class     MarkClass
	Kind      fleet.Kind       // empty: all
	Instance  fleet.InstanceID // NoInstance: none
	Text      string

	began, ended stamp
}

// markKey names a mark that lasts.
type markKey struct {
	class MarkClass
	key   machineKey // of outages, alarms and orders
	name  string
	req   uint64 // of an order
}

// marks are kept by class: the first half of the bound, and the newest.
type marks struct {
	classes    map[MarkClass]*classMarks
	open       map[markKey]*Mark
	orders     map[markKey]reconcile.Order
	violations []stamp
	broken     int // violations, all of them
}

type classMarks struct {
	first, last []*Mark
	dropped     int
}

func newMarks() marks {
	return marks{classes: map[MarkClass]*classMarks{}, open: map[markKey]*Mark{}, orders: map[markKey]reconcile.Order{}}
}

// maxViolations bounds the violations whose moment is remembered; maxOrders the
// orders that wait for their reply.
const (
	maxViolations = 1 << 16
	maxOrders     = 10_000
)

// mark keeps a mark.
func (t *Tape) mark(m Mark) *Mark {
	c := t.marks.classes[m.Class]
	if c == nil {
		c = &classMarks{}
		t.marks.classes[m.Class] = c
	}
	m.At, m.Text, m.began = t.now, shortened(m.Text), t.stamp()
	p := &m
	half := max(t.cfg.MaxMarks/2, 1)
	if len(c.first) < half {
		c.first = append(c.first, p)
		return p
	}
	if len(c.last) >= half { // the older ones go, but for those that last
		was := len(c.last)
		old := slices.DeleteFunc(slices.Clone(c.last[:max(half/4, 1)]), func(m *Mark) bool { return !m.Open })
		c.last = append(old, c.last[max(half/4, 1):]...)
		if len(c.last) >= 2*half { // all last: the bound holds
			c.last = c.last[half:]
		}
		c.dropped += was - len(c.last)
	}
	c.last = append(c.last, p)
	return p
}

func (t *Tape) once(k *kindTape, class MarkClass, id fleet.InstanceID, text string) {
	t.mark(Mark{Class: class, Kind: nameOf(k), Instance: id, Text: text, Once: true})
}

func nameOf(k *kindTape) fleet.Kind {
	if k == nil {
		return ""
	}
	return k.name
}

func (t *Tape) beginMark(key markKey, m Mark) {
	if t.marks.open[key] == nil {
		m.Class, m.Open = key.class, true
		t.marks.open[key] = t.mark(m)
	}
}

func (t *Tape) endMark(key markKey) {
	if m := t.marks.open[key]; m != nil {
		m.Open, m.Until, m.ended = false, t.now, t.stamp()
		delete(t.marks.open, key)
	}
}

// endAll ends the marks of a class that a machine has begun.
func (t *Tape) endAll(key machineKey, class MarkClass) {
	for open := range t.marks.open {
		if open.class == class && open.key == key {
			t.endMark(open)
		}
	}
}

// channel is whether a channel to a leader is known to work.
func (t *Tape) channel(k *kindTape, key machineKey, name string, up bool) {
	switch mark := (markKey{class: MarkOutage, key: key, name: name}); {
	case up:
		t.endMark(mark)
	case t.crew.machine(key).Stage() != reconcile.StageFollower:
		t.beginMark(mark, Mark{Kind: k.name, Instance: fleet.NoInstance, Text: name})
	}
}

func (t *Tape) alarm(k *kindTape, key machineKey, c reconcile.Alarm) {
	mark := markKey{class: MarkAlarm, key: key, name: c.Code}
	e := Entry{Type: EntryAlarm, Instance: fleet.NoInstance, Code: c.Code, Text: c.Text}
	if c.On {
		t.beginMark(mark, Mark{Kind: k.name, Instance: fleet.NoInstance, Text: c.Code + ": " + c.Text})
	} else {
		e.Type = EntryAlarmOver
		t.endMark(mark)
	}
	t.tell(k, key.process, e)
}

func (t *Tape) ordered(k *kindTape, key machineKey, ev reconcile.Ordered) {
	if len(t.marks.orders) >= maxOrders {
		t.problem("more than %d orders wait for their answers: this one's is not shown", maxOrders)
		return
	}
	mark := markKey{class: MarkOrder, key: key, req: ev.Req}
	t.marks.orders[mark] = ev.Order
	_, about := reconcile.Told(ev.Order)
	t.beginMark(mark, Mark{Kind: k.name, Instance: about, Text: strings.TrimPrefix(reconcile.Describe(ev), "ordered ")})
}

func (t *Tape) replied(k *kindTape, key machineKey, c reconcile.Reply) {
	code := "done"
	switch {
	case c.Err == "":
	case t.crew.machine(key).Stage() == reconcile.StageFollower:
		code = "interrupted"
	default:
		code = "refused"
	}
	t.orderOver(k, markKey{class: MarkOrder, key: key, req: c.Req}, code, c.Err)
}

// orderOver ends an order.
func (t *Tape) orderOver(k *kindTape, mark markKey, code, why string) {
	order := t.marks.orders[mark]
	t.endMark(mark)
	if delete(t.marks.orders, mark); order == nil {
		return
	}
	e := Entry{Type: EntryOrder, Code: code}
	e.Text, e.Instance = reconcile.Told(order)
	switch o := order.(type) {
	case reconcile.Maintenance:
		if code == "done" {
			t.tell(k, mark.key.process, Entry{Type: EntryMaintenance, Instance: fleet.NoInstance, On: o.On})
		}
	case reconcile.Orchestrate:
		t.told.gaveUp = why
	}
	if why != "" {
		e.Text += ": " + why
	}
	t.tell(k, mark.key.process, e)
}

// interrupted ends the orders that a process has not answered.
func (t *Tape) interrupted(k *kindTape, key machineKey) {
	var open []markKey
	for mark := range t.marks.orders {
		if mark.key == key {
			open = append(open, mark)
		}
	}
	slices.SortFunc(open, func(a, b markKey) int { return cmp.Compare(a.req, b.req) })
	for _, mark := range open {
		t.orderOver(k, mark, "interrupted", "the process ended")
	}
}

// marked notes what a simulation knows of the world around the core.
func (t *Tape) marked(key machineKey, m *recording.Mark) {
	k := t.byNum[key.kind]
	switch m.What {
	case recording.FaultBegan:
		if faultOnce(m.Text) {
			t.once(nil, MarkFault, fleet.NoInstance, m.Text)
		} else {
			t.beginMark(markKey{class: MarkFault, name: m.Text}, Mark{Instance: fleet.NoInstance, Text: m.Text})
		}
	case recording.FaultEnded:
		t.endMark(markKey{class: MarkFault, name: m.Text})
	case recording.Healed:
		t.once(nil, MarkHeal, fleet.NoInstance, "faults have stopped")
	case recording.Broken:
		t.once(k, MarkViolation, m.Instance, m.Text)
		t.marks.broken++
		if len(t.marks.violations) < maxViolations {
			t.marks.violations = append(t.marks.violations, t.stamp())
		}
	case recording.ProgramStarted:
		t.podFact(k, m.Instance, PodFact{What: ProgramStarted, UID: m.Text})
	case recording.ProgramHung:
		t.podFact(k, m.Instance, PodFact{What: ProgramHung, UID: m.Text})
	case recording.ProgramEnded:
		t.podFact(k, m.Instance, PodFact{What: ProgramEnded, UID: m.Text})
	case recording.ProcessDied:
		t.died(key.process)
	case recording.PodBound:
		t.podFact(k, m.Instance, PodFact{What: PodBound, Text: m.Text})
	}
}

// faultOnce says that a fault, written as a scenario has it, happens at a moment
// and does not last.
func faultOnce(text string) bool {
	for _, w := range scenarios.FaultWords {
		f := scenarios.Fault{What: w.What}
		if !f.Once() {
			continue
		}
		_, rest, found := strings.Cut(text, " "+w.What.Subject()+": "+w.What.Word())
		if found && (strings.HasPrefix(rest, ",") || strings.HasPrefix(rest, "}")) {
			return true
		}
	}
	return false
}

// Marks answers what the timeline shows, by At, at most limit, or a few more; of
// each class, if there are too many, the first and the last; all says that none is
// left out.
func (t *Tape) Marks(limit int) (list []Mark, all bool) {
	all = true
	if len(t.marks.classes) == 0 {
		return nil, true
	}
	share := max(limit/len(t.marks.classes), 2)
	for _, c := range t.marks.classes {
		of := append(slices.Clone(c.first), c.last...)
		if all = all && c.dropped == 0; len(of) > share {
			all = false
			of = slices.Delete(of, share/2, len(of)-(share-share/2))
		}
		for _, m := range of {
			list = append(list, t.shown(m))
		}
	}
	slices.SortStableFunc(list, func(a, b Mark) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.began.n, b.began.n), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Text, b.Text))
	})
	return list, all
}

func (t *Tape) shown(m *Mark) Mark {
	out := *m
	switch {
	case m.Once:
		out.Until = m.At
	case m.Open:
		out.Until = t.now
	}
	return out
}

// Faults are those that last at the moment.
func (m *Moment) Faults() []Mark {
	c := m.t.marks.classes[MarkFault]
	if c == nil {
		return nil
	}
	var out []Mark
	to := m.stamp()
	for _, f := range append(slices.Clone(c.first), c.last...) {
		if !f.Once && to.holds(f.began) && (f.Open || !to.holds(f.ended)) {
			now := *f
			now.Open, now.Until = true, m.At()
			out = append(out, now)
		}
	}
	return out
}

// Violations is how many invariants have broken up to the moment.
func (m *Moment) Violations() int {
	marks := &m.t.marks
	n := upTo(marks.violations, m.stamp(), func(s *stamp) stamp { return *s })
	if n == len(marks.violations) && n == maxViolations {
		return marks.broken // more than can be told apart
	}
	return n
}
