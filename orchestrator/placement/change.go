package placement

import (
	"cmp"
	"slices"
	"strings"

	"dacorch/orchestrator/fleet"
)

// Add places a resource. One that is known already stays where it is, unless
// its group has changed and the policy goes by groups: then it moves. The id is
// kept as it is given: clone one that is part of a larger string.
//
// It takes O(log instances), and allocates nothing once memory has grown, unless
// it opens an instance or raises a capacity; then it takes O(instances).
//
// It answers the resource as it was, and whether it was known.
func (a *Assignment) Add(r fleet.Resource, p *Plan) (was fleet.Resource, known bool) {
	a.index.grow(1)
	tag := a.index.tag(r.ID)
	h, at, known := a.lookup(r.ID, tag)
	if known {
		was = fleet.Resource{ID: a.res[h].id, Group: a.res[h].label.name}
		if was.Group != r.Group {
			a.regroup(h, r.Group, p)
		}
		return was, true
	}
	h = a.newResource(r.ID, a.labelOf(r.Group), at, tag)
	a.placeOne(a.res[h].label.pool, source{h: h, from: nowhere}, p)
	return was, false
}

// Remove forgets a resource; an unknown id changes nothing. One that stood
// nowhere leaves without a Move. It answers the resource as it was, and whether
// it was known.
func (a *Assignment) Remove(id string, p *Plan) (was fleet.Resource, known bool) {
	h, ok := a.find(id)
	if !ok {
		return was, false
	}
	was = fleet.Resource{ID: a.res[h].id, Group: a.res[h].label.name}
	pl := a.res[h].label.pool
	s := a.takeOff(h)
	if s >= 0 {
		p.Moves = append(p.Moves, Move{Resource: a.res[h].id, From: a.inst[s].id, To: fleet.NoInstance, Why: Reason{kind: removed}})
	}
	a.dropResource(h)
	if s >= 0 && !a.inst[s].closed {
		a.vacated(pl, s, p)
	}
	if a.releaseEmpty(pl, p) {
		a.serveWaiting(p)
	}
	return was, true
}

// takeOff detaches a resource from wherever it is, and answers the slot it
// stood on, or nowhere.
func (a *Assignment) takeOff(h uint32) int32 {
	r := &a.res[h]
	s := r.slot
	if s >= 0 {
		a.detach(h)
	} else {
		a.waitRemove(r.label.pool, h)
		r.slot = pending
	}
	return s
}

// relabel gives the resource, which stands nowhere if the policy goes by
// groups, another group.
func (a *Assignment) relabel(h uint32, group string) {
	old, now := a.res[h].label, a.labelOf(group)
	old.resources--
	old.pool.count--
	now.resources++
	now.pool.count++
	a.res[h].label = now
	a.dropLabel(old)
}

func (a *Assignment) regroup(h uint32, group string, p *Plan) {
	if !a.policy.perGroup() {
		a.relabel(h, group)
		return
	}
	old := a.res[h].label.pool
	from := a.takeOff(h)
	a.relabel(h, group)
	if from >= 0 && !a.inst[from].closed {
		a.vacated(old, from, p)
	}
	released := a.releaseEmpty(old, p)
	a.placeOne(a.res[h].label.pool, source{h: h, from: from, kind: regrouped}, p)
	if released {
		a.serveWaiting(p)
	}
}

// batch is what one Apply does to each pool.
type batch struct {
	fresh   map[*pool][]source
	touched []*pool
	vacant  map[*pool][]int32 // slots that lost resources, with repetitions
}

func (b *batch) touch(pl *pool) {
	if _, ok := b.fresh[pl]; !ok {
		b.fresh[pl] = nil
		b.touched = append(b.touched, pl)
	}
}

// leave notes that a resource has left an instance.
func (b *batch) leave(a *Assignment, pl *pool, s int32) {
	if !a.inst[s].closed {
		a.policy.changed(a, pl, s)
		b.vacant[pl] = append(b.vacant[pl], s)
	}
}

// Apply adds and removes many resources at once, with the fewest moves for the
// batch as a whole. The order within each list does not matter. An id in both
// lists is not removed. An id that is given twice with different groups takes
// the first of them in order that is not its group already.
func (a *Assignment) Apply(add []fleet.Resource, remove []string, p *Plan) {
	b := &batch{fresh: make(map[*pool][]source), vacant: make(map[*pool][]int32)}
	fresh, regroups, keep := a.admit(add, len(remove) > 0)
	a.takeOffAll(remove, keep, b, p)
	for _, h := range regroups {
		old := a.res[h.h].label.pool
		if !a.policy.perGroup() {
			a.relabel(h.h, h.group)
			continue
		}
		from := a.takeOff(h.h)
		a.relabel(h.h, h.group)
		b.touch(old)
		if from >= 0 {
			b.leave(a, old, from)
		}
		now := a.res[h.h].label.pool
		b.touch(now)
		b.fresh[now] = append(b.fresh[now], source{h: h.h, from: from, kind: regrouped})
	}
	a.sortByID(fresh)
	a.deal(fresh, b)
	if len(regroups) > 0 {
		for _, srcs := range b.fresh {
			slices.SortFunc(srcs, func(x, y source) int { return strings.Compare(a.res[x.h].id, a.res[y.h].id) })
		}
	}
	sortPools(b.touched)
	released := false
	for _, pl := range b.touched {
		released = a.releaseEmpty(pl, p) || released
	}
	for _, pl := range b.touched {
		a.absorb(pl, b, p)
	}
	if released {
		a.serveWaiting(p)
	}
}

