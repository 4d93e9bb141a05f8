package reconcile

import (
	"slices"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// builder gathers one transaction.
type builder struct {
	m         *Machine
	txn       *fleet.Txn
	touched   []*instance
	bytes     int
	decisions []placement.Move
	full      bool // the next instance no longer fits
}

// flush sends what is pending, unless a transaction is in flight or nothing may
// or need be sent.
func (m *Machine) flush() {
	if m.txn != nil || m.treeStale || m.retryAt > m.now && m.attempts > 0 {
		return
	}
	nothing := len(m.pending) == 0 && len(m.touched) == 0 && len(m.strays) == 0
	if !m.controlDirty && (m.control.Maintenance || m.blocked || nothing) {
		m.ack(m.ackSeen)
		return
	}
	b := builder{m: m, txn: newTxn(m.epoch), touched: m.opened[:0]}
	if m.controlDirty {
		control := m.control
		control.Closing = slices.Clone(control.Closing)
		b.txn.Control, b.txn.ControlVersion = &control, m.controlVersion
		b.bytes += controlOverhead + controlClosing*len(control.Closing)
		m.controlDirty = false
	}
	if !m.control.Maintenance {
		b.takeTouched()
		b.takeFitting()
		if len(b.touched) == 0 && m.txnMoves == 0 && b.txn.Control == nil {
			b.breakCycle()
		}
	}
	b.send()
}

// takeFitting takes second listings alone, since the list that loses one may be
// the resource's new place; else what is to be placed, removed and moved.
func (b *builder) takeFitting() {
	if len(b.m.strays) > 0 {
		b.takeStrays()
		return
	}
	b.takeUrgent()
	b.takeMoves()
}

// newTxn is a transaction with room for one change, as most have.
func newTxn(epoch int64) *fleet.Txn {
	room := &struct {
		txn    fleet.Txn
		change [1]fleet.Change
	}{txn: fleet.Txn{Epoch: epoch}}
	room.txn.Changes = room.change[:0]
	return &room.txn
}

// send finishes the transaction and gives it out.
func (b *builder) send() {
	m := b.m
	if len(b.touched) == 0 && b.txn.Control == nil {
		m.blocked = true
		m.ack(m.ackSeen) // what waits is in the database, where a restart finds it again
		return
	}
	slices.SortFunc(b.touched, func(x, y *instance) int { return int(x.id) - int(y.id) })
	b.txn.Changes = slices.Grow(b.txn.Changes, len(b.touched))
	for _, in := range b.touched {
		ch := in.txn
		ch.Used = in.used + len(ch.Add) - len(ch.Remove)
		ch.Times = in.times
		if ch.Kind == fleet.ChangeCreate {
			ch.Times = max(in.floor, in.status.Times+1)
		}
		if len(ch.Add)+len(ch.Remove) > 0 && ch.Kind != fleet.ChangeDelete {
			ch.Times++
		}
		// A list longer than the planned capacity shrinks step by step: until
		// then the capacity follows it, so that used never exceeds it.
		ch.Capacity = max(m.plan.Capacity(in.id), ch.Used)
		b.txn.Changes = append(b.txn.Changes, *ch)
		in.txn, in.rewrite, in.creating = nil, false, ch.Kind == fleet.ChangeCreate
	}
	m.opened = b.touched
	b.txn.ID = m.req()
	m.txn = b.txn
	m.sentAck = m.ackDone
	if !b.full {
		m.sentAck = m.ackSeen
	}
	m.emit(Commit{Txn: b.txn, Decisions: b.decisions})
}

// open makes sure that the instance takes part in the transaction. False: it
// does not fit any more, or has no nodes and none are wanted.
func (b *builder) open(in *instance) bool {
	if in.txn != nil {
		return true
	}
	if b.full {
		return false
	}
	kind := fleet.ChangeUpdate
	if !in.exists {
		kind = fleet.ChangeCreate
	}
	cost := in.bytes + listOverhead
	if len(b.touched) > 0 && b.bytes+cost > b.m.cfg.TxnBytes {
		b.full = true
		return false
	}
	b.bytes += cost
	in.building = fleet.Change{Kind: kind, Instance: in.id, Versions: in.versions}
	in.txn = &in.building
	b.touched = append(b.touched, in)
	return true
}

// grow accounts for an id that joins a list.
func (b *builder) grow(id string) bool {
	n := fleet.ListBytes(id)
	if b.bytes+n > b.m.cfg.TxnBytes && len(b.m.sent) > 0 {
		b.full = true
		return false
	}
	b.bytes += n
	return true
}

// takeTouched writes instances that must be created, resized or deleted.
func (b *builder) takeTouched() {
	m := b.m
	keep := m.touched[:0]
	for _, in := range m.touched {
		if m.instances[in.id] != in {
			continue
		}
		planned := m.plan.Has(in.id)
		switch {
		case in.exists && in.closing && m.empty(in) && in.phase == fleet.PhaseMissing && in.step == podIdle && m.podsKnown:
			if !b.open(in) {
				keep = append(keep, in)
				continue
			}
			in.txn.Kind = fleet.ChangeDelete
		case !in.exists && planned && !in.closing, in.exists && planned && (in.rewrite || in.capacity != max(m.plan.Capacity(in.id), in.used)):
			if !b.open(in) {
				keep = append(keep, in)
				continue
			}
		}
		in.queued = false
	}
	clear(m.touched[len(keep):])
	m.touched = keep
}

// takeStrays removes second listings.
func (b *builder) takeStrays() {
	m := b.m
	m.sentStray = 0
	for _, s := range m.strays {
		in := m.instances[s.instance]
		if in == nil || !in.exists || !b.open(in) {
			return
		}
		in.txn.Remove = append(in.txn.Remove, s.id)
		m.sentStray++
	}
}

// takeUrgent places and removes resources, first come first served.
func (b *builder) takeUrgent() {
	m := b.m
	queue := m.urgent
	m.urgent = m.spare[:0]
	for i, c := range queue {
		if b.full {
			m.urgent = append(m.urgent, queue[i:]...)
			break
		}
		if c.at == inUrgent && (!b.mayPlace(c) || !b.take(c)) {
			m.urgent = append(m.urgent, c)
		}
	}
	clear(queue)
	m.spare = nil
	if cap(queue) <= 1<<16 {
		m.spare = queue[:0]
	}
}

// mayPlace says whether a resource that stands nowhere may join a list now.
func (b *builder) mayPlace(c *change) bool {
	if c.to == fleet.NoInstance {
		return true
	}
	if was, held := b.m.releasing[c.id]; held && was != c.to {
		return false // its former owner may still run it
	}
	return b.room(b.m.at(c.to))
}

// room says whether one more resource fits in the list as it will be.
func (b *builder) room(in *instance) bool {
	used := in.used
	if in.txn != nil {
		used += len(in.txn.Add) - len(in.txn.Remove)
	}
	return used < b.m.plan.Capacity(in.id)
}

// takeMoves moves resources to instances whose pods run, within the throttle.
func (b *builder) takeMoves() {
	m := b.m
	m.txnMoves = 0
	if m.moving == 0 {
		return
	}
	for _, in := range m.order {
		if len(in.incoming) > 0 && m.ready(in) {
			in.incoming = b.takeIncoming(in, in.incoming)
		}
	}
}

// takeIncoming moves what waits for one instance and answers what still waits.
func (b *builder) takeIncoming(in *instance, queue []*change) []*change {
	m := b.m
	for i, c := range queue {
		if c.at != place(in.id) {
			continue
		}
		if b.full || m.txnMoves+len(m.releasing) >= m.cfg.MovesInFlight ||
			b.next(c) != fleet.NoInstance && !b.room(in) || !b.take(c) {
			return slices.Delete(queue, 0, i)
		}
		m.txnMoves++
	}
	clear(queue)
	return queue[:0]
}

// breakCycle lets one move go past the capacity when full instances wait for
// each other's places in a circle: else none of them would ever go.
func (b *builder) breakCycle() {
	m := b.m
	if m.moving == 0 || len(m.releasing) >= m.cfg.MovesInFlight {
		return
	}
	if c := m.circle(); c != nil && b.take(c) {
		m.txnMoves++
	}
}

// circle answers a waiting move that is part of a circle of moves between
// instances whose pods run; nil when there is none. A full instance that waits
// for one that is down waits for its pod, or for the end of its patience.
func (m *Machine) circle() *change {
	leaves := map[fleet.InstanceID][]*change{}
	for _, in := range m.order {
		if len(in.incoming) == 0 || !m.ready(in) {
			continue
		}
		for _, c := range in.incoming {
			if c.at == place(in.id) {
				leaves[c.from] = append(leaves[c.from], c)
			}
		}
	}
	open, closed := map[fleet.InstanceID]bool{}, map[fleet.InstanceID]bool{}
	var way []*change // from where visit began to where it is
	var visit func(id fleet.InstanceID) *change
	visit = func(id fleet.InstanceID) *change {
		open[id] = true
		for _, c := range leaves[id] {
			way = append(way, c)
			if open[c.to] {
				return m.leastOver(way, c.to)
			}
			if len(leaves[c.to]) > 0 && !closed[c.to] {
				if found := visit(c.to); found != nil {
					return found
				}
			}
			way = way[:len(way)-1]
		}
		open[id], closed[id] = false, true
		return nil
	}
	for _, in := range m.order {
		if len(leaves[in.id]) > 0 && !closed[in.id] { // else no circle leads through it
			if c := visit(in.id); c != nil {
				return c
			}
		}
	}
	return nil
}

// leastOver is the move of the circle at the end of way, which begins at from, whose
// target is the least beyond its capacity. The place that an earlier one has left may
// have been given away: then another time the same target would grow once more.
func (m *Machine) leastOver(way []*change, from fleet.InstanceID) *change {
	over := func(c *change) int { return m.instances[c.to].used - m.plan.Capacity(c.to) }
	least := way[len(way)-1]
	for i := len(way) - 1; i >= 0; i-- {
		if over(way[i]) < over(least) {
			least = way[i]
		}
		if way[i].from == from {
			break
		}
	}
	return least
}

// next is where the transaction puts a resource: on its new instance or, for
// now, on none: with strict handoff and a living former owner, and when two
// lists are so long (others wrote one of them) that no transaction holds both.
func (b *builder) next(c *change) fleet.InstanceID {
	if !c.isMove() {
		return c.to
	}
	src, dst := b.m.instances[c.from], b.m.at(c.to)
	if b.m.cfg.Handoff == fleet.HandoffStrict && !b.m.knownDead(src) {
		return fleet.NoInstance
	}
	if src != nil && src.bytes+dst.bytes+fleet.ListBytes(c.id)+2*listOverhead > b.m.cfg.TxnBytes {
		return fleet.NoInstance
	}
	return c.to
}

// take puts a change into the transaction.
func (b *builder) take(c *change) bool {
	m := b.m
	to := b.next(c)
	var src, dst *instance
	if c.from != fleet.NoInstance {
		src = m.instances[c.from]
		if src == nil || !b.open(src) {
			return false
		}
	}
	if to != fleet.NoInstance {
		dst = m.at(to)
		if !b.open(dst) || !b.grow(c.id) {
			return false
		}
		dst.txn.Add = append(dst.txn.Add, c.id)
	}
	if src != nil {
		src.txn.Remove = append(src.txn.Remove, c.id)
	}
	c.sent, c.inflight, c.at = to, true, inNone
	m.sent = append(m.sent, c)
	b.decisions = append(b.decisions, placement.Move{Resource: c.id, From: c.from, To: to, Why: c.why})
	return true
}
