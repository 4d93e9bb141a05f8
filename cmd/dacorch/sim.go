package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim"
)

func simCommand(c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run scenarios against the orchestrator's real core",
		Example: `  dacorch sim list
  dacorch sim run first-light`,
		Args: subcommand,
		RunE: help,
	}
	cmd.AddCommand(simRunCommand(c), simListCommand(c), takesLast(simReplayCommand(c)), takesLast(simDiffCommand(c)), simSweepCommand(c), simShrinkCommand(c), simCompareCommand(c), simFidelityCommand(c), takesLast(simReportCommand(c)), simServeCommand(c), simDACCommand(c))
	return cmd
}

// collectAt is how far the heap grows before it is collected, in percent of what
// is alive; from memoryLimit bytes on it is collected sooner. GOGC and GOMEMLIMIT
// overrule them.
const (
	collectAt   = 300
	memoryLimit = 3 << 29
)

// runFlags are the flags of sim run.
type runFlags struct {
	seed  string
	set   []string
	json  string
	junit string
	log   string
	quiet bool

	record string

	on            string
	timeScale     float64
	orchestrators int
	rig           string
}

func simRunCommand(c console) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE|NAME",
		Short: "Run a scenario in virtual time, or over real protocols, and say whether what must hold held",
		Long: `Run a scenario in virtual time, with the orchestrator's real placement and
reconcile code, and say whether what must hold held. FILE is a scenario file;
NAME is one that is part of the program (see "dacorch sim list"). The same
scenario with the same seed gives the same trace, whose hash is the last line.

With --on wire the orchestrator is a process of its own, as in production, and
runs in real time against ZooKeeper, Kafka, MQTT, Kubernetes and a database that
speak the real protocols on loopback. The report is the same, but has no trace.
--time-scale N has the scenario pass N times faster:
  shortened   when things happen (churn, faults, orders, load, heal, duration); the
              kinds' intervals; a pod's start, world.kubernetes.start.mean;
              ZooKeeper sessions, but not below 2s
  not         what servers, programs and the network take; reconnecting; waits
              before something is tried again, as after a second crash of a pod;
              every other time of world, which the real thing has of its own
With --on kind all of that is real, on a rig that "dacorch rig up" has made: ZooKeeper,
Kafka, Mosquitto and PostgreSQL in containers, Kubernetes, the orchestrator from its
chart, a pod for each DAC, which take as long as they do. ZooKeeper sessions last 6s
at least. A run has a namespace of its own (dacorch-sim) and calls its kinds ThingSim
and so on; it removes all of that at its end, or before the next one where it was
killed. The servers and cm/notify are everybody's: whatever else stands on the rig
feels a server's outage, garbage and floods, too. Faults that need a hook in a server
are refused. docs/fidelity.md sets the three side by side.

Times in the report are the scenario's, so that a real latency counts N times:
50ms at --time-scale 30 are 1.5s. Only those of rest_… and publish_… are real.
Expectations are not changed: those of speed hold on a fast machine, or with a
smaller N. Invariants that bound a time allow real seconds: 15 for an overlap, 20
for a reload, 120 for settling beyond what the intervals take.

A run in virtual time is recorded: in the file of --record, else in the user's cache
directory (dacorch/runs), where the newest 20 are kept and at most 512 MiB. It is
what "dacorch sim report last", "sim replay last" and "sim diff A last" read.

Exit codes: 0 every expectation met; 1 one failed, or an invariant broke;
2 the scenario or the usage is wrong; 130 interrupted.`,
		Example: `  # the demo
  dacorch sim run first-light

  # the same with other random numbers, for longer, on more Things
  dacorch sim run first-light --seed 42 --set duration=1h --set heal=40m --set kinds.Thing.resources=3000

  # for CI: nothing on standard output unless something failed, and a report
  dacorch sim run scenarios/kafka-outage.yaml --quiet --junit report.xml

  # the production orchestrator over real protocols, 30 times faster
  dacorch sim run first-light --on wire --time-scale 30

  # the same with real servers and pods
  dacorch rig up && dacorch sim run first-light --on kind --time-scale 10

  # a trace file that lies elsewhere
  dacorch sim run stations --set churn.0.trace.file=/data/isd-history.csv`,
		DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			switch len(args) {
			case 1:
				return nil
			case 0:
				return errors.New(`sim run needs a scenario: a file, or a name that "dacorch sim list" shows`)
			}
			return fmt.Errorf("sim run takes one scenario, not %d: %s", len(args), strings.Join(args, " "))
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.simRun(cmd.Context(), args[0], f) },
	}
	cmd.Use += " [flags]"
	flags := cmd.Flags()
	flags.StringVar(&f.seed, "seed", "", "seed of every random stream, a whole `number` (default: the scenario's)")
	flags.StringArrayVar(&f.set, "set", nil, "override a `key=value` of the scenario, such as kinds.Thing.resources=500;\nrepeatable; scenarios/README.md has every key")
	flags.StringVar(&f.json, "json", "", "write the report as JSON to this `file` (- for standard output)")
	flags.StringVar(&f.junit, "junit", "", "write the report as JUnit XML to this `file` (- for standard output)")
	flags.StringVar(&f.log, "log", "", "write every event and command of the core to this `file`;\nwith --on wire or kind: what the orchestrators print")
	flags.StringVar(&f.record, "record", "", "keep all that the core is told and answers in this `file`, or nowhere (off)")
	flags.BoolVar(&f.quiet, "quiet", false, "print nothing but what went wrong")
	flags.StringVar(&f.on, "on", onModel, "what to run on: `where` is model (virtual time, the core over models of the servers),\nwire (real time, the production orchestrator over servers that speak the real protocols) or\nkind (the same on a rig that is up: the real servers, and Kubernetes)")
	flags.Float64Var(&f.timeScale, "time-scale", 1, "with --on wire or kind: how many `times` shorter the scenario's intervals are, 1 to 120")
	flags.IntVar(&f.orchestrators, "orchestrators", 1, "with --on wire or kind: how many `processes` stand for election")
	flags.StringVar(&f.rig, "rig", "", "with --on kind: the rig's `name` (default dacorch)")
	return cmd
}

