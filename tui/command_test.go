package tui

import (
	"strings"
	"testing"

	"dacorch/orchestrator/api"
	"dacorch/tui/pane"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

func TestCommands(t *testing.T) {
	s := newStand(sample.State(12, 400))
	r := newRig(t, s, Config{})
	r.settle()
	do := func(text string) {
		r.press(":")
		r.typed(text)
		r.press("enter")
	}
	do("events")
	equal(t, "view after :events", r.m.page.view, pane.Events)
	do("orchestrations")
	equal(t, "view after :orchestrations", r.m.page.view, pane.Reorchestrations)
	do("kind rule")
	equal(t, "kind after :kind rule", r.m.state.Kind, "Rule")
	do("kind Nothing")
	r.sees("there is no kind Nothing; there are Thing, Rule")
	do("theme light")
	equal(t, "theme", r.m.theme, screen.Light)
	do("speed 25")
	r.until("the clock is changed", func() bool { return !r.m.turning.under })
	do("speed 0")
	r.sees("speed 0: want a number from 0.01 to 100000")
	do("seek -10s")
	r.until("the clock is changed", func() bool { return !r.m.turning.under })
	s.set(func() {
		equal(t, "speed", *s.turns[0].change.Speed, 25)
		equal(t, "seek", *s.turns[1].change.Seek, sample.Shown-10)
	})
	do("frobnicate")
	r.sees("there is no command “frobnicate”: want one of placement")
	do("re 3")
	r.sees("there is no command “re”: want one of resources, replace")
	do("instances")
	r.settle()
	do("replace 9999")
	r.sees("Rule has no instance 9999: want its number or its pod's name")
	do("maintenance maybe")
	r.sees("maintenance maybe: want on or off")
	do("find thing-")
	if d, ok := r.m.dialog.(*find); !ok || d.line.Value() != "thing-" {
		t.Errorf(":find opens %T", r.m.dialog)
	}
	r.press("esc")
	do("help")
	equal(t, "view after :help", r.m.page.view, pane.Help)
	do("q")
	r.until("it quits", func() bool { return r.quit })
}

func TestCompletion(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	r.settle()
	for text, want := range map[string]string{"pla": "pla", "plac": "placement ", "th": "theme ", "theme l": "theme light ", "kind T": "kind Thing ", "zzz": "zzz", "": "", "find x": "find x"} {
		r.press(":")
		r.typed(text)
		r.press("tab")
		equal(t, "completion of "+text, r.m.prompt.line.Value(), want)
		r.press("esc")
	}
}

func TestFilterNarrowsTheView(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{View: "instances"})
	r.settle()
	r.press("/")
	r.typed("dac-11")
	r.sees("iota-dac-11")
	r.seesNot("iota-dac-3")
	r.press("enter")
	r.seesNot("iota-dac-3")
	r.press("esc")
	r.sees("iota-dac-3")
}

// Whatever is typed: no panic, and a moment lies in the time that there is.
func FuzzCommand(f *testing.F) {
	for _, text := range append(commandNames(), "kind Thing", "seek 12m30s", "seek -5m", "seek +1e300", "seek NaN", "speed Inf", "step -3", "replace 3", "find \x00é日本", "theme dark", "  ", "seek") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m := newModel(t.Context(), Config{View: "placement", Theme: "dark"}, newStand(sample.State(3, 10)))
		m.width, m.height = 80, 24
		m.state = *sample.State(3, 10)
		m.asks.answers = m.state.Answers
		m.command(text, sample.Now())
		complete(text, m.suggestions(text))
		m.draw()
		if out := m.canvas.ANSI(screen.Dark); strings.ContainsAny(out, "\x00\a\b") {
			t.Errorf("a control character reaches the terminal: %q", out)
		}
	})
}

func FuzzSeek(f *testing.F) {
	f.Add("12m30s", 100.0)
	f.Add("-5m", 3.0)
	f.Fuzz(func(t *testing.T, text string, now float64) {
		c := api.Clock{Now: min(max(now, 0), 1800), End: 1800}
		if c.Now != c.Now {
			return
		}
		at, err := seekTo(text, c)
		if err == nil && !(at >= c.Begin && at <= c.End) {
			t.Errorf("%q leads to %v, outside of %v to %v", text, at, c.Begin, c.End)
		}
	})
}
