package replay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
)

// sizing are the keys of a kind of which a re-orchestration makes something.
var sizing = []string{"resourcePerInstance", "maxInstances", "initInstances", "policy"}

// reorchestrated is when an operator re-orchestrates to the sizing that is asked
// for: once the orchestrator leads and has read everything.
const reorchestrated = 10 * time.Second

// With is the derived scenario with settings, and remarks on what else follows
// from them: what stood at the start is re-orchestrated to a sizing that is asked
// for, as an operator would have it done, and orders of the recording that name
// another one give way to it. The error is scenarios.Errors.
func (d *Derived) With(set []scenarios.Setting, fromNothing bool) (*scenarios.Scenario, []string, error) {
	plain, err := scenarios.Parse(d.file(), d.Scenario)
	if err != nil {
		return nil, nil, err
	}
	settings, err := d.settings(plain, set)
	if err != nil {
		return nil, nil, err
	}
	remarks := fewerInstances(plain, settings)
	sc, err := scenarios.Parse(d.file(), scenarios.Format(plain), settings...)
	if err != nil {
		return nil, nil, err
	}
	for i := range sc.Kinds {
		name := sc.Kinds[i].Kind
		var sized []string
		for _, key := range sizing {
			if slices.ContainsFunc(settings, func(s scenarios.Setting) bool { return s.Key == "kinds."+name+"."+key }) {
				sized = append(sized, key)
			}
		}
		if len(sized) == 0 {
			continue
		}
		if n := giveWay(sc.Orders, name, sized); n > 0 {
			remarks = append(remarks, fmt.Sprintf("re-orchestrations of %[2]s that named a sizing of their own, given without it so that the one asked for holds: %[1]d", n, name))
		}
		if start := d.Start[fleet.Kind(name)]; len(start.Tree.Instances) > 0 && !fromNothing {
			at := min(reorchestrated, d.Length/2).Round(time.Millisecond)
			sc.Orders = append(sc.Orders, scenarios.Order{What: scenarios.Orchestrate, Kind: name, At: at})
			remarks = append(remarks, fmt.Sprintf("%s stood on %d instances when the recording began: at %s an operator re-orchestrates it to the sizing asked for (--from-nothing begins without them instead)",
				name, len(start.Tree.Instances), shortTime(at)))
		}
	}
	slices.SortStableFunc(sc.Orders, func(a, b scenarios.Order) int { return int(min(max(a.At-b.At, -1), 1)) })
	return sc, remarks, nil
}

// giveWay takes a sizing out of a kind's recorded orders, and answers from how many.
func giveWay(orders []scenarios.Order, kind string, sized []string) int {
	n := 0
	for i := range orders {
		o := &orders[i]
		if o.Kind != kind || o.What != scenarios.Orchestrate {
			continue
		}
		was := *o
		if slices.Contains(sized, "resourcePerInstance") {
			o.ResourcePerInstance = 0
		}
		if slices.Contains(sized, "maxInstances") {
			o.MaxInstances = 0
		}
		if *o != was {
			n++
		}
	}
	return n
}

// fewerInstances leaves out what befell instances that a setting does away with.
func fewerInstances(sc *scenarios.Scenario, settings []scenarios.Setting) []string {
	left := 0
	for i := range sc.Kinds {
		name := sc.Kinds[i].Kind
		for _, s := range settings {
			most, err := strconv.Atoi(strings.TrimSpace(s.Value))
			if s.Key != "kinds."+name+".maxInstances" || err != nil {
				continue
			}
			faults, orders := len(sc.Faults), len(sc.Orders)
			sc.Faults = slices.DeleteFunc(sc.Faults, func(f scenarios.Fault) bool { return f.Kind == name && f.One && f.Instance >= most })
			sc.Orders = slices.DeleteFunc(sc.Orders, func(o scenarios.Order) bool { return o.Kind == name && o.Instance >= most })
			left += faults - len(sc.Faults) + orders - len(sc.Orders)
		}
	}
	if left == 0 {
		return nil
	}
	return []string{fmt.Sprintf("faults and orders left out, since their instances are beyond the maxInstances asked for: %d", left)}
}

// settings turns what a question sets into settings of the derived scenario: a key
// of the scenario as it stands, any other one as a kind's, or as that of all kinds.
func (d *Derived) settings(sc *scenarios.Scenario, set []scenarios.Setting) ([]scenarios.Setting, error) {
	var out []scenarios.Setting
	for _, s := range set {
		first, rest, path := strings.Cut(s.Key, ".")
		switch {
		case path && sc.KindNamed(first) != nil:
			out = append(out, scenarios.Setting{Key: "kinds." + first + "." + rest, Value: s.Value})
		case topLevel(first):
			out = append(out, s)
		case path:
			return nil, scenarios.Errors{{Set: s.Key, Problem: fmt.Sprintf("no kind %q in the recording", first), Want: "want one of " + kindsOf(sc)}}
		default:
			for i := range sc.Kinds {
				out = append(out, scenarios.Setting{Key: "kinds." + sc.Kinds[i].Kind + "." + first, Value: s.Value})
			}
		}
	}
	return slices.Compact(out), nil
}

func kindsOf(sc *scenarios.Scenario) string {
	var names []string
	for i := range sc.Kinds {
		names = append(names, sc.Kinds[i].Kind)
	}
	return strings.Join(names, ", ")
}

// topLevel says whether a key stands at the top of a scenario file.
func topLevel(key string) bool {
	return slices.ContainsFunc(scenarios.Vocabulary[0].Keys, func(k scenarios.Key) bool { return k.Name == key })
}
