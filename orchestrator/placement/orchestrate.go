package placement

import (
	"slices"

	"dacorch/orchestrator/fleet"
)

// SetSize takes over the size of the last orchestration without planning anew,
// for a restart; before Restore, which may have to open instances.
func (a *Assignment) SetSize(s Size) {
	if s.ResourcePerInstance <= 0 {
		s.ResourcePerInstance = a.limits.ResourcePerInstance
	}
	if s.MaxInstances <= 0 {
		s.MaxInstances = a.limits.MaxInstances
	}
	a.size = a.policy.sized(s)
	for _, pl := range a.pools() {
		pl.full = false
		a.policy.index(a, pl)
	}
}

// Reorchestrate plans anew for a size, with the fewest moves (see LowerBound).
// Surplus instances are released: those that cost the fewest moves. Closed
// instances stay closed. When the size is too small for the resources known,
// because it was computed for fewer of them, there are as many instances as
// they need, and when max forbids that, their capacity is raised, to the
// ceiling at most.
//
// It answers a *TooManyError, and changes nothing, when the resources, or the
// groups, need more instances than the max.
func (a *Assignment) Reorchestrate(s Size, p *Plan) error {
	if s.ResourcePerInstance <= 0 || s.MaxInstances <= 0 {
		return &fleet.FieldError{Field: "size", Value: "0", Want: "a result of Limits.Size"}
	}
	s = a.policy.sized(s)
	pools := a.pools()
	need := func(s Size) int {
		n := 0
		for _, pl := range pools {
			n += a.policy.instances(s, pl.toStand())
		}
		return n
	}
	if n := need(s); n > s.most() {
		wide := s
		wide.ResourcePerInstance = s.Ceiling
		if n := need(wide); n > s.most() {
			return &TooManyError{Need: n, Max: s.most()}
		}
		s.ResourcePerInstance = a.narrowest(s, need)
	}
	a.size = s
	for _, pl := range pools {
		a.shrink(pl, p)
	}
	for _, pl := range pools {
		a.widen(pl, p)
	}
	for _, pl := range pools {
		a.settle(pl, nil, p)
	}
	return nil
}

// toStand is how many resources are to stand on the pool's open instances.
func (pl *pool) toStand() int { return pl.load + pl.stuck + len(pl.waiting) }

// narrowest is the least capacity up to the ceiling with which the instances
// suffice.
func (a *Assignment) narrowest(s Size, need func(Size) int) int {
	low, high := s.ResourcePerInstance, s.Ceiling // need exceeds the max at low, not at high
	for high-low > 1 {
		s.ResourcePerInstance = (low + high) / 2
		if need(s) > s.most() {
			low = s.ResourcePerInstance
		} else {
			high = s.ResourcePerInstance
		}
	}
	return high
}

// shrink releases the instances of the pool that are too many.
func (a *Assignment) shrink(pl *pool, p *Plan) {
	total, capacity := pl.toStand(), a.size.ResourcePerInstance
	n := a.policy.instances(a.size, total)
	if len(pl.open) <= n {
		return
	}
	order := a.cheapest(pl.open, func(load int) int { return a.policy.keeps(load, total, n, capacity) })
	why := Reason{kind: surplus, a: int32(n), b: int32(capacity), group: pl.name()}
	if total == 0 && pl.label != nil {
		why.kind = groupEmpty
	}
	for _, s := range order[:len(order)-n] {
		a.release(s, why, p)
	}
}

// widen gives the pool's instances the size's capacity, and opens those that are missing.
func (a *Assignment) widen(pl *pool, p *Plan) {
	capacity := a.size.ResourcePerInstance
	n := a.policy.instances(a.size, pl.toStand())
	a.byID(pl.open, func(s int32) {
		a.setCapacity(s, capacity, Reason{kind: resized, a: int32(capacity)}, p)
	})
	for len(pl.open) < n {
		a.openInstance(pl, Reason{kind: openedSize, a: int32(n), b: int32(capacity), group: pl.name()}, p)
	}
}

// Close closes an instance: it receives nothing from now on. With evacuate, its
// resources move to the others, opening instances if policy and max allow;
// those for which there is no room stay until there is (see Stuck). Without,
// they stay where they are. Closing a closed instance changes only that.
func (a *Assignment) Close(i fleet.InstanceID, evacuate bool, p *Plan) {
	a.CloseAll([]fleet.InstanceID{i}, evacuate, p)
}

// CloseAll closes many instances at once: no resource moves from one of them to
// another. Ids that do not exist change nothing.
func (a *Assignment) CloseAll(ids []fleet.InstanceID, evacuate bool, p *Plan) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	var touched []*pool
	for _, i := range ids {
		s, ok := a.slotOf[i]
		if !ok {
			continue
		}
		in := &a.inst[s]
		switch {
		case !in.closed:
			a.closeInstance(s, evacuate)
		case in.evacuate == evacuate:
			continue
		case evacuate:
			in.evacuate = true
			in.pool.stuck += in.load()
		default:
			in.evacuate = false
			in.pool.stuck -= in.load()
		}
		if !slices.Contains(touched, in.pool) {
			touched = append(touched, in.pool)
		}
	}
	sortPools(touched)
	for _, pl := range touched {
		a.settle(pl, nil, p)
	}
	a.serveWaiting(p)
}

// Open takes Close back. An instance of a group that has no resources any more
// stays closed.
func (a *Assignment) Open(i fleet.InstanceID, p *Plan) {
	s, ok := a.slotOf[i]
	if !ok || !a.inst[s].closed {
		return
	}
	in := &a.inst[s]
	pl := in.pool
	if pl.label != nil && pl.count == 0 {
		return
	}
	if in.evacuate {
		pl.stuck -= in.load()
	}
	a.unlist(&pl.closed, in)
	in.closed, in.evacuate = false, false
	a.open++
	a.bind(s, pl)
	a.settle(pl, nil, p)
}

// Forget frees the id of an instance that is closed and empty; any other is
// left as it is.
func (a *Assignment) Forget(i fleet.InstanceID) {
	s, ok := a.slotOf[i]
	if !ok || !a.inst[s].closed || a.inst[s].load() > 0 {
		return
	}
	in := &a.inst[s]
	a.unlist(&in.pool.closed, in)
	if l := in.pool.label; l != nil {
		a.dropLabel(l)
	}
	delete(a.slotOf, i)
	a.idHint = min(a.idHint, i)
	*in = instance{}
	a.freeInst = append(a.freeInst, s)
}
