package tape

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// maxRuns bounds the re-orchestrations of a kind that are remembered.
const maxRuns = 1000

// runs are a kind's re-orchestrations, the newest last.
type runs struct {
	list   []run
	latest map[machineKey]reconcile.Progress // as last told
}

// run is one re-orchestration: when it began, when its plan was made, when it
// ended.
type run struct {
	key     machineKey
	began   stamp
	planned *stamp // nil: it was not yet
	ended   *stamp // nil: it runs
	plan    reconcile.Progress
	outcome string
	text    string
}

func (r *run) when() stamp { return r.began }

// Reorchestration is a run of re-orchestrating a kind.
type Reorchestration struct {
	Began   time.Duration
	Ended   time.Duration // Outcome says whether it has
	Outcome string        // running, done, interrupted
	Moves   int           // planned
	Create  int           // instances planned to be created
	Release int           // and to be let go
	Text    string        // why it ended so, or how far it was at the moment
}

// progress notes how far a re-orchestration is, when that has changed.
func (t *Tape) progress(k *kindTape, key machineKey) {
	now := t.crew.machine(key).Progress()
	if now == (reconcile.Progress{}) && len(k.runs.latest) == 0 {
		return
	}
	was := k.runs.latest[key]
	if now == was {
		return
	}
	e := Entry{Type: EntryProgress, Instance: fleet.NoInstance, On: now.Running, Text: "ended"}
	if now.Running {
		e.Text = now.String()
	}
	t.tell(k, key.process, e)
	if was.Running && (!now.Running || now.Since != was.Since) {
		outcome, text := "done", ""
		switch {
		case t.told.gaveUp != "":
			outcome, text = "interrupted", t.told.gaveUp
		case t.crew.machine(key).Stage() != reconcile.StageActive:
			outcome, text = "interrupted", t.place.last.words()
		}
		t.runEnded(k, key, outcome, text)
	}
	if !now.Running {
		return
	}
	k.runs.latest[key] = now
	if !was.Running || now.Since != was.Since {
		k.runs.list = append(trimmed(k.runs.list, maxRuns), run{key: key, began: t.stamp()})
	}
	if r := k.run(key); r != nil && now.Planned {
		if r.planned == nil {
			r.planned = new(t.stamp())
		}
		r.plan = now
	}
}

// run is the one that a machine is at.
func (k *kindTape) run(key machineKey) *run {
	for i := len(k.runs.list) - 1; i >= 0; i-- {
		if r := &k.runs.list[i]; r.key == key {
			return r
		}
	}
	return nil
}

func (t *Tape) runEnded(k *kindTape, key machineKey, outcome, text string) {
	if !k.runs.latest[key].Running {
		return
	}
	delete(k.runs.latest, key)
	if r := k.run(key); r != nil && r.ended == nil {
		r.ended, r.outcome, r.text = new(t.stamp()), outcome, shortened(text)
	}
}

// Reorchestrations answers a kind's re-orchestrations up to the moment, the newest
// first, at most limit.
func (m *Moment) Reorchestrations(kind fleet.Kind, limit int) []Reorchestration {
	k := m.t.kind(kind)
	if k == nil {
		return nil
	}
	var out []Reorchestration
	to := m.stamp()
	for i := upTo(k.runs.list, to, (*run).when) - 1; i >= 0 && len(out) < limit; i-- {
		r := &k.runs.list[i]
		o := Reorchestration{Began: r.began.at, Outcome: "running"}
		if r.planned != nil && to.holds(*r.planned) {
			o.Moves, o.Create, o.Release = r.plan.Moves, r.plan.Create, r.plan.Release
		}
		if r.ended != nil && to.holds(*r.ended) {
			o.Ended, o.Outcome, o.Text = r.ended.at, r.outcome, r.text
		}
		out = append(out, o)
	}
	for i := range out {
		if out[i].Outcome == "running" {
			if a := m.Machine(kind); a.Machine != nil {
				out[i].Text = a.Machine.Progress().String()
			}
			break
		}
	}
	return out
}
