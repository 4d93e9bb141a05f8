package scenarios

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxRun       = 366 * day
	maxLatency   = day
	maxEntries   = 1000
	maxKinds     = 100
	maxResources = 10_000_000
	// maxListBytes is what an instance's list may take of a ZooKeeper transaction
	// of 1,000,000 bytes, in which a move's two sides must fit; an id takes three
	// bytes more than its own.
	maxListBytes = 500_000 - 1024
)

var (
	nameForm         = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	kindForm         = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	instanceNameForm = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
)

// scenario reads the whole. What the entries depend on comes first.
func (d *decoder) scenario(root *value) *Scenario {
	d.duration, d.heal = maxRun, maxRun
	s := &Scenario{File: d.file}
	o, ok := d.object(root, "scenario")
	if !ok {
		return s
	}
	if s.Name = o.text("name", ""); s.Name != "" && (len(s.Name) > 64 || !nameForm.MatchString(s.Name)) {
		o.wrong("name", o.at("name"))
	}
	if s.About = strings.TrimSpace(o.text("about", "")); utf8.RuneCountInString(s.About) > 2000 {
		d.fail(o.at("about"), "about is too long", "want up to 2000 characters")
	}
	s.Seed = o.seed()
	if s.Duration = o.length("duration", 0, time.Second, maxRun); s.Duration > 0 {
		d.duration = s.Duration
		d.heal = o.length("heal", defaultHeal(s.Duration), 1, s.Duration)
	}
	s.Heal = d.heal
	for _, v := range o.list("kinds", 1, maxKinds) {
		s.Kinds = append(s.Kinds, d.kind(v))
		d.kinds = s.Kinds
	}
	d.kindsUnknown = d.kindsUnknown || len(d.kinds) == 0
	for _, v := range o.list("churn", 0, maxEntries) {
		s.Churn = append(s.Churn, d.churn(v))
	}
	if v := o.v.get("nodes"); v != nil && v.shape != nothing {
		s.Nodes = d.nodes(v)
	}
	d.machines = s.Nodes
	for _, v := range o.list("faults", 0, maxEntries) {
		s.Faults = append(s.Faults, d.fault(v))
	}
	for _, v := range o.list("orders", 0, maxEntries) {
		s.Orders = append(s.Orders, d.order(v))
	}
	s.On = o.word("on", OnAny, OnAny, OnWire)
	for _, v := range o.list("load", 0, maxEntries) {
		s.Load = append(s.Load, d.traffic(v))
	}
	s.World = d.world(o.v.get("world"))
	for _, v := range o.list("expect", 1, maxEntries) {
		s.Expect = append(s.Expect, d.expectation(v))
		d.measured(v, s)
	}
	d.groupsKnown(o, s)
	return s
}

// defaultHeal leaves the last quarter to settle, within reason.
func defaultHeal(duration time.Duration) time.Duration {
	quiet := min(max(duration/4, 10*time.Minute), time.Hour)
	return duration - min(quiet, duration/2)
}

func (o object) seed() uint64 {
	v, ok := o.scalar("seed")
	if !ok {
		return 1
	}
	n, err := strconv.ParseUint(v.text, 10, 64)
	if err != nil || v.quoted {
		o.wrong("seed", v)
	}
	return n
}

func (d *decoder) kind(v *value) Kind {
	var k Kind
	o, ok := d.object(v, "kind")
	if !ok {
		d.kindsUnknown = true
		return k
	}
	k.Kind = o.text("kind", "")
	switch {
	case k.Kind == "":
		d.kindsUnknown = true
	case len(k.Kind) > 63 || !kindForm.MatchString(k.Kind):
		o.wrong("kind", o.at("kind"))
	}
	k.InstanceName = o.text("instanceName", DefaultInstanceName(k.Kind))
	if o.has("instanceName") && (len(k.InstanceName) > 50 || !instanceNameForm.MatchString(k.InstanceName)) {
		o.wrong("instanceName", o.at("instanceName"))
	}
	for _, other := range d.kinds {
		switch {
		case k.Kind != "" && k.Kind == other.Kind:
			d.fail(o.at("kind"), fmt.Sprintf("a second kind %q", k.Kind), "want each kind once")
		case k.Kind != "" && k.InstanceName == other.InstanceName:
			d.fail(o.at("instanceName"), fmt.Sprintf("instanceName %q is also that of %s", k.InstanceName, other.Kind), "want pods of different names")
		}
	}
	k.Heartbeat = o.flag("heartbeat", k.Kind != "Rule")
	k.Policy = o.word("policy", "fill", Policies...)
	k.Handoff = o.word("handoff", "fast", Handoffs...)
	o.sizing(&k)
	k.Groups = o.groups()
	o.timing(&k)
	return k
}

