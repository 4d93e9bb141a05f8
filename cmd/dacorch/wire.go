package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"dacorch/scenarios"
	"dacorch/sim"
	"dacorch/sim/kind"
	"dacorch/sim/wire"
)

// mostTimeScale is the largest --time-scale.
const mostTimeScale = 120

// checkWire refuses flags that do not go together.
func (f *runFlags) checkWire() error {
	switch {
	case f.on != onModel && f.on != onWire && f.on != onKind:
		return fmt.Errorf("--on %s: want %s, %s or %s", f.on, onModel, onWire, onKind)
	case f.on == onModel && (f.timeScale != 1 || f.orchestrators != 1):
		return fmt.Errorf("--time-scale and --orchestrators go with --on %s and --on %s: virtual time needs no scale", onWire, onKind)
	case f.on != onKind && f.rig != "":
		return fmt.Errorf("--rig goes with --on %s", onKind)
	case f.timeScale < 1 || f.timeScale > mostTimeScale:
		return fmt.Errorf("--time-scale %v: want 1 to %d", f.timeScale, mostTimeScale)
	case f.orchestrators < 1 || f.orchestrators > 9:
		return fmt.Errorf("--orchestrators %d: want 1 to 9", f.orchestrators)
	}
	return nil
}

// playReal runs the scenario in real time, with orchestrators of their own, and
// shows how far it is.
func (c console) playReal(ctx context.Context, sc *scenarios.Scenario, f runFlags, log io.Writer) (*sim.Result, error) {
	if log == nil {
		log = io.Discard
	}
	line := c.newProgressLine(f.quiet)
	began := time.Now()
	var reached time.Duration
	progress := func(p wire.Progress) error {
		reached = p.Now
		line.show(time.Now(), func() string { return wireProgressText(p, time.Since(began)) })
		return ctx.Err()
	}
	play := playWire
	if f.on == onKind {
		play = playKind
	}
	result, err := play(ctx, sc, f, &lockedWriter{to: log}, progress)
	line.clear()
	if err != nil && ctx.Err() != nil {
		text := fmt.Sprintf("%s: interrupted at %s of %s, after %s: no verdict",
			sc.Name, clock(reached), clock(sc.Duration), time.Since(began).Round(time.Millisecond))
		if more := besides(err, ctx.Err(), context.Cause(ctx)); more != nil { // what could not be cleared away above all
			text += fmt.Sprintf("; and more went wrong: %v", more)
		}
		return nil, interruptedError(text)
	}
	if err != nil {
		return nil, err
	}
	return &sim.Result{Report: result.Report, Timeline: result.Timeline}, nil
}

// besides is an error without those of its parts that only say what is known; nil
// when it has no others.
func besides(err error, known ...error) error {
	if joined, is := err.(interface{ Unwrap() []error }); is {
		var others []error
		for _, part := range joined.Unwrap() {
			others = append(others, besides(part, known...))
		}
		return errors.Join(others...)
	}
	if slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return nil
	}
	return err
}

// playWire runs the scenario in this process, but for the orchestrators.
func playWire(ctx context.Context, sc *scenarios.Scenario, f runFlags, log io.Writer, progress func(wire.Progress) error) (*wire.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("this program's own file, to run it as the orchestrator: %w", err)
	}
	return wire.Run(ctx, sc, wire.RunOptions{
		TimeScale: f.timeScale, Orchestrators: f.orchestrators, Open: openFile, Log: log, Progress: progress,
		Serve: func(ctx context.Context, config string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, self, "serve", "--config", config)
			cmd.Env = []string{} // the scenario says everything
			return cmd
		},
	})
}

// playKind runs the scenario on a rig that is up.
func playKind(ctx context.Context, sc *scenarios.Scenario, f runFlags, log io.Writer, progress func(wire.Progress) error) (*wire.Result, error) {
	return kind.Run(ctx, sc, kind.Options{
		Rig: f.rig, TimeScale: f.timeScale, Orchestrators: f.orchestrators, Open: openFile, Log: log, Progress: progress})
}

func wireProgressText(p wire.Progress, wall time.Duration) string {
	return fmt.Sprintf("%3.0f%%  %s of %s after %s  %d resources on %d instances, %d unplaced",
		100*p.Now.Seconds()/p.Duration.Seconds(), clock(p.Now), clock(p.Duration), clock(wall), p.Resources, p.Instances, p.Unplaced)
}

// lockedWriter lets several processes write to one log.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

// Write is io.Writer's.
func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}
