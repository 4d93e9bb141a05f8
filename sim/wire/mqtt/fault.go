package mqtt

import "time"

// faults are the broker's present troubles.
type faults struct {
	refuse   bool
	stall    bool
	dropAcks bool
	delay    time.Duration
	cutAfter func(clientID string) bool // nil when none is due
	left     int
}

// Cut breaks the connections of the clients that match, without a word, and
// answers how many. A nil match is everybody.
func (s *Server) Cut(match func(clientID string) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, ss := range s.sessions {
		if c := ss.conn; c != nil && (match == nil || match(ss.id)) {
			c.end(true)
			n++
		}
	}
	s.note()
	return n
}

// Refuse closes new connections before a word is said, until it is called with
// false. Those that exist live on.
func (s *Server) Refuse(on bool) { s.trouble(func(f *faults) { f.refuse = on }) }

// Stall makes the broker say and do nothing on any connection, old or new, until
// it is called with false. Nothing is closed.
func (s *Server) Stall(on bool) { s.trouble(func(f *faults) { f.stall = on }) }

// Delay holds back what the broker sends for at least d and at most about twice
// as long; order is kept.
func (s *Server) Delay(d time.Duration) { s.trouble(func(f *faults) { f.delay = d }) }

// DropAcks loses the acknowledgements in both directions until it is called with
// false: publishers get none, subscribers' are not heard. The connections live on.
func (s *Server) DropAcks(on bool) { s.trouble(func(f *faults) { f.dropAcks = on }) }

// CutAfter lets n messages (at least 1) from and to the clients that match go
// through, counted from now, and breaks the connection of the nth in place of its
// acknowledgement: what came has been published and its publisher never hears so;
// what went out may or may not arrive, and counts as sent. Acknowledgements of the
// messages before it are in order. A nil match is everybody. It happens once; a
// second call replaces the first.
func (s *Server) CutAfter(match func(clientID string) bool, n int) {
	if match == nil {
		match = func(string) bool { return true }
	}
	s.trouble(func(f *faults) { f.cutAfter, f.left = match, max(n, 1) })
}

func (s *Server) trouble(set func(*faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.faults)
	s.changed.Broadcast()
}

// strikes counts a message of the client against CutAfter, and says whether it is
// the one to cut at.
func (f *faults) strikes(clientID string) bool {
	if f.cutAfter == nil || !f.cutAfter(clientID) {
		return false
	}
	if f.left--; f.left > 0 {
		return false
	}
	f.cutAfter = nil
	return true
}
