package scenarios

import (
	"fmt"
	"strconv"
	"time"
)

// FormatFault writes a fault as an entry of faults, on one line and without what
// is the default: two faults are written alike if and only if they are equal. It
// is the name of the fault's random stream, and its label in reports.
func FormatFault(f Fault) string {
	usual := NewFault(f.What)
	if f.Command != "" {
		usual.By = crashBy
	}
	w := flow{}
	w.add("at", FormatDuration(f.At))
	w.length("for", f.For, 0)
	w.length("every", f.Every, 0)
	w.add(f.What.Subject(), text(f.What.Word(), true))
	w.text("of", f.Of, usual.Of)
	w.text("kind", f.Kind, "")
	if f.One {
		w.add("instance", strconv.Itoa(f.Instance))
	}
	if f.Node != "" {
		w.add("name", text(f.Node, true))
	}
	w.number("count", f.Count, 0)
	w.share("share", f.Share, 0)
	if len(f.Where) > 0 {
		list := ""
		for i, c := range f.Where {
			if i > 0 {
				list += ", "
			}
			list += text(c.String(), true)
		}
		w.add("where", "["+list+"]")
	}
	w.text("command", f.Command, "")
	w.length("by", f.By, usual.By)
	w.rate("rate", f.Rate, usual.Rate)
	w.share("chance", f.Chance, usual.Chance)
	w.length("stable", f.Stable, usual.Stable)
	return w.String()
}

// Label is the fault in a few words, for pictures: "kafka-down",
// "pod-crash Thing 20%", "mqtt-lose (30%)". What is in brackets is its chance.
func (f *Fault) Label() string {
	s := string(f.What)
	if f.Command != "" {
		s += " at " + f.Command
	}
	if f.Of == OfDACs {
		s += " of dacs"
	}
	if f.Kind != "" {
		s += " " + f.Kind
	}
	switch {
	case f.One:
		s += " " + strconv.Itoa(f.Instance)
	case f.Node != "":
		s += " " + f.Node
	case f.Count > 0:
		s += fmt.Sprintf(" ×%d", f.Count)
	case f.Share > 0:
		s += " " + FormatShare(f.Share)
	}
	for i, c := range f.Where {
		s += map[bool]string{true: " where ", false: ", "}[i == 0] + c.String()
	}
	if f.Chance > 0 && f.Chance < 1 {
		s += " (" + FormatShare(f.Chance) + ")"
	}
	return s
}

func formatChurn(c *Churn, heal time.Duration) string {
	f := flow{}
	f.text("kind", c.Kind, "")
	switch {
	case c.Burst != nil:
		b := c.Burst
		f.add("at", FormatDuration(c.From))
		f.number("burst", b.Count, 0)
		f.text("verb", b.Verb, Create)
		f.length("over", b.Over, 0)
		f.number("bulk", b.Bulk, 0)
		if b.Condition == ConditionOther {
			f.add("condition", b.Condition)
		}
		return f.String() // its from and until follow from these
	case c.Rates != nil:
		f.rate("create", c.Rates.Create, 0)
		f.rate("delete", c.Rates.Delete, 0)
		f.rate("update", c.Rates.Update, 0)
		f.text("arrivals", c.Rates.Arrivals, Poisson)
	case c.Day != nil:
		swings := flow{}
		formatSwing(&swings, "create", c.Day.Create)
		formatSwing(&swings, "delete", c.Day.Delete)
		formatSwing(&swings, "update", c.Day.Update)
		f.add("day", swings.String())
		f.length("period", c.Day.Period, day)
		f.length("peakAt", c.Day.PeakAt, 0)
	case c.Trace != nil:
		f.add("trace", formatTrace(c.Trace))
	}
	f.length("from", c.From, 0)
	f.length("until", c.Until, heal)
	return f.String()
}

func formatSwing(f *flow, key string, s Swing) {
	if s.Peak == 0 {
		return
	}
	swing := flow{}
	swing.rate("peak", s.Peak, 0)
	swing.rate("trough", s.Trough, 0)
	f.add(key, swing.String())
}

func formatTrace(t *Trace) string {
	f := formatTable(&t.Table)
	f.texts("id", t.ID)
	f.text("created", t.Created, "")
	f.text("deleted", t.Deleted, "")
	f.text("group", t.Group, "")
	if len(t.Where) > 0 {
		where := flow{}
		for _, m := range t.Where {
			where.add(text(m.Column, true), text(m.Values[0], true))
		}
		f.add("where", where.String())
	}
	return f.String()
}

func formatTable(t *Table) flow {
	f := flow{}
	f.text("file", t.File, "")
	f.text("source", t.Source, "")
	f.flag("header", t.Header, true)
	switch t.Comma {
	case ',':
	case '\t':
		f.add("comma", "tab")
	default:
		f.add("comma", text(string(t.Comma), true))
	}
	f.add("time", formatClock(t.Time))
	if t.Scale.File != t.Scale.Scenario || t.Scale.File != time.Second {
		f.add("scale", formatScale(t.Scale))
	}
	f.text("origin", t.Origin, "")
	f.number("limit", t.Limit, 0)
	return f
}

func formatClock(c Clock) string {
	for _, u := range clockUnits {
		if u.unit == c.Unit && u.word != "unix" {
			return u.word
		}
	}
	return text(c.Layout, true)
}

func formatScale(s Scale) string {
	file := FormatDuration(s.File)
	if s.File%year == 0 {
		file = strconv.FormatInt(int64(s.File/year), 10) + "y"
	}
	scenario := FormatDuration(s.Scenario)
	if s.Scenario%year == 0 {
		scenario = strconv.FormatInt(int64(s.Scenario/year), 10) + "y"
	}
	return file + " = " + scenario
}

func formatNodes(n *Nodes) string {
	f := flow{}
	if n.Count > 0 {
		f.number("count", n.Count, 0)
	} else {
		t := formatTable(&n.Table)
		t.text("at", n.At, "")
		t.text("node", n.Node, "")
		t.text("action", n.Action, "")
		t.text("add", n.Add, "add")
		t.text("remove", n.Remove, "remove")
		f.add("trace", t.String())
	}
	f.number("podsPerNode", n.PerNode, 1)
	return f.String()
}
