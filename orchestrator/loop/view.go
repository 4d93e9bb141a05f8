package loop

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"dacorch/orchestrator/fleet"
)

// View is the orchestration of a kind as ZooKeeper holds it, for any number of
// readers at once. A leader brings it up to date with each transaction that it
// commits, a follower from the watches. It may lag by a moment; in a follower's,
// a resource that moves may for a moment stand nowhere.
type View struct {
	mu sync.RWMutex
	*content
	ready bool // it has been complete once
}

// content is what a View holds.
type content struct {
	where     map[string]spot
	further   map[string][]spot // of resources in several lists, what where does not say; seldom any
	instances map[fleet.InstanceID]*listed
}

// spot is a resource's place: the instance, and its place in ids.
type spot struct {
	instance fleet.InstanceID
	at       int32
}

type listed struct {
	used, capacity int
	times          int64
	ids            []string // not in the order of ZooKeeper's list
}

// Listing is one instance of the orchestration.
type Listing struct {
	ID       fleet.InstanceID
	Used     int // resources assigned
	Capacity int // "count" of the znode
	Times    int64
	IDs      []string // in no order; nil unless asked for
}

func newContent() *content {
	return &content{where: map[string]spot{}, further: map[string][]spot{}, instances: map[fleet.InstanceID]*listed{}}
}

func newView() *View { return &View{content: newContent()} }

// contentOf is the content for a tree that was read.
func contentOf(instances []fleet.TreeInstance) *content {
	n := 0
	for i := range instances {
		n += len(instances[i].IDs)
	}
	c := newContent()
	c.where = make(map[string]spot, n)
	for i := range instances {
		c.put(&instances[i])
	}
	return c
}

// Where answers the instance in whose list a resource stands.
func (v *View) Where(id string) (fleet.InstanceID, bool) {
	v.mu.RLock()
	s, ok := v.where[id]
	v.mu.RUnlock()
	return s.instance, ok
}

// Ready says that the view has been complete once.
func (v *View) Ready() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.ready
}

// Totals answers how many instances there are, and resources on them.
func (v *View) Totals() (instances, resources int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.instances), len(v.where)
}

// List answers every instance, ascending, with its ids when asked for.
func (v *View) List(withIDs bool) []Listing {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]Listing, 0, len(v.instances))
	for id, in := range v.instances {
		l := Listing{ID: id, Used: in.used, Capacity: in.capacity, Times: in.times}
		if withIDs {
			l.IDs = append(make([]string, 0, len(in.ids)), in.ids...)
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b Listing) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// On answers the ids in an instance's list, in no order, and whether there is
// such an instance.
func (v *View) On(id fleet.InstanceID) ([]string, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	in, ok := v.instances[id]
	if !ok {
		return nil, false
	}
	return slices.Clone(in.ids), true
}

// Found is a resource and where it stands.
type Found struct {
	ID       string
	Instance fleet.InstanceID
}

// Search answers the resources whose ids begin with prefix and come after the id
// given, the first limit of them by id; limit is at least 1. The lists are copied
// first: whoever changes the View, and everybody behind, waits for that alone.
func (v *View) Search(prefix, after string, limit int) []Found {
	var out []Found
	last := "" // of limit that have been found; empty before
	least := func() {
		slices.SortFunc(out, func(a, b Found) int { return strings.Compare(a.ID, b.ID) })
		out = slices.CompactFunc(out, func(a, b Found) bool { return a.ID == b.ID }) // it stands in two lists
		if len(out) >= limit {
			out = out[:limit]
			last = out[limit-1].ID
		}
	}
	for _, l := range v.List(true) {
		for _, id := range l.IDs {
			if id > after && strings.HasPrefix(id, prefix) && (last == "" || id < last) {
				if out = append(out, Found{id, l.ID}); len(out) >= 2*limit+64 {
					least()
				}
			}
		}
	}
	least()
	return v.settle(out)
}

// settle finds those again that have moved, or stand in two lists, as Where does.
func (v *View) settle(found []Found) []Found {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for i := range found {
		if s, ok := v.where[found[i].ID]; ok {
			found[i].Instance = s.instance
		}
	}
	return found
}

func (v *View) set(c *content) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.content, v.ready = c, true
}

// apply does what a committed transaction has done.
func (v *View) apply(txn *fleet.Txn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range txn.Changes { // a move's two sides may come in either order
		for _, id := range txn.Changes[i].Remove {
			v.remove(txn.Changes[i].Instance, id)
		}
	}
	for i := range txn.Changes {
		c := &txn.Changes[i]
		if c.Kind == fleet.ChangeDelete {
			v.drop(c.Instance)
			continue
		}
		in := v.instances[c.Instance]
		if in == nil {
			in = &listed{}
			v.instances[c.Instance] = in
		}
		in.used, in.capacity, in.times = c.Used, c.Capacity, c.Times
		for _, id := range c.Add {
			v.add(c.Instance, in, id)
		}
	}
}

