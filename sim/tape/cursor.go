package tape

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// cursor is the machines as they were at some moment. It goes on from where it
// stands where it can. Behind itself it keeps what it has told the machines last,
// in windows, each with their state at its beginning: going back a little needs no
// reading.
type cursor struct {
	t *Tape
	crew
	place
	segment int // the number of the one that it is in
	valid   bool

	windows []window
	win     int // the window that it is in
	next    int // the entry of it that comes next

	r    *recording.Reader // nil: it has to be opened
	in   io.Closer
	read int // entries of the segment that were read
	open int // entries that it had when it was opened
}

// window is a part of a segment.
type window struct {
	start  place
	frames []keyframe
	steps  []step
	bytes  int // of frames and steps, about
	heavy  int // of it, the steps'
}

// step is an entry, and how many events have happened with it.
type step struct {
	n int64
	recording.Entry
}

// The bounds of the windows.
const (
	windowEntries = 1 << 11 // at least, of a window; more for large kinds
	windowBytes   = 4 << 20 // of a window's entries; as much more as its frames take
	windowsBytes  = 96 << 20
)

// seek brings the machines to the moment after all events up to the one numbered
// n, and all that happened up to at.
func (c *cursor) seek(to stamp) error {
	s := c.t.segmentOf(to)
	if s == nil {
		return fmt.Errorf("tape: %v, event %d: nothing is kept but from %v, event %d, to %v, event %d", to.at, to.n,
			c.t.Begin(), c.t.FirstEvent(), c.t.End(), c.t.Events())
	}
	if !c.valid || c.segment != s.number || !c.back(to) {
		if err := c.begin(s); err != nil {
			return c.lost(err)
		}
	}
	return c.lost(c.forward(to))
}

// lost gives up the machines when they have not come where they should.
func (c *cursor) lost(err error) error {
	if err != nil {
		c.close()
		c.valid = false
		return fmt.Errorf("tape: segment %d: %w", c.segment, err)
	}
	return nil
}

// back goes back to the window that a moment lies in. It answers false when the
// moment is before all of them.
func (c *cursor) back(to stamp) bool {
	if to.holds(c.place.stamp) {
		return true
	}
	for i := min(c.win, len(c.windows)-1); i >= 0; i-- {
		if to.holds(c.windows[i].start.stamp) {
			return c.enter(i) == nil
		}
	}
	return false
}

// enter goes to the beginning of a window.
func (c *cursor) enter(i int) error {
	w := &c.windows[i]
	c.crew = newCrew(c.t.header.Kinds)
	for _, f := range w.frames {
		if err := c.restore(f.machineKey, f.state); err != nil {
			return err
		}
	}
	c.place, c.win, c.next = w.start, i, 0
	return nil
}

// begin goes to the beginning of a segment.
func (c *cursor) begin(s *segment) error {
	c.close()
	c.segment, c.read, c.valid = s.number, 0, true
	c.crew = newCrew(c.t.header.Kinds)
	c.windows = append(c.windows[:0:0], window{start: s.start})
	c.win, c.next, c.place = 0, 0, s.start
	for {
		e, more, err := c.entry()
		if err != nil || !more {
			return err
		}
		if e.Snapshot == nil {
			c.add(e)
			return nil
		}
		w := &c.windows[0]
		w.frames = append(w.frames, keyframe{machineKey{e.Process, e.Kind}, e.Snapshot})
		w.bytes += len(e.Snapshot)
		if err := c.restore(machineKey{e.Process, e.Kind}, e.Snapshot); err != nil {
			return err
		}
	}
}

// forward tells the machines what happened up to a moment.
func (c *cursor) forward(to stamp) error {
	for {
		if c.next == len(c.windows[c.win].steps) {
			if more, err := c.more(); err != nil || !more {
				return err
			}
			continue
		}
		s := &c.windows[c.win].steps[c.next]
		if s.n > to.n || s.At > to.at {
			return nil
		}
		c.next++
		if err := c.apply(s); err != nil {
			return err
		}
	}
}

// more goes to the next window, or reads on. It answers false at the end of what
// is stored of the segment.
func (c *cursor) more() (bool, error) {
	if c.win+1 < len(c.windows) {
		c.win, c.next = c.win+1, 0
		return true, nil
	}
	e, more, err := c.entry()
	if err != nil || !more {
		return more, err
	}
	if w := &c.windows[c.win]; len(w.steps) >= windowEntries+c.resources()/4 || w.heavy > windowBytes+w.bytes-w.heavy {
		c.window()
	}
	c.add(e)
	return true, nil
}

