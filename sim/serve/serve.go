// Package serve answers the REST interface over a simulation that runs in virtual
// time, or over a recording: production's calls, and those of time and faults.
// Whoever asks sees one moment, the same for all: the end of what has happened,
// where a simulation goes on and takes orders and faults, or one of the past.
//
//	s, err := serve.New(serve.Config{Scenario: scenario})
//	err = s.Serve(ctx, listener)
//
// One lock guards all. Time passes in bites of some milliseconds (clock.go), so
// that nobody waits long; where a simulation is too large for the speed that was
// asked for, the moment shown lags, and the speed stays the one that was asked for.
// Placements are told by moment.go and read.go, orders by orders.go.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/recording"
	"dacorch/orchestrator/rest"
	"dacorch/scenarios"
	"dacorch/sim"
	"dacorch/sim/replay"
	"dacorch/sim/tape"
)

// Config is what is served. Exactly one of Scenario and Recording is set.
type Config struct {
	Program string // name and version, for about

	Scenario *scenarios.Scenario
	Options  sim.Options // of the simulation; Record and Progress are the server's own

	Recording *replay.Recording
	// Loading, unless nil, is told how far the reading of the recording is; an error
	// from it ends that.
	Loading func(replay.Progress) error

	// Title is what is shown, for people; empty: the scenario's name and seed.
	Title string
	// Dir is where what has happened is kept, so that it can be shown; empty: a
	// directory of the server's own, which is removed at the end.
	Dir      string
	MaxBytes int64 // kept there at most; 0: 1 GiB

	// At is the moment to show first. A simulation is taken there as fast as it goes;
	// Simulating, unless nil, is told now and then how far it is, and an error from it
	// ends that.
	At         time.Duration
	Simulating func(now time.Duration) error

	Speed  float64 // seconds shown a second at the beginning, 0.01 to 100,000; 0: 1
	Paused bool    // nothing moves at the beginning
	Log    *slog.Logger
}

// Server serves a simulation or a recording. Its exported methods but New, Serve
// and Result are those of rest.Service, rest.Time and rest.Faults.
type Server struct {
	cfg    Config
	names  []string // of the kinds, in their order
	kinds  map[string]answer.Kind
	began  time.Time // the wall clock at time 0
	events *rest.Events
	rest   *rest.Server
	store  *directory

	mu        sync.Mutex // guards all below, and what they lead to
	tape      *tape.Tape
	run       *sim.Live // nil for a recording
	clock     clock
	moment    *tape.Moment // that is shown
	turn      uint64       // which in the row of those that were shown
	views     views
	stood     map[string]stood   // by kind
	published int64              // the last entry of the log that became events
	told      map[fleet.Kind]int // who leads by them; nobody: no process
	result    *sim.Result        // once the simulation was closed
}

var (
	_ rest.Service = (*Server)(nil)
	_ rest.Time    = (*Server)(nil)
	_ rest.Faults  = (*Server)(nil)
)

// The limits of Config.Speed, as the interface has them.
const slowest, fastest = 0.01, 100_000

// shutdown is for how long the end waits for requests: an order may wait for time
// that no longer passes.
const shutdown = time.Second

// simulationBegan is the wall clock at the beginning of every simulation.
var simulationBegan = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// New makes a server. A simulation stands at its beginning, a recording is read.
// Errors are about the scenario, the recording or the files.
func New(cfg Config) (*Server, error) {
	if (cfg.Scenario == nil) == (cfg.Recording == nil) {
		return nil, errors.New("serve: want one of Scenario and Recording")
	}
	if cfg.Speed == 0 {
		cfg.Speed = 1
	}
	if !(cfg.Speed >= slowest && cfg.Speed <= fastest) {
		return nil, fmt.Errorf("a speed of %v: want %v to %d seconds a second", cfg.Speed, slowest, fastest)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, kinds: map[string]answer.Kind{}, stood: map[string]stood{}, told: map[fleet.Kind]int{}, began: simulationBegan, events: rest.NewEvents(0)}
	s.clock = clock{speed: cfg.Speed, paused: cfg.Paused, wake: make(chan struct{}, 1)}
	var err error
	if s.store, err = newDirectory(cfg.Dir); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.store.close())
	}
	if err := s.goTo(cfg.At); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.hold()
	return s, nil
}

