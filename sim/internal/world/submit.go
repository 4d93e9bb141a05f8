package world

import (
	"time"

	"dacorch/orchestrator/fleet"
)

// SubmitFault is what befalls a transaction on its way.
type SubmitFault uint8

// The faults of a submission.
const (
	SubmitArrives SubmitFault = iota // none
	SubmitRefused                    // not executed, and the client is told: OutcomeFailed
	SubmitLost                       // the connection breaks before the commit: OutcomeUnknown
	AnswerLost                       // the connection breaks after the commit: OutcomeUnknown
)

// submit is a transaction under way.
type submit struct {
	session *Session
	gen     int64
	kind    *kindTree
	txn     *fleet.Txn
	outcome fleet.Outcome
	done    func(now time.Duration, kind fleet.Kind, txn *fleet.Txn, outcome fleet.Outcome)
}

// Submit executes a transaction as one multi: it checks the epoch, then the
// versions, then writes. done is called once, unless the session's process dies
// before. The transaction must not change until then; the world keeps nothing of
// it but the strings.
//
// An instance may stand in one Change of a transaction at most; a second one is
// a conflict, as its versions would be. A ChangeUpdate writes all three nodes,
// so that each version rises by one. A multi larger than MaxRequest is answered
// with OutcomeFailed and counted.
func (s *Session) Submit(kind fleet.Kind, txn *fleet.Txn, done func(now time.Duration, kind fleet.Kind, txn *fleet.Txn, outcome fleet.Outcome)) {
	z := s.zk
	var r *submit
	if n := len(z.submits); n > 0 {
		r, z.submits = z.submits[n-1], z.submits[:n-1]
	} else {
		r = new(submit)
	}
	*r = submit{session: s, gen: s.gen, kind: z.tree(kind), txn: txn, done: done}
	now := z.tl.Now()
	if !s.connected {
		r.outcome = fleet.OutcomeFailed
		if s.unheard {
			r.outcome = fleet.OutcomeUnknown
		}
		z.tl.At(now+z.answer.draw(), z, opSubmitted, 0, r)
		return
	}
	z.tl.At(s.sent(now), z, opCommit, 0, r)
}

// commit is the moment at which a transaction takes effect.
func (z *ZooKeeper) commit(now time.Duration, r *submit) {
	s := r.session
	if s.minority() != nil && r.gen == s.gen {
		r.outcome = fleet.OutcomeFailed
		z.tl.At(s.answered(now), z, opSubmitted, 0, r)
		return
	}
	if !s.reaches(r.gen) {
		r.outcome = fleet.OutcomeUnknown
		z.tl.At(now+z.answer.draw(), z, opSubmitted, 0, r)
		return
	}
	fault, away := SubmitArrives, time.Duration(0)
	if z.OnSubmit != nil {
		fault, away = z.OnSubmit(now, r.kind.kind, r.txn)
	}
	switch fault {
	case SubmitRefused:
		r.outcome = fleet.OutcomeFailed
	case SubmitLost:
		r.outcome = fleet.OutcomeUnknown
	default:
		r.outcome = z.execute(now, r.kind, r.txn)
		if fault == AnswerLost {
			r.outcome = fleet.OutcomeUnknown
		}
	}
	if fault == SubmitLost || fault == AnswerLost {
		s.Break(away)
	}
	z.tl.At(s.answered(now), z, opSubmitted, 0, r)
}

func (z *ZooKeeper) submitted(now time.Duration, r *submit) {
	s, outcome := r.session, r.outcome
	if s.unheard && !s.dead {
		s.submits = append(s.submits, r)
		return
	}
	if r.gen != s.gen && outcome != fleet.OutcomeFailed {
		outcome = fleet.OutcomeUnknown
	}
	kind, txn, done := r.kind.kind, r.txn, r.done
	*r = submit{}
	z.submits = append(z.submits, r)
	if !s.dead {
		done(now, kind, txn, outcome)
	}
}

// execute checks the whole transaction, then applies it.
func (z *ZooKeeper) execute(now time.Duration, t *kindTree, txn *fleet.Txn) fleet.Outcome {
	outcome, bytes := z.check(t, txn)
	switch outcome {
	case fleet.OutcomeDone:
	case fleet.OutcomeDeposed:
		z.stats.Deposed++
		return outcome
	case fleet.OutcomeConflict:
		z.stats.Conflicts++
		return outcome
	default:
		z.stats.TooLarge++
		return outcome
	}
	if z.full && z.needsRoom(t, txn) {
		z.stats.Full++
		return fleet.OutcomeFailed
	}
	z.stats.Committed++
	z.stats.Bytes += uint64(bytes)
	z.stats.MaxBytes = max(z.stats.MaxBytes, bytes)

	z.nodes.begin()
	for i := range txn.Changes {
		c := &txn.Changes[i]
		in := z.instance(t, c.Instance)
		switch c.Kind {
		case fleet.ChangeUpdate:
			in.update(c)
		case fleet.ChangeCreate:
			in.create(c)
		case fleet.ChangeDelete:
			in.delete()
		}
	}
	if txn.Control != nil {
		z.writeControl(t, txn.Control)
	}
	z.nodes.commit()
	if z.OnCommit != nil {
		z.OnCommit(now, t.kind, txn)
	}
	for i := range txn.Changes {
		if in := t.instances[txn.Changes[i].Instance]; in.node == nil && in.status != nil {
			in.status = nil
			in.statusChanged(now)
		}
	}
	return fleet.OutcomeDone
}

