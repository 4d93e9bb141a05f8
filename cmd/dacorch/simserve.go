package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/orchestrator/recording"
	"dacorch/sim"
	"dacorch/sim/replay"
	"dacorch/sim/serve"
)

// simServeFlags are the flags of sim serve, but for the address.
type simServeFlags struct {
	runFlags // seed and set alone
	speed    float64
	paused   bool
	at       time.Duration
}

// addTo adds the flags to a command.
func (f *simServeFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Float64Var(&f.speed, "speed", 10, "virtual `seconds` a second, 0.01 to 100000")
	flags.BoolVar(&f.paused, "paused", false, "let no time pass until somebody asks for it")
	flags.DurationVar(&f.at, "at", 0, "the `moment` to begin at, such as 12m; a simulation is taken there at once")
	flags.StringVar(&f.seed, "seed", "", "seed of every random stream, a whole `number` (default: the scenario's)")
	flags.StringArrayVar(&f.set, "set", nil, "override a `key=value` of the scenario, such as kinds.Thing.resources=500; repeatable")
}

func simServeCommand(c console) *cobra.Command {
	var f simServeFlags
	var listen string
	cmd := &cobra.Command{
		Use:   "serve FILE|NAME|REC [flags]",
		Short: "Serve a simulation that goes on, or a recording, through the REST API",
		Long: `Run a scenario in virtual time, or show a recording, behind the REST API that the
orchestrator has in production, with calls for time and for faults: who watches may
pause, step, change the speed, go back, and at the end break something or give
orders. FILE is a scenario file, NAME one that is part of the program (see
"dacorch sim list"), REC a recording or a directory of its segments: what "dacorch
sim run" and "dacorch serve --record" write.

One moment is shown, the same to all who ask. Going back stops a simulation; shown
on from there, it comes to where it stood and goes on. Where a simulation is too
large for the speed that is asked for, it goes as fast as it can.

It listens on loopback alone: whoever reaches it may change everything. Ctrl-C
ends it, and says which invariants have broken.

Exit codes: 0 ended in order; 2 the scenario or the recording cannot be served, or
the usage is wrong.`,
		Example: `  # a scenario ten times as fast as real time
  dacorch sim serve first-light

  # as it stands after twelve minutes
  dacorch sim serve kafka-outage --at 12m --paused

  # what a process in production was told
  dacorch sim serve /var/lib/dacorch/recordings --listen 127.0.0.1:0`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			switch len(args) {
			case 1:
				return nil
			case 0:
				return errors.New(`sim serve needs a scenario (a file, or a name that "dacorch sim list" shows) or a recording`)
			}
			return fmt.Errorf("sim serve takes one scenario or recording, not %d: %s", len(args), strings.Join(args, " "))
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.simServe(cmd.Context(), args[0], listen, f) },
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "the REST interface's `address`, on loopback; port 0 takes one that is free")
	f.addTo(cmd)
	return cmd
}

func (c console) simServe(ctx context.Context, target, listen string, f simServeFlags) error {
	s, err := c.startServing(ctx, target, listen, f)
	if err != nil {
		return err
	}
	fmt.Fprint(c.out, s.page())
	return s.wait()
}

// serving is a simulation, or a recording, that is being served.
type serving struct {
	c      console
	server *serve.Server
	title  string
	addr   string
	kind   string // the first of a scenario; empty for a recording, which takes no faults
	ended  chan error
}

// startSimulation serves a scenario or a recording on a free port of loopback until
// ctx ends. wait answers once that is over, and must be called.
func (c console) startSimulation(ctx context.Context, target string, f simServeFlags) (url string, wait func() error, err error) {
	s, err := c.startServing(ctx, target, "127.0.0.1:0", f)
	if err != nil {
		return "", nil, err
	}
	return "http://" + s.addr, s.wait, nil
}

func (c console) startServing(ctx context.Context, target, listen string, f simServeFlags) (*serving, error) {
	if err := loopback(listen); err != nil {
		return nil, err
	}
	if c.getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if c.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	// Before what takes long, so that it is not lost to a port that is taken.
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w: give another address; 127.0.0.1:0 takes a port that is free", listen, err)
	}
	s := &serving{c: c, addr: ln.Addr().String(), ended: make(chan error, 1)}
	line := c.newProgressLine(false)
	cfg, err := serveConfig(ctx, target, f, line)
	if err == nil {
		s.server, err = serve.New(cfg)
		line.clear()
	}
	if err != nil {
		ln.Close()
		if errors.Is(err, context.Canceled) {
			return nil, interruptedError("sim serve: interrupted")
		}
		return nil, err
	}
	s.title = cfg.Title
	if cfg.Scenario != nil {
		s.kind = cfg.Scenario.Kinds[0].Kind
	}
	c.problems(s.server)
	go func() { s.ended <- s.server.Serve(ctx, ln) }()
	return s, nil
}

