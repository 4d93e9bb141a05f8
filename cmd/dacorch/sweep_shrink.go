package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/scenarios"
	"dacorch/sim/sweep"
)

// shrinkFlags are the flags of sim shrink.
type shrinkFlags struct {
	seed  string
	swarm bool
	out   string
	time  time.Duration
	jobs  int
	group string
	set   []string
	quiet bool
}

func simShrinkCommand(c console) *cobra.Command {
	var f shrinkFlags
	cmd := &cobra.Command{
		Use:   "shrink FILE|NAME",
		Short: "Cut a failing scenario down to the smallest that still fails for the same cause",
		Long: `Play a scenario that fails, and leave away whatever the failure does not need: faults,
orders, churn, kinds, time, settings, latencies, resources, chances. Each cut stays
only if the run still fails for the same cause: the same invariant and the same
reason but for numbers and names. What is left is played again and written as a
scenario that fails by itself.

A file that "sim sweep" has written is such a scenario. With --swarm the scenario is
what the swarm makes of the seed, as in "sim sweep --swarm".

Exit codes: 0 it was cut and written; 1 it does not fail; 2 the scenario or the
usage is wrong; 130 interrupted, with what is left so far written.`,
		Example: `  dacorch sim shrink sweep-failures/1f0c2a77-kafka-outage-42.yaml -o small.yaml
  dacorch sim shrink kafka-outage --seed 42 --swarm`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("sim shrink takes one scenario, not %d: %s", len(args), strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.simShrink(cmd.Context(), args[0], f) },
	}
	cmd.Use += " [flags]"
	flags := cmd.Flags()
	flags.StringVar(&f.seed, "seed", "", "`number` of the seed (default: the scenario's)")
	flags.BoolVar(&f.swarm, "swarm", false, "shrink what the swarm makes of the scenario and the seed")
	flags.StringVarP(&f.out, "output", "o", "", "write the scenario to this `file` (- for standard output; default: the scenario's\nname with -small.yaml, here)")
	flags.DurationVar(&f.time, "time", 5*time.Minute, "stop cutting after this `duration` of real time")
	flags.IntVar(&f.jobs, "jobs", 0, "`runs` at a time (default: one for each core)")
	flags.StringVar(&f.group, "cause", "", "the `name` of the cause to keep, as sim sweep prints it (default: the first)")
	flags.StringArrayVar(&f.set, "set", nil, "override a `key=value` of the scenario; see sim run")
	flags.BoolVar(&f.quiet, "quiet", false, "print nothing but mistakes")
	return cmd
}

func (c console) simShrink(ctx context.Context, name string, f shrinkFlags) error {
	switch {
	case f.jobs < 0:
		return fmt.Errorf("--jobs %d: want at least 1", f.jobs)
	case f.time <= 0:
		return fmt.Errorf("--time %v: want a duration above 0s, such as 5m", f.time)
	}
	sc, err := loadScenario(name, runFlags{seed: f.seed, set: f.set})
	if err != nil {
		return err
	}
	if err := playable(sc, f.swarm); err != nil {
		return err
	}
	if f.swarm {
		sc = sweep.Swarm(sc, sc.Seed)
	}
	c.collectSeldom()
	line := c.newProgressLine(f.quiet)
	began := time.Now()
	timed, cancel := context.WithTimeout(ctx, f.time)
	defer cancel()
	play := sweep.Play{Open: openFile}
	small, err := sweep.Shrink(timed, sc, sweep.ShrinkOptions{
		Play: play, Jobs: f.jobs, Group: f.group,
		Watch: func(s sweep.Shrinking) {
			line.show(time.Now(), func() string {
				return fmt.Sprintf("%d runs, %d cuts kept, %d lines left, cutting %s  %v", s.Runs, s.Cuts, s.Lines, s.Doing, time.Since(began).Round(time.Second))
			})
		},
	})
	line.clear()
	switch {
	case errors.Is(err, sweep.ErrHolds):
		fmt.Fprintf(c.out, "%s with seed %d holds: there is nothing to shrink\n", sc.Name, sc.Seed)
		return errFailed
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: the scenario itself did not end within --time %v", sc.Name, f.time)
	case errors.Is(err, context.Canceled):
		return interruptedError("interrupted before the scenario had failed")
	case err != nil:
		return fmt.Errorf("%s: %w", sc.Name, err)
	}
	return c.keepSmall(ctx, small, play, f, time.Since(began))
}

// keepSmall plays what is left once more, as it will be read, and writes it.
func (c console) keepSmall(ctx context.Context, small *sweep.Shrunk, play sweep.Play, f shrinkFlags, wall time.Duration) error {
	text := scenarios.Format(small.Scenario)
	back, err := scenarios.Parse(small.Scenario.File, text)
	if err != nil {
		return fmt.Errorf("what is left is no scenario: %w", err)
	}
	out, err := play.Run(context.WithoutCancel(ctx), back)
	if err != nil {
		return err
	}
	if !out.FailsFor(small.Failure.Group) {
		return fmt.Errorf("what is left does not fail for %s when it is read and played again: runs of one scenario differ", small.Failure.Group)
	}
	if f.out == "" {
		f.out = filepath.Base(small.Scenario.Name) + "-small.yaml"
	}
	if f.out == "-" {
		if _, err := c.out.Write(text); err != nil {
			return err
		}
		c.out = c.err
	} else if err := os.WriteFile(f.out, text, 0o644); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	if !f.quiet {
		fmt.Fprintf(c.out, "%s: %s\n\n", small.Failure.Invariant, strings.Join(strings.Fields(cut(small.Failure.Reason, 500)), " "))
		if f.out != "-" {
			c.out.Write(text)
			fmt.Fprintln(c.out)
		}
		more := ""
		if !small.Whole {
			more = "; there may be more to cut: the time was up"
		}
		fmt.Fprintf(c.out, "%d lines left after %d runs and %d cuts in %v%s: %s\n", bytes.Count(text, []byte("\n")), small.Runs, small.Cuts, wall.Round(100*time.Millisecond), more, f.out)
	}
	if ctx.Err() != nil {
		return interruptedError("interrupted: what is left so far is written")
	}
	return nil
}
