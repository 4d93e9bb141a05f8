package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/stage"
	"dacorch/sim/internal/world"
)

// RecordingHeader is what the recording of a run of the scenario begins with.
func RecordingHeader(program string, sc *scenarios.Scenario) recording.Header {
	h := recording.Header{Program: program, Scenario: string(scenarios.Format(sc)), Seed: sc.Seed}
	for i := range sc.Kinds {
		h.Kinds = append(h.Kinds, recording.Kind{Config: stage.Machine(&sc.Kinds[i])})
	}
	return h
}

// keepStart records that a machine is there anew. Those of the beginning need no
// words.
func (r *run) keepStart(d *driver) {
	if w := r.opts.Record; w != nil && r.tl.Now() > 0 {
		w.Process(d.p.number-1, d.p.skew)
		w.Restarted(r.tl.Now(), int(d.k.number))
	}
}

// keepDeath records that a process has died, and with it its machines.
func (r *run) keepDeath(now time.Duration, p *process) {
	if w := r.opts.Record; w != nil {
		w.Process(p.number-1, p.skew)
		w.Mark(now, 0, recording.Mark{What: recording.ProcessDied, Instance: fleet.NoInstance})
	}
}

// keepEvent records what a machine is told, before it hears of it.
func (r *run) keepEvent(now time.Duration, d *driver, ev reconcile.Event) {
	if w := r.opts.Record; w != nil {
		w.Process(d.p.number-1, d.p.skew)
		w.Event(now, int(d.k.number), ev)
	}
}

// keepCommands records what the machine answered, before it is carried out.
func (r *run) keepCommands(now time.Duration, d *driver, commands []reconcile.Command) {
	if w := r.opts.Record; w != nil {
		w.Commands(now, int(d.k.number), commands)
	}
}

// keepMark records something that happens around the core: about one kind's
// instance, or, without a kind, about the whole: then it stands with the first.
func (r *run) keepMark(now time.Duration, k *kind, id fleet.InstanceID, what recording.MarkKind, text string) {
	w := r.opts.Record
	if w == nil {
		return
	}
	number := 0
	if k != nil {
		number = int(k.number)
	}
	r.keep(now, number, recording.Mark{What: what, Instance: id, Text: text})
}

func (r *run) keep(now time.Duration, kind int, m recording.Mark) {
	r.opts.Record.Process(0, 0)
	r.opts.Record.Mark(now, kind, m)
}

// keepTime records that a row's creation or deletion is done, or that it runs
// again. What took long is explained in the report alone: only at the end is it
// known what the slowest are.
func (r *run) keepTime(now time.Duration, kind fleet.Kind, id string, in fleet.InstanceID, took time.Duration, recovered bool) {
	m := recording.Mark{What: recording.Settled, Instance: in, Resource: id, For: took}
	if recovered {
		m.What = recording.Recovered
	}
	r.keep(now, int(r.kindNamed(kind).number), m)
}

// keepBroken records that an invariant broke.
func (r *run) keepBroken(v history.Violation) {
	number := max(slices.IndexFunc(r.kinds, func(k *kind) bool { return k.name == v.Kind }), 0)
	r.keep(v.At, number, recording.Mark{What: recording.Broken, Instance: fleet.NoInstance, Text: v.Invariant + ": " + v.Reason})
}

// programMarks are what a recording calls the states of a DAC's program.
var programMarks = map[world.ProcessState]recording.MarkKind{
	world.ProcessStarted: recording.ProgramStarted, world.ProcessHung: recording.ProgramHung,
	world.ProcessZombie: recording.ProgramHung, world.ProcessEnded: recording.ProgramEnded,
}

// closeRecording ends the recording with the run's report.
func (r *run) closeRecording(rep *Report) error {
	if r.opts.Record == nil {
		return nil
	}
	var report bytes.Buffer
	if err := rep.JSON(&report); err != nil {
		return err
	}
	if err := r.opts.Record.Close(recording.Closing{Report: report.Bytes()}); err != nil {
		return fmt.Errorf("the recording: %w", err)
	}
	return nil
}
