// Package sim drives the real placement and reconcile code through a scenario
// in virtual time, and says whether what must hold held.
//
//	result, err := sim.Run(scenario, sim.Options{Open: os.Open…})
//
// Begin answers the same run as a Live, which somebody else takes on step by
// step, and breaks and orders things in; Run is one that nobody touches.
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
	"fmt"
	"io"
	"math"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
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
	// Record, unless nil, is what the run is recorded with: a recording.Writer
	// begun with the run's RecordingHeader, or another. The run closes it, with its
	// report. A nil *recording.Writer counts as nil.
	Record Recorder
	// Progress, unless nil, is called every ProgressEvents events; an error from
	// it ends the run.
	Progress func(Progress) error
	// Start is what stands when the run begins, by kind; nothing of a kind that is
	// not in it. The rows of the start are the scenario's.
	Start map[fleet.Kind]Standing
}

// Recorder is told what a recording keeps, in the order in which it happens;
// recording.Writer is one, and says what each call means. Process comes before
// the calls that it is about. What a Recorder is given is the run's: it keeps
// nothing of it but strings and copies.
type Recorder interface {
	Process(number int, skew time.Duration)
	Event(at time.Duration, kind int, ev reconcile.Event)
	Commands(at time.Duration, kind int, commands []reconcile.Command)
	Mark(at time.Duration, kind int, m recording.Mark)
	Restarted(at time.Duration, kind int)
	Close(c recording.Closing) error
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
	l, err := Begin(sc, opts)
	if err != nil {
		return nil, err
	}
	most := math.MaxInt
	if opts.Progress != nil {
		most = ProgressEvents
	}
	for {
		if _, ended := l.Advance(sc.Duration, most); ended {
			return l.Close()
		}
		if err := opts.Progress(l.run.progress()); err != nil {
			return nil, err
		}
	}
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
	calmAt  time.Duration // when the last fault that somebody has injected is over
	nextReq uint64        // the last number given to an order
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

// finish closes the run's books at the moment that it has come to.
func (r *run) finish() {
	end := r.tl.Now()
	if r.healed {
		r.audit(end)
	} else {
		r.heal(end)
	}
	for _, p := range r.procs {
		p.leave(false)
	}
	r.check.End(end)
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
		o := &r.sc.Orders[arg]
		r.order(now, openOrder{order: o, as: machineOrder(o), given: now})
	case opNode:
		r.node(data.(churn.NodeEvent))
	case opHeal:
		r.healDue(now)
	case opDeadlines:
		r.check.Tick(now)
		r.pics.sample(r, now)
		r.tl.After(checkEvery, r, opDeadlines, 0, nil)
	}
}

// healDue says that faults have stopped, unless somebody has broken something for
// longer.
func (r *run) healDue(now time.Duration) {
	if now < r.calmAt {
		r.tl.At(r.calmAt, r, opHeal, 0, nil)
		return
	}
	r.heal(now)
	if now < r.sc.Duration {
		r.keepMark(now, nil, fleet.NoInstance, recording.Healed, "")
	}
}

// heal has everything settle from now on.
func (r *run) heal(now time.Duration) {
	r.healed = true
	r.audit(now)
	r.check.Heal(now)
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
		VirtualS: r.tl.Now().Seconds(), Events: r.tl.Fired(), Records: r.trace.Records(), Trace: r.trace.Sum(),
		Kinds: kinds, Totals: totals, Invariants: r.check.Counts(), Violations: r.check.Violations(),
		HealS: r.sc.Heal.Seconds(), Pending: r.pending(), Skipped: r.script.Skipped,
		Slowest: r.check.Slowest(), Distributions: r.check.Distributions(),
	}
	if len(r.sc.Load) > 0 {
		rep.Notes = append(rep.Notes, "The load was not played: virtual time has no REST interface to call. --on wire plays it.")
	}
	if end := r.tl.Now(); end < r.sc.Duration {
		rep.Notes = append(rep.Notes, fmt.Sprintf("The run was ended after %s of %s: what is expected was expected of the whole.",
			scenarios.FormatDuration(end), scenarios.FormatDuration(r.sc.Duration)))
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
