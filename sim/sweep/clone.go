package sweep

import (
	"slices"

	"dacorch/scenarios"
)

// clone is a copy that shares nothing with the original that a sweep changes.
func clone(sc *scenarios.Scenario) *scenarios.Scenario {
	c := *sc
	c.Kinds = slices.Clone(sc.Kinds)
	for i := range c.Kinds {
		c.Kinds[i].Groups = slices.Clone(c.Kinds[i].Groups)
	}
	c.Churn = slices.Clone(sc.Churn)
	for i := range c.Churn {
		ch := &c.Churn[i]
		ch.Rates, ch.Burst, ch.Day, ch.Trace = copied(ch.Rates), copied(ch.Burst), copied(ch.Day), copied(ch.Trace)
	}
	c.Faults = slices.Clone(sc.Faults)
	for i := range c.Faults {
		c.Faults[i].Where = slices.Clone(c.Faults[i].Where)
	}
	c.Orders = slices.Clone(sc.Orders)
	c.Load = slices.Clone(sc.Load)
	c.Nodes = copied(sc.Nodes)
	c.World.Latencies = slices.Clone(sc.World.Latencies)
	c.Expect = slices.Clone(sc.Expect)
	return &c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
