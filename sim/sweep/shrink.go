package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"dacorch/scenarios"
)

// ShrinkOptions say how a failing scenario is cut.
type ShrinkOptions struct {
	Play
	Jobs int // runs at a time; 0: as many as there are cores
	// Group is the cause to keep; empty: the first that the scenario fails for.
	Group string
	// Watch, unless nil, is told of what was tried and what is left.
	Watch func(Shrinking)
}

// Shrinking is how far a shrink is.
type Shrinking struct {
	Runs, Cuts int // played, and of those, kept
	Lines      int
	Doing      string
	Left       *scenarios.Scenario
}

// Shrunk is the smallest scenario found.
type Shrunk struct {
	Scenario *scenarios.Scenario
	Failure  Failure // in it
	Runs     int
	Cuts     int
	Whole    bool // false: the context ended before there was nothing left to cut
}

// ErrHolds says that there is nothing to shrink.
var ErrHolds = errors.New("the scenario does not fail")

// shrink is a shrink under way.
type shrink struct {
	opts  ShrinkOptions
	sc    *scenarios.Scenario
	cost  cost
	fail  Failure
	tried map[string]bool // texts that were played and did not fail
	runs  int
	cuts  int
	// possible says that what is cut must stay possible, as the scenario was.
	possible bool
}

// Shrink cuts a failing scenario as long as it still fails for the same cause.
// The same scenario gives the same result whatever Jobs is, unless the context
// ends first: then what is left so far is the answer. ErrHolds: it does not fail.
func Shrink(ctx context.Context, sc *scenarios.Scenario, opts ShrinkOptions) (*Shrunk, error) {
	if opts.Jobs <= 0 {
		opts.Jobs = runtime.GOMAXPROCS(0)
	}
	s := &shrink{opts: opts, tried: map[string]bool{}}
	out, err := opts.Play.Run(ctx, sc)
	if err != nil {
		return nil, err
	}
	if len(out.Failures) == 0 {
		return nil, ErrHolds
	}
	s.fail = out.Failures[0]
	if opts.Group != "" {
		f, ok := has(out.Failures, opts.Group)
		if !ok {
			return nil, fmt.Errorf("it fails, but for %s and not for %s", s.fail.Group, opts.Group)
		}
		s.fail = f
	}
	s.sc = clone(sc)
	s.possible = (s.fail.Invariant == Settled || s.fail.Invariant == Unsettled) && Possible(sc) == nil
	s.cost, _ = s.costOf(s.sc)
	if s.fail.Invariant != Expectation {
		// Its other expectations are what the cut scenario no longer is about.
		bare := clone(s.sc)
		bare.Expect = demands()
		s.try(ctx, "expectations", []*scenarios.Scenario{bare})
	}
	for again := true; again && ctx.Err() == nil; {
		again = false
		for _, p := range passes {
			again = s.pass(ctx, p) || again
		}
	}
	s.name()
	return &Shrunk{Scenario: s.sc, Failure: s.fail, Runs: s.runs, Cuts: s.cuts, Whole: ctx.Err() == nil}, nil
}

// pass repeats one kind of cut until none of its kind is left; it says whether
// there was any.
func (s *shrink) pass(ctx context.Context, p pass) bool {
	any := false
	for ctx.Err() == nil && s.try(ctx, p.name, p.cuts(s.sc, s.fail)) {
		any = true
	}
	return any
}

// otherSeeds are the seeds that a cut is tried under besides its own: what is
// drawn changes with what is cut, and luck with it.
var otherSeeds = []uint64{1, 2, 3}

// try plays the candidates, as many at a time as there are jobs, and takes the
// first of them that fails as it should and costs less.
func (s *shrink) try(ctx context.Context, doing string, candidates []*scenarios.Scenario) bool {
	var list []candidate
	add := func(sc *scenarios.Scenario) {
		cost, text := s.costOf(sc)
		if text == "" || !cost.less(s.cost) || s.tried[text] {
			return
		}
		s.tried[text] = true
		list = append(list, candidate{sc: sc, cost: cost})
	}
	for _, sc := range candidates {
		add(sc)
		for _, seed := range otherSeeds {
			if other := clone(sc); sc.Seed != seed {
				other.Seed = seed
				add(other)
			}
		}
	}
	for batch := range slices.Chunk(list, s.opts.Jobs) {
		s.play(ctx, batch)
		for i := range batch {
			if c := &batch[i]; c.fails {
				s.sc, s.cost, s.fail = c.sc, c.cost, c.failure
				s.cuts++
				s.tell(doing)
				return true
			}
		}
		s.tell(doing)
		if ctx.Err() != nil {
			return false
		}
	}
	return false
}

