package wire

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// invariantProcess is the invariant that only a run in real time can break: an
// orchestrator ends when it is asked to or killed, and never by itself. It is in
// a report only when it broke.
const invariantProcess = "process"

// keptWrongs bounds the breaks that are kept in full.
const keptWrongs = 50

// wrongs are breaks of invariants that the run has seen itself, and not its
// checker.
type wrongs struct {
	first  []history.Violation
	counts []wrongCount
}

type wrongCount struct {
	kind      fleet.Kind
	invariant string
	n         uint64
}

func (w *wrongs) add(at time.Duration, kind fleet.Kind, invariant, reason string) {
	i := slices.IndexFunc(w.counts, func(c wrongCount) bool { return c.kind == kind && c.invariant == invariant })
	if i < 0 {
		i = len(w.counts)
		w.counts = append(w.counts, wrongCount{kind: kind, invariant: invariant})
	}
	if w.counts[i].n++; len(w.first) < keptWrongs || w.counts[i].n == 1 {
		w.first = append(w.first, history.Violation{At: at, Kind: kind, Invariant: invariant, Reason: reason})
	}
}

// enter enters them into a report, as if its checker had found them.
func (w *wrongs) enter(rep *history.Report) {
	rep.Violations = append(slices.Clone(rep.Violations), w.first...)
	slices.SortStableFunc(rep.Violations, func(a, b history.Violation) int { return int(a.At - b.At) })
	for _, c := range w.counts {
		i := slices.IndexFunc(rep.Invariants, func(i history.InvariantCount) bool { return i.Name == c.invariant })
		if i < 0 {
			i = len(rep.Invariants)
			rep.Invariants = append(rep.Invariants, history.InvariantCount{Name: c.invariant})
		}
		rep.Invariants[i].Broken += c.n
		rep.Totals[history.Violations] += float64(c.n)
		for k := range rep.Kinds {
			if rep.Kinds[k].Kind == c.kind {
				rep.Kinds[k].Figures[history.Violations] += float64(c.n)
			}
		}
	}
}

// died takes in that an orchestrator has ended by itself. Where none has led yet
// it could not start, and there is nothing to run.
func (r *run) died(at time.Time, why error) {
	for _, k := range r.reader.kinds {
		if len(k.epochs) > 0 {
			r.wrong.add(r.at(at), "", invariantProcess, why.Error())
			return
		}
	}
	r.broken = why
}

// deserted says that no orchestrator runs, although no fault keeps them down, or
// that none could ever start.
func (r *run) deserted() bool {
	return r.broken != nil || r.Crew.Gone() && !r.faults.keptDown()
}
