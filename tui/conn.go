package tui

import (
	"context"
	"errors"
	"time"

	"dacorch/tui/data"
)

// link knows whether the server can be reached, from what became of calls.
type link struct {
	fails int
	heard time.Time // the last answer
}

// retryMost bounds the time between two tries to reach the server, but for jitter.
const retryMost = 5 * time.Second

// take notes what became of a call, and says whether the connection has just
// come back.
func (l *link) take(now time.Time, r result, a *asker, c *data.Connection) (healed bool) {
	began := now
	if at := a.asks[r.query]; at != nil {
		began = at.began
	}
	switch {
	case errors.Is(r.err, context.Canceled):
		return false
	case answered(r.err):
		l.heard, l.fails = now, 0
		c.Latency = now.Sub(began)
		if c.Up {
			return false
		}
		lost := c.Err != ""
		c.Up, c.Since, c.Err, c.Retry = true, now, "", time.Time{}
		return lost
	case c.Up && l.heard.After(began) && errors.Is(r.err, context.DeadlineExceeded):
		return false // one call is slow: others have been answered meanwhile
	}
	if c.Up || c.Err == "" {
		c.Since = now
	}
	if c.Up || !now.Before(c.Retry) || l.fails == 0 {
		l.fails++
		c.Retry = now.Add(jitter(min(backoff(l.fails), retryMost)))
	}
	c.Up, c.Err = false, unreachable(r.err)
	return false
}

// reads is how many queries may be under way: while the connection is lost one,
// from time to time.
func (l *link) reads(now time.Time, a *asker, c *data.Connection) int {
	switch {
	case c.Up:
		return maxReads
	case c.Err == "": // nothing has been tried yet, or the first try is under way
		return 1
	case now.Before(c.Retry) || a.running > 0:
		return 0
	}
	a.again()
	c.Retry = time.Time{}
	return 1
}
