package tui

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/sample"
)

// patience only fails a test: nothing is measured by it.
const patience = 20 * time.Second

// stand is a server of a test: it knows what tui/sample made up.
type stand struct {
	mu     sync.Mutex
	state  *data.State
	asked  map[data.Query]int
	err    error // of all calls
	errOf  map[data.What]error
	hold   bool          // calls do not end before their context does
	done   []pane.Intent // orders
	turns  []turn
	gate   chan struct{}  // when not nil: turns wait for a token
	stream chan api.Event // what the event stream says
}

func newStand(s *data.State) *stand {
	return &stand{state: s, asked: map[data.Query]int{}, errOf: map[data.What]error{}, stream: make(chan api.Event)}
}

func (s *stand) ask(ctx context.Context, q data.Query) (any, error) {
	s.mu.Lock()
	s.asked[q]++
	hold, err := s.hold, errors.Join(s.err, s.errOf[q.What])
	if !hold && err == nil {
		defer s.mu.Unlock()
		sample.Answer(s.state, q)
		return s.state.Answers[q].Value, nil
	}
	if e := s.errOf[q.What]; e != nil {
		err = e
	}
	s.mu.Unlock()
	if hold {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, err
}

func (s *stand) do(_ context.Context, in pane.Intent) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, in)
	return "it is done", s.err
}

func (s *stand) turn(ctx context.Context, to turn) (api.Clock, error) {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return api.Clock{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns = append(s.turns, to)
	c, _ := s.state.Clock()
	if to.change.Seek != nil {
		c.Now, c.Live = *to.change.Seek, false
	}
	if to.change.Paused != nil {
		c.Paused = *to.change.Paused
	}
	s.put(data.Query{What: data.AskClock}, c)
	return c, s.err
}

func (s *stand) events(ctx context.Context, _ string) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		for {
			select {
			case ev := <-s.stream:
				if !yield(ev, nil) {
					return
				}
			case <-ctx.Done():
				yield(api.Event{}, ctx.Err())
				return
			}
		}
	}
}

// put changes what the server answers. The lock is held.
func (s *stand) put(q data.Query, v any) { s.state.Answers[q] = &data.Answer{Value: v} }

func (s *stand) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// rig runs a model with a clock of its own: commands run beside it, and their
// messages are taken one by one.
type rig struct {
	t    *testing.T
	m    *model
	s    *stand
	time time.Time
	msgs chan tea.Msg
	wake []wakeup
	quit bool
}

type wakeup struct {
	at  time.Time
	msg tea.Msg
}

// newRig makes a model that has been started and is 120 by 40.
func newRig(t *testing.T, s *stand, cfg Config) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &rig{t: t, s: s, time: sample.Now(), msgs: make(chan tea.Msg, 10_000)}
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	if cfg.URL == "" {
		cfg.URL = "http://127.0.0.1:8080"
	}
	r.m = newModel(ctx, cfg, s)
	r.m.now = func() time.Time { return r.time }
	r.m.state.Connection.Since, r.m.state.Now = r.time, r.time
	r.m.after = func(d time.Duration, msg tea.Msg) tea.Cmd {
		r.wake = append(r.wake, wakeup{r.time.Add(d), msg})
		return nil
	}
	go r.m.stream.follow(ctx)
	t.Cleanup(func() { cancel(); <-r.m.stream.done })
	r.run(r.m.Init())
	r.send(tea.WindowSizeMsg{Width: 120, Height: 40})
	return r
}

// run runs a command beside the test.
func (r *rig) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		switch msg := cmd().(type) {
		case nil:
		case tea.BatchMsg:
			for _, c := range msg {
				r.run(c)
			}
		default:
			r.msgs <- msg
		}
	}()
}

// send gives the model one message.
func (r *rig) send(msg tea.Msg) {
	if _, ok := msg.(tea.QuitMsg); ok {
		r.quit = true
		return
	}
	_, cmd := r.m.Update(msg)
	r.run(cmd)
}

// until takes messages until something is so.
func (r *rig) until(what string, so func() bool) {
	r.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !so() {
		select {
		case msg := <-r.msgs:
			r.send(msg)
		case <-limit.C:
			r.t.Fatalf("waited in vain: %s; the screen:\n%s", what, r.screen())
		}
	}
}

// settle waits until all that is needed has been asked and answered.
func (r *rig) settle() {
	r.t.Helper()
	r.until("everything is answered", func() bool {
		if r.m.asks.running > 0 || r.m.orders.running > 0 || r.m.turning.under {
			return false
		}
		for _, q := range r.m.needs() {
			if a := r.m.asks.answers[q]; a == nil || a.Value == nil && a.Err == nil {
				return false
			}
		}
		return true
	})
}

// pass lets time pass, in steps between which what is due happens.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	for end := r.time.Add(d); ; {
		next, at := -1, end
		for i, w := range r.wake {
			if !w.at.After(at) {
				next, at = i, w.at
			}
		}
		if at.After(r.time) {
			r.time = at
		}
		if next < 0 {
			return
		}
		msg := r.wake[next].msg
		r.wake = slices.Delete(r.wake, next, next+1)
		r.send(msg)
	}
}

// press presses keys, named as bubbletea does.
func (r *rig) press(keys ...string) {
	for _, k := range keys {
		r.send(keyPress(k))
	}
}

// typed types a text.
func (r *rig) typed(text string) {
	for _, c := range text {
		r.press(string(c))
	}
}

var keyCodes = map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown,
	"left": tea.KeyLeft, "right": tea.KeyRight, "backspace": tea.KeyBackspace, "space": tea.KeySpace, "pgdown": tea.KeyPgDown, "home": tea.KeyHome}

func keyPress(name string) tea.KeyPressMsg {
	if code, ok := keyCodes[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: []rune(rest)[0], Mod: tea.ModCtrl}
	}
	c := []rune(name)[0]
	return tea.KeyPressMsg{Code: c, Text: name}
}

// screen is what a person sees after a frame.
func (r *rig) screen() string {
	if r.m.width <= 0 || r.m.height <= 0 {
		return ""
	}
	r.m.draw()
	return r.m.canvas.Plain()
}

// sees demands words on the screen.
func (r *rig) sees(words ...string) {
	r.t.Helper()
	for _, w := range words {
		if s := r.screen(); !strings.Contains(s, w) {
			r.t.Fatalf("%q is not on the screen:\n%s", w, s)
		}
	}
}

func (r *rig) seesNot(words ...string) {
	r.t.Helper()
	for _, w := range words {
		if s := r.screen(); strings.Contains(s, w) {
			r.t.Fatalf("%q is on the screen:\n%s", w, s)
		}
	}
}

// orders are those that have reached the server.
func (r *rig) orders() []pane.Intent {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.s.done)
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}
