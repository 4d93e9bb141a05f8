package tui

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// The pace of frames: one at a time, and only when something has changed.
const (
	frameEvery  = 100 * time.Millisecond
	frameTyping = 50 * time.Millisecond // within a second after a key
	tickEvery   = time.Second           // while something on the screen counts seconds
)

// model is all that there is: what is known, what is shown, what is under way.
// Update does no I/O and never waits; whatever takes time is a command.
type model struct {
	ctx    context.Context
	cfg    Config
	server server
	stream *stream
	now    func() time.Time
	after  func(time.Duration, tea.Msg) tea.Cmd

	state   data.State
	about   api.About // of the last server that has said what it is
	asks    *asker
	conn    link
	flood   flood
	orders  orders
	turning turning

	views    map[pane.View]pane.Pane // that there is one of each
	page     page
	back     []page // that esc goes back to, newest last
	dialog   pane.Dialog
	prompt   *prompt
	timeline *pane.Timeline
	toast    toast
	found    bool // the last key was the one that found something

	theme       *screen.Theme
	full        *screen.Theme // of which theme is what the terminal can show
	colors      int           // that the terminal has
	auto        bool          // the theme follows the terminal's background
	width       int
	height      int
	canvas      *screen.Canvas
	view        tea.View
	at          layout
	click       click
	dirty       bool
	drawn       time.Time
	pressed     time.Time
	frameComing bool
	wakeAt      time.Time
}

// The messages that the model sends itself.
type (
	frameMsg struct{}               // it is time for a frame
	wakeMsg  struct{ at time.Time } // it is time to look what is due
	batchMsg struct{ batch }
)

func newModel(ctx context.Context, cfg Config, s server) *model {
	m := &model{
		ctx: ctx, cfg: cfg, server: s, stream: newStream(s), now: time.Now,
		after: func(d time.Duration, msg tea.Msg) tea.Cmd {
			return tea.Tick(d, func(time.Time) tea.Msg { return msg })
		},
		asks: newAsker(), timeline: pane.NewTimeline(), views: map[pane.View]pane.Pane{}, dirty: true, colors: 1 << 24,
	}
	m.state.Answers = m.asks.answers
	m.state.History = map[string]*data.Track{}
	m.state.Connection = data.Connection{URL: cfg.URL, Since: m.now()}
	m.state.Now = m.now()
	theme, auto := themeOf(cfg)
	m.paint(theme, auto)
	m.page = m.open(pane.Intent{View: pane.View(cfg.View)})
	return m
}

// themeOf is the theme asked for, and whether the terminal's background decides.
func themeOf(cfg Config) (theme *screen.Theme, auto bool) {
	switch cfg.Theme {
	case "dark":
		return screen.Dark, false
	case "light":
		return screen.Light, false
	case "mono":
		return screen.Mono, false
	}
	return screen.Dark, true
}

// paint takes a theme, as far as the terminal can show it.
func (m *model) paint(theme *screen.Theme, auto bool) {
	m.full, m.theme, m.auto, m.dirty = theme, theme.Within(m.colors), auto, true
}

// Init asks for what the terminal knows, and starts to listen.
func (m *model) Init() tea.Cmd {
	cmds := []tea.Cmd{m.listen(), m.follow(m.now())}
	if m.auto {
		cmds = append(cmds, tea.RequestBackgroundColor)
	}
	return tea.Batch(cmds...)
}

// listen waits for the next batch of events.
func (m *model) listen() tea.Cmd {
	return func() tea.Msg {
		b, ok := m.stream.take(m.ctx)
		if !ok {
			return nil
		}
		return batchMsg{b}
	}
}

// Update takes one message. Whatever it was, it then starts what is due and draws
// when it is time.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	now := m.now()
	m.state.Now = now
	cmd := m.handle(msg, now)
	return m, tea.Batch(cmd, m.follow(now))
}

// follow is what follows each message: what is due is asked, a frame is drawn if
// there is need, and we are woken for what comes next.
func (m *model) follow(now time.Time) tea.Cmd {
	asks, next := m.work(now)
	if redraw := m.redrawAt(); !redraw.IsZero() && !redraw.After(now) {
		m.dirty = true
	}
	frame := m.pace(now)
	if !m.dirty { // else a frame is on its way
		next = sooner(next, m.redrawAt())
	}
	return tea.Batch(append(asks, frame, m.wake(now, next))...)
}

// View is the last frame that was drawn.
func (m *model) View() tea.View { return m.view }

func (m *model) handle(msg tea.Msg, now time.Time) tea.Cmd {
	switch msg := msg.(type) {
	case frameMsg:
		m.frameComing = false
	case wakeMsg:
		if msg.at.Equal(m.wakeAt) {
			m.wakeAt = time.Time{}
		}
	case result:
		m.answer(msg, now)
	case batchMsg:
		m.happened(msg.batch, now)
		return m.listen()
	case ordered:
		m.dirty = true
		m.ordered(msg, now)
	case turned:
		m.dirty = true
		return m.turned(msg, now)
	default:
		return m.terminal(msg, now)
	}
	return nil
}

