package tui

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// footerTwice is from how many rows on the keys get two of them.
const footerTwice = 24

// troubleTwice is from how many rows on what is wrong may take two of them.
const troubleTwice = 30

// layout is where the last frame has what: what a click is for.
type layout struct {
	tabsRow        int
	tabs           []span // of tabs, in their order
	body, timeline area
	dialog         area // inside of its box
}

type span struct{ from, to int } // columns

type area struct{ x, y, width, height int }

func (a area) has(x, y int) bool {
	return x >= a.x && x < a.x+a.width && y >= a.y && y < a.y+a.height
}

// show makes the frame that was drawn the one that the terminal gets.
func (m *model) show() {
	m.view = tea.View{Content: m.canvas.ANSI(m.theme), AltScreen: true, MouseMode: tea.MouseModeCellMotion,
		WindowTitle: strings.TrimPrefix(screen.Clean(screen.Cut(m.state.Kind, 64))+" · dacorch", " · ")}
	if x, y, on := m.canvas.CursorAt(); on {
		m.view.Cursor = tea.NewCursor(x, y)
	}
}

// draw draws a frame of all that is known.
func (m *model) draw() {
	if m.canvas == nil {
		m.canvas = screen.New(m.width, m.height)
	} else if w, h := m.canvas.Size(); w != m.width || h != m.height {
		m.canvas = screen.New(m.width, m.height)
	}
	m.canvas.Reset()
	m.at = layout{tabsRow: -1}
	c := m.canvas
	w, h := c.Size()
	foot := 1
	if h >= footerTwice {
		foot = 2
	}
	strip := m.timelineHeight(w, h-foot)
	y := 0
	if h > 3 {
		m.drawHeader(c, w, strip == 0)
		y++
	}
	if h > 8 {
		m.drawTabs(c, y, w)
		y++
	}
	if text, role := m.trouble(); text != "" && h > 6 {
		most := 1
		if h >= troubleTwice {
			most = 2
		}
		for _, line := range pane.Wrap(text, w-2, most) {
			c.Fill(0, y, w, 1, " ", screen.Fg(role).On(screen.Bar))
			c.TextIn(1, y, w-2, line, screen.Fg(role).On(screen.Bar).With(screen.Bold))
			y++
		}
	}
	end := h - foot // the footer's row
	if strip > 0 {
		end -= strip
		m.at.timeline = area{0, end, w, strip}
		m.timeline.Draw(c.Sub(0, end, w, strip), &m.state)
	}
	if end-y > 2 {
		m.drawTitle(c, y, w)
		y++
	}
	m.at.body = area{0, y, w, max(end-y, 0)}
	body := c.Sub(0, y, w, max(end-y, 0))
	m.page.pane.Draw(body, &m.state)
	if m.dialog != nil || m.state.Connection.Err != "" {
		bw, bh := body.Size()
		body.Paint(0, 0, bw, bh, func(st screen.Style) screen.Style { return st.With(screen.Faint) })
	}
	if m.dialog != nil {
		m.drawDialog(c, y, end)
	}
	m.drawFooter(c, h-foot, h, w)
}

// minBody is how many rows the header, the view's title and the view must have
// before there is room for the strip of time.
const minBody = 10

// timelineHeight is how many of the rows that are left the strip of time gets.
func (m *model) timelineHeight(width, left int) int {
	if !m.hasClock() {
		return 0
	}
	if height := m.timeline.Height(width, &m.state); left-height >= minBody {
		return height
	}
	return 0
}

// part is a piece of a line, with how much it matters: parts that do not fit go,
// those with the highest number first.
type part struct {
	text string
	st   screen.Style
	rank int
}

// drawParts draws parts from the left and from the right into one line.
func drawParts(c *screen.Canvas, y, w int, left, right []part) {
	need := func() (n int) {
		for _, p := range append(left[:len(left):len(left)], right...) {
			if p.text != "" {
				n += screen.Width(p.text) + 2
			}
		}
		return n
	}
	for need() > w {
		worst := (*part)(nil)
		for _, side := range [][]part{left, right} {
			for i := range side {
				if p := &side[i]; p.text != "" && p.rank > 0 && (worst == nil || p.rank > worst.rank) {
					worst = p
				}
			}
		}
		if worst == nil {
			break
		}
		worst.text = ""
	}
	x := 1
	for _, p := range left {
		if p.text != "" {
			c.TextIn(x, y, w-x, p.text, p.st)
			x += screen.Width(p.text) + 2
		}
	}
	end := w - 1
	for i := len(right) - 1; i >= 0; i-- {
		p := right[i]
		if n := screen.Width(p.text); p.text != "" && end-n >= x {
			c.Text(end-n, y, p.text, p.st)
			end -= n + 2
		}
	}
}

// slowAfter is when it is told that an answer does not come.
const slowAfter = 3 * time.Second

