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
// that the ring still holds misses nothing. Those that come seldom are
// remembered for longer, for who asks what has happened (recent.go).
type Events struct {
	stream string // tells this process's ids from another's
	now    func() time.Time

	mu   sync.Mutex
	ring []api.Event   // event n stands at n % len(ring), without its ID
	rare rare          // the latest of those that are no moves and no commits
	next uint64        // number of the next event; the first is 1
	wake chan struct{} // closed at the next Publish; nil while nobody waits

	// Of the latest Rewind; before the first, the numbers are 1.
	begin uint64 // number of the first event that is remembered
	whole bool   // nothing had happened before it
	base  uint64 // number of the first event that readers get
}

// NewEvents makes a stream that remembers the last capacity events: 16 to
// 1<<20; 0 stands for 4096, which take about 1 MiB. Of those that are no moves
// and no commits it remembers a quarter as many besides.
func NewEvents(capacity int) *Events {
	if capacity == 0 {
		capacity = 4096
	}
	capacity = min(max(capacity, 16), 1<<20)
	return &Events{
		stream: strings.ToLower(rand.Text()[:10]),
		now:    time.Now,
		ring:   make([]api.Event, capacity),
		rare:   rare{most: capacity / 4},
		next:   1,
		begin:  1,
		whole:  true,
		base:   1,
	}
}

// Publish appends an event. It gives it an ID, and At unless that is set; it never
// waits for a reader. Nothing that the event points to may change afterwards.
func (e *Events) Publish(ev api.Event) {
	if ev.At.IsZero() {
		ev.At = e.now().UTC()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.append(ev)
	e.awake()
}

// append puts an event behind all others, under the lock.
func (e *Events) append(ev api.Event) {
	ev.ID = "" // whoever reads makes it of the number: most events nobody reads
	e.ring[e.next%uint64(len(e.ring))] = ev
	if comesSeldom(ev.Type) {
		e.rare.add(e.next, ev)
	}
	e.next++
}

// awake tells who waits for an event, under the lock.
func (e *Events) awake() {
	if e.wake != nil {
		close(e.wake)
		e.wake = nil
	}
}

// Remembers is how many events are remembered at most.
func (e *Events) Remembers() int { return len(e.ring) }

// Rewind replaces all that is remembered by what had happened at another moment:
// past, the oldest first, each with its At; whole says that nothing had happened
// before. Whoever reads the stream gets nothing of it but now, which tells of the
// jump.
func (e *Events) Rewind(past []api.Event, whole bool, now api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begin, e.whole = e.next, whole
	for _, ev := range past {
		e.append(ev)
	}
	e.base = e.next
	e.append(now)
	e.awake()
}

func (e *Events) id(n uint64) string { return e.stream + "-" + strconv.FormatUint(n, 10) }

// reader is one reader's place in the stream.
type reader struct {
	events *Events
	kind   string // of the events wanted, besides those about all; empty for all
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
	r.at = max(n+1, e.base)
	if oldest := e.oldest(); r.at < oldest {
		lost, r.at = int(oldest-r.at), oldest
		if kind != "" {
			lost = 0 // how many of them were of the kind is forgotten
		}
		return r, true, lost
	}
	return r, false, 0
}

// oldest is the number of the first event that is remembered.
func (e *Events) oldest() uint64 {
	if size := uint64(len(e.ring)); e.next > size {
		return max(e.next-size, e.begin)
	}
	return e.begin
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
	r.at = max(r.at, e.base)
	if r.at < e.oldest() {
		return buf, nil, false
	}
	for ; r.at < e.next && len(buf) < cap(buf); r.at++ {
		if ev := &e.ring[r.at%uint64(len(e.ring))]; r.kind == "" || ev.Resource == "" || ev.Resource == r.kind {
			buf = append(buf, *ev)
			buf[len(buf)-1].ID = e.id(r.at)
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
