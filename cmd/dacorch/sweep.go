package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/scenarios"
	"dacorch/sim/sweep"
)

// sweepFlags are the flags of sim sweep.
type sweepFlags struct {
	seeds int
	from  uint64
	swarm bool
	jobs  int
	time  time.Duration
	out   string
	json  string
	set   []string
	quiet bool
}

// defaultSeeds is how many runs a sweep has that neither --seeds nor --time bounds.
const defaultSeeds = 1000

func simSweepCommand(c console) *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use:   "sweep FILE|NAME|all...",
		Short: "Play scenarios under many seeds on every core, and group what fails by its cause",
		Long: `Play scenarios in turn under many seeds: run i plays scenario i mod n with seed
from+i. "all" is every scenario that is part of the program and runs in virtual time;
those whose trace files are not there are skipped, which is said.

Without --swarm each run is the scenario as it is under another seed, and its
expectations count too. With --swarm each seed makes a scenario of its own of it:
classes of faults are in or out with a coin, and size, settings, churn, latencies
and orders are drawn as well, from streams that the seed names; one in ten is of full
size, thousands of resources for half an hour or more. Its expectations are gone then;
invariants count, and that everything settles once the faults are over.

What fails is grouped by cause: the invariant and its reason without numbers and
names. The smallest run of each cause is written to --out as a scenario, which
"sim run" repeats and "sim shrink" cuts down.

Exit codes: 0 every run held; 1 some failed; 2 a scenario or the usage is wrong;
130 interrupted, with the summary of what there is. --time is no interruption.`,
		Example: `  # every scenario with ten thousand made-up variants of them
  dacorch sim sweep all --swarm --seeds 10000

  # for CI: two minutes with fresh seeds; the summary says which they were
  dacorch sim sweep all --swarm --from $(date +%s) --time 2m

  # one scenario as it is, under a hundred seeds
  dacorch sim sweep kafka-outage --seeds 100`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New(`sim sweep needs scenarios: files, names that "dacorch sim list" shows, or all`)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.simSweep(cmd.Context(), args, f) },
	}
	cmd.Use += " [flags]"
	flags := cmd.Flags()
	flags.IntVar(&f.seeds, "seeds", 0, "how many `runs` in total (default 1000, or as many as --time allows)")
	flags.Uint64Var(&f.from, "from", 1, "the first `seed`")
	flags.BoolVar(&f.swarm, "swarm", false, "make a scenario of its own of each seed")
	flags.IntVar(&f.jobs, "jobs", 0, "`runs` at a time (default: one for each core)")
	flags.DurationVar(&f.time, "time", 0, "begin no run after this `duration` of real time, such as 10m")
	flags.StringVar(&f.out, "out", "sweep-failures", "`directory` for the scenarios that fail; made when there are any")
	flags.StringVar(&f.json, "json", "", "write one line of JSON for each run, and the summary as the last, to this `file` (- for\nstandard output)")
	flags.StringArrayVar(&f.set, "set", nil, "override a `key=value` of every scenario; see sim run")
	flags.BoolVar(&f.quiet, "quiet", false, "print nothing but what went wrong")
	return cmd
}

func (c console) simSweep(ctx context.Context, names []string, f sweepFlags) error {
	switch {
	case f.seeds < 0:
		return fmt.Errorf("--seeds %d: want at least 1", f.seeds)
	case f.jobs < 0:
		return fmt.Errorf("--jobs %d: want at least 1", f.jobs)
	case f.time < 0:
		return fmt.Errorf("--time %v: want a duration above 0s, such as 10m", f.time)
	case f.seeds == 0 && f.time == 0:
		f.seeds = defaultSeeds
	}
	bases, err := c.sweepBases(names, f)
	if err != nil {
		return err
	}
	var outs outputs
	defer outs.discard()
	jsonTo, err := outs.open(c, "--json", f.json)
	if err != nil {
		return err
	}
	c.collectSeldom()
	sum, err := c.sweep(ctx, bases, f, jsonTo)
	if err != nil {
		return err
	}
	if err := writeFailures(sum, f.out); err != nil {
		return err
	}
	if jsonTo != nil {
		if err := json.NewEncoder(jsonTo).Encode(map[string]any{"summary": sum}); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if err := outs.keep(); err != nil {
		return err
	}
	if f.json == "-" {
		c.out = c.err // a machine reads standard output
	}
	if !f.quiet || sum.Failed > 0 {
		if err := sum.Table(c.out); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return interruptedError(fmt.Sprintf("interrupted after %d runs", sum.Runs))
	case sum.Failed > 0:
		return errFailed
	}
	return nil
}

// collectSeldom trades memory for speed, as sim run does: a sweep is a batch job.
func (c console) collectSeldom() {
	if c.getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if c.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// sweep plays it and shows how far it is.
func (c console) sweep(ctx context.Context, bases []*scenarios.Scenario, f sweepFlags, jsonTo io.Writer) (*sweep.Summary, error) {
	if f.time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.time)
		defer cancel()
	}
	line := c.newProgressLine(f.quiet)
	defer line.clear()
	opts := sweep.Options{
		Play: sweep.Play{Open: openFile}, Bases: bases, Seeds: f.seeds, From: f.from, Swarm: f.swarm, Jobs: f.jobs,
		Watch: func(p sweep.Progress) { line.show(time.Now(), func() string { return sweepText(p, f) }) },
	}
	if jsonTo != nil {
		enc := json.NewEncoder(jsonTo)
		opts.Each = func(r *sweep.Run) error { return enc.Encode(logged(r, f.swarm)) }
	}
	return sweep.Sweep(ctx, opts)
}

