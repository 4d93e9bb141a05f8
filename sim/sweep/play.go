package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"dacorch/scenarios"
	"dacorch/sim"
)

// Play says how a single run is played.
type Play struct {
	Open func(path string) (io.ReadCloser, error) // opens trace files, as sim.Options has it
	// Events is how many events a run may take: one that takes more does not end,
	// and has failed. 0: DefaultEvents.
	Events uint64

	watch func() // called now and then while the run goes on
}

// DefaultEvents is some 100 times what the largest run of a swarm takes.
const DefaultEvents = 300_000_000

// standstill is how long a run may go without sim.ProgressEvents events, in real
// time, before it is taken for one that never ends.
const standstill = 2 * time.Minute

// grace is how long a run has to hear that the context has ended.
const grace = 5 * time.Second

// Outcome is what a run has come to.
type Outcome struct {
	Report   *sim.Report // nil when it came to no end
	Failures []Failure   // one for each cause, the first to happen first; none: it held
}

// FailsFor says whether the run has failed for the cause of that name.
func (o Outcome) FailsFor(group string) bool {
	_, ok := has(o.Failures, group)
	return ok
}

// errEvents ends a run that has used up its events.
var errEvents = errors.New("events used up")

// Run plays a scenario. What goes wrong in it, a panic too, is a failure; the
// error is the context's.
func (p Play) Run(ctx context.Context, sc *scenarios.Scenario) (Outcome, error) {
	type end struct {
		out Outcome
		err error
	}
	ended := make(chan end, 1)
	var beat atomic.Uint64
	go func() {
		out, err := p.run(ctx, sc, &beat)
		ended <- end{out, err}
	}()
	timer := time.NewTicker(standstill)
	defer timer.Stop()
	stop := ctx.Done()
	for seen := beat.Load(); ; seen = beat.Load() {
		select {
		case e := <-ended:
			return e.out, e.err
		case <-stop:
			stop = nil
			timer.Reset(grace)
			continue
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return Outcome{}, ctx.Err()
		}
		if beat.Load() != seen {
			continue
		}
		// Its goroutine cannot be ended, and is left behind.
		return Outcome{Failures: []Failure{failure(NoEnd, "", fmt.Sprintf("a step did not end within %v of real time", standstill), 0)}}, nil
	}
}

func (p Play) run(ctx context.Context, sc *scenarios.Scenario, beat *atomic.Uint64) (out Outcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			out, err = Outcome{Failures: []Failure{panicked(sc, v, string(debug.Stack()))}}, nil
		}
	}()
	events := p.Events
	if events == 0 {
		events = DefaultEvents
	}
	var reached time.Duration
	result, err := sim.Run(sc, sim.Options{Open: p.Open, Progress: func(at sim.Progress) error {
		beat.Add(1)
		reached = at.Now
		if p.watch != nil {
			p.watch()
		}
		if at.Events > events {
			return errEvents
		}
		return ctx.Err()
	}})
	switch {
	case errors.Is(err, errEvents):
		f := failure(NoEnd, "", fmt.Sprintf("%d events bring the run only to %v", events, reached), reached)
		return Outcome{Failures: []Failure{f}}, nil
	case err != nil && ctx.Err() != nil:
		return Outcome{}, ctx.Err()
	case err != nil:
		return Outcome{Failures: []Failure{failure(Refused, "", err.Error(), 0)}}, nil
	}
	return Outcome{Report: result.Report, Failures: failures(sc, result.Report)}, nil
}

// failures are the causes for which a run has failed.
func failures(sc *scenarios.Scenario, rep *sim.Report) []Failure {
	var out []Failure
	known := map[string]bool{}
	add := func(f Failure) {
		if !known[f.Group] {
			known[f.Group] = true
			out = append(out, f)
		}
	}
	for _, v := range rep.Violations {
		add(failure(v.Invariant, string(v.Kind), v.Reason, v.At))
	}
	if len(out) == 0 {
		for _, w := range rep.Pending {
			add(failure(Unsettled, string(w.Kind), w.Why, sc.Duration))
			break // the rest explains this one
		}
	}
	for _, e := range rep.Expectations {
		told := slices.ContainsFunc(demands(), func(d scenarios.Expectation) bool { return d.Text == e.Text }) && len(out) > 0
		if !e.Met && !told {
			f := failure(Expectation, "", e.Text, sc.Duration)
			f.Reason = fmt.Sprintf("%s: was %s", e.Text, e.Shown)
			add(f)
		}
	}
	return out
}
