package placement

import (
	"slices"

	"dacorch/orchestrator/fleet"
)

// policy is what differs between the ways of placing. Its slots are always open
// instances of the pool.
type policy interface {
	perGroup() bool    // one pool for each group, rather than one for all
	newest() bool      // places on the newest instance, for reasons
	gives() reasonKind // why an instance gives resources away

	// pick is the instance with room that takes the next resource, or nowhere.
	pick(a *Assignment, pl *pool) int32
	// changed follows each change of an instance's load, at once: the heaps bear
	// one instance out of order at a time.
	changed(a *Assignment, pl *pool, s int32)
	// even moves resources between instances until the policy holds.
	even(a *Assignment, pl *pool, p *Plan)
	// index rebuilds what pick and even look up.
	index(a *Assignment, pl *pool)

	// order sorts the pool's open instances into the order in which they receive.
	order(a *Assignment, slots []int32)
	// targets decides how many of total resources each instance is to have, at
	// least as many in sum as they have, and raises capacities where it must.
	targets(a *Assignment, pl *pool, order []int32, total int, targets []int, p *Plan)

	// sized is the size as the policy takes it, its ceiling filled in.
	sized(s Size) Size
	// instances is how many a pool with that many resources is to have.
	instances(s Size, total int) int
	// keeps is how many of load resources may stay on an instance that is kept
	// when total resources are to stand on n instances of that capacity.
	keeps(load, total, n, capacity int) int
}

func policyFor(p fleet.Policy) policy {
	switch p {
	case fleet.PolicyBalance:
		return balance{}
	case fleet.PolicyGroup:
		return group{}
	}
	return fill{}
}

// fill places on the newest instance that has room.
type fill struct{}

func (fill) perGroup() bool                 { return false }
func (fill) newest() bool                   { return true }
func (fill) gives() reasonKind              { return overflow }
func (fill) even(*Assignment, *pool, *Plan) {}
func (fill) instances(s Size, total int) int {
	return max(s.Instances, ceilDiv(total, s.ResourcePerInstance))
}
func (fill) sized(s Size) Size {
	s.Ceiling = s.ceiling()
	return s
}
func (fill) keeps(load, _, _, capacity int) int { return min(load, capacity) }

func (fill) pick(_ *Assignment, pl *pool) int32 {
	if h := &pl.heap[heapRoomy]; len(h.slots) > 0 {
		return h.slots[0]
	}
	return nowhere
}

func (fill) changed(a *Assignment, pl *pool, s int32) {
	in, h := &a.inst[s], &pl.heap[heapRoomy]
	switch has, is := in.pos[heapRoomy] >= 0, in.load() < in.capacity; {
	case has && !is:
		a.heapRemove(h, s)
	case !has && is:
		a.heapPush(h, s)
	}
}

func (fill) index(a *Assignment, pl *pool) {
	h := &pl.heap[heapRoomy]
	h.slots = h.slots[:0]
	for _, s := range pl.open {
		a.inst[s].pos[heapRoomy] = -1
		if in := &a.inst[s]; in.load() < in.capacity {
			h.slots = append(h.slots, s)
		}
	}
	a.heapInit(h)
}

func (fill) order(a *Assignment, slots []int32) {
	slices.SortFunc(slots, func(x, y int32) int { return newestFirst(&a.inst[x], &a.inst[y]) })
}

func (fill) targets(a *Assignment, pl *pool, order []int32, total int, targets []int, p *Plan) {
	left := total
	for i, s := range order {
		targets[i] = min(a.inst[s].load(), a.inst[s].capacity)
		left -= targets[i]
	}
	for i, s := range order {
		more := min(left, a.inst[s].capacity-targets[i])
		targets[i] += more
		left -= more
	}
	ceiling := a.size.ceiling()
	for i, s := range order {
		if left == 0 {
			return
		}
		if a.inst[s].capacity < ceiling {
			a.raise(s, ceiling, p)
			more := min(left, ceiling-targets[i])
			targets[i] += more
			left -= more
		}
	}
}

func (a *Assignment) raise(s int32, capacity int, p *Plan) {
	why := Reason{kind: raisedFull, a: int32(a.open), b: int32(a.size.most()), group: a.inst[s].pool.name()}
	a.setCapacity(s, capacity, why, p)
}

// balance keeps the loads of the open instances within one of each other, as
// far as capacities allow.
type balance struct{}

