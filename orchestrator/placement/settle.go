package placement

import (
	"cmp"
	"slices"

	"dacorch/orchestrator/fleet"
)

// source is a resource that is to be placed, and where it comes from.
type source struct {
	h    uint32
	from int32 // slot, or nowhere
	kind reasonKind
}

// scratch is memory that calls share.
type scratch struct {
	sources []source
	order   []int32
	targets []int
}

// settle brings a pool to what its policy demands: the resources in fresh and
// those that wait or are stuck get places, opening instances or raising
// capacities where that is needed and allowed; instances with more than they
// are to have give the rest away.
//
// It decides first how many resources each open instance is to have, then moves
// only what exceeds that, so no resource moves for another's sake.
func (a *Assignment) settle(pl *pool, fresh []source, p *Plan) {
	total := pl.load + len(pl.waiting) + len(fresh) + pl.stuck
	if total > pl.capacity {
		a.widenAll(pl, total, p)
	}
	for total > pl.capacity && a.mayOpen() {
		why := Reason{kind: openedFull, a: int32(total), b: int32(pl.capacity), group: pl.name()}
		if len(pl.open) == 0 {
			why.kind = openedFirst
		}
		a.openInstance(pl, why, p)
	}
	order := append(a.scratch.order[:0], pl.open...)
	a.policy.order(a, order)
	targets := slices.Grow(a.scratch.targets[:0], len(order))[:len(order)]
	a.policy.targets(a, pl, order, total, targets, p)
	room := 0
	for i, s := range order {
		room += max(0, targets[i]-a.inst[s].load())
	}
	sources := a.gather(pl, order, targets, fresh, room)
	a.distribute(order, targets, sources, p)
	a.scratch.order, a.scratch.targets = order[:0], targets[:0]
	if room < len(sources) {
		for _, src := range sources[room:] {
			a.noPlace(pl, src, p)
		}
	}
	pl.full = len(pl.waiting)+pl.stuck > 0
	a.policy.index(a, pl)
}

// widenAll raises the capacity that the init rule made small, before another
// instance is opened: the rule spreads few resources over the first instances,
// and as they become many its R grows with them, up to the R that was asked for
// (CONTRACT.md, Sizing). It goes in steps of a quarter, since every step is
// written to all instances.
func (a *Assignment) widenAll(pl *pool, total int, p *Plan) {
	old, ceiling := a.size.ResourcePerInstance, a.size.ceiling()
	if pl.label != nil || old >= ceiling || len(pl.open) == 0 {
		return
	}
	capacity := min(ceiling, max(old+max(1, old/4), total/len(pl.open)+1))
	a.size.ResourcePerInstance = capacity
	why := Reason{kind: raisedInit, a: int32(total), b: int32(len(pl.open))}
	a.byID(pl.open, func(s int32) {
		if a.inst[s].capacity < capacity {
			a.setCapacity(s, capacity, why, p)
		}
	})
}

// gather lists what is to be placed: first what instances give away, then what
// stands nowhere, by id, then as many of the stuck as there is room for.
func (a *Assignment) gather(pl *pool, order []int32, targets []int, fresh []source, room int) []source {
	sources := a.scratch.sources[:0]
	for i, s := range order {
		in := &a.inst[s]
		kind := a.policy.gives()
		for in.load() > targets[i] {
			h := in.members[in.load()-1]
			a.detach(h)
			sources = append(sources, source{h: h, from: s, kind: kind})
		}
	}
	if len(sources) == 0 && pl.stuck == 0 {
		return a.merged(pl, fresh)
	}
	sources = append(sources, a.merged(pl, fresh)...)
	if pl.stuck > 0 && len(sources) < room {
		a.byID(pl.closed, func(s int32) {
			in := &a.inst[s]
			for in.evacuate && in.load() > 0 && len(sources) < room {
				h := in.members[in.load()-1]
				a.detach(h)
				sources = append(sources, source{h: h, from: s, kind: evacuated})
			}
		})
	}
	a.scratch.sources = sources[:0]
	return sources
}

// merged is fresh, which is in order of id, and what waits in the pool, in
// order of id; nothing waits afterwards.
func (a *Assignment) merged(pl *pool, fresh []source) []source {
	if len(pl.waiting) == 0 {
		return fresh
	}
	hs := pl.waiting
	from := make(map[uint32]source, len(fresh))
	for _, src := range fresh {
		hs = append(hs, src.h)
		from[src.h] = src
	}
	a.waiting -= len(pl.waiting)
	pl.waiting = pl.waiting[:0]
	a.sortByID(hs)
	all := make([]source, len(hs))
	for i, h := range hs {
		if src, ok := from[h]; ok {
			all[i] = src
		} else {
			all[i] = source{h: h, from: nowhere}
		}
	}
	return all
}