// goTo shows the first moment that somebody is to see.
func (s *Server) goTo(at time.Duration) error {
	switch {
	case at == 0:
		return nil
	case at < s.tape.Begin() || at > s.planned():
		return fmt.Errorf("there is no moment %v: want %v to %v", at, s.tape.Begin(), s.planned())
	case s.run == nil:
		err := s.show(at)
		s.jumped()
		return err
	}
	for !s.advance(at, time.Now().Add(progressEvery)) {
		if s.cfg.Simulating == nil {
			continue
		}
		if err := s.cfg.Simulating(s.clock.now); err != nil {
			return err
		}
	}
	return nil
}

// progressEvery is how often Config.Simulating is told.
const progressEvery = 100 * time.Millisecond

// open begins the simulation, or reads the recording, and makes the interface.
func (s *Server) open() error {
	header, err := s.begin()
	if err != nil {
		return err
	}
	s.name(header)
	rc := rest.Config{Program: s.cfg.Program, Name: "simulation", Title: s.cfg.Title, Anonymous: rest.ScopeWrite,
		Time: s, Events: s.events, Log: s.cfg.Log, AccessLevel: slog.LevelDebug, Shutdown: shutdown}
	if s.run != nil {
		rc.Faults = s
	} else {
		rc.Name = "recording"
	}
	s.rest, err = rest.New(rc, s)
	return err
}

// begin makes the tape, and the simulation that it is told by.
func (s *Server) begin() (recording.Header, error) {
	cfg := tape.Config{Store: s.store, MaxBytes: s.cfg.MaxBytes}
	if s.cfg.Recording != nil {
		t, err := tape.Load(s.cfg.Recording, cfg, s.cfg.Loading)
		if err != nil {
			return recording.Header{}, err
		}
		s.tape = t
		if header := t.Header(); !header.Began.IsZero() {
			s.began = header.Began.UTC()
		}
		return t.Header(), s.show(t.Begin())
	}
	header := sim.RecordingHeader(s.cfg.Program, s.cfg.Scenario)
	t, err := tape.New(header, cfg)
	if err != nil {
		return header, err
	}
	opts := s.cfg.Options
	opts.Record, opts.Progress = t.Recorder(), nil
	if s.run, err = sim.Begin(s.cfg.Scenario, opts); err != nil {
		return header, err
	}
	if s.cfg.Title == "" {
		s.cfg.Title = fmt.Sprintf("scenario %s, seed %d", s.cfg.Scenario.Name, s.cfg.Scenario.Seed)
	}
	s.tape = t
	s.goLive()
	return header, nil
}

// name takes the kinds' names over.
func (s *Server) name(header recording.Header) {
	sc := s.cfg.Scenario
	if sc == nil && header.Scenario != "" {
		sc, _ = scenarios.Parse("recording", []byte(header.Scenario)) // else the usual names
	}
	for _, kind := range s.tape.Kinds() {
		k := answer.Kind{Name: string(kind), InstanceName: scenarios.DefaultInstanceName(string(kind))}
		if sc != nil {
			if spec := sc.KindNamed(k.Name); spec != nil {
				k.InstanceName = spec.InstanceName
			}
		}
		s.names = append(s.names, k.Name)
		s.kinds[k.Name] = k
	}
}

// Serve lets time pass and answers requests that come to ln, which must be on
// loopback, until ctx ends; then nil. It can be called once, and closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	passing, stop := context.WithCancel(context.WithoutCancel(ctx))
	passed := make(chan struct{})
	go func() { defer close(passed); s.pace(passing) }()
	s.mu.Lock()
	s.changed()
	s.mu.Unlock()
	err := s.rest.Serve(ctx, ln)
	stop()
	<-passed
	return err
}

// Close ends the simulation where it is, and removes what was kept. It must come
// after Serve has returned.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.run != nil && s.result == nil {
		s.result, err = s.run.Close()
	}
	return errors.Join(err, s.store.close())
}

// Result is what a simulation has shown, once it was closed; nil for a recording.
// Ended says whether it came to its scenario's end.
func (s *Server) Result() (r *sim.Result, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result, s.result != nil && s.end() >= s.cfg.Scenario.Duration
}

// Problems are what of a recording could not be read or followed, for people;
// more is how many are not listed.
func (s *Server) Problems() (list []string, more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tape.Problems()
}

// Leader is part of rest.Leadership. Every call is answered here: there is nobody
// to pass it to. Who leads at the moment is told by Kinds and Status.
func (s *Server) Leader(kind string) (api.Leader, error) {
	k, err := s.kind(kind)
	return api.Leader{Self: err == nil, Name: k.Name}, err
}

// Health is part of rest.Health.
func (s *Server) Health(context.Context) api.Health {
	return api.Health{Live: true, Ready: true, Checks: []api.Check{{Name: "moment", OK: true}}}
}