// check answers what the multi would end with, and its bytes.
func (z *ZooKeeper) check(t *kindTree, txn *fleet.Txn) (fleet.Outcome, int) {
	if txn.Epoch != int64(t.epoch.Version) {
		return fleet.OutcomeDeposed, 0
	}
	bytes := opOverhead + len(t.epoch.Path)
	if txn.Control != nil {
		version := int32(-1)
		if t.control != nil {
			version = t.control.Version
		}
		if txn.ControlVersion != version {
			return fleet.OutcomeConflict, 0
		}
		bytes += len(encodeControl(txn.Control)) + len(t.own.Path) + opOverhead
	}
	z.checked++
	for i := range txn.Changes {
		c := &txn.Changes[i]
		in := z.instance(t, c.Instance)
		if in.txn == z.checked || !in.allows(c) {
			return fleet.OutcomeConflict, 0
		}
		in.txn = z.checked
		n, ok := in.weigh(c)
		if !ok {
			z.stats.BadDelta++
			return fleet.OutcomeConflict, 0
		}
		bytes += n
	}
	if bytes > z.cfg.MaxRequest {
		return fleet.OutcomeFailed, bytes
	}
	return fleet.OutcomeDone, bytes
}

// allows says whether the instance's nodes are there, or not there, with the
// versions that the change expects.
func (in *instanceNodes) allows(c *fleet.Change) bool {
	if c.Kind == fleet.ChangeCreate {
		return in.node == nil
	}
	return in.node != nil && in.node.Version == c.Versions.Node &&
		in.resources.Version == c.Versions.Resources && in.reload.Version == c.Versions.Reload
}

// weigh is the bytes of the change's operations; false when its list does not
// fit the one that is there.
func (in *instanceNodes) weigh(c *fleet.Change) (int, bool) {
	const nodes = 5 // at most
	bytes := nodes * (len(in.path) + len("/tmp/status") + opOverhead)
	if c.Kind == fleet.ChangeDelete {
		return bytes, true
	}
	list := 0
	if c.Kind == fleet.ChangeUpdate {
		list = in.list.bytes
		for _, id := range c.Remove {
			if !in.list.has(id) {
				return 0, false
			}
			list -= fleet.ListBytes(id)
		}
	} else if len(c.Remove) > 0 {
		return 0, false
	}
	for _, id := range c.Add {
		if c.Kind == fleet.ChangeUpdate && in.list.has(id) {
			return 0, false
		}
		list += fleet.ListBytes(id)
	}
	return bytes + instanceNumbers{c.Used, c.Capacity}.size() + listSize(list) + timesSize(c.Times), true
}

func (in *instanceNodes) update(c *fleet.Change) {
	z := in.zk.nodes
	in.numbers = instanceNumbers{c.Used, c.Capacity}
	in.list.change(c.Add, c.Remove)
	in.times = c.Times
	z.set(in.node, in, in.numbers.size())
	z.set(in.resources, in, listSize(in.list.bytes))
	z.set(in.reload, in, timesSize(in.times))
}

func (in *instanceNodes) create(c *fleet.Change) {
	in.numbers = instanceNumbers{c.Used, c.Capacity}
	in.list.create(c.Add)
	in.times = c.Times
	in.node = in.addNode(in.kind.root, in.id.String(), in.path, in.numbers.size())
	in.resources = in.addNode(in.node, "resources", in.path+"/resources", listSize(in.list.bytes))
	in.reload = in.addNode(in.node, "_reload", in.path+"/_reload", timesSize(in.times))
	in.tmp = in.addNode(in.node, "tmp", in.path+"/tmp", 0)
}

func (in *instanceNodes) addNode(parent *Znode, name, path string, size int) *Znode {
	n, err := in.zk.nodes.add(parent, name, path, in, size, 0)
	if err != nil {
		panic("world: " + path + ": " + err.Error()) // check has seen that there is room
	}
	return n
}

// delete removes the instance's nodes, children first. The status is told of
// after the commit.
func (in *instanceNodes) delete() {
	z := in.zk.nodes
	if in.status != nil {
		z.remove(in.status)
	}
	for _, n := range []*Znode{in.tmp, in.reload, in.resources, in.node} {
		z.remove(n)
	}
	in.node, in.resources, in.reload, in.tmp = nil, nil, nil, nil
	in.list.create(nil)
}

func (z *ZooKeeper) writeControl(t *kindTree, control *fleet.Control) {
	data := encodeControl(control)
	if t.control != nil {
		z.nodes.set(t.control, data, len(data))
		return
	}
	n, err := z.nodes.add(t.own, "control", t.own.Path+"/control", data, len(data), 0)
	if err != nil {
		panic("world: control: " + err.Error()) // check has seen that it is not there
	}
	t.control = n
}
