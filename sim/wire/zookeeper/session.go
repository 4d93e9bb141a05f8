package zookeeper

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"
)

// session is a client's, whether it is connected or not.
type session struct {
	id       int64
	timeout  time.Duration
	deadline time.Time
	conn     *conn // nil while the client is away
}

// passwordOf is what a client shows to resume its session. As in ZooKeeper it
// follows from the id, so that a restarted server knows it.
func passwordOf(id int64) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("stand-in session "), uint64(id)))
	return sum[:16]
}

// touch puts off a session's end: to the tick after its timeout.
func (s *Server) touch(ses *session, now time.Time) {
	tick := s.config.TickTime
	ticks := now.Add(ses.timeout).Sub(s.started)/tick + 1
	ses.deadline = s.started.Add(ticks * tick)
}

func (s *Server) expireSessions() {
	defer s.running.Done()
	for {
		tick := time.Since(s.started)/s.config.TickTime + 1
		s.pause(time.Until(s.started.Add(tick * s.config.TickTime)))
		now := time.Now()
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		s.endSessions(func(ses *session) bool { return !ses.deadline.After(now) })
		s.mu.Unlock()
	}
}

// endSessions ends those that match, in the order of their ids, and closes their
// connections.
func (s *Server) endSessions(match func(*session) bool) int {
	var ended []*session
	for _, ses := range s.sessions {
		if match(ses) {
			ended = append(ended, ses)
		}
	}
	slices.SortFunc(ended, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	for _, ses := range ended {
		s.endSession(ses)
		if ses.conn != nil {
			ses.conn.close()
		}
	}
	return len(ended)
}

// endSession deletes a session and its ephemeral nodes in one transaction. The
// connection is left to the caller.
func (s *Server) endSession(ses *session) {
	x := s.begin(ses.id, nil)
	for _, path := range s.tree.owned(ses.id) {
		x.apply(&change{kind: opDelete, path: path})
	}
	x.changes = append(x.changes, &change{kind: opCloseSession})
	delete(s.sessions, ses.id)
	s.commit(x)
}

// started is the latest moment, in milliseconds, that a server of this process has
// taken its first session's number from.
var started atomic.Int64

// firstSession is the number that a server's sessions begin after: made of the
// clock, as ZooKeeper's, and another for each server of this process, though two
// start within a millisecond.
func firstSession(now time.Time) int64 {
	for {
		before := started.Load()
		ms := max(now.UnixMilli(), before+1)
		if started.CompareAndSwap(before, ms) {
			return int64(uint64(ms) << 24 >> 8)
		}
	}
}

// openSession makes a session.
func (s *Server) openSession(timeout time.Duration, now time.Time) *session {
	s.nextSession++
	ses := &session{id: s.nextSession, timeout: timeout}
	s.sessions[ses.id] = ses
	s.touch(ses, now)
	x := s.begin(ses.id, nil)
	x.changes = append(x.changes, &change{kind: opOpenSession, n: int32(timeout.Milliseconds())})
	s.commit(x)
	return ses
}

// begin starts the next transaction.
func (s *Server) begin(id int64, ids []identity) *txn {
	s.zxid++
	s.txn = txn{tree: s.tree, ids: ids, session: id, zxid: s.zxid, ms: time.Now().UnixMilli(),
		changes: s.txn.changes[:0], undos: s.txn.undos[:0], outs: s.txn.outs[:0]}
	return &s.txn
}

// commit writes a transaction to the log and fires its events. One without
// changes is written too: it has used up a zxid that its client has seen.
func (s *Server) commit(x *txn) {
	if s.log != nil {
		s.log.append(x)
	}
	if s.observer != nil {
		s.tell(x)
	}
	for _, c := range x.changes {
		s.fire(c)
	}
}
