package pane

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

// simulation is the sample state with the answers that time needs.
func simulation() *data.State {
	s := sample.State(40, 4000)
	sample.Answer(s, data.Query{What: data.AskClock}, data.Query{What: data.AskAbout}, askTimeline())
	return s
}

func TestChartsFrames(t *testing.T) {
	goldens(t, "charts", func(c *screen.Canvas) {
		NewCharts().Draw(c, simulation())
	})
	goldens(t, "charts-past", func(c *screen.Canvas) { // what comes after the moment is dimmed
		NewCharts().Draw(c, at(simulation(), func(c *api.Clock) { c.Now, c.Live, c.Paused = 301.7, false, true }))
	})
	goldens(t, "charts-watched", func(c *screen.Canvas) {
		s := sample.Production(sample.State(40, 4000))
		track := s.History["Thing"]
		track.Points = append(track.Points[:200:200], track.Points[300:]...) // nobody watched for a while
		NewCharts().Draw(c, s)
	})
	goldens(t, "charts-none", func(c *screen.Canvas) {
		s := sample.Production(sample.State(40, 4000))
		s.History = nil
		NewCharts().Draw(c, s)
	})
}

// A column shows the worst of what falls into it, a gap stays one, and what holds
// for longer than a column is in each.
func TestCurveColumns(t *testing.T) {
	readings := []reading{{0, 1, 4}, {1, 2, 1}, {2, 4, 3}, {6, 8, 7}}
	nan := math.NaN()
	for _, tc := range []struct {
		how  how
		n    int
		want []float64
	}{
		{theLast, 4, []float64{1, 3, nan, 7}},
		{theMost, 4, []float64{4, 3, nan, 7}},
		{theFewest, 4, []float64{1, 3, nan, 7}},
		{theMean, 4, []float64{2.5, 3, nan, 7}},
		{theMean, 2, []float64{2.75, 7}},
		{theMost, 8, []float64{4, 1, 3, 3, nan, nan, 7, 7}},
	} {
		k := curve{how: tc.how, readings: readings}
		got := k.columns(0, 8, tc.n)
		for i := range got {
			if got[i] != tc.want[i] && !(math.IsNaN(got[i]) && math.IsNaN(tc.want[i])) {
				t.Errorf("how %d in %d columns: %v, want %v", tc.how, tc.n, got, tc.want)
				break
			}
		}
	}
}

func TestCurveAt(t *testing.T) {
	k := curve{readings: []reading{{0, 1, 4}, {1, 2, 1}, {6, 8, 7}}}
	for at, want := range map[float64]float64{0: 4, 0.5: 4, 1: 1, 6: 7, 8: 7} {
		if got := k.at(at); got != want {
			t.Errorf("at %g: %g, want %g", at, got, want)
		}
	}
	for _, at := range []float64{-1, 3, 5.9, 8.1} {
		if got := k.at(at); !math.IsNaN(got) {
			t.Errorf("at %g: %g, where nothing is known", at, got)
		}
	}
}

// What was not watched is a gap, and a counter that begins anew is no rate.
func TestTrackGapsAndCounters(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	track := &data.Track{}
	for _, at := range []int{0, 1, 2, 3, 100, 101, 102} {
		p := data.Point{At: began.Add(time.Duration(at) * time.Second), Resources: at, Moves: int64(at), HeartbeatAge: -1}
		if at >= 101 {
			p.Moves = int64(at - 100) // another leader
		}
		track.Add(p)
	}
	s := &data.State{Kind: "Thing", Now: began.Add(103 * time.Second)}
	f, ok := ofTrack(track, s)
	if !ok || f.to != 103 || !f.silent {
		t.Fatalf("%+v, %v", f, ok)
	}
	if v := f.resources.at(50); !math.IsNaN(v) {
		t.Errorf("%g resources when nobody watched", v)
	}
	if v := f.resources.at(102.5); v != 102 {
		t.Errorf("%g resources, want 102", v)
	}
	if v := f.moves.at(0.5); v != 60 {
		t.Errorf("%g moves a minute, want 60", v)
	}
	if v := f.moves.at(100.5); !math.IsNaN(v) {
		t.Errorf("%g moves a minute while the counter began anew", v)
	}
	if v := f.moves.at(101.5); v != 60 {
		t.Errorf("%g moves a minute under the new leader, want 60", v)
	}
}

// The clock is asked more often than the timeline: the last figures stand until
// there are newer ones.
func TestSeriesBehindTheClock(t *testing.T) {
	s := at(simulation(), func(c *api.Clock) { c.Now += 5; c.End = c.Now })
	f, why := NewCharts().figures(s)
	if f == nil || math.IsNaN(f.resources.at(f.moment)) || f.to != sample.Shown {
		t.Errorf("%+v, %s", f, why)
	}
}

// A click, or an arrow, looks at another moment: it is asked for where there is a
// clock, else looked up.
func TestChartsLook(t *testing.T) {
	s := simulation()
	v := NewCharts()
	v.Draw(screen.New(120, 30), s)
	clock, _ := s.Clock()
	do := v.Click(v.plots[0].Min.X, v.plots[0].Min.Y, false, s)
	if do.Act != SetClock || do.Clock.Seek == nil || *do.Clock.Seek > clock.End/20 {
		t.Errorf("a click at the beginning: %+v", do)
	}
	if do := v.Click(0, 0, false, s); do.Act != None {
		t.Errorf("a click beside the curves: %+v", do)
	}
	p := sample.Production(sample.State(40, 4000))
	now, _ := v.figures(p)
	v.Press("left", p)
	if f, _ := v.figures(p); f.moment >= now.moment || !strings.Contains(v.Note(p), "values at") {
		t.Errorf("left looks at %g of %g; %q", f.moment, f.to, v.Note(p))
	}
	for range 3 {
		v.Press("right", p)
	}
	if !v.look.IsZero() {
		t.Errorf("right does not come back to now: %v", v.look)
	}
}

