package rest

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"time"

	"dacorch/orchestrator/api"
)

// Events is what the event stream is read from: the last events of this
// process, of all kinds, in one ring that every reader shares. A reader that
// falls behind by more than the ring is cut; one that comes again with an id
// that the ring still holds misses nothing.
type Events struct {
	stream string // tells this process's ids from another's
	now    func() time.Time

	mu   sync.Mutex
	ring []api.Event   // event n stands at n % len(ring)
	next uint64        // number of the next event; the first is 1
	wake chan struct{} // closed at the next Publish; nil while nobody waits
}

// NewEvents makes a stream that remembers the last capacity events: 16 to
// 1<<20; 0 stands for 4096, which take about 1 MiB.
func NewEvents(capacity int) *Events {
	if capacity == 0 {
		capacity = 4096
	}
	return &Events{
		stream: strings.ToLower(rand.Text()[:10]),
		now:    time.Now,
		ring:   make([]api.Event, min(max(capacity, 16), 1<<20)),
		next:   1,
	}
}

// Publish appends an event. It sets its ID, and At unless it is set; it never
// waits for a reader. Nothing that the event points to may change afterwards.
func (e *Events) Publish(ev api.Event) {
	if ev.At.IsZero() {
		ev.At = e.now().UTC()
	}
	e.mu.Lock()
	ev.ID = e.id(e.next)
	e.ring[e.next%uint64(len(e.ring))] = ev
	e.next++
	wake := e.wake
	e.wake = nil
	e.mu.Unlock()
	if wake != nil {
		close(wake)
	}
}

func (e *Events) id(n uint64) string { return e.stream + "-" + strconv.FormatUint(n, 10) }

// wanted says which events recent is asked for. The zero fields stand for all.
type wanted struct {
	kind       string
	instance   int // anyInstance for all
	resourceID string
	typ        api.EventType
}

const anyInstance, maxInstance = -1, 1<<31 - 1

func (w *wanted) matches(ev *api.Event) bool {
	is := func(n *int) bool { return n != nil && *n == w.instance }
	return (w.kind == "" || ev.Resource == w.kind) && (w.typ == "" || ev.Type == w.typ) &&
		(w.resourceID == "" || ev.ResourceID == w.resourceID) &&
		(w.instance == anyInstance || is(ev.Instance) || is(ev.From) || is(ev.To))
}

// recentTurn is how many events are looked at before whoever publishes gets a
// turn.
const recentTurn = 256

// recent answers the latest events that are wanted, newest first, at most limit.
func (e *Events) recent(w *wanted, limit int) api.Recent {
	e.mu.Lock()
	at := e.next - 1 // the next to look at, downwards
	e.mu.Unlock()
	r := api.Recent{Events: []api.Event{}, Last: e.id(at)}
	for at > 0 {
		if !e.turn(w, limit, &at, &r) {
			return r
		}
	}
	r.Complete = true
	return r
}

// turn goes on with recent. It says whether what is older may still be told.
func (e *Events) turn(w *wanted, limit int, at *uint64, r *api.Recent) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	oldest := e.oldest()
	for range recentTurn {
		if *at < oldest {
			return *at == 0
		}
		if ev := &e.ring[*at%uint64(len(e.ring))]; w.matches(ev) {
			if len(r.Events) == limit {
				return false
			}
			r.Events = append(r.Events, *ev)
		}
		*at--
	}
	return true
}

// reader is one reader's place in the stream.
type reader struct {
	events *Events
	kind   string // of the events wanted; empty for all
	at     uint64 // number of the next event to look at
}

// from begins a reader after the event named last, or with the next event when
// last is empty. lost says that events after last, or last itself, are no longer
// remembered, and how many, 0 when that is not known.
func (e *Events) from(kind, last string) (r *reader, gap bool, lost int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r = &reader{events: e, kind: kind, at: e.next}
	if last == "" {
		return r, false, 0
	}
	number, ours := strings.CutPrefix(last, e.stream+"-")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ours || err != nil || n >= e.next {
		return r, true, 0
	}
	r.at = n + 1
	if oldest := e.oldest(); r.at < oldest {
		lost, r.at = int(oldest-r.at), oldest
		if kind != "" {
			lost = 0 // how many of them were of the kind is forgotten
		}
		return r, true, lost
	}
	return r, false, 0
}

// oldest is the number of the first event that the ring holds.
func (e *Events) oldest() uint64 {
	if size := uint64(len(e.ring)); e.next > size {
		return e.next - size
	}
	return 1
}

// place is the id after which the reader goes on.
func (r *reader) place() string { return r.events.id(r.at - 1) }

// read appends the events that are there to buf, up to its capacity. With none
// it answers a channel that is closed when there may be some. ok is false when
// events that the reader has not seen were overwritten.
func (r *reader) read(buf []api.Event) (events []api.Event, more <-chan struct{}, ok bool) {
	e := r.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.at < e.oldest() {
		return buf, nil, false
	}
	for ; r.at < e.next && len(buf) < cap(buf); r.at++ {
		if ev := &e.ring[r.at%uint64(len(e.ring))]; r.kind == "" || ev.Resource == r.kind {
			buf = append(buf, *ev)
		}
	}
	if len(buf) > 0 || r.at < e.next {
		return buf, nil, true
	}
	if e.wake == nil {
		e.wake = make(chan struct{})
	}
	return buf, e.wake, true
}
