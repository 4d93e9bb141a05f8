// Package sweep looks for bugs that nobody thought of: it plays scenarios under
// many seeds on every core and groups what fails by its cause (Sweep), turns a
// seed into a scenario of its own (Swarm), cuts a failing scenario down to the
// smallest that still fails the same way (Shrink), and sets variants of one
// scenario beside each other (Compare).
//
// Each run is sim.Run, alone and repeatable: what a sweep finds is a scenario, a
// plain value that anybody can run again.
package sweep

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"dacorch/scenarios"
)

// Options say what to sweep.
type Options struct {
	Play
	Bases []*scenarios.Scenario // played in turn; at least one
	Seeds int                   // runs in total: run i plays base i mod len(Bases) under seed From+i; 0: until the context ends
	From  uint64
	Swarm bool // each run plays Swarm(base, seed); else the base itself, whose expectations count too
	Jobs  int  // runs at a time; 0: as many as there are cores
	// Each, unless nil, is told of every run as it ends, and Watch of how far the
	// sweep is, now and then. Neither is called twice at once.
	Each  func(*Run) error
	Watch func(Progress)
}

// Run is one run of a sweep.
type Run struct {
	Index    int
	Base     string // the name of the scenario
	Seed     uint64
	Scenario *scenarios.Scenario // what was played
	Classes  []Class             // the classes of faults in it, in the order of Classes
	Outcome
	Wall time.Duration
}

// Progress is how far a sweep is.
type Progress struct {
	Runs, Failed, Groups int
	Wall                 time.Duration
	Jobs                 int
	Running              []string // the names of what is being played
}

// PerHour is how many runs a core does in an hour.
func (p Progress) PerHour() float64 {
	if p.Wall <= 0 {
		return 0
	}
	return float64(p.Runs) / p.Wall.Hours() / float64(p.Jobs)
}

// sweep is a sweep under way.
type sweep struct {
	opts    Options
	began   time.Time
	next    atomic.Int64
	mu      sync.Mutex // guards all below, and calls of Each and Watch
	running map[int]string
	sum     *Summary
	err     error // of Each
}

// Sweep plays until all runs are done or the context ends. Runs that it ends
// do not count. The error is that of Each.
func Sweep(ctx context.Context, opts Options) (*Summary, error) {
	if opts.Jobs <= 0 {
		opts.Jobs = runtime.GOMAXPROCS(0)
	}
	s := &sweep{opts: opts, began: time.Now(), running: map[int]string{}, sum: newSummary(opts)}
	var workers sync.WaitGroup
	for range opts.Jobs {
		workers.Go(func() {
			for ctx.Err() == nil && s.one(ctx) {
			}
		})
	}
	workers.Wait()
	s.sum.finish(time.Since(s.began))
	return s.sum, s.err
}

// one plays the next run; false: there is none, or the sweep has failed.
func (s *sweep) one(ctx context.Context) bool {
	i := int(s.next.Add(1)) - 1
	if s.opts.Seeds > 0 && i >= s.opts.Seeds {
		return false
	}
	base := s.opts.Bases[i%len(s.opts.Bases)]
	run := &Run{Index: i, Base: base.Name, Seed: s.opts.From + uint64(i)}
	if s.opts.Swarm {
		run.Scenario = Swarm(base, run.Seed)
	} else {
		run.Scenario = clone(base)
		run.Scenario.Seed = run.Seed
	}
	run.Classes = ClassesOf(run.Scenario)
	s.started(run)
	began := time.Now()
	play := s.opts.Play
	play.watch = func() { s.watch() }
	out, err := play.Run(ctx, run.Scenario)
	run.Outcome, run.Wall = out, time.Since(began)
	return s.ended(run, err)
}

func (s *sweep) started(run *Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[run.Index] = run.Base
}

// ended counts a run; one that the context has ended does not count.
func (s *sweep) ended(run *Run, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, run.Index)
	if err != nil || s.err != nil {
		return false
	}
	s.sum.add(run)
	if s.opts.Each != nil {
		s.err = s.opts.Each(run)
	}
	s.tell()
	return s.err == nil
}

func (s *sweep) watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
}

// tell says how far the sweep is; the lock is held.
func (s *sweep) tell() {
	if s.opts.Watch == nil {
		return
	}
	p := Progress{Runs: s.sum.Runs, Failed: s.sum.Failed, Groups: len(s.sum.Groups), Wall: time.Since(s.began), Jobs: s.opts.Jobs}
	for _, name := range s.running {
		p.Running = append(p.Running, name)
	}
	s.opts.Watch(p)
}
