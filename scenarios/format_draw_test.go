package scenarios

import (
	"fmt"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// draws makes the values of a random scenario, each within its range.
type draws struct{ *rapid.T }

func (d draws) yes(what string) bool { return rapid.Bool().Draw(d.T, what) }

func (d draws) number(what string, low, high int) int {
	return rapid.IntRange(low, high).Draw(d.T, what)
}

func (d draws) length(what string, low, high time.Duration) time.Duration {
	if d.yes(what + " in seconds") {
		if low, high := int(low/time.Second)+1, int(high/time.Second); low <= high {
			return time.Duration(d.number(what, low, high)) * time.Second
		}
	}
	return time.Duration(rapid.Int64Range(int64(low), int64(high)).Draw(d.T, what))
}

func (d draws) rate(what string, high float64) Rate {
	if d.yes(what + " whole") {
		return Rate(d.number(what, 1, int(min(high, 1000))))
	}
	return Rate(rapid.Float64Range(1e-6, high).Draw(d.T, what))
}

func (d draws) share(what string) float64 {
	return rapid.OneOf(rapid.SampledFrom([]float64{0.01, 0.1, 0.5, 1}), rapid.Float64Range(1e-6, 1)).Draw(d.T, what)
}

func (d draws) word(what string, words ...string) string {
	return rapid.SampledFrom(words).Draw(d.T, what)
}

func (d draws) text(what string) string {
	return rapid.OneOf(rapid.StringMatching(`[a-z]{1,8}`), rapid.StringMatching(`[ -~é\n]{1,20}`)).Filter(func(s string) bool { return s != "" }).Draw(d.T, what)
}

// drawScenario is a scenario that Parse could have made.
func drawScenario(t *rapid.T) *Scenario {
	d := draws{t}
	s := &Scenario{File: "drawn.yaml", Name: "drawn", About: "Drawn: \"as it comes\", #1.", Seed: rapid.Uint64().Draw(t, "seed"), On: d.word("on", OnAny, OnWire)}
	s.Duration = d.length("duration", time.Hour, maxRun)
	s.Heal = defaultHeal(s.Duration)
	if d.yes("own heal") {
		s.Heal = d.length("heal", 30*time.Minute, s.Duration)
	}
	for i := range d.number("kinds", 1, 3) {
		s.Kinds = append(s.Kinds, d.kind(i))
	}
	for range d.number("churn", 0, 3) {
		s.Churn = append(s.Churn, d.churn(s))
	}
	if d.yes("nodes") {
		s.Nodes = d.nodes()
	}
	for range d.number("faults", 0, 5) {
		s.Faults = append(s.Faults, d.fault(s))
	}
	for range d.number("orders", 0, 3) {
		s.Orders = append(s.Orders, d.order(s))
	}
	for range d.number("load", 0, 2) {
		s.Load = append(s.Load, d.traffic(s))
	}
	s.World = d.world()
	for range d.number("expectations", 1, 6) {
		m := rapid.SampledFrom(Metrics[:20]).Draw(t, "metric")
		e, err := ParseExpectation(fmt.Sprintf("%s %s %d", m.Name, d.word("op", Ops...), d.number("value", 1, 1000)))
		if err != nil {
			t.Fatal(err)
		}
		s.Expect = append(s.Expect, e)
	}
	return s
}

func (d draws) kind(i int) Kind {
	k := Kind{Kind: []string{"Thing", "Rule", "Probe"}[i], Heartbeat: d.yes("heartbeat"), Policy: d.word("policy", "fill", "balance"), Handoff: d.word("handoff", Handoffs...)}
	k.InstanceName = DefaultInstanceName(k.Kind)
	if d.yes("own name") {
		k.InstanceName = fmt.Sprintf("pod-%d", i)
	}
	k.MaxInstances = d.number("max", 3, 200)
	k.InitInstances = d.number("init", 1, k.MaxInstances)
	k.ResourcePerInstance = d.number("per instance", 1, 5000)
	k.Resources = d.number("resources", 0, k.MaxInstances*k.ResourcePerInstance-1)
	if d.yes("groups") {
		for i, name := range rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string { return draws{t}.text("group") }), 1, 3, rapid.ID[string]).Draw(d.T, "groups") {
			g := Group{Name: name, Weight: 1}
			if i == 0 && d.yes("weighs") {
				g.Weight = rapid.Float64Range(0.001, maxWeight).Draw(d.T, "weight")
			}
			k.Groups = append(k.Groups, g)
		}
	}
	k.HeartbeatInterval = d.length("interval", 100*time.Millisecond, day)
	k.Silence = d.length("silence", k.HeartbeatInterval+1, 2*day)
	k.Monitor = d.length("monitor", 100*time.Millisecond, day)
	k.Resync = d.length("resync", time.Second, day)
	k.Pending = d.length("pending", time.Second, day)
	k.Patience = d.length("patience", time.Second, maxRun)
	k.Unconfirmed = d.length("unconfirmed", 0, day)
	k.MovesInFlight, k.Replacing, k.MaxIDBytes = d.number("moves", 1, 1_000_000), d.number("replacing", 1, 100_000), d.number("id", 1, 90)
	return k
}

