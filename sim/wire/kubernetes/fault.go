package kubernetes

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Match chooses requests by their method (GET, POST, …) and their path. nil is
// every request.
type Match func(method, path string) bool

// Always is the count of a fault that goes on until Heal or its own end.
const Always = -1

// rule is a fault that requests meet.
type rule struct {
	match Match
	left  int // how many requests it still hits; Always
	code  int // refused with this HTTP status, when not 0
	// before and after are how long a request waits before it is carried out, and
	// its answer thereafter.
	before, after time.Duration
	cut           bool // its connection ends without an answer, once it is carried out
	down          bool // its connection ends at once
}

// faults are the faults in force.
type faults struct {
	mu      sync.Mutex
	rules   []*rule
	stalled chan struct{} // closed when the stall ends; nil when there is none
	watches map[*http.Request]context.CancelCauseFunc
}

func (f *faults) init() { f.watches = map[*http.Request]context.CancelCauseFunc{} }

func (f *faults) add(r rule) (end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &r)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rules = slices.DeleteFunc(f.rules, func(one *rule) bool { return one == &r })
	}
}

// meet answers what a request meets, all rules together.
func (f *faults) meet(method, path string) (met rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = slices.DeleteFunc(f.rules, func(r *rule) bool { return r.left == 0 })
	for _, r := range f.rules {
		if r.match != nil && !r.match(method, path) {
			continue
		}
		if r.left > 0 {
			r.left--
		}
		met.before += r.before
		met.after += r.after
		met.cut = met.cut || r.cut
		met.down = met.down || r.down
		if met.code == 0 {
			met.code = r.code
		}
	}
	return met
}

// unstalled waits for the end of a stall.
func (f *faults) unstalled(ctx context.Context) {
	for {
		f.mu.Lock()
		stalled := f.stalled
		f.mu.Unlock()
		if stalled == nil {
			return
		}
		select {
		case <-stalled:
		case <-ctx.Done():
			return
		}
	}
}

// Refuse answers n requests (Always: all) that match with an HTTP status, in the
// API's own form, and carries none of them out. 429 and 503 carry Retry-After: 1.
// The fault ends with end, with Heal, or when n have met it.
func (s *Server) Refuse(n, code int, match Match) (end func()) {
	return s.faults.add(rule{match: match, left: n, code: code})
}

// Delay makes n requests that match wait before they are carried out.
func (s *Server) Delay(n int, d time.Duration, match Match) (end func()) {
	return s.faults.add(rule{match: match, left: n, before: d})
}

// AnswerLate carries n requests that match out at once, and holds their answers
// back for d.
func (s *Server) AnswerLate(n int, d time.Duration, match Match) (end func()) {
	return s.faults.add(rule{match: match, left: n, after: d})
}

// AnswerThenCut carries n requests that match out, and then cuts their
// connections instead of answering: the client cannot know whether they were.
func (s *Server) AnswerThenCut(n int, match Match) (end func()) {
	return s.faults.add(rule{match: match, left: n, cut: true})
}

// Drop cuts the connections of n requests that match, and carries none of them
// out. With Always and no match, and after CutWatches, the API is down.
func (s *Server) Drop(n int, match Match) (end func()) {
	return s.faults.add(rule{match: match, left: n, down: true})
}

// Stall holds every request and every watch still, connections stay open, until
// it is turned off.
func (s *Server) Stall(on bool) {
	f := &s.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case on && f.stalled == nil:
		f.stalled = make(chan struct{})
	case !on && f.stalled != nil:
		close(f.stalled)
		f.stalled = nil
	}
}

// Heal ends every fault of requests, stalls included. Lost nodes, hung and
// failed pods stay as they are.
func (s *Server) Heal() {
	s.faults.mu.Lock()
	s.faults.rules = nil
	s.faults.mu.Unlock()
	s.Stall(false)
}

// CutWatches cuts the connection of every watch and every followed log.
func (s *Server) CutWatches() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	for _, cut := range s.faults.watches {
		cut(errCut)
	}
}

// Compact forgets all changes so far: a watch from before, and the rest of a
// list in pages, is answered 410. Watches that are up to date go on; who wants
// them to meet the 410 cuts them after.
func (s *Server) Compact() { s.store.compact() }

// errCut is why a watch ends whose connection is cut.
var errCut = refusal(http.StatusInternalServerError, metav1.StatusReasonInternalError, "the connection was cut")

// stream registers a long answer, so that CutWatches finds it.
func (s *Server) stream(r *http.Request) (ctx context.Context, end func()) {
	ctx, cut := context.WithCancelCause(r.Context())
	s.faults.mu.Lock()
	s.faults.watches[r] = cut
	s.faults.mu.Unlock()
	return ctx, func() {
		s.faults.mu.Lock()
		delete(s.faults.watches, r)
		s.faults.mu.Unlock()
		cut(nil)
	}
}

// refused is the answer of a request that met Refuse.
func refused(code int) error {
	reason := metav1.StatusReasonUnknown
	switch code {
	case http.StatusUnauthorized:
		reason = metav1.StatusReasonUnauthorized
	case http.StatusForbidden:
		reason = metav1.StatusReasonForbidden
	case http.StatusNotFound:
		reason = metav1.StatusReasonNotFound
	case http.StatusConflict:
		reason = metav1.StatusReasonConflict
	case http.StatusGone:
		reason = metav1.StatusReasonExpired
	case http.StatusTooManyRequests:
		reason = metav1.StatusReasonTooManyRequests
	case http.StatusInternalServerError:
		reason = metav1.StatusReasonInternalError
	case http.StatusServiceUnavailable:
		reason = metav1.StatusReasonServiceUnavailable
	case http.StatusGatewayTimeout:
		reason = metav1.StatusReasonTimeout
	}
	err := refusal(code, reason, "refused by a fault of the simulation: %s", strings.ToLower(http.StatusText(code)))
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	}
	return err
}

// wait waits for d, and says whether it did to the end.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
