package placement

import "slices"

// Code writes the whole state, or reads it into an Assignment that New has made
// with the policy of the one written. One that has been read answers every call
// as the one written would: the order of everything that an order follows from
// is kept (members, heaps, free handles and slots).
//
// The form, in this order (see Coder):
//
//	size       instances, resources per instance, ceiling, most instances
//	instances  smallest id that may be free, greatest born; the groups' names, ascending;
//	           by slot: whether it is used; if so id, born, capacity, closed, to be
//	           evacuated, group+1 (0: of no group's own); then the free slots
//	resources  by handle: group+1 (0: a free handle), id; then the free handles
//	members    by slot: handles
//	pools      the shared one, or by group: slots open and closed, handles that
//	           wait, the heaps' slots, whether it is full
//
// Everything else follows from these.
func (a *Assignment) Code(c *Coder) {
	if c.Reading() {
		a.clear()
	}
	c.Section("the size")
	Int(c, &a.size.Instances)
	Int(c, &a.size.ResourcePerInstance)
	Int(c, &a.size.Ceiling)
	Int(c, &a.size.MaxInstances)
	if s := a.size; s.Instances < 0 || s.ResourcePerInstance < 1 || s.Ceiling < 0 || s.MaxInstances < 1 {
		c.Fail("%+v is no size", s)
	}
	groups := a.codeGroups(c)
	a.codeInstances(c, groups)
	a.codeResources(c, groups)
	c.Section("the instances' resources")
	for s := range a.inst {
		List(c, &a.inst[s].members, func(h *uint32) { codeHandle(c, h) })
		if c.Reading() {
			a.readMembers(c, int32(s))
		}
	}
	c.Section("the pools")
	for _, pl := range a.pools() {
		a.codePool(c, pl)
	}
	if c.Reading() && !c.Failed() {
		a.checkRead(c)
	}
	if c.Failed() {
		a.clear()
	}
}

// Code writes a reason, or reads it.
func (r *Reason) Code(c *Coder) {
	Int(c, &r.kind)
	if r.kind == noReason {
		return
	}
	c.Bool(&r.fill)
	Int(c, &r.instance)
	Int(c, &r.from)
	Int(c, &r.a)
	Int(c, &r.b)
	c.Word(&r.group)
}

func codeHandle(c *Coder, h *uint32) {
	n := int64(*h)
	if Int(c, &n); n < 0 || n >= 1<<31 {
		c.Fail("%d is no handle", n)
		n = 0
	}
	*h = uint32(n)
}

// grouping gives the groups numbers.
type grouping struct {
	labels []*label
	number map[*label]int // from 1
}

// coded codes which group it is, or none.
func (g *grouping) coded(c *Coder, l **label) {
	n := g.number[*l]
	Int(c, &n)
	switch {
	case !c.Reading():
	case n == 0:
		*l = nil
	case n < 0 || n > len(g.labels):
		c.Fail("group %d of %d", n, len(g.labels))
	default:
		*l = g.labels[n-1]
	}
}

func (a *Assignment) codeGroups(c *Coder) *grouping {
	c.Section("the groups")
	g := &grouping{number: map[*label]int{nil: 0}}
	names := make([]string, 0, len(a.labels))
	for name := range a.labels {
		names = append(names, name)
	}
	slices.Sort(names)
	List(c, &names, c.String)
	for i, name := range names {
		if i > 0 && names[i-1] >= name {
			c.Fail("group %q does not follow %q", name, names[i-1])
		}
		l := a.labelOf(name)
		g.labels = append(g.labels, l)
		g.number[l] = i + 1
	}
	return g
}

func (a *Assignment) codeInstances(c *Coder, g *grouping) {
	c.Section("the instances")
	Int(c, &a.idHint)
	Int(c, &a.born)
	List(c, &a.inst, func(in *instance) {
		used := in.pool != nil
		if c.Bool(&used); !used {
			return
		}
		Int(c, &in.id)
		Int(c, &in.born)
		Int(c, &in.capacity)
		c.Bool(&in.closed)
		c.Bool(&in.evacuate)
		var l *label
		if in.pool != nil {
			l = in.pool.label
		}
		g.coded(c, &l)
		if !c.Reading() {
			return
		}
		if _, twice := a.slotOf[in.id]; in.id < 0 || twice || in.capacity < 0 || (l == nil) != (a.shared != nil) || in.evacuate && !in.closed {
			c.Fail("the %dth instance is not possible or there twice: id %d, capacity %d", len(a.inst), int32(in.id), in.capacity)
			return
		}
		if in.pool = a.shared; l != nil {
			in.pool = l.pool
		}
		in.at = -1
		for i := range in.pos {
			in.pos[i] = -1
		}
		a.slotOf[in.id] = int32(len(a.inst) - 1)
		if !in.closed {
			a.open++
		}
	})
	List(c, &a.freeInst, func(s *int32) {
		if Int(c, s); c.Reading() && !a.freeSlot(*s) {
			c.Fail("slot %d is not free", *s)
			return
		}
		if c.Reading() {
			a.inst[*s].at = -1 // taken up; cleared in checkRead
		}
	})
}

func (a *Assignment) freeSlot(s int32) bool {
	return s >= 0 && int(s) < len(a.inst) && a.inst[s].pool == nil && a.inst[s].at == 0
}

