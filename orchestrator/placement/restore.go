package placement

import (
	"cmp"
	"fmt"
	"slices"

	"dacorch/orchestrator/fleet"
)

// Restore takes over what stands in ZooKeeper, in place of whatever the
// Assignment held, and brings it to where the policy holds, with the fewest
// moves. Nothing moves for capacity: an instance with more resources than its
// capacity has its capacity raised. Under the group policy an instance belongs
// to the group that most of its resources have, the first by name among equals;
// the others move. An open instance without resources serves the first group
// that needs one, or is released.
//
// It answers an error for an instance or resource that is given twice, for a
// negative instance id, and for a resource on an unknown instance. The
// Assignment is then empty.
func (a *Assignment) Restore(instances []Instance, placed []Placed, p *Plan) error {
	a.clear()
	instances = slices.Clone(instances)
	slices.SortFunc(instances, func(x, y Instance) int { return cmp.Compare(x.ID, y.ID) })
	err := a.restoreInstances(instances)
	var hs []uint32
	if err == nil {
		hs, err = a.restoreResources(placed)
	}
	if err != nil {
		a.clear()
		return err
	}
	a.settleRestored(instances, hs, p)
	return nil
}

func (a *Assignment) restoreInstances(instances []Instance) error {
	for i, in := range instances {
		if in.ID < 0 {
			return fmt.Errorf("instance %d: id is negative", int32(in.ID))
		}
		if i > 0 && instances[i-1].ID == in.ID {
			return fmt.Errorf("instance %v is given twice", in.ID)
		}
		a.newInstance(instance{id: in.ID, born: in.Born, capacity: max(0, in.Capacity)})
	}
	return nil
}

// restoreResources makes handles, in order of id; each slot says where the
// resource stood.
func (a *Assignment) restoreResources(placed []Placed) ([]uint32, error) {
	a.index.grow(len(placed))
	a.res = make([]resource, 0, len(placed))
	hs := make([]uint32, 0, len(placed))
	for i := range placed {
		r := &placed[i]
		tag := a.index.tag(r.ID)
		_, at, known := a.lookup(r.ID, tag)
		if known {
			return nil, fmt.Errorf("resource %q is given twice", r.ID)
		}
		s := nowhere
		if r.At != fleet.NoInstance {
			var ok bool
			if s, ok = a.slotOf[r.At]; !ok {
				return nil, fmt.Errorf("resource %q stands on unknown instance %d", r.ID, int32(r.At))
			}
		}
		h := a.newResource(r.ID, a.labelOf(r.Group), at, tag)
		a.res[h].slot = s
		hs = append(hs, h)
	}
	a.sortByID(hs)
	return hs, nil
}

// settleRestored attaches the resources, in order of id, to the instances,
// which are in order of id, and settles.
func (a *Assignment) settleRestored(instances []Instance, hs []uint32, p *Plan) {
	pools := a.majorities(hs)
	fresh := make(map[*pool][]source)
	for s := range a.inst {
		if pl := pools[s]; pl != nil {
			a.bind(int32(s), pl)
		} else if a.shared == nil {
			a.spare = append(a.spare, int32(s))
		}
	}
	for _, h := range hs {
		s, pl := a.res[h].slot, a.res[h].label.pool
		a.res[h].slot = pending
		if s >= 0 && a.inst[s].pool == pl {
			a.attach(h, s)
		} else {
			fresh[pl] = append(fresh[pl], source{h: h, from: s, kind: wrongGroup})
		}
	}
	for i, in := range instances {
		s := int32(i)
		if r := &a.inst[s]; r.load() > r.capacity {
			a.setCapacity(s, r.load(), Reason{kind: overfull, a: int32(r.load())}, p)
		}
		if in.Closed && a.inst[s].pool != nil {
			a.closeInstance(s, true)
		}
	}
	a.restoreSpare(instances)
	for _, pl := range a.pools() {
		a.settle(pl, fresh[pl], p)
	}
	for _, s := range a.spare {
		a.bind(s, a.labelOf("").pool)
		a.release(s, Reason{kind: unused}, p)
	}
	a.spare = nil
	a.serveWaiting(p)
}

// restoreSpare closes the instances of no group that are to be closed; the
// others stay spare.
func (a *Assignment) restoreSpare(instances []Instance) {
	open := a.spare[:0]
	for _, s := range a.spare {
		if instances[s].Closed {
			a.bind(s, a.labelOf("").pool)
			a.closeInstance(s, true)
		} else {
			open = append(open, s)
		}
	}
	a.spare = open
}

// majorities answers each slot's pool: the shared one, or that of the group
// which most of its resources have; nil for a slot without resources.
func (a *Assignment) majorities(hs []uint32) []*pool {
	pools := make([]*pool, len(a.inst))
	if a.shared != nil {
		for s := range pools {
			pools[s] = a.shared
		}
		return pools
	}
	type standing struct {
		slot  int32
		label *label
	}
	counts := make(map[standing]int)
	for _, h := range hs {
		if s := a.res[h].slot; s >= 0 {
			counts[standing{s, a.res[h].label}]++
		}
	}
	best := make([]standing, len(a.inst))
	for st, n := range counts {
		b := &best[st.slot]
		if m := counts[*b]; b.label == nil || n > m || n == m && st.label.name < b.label.name {
			*b = st
		}
	}
	for s := range pools {
		if best[s].label != nil {
			pools[s] = best[s].label.pool
		}
	}
	return pools
}
