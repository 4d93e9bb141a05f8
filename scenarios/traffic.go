package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Traffic is who uses the orchestrator besides: an entry of load. Exactly one of
// Users and Notifications is set.
type Traffic struct {
	Kind  string
	Users *Users
	// Notifications is how often cm/notify is told again what is so: rows that
	// exist, as they are.
	Notifications Rate
	// From and Until bound the entry; Until is Heal unless it says otherwise.
	From, Until time.Duration
}

// Users call the REST interface in a closed loop: each waits, calls, and waits
// again once it has its answer.
type Users struct {
	Count            int
	Ramp             time.Duration // over which they come, evenly
	WaitMin, WaitMax time.Duration // 0 ≤ WaitMin ≤ WaitMax
	Calls            []Weighted    // in the order of Calls, each at most once
}

// Weighted is a call and how often it is made: Weight over the sum of weights.
type Weighted struct {
	Call   Call
	Weight float64 // > 0
}

// Call names a REST call that reads.
type Call string

// The calls.
const (
	CallWhere         Call = "where"         // where a row runs
	CallUnknown       Call = "unknown"       // where an id runs that does not exist: 404 is the right answer
	CallOrchestration Call = "orchestration" // the orchestration without its ids
	CallInstances     Call = "instances"
	CallStatus        Call = "status"
	CallSearch        Call = "search" // rows by the beginning of their id
)

// Calls lists them, with the weight that each has by default: that of a web UI.
var Calls = []Weighted{
	{CallWhere, 80}, {CallOrchestration, 5}, {CallInstances, 5}, {CallStatus, 4}, {CallSearch, 4}, {CallUnknown, 2},
}

const (
	maxUsers         = 100_000
	maxWait          = time.Hour
	maxNotifications = 100_000
)

func (d *decoder) traffic(v *value) Traffic {
	var t Traffic
	o, ok := d.object(v, "load")
	if !ok {
		return t
	}
	if k := o.kind(); k != nil {
		t.Kind = k.Kind
	}
	switch o.choose([]string{"users"}, []string{"notifications"}) {
	case 0:
		t.Users = o.users()
	case 1:
		t.Notifications = o.rate("notifications")
		if at := o.at("notifications"); at.shape == scalar && (at.text == "0" || t.Notifications > maxNotifications) {
			o.wrong("notifications", at)
		}
	}
	t.From = o.length("from", 0, 0, d.duration)
	t.Until = o.length("until", d.heal, 0, d.duration)
	if t.From >= t.Until {
		at := "until"
		if !o.has("until") {
			at = "from"
		}
		d.fail(o.at(at), fmt.Sprintf("it ends at %s and begins at %s", FormatDuration(t.Until), FormatDuration(t.From)), "want from before until, which is heal unless given")
	}
	return t
}

func (o object) users() *Users {
	u := &Users{Count: o.number("users", 1, 1, maxUsers), Ramp: o.length("ramp", 0, 0, day), WaitMin: time.Second, WaitMax: 5 * time.Second, Calls: Calls}
	if v, ok := o.scalar("wait"); ok {
		low, high, two := strings.Cut(v.text, "..")
		if !two {
			high = low
		}
		var err1, err2 error
		u.WaitMin, err1 = ParseDuration(strings.TrimSpace(low))
		u.WaitMax, err2 = ParseDuration(strings.TrimSpace(high))
		if err1 != nil || err2 != nil || u.WaitMin > u.WaitMax || u.WaitMax > maxWait {
			o.wrong("wait", v)
		}
	}
	if v := o.v.get("calls"); v != nil && v.shape != nothing {
		u.Calls = o.calls(v)
	}
	return u
}

// calls are those given, in the order of Calls, so that the order of a file
// changes no draw.
func (o object) calls(v *value) []Weighted {
	if v.shape != mapping || len(v.entries) == 0 {
		o.wrong("calls", v)
		return nil
	}
	var names []string
	for _, c := range Calls {
		names = append(names, string(c.Call))
	}
	given := map[Call]float64{}
	for _, e := range v.entries {
		if !slices.Contains(names, e.key) {
			want := "want one of " + strings.Join(names, ", ")
			if n := nearest(e.key, names); n != "" {
				want = "did you mean " + n + "?"
			}
			o.d.fail(e.name, fmt.Sprintf("calls: no call %q", shorten(e.key)), want)
			continue
		}
		weight, err := parseNumber(e.value.text)
		if err != nil || e.value.shape != scalar || weight <= 0 || weight > maxWeight {
			o.d.fail(e.value, fmt.Sprintf("calls: %s is not a weight", o.d.shown(e.value)), "want a number above 0, up to 1000000")
		}
		given[Call(e.key)] = weight
	}
	var calls []Weighted
	for _, c := range Calls {
		if w, ok := given[c.Call]; ok {
			calls = append(calls, Weighted{c.Call, w})
		}
	}
	return calls
}

// measured refuses an expectation of a load that is not played, or not there: it
// would be met, or not, by nothing that happened.
func (d *decoder) measured(v *value, s *Scenario) {
	e := &s.Expect[len(s.Expect)-1]
	for _, name := range []string{e.Metric, e.Other} {
		kind, metric, of := strings.Cut(name, ".")
		if !of {
			kind, metric = "", name
		}
		key := loadOf(metric)
		switch {
		case key == "":
		case s.On != OnWire:
			d.fail(v, "expect: "+metric+" is measured on wire alone: virtual time plays no load", "want on: wire at the top of the file")
		case !slices.ContainsFunc(s.Load, func(t Traffic) bool { return (t.Users != nil) == (key == "users") && (kind == "" || kind == t.Kind) }):
			d.fail(v, "expect: "+name+" measures "+key+", and there are none", "want them under load, such as {kind: Thing, "+key+": "+section("load").key(key).Example+"}")
		}
	}
}

// loadOf is the key of load whose doing a metric measures; empty for a metric
// that every run has.
func loadOf(metric string) string {
	switch {
	case strings.HasPrefix(metric, "rest_"):
		return "users"
	case strings.HasPrefix(metric, "publish_"), metric == "notifications_published":
		return "notifications"
	}
	return ""
}
