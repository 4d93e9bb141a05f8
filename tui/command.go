package tui

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// command is a word that can be typed after ":".
type command struct {
	name  string
	takes string // what stands after it, for people; empty: nothing
	run   func(m *model, arg string, now time.Time) tea.Cmd
	args  func(m *model) []string // that can be completed
}

// commands are those beside the views' names. Filled in init, since help names
// them all.
var commands []command

func init() {
	commands = []command{
		{"kind", "NAME", (*model).runKind, func(m *model) []string { return kindNames(&m.state) }},
		{"find", "ID", (*model).runFind, nil},
		{"filter", "TEXT", (*model).runFilter, nil},
		{"theme", "dark|light|mono", (*model).runTheme, func(*model) []string { return []string{"dark", "light", "mono"} }},
		{"speed", "N", (*model).runSpeed, nil},
		{"seek", "12m30s, +10s, -5m or end", (*model).runSeek, nil},
		{"step", "N events", (*model).runStep, nil},
		{"pause", "", func(m *model, _ string, now time.Time) tea.Cmd { return m.runPaused(true, now) }, nil},
		{"play", "", func(m *model, _ string, now time.Time) tea.Cmd { return m.runPaused(false, now) }, nil},
		{"live", "", (*model).runLive, nil},
		{"orchestrate", "", intentOf(pane.Orchestrate), nil},
		{"replace", "INSTANCE", orderOf(pane.Replace), nil},
		{"drain", "INSTANCE", orderOf(pane.Drain), nil},
		{"undrain", "INSTANCE", orderOf(pane.Undrain), nil},
		{"maintenance", "on|off", (*model).runMaintenance, func(*model) []string { return []string{"on", "off"} }},
		{"break", "", intentOf(pane.Break), nil},
		{"help", "", func(m *model, _ string, _ time.Time) tea.Cmd { m.visit(pane.Intent{View: pane.Help}); return nil }, nil},
		{"quit", "", func(*model, string, time.Time) tea.Cmd { return tea.Quit }, nil},
	}
}

// commandNames are all words that can be typed after ":".
func commandNames() (names []string) {
	names = Views()
	for _, c := range commands {
		names = append(names, c.name)
	}
	return names
}

// command does what was typed. A name may be cut where it stays the only one.
func (m *model) command(text string, now time.Time) tea.Cmd {
	name, arg, _ := strings.Cut(strings.TrimSpace(text), " ")
	arg = strings.TrimSpace(arg)
	if name == "" {
		return nil
	}
	names := commandNames()
	if !slices.Contains(names, name) {
		var near []string
		for _, n := range names {
			if strings.HasPrefix(n, name) {
				near = append(near, n)
			}
		}
		if len(near) != 1 {
			if len(near) == 0 {
				near = names
			}
			m.fail("there is no command “" + screen.Cut(name, 40) + "”: want one of " + strings.Join(near, ", "))
			return nil
		}
		name = near[0]
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		if c.takes == "" && arg != "" {
			m.fail(name + " takes nothing after it")
			return nil
		}
		if c.takes != "" && arg == "" && name != "find" && name != "filter" {
			m.fail("want " + name + " " + c.takes)
			return nil
		}
		return c.run(m, arg, now)
	}
	m.visit(pane.Intent{View: pane.View(name)})
	return nil
}

// suggestions are how the last word of what is typed may go on.
func (m *model) suggestions(text string) (out []string) {
	name, arg, spaced := strings.Cut(text, " ")
	words, typed := commandNames(), name
	if spaced {
		words, typed = nil, strings.TrimLeft(arg, " ")
		for _, c := range commands {
			if c.name == name && c.args != nil {
				words = c.args(m)
			}
		}
	}
	for _, w := range words {
		if strings.HasPrefix(w, typed) {
			out = append(out, w)
		}
	}
	return out
}

func (m *model) runKind(arg string, _ time.Time) tea.Cmd {
	kind, ok := kindNamed(&m.state, arg)
	if !ok {
		m.fail("there is no kind " + arg + "; there are " + listed(kindNames(&m.state)))
		return nil
	}
	m.selectKind(kind)
	return nil
}

func (m *model) runFind(arg string, _ time.Time) tea.Cmd {
	d := newFind()
	d.line.Set(arg)
	m.dialog = d
	return nil
}

func (m *model) runFilter(arg string, _ time.Time) tea.Cmd {
	if _, ok := m.page.pane.(pane.Filtered); !ok {
		m.say("there is no list to filter here; F finds a resource")
	}
	m.filter(arg)
	return nil
}

