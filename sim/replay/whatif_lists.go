package replay

import (
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// hashed stands for an id: FNV-1a, 64 bits. Two of a million resources share one
// with a chance of 3 in 100 million.
func hashed(id string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h
}

// put remembers a resource's place and keeps the counts. Beyond maxPlaces, new
// ones are not followed.
func (k *gauge) put(h uint64, p place) {
	was, known := k.places[h]
	if !known {
		if k.followed >= maxPlaces {
			return
		}
		k.followed++
	}
	if s := k.slots[was.last]; known && s != nil {
		s.lost -= count(was.on && was.lost >= 0)
	}
	if s := k.slots[p.last]; s != nil {
		s.lost += count(p.on && p.lost >= 0)
	}
	k.on += count(p.on) - count(was.on)
	k.waiting += count(p.waiting) - count(was.waiting)
	if p.on || p.waiting || p.last != fleet.NoInstance {
		k.places[h] = p
		return
	}
	delete(k.places, h)
	k.followed--
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// get is a resource's place; of one that is not known, none.
func (k *gauge) get(h uint64) place {
	if p, known := k.places[h]; known {
		return p
	}
	return place{last: fleet.NoInstance, lost: -1}
}

// settled brings the figure of unplaced resources up to date. Until all that the
// start found have a place, none counts: they would dwarf what follows.
func (k *gauge) settled() {
	k.placed = k.placed || k.waiting == 0 && k.on > 0
	if k.placed && k.counts() {
		k.out.UnplacedMax = max(k.out.UnplacedMax, k.waiting)
	}
	if k.counts() {
		k.out.InstancesMax = max(k.out.InstancesMax, k.instances)
	}
}

// own puts a resource on an instance's list.
func (k *gauge) own(id string, by fleet.InstanceID) (moved bool) {
	h := hashed(id)
	p := k.get(h)
	moved = p.last != fleet.NoInstance && p.last != by
	if moved {
		k.out.MovesMade += k.one()
	}
	if p.waiting && p.told && k.counts() {
		k.settle.Add(k.now - p.since)
	}
	if p.lost >= 0 {
		if s := k.slots[by]; s == nil || s.up {
			k.ownerless(p.lost)
			p.lost = -1
		}
	}
	p.last, p.on, p.waiting, p.told = by, true, false, false
	k.put(h, p)
	return moved
}

// disown takes it off again.
func (k *gauge) disown(id string, by fleet.InstanceID) {
	h := hashed(id)
	p := k.get(h)
	if p.leaving {
		if k.counts() {
			k.settle.Add(k.now - p.since)
		}
		k.put(h, place{last: fleet.NoInstance, lost: -1})
		return
	}
	if s := k.slots[by]; s != nil && s.ran && !s.up && p.lost < 0 {
		p.lost = s.down
	}
	p.last, p.on = by, false
	if p.lost < 0 {
		p.lost = k.now // nobody runs it until another list has it
	}
	k.put(h, p)
}

func (k *gauge) sized(id fleet.InstanceID, used, capacity int) {
	s := k.slot(id)
	k.instances += 1 - count(s.exists)
	k.used += used - s.used
	k.capacity += capacity - s.capacity
	s.exists, s.used, s.capacity = true, used, capacity
	if capacity > 0 && k.counts() {
		k.out.CapacityMax = max(k.out.CapacityMax, float64(used)/float64(capacity))
	}
}

func (k *gauge) removed(id fleet.InstanceID) {
	s := k.slot(id)
	k.instances -= count(s.exists)
	k.used -= s.used
	k.capacity -= s.capacity
	s.exists, s.used, s.capacity, s.ran, s.up = false, 0, 0, false, false
}

// treeRead compares what ZooKeeper holds with what transactions have told: what
// differs happened unseen, by one whose answer never came.
func (k *gauge) treeRead(tree *fleet.Tree) {
	for h, p := range k.places {
		p.read = false
		k.places[h] = p
	}
	there := map[fleet.InstanceID]bool{}
	for i := range tree.Instances {
		in := &tree.Instances[i]
		if there[in.ID] {
			continue
		}
		there[in.ID] = true
		for _, id := range in.IDs {
			if p := k.get(hashed(id)); !p.on || p.last != in.ID {
				if k.own(id, in.ID) {
					k.out.MovesNeeded += k.one()
				}
			}
			if p, ok := k.places[hashed(id)]; ok {
				p.read = true
				k.places[hashed(id)] = p
			}
		}
		k.sized(in.ID, len(in.IDs), in.Capacity)
		if s := k.slot(in.ID); in.Status.Present && !s.present {
			s.present = true
			k.turned(in.ID, s)
		}
	}
	for h, p := range k.places {
		if p.on && !p.read {
			p.on, p.leaving = false, false
			k.put(h, p)
		}
	}
	for id, s := range k.slots {
		if s.exists && !there[id] {
			k.removed(id)
		}
	}
	k.settled()
}

// notified is a message about rows.
func (k *gauge) notified(n *fleet.Notification) {
	for i := range n.Resources {
		h := hashed(n.Resources[i].ID)
		p := k.get(h)
		switch n.Op {
		case fleet.OpDelete, fleet.OpBulkDelete:
			switch {
			case !p.on:
				p = place{last: fleet.NoInstance, lost: -1}
			case !p.leaving:
				p.leaving, p.since = true, k.now
			}
		case fleet.OpCreate, fleet.OpBulkCreate:
			p.leaving = false
			if !p.on && !p.waiting {
				p = place{waiting: true, told: true, since: k.now, last: fleet.NoInstance, lost: -1}
			}
		default:
			continue
		}
		k.put(h, p)
	}
	k.settled()
}

// listed is what the database holds: a row that stands on no list waits, and what
// waits and is no row is no resource.
func (k *gauge) listed(m moment, ev *reconcile.Listed) {
	which := question{m.Process, ev.Req}
	q, known := k.asked[which]
	delete(k.asked, which)
	if ev.Err != "" || len(ev.Rows) == 0 && ev.Digest.Count > 0 {
		return // the rows themselves are not told: they are what was known
	}
	drops := known && q.whole && k.waiting > 0
	there := map[uint64]struct{}{}
	for i := range ev.Rows {
		h := hashed(ev.Rows[i].ID)
		if drops {
			there[h] = struct{}{}
		}
		if p := k.get(h); !p.on && !p.waiting {
			p.waiting, p.told, p.since = true, false, k.now
			k.put(h, p)
		}
	}
	if drops {
		for h, p := range k.places {
			if _, is := there[h]; !is && p.waiting && p.since < q.at {
				k.put(h, place{last: fleet.NoInstance, lost: -1})
			}
		}
	}
	k.settled()
}

// committed is a transaction's answer. One whose outcome is not known shows in the
// next reading of ZooKeeper.
func (k *gauge) committed(m moment, ev reconcile.Committed) {
	sent := k.sent[m.Process]
	if sent.Txn == nil || sent.Txn.ID != ev.Txn {
		return // of a process that has died
	}
	delete(k.sent, m.Process)
	if ev.Outcome != fleet.OutcomeDone {
		return
	}
	k.out.Transactions += k.one()
	for i := range sent.Txn.Changes {
		ch := &sent.Txn.Changes[i]
		for _, id := range ch.Remove {
			k.disown(id, ch.Instance)
		}
	}
	for i := range sent.Decisions { // under strict handoff a move takes two transactions
		d := &sent.Decisions[i]
		if h := hashed(d.Resource); d.From != fleet.NoInstance && d.To != fleet.NoInstance {
			if p, known := k.places[h]; known && !p.on && !p.waiting {
				p.waiting, p.told, p.since = true, false, k.now
				k.put(h, p)
			}
		}
	}
	for i := range sent.Txn.Changes {
		ch := &sent.Txn.Changes[i]
		for _, id := range ch.Add {
			k.own(id, ch.Instance)
		}
		switch ch.Kind {
		case fleet.ChangeDelete:
			k.removed(ch.Instance)
			k.out.Released += k.one()
			continue
		case fleet.ChangeCreate:
			k.out.Created += k.one()
		}
		k.sized(ch.Instance, ch.Used, ch.Capacity)
	}
	k.settled()
}
