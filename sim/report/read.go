package report

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"dacorch/orchestrator/recording"
	"dacorch/sim/replay"
)

// Source is a segment that is read from its beginning to its end. Next answers
// io.EOF after the last entry. *recording.Reader is one.
type Source interface {
	Header() recording.Header
	Next() (recording.Entry, error)
}

// Load makes the story of a recording: all its rows, read side by side in the
// order of time.
func Load(rec *replay.Recording) (*Story, error) {
	rows := make([]iter.Seq2[Source, error], len(rec.Rows))
	for i := range rec.Rows {
		rows[i] = segments(rec.Rows[i].Segments)
	}
	return Read(rows...)
}

// segments opens one after the other.
func segments(of []replay.Segment) iter.Seq2[Source, error] {
	return func(yield func(Source, error) bool) {
		for i := range of {
			in, err := of[i].Open()
			if err != nil {
				yield(nil, err)
				return
			}
			r, err := recording.NewReader(in)
			more := true
			if err != nil {
				more = yield(nil, fmt.Errorf("%s: %w", of[i].Name, err))
			} else {
				more = yield(r, nil)
			}
			in.Close()
			if !more {
				return
			}
		}
	}
}

// Read makes the story of rows of segments, such as each kind of a process in
// production has one. What cannot be read ends its row there and is told in
// Story.Problems, so that a recording that was cut off still tells what it holds;
// the error is that of one without a single entry.
func Read(rows ...iter.Seq2[Source, error]) (*Story, error) {
	t := newTeller()
	open := make([]*row, 0, len(rows))
	for i, segments := range rows {
		r := &row{t: t, number: i}
		next, stop := iter.Pull2(segments)
		defer stop()
		r.open = next
		if r.next(); r.entry != nil {
			open = append(open, r)
		}
	}
	t.align(open)
	for {
		r := earliest(open)
		if r == nil {
			break
		}
		t.enter(r)
		r.next()
	}
	if t.story.Entries == 0 {
		if p := t.story.Problems; len(p) > 0 {
			return nil, errors.New(p[0])
		}
		return nil, errors.New("the recording has no entries: there is nothing to tell")
	}
	return t.finish(), nil
}

// row is a row of segments that is being read.
type row struct {
	t      *teller
	number int
	open   func() (Source, error, bool) // the next segment
	now    Source                       // nil: none is open
	header *recording.Header            // of now, until its first entry is told
	entry  *recording.Entry             // the next one; nil: there is none
	began  time.Time                    // of the first segment
	offset time.Duration                // from the story's time 0 to the row's
	begun  bool
	kinds  []int // the segment's, by their place among all
}

// next reads the next entry of the row, across the ends of segments.
func (r *row) next() {
	r.entry = nil
	for {
		if r.now == nil && !r.segment() {
			return
		}
		e, err := r.now.Next()
		if err == nil {
			r.entry = &e
			return
		}
		if !errors.Is(err, io.EOF) {
			r.t.problem("%v", err)
		}
		r.now = nil
	}
}

// segment opens the next segment that can be.
func (r *row) segment() bool {
	for {
		s, err, ok := r.open()
		if !ok {
			return false
		}
		if err != nil {
			r.t.problem("%v", err)
			continue
		}
		h := s.Header()
		r.now, r.header = s, &h
		if r.began.IsZero() {
			r.began = h.Began
		}
		return true
	}
}

// align has the rows' times count from where the earliest began.
func (t *teller) align(rows []*row) {
	for _, r := range rows {
		if b := r.began; !b.IsZero() && (t.story.Began.IsZero() || b.Before(t.story.Began)) {
			t.story.Began = b
		}
	}
	for _, r := range rows {
		if !r.began.IsZero() {
			r.offset = r.began.Sub(t.story.Began)
		}
	}
}

// earliest is the row whose next entry happened first.
func earliest(rows []*row) *row {
	var first *row
	for _, r := range rows {
		if r.entry != nil && (first == nil || r.at(r.entry) < first.at(first.entry)) {
			first = r
		}
	}
	return first
}

// at is when an entry of the row happened.
func (r *row) at(e *recording.Entry) time.Duration {
	at := e.At + r.offset
	if e.At > 0 && at < 0 { // beyond what a duration holds
		return e.At
	}
	return max(at, 0)
}

// maxProcesses is more than any recording has at once.
const maxProcesses = 1 << 20

// process tells the processes of all rows apart.
func (r *row) process(e *recording.Entry) int { return r.number*maxProcesses + e.Process }

// enter tells a row's next entry, and before it what its segment begins with.
func (t *teller) enter(r *row) {
	if r.header != nil {
		t.header(r, *r.header)
		r.header = nil
	}
	t.entry(r, r.entry)
}
