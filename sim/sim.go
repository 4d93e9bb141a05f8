// Package sim drives the real placement and reconcile code through a scenario
// in virtual time, and says whether what must hold held.
//
//	result, err := sim.Run(scenario, sim.Options{Open: os.Open…})
//
// An event heap is the clock. The servers around the orchestrator are models
// (internal/world), rows come and go by rates or trace files (internal/churn),
// the orchestrator's process (process.go) hands events to one reconcile.Machine
// per kind and executes its commands on the models. Facts go to the checker
// (internal/invariant) and the trace (internal/history) as they happen. Nothing
// here reads a clock or a file: same scenario, same seed, same trace.
package sim

import (
	"errors"
	"io"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/invariant"
	"dacorch/sim/internal/stage"
	"dacorch/sim/internal/timeline"
	"dacorch/sim/internal/world"
)

// Options are what a run needs besides its scenario.
type Options struct {
	// Open opens a trace file. It is called once for each file that the scenario
	// names; nil refuses them.
	Open func(path string) (io.ReadCloser, error)
	// Log, unless nil, gets a line for each event that the core was told and each
	// command that it gave.
	Log io.Writer
	// Record, unless nil, is what the run is recorded with, begun with its
	// RecordingHeader. The run closes it, with its report.
	Record *recording.Writer
	// Progress, unless nil, is called every ProgressEvents events; an error from
	// it ends the run.
	Progress func(Progress) error
	// Start is what stands when the run begins, by kind; nothing of a kind that is
	// not in it. The rows of the start are the scenario's.
	Start map[fleet.Kind]Standing
}

// Standing is what an orchestrator before the run has left of a kind.
type Standing struct {
	Tree    fleet.Tree         // instances and their lists; versions and statuses are the world's own
	Running []fleet.InstanceID // those whose pods run, with what their lists say
}

// ProgressEvents is the number of events between two calls of Options.Progress.
const ProgressEvents = 1 << 16

// Progress is how far a run is.
type Progress struct {
	Now, Duration time.Duration
	Events        uint64
	Resources     int
	Instances     int
	Unplaced      int
}

// Report is everything that a run has shown.
type Report = history.Report

// TableOptions say how a report is written for people.
type TableOptions = history.TableOptions

// TimelineOptions say how a timeline is drawn.
type TimelineOptions = history.TimelineOptions

// Result is a run's report and its timeline.
type Result struct {
	Report   *Report
	Timeline *history.Series
}

// ErrOnWire says that a scenario cannot run in virtual time.
var ErrOnWire = errors.New("the scenario says on: wire, and cannot run in virtual time: run it with --on wire")

// Run runs a scenario. The error is about the scenario or its files, or that of
// Progress; what went wrong in the run is in the report.
func Run(sc *scenarios.Scenario, opts Options) (*Result, error) {
	r, err := newRun(sc, opts)
	if err != nil {
		return nil, err
	}
	if err := r.play(); err != nil {
		return nil, err
	}
	result := r.result()
	return result, r.closeRecording(result.Report)
}

// run is one simulation.
type run struct {
	sc     *scenarios.Scenario
	script stage.Script
	opts   Options
	seed   timeline.Seed
	tl     *timeline.Timeline
	world  *world.World
	check  *invariant.Checker
	trace  *history.Trace
	kinds  []*kind
	procs  []*process // those that live, the oldest first
	pics   pictures

	healed  bool
	nextReq uint64 // the last number given to an order
	orders  map[uint64]openOrder

	orphans   map[*fleet.Txn]bool                // sent by a process that has died, and may yet happen
	unarrived map[*fleet.Notification]fleet.Kind // published, neither received nor lost

	worldCfg world.Config
	leases   *timeline.Stream // how processes fare that cannot prove their leadership
	resolves *timeline.Stream // and that do not know what became of a transaction
	faults
}

// kind is one kind of the scenario and what happens to its rows.
type kind struct {
	name    fleet.Kind
	number  int64 // in the scenario, for the trace
	spec    *scenarios.Kind
	cast    *stage.Cast
	pending churn.Op                           // the operation that is scheduled
	led     bool                               // somebody has led it
	ordered uint64                             // the last order that somebody was given
	sizes   map[fleet.InstanceID]size          // of the instances in ZooKeeper
	born    map[fleet.InstanceID]time.Duration // when each newest pod was created
	pods    int                                // above the highest instance that has had one
}

// size is how full an instance is.
type size struct{ used, capacity int }

// The events that the run schedules for itself.
const (
	opChurn uint32 = iota
	opFaultOn
	opFaultOff
	opFaultAgain
	opRestart
	opDo
	opOrder
	opNode
	opHeal
	opDeadlines
)

// checkEvery is how often deadlines of invariants are looked at.
const checkEvery = time.Second