// window begins a new window where the cursor stands. The oldest go.
func (c *cursor) window() {
	w := window{start: c.place, frames: c.keyframes()}
	for i := range w.frames {
		w.bytes += len(w.frames[i].state)
	}
	c.windows = append(c.windows, w)
	all := 0
	for i := len(c.windows) - 1; i >= 0; i-- {
		if all += c.windows[i].bytes; all > windowsBytes && i < len(c.windows)-1 {
			c.windows = slices.Delete(c.windows, 0, i+1)
			break
		}
	}
	c.win, c.next = len(c.windows)-1, 0
}

// add puts an entry behind all that have been read.
func (c *cursor) add(e *recording.Entry) {
	w := &c.windows[len(c.windows)-1]
	n := w.start.n
	if len(w.steps) > 0 {
		n = w.steps[len(w.steps)-1].n
	}
	if e.Event != nil {
		n++
	}
	w.steps = append(w.steps, step{n, *e})
	w.heavy += bytesOf(e)
	w.bytes += bytesOf(e)
}

// apply tells the machines of an entry.
func (c *cursor) apply(s *step) error {
	key := machineKey{s.Process, s.Kind}
	c.place.n, c.place.at = s.n, s.At
	switch {
	case s.Event != nil:
		_, _ = c.step(key, s.At+s.Skew, s.Event) // a panic was told when it happened first
		c.place.last = happening{at: s.At, kind: s.Kind, process: s.Process}
		c.place.last.ev, c.place.last.text = kept(s.Event)
	case s.Restarted:
		c.restart(key)
	case s.Snapshot != nil:
		return c.restore(key, s.Snapshot)
	}
	return nil
}

// entry reads the segment's next entry; more is false at its end, or where it is
// still being written.
func (c *cursor) entry() (e *recording.Entry, more bool, err error) {
	s := c.t.segmentNumbered(c.segment)
	if s == nil || c.read >= s.entries {
		return nil, false, nil
	}
	if c.r == nil || c.read >= c.open {
		if err := c.reopen(s); err != nil {
			return nil, false, err
		}
	}
	next, err := c.r.Next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, false, err
	}
	c.read++
	return &next, true, nil
}

// reopen reads a segment from its beginning up to where it has been read.
func (c *cursor) reopen(s *segment) (err error) {
	c.close()
	if c.r, c.in, err = c.t.open(s); err != nil {
		return err
	}
	c.open = s.entries
	for range c.read {
		if _, err := c.r.Next(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cursor) close() {
	if c.in != nil {
		_ = c.in.Close() // it was only read
	}
	c.r, c.in = nil, nil
}

// segmentOf is the segment that a moment is reached from; nil when it is no more.
func (t *Tape) segmentOf(to stamp) *segment {
	kept := t.segments.kept
	for i := len(kept) - 1; i >= 0; i-- {
		if to.holds(kept[i].start.stamp) {
			return &kept[i]
		}
	}
	return nil
}

func (t *Tape) segmentNumbered(n int) *segment {
	kept := t.segments.kept
	if len(kept) == 0 || n < kept[0].number || n > kept[len(kept)-1].number {
		return nil
	}
	return &kept[n-kept[0].number]
}

// atEvent brings the machines to where an event has just happened, and answers
// when that was.
func (c *cursor) atEvent(n int64) (at time.Duration, err error) {
	if err := c.seek(stamp{n, math.MaxInt64}); err != nil {
		return 0, err
	}
	at = max(c.place.last.at, c.t.Begin())
	return at, c.seek(stamp{n, at})
}

// bytesOf is about what an entry takes of memory.
func bytesOf(e *recording.Entry) int {
	const plain, row = 200, 48
	n := plain + len(e.Snapshot)
	switch ev := e.Event.(type) {
	case reconcile.Listed:
		n += row * len(ev.Rows)
	case reconcile.PodsListed:
		n += plain / 2 * len(ev.Pods)
	case reconcile.TreeRead:
		for i := range ev.Tree.Instances {
			n += plain + row*len(ev.Tree.Instances[i].IDs)
		}
	case reconcile.Notified:
		if ev.Note != nil {
			n += row * len(ev.Note.Resources)
		}
	}
	return n
}
