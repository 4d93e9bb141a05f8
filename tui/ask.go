package tui

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// The bounds of asking.
const (
	maxReads  = 4                // queries under way at once
	keepFor   = 30 * time.Second // an answer that nothing needs
	maxPeriod = 30 * time.Second // between an answer and the next attempt
	minPeriod = 250 * time.Millisecond
	stillOnly = 5 * time.Second // the shortest period while nothing can change
	share     = 10              // a query may keep the server busy for one part in so many
)

// asker decides which queries are asked when. It knows no clock and does no
// I/O: whoever calls starts what due answers and brings what came of it to done.
type asker struct {
	answers map[data.Query]*data.Answer
	asks    map[data.Query]*ask
	running int
	serial  int // of the last attempt
	moment  int // rises when another moment is shown: what was asked before is of another
}

// ask is what is remembered of a query beside its answer.
type ask struct {
	serial  int // of the attempt under way; 0: none is
	moment  int // when it began
	began   time.Time
	ended   time.Time // of the last attempt
	needed  time.Time // the last time that somebody needed it
	took    time.Duration
	fails   int // in a row
	cancel  context.CancelFunc
	dropped bool // nobody needs it any longer: what comes of it does not count
	lagged  bool // the last answer was of another moment, and did not count
}

// start is a query to be asked now. Its context ends when nobody needs the answer
// any longer; whoever asks bounds its time.
type start struct {
	query  data.Query
	serial int
	ctx    context.Context
}

func newAsker() *asker {
	return &asker{answers: map[data.Query]*data.Answer{}, asks: map[data.Query]*ask{}}
}

// due answers what is to be asked now of what is needed, most important first,
// and the time of the next one; zero: none is foreseen. With still, nothing
// changes by itself: it is asked rarely. At most most are under way.
func (a *asker) due(ctx context.Context, now time.Time, needs []data.Query, still bool, most int) (begin []start, next time.Time) {
	for _, q := range needs {
		at := a.asks[q]
		if at == nil {
			at = &ask{}
			a.asks[q], a.answers[q] = at, &data.Answer{}
		}
		at.needed = now
		if at.serial != 0 {
			continue
		}
		when := a.next(q, at, still)
		if when.After(now) {
			next = sooner(next, when)
			continue
		}
		if a.running >= most {
			continue // one that ends brings us here again
		}
		begin = append(begin, a.begin(ctx, now, q, at))
	}
	a.forget(now)
	return begin, next
}

func (a *asker) begin(ctx context.Context, now time.Time, q data.Query, at *ask) start {
	a.serial++
	a.running++
	ctx, cancel := context.WithCancel(ctx)
	at.serial, at.moment, at.began, at.cancel, at.dropped = a.serial, a.moment, now, cancel, false
	answer := a.answers[q]
	answer.Loading, answer.Stale = true, false
	return start{q, at.serial, ctx}
}

// forget gives up what nobody needs: at once what is under way, later what has
// been answered.
func (a *asker) forget(now time.Time) {
	for q, at := range a.asks {
		switch {
		case at.needed.Equal(now):
		case at.serial != 0:
			at.dropped = true
			at.cancel()
		case now.Sub(at.needed) > keepFor:
			delete(a.asks, q)
			delete(a.answers, q)
		}
	}
}

// next is when a query is to be asked.
func (a *asker) next(q data.Query, at *ask, still bool) time.Time {
	answer := a.answers[q]
	switch {
	case at.ended.IsZero():
		return time.Time{}
	case at.fails > 0 && hopeless(answer.Err):
		return at.ended.Add(stillOnly)
	case at.fails > 0:
		return at.ended.Add(backoff(at.fails))
	case answer.Stale:
		return at.ended.Add(min(max(minPeriod, share*at.took), maxPeriod))
	}
	period := min(max(periodOf(q, a.answers), share*at.took), maxPeriod)
	if still {
		period = max(period, stillOnly)
	}
	return at.ended.Add(period)
}

// periodOf is how often a query is asked when it is answered at once.
func periodOf(q data.Query, answers map[data.Query]*data.Answer) time.Duration {
	switch q.What {
	case data.AskAbout:
		return maxPeriod
	case data.AskClock:
		if a := answers[q]; a != nil {
			if c, ok := a.Value.(api.Clock); ok && !c.Paused {
				return minPeriod
			}
		}
	case data.AskKinds, data.AskTimeline, data.AskFaults, data.AskReorchestrations, data.AskPod, data.AskMoves, data.AskList, data.AskSearch:
		return 2 * time.Second
	case data.AskPlan, data.AskHealth:
		return 5 * time.Second
	}
	return time.Second
}

// backoff is how long to wait after so many failures in a row, without jitter.
func backoff(fails int) time.Duration { return min(time.Second<<min(fails-1, 10), 10*time.Second) }

// jitter is a time that differs by up to a fifth, so that those who wait for the
// same server do not come back as one.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }

// result is what came of an attempt.
type result struct {
	query  data.Query
	serial int
	value  any
	err    error
}

// done takes the result of an attempt, and says whether it counts: not when it was
// given up, and not when it is of another moment. Of two such in a row the second
// counts, so that something moves before whoever runs through the time.
func (a *asker) done(now time.Time, r result) bool {
	at := a.asks[r.query]
	if at == nil || at.serial != r.serial {
		return false
	}
	a.running--
	at.cancel()
	at.serial = 0
	answer := a.answers[r.query]
	answer.Loading = false
	if at.dropped || errors.Is(r.err, context.Canceled) {
		answer.Stale = true
		return false
	}
	at.ended, at.took = now, now.Sub(at.began)
	answer.Took, answer.Err = at.took, r.err
	if at.moment != a.moment {
		answer.Stale, at.ended = true, time.Time{}
		if !at.lagged || r.err != nil {
			answer.Err, at.lagged = nil, true
			return false
		}
	}
	at.lagged = false
	if r.err != nil {
		at.fails++
		return true
	}
	at.fails = 0
	answer.Value, answer.At = r.value, now
	return true
}

// stale marks answers as such: they are asked again soon.
func (a *asker) stale(which func(data.Query) bool) {
	for q, answer := range a.answers {
		if which(q) {
			answer.Stale = true
		}
	}
}

// jump says that another moment is shown: all that is known, or under way, is of
// another.
func (a *asker) jump() {
	a.moment++
	for q, at := range a.asks {
		if q.What != data.AskAbout {
			a.answers[q].Stale = true
			at.took, at.fails = min(at.took, minPeriod/share), 0
		}
	}
}

// retry forgets what has failed: all is asked anew, at once.
func (a *asker) retry() {
	for _, at := range a.asks {
		at.fails = 0
	}
	a.again()
}

// waiting is for how long the oldest query has been under way.
func (a *asker) waiting(now time.Time) (d time.Duration) {
	for _, at := range a.asks {
		if at.serial != 0 {
			d = max(d, now.Sub(at.began))
		}
	}
	return d
}

// sooner is the earlier of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// again lets what has failed be tried now.
func (a *asker) again() {
	for _, at := range a.asks {
		if at.serial == 0 {
			at.ended = time.Time{}
		}
	}
}