func (balance) perGroup() bool                  { return false }
func (balance) newest() bool                    { return false }
func (balance) gives() reasonKind               { return evens }
func (balance) sized(s Size) Size               { return fill{}.sized(s) }
func (balance) instances(s Size, total int) int { return fill{}.instances(s, total) }

// An instance is to have total/n, or one more.
func (balance) keeps(load, total, n, _ int) int {
	if n == 0 {
		return 0
	}
	return min(load, total/n+1)
}

func (balance) pick(a *Assignment, pl *pool) int32 {
	if h := &pl.heap[heapLow]; len(h.slots) > 0 {
		if s := h.slots[0]; a.inst[s].load() < a.inst[s].capacity {
			return s
		}
	}
	return nowhere
}

func (balance) changed(a *Assignment, pl *pool, s int32) {
	a.heapFix(&pl.heap[heapHigh], s)
	low, in := &pl.heap[heapLow], &a.inst[s]
	switch has, is := in.pos[heapLow] >= 0, in.load() < a.limit(in); {
	case has && is:
		a.heapFix(low, s)
	case has:
		a.heapRemove(low, s)
	case is:
		a.heapPush(low, s)
	}
}

func (balance) index(a *Assignment, pl *pool) {
	low, high := &pl.heap[heapLow], &pl.heap[heapHigh]
	high.slots = append(high.slots[:0], pl.open...)
	a.heapInit(high)
	low.slots = low.slots[:0]
	for _, s := range pl.open {
		in := &a.inst[s]
		in.pos[heapLow] = -1
		if in.load() < a.limit(in) {
			low.slots = append(low.slots, s)
		}
	}
	a.heapInit(low)
}

// limit is how far an instance's load may rise.
func (a *Assignment) limit(in *instance) int { return max(in.capacity, a.size.ceiling()) }

func (b balance) even(a *Assignment, pl *pool, p *Plan) {
	for len(pl.heap[heapLow].slots) > 0 {
		low, high := pl.heap[heapLow].slots[0], pl.heap[heapHigh].slots[0]
		from, to := &a.inst[high], &a.inst[low]
		if from.load()-to.load() < 2 {
			return
		}
		if to.load() >= to.capacity {
			a.raise(low, a.size.ceiling(), p)
		}
		h := from.members[from.load()-1]
		a.detach(h)
		b.changed(a, pl, high)
		a.put(source{h: h, from: high, kind: evens}, low, p)
		b.changed(a, pl, low)
	}
}

func (balance) order(a *Assignment, slots []int32) {
	slices.SortFunc(slots, func(x, y int32) int { return newestFirst(&a.inst[y], &a.inst[x]) })
}

// targets fills up all instances to the same level. One whose limit (its
// capacity, or the ceiling) lies below the level stays at its limit. Those
// that get one more than others are those that have it already, if any.
func (balance) targets(a *Assignment, pl *pool, order []int32, total int, targets []int, p *Plan) {
	for i := range targets {
		targets[i] = -1
	}
	left, n := total, len(order)
	for again := true; again && n > 0; {
		again = false
		level := left / n
		for i, s := range order {
			if targets[i] < 0 && a.limit(&a.inst[s]) <= level {
				targets[i] = a.limit(&a.inst[s])
				left -= targets[i]
				n--
				again = true
			}
		}
	}
	if n > 0 {
		level, extra := left/n, left%n
		for _, having := range []bool{true, false} {
			for i, s := range order {
				if targets[i] < 0 && extra > 0 && (a.inst[s].load() > level) == having {
					targets[i] = level + 1
					extra--
				}
			}
		}
		for i := range targets {
			if targets[i] < 0 {
				targets[i] = level
			}
		}
	}
	for i, s := range order {
		if targets[i] > a.inst[s].capacity {
			a.raise(s, a.size.ceiling(), p)
		}
	}
}

// group is balance within each group; a group has as many instances as its
// count needs.
type group struct{ balance }

func (group) perGroup() bool { return true }

// A group's number of instances is its own, so the init rule, which spreads the
// resources of all over the first instances, says nothing about their capacity.
func (group) sized(s Size) Size {
	s.Ceiling = s.ceiling()
	s.ResourcePerInstance = s.Ceiling
	return s
}
func (group) instances(s Size, total int) int { return ceilDiv(total, s.ResourcePerInstance) }

func newestFirst(p, q *instance) int {
	switch {
	case p == q:
		return 0
	case newer(p, q):
		return -1
	}
	return 1
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
