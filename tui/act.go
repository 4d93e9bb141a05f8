package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/tui/pane"
)

// want does what a pane or a dialog says that the person wants. Orders that were
// not confirmed where they were chosen are asked back first.
func (m *model) want(in pane.Intent, from pane.Dialog, now time.Time) tea.Cmd {
	if in.Kind == "" {
		in.Kind = m.state.Kind
	}
	switch in.Act {
	case pane.None:
	case pane.Open:
		m.visit(in)
	case pane.Back:
		m.goBack()
	case pane.Select:
		m.selectKind(in.Kind)
		if in.View != "" {
			m.visit(in)
		}
	case pane.Find:
		m.dialog = newFind()
	case pane.Say:
		m.say(in.Text)
	case pane.Quit:
		return tea.Quit
	case pane.SetClock, pane.Step:
		if !m.hasClock() {
			m.fail("this server shows only now: there is no time to travel in")
			return nil
		}
		if in.Act == pane.Step {
			return m.turn(turn{step: in.Events})
		}
		return m.turn(turn{change: in.Clock})
	default:
		return m.confirm(in, from, now)
	}
	return nil
}

// confirm carries an order out if the person is sure, and else asks.
func (m *model) confirm(in pane.Intent, from pane.Dialog, now time.Time) tea.Cmd {
	if in.Sure {
		return m.order(in, from, now)
	}
	if why := m.state.ReadOnly(); why != "" {
		m.fail("cannot " + wish(in) + ": " + why)
		return nil
	}
	if in.Kind == "" {
		m.fail("cannot " + wish(in) + ": no kind is known yet")
		return nil
	}
	switch in.Act {
	case pane.Orchestrate:
		m.dialog = pane.NewReorchestrate(in.Kind)
	case pane.Break, pane.Inject:
		if about, ok := m.state.About(); !ok || !about.Faults {
			m.fail("nothing can be broken here: only a simulation takes faults")
			return nil
		}
		m.dialog = pane.NewBreak(in.Kind, in.Instance)
	default:
		m.dialog = newConfirm(in)
	}
	return nil
}

// fromDialog handles what came of a key or a click in the dialog.
func (m *model) fromDialog(in pane.Intent, closed bool, now time.Time) tea.Cmd {
	from := m.dialog
	if closed {
		m.dialog = nil
	}
	if f, ok := from.(*find); ok && closed && in.Act == pane.Open {
		m.show1(f)
		return nil
	}
	return m.want(in, from, now)
}

// show1 shows on the placement what was found.
func (m *model) show1(f *find) {
	kind, found, ok := f.chosen(&m.state)
	if !ok {
		return
	}
	m.visit(pane.Intent{View: pane.Placement, Kind: kind})
	m.state.Found, m.found = &found, true
	if found.Instance == nil {
		m.say(kind + " " + found.ID + " exists and stands on no instance; enter shows what is known of it")
		return
	}
	m.say(kind + " " + found.ID + " runs on instance " + pane.Count(*found.Instance) + ", " + found.RunIn + "; enter shows where it was, and why")
}
