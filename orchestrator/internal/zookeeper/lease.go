package zookeeper

import (
	"sync"
	"time"
)

// lease is a leadership in time: it lasts as long as the session is known to live
// at the server, less a margin. Once over it never begins again.
type lease struct {
	mu     sync.Mutex
	asked  []time.Time   // when proofs were asked for that have come, ascending: those from which it may yet count
	proved time.Time     // from when the ensemble counts the session's timeout, or later
	limit  time.Duration // how long that holds
	timer  *time.Timer
	over   bool
	end    func(cause error)
}

// margin is the part of the session timeout that is not relied on: the clocks of
// two machines may run at different rates, and timers late.
const margin = 10 // per cent

// A proof vouches for what was a while before it. In an ensemble the server at the
// other end of the connection notes each sign of life, and passes them on every
// half tick to the ensemble's leader, which counts the sessions' time. Should the
// two be parted right after a proof, the leader may know of none but the one before.
const settles = 4 // the part of the session timeout within which it is passed on: a session lasts two ticks at least

// newLease begins with a proof. The sign of life before it is the library's own,
// of which there are three in a session timeout. end is called once, with the
// reason for which the lease is over.
func newLease(asked time.Time, timeout time.Duration, end func(cause error)) *lease {
	l := &lease{asked: []time.Time{asked}, proved: asked.Add(-timeout / 3), limit: usable(timeout), end: end}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.limit-elapsed(l.proved, time.Now()), l.look)
	return l
}

func usable(timeout time.Duration) time.Duration { return timeout - timeout*margin/100 }

// elapsed is the time between two readings of the clock: by the monotonic clock or
// by the calendar, whichever says more. A machine that was suspended may not have
// counted the time on the first, and the second can be set back.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// held asks the clock.
func (l *lease) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.check()
}

// prove prolongs the lease, unless it is over: the ensemble answered a request that
// was made at that time. It then counts from the proof before.
func (l *lease) prove(asked time.Time, timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.asked[len(l.asked)-1]
	if !l.check() || asked.Before(last) {
		return
	}
	settled := asked.Add(-timeout / settles)
	for len(l.asked) > 1 && !l.asked[1].After(settled) {
		l.asked = l.asked[1:]
	}
	if first := l.asked[0]; !first.After(settled) && first.After(l.proved) {
		l.proved = first
	}
	if asked.Sub(last) >= timeout/50 { // so they are few
		l.asked = append(l.asked, asked)
	}
	l.limit = usable(timeout)
	if l.check() {
		l.timer.Reset(l.limit - elapsed(l.proved, time.Now()))
	}
}

// finish ends the lease for a reason other than time.
func (l *lease) finish(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close(cause)
}

func (l *lease) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.check() {
		l.timer.Reset(max(l.limit-elapsed(l.proved, time.Now()), time.Millisecond))
	}
}

func (l *lease) check() bool {
	if !l.over && elapsed(l.proved, time.Now()) >= l.limit {
		l.close(ErrUnproved)
	}
	return !l.over
}

func (l *lease) close(cause error) {
	if l.over {
		return
	}
	l.over = true
	l.timer.Stop()
	l.end(cause)
}