// Whatever the figures, sizes and keys are, a frame comes of it.
func TestChartsAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyTime(t)
		v := NewCharts()
		canvas := screen.New(320, 120)
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			c := canvas.Sub(0, 0, rapid.IntRange(0, 300).Draw(t, "width"), rapid.IntRange(0, 100).Draw(t, "height"))
			v.Draw(c, s)
			_, _, _ = v.Title(s), v.Note(s), v.Needs(s)
			key := rapid.SampledFrom([]string{"up", "down", "left", "right", "pgdown", "pgup", "g", "G", "x", ""}).Draw(t, "key")
			do, _ := v.Press(key, s)
			within(t, s, do)
			v.Wheel(rapid.IntRange(-50, 50).Draw(t, "wheel"), s)
			within(t, s, v.Click(rapid.IntRange(-5, 310).Draw(t, "x"), rapid.IntRange(-5, 110).Draw(t, "y"), false, s))
			if rapid.Bool().Draw(t, "another") {
				s = anyTime(t)
			}
		}
	})
}

// anyTime is a state with any clock, timeline and track, some of them missing.
func anyTime(t *rapid.T) *data.State {
	at := rapid.Float64Range(-1e6, 1e6)
	s := &data.State{Now: sample.Now(), Kind: rapid.SampledFrom([]string{"", "Thing", "Rule"}).Draw(t, "kind"),
		Answers: map[data.Query]*data.Answer{}, History: map[string]*data.Track{}}
	if rapid.Bool().Draw(t, "clock") {
		clock := api.Clock{Began: sample.Began, Now: at.Draw(t, "now"), Begin: at.Draw(t, "begin"), End: at.Draw(t, "end"), Planned: at.Draw(t, "planned"),
			Live: rapid.Bool().Draw(t, "live"), Ended: rapid.Bool().Draw(t, "ended"), Paused: rapid.Bool().Draw(t, "paused"),
			Speed: rapid.Float64().Draw(t, "speed"), Text: rapid.String().Draw(t, "text"), Violations: rapid.IntRange(-1, 3).Draw(t, "violations")}
		s.Answers[data.Query{What: data.AskClock}] = &data.Answer{Value: clock}
	}
	if rapid.Bool().Draw(t, "timeline") {
		s.Answers[askTimeline()] = &data.Answer{Value: anyTimeline(t, at)}
	}
	if rapid.Bool().Draw(t, "track") {
		track := &data.Track{}
		for range rapid.IntRange(0, 20).Draw(t, "points") {
			track.Add(data.Point{At: s.Now.Add(time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "at"))),
				Resources: rapid.IntRange(0, 1e9).Draw(t, "resources"), Moves: rapid.Int64().Draw(t, "moves"), HeartbeatAge: rapid.Float64().Draw(t, "heartbeat")})
		}
		s.History[s.Kind] = track
	}
	return s
}

func anyTimeline(t *rapid.T, at *rapid.Generator[float64]) api.Timeline {
	ints := func(name string) []int {
		return rapid.SliceOfN(rapid.IntRange(-5, 1e9), 0, 30).Draw(t, name)
	}
	line := api.Timeline{Begin: at.Draw(t, "from"), End: at.Draw(t, "to"), Bucket: at.Draw(t, "bucket"), MarksTruncated: rapid.Bool().Draw(t, "truncated"),
		Series: []api.Series{{Resource: "Thing", Resources: ints("resources"), Unplaced: ints("unplaced"), Instances: ints("instances"),
			Up: ints("up"), Moves: ints("moves"), Commits: ints("commits"), HeartbeatAge: rapid.SliceOfN(rapid.Float64(), 0, 30).Draw(t, "heartbeats")}}}
	for range rapid.IntRange(0, 30).Draw(t, "marks") {
		m := api.Mark{At: at.Draw(t, "mark"), Once: rapid.Bool().Draw(t, "once"), Text: rapid.String().Draw(t, "words"),
			Class: rapid.SampledFrom([]api.MarkClass{api.MarkFault, api.MarkViolation, api.MarkOutage, api.MarkAlarm, api.MarkOrder, api.MarkLeader, api.MarkHeal, "new"}).Draw(t, "class")}
		if rapid.Bool().Draw(t, "over") {
			m.Until = new(at.Draw(t, "until"))
		}
		line.Marks = append(line.Marks, m)
	}
	return line
}

// within checks that a seek stays within what has happened.
func within(t *rapid.T, s *data.State, do Intent) {
	clock, ok := s.Clock()
	if do.Act == SetClock && !ok {
		t.Fatalf("%+v without a clock", do)
	}
	if at := do.Clock.Seek; at != nil && !(*at >= clock.Begin && *at <= max(clock.End, clock.Begin)) {
		t.Fatalf("seeks %g, outside of %g to %g", *at, clock.Begin, clock.End)
	}
}