// drawHeader draws what is watched, how it is, and how it is reached; also the
// moment shown, where no strip of time tells it.
func (m *model) drawHeader(c *screen.Canvas, w int, withClock bool) {
	bar := func(r screen.Role) screen.Style { return screen.Fg(r).On(screen.Bar) }
	c.Fill(0, 0, w, 1, " ", bar(screen.Default))
	s := &m.state
	left := []part{{"dacorch", bar(screen.Dim), 8}}
	if k, ok := kindSummary(s); ok {
		left = append(left, part{k.Resource, bar(screen.Strong).With(screen.Bold), 0}, part{pane.Plural(k.InstanceCount, "instance"), bar(screen.Default), 4},
			part{pane.Plural(k.Used+k.Unplaced, "resource"), bar(screen.Default), 5})
		if k.Unplaced > 0 {
			left = append(left, part{pane.Count(k.Unplaced) + " unplaced", bar(screen.Bad).With(screen.Bold), 2})
		}
	}
	if st, _, ok := data.Get[api.Status](s, data.Query{What: data.AskStatus, Kind: s.Kind}); ok && st.Maintenance {
		left = append(left, part{"maintenance: on", bar(screen.Warn).With(screen.Bold), 2})
	}
	if _, ok := running(s); ok {
		left = append(left, part{"re-orchestrating", bar(screen.Starting).With(screen.Bold), 3})
	}
	var right []part
	if clock, ok := s.Clock(); ok {
		if text := pane.FaultsLast(clock); text != "" {
			left = append(left, part{text, bar(screen.Warn).With(screen.Bold), 3})
		}
		if n := clock.Violations; n > 0 && withClock {
			left = append(left, part{pane.Plural(n, "violation"), bar(screen.Bad).With(screen.Bold), 2})
		}
		if withClock {
			right = append(right, part{clockWords(clock), bar(screen.Info), 2})
		}
	}
	if why := s.ReadOnly(); why != "" {
		right = append(right, part{"read only", bar(screen.Warn), 3})
	}
	right = append(right, m.leader(bar), part{m.watched(), bar(screen.Dim), 6})
	switch conn, slow := s.Connection, m.asks.waiting(s.Now); {
	case conn.Up && slow > slowAfter:
		right = append(right, part{"● no answer for " + pane.Age(slow), bar(screen.Warn).With(screen.Bold), 1})
	case conn.Up:
		right = append(right, part{"● connected", bar(screen.Good), 1})
	case conn.Err != "":
		right = append(right, part{"✗ not connected", bar(screen.Bad).With(screen.Bold), 1})
	default:
		right = append(right, part{"○ connecting …", bar(screen.Warn), 1})
	}
	drawParts(c, 0, w, left, right)
}

// clockWords is the moment shown, in short: "▶ 12 min 30 s · 10×".
func clockWords(c api.Clock) string {
	mark := "▶ "
	switch {
	case c.Paused:
		mark = "Ⅱ "
	case c.Live:
		mark = "● "
	}
	return mark + pane.Took(pane.Seconds(c.Now)) + " · " + strconv.FormatFloat(c.Speed, 'g', 4, 64) + "×"
}

// leader names who leads the kind.
func (m *model) leader(bar func(screen.Role) screen.Style) part {
	k, ok := kindSummary(&m.state)
	st, _, known := data.Get[api.Status](&m.state, data.Query{What: data.AskStatus, Kind: m.state.Kind})
	if !ok && !known {
		return part{}
	}
	name := k.Leader.Name
	if name == "" {
		name = st.Leader.Name
	}
	switch about, _ := m.state.About(); {
	case name != "":
		return part{"led by " + screen.Cut(name, 24), bar(screen.Default), 7}
	case k.Leader.Self || st.Leader.Self:
		return part{"led by " + screen.Cut(about.Name, 24), bar(screen.Default), 7}
	}
	return part{"nobody leads it", bar(screen.Bad).With(screen.Bold), 2}
}

// watched is what the server says that it is, or where it is.
func (m *model) watched() string {
	if about, ok := m.state.About(); ok && about.Title != "" {
		return screen.Cut(about.Title, 48)
	}
	if u, err := url.Parse(m.cfg.URL); err == nil && u.Host != "" {
		return screen.Cut(u.Host, 48)
	}
	return screen.Cut(m.cfg.URL, 48)
}

// drawTabs draws the views with their numbers, and why nothing can be changed.
func (m *model) drawTabs(c *screen.Canvas, y, w int) {
	gap, full := 1, 1
	for i, v := range tabs {
		full += len(v) + 4
		if i == len(tabs)-1 && full <= w {
			gap = 2
		}
	}
	x := 1
	m.at.tabsRow = y
	for i, v := range tabs {
		from := x
		num, name := screen.Fg(screen.Key), screen.Fg(screen.Dim)
		if v == m.page.view {
			num, name = num.On(screen.Select), screen.Fg(screen.Strong).On(screen.Select).With(screen.Bold|screen.Underline)
		}
		x += c.Text(x, y, string(rune('1'+i)), num)
		x += c.Text(x, y, " "+string(v), name)
		m.at.tabs = append(m.at.tabs, span{from, x})
		x += gap
	}
	if why := m.state.ReadOnly(); why != "" && w-x > 20 {
		c.TextRight(x+1, y, w-x-2, why, screen.Fg(screen.Warn))
	}
}

