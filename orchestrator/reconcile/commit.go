package reconcile

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// change is a resource whose place in ZooKeeper is not yet the planned one.
type change struct {
	id       string
	from     fleet.InstanceID // where ZooKeeper has it
	to       fleet.InstanceID // where the plan has it
	sent     fleet.InstanceID // where the transaction in flight puts it
	inflight bool
	at       place // the queue in which it waits; an entry in any other is stale
	why      placement.Reason
	number   int32 // Snapshot's alone
}

// place names a queue of changes.
type place int32

const (
	inNone   place = -2
	inUrgent place = -1 // else the instance for which a move waits
)

// isMove says that the resource goes from one instance to another.
func (c *change) isMove() bool {
	return c.from != fleet.NoInstance && c.to != fleet.NoInstance && c.from != c.to
}

// stray is a listing of a resource that stands on another instance as well.
type stray struct {
	instance fleet.InstanceID
	id       string
}

// unconfirm is a removal that the instance's DAC has not yet confirmed.
type unconfirm struct {
	id    string
	times int64
}

// commits is the group commit: what is pending, and the one transaction in
// flight. Changes that arrive meanwhile join the next one.
type commits struct {
	pending map[string]*change
	moving  int // pending changes that are moves
	// mostPending is how many changes were pending at once since the map was made.
	mostPending int
	urgent      []*change   // places and removals, first come first served
	spare       []*change   // urgent's other array
	opened      []*instance // memory of the transaction being built
	touched     []*instance
	strays      []stray

	// releasing holds, with strict handoff, resources that have left an
	// instance's list while its DAC may still run them, and where they were.
	releasing map[string]fleet.InstanceID
	barrierUp bool // see raiseBarrier

	txn       *fleet.Txn
	txnMoves  int
	blocked   bool // nothing of what waits can go until something changes
	sent      []*change
	sentStray int
	sentAck   uint64
	attempts  int
	retryAt   time.Duration

	ackSeen, ackDone uint64 // highest token seen, highest acknowledged
}

// keptPending is how many changes may have been pending at once for their map to be
// kept when none is left: the first placement of everything is large, and happens
// once.
const keptPending = 1 << 14

func newCommits() commits {
	return commits{pending: map[string]*change{}, releasing: map[string]fleet.InstanceID{}}
}

// absorb takes over what the plan has just decided, and empties it.
func (m *Machine) absorb(p *placement.Plan) {
	for _, o := range p.Opened {
		in := m.at(o.Instance)
		in.closing, in.evacuated = false, false
		m.touch(in)
		m.note(o.Instance, "created with capacity %d: %v", o.Capacity, o.Why)
	}
	for _, c := range p.Capacities {
		m.touch(m.at(c.Instance))
	}
	if r := m.plan.Size().ResourcePerInstance; r != m.control.Capacity && m.control.Capacity != 0 {
		m.control.Capacity, m.controlDirty = r, true // the init rule's has grown
	}
	for i := range p.Moves {
		if mv := &p.Moves[i]; mv.From != fleet.NoInstance && mv.To != fleet.NoInstance {
			m.stats.MovesPlanned++
		}
		m.want(p.Moves[i].Resource, p.Moves[i].From, p.Moves[i].To, p.Moves[i].Why)
	}
	for _, r := range p.Released {
		m.close(m.at(r.Instance), r.Why.String())
	}
	p.Reset()
}

// want notes that a resource should stand on to. from is where it stood in the
// plan until now: where ZooKeeper has it, unless a change is pending already.
func (m *Machine) want(id string, from, to fleet.InstanceID, why placement.Reason) {
	c := m.pending[id]
	if c == nil {
		if from == to {
			return
		}
		c = &change{id: id, from: from, to: from, sent: fleet.NoInstance, at: inNone}
		m.pending[id] = c
		m.mostPending = max(m.mostPending, len(m.pending))
		m.tally(c, +1)
		if _, held := m.releasing[id]; m.barrierUp && from == fleet.NoInstance && !held {
			m.releasing[id] = behindBarrier
		}
	}
	m.tally(c, -1)
	c.to, c.why = to, why
	m.tally(c, +1)
	m.requeue(c)
}

// tally keeps the counters of pending changes.
func (m *Machine) tally(c *change, by int) {
	m.blocked = false
	if c.isMove() {
		m.moving += by
	}
	if in := m.instances[c.to]; in != nil {
		in.arriving += by
	}
	if in := m.instances[c.from]; in != nil {
		in.leaving += by
	}
}

// requeue puts a change where it waits for its transaction, or ends it when
// there is nothing left to do.
func (m *Machine) requeue(c *change) {
	if c.inflight {
		return // looked at again when the transaction has ended
	}
	if c.from == c.to {
		m.tally(c, -1)
		delete(m.pending, c.id)
		c.at = inNone
		if len(m.pending) == 0 && m.mostPending > keptPending {
			m.pending, m.mostPending = map[string]*change{}, 0 // a map never shrinks
		}
		return
	}
	at := inUrgent
	if c.isMove() {
		at = place(c.to)
	}
	if c.at == at {
		return
	}
	c.at = at
	if at == inUrgent {
		m.urgent = append(m.urgent, c)
		return
	}
	in := m.at(c.to)
	in.incoming = append(in.incoming, c)
}

