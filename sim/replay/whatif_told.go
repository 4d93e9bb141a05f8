package replay

import (
	"errors"
	"fmt"
	"io"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// moment is an entry of a recording on one clock: that of the first process that
// wrote into it.
type moment struct {
	*recording.Entry
	kind   fleet.Kind
	cfg    *reconcile.Config
	now    time.Duration // without what the process's own clock was ahead
	anew   bool          // what came before is not known to lead here: state follows
	joined bool          // another process's recording begins here
}

// passed tells all that happened, row by row: within a row in the order of time.
// A damaged or missing part is told to gap, and what can be read goes on.
func (rec *Recording) passed(tell func(m moment) error, gap func(string)) error {
	if len(rec.Rows) == 0 {
		return ErrNothing
	}
	first := rec.Rows[0].Header.Began
	last := map[fleet.Kind]time.Duration{}
	for i := range rec.Rows {
		row := &rec.Rows[i]
		p := passing{tell: tell, gap: gap, last: last}
		if !first.IsZero() && !row.Header.Began.IsZero() {
			p.offset = max(row.Header.Began.Sub(first), 0)
		}
		for k := range row.Segments {
			if err := p.segment(&row.Segments[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// passing goes through a row of segments.
type passing struct {
	tell   func(m moment) error
	gap    func(string)
	offset time.Duration
	last   map[fleet.Kind]time.Duration // each kind's last moment, over all rows
	next   int                          // the number of the segment that would go on where the last ended
}

func (p *passing) segment(s *Segment) error {
	r, done, err := s.read()
	if err != nil {
		return err
	}
	defer done()
	h := r.Header()
	anew := h.Segment != p.next
	if anew {
		p.gap(fmt.Sprintf("what was before %s is missing", s.Name))
	}
	p.next = -1
	begins := make([]bool, len(h.Kinds)) // by kind: the first entry has been told
	for {
		e, err := r.Next()
		var end *recording.EndError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &end) && end.Cut:
			p.gap(fmt.Sprintf("%s: %v", s.Name, err))
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if e.Closing != nil {
			if e.Closing.Continued {
				p.next = h.Segment + 1
			}
			if e.Closing.Lost != "" {
				p.gap(fmt.Sprintf("%s ends before what happened next: %s", s.Name, e.Closing.Lost))
			}
			continue
		}
		kind := h.Kinds[e.Kind].Config.Kind
		m := moment{Entry: &e, kind: kind, cfg: &h.Kinds[e.Kind].Config, now: e.At + p.offset}
		if last, known := p.last[kind]; known && !begins[e.Kind] {
			if m.now < last-time.Second {
				return fmt.Errorf("%s begins at %v, before what was recorded of %s until %v: give the recordings of one process, or of several that ran one after the other",
					s.Name, m.now, kind, last)
			}
			m.joined = h.Segment == 0
		}
		m.anew = anew && !begins[e.Kind]
		begins[e.Kind] = true
		m.now = max(m.now, p.last[kind])
		p.last[kind] = m.now
		if err := p.tell(m); err != nil {
			return err
		}
	}
}