// terminal handles what the terminal says.
func (m *model) terminal(msg tea.Msg, now time.Time) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		m.dirty, m.pressed = true, now
		return m.press(keyName(msg), now)
	case tea.PasteMsg:
		m.dirty, m.pressed = true, now
		m.paste(msg.Content)
	case tea.MouseClickMsg:
		m.dirty, m.pressed = true, now
		return m.clicked(tea.Mouse(msg), now)
	case tea.MouseMotionMsg:
		if msg.Button == tea.MouseLeft {
			m.dirty, m.pressed = true, now
			return m.dragged(tea.Mouse(msg), now)
		}
	case tea.MouseWheelMsg:
		m.dirty, m.pressed = true, now
		m.wheeled(tea.Mouse(msg))
	case tea.WindowSizeMsg:
		m.width, m.height, m.dirty = msg.Width, msg.Height, true
		m.drawn = time.Time{} // at once
	case tea.BackgroundColorMsg:
		if m.auto && msg.IsDark() {
			m.paint(screen.Dark, true)
		} else if m.auto {
			m.paint(screen.Light, true)
		}
	case tea.ColorProfileMsg:
		m.colors = colorsOf(msg.Profile)
		m.paint(m.full, m.auto)
	case tea.ResumeMsg:
		m.dirty = true
		m.asks.stale(func(data.Query) bool { return true })
	}
	return nil
}

// colorsOf is how many colours a terminal has.
func colorsOf(p colorprofile.Profile) int {
	switch p {
	case colorprofile.TrueColor:
		return 1 << 24
	case colorprofile.ANSI256:
		return 256
	case colorprofile.ANSI:
		return 16
	}
	return 0
}

// keyName is the key as panes know it.
func keyName(k tea.KeyPressMsg) string {
	switch name := k.String(); name {
	case "plus":
		return "+"
	case "minus":
		return "-"
	case "alt+esc": // two in a row, pressed fast
		return "esc"
	default:
		return name
	}
}

// work starts what is due, and answers when there is more to do.
func (m *model) work(now time.Time) (asks []tea.Cmd, next time.Time) {
	m.flood.expire(now, &m.state)
	most := m.conn.reads(now, m.asks, &m.state.Connection)
	begin, next := m.asks.due(m.ctx, now, m.needs(), m.still(), most)
	for _, b := range begin {
		asks = append(asks, m.fetch(b))
	}
	if c := &m.state.Connection; !c.Up {
		next = time.Time{}
		if c.Retry.After(now) { // else what is still under way brings us here again
			next = c.Retry
		}
	}
	return asks, next
}

// fetch is the command that asks one query.
func (m *model) fetch(b start) tea.Cmd {
	s := m.server
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(b.ctx, askFor)
		defer cancel()
		v, err := s.ask(ctx, b.query)
		if b.ctx.Err() != nil {
			err = b.ctx.Err() // nobody waits for it any longer
		}
		return result{b.query, b.serial, v, err}
	}
}

// wake asks for a message at a time, unless one comes sooner anyway.
func (m *model) wake(now, at time.Time) tea.Cmd {
	if at.IsZero() || !m.wakeAt.IsZero() && !at.Before(m.wakeAt) {
		return nil
	}
	m.wakeAt = at
	return m.after(max(at.Sub(now), time.Millisecond), wakeMsg{at})
}

// pace draws a frame if there is need, or asks to be reminded when one may be
// drawn.
func (m *model) pace(now time.Time) tea.Cmd {
	if !m.dirty || m.width <= 0 || m.height <= 0 {
		return nil
	}
	gap := frameEvery
	if now.Sub(m.pressed) < time.Second {
		gap = frameTyping
	}
	if wait := m.drawn.Add(gap).Sub(now); wait > 0 {
		if m.frameComing {
			return nil
		}
		m.frameComing = true
		return m.after(wait, frameMsg{})
	}
	m.dirty, m.drawn = false, now
	m.draw()
	m.show()
	return nil
}

// redrawAt is when the last frame will be wrong even if nothing happens; zero:
// never.
func (m *model) redrawAt() (at time.Time) {
	if m.toast.until.After(m.drawn) {
		at = m.toast.until
	}
	at = sooner(at, m.flood.nextExpiry())
	if m.ticking() {
		at = sooner(at, m.drawn.Add(tickEvery))
	}
	return at
}

// ticking says whether the screen shows something that counts seconds.
func (m *model) ticking() bool {
	if !m.state.Connection.Up || m.orders.running > 0 || m.asks.waiting(m.state.Now) > time.Second {
		return true
	}
	return !m.still() && m.page.view != pane.Help
}

// still says that nothing changes by itself: a simulation that is paused, a
// recording at its end.
func (m *model) still() bool {
	c, ok := m.state.Clock()
	return ok && (c.Paused || c.Ended && c.Now >= c.End)
}

