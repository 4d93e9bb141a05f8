package main

import (
	"cmp"
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
	"dacorch/scenarios"
)

// Runs are recorded whether asked for or not, since the question of what happened
// comes afterwards. What is kept of them is bounded.
const (
	keptRuns     = 20
	keptBytes    = 512 << 20
	recordedMost = 256 << 20 // of one run; then its recording ends, and the run goes on
	recordOff    = "off"
	lastRun      = "last" // in place of a recording: that of the newest run
	leftOver     = 24 * time.Hour
	unfinished   = ".unfinished-"
)

// runsDir is where runs are kept.
func runsDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "dacorch", "runs"), nil
}

// keptRun is the recording that a run makes unasked: nothing that goes wrong with
// it reaches the run.
type keptRun struct {
	file *os.File
	path string
	err  error // the first; from then on nothing is written
}

// keepRun begins a recording that nobody asked for; nil where there is no place
// for one.
func keepRun(sc *scenarios.Scenario) *keptRun {
	dir, err := runsDir()
	if err != nil || os.MkdirAll(dir, 0o700) != nil {
		return nil
	}
	file, err := os.CreateTemp(dir, unfinished+"*")
	if err != nil {
		return nil
	}
	return &keptRun{file: file, path: filepath.Join(dir, fmt.Sprintf("%s-%d%s", sc.Name, sc.Seed, recording.Suffix))}
}

// Write never fails.
func (k *keptRun) Write(p []byte) (int, error) {
	if k.err == nil {
		_, k.err = k.file.Write(p)
	}
	return len(p), nil
}

// keep gives the recording its name, deletes the oldest and answers where it is;
// empty: it was not kept.
func (k *keptRun) keep() string {
	temp := k.file.Name()
	err := errors.Join(k.err, k.file.Close())
	k.file = nil
	if err == nil {
		err = os.Rename(temp, k.path)
	}
	if err != nil {
		os.Remove(temp)
		return ""
	}
	tidyRuns(filepath.Dir(k.path), time.Now())
	return k.path
}

// discard removes a recording that was not kept.
func (k *keptRun) discard() {
	if k != nil && k.file != nil {
		k.file.Close()
		os.Remove(k.file.Name())
	}
}

// runFile is a recording in the directory of runs.
type runFile struct {
	path string
	size int64
	at   time.Time
}

// runFiles are the recordings of a directory, the newest first, and what is left
// over of runs that were struck down.
func runFiles(dir string, now time.Time) (runs []runFile, left []string) {
	entries, _ := os.ReadDir(dir) // what can be read
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), unfinished):
			if now.Sub(info.ModTime()) > leftOver {
				left = append(left, path)
			}
		case strings.HasSuffix(e.Name(), recording.Suffix):
			runs = append(runs, runFile{path, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(runs, func(a, b runFile) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.path, b.path)) })
	return runs, left
}

// tidyRuns deletes the oldest recordings beyond what is kept. Another process may
// do the same at the same time.
func tidyRuns(dir string, now time.Time) {
	runs, left := runFiles(dir, now)
	var total int64
	for i, r := range runs {
		if total += r.size; i >= keptRuns || total > keptBytes {
			left = append(left, r.path)
		}
	}
	for _, path := range left {
		os.Remove(path)
	}
}

// newestRun is the recording of the newest run.
func newestRun() (string, error) {
	dir, err := runsDir()
	if err != nil {
		return "", fmt.Errorf("no run is kept: %w", err)
	}
	runs, _ := runFiles(dir, time.Now())
	if len(runs) == 0 {
		return "", fmt.Errorf(`no run is kept in %s: want one by "dacorch sim run", or the name of a recording`, dir)
	}
	return runs[0].path, nil
}

// takesLast has a command take the newest run for a recording called last.
func takesLast(cmd *cobra.Command) *cobra.Command {
	cmd.Long += "\n\nIn place of a recording, last is that of the newest \"dacorch sim run\" (./last is a\nfile of that name)."
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		args = slices.Clone(args)
		for i, arg := range args {
			if arg != lastRun {
				continue
			}
			var err error
			if args[i], err = newestRun(); err != nil {
				return err
			}
		}
		return run(cmd, args)
	}
	return cmd
}

// isKept says that a path is one of a run that was kept.
func isKept(path string) bool {
	dir, err := runsDir()
	return err == nil && filepath.Dir(path) == dir
}

// recordTo is what the run is recorded in: the file of --record, or that which is
// kept unasked; nil: nothing.
func (c console) recordTo(outs *outputs, sc *scenarios.Scenario, f runFlags) (io.Writer, *keptRun, error) {
	switch {
	case f.record == recordOff || f.record == "" && f.on != onModel:
		return nil, nil, nil
	case f.record != "":
		w, err := outs.open(c, "--record", f.record)
		return w, nil, err
	}
	if kept := keepRun(sc); kept != nil {
		return kept, kept, nil
	}
	return nil, nil, nil
}

// drawn says what shows a run that went wrong.
func drawn(w io.Writer, path string) {
	fmt.Fprintf(w, "\nrecording %s\n  dacorch sim report %s\n", path, quoted(path))
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	const plain = "/._-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if !strings.ContainsFunc(path, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
