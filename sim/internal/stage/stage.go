// Package stage turns a scenario into what a run needs of it, whatever it runs
// on: the rows of the start and what happens to them, the machines that come and
// go, and the orchestrator's configuration of each kind. It opens no files: it
// is given how. It is pure.
package stage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/timeline"
)

// Script is a scenario being made ready.
type Script struct {
	Scenario *scenarios.Scenario
	Seed     timeline.Seed
	// Open opens a trace file; nil refuses them.
	Open func(path string) (io.ReadCloser, error)
	// Skipped are the rows of files that cannot be used, once they have been read.
	Skipped []history.Skipped
}

// Cast is a kind's table and what happens to it.
type Cast struct {
	Generator *churn.Generator
	Initial   []fleet.Resource // the table at time 0
	// Rows of trace files that are used, and those that cannot be.
	TraceRows, SkippedRows int
}

// Whoever orders something and is told that nobody can take it now tries again, as
// people and scripts do.
const (
	OrderAgain    = 5 * time.Second
	OrderPatience = 2 * time.Minute // after heal, and after it was given
)

// Cast makes a kind's table and what will happen to it.
func (s *Script) Cast(spec *scenarios.Kind) (*Cast, error) {
	kind := fleet.Kind(spec.Kind)
	var groups churn.Groups
	for _, g := range spec.Groups {
		groups = append(groups, churn.Group{Name: g.Name, Weight: g.Weight})
	}
	pop, err := churn.NewPopulation(kind, groups, s.Seed)
	if err != nil {
		return nil, fmt.Errorf("%s: kinds.%s: %w", s.Scenario.File, kind, err)
	}
	pop.Seed(spec.Resources)
	k := &Cast{}
	var sources []churn.Source
	for i := range s.Scenario.Churn {
		c := &s.Scenario.Churn[i]
		if c.Kind != spec.Kind {
			continue
		}
		more, err := s.sources(k, i, c)
		if err != nil {
			return nil, err
		}
		sources = append(sources, more...)
	}
	k.Generator, err = churn.NewGenerator(pop, s.Seed, sources...)
	if err != nil {
		return nil, fmt.Errorf("%s: churn of %s: %w", s.Scenario.File, kind, err)
	}
	k.Initial = pop.Rows()
	return k, nil
}

// sources turns an entry of the scenario's churn into what the generator runs.
func (s *Script) sources(k *Cast, entry int, c *scenarios.Churn) ([]churn.Source, error) {
	var out []churn.Source
	switch {
	case c.Rates != nil:
		arrivals := churn.Poisson
		if c.Rates.Arrivals == scenarios.Constant {
			arrivals = churn.Constant
		}
		for verb, rate := range []scenarios.Rate{churn.Create: c.Rates.Create, churn.Update: c.Rates.Update, churn.Delete: c.Rates.Delete} {
			if rate > 0 {
				out = append(out, churn.Rate{Verb: churn.Verb(verb), PerSecond: float64(rate), Arrivals: arrivals, From: c.From, Until: c.Until})
			}
		}
	case c.Day != nil:
		for verb, s := range []scenarios.Swing{churn.Create: c.Day.Create, churn.Update: c.Day.Update, churn.Delete: c.Day.Delete} {
			if s.Peak > 0 {
				out = append(out, churn.Day{Verb: churn.Verb(verb), Peak: float64(s.Peak), Trough: float64(s.Trough),
					Period: c.Day.Period, PeakAt: c.Day.PeakAt, From: c.From, Until: c.Until})
			}
		}
	case c.Burst != nil:
		verb := map[string]churn.Verb{scenarios.Create: churn.Create, scenarios.Update: churn.Update, scenarios.Delete: churn.Delete}[c.Burst.Verb]
		out = append(out, churn.Burst{At: c.From, Over: c.Burst.Over, Verb: verb, Count: c.Burst.Count, Bulk: c.Burst.Bulk,
			Unnamed: c.Burst.Condition == scenarios.ConditionOther})
	case c.Trace != nil:
		tr, err := s.readTrace(k, entry, c)
		if err != nil {
			return nil, err
		}
		out = append(out, tr)
	}
	return out, nil
}

// missingTrace says that a trace file is not there; it is an fs.ErrNotExist.
type missingTrace struct{ scenario, path, source, key string }

// Error says what the file is and how to give its path.
func (e *missingTrace) Error() string {
	return fmt.Sprintf("%s: trace %s is not there.\n  It is: %s.\n  Give its path with --set %s.file=PATH", e.scenario, e.path, e.source, e.key)
}

// Unwrap is fs.ErrNotExist.
func (e *missingTrace) Unwrap() error { return fs.ErrNotExist }