// What a scenario can run on.
const (
	onModel = "model"
	onWire  = "wire"
	onKind  = "kind"
)

func (c console) simRun(ctx context.Context, name string, f runFlags) error {
	if f.json == "-" && f.junit == "-" {
		return errors.New("--json and --junit cannot both write to standard output: give one of them a file")
	}
	if err := f.checkWire(); err != nil {
		return err
	}
	switch {
	case f.record == "-":
		return errors.New("--record writes no text: give it a file, such as run" + recording.Suffix)
	case f.record != "" && f.record != recordOff && f.on != onModel:
		return fmt.Errorf("--record goes with virtual time: on %s the orchestrator is a process of its own, whose configuration says record.dir", f.on)
	}
	sc, err := loadScenario(name, f)
	if err != nil {
		return err
	}
	// Opened before the run, so that a long one is not lost to a wrong path.
	var outs outputs
	defer outs.discard()
	jsonTo, err := outs.open(c, "--json", f.json)
	if err != nil {
		return err
	}
	junitTo, err := outs.open(c, "--junit", f.junit)
	if err != nil {
		return err
	}
	var logTo io.Writer
	if f.log != "" {
		if logTo, err = outs.open(c, "--log", f.log); err != nil {
			return err
		}
	}
	recordTo, kept, err := c.recordTo(&outs, sc, f)
	if err != nil {
		return err
	}
	defer kept.discard()
	result, err := c.result(ctx, sc, f, logTo, recordTo)
	if err != nil {
		return err
	}
	rep := result.Report
	if jsonTo != nil {
		if err := rep.JSON(jsonTo); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if junitTo != nil {
		if err := rep.JUnit(junitTo); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	if err := outs.keep(); err != nil {
		return err
	}
	recorded := f.record
	if kept != nil {
		recorded = kept.keep()
	}
	page := c
	if f.json == "-" || f.junit == "-" {
		page.out = c.err // a machine reads standard output
	}
	if !f.quiet && f.json != "-" && f.junit != "-" || !rep.OK() {
		err := rep.Table(page.out, sim.TableOptions{
			Width: page.width(), Color: page.color(), Unicode: page.unicode(),
			Timeline: result.Timeline,
			Brief:    f.quiet || f.json == "-" || f.junit == "-",
		})
		if err != nil {
			return err
		}
	}
	if rep.OK() {
		return nil
	}
	if recorded != "" && recorded != recordOff {
		drawn(page.out, recorded)
	}
	return errFailed
}

// result runs the scenario on what the flags say.
func (c console) result(ctx context.Context, sc *scenarios.Scenario, f runFlags, log, record io.Writer) (*sim.Result, error) {
	if f.on != onModel {
		return c.playReal(ctx, sc, f, log)
	}
	if c.getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt) // a run is a batch job: memory for speed
	}
	if c.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	opts := sim.Options{Open: openFile, Log: log}
	if record != nil {
		w := recording.NewWriter(record, sim.RecordingHeader(version(debug.ReadBuildInfo()), sc))
		if f.record == "" {
			w.Limit(recordedMost)
		}
		opts.Record = w
	}
	return c.play(ctx, sc, opts, f.quiet)
}

func openFile(path string) (io.ReadCloser, error) { return os.Open(path) }

