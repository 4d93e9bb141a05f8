// Package tui is the terminal UI: it watches a server of the REST interface, lets
// a person steer it, and travel in time where the server offers that. Whether it is
// production, a simulation or a recording is the server's to say.
//
// There is one model. Its Update does no I/O and never waits: what takes time is a
// command, whose result comes back as a message. Panes (tui/pane) draw what is
// known (tui/data) on a canvas (tui/screen); what is needed for that is asked for
// while it is seen, and not more often than it is worth.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// Config is what Run and Snapshot are called with.
type Config struct {
	// Client calls the server that is watched. It should not try again by itself
	// (api.Config.Retries below 0): the screen tells of each failure, and tries again.
	Client *api.Client
	URL    string // of the server, for the header
	View   string // that is shown first, one of Views; empty: the placement
	Kind   string // that is looked at first; empty: the first of the configuration
	Theme  string // auto, dark, light or mono; empty: auto, by the terminal's background

	Input   io.Reader // the terminal's keys
	Output  io.Writer // the terminal
	Environ []string  // as os.Environ: TERM and its like

	size [2]int // of an Output that is no terminal, for tests
}

// Themes are the values that Config.Theme can have.
var Themes = []string{"auto", "dark", "light", "mono"}

// Views are the values that Config.View can have.
func Views() (names []string) {
	for _, v := range tabs {
		names = append(names, string(v))
	}
	return names
}

// check says what is wrong with the configuration.
func (cfg *Config) check() error {
	if cfg.View == "" {
		cfg.View = string(pane.Placement)
	}
	if cfg.Theme == "" {
		cfg.Theme = "auto"
	}
	if !slices.Contains(Views(), cfg.View) {
		return fmt.Errorf("tui: there is no view %q: want one of %s", cfg.View, strings.Join(Views(), ", "))
	}
	if !slices.Contains(Themes, cfg.Theme) {
		return fmt.Errorf("tui: there is no theme %q: want one of %s", cfg.Theme, strings.Join(Themes, ", "))
	}
	return nil
}

// fps is how often bubbletea looks whether there is a new frame. The model makes
// fewer.
const fps = 20

// Run shows the UI until the person quits, or ctx ends, which is no error. The
// terminal is as it was before when it returns.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	m := newModel(ctx, cfg, remote{cfg.Client})
	go m.stream.follow(ctx)
	defer func() {
		cancel()
		<-m.stream.done
		cfg.Client.Close()
	}()
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(cfg.Input), tea.WithOutput(cfg.Output),
		tea.WithEnvironment(cfg.Environ), tea.WithFPS(fps), tea.WithoutSignalHandler(), tea.WithWindowSize(cfg.size[0], cfg.size[1])).Run()
	if errors.Is(err, tea.ErrProgramPanic) || err != nil && ctx.Err() == nil {
		return fmt.Errorf("tui: %w", err)
	}
	return nil
}

// Format is how Snapshot writes a frame.
type Format string

// The formats.
const (
	Text Format = "text" // without styles
	ANSI Format = "ansi" // for a terminal, in the theme's colours
	SVG  Format = "svg"  // a picture, in the theme's colours
)

// rounds is how often Snapshot asks: what is known first says what else is needed.
const rounds = 8

// Snapshot asks the server once for all that a view shows, and writes one frame of
// width by height. The theme auto is dark. An error is of the server when nothing
// could be read, or of w.
func Snapshot(ctx context.Context, cfg Config, width, height int, w io.Writer, format Format) error {
	if err := cfg.check(); err != nil {
		return err
	}
	m := newModel(ctx, cfg, remote{cfg.Client})
	m.width, m.height = width, height
	m.fetchAll(ctx)
	if c := m.state.Connection; !c.Up {
		return fmt.Errorf("tui: %s: %s", cfg.URL, screen.Clean(c.Err))
	}
	if _, kinds, ok := data.Get[api.Kinds](&m.state, data.Query{What: data.AskKinds}); !ok && kinds.Err != nil {
		return fmt.Errorf("tui: %s: %s", cfg.URL, screen.Clean(kinds.Err.Error()))
	}
	m.state.Now = m.now()
	m.draw()
	if format == SVG {
		return m.canvas.SVG(w, m.theme)
	}
	frame := m.canvas.Plain()
	if format == ANSI {
		frame = m.canvas.ANSI(m.theme) + "\n"
	}
	_, err := io.WriteString(w, frame)
	return err
}

// fetchAll asks for all that is needed, and for what is then found to be needed
// as well.
func (m *model) fetchAll(ctx context.Context) {
	for n := range rounds {
		m.draw() // some panes know what they need only once they have been drawn
		begin, _ := m.asks.due(ctx, m.now(), m.unasked(), true, maxReads)
		if len(begin) == 0 {
			return
		}
		results := make(chan result)
		for _, b := range begin {
			go func() { results <- m.fetch(b)().(result) }()
		}
		for range begin {
			m.answer(<-results, m.now())
		}
		if !m.state.Connection.Up { // the next would not be answered either
			return
		}
		if n == 0 {
			m.fetchRecent(ctx)
		}
	}
}

// fetchRecent asks for what the event stream would have told.
func (m *model) fetchRecent(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	v, err := m.server.ask(ctx, data.Query{What: data.AskRecent, Instance: -1, N: recentMost})
	if err != nil {
		return // the view is drawn without
	}
	b := batch{fresh: true}
	recent, _ := v.(api.Recent)
	b.events = slices.Clone(recent.Events)
	slices.Reverse(b.events)
	m.happened(b, m.now())
}

// unasked is what is needed and has not been asked yet.
func (m *model) unasked() []data.Query {
	return slices.DeleteFunc(m.needs(), func(q data.Query) bool {
		a := m.asks.answers[q]
		return a != nil && (a.Value != nil || a.Err != nil)
	})
}
