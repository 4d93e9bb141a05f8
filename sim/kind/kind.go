// Package kind plays scenarios on a rig: real ZooKeeper, Kafka, Mosquitto and
// PostgreSQL in containers, a Kubernetes cluster made by kind, the orchestrator
// installed from its chart, DACs in pods. The run is that of package wire, which
// has the clock, the checker and the report; this is the ground that it stands on.
//
// What happens is read from the outside: every state of ZooKeeper from its
// transaction log, pods from a watch, rows from the data centre. What a DAC runs is
// what it has confirmed.
package kind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"dacorch/e2e/rig"
	"dacorch/scenarios"
	"dacorch/sim/wire"
)

// Options are what a run needs besides its scenario.
type Options struct {
	Rig           string  // the rig's name; default rig.Name
	TimeScale     float64 // see wire.RunOptions
	Orchestrators int     // replicas, 1 to 9; default 1
	Open          func(path string) (io.ReadCloser, error)
	Log           io.Writer // of the orchestrators; nil: discards
	Progress      func(wire.Progress) error
}

const (
	// namespace and release are a run's own; a rig bears one run at a time.
	namespace = "dacorch-sim"
	release   = "sim"
	// suffix ends the kinds' names in a run: the rig's own release has a Thing and a
	// Rule, with their tables, nodes and consumer groups. Whatever has a kind whose name
	// ends so is a run's, and removed with it.
	suffix = "Sim"
)

// Run plays a scenario on a rig that is up, in real time, and removes from the rig
// what it has put there; what a run that was killed has left, the next one removes.
// A rig bears one run at a time. Its servers and what is announced on cm/notify are
// everybody's: the rig's own release feels the faults of these too. The error is
// about the scenario or its files, the rig, ctx, or that of Progress; what went
// wrong in the run is in the report.
func Run(ctx context.Context, sc *scenarios.Scenario, opts Options) (*wire.Result, error) {
	if err := refuse(sc); err != nil {
		return nil, err
	}
	if opts.Orchestrators < 0 || opts.Orchestrators > mostOrchestrators {
		return nil, fmt.Errorf("%d orchestrators: want 1 to %d", opts.Orchestrators, mostOrchestrators)
	}
	result, err := wire.Run(ctx, sc, wire.RunOptions{TimeScale: opts.TimeScale, Orchestrators: opts.Orchestrators, Open: opts.Open,
		Log: opts.Log, Progress: opts.Progress, Ground: &ground{name: opts.Rig, following: newFollowing(),
			breaking: breaking{servers: map[rig.ServiceName]*outage{}, signals: make(chan struct{}, signalsAtOnce)}}})
	if result != nil && err != nil { // no reason to lose it
		result.Report.Notes = append(result.Report.Notes, fmt.Sprintf("Not all of the run was cleared away, which the next one will do: %v.", err))
		err = nil
	}
	return result, err
}

// refuse answers what a scenario asks for, besides faults, that no rig has.
func refuse(sc *scenarios.Scenario) error {
	const instead = "; leave it out, or run the scenario with --on wire"
	var errs []error
	if sc.Nodes != nil {
		errs = append(errs, fmt.Errorf("%s: nodes: a rig has one node, and no machines come and go%s", sc.File, instead))
	}
	if len(sc.Load) > 0 {
		errs = append(errs, fmt.Errorf("%s: load: a rig has no users%s", sc.File, instead))
	}
	return errors.Join(errs...)
}

// ground is a rig as a run stands on it. The order of its files: what happens
// (happens.go), what the DACs do (dacs.go), the orchestrators (crew.go) and how they
// end (ends.go), what breaks (breaks.go), what is there (site.go) and how it is
// cleared away (clear.go).
type ground struct {
	name string // of the rig
	s    wire.Setting
	*site

	dacs  *dacs
	pods  *pods
	crew  *crew
	works sync.WaitGroup // goroutines that end with the site's context

	following
	breaking
}

// Name is part of wire.Ground.
func (*ground) Name() string { return "kind" }

const (
	// openWithin bounds what it takes to prepare a rig for a run, and closeWithin to
	// clear it away: a namespace goes when its last pod has gone, and a server that is
	// away is started first.
	openWithin  = 5 * time.Minute
	closeWithin = 5 * time.Minute
	// comingBack is how long a server may take to start, and its clients to find it.
	comingBack = 30 * time.Second
	// answers is how long an orchestrator may take to say what it knows.
	answers = 3 * time.Second
	// leastSession is the shortest session that a machine which runs all of this keeps alive.
	leastSession = 6 * time.Second
)

// Open is part of wire.Ground.
func (g *ground) Open(ctx context.Context, s wire.Setting) (_ *wire.Scene, err error) {
	s.Session, s.Kinds = max(s.Session, leastSession), slices.Clone(s.Kinds)
	for i := range s.Kinds {
		k := &s.Kinds[i]
		k.Session, k.Table = max(k.Session, leastSession), string(k.Kind)+suffix
	}
	g.s = s
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if g.site, err = openSite(ctx, g.name, s.Kinds); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	centre, err := g.centre()
	if err != nil {
		return nil, err
	}
	g.dacs = newDACs(s.Kinds, s.Told.DACs)
	g.pods = newPods(g)
	if g.crew, err = g.install(ctx); err != nil {
		return nil, err
	}
	if err = g.watch(ctx); err != nil {
		return nil, err
	}
	return &wire.Scene{Centre: centre, Crew: g.crew, Look: g, Breaker: g, Begin: g.begin, Close: g.close,
		Suffix: suffix, ComingBack: comingBack, Answers: answers, Notes: g.notes}, nil
}

// close is wire.Scene.Close.
func (g *ground) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	errs := []error{g.mend(ctx)}
	if g.crew != nil {
		errs = append(errs, g.crew.close(ctx))
	}
	g.site.end()
	g.works.Wait()
	return errors.Join(append(errs, g.site.close(ctx))...)
}
