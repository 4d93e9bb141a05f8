package replay

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/recording"
)

// File is a segment that can be read, again and again.
type File struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// Recording is one or more rows of segments: a simulation has one, a process in
// production one for each kind, and a directory those of each process that wrote
// into it.
type Recording struct {
	Rows []Row // by the time at which they began, then by kind
}

// Row is the recording of some kinds of one process, in segments.
type Row struct {
	Header   recording.Header // of its first segment
	Segments []Segment        // by their number
}

// Segment is one file.
type Segment struct {
	File
	Header recording.Header
}

// instancesMost bounds the instances of a kind: two numbers in a file would else make a
// machine of any size.
const instancesMost = 1 << 17

// ErrNothing says that there is no recording at all.
var ErrNothing = errors.New("no recording")

// Load reads the headers and puts the files into order.
func Load(files []File) (*Recording, error) {
	rec := &Recording{}
	for _, f := range files {
		s := Segment{File: f}
		r, done, err := s.read()
		if err != nil {
			return nil, err
		}
		s.Header = r.Header()
		done()
		for _, k := range s.Header.Kinds {
			if n := max(k.Config.Limits.MaxInstances, k.Config.Limits.InitInstances); n > instancesMost {
				return nil, fmt.Errorf("%s: %s may have %d instances, and no more than %d can be replayed", s.Name, k.Config.Kind, n, instancesMost)
			}
		}
		rec.add(s)
	}
	if len(rec.Rows) == 0 {
		return nil, ErrNothing
	}
	for i := range rec.Rows {
		row := &rec.Rows[i]
		slices.SortStableFunc(row.Segments, func(a, b Segment) int { return cmp.Compare(a.Header.Segment, b.Header.Segment) })
		row.Header = row.Segments[0].Header
		for k := 1; k < len(row.Segments); k++ {
			if row.Segments[k].Header.Segment == row.Segments[k-1].Header.Segment {
				return nil, fmt.Errorf("%s and %s are the same segment of a recording", row.Segments[k-1].Name, row.Segments[k].Name)
			}
		}
	}
	slices.SortStableFunc(rec.Rows, func(a, b Row) int {
		return cmp.Or(a.Header.Began.Compare(b.Header.Began), cmp.Compare(name(a.Header), name(b.Header)))
	})
	return rec, nil
}

// name is what tells rows that began together apart.
func name(h recording.Header) string {
	out := fmt.Sprint(h.Seed, " ", h.Scenario)
	for _, k := range h.Kinds {
		out += " " + string(k.Config.Kind)
	}
	return out
}

// add puts a segment into its row.
func (rec *Recording) add(s Segment) {
	for i := range rec.Rows {
		if h := rec.Rows[i].Header; h.Began.Equal(s.Header.Began) && name(h) == name(s.Header) {
			rec.Rows[i].Segments = append(rec.Rows[i].Segments, s)
			return
		}
	}
	rec.Rows = append(rec.Rows, Row{Header: s.Header, Segments: []Segment{s}})
}

// Segments is how many there are.
func (rec *Recording) Segments() int {
	n := 0
	for _, row := range rec.Rows {
		n += len(row.Segments)
	}
	return n
}

// Kinds are all kinds, in the order of the rows.
func (rec *Recording) Kinds() []fleet.Kind {
	var out []fleet.Kind
	for _, row := range rec.Rows {
		for _, k := range row.Header.Kinds {
			if !slices.Contains(out, k.Config.Kind) {
				out = append(out, k.Config.Kind)
			}
		}
	}
	return out
}

// read opens a segment. done closes it.
func (s *Segment) read() (r *recording.Reader, done func(), err error) {
	in, err := s.Open()
	if err != nil {
		return nil, nil, err
	}
	if r, err = recording.NewReader(in); err != nil {
		in.Close()
		return nil, nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return r, func() { in.Close() }, nil
}

// placed is an entry and where it stands.
type placed struct {
	recording.Entry
	file  string
	entry int // in the segment, from 1
}

func (p placed) at() time.Duration { return p.At + p.Skew }

// each tells all entries of a kind, in order. A segment that is cut off is read
// as far as it goes; any other error is the last that it tells.
func (rec *Recording) each(kind fleet.Kind) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		for i := range rec.Rows {
			for k := range rec.Rows[i].Segments {
				if !rec.Rows[i].Segments[k].each(kind, yield) {
					return
				}
			}
		}
	}
}

func (s *Segment) each(kind fleet.Kind, yield func(placed, error) bool) bool {
	if !slices.ContainsFunc(s.Header.Kinds, func(k recording.Kind) bool { return k.Config.Kind == kind }) {
		return true
	}
	r, done, err := s.read()
	if err != nil {
		yield(placed{}, err)
		return false
	}
	defer done()
	for n := 1; ; n++ {
		e, err := r.Next()
		var end *recording.EndError
		switch {
		case errors.Is(err, io.EOF), errors.As(err, &end) && end.Cut:
			return true
		case err != nil:
			yield(placed{}, fmt.Errorf("%s: %w", s.Name, err))
			return false
		case e.Closing != nil, s.Header.Kinds[e.Kind].Config.Kind != kind:
			continue
		}
		if !yield(placed{e, s.Name, n}, nil) {
			return false
		}
	}
}
