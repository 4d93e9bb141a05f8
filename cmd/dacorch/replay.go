package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/orchestrator/recording"
	"dacorch/sim/replay"
)

func simReplayCommand(c console) *cobra.Command {
	var asJSON bool
	var f whatIfFlags
	cmd := &cobra.Command{
		Use:   "replay REC… [flags]",
		Short: "Tell the core what a recording says it was told, and compare what it answers; or ask what would have been",
		Long: `Tell the orchestrator's core every event of a recording at its time, and compare
the commands that it answers with those recorded. REC is a file that
"dacorch sim run --record" or "dacorch serve --record" wrote, or a directory of
them: the segments of a recording are put into their order. docs/recording.md
describes the format.

A recording that is cut off, as by a crash, is replayed as far as it goes.

With --set, the question is another one: what if? What the platform did (rows that
came and went, pods that failed, channels and servers that were away, operators'
orders) is turned into a scenario and simulated, once with the settings recorded
and once with those of --set; a table shows both beside what happened. KEY is one of
a kind's in scenarios/README.md, for all kinds or after a kind's name; or any path
of the derived scenario, which --scenario writes.
What stood on instances when the recording began stands there at the start too. If
a sizing is asked for (resourcePerInstance, maxInstances, initInstances, policy), an
operator re-orchestrates to it at once, which moves resources, unless --from-nothing
has the run that is asked for begin with an empty ZooKeeper.

Exit codes: 0 the same commands, or an answer; 1 the commands differ, and where is
said; 2 the recording cannot be read, or the usage is wrong; 130 interrupted.`,
		Example: `  dacorch sim run first-light --record light.dacrec
  dacorch sim replay light.dacrec

  # what a process in production was told
  dacorch sim replay /var/lib/dacorch/recordings

  # what if instances had been smaller, of all kinds or of one
  dacorch sim replay /var/lib/dacorch/recordings --set resourcePerInstance=2000
  dacorch sim replay light.dacrec --set Thing.policy=balance --set silence=3m

  # the scenario behind it, to be run with other seeds
  dacorch sim replay light.dacrec --scenario light.yaml
  dacorch sim sweep light.yaml --seeds 100`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("sim replay needs a recording: a file, or a directory of segments")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.asks() {
				return c.whatIf(cmd.Context(), args, f, asJSON)
			}
			return c.simReplay(cmd.Context(), args, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	flags.StringArrayVar(&f.set, "set", nil, "ask what if this `key=value` had been set, such as resourcePerInstance=2000 or\nThing.policy=balance; repeatable")
	flags.StringVar(&f.scenario, "scenario", "", "write the derived scenario to this `file`, and its trace files beside it")
	flags.StringVar(&f.record, "record", "", "keep the run that is asked for in this `file` (see sim report, sim diff)")
	flags.BoolVar(&f.fromNothing, "from-nothing", false, "ask what if nothing had stood in ZooKeeper when the recording began")
	return cmd
}

// openRecording reads files and directories as one recording.
func openRecording(paths []string) (*replay.Recording, error) {
	var files []replay.File
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, recordingFile(path))
			continue
		}
		found, err := filepath.Glob(filepath.Join(globless(path), "*"+recording.Suffix))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no recording is in this directory: want files that end with %s", path, recording.Suffix)
		}
		for _, path := range found {
			files = append(files, recordingFile(path))
		}
	}
	return replay.Load(files)
}

// globless is a path none of whose characters means another one.
func globless(path string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(path)
}

