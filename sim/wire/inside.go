package wire

import (
	"context"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// askPatience bounds a question to an orchestrator in this process's neighbourhood
// about its counters.
const askPatience = 700 * time.Millisecond

// leave keeps what only a leader knows, before its process ends: how many moves
// its plans asked for. What it has planned of a re-orchestration and not done, its
// successor plans again; what it does between the answer and its end is counted
// by what ZooKeeper then holds (see overlooked).
func (r *run) leave(crashed bool) {
	ctx, cancel := context.WithTimeout(r.ctx, r.Answers)
	defer cancel()
	if crashed {
		r.asked = time.Now()
	}
	client := r.Crew.Client()
	for _, k := range r.kinds {
		st, err := client.Status(ctx, r.called(k.name))
		if err != nil { // nobody leads, and there is nothing to keep; or it takes too long
			if ctx.Err() != nil && r.ctx.Err() == nil {
				r.faults.note("An orchestrator did not say within %v what it had planned: moves_needed leaves it out, and moves_excess has it.", r.Answers)
			}
			continue
		}
		needed := st.Counters["movesPlanned"]
		if p, err := client.Progress(ctx, r.called(k.name)); err == nil && crashed && p.Running {
			needed -= int64(p.MovesLeft)
		}
		r.check.Add(k.name, history.MovesNeeded, float64(needed))
		r.check.Add(k.name, history.TransactionsConflicted, float64(st.Counters["conflicts"]))
	}
}

// overlooked counts the moves of a transaction that came after a dying leader
// was asked: they were needed, and no restart plans them again.
func (r *run) overlooked(at time.Time, kind fleet.Kind, txn *fleet.Txn) {
	if r.asked.IsZero() || at.Before(r.asked) {
		return
	}
	joined := map[string]bool{}
	for i := range txn.Changes {
		for _, id := range txn.Changes[i].Add {
			joined[id] = true
		}
	}
	moves := 0
	for i := range txn.Changes {
		for _, id := range txn.Changes[i].Remove {
			if joined[id] {
				moves++
			}
		}
	}
	r.check.Add(kind, history.MovesNeeded, float64(moves))
}

// hear counts the alarms that an orchestrator raises, and tells the checker of
// them, until the run ends. Who raises one is the newest leader but for moments.
func (r *run) hear(client *api.Client) {
	for ev, err := range client.Events(r.ctx, "") {
		if err == nil && ev.Type == api.EventAlarm && ev.On != nil {
			called, code, on := ev.Resource, ev.Code, *ev.On
			r.queue.add(func(at time.Time) {
				kind := r.scenarioKind(called) // of the scene, which may not have been there when it was said
				if k := r.reader.kinds[kind]; k != nil {
					r.check.Alarm(r.at(at), kind, k.epoch, code, on)
				}
				if on {
					r.check.Add(kind, history.Alarms, 1)
				}
			})
		}
	}
}
