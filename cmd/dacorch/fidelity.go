package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/sim"
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
	flags.DurationVar(&f.within, "within", 4*time.Minute, "how long a run in real time takes at most, with what it takes to prepare it besides")
	flags.StringVar(&f.rig, "rig", "", "the rig's `name` (default dacorch)")
	flags.StringArrayVar(&f.set, "set", nil, "override a `key=value` of the scenarios; repeatable")
	flags.StringVar(&f.log, "log", "", "what the orchestrators print, to this `file`")
	return cmd
}

func (c console) simFidelity(ctx context.Context, names []string, f fidelityFlags) error {
	if f.within < time.Second {
		return fmt.Errorf("--within %v: want at least 1s", f.within)
	}
	var outs outputs
	defer outs.discard()
	log, err := outs.open(c, "--log", f.log)
	if err != nil {
		return err
	}
	for _, name := range names {
		run := runFlags{record: recordOff, set: f.set}
		sc, err := loadScenario(name, run)
		if err != nil {
			return err
		}
		scale := min(max(1, math.Ceil(sc.Duration.Seconds()/f.within.Seconds())), 120)
		var reports []*sim.Report
		for _, on := range f.on {
			run := runFlags{on: on, timeScale: 1, orchestrators: 1, quiet: true, record: recordOff}
			var said io.Writer // what the core does would be the whole of the log
			if on != onModel {
				run.timeScale, said = scale, log
			}
			if on == onKind {
				run.rig = f.rig
			}
			if err := run.checkWire(); err != nil {
				return err
			}
			sc, err := loadScenario(name, runFlags{set: f.set}) // a run may change it
			if err != nil {
				return err
			}
			result, err := c.result(ctx, sc, run, said, nil)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", sc.Name, on, err)
			}
			reports = append(reports, result.Report)
		}
		fmt.Fprintf(c.out, "### %s\n\n%s of the scenario's time, %g times faster in real time.\n\n", sc.Name, clock(sc.Duration), scale)
		fidelityTable(c.out, f.on, reports, scale)
	}
	return outs.keep()
}

// fidelityMetrics are the rows of the table.
var fidelityMetrics = []string{
	"start_time_s", "settle_time_p50_s", "settle_time_p99_s", "settle_time_max_s", "recover_time_p99_s", "recover_time_max_s",
	"detection_time_max_s", "unowned_time_p99_s", "overlap_time_max_s", "orchestration_time_max_s", "moves_made", "moves_excess",
	"instances_replaced", "instances_replaced_needlessly", "pods_crashed", "resources_unplaced_max", "alarms", "notifications",
	"transactions", "leader_changes", "unsettled_end", "violations",
}

// fidelityTable writes what the reports have of each metric; not those that are 0
// everywhere.
func fidelityTable(w io.Writer, on []string, reports []*sim.Report, scale float64) {
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