// distribute puts the sources, in order, on the instances that have fewer
// resources than their target, in order.
func (a *Assignment) distribute(order []int32, targets []int, sources []source, p *Plan) {
	p.Moves = slices.Grow(p.Moves, len(sources))
	next := 0
	for i, s := range order {
		need := min(targets[i]-a.inst[s].load(), len(sources)-next)
		if need <= 0 {
			continue
		}
		a.putAll(sources[next:next+need], s, p)
		next += need
	}
}

// putAll attaches sources to an open instance and says so in the plan.
func (a *Assignment) putAll(sources []source, s int32, p *Plan) {
	in := &a.inst[s]
	in.members = slices.Grow(in.members, len(sources))
	in.pool.load += len(sources)
	why := Reason{fill: a.policy.newest(), instance: in.id, b: int32(in.capacity), group: in.pool.name()}
	for len(sources) > 0 {
		block := sources[:min(128, len(sources))]
		sources = sources[len(block):]
		for _, src := range block { // these reads overlap; see index.tags
			a.index.touched ^= uint64(a.res[src.h].pos)
		}
		for _, src := range block {
			why.kind, why.from, why.a = placed, fleet.NoInstance, int32(len(in.members))
			if src.from >= 0 {
				why.kind, why.from = src.kind, a.inst[src.from].id
			}
			r := &a.res[src.h]
			r.slot, r.pos = s, int32(len(in.members))
			in.members = append(in.members, src.h)
			p.Moves = append(p.Moves, Move{Resource: r.id, From: why.from, To: in.id, Why: why})
		}
	}
}

// put attaches one source to an open instance and says so in the plan.
func (a *Assignment) put(src source, s int32, p *Plan) {
	one := [1]source{src}
	a.putAll(one[:], s, p)
}

// noPlace lets a source wait.
func (a *Assignment) noPlace(pl *pool, src source, p *Plan) {
	a.waitPush(pl, src.h)
	if src.from >= 0 {
		p.Moves = append(p.Moves, Move{Resource: a.res[src.h].id, From: a.inst[src.from].id, To: fleet.NoInstance, Why: a.whyUnplaced(pl)})
	}
}

func (a *Assignment) whyUnplaced(pl *pool) Reason {
	return Reason{kind: unplacedMax, a: int32(a.open), b: int32(a.size.most()), group: pl.name()}
}

// placeOne places one resource: at once when an instance has room.
func (a *Assignment) placeOne(pl *pool, src source, p *Plan) {
	if s := a.policy.pick(a, pl); s >= 0 {
		a.put(src, s, p)
		a.policy.changed(a, pl, s)
		return
	}
	if a.closedTo(pl) {
		a.noPlace(pl, src, p)
		return
	}
	a.settle(pl, []source{src}, p)
}

// closedTo says that the pool has neither room nor a way to get some.
func (a *Assignment) closedTo(pl *pool) bool { return pl.full && !a.mayOpen() }

// vacated follows the removal of a resource from an open instance: who waits
// comes first, then who is stuck, then the policy evens out.
func (a *Assignment) vacated(pl *pool, s int32, p *Plan) {
	switch {
	case len(pl.waiting) > 0:
		h := pl.waiting[0]
		a.waitRemove(pl, h)
		a.put(source{h: h, from: nowhere}, s, p)
		a.policy.changed(a, pl, s)
		pl.full = len(pl.waiting)+pl.stuck > 0
	case pl.stuck > 0:
		from := a.firstStuck(pl)
		h := a.inst[from].members[a.inst[from].load()-1]
		a.detach(h)
		a.put(source{h: h, from: from, kind: evacuated}, s, p)
		a.policy.changed(a, pl, s)
		pl.full = len(pl.waiting)+pl.stuck > 0
	default:
		pl.full = false
		a.policy.changed(a, pl, s)
		a.policy.even(a, pl, p)
	}
}

// firstStuck is the closed instance with the smallest id that resources are to leave.
func (a *Assignment) firstStuck(pl *pool) int32 {
	first := nowhere
	for _, s := range pl.closed {
		in := &a.inst[s]
		if in.evacuate && in.load() > 0 && (first < 0 || in.id < a.inst[first].id) {
			first = s
		}
	}
	return first
}

// serveWaiting settles every pool that somebody waits in, after the number of
// open instances has fallen.
func (a *Assignment) serveWaiting(p *Plan) {
	if a.shared != nil {
		return
	}
	for _, pl := range a.pools() {
		if len(pl.waiting)+pl.stuck > 0 && a.mayOpen() {
			a.settle(pl, nil, p)
		}
	}
}

// cheapest sorts open slots by what keeping each of them saves, least first,
// the greater id first among equals.
func (a *Assignment) cheapest(slots []int32, saves func(load int) int) []int32 {
	sorted := slices.Clone(slots)
	slices.SortFunc(sorted, func(x, y int32) int {
		p, q := &a.inst[x], &a.inst[y]
		return cmp.Or(cmp.Compare(saves(p.load()), saves(q.load())), cmp.Compare(q.id, p.id))
	})
	return sorted
}
