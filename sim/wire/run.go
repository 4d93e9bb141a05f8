package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/invariant"
	"dacorch/sim/internal/stage"
	"dacorch/sim/internal/timeline"
)

// RunOptions are what a run needs besides its scenario.
type RunOptions struct {
	// Serve makes the command that runs an orchestrator process with a
	// configuration file. What it prints goes to Log. Required without a Ground.
	Serve func(ctx context.Context, config string) *exec.Cmd
	// TimeScale is how many times faster than the scenario's time the run is:
	// intervals and moments are shortened, what servers and programs need is not.
	// 1 when zero; at most 120, where a heartbeat comes every half second.
	TimeScale float64
	// Orchestrators is how many processes stand for election; default 1.
	Orchestrators int
	// Open opens a trace file; nil refuses them.
	Open func(path string) (io.ReadCloser, error)
	// Ground is what the run stands on; nil: a Platform in this process.
	Ground Ground
	Log    io.Writer // of the processes; nil: discards
	// Progress, unless nil, is called about once a second of real time; an error
	// from it ends the run.
	Progress func(Progress) error
}

// Progress is how far a run is, in the scenario's time.
type Progress struct {
	Now, Duration time.Duration
	Resources     int
	Instances     int
	Unplaced      int
}

// Result is a run's report and its timeline.
type Result struct {
	Report   *history.Report
	Timeline *history.Series
}

// run is one scenario being played.
type run struct {
	sc     *scenarios.Scenario
	opts   RunOptions
	script stage.Script
	ground Ground
	*Scene
	p      *Platform  // of the ground in this process; nil on another
	procs  *processes // likewise
	check  *invariant.Checker
	pics   *pictures
	reader *TreeReader
	queue  *queue
	kinds  []*kind

	ctx      context.Context // ends with the run
	cancel   context.CancelFunc
	began    time.Time
	work     worker
	load     load
	beats    uint64 // of the facts, heartbeats: they change no state
	wrong    wrongs
	broken   error           // why no orchestrator ever started
	machines map[string]bool // that are listed, be they closed
	ordered  map[dacAt]bool  // replacements that an operator has asked for
	facts    uint64
	behind   time.Duration // the most that an action or a statement came late, in real time
	healed   bool
	asked    time.Time     // when a leader that is about to be killed was asked what it knows
	last     time.Duration // the latest moment that the checker was told of
	ended    time.Duration // when the run did
	notes    []string      // for the report
	hearing  sync.WaitGroup
	faults   *faults
	evicted  map[dacAt]bool    // whose pods were deleted by somebody else than an orchestrator
	pending  []history.Pending // what the orchestrator said it had still to do
	answers  chan func()       // what came of orders, for the run's goroutine
	open     map[*scenarios.Order]*openOrder
	clerk    clerk
}

// kind is one kind of the scenario.
type kind struct {
	name fleet.Kind
	spec *scenarios.Kind
	cast *stage.Cast
}

// The bounds of the invariants that are about how fast servers and programs are,
// in real time. They are generous: a machine may have other work.
const (
	overlapBound = 15 * time.Second
	reloadBound  = 20 * time.Second
	settleSlack  = 2 * time.Minute
)

// evictAfter is how long Kubernetes bears with a lost node, by the scenario's time.
const evictAfter = 5 * time.Minute

