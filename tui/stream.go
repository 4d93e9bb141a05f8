package tui

import (
	"context"
	"strings"
	"sync"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// The bounds of what the event stream brings to Update.
const (
	batchEvery  = 100 * time.Millisecond
	batchMoves  = 250    // events of moves in a batch
	batchOthers = 250    // and others
	batchPlaces = 20_000 // instances whose moves are counted
	batchKinds  = 1000   // kinds that are told apart
	clipText    = 2048   // bytes of each text of an event
	recentMost  = 1000   // events that are read at the start: the most that a server gives
)

// batch is what the event stream has told since the batch before.
type batch struct {
	events  []api.Event // oldest first, without gaps and byes
	seen    int         // events, also those left out
	skipped int         // left out of events: here, or by the server
	flows   map[data.Place]data.Flow
	stale   map[string]touched // by kind
	fresh   bool               // events are all that is to be known: what was known before is of another moment, or has a gap
	gap     bool               // the server has left out events: anything may have changed
	jumped  bool               // another moment is shown
	err     error              // why the stream is not there; nil: it is

	moves, others int // that are in events
}

// touched says what of a kind events have told of.
type touched struct {
	instances map[int]bool // of events about one instance; nil with all
	ids       map[string]bool
	all       bool // of too many to be told apart
	runs      bool // of a re-orchestration
}

// stream reads events into a batch that waits to be taken.
type stream struct {
	server server
	mu     sync.Mutex
	next   batch
	ready  chan struct{} // holds a token while next has something
	done   chan struct{} // closed when follow has ended
}

func newStream(s server) *stream {
	return &stream{server: s, ready: make(chan struct{}, 1), done: make(chan struct{})}
}

// follow reads until ctx ends. After each jump in time it begins anew: with the
// latest events of the moment shown.
func (s *stream) follow(ctx context.Context) {
	defer close(s.done)
	for fails := 0; ctx.Err() == nil; {
		ok, err := s.read(ctx)
		if ok {
			fails = 0
		}
		if err == nil {
			if pause(ctx, batchEvery) != nil { // jumps may come quickly
				return
			}
			continue
		}
		fails++
		s.change(func(b *batch) { b.err = explain(err, "") })
		wait := backoff(fails)
		if hopeless(err) {
			wait = maxPeriod
		}
		if pause(ctx, jitter(wait)) != nil {
			return
		}
	}
}

// read reads the latest events and what follows them, until the moment shown
// jumps (nil), or the stream cannot be read. ok says that something came.
func (s *stream) read(ctx context.Context) (ok bool, err error) {
	attempt, cancel := context.WithTimeout(ctx, askFor)
	v, err := s.server.ask(attempt, data.Query{What: data.AskRecent, Instance: -1, N: recentMost})
	cancel()
	recent, _ := v.(api.Recent)
	if err != nil && !hopeless(err) {
		return false, err
	}
	s.change(func(b *batch) {
		*b = batch{fresh: true, seen: b.seen, skipped: b.skipped, gap: b.gap, jumped: b.jumped, stale: b.stale, flows: b.flows}
		for i := min(len(recent.Events), recentMost) - 1; i >= 0; i-- {
			b.events = append(b.events, clip(recent.Events[i]))
		}
	})
	for ev, err := range s.server.events(ctx, recent.Last) {
		if err != nil {
			if hopeless(err) || ctx.Err() != nil {
				return ok, err
			}
			s.change(func(b *batch) { b.err = explain(err, "") })
			continue
		}
		ok = true
		s.change(func(b *batch) { b.add(ev) })
		if ev.Type == api.EventTime {
			return true, nil
		}
	}
	return ok, context.Cause(ctx)
}

func (s *stream) change(f func(*batch)) {
	s.mu.Lock()
	f(&s.next)
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// take waits until there is something and answers it; false when ctx has ended.
func (s *stream) take(ctx context.Context) (batch, bool) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return batch{}, false
	}
	if pause(ctx, batchEvery) != nil { // so much comes at once, and not more often
		return batch{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.next
	s.next = batch{err: b.err}
	return b, true
}

// pause waits, or answers why ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// add takes one event of the stream.
func (b *batch) add(ev api.Event) {
	b.err = nil
	switch ev.Type {
	case api.EventGap:
		b.skipped += min(max(ev.Count, 0), 1<<40)
		b.gap = true
		return
	case api.EventTime:
		b.jumped = true
		return
	case api.EventBye:
		return
	}
	b.seen++
	b.touch(&ev)
	if ev.Type == api.EventMove {
		b.flow(ev.Resource, ev.From, data.Flow{Out: 1})
		b.flow(ev.Resource, ev.To, data.Flow{In: 1})
	}
	in, most := &b.others, batchOthers
	if ev.Type == api.EventMove {
		in, most = &b.moves, batchMoves
	}
	if *in >= most {
		b.skipped++
		return
	}
	*in++
	b.events = append(b.events, clip(ev))
}

// clip bounds what an event takes: a server may send texts of any length.
func clip(ev api.Event) api.Event {
	for _, text := range []*string{&ev.ID, (*string)(&ev.Type), &ev.Resource, &ev.ResourceID, &ev.Code, &ev.Text} {
		if len(*text) > clipText {
			*text = strings.ToValidUTF8((*text)[:clipText], "") + "…"
		}
	}
	return ev
}

func (b *batch) flow(kind string, instance *int, f data.Flow) {
	if instance == nil {
		return
	}
	at := data.Place{Kind: kind, Instance: *instance}
	if b.flows == nil {
		b.flows = map[data.Place]data.Flow{}
	}
	sum, known := b.flows[at]
	if !known && len(b.flows) >= batchPlaces {
		return
	}
	b.flows[at] = data.Flow{In: sum.In + f.In, Out: sum.Out + f.Out}
}

// touchMost is how many instances and ids of a kind a batch tells apart.
const touchMost = 200

func (b *batch) touch(ev *api.Event) {
	if b.stale == nil {
		b.stale = map[string]touched{}
	}
	t, known := b.stale[ev.Resource]
	if !known && len(b.stale) >= batchKinds {
		b.gap = true
		return
	}
	if ev.Type == api.EventProgress {
		t.runs = true
	}
	if len(t.instances)+len(t.ids) > touchMost {
		t.all = true
	}
	if !t.all {
		for _, in := range []*int{ev.Instance, ev.From, ev.To} {
			if in != nil {
				if t.instances == nil {
					t.instances = map[int]bool{}
				}
				t.instances[*in] = true
			}
		}
		if ev.ResourceID != "" {
			if t.ids == nil {
				t.ids = map[string]bool{}
			}
			t.ids[ev.ResourceID] = true
		}
	}
	b.stale[ev.Resource] = t
}

// touches says whether a query's answer may be another after what was told.
func (b *batch) touches(q data.Query) bool {
	switch q.What {
	case data.AskKinds:
		return len(b.stale) > 0
	case data.AskAbout, data.AskClock, data.AskTimeline, data.AskFaults, data.AskHealth, data.AskPlan:
		return false
	}
	t, ok := b.stale[q.Kind]
	if !ok {
		return false
	}
	switch q.What {
	case data.AskReorchestrations:
		return t.runs
	case data.AskPod, data.AskList:
		return t.all || t.instances[q.Instance]
	case data.AskMoves:
		return t.all || t.ids[q.Text]
	case data.AskRecent:
		return t.all || q.Text == "" && (q.Instance < 0 || t.instances[q.Instance]) || q.Text != "" && t.ids[q.Text]
	case data.AskSearch:
		return t.all || len(t.ids) > 0
	}
	return true
}