// needs is what is asked for, most important first.
func (m *model) needs() []data.Query {
	needs := []data.Query{{What: data.AskAbout}}
	about, known := m.state.About()
	if known && about.Time {
		needs = append(needs, data.Query{What: data.AskClock})
	}
	needs = append(needs, data.Query{What: data.AskKinds})
	if m.state.Kind != "" {
		needs = append(needs, data.Query{What: data.AskStatus, Kind: m.state.Kind}, data.Query{What: data.AskReorchestrations, Kind: m.state.Kind})
	}
	if m.dialog != nil {
		needs = append(needs, m.dialog.Needs(&m.state)...)
	}
	if m.state.Kind != "" || m.page.view == pane.Kinds {
		needs = append(needs, m.page.pane.Needs(&m.state)...)
	}
	switch {
	case known && about.Time:
		needs = append(needs, m.timeline.Needs(&m.state)...)
	case m.page.view == pane.Charts && m.state.Kind != "": // the track counts who is up
		needs = append(needs, data.Query{What: data.AskInstances, Kind: m.state.Kind})
	}
	if f := m.state.Found; f != nil && m.page.view == pane.Placement {
		needs = append(needs, foundQuery(m.state.Kind, f.ID))
	}
	return needs
}

func foundQuery(kind, id string) data.Query {
	return data.Query{What: data.AskSearch, Kind: kind, Text: id, N: 1}
}

// answer takes what came of a query.
func (m *model) answer(r result, now time.Time) {
	counts := m.asks.done(now, r)
	if a := m.asks.answers[r.query]; counts && a.Err != nil {
		a.Err = explain(a.Err, r.query.Kind)
	}
	if m.conn.take(now, r, m.asks, &m.state.Connection) {
		m.asks.retry()
	}
	if !counts {
		return
	}
	m.dirty = true
	switch v := r.value.(type) {
	case api.About:
		m.meet(v)
	case api.Kinds:
		m.chooseKind(v)
	case api.Status:
		m.track(r.query.Kind, v, now)
	case api.Search:
		if f := m.state.Found; f != nil && r.err == nil && r.query == foundQuery(m.state.Kind, f.ID) && len(v.Resources) == 1 && v.Resources[0].ID == f.ID {
			m.state.Found = &v.Resources[0]
		}
	}
}

// meet notes what the server is. When another one answers now, what was known of
// the time of the one before is forgotten.
func (m *model) meet(v api.About) {
	other := m.about.Program != "" && (v.Title != m.about.Title || v.Time != m.about.Time)
	m.about = v
	if !other {
		return
	}
	for q, a := range m.asks.answers {
		if q.What == data.AskClock || q.What == data.AskTimeline || q.What == data.AskFaults {
			a.Value = nil
		}
	}
	m.asks.jump()
	m.state.History, m.state.Found = map[string]*data.Track{}, nil
	m.say("another server answers here now")
}

// chooseKind looks at the kind asked for, or at the first, once kinds are known;
// also when the one looked at is gone.
func (m *model) chooseKind(v api.Kinds) {
	was := m.state.Kind
	if len(v.Kinds) == 0 || slices.ContainsFunc(v.Kinds, func(k api.KindSummary) bool { return k.Resource == was }) {
		return
	}
	m.selectKind(v.Kinds[0].Resource)
	if was != "" {
		m.dialog, m.back = nil, nil
		if m.page.view == pane.Instance || m.page.view == pane.Resource {
			m.page = m.open(pane.Intent{View: pane.Placement})
		}
		m.fail("there is no kind " + was + " any longer: this is " + m.state.Kind)
		return
	}
	if m.cfg.Kind == "" {
		return
	}
	if kind, ok := kindNamed(&m.state, m.cfg.Kind); ok {
		m.selectKind(kind)
	} else {
		m.fail("there is no kind " + m.cfg.Kind + "; there are " + listed(kindNames(&m.state)))
	}
}

// track notes the kind's figures for the charts.
func (m *model) track(kind string, v api.Status, now time.Time) {
	p := data.Point{At: m.state.Moment(), Resources: v.Resources, Unplaced: v.Unplaced, Instances: v.Instances,
		Moves: v.Counters["moves"], Commits: v.Counters["committed"], HeartbeatAge: -1}
	instances, _ := m.state.Instances(kind)
	for i := range instances {
		if instances[i].Up {
			p.Up++
		}
		if age := instances[i].HeartbeatAgeSeconds; age != nil {
			p.HeartbeatAge = max(p.HeartbeatAge, *age)
		}
	}
	t := m.state.History[kind]
	if t == nil {
		t = &data.Track{}
		m.state.History[kind] = t
	}
	if n := len(t.Points); n > 0 && now.After(t.Points[n-1].At) && p.At.Sub(t.Points[n-1].At) < time.Second {
		return
	}
	t.Add(p)
}