func (d draws) anyKind(s *Scenario) *Kind {
	return &s.Kinds[d.number("which kind", 0, len(s.Kinds)-1)]
}

func (d draws) churn(s *Scenario) Churn {
	c := Churn{Kind: d.anyKind(s).Kind, Until: s.Heal}
	switch d.number("form", 0, 3) {
	case 0:
		c.Rates = &Rates{Arrivals: d.word("arrivals", Poisson, Constant), Create: d.rate("create", 1e6)}
		if d.yes("deletes") {
			c.Rates.Delete = d.rate("delete", 1e6)
		}
	case 1:
		b := &Burst{Count: d.number("burst", 1, maxResources), Verb: d.word("verb", Create, Update, Delete)}
		c.From = d.length("at", 0, s.Duration-1)
		b.Over = d.length("over", 0, s.Duration-c.From)
		c.Until = c.From + b.Over
		if b.Bulk = d.number("bulk", 0, 10); b.Bulk > 0 && b.Verb != Create {
			b.Condition = d.word("condition", ConditionIDs, ConditionOther)
		}
		c.Burst = b
		return c
	case 2:
		c.Day = &Day{Period: d.length("period", time.Second, maxRun)}
		c.Day.PeakAt = d.length("peak at", 0, c.Day.Period-1)
		c.Day.Update.Peak = d.rate("peak", 1e6)
		c.Day.Update.Trough = Rate(rapid.Float64Range(0, float64(c.Day.Update.Peak)).Draw(d.T, "trough"))
	case 3:
		c.Trace = &Trace{Table: d.table(true), Created: d.text("created"), Group: d.text("group column")}
		for range d.number("ids", 1, 3) {
			c.Trace.ID = append(c.Trace.ID, d.text("id"))
		}
		for i := range d.number("wheres", 0, 2) {
			c.Trace.Where = append(c.Trace.Where, Match{Column: fmt.Sprint(i, d.text("column")), Values: []string{d.text("value")}})
		}
	}
	if c.Trace == nil && d.yes("from") {
		c.From = d.length("from", 0, s.Heal-1)
	}
	if d.yes("until") {
		c.Until = d.length("until", max(c.From+1, 1), s.Duration)
	}
	return c
}

func (d draws) table(header bool) Table {
	t := Table{File: "a.csv", Source: d.text("source"), Header: header, Comma: rune(d.word("comma", ",", ";", "\t", " ", "#", "'", "~", "-")[0]), Scale: Scale{time.Second, time.Second}}
	t.Time = rapid.SampledFrom([]Clock{{Unit: time.Second}, {Unit: time.Millisecond}, {Unit: time.Microsecond}, {Layout: "20060102"}, {Layout: time.RFC3339}}).Draw(d.T, "clock")
	if d.yes("scaled") {
		t.Scale = Scale{time.Duration(d.number("years", 1, 90)) * year, d.length("year", 1, day)}
	}
	if d.yes("limited") {
		t.Limit = d.number("limit", 1, 1000)
	}
	return t
}

func (d draws) nodes() *Nodes {
	n := &Nodes{PerNode: d.number("per node", 1, 1000)}
	if d.yes("counted") {
		n.Count = d.number("nodes", 1, 100_000)
		return n
	}
	n.Table, n.At, n.Node, n.Action, n.Add, n.Remove = d.table(false), "1", "2", "3", d.word("add", "add", "+", "1"), "remove"
	return n
}

