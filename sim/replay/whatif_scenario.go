package replay

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
)

// maxOrders is how many orders a scenario takes; maxRun how long it may be.
const (
	maxOrders = 1000
	maxRun    = 366 * 24 * time.Hour
)

var notOfName = regexp.MustCompile(`[^a-z0-9]+`)

// scenarioName makes of any text a scenario's name.
func scenarioName(text string) string {
	name := strings.Trim(notOfName.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if name == "" {
		name = "recording"
	}
	return strings.Trim(name[:min(len(name), 48)], "-")
}

// scenario puts together what the deriver has gathered.
func (out *Derived) scenario(name string, d *deriver) (*scenarios.Scenario, error) {
	if out.Length > maxRun-tail {
		return nil, fmt.Errorf("the recording is %s long: a simulation may be %s", shortTime(out.Length), shortTime(maxRun-tail))
	}
	name = scenarioName(name)
	sc := &scenarios.Scenario{
		File: out.file(), Name: name, Seed: 1, On: scenarios.OnAny, Duration: out.Length + tail, Heal: out.Length,
		About: "What a recording of " + shortTime(out.Length) + " tells of the platform, for another configuration to be tried on.",
		World: d.took.world(),
	}
	e, err := scenarios.ParseExpectation("violations == 0")
	if err != nil {
		return nil, err
	}
	sc.Expect = []scenarios.Expectation{e}
	for _, kind := range d.names {
		if err := out.kind(sc, d.kinds[kind]); err != nil {
			return nil, err
		}
	}
	sc.Faults = d.finishFaults(out.Length)
	if over := len(sc.Faults) - maxFaults; over > 0 {
		d.remarks.count("faults left out, since a scenario holds 1000", over)
		sc.Faults = sc.Faults[:maxFaults]
	}
	sc.Orders = d.givenOrders(sc)
	return sc, nil
}

// kind adds a kind, its table, and what stood of it.
func (out *Derived) kind(sc *scenarios.Scenario, k *kindDeriver) error {
	spec, unlike := kindOf(k.cfg)
	for _, u := range unlike {
		k.remarks.add("%s: %s: the simulation has the default", k.name, u)
	}
	sc.Kinds = append(sc.Kinds, spec)
	out.Kinds = append(out.Kinds, k.name)
	if start, ok := k.standing(); ok {
		out.Start[k.name] = start
	}
	r := k.rows
	table, used, err := r.csv(out.From, out.Length)
	if err != nil {
		return err
	}
	if used > 0 {
		file := sc.Name + "-" + string(k.name) + ".csv"
		out.Tables[file] = table
		sc.Churn = append(sc.Churn, scenarios.Churn{Kind: string(k.name), Until: out.Length, Trace: &scenarios.Trace{
			Table: scenarios.Table{File: file, Source: "derived from a recording by dacorch sim replay --scenario", Header: true, Comma: ',',
				Time: scenarios.Clock{Unit: time.Microsecond}, Scale: scenarios.Scale{File: time.Second, Scenario: time.Second}, Origin: "0"},
			ID: []string{"id"}, Created: "created", Deleted: "deleted", Group: "group",
		}})
	}
	if !r.listed {
		k.remarks.add("%s: the database was never listed in this recording: rows of the start are not known", k.name)
	}
	if k.reports > 0 && !k.confirms {
		k.remarks.add("%s: its DACs confirm no list; the simulation's do", k.name)
	}
	for what, n := range map[string]int{
		"rows of bulk messages, which are told one by one":                                       r.bulk,
		"updates of rows, left out since they place nothing anew unless a group changes":         r.updated,
		"messages that name no rows, left out":                                                   r.unnamed,
		"rows that came without a message that arrived, taken to come when a listing found them": r.found,
		"rows that went without a message that arrived, taken to go when a listing missed them":  r.lost,
		"rows whose ids or groups a scenario cannot name, left out":                              r.bad,
	} {
		k.remarks.count(what, n)
	}
	return nil
}

// kindOf is a machine's configuration in a scenario's words, and what of it they
// cannot say.
func kindOf(c reconcile.Config) (scenarios.Kind, []string) {
	spec := scenarios.Kind{
		Kind: string(c.Kind), InstanceName: "iota-" + strings.ToLower(string(c.Kind)), Heartbeat: c.Heartbeat,
		Policy: string(c.Policy), Handoff: string(c.Handoff),
		InitInstances: c.Limits.InitInstances, MaxInstances: c.Limits.MaxInstances, ResourcePerInstance: c.Limits.ResourcePerInstance,
		HeartbeatInterval: c.HeartbeatInterval, Silence: c.Silence, Monitor: c.Monitor, Resync: c.Resync,
		Pending: c.Pending, Patience: c.Patience, Unconfirmed: c.Unconfirmed,
		MovesInFlight: c.MovesInFlight, Replacing: c.Replacing, MaxIDBytes: c.MaxIDBytes,
	}
	spec.InstanceName = strings.ReplaceAll(spec.InstanceName, "_", "-")
	switch c.Kind {
	case "Thing":
		spec.InstanceName = "iota-dac"
	case "Rule":
		spec.InstanceName = "iota-rules-engine"
	}
	usual := reconcile.DefaultConfig(c.Kind)
	var unlike []string
	for _, f := range []struct {
		name        string
		have, usual any
	}{
		{"silentShare", c.SilentShare, usual.SilentShare}, {"resyncFloor", min(c.ResyncFloor, c.Resync), min(usual.ResyncFloor, c.Resync)},
		{"txnBytes", c.TxnBytes, usual.TxnBytes}, {"retryMin", c.RetryMin, usual.RetryMin}, {"retryMax", c.RetryMax, usual.RetryMax},
	} {
		if f.have != f.usual {
			unlike = append(unlike, fmt.Sprintf("%s was %v", f.name, f.have))
		}
	}
	return spec, unlike
}

// givenOrders are the orders as a scenario can give them, in its own time.
func (d *deriver) givenOrders(sc *scenarios.Scenario) []scenarios.Order {
	slices.SortStableFunc(d.orders, func(a, b scenarios.Order) int { return int(min(max(a.At-b.At, -1), 1)) })
	var out []scenarios.Order
	for _, o := range d.orders {
		k := sc.KindNamed(o.Kind)
		o.At = max(o.At-d.origin, 0)
		switch {
		case len(out) == maxOrders:
			d.remarks.count("orders left out, since a scenario holds 1000", 1)
		case o.Instance < 0 || o.Instance >= k.MaxInstances || o.MaxInstances < 0 || o.ResourcePerInstance < 0 ||
			o.MaxInstances > 1_000_000 || o.ResourcePerInstance > 10_000_000:
			d.remarks.count("orders left out that name what cannot be: they were refused", 1)
		case o.At >= sc.Heal:
		default:
			out = append(out, o)
		}
	}
	return out
}