// play runs the scenario in virtual time and shows how far it is.
func (c console) play(ctx context.Context, sc *scenarios.Scenario, opts sim.Options, quiet bool) (*sim.Result, error) {
	line := c.newProgressLine(quiet)
	began := time.Now()
	var reached time.Duration
	opts.Progress = func(p sim.Progress) error {
		reached = p.Now
		now := time.Now()
		line.show(now, func() string { return progressText(p, now.Sub(began)) })
		return ctx.Err()
	}
	result, err := sim.Run(sc, opts)
	line.clear()
	wall := time.Since(began)
	if errors.Is(err, context.Canceled) {
		return nil, interruptedError(fmt.Sprintf("%s: interrupted at %s of %s, after %s: no verdict",
			sc.Name, clock(reached), clock(sc.Duration), wall.Round(time.Millisecond)))
	}
	if err != nil {
		return nil, err
	}
	result.Report.WallS = wall.Seconds()
	return result, nil
}

func progressText(p sim.Progress, wall time.Duration) string {
	return fmt.Sprintf("%3.0f%%  %s of %s  %.0f times real time  %d resources on %d instances, %d unplaced  %.1f million events",
		100*p.Now.Seconds()/p.Duration.Seconds(), clock(p.Now), clock(p.Duration),
		p.Now.Seconds()/wall.Seconds(), p.Resources, p.Instances, p.Unplaced, float64(p.Events)/1e6)
}

// clock is a duration to the second, with days and without parts that are zero
// at its end: 29d, 1d3h0m7s, 1h30m.
func clock(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Round(time.Second)
	text := (d % day).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	if d < day {
		return text
	}
	if d%day == 0 {
		text = ""
	}
	return fmt.Sprintf("%dd%s", d/day, text)
}

// outputs are the files that a run writes. They are there from its beginning,
// and those of a run that came to no result are removed.
type outputs []*output

type output struct {
	flag string
	file *os.File
	*bufio.Writer
}

// open creates the file of a flag; nil for none. The path - is standard output.
func (o *outputs) open(c console, flag, path string) (io.Writer, error) {
	switch path {
	case "":
		return nil, nil
	case "-":
		return c.out, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	out := &output{flag: flag, file: f, Writer: bufio.NewWriterSize(f, 1<<16)}
	*o = append(*o, out)
	return out, nil
}

// keep completes the files.
func (o *outputs) keep() error {
	for _, out := range *o {
		if err := errors.Join(out.Flush(), out.file.Close()); err != nil {
			return fmt.Errorf("%s: %w", out.flag, err)
		}
	}
	*o = nil
	return nil
}

// discard removes the files that were not kept, but leaves the log, which shows
// how far the run came, and what is no plain file.
func (o *outputs) discard() {
	for _, out := range *o {
		if out.flag == "--log" {
			out.Flush()
		}
		info, err := out.file.Stat()
		out.file.Close()
		if err == nil && info.Mode().IsRegular() && out.flag != "--log" {
			os.Remove(out.file.Name())
		}
	}
}

// loadScenario reads a file, or when there is none of that name, a scenario
// that is part of the program.
func loadScenario(name string, f runFlags) (*scenarios.Scenario, error) {
	settings := make([]scenarios.Setting, 0, len(f.set)+1)
	for _, s := range f.set {
		setting, err := scenarios.ParseSetting(s)
		if err != nil {
			return nil, err
		}
		settings = append(settings, setting)
	}
	if f.seed != "" {
		seed, err := strconv.ParseUint(f.seed, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("--seed %s: want a whole number from 0 to %d", f.seed, uint64(math.MaxUint64))
		}
		setting, err := scenarios.ParseSetting(fmt.Sprintf("seed=%d", seed))
		if err != nil {
			return nil, err
		}
		settings = append(settings, setting)
	}
	file, err := os.Open(name)
	if err == nil {
		defer file.Close()
		return scenarios.Load(name, file, settings...)
	}
	isPath := strings.ContainsAny(name, `/\`) || filepath.Ext(name) != ""
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case !isPath:
		return scenarios.Shipped(name, settings...)
	}
	shipped := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	if slices.Contains(scenarios.Names(), shipped) {
		return nil, fmt.Errorf("there is no file %s: did you mean %s, which is part of the program?", name, shipped)
	}
	return nil, fmt.Errorf(`there is no file %s: want a scenario file, or a name that "dacorch sim list" shows`, name)
}

func simListCommand(c console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the scenarios that are part of the program",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			names := scenarios.Names()
			column := 0
			for _, name := range names {
				column = max(column, len(name))
			}
			indent := strings.Repeat(" ", column+2)
			for _, name := range names {
				sc, err := scenarios.Shipped(name)
				if err != nil {
					return err
				}
				about := opening(sc.About)
				if sc.On == scenarios.OnWire {
					about = "(--on wire) " + about
				}
				if _, tty := terminal(c.out); tty { // a program reads a line for each
					about = wrapped(about, indent, c.width())
				}
				fmt.Fprintf(c.out, "%-*s  %s\n", column, name, about)
			}
			return nil
		},
	}
}

// opening is the first sentence of a text, and as many more as it takes to say
// something.
func opening(text string) string {
	const something = 40
	text = strings.Join(strings.Fields(text), " ")
	for i := range text {
		if i >= something && strings.HasSuffix(text[:i], ". ") {
			return text[:i-1]
		}
	}
	return text
}