func (m *model) runTheme(arg string, _ time.Time) tea.Cmd {
	if !slices.Contains([]string{"dark", "light", "mono"}, arg) {
		m.fail("there is no theme " + arg + ": want dark, light or mono")
		return nil
	}
	theme, auto := themeOf(Config{Theme: arg})
	m.paint(theme, auto)
	if m.theme == screen.Mono && theme != screen.Mono {
		m.fail("this terminal shows no colours, or NO_COLOR is set")
	}
	return nil
}

func (m *model) runSpeed(arg string, now time.Time) tea.Cmd {
	v, err := strconv.ParseFloat(strings.TrimRight(arg, "×x"), 64)
	if err != nil || !(v >= 0.01 && v <= 100_000) {
		m.fail("speed " + arg + ": want a number from 0.01 to 100000; 1 is real time")
		return nil
	}
	return m.want(pane.Intent{Act: pane.SetClock, Clock: api.ClockChange{Speed: &v}}, nil, now)
}

func (m *model) runSeek(arg string, now time.Time) tea.Cmd {
	c, ok := m.state.Clock()
	if !ok {
		m.fail("this server shows only now: there is no time to travel in")
		return nil
	}
	if arg == "end" {
		return m.runLive("", now)
	}
	at, err := seekTo(arg, c)
	if err != nil {
		m.fail(err.Error())
		return nil
	}
	return m.want(pane.Intent{Act: pane.SetClock, Clock: api.ClockChange{Seek: &at}}, nil, now)
}

// seekTo reads a moment: "12m30s", "90" (seconds), "+10s", "-5m". What lies
// outside of the time that there is, is moved to its border.
func seekTo(text string, c api.Clock) (float64, error) {
	sign, rest := 0.0, strings.ReplaceAll(text, " ", "")
	switch {
	case strings.HasPrefix(rest, "+"):
		sign, rest = 1, rest[1:]
	case strings.HasPrefix(rest, "-"):
		sign, rest = -1, rest[1:]
	}
	v, err := strconv.ParseFloat(rest, 64)
	if err != nil {
		var d time.Duration
		d, err = time.ParseDuration(rest)
		v = d.Seconds()
	}
	if err != nil || v < 0 || math.IsNaN(v) {
		return 0, fmt.Errorf("seek %s: want a moment such as 12m30s, or +10s, -5m, end", screen.Cut(text, 40))
	}
	if sign != 0 {
		v = c.Now + sign*v
	}
	return min(max(v, c.Begin), c.End), nil
}

func (m *model) runStep(arg string, now time.Time) tea.Cmd {
	n, err := strconv.Atoi(arg)
	if err != nil || n == 0 || n < -10_000 || n > 10_000 {
		m.fail("step " + arg + ": want how many events, -10000 to 10000 and not 0")
		return nil
	}
	return m.want(pane.Intent{Act: pane.Step, Events: n}, nil, now)
}

func (m *model) runPaused(on bool, now time.Time) tea.Cmd {
	return m.want(pane.Intent{Act: pane.SetClock, Clock: api.ClockChange{Paused: &on}}, nil, now)
}

func (m *model) runLive(_ string, now time.Time) tea.Cmd {
	on := true
	return m.want(pane.Intent{Act: pane.SetClock, Clock: api.ClockChange{Live: &on}}, nil, now)
}

func (m *model) runMaintenance(arg string, now time.Time) tea.Cmd {
	if arg != "on" && arg != "off" {
		m.fail("maintenance " + arg + ": want on or off")
		return nil
	}
	return m.want(pane.Intent{Act: pane.Maintenance, On: arg == "on"}, nil, now)
}

// intentOf is a command that wants something of the kind as a whole.
func intentOf(act pane.Act) func(*model, string, time.Time) tea.Cmd {
	return func(m *model, _ string, now time.Time) tea.Cmd {
		return m.want(pane.Intent{Act: act, Instance: -1}, nil, now)
	}
}

// orderOf is a command that wants something of an instance.
func orderOf(act pane.Act) func(*model, string, time.Time) tea.Cmd {
	return func(m *model, arg string, now time.Time) tea.Cmd {
		in, err := instanceIn(&m.state, arg)
		if err != nil {
			m.fail(err.Error())
			return nil
		}
		return m.want(pane.Intent{Act: act, Instance: in}, nil, now)
	}
}

// instanceIn reads an instance of the kind looked at: its number, or its pod's
// name.
func instanceIn(s *data.State, arg string) (int, error) {
	instances, a := s.Instances(s.Kind)
	n, err := strconv.Atoi(arg)
	for i := range instances {
		if err == nil && instances[i].ID == n || instances[i].Pod == arg {
			return instances[i].ID, nil
		}
	}
	if err == nil && a.Value == nil {
		return n, nil // not known yet: the server will tell
	}
	return 0, fmt.Errorf("%s has no instance %s: want its number or its pod's name", s.Kind, screen.Cut(arg, 40))
}
