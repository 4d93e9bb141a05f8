package placement

import (
	"maps"
	"slices"
)

// Clone answers an independent copy, for asking what a change would lead to. It
// takes time and memory in proportion to the Assignment.
func (a *Assignment) Clone() *Assignment {
	c := *a
	c.index.entries = slices.Clone(a.index.entries)
	c.res, c.freeRes = slices.Clone(a.res), slices.Clone(a.freeRes)
	c.inst, c.freeInst = slices.Clone(a.inst), slices.Clone(a.freeInst)
	c.slotOf = maps.Clone(a.slotOf)
	c.spare = slices.Clone(a.spare)
	c.scratch = scratch{}

	pools := map[*pool]*pool{nil: nil}
	labels := map[*label]*label{nil: nil}
	c.labels = make(map[string]*label, len(a.labels))
	for name, l := range a.labels {
		twin := *l
		labels[l], c.labels[name] = &twin, &twin
	}
	copyPool := func(pl *pool) {
		if _, done := pools[pl]; !done { // nil is
			pools[pl] = pl.clone(labels[pl.label])
		}
	}
	copyPool(a.shared)
	for _, l := range a.labels {
		copyPool(l.pool)
	}
	for i := range a.inst {
		copyPool(a.inst[i].pool)
	}
	c.shared = pools[a.shared]
	for _, l := range c.labels {
		l.pool = pools[l.pool]
	}
	for i := range c.inst {
		in := &c.inst[i]
		in.members, in.pool = slices.Clone(in.members), pools[in.pool]
	}
	for i := range c.res {
		c.res[i].label = labels[c.res[i].label]
	}
	return &c
}

func (pl *pool) clone(l *label) *pool {
	c := *pl
	c.label = l
	c.open, c.closed, c.waiting = slices.Clone(pl.open), slices.Clone(pl.closed), slices.Clone(pl.waiting)
	for i := range c.heap {
		c.heap[i].slots = slices.Clone(pl.heap[i].slots)
	}
	return &c
}
