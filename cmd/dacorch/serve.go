package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"dacorch/orchestrator"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	config string
	check  bool
	record string
	dev    devFlags
}

func serveCommand(c console) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run the orchestrator",
		Long: `Run the orchestrator until SIGTERM or Ctrl-C; then the transaction in flight
finishes, and whoever stands next leads at once. The configuration is one YAML
file and the environment over it (docs/configuration.md).

With --dev nothing is needed: ZooKeeper, Kafka, MQTT, Kubernetes with simulated
DACs and a data centre run inside the process, on loopback, and speak the real
protocols. Where each is, and what to try, is printed once all of it works.

Exit codes: 0 ended in order, or the configuration is right; 2 it is wrong, or
something that no waiting mends.`,
		Example: `  # everything in one process
  dacorch serve --dev

  # production
  dacorch serve --config /etc/dacorch/dacorch.yaml

  # what a configuration comes to, and what is wrong with it
  dacorch serve --config /etc/dacorch/dacorch.yaml --check-config`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.dev.on && (f.config != "" || f.check):
				return errors.New("--dev makes a configuration of its own: leave out --config and --check-config")
			case f.dev.on:
				f.dev.record = f.record
				return c.serveDev(cmd.Context(), f.dev)
			}
			for _, name := range []string{"listen", "data", "resources", "log-level"} {
				if cmd.Flags().Changed(name) {
					return fmt.Errorf("--%s goes with --dev: without it the configuration says such things", name)
				}
			}
			return c.serve(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "the configuration `file`; without one, the environment and the defaults")
	flags.BoolVar(&f.check, "check-config", false, "print what the configuration comes to, secrets hidden, and end")
	flags.StringVar(&f.record, "record", "", "keep all that the core is told and answers in this `directory`, to be replayed\n(dacorch sim replay); over record.dir")
	flags.BoolVar(&f.dev.on, "dev", false, "run the whole platform in this process")
	flags.StringVar(&f.dev.listen, "listen", "127.0.0.1:8080", "with --dev: the REST interface's `address`")
	flags.StringVar(&f.dev.data, "data", "", "with --dev: keep everything in this `directory` over a restart (default: nothing is kept)")
	flags.StringVar(&f.dev.logLevel, "log-level", "warn", "with --dev: the `least` that is logged, to standard error: debug, info, warn or error")
	flags.IntVar(&f.dev.resources, "resources", 1000, "with --dev: `rows` of Thing that exist at the start; a tenth as many of Rule")
	return cmd
}

// serve runs the orchestrator with a configuration.
func (c console) serve(ctx context.Context, f serveFlags) error {
	cfg, err := loadConfig(f.config, c.getenv)
	switch {
	case err != nil && f.config == "":
		return fmt.Errorf("%w; --config names a file, and --dev needs none", err)
	case err != nil:
		return err
	}
	if f.record != "" {
		cfg.Record.Dir = f.record
	}
	if f.check {
		return c.checkConfig(cfg)
	}
	if c.getenv("GOGC") == "" {
		debug.SetGCPercent(serveCollectAt)
	}
	log := c.logger(cfg.Log)
	return orchestrator.Run(ctx, cfg, orchestrator.Options{Log: log, Serving: func(addr net.Addr) {
		log.Info("the REST interface answers", "address", addr.String(), "name", cfg.Name)
	}})
}

// serveCollectAt is how far the heap grows before it is collected, in percent of
// what is alive. An orchestrator holds much and makes little garbage: memory is
// worth more than the little time. GOGC overrules it.
const serveCollectAt = 30

// loadConfig reads a configuration; an empty path stands for the environment and
// the defaults alone.
func loadConfig(path string, getenv func(string) string) (*orchestrator.Config, error) {
	var data []byte
	if path != "" {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("--config: %w", err)
		}
	}
	return orchestrator.LoadConfig(path, data, getenv)
}

// checkConfig prints what a configuration comes to. Warnings go to standard error.
func (c console) checkConfig(cfg *orchestrator.Config) error {
	warnings, err := cfg.CheckFiles()
	for _, w := range warnings {
		fmt.Fprintf(c.err, "dacorch: warning: %s\n", w)
	}
	if err != nil {
		return err
	}
	return cfg.Describe(c.out)
}

// logger writes to standard error as the configuration says.
func (c console) logger(cfg orchestrator.LogConfig) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(cfg.Level))); err != nil {
		level = slog.LevelInfo // validated: it cannot be
	}
	return newLogger(c.err, level, cfg.Format)
}

func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
