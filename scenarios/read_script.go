package scenarios

import (
	"fmt"
	"time"
)

func (d *decoder) churn(v *value) Churn {
	var c Churn
	o, ok := d.object(v, "churn")
	if !ok {
		return c
	}
	if k := o.kind(); k != nil {
		c.Kind = k.Kind
	}
	switch o.choose([]string{"create", "delete", "update"}, []string{"burst"}, []string{"day"}, []string{"trace"}) {
	case 0:
		c.Rates = o.rates()
	case 1:
		c.Burst = o.burst(&c)
		return c
	case 2:
		c.Day = o.day()
	case 3:
		c.Trace = d.trace(o.at("trace"))
	}
	c.From = o.length("from", 0, 0, d.duration)
	c.Until = o.length("until", d.heal, 0, d.duration)
	if c.From >= c.Until {
		at := "until"
		if !o.has("until") {
			at = "from"
		}
		d.fail(o.at(at), fmt.Sprintf("it ends at %s and begins at %s", FormatDuration(c.Until), FormatDuration(c.From)), "want from before until, which is heal unless given")
	}
	return c
}

func (o object) rates() *Rates {
	before := len(o.d.errs)
	r := &Rates{Create: o.rate("create"), Delete: o.rate("delete"), Update: o.rate("update")}
	r.Arrivals = o.word("arrivals", Poisson, Poisson, Constant)
	if r.Create == 0 && r.Delete == 0 && r.Update == 0 && len(o.d.errs) == before {
		o.d.fail(o.v, "churn whose rates are all 0", "want a rate above 0, such as create: 5/s")
	}
	return r
}

func (o object) burst(c *Churn) *Burst {
	b := &Burst{
		Count: o.number("burst", 1, 1, maxResources),
		Verb:  o.word("verb", Create, Create, Update, Delete),
		Bulk:  o.number("bulk", 0, 1, 1_000_000),
	}
	if b.Bulk > 0 && b.Verb != Create {
		b.Condition = ConditionIDs
	}
	if o.has("condition") && o.has("bulk") {
		if b.Verb == Create {
			o.d.fail(o.at("condition"), "condition has no meaning for created rows", "want it beside verb: update or delete; bc always names the keys")
		} else {
			b.Condition = o.word("condition", ConditionIDs, ConditionIDs, ConditionOther)
		}
	}
	c.From = o.moment("at", 0, o.d.duration, "the run's end")
	b.Over = o.length("over", 0, 0, o.d.duration-c.From)
	c.Until = c.From + b.Over
	return b
}

func (o object) day() *Day {
	c := &Day{Period: o.length("period", day, time.Second, maxRun)}
	c.PeakAt = o.moment("peakAt", 0, c.Period, "the period's end")
	v := o.at("day")
	s, ok := o.d.object(v, "day")
	if !ok {
		return c
	}
	if !s.has("create") && !s.has("delete") && !s.has("update") {
		o.d.fail(v, "day with nothing to do", "want one of create, delete, update")
	}
	c.Create, c.Delete, c.Update = s.swing("create"), s.swing("delete"), s.swing("update")
	return c
}

func (o object) swing(key string) Swing {
	v := o.v.get(key)
	if v == nil || v.shape == nothing {
		return Swing{}
	}
	s, ok := o.d.object(v, "swing")
	if !ok {
		return Swing{}
	}
	w := Swing{Peak: s.rate("peak"), Trough: s.rate("trough")}
	switch {
	case s.has("peak") && w.Peak == 0:
		o.d.fail(s.at("peak"), key+": a peak of 0", "want a rate above 0, such as peak: 10/s")
	case s.has("peak") && w.Trough > w.Peak:
		o.d.fail(s.at("trough"), fmt.Sprintf("%s: the trough %s is above the peak %s", key, w.Trough, w.Peak), "want it at or below")
	}
	return w
}

func (d *decoder) trace(v *value) *Trace {
	t := &Trace{}
	o, ok := d.object(v, "trace")
	if !ok {
		return t
	}
	t.Table = o.table()
	t.ID = o.texts("id", 16)
	t.Created = o.column("created", t.Header)
	t.Deleted = o.column("deleted", t.Header)
	t.Group = o.column("group", t.Header)
	t.Where = o.where(t.Header)
	for _, id := range t.ID {
		o.numbered("id", id, t.Header)
	}
	return t
}

