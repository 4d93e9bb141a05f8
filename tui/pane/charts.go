package pane

import (
	"image"
	"math"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// ChartsView draws figures of the kind over time: the whole of it where the
// server has a clock, else what this terminal has watched. A line stands at the
// moment that the values in words are of.
type ChartsView struct {
	top  int       // first row of charts that is seen
	look time.Time // the moment looked at, of a server without a clock; zero: now

	// Of the last Draw.
	plots    []image.Rectangle
	from, to float64
	rows     int // of charts
	seen     int // of them, at once
}

// NewCharts makes the charts view.
func NewCharts() *ChartsView { return &ChartsView{} }

// timelineBuckets is into how many parts the strip and the charts ask the whole
// time to be cut: one answer serves both.
const timelineBuckets = 400

func askTimeline() data.Query { return data.Query{What: data.AskTimeline, N: timelineBuckets} }

// Needs are the clock's timeline, or the status that the track is made of.
func (v *ChartsView) Needs(s *data.State) []data.Query {
	if _, ok := s.Clock(); ok {
		return []data.Query{askTimeline()}
	}
	return []data.Query{{What: data.AskStatus, Kind: s.Kind}, {What: data.AskInstances, Kind: s.Kind}}
}

// Title is the view's name.
func (v *ChartsView) Title(s *data.State) string {
	if s.Kind == "" {
		return "charts"
	}
	return "charts of " + s.Kind
}

// Note says which time they are about.
func (v *ChartsView) Note(s *data.State) string {
	f, _ := v.figures(s)
	switch {
	case f == nil:
		return ""
	case f.seekable:
		note := Offset(f.from) + " – " + Offset(math.Floor(f.to))
		if f.moment < f.to {
			note += ", values at " + Offset(f.moment)
		}
		return note
	}
	since := s.History[s.Kind].Points[0].At
	note := "watched since " + ClockTime(since, s.Now)
	if !v.look.IsZero() {
		note += ", values at " + ClockTime(v.look, s.Now)
	}
	return note
}

// figures are what is charted, or why there is nothing.
func (v *ChartsView) figures(s *data.State) (*figures, string) {
	if s.Kind == "" {
		return nil, "No kind is known yet."
	}
	if clock, ok := s.Clock(); ok {
		line, a, ok := data.Get[api.Timeline](s, askTimeline())
		if !ok {
			return nil, Waiting(a, "the timeline")
		}
		if f, ok := ofSeries(clock, line, s.Kind); ok {
			return f, ""
		}
		return nil, "Nothing has happened yet: figures of " + s.Kind + " come as soon as time goes on."
	}
	f, ok := ofTrack(s.History[s.Kind], s)
	if !ok {
		return nil, "Nothing has been watched of " + s.Kind + " yet: this server keeps no history, so that charts begin when you begin to watch."
	}
	if !v.look.IsZero() {
		f.moment = min(max(v.look.Sub(s.History[s.Kind].Points[0].At).Seconds(), f.from), f.to)
	}
	return f, ""
}

// charts are what is drawn, the most telling first.
func (f *figures) charts() []chart {
	rate := func(v float64) string { return figure(v) + " a minute" }
	return []chart{
		{title: "resources", curve: &f.resources, role: screen.Info, words: figure, scale: figure, float: true},
		{title: "unplaced resources", curve: &f.unplaced, role: screen.Warn, words: noneOr(figure), scale: figure},
		{title: "instances up", curve: &f.up, of: &f.instances, role: screen.Up, words: figure, scale: figure},
		{title: "moves", curve: &f.moves, role: screen.Arriving, words: noneOr(rate), scale: figure},
		{title: "oldest heartbeat", curve: &f.heartbeat, role: screen.Silent, words: figureAge, scale: ageScale, time: true, none: f.noHeartbeat()},
		{title: "transactions", curve: &f.commits, role: screen.Accent, words: noneOr(rate), scale: figure},
	}
}

func (f *figures) noHeartbeat() string {
	if f.silent && len(f.resources.readings) > 0 {
		return "no heartbeat was heard of: perhaps this kind sends none"
	}
	return ""
}

func figure(v float64) string {
	if v != math.Trunc(v) && v < 10 {
		return Count(int(v)) + "." + Count(int(v*10)%10)
	}
	return Count(int(math.Round(min(v, 1e15))))
}

func noneOr(words func(float64) string) func(float64) string {
	return func(v float64) string {
		if v == 0 {
			return "none"
		}
		return words(v)
	}
}

func ageScale(v float64) string { return Age(Seconds(v)) }

func figureAge(v float64) string {
	if v < 1 {
		return "0 s"
	}
	return Took(Seconds(math.Round(v)))
}

// Draw draws the charts.
func (v *ChartsView) Draw(c *screen.Canvas, s *data.State) {
	v.plots, v.rows = v.plots[:0], 0
	width, height := c.Size()
	f, why := v.figures(s)
	if f == nil {
		for i, line := range Wrap(why, width-4, height) {
			c.Text(2, i+min(1, height-1), line, screen.Fg(screen.Dim))
		}
		return
	}
	v.from, v.to = f.from, f.to
	charts := f.charts()
	across, each := v.grid(len(charts), width, height)
	wide := (width - 2) / across
	for i := range charts {
		row, column := i/across-v.top, i%across
		if row < 0 || row >= v.seen {
			continue
		}
		area := image.Rect(0, 0, wide-2, max(each-1, min(each, 5))).Add(image.Pt(1+column*wide, row*each))
		plot := charts[i].draw(c.Sub(area.Min.X, area.Min.Y, area.Dx(), area.Dy()), f)
		v.plots = append(v.plots, plot.Add(area.Min))
	}
	v.drawMore(c)
}

// grid lays the charts out: how many beside each other, and how high. Where they
// do not fit under each other, two narrow ones stand side by side.
func (v *ChartsView) grid(charts, width, height int) (across, each int) {
	const low, high = 5, 25
	across = min(max(width/58, 1), 3)
	if across == 1 && width >= 72 && height < charts*low {
		across = 2
	}
	v.rows = (charts + across - 1) / across
	v.seen = min(max(height/low, 1), v.rows)
	v.top = min(max(v.top, 0), v.rows-v.seen)
	return across, min(max(height/v.seen, low), high)
}

// drawMore says that there are charts above or below.
func (v *ChartsView) drawMore(c *screen.Canvas) {
	width, height := c.Size()
	if v.top > 0 {
		c.Text(width-1, 0, "▲", screen.Fg(screen.Key))
	}
	if v.top+v.seen < v.rows {
		c.Text(width-1, height-1, "▼", screen.Fg(screen.Key))
	}
}

// Press scrolls, and moves the moment that is looked at.
func (v *ChartsView) Press(key string, s *data.State) (Intent, bool) {
	switch key {
	case "up", "k":
		v.Wheel(-1, s)
	case "down", "j":
		v.Wheel(1, s)
	case "pgup", "ctrl+b":
		v.Wheel(-max(v.seen, 1), s)
	case "pgdown", "ctrl+f":
		v.Wheel(max(v.seen, 1), s)
	case "home", "g":
		v.top = 0
	case "end", "G":
		v.top = max(v.rows-v.seen, 0)
	case "left", "h":
		return v.wander(-1, s), true
	case "right", "l":
		return v.wander(1, s), true
	default:
		return Intent{}, false
	}
	return Intent{}, true
}

// wander moves the moment by hundredths of the time shown.
func (v *ChartsView) wander(n float64, s *data.State) Intent {
	f, _ := v.figures(s)
	if f == nil {
		return Intent{}
	}
	return v.lookAt(f, f.moment+n*(f.to-f.from)/100, s)
}

// lookAt has the values be those of a moment: a server with a clock is asked to
// show it.
func (v *ChartsView) lookAt(f *figures, moment float64, s *data.State) Intent {
	if clock, ok := s.Clock(); ok && f.seekable {
		return seek(clock, moment)
	}
	v.look = time.Time{}
	if moment < f.to {
		v.look = s.History[s.Kind].Points[0].At.Add(Seconds(moment))
	}
	return Intent{}
}

// Click looks at the moment under it.
func (v *ChartsView) Click(x, y int, _ bool, s *data.State) Intent {
	f, _ := v.figures(s)
	for _, plot := range v.plots {
		if f != nil && image.Pt(x, y).In(plot) {
			share := (float64(x-plot.Min.X) + 0.5) / float64(plot.Dx())
			return v.lookAt(f, v.from+share*(v.to-v.from), s)
		}
	}
	return Intent{}
}

// Wheel scrolls.
func (v *ChartsView) Wheel(n int, _ *data.State) {
	v.top = min(max(v.top+min(max(n, -100), 100), 0), max(v.rows-v.seen, 0))
}

// Keys are the view's own.
func (v *ChartsView) Keys() []KeyHelp {
	return []KeyHelp{
		{Key: "←/→", Does: "look at another moment", Footer: true},
		{Key: "↑/↓", Does: "more charts", Footer: true},
	}
}
