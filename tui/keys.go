package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// toast is what is said to the person in the last line.
type toast struct {
	text  string
	role  screen.Role
	until time.Time // zero for what stays until a key
}

// toastFor is how long a toast stays.
const toastFor = 5 * time.Second

// say tells the person something that is well.
func (m *model) say(text string) {
	m.toast = toast{text, screen.Info, m.state.Now.Add(toastFor)}
	m.dirty = true
}

// fail tells the person what went wrong; it stays until a key.
func (m *model) fail(text string) {
	m.toast = toast{text: text, role: screen.Bad}
	m.dirty = true
}

// press handles a key: the dialog first, then the prompt, the view, all views,
// and time.
func (m *model) press(key string, now time.Time) tea.Cmd {
	fresh := m.found
	m.found = false
	switch key {
	case "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "ctrl+l":
		return tea.ClearScreen
	}
	if m.toast.until.IsZero() {
		m.toast = toast{}
	}
	switch {
	case m.dialog != nil:
		in, closed := m.dialog.Press(key, &m.state)
		return m.fromDialog(in, closed, now)
	case m.prompt != nil:
		return m.prompted(key, now)
	case fresh && key == "enter" && m.state.Found != nil && m.page.view == pane.Placement:
		m.visit(pane.Intent{View: pane.Resource, Kind: m.state.Kind, Resource: m.state.Found.ID})
		return nil
	case key == "esc" && m.unfilter():
		return nil
	}
	if in, ok := m.page.pane.Press(key, &m.state); ok {
		return m.want(in, nil, now)
	}
	if cmd, ok := m.global(key, now); ok {
		return cmd
	}
	if m.hasClock() {
		if in, ok := m.timeline.Press(key, &m.state); ok {
			return m.want(in, nil, now)
		}
	}
	return nil
}

// hasClock says whether the server shows more moments than now.
func (m *model) hasClock() bool {
	about, ok := m.state.About()
	return ok && about.Time
}

// unfilter takes back what esc takes back before it leaves a view: a filter, and
// the highlight of what was found.
func (m *model) unfilter() bool {
	if f, ok := m.page.pane.(pane.Filtered); ok && f.Filtering() != "" {
		f.Filter("")
		return true
	}
	if m.page.view == pane.Placement && m.state.Found != nil {
		m.state.Found = nil
		return true
	}
	return false
}

// global handles the keys that mean the same in all views.
func (m *model) global(key string, now time.Time) (cmd tea.Cmd, ok bool) {
	switch key {
	case "q":
		return tea.Quit, true
	case "?", "f1":
		if m.page.view != pane.Help {
			m.visit(pane.Intent{View: pane.Help})
		} else {
			m.goBack()
		}
	case "esc":
		if !m.goBack() {
			m.say("nothing to go back to; q quits, ? helps")
		}
	case ":":
		m.prompt = &prompt{kind: promptCommand}
	case "/":
		m.startFilter()
	case "F", "ctrl+f":
		m.dialog = newFind()
	case "tab":
		m.visit(pane.Intent{View: m.beside(1)})
	case "shift+tab":
		m.visit(pane.Intent{View: m.beside(-1)})
	case "o":
		return m.want(pane.Intent{Act: pane.Orchestrate, Kind: m.state.Kind}, nil, now), true
	case "b":
		return m.want(pane.Intent{Act: pane.Break, Kind: m.state.Kind, Instance: -1}, nil, now), true // the view chooses no target
	default:
		if len(key) == 1 && key[0] >= '1' && int(key[0]-'1') < len(tabs) {
			m.visit(pane.Intent{View: tabs[key[0]-'1']})
			return nil, true
		}
		return nil, false
	}
	return nil, true
}

// beside is the view some tabs beside the one that is seen.
func (m *model) beside(by int) pane.View {
	for i, v := range tabs {
		if v == m.page.view {
			return tabs[(i+by+len(tabs))%len(tabs)]
		}
	}
	return tabs[0]
}

// globalKeys explains them for the help.
func (m *model) globalKeys() []pane.KeyHelp {
	keys := []pane.KeyHelp{
		{Key: "1 … 7", Does: "another view: the tabs in the second line; tab goes to the next"},
		{Key: "F", Does: "find a resource by its id, or how it begins", Footer: true},
		{Key: "/", Does: "filter the list"},
		{Key: ":", Does: "type a command: a view's name, kind, find, theme, speed, seek …"},
		{Key: "o", Does: "re-orchestrate: shows what would move before anything does", Changes: true},
		{Key: "esc", Does: "back to where you came from"},
		{Key: "?", Does: "this help", Footer: true},
		{Key: "ctrl+l", Does: "draw the screen anew"},
		{Key: "ctrl+z", Does: "suspend; the shell's fg comes back"},
		{Key: "q", Does: "quit", Footer: true},
	}
	if about, ok := m.state.About(); ok && about.Faults {
		keys = append(keys, pane.KeyHelp{Key: "b", Does: "break something, on purpose", Changes: true})
	}
	if m.hasClock() {
		keys = append(keys, m.timeline.Keys()...)
	}
	return keys
}

// startFilter opens the prompt that narrows the view down.
func (m *model) startFilter() {
	f, ok := m.page.pane.(pane.Filtered)
	if !ok {
		m.say("there is no list to filter here; F finds a resource")
		return
	}
	m.prompt = &prompt{kind: promptFilter}
	m.prompt.line.Set(f.Filtering())
}

// paste takes text from the clipboard to where text is typed.
func (m *model) paste(text string) {
	switch {
	case m.dialog != nil:
		m.dialog.Paste(text, &m.state)
	case m.prompt != nil:
		m.prompt.line.Insert(text)
		m.refilter()
	}
}