// serveConfig is what to serve, and how.
func serveConfig(ctx context.Context, target string, f simServeFlags, line *progressLine) (serve.Config, error) {
	cfg := serve.Config{Program: version(debug.ReadBuildInfo()), Speed: f.speed, Paused: f.paused, At: f.at, Options: sim.Options{Open: openFile}}
	cfg.Loading = func(p replay.Progress) error {
		line.show(time.Now(), func() string {
			return fmt.Sprintf("reads segment %d of %d  %s", p.Segment+1, p.Segments, clock(p.At))
		})
		return ctx.Err()
	}
	cfg.Simulating = func(now time.Duration) error {
		line.show(time.Now(), func() string { return fmt.Sprintf("%s of %s", clock(now), clock(f.at)) })
		return ctx.Err()
	}
	if target == lastRun {
		path, err := newestRun()
		if err != nil {
			return cfg, err
		}
		target = path
	}
	if !isRecording(target) {
		sc, err := loadScenario(target, f.runFlags)
		if err != nil {
			return cfg, err
		}
		cfg.Scenario, cfg.Title = sc, fmt.Sprintf("scenario %s, seed %d", sc.Name, sc.Seed)
		return cfg, nil
	}
	if f.seed != "" || len(f.set) > 0 {
		return cfg, fmt.Errorf("%s is a recording, in which nothing can be set: --seed and --set go with a scenario", target)
	}
	rec, err := openRecording([]string{target})
	if err != nil {
		return cfg, err
	}
	cfg.Recording, cfg.Title = rec, "recording of "+originOf(rec.Rows[0]).String()
	return cfg, nil
}

// isRecording says whether a path is a recording, or a directory of its segments.
func isRecording(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return err == nil
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	_, err = recording.NewReader(file)
	return err == nil || strings.HasSuffix(path, recording.Suffix) || !errors.Is(err, recording.ErrNoRecording)
}

// problems tells what of a recording could not be read or followed.
func (c console) problems(s *serve.Server) {
	list, more := s.Problems()
	for _, problem := range list {
		fmt.Fprintf(c.err, "dacorch: warning: %s\n", problem)
	}
	if more > 0 {
		fmt.Fprintf(c.err, "dacorch: warning: and %d more such\n", more)
	}
}

// wait is over when the serving is; then it tells what broke.
func (s *serving) wait() error {
	err := <-s.ended
	if closeErr := s.server.Close(); err == nil {
		err = closeErr
	}
	if result, _ := s.server.Result(); result != nil {
		s.c.problems(s.server) // those of a recording were told at the beginning
		s.c.broken(result.Report)
	}
	return err
}

// brokenShown bounds the violations that are listed.
const brokenShown = 10

// broken lists the invariants that broke, on standard error.
func (c console) broken(rep *sim.Report) {
	for i, v := range rep.Violations {
		if i == brokenShown {
			fmt.Fprintf(c.err, "dacorch: and %d more\n", len(rep.Violations)-brokenShown)
			break
		}
		fmt.Fprintf(c.err, "dacorch: an invariant broke at %s: %s %s: %s\n", clock(v.At), v.Kind, v.Invariant, v.Reason)
	}
}

// page says what is served where, and what to try.
func (s *serving) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; Ctrl-C ends it\n\n  %-12s http://%s\n\nin another shell:\n\n", s.title, "REST", s.addr)
	fmt.Fprintf(&b, "  dacorch tui http://%s\n", s.addr)
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, "  curl -s "+format+"\n", args...)
	}
	const body = `-H 'Content-Type: application/json'`
	line("http://%s/v1/api/orchestrations", s.addr)
	line("http://%s/v1/api/time", s.addr)
	line(`-X PUT %s -d '{"paused": true}' http://%s/v1/api/time`, body, s.addr)
	line(`-X POST %s -d '{"events": -1}' http://%s/v1/api/time/step`, body, s.addr)
	if s.kind != "" {
		line(`-X PUT %s -d '{"live": true, "paused": false}' http://%s/v1/api/time`, body, s.addr)
		line("http://%s/v1/api/faults", s.addr)
		line(`-X POST %s -d '{"pod": "crash", "kind": "%s", "instance": 0}' http://%s/v1/api/faults`, body, s.kind, s.addr)
	}
	line("http://%s/v1/api/timeline", s.addr)
	return b.String() + "\n"
}