// DefaultInstanceName is what a kind's pods are named by when nothing else is said:
// "iota-dac" for Thing.
func DefaultInstanceName(kind string) string {
	switch kind {
	case "Thing":
		return "iota-dac"
	case "Rule":
		return "iota-rules-engine"
	}
	return "iota-" + strings.ReplaceAll(strings.ToLower(kind), "_", "-")
}

func (o object) sizing(k *Kind) {
	k.MaxInstances = o.number("maxInstances", 100, 3, 100_000)
	k.InitInstances = o.number("initInstances", min(10, k.MaxInstances), 1, k.MaxInstances)
	k.ResourcePerInstance = o.number("resourcePerInstance", 5000, 1, 100_000)
	k.Resources = o.number("resources", 0, 0, maxResources)
	k.MovesInFlight = o.number("movesInFlight", 1000, 1, 1_000_000)
	k.Replacing = o.number("replacing", 10, 1, 100_000)
	k.MaxIDBytes = o.number("maxIdBytes", 90, 1, 4096)
	if fit := maxListBytes / (k.MaxIDBytes + 3); k.ResourcePerInstance > fit {
		o.d.fail(o.at("resourcePerInstance"), fmt.Sprintf("resourcePerInstance: %d ids of %d bytes do not fit in an instance's list", k.ResourcePerInstance, k.MaxIDBytes),
			fmt.Sprintf("want at most %d, or a smaller maxIdBytes", fit))
	}
	// The contract's sizing: floor(count/R)+1 instances.
	if n := k.Resources/k.ResourcePerInstance + 1; n > k.MaxInstances {
		o.d.fail(o.at("resources"), fmt.Sprintf("resources: %d need %d instances of %d", k.Resources, n, k.ResourcePerInstance),
			fmt.Sprintf("want at most %d, or a higher maxInstances than %d", k.MaxInstances*k.ResourcePerInstance-1, k.MaxInstances))
	}
}

func (o object) timing(k *Kind) {
	k.HeartbeatInterval = o.length("heartbeatInterval", time.Minute, 100*time.Millisecond, day)
	k.Silence = o.length("silence", max(90*time.Second, k.HeartbeatInterval+k.HeartbeatInterval/2), 100*time.Millisecond, 2*day)
	if k.Silence <= k.HeartbeatInterval {
		o.d.fail(o.at("silence"), "silence: "+FormatDuration(k.Silence)+" is too short", "want longer than heartbeatInterval, which is "+FormatDuration(k.HeartbeatInterval))
	}
	k.Monitor = o.length("monitor", time.Minute, 100*time.Millisecond, day)
	k.Resync = o.length("resync", 5*time.Minute, time.Second, day)
	k.Pending = o.length("pending", 5*time.Minute, time.Second, day)
	k.Patience = o.length("patience", 10*time.Minute, time.Second, maxRun)
	k.Unconfirmed = o.length("unconfirmed", 5*time.Minute, 0, day)
}

const (
	maxGroups = 10_000
	maxWeight = 1e6
)

// groups reads a list of names, or a mapping of names to weights.
func (o object) groups() []Group {
	v := o.v.get("groups")
	if v == nil || v.shape == nothing {
		return nil
	}
	var groups []Group
	seen := map[string]bool{}
	add := func(at *value, name string, weight float64) {
		if seen[name] || name == "" {
			o.d.fail(at, fmt.Sprintf("groups: %q is empty or given twice", shorten(name)), "want each name once")
		}
		seen[name] = true
		groups = append(groups, Group{Name: name, Weight: weight})
	}
	switch {
	case v.shape == list && len(v.items) > 0 && len(v.items) <= maxGroups:
		for _, item := range v.items {
			if item.shape != scalar {
				o.wrong("groups", item)
				continue
			}
			add(item, item.text, 1)
		}
	case v.shape == mapping && len(v.entries) > 0 && len(v.entries) <= maxGroups:
		for _, e := range v.entries {
			weight, err := parseNumber(e.value.text)
			if err != nil || weight <= 0 || weight > maxWeight {
				o.d.fail(e.value, fmt.Sprintf("groups: %s is not a weight", o.d.shown(e.value)), "want a number above 0, up to 1000000")
			}
			add(e.name, e.key, weight)
		}
	default:
		o.wrong("groups", v)
	}
	return groups
}

