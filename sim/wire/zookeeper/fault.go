package zookeeper

import (
	"sync"
	"sync/atomic"
	"time"
)

// Op is a request about to be carried out, as a hook sees it.
type Op struct {
	Session Session
	// Name is ZooKeeper's name of the request: create, create2, delete, exists,
	// getData, setData, getACL, setACL, getChildren, getChildren2, sync, ping,
	// multi, closeSession and so on.
	Name string
	// Paths it is about, in order; several for a multi, none for a ping.
	Paths []string
}

// Fault is what a hook wants done with a request.
type Fault struct {
	cut  cutting
	late time.Duration
	err  code // instead of being carried out
}

type cutting int

const (
	cutBefore cutting = iota + 1
	cutAfter
)

var (
	// Pass does nothing.
	Pass = Fault{}
	// Refuse cuts the connection; the request is not carried out.
	Refuse = Fault{cut: cutBefore}
	// CutAfter carries the request out and cuts the connection without an
	// answer: the client cannot know.
	CutAfter = Fault{cut: cutAfter}
	// ReadOnly answers that this server takes no writes, as one does that has lost
	// the majority; the request is not carried out.
	ReadOnly = Fault{err: notReadOnly}
	// Full answers that the quota is exceeded; the request is not carried out.
	Full = Fault{err: quotaExceeded}
)

// Late carries the request out at once and answers it later. Answers keep their
// order, so those after it on the same connection are late with it.
func Late(d time.Duration) Fault { return Fault{late: d} }

// faults is what is wrong at the moment.
type faults struct {
	delay   atomic.Int64
	hook    atomic.Pointer[func(Op) Fault]
	stalled atomic.Pointer[chan struct{}] // closed when the stall ends

	mu      sync.Mutex
	refuse  bool
	refused func(Session) bool // nil: all
}

// Cut closes the connections of the sessions that match, nil for all, with those
// that have no session yet. It answers how many. Clients may come back at once:
// see Refuse.
func (s *Server) Cut(match func(Session) bool) int {
	n := 0
	for _, c := range s.connsThat(match) {
		c.s.mu.Lock()
		if !c.closed {
			c.close()
			n++
		}
		c.s.mu.Unlock()
	}
	return n
}

// connsThat answers the connections whose sessions match. match is called
// without the lock, so that it may use the server.
func (s *Server) connsThat(match func(Session) bool) []*conn {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	views := make([]Session, 0, len(s.conns))
	for c := range s.conns {
		conns, views = append(conns, c), append(views, c.view())
	}
	s.mu.Unlock()
	n := 0
	for i, c := range conns {
		if match == nil || match(views[i]) {
			conns[n] = c
			n++
		}
	}
	return conns[:n]
}

// Refuse keeps clients out while on: those that match, nil for all, lose new
// connections during the handshake. A client that opens a session has ID 0. What
// is connected stays so: see Cut. The last call counts; match must not call the
// server.
func (s *Server) Refuse(on bool, match func(Session) bool) {
	s.faults.mu.Lock()
	s.faults.refuse, s.faults.refused = on, match
	s.faults.mu.Unlock()
}

func (f *faults) refusesAll() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refuse && f.refused == nil
}

func (f *faults) refuses(ses Session) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refuse && (f.refused == nil || f.refused(ses))
}

// Stall makes the server hang while on: it accepts connections, but reads and
// answers nothing. Sessions expire meanwhile, as nothing is heard of them.
func (s *Server) Stall(on bool) {
	if on {
		gate := make(chan struct{})
		s.faults.stalled.CompareAndSwap(nil, &gate)
	} else if gate := s.faults.stalled.Swap(nil); gate != nil {
		close(*gate)
	}
}

// pass waits while the server is stalled. It says false when the connection ends
// meanwhile.
func (f *faults) pass(gone <-chan struct{}) bool {
	for {
		gate := f.stalled.Load()
		if gate == nil {
			return true
		}
		select {
		case <-*gate:
		case <-gone:
			return false
		}
	}
}

// Delay makes everything that the server sends late from now on, 0 for not.
func (s *Server) Delay(d time.Duration) { s.faults.delay.Store(int64(max(d, 0))) }

func (f *faults) delayed() time.Duration { return time.Duration(f.delay.Load()) }

// Expire ends the sessions that match, nil for all, as if they had not been
// heard of for their timeout: their ephemeral nodes go, their connections are
// cut, and clients learn of it when they come back. It answers how many.
func (s *Server) Expire(match func(Session) bool) int {
	chosen := map[int64]bool{}
	for _, view := range s.Sessions() {
		if match == nil || match(view) {
			chosen[view.ID] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0
	}
	return s.endSessions(func(ses *session) bool { return chosen[ses.id] })
}

// Hook has f decide what happens to each request, nil for nothing. f is called
// before the request is carried out, on several goroutines at once; while it
// does not return, its connection waits.
func (s *Server) Hook(f func(Op) Fault) {
	if f == nil {
		s.faults.hook.Store(nil)
		return
	}
	s.faults.hook.Store(&f)
}