func sweepText(p sweep.Progress, f sweepFlags) string {
	of := ""
	if f.seeds > 0 {
		of = fmt.Sprintf(" of %d", f.seeds)
	}
	slices.Sort(p.Running)
	return fmt.Sprintf("%d%s runs  %.0f/h and core  %d failed of %d causes  %v  %s",
		p.Runs, of, p.PerHour(), p.Failed, p.Groups, p.Wall.Round(time.Second), strings.Join(p.Running, ", "))
}

// loggedRun is a run as one line of JSON. Options is what the swarm made of the
// seed, whole: the scenario as YAML.
type loggedRun struct {
	Run      int             `json:"run"`
	Scenario string          `json:"scenario"`
	Seed     uint64          `json:"seed"`
	Classes  []sweep.Class   `json:"classes"`
	Failures []sweep.Failure `json:"failures"`
	Events   uint64          `json:"events,omitempty"`
	Trace    string          `json:"trace,omitempty"`
	WallS    float64         `json:"wall_s"`
	Options  string          `json:"options,omitempty"`
}

func logged(r *sweep.Run, swarm bool) loggedRun {
	l := loggedRun{Run: r.Index, Scenario: r.Base, Seed: r.Seed, WallS: r.Wall.Seconds(),
		Classes: append([]sweep.Class{}, r.Classes...), Failures: append([]sweep.Failure{}, r.Failures...)}
	if r.Report != nil {
		l.Events, l.Trace = r.Report.Events, r.Report.Trace
	}
	if swarm {
		l.Options = string(scenarios.Format(r.Scenario))
	}
	return l
}

// sweepBases loads what the arguments name. Of all, what cannot be played here is
// left out, with a line that says so.
func (c console) sweepBases(names []string, f sweepFlags) ([]*scenarios.Scenario, error) {
	var bases []*scenarios.Scenario
	for _, name := range names {
		if name != "all" {
			sc, err := loadScenario(name, runFlags{set: f.set})
			if err != nil {
				return nil, err
			}
			if err := playable(sc, f.swarm); err != nil {
				return nil, err
			}
			bases = append(bases, sc)
			continue
		}
		for _, name := range scenarios.Names() {
			sc, err := loadScenario(name, runFlags{set: f.set})
			if err != nil {
				return nil, err
			}
			if err := playable(sc, f.swarm); err != nil {
				fmt.Fprintf(c.err, "dacorch: %s is left out: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
				continue
			}
			bases = append(bases, sc)
		}
	}
	return bases, nil
}

// playable says why a scenario cannot be played in virtual time here. The swarm
// takes neither files nor load over from it.
func playable(sc *scenarios.Scenario, swarm bool) error {
	switch {
	case swarm:
		return nil
	case sc.On == scenarios.OnWire:
		return fmt.Errorf("%s: it says on: wire, and cannot run in virtual time", sc.Name)
	}
	tables := []*scenarios.Table{}
	for i := range sc.Churn {
		if t := sc.Churn[i].Trace; t != nil {
			tables = append(tables, &t.Table)
		}
	}
	if sc.Nodes != nil {
		tables = append(tables, &sc.Nodes.Table)
	}
	for _, t := range tables {
		if t.Path == "" {
			continue
		}
		file, err := os.Open(t.Path)
		if err != nil {
			return fmt.Errorf("%s: trace %s cannot be opened (%w). It is: %s", sc.Name, t.Path, err, t.Source)
		}
		file.Close()
	}
	return nil
}

// writeFailures writes the smallest run of each cause into the directory, and
// notes where.
func writeFailures(sum *sweep.Summary, dir string) error {
	if len(sum.Groups) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for _, g := range sum.Groups {
		path := filepath.Join(dir, fmt.Sprintf("%s-%s-%d.yaml", g.Group, g.Base, g.Seed))
		text, err := failureText(g)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		g.File = path
	}
	return nil
}

// failureText is the scenario of a cause's smallest run, with what happened to it
// in comments above.
func failureText(g *sweep.Group) ([]byte, error) {
	var b bytes.Buffer
	line, err := json.Marshal(logged(g.Smallest, false))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "# %s: %s\n# %d runs failed for this cause. The smallest:\n# %s\n", g.Invariant, strings.Join(strings.Fields(cut(g.Reason, 500)), " "), g.Count, line)
	b.Write(scenarios.Format(g.Smallest.Scenario))
	return b.Bytes(), nil
}
