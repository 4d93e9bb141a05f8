package sweep

import (
	"reflect"
	"slices"
	"time"

	"dacorch/scenarios"
)

// settings brings every setting of a kind back to its default: all at once, then
// one by one; and its name to the one that needs no others.
func settings(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for i := range sc.Kinds {
		def := usual(sc.Kinds[i].Kind).Kinds[0]
		out = append(out, variant(sc, func(c *scenarios.Scenario) {
			k := def
			k.Resources = c.Kinds[i].Resources
			c.Kinds[i] = k
		}))
		from := reflect.ValueOf(def)
		for f := range from.NumField() {
			if name := from.Type().Field(f).Name; name == "Kind" || name == "Resources" {
				continue
			}
			if now := reflect.ValueOf(sc.Kinds[i]).Field(f); !reflect.DeepEqual(now.Interface(), from.Field(f).Interface()) {
				out = append(out, variant(sc, func(c *scenarios.Scenario) {
					reflect.ValueOf(&c.Kinds[i]).Elem().Field(f).Set(from.Field(f))
				}))
			}
		}
	}
	return out
}

// fewer are the numbers to try in place of n: the smallest first.
func fewer(n, least int) []int {
	var out []int
	for _, v := range []int{least, 1, 2, 3, 5, 10, n / 10, n / 4, n / 2, n * 3 / 4, n - 1} {
		if v >= least && v < n && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// size has fewer resources, instances and rows in bursts.
func size(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for i := range sc.Kinds {
		for _, n := range fewer(sc.Kinds[i].Resources, 0) {
			out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Kinds[i].Resources = n }))
		}
		for _, n := range fewer(sc.Kinds[i].InitInstances, 1) {
			out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Kinds[i].InitInstances = n }))
		}
	}
	for i := range sc.Churn {
		if b := sc.Churn[i].Burst; b != nil {
			for _, n := range fewer(b.Count, 1) {
				out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Churn[i].Burst.Count = n }))
			}
		}
	}
	return out
}

// rates makes churn plain: one verb, a round rate, from the start to heal; a
// burst at once, each row alone; rates in place of a day's curve.
func rates(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for i := range sc.Churn {
		do := func(change func(*scenarios.Churn)) {
			out = append(out, variant(sc, func(c *scenarios.Scenario) { change(&c.Churn[i]) }))
		}
		c := &sc.Churn[i]
		switch {
		case c.Rates != nil:
			each := []func(*scenarios.Rates) *scenarios.Rate{
				func(r *scenarios.Rates) *scenarios.Rate { return &r.Create },
				func(r *scenarios.Rates) *scenarios.Rate { return &r.Delete },
				func(r *scenarios.Rates) *scenarios.Rate { return &r.Update },
			}
			for _, of := range each {
				do(func(c *scenarios.Churn) { *of(c.Rates) = 0 })
				for _, perMinute := range []int{1, 6, 60} {
					if *of(c.Rates) > rate(perMinute) {
						do(func(c *scenarios.Churn) { *of(c.Rates) = rate(perMinute) })
					}
				}
			}
			do(func(c *scenarios.Churn) { c.Rates.Arrivals = scenarios.Poisson })
			do(func(c *scenarios.Churn) { c.From = 0 })
			do(func(x *scenarios.Churn) { x.Until = sc.Heal })
		case c.Burst != nil:
			do(func(c *scenarios.Churn) { c.Burst.Bulk, c.Burst.Condition = 0, "" })
			do(func(c *scenarios.Churn) { c.Burst.Over, c.Until = 0, c.From })
			if c.Burst.Condition == scenarios.ConditionOther {
				do(func(c *scenarios.Churn) { c.Burst.Condition = scenarios.ConditionIDs })
			}
		case c.Day != nil:
			do(func(c *scenarios.Churn) {
				c.Rates = &scenarios.Rates{Create: c.Day.Create.Peak, Delete: c.Day.Delete.Peak, Update: c.Day.Update.Peak, Arrivals: scenarios.Poisson}
				c.Day = nil
			})
			do(func(c *scenarios.Churn) { c.Day.Create = scenarios.Swing{} })
			do(func(c *scenarios.Churn) { c.Day.Delete = scenarios.Swing{} })
		}
	}
	return out
}

