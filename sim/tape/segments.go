package tape

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"dacorch/orchestrator/recording"
)

// segments are what is stored: what the machines were told, without their answers,
// which they give again.
//
// A seek restores a segment's keyframes and tells the machines what follows. So
// that neither costs much more than the other, a segment has as many entries as
// restoring takes the time of: about one for every two resources, and
// Config.SegmentEntries besides.
type segments struct {
	kept    []segment // by ascending number
	w       *recording.Writer
	out     *counted
	most    int   // entries of the last
	written int64 // bytes of all but the last
	failed  bool  // nothing is stored any more
}

// segment is one that is stored.
type segment struct {
	number  int
	start   place // before its first event
	entries int   // with the keyframes
	bytes   int64 // once it has ended
}

// counted counts what is written. It is read only when nothing is being written.
type counted struct {
	io.WriteCloser
	bytes int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.WriteCloser.Write(p)
	c.bytes += int64(n)
	return n, err
}

// begin is where the oldest begins.
func (s *segments) begin() stamp {
	if len(s.kept) == 0 {
		return stamp{}
	}
	return s.kept[0].start.stamp
}

func (s *segments) last() *segment { return &s.kept[len(s.kept)-1] }

// store has an entry written to the last segment.
func (t *Tape) store(write func(w *recording.Writer)) {
	if t.segments.w == nil && !t.segments.failed {
		t.beginSegment()
	}
	s := &t.segments
	if s.failed {
		return
	}
	write(s.w)
	s.last().entries++
	if err := s.w.Err(); err != nil {
		t.storeFailed(err)
	}
}

// rotate begins a new segment before an event, when it is time.
func (t *Tape) rotate() {
	if s := &t.segments; s.w != nil && s.last().entries >= s.most {
		t.endSegment()
	}
}

// beginSegment begins the next segment with the state of every machine.
func (t *Tape) beginSegment() {
	s := &t.segments
	number := 0
	if len(s.kept) > 0 {
		number = s.last().number + 1
	}
	out, err := t.cfg.Store.Create(number)
	if err != nil {
		t.storeFailed(err)
		return
	}
	s.out = &counted{WriteCloser: out}
	s.w = recording.NewWriter(s.out, recording.Header{Program: t.header.Program, Segment: number, Kinds: t.header.Kinds})
	s.kept = append(s.kept, segment{number: number, start: t.place})
	s.most = t.cfg.SegmentEntries + t.crew.resources()/2
	for _, f := range t.crew.keyframes() {
		s.w.Process(f.process, 0)
		s.w.Snapshot(t.place.at, f.kind, f.state)
		s.last().entries++
	}
	s.most += s.last().entries
	if err := s.w.Err(); err != nil {
		t.storeFailed(err)
	}
}

// endSegment closes the last segment.
func (t *Tape) endSegment() {
	s := &t.segments
	if s.w == nil {
		return
	}
	err := s.w.Close(recording.Closing{Continued: true})
	err = errors.Join(err, s.out.Close())
	s.last().bytes = s.out.bytes
	s.written += s.out.bytes
	if s.w, s.out = nil, nil; err != nil {
		t.storeFailed(err)
	}
	t.forget()
}

// storeFailed ends the storing: what happens from here on shows as it happens
// alone.
func (t *Tape) storeFailed(err error) {
	s := &t.segments
	if s.failed {
		return
	}
	s.failed = true
	t.problem("from event %d on nothing can be gone back to: %v", t.place.n+1, err)
	if s.out != nil {
		_ = s.w.Flush() // nothing is being written any more: its error is the one told
		_ = s.out.Close()
		s.w, s.out = nil, nil
	}
}

// forget drops the oldest segments where all together are too large.
func (t *Tape) forget() {
	s := &t.segments
	n := 0
	for ; n < len(s.kept)-1 && s.written > t.cfg.MaxBytes; n++ {
		s.written -= s.kept[n].bytes
		if err := t.cfg.Store.Remove(s.kept[n].number); err != nil {
			t.problem("segment %d cannot be removed: %v", s.kept[n].number, err)
		}
	}
	s.kept = slices.Delete(s.kept, 0, n)
}

// Bytes is how much is stored, without what has not been written out yet.
func (t *Tape) Bytes() int64 { return t.segments.written }

// open reads a segment. What is told of the last one since must be read by opening
// it again.
func (t *Tape) open(s *segment) (r *recording.Reader, in io.Closer, err error) {
	if t.segments.w != nil && s == t.segments.last() {
		if err := t.segments.w.Flush(); err != nil {
			return nil, nil, err
		}
	}
	file, err := t.cfg.Store.Open(s.number)
	if err != nil {
		return nil, nil, err
	}
	if r, err = recording.NewReader(file); err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("segment %d: %w", s.number, err)
	}
	return r, file, nil
}
