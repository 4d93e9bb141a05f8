package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// prompt is the last line while something is typed into it.
type prompt struct {
	kind promptKind
	line pane.Line
}

type promptKind uint8

const (
	promptCommand promptKind = iota
	promptFilter
)

// prompted handles a key while the prompt is open.
func (m *model) prompted(key string, now time.Time) tea.Cmd {
	p := m.prompt
	switch key {
	case "esc":
		m.prompt = nil
		if p.kind == promptFilter {
			m.filter("")
		}
	case "enter":
		m.prompt = nil
		if p.kind == promptCommand {
			return m.command(p.line.Value(), now)
		}
	case "tab":
		if p.kind == promptCommand {
			p.line.Set(complete(p.line.Value(), m.suggestions(p.line.Value())))
		}
	case "backspace", "ctrl+h":
		if p.line.Value() == "" {
			m.prompt = nil
			return nil
		}
		p.line.Press(key)
		m.refilter()
	default:
		if p.line.Press(key) {
			m.refilter()
		} else if p.kind == promptFilter && (key == "up" || key == "down") {
			m.prompt = nil // on to the list; the filter stays
			in, _ := m.page.pane.Press(key, &m.state)
			return m.want(in, nil, now)
		}
	}
	return nil
}

// refilter narrows the view down while the filter is typed.
func (m *model) refilter() {
	if m.prompt != nil && m.prompt.kind == promptFilter {
		m.filter(m.prompt.line.Value())
	}
}

func (m *model) filter(text string) {
	if f, ok := m.page.pane.(pane.Filtered); ok {
		f.Filter(text)
	}
}

// complete is the text with its last word made as long as all suggestions agree.
func complete(text string, suggestions []string) string {
	if len(suggestions) == 0 {
		return text
	}
	same := suggestions[0]
	for _, s := range suggestions[1:] {
		for !strings.HasPrefix(s, same) {
			same = same[:len(same)-1]
		}
	}
	head := text[:strings.LastIndexByte(text, ' ')+1]
	if len(head)+len(same) < len(text) {
		return text
	}
	if len(suggestions) == 1 {
		same += " "
	}
	return head + same
}

// draw draws the prompt into one line.
func (p *prompt) draw(c *screen.Canvas, y, w int, suggestions []string) {
	mark, hint := ":", "enter: do it · tab: complete · esc: leave"
	if p.kind == promptFilter {
		mark, hint = "/", "enter: keep the filter · esc: show all"
	}
	bar := screen.Style{Bg: screen.Bar}
	c.Fill(0, y, w, 1, " ", bar)
	c.Text(1, y, mark, screen.Fg(screen.Key).On(screen.Bar))
	room := max(min(w-3, max(screen.Width(p.line.Value())+2, w/3)), 0)
	p.line.Draw(c, 2, y, room, screen.Fg(screen.Strong).On(screen.Bar))
	if p.kind == promptCommand && len(suggestions) > 0 {
		hint = strings.Join(suggestions, " · ")
	}
	c.TextIn(4+room, y, w-room-5, hint, screen.Fg(screen.Dim).On(screen.Bar))
}