func (s *shrink) tell(doing string) {
	if s.opts.Watch != nil {
		s.opts.Watch(Shrinking{Runs: s.runs, Cuts: s.cuts, Lines: s.cost.lines, Doing: doing, Left: s.sc})
	}
}

// candidate is a scenario that could take the place of the one there is.
type candidate struct {
	sc      *scenarios.Scenario
	cost    cost
	fails   bool
	failure Failure
}

// play plays a batch side by side.
func (s *shrink) play(ctx context.Context, batch []candidate) {
	done := make(chan bool, len(batch))
	for i := range batch {
		go func(c *candidate) {
			defer func() { done <- true }()
			if out, err := s.opts.Play.Run(ctx, c.sc); err == nil {
				c.failure, c.fails = has(out.Failures, s.fail.Group)
			}
		}(&batch[i])
	}
	for range batch {
		<-done
	}
	s.runs += len(batch)
}

// cost orders scenarios: of two that fail, the one that costs less is simpler.
// Every cut makes it smaller, so that shrinking ends.
type cost struct {
	lines, keys int     // of its text
	odd         int     // values that are no round ones, and chances below 1
	bulk        float64 // resources, instances and rows that come, times time
	duration    time.Duration
	length      int // of its text
	seed        uint64
}

func (c cost) less(d cost) bool {
	switch {
	case c.lines != d.lines:
		return c.lines < d.lines
	case c.keys != d.keys:
		return c.keys < d.keys
	case c.odd != d.odd:
		return c.odd < d.odd
	case c.bulk != d.bulk:
		return c.bulk < d.bulk
	case c.duration != d.duration:
		return c.duration < d.duration
	case c.length != d.length:
		return c.length < d.length
	}
	return c.seed < d.seed
}

// costOf is what a scenario costs, and its text; none when it is no scenario, or
// demands what is not possible.
func (s *shrink) costOf(sc *scenarios.Scenario) (cost, string) {
	data := scenarios.Format(sc)
	if s.possible && Possible(sc) != nil {
		return cost{lines: math.MaxInt}, ""
	}
	if _, err := scenarios.Parse(sc.File, data); err != nil {
		return cost{lines: math.MaxInt}, ""
	}
	body := data
	if _, rest, ok := bytes.Cut(data, []byte("\nduration:")); ok { // name and about say nothing of its size
		body = rest
	}
	c := cost{lines: bytes.Count(data, []byte("\n")), keys: bytes.Count(body, []byte(": ")), length: len(body), seed: sc.Seed, duration: sc.Duration}
	rows := 1.0
	for i := range sc.Kinds {
		k := &sc.Kinds[i]
		rows += float64(k.Resources) + float64(k.InitInstances)/100
	}
	for i := range sc.Churn {
		if r := sc.Churn[i].Rates; r != nil {
			rows += float64(r.Create+r.Delete+r.Update) * 600
		} else if b := sc.Churn[i].Burst; b != nil {
			rows += float64(b.Count)
		}
	}
	for i := range sc.Faults {
		f := &sc.Faults[i]
		rows += f.For.Minutes()/100 + float64(f.Count)/100 + f.Share/10
		if f.Chance < 1 {
			c.odd++
		}
	}
	c.bulk = rows * sc.Duration.Seconds()
	return c, string(data)
}

// name says in the scenario what it shows.
func (s *shrink) name() {
	reason := strings.Join(strings.Fields(first(s.fail.Reason)), " ")
	if r := []rune(reason); len(r) > 400 {
		reason = string(r[:400]) + "…"
	}
	sc := clone(s.sc)
	sc.About = fmt.Sprintf("Breaks %s (%s): %s", s.fail.Invariant, s.fail.Group, reason)
	if _, text := s.costOf(sc); text != "" {
		s.sc = sc
	}
}
