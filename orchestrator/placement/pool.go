package placement

import (
	"cmp"
	"slices"
	"strings"

	"dacorch/orchestrator/fleet"
)

// resource is one known resource, by handle.
type resource struct {
	id    string
	label *label // its group; nil when the handle is free
	slot  int32  // of its instance, or nowhere, or pending
	pos   int32  // in the instance's members, or in the pool's waiting
}

const (
	nowhere int32 = -1 // waits in its pool for room
	pending int32 = -2 // being placed by the call under way
)

// label is a group's name. It lives while a resource has it or an instance is
// bound to it.
type label struct {
	name      string
	resources int
	pool      *pool
}

// pool is a set of resources and the instances that they may stand on: one for
// the whole kind, or one for each group.
type pool struct {
	label *label // the group; nil for the whole kind

	open   []int32 // slots; at is an instance's place among them
	closed []int32 // slots not yet forgotten

	count    int // resources that belong here, wherever they stand
	load     int // resources on open instances
	capacity int // of open instances
	stuck    int // resources on closed instances that they are to leave

	waiting []uint32 // handles of resources that stand nowhere; a heap by id
	heap    [heaps]slotHeap
	full    bool // some wait or are stuck, and no room has appeared since they were refused
}

// instance is one instance, by slot.
type instance struct {
	id       fleet.InstanceID
	born     int64
	capacity int
	closed   bool
	evacuate bool // closed, and its resources are to leave
	pool     *pool
	at       int32    // in pool.open or pool.closed
	members  []uint32 // handles; each resource's pos is its place
	pos      [heaps]int32
}

func (in *instance) load() int { return len(in.members) }

func (a *Assignment) newPool(l *label) *pool {
	pl := &pool{label: l}
	for i := range pl.heap {
		pl.heap[i].which = i
	}
	return pl
}

// pools lists all pools, by group name.
func (a *Assignment) pools() []*pool {
	if a.shared != nil {
		return []*pool{a.shared}
	}
	all := make([]*pool, 0, len(a.labels))
	for _, l := range a.labels {
		all = append(all, l.pool)
	}
	sortPools(all)
	return all
}

func sortPools(all []*pool) {
	slices.SortFunc(all, func(x, y *pool) int {
		if x.label == nil || y.label == nil {
			return 0
		}
		return strings.Compare(x.label.name, y.label.name)
	})
}

// name points to the pool's group, for reasons; nil for the whole kind.
func (pl *pool) name() *string {
	if pl.label == nil {
		return nil
	}
	return &pl.label.name
}

func (pl *pool) group() string {
	if pl.label == nil {
		return ""
	}
	return pl.label.name
}

func (a *Assignment) labelOf(group string) *label {
	l, ok := a.labels[group]
	if !ok {
		l = &label{name: strings.Clone(group), pool: a.shared}
		if l.pool == nil {
			l.pool = a.newPool(l)
		}
		a.labels[l.name] = l
	}
	return l
}

// dropLabel forgets the group when nothing has it any more.
func (a *Assignment) dropLabel(l *label) {
	if l.resources == 0 && (l.pool == a.shared || len(l.pool.open)+len(l.pool.closed) == 0) {
		delete(a.labels, l.name)
	}
}

func (a *Assignment) idOf(slot int32) fleet.InstanceID {
	if slot < 0 {
		return fleet.NoInstance
	}
	return a.inst[slot].id
}

// newResource makes a handle for an id that the index does not hold; at and tag
// are what lookup answered.
func (a *Assignment) newResource(id string, l *label, at, tag uint32) uint32 {
	var h uint32
	if n := len(a.freeRes); n > 0 {
		h = a.freeRes[n-1]
		a.freeRes = a.freeRes[:n-1]
		a.res[h] = resource{id: id, label: l, slot: pending}
	} else {
		h = uint32(len(a.res))
		a.res = append(a.res, resource{id: id, label: l, slot: pending})
	}
	a.index.put(at, tag, h)
	l.resources++
	l.pool.count++
	return h
}

// dropResource forgets a resource that stands nowhere.
func (a *Assignment) dropResource(h uint32) {
	r := &a.res[h]
	_, at, _ := a.lookup(r.id, a.index.tag(r.id))
	a.index.remove(at)
	r.label.resources--
	r.label.pool.count--
	a.dropLabel(r.label)
	*r = resource{}
	a.freeRes = append(a.freeRes, h)
}

// attach puts a resource on an instance; the pool's heaps are left to the caller.
func (a *Assignment) attach(h uint32, s int32) {
	in, r := &a.inst[s], &a.res[h]
	r.slot, r.pos = s, int32(len(in.members))
	in.members = append(in.members, h)
	switch {
	case !in.closed:
		in.pool.load++
	case in.evacuate:
		in.pool.stuck++
	}
}

