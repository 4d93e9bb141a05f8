package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/e2e/rig"
	"dacorch/scenarios"
	"dacorch/sim"
	"dacorch/sim/kind"
	"dacorch/sim/wire"
)

// fidelityFlags are the flags of sim fidelity.
type fidelityFlags struct {
	on     []string
	within time.Duration
	rig    string
	set    []string
	log    string
}

func simFidelityCommand(c console) *cobra.Command {
	var f fidelityFlags
	cmd := &cobra.Command{
		Use:   "fidelity FILE|NAME…",
		Short: "Play scenarios in virtual time, on wire and on kind, and set the results side by side",
		Long: `Play each scenario on every ground, and write a table in Markdown for each: a row
for each metric, a column for each ground. What is played in real time is as many
times faster as it takes to pass within --within. Times are the scenario's; what they
were in real time stands in brackets, since only intervals are shortened.

What cannot be played is said before anything is. Where a run comes to no end, the
table has the grounds that were played before.

Exit codes: 0 every run came to an end, whatever it showed; 2 one could not be
played, or the usage is wrong; 130 interrupted.`,
		Example: `  dacorch rig up && dacorch sim fidelity first-light kafka-outage
  dacorch sim fidelity steady-churn --on model,wire --within 1m`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("sim fidelity needs a scenario: files, or names that \"dacorch sim list\" shows")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.simFidelity(cmd.Context(), args, f) },
	}
	cmd.Use += " [flags]"
	flags := cmd.Flags()
	flags.StringSliceVar(&f.on, "on", []string{onModel, onWire, onKind}, "the `grounds`")
	flags.DurationVar(&f.within, "within", 4*time.Minute, "how long a run in real time takes at most; preparing and clearing away come on top")
	flags.StringVar(&f.rig, "rig", "", "the rig's `name` (default dacorch)")
	flags.StringArrayVar(&f.set, "set", nil, "override a `key=value` of the scenarios; repeatable")
	flags.StringVar(&f.log, "log", "", "what the orchestrators print, to this `file`")
	return cmd
}

// comparison is a scenario that is to be played on every ground.
type comparison struct {
	name  string // of the scenario, or its file
	sc    *scenarios.Scenario
	scale float64 // of what is played in real time
}

func (c console) simFidelity(ctx context.Context, names []string, f fidelityFlags) error {
	comparisons, err := f.check(names)
	if err != nil {
		return err
	}
	var outs outputs
	defer outs.discard()
	log, err := outs.open(c, "--log", f.log)
	if err != nil {
		return err
	}
	for _, of := range comparisons {
		reports, err := c.playEverywhere(ctx, of, f, log)
		if len(reports) > 0 { // also of what was played before something went wrong
			fmt.Fprintf(c.out, "### %s\n\n%s of the scenario's time, %g times faster in real time.\n\n", of.sc.Name, clock(of.sc.Duration), of.scale)
			fidelityTable(c.out, f.on, reports, of.scale)
		}
		if err != nil {
			return err
		}
	}
	return outs.keep()
}

// check finds what cannot be played before anything is, which may be minutes later.
func (f fidelityFlags) check(names []string) (comparisons []comparison, err error) {
	real := slices.ContainsFunc(f.on, func(on string) bool { return on != onModel })
	switch {
	case len(f.on) == 0:
		return nil, fmt.Errorf("--on names no ground: want some of %s, %s and %s", onModel, onWire, onKind)
	case f.within < time.Second:
		return nil, fmt.Errorf("--within %v: want at least 1s", f.within)
	case f.rig != "" && !slices.Contains(f.on, onKind):
		return nil, fmt.Errorf("--rig goes with %s among --on", onKind)
	}
	var errs []error
	for i, on := range f.on {
		run := runFlags{on: on, timeScale: 1, orchestrators: 1}
		if err := run.checkWire(); err != nil {
			errs = append(errs, err)
		} else if slices.Contains(f.on[:i], on) {
			errs = append(errs, fmt.Errorf("--on names %s twice", on))
		}
	}
	for _, name := range names {
		sc, err := loadScenario(name, runFlags{set: f.set})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if most := mostTimeScale * f.within; real && sc.Duration > most {
			errs = append(errs, fmt.Errorf("%s: duration %s: in real time it can pass %d times faster at most, %s within --within %v; want a longer --within, or --set duration=…",
				sc.File, clock(sc.Duration), mostTimeScale, clock(most), f.within))
		}
		for _, on := range f.on {
			errs = append(errs, playableOn(on, sc))
		}
		comparisons = append(comparisons, comparison{name, sc, min(max(1, math.Ceil(sc.Duration.Seconds()/f.within.Seconds())), mostTimeScale)})
	}
	if slices.Contains(f.on, onKind) {
		r, err := rig.Open(f.rig)
		if err == nil {
			err = r.Close()
		}
		errs = append(errs, err)
	}
	return comparisons, errors.Join(errs...)
}

