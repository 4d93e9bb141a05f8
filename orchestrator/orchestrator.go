// Package orchestrator is the production orchestrator: it reads the
// configuration (config.go), connects the adapters (adapters.go), runs the loop
// over them, and serves the REST interface (service.go, orders.go).
package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/orchestrator/rest"
)

// Options are what Run needs besides its configuration.
type Options struct {
	Log *slog.Logger // nil: discards
	// Serving, unless nil, is told the address at which the REST interface
	// answers, once it does.
	Serving func(addr net.Addr)
}

// Run runs the orchestrator until ctx ends; then the leaderships are handed over
// and it answers nil. An error is what no waiting mends: a field of the
// configuration, a file, an address that is taken. Servers that are away are
// waited for.
func Run(ctx context.Context, cfg *Config, opts Options) (err error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.API.Listen)
	if err != nil {
		return fmt.Errorf("api.listen %s: %w", cfg.API.Listen, err)
	}
	defer listener.Close() // Serve has closed it, unless it was never reached
	a, err := connect(cfg, opts.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()

	metrics := newMetrics()
	events, runs := rest.NewEvents(0), newRuns()
	lc := loop.Config{
		Who: fleet.Candidate{Name: cfg.Name, URL: cfg.advertised(listener.Addr())}, Log: opts.Log,
		Observe: metrics, Tell: newTeller(events, runs, cfg.Name).tell,
	}
	for _, k := range cfg.Kinds {
		lc.Kinds = append(lc.Kinds, k.Machine())
	}
	rec, err := openRecording(cfg, lc.Kinds, opts.Log)
	if err != nil {
		return err
	}
	if rec != nil {
		lc.Record = rec
		defer func() { err = errors.Join(err, rec.Close()) }()
	}
	l, err := loop.New(lc, a.ports())
	if err != nil {
		return err
	}
	metrics.watch(l, a, rec)
	server, err := newServer(cfg, newService(cfg, l, a, runs), events, metrics, opts.Log)
	if err != nil {
		return err
	}
	if err := server.CheckAddr(listener.Addr()); err != nil {
		return err
	}
	checking, stop := context.WithCancel(ctx)
	checked := make(chan struct{})
	go func() { defer close(checked); a.checkTables(checking, opts.Log) }()
	defer func() { stop(); <-checked }()
	return serve(ctx, l, server, listener, opts)
}

// openRecording begins to record where the configuration says so; else it answers
// nil.
func openRecording(cfg *Config, kinds []reconcile.Config, log *slog.Logger) (*recording.Dir, error) {
	if cfg.Record.Dir == "" {
		return nil, nil
	}
	return recording.OpenDir(recording.DirConfig{
		Path: cfg.Record.Dir, Segment: int64(cfg.Record.Segment), Total: int64(cfg.Record.Total),
		Program: program(), Began: time.Now(), Kinds: kinds, Log: log,
	})
}

// program is what is running, for those who read a recording.
func program() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return "dacorch " + b.Main.Version
	}
	return "dacorch"
}

// serve runs the loop and the REST interface side by side. At the end reads are
// answered until the leaderships have been handed over.
func serve(ctx context.Context, l *loop.Loop, server *rest.Server, listener net.Listener, opts Options) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		err := server.Serve(serving, listener)
		cancel() // without its interface the process is no use
		served <- err
	}()
	if opts.Serving != nil {
		opts.Serving(listener.Addr())
	}
	ran := l.Run(ctx)
	stop()
	return errors.Join(ran, <-served)
}

// advertised is the URL that other processes reach this one by: the configured
// one, with the port that was taken where the configuration leaves it open.
func (c *Config) advertised(addr net.Addr) string {
	_, port, err := net.SplitHostPort(c.API.Listen)
	if tcp, ok := addr.(*net.TCPAddr); ok && err == nil && port == "0" {
		scheme := "http://"
		if c.API.CertFile != "" {
			scheme = "https://"
		}
		return scheme + tcp.String()
	}
	return c.API.Advertise
}

func newService(cfg *Config, l *loop.Loop, a *adapters, r *runs) *service {
	s := &service{loop: l, names: map[string]string{}, adapters: a, refused: a.zookeeper.Refused, details: a.kubernetes, runs: r}
	for _, k := range cfg.Kinds {
		s.kinds = append(s.kinds, k.Kind)
		s.names[k.Kind] = k.InstanceName
	}
	return s
}

func newServer(cfg *Config, s *service, events *rest.Events, m *metrics, log *slog.Logger) (*rest.Server, error) {
	scope, err := rest.ParseScope(cfg.API.Anonymous)
	if err != nil {
		return nil, fmt.Errorf("api.anonymous: %w", err)
	}
	rc := rest.Config{
		TokenFile: cfg.API.TokenFile, Anonymous: scope, Hosts: cfg.API.Hosts, CertFile: cfg.API.CertFile, KeyFile: cfg.API.KeyFile,
		Program: program(), Name: cfg.Name,
		Events: events, Metrics: m.handler(), Observe: m.answered, Log: log, AccessLevel: slog.LevelDebug,
		MaxBody: int64(cfg.API.MaxBody), MaxAtOnce: cfg.API.MaxAtOnce, MaxWaiting: cfg.API.MaxWaiting, MaxStreams: cfg.API.MaxStreams,
	}
	if cfg.API.Token != "" {
		rc.Tokens = []rest.Token{rest.NewToken("environment", rest.ScopeWrite, cfg.API.Token)}
	}
	if cfg.API.CAFile != "" {
		own := TLSConfig{Enabled: true, CAFile: cfg.API.CAFile}
		if rc.ForwardTLS, err = own.client(); err != nil {
			return nil, fmt.Errorf("api.caFile: %w", err)
		}
	}
	return rest.New(rc, s)
}

// teller makes events of the stream from what the loop tells.
type teller struct {
	events *rest.Events
	runs   *runs
	name   string // of this process
}

func newTeller(events *rest.Events, runs *runs, name string) *teller {
	return &teller{events, runs, name}
}

func (t *teller) tell(e loop.Entry) {
	t.runs.told(e)
	h := answer.Happened{Kind: e.Kind, Type: e.Type, Instance: e.Instance, Code: e.Code, On: e.On, Text: e.Text, Phase: e.Phase,
		Txn: e.Txn, Decisions: e.Decisions}
	for _, ev := range h.Events(t.name) {
		t.events.Publish(ev)
	}
}

var _ loop.Observer = (*metrics)(nil)
