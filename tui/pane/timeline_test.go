package pane

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// at changes the sample's clock.
func at(s *data.State, change func(*api.Clock)) *data.State {
	clock, _ := s.Clock()
	change(&clock)
	s.Answers[data.Query{What: data.AskClock}] = &data.Answer{Value: clock}
	return s
}

func strip(width int, t *Timeline, s *data.State) *screen.Canvas {
	c := screen.New(width, max(t.Height(width, s), 1))
	t.Draw(c, s)
	return c
}

func TestTimelineFrames(t *testing.T) {
	for _, size := range sizes {
		name := map[int]string{80: "80", 120: "120", 200: "200"}[size[0]]
		s := simulation()
		golden(t, "timeline-live-"+name, strip(size[0], NewTimeline(), s))
		at(s, func(c *api.Clock) { c.Now, c.Paused, c.Live = 301.7, true, false })
		golden(t, "timeline-past-"+name, strip(size[0], NewTimeline(), s))
		zoomed := NewTimeline()
		zoomed.Press("z", s)
		golden(t, "timeline-zoomed-"+name, strip(size[0], zoomed, s))
		at(s, func(c *api.Clock) { c.Source, c.Now, c.End, c.Planned, c.Ended = "recording", 750.4, 750.4, 0, true })
		golden(t, "timeline-ended-"+name, strip(size[0], NewTimeline(), s))
	}
}

func TestTimelineWithoutAClock(t *testing.T) {
	s := &data.State{}
	line := NewTimeline()
	if h := line.Height(120, s); h != 0 {
		t.Errorf("%d lines high", h)
	}
	for _, k := range []string{"space", ",", "n", "L"} {
		if do, ok := line.Press(k, s); ok || do.Act != None {
			t.Errorf("%s: %+v, %v", k, do, ok)
		}
	}
	if needs := line.Needs(s); len(needs) > 0 {
		t.Errorf("needs %v", needs)
	}
}

func TestTimelineKeys(t *testing.T) {
	middle := func(c *api.Clock) { c.Now, c.Live = 301.7, false }
	for _, tc := range []struct {
		key  string
		from func(*api.Clock)
		want Intent
	}{
		{"space", middle, Intent{Act: SetClock, Clock: api.ClockChange{Paused: new(true)}}},
		{"space", func(c *api.Clock) { c.Paused = true }, Intent{Act: SetClock, Clock: api.ClockChange{Paused: new(false)}}},
		{",", middle, Intent{Act: Step, Events: -1}},
		{".", middle, Intent{Act: Step, Events: 1}},
		{"[", middle, Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(291.7)}}},
		{"}", middle, Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(601.7)}}},
		{"}", func(c *api.Clock) { c.Now, c.Live = 600, false }, Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(750.4)}}},
		{"{", func(c *api.Clock) { c.Now = 12 }, Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(0.0)}}},
		{">", middle, Intent{Act: SetClock, Clock: api.ClockChange{Speed: new(30.0)}}},
		{"<", func(c *api.Clock) { c.Speed = 7 }, Intent{Act: SetClock, Clock: api.ClockChange{Speed: new(5.0)}}},
		{"L", middle, Intent{Act: SetClock, Clock: api.ClockChange{Live: new(true)}}},
		{"n", func(c *api.Clock) { c.Now = 0 }, Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(301.7)}}},
		{"N", func(c *api.Clock) { c.Now = 700 }, Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(301.7)}}},
		{"n", middle, Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(536.0)}}},
		{"N", middle, Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(203.0)}}},
	} {
		do, ok := NewTimeline().Press(tc.key, at(simulation(), tc.from))
		if got, want := describe(do), describe(tc.want); !ok || got != want {
			t.Errorf("%s: %s, want %s", tc.key, got, want)
		}
	}
}

// describe is an intent about time, in words that compare.
func describe(do Intent) string {
	text := map[Act]string{None: "none", SetClock: "set", Step: "step", Say: "say: " + do.Text}[do.Act]
	if c := do.Clock; c.Seek != nil {
		text += " seek " + Offset(*c.Seek)
	} else if c.Paused != nil && *c.Paused {
		text += " paused"
	} else if c.Speed != nil {
		text += " speed " + Speed(*c.Speed)
	} else if c.Live != nil {
		text += " live"
	}
	if do.Events < 0 {
		text += " back"
	}
	return text
}

// Where a key leads nowhere it says why.
func TestTimelineSays(t *testing.T) {
	for key, from := range map[string]func(*api.Clock){
		"[": func(c *api.Clock) { c.Now = 0 },
		"]": func(*api.Clock) {},
		".": func(c *api.Clock) { c.Ended = true },
		",": func(c *api.Clock) { c.Now, c.Event = 0, 0 },
		"N": func(c *api.Clock) { c.Now = 0 },
		"n": func(*api.Clock) {},
		"L": func(*api.Clock) {},
		">": func(c *api.Clock) { c.Speed = 1e5 },
		"<": func(c *api.Clock) { c.Speed = 0.01 },
	} {
		if do, ok := NewTimeline().Press(key, at(simulation(), from)); !ok || do.Act != Say || do.Text == "" {
			t.Errorf("%s: %+v", key, do)
		}
	}
}

// A click seeks to where the bar says that it is; a mark under it is met exactly.
func TestTimelineClick(t *testing.T) {
	s := simulation()
	line := NewTimeline()
	c := strip(120, line, s)
	row := []rune(strings.Split(c.Plain(), "\n")[2])
	for x, glyph := range row {
		do := line.Click(x, 2, s)
		switch {
		case glyph == '✗' && describe(do) != "set seek 5 min 1.7 s":
			t.Errorf("a click on the violation: %s", describe(do))
		case glyph == '♥' && describe(do) != "set seek 12 min 30.4 s":
			t.Errorf("a click behind the end: %s", describe(do))
		}
	}
	if do := line.Click(0, 0, s); do.Clock.Paused == nil {
		t.Errorf("a click on the words: %+v", do)
	}
}

// Any clock and any marks: no panic, seeks within what there is, and the moment is
// on the bar.
func TestTimelineAnything(t *testing.T) {
	keys := []string{"space", " ", ",", ".", "[", "]", "{", "}", "<", ">", "n", "N", "L", "z", "x"}
	rapid.Check(t, func(t *rapid.T) {
		s := anyTime(t)
		line := NewTimeline()
		canvas := screen.New(320, 10)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			c := canvas.Sub(0, 0, rapid.IntRange(0, 310).Draw(t, "width"), rapid.IntRange(0, 6).Draw(t, "height"))
			line.Draw(c, s)
			do, _ := line.Press(rapid.SampledFrom(keys).Draw(t, "key"), s)
			within(t, s, do)
			within(t, s, line.Click(rapid.IntRange(-5, 320).Draw(t, "x"), rapid.IntRange(-1, 6).Draw(t, "y"), s))
			line.Wheel(rapid.IntRange(-1, 1).Draw(t, "wheel"), s)
			if clock, ok := s.Clock(); ok && clock.Begin <= clock.Now && clock.Now <= clock.End {
				if from, to := window(clock, line.zoom); clock.Now < from-1e-6 || clock.Now > to+1e-6 {
					t.Fatalf("%g is not between %g and %g", clock.Now, from, to)
				}
			}
			if rapid.Bool().Draw(t, "another") {
				s = anyTime(t)
			}
		}
	})
}
