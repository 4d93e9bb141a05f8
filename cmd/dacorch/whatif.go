package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim"
	"dacorch/sim/replay"
)

// whatIfFlags are what sim replay is asked beyond a replay.
type whatIfFlags struct {
	set         []string
	scenario    string
	record      string
	fromNothing bool
}

// asks says whether something is asked at all.
func (f whatIfFlags) asks() bool {
	return len(f.set) > 0 || f.scenario != "" || f.record != "" || f.fromNothing
}

// whatIfReport is what sim replay --json prints when something is asked.
type whatIfReport struct {
	Rows  []originReport `json:"of"`
	Set   []string       `json:"set"`
	FromS float64        `json:"from_s"` // on the recording's clock, to its end
	*replay.Answer
}

func (c console) whatIf(ctx context.Context, paths []string, f whatIfFlags, asJSON bool) error {
	var set []scenarios.Setting
	for _, s := range f.set {
		setting, err := scenarios.ParseSetting(s)
		if err != nil {
			return err
		}
		set = append(set, setting)
	}
	switch {
	case f.record == "-":
		return errors.New("--record writes no text: give it a file, such as asked" + recording.Suffix)
	case f.record != "" && len(set) == 0 && !f.fromNothing:
		return errors.New("--record keeps the run that --set asks for: want a --set beside it")
	}
	rec, err := openRecording(paths)
	if err != nil {
		return err
	}
	d, err := rec.Derive(whatIfName(f.scenario, paths[0]))
	if err != nil {
		return err
	}
	if _, _, err := d.With(set, f.fromNothing); err != nil {
		return err
	}
	if f.scenario != "" {
		if err := writeDerived(d, set, f); err != nil {
			return err
		}
	}
	var files outputs
	defer files.discard()
	keep, err := files.open(c, "--record", f.record)
	if err != nil {
		return err
	}
	answer, err := c.ask(ctx, d, replay.Question{Set: set, FromNothing: f.fromNothing, Keep: keep}, asJSON)
	if err != nil {
		return err
	}
	if err := files.keep(); err != nil {
		return err
	}
	if asJSON {
		out := whatIfReport{Set: slices.Clone(f.set), FromS: d.From.Seconds(), Answer: answer}
		for _, row := range rec.Rows {
			out.Rows = append(out.Rows, originOf(row))
		}
		return printJSON(c.out, out)
	}
	return c.whatIfText(rec, d, f, answer)
}

// ask runs the derived scenario, with a line that shows how far it is.
func (c console) ask(ctx context.Context, d *replay.Derived, q replay.Question, quiet bool) (*replay.Answer, error) {
	line := c.newProgressLine(quiet)
	q.Open = func(path string) (io.ReadCloser, error) { return os.Open(path) }
	began := time.Now()
	q.Progress = func(run string, p sim.Progress) error {
		line.show(time.Now(), func() string { return run + "  " + progressText(p, time.Since(began)) })
		return ctx.Err()
	}
	answer, err := d.Ask(q)
	line.clear()
	if errors.Is(err, context.Canceled) {
		return nil, interruptedError("sim replay: interrupted: no answer")
	}
	return answer, err
}

// whatIfName is what a derived scenario is called: as the file that it is written
// to, else as the recording.
func whatIfName(scenario, rec string) string {
	path := scenario
	if path == "" {
		path = rec
	}
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// writeDerived writes the scenario, as it is asked for, and its trace files beside it.
func writeDerived(d *replay.Derived, set []scenarios.Setting, f whatIfFlags) error {
	sc, remarks, err := d.With(set, f.fromNothing)
	if err != nil {
		return err
	}
	text := "# What a recording tells of the platform (dacorch sim replay --scenario).\n"
	for _, r := range append(slices.Clone(d.Remarks), remarks...) {
		text += "# " + strings.ReplaceAll(r, "\n", " ") + "\n"
	}
	if len(d.Start) > 0 {
		text += "# A file cannot say what stood when the recording began: this one begins with an empty ZooKeeper.\n"
	}
	if err := os.WriteFile(f.scenario, append([]byte(text), scenarios.Format(sc)...), 0o644); err != nil {
		return fmt.Errorf("--scenario: %w", err)
	}
	for name, data := range d.Tables {
		if err := os.WriteFile(filepath.Join(filepath.Dir(f.scenario), name), data, 0o644); err != nil {
			return fmt.Errorf("--scenario: %w", err)
		}
	}
	return nil
}

func (c console) whatIfText(rec *replay.Recording, d *replay.Derived, f whatIfFlags, a *replay.Answer) error {
	for _, row := range rec.Rows {
		fmt.Fprintf(c.out, "%v\n", originOf(row))
	}
	fmt.Fprintf(c.out, "%s, from %s to %s of the recording", clock(d.Length), clock(d.From), clock(d.From+d.Length))
	asked := slices.Clone(f.set)
	if f.fromNothing {
		asked = append(asked, "an empty ZooKeeper at the start")
	}
	if len(asked) > 0 {
		fmt.Fprintf(c.out, "; asked: %s", strings.Join(asked, ", "))
	}
	fmt.Fprint(c.out, "\n\n")
	if err := a.Table(c.out, "asked"); err != nil {
		return err
	}
	notes := []string{
		"recorded: what happened. simulated: the same platform and settings in the simulator, which shows how near it comes.",
	}
	if a.Asked != nil {
		notes[0] += " asked: the simulation with what is asked for; compare it with simulated."
	}
	notes = append(notes, "All are measured alike, by what the orchestrator was told: settle time ends when ZooKeeper has a row on a list or off it;"+
		" unowned is a row on an instance whose pod does not run, or on its way between two.")
	notes = append(notes, a.Remarks...)
	fmt.Fprintln(c.out)
	for _, n := range notes {
		fmt.Fprintf(c.out, "- %s\n", wrapped(n, "  ", c.width()))
	}
	return nil
}