// table reads what all trace files share.
func (o object) table() Table {
	t := Table{
		File:   o.text("file", ""),
		Source: o.text("source", ""),
		Header: o.flag("header", true),
		Comma:  o.comma(),
		Scale:  Scale{time.Second, time.Second},
		Origin: o.text("origin", ""),
		Limit:  o.number("limit", 0, 1, 100_000_000),
	}
	t.place(o.d.file, o.at("file").set != "")
	known := false
	if v, ok := o.scalar("time"); ok {
		var err error
		if t.Time, err = ParseClock(v.text); err != nil {
			o.d.fail(v, fmt.Sprintf("time: %q is neither a unit nor a layout", shorten(v.text)), err.Error())
		}
		known = err == nil
	}
	if v, ok := o.scalar("scale"); ok {
		s, err := ParseScale(v.text)
		if err != nil {
			o.d.fail(v, fmt.Sprintf("scale: %q is not a scale", shorten(v.text)), err.Error())
		}
		t.Scale = s
	}
	if t.Origin != "" && known {
		if _, err := t.Time.Parse(t.Origin); err != nil {
			o.d.fail(o.at("origin"), fmt.Sprintf("origin: %q is not a time as the file writes it", shorten(t.Origin)), "want one that key time can read")
		}
	}
	return t
}

func (o object) comma() rune {
	v, ok := o.scalar("comma")
	switch {
	case !ok:
		return ','
	case v.text == "tab":
		return '\t'
	case len(v.text) == 1 && v.text[0] > ' ' && v.text[0] < 0x7f && v.text != `"` || v.text == " " || v.text == "\t":
		return rune(v.text[0])
	}
	o.wrong("comma", v)
	return ','
}

// where keeps the order of the file.
func (o object) where(header bool) []Match {
	v := o.v.get("where")
	if v == nil || v.shape == nothing {
		return nil
	}
	if v.shape != mapping || len(v.entries) == 0 || len(v.entries) > 100 {
		o.wrong("where", v)
		return nil
	}
	var matches []Match
	for _, e := range v.entries {
		if e.value.shape != scalar {
			o.d.fail(e.value, fmt.Sprintf("where: %s is no value of column %s", o.d.shown(e.value), shorten(e.key)), `want one text, such as "US"`)
			continue
		}
		o.numbered("where", e.key, header)
		matches = append(matches, Match{Column: e.key, Values: []string{e.value.text}})
	}
	return matches
}

// column is a column's name, or its number in a file without a header.
func (o object) column(key string, header bool) string {
	name := o.text(key, "")
	if name != "" {
		o.numbered(key, name, header)
	}
	return name
}

func (o object) numbered(key, name string, header bool) {
	if !header && (!isDigits(name) || name[0] == '0' || len(name) > 4) {
		o.d.fail(o.at(key), fmt.Sprintf("%s: %q is no column of a file without a header", key, shorten(name)), "want its number: 1, 2, 3, …")
	}
}

func (d *decoder) nodes(v *value) *Nodes {
	n := &Nodes{}
	o, ok := d.object(v, "nodes")
	if !ok {
		return n
	}
	n.PerNode = o.number("podsPerNode", 1, 1, 1000)
	switch o.choose([]string{"count"}, []string{"trace"}) {
	case 0:
		n.Count = o.number("count", 1, 1, 100_000)
		return n
	case -1:
		return n
	}
	t, ok := d.object(o.at("trace"), "node trace")
	if !ok {
		return n
	}
	n.Table = t.table()
	n.At, n.Node, n.Action = t.column("at", n.Header), t.column("node", n.Header), t.column("action", n.Header)
	n.Add, n.Remove = t.text("add", "add"), t.text("remove", "remove")
	if n.Add == n.Remove {
		d.fail(t.at("remove"), fmt.Sprintf("add and remove are both %q", shorten(n.Add)), "want two words")
	}
	return n
}

func (d *decoder) order(v *value) Order {
	var a Order
	o, ok := d.object(v, "order")
	if !ok {
		return a
	}
	a.At = o.moment("at", 0, d.duration, "the run's end")
	k := o.kind()
	if k != nil {
		a.Kind = k.Kind
	}
	switch o.choose([]string{"orchestrate"}, []string{"drain"}, []string{"undrain"}, []string{"replace"}, []string{"maintenance"}) {
	case 0:
		a.What = Orchestrate
		if r, ok := d.object(o.at("orchestrate"), "orchestrate"); ok {
			a.MaxInstances = r.number("maxInstances", 0, 1, 1_000_000)
			a.ResourcePerInstance = r.number("resourcePerInstance", 0, 1, maxResources)
		}
	case 1:
		a.What, a.Instance = Drain, o.instance("drain", k)
	case 2:
		a.What, a.Instance = Undrain, o.instance("undrain", k)
	case 3:
		a.What, a.Instance = Replace, o.instance("replace", k)
	case 4:
		a.What = Maintenance
		a.On = o.word("maintenance", "on", "on", "off") == "on"
	}
	return a
}
