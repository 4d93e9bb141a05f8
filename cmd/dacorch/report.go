package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dacorch/orchestrator/recording"
	"dacorch/sim/report"
)

func simReportCommand(c console) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "report REC… [flags]",
		Short: "Draw a recording as one HTML page",
		Long: `Draw a recording as one HTML page that needs nothing beside itself: the verdict
and the figures, what went on over time, every instance's load and phase, moves,
settle times and the slowest with their causes, the quality of the schedule, and
what the orchestrator decided and why. It reads well on a screen, on a phone and
printed. REC is a file that "dacorch sim run --record" or "dacorch serve --record"
wrote, or a directory of them.

A recording that is cut off, as by a crash, is drawn as far as it goes. The same
recording gives the same page.

Exit codes: 0 the page is written; 2 the recording cannot be read, or the usage
is wrong.`,
		Example: `  dacorch sim run kafka-outage --record outage.dacrec
  dacorch sim report outage.dacrec -o outage.html

  # what a process in production was told
  dacorch sim report /var/lib/dacorch/recordings -o monday.html`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("sim report needs a recording: a file, or a directory of segments")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.simReport(args, out) },
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the page to this `file` (- for standard output; default: REC with .html;\nof a kept run, in the working directory)")
	return cmd
}

func (c console) simReport(paths []string, out string) error {
	rec, err := openRecording(paths)
	if err != nil {
		return err
	}
	story, err := report.Load(rec)
	if err != nil {
		return err
	}
	if out == "" {
		out = reportName(paths[0])
	}
	var outs outputs
	defer outs.discard()
	w, err := outs.open(c, "--output", out)
	if err != nil {
		return err
	}
	if err := story.HTML(w); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	if err := outs.keep(); err != nil {
		return err
	}
	if out != "-" {
		fmt.Fprintln(c.out, out)
	}
	return nil
}

// reportName is where the page of a recording goes when nobody says: beside it;
// of a run that was kept unasked, into the working directory.
func reportName(path string) string {
	path = filepath.Clean(path)
	if isKept(path) { // nobody looks into that directory
		path = filepath.Base(path)
	}
	if name := filepath.Base(path); name == "." || name == ".." {
		return filepath.Join(path, "report.html")
	}
	return strings.TrimSuffix(path, recording.Suffix) + ".html"
}