// open opens a trace file, or says what it is and where it comes from.
func (s *Script) open(t *scenarios.Table, key string) (io.ReadCloser, error) {
	if s.Open == nil {
		return nil, fmt.Errorf("%s: trace %s: this run may open no files", s.Scenario.File, t.File)
	}
	f, err := s.Open(t.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &missingTrace{scenario: s.Scenario.File, path: t.Path, source: strings.Join(strings.Fields(t.Source), " "), key: key}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: trace: %w", s.Scenario.File, err)
	}
	return f, nil
}

func (s *Script) readTrace(k *Cast, entry int, c *scenarios.Churn) (churn.Source, error) {
	t := c.Trace
	f, err := s.open(&t.Table, fmt.Sprintf("churn.%d.trace", entry))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	where := map[string]string{}
	for _, m := range t.Where {
		if len(m.Values) != 1 {
			return nil, fmt.Errorf("%s: trace %s: where.%s: one value, not %d", s.Scenario.File, t.File, m.Column, len(m.Values))
		}
		where[m.Column] = m.Values[0]
	}
	tr, stats, err := churn.ReadTrace(f, churn.Format{
		File: t.File, Comma: t.Comma, NoHeader: !t.Header, ID: t.ID, Created: t.Created, Deleted: t.Deleted, Group: t.Group,
		Time: clock(t.Time), Origin: t.Origin, Scale: churn.Scale{Trace: t.Scale.File, Scenario: t.Scale.Scenario}, Where: where, Limit: t.Limit,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Scenario.File, err)
	}
	k.TraceRows += stats.Used
	k.SkippedRows += stats.SkippedRows()
	s.noteSkipped(t.File, stats)
	return tr.Before(c.Until), nil
}

// clock is how a scenario's file times are called by the reader.
func clock(c scenarios.Clock) string {
	switch c.Unit {
	case 0:
		return c.Layout
	case time.Microsecond:
		return "us"
	case time.Millisecond:
		return "ms"
	}
	return "s"
}

func (s *Script) noteSkipped(file string, stats churn.Stats) {
	for _, skip := range stats.Skipped {
		example := ""
		if len(skip.Examples) > 0 {
			e := skip.Examples[0]
			example = fmt.Sprintf("line %d, id %q", e.Line, e.ID)
			if e.Detail != "" {
				example += ": " + e.Detail
			}
		}
		s.Skipped = append(s.Skipped, history.Skipped{File: file, Why: skip.Reason, Rows: skip.Count, Example: example})
	}
}

// Nodes answers when which machine comes and goes, up to heal: all at 0 where the
// scenario counts them, nothing for a scenario without.
func (s *Script) Nodes() ([]churn.NodeEvent, error) {
	n := s.Scenario.Nodes
	if n == nil {
		return nil, nil
	}
	if n.Count > 0 {
		events := make([]churn.NodeEvent, n.Count)
		for i := range events {
			events[i] = churn.NodeEvent{Add: true, Node: scenarios.NodeName(i)}
		}
		return events, nil
	}
	f, err := s.open(&n.Table, "nodes.trace")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	events, stats, err := churn.ReadNodes(f, churn.NodeFormat{
		File: n.File, Comma: n.Comma, NoHeader: !n.Header, At: n.At, Verb: n.Action, Node: n.Node, Add: n.Add, Remove: n.Remove,
		Time: clock(n.Time), Origin: n.Origin, Scale: churn.Scale{Trace: n.Scale.File, Scenario: n.Scale.Scenario}, Limit: n.Limit,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Scenario.File, err)
	}
	s.noteSkipped(n.File, stats)
	kept := events[:0]
	for _, ev := range events {
		if ev.At == 0 || ev.At < s.Scenario.Heal {
			kept = append(kept, ev)
		}
	}
	return kept, nil
}

// Machine is a kind's configuration for the core.
func Machine(k *scenarios.Kind) reconcile.Config {
	cfg := reconcile.DefaultConfig(fleet.Kind(k.Kind))
	cfg.Policy, cfg.Handoff, cfg.Heartbeat = fleet.Policy(k.Policy), fleet.Handoff(k.Handoff), k.Heartbeat
	cfg.Limits = placement.Limits{ResourcePerInstance: k.ResourcePerInstance, MaxInstances: k.MaxInstances, InitInstances: k.InitInstances}
	cfg.HeartbeatInterval, cfg.Silence, cfg.Monitor, cfg.Resync = k.HeartbeatInterval, k.Silence, k.Monitor, k.Resync
	cfg.ResyncFloor = min(cfg.ResyncFloor, k.Resync)
	cfg.Pending, cfg.Patience, cfg.Unconfirmed = k.Pending, k.Patience, k.Unconfirmed
	cfg.MovesInFlight, cfg.Replacing, cfg.MaxIDBytes = k.MovesInFlight, k.Replacing, k.MaxIDBytes
	return cfg
}