func (d draws) fault(s *Scenario) Fault {
	allowed := slices.DeleteFunc(slices.Clone(FaultWords), func(w FaultWord) bool { return w.What.Subject() == "node" && s.Nodes == nil })
	w := rapid.SampledFrom(allowed).Draw(d.T, "fault")
	f := NewFault(w.What)
	f.At = d.length("at", 0, s.Heal-10*time.Second)
	if !f.Once() || d.yes("again") && s.Heal-f.At >= time.Second {
		f.For = d.length("for", time.Second, s.Heal-f.At)
	}
	if f.Once() && f.For > 0 {
		f.Every = d.length("every", time.Second, f.For)
	}
	has := func(key string) bool { return slices.Contains(w.Keys, key) }
	if has("command") && d.yes("at a command") {
		f.Command, f.By = d.word("command", Commands...), crashBy
	}
	if f.By > 0 && d.yes("by") {
		f.By = d.length("by", 1, day)
	}
	if has("rate") && d.yes("rate") {
		f.Rate = d.rate("rate", maxNotifications)
	}
	if has("of") && d.yes("of") {
		f.Of = d.word("of", OfOrchestrator, OfDACs, OfAll)
	}
	if f.Chance = d.share("chance"); has("command") && f.Command == "" {
		f.Chance = 1
	} else if f.Chance < 1 || f.Stable > 0 {
		f.Stable = d.length("stable", 1, day)
	}
	if has("share") && (f.Of == "" || f.Of == OfDACs) {
		d.target(&f, &w, s)
	}
	return f
}

func (d draws) target(f *Fault, w *FaultWord, s *Scenario) {
	if slices.Contains(w.Keys, "kind") && (w.What.Subject() == "pod" || d.yes("of a kind")) {
		if k := d.anyKind(s); k.Heartbeat || w.What.Subject() == "pod" || f.Of != "" {
			f.Kind = k.Kind
			if d.yes("one") {
				f.One, f.Instance = true, d.number("instance", 0, k.MaxInstances-1)
			}
		}
	}
	named := func() bool { return slices.Contains(w.Keys, "name") && d.yes("named") }
	switch {
	case f.One:
	case named():
		if f.Node = d.word("odd name", "3", "a b", "no: de", "~", "node-é"); s.Nodes.Count > 0 {
			f.Node = NodeName(d.number("node", 0, s.Nodes.Count-1))
		}
	case d.yes("count"):
		f.Count = d.number("count", 1, 100_000)
	default:
		f.Share = d.share("share")
	}
	if slices.Contains(w.Keys, "where") && d.yes("where") {
		for range d.number("conditions", 1, 3) {
			c := Condition{Field: d.word("field", "instance", "resources", "load", "age"), Op: d.word("op", Ops...), Value: math.Ldexp(float64(d.number("value", 1, 1000)), -2)}
			c.Text = c.String()
			f.Where = append(f.Where, c)
		}
	}
}

func (d draws) order(s *Scenario) Order {
	k := d.anyKind(s)
	o := Order{What: OrderKind(d.word("order", string(Orchestrate), string(Drain), string(Undrain), string(Replace), string(Maintenance))), At: d.length("at", 0, s.Duration-1), Kind: k.Kind}
	switch o.What {
	case Orchestrate:
		o.MaxInstances, o.ResourcePerInstance = d.number("max", 0, 1000), d.number("per instance", 0, 1000)
	case Maintenance:
		o.On = d.yes("on")
	default:
		o.Instance = d.number("instance", 0, k.MaxInstances-1)
	}
	return o
}

func (d draws) traffic(s *Scenario) Traffic {
	t := Traffic{Kind: d.anyKind(s).Kind, Until: s.Heal}
	if d.yes("announces") {
		t.Notifications = d.rate("notifications", maxNotifications)
	} else {
		u := &Users{Count: d.number("users", 1, maxUsers), Ramp: d.length("ramp", 0, day), WaitMin: d.length("wait", 0, maxWait), Calls: Calls}
		u.WaitMax = d.length("longest wait", u.WaitMin, maxWait)
		if d.yes("calls") {
			u.Calls = []Weighted{{CallWhere, rapid.Float64Range(0.001, maxWeight).Draw(d.T, "weight")}, {CallSearch, 1}}
		}
		t.Users = u
	}
	if d.yes("until") {
		t.From = d.length("from", 0, s.Heal-1)
		t.Until = d.length("until", t.From+1, s.Duration)
	}
	return t
}

func (d draws) world() World {
	var w World
	for _, usual := range LatencyDefaults {
		l := usual.Latency
		if rapid.IntRange(0, 5).Draw(d.T, "own latency") == 0 {
			l.Mean = d.length("mean", 0, maxLatency)
			l.Min = d.length("min", 0, l.Mean)
			l.Max = d.length("max", l.Mean, maxLatency)
		}
		w.Latencies = append(w.Latencies, l)
	}
	return w
}
