package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/tui/pane"
)

// click is the last click, so that a second one makes it double.
type click struct {
	x, y int
	at   time.Time
}

// doubleWithin is how quickly two clicks at one place make a double click.
const doubleWithin = 400 * time.Millisecond

// wheelRows is how far one notch of the wheel scrolls.
const wheelRows = 3

// clicked handles a click: it goes to what the last frame had there.
func (m *model) clicked(mouse tea.Mouse, now time.Time) tea.Cmd {
	if mouse.Button != tea.MouseLeft {
		return nil
	}
	x, y := mouse.X, mouse.Y
	twice := m.click.x == x && m.click.y == y && now.Sub(m.click.at) < doubleWithin
	m.click = click{x, y, now}
	if twice {
		m.click.at = time.Time{} // a third one begins anew
	}
	if m.toast.until.IsZero() {
		m.toast = toast{}
	}
	switch {
	case m.dialog != nil:
		if !m.at.dialog.has(x, y) {
			return nil
		}
		in, closed := m.dialog.Click(x-m.at.dialog.x, y-m.at.dialog.y, &m.state)
		return m.fromDialog(in, closed, now)
	case y == m.at.tabsRow:
		for i, tab := range m.at.tabs {
			if x >= tab.from && x < tab.to {
				m.visit(pane.Intent{View: tabs[i]})
			}
		}
	case m.at.timeline.has(x, y):
		return m.want(m.timeline.Click(x-m.at.timeline.x, y-m.at.timeline.y, &m.state), nil, now)
	case m.at.body.has(x, y):
		return m.want(m.page.pane.Click(x-m.at.body.x, y-m.at.body.y, twice, &m.state), nil, now)
	}
	return nil
}

// dragged handles the mouse being moved with its button down: along the strip of
// time it seeks.
func (m *model) dragged(mouse tea.Mouse, now time.Time) tea.Cmd {
	if m.dialog == nil && m.at.timeline.has(mouse.X, mouse.Y) {
		return m.want(m.timeline.Click(mouse.X-m.at.timeline.x, mouse.Y-m.at.timeline.y, &m.state), nil, now)
	}
	return nil
}

// wheeled scrolls what is under the mouse.
func (m *model) wheeled(mouse tea.Mouse) {
	n := wheelRows
	switch mouse.Button {
	case tea.MouseWheelUp:
		n = -wheelRows
	case tea.MouseWheelDown:
	default:
		return
	}
	switch {
	case m.dialog != nil:
	case m.at.timeline.has(mouse.X, mouse.Y):
		m.timeline.Wheel(n/wheelRows, &m.state)
	case m.at.body.has(mouse.X, mouse.Y):
		m.page.pane.Wheel(n, &m.state)
	}
}
