package tape

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/sim/replay"
)

// Load makes the tape of a recording: all its rows, side by side in the order of
// time, on the clock of the one that began first. What is cut off, damaged or
// missing is told among the tape's problems. progress, unless nil, is called now
// and then, and an error of it ends the loading.
func Load(rec *replay.Recording, cfg Config, progress func(replay.Progress) error) (*Tape, error) {
	l := newLoader(rec)
	t, err := New(l.header, cfg)
	if err != nil {
		return nil, err
	}
	l.t, l.progress = t, progress
	for i := range l.rows {
		l.rows[i].read(l)
	}
	for {
		r := l.earliest()
		if r == nil {
			break
		}
		if err := l.enter(r); err != nil {
			return nil, err
		}
		r.read(l)
	}
	t.finish(nil)
	t.endSegment()
	t.closed = true
	if t.place.n == 0 {
		if len(t.problems) > 0 {
			return nil, fmt.Errorf("tape: %s", t.problems[0])
		}
		return nil, errors.New("tape: the recording has no events: there is nothing to show")
	}
	return t, nil
}

// loader reads rows side by side.
type loader struct {
	t         *Tape
	header    recording.Header
	rows      []*row
	processes map[process]int
	progress  func(replay.Progress) error
	at        replay.Progress
	begun     bool
}

// process is one of a recording's: rows that began together are of the same.
type process struct {
	began  time.Time
	number int
}

// row is a row of segments that is being read.
type row struct {
	replay.Row
	offset time.Duration // from the tape's time 0 to the row's
	number int           // of the next segment, in Segments
	r      *recording.Reader
	in     io.Closer
	name   string
	kinds  []int            // the open segment's, by their numbers on the tape
	entry  *recording.Entry // the next one; nil: there is none
	joined bool             // the next segment goes on where the last ended
	last   int              // its number
	fresh  bool             // its machines begin with nothing
}

// newLoader makes one header of all that the recording has: a kind for each
// setting that a kind was recorded with.
func newLoader(rec *replay.Recording) *loader {
	l := &loader{processes: map[process]int{}}
	for i := range rec.Rows {
		r := &row{Row: rec.Rows[i]}
		if i == 0 {
			l.header = recording.Header{Program: r.Header.Program, Scenario: r.Header.Scenario, Seed: r.Header.Seed, Began: r.Header.Began}
		}
		if !r.Header.Began.IsZero() {
			r.offset = r.Header.Began.Sub(l.header.Began)
		}
		for k := range r.Segments {
			for _, kind := range r.Segments[k].Header.Kinds {
				l.kind(kind)
			}
			l.at.Segments++
		}
		l.rows = append(l.rows, r)
	}
	return l
}

// kind is a kind's number on the tape.
func (l *loader) kind(k recording.Kind) int {
	for i := range l.header.Kinds {
		if reflect.DeepEqual(l.header.Kinds[i], k) {
			return i
		}
	}
	l.header.Kinds = append(l.header.Kinds, k)
	return len(l.header.Kinds) - 1
}

// process numbers the processes of all rows.
func (l *loader) process(r *row, number int) int {
	p := process{r.Header.Began, number}
	n, known := l.processes[p]
	if !known {
		n = len(l.processes)
		l.processes[p] = n
	}
	return n
}

// read reads the row's next entry, across the ends of segments.
func (r *row) read(l *loader) {
	r.entry = nil
	for {
		if r.r == nil && !r.open(l) {
			return
		}
		e, err := r.r.Next()
		if err == nil {
			r.entry = &e
			return
		}
		if !errors.Is(err, io.EOF) {
			l.t.problem("%s: %v", r.name, err)
		}
		_ = r.in.Close() // it was only read
		r.r = nil
		l.at.Segment++
	}
}

// open opens the row's next segment that can be.
func (r *row) open(l *loader) bool {
	for r.number < len(r.Segments) {
		s := &r.Segments[r.number]
		r.number++
		in, err := s.Open()
		if err != nil {
			l.t.problem("%v", err)
			continue
		}
		rd, err := recording.NewReader(in)
		if err != nil {
			_ = in.Close()
			l.t.problem("%s: %v", s.Name, err)
			continue
		}
		r.begin(l, s, rd)
		r.in = in
		return true
	}
	return false
}

