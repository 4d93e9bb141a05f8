package placement

// slotHeap is a binary heap of slots that knows where each of them stands in
// it, so that any can be fixed or removed in O(log n).
type slotHeap struct {
	slots []int32
	which int // which of the instance's positions is this heap's
}

// before says whether x comes before y in the heap that which names.
func (a *Assignment) before(which int, x, y int32) bool {
	p, q := &a.inst[x], &a.inst[y]
	switch which {
	case heapLow:
		if len(p.members) != len(q.members) {
			return len(p.members) < len(q.members)
		}
	case heapHigh:
		if len(p.members) != len(q.members) {
			return len(p.members) > len(q.members)
		}
	}
	return newer(p, q)
}

// The heaps of a pool.
const (
	heapRoomy = iota // open instances with room, newest first
	heapLow          // open instances below their limit, least loaded first, newest among equals
	heapHigh         // open instances, most loaded first, newest among equals
	heaps
)

func newer(p, q *instance) bool {
	if p.born != q.born {
		return p.born > q.born
	}
	return p.id > q.id
}

func (a *Assignment) heapSet(h *slotHeap, at int, s int32) {
	h.slots[at] = s
	a.inst[s].pos[h.which] = int32(at)
}

func (a *Assignment) heapPush(h *slotHeap, s int32) {
	h.slots = append(h.slots, s)
	a.heapUp(h, len(h.slots)-1)
}

func (a *Assignment) heapRemove(h *slotHeap, s int32) {
	at := int(a.inst[s].pos[h.which])
	if at < 0 {
		return
	}
	last := len(h.slots) - 1
	moved := h.slots[last]
	h.slots = h.slots[:last]
	a.inst[s].pos[h.which] = -1
	if at < last {
		a.heapSet(h, at, moved)
		a.heapFix(h, moved)
	}
}

// heapFix restores the order after s has changed.
func (a *Assignment) heapFix(h *slotHeap, s int32) {
	if at := int(a.inst[s].pos[h.which]); !a.heapDown(h, at) {
		a.heapUp(h, at)
	}
}

func (a *Assignment) heapUp(h *slotHeap, at int) {
	s := h.slots[at]
	for at > 0 {
		up := (at - 1) / 2
		if !a.before(h.which, s, h.slots[up]) {
			break
		}
		a.heapSet(h, at, h.slots[up])
		at = up
	}
	a.heapSet(h, at, s)
}

func (a *Assignment) heapDown(h *slotHeap, at int) bool {
	s, start := h.slots[at], at
	for {
		down := 2*at + 1
		if down >= len(h.slots) {
			break
		}
		if r := down + 1; r < len(h.slots) && a.before(h.which, h.slots[r], h.slots[down]) {
			down = r
		}
		if !a.before(h.which, h.slots[down], s) {
			break
		}
		a.heapSet(h, at, h.slots[down])
		at = down
	}
	a.heapSet(h, at, s)
	return at > start
}

// heapInit orders a heap whose slots were put there in any order.
func (a *Assignment) heapInit(h *slotHeap) {
	for i, s := range h.slots {
		a.inst[s].pos[h.which] = int32(i)
	}
	for i := len(h.slots)/2 - 1; i >= 0; i-- {
		a.heapDown(h, i)
	}
}

// The resources of a pool that stand nowhere: a heap of handles by id. Each
// resource's pos is its place in it.

func (a *Assignment) waitSet(pl *pool, at int, h uint32) {
	pl.waiting[at] = h
	a.res[h].pos = int32(at)
}

func (a *Assignment) waitPush(pl *pool, h uint32) {
	a.res[h].slot = nowhere
	pl.waiting = append(pl.waiting, h)
	a.waiting++
	a.waitUp(pl, len(pl.waiting)-1)
}

func (a *Assignment) waitUp(pl *pool, at int) {
	h := pl.waiting[at]
	for at > 0 {
		up := (at - 1) / 2
		if a.res[h].id >= a.res[pl.waiting[up]].id {
			break
		}
		a.waitSet(pl, at, pl.waiting[up])
		at = up
	}
	a.waitSet(pl, at, h)
}

func (a *Assignment) waitRemove(pl *pool, h uint32) {
	at := int(a.res[h].pos)
	last := len(pl.waiting) - 1
	moved := pl.waiting[last]
	pl.waiting = pl.waiting[:last]
	a.waiting--
	if at == last {
		return
	}
	a.waitSet(pl, at, moved)
	for {
		down := 2*at + 1
		if down >= last {
			break
		}
		if r := down + 1; r < last && a.res[pl.waiting[r]].id < a.res[pl.waiting[down]].id {
			down = r
		}
		if a.res[pl.waiting[down]].id >= a.res[moved].id {
			break
		}
		a.waitSet(pl, at, pl.waiting[down])
		at = down
	}
	a.waitSet(pl, at, moved)
	a.waitUp(pl, at)
}
