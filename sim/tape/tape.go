// Package tape keeps all that a run has told the core, so that its state at any
// moment can be shown: of a simulation that still runs, whose recorder a Tape is,
// or of a recording that was loaded.
//
//	t, err := tape.New(header, tape.Config{Store: store})
//	live, err := sim.Begin(scenario, sim.Options{Record: t.Recorder()})
//	m, err := t.At(5 * time.Minute) // a Moment
//	thing := m.Machine("Thing")     // its machine as it was
//
// What the machines were told is written into segments of a recording, each of
// which begins with the state of every machine; a moment is reached from the
// segment it lies in (cursor.go). What the machines do not remember — the log,
// the moves, the marks, the pods, the figures over time — is kept in lists that
// only grow at their end and are bounded; a moment reads what of them is not
// younger than itself.
//
// Events are numbered from 1 in the order in which they happened, over all kinds
// and processes. What happens between two of them bears the number of the first.
// A Tape's methods, and those of its moments, must not be called concurrently.
package tape

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// Store keeps segments by their numbers.
type Store interface {
	// Create begins a segment. It is written to, and closed, before the next.
	Create(n int) (io.WriteCloser, error)
	// Open reads a segment: all that was written to it so far, also while it is
	// being written.
	Open(n int) (io.ReadCloser, error)
	Remove(n int) error
}

// Config bounds a tape. Zero fields take their defaults.
type Config struct {
	Store    Store // required
	MaxBytes int64 // of stored segments, the one being written apart: the oldest go; default 1 GiB, at least 64 KiB

	// SegmentEntries is how many entries a segment has at least: a moment is at most
	// about so many steps away from a stored state, more of large kinds only (see
	// segment.go); default 16,384.
	SegmentEntries int
	MaxLog         int // entries of the log; default 100,000
	MaxMoves       int // remembered of each kind; default 200,000
	MaxMarks       int // of each class, the first and the last; default 2,000
	MaxPodFacts    int // of each instance; default 200
	MaxBuckets     int // of the series; default 4,096
}

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil {
		return c, errors.New("tape: Config.Store is nil: want where segments are kept")
	}
	c.MaxBytes = max(cmp.Or(c.MaxBytes, 1<<30), 64<<10)
	for _, f := range []struct {
		field         *int
		usual, fewest int
	}{
		{&c.SegmentEntries, 16 << 10, 16}, {&c.MaxLog, 100_000, 16}, {&c.MaxMoves, 200_000, 16}, {&c.MaxMarks, 2000, 4},
		{&c.MaxPodFacts, 200, 8}, {&c.MaxBuckets, 4096, 4},
	} {
		*f.field = max(cmp.Or(*f.field, f.usual), f.fewest)
	}
	return c, nil
}

// The bounds of what is told of trouble and of single texts.
const (
	maxProblems = 50
	maxText     = 500 // bytes
)

// Tape is a run as it is remembered.
type Tape struct {
	cfg    Config
	header recording.Header
	kinds  []*kindTape // by their first place in the header
	byNum  []*kindTape // by the number that entries have

	crew     crew          // at the end
	place    place         // of the crew
	began    time.Duration // the first moment
	now      time.Duration // the end: nothing has happened since place
	segments segments
	cursor   cursor

	told   told // the event that is being told, until its commands are known
	log    log
	marks  marks
	series series
	skews  []skew

	problems []string
	more     int // problems that are not listed
	report   json.RawMessage
	closed   bool
}

// kindTape is what is remembered of one kind.
type kindTape struct {
	name  fleet.Kind
	first int // its first number
	leads []leading
	moves moves
	pods  pods
	runs  runs
	cells []cell // of the series
}

func newKind(name fleet.Kind, number int) *kindTape {
	return &kindTape{
		name: name, first: number, pods: pods{},
		moves: moves{flight: map[machineKey]*reconcile.Commit{}, away: map[string]fleet.InstanceID{}},
		runs:  runs{latest: map[machineKey]reconcile.Progress{}},
	}
}

// New begins the tape of a run. The header names the kinds, as the recorder will
// by their place, and what their machines are made with; a kind may stand in it
// several times, with other settings. The error is a setting's.
func New(header recording.Header, cfg Config) (*Tape, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Tape{cfg: cfg, header: header}
	for i := range header.Kinds {
		c := header.Kinds[i].Config
		if _, err := reconcile.New(c); err != nil {
			return nil, fmt.Errorf("tape: the machine of %s cannot be made as %s was told to: %w", c.Kind, header.Program, err)
		}
		at := slices.IndexFunc(t.kinds, func(k *kindTape) bool { return k.name == c.Kind })
		if at < 0 {
			at = len(t.kinds)
			t.kinds = append(t.kinds, newKind(c.Kind, i))
		}
		t.byNum = append(t.byNum, t.kinds[at])
	}
	t.crew = newCrew(header.Kinds)
	t.cursor = cursor{t: t}
	t.log = newLog()
	t.marks = newMarks()
	t.series = series{width: time.Second}
	return t, nil
}

// Header is what the tape was begun with.
func (t *Tape) Header() recording.Header { return t.header }

// Kinds are the kinds, in the header's order.
func (t *Tape) Kinds() []fleet.Kind {
	var out []fleet.Kind
	for _, k := range t.kinds {
		out = append(out, k.name)
	}
	return out
}

// Begin is the first moment that can be shown: it grows when the oldest segment
// had to go.
func (t *Tape) Begin() time.Duration { return t.segments.begin().at }

// End is the last moment, as far as the tape has been told.
func (t *Tape) End() time.Duration { return t.now }

// FirstEvent is the number of the event before Begin: AtEvent knows this and all
// that follow.
func (t *Tape) FirstEvent() int64 { return t.segments.begin().n }

// Events is the number of the last event.
func (t *Tape) Events() int64 { return t.place.n }

// Closed says that the run has told of its end.
func (t *Tape) Closed() bool { return t.closed }

// Report is a simulation's own report as JSON, once it is closed; else nil.
func (t *Tape) Report() json.RawMessage { return t.report }

// Problems are what could not be read, followed or kept, the first ones, for
// people; more is how many are not listed.
func (t *Tape) Problems() (list []string, more int) { return t.problems, t.more }

func (t *Tape) problem(format string, args ...any) {
	if len(t.problems) >= maxProblems {
		t.more++
		return
	}
	t.problems = append(t.problems, shortened(fmt.Sprintf(format, args...)))
}

// stamp is when something was noted: after which event, and when.
type stamp struct {
	n  int64
	at time.Duration
}

// holds says that what was noted then is not beyond a moment.
func (to stamp) holds(then stamp) bool { return then.n <= to.n && then.at <= to.at }

func (t *Tape) stamp() stamp { return stamp{t.place.n, t.now} }

// place is how far machines are: up to which event, and until when they were told,
// made anew or taken over last.
type place struct {
	stamp
	last happening
}

// kept is an event as it may be kept: what is good only now is put into words.
func kept(ev reconcile.Event) (reconcile.Event, string) {
	const few = 16 // rows that are copied sooner than described
	switch ev := ev.(type) {
	case reconcile.TreeRead, reconcile.Listed, reconcile.PodsListed:
		return nil, words(ev)
	case reconcile.Notified:
		switch {
		case ev.Note == nil:
			return nil, words(ev)
		case len(ev.Note.Resources) > few:
			return nil, words(ev)
		}
		note := *ev.Note
		note.Resources = slices.Clone(note.Resources)
		ev.Note = &note
		return ev, ""
	}
	return ev, ""
}
