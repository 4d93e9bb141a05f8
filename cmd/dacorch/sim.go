package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/scenarios"
	"dacorch/sim"
)

func simCommand(c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run scenarios against the orchestrator's real core",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(simRunCommand(c), simListCommand(c))
	return cmd
}

// runFlags are the flags of sim run.
type runFlags struct {
	seed  uint64
	set   []string
	json  string
	junit string
	log   string
	quiet bool
}

func simRunCommand(c console) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE|NAME",
		Short: "Run a scenario in virtual time and say whether what must hold held",
		Long: `Run a scenario in virtual time, with the orchestrator's real placement and
reconcile code, and say whether what must hold held. FILE is a scenario file;
NAME is one that is part of the program (see "dacorch sim list").

Exit codes: 0 every expectation met; 1 one failed, or an invariant broke;
2 the scenario or the usage is wrong.`,
		Example: `  dacorch sim run first-light
  dacorch sim run scenarios/kafka-outage.yaml --seed 42 --set duration=2h --set heal=1h`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("sim run takes one scenario, a file or a name, not %d arguments (see --help)", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.simRun(cmd.Context(), args[0], f, cmd.Flags().Changed("seed"))
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random stream (default: the scenario's)")
	flags.StringArrayVar(&f.set, "set", nil, "override a `key=value` of the scenario, such as kinds.Thing.resources=500; repeatable")
	flags.StringVar(&f.json, "json", "", "write the report as JSON to this `file` (- for standard output)")
	flags.StringVar(&f.junit, "junit", "", "write the report as JUnit XML to this `file` (- for standard output)")
	flags.StringVar(&f.log, "log", "", "write every event and command of the core to this `file`")
	flags.BoolVar(&f.quiet, "quiet", false, "print nothing but what went wrong")
	return cmd
}

func (c console) simRun(ctx context.Context, name string, f runFlags, seeded bool) error {
	if seeded {
		f.set = append(f.set, fmt.Sprintf("seed=%d", f.seed))
	}
	sc, err := loadScenario(name, f.set)
	if err != nil {
		return err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	opts := sim.Options{Open: func(path string) (io.ReadCloser, error) { return os.Open(path) }}
	if f.log != "" {
		log, err := os.Create(f.log)
		if err != nil {
			return fmt.Errorf("--log: %w", err)
		}
		defer log.Close()
		buffered := bufio.NewWriterSize(log, 1<<20)
		defer buffered.Flush()
		opts.Log = buffered
	}
	line := newProgressLine(c.err, f.quiet)
	began := time.Now()
	opts.Progress = func(p sim.Progress) error {
		line.show(func() string {
			return fmt.Sprintf("%3.0f%%  %v of %v  %d resources on %d instances  %.1f million events  %.0f× real time",
				100*p.Now.Seconds()/p.Duration.Seconds(), p.Now.Round(time.Second), p.Duration, p.Resources, p.Instances,
				float64(p.Events)/1e6, p.Now.Seconds()/time.Since(began).Seconds())
		})
		return ctx.Err()
	}
	result, err := sim.Run(sc, opts)
	wall := time.Since(began)
	line.clear()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: interrupted after %v", sc.Name, wall.Round(time.Millisecond))
	}
	if err != nil {
		return err
	}
	result.Report.WallS = wall.Seconds()
	return c.show(result, f)
}

// show writes a result to where it is wanted.
func (c console) show(result *sim.Result, f runFlags) error {
	rep := result.Report
	for _, to := range []struct {
		flag, path string
		write      func(io.Writer) error
	}{{"--json", f.json, rep.JSON}, {"--junit", f.junit, rep.JUnit}} {
		if to.path == "" {
			continue
		}
		if err := c.writeTo(to.path, to.write); err != nil {
			return fmt.Errorf("%s: %w", to.flag, err)
		}
	}
	human := !f.quiet && f.json != "-" && f.junit != "-"
	if human || f.quiet && !rep.OK() {
		width, tty := terminal(c.out)
		if !tty {
			width = 100
		}
		if err := rep.Table(c.out, sim.TableOptions{Width: width, Color: c.color(), Unicode: tty}); err != nil {
			return err
		}
		if human {
			fmt.Fprintln(c.out)
			if err := result.Timeline.Timeline(c.out, sim.TimelineOptions{Width: width}); err != nil {
				return err
			}
		}
	}
	if !rep.OK() {
		return errFailed
	}
	return nil
}

func (c console) writeTo(path string, write func(io.Writer) error) error {
	if path == "-" {
		return write(c.out)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// loadScenario reads a file, or when there is none of that name, a scenario
// that is part of the program.
func loadScenario(name string, set []string) (*scenarios.Scenario, error) {
	settings := make([]scenarios.Setting, 0, len(set))
	for _, s := range set {
		setting, err := scenarios.ParseSetting(s)
		if err != nil {
			return nil, fmt.Errorf("--set: %w", err)
		}
		settings = append(settings, setting)
	}
	f, err := os.Open(name)
	if err == nil {
		defer f.Close()
		return scenarios.Load(name, f, settings...)
	}
	if !errors.Is(err, fs.ErrNotExist) || strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".yaml") {
		return nil, err
	}
	return scenarios.Shipped(name, settings...)
}

func simListCommand(c console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the scenarios that are part of the program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, name := range scenarios.Names() {
				sc, err := scenarios.Shipped(name)
				if err != nil {
					return err
				}
				fmt.Fprintf(c.out, "%-28s %s\n", name, firstSentence(sc.About))
			}
			return nil
		},
	}
}

func firstSentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if i := strings.Index(s, ". "); i > 0 {
		return s[:i+1]
	}
	return s
}