// detach takes a resource off its instance; the pool's heaps are left to the caller.
func (a *Assignment) detach(h uint32) {
	r := &a.res[h]
	in := &a.inst[r.slot]
	last := len(in.members) - 1
	moved := in.members[last]
	in.members[r.pos] = moved
	a.res[moved].pos = r.pos
	in.members = in.members[:last]
	r.slot = pending
	switch {
	case !in.closed:
		in.pool.load--
	case in.evacuate:
		in.pool.stuck--
	}
}

// newInstance makes an open instance in the pool; the heaps are left to the caller.
func (a *Assignment) newInstance(in instance) int32 {
	for i := range in.pos {
		in.pos[i] = -1
	}
	var s int32
	if n := len(a.freeInst); n > 0 {
		s = a.freeInst[n-1]
		a.freeInst = a.freeInst[:n-1]
		a.inst[s] = in
	} else {
		s = int32(len(a.inst))
		a.inst = append(a.inst, in)
	}
	a.slotOf[in.id] = s
	a.born = max(a.born, in.born)
	a.open++
	return s
}

// bind makes an open instance one of the pool's.
func (a *Assignment) bind(s int32, pl *pool) {
	in := &a.inst[s]
	in.pool, in.at = pl, int32(len(pl.open))
	pl.open = append(pl.open, s)
	pl.capacity += in.capacity
	pl.load += in.load()
	pl.full = false
}

// mayOpen says that one more instance may be opened, or one that Restore has
// found empty is still to be had.
func (a *Assignment) mayOpen() bool { return len(a.spare) > 0 || a.open < a.size.most() }

// openInstance opens an instance for the pool, under the smallest free id.
func (a *Assignment) openInstance(pl *pool, why Reason, p *Plan) {
	if n := len(a.spare); n > 0 {
		s := a.spare[0]
		a.spare = a.spare[1:]
		a.bind(s, pl)
		return
	}
	for {
		if _, taken := a.slotOf[a.idHint]; !taken {
			break
		}
		a.idHint++
	}
	s := a.newInstance(instance{id: a.idHint, born: a.born + 1, capacity: a.size.ResourcePerInstance})
	a.bind(s, pl)
	p.Opened = append(p.Opened, Opened{Instance: a.idHint, Capacity: a.inst[s].capacity, Group: pl.group(), Why: why})
}

// closeInstance closes an open instance.
func (a *Assignment) closeInstance(s int32, evacuate bool) {
	in := &a.inst[s]
	pl := in.pool
	for i := range pl.heap {
		a.heapRemove(&pl.heap[i], s)
	}
	a.unlist(&pl.open, in)
	in.closed, in.evacuate = true, evacuate
	in.at = int32(len(pl.closed))
	pl.closed = append(pl.closed, s)
	pl.capacity -= in.capacity
	pl.load -= in.load()
	if evacuate {
		pl.stuck += in.load()
		pl.full = false
	}
	a.open--
}

func (a *Assignment) unlist(list *[]int32, in *instance) {
	l := *list
	last := l[len(l)-1]
	l[in.at] = last
	a.inst[last].at = in.at
	*list = l[:len(l)-1]
}

func (a *Assignment) release(s int32, why Reason, p *Plan) {
	a.closeInstance(s, true)
	p.Released = append(p.Released, Released{Instance: a.inst[s].id, Why: why})
}

// releaseEmpty releases the open instances of a group without resources, and
// says whether there were any.
func (a *Assignment) releaseEmpty(pl *pool, p *Plan) bool {
	if pl.label == nil || pl.count > 0 || len(pl.open) == 0 {
		return false
	}
	a.byID(pl.open, func(s int32) { a.release(s, Reason{kind: groupEmpty, group: pl.name()}, p) })
	return true
}

// byID calls f for a copy of the slots, ascending by instance id.
func (a *Assignment) byID(slots []int32, f func(int32)) {
	sorted := slices.Clone(slots)
	slices.SortFunc(sorted, func(x, y int32) int { return cmp.Compare(a.inst[x].id, a.inst[y].id) })
	for _, s := range sorted {
		f(s)
	}
}

func (a *Assignment) setCapacity(s int32, capacity int, why Reason, p *Plan) {
	in := &a.inst[s]
	if in.capacity == capacity {
		return
	}
	p.Capacities = append(p.Capacities, Recapacity{Instance: in.id, From: in.capacity, To: capacity, Why: why})
	if !in.closed && in.pool != nil {
		in.pool.capacity += capacity - in.capacity
	}
	in.capacity = capacity
}
