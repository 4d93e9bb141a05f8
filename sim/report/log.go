package report

import (
	"slices"
	"strings"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// maxTextShown bounds a text in a story.
const maxTextShown = 500

// noteKeeper keeps what of the log fits.
type noteKeeper struct {
	firm    []LogEntry // what is no note
	first   []LogEntry
	last    []LogEntry // the newest notes
	omitted int
	seq     int
}

// log adds a line, or an instance to one of the lines before it.
func (t *teller) log(class LogClass, k *kindTeller, in fleet.InstanceID, text string) {
	e := LogEntry{At: t.now, Class: class, Instance: in, Text: shortened(text, maxTextShown)}
	if k != nil {
		e.Kind = k.Name
	}
	t.notes.add(e)
}

func (n *noteKeeper) add(e LogEntry) {
	n.seq++
	e.seq = n.seq
	switch {
	case e.Class != LogNote:
		if !joins(n.firm, &e) {
			if len(n.firm) >= MaxLog {
				n.omitted++
				return
			}
			n.firm = append(n.firm, e)
		}
	case len(n.first) < MaxLog/2:
		if !joins(n.first, &e) {
			n.first = append(n.first, e)
		}
	case !joins(n.last, &e):
		if len(n.last) == MaxLog { // the older half goes
			n.omitted += MaxLog / 2
			n.last = append(n.last[:0], n.last[MaxLog/2:]...)
		}
		n.last = append(n.last, e)
	}
}

// joins counts a line into one of the last few that say the same of another
// instance at the same time.
func joins(lines []LogEntry, e *LogEntry) bool {
	const back = 4
	for i := len(lines) - 1; i >= max(len(lines)-back, 0); i-- {
		was := &lines[i]
		if was.At == e.At && was.Class == e.Class && was.Kind == e.Kind && was.Text == e.Text && was.Instance != fleet.NoInstance {
			was.More += count(was.Instance != e.Instance)
			return true
		}
	}
	return false
}

// lines are the log in its order, and how many are left out.
func (n *noteKeeper) lines() ([]LogEntry, int) {
	if over := len(n.last) - MaxLog/2; over > 0 {
		n.omitted += over
		n.last = n.last[over:]
	}
	all := slices.Concat(n.firm, n.first, n.last)
	slices.SortFunc(all, func(a, b LogEntry) int { return a.seq - b.seq })
	return all, n.omitted
}

func (t *teller) alarm(k *kindTeller, c reconcile.Alarm) {
	key := bandKey{class: BandAlarm, kind: k.Name, name: c.Code}
	if !c.On {
		text := c.Code
		if at, on := t.open[key]; on {
			text += " after " + span(t.now-t.story.Bands[at].From)
		}
		t.endBand(key)
		t.log(LogAlarmOff, k, fleet.NoInstance, text)
		return
	}
	k.Alarms++
	t.log(LogAlarmOn, k, fleet.NoInstance, c.Code+": "+c.Text)
	t.beginBand(key, alarmName(c.Code), c.Text)
}

// alarmName is an alarm's code without the number of an instance at its end.
func alarmName(code string) string {
	return shortened(strings.TrimRight(strings.TrimRight(code, "0123456789"), "-"), maxIDShown)
}

// maxOrders bounds the orders that wait for their reply.
const maxOrders = 1000

func (t *teller) ordered(k *kindTeller, ev reconcile.Ordered) {
	k.Orders++
	text := shortened(strings.TrimPrefix(reconcile.Describe(ev), "ordered "), maxTextShown)
	if len(k.orders) < maxOrders {
		k.orders[question{t.process, ev.Req}] = order{text: text, at: t.now}
	}
	t.log(LogOrder, k, fleet.NoInstance, text)
	t.once(BandOrder, k, text)
}

func (t *teller) replied(k *kindTeller, c reconcile.Reply) {
	which := question{t.process, c.Req}
	o := k.orders[which]
	delete(k.orders, which)
	text := "done"
	if c.Err != "" {
		k.Refused++
		text = "refused or given up: " + c.Err
	}
	if o.text != "" {
		text = o.text + " after " + span(t.now-o.at) + ": " + text
	}
	t.log(LogOrder, k, fleet.NoInstance, text)
}

func (t *teller) leads(k *kindTeller) {
	k.Leaderships++
	if k.led < 0 {
		k.led = t.now
	}
	t.endBand(bandKey{class: BandOutage, kind: k.Name, name: notLeading})
}

func (t *teller) deposed(k *kindTeller, why string) {
	delete(k.sent, t.process)
	t.log(LogLeader, k, fleet.NoInstance, "leads no longer: "+why)
	t.beginBand(bandKey{class: BandOutage, kind: k.Name, name: notLeading}, notLeading, why)
}
