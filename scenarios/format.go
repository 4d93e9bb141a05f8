package scenarios

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxInline is how long a list of texts may be before each gets its own line.
const maxInline = 110

// Format writes a scenario as the shortest YAML that Parse reads back as the same
// scenario: what is left out is what Parse fills in. A list's only element stands
// on its key's line, several on a line each. Trace paths are written as the
// scenario has them (Table.File), so they are found from where it lay.
func Format(s *Scenario) []byte {
	var b strings.Builder
	line := func(key, value string) { b.WriteString(key + ": " + value + "\n") }
	line("name", text(s.Name, false))
	line("about", text(s.About, false))
	if s.Seed != 1 {
		line("seed", strconv.FormatUint(s.Seed, 10))
	}
	line("duration", FormatDuration(s.Duration))
	if s.Heal != defaultHeal(s.Duration) {
		line("heal", FormatDuration(s.Heal))
	}
	if s.On != OnAny {
		line("on", s.On)
	}
	b.WriteString(items("kinds", s.Kinds, formatKind))
	b.WriteString(items("churn", s.Churn, func(c *Churn) string { return formatChurn(c, s.Heal) }))
	b.WriteString(items("faults", s.Faults, func(f *Fault) string { return FormatFault(*f) }))
	b.WriteString(items("orders", s.Orders, formatOrder))
	b.WriteString(items("load", s.Load, func(t *Traffic) string { return formatTraffic(t, s.Heal) }))
	if s.Nodes != nil {
		line("nodes", formatNodes(s.Nodes))
	}
	if world := formatWorld(s.World); world != "{}" {
		line("world", world)
	}
	expect := make([]string, len(s.Expect))
	for i, e := range s.Expect {
		expect[i] = text(e.Text, true)
	}
	if all := "[" + strings.Join(expect, ", ") + "]"; len(all) <= maxInline {
		line("expect", all)
	} else {
		b.WriteString(items("expect", expect, func(e *string) string { return *e }))
	}
	return []byte(b.String())
}

// items is a list under its key: nothing, on the key's line, or a line for each.
func items[T any](key string, list []T, write func(*T) string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return key + ": [" + write(&list[0]) + "]\n"
	}
	var b strings.Builder
	b.WriteString(key + ":\n")
	for i := range list {
		b.WriteString("  - " + write(&list[i]) + "\n")
	}
	return b.String()
}

// flow is a mapping in braces.
type flow []string

func (f flow) String() string { return "{" + strings.Join(f, ", ") + "}" }

func (f *flow) add(key, value string) { *f = append(*f, key+": "+value) }

// text is a key's text, left out where it is the fallback; so are the others'.
func (f *flow) text(key, value, fallback string) {
	if value != fallback {
		f.add(key, text(value, true))
	}
}

func (f *flow) number(key string, value, fallback int) {
	if value != fallback {
		f.add(key, strconv.Itoa(value))
	}
}

func (f *flow) length(key string, value, fallback time.Duration) {
	if value != fallback {
		f.add(key, FormatDuration(value))
	}
}

func (f *flow) rate(key string, value, fallback Rate) {
	if value != fallback {
		f.add(key, formatRate(value))
	}
}

func (f *flow) share(key string, value, fallback float64) {
	if value != fallback {
		f.add(key, FormatShare(value))
	}
}

func (f *flow) flag(key string, value, fallback bool) {
	if value != fallback {
		f.add(key, strconv.FormatBool(value))
	}
}

func (f *flow) texts(key string, values []string) {
	switch len(values) {
	case 0:
	case 1:
		f.add(key, text(values[0], true))
	default:
		f.add(key, "["+strings.Join(quoted(values), ", ")+"]")
	}
}

func quoted(values []string) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = text(v, true)
	}
	return all
}

var (
	// What YAML reads as the text that it is, in brackets and outside of them.
	plainInside  = regexp.MustCompile(`^[\pL\pN_/.][\pL\pN_ ./%<>=()+-]*$`)
	plainOutside = regexp.MustCompile(`^[\pL\pN_/][\pL\pN_ ./%<>=()+,;'-]*$`)
	isNull       = regexp.MustCompile(`^(?i:null)$`)
)