// add puts a resource on an instance. One that stands on another as well is
// found where it was put last.
func (c *content) add(id fleet.InstanceID, in *listed, resource string) {
	if s, ok := c.where[resource]; ok {
		at := func(s spot) bool { return s.instance == id }
		if at(s) || len(c.further) > 0 && slices.ContainsFunc(c.further[resource], at) {
			return
		}
		c.further[resource] = append(c.further[resource], s)
	}
	c.where[resource] = spot{id, int32(len(in.ids))}
	in.ids = append(in.ids, resource)
}

// remove takes a resource off an instance's list. Where it stands on another as
// well it is found there.
func (c *content) remove(id fleet.InstanceID, resource string) {
	at := c.forget(id, resource)
	if at < 0 {
		return
	}
	in := c.instances[id]
	last := int32(len(in.ids) - 1)
	moved := in.ids[last]
	in.ids[last] = ""
	in.ids = in.ids[:last]
	if at == last {
		return
	}
	in.ids[at] = moved
	if c.where[moved].instance == id {
		c.where[moved] = spot{id, at}
		return
	}
	for i, s := range c.further[moved] {
		if s.instance == id {
			c.further[moved][i].at = at
		}
	}
}

// forget drops the note of a resource's place on an instance, and answers the
// place; -1 when it is not there.
func (c *content) forget(id fleet.InstanceID, resource string) int32 {
	s, ok := c.where[resource]
	more := c.further[resource]
	if ok && s.instance == id {
		delete(c.where, resource)
		if n := len(more); n > 0 {
			c.where[resource] = more[n-1]
			c.setFurther(resource, more[:n-1])
		}
		return s.at
	}
	for i, s := range more {
		if s.instance == id {
			c.setFurther(resource, slices.Delete(more, i, i+1))
			return s.at
		}
	}
	return -1
}

func (c *content) setFurther(resource string, spots []spot) {
	if len(spots) == 0 {
		delete(c.further, resource)
	} else {
		c.further[resource] = spots
	}
}

func (c *content) drop(id fleet.InstanceID) {
	in := c.instances[id]
	if in == nil {
		return
	}
	for _, r := range in.ids {
		c.forget(id, r)
	}
	delete(c.instances, id)
}

// put takes over an instance that was not there before, as it was read.
func (c *content) put(ti *fleet.TreeInstance) {
	in := &listed{used: ti.Used, capacity: ti.Capacity, times: ti.Times, ids: make([]string, 0, len(ti.IDs))}
	c.instances[ti.ID] = in
	for _, id := range ti.IDs {
		c.add(ti.ID, in, id)
	}
}

// differs compares what is known of an instance with what was read of it.
func (c *content) differs(in *listed, ti *fleet.TreeInstance) (add, remove []string) {
	stays := make([]bool, len(in.ids))
	for _, r := range ti.IDs {
		if s, ok := c.where[r]; ok && s.instance == ti.ID {
			stays[s.at] = true
			continue
		}
		i := slices.IndexFunc(c.further[r], func(s spot) bool { return s.instance == ti.ID })
		if i < 0 {
			add = append(add, r)
		} else {
			stays[c.further[r][i].at] = true
		}
	}
	for i, r := range in.ids {
		if !stays[i] {
			remove = append(remove, r)
		}
	}
	return add, remove
}

// following brings a view in line with what a watch of the tree tells.
type following struct {
	view *View
	told map[fleet.InstanceID]bool // nil once synced
}

func (v *View) follow() *following {
	return &following{view: v, told: map[fleet.InstanceID]bool{}}
}

// seen takes an instance over as it was read. While a process follows nobody else
// changes its view: what differs is found without keeping readers out.
func (f *following) seen(ti fleet.TreeInstance) {
	if f.told != nil {
		f.told[ti.ID] = true
	}
	v := f.view
	in := v.instances[ti.ID]
	if in == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.put(&ti)
		return
	}
	add, remove := v.differs(in, &ti)
	v.mu.Lock()
	defer v.mu.Unlock()
	in.used, in.capacity, in.times = ti.Used, ti.Capacity, ti.Times
	for _, r := range remove {
		v.remove(ti.ID, r)
	}
	for _, r := range add {
		v.add(ti.ID, in, r)
	}
}

func (f *following) gone(id fleet.InstanceID) {
	f.view.mu.Lock()
	defer f.view.mu.Unlock()
	f.view.drop(id)
}

// synced drops what an earlier watch, or leadership, left and is there no more.
func (f *following) synced() {
	f.view.mu.Lock()
	defer f.view.mu.Unlock()
	for _, id := range slices.Collect(maps.Keys(f.view.instances)) {
		if !f.told[id] {
			f.view.drop(id)
		}
	}
	f.told, f.view.ready = nil, true
}