// begin takes up a segment.
func (r *row) begin(l *loader, s *replay.Segment, rd *recording.Reader) {
	r.r, r.name = rd, s.Name
	h := rd.Header()
	if field := rd.Unknown(); field != "" {
		l.t.problem("%s: its header has the field %s, which this program does not know and goes without: a newer one wrote it (%s)", s.Name, field, h.Program)
	}
	switch first := r.kinds == nil; {
	case first && h.Segment > 0:
		l.t.problem("%s: what was before it has been deleted", s.Name)
	case !first && (!r.joined || h.Segment != r.last+1):
		l.t.problem("%s goes on where what was before it is missing", s.Name)
	}
	r.fresh = h.Segment == 0
	r.last, r.joined = h.Segment, false
	r.kinds = []int{}
	for _, k := range h.Kinds {
		r.kinds = append(r.kinds, l.kind(k))
	}
}

// when is the time of the row's next entry on the tape.
func (r *row) when() time.Duration {
	at := r.entry.At + r.offset
	if r.entry.At > 0 && at < 0 { // beyond what a duration holds
		return r.entry.At
	}
	return max(at, 0)
}

// earliest is the row whose next entry happened first.
func (l *loader) earliest() *row {
	var first *row
	for _, r := range l.rows {
		if r.entry != nil && (first == nil || r.when() < first.when()) {
			first = r
		}
	}
	return first
}

// progressEvents is the number of events between two calls of progress.
const progressEvents = 1 << 12

// enter tells the tape a row's next entry.
func (l *loader) enter(r *row) error {
	e, at := r.entry, r.when()
	if e.Closing != nil {
		l.t.finish(nil)
		if r.joined = e.Closing.Continued; e.Closing.Lost != "" {
			l.t.problem("%s: after %v something is missing: %s", r.name, l.t.now, e.Closing.Lost)
		}
		if len(e.Closing.Report) > 0 {
			l.t.report = e.Closing.Report
		}
		return nil
	}
	key := machineKey{l.process(r, e.Process), r.kinds[e.Kind]}
	l.start(r, at)
	switch skew := e.At + e.Skew - at; {
	case e.Event != nil:
		return l.event(r, at, key, skew, e.Event)
	case e.Restarted:
		l.t.restarted(at, key, skew)
	case e.Snapshot != nil:
		l.snapshot(r, at, key, skew, e.Snapshot)
	case e.Mark != nil:
		l.t.pass(at)
		l.t.marked(key, e.Mark)
	default:
		l.t.commands(key, e.Commands)
	}
	return nil
}

// start has the tape begin with the first entry where nothing is known of what
// was before.
func (l *loader) start(r *row, at time.Duration) {
	if l.begun {
		return
	}
	if l.begun = true; !r.fresh {
		l.t.began, l.t.now, l.t.place.at = at, at, at
	}
}

func (l *loader) event(r *row, at time.Duration, key machineKey, skew time.Duration, ev reconcile.Event) error {
	t := l.t
	if t.crew.machines[key] == nil && !r.fresh {
		t.problem("%s: the state of the machine of %s is not recorded: it is shown from when it next leads", r.name, t.byNum[key.kind].name)
	}
	t.event(at, key, skew, ev)
	l.at.At, l.at.Events = t.now, int(t.place.n)
	if l.progress != nil && l.at.Events%progressEvents == 0 {
		return l.progress(l.at)
	}
	return nil
}

// snapshot takes a recorded state over, unless the machine has got there itself.
func (l *loader) snapshot(r *row, at time.Duration, key machineKey, skew time.Duration, state []byte) {
	t := l.t
	t.finish(nil)
	m := t.crew.machines[key]
	if m != nil && string(m.Snapshot(nil)) == string(state) {
		return
	}
	if version, reads := reconcile.SnapshotVersion(state); version != reads {
		t.problem("%s: the state of the machine of %s is of version %d, and this program reads version %d", r.name, t.byNum[key.kind].name, version, reads)
		return
	}
	if err := t.takeOver(at, key, skew, state); err != nil {
		t.problem("%s: the state of the machine of %s: %v", r.name, t.byNum[key.kind].name, err)
	}
}