func (a *Assignment) codeResources(c *Coder, g *grouping) {
	c.Section("the resources")
	n := c.Len(len(a.res))
	if c.Reading() {
		room := min(n, c.Left()/8) // as it is with ids of a few bytes
		a.res = make([]resource, 0, room)
		a.index.grow(room)
	}
	for h := 0; h < n && !c.Failed(); h++ {
		if c.Reading() {
			c.Alloc(resourceBytes)
			a.res = append(a.res, resource{})
		}
		r := &a.res[h]
		if g.coded(c, &r.label); r.label != nil {
			c.String(&r.id)
			if c.Reading() {
				a.readResource(c, uint32(h))
			}
		}
	}
	List(c, &a.freeRes, func(h *uint32) {
		codeHandle(c, h)
		if !c.Reading() {
			return
		}
		if int(*h) >= len(a.res) || a.res[*h].label != nil || a.res[*h].slot != 0 {
			c.Fail("handle %d is not free", *h)
			return
		}
		a.res[*h].slot = pending // taken up; cleared in checkRead
	})
}

// resourceBytes is what a resource takes, with its place in the index.
const resourceBytes = 64

// readResource takes up the resource that has just been read.
func (a *Assignment) readResource(c *Coder, h uint32) {
	r := &a.res[h]
	a.index.grow(1)
	tag := a.index.tag(r.id)
	_, at, twice := a.lookup(r.id, tag)
	if twice {
		c.Fail("resource %q is known twice", r.id)
		return
	}
	a.index.put(at, tag, h)
	r.slot = pending
	r.label.resources++
	r.label.pool.count++
}

// homeless says that the handle's resource stands nowhere yet.
func (a *Assignment) homeless(h uint32) bool {
	return int(h) < len(a.res) && a.res[h].label != nil && a.res[h].slot == pending
}

func (a *Assignment) readMembers(c *Coder, s int32) {
	for at, h := range a.inst[s].members {
		if !a.homeless(h) || a.inst[s].pool == nil {
			c.Fail("resource %d cannot stand on slot %d: unknown, or it stands elsewhere", h, s)
			return
		}
		a.res[h].slot, a.res[h].pos = s, int32(at)
	}
}

func (a *Assignment) codePool(c *Coder, pl *pool) {
	List(c, &pl.open, func(s *int32) { Int(c, s) })
	List(c, &pl.closed, func(s *int32) { Int(c, s) })
	List(c, &pl.waiting, func(h *uint32) { codeHandle(c, h) })
	for i := range pl.heap {
		List(c, &pl.heap[i].slots, func(s *int32) { Int(c, s) })
	}
	c.Bool(&pl.full)
	if !c.Reading() || c.Failed() {
		return
	}
	for _, closed := range []bool{false, true} {
		list := pl.open
		if closed {
			list = pl.closed
		}
		for at, s := range list {
			if s < 0 || int(s) >= len(a.inst) || a.inst[s].pool != pl || a.inst[s].closed != closed || a.inst[s].at >= 0 {
				c.Fail("slot %d does not belong to the %dth pool's lists, or stands there twice", s, at+1)
				return
			}
			a.inst[s].at = int32(at)
			a.readLoad(pl, &a.inst[s])
		}
	}
	for at, h := range pl.waiting {
		if !a.homeless(h) || a.res[h].label.pool != pl || at > 0 && a.res[h].id <= a.res[pl.waiting[(at-1)/2]].id {
			c.Fail("resource %d cannot wait as the %dth: unknown, it stands elsewhere, or it is out of order", h, at+1)
			return
		}
		a.res[h].slot, a.res[h].pos = nowhere, int32(at)
	}
	a.waiting += len(pl.waiting)
	for i := range pl.heap {
		a.readHeap(c, pl, &pl.heap[i])
	}
	want := len(pl.open)
	if a.policy.newest() {
		want = 0
	}
	if high := len(pl.heap[heapHigh].slots); high != want {
		c.Fail("%d instances are in the order of load, not %d", high, want)
	}
}

func (a *Assignment) readLoad(pl *pool, in *instance) {
	switch {
	case !in.closed:
		pl.load += in.load()
		pl.capacity += in.capacity
	case in.evacuate:
		pl.stuck += in.load()
	}
}

func (a *Assignment) readHeap(c *Coder, pl *pool, h *slotHeap) {
	for at, s := range h.slots {
		if s < 0 || int(s) >= len(a.inst) || a.inst[s].pool != pl || a.inst[s].closed || a.inst[s].pos[h.which] >= 0 ||
			at > 0 && a.before(h.which, s, h.slots[(at-1)/2]) {
			c.Fail("slot %d cannot be the %dth of its order", s, at+1)
			return
		}
		a.inst[s].pos[h.which] = int32(at)
	}
}

// checkRead ends the reading: everything has been given its place.
func (a *Assignment) checkRead(c *Coder) {
	for s := range a.inst {
		in := &a.inst[s]
		if in.at < 0 != (in.pool == nil) {
			c.Fail("slot %d is in no list", s)
			return
		}
		if in.pool == nil {
			*in = instance{}
		}
	}
	for h := range a.res {
		switch r := &a.res[h]; {
		case r.label == nil && r.slot == pending:
			*r = resource{}
		case r.label == nil, r.slot == pending:
			c.Fail("resource %d stands nowhere", h)
			return
		}
	}
	for _, l := range a.labels {
		if l.resources == 0 && (l.pool == a.shared || len(l.pool.open)+len(l.pool.closed) == 0) {
			c.Fail("nothing belongs to group %q", l.name)
			return
		}
	}
	if a.idHint < 0 {
		c.Fail("%d is no instance", int32(a.idHint))
	}
}