// Run plays a scenario in real time, with the production orchestrator in processes
// of its own, on a ground. What it reports is read from the outside: from ZooKeeper,
// Kubernetes, the database, and what the DACs say they run. The error is about the
// scenario or its files, about ctx, or that of Progress; what went wrong in the run
// is in the report.
func Run(ctx context.Context, sc *scenarios.Scenario, opts RunOptions) (_ *Result, err error) {
	if opts.TimeScale == 0 {
		opts.TimeScale = 1
	}
	if opts.TimeScale < 1 || opts.TimeScale > 120 {
		return nil, &fleet.FieldError{Field: "time-scale", Value: fmt.Sprint(opts.TimeScale), Want: "1 to 120"}
	}
	opts.Orchestrators = max(1, opts.Orchestrators)
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	r := newRun(ctx, sc, opts)
	defer r.cancel()
	if err := r.prepare(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.start(); err != nil {
		return nil, err
	}
	if err := r.play(); err != nil {
		return nil, err
	}
	return r.result(), nil
}

func newRun(ctx context.Context, sc *scenarios.Scenario, opts RunOptions) *run {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{sc: sc, opts: opts, ctx: ctx, cancel: cancel, queue: newQueue(), ordered: map[dacAt]bool{}, machines: map[string]bool{firstNode: true}, evicted: map[dacAt]bool{},
		answers: make(chan func(), 64), open: map[*scenarios.Order]*openOrder{}}
	r.clerk.ctx, r.clerk.stop = context.WithCancel(ctx)
	r.script = stage.Script{Scenario: sc, Seed: timeline.Seed(sc.Seed), Open: opts.Open}
	if r.ground = opts.Ground; r.ground == nil {
		r.ground = here{r}
	}
	r.makeFaults()
	return r
}

// prepare makes the casts and the checker, and opens the ground.
func (r *run) prepare() error {
	if err := r.refuse(); err != nil {
		return err
	}
	setting := Setting{Entries: map[fleet.Kind]string{}, Orchestrators: r.opts.Orchestrators, Session: r.session(), PodStart: r.real(r.sc.World.Latency("kubernetes.start").Mean),
		EvictAfter: r.real(evictAfter), Nodes: r.sc.Nodes, Log: r.opts.Log,
		Told: Told{Tree: r.zookeeper, Pod: r.kubernetes, DACs: facts{r},
			Crashed: func(kind fleet.Kind) { r.queue.add(func(time.Time) { r.crashed(kind) }) },
			Died:    func(why error) { r.queue.add(func(at time.Time) { r.died(at, why) }) },
			Lost:    func(why error) { r.queue.add(func(time.Time) { r.broken = why }) },
			Evicted: func(kind fleet.Kind, id fleet.InstanceID) {
				r.queue.add(func(time.Time) { r.evicted[dacAt{kind, id}] = true })
			},
			Hear: func(client *api.Client) { r.hearing.Go(func() { r.hear(client) }) }}}
	check := invariant.Config{Pod: r.podState}
	for i := range r.sc.Kinds {
		spec := &r.sc.Kinds[i]
		if err := stage.Machine(spec).Validate(); err != nil {
			return fmt.Errorf("%s: kinds.%s: %w", r.sc.File, spec.Kind, err)
		}
		cast, err := r.script.Cast(spec)
		if err != nil {
			return err
		}
		k := &kind{fleet.Kind(spec.Kind), spec, cast}
		r.kinds = append(r.kinds, k)
		setting.Entries[k.name] = r.entry(spec)
		setting.Kinds = append(setting.Kinds, Kind{Kind: k.name, InstanceName: spec.InstanceName, Heartbeat: spec.Heartbeat,
			HeartbeatInterval: r.real(spec.HeartbeatInterval), Confirms: true, Session: r.session()})
		check.Kinds = append(check.Kinds, invariant.KindConfig{
			Kind: k.name, Handoff: fleet.Handoff(spec.Handoff), OverlapBound: r.scaled(overlapBound), ReloadBound: r.scaled(reloadBound),
			SettleBound: spec.Resync + 2*spec.Silence + r.scaled(settleSlack), Grouped: spec.Policy == "group", Resources: len(cast.Initial),
			NoHeartbeat: !spec.Heartbeat, Unconfirmed: spec.Unconfirmed, Monitor: spec.Monitor + r.scaled(reloadBound),
		})
	}
	if err := r.prepareLoad(); err != nil {
		return err
	}
	r.check = invariant.New(check)
	r.pics = newPictures(r)
	r.reader = NewTreeReader(setting.Kinds)
	r.reader.Strange = func(kind fleet.Kind, why string) { r.wrong.add(r.last, kind, invariant.TreeShape.String(), why) }
	var err error
	r.Scene, err = r.ground.Open(r.ctx, setting)
	return err
}

// start fills the tables and starts the orchestrators; the run's clock begins.
func (r *run) start() error {
	for _, k := range r.kinds {
		if _, err := r.Centre.Do(r.ctx, Statement{Kind: k.name, Verb: Create, Rows: k.cast.Initial, Silent: true}); err != nil {
			return fmt.Errorf("the rows of the start: %w", err)
		}
		for _, row := range k.cast.Initial {
			r.check.RowPresent(0, k.name, row)
		}
		r.check.Add(k.name, history.TraceRows, float64(k.cast.TraceRows))
		r.check.Add(k.name, history.TraceRowsSkipped, float64(k.cast.SkippedRows))
	}
	if err := r.schedule(); err != nil {
		return err
	}
	if len(r.faults.broken) > 0 {
		r.Centre.carry = r.faults.carry
	}
	r.began = time.Now()
	if err := r.Begin(r.ctx); err != nil {
		return err
	}
	return r.Crew.Start()
}

// real is a scenario's duration in real time, scaled the other way round.
func (r *run) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / r.opts.TimeScale)
}
func (r *run) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * r.opts.TimeScale)
}

// at is a moment in the scenario's time. It never goes back: what was noted on
// another goroutine may be a little older than what was handled last. Only the
// run's own goroutine asks.
func (r *run) at(t time.Time) time.Duration {
	r.last = max(r.last, r.scaled(t.Sub(r.began)))
	return r.last
}

// play does what the scenario foresees when it is due, and takes in the facts.
func (r *run) play() error {
	wake := time.NewTimer(0)
	defer wake.Stop()
	told := time.Now()
	r.beginChurn()
	for {
		now := time.Now()
		r.takeFacts()
		if end := r.began.Add(r.real(r.sc.Duration)); !now.Before(end) || r.deserted() {
			break
		}
		next := r.perform(now)
		if next > 250*time.Millisecond {
			next = 250 * time.Millisecond
		}
		r.check.Tick(r.at(now))
		r.pics.sample(r.at(now))
		if r.opts.Progress != nil && now.Sub(told) >= time.Second {
			told = now
			if err := r.opts.Progress(r.progress(now)); err != nil {
				return err
			}
		}
		wake.Reset(max(0, next))
		select {
		case <-wake.C:
		case <-r.queue.some:
		case f := <-r.answers:
			f()
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
	r.takeFacts()
	if r.broken != nil {
		return r.broken
	}
	return r.finish()
}

// takeFacts hands what has happened to the checker, in its order.
func (r *run) takeFacts() {
	for _, f := range r.queue.take() {
		r.facts++
		f.do(f.at)
	}
}

func (r *run) progress(now time.Time) Progress {
	p := Progress{Now: r.at(now), Duration: r.sc.Duration}
	for _, k := range r.kinds {
		live := r.check.Live(k.name)
		p.Resources += live.Resources
		p.Instances += live.Instances
		p.Unplaced += live.Unplaced
	}
	return p
}

// close ends the orchestrators and the ground.
func (r *run) close() error {
	r.cancel()
	r.hearing.Wait()
	r.clerk.work.Wait()
	r.load.playing.Wait()
	r.faults.close()
	return r.Close()
}
