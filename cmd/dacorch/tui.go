package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dacorch/orchestrator/api"
	"dacorch/tui"
)

// tuiFlags are the flags of tui.
type tuiFlags struct {
	tokenFile string
	ca        string
	kind      string
	view      string
	theme     string
	snapshot  string
	size      string
	sim       simServeFlags
}

// tuiURL is the server that is watched when none is named: that of serve --dev.
const tuiURL = "http://127.0.0.1:8080"

func tuiCommand(c console) *cobra.Command {
	var f tuiFlags
	cmd := &cobra.Command{
		Use:   "tui [URL|FILE|NAME|REC] [flags]",
		Short: "Watch an orchestrator, a simulation or a recording in the terminal, and steer it",
		Long: `Watch a server of the REST API in the terminal, and steer it: production,
"dacorch serve --dev", "dacorch sim serve". Without an argument it is the one at
` + tuiURL + `. A scenario (a file, or a name that "dacorch sim list" shows) or
a recording is served by this process itself, as "dacorch sim serve" does.

The screen explains itself: the last line has the keys that matter, ? has all of
them. A token is read from --token-file, or from DACORCH_TOKEN in the environment;
with one that may only read, what would change something says so.

Colours follow the terminal's background; NO_COLOR leaves them out. What is shown
by a colour is shown by a letter or a shape, too.

Exit codes: 0 quit, or the snapshot is written; 2 the usage is wrong, or the
server cannot be read for a snapshot.`,
		Example: `  # the server that "dacorch serve --dev" runs
  dacorch tui

  # production, with a token
  dacorch tui https://orchestrator:8443 --ca ca.pem --token-file token

  # a simulation, to be paused, broken, and looked at again
  dacorch tui control-room

  # one frame, without a terminal
  dacorch tui --snapshot frame.svg --size 120x40 --view placement`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("tui takes one URL, scenario or recording, not %d: %s", len(args), strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			target := tuiURL
			if len(args) > 0 {
				target = args[0]
			}
			for _, name := range []string{"speed", "paused", "at", "seed", "set"} {
				if isURL(target) && cmd.Flags().Changed(name) {
					return fmt.Errorf("--%s goes with a scenario or a recording that is served here, not with a URL", name)
				}
			}
			return c.tui(cmd.Context(), target, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.tokenFile, "token-file", "", "a `file` that holds the token, read again when the server refuses it")
	flags.StringVar(&f.ca, "ca", "", "a `file` with the certificates that may have signed the server's, PEM (default: the system's)")
	flags.StringVar(&f.kind, "kind", "", "the `kind` to look at first, such as Thing (default: the first)")
	flags.StringVar(&f.view, "view", "placement", "the `view` to begin with: "+strings.Join(tui.Views(), ", "))
	flags.StringVar(&f.theme, "theme", "auto", "`colours`: "+strings.Join(tui.Themes, ", "))
	flags.StringVar(&f.snapshot, "snapshot", "", "write one frame to a `file` and end: text, or a picture when its name ends in .svg; - is standard output")
	f.sim.addTo(cmd)
	flags.StringVar(&f.size, "size", "120x40", "columns and rows of a snapshot, as `WxH`")
	return cmd
}

func isURL(target string) bool {
	return strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://")
}

// tui runs the terminal UI, or writes one frame of it.
func (c console) tui(ctx context.Context, target string, f tuiFlags) (err error) {
	width, height, err := parseSize(f.size)
	if err != nil {
		return err
	}
	in, out := os.Stdin, os.Stdout
	if f.snapshot == "" && (!term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd()))) {
		return errors.New("tui needs a terminal; --snapshot FILE writes one frame without one")
	}
	if f.snapshot == "" && c.getenv("TERM") == "dumb" {
		return errors.New("tui needs a terminal that can place its cursor, and TERM is dumb; --snapshot FILE writes one frame without one")
	}
	if f.theme == "auto" && c.getenv("NO_COLOR") != "" {
		f.theme = "mono"
	}
	url := target
	if !isURL(target) {
		served, stop := context.WithCancel(ctx)
		var wait func() error
		if url, wait, err = c.startSimulation(served, target, f.sim); err != nil {
			stop()
			return err
		}
		defer func() { // the terminal is as it was: now it may tell what broke
			stop()
			err = errors.Join(err, wait())
		}()
	}
	client, err := c.tuiClient(url, f)
	if err != nil {
		return err
	}
	cfg := tui.Config{Client: client, URL: url, View: f.view, Kind: f.kind, Theme: f.theme, Input: in, Output: out, Environ: os.Environ()}
	if f.snapshot != "" {
		return c.tuiSnapshot(ctx, cfg, f.snapshot, width, height)
	}
	return tui.Run(ctx, cfg)
}

// tuiTimeout bounds a call that changes nothing.
const tuiTimeout = 15 * time.Second

// tuiMaxAnswer bounds an answer, in bytes: ten times that of 10,000 instances.
const tuiMaxAnswer = 64 << 20

// tuiClient makes the client; the screen tries again by itself, and says so.
func (c console) tuiClient(target string, f tuiFlags) (*api.Client, error) {
	cfg := api.Config{URL: target, TokenFile: f.tokenFile, Timeout: tuiTimeout, Retries: -1, MaxAnswer: tuiMaxAnswer}
	if f.tokenFile == "" {
		cfg.Token = strings.TrimSpace(c.getenv("DACORCH_TOKEN"))
	}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca %s: there is no certificate in it: want PEM", f.ca)
		}
		cfg.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return api.New(cfg)
}

// tuiSnapshot writes one frame. A file is written only when the frame is there.
func (c console) tuiSnapshot(ctx context.Context, cfg tui.Config, path string, width, height int) error {
	format := tui.Text
	if filepath.Ext(path) == ".svg" {
		format = tui.SVG
	}
	var frame bytes.Buffer
	if err := tui.Snapshot(ctx, cfg, width, height, &frame, format); err != nil {
		return err
	}
	if path == "-" {
		_, err := frame.WriteTo(c.out)
		return err
	}
	if err := os.WriteFile(path, frame.Bytes(), 0o644); err != nil {
		return fmt.Errorf("--snapshot: %w", err)
	}
	return nil
}

// The bounds of a snapshot's sides.
const (
	minSize = 1
	maxSize = 1000
)

// parseSize reads columns and rows: "120x40".
func parseSize(text string) (width, height int, err error) {
	w, h, ok := strings.Cut(text, "x")
	width, err1 := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	if !ok || err1 != nil || err2 != nil || min(width, height) < minSize || max(width, height) > maxSize {
		return 0, 0, fmt.Errorf("--size %s: want columns and rows such as 120x40, each %d to %d", text, minSize, maxSize)
	}
	return width, height, nil
}
