package world

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// ErrFull answers a write that needs room while there is none.
var ErrFull = errors.New("zookeeper: no space left on device")

// minority is what servers that have lost the majority hold: everything as it
// stood when that began.
type minority struct {
	id    int64
	trees map[fleet.Kind]minorityTree
}

type minorityTree struct {
	tree    fleet.Tree
	control []byte // of tree
}

// each calls f for each client of a set.
func (of Clients) each(f func(c Clients)) {
	for _, c := range []Clients{Orchestrators, DACClients} {
		if of&c != 0 {
			f(c)
		}
	}
}

// SetDelay makes every request of these clients take this much longer; 0 ends it.
func (z *ZooKeeper) SetDelay(of Clients, d time.Duration) {
	of.each(func(c Clients) { z.slow[c] = d })
}

// Sessions are those clients' sessions that the ensemble holds, oldest first.
func (z *ZooKeeper) Sessions(of Clients) []*Session {
	var held []*Session
	for _, s := range z.open {
		if s.of&of != 0 && s.stands() {
			held = append(held, s)
		}
	}
	return held
}

// Down stops the ensemble: every connection breaks, and none comes back before
// Up. Requests on their way are lost, and no session ends.
func (z *ZooKeeper) Down() {
	z.down = true
	for _, s := range slices.Clone(z.open) {
		s.drop()
		s.gen, s.lingers = z.connection(), 0 // its timeout stands still
	}
}

// Up starts the ensemble again with all that was written. Clients connect after
// the reconnect latency. A session has its whole timeout, from now on, to come
// back, as with ZooKeeper, whose new leader counts anew.
func (z *ZooKeeper) Up() {
	if !z.down {
		return
	}
	z.down = false
	for _, s := range z.open {
		if s.stands() {
			z.tl.After(z.cfg.SessionTimeout, z, opExpire, s.gen, s)
		}
		if !s.dead {
			z.tl.After(z.again.draw(), z, opReconnect, s.gen, s)
		}
	}
}

// SetMinority puts the servers that these clients speak to in a minority, or ends
// that. Reads are answered as things stood when it began, writes are refused
// with OutcomeFailed, no watch tells anything, elections and new sessions wait.
// The majority ends the sessions after their timeout. At the end the connections
// break, and clients hear after the reconnect latency what has become of their
// sessions.
func (z *ZooKeeper) SetMinority(of Clients, on bool) {
	of.each(func(c Clients) {
		switch {
		case on && z.minorities[c] == nil:
			z.minorities[c] = z.freeze()
		case !on && z.minorities[c] != nil:
			z.minorities[c] = nil
		default:
			return
		}
		for _, s := range slices.Clone(z.open) {
			if s.of != c {
				continue
			}
			if on {
				s.join()
				continue
			}
			s.drop()
			if !s.dead && !z.down {
				z.tl.After(z.again.draw(), z, opReconnect, s.gen, s)
			}
		}
	})
}

// freeze keeps what stands now.
func (z *ZooKeeper) freeze() *minority {
	m := &minority{id: z.connection(), trees: map[fleet.Kind]minorityTree{}}
	for kind, t := range z.kinds {
		frozen := minorityTree{tree: t.snapshot()}
		if t.control != nil {
			frozen.control = t.control.Data.([]byte)
		}
		m.trees[kind] = frozen
	}
	return m
}

// tree is what a kind's tree was, for the reader to keep.
func (m *minority) tree(kind fleet.Kind) fleet.Tree {
	frozen, ok := m.trees[kind]
	if !ok {
		return fleet.Tree{ControlVersion: -1}
	}
	tree := frozen.tree
	tree.Instances = slices.Clone(tree.Instances)
	for i := range tree.Instances {
		tree.Instances[i].IDs = slices.Clone(tree.Instances[i].IDs)
	}
	if frozen.control != nil {
		tree.Control = decodeControl(frozen.control)
	}
	return tree
}