// drawTitle draws the line above the view: what it is, and its note.
func (m *model) drawTitle(c *screen.Canvas, y, w int) {
	c.Rule(0, y, w, screen.Fg(screen.Border))
	note := m.page.pane.Note(&m.state)
	if f, ok := m.page.pane.(pane.Filtered); ok && f.Filtering() != "" && m.prompt == nil && !strings.Contains(note, f.Filtering()) {
		note = strings.TrimPrefix(note+" · filter “"+f.Filtering()+"”", " · ")
	}
	title := screen.Cut(m.page.pane.Title(&m.state), max(w-6, 0))
	c.Text(2, y, " "+title+" ", screen.Fg(screen.Strong).With(screen.Bold))
	if room := w - 8 - screen.Width(title); note != "" && room > 8 {
		note = screen.Cut(note, room)
		c.Text(w-4-screen.Width(note), y, " "+note+" ", screen.Fg(screen.Default))
	}
}

// drawDialog draws the dialog in front of the view.
func (m *model) drawDialog(c *screen.Canvas, top, end int) {
	w, _ := c.Size()
	width, height := m.dialog.Size(&m.state)
	width = max(min(width, w-2), 0)
	height = max(min(height, end-top), 0)
	x, y := (w-width)/2, top+(end-top-height)/3
	box := c.Sub(x, y, width, height)
	box.Clear(screen.Style{})
	in := box.Box(screen.Round, m.dialog.Title(&m.state), "", screen.Fg(screen.Focus))
	m.at.dialog = area{x + 1, y + 1, max(width-2, 0), max(height-2, 0)}
	m.dialog.Draw(in, &m.state)
}

// trouble is what a person must know before everything else: no connection, then
// alarms, then what is not quite as it should be.
func (m *model) trouble() (string, screen.Role) {
	s := &m.state
	if conn := s.Connection; !conn.Up && conn.Err != "" {
		text := "not connected since " + pane.Age(s.Now.Sub(conn.Since)) + ": " + conn.Err
		if left := conn.Retry.Sub(s.Now); !conn.Retry.IsZero() && left > 0 {
			return text + "; trying again in " + pane.Age(left+999_999_999), screen.Bad
		}
		return text + "; trying …", screen.Bad
	}
	for _, q := range []data.Query{{What: data.AskKinds}, {What: data.AskStatus, Kind: s.Kind}} {
		if a := s.Answers[q]; a != nil && a.Err != nil {
			text := a.Err.Error()
			if strings.Contains(text, "nobody leads") {
				text += ": resources run on where they are, nothing is mended"
			}
			return text, screen.Bad
		}
	}
	if st, _, ok := data.Get[api.Status](s, data.Query{What: data.AskStatus, Kind: s.Kind}); ok && len(st.Alarms) > 0 {
		text := pane.Plural(len(st.Alarms), "alarm") + ": "
		for i, a := range worstFirst(st.Alarms) {
			if i > 0 {
				text += " · "
			}
			text += a.Text
		}
		return text, screen.Bad
	}
	if m.flood.err != nil && s.Connection.Up {
		return "no events are coming: " + m.flood.err.Error(), screen.Warn
	}
	if run, ok := running(s); ok {
		text := "re-orchestrating " + s.Kind + " for " + pane.Took(s.Moment().Sub(run.StartedAt))
		if run.Text != "" {
			text += ": " + strings.ReplaceAll(strings.ReplaceAll(run.Text, ", 0 of 0 instances to create", ""), ", 0 of 0 to release", "")
		}
		return text, screen.Starting
	}
	return "", screen.Default
}

// running is the re-orchestration of the kind that is under way.
func running(s *data.State) (api.Reorchestration, bool) {
	v, _, _ := data.Get[api.Reorchestrations](s, data.Query{What: data.AskReorchestrations, Kind: s.Kind})
	if len(v.Runs) == 0 || v.Runs[0].EndedAt != nil || v.Runs[0].Outcome != "running" {
		return api.Reorchestration{}, false
	}
	return v.Runs[0], true
}

// kindsOf is the summaries of the kinds, as far as they are known.
func kindsOf(s *data.State) []api.KindSummary {
	v, _, _ := data.Get[api.Kinds](s, data.Query{What: data.AskKinds})
	return v.Kinds
}

func kindSummary(s *data.State) (api.KindSummary, bool) {
	for _, k := range kindsOf(s) {
		if k.Resource == s.Kind {
			return k, true
		}
	}
	return api.KindSummary{}, false
}