// text is a text in YAML, quoted where it must be.
func text(s string, inside bool) string {
	plain := plainOutside
	if inside {
		plain = plainInside
	}
	if plain.MatchString(s) && !strings.HasSuffix(s, " ") && !isNull.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case !strconv.IsPrint(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case !strconv.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// formatRate is the shortest writing that ParseRate reads back exactly.
func formatRate(r Rate) string {
	best := ""
	for _, u := range rateUnits {
		s := strconv.FormatFloat(float64(r)*u.per.Seconds(), 'f', -1, 64) + "/" + u.unit
		if again, err := ParseRate(s); err == nil && again == r && (best == "" || len(s) < len(best)) {
			best = s
		}
	}
	return best // in seconds it always reads back
}

// formatKind leaves out what a kind of that name, size and interval has anyway.
func formatKind(k *Kind) string {
	given := &value{shape: mapping}
	for _, e := range []struct {
		key, text string
		set       bool
	}{
		{"kind", k.Kind, true},
		{"maxInstances", strconv.Itoa(k.MaxInstances), k.MaxInstances != 100},
		{"heartbeatInterval", FormatDuration(k.HeartbeatInterval), k.HeartbeatInterval != time.Minute},
	} {
		if e.set {
			given.entries = append(given.entries, entry{key: e.key, name: &value{}, value: &value{shape: scalar, text: e.text}})
		}
	}
	usual := (&decoder{duration: maxRun, heal: maxRun}).kind(given)
	f := flow{}
	f.text("kind", k.Kind, "")
	f.text("instanceName", k.InstanceName, usual.InstanceName)
	f.flag("heartbeat", k.Heartbeat, usual.Heartbeat)
	f.text("policy", k.Policy, usual.Policy)
	f.text("handoff", k.Handoff, usual.Handoff)
	f.number("resources", k.Resources, usual.Resources)
	f.number("initInstances", k.InitInstances, usual.InitInstances)
	f.number("maxInstances", k.MaxInstances, 100)
	f.number("resourcePerInstance", k.ResourcePerInstance, usual.ResourcePerInstance)
	formatGroups(&f, k.Groups)
	f.length("heartbeatInterval", k.HeartbeatInterval, time.Minute)
	f.length("silence", k.Silence, usual.Silence)
	f.length("monitor", k.Monitor, usual.Monitor)
	f.length("resync", k.Resync, usual.Resync)
	f.length("pending", k.Pending, usual.Pending)
	f.length("patience", k.Patience, usual.Patience)
	f.length("unconfirmed", k.Unconfirmed, usual.Unconfirmed)
	f.number("movesInFlight", k.MovesInFlight, usual.MovesInFlight)
	f.number("replacing", k.Replacing, usual.Replacing)
	f.number("maxIdBytes", k.MaxIDBytes, usual.MaxIDBytes)
	return f.String()
}

// formatGroups is a list of names, or where they weigh, a mapping.
func formatGroups(f *flow, groups []Group) {
	if len(groups) == 0 {
		return
	}
	weighted := flow{}
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
		weighted.add(text(g.Name, true), strconv.FormatFloat(g.Weight, 'f', -1, 64))
	}
	for _, g := range groups {
		if g.Weight != 1 {
			f.add("groups", weighted.String())
			return
		}
	}
	f.add("groups", "["+strings.Join(quoted(names), ", ")+"]")
}

func formatOrder(o *Order) string {
	f := flow{}
	f.add("at", FormatDuration(o.At))
	f.text("kind", o.Kind, "")
	switch o.What {
	case Orchestrate:
		sizing := flow{}
		sizing.number("maxInstances", o.MaxInstances, 0)
		sizing.number("resourcePerInstance", o.ResourcePerInstance, 0)
		f.add("orchestrate", sizing.String())
	case Maintenance:
		f.add("maintenance", map[bool]string{true: "on", false: "off"}[o.On])
	default:
		f.number(string(o.What), o.Instance, -1)
	}
	return f.String()
}

func formatTraffic(t *Traffic, heal time.Duration) string {
	f := flow{}
	f.text("kind", t.Kind, "")
	if u := t.Users; u != nil {
		f.number("users", u.Count, 0)
		f.length("ramp", u.Ramp, 0)
		switch {
		case u.WaitMin == time.Second && u.WaitMax == 5*time.Second:
		case u.WaitMin == u.WaitMax:
			f.add("wait", FormatDuration(u.WaitMin))
		default:
			f.add("wait", FormatDuration(u.WaitMin)+".."+FormatDuration(u.WaitMax))
		}
		if !reflect.DeepEqual(u.Calls, Calls) {
			calls := flow{}
			for _, c := range u.Calls {
				calls.add(string(c.Call), strconv.FormatFloat(c.Weight, 'f', -1, 64))
			}
			f.add("calls", calls.String())
		}
	}
	f.rate("notifications", t.Notifications, 0)
	f.length("from", t.From, 0)
	f.length("until", t.Until, heal)
	return f.String()
}

// formatWorld is "{}" where every latency is the default.
func formatWorld(w World) string {
	world := flow{}
	for _, subsystem := range subsystems() {
		steps := flow{}
		for _, usual := range LatencyDefaults {
			of, step, _ := strings.Cut(usual.Name, ".")
			l := w.Latency(usual.Name)
			if of != subsystem || l.Name == "" || l == usual.Latency {
				continue
			}
			f := flow{}
			f.length("min", l.Min, min(usual.Min, l.Mean))
			f.length("mean", l.Mean, usual.Mean)
			f.length("max", l.Max, max(usual.Max, l.Mean))
			steps.add(step, f.String())
		}
		if len(steps) > 0 {
			world.add(subsystem, steps.String())
		}
	}
	return world.String()
}
