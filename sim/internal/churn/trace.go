package churn

import (
	"fmt"
	"io"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// Trace is the rows of a trace file and when each is created and deleted: a
// Source. It is not changed by running, so one Trace serves many runs.
type Trace struct {
	name    string
	initial []fleet.Resource // exist at time 0, in file order
	rows    []fleet.Resource // in file order
	events  []traceEvent     // in time order
	clock   clock
}

// traceEvent is 16 bytes: a trace of a million rows has two million of them.
type traceEvent struct {
	at    int64 // µs, in the trace's own time
	row   int32
	order eventOrder
}

// eventOrder is what comes first at equal times. A deletion comes before the
// creation that takes its id again; a row deleted at the very moment of its
// creation lives between the two.
type eventOrder uint8

const (
	deletion eventOrder = iota
	moment              // created and deleted at the same time: both
	creation
)

// ReadTrace reads a trace file, plain or gzip. Rows that cannot be used are
// counted and named in Stats; the error is for a file that cannot be read on
// (a wrong description, a broken gzip stream, a row over 1 MiB), and names
// file, line and column. On an error Stats tells how far the reading came.
//
// A row that bears the id of another is a re-creation when their lives do not
// overlap; otherwise the one that begins later (at equal times: ends later, then
// stands later in the file) is skipped.
func ReadTrace(r io.Reader, f Format) (*Trace, Stats, error) {
	if err := f.Validate(); err != nil {
		return nil, Stats{}, fmt.Errorf("%s: %w", f.name(), err)
	}
	t, err := openTable(r, f.name(), f.Comma, f.NoHeader)
	if err != nil {
		return nil, Stats{}, err
	}
	b := traceBuilder{byID: map[string]int32{}, groups: map[string]string{}, clock: newClock(f.Time, f.Scale)}
	if b.columns, err = f.resolve(t); err != nil {
		return nil, Stats{}, err
	}
	if err = b.read(t, f.Limit); err != nil {
		return nil, b.tally.stats(), err
	}
	b.dropOverlaps()
	if err = b.begin(f); err != nil {
		return nil, b.tally.stats(), err
	}
	trace := b.build(f.name())
	return trace, b.tally.stats(), nil
}

// Initial are the rows that exist at the scenario's start, in file order.
// Whoever receives them must not change them.
func (t *Trace) Initial() []fleet.Resource { return t.initial }

// Rows is the number of rows that the trace uses, initial ones included.
func (t *Trace) Rows() int { return len(t.rows) }

// End is the time of the last operation; 0 when there is none.
func (t *Trace) End() time.Duration {
	if len(t.events) == 0 {
		return 0
	}
	return t.clock.scenario(t.events[len(t.events)-1].at)
}

// Before is the trace without what happens at until or later.
func (t *Trace) Before(until time.Duration) *Trace {
	cut := *t
	for len(cut.events) > 0 && cut.End() >= until {
		cut.events = cut.events[:len(cut.events)-1]
	}
	return &cut
}

// Validate is nil: a trace that was read is valid.
func (t *Trace) Validate() error { return nil }

func (t *Trace) label() string { return "trace " + t.name }

func (t *Trace) open(*timeline.Stream) cursor { return &traceCursor{trace: t} }

type traceCursor struct {
	trace    *Trace
	event    int
	halfDone bool // the creation of a moment has been yielded
}

// creates is true to the last event: a trace ends, so asking it on is no spin.
func (c *traceCursor) creates() bool { return true }

func (c *traceCursor) next() (step, bool) {
	t := c.trace
	if c.event == len(t.events) {
		return step{}, false
	}
	e := t.events[c.event]
	s := step{at: t.clock.scenario(e.at), count: 1, exactly: t.rows[e.row : e.row+1 : e.row+1]}
	s.verb = Create
	if e.order == deletion || c.halfDone {
		s.verb = Delete
	}
	c.halfDone = e.order == moment && !c.halfDone
	if !c.halfDone {
		c.event++
	}
	return s, true
}
