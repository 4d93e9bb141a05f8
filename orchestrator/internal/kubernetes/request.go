package kubernetes

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"golang.org/x/time/rate"
)

const (
	maxAttempts  = 5
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
	maxHold      = time.Minute // an answer that asks for more is heeded so long
)

// send executes a request until it succeeds, waiting does not help, the attempts
// are used up, or ctx ends. do must be such that doing it twice is no harm. The
// error is the last attempt's: after attempts that broke off, an answer that
// Kubernetes gave to a later one stands for all.
func (c *Client) send(ctx context.Context, do func(ctx context.Context) error) error {
	for attempt := 1; ; attempt++ {
		if err := c.limiter.wait(ctx); err != nil {
			return err
		}
		err := c.attempt(ctx, do)
		if err == nil || attempt == maxAttempts || !worthAnother(err) || ctx.Err() != nil {
			return err
		}
		c.count.retried.Add(1)
		if !sleep(ctx, backoff(attempt)) {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

func (c *Client) attempt(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	return do(ctx)
}

// worthAnother says that the same request may succeed later: the connection
// broke, or the server says that it is the server's fault.
func worthAnother(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code == http.StatusTooManyRequests || code >= 500 && code != http.StatusNotImplemented
}

func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

// backoff is the wait after a failed attempt: doubled each time, half of it
// chance.
func backoff(attempt int) time.Duration {
	d := min(firstBackoff<<min(attempt-1, 20), maxBackoff)
	return d/2 + rand.N(d/2)
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// limiter holds requests back: to our own rate, and while an answer of the
// server has asked for a pause. The pause is for all requests, not only the one
// that was refused: the server is as busy for the others.
type limiter struct {
	bucket *rate.Limiter
	waited atomic.Int64 // nanoseconds, of all requests

	mu    sync.Mutex
	until time.Time // the end of the pause
}

func newLimiter(qps float64, burst int) *limiter {
	return &limiter{bucket: rate.NewLimiter(rate.Limit(qps), burst)}
}

// wait returns when a request may go, or with the reason that none may before
// ctx ends.
func (l *limiter) wait(ctx context.Context) error {
	started := time.Now()
	defer func() { l.waited.Add(int64(time.Since(started))) }()
	if err := l.heed(ctx); err != nil {
		return err
	}
	return l.bucket.Wait(ctx)
}

// heed returns when the pause is over, a little later for some than for others.
func (l *limiter) heed(ctx context.Context) error {
	for {
		pause := l.pause()
		if pause <= 0 {
			return nil
		}
		if !sleep(ctx, pause+rand.N(pause/5+time.Millisecond)) {
			return context.Cause(ctx)
		}
	}
}

func (l *limiter) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.until)
}

// hold lets no request go for so long.
func (l *limiter) hold(d time.Duration) {
	end := time.Now().Add(min(d, maxHold))
	l.mu.Lock()
	defer l.mu.Unlock()
	if end.After(l.until) {
		l.until = end
	}
}

// counters are Stats while they change.
type counters struct {
	requests, created, deleted, adopted, retried, throttled atomic.Uint64
	lists, watches, watchErrors, odd                        atomic.Uint64
	eventsSent, eventsDropped, eventsRepeated               atomic.Uint64
}

// Stats is what has been counted so far.
func (c *Client) Stats() Stats {
	n := &c.count
	return Stats{
		Requests: n.requests.Load(), Created: n.created.Load(), Deleted: n.deleted.Load(), Adopted: n.adopted.Load(),
		Retried: n.retried.Load(), Throttled: n.throttled.Load(), ThrottledTime: time.Duration(c.limiter.waited.Load()),
		Lists: n.lists.Load(), Watches: n.watches.Load(), WatchErrors: n.watchErrors.Load(), Odd: n.odd.Load(),
		EventsSent: n.eventsSent.Load(), EventsDropped: n.eventsDropped.Load(), EventsRepeated: n.eventsRepeated.Load(),
	}
}

// watchAnswers is the transport that counts requests and heeds those answers
// that ask for a pause.
func (c *Client) watchAnswers(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		c.count.requests.Add(1)
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		after := resp.Header.Get("Retry-After")
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 && after != "" {
			c.count.throttled.Add(1)
			pause := time.Second // when the answer does not say
			if s, err := strconv.Atoi(after); err == nil && s >= 0 {
				pause = time.Duration(min(s, int(maxHold/time.Second))) * time.Second
			}
			c.limiter.hold(pause)
		}
		return resp, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// warnings logs what the server remarks about requests, such as that a template
// does not meet the namespace's security standard; each remark once.
type warnings struct {
	log  *slog.Logger
	told once
}

// HandleWarningHeader is rest.WarningHandler's.
func (w *warnings) HandleWarningHeader(code int, _ string, text string) {
	if code == 299 && text != "" && w.told.first(text) {
		w.log.Warn("kubernetes remarks", "warning", text)
	}
}

// once remembers what has been logged.
type once struct {
	mu   sync.Mutex
	told map[string]bool
}

const maxOnce = 100 // more are not logged

// first says that this is new.
func (o *once) first(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.told[text] || len(o.told) >= maxOnce {
		return false
	}
	if o.told == nil {
		o.told = map[string]bool{}
	}
	o.told[text] = true
	return true
}
