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
	done          bool // it is carried out before it is refused
	cut           bool // its connection ends without an answer, once it is carried out
	down          bool // its connection ends at once
}

// faults are the faults in force.
type faults struct {
	mu      sync.Mutex
	rules   []*rule
	judge   func(Request) Verdict
	stalled chan struct{} // closed when the stall ends; nil when there is none
	silent  chan struct{} // the same, of watches
	late    time.Duration // of watches
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

// Request is a request as Judge sees it.
type Request struct {
	Method, Path string
	Watch        bool
}

// Verdict is what Judge wants done with a request. The zero value is nothing.
type Verdict struct {
	Late time.Duration // it is carried out so much later
	Code int           // it is refused with this HTTP status, as Refuse does, when not 0
	Done bool          // and yet carried out
}

// Judge has f decide what becomes of each request, besides all other faults; nil
// for nothing. f is called before the request is carried out, on several
// goroutines at once; while it does not return, the request waits.
func (s *Server) Judge(f func(Request) Verdict) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.judge = f
}

// meet answers what a request meets, all rules together.
func (f *faults) meet(r *http.Request) rule {
	f.mu.Lock()
	judge, met := f.judge, f.ruled(r.Method, r.URL.Path)
	f.mu.Unlock()
	if judge != nil {
		v := judge(Request{r.Method, r.URL.Path, r.URL.Query().Has("watch")})
		met.before += v.Late
		if met.code == 0 {
			met.code, met.done = v.Code, v.Done
		}
	}
	return met
}

func (f *faults) ruled(method, path string) (met rule) {
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
func (f *faults) unstalled(ctx context.Context) { f.free(ctx, &f.stalled) }

// free waits until a gate is open.
func (f *faults) free(ctx context.Context, gate *chan struct{}) {
	for {
		f.mu.Lock()
		closed := *gate
		f.mu.Unlock()
		if closed == nil {
			return
		}
		select {
		case <-closed:
		case <-ctx.Done():
			return
		}
	}
}

// bar closes a gate, or opens it.
func (f *faults) bar(gate *chan struct{}, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case on && *gate == nil:
		*gate = make(chan struct{})
	case !on && *gate != nil:
		close(*gate)
		*gate = nil
	}
}

// audible waits until watches may tell what has come, and then for as long as
// they are late.
func (f *faults) audible(ctx context.Context) {
	f.mu.Lock()
	late := f.late
	f.mu.Unlock()
	wait(ctx, late)
	f.free(ctx, &f.silent)
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
func (s *Server) Stall(on bool) { s.faults.bar(&s.faults.stalled, on) }

// SilenceWatches has watches tell nothing, old ones and new, until it is turned
// off: then they tell all of it. Their connections stay open.
func (s *Server) SilenceWatches(on bool) { s.faults.bar(&s.faults.silent, on) }

// DelayWatches has watches tell of what happens from now on at least d later, and
// at most about twice as late.
func (s *Server) DelayWatches(d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.late = max(d, 0)
}

// Heal ends every fault of requests, stalls included. Lost nodes, hung and
// failed pods stay as they are.
func (s *Server) Heal() {
	s.faults.mu.Lock()
	s.faults.rules, s.faults.judge, s.faults.late = nil, nil, 0
	s.faults.mu.Unlock()
	s.Stall(false)
	s.SilenceWatches(false)
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