// read is a DAC's read of what its list was.
func (m *minority) read(in *instanceNodes, r *dacRead) {
	all := m.trees[in.kind.kind].tree.Instances
	i, found := slices.BinarySearchFunc(all, in.id, func(x fleet.TreeInstance, id fleet.InstanceID) int { return cmp.Compare(x.ID, id) })
	if found {
		r.born, r.version, r.times = all[i].Born, all[i].Versions.Resources, all[i].Times
		r.whole, r.ids = true, slices.Clone(all[i].IDs)
	}
}

// minority is that of the servers that the session speaks to; nil when it is the
// majority.
func (s *Session) minority() *minority { return s.zk.minorities[s.of] }

// stands says whether the ensemble holds the session.
func (s *Session) stands() bool { return s.known && !s.expired }

// hears says whether what changes is told to the session.
func (s *Session) hears() bool { return s.connected && s.minority() == nil }

// Serves says whether the session's requests are answered by the majority now.
func (s *Session) Serves() bool { return s.hears() }

// join has the majority end the session, which it does not hear of, in time.
func (s *Session) join() {
	if m := s.minority(); m != nil && s.connected && !s.expired {
		s.zk.tl.After(s.zk.cfg.SessionTimeout, s.zk, opMinorityExpire, m.id, s)
	}
}

// outvoted is the session's end at the majority.
func (s *Session) outvoted(id int64) {
	if m := s.minority(); m != nil && m.id == id && s.connected {
		s.Expire()
	}
}

// SetFull makes the ensemble refuse every write that needs room, with
// OutcomeFailed: what creates a node, or makes a list or the control node longer.
// Candidates and DACs try again every second.
func (z *ZooKeeper) SetFull(full bool) { z.full = full }

// needsRoom says whether a transaction that would succeed makes the tree larger.
func (z *ZooKeeper) needsRoom(t *kindTree, txn *fleet.Txn) bool {
	if txn.Control != nil && (t.control == nil || len(encodeControl(txn.Control)) > t.control.Size) {
		return true
	}
	for i := range txn.Changes {
		c, grows := &txn.Changes[i], 0
		for _, id := range c.Add {
			grows += fleet.ListBytes(id)
		}
		for _, id := range c.Remove {
			grows -= fleet.ListBytes(id)
		}
		if c.Kind == fleet.ChangeCreate || grows > 0 {
			return true
		}
	}
	return false
}

// Break cuts the connection and has it come back after away. The session expires
// when that is later than its timeout.
func (s *Session) Break(away time.Duration) {
	if s.connected {
		s.drop()
		s.zk.tl.After(away, s.zk, opReconnect, s.gen, s)
	}
}

// bar cuts a client off, or lets it connect again.
func (s *Session) bar(on bool) {
	s.barred = on
	if on {
		s.drop()
	} else if !s.connected {
		s.zk.tl.After(s.zk.again.draw(), s.zk, opReconnect, s.gen, s)
	}
}

// ExpireUnheard makes the ensemble end the session, of which the client hears
// nothing: it believes that it is connected, and nothing that it asks arrives or
// is answered, until Hear.
func (s *Session) ExpireUnheard() {
	if !s.stands() || s.dead {
		return
	}
	s.zk.stats.Expired++
	s.unheard = true
	s.disconnect()
	s.end()
}

// Hear ends ExpireUnheard: what was asked is answered as by a broken connection,
// and the client hears SessionExpired.
func (s *Session) Hear() {
	if !s.unheard {
		return
	}
	z, now := s.zk, s.zk.tl.Now()
	s.unheard, s.told = false, true
	if s.dead {
		return
	}
	for _, r := range s.submits {
		r.outcome = fleet.OutcomeUnknown
		z.tl.At(s.answered(now), z, opSubmitted, 0, r)
	}
	for _, r := range s.reads {
		z.tl.At(s.answered(now), z, opTreeRead, 0, r)
	}
	s.submits, s.reads = nil, nil
	z.tl.At(s.answered(now), z, opState, int64(SessionExpired), s)
}
