// Package replay tells a recording's events to the core again.
//
//	rec, err := replay.Load(files)
//	result, err := rec.Replay(nil)
//
// The machine that was recorded and the one that is here, told the same at the
// same times, must answer the same commands; Replay says that they do, or where
// they first differ. Compare compares two recordings with each other. Derive makes
// a scenario of what the platform did in a recording, to be asked what if.
package replay

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// Result is what a replay has shown.
type Result struct {
	Events   int           // that the machines were told
	Commands int           // that were compared, and were the same
	Restarts int           // of processes
	From, To time.Duration // of the events, on the clock of their own process
	// Gaps are the places at which something is missing, in words.
	Gaps []string
	// Difference is the first command that is not the same; nil when all are.
	Difference *Difference
}

// Difference is where two answers to one event part.
type Difference struct {
	File     string        `json:"file"`  // the segment
	Entry    int           `json:"entry"` // of the event in it, from 1
	At       time.Duration `json:"at"`
	Kind     fleet.Kind    `json:"kind"`
	Process  int           `json:"process,omitempty"`
	Event    string        `json:"event"`
	Recorded []string      `json:"recorded"` // commands, in words
	Answered []string      `json:"answered"`
	What     string        `json:"what"` // the first thing in them that differs
}

// Progress is how far a replay is.
type Progress struct {
	At       time.Duration
	Events   int
	Segment  int // of Segments, from 0
	Segments int
}

// progressEvents is the number of events between two calls of progress.
const progressEvents = 1 << 12

// Replay drives machines with the recorded events and compares what they answer,
// up to the first difference. progress, unless nil, is called now and then, and
// an error of it ends the replay. The error is about what is recorded, such as
// *recording.EndError for a file that is damaged; one that is merely cut off is a
// gap.
func (rec *Recording) Replay(progress func(Progress) error) (*Result, error) {
	res := &Result{From: -1}
	done, all := 0, rec.Segments()
	for i := range rec.Rows {
		p := &player{result: res, machines: map[machineKey]*reconcile.Machine{}}
		for k := range rec.Rows[i].Segments {
			p.progress = func() error {
				if progress == nil {
					return nil
				}
				return progress(Progress{At: res.To, Events: res.Events, Segment: done, Segments: all})
			}
			if err := p.segment(&rec.Rows[i].Segments[k]); err != nil {
				return nil, err
			}
			if res.Difference != nil {
				return res, nil
			}
			done++
		}
	}
	res.From = max(res.From, 0)
	return res, nil
}

// machineKey is which machine an entry is about.
type machineKey struct{ process, kind int }

// player replays a row of segments.
type player struct {
	result   *Result
	progress func() error
	machines map[machineKey]*reconcile.Machine
	joined   bool // the segment goes on where the one before ended
	last     int  // its number
	begun    bool

	file     string
	header   recording.Header
	entry    int
	open     bool // an event was told, and its commands were not compared yet
	told     recording.Entry
	toldAt   int
	answered []reconcile.Command
}

// segment replays one segment.
func (p *player) segment(s *Segment) error {
	r, done, err := s.read()
	if err != nil {
		return err
	}
	defer done()
	p.file, p.header, p.entry, p.open = s.Name, r.Header(), 0, false
	if field := r.Unknown(); field != "" {
		p.gap("%s: its header has the field %s, which this program does not know and goes without: a newer one wrote it (%s)", s.Name, field, p.header.Program)
	}
	if p.begun && (!p.joined || p.header.Segment != p.last+1) || !p.begun && p.header.Segment > 0 {
		p.gap("%s goes on where what was before it is missing", s.Name)
		clear(p.machines)
	}
	if p.header.Segment == 0 {
		if err := p.machinesAnew(0); err != nil {
			return err
		}
	}
	p.begun, p.last, p.joined = true, p.header.Segment, false
	for {
		e, err := r.Next()
		var end *recording.EndError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &end) && end.Cut:
			p.gap("%s: %v", s.Name, err)
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		p.entry++
		if err := p.one(e); err != nil || p.result.Difference != nil {
			return err
		}
	}
}

func (p *player) gap(format string, args ...any) {
	p.result.Gaps = append(p.result.Gaps, fmt.Sprintf(format, args...))
}

