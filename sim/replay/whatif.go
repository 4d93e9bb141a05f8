package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim"
)

// Derived is a recording turned into a scenario: what the platform did (rows,
// failures, outages, orders), and not what the orchestrator made of it, so that
// another configuration can be asked what it would have made of it.
type Derived struct {
	Scenario []byte            // YAML
	Tables   map[string][]byte // the trace files that it names, by their names
	// Start is what stood when the recording began, by kind. A scenario file cannot
	// say it.
	Start map[fleet.Kind]sim.Standing
	Kinds []fleet.Kind
	// Length is how long the recording is, from the moment when the run begins,
	// which is From on the recording's clock.
	From, Length time.Duration
	// Remarks say what could not be carried over, or only nearly.
	Remarks []string

	rec *Recording
}

// tail is how long a derived scenario goes on after the recording's end, for all
// to settle.
const tail = 10 * time.Minute

// ErrNoLead says that a recording holds nothing that an orchestrator could do.
var ErrNoLead = errors.New("nobody leads in this recording: there is nothing to simulate")

// Derive turns the recording into a scenario. It holds the ids of all rows in
// memory. name is what the scenario is called; the trace files are named after it.
func (rec *Recording) Derive(name string) (*Derived, error) {
	d := newDeriver()
	for i := range rec.Rows {
		for _, k := range rec.Rows[i].Header.Kinds {
			d.kind(k.Config.Kind, k.Config)
		}
	}
	err := rec.passed(func(m moment) error { return d.kinds[m.kind].moment(m) }, func(what string) { d.remarks.add("%s", what) })
	if err != nil {
		return nil, err
	}
	if d.origin < 0 {
		return nil, ErrNoLead
	}
	out := &Derived{rec: rec, From: d.origin, Length: max(d.to-d.origin, time.Second).Round(time.Millisecond),
		Tables: map[string][]byte{}, Start: map[fleet.Kind]sim.Standing{}}
	sc, err := out.scenario(name, d)
	if err != nil {
		return nil, err
	}
	out.Scenario = scenarios.Format(sc)
	if len(out.Scenario) > scenarios.MaxFileBytes {
		return nil, fmt.Errorf("the recording makes a scenario of %d bytes: a scenario may have %d", len(out.Scenario), scenarios.MaxFileBytes)
	}
	if _, err := scenarios.Parse(out.file(), out.Scenario); err != nil {
		return nil, fmt.Errorf("the recording cannot be simulated as it is: %w", err)
	}
	out.Remarks = d.remarks.all()
	return out, nil
}

// file is the name under which the derived scenario is read.
func (d *Derived) file() string { return "the recording's scenario" }

// open serves the trace files from memory, and others as other does.
func (d *Derived) open(other func(string) (io.ReadCloser, error)) func(string) (io.ReadCloser, error) {
	return func(path string) (io.ReadCloser, error) {
		if data, ok := d.Tables[filepath.Base(path)]; ok {
			return io.NopCloser(bytes.NewReader(data)), nil
		}
		if other == nil {
			return nil, fmt.Errorf("%s: no such file", path)
		}
		return other(path)
	}
}

// Question is what is asked of a recording.
type Question struct {
	// Set are the settings, as of --set: a key of a kind for all kinds, or after a
	// kind's name for that one, or any path of the derived scenario.
	Set []scenarios.Setting
	// FromNothing has the run with the settings begin with an empty ZooKeeper, rather
	// than with what stood when the recording began.
	FromNothing bool
	// Open opens a trace file that Set names; nil refuses them.
	Open func(path string) (io.ReadCloser, error)
	// Progress, unless nil, is called now and then; an error of it ends the runs.
	// run is what runs: "simulated", or "asked".
	Progress func(run string, p sim.Progress) error
	// Keep, unless nil, gets the recording of the run with the settings.
	Keep io.Writer
}

// Answer is what happened, what the simulator makes of it, and what it makes of
// it with the question's settings. Asked is nil when the question asks for nothing.
type Answer struct {
	Recorded  *Outcome `json:"recorded"`
	Simulated *Outcome `json:"simulated"`
	Asked     *Outcome `json:"asked,omitempty"`
	Remarks   []string `json:"remarks"`
}

// Ask runs the derived scenario, as it was and with the question's settings. An
// error is about the settings (scenarios.Errors) or the recording, or Progress's.
func (d *Derived) Ask(q Question) (*Answer, error) {
	asked, remarks, err := d.With(q.Set, q.FromNothing)
	if err != nil {
		return nil, err
	}
	a := &Answer{Remarks: append(slices.Clone(d.Remarks), remarks...)}
	if a.Recorded, err = d.rec.outcome(d.From, d.From+d.Length); err != nil {
		return nil, err
	}
	plain, err := scenarios.Parse(d.file(), d.Scenario)
	if err != nil {
		return nil, err
	}
	if a.Simulated, err = d.run(plain, "simulated", q); err != nil {
		return nil, err
	}
	if len(q.Set) > 0 || q.FromNothing {
		a.Asked, err = d.run(asked, "asked", q)
	}
	return a, err
}

// run runs a scenario and measures it as the recording is measured: by what the
// core was told and did.
func (d *Derived) run(sc *scenarios.Scenario, name string, q Question) (*Outcome, error) {
	var kept bytes.Buffer
	var out io.Writer = &kept
	if name == "asked" && q.Keep != nil {
		out = io.MultiWriter(&kept, q.Keep)
	}
	opts := sim.Options{Open: d.open(q.Open), Record: recording.NewWriter(out, sim.RecordingHeader("dacorch", sc))}
	if name == "simulated" || !q.FromNothing {
		opts.Start = d.Start
	}
	if q.Progress != nil {
		opts.Progress = func(p sim.Progress) error { return q.Progress(name, p) }
	}
	if _, err := sim.Run(sc, opts); err != nil {
		return nil, err
	}
	rec, err := Load([]File{{Name: "the run", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(kept.Bytes())), nil }}})
	if err != nil {
		return nil, err
	}
	return rec.outcome(0, d.Length)
}