// playableOn answers what a scenario asks for that a ground cannot play.
func playableOn(on string, sc *scenarios.Scenario) error {
	switch {
	case on == onWire:
		return wire.Check(sc, nil)
	case on == onKind:
		return kind.Check(sc)
	case on == onModel && sc.On == scenarios.OnWire:
		return fmt.Errorf("%s: %w", sc.File, sim.ErrOnWire)
	}
	return nil
}

// playEverywhere plays a scenario on each ground, and answers the reports of those
// that it was played on.
func (c console) playEverywhere(ctx context.Context, of comparison, f fidelityFlags, log io.Writer) (reports []*sim.Report, err error) {
	for _, on := range f.on {
		run := runFlags{on: on, timeScale: 1, orchestrators: 1, record: recordOff}
		var said io.Writer // what the core does would be the whole of the log
		if on != onModel {
			run.timeScale, said = of.scale, log
		}
		if on == onKind {
			run.rig = f.rig
		}
		sc, err := loadScenario(of.name, runFlags{set: f.set}) // a run may change it
		if err != nil {
			return reports, err
		}
		began := time.Now()
		result, err := c.result(ctx, sc, run, said, nil)
		if err != nil {
			return reports, fmt.Errorf("%s on %s: %w", sc.Name, on, err)
		}
		if _, tty := terminal(c.err); tty { // above the next one's progress
			fmt.Fprintf(c.err, "%s on %s: %s\n", sc.Name, on, time.Since(began).Round(time.Second))
		}
		reports = append(reports, result.Report)
	}
	return reports, nil
}

// fidelityMetrics are the rows of the table.
var fidelityMetrics = []string{
	"start_time_s", "settle_time_p50_s", "settle_time_p99_s", "settle_time_max_s", "recover_time_p99_s", "recover_time_max_s",
	"detection_time_max_s", "unowned_time_p99_s", "overlap_time_max_s", "orchestration_time_max_s",
	"orchestrations_done", "orchestrations_refused", "instances", "moves_made", "moves_excess", "instances_replaced", "instances_replaced_needlessly", "pods_crashed", "resources_unplaced_max", "alarms", "notifications",
	"transactions", "leader_changes", "unsettled_end", "violations",
}

// fidelityTable writes what the reports, of the first grounds, have of each metric;
// not those that are 0 everywhere.
func fidelityTable(w io.Writer, on []string, reports []*sim.Report, scale float64) {
	on = on[:len(reports)]
	fmt.Fprintf(w, "| | %s |\n|---|%s\n", strings.Join(on, " | "), strings.Repeat("---:|", len(on)))
	for _, metric := range fidelityMetrics {
		name, seconds := strings.CutSuffix(metric, "_s")
		cells, some := make([]string, len(reports)), false
		for i, rep := range reports {
			v, known := rep.Metric(name)
			some = some || v != 0
			switch {
			case !known || math.IsNaN(v):
				cells[i] = "–"
			case seconds && on[i] != onModel:
				cells[i] = fmt.Sprintf("%s (%s)", shortSeconds(v), shortSeconds(v/scale))
			case seconds:
				cells[i] = shortSeconds(v)
			default:
				cells[i] = fmt.Sprintf("%.0f", v)
			}
		}
		if some {
			fmt.Fprintf(w, "| `%s` | %s |\n", name, strings.Join(cells, " | "))
		}
	}
	fmt.Fprintln(w)
	for i, rep := range reports {
		for _, note := range rep.Notes {
			fmt.Fprintf(w, "- %s: %s\n", on[i], note)
		}
	}
	fmt.Fprintln(w)
}

// shortSeconds is a time with three figures.
func shortSeconds(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s < 1:
		return fmt.Sprintf("%.3g ms", 1000*s)
	case s < 120:
		return fmt.Sprintf("%.3g s", s)
	}
	return fmt.Sprintf("%.3g min", s/60)
}
