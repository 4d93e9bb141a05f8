package reconcile

import (
	"slices"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// code codes the group commit. The pending changes are shared by queues; each is
// written once, in the order in which the queues hold them, and has a number.
func (s *commits) code(c *placement.Coder, m *Machine) {
	c.Section("the pending changes")
	for _, n := range []*int{&s.moving, &s.mostPending, &s.txnMoves, &s.sentStray, &s.attempts} {
		placement.Int(c, n)
	}
	for _, n := range []*uint64{&s.sentAck, &s.ackSeen, &s.ackDone} {
		c.Uint(n)
	}
	c.Bool(&s.barrierUp)
	c.Bool(&s.blocked)
	placement.Int(c, &s.retryAt)

	var all []*change
	if !c.Reading() {
		all = m.number()
	}
	placement.List(c, &all, func(p **change) {
		if c.Reading() {
			c.Alloc(4 * entryBytes)
			*p = &change{number: int32(len(all))}
		}
		ch := *p
		ch.code(c)
		if c.Reading() {
			if s.pending[ch.id] != nil {
				c.Fail("%q is pending twice", ch.id)
			}
			s.pending[ch.id] = ch
		}
	})
	codeQueue(c, all, &s.urgent)
	codeQueue(c, all, &s.sent)
	for _, in := range m.order {
		codeQueue(c, all, &in.incoming)
	}

	c.Section("what else a transaction may take")
	m.codeTouched(c)
	placement.List(c, &s.strays, func(x *stray) {
		placement.Int(c, &x.instance)
		c.String(&x.id)
	})
	if s.sentStray < 0 || s.sentStray > len(s.strays) {
		c.Fail("%d of %d second listings are sent", s.sentStray, len(s.strays))
	}
	codeReleasing(c, s.releasing)
	c.Section("the transaction in flight")
	if codePointer(c, &s.txn) {
		codeTxn(c, s.txn)
	}
}

func (ch *change) code(c *placement.Coder) {
	c.String(&ch.id)
	placement.Int(c, &ch.from)
	placement.Int(c, &ch.to)
	placement.Int(c, &ch.sent)
	c.Bool(&ch.inflight)
	placement.Int(c, &ch.at)
	ch.why.Code(c)
}

// number gives every pending change its number, from 1, and every other that a
// queue still holds 0: it has ended, and only waits to be passed over.
func (m *Machine) number() []*change {
	queues := [][]*change{m.urgent, m.sent}
	for _, in := range m.order {
		queues = append(queues, in.incoming)
	}
	for _, q := range queues {
		for _, ch := range q {
			ch.number = 0
		}
	}
	const none = -1
	for _, ch := range m.pending {
		ch.number = none
	}
	all := make([]*change, 0, len(m.pending))
	take := func(ch *change) {
		if ch.number == none {
			all = append(all, ch)
			ch.number = int32(len(all))
		}
	}
	for _, q := range queues {
		for _, ch := range q {
			take(ch)
		}
	}
	if len(all) < len(m.pending) {
		var rest []string
		for id, ch := range m.pending {
			if ch.number == none {
				rest = append(rest, id)
			}
		}
		slices.Sort(rest)
		for _, id := range rest {
			take(m.pending[id])
		}
	}
	return all
}

// codeQueue codes which pending changes a queue holds.
func codeQueue(c *placement.Coder, all []*change, queue *[]*change) {
	var numbers []int32
	for _, ch := range *queue {
		if ch.number > 0 {
			numbers = append(numbers, ch.number)
		}
	}
	placement.List(c, &numbers, func(n *int32) {
		if placement.Int(c, n); *n < 1 || int(*n) > len(all) {
			c.Fail("change %d of %d", *n, len(all))
			*n = 0
		}
	})
	if !c.Reading() {
		return
	}
	*queue = nil
	for _, n := range numbers {
		if n > 0 {
			*queue = append(*queue, all[n-1])
		}
	}
}

// codeTouched codes the instances that wait for being written. One that has been
// dropped since is passed over, but it makes the machine look.
func (m *Machine) codeTouched(c *placement.Coder) {
	placement.List(c, &m.touched, func(p **instance) {
		if c.Reading() {
			c.Alloc(recordBytes)
			*p = &instance{}
		}
		placement.Int(c, &(*p).id)
		known := m.instances[(*p).id]
		there := known == *p
		if c.Bool(&there); !there || !c.Reading() {
			return
		}
		if known == nil {
			c.Fail("instance %d is to be written and unknown", int32((*p).id))
			return
		}
		*p = known
	})
}

func codeReleasing(c *placement.Coder, releasing map[string]fleet.InstanceID) {
	ids := make([]string, 0, len(releasing))
	for id := range releasing {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	placement.List(c, &ids, func(id *string) {
		c.Alloc(entryBytes)
		c.String(id)
		was := releasing[*id]
		placement.Int(c, &was)
		if c.Reading() {
			releasing[*id] = was
		}
	})
}

func codeTxn(c *placement.Coder, t *fleet.Txn) {
	c.Uint(&t.ID)
	placement.Int(c, &t.Epoch)
	placement.List(c, &t.Changes, func(ch *fleet.Change) {
		placement.Enum(c, &ch.Kind, fleet.ChangeDelete)
		placement.Int(c, &ch.Instance)
		placement.Int(c, &ch.Capacity)
		placement.Int(c, &ch.Used)
		placement.List(c, &ch.Add, c.String)
		placement.List(c, &ch.Remove, c.String)
		placement.Int(c, &ch.Times)
		codeVersions(c, &ch.Versions)
	})
	if codePointer(c, &t.Control) {
		codeControl(c, t.Control)
	}
	placement.Int(c, &t.ControlVersion)
}