// play runs the scenario to its end.
func (r *run) play() error {
	r.startProcess()
	for next := r.opts.Progress; ; {
		at, ok := r.tl.Next()
		if !ok || at > r.sc.Duration {
			break
		}
		r.tl.Step()
		if next != nil && r.tl.Fired()%ProgressEvents == 0 {
			if err := next(r.progress()); err != nil {
				return err
			}
		}
	}
	if !r.healed {
		r.heal(r.sc.Duration)
	}
	for _, p := range r.procs {
		p.leave(false)
	}
	if r.sc.Heal < r.sc.Duration {
		r.audit(r.sc.Duration)
	}
	r.check.End(r.sc.Duration)
	return nil
}

func (r *run) progress() Progress {
	p := Progress{Now: r.tl.Now(), Duration: r.sc.Duration, Events: r.tl.Fired()}
	for _, k := range r.kinds {
		live := r.check.Live(k.name)
		p.Resources += live.Resources
		p.Instances += live.Instances
		p.Unplaced += live.Unplaced
	}
	return p
}

// Handle is the run's own part of the timeline.
func (r *run) Handle(now time.Duration, op uint32, arg int64, data any) {
	switch op {
	case opChurn:
		r.churn(now, r.kinds[arg])
	case opFaultOn:
		r.faultOn(now, r.broken[arg])
	case opFaultOff:
		r.faultOff(now, r.broken[arg])
	case opFaultAgain:
		r.faultAgain(now, r.broken[arg])
	case opRestart:
		r.restart()
	case opDo:
		data.(func(time.Duration))(now)
	case opOrder:
		r.order(now, &r.sc.Orders[arg])
	case opNode:
		r.node(data.(churn.NodeEvent))
	case opHeal:
		r.heal(now)
	case opDeadlines:
		r.check.Tick(now)
		r.pics.sample(r, now)
		r.tl.After(checkEvery, r, opDeadlines, 0, nil)
	}
}

// heal says that faults have stopped.
func (r *run) heal(now time.Duration) {
	r.healed = true
	r.audit(now)
	r.check.Heal(now)
	if now < r.sc.Duration {
		r.keepMark(now, nil, fleet.NoInstance, recording.Healed, "")
	}
	r.record(now, recHeal)
	r.trace.End()
}

// audit compares what the checker has added up with the world as it stands, in
// the dumbest way.
func (r *run) audit(now time.Duration) {
	for _, k := range r.kinds {
		truth := invariant.Truth{Running: map[fleet.InstanceID][]string{}, Orphans: map[string][]string{}}
		for _, in := range r.world.DACs.Instances(k.name) {
			view, _ := r.world.DACs.View(k.name, in)
			truth.Running[in] = view.Held
		}
		for _, view := range r.world.DACs.Strays(k.name) {
			if in := view.Instance; len(truth.Running[in]) == 0 { // nothing tells it from its successor yet
				truth.Running[in] = view.Held
			} else {
				truth.Orphans[view.UID] = view.Held
			}
		}
		truth.Tree = r.world.ZooKeeper.Tree(k.name)
		truth.Rows = r.world.Database.Rows(k.name)
		r.check.Audit(now, k.name, truth) // a difference counts as a violation
	}
}

// result makes the report.
func (r *run) result() *Result {
	kinds, totals := r.check.Figures()
	rep := &history.Report{
		Scenario: r.sc.Name, About: r.sc.About, Seed: uint64(r.seed),
		VirtualS: r.sc.Duration.Seconds(), Events: r.tl.Fired(), Records: r.trace.Records(), Trace: r.trace.Sum(),
		Kinds: kinds, Totals: totals, Invariants: r.check.Counts(), Violations: r.check.Violations(),
		HealS: r.sc.Heal.Seconds(), Pending: r.pending(), Skipped: r.script.Skipped,
		Slowest: r.check.Slowest(), Distributions: r.check.Distributions(),
	}
	if len(r.sc.Load) > 0 {
		rep.Notes = append(rep.Notes, "The load was not played: virtual time has no REST interface to call. --on wire plays it.")
	}
	for _, e := range r.sc.Expect {
		met, shown := e.Check(rep.Metric)
		value, _ := rep.Metric(e.Metric)
		rep.Expectations = append(rep.Expectations, history.Expectation{Text: e.Text, Value: value, Shown: shown, Met: met})
	}
	return &Result{Report: rep, Timeline: r.pics.series}
}

// pending is what had not settled at the end, from the outside (the checker)
// and from the inside (the machines).
func (r *run) pending() []history.Pending {
	out := r.check.Pending()
	if n := r.world.ZooKeeper.Stats().TooLarge; n > 0 {
		out = append(out, history.Pending{Why: "ZooKeeper refused transactions as too large: the core's bounds are wrong", Count: int(n)})
	}
	for i, k := range r.kinds {
		p := r.leader()
		if p == nil {
			out = append(out, history.Pending{Kind: k.name, Why: "no orchestrator runs", Count: 1})
			continue
		}
		if len(out) == 0 {
			continue // nothing to explain
		}
		for _, why := range p.kinds[i].machine.Pending(10) {
			out = append(out, history.Pending{Kind: k.name, Why: "orchestrator: " + why, Count: 1})
		}
	}
	return append(out, r.unanswered()...)
}
