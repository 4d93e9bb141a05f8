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
	return &content{where: map[string]spot{}, instances: map[fleet.InstanceID]*listed{}}
}

func newView() *View { return &View{content: newContent()} }

// contentOf is the content for a tree that was read.
func contentOf(instances []fleet.TreeInstance) *content {
	n := 0
	for i := range instances {
		n += len(instances[i].IDs)
	}
	c := &content{where: make(map[string]spot, n), instances: make(map[fleet.InstanceID]*listed, len(instances))}
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
			l.IDs = slices.Clone(in.ids)
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b Listing) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Found is a resource and where it stands.
type Found struct {
	ID       string
	Instance fleet.InstanceID
}

// Search answers the resources whose ids begin with prefix and come after the id
// given, the first limit of them by id.
func (v *View) Search(prefix, after string, limit int) []Found {
	var out []Found
	byID := func(a, b Found) int { return strings.Compare(a.ID, b.ID) }
	v.mu.RLock()
	for id, s := range v.where {
		if id > after && strings.HasPrefix(id, prefix) {
			if out = append(out, Found{id, s.instance}); len(out) >= 2*limit+64 {
				slices.SortFunc(out, byID)
				out = out[:limit]
			}
		}
	}
	v.mu.RUnlock()
	slices.SortFunc(out, byID)
	return out[:min(limit, len(out))]
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
	if s, ok := c.where[resource]; ok && s.instance == id {
		return
	}
	c.where[resource] = spot{id, int32(len(in.ids))}
	in.ids = append(in.ids, resource)
}

func (c *content) remove(id fleet.InstanceID, resource string) {
	s, ok := c.where[resource]
	if !ok || s.instance != id {
		return
	}
	in := c.instances[id]
	delete(c.where, resource)
	last := len(in.ids) - 1
	moved := in.ids[last]
	in.ids[last] = ""
	in.ids = in.ids[:last]
	if int(s.at) != last {
		in.ids[s.at] = moved
		if m := c.where[moved]; m.instance == id {
			c.where[moved] = spot{id, s.at}
		}
	}
}

func (c *content) drop(id fleet.InstanceID) {
	in := c.instances[id]
	if in == nil {
		return
	}
	for _, r := range in.ids {
		if c.where[r].instance == id {
			delete(c.where, r)
		}
	}
	delete(c.instances, id)
}

// put takes an instance over as it was read.
func (c *content) put(ti *fleet.TreeInstance) {
	c.drop(ti.ID)
	in := &listed{used: ti.Used, capacity: ti.Capacity, times: ti.Times, ids: make([]string, 0, len(ti.IDs))}
	c.instances[ti.ID] = in
	for _, id := range ti.IDs {
		c.add(ti.ID, in, id)
	}
}

// following brings a view in line with what a watch of the tree tells.
type following struct {
	view *View
	told map[fleet.InstanceID]bool // nil once synced
}

func (v *View) follow() *following {
	return &following{view: v, told: map[fleet.InstanceID]bool{}}
}

func (f *following) seen(ti fleet.TreeInstance) {
	f.view.mu.Lock()
	defer f.view.mu.Unlock()
	f.view.put(&ti)
	if f.told != nil {
		f.told[ti.ID] = true
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