// deal hands the new resources, in order, to their pools.
func (a *Assignment) deal(fresh []uint32, b *batch) {
	if len(fresh) == 0 {
		return
	}
	if a.shared != nil {
		srcs := make([]source, len(fresh))
		for i, h := range fresh {
			srcs[i] = source{h: h, from: nowhere}
		}
		b.touch(a.shared)
		b.fresh[a.shared] = srcs
		return
	}
	for _, h := range fresh {
		pl := a.res[h].label.pool
		b.touch(pl)
		b.fresh[pl] = append(b.fresh[pl], source{h: h, from: nowhere})
	}
}

// absorb settles a pool after a batch. A small batch goes resource by resource,
// which leads to as few moves: additions go where they are needed most, and
// only then the policy evens out.
func (a *Assignment) absorb(pl *pool, b *batch, p *Plan) {
	fresh, vacant := b.fresh[pl], b.vacant[pl]
	if waits := len(fresh) + len(pl.waiting) + pl.stuck; a.closedTo(pl) && waits >= len(vacant) && !slices.ContainsFunc(fresh, func(s source) bool { return s.from >= 0 }) {
		for _, src := range fresh {
			a.noPlace(pl, src, p)
		}
		for _, s := range vacant {
			a.vacated(pl, s, p)
		}
		return
	}
	if (len(fresh)+len(vacant))*8 > len(pl.open) || len(pl.waiting)+pl.stuck > 0 {
		a.settle(pl, fresh, p)
		return
	}
	pl.full = false
	start := len(p.Moves)
	for i, src := range fresh {
		s := a.policy.pick(a, pl)
		if s < 0 {
			for _, src := range fresh[:i] {
				a.detach(src.h)
			}
			p.Moves = p.Moves[:start]
			a.settle(pl, fresh, p)
			return
		}
		a.put(src, s, p)
		a.policy.changed(a, pl, s)
	}
	a.policy.even(a, pl, p)
}

type regrouping struct {
	h     uint32
	group string
}

// admit makes handles for the new ones among add, and lists the known ones
// whose group changes; keep holds the handles of all of them, if wanted.
func (a *Assignment) admit(add []fleet.Resource, wantKeep bool) (fresh []uint32, regroups []regrouping, keep map[uint32]struct{}) {
	if wantKeep && len(add) > 0 {
		keep = make(map[uint32]struct{}, len(add))
	}
	a.index.grow(len(add))
	a.res = slices.Grow(a.res, max(0, len(add)-len(a.freeRes)))
	fresh = make([]uint32, 0, len(add))
	var l *label
	var tags [256]uint32
	for block := range slices.Chunk(add, len(tags)) {
		a.index.tags(block, tags[:])
		for i := range block {
			r := &block[i]
			h, at, known := a.lookup(r.ID, tags[i])
			switch {
			case !known:
				if l == nil || l.name != r.Group {
					l = a.labelOf(r.Group)
				}
				h = a.newResource(r.ID, l, at, tags[i])
				fresh = append(fresh, h)
			case a.res[h].slot == pending: // twice in this batch
				if r.Group < a.res[h].label.name {
					a.relabel(h, r.Group)
					l = nil
				}
			case a.res[h].label.name != r.Group:
				regroups = append(regroups, regrouping{h, r.Group})
			}
			if keep != nil {
				keep[h] = struct{}{}
			}
		}
	}
	slices.SortFunc(regroups, func(x, y regrouping) int {
		return cmp.Or(strings.Compare(a.res[x.h].id, a.res[y.h].id), strings.Compare(x.group, y.group))
	})
	regroups = slices.CompactFunc(regroups, func(x, y regrouping) bool { return x.h == y.h })
	return fresh, regroups, keep
}

// takeOffAll removes resources, in an order that follows from where they stand.
func (a *Assignment) takeOffAll(remove []string, keep map[uint32]struct{}, b *batch, p *Plan) {
	gone := make([]uint32, 0, len(remove))
	for _, id := range remove {
		h, ok := a.find(id)
		if _, stays := keep[h]; ok && !stays {
			gone = append(gone, h)
		}
	}
	slices.SortFunc(gone, func(x, y uint32) int {
		r, q := &a.res[x], &a.res[y]
		// Handles decide between those alone that wait, in different pools.
		return cmp.Or(cmp.Compare(r.slot, q.slot), cmp.Compare(q.pos, r.pos), cmp.Compare(x, y))
	})
	gone = slices.Compact(gone)
	for _, h := range gone {
		pl := a.res[h].label.pool
		b.touch(pl)
		// A heap of waiting handles reorders itself under removal: positions are
		// read anew each time, so the order above serves only the members.
		if s := a.takeOff(h); s >= 0 {
			p.Moves = append(p.Moves, Move{Resource: a.res[h].id, From: a.inst[s].id, To: fleet.NoInstance, Why: Reason{kind: removed}})
			b.leave(a, pl, s)
		}
		a.dropResource(h)
	}
}
