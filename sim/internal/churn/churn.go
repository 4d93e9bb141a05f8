// Package churn is what the data centre does to a kind's table, as data: rows
// created, updated and deleted, one by one or in bulk, in time order. Sources say
// when something happens (rates, bursts, day curves, trace files); a Generator
// merges them on one Population of live rows and draws whom it happens to. It
// publishes nothing and applies nothing: whoever drives it does.
//
// Trace files are any CSV, described by a Format; their reader takes an
// io.Reader, bounds its memory, and counts and names every row it cannot use.
package churn

import (
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// Verb is what happens to a row.
type Verb uint8

// The verbs.
const (
	Create Verb = iota
	Update
	Delete
)

var verbNames = [...]string{"create", "update", "delete"}

// String is "create", "update" or "delete".
func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return fmt.Sprintf("Verb(%d)", uint8(v))
}

// Op is one statement of the data centre and the message that follows it.
type Op struct {
	At   time.Duration // virtual time since the scenario's start
	Verb Verb
	Bulk bool // the message is bc, bu or bd; else c, u or d

	// Named says that the message names the rows. When it does not, a bulk update
	// or delete gives a condition that is not about ids, and anything else is
	// followed by a bare message (only o and t).
	Named bool

	// Resources are the rows, at least one, each once. For a delete they are as
	// they were. Whoever receives them must not change them.
	Resources []fleet.Resource
}

// Source says when something happens. It is data: a Generator runs it.
type Source interface {
	// Validate answers an error that names the field and the valid range.
	Validate() error

	label() string                       // names the source's random stream
	open(stream *timeline.Stream) cursor // a fresh run of the source
}

// cursor runs one source. Its steps come in time order.
type cursor interface {
	next() (step, bool)
	creates() bool // a step to come may create rows
}

// step is something that is to happen; which rows it hits is not yet drawn.
type step struct {
	at      time.Duration
	verb    Verb
	bulk    bool
	unnamed bool
	count   int              // rows
	exactly []fleet.Resource // the very row, from a trace; nil: draw count rows
}

// Counts says what a Generator has done so far, in rows except for Ops.
type Counts struct {
	Ops                       int
	Created, Updated, Deleted int
	// NoneLeft are updates and deletes that found too few rows in the table.
	NoneLeft int
	// OutOfPlace are trace rows whose creation found their id in the table, or
	// whose deletion did not: another source had been there before.
	OutOfPlace int
}

// Generator yields the operations of all sources in time order, at equal times
// in the order of the sources. It computes only what is asked for, so sources
// may be endless. Every source draws from a stream of its own: adding one
// leaves the times of the others as they were.
type Generator struct {
	population *Population
	runs       []*run
	counts     Counts
}

type run struct {
	cursor cursor
	stream *timeline.Stream
	head   step
	ok     bool // head is to come
}

// NewGenerator starts the sources on the population. Rows with which a trace
// starts join the population at once: Population.Rows is then the table at time 0.
func NewGenerator(p *Population, seed timeline.Seed, sources ...Source) (*Generator, error) {
	g := &Generator{population: p}
	alike := map[string]int{}
	for i, s := range sources {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("churn %d (%s): %w", i+1, s.label(), err)
		}
		if t, ok := s.(*Trace); ok {
			for _, row := range t.Initial() {
				if !p.Add(row) {
					g.counts.OutOfPlace++
				}
			}
		}
		label := s.label()
		alike[label]++
		name := []string{"churn", string(p.kind), label, fmt.Sprint(alike[label])}
		when, whom := seed.Stream(append(name, "when")...), seed.Stream(append(name, "whom")...)
		r := &run{cursor: s.open(when), stream: whom}
		r.head, r.ok = r.cursor.next()
		g.runs = append(g.runs, r)
	}
	return g, nil
}

// Next is the next operation, already applied to the population; false when
// nothing is to come. An update or delete that finds too few rows takes those
// there are; one that finds none is skipped and counted.
func (g *Generator) Next() (Op, bool) {
	r := g.earliest()
	if r == nil {
		return Op{}, false
	}
	s := r.head
	op := Op{At: s.at, Verb: s.verb, Bulk: s.bulk, Named: !s.unnamed, Resources: g.apply(s, r.stream)}
	r.head, r.ok = r.cursor.next()
	g.counts.Ops++
	return op, true
}

// Peek is the time of the operation that Next will yield; false when nothing is
// to come.
func (g *Generator) Peek() (time.Duration, bool) {
	r := g.earliest()
	if r == nil {
		return 0, false
	}
	return r.head.at, true
}

// Counts is what has been done so far.
func (g *Generator) Counts() Counts { return g.counts }

// earliest is the run whose head comes first and hits at least one row; heads
// before it that hit none are skipped.
func (g *Generator) earliest() *run {
	for {
		var first *run
		creates := false
		for _, r := range g.runs {
			if r.ok && (first == nil || r.head.at < first.head.at) {
				first = r
			}
			creates = creates || r.ok && r.cursor.creates()
		}
		if first == nil {
			return nil
		}
		s := first.head
		switch {
		case s.exactly != nil:
			if g.population.Has(s.exactly[0].ID) == (s.verb == Delete) {
				return first
			}
			g.counts.OutOfPlace++
		case s.verb == Create || g.population.Len() > 0:
			return first
		case !creates:
			return nil // an empty table that nothing will fill: an endless source would spin here
		default:
			g.counts.NoneLeft += s.count
		}
		first.head, first.ok = first.cursor.next()
	}
}

// apply draws the rows that the step hits and applies it to the population.
func (g *Generator) apply(s step, stream *timeline.Stream) []fleet.Resource {
	p := g.population
	if s.exactly != nil {
		if s.verb == Create {
			p.Add(s.exactly[0])
			g.counts.Created++
		} else {
			// By its id, as the data centre would: another source may have brought it.
			if row, _ := p.Remove(s.exactly[0].ID); row != s.exactly[0] {
				s.exactly = []fleet.Resource{row}
			}
			g.counts.Deleted++
		}
		return s.exactly
	}
	var rows []fleet.Resource
	switch s.verb {
	case Create:
		rows = p.Seed(s.count)
		g.counts.Created += len(rows)
	case Update:
		rows = p.Sample(stream, s.count)
		g.counts.Updated += len(rows)
	case Delete:
		rows = p.Take(stream, s.count)
		g.counts.Deleted += len(rows)
	}
	g.counts.NoneLeft += s.count - len(rows)
	return rows
}