// touch asks for an instance's nodes to be written although no resource moves.
func (m *Machine) touch(in *instance) {
	m.blocked = false
	if !in.queued {
		in.queued = true
		m.touched = append(m.touched, in)
	}
}

// committed handles the end of the transaction in flight.
func (m *Machine) committed(ev Committed) {
	if m.txn == nil || ev.Txn != m.txn.ID {
		return
	}
	txn := m.txn
	m.txn = nil
	if ev.Outcome == fleet.OutcomeDone {
		m.attempts = 0
		m.applied(txn)
		return
	}
	// Whatever is read anew forgets these; else they go again.
	for _, c := range m.sent {
		c.inflight = false
		m.requeue(c)
	}
	for i := range txn.Changes {
		in := m.at(txn.Changes[i].Instance)
		in.rewrite, in.creating = true, false
		m.touch(in)
	}
	m.controlDirty = m.controlDirty || txn.Control != nil
	m.sent, m.sentStray = m.sent[:0], 0
	m.attempts++
	switch ev.Outcome {
	case fleet.OutcomeDeposed:
		m.emit(StepDown{Why: "a newer leader's epoch stands in ZooKeeper"})
		m.deposed("a newer leader's epoch stands in ZooKeeper")
	case fleet.OutcomeConflict:
		m.stats.Conflicts++
		m.note(fleet.NoInstance, "transaction %d refused (%s): ZooKeeper holds something else; reads it anew", txn.ID, ev.Err)
		m.readAgain()
	case fleet.OutcomeUnknown:
		m.stats.Unknown++
		m.note(fleet.NoInstance, "transaction %d may have happened (%s); reads ZooKeeper anew", txn.ID, ev.Err)
		m.readAgain()
	default:
		m.retryAt = m.now + m.backoff("commit", m.attempts)
		m.wakeAt(m.retryAt) // the sweep tends the instances too
	}
}

// readAgain reads ZooKeeper anew. The next transaction goes at once after one
// that ended badly; after several in a row it waits.
func (m *Machine) readAgain() {
	m.retryAt = m.now
	if m.attempts > 1 {
		m.retryAt += m.backoff("commit", m.attempts-1)
		m.wakeAt(m.retryAt)
	}
	m.reload()
}

// applied takes over what a transaction has done.
func (m *Machine) applied(txn *fleet.Txn) {
	m.stats.Committed++
	if txn.Control != nil {
		m.controlVersion = max(0, m.controlVersion+1)
		m.answerNoted()
	}
	for i := range txn.Changes {
		ch := &txn.Changes[i]
		in := m.at(ch.Instance)
		in.creating = false
		switch ch.Kind {
		case fleet.ChangeDelete:
			m.gone(in)
			continue
		case fleet.ChangeCreate:
			in.exists, in.versions = true, fleet.Versions{}
		case fleet.ChangeUpdate:
			in.versions = fleet.Versions{Node: ch.Versions.Node + 1, Resources: ch.Versions.Resources + 1, Reload: ch.Versions.Reload + 1}
		}
		in.used, in.capacity, in.times = ch.Used, ch.Capacity, ch.Times
		m.reckon(in, false)
		if ch.Kind == fleet.ChangeCreate && in.status.Present {
			m.confirm(in, in.status.Times) // its word can be faster than the transaction's answer
		}
		for _, id := range ch.Add {
			in.bytes += fleet.ListBytes(id)
			m.takenBack(in, id)
		}
		for _, id := range ch.Remove {
			in.bytes -= fleet.ListBytes(id)
			m.released(in, id)
		}
	}
	m.strays = slices.Delete(m.strays, 0, m.sentStray)
	m.sentStray = 0
	for _, c := range m.sent {
		if c.from != fleet.NoInstance && c.sent != fleet.NoInstance {
			m.stats.Moves++
		}
		m.tally(c, -1)
		c.from, c.sent, c.inflight = c.sent, fleet.NoInstance, false
		m.tally(c, +1)
		m.requeue(c)
	}
	m.sent = m.sent[:0]
	for i := range txn.Changes {
		if in := m.instances[txn.Changes[i].Instance]; in != nil {
			m.tend(in)
		}
	}
	m.ack(m.sentAck)
	m.checkOrchestration()
}

// takenBack forgets that an instance's DAC has still to drop a resource: it has
// it again.
func (m *Machine) takenBack(in *instance, id string) {
	if was, held := m.releasing[id]; held && was == in.id {
		delete(m.releasing, id)
		in.confirm = slices.DeleteFunc(in.confirm, func(u unconfirm) bool { return u.id == id })
	}
}

// ack acknowledges notifications up to token.
func (m *Machine) ack(token uint64) {
	if token > m.ackDone {
		m.ackDone = token
		m.emit(Ack{Token: token})
	}
}

// sweepCommits tries again what failed.
func (m *Machine) sweepCommits() {
	if m.attempts > 0 && m.txn == nil && m.retryAt > m.now {
		m.wakeAt(m.retryAt)
	}
}