func recordingFile(path string) replay.File {
	return replay.File{Name: filepath.Base(path), Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// replayReport is what sim replay --json prints.
type replayReport struct {
	Rows       []originReport     `json:"recorded"`
	Events     int                `json:"events"`
	Commands   int                `json:"commands"`
	Restarts   int                `json:"restarts"`
	FromS      float64            `json:"from_s"`
	ToS        float64            `json:"to_s"`
	Gaps       []string           `json:"gaps,omitempty"`
	Same       bool               `json:"same"`
	Difference *replay.Difference `json:"difference,omitempty"`
}

// originReport says where a row of segments comes from.
type originReport struct {
	Program  string    `json:"program"`
	Began    time.Time `json:"began,omitzero"`
	Scenario string    `json:"scenario,omitempty"`
	Seed     *uint64   `json:"seed,omitempty"`
	Kinds    []string  `json:"kinds"`
	Segments int       `json:"segments"`
}

func originOf(row replay.Row) originReport {
	h := row.Header
	o := originReport{Program: h.Program, Began: h.Began, Segments: len(row.Segments)}
	for _, k := range h.Kinds {
		o.Kinds = append(o.Kinds, string(k.Config.Kind))
	}
	if h.Scenario != "" {
		o.Scenario, o.Seed = scenarioName(h.Scenario), &h.Seed
	}
	return o
}

// scenarioName is the name in a scenario's text.
func scenarioName(text string) string {
	for line := range strings.Lines(text) {
		if name, is := strings.CutPrefix(line, "name:"); is {
			return strings.TrimSpace(name)
		}
	}
	return "a scenario without a name"
}

func (o originReport) String() string {
	text := fmt.Sprintf("%s by %s", strings.Join(o.Kinds, ", "), o.Program)
	if o.Scenario != "" {
		text += fmt.Sprintf(", scenario %s, seed %d", o.Scenario, *o.Seed)
	}
	if !o.Began.IsZero() {
		text += ", from " + o.Began.UTC().Format(time.RFC3339) + " on"
	}
	if o.Segments > 1 {
		text += fmt.Sprintf(", %d segments", o.Segments)
	}
	return text
}

func (c console) simReplay(ctx context.Context, paths []string, asJSON bool) error {
	rec, err := openRecording(paths)
	if err != nil {
		return err
	}
	line := c.newProgressLine(asJSON)
	res, err := rec.Replay(func(p replay.Progress) error {
		line.show(time.Now(), func() string {
			return fmt.Sprintf("segment %d of %d  %s  %d events", p.Segment+1, p.Segments, clock(p.At), p.Events)
		})
		return ctx.Err()
	})
	line.clear()
	if errors.Is(err, context.Canceled) {
		return interruptedError("sim replay: interrupted: no verdict")
	}
	if err != nil {
		return err
	}
	if asJSON {
		err = c.replayJSON(rec, res)
	} else {
		c.replayText(rec, res)
	}
	if err == nil && res.Difference != nil {
		err = errFailed
	}
	return err
}

func (c console) replayJSON(rec *replay.Recording, res *replay.Result) error {
	out := replayReport{Events: res.Events, Commands: res.Commands, Restarts: res.Restarts, FromS: res.From.Seconds(), ToS: res.To.Seconds(),
		Gaps: res.Gaps, Same: res.Difference == nil, Difference: res.Difference}
	for _, row := range rec.Rows {
		out.Rows = append(out.Rows, originOf(row))
	}
	return printJSON(c.out, out)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// commandsShown bounds the commands of an answer that are printed.
const commandsShown = 20

func (c console) replayText(rec *replay.Recording, res *replay.Result) {
	for _, row := range rec.Rows {
		fmt.Fprintf(c.out, "%v\n", originOf(row))
	}
	fmt.Fprintf(c.out, "%s to %s: %d events", clock(res.From), clock(res.To), res.Events)
	if res.Restarts > 0 {
		fmt.Fprintf(c.out, ", %d machines made anew", res.Restarts)
	}
	fmt.Fprintln(c.out)
	for _, gap := range res.Gaps {
		fmt.Fprintf(c.out, "gap: %s\n", gap)
	}
	d := res.Difference
	if d == nil {
		fmt.Fprintf(c.out, "the same %d commands\n", res.Commands)
		return
	}
	fmt.Fprintf(c.out, "\nThe core answers otherwise, after %d commands that were the same.\n\n", res.Commands)
	where := fmt.Sprintf("%s at %v (%s, entry %d)", d.Kind, d.At, d.File, d.Entry)
	if d.Process > 0 {
		where += fmt.Sprintf(", process %d", d.Process)
	}
	fmt.Fprintf(c.out, "  where     %s\n  told      %s\n  differs   %s\n\n", where, d.Event, d.What)
	c.sideBySide("recorded", d.Recorded, "here", d.Answered)
}

// sideBySide prints two answers, one under the other: their lines are long.
// Commands that both have at the same place are marked.
func (c console) sideBySide(left string, a []string, right string, b []string) {
	for i, side := range [][]string{a, b} {
		other := [][]string{b, a}[i]
		fmt.Fprintf(c.out, "  %s: %d commands\n", []string{left, right}[i], len(side))
		for k, text := range side[:min(len(side), commandsShown)] {
			mark := "!"
			if k < len(other) && other[k] == text {
				mark = "="
			}
			fmt.Fprintf(c.out, "    %s %s\n", mark, strings.ReplaceAll(text, "\n", "\n      "))
		}
		if len(side) > commandsShown {
			fmt.Fprintf(c.out, "    and %d more\n", len(side)-commandsShown)
		}
	}
}

func simDiffCommand(c console) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff A B [flags]",
		Short: "Compare two recordings: where they part, and what came of each",
		Long: `Compare two recordings. For each kind: the first event that is not the same while
all answers before it are (the worlds differ), or the first answer that is not the
same to the same events (the cores, or their settings, differ); and the figures
of both side by side. A and B are files, or directories of segments.

Exit codes: 0 the same events and answers under the same settings; 1 they differ;
2 one cannot be read, or the usage is wrong.`,
		Example: `  dacorch sim run first-light --record a.dacrec
  dacorch sim run first-light --seed 2 --record b.dacrec
  dacorch sim diff a.dacrec b.dacrec`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("sim diff compares two recordings, not %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.simDiff(args[0], args[1], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	return cmd
}

func (c console) simDiff(a, b string, asJSON bool) error {
	recA, err := openRecording([]string{a})
	if err != nil {
		return err
	}
	recB, err := openRecording([]string{b})
	if err != nil {
		return err
	}
	d, err := replay.Compare(recA, recB)
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(c.out, struct {
			Same bool `json:"same"`
			*replay.Diff
		}{d.Same(), d}); err != nil {
			return err
		}
	} else {
		c.diffText(d)
	}
	if !d.Same() {
		return errFailed
	}
	return nil
}

func (c console) diffText(d *replay.Diff) {
	for _, s := range d.Settings {
		fmt.Fprintf(c.out, "%s: %s | %s\n", s.Name, s.A, s.B)
	}
	for _, k := range d.Kinds {
		fmt.Fprintf(c.out, "\n%s\n", k.Kind)
		switch {
		case k.Only != "":
			fmt.Fprintf(c.out, "  only in %s\n", k.Only)
		case k.World != nil:
			c.partingText("the worlds differ", k.Same, k.World)
		case k.Core != nil:
			c.partingText("the answers differ", k.Same, k.Core)
		default:
			fmt.Fprintf(c.out, "  the same %d events and answers\n", k.Same)
		}
		figures(c.out, k.A, k.B)
	}
}

func (c console) partingText(what string, same int, p *replay.Parting) {
	fmt.Fprintf(c.out, "  %s, after %d events that were the same: %s\n", what, same, p.What)
	for i, s := range []*replay.Side{p.A, p.B} {
		name := []string{"a", "b"}[i]
		if s == nil {
			fmt.Fprintf(c.out, "    %s  has ended\n", name)
			continue
		}
		fmt.Fprintf(c.out, "    %s  %v  %s\n", name, s.At, s.Event)
		for _, text := range s.Commands[:min(len(s.Commands), commandsShown)] {
			fmt.Fprintf(c.out, "         %s\n", strings.ReplaceAll(text, "\n", "\n         "))
		}
	}
}

// figures prints two recordings' figures side by side.
func figures(w io.Writer, a, b replay.Figures) {
	rows := [][3]string{{"", "a", "b"}, {"duration", clock(a.To - a.From), clock(b.To - b.From)}}
	for _, f := range []struct {
		name string
		a, b int
	}{
		{"events", a.Events, b.Events}, {"commands", a.Commands, b.Commands}, {"notifications", a.Notifications, b.Notifications},
		{"heartbeats", a.Heartbeats, b.Heartbeats}, {"leaderships", a.Leaderships, b.Leaderships},
		{"transactions", a.Transactions, b.Transactions}, {"transactions failed", a.Failed, b.Failed},
		{"resources placed", a.Placed, b.Placed}, {"resources moved", a.Moves, b.Moves},
		{"pods created", a.PodsCreated, b.PodsCreated}, {"pods replaced", a.PodsReplaced, b.PodsReplaced},
		{"orders", a.Orders, b.Orders}, {"alarms", a.Alarms, b.Alarms},
	} {
		rows = append(rows, [3]string{f.name, fmt.Sprint(f.a), fmt.Sprint(f.b)})
	}
	wide := func(i int) int {
		return len(slices.MaxFunc(rows, func(x, y [3]string) int { return len(x[i]) - len(y[i]) })[i])
	}
	for _, r := range rows {
		mark := ""
		if r[0] != "" && r[1] != r[2] {
			mark = "  !"
		}
		fmt.Fprintf(w, "  %-*s  %*s  %*s%s\n", wide(0), r[0], wide(1), r[1], wide(2), r[2], mark)
	}
}