// groupsKnown refuses rows without a group under policy group.
func (d *decoder) groupsKnown(o object, s *Scenario) {
	if len(d.errs) > 0 {
		return
	}
	for i := range s.Kinds {
		k := &s.Kinds[i]
		if k.Policy != "group" {
			continue
		}
		named := len(k.Groups) > 0
		bare := k.Resources > 0 && !named
		for _, c := range s.Churn {
			if c.Kind == k.Kind && c.Trace != nil {
				bare = bare || c.Trace.Group == ""
			} else if c.Kind == k.Kind {
				bare = bare || !named
			}
		}
		if bare {
			d.fail(o.at("kinds").items[i], "policy group, and rows without a group", "want groups: {aws: 5, azure: 3}, and a group of every trace")
		}
	}
}

// world is every latency, those given in place of the defaults.
func (d *decoder) world(v *value) World {
	w := World{Latencies: make([]Latency, len(LatencyDefaults))}
	for i, l := range LatencyDefaults {
		w.Latencies[i] = l.Latency
	}
	if v == nil {
		return w
	}
	o, ok := d.object(v, "world")
	if !ok {
		return w
	}
	for _, name := range subsystems() {
		sub := v.get(name)
		if sub == nil || sub.shape == nothing {
			continue
		}
		if so, ok := o.d.object(sub, "world."+name); ok {
			so.latencies(name, w.Latencies)
		}
	}
	return w
}

// latencies reads a subsystem's steps. A mean given alone moves the bounds that
// it crosses, so that one setting is enough to slow a step down.
func (o object) latencies(subsystem string, into []Latency) {
	for i := range into {
		of, step, _ := strings.Cut(into[i].Name, ".")
		given := o.v.get(step)
		if of != subsystem || given == nil || given.shape == nothing {
			continue
		}
		l, ok := o.d.object(given, "latency")
		if !ok {
			continue
		}
		to := &into[i]
		to.Mean = l.length("mean", to.Mean, 0, maxLatency)
		to.Min = l.length("min", min(to.Min, to.Mean), 0, maxLatency)
		to.Max = l.length("max", max(to.Max, to.Mean), 0, maxLatency)
		if to.Min > to.Mean || to.Mean > to.Max {
			o.d.fail(given, fmt.Sprintf("%s: min %s, mean %s, max %s are not in order", to.Name, FormatDuration(to.Min), FormatDuration(to.Mean), FormatDuration(to.Max)),
				"want min ≤ mean ≤ max; what is not given keeps its default")
		}
	}
}

func (d *decoder) expectation(v *value) Expectation {
	if v.shape != scalar {
		d.fail(v, "expect: "+d.shown(v)+" is not an expectation", errExpectType.Error())
		return Expectation{}
	}
	e, err := ParseExpectation(v.text)
	e.Line = v.line
	if err != nil {
		problem, want, _ := strings.Cut(err.Error(), ": ")
		d.fail(v, "expect: "+problem, want)
		return e
	}
	for _, name := range []string{e.Metric, e.Other} {
		if kind, _, of := strings.Cut(name, "."); of {
			d.kindNamed(v, kind)
		}
	}
	return e
}

// moment is an offset before the limit, or up to it.
func (o object) moment(key string, fallback, limit time.Duration, what string) time.Duration {
	t := o.length(key, fallback, 0, time.Duration(math.MaxInt64))
	if o.has(key) && t >= limit {
		o.d.fail(o.at(key), fmt.Sprintf("%s: %s is not before %s", key, FormatDuration(t), what), "want less than "+FormatDuration(limit))
		return fallback
	}
	return t
}