// earlier are the times to try in place of d: earlier ones, and rounder ones.
func earlier(d time.Duration) []time.Duration {
	var out []time.Duration
	for _, v := range []time.Duration{0, 10 * time.Second, time.Minute, d / 2, d.Truncate(time.Minute), round(d, time.Minute), d.Truncate(10 * time.Second), d.Truncate(time.Second)} {
		if v = v.Truncate(time.Second); v != d && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// times has faults shorter, orders and bursts earlier, and amounts as they
// usually are.
func times(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for i := range sc.Faults {
		f := sc.Faults[i]
		do := func(change func(*scenarios.Fault)) {
			out = append(out, variant(sc, func(c *scenarios.Scenario) { change(&c.Faults[i]) }))
		}
		def := scenarios.NewFault(f.What)
		if f.Once() && f.For > 0 {
			do(func(f *scenarios.Fault) { f.For, f.Every = 0, 0 })
			do(func(f *scenarios.Fault) { f.At, f.For, f.Every = f.At+f.Every, 0, 0 })
		}
		do(func(f *scenarios.Fault) { f.By = def.By })
		do(func(f *scenarios.Fault) { f.Rate = def.Rate })
		do(func(f *scenarios.Fault) { f.Of, f.Target = def.Of, scenarios.Target{} })
		if f.Command != "" && f.Command != scenarios.Commands[0] {
			do(func(f *scenarios.Fault) { f.Command = scenarios.Commands[0] })
		}
		for _, d := range earlier(f.For) {
			if d > 0 && d < f.For {
				do(func(f *scenarios.Fault) { f.For, f.Every = d, min(f.Every, d) })
			}
		}
		for _, at := range earlier(f.At) {
			do(func(f *scenarios.Fault) { f.At = at })
		}
	}
	for i := range sc.Orders {
		for _, at := range earlier(sc.Orders[i].At) {
			out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Orders[i].At = at }))
		}
		out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Orders[i].ResourcePerInstance = 0 }))
		for _, n := range fewer(sc.Orders[i].Instance, 0) {
			out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Orders[i].Instance = n }))
		}
	}
	for i := range sc.Churn {
		if sc.Churn[i].Burst == nil {
			continue
		}
		for _, at := range earlier(sc.Churn[i].From) {
			out = append(out, variant(sc, func(c *scenarios.Scenario) {
				c.Churn[i].From, c.Churn[i].Until = at, at+c.Churn[i].Burst.Over
			}))
		}
	}
	return out
}

// chances makes what is likely certain, and what is stable not.
func chances(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for i := range sc.Faults {
		def := scenarios.NewFault(sc.Faults[i].What)
		out = append(out,
			variant(sc, func(c *scenarios.Scenario) { c.Faults[i].Chance, c.Faults[i].Stable = 1, def.Stable }),
			variant(sc, func(c *scenarios.Scenario) { c.Faults[i].Stable = def.Stable }),
			variant(sc, func(c *scenarios.Scenario) { c.Faults[i].Chance = 0.5 }))
	}
	return out
}

// targets has faults hit one instance, or the fewest, or without conditions.
func targets(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for i := range sc.Faults {
		f := &sc.Faults[i]
		do := func(change func(*scenarios.Fault)) {
			out = append(out, variant(sc, func(c *scenarios.Scenario) { change(&c.Faults[i]) }))
		}
		if len(f.Where) > 0 {
			do(func(f *scenarios.Fault) { f.Where = nil })
		}
		if f.Count > 0 || f.Share > 0 || f.One {
			do(func(f *scenarios.Fault) { f.One, f.Instance, f.Count, f.Share = false, 0, 0, 0 })
		}
		if f.Node != "" {
			do(func(f *scenarios.Fault) { f.Node = scenarios.NodeName(0) }) // there with fewer nodes, too
			do(func(f *scenarios.Fault) { f.Node, f.Count = "", 1 })
		}
		if f.Kind != "" && !f.One && (f.Count > 0 || f.Share > 0) {
			for id := range 3 {
				do(func(f *scenarios.Fault) { f.One, f.Instance, f.Count, f.Share = true, id, 0, 0 })
			}
		}
		if f.One {
			for _, id := range fewer(f.Instance, 0) {
				do(func(f *scenarios.Fault) { f.Instance = id })
			}
		}
		if f.Count > 1 || f.Share > 0 {
			do(func(f *scenarios.Fault) { f.Count, f.Share = 1, 0 })
		}
		if f.Share > 0 && f.Share < 1 {
			do(func(f *scenarios.Fault) { f.Share = 1 })
		}
	}
	return out
}

// seeds tries the first few.
func seeds(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for seed := uint64(1); seed <= 10; seed++ {
		out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Seed = seed }))
	}
	return out
}
