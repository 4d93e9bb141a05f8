// Package timeline is the simulator's clock: events that fire in the order of
// their virtual time, and named streams of random numbers that split off one
// seed. It reads no clock and starts no goroutine: time passes only in Step and Pass, so
// the same schedule and the same seed give the same run.
package timeline

import (
	"math"
	"time"
)

// Handler receives its events when their time comes. op, arg and data are the
// handler's own; now equals Timeline.Now. It may schedule and cancel freely.
type Handler interface {
	Handle(now time.Duration, op uint32, arg int64, data any)
}

// Timeline holds the events to come and the current virtual time. It is for one
// goroutine. Scheduling and firing cost O(log n); neither allocates once the
// timeline has been as long before (data that is no pointer may be boxed by the
// caller; arg is for that). Memory follows the largest number of events pending
// at once.
type Timeline struct {
	now   time.Duration
	fired uint64
	seq   uint64 // of the newest event; 0 is no event

	heap  []entry // 4-ary min-heap by (at, seq); may hold entries of cancelled events
	slab  []event // what the entries stand for
	free  uint32  // head of the list of free slots, plus one; 0 is none
	stale int     // entries in heap whose event has been cancelled
}

// entry is what the heap moves: 24 bytes, so that the four children of a node
// fill one and a half cache lines and comparisons never touch the slab.
type entry struct {
	at   time.Duration
	seq  uint64
	slot uint32
}

func (e *entry) before(o *entry) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

type event struct {
	h    Handler
	data any
	arg  int64
	seq  uint64 // 0 while the slot is free
	op   uint32
	next uint32 // in the free list, plus one; 0 is none
}

// Token names a scheduled event. The zero Token names none.
type Token struct {
	seq  uint64 // the generation: no two events share one
	slot uint32
}

// New is an empty timeline at time 0.
func New() *Timeline { return &Timeline{} }

// Now is the current virtual time: that of the event fired last.
func (t *Timeline) Now() time.Duration { return t.now }

// Fired counts the events fired so far.
func (t *Timeline) Fired() uint64 { return t.fired }

// Len counts the events to come; cancelled ones do not count.
func (t *Timeline) Len() int { return len(t.heap) - t.stale }

// At schedules an event. A time before Now is treated as Now. Events of equal
// time fire in the order in which they were scheduled.
func (t *Timeline) At(at time.Duration, h Handler, op uint32, arg int64, data any) Token {
	t.seq++
	e := entry{at: max(at, t.now), seq: t.seq}
	if t.free == 0 {
		t.slab = append(t.slab, event{})
		t.free = uint32(len(t.slab))
	}
	e.slot = t.free - 1
	ev := &t.slab[e.slot]
	t.free = ev.next
	*ev = event{h: h, data: data, arg: arg, seq: e.seq, op: op}
	t.heap = append(t.heap, e)
	t.up(len(t.heap) - 1)
	return Token{seq: e.seq, slot: e.slot}
}

// After schedules an event d from now; a negative d is treated as 0. A time
// past the largest Duration (292 years) is treated as that.
func (t *Timeline) After(d time.Duration, h Handler, op uint32, arg int64, data any) Token {
	at := time.Duration(math.MaxInt64)
	if d <= at-t.now {
		at = t.now + d
	}
	return t.At(at, h, op, arg, data)
}

// Cancel takes an event back and says whether it was still to come. Cancelling
// one that has fired, was cancelled before, or the zero Token does nothing.
func (t *Timeline) Cancel(token Token) bool {
	if token.seq == 0 || int(token.slot) >= len(t.slab) || t.slab[token.slot].seq != token.seq {
		return false
	}
	t.release(token.slot)
	t.stale++
	// A timer that is armed and cancelled over and over must not fill the heap
	// until its time comes: once most entries are stale they are swept out, at a
	// cost that the cancellations since the last sweep have paid for.
	if t.stale > 64 && t.stale > len(t.heap)/2 {
		t.sweep()
	}
	return true
}

// Next is the time of the earliest event to come; false when there is none.
func (t *Timeline) Next() (time.Duration, bool) {
	if !t.settle() {
		return 0, false
	}
	return t.heap[0].at, true
}

// Step moves the clock to the earliest event and fires it; false, and nothing
// happens, when there is none.
func (t *Timeline) Step() bool {
	if !t.settle() {
		return false
	}
	e := t.heap[0]
	ev := t.slab[e.slot]
	t.pop()
	t.release(e.slot)
	t.now = e.at
	t.fired++
	ev.h.Handle(e.at, ev.op, ev.arg, ev.data)
	return true
}

// Pass moves the clock on, to a moment before which nothing is due any more; it
// stops short at the earliest event to come, which stays to be fired.
func (t *Timeline) Pass(to time.Duration) {
	if at, ok := t.Next(); ok {
		to = min(to, at)
	}
	t.now = max(t.now, to)
}

// settle drops cancelled events from the top of the heap and says whether any
// event is left.
func (t *Timeline) settle() bool {
	for len(t.heap) > 0 {
		top := &t.heap[0]
		if t.slab[top.slot].seq == top.seq {
			return true
		}
		t.pop()
		t.stale--
	}
	return false
}

// release frees a slot; data and handler go at once, so that nothing keeps them alive.
func (t *Timeline) release(slot uint32) {
	t.slab[slot] = event{next: t.free}
	t.free = slot + 1
}

// sweep removes every stale entry and restores the heap's order. What fires
// when does not depend on it: (at, seq) orders events totally.
func (t *Timeline) sweep() {
	live := t.heap[:0]
	for _, e := range t.heap {
		if t.slab[e.slot].seq == e.seq {
			live = append(live, e)
		}
	}
	t.heap, t.stale = live, 0
	for i := (len(live) - 2) / 4; i >= 0; i-- {
		t.down(i)
	}
}

// pop removes the heap's first entry.
func (t *Timeline) pop() {
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap = t.heap[:last]
	if last > 1 {
		t.down(0)
	}
}

func (t *Timeline) up(i int) {
	h := t.heap
	e := h[i]
	for i > 0 {
		parent := (i - 1) / 4
		if h[parent].before(&e) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

func (t *Timeline) down(i int) {
	h := t.heap
	e := h[i]
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, len(h)); child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if e.before(&h[least]) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
}