// machinesAnew makes the machines of a process that has just started.
func (p *player) machinesAnew(process int) error {
	for kind := range p.header.Kinds {
		if err := p.machineAnew(machineKey{process, kind}); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) machineAnew(key machineKey) error {
	m, err := reconcile.New(p.header.Kinds[key.kind].Config)
	if err != nil {
		return fmt.Errorf("%s: the machine of %s cannot be made as %s was told to: %w", p.file, p.header.Kinds[key.kind].Config.Kind, p.header.Program, err)
	}
	p.machines[key] = m
	return nil
}

// one replays an entry.
func (p *player) one(e recording.Entry) error {
	key := machineKey{e.Process, e.Kind}
	switch {
	case e.Commands != nil:
		if !p.open {
			return fmt.Errorf("%s: entry %d: commands that answer no event", p.file, p.entry)
		}
		p.compare(e.Commands)
	case e.Event != nil:
		if p.compare(nil); p.result.Difference == nil {
			return p.tell(key, e)
		}
	case e.Restarted:
		if p.compare(nil); p.result.Difference == nil {
			p.result.Restarts++
			return p.machineAnew(key)
		}
	case e.Snapshot != nil:
		return p.snapshot(key, e)
	case e.Closing != nil:
		p.compare(nil)
		if p.joined = e.Closing.Continued; e.Closing.Lost != "" {
			p.gap("%s: after %v something is missing: %s", p.file, p.result.To, e.Closing.Lost)
		}
	}
	return nil
}

// tell hands an event to the machine.
func (p *player) tell(key machineKey, e recording.Entry) (err error) {
	m := p.machines[key]
	if m == nil {
		return fmt.Errorf("%s: entry %d: the state of the machine that it is about is not recorded", p.file, p.entry)
	}
	p.open, p.told, p.toldAt = true, e, p.entry
	res := p.result
	at := e.At + e.Skew
	if res.From < 0 {
		res.From = at
	}
	res.To = max(res.To, at)
	res.Events++
	if p.answered, err = step(m, at, e.Event); err != nil {
		res.Difference = p.difference(nil)
		res.Difference.What = err.Error()
		return nil
	}
	if res.Events%progressEvents == 0 {
		return p.progress()
	}
	return nil
}

// step is a machine's step; a panic becomes an error.
func step(m *reconcile.Machine, at time.Duration, ev reconcile.Event) (commands []reconcile.Command, err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("the core panicked: %v", why)
		}
	}()
	return m.Step(at, ev), nil
}

// compare holds the recorded commands to those answered.
func (p *player) compare(recorded []reconcile.Command) {
	if !p.open {
		return
	}
	p.open = false
	if len(recorded) == len(p.answered) && (len(recorded) == 0 || reflect.DeepEqual(recorded, p.answered)) {
		p.result.Commands += len(recorded)
		return
	}
	p.result.Difference = p.difference(recorded)
	p.result.Difference.What = cmp.Or(parting("command", recorded, p.answered), "something that has no words")
}

func (p *player) difference(recorded []reconcile.Command) *Difference {
	return &Difference{
		File: p.file, Entry: p.toldAt, At: p.told.At + p.told.Skew, Kind: p.header.Kinds[p.told.Kind].Config.Kind, Process: p.told.Process,
		Event: reconcile.Describe(p.told.Event), Recorded: inWords(recorded), Answered: inWords(p.answered),
	}
}

func inWords(commands []reconcile.Command) []string {
	out := []string{}
	for _, c := range commands {
		out = append(out, reconcile.Describe(c))
	}
	return out
}

// snapshot takes over the machine's state as it was recorded, where it is not
// known; else the two must be the same.
func (p *player) snapshot(key machineKey, e recording.Entry) error {
	cfg := p.header.Kinds[key.kind].Config
	if version, reads := reconcile.SnapshotVersion(e.Snapshot); version > 0 && version != reads {
		if p.machines[key] == nil {
			return fmt.Errorf("%s: the machine of %s begins with a state of version %d, and this program reads version %d: replay it with what wrote it (%s)",
				p.file, cfg.Kind, version, reads, p.header.Program)
		}
		p.gap("%s: the state of the machine of %s is of version %d, this program's of version %d: they are not compared", p.file, cfg.Kind, version, reads)
		return nil
	}
	if m := p.machines[key]; m != nil {
		if now := m.Snapshot(nil); string(now) != string(e.Snapshot) {
			p.result.Difference = &Difference{File: p.file, Entry: p.entry, At: e.At + e.Skew, Kind: cfg.Kind, Process: e.Process, Event: "the next segment begins",
				Recorded: []string{}, Answered: []string{}, What: fmt.Sprintf("the state: %d bytes recorded, %d here, not the same", len(e.Snapshot), len(now))}
		}
		return nil
	}
	m, err := reconcile.Restore(cfg, e.Snapshot)
	if err != nil {
		return fmt.Errorf("%s: entry %d: the state of the machine of %s: %w", p.file, p.entry, cfg.Kind, err)
	}
	p.machines[key] = m
	return nil
}
