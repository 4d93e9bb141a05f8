package tui

import (
	"strings"

	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// drawFooter draws, from a row to the canvas' end, what is typed, what is to be
// said, or else the keys.
func (m *model) drawFooter(c *screen.Canvas, from, to, w int) {
	bar := screen.Style{Bg: screen.Bar}
	c.Fill(0, from, w, to-from, " ", bar)
	y, end := to-1, w-1
	if m.prompt != nil {
		m.prompt.draw(c, y, w, m.suggestions(m.prompt.line.Value()))
		end = 0
	}
	if text := m.waiting(); text != "" && end > 0 {
		text = screen.Cut(text, w/2)
		end -= screen.Width(text) + 2
		c.Text(end+2, y, text, screen.Fg(screen.Warn).On(screen.Bar))
	}
	if t := m.toast; t.text != "" && end > 0 && (t.until.IsZero() || m.state.Now.Before(t.until)) {
		mark := "· "
		if t.role == screen.Bad {
			mark = "! "
		}
		c.TextIn(1, y, end-1, mark+t.text, screen.Fg(t.role).On(screen.Bar))
		end = 0
	}
	own, global := m.footerKeys()
	switch {
	case to-from > 1:
		m.drawKeys(c, from, w-1, own, nil)
		m.drawKeys(c, y, end, global[:len(global)-2], global[len(global)-2:])
	case end > 0:
		m.drawKeys(c, y, end, append(own, global[:len(global)-2]...), global[len(global)-2:])
	}
}

// footerKeys are the keys of what has the keyboard, and those of all views, of
// which the last two lead to everything else.
func (m *model) footerKeys() (own, global []pane.KeyHelp) {
	if m.dialog != nil {
		return m.dialog.Keys(), []pane.KeyHelp{{}, {}}
	}
	own = m.page.pane.Keys()
	if about, ok := m.state.About(); ok && about.Faults {
		global = append(global, pane.KeyHelp{Key: "b", Does: "break something", Footer: true, Changes: true})
	}
	if m.hasClock() {
		global = append(global, m.timeline.Keys()...)
	}
	if len(m.back) > 0 {
		global = append(global, pane.KeyHelp{Key: "esc", Does: "back", Footer: true})
	}
	global = append(global, pane.KeyHelp{Key: "1…7", Does: "views", Footer: true}, pane.KeyHelp{Key: ":", Does: "command", Footer: true}, pane.KeyHelp{Key: "q", Does: "quit", Footer: true},
		pane.KeyHelp{Key: "F", Does: "find a resource", Footer: true}, pane.KeyHelp{Key: "?", Does: "help", Footer: true})
	return own[:len(own):len(own)], global
}

// drawKeys draws keys into one line as far as there is room, the last ones before
// all others. Those that are of no use now, because nothing may be changed, are
// dim.
func (m *model) drawKeys(c *screen.Canvas, y, end int, keys, last []pane.KeyHelp) {
	width := func(k pane.KeyHelp) int {
		if k.Key == "" || !k.Footer {
			return 0
		}
		return screen.Width(k.Key) + 1 + screen.Width(short(k.Does)) + 3
	}
	x, room := 1, end+2
	for _, k := range last {
		room -= width(k)
	}
	readOnly := m.state.ReadOnly() != ""
	draw := func(k pane.KeyHelp) {
		key, does := screen.Fg(screen.Key).On(screen.Bar).With(screen.Bold), screen.Style{Bg: screen.Bar}
		if k.Changes && readOnly {
			key, does = screen.Fg(screen.Dim).On(screen.Bar), screen.Fg(screen.Dim).On(screen.Bar)
		}
		x += c.Text(x, y, k.Key, key)
		x += c.Text(x+1, y, short(k.Does), does) + 3
	}
	for _, k := range keys {
		if n := width(k); n > 0 && x+n <= room {
			draw(k)
		}
	}
	for _, k := range last {
		if n := width(k); n > 0 && x+n <= end+3 {
			draw(k)
		}
	}
}

// short is what a key does, without the explanation that the help gives.
func short(does string) string {
	return strings.TrimSpace(does[:min(indexOr(does, ":"), indexOr(does, "("))])
}

func indexOr(s, of string) int {
	if i := strings.Index(s, of); i >= 0 {
		return i
	}
	return len(s)
}
