package orchestrator

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
)

// runs remembers the latest re-orchestrations of each kind, from what the loop
// tells.
type runs struct {
	now func() time.Time

	mu    sync.Mutex
	kinds map[string]*kindRuns
}

type kindRuns struct {
	since time.Time // the present leadership's begin, or of the oldest once one was forgotten
	list  []api.Reorchestration
	open  bool // the last of list runs
	// Of the one that runs.
	ordered bool   // it is an order's, and not what a predecessor had begun
	refused string // why the machine gave its order up
}

// runsKept bounds those that are remembered of a kind.
const runsKept = 100

// The outcomes of a run.
const (
	runRunning     = "running"
	runDone        = "done"
	runInterrupted = "interrupted"
)

func newRuns() *runs { return &runs{now: time.Now, kinds: map[string]*kindRuns{}} }

// of answers a kind's runs, the latest first, and from when on none is missing.
func (r *runs) of(kind string) ([]api.Reorchestration, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[kind]
	if k == nil {
		return []api.Reorchestration{}, r.now().UTC()
	}
	list := append([]api.Reorchestration{}, k.list...)
	slices.Reverse(list)
	return list, k.since
}

// told takes note of what the loop tells.
func (r *runs) told(e loop.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[string(e.Kind)]
	if k == nil {
		k = &kindRuns{}
		r.kinds[string(e.Kind)] = k
	}
	now := r.now().UTC()
	switch e.Type {
	case loop.EntryLed:
		k.since = now
	case loop.EntryDeposed:
		k.end(now, runInterrupted, e.Text)
	case loop.EntryOrder:
		if _, is := e.Order.(reconcile.Orchestrate); is && k.ordered {
			k.refused = e.Why // of this run when it ends next, else of another that came meanwhile
		}
	case loop.EntryProgress:
		k.progress(now, &e.Progress)
	}
}

func (k *kindRuns) progress(now time.Time, p *reconcile.Progress) {
	switch {
	case p.Running && !k.open:
		k.begin(now, p)
	case p.Running:
		k.get(p)
	case k.refused != "":
		k.end(now, runInterrupted, k.refused)
	default:
		k.end(now, runDone, "")
	}
}

func (k *kindRuns) begin(now time.Time, p *reconcile.Progress) {
	if len(k.list) == runsKept {
		k.list = slices.Delete(k.list, 0, 1)
		if oldest := k.list[0].StartedAt; oldest.After(k.since) {
			k.since = oldest
		}
	}
	k.list = append(k.list, api.Reorchestration{StartedAt: now, Outcome: runRunning})
	k.open, k.ordered, k.refused = true, !p.Planned, ""
	k.get(p)
}

// get notes how far the run is.
func (k *kindRuns) get(p *reconcile.Progress) {
	run := &k.list[len(k.list)-1]
	run.Moves, run.Create, run.Release, run.Text = p.Moves, p.Create, p.Release, p.String()
}

// end ends the run that is open, if one is.
func (k *kindRuns) end(now time.Time, outcome, why string) {
	if !k.open {
		return
	}
	run := &k.list[len(k.list)-1]
	if outcome == runInterrupted {
		why = fmt.Sprintf("%s; it was: %s", why, run.Text)
	}
	run.EndedAt, run.Outcome, run.Text = &now, outcome, why
	k.open, k.ordered, k.refused = false, false, ""
}
