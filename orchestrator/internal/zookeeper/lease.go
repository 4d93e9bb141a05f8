package zookeeper

import (
	"sync"
	"time"
)

// lease is a leadership in time: it lasts as long as the session is known to live
// at the server, less a margin. Once over it never begins again.
type lease struct {
	mu     sync.Mutex
	proved time.Time     // when the request was made whose answer is the last proof
	limit  time.Duration // how long that proof holds
	timer  *time.Timer
	over   bool
	end    func(cause error)
}

// margin is the part of the session timeout that is not relied on: the clocks of
// two machines may run at different rates, and timers late.
const margin = 10 // per cent

// newLease begins with a proof. end is called once, with the reason for which the
// lease is over.
func newLease(proved time.Time, timeout time.Duration, end func(cause error)) *lease {
	l := &lease{proved: proved, limit: usable(timeout), end: end}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.limit-elapsed(proved, time.Now()), l.look)
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

// prove prolongs the lease, unless it is over: the server answered a request that
// was made at that time.
func (l *lease) prove(at time.Time, timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.check() || at.Before(l.proved) {
		return
	}
	l.proved, l.limit = at, usable(timeout)
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
