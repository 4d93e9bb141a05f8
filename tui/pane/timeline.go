package pane

import (
	"math"
	"slices"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// Timeline is the strip that shows a simulation's or a recording's whole time,
// the moment shown, and what happened. It stands above the footer whenever the
// server has a clock.
type Timeline struct {
	zoom zoom

	// Of the last Draw: where the bar begins, how wide it is, and which time it is
	// about.
	left, width int
	from, to    float64
}

// zoom is how much of the time the bar is about.
type zoom uint8

const (
	zoomWhole zoom = iota // all that is planned
	zoomFit               // what has happened, and some of what is planned
	zoomHour
	zoomTenMinutes
	zoomMinute
	zoomEnd
)

// spans are the zooms' lengths in seconds.
var spans = [zoomEnd]float64{zoomHour: 3600, zoomTenMinutes: 600, zoomMinute: 60}

// fits are the lengths that the bar grows through while a long run begins.
var fits = []float64{600, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 86400, 2 * 86400, 7 * 86400, 30 * 86400}

// NewTimeline makes the strip.
func NewTimeline() *Timeline { return &Timeline{zoom: zoomFit} }

// Height is how many lines it takes; 0 without a clock.
func (t *Timeline) Height(_ int, s *data.State) int {
	if _, ok := s.Clock(); !ok {
		return 0
	}
	return 4
}

// Needs are the clock and the timeline, of a server that says that it has them.
func (t *Timeline) Needs(s *data.State) []data.Query {
	if about, ok := s.About(); ok && about.Time {
		return []data.Query{{What: data.AskClock}, askTimeline()}
	}
	return nil
}

// marks are what is marked on the timeline, as far as it is known.
func marks(s *data.State) []api.Mark {
	line, _, _ := data.Get[api.Timeline](s, askTimeline())
	return line.Marks
}

// window is which time the bar is about at a zoom: the whole, its beginning, or a
// page of it that the moment shown is on.
func window(clock api.Clock, z zoom) (from, to float64) {
	from, to = clock.Begin, max(clock.End, clock.Planned, clock.Begin)
	if z == zoomFit {
		for _, span := range fits {
			if span >= 1.25*(clock.End-from) {
				return from, min(from+span, to)
			}
		}
	}
	span := spans[z]
	if span <= 0 || span >= to-from {
		return from, to
	}
	// Pages overlap by half, so that the moment is never near a page's edge and the
	// bar stands still while it moves.
	page := math.Round((clock.Now-from)/(span/2)-1) * span / 2
	from += min(max(page, 0), to-from-span)
	return from, from + span
}

// closer is the next zoom that shows less; ok is false when there is none.
func closer(clock api.Clock, z zoom) (next zoom, ok bool) {
	from, to := window(clock, z)
	for next := z + 1; next < zoomEnd; next++ {
		if f, t := window(clock, next); t-f < to-from {
			return next, true
		}
	}
	return z, false
}

// farther is the next zoom that shows more; ok is false when there is none.
func farther(clock api.Clock, z zoom) (next zoom, ok bool) {
	from, to := window(clock, z)
	for next := z; next > zoomWhole; {
		next--
		if f, t := window(clock, next); t-f > to-from {
			return next, true
		}
	}
	return z, false
}

// column is where on the bar a moment is; it may lie outside.
func (t *Timeline) column(at float64) int {
	if !(t.to > t.from) {
		return 0
	}
	share := (at - t.from) / (t.to - t.from)
	return int(math.Round(min(max(share, -1), 2) * float64(max(t.width-1, 0))))
}

// Wheel zooms: in when n is below 0.
func (t *Timeline) Wheel(n int, s *data.State) {
	clock, ok := s.Clock()
	switch {
	case !ok:
	case n < 0:
		t.zoom, _ = closer(clock, t.zoom)
	case n > 0:
		t.zoom, _ = farther(clock, t.zoom)
	}
}

// Click seeks to the place of the last Draw that was clicked, or dragged to: to
// the worst mark in that column, if there is one. The line of words pauses and
// goes on.
func (t *Timeline) Click(x, y int, s *data.State) Intent {
	clock, ok := s.Clock()
	switch {
	case !ok || t.width < 1:
		return Intent{}
	case y == 0:
		return pause(clock)
	case x < t.left-1 || x > t.left+t.width:
		return Intent{}
	}
	column := min(max(x-t.left, 0), t.width-1)
	at := t.from + float64(column)/float64(max(t.width-1, 1))*(t.to-t.from)
	if in := t.inColumn(marks(s), column); len(in) > 0 && in[0].At <= clock.End {
		at = in[0].At
	}
	return seek(clock, at)
}

// inColumn are the marks that begin in a column of the bar, the worst first.
func (t *Timeline) inColumn(marks []api.Mark, column int) []api.Mark {
	var in []api.Mark
	for i := range marks {
		if t.column(marks[i].At) == column && !lasts(&marks[i]) {
			in = append(in, marks[i])
		}
	}
	slices.SortStableFunc(in, func(a, b api.Mark) int { return worse(a.Class) - worse(b.Class) })
	return in
}

// lasts says that a mark is a band on the timeline, not a point.
func lasts(m *api.Mark) bool {
	return !m.Once && (m.Class == api.MarkFault || m.Class == api.MarkOutage)
}

// sign is how a class of marks looks.
type sign struct {
	class api.MarkClass
	glyph string
	word  string
	role  screen.Role
}

// signs are those of marks at a moment, the worst first.
var signs = []sign{
	{api.MarkViolation, "✗", "violation", screen.Bad},
	{api.MarkOutage, "o", "outage", screen.Warn},
	{api.MarkAlarm, "!", "alarm", screen.Warn},
	{api.MarkFault, "*", "fault", screen.Closing},
	{api.MarkLeader, "L", "leader", screen.Info},
	{api.MarkOrder, "◆", "order", screen.Accent},
	{api.MarkHeal, "♥", "heal", screen.Good},
}

// worse is a class's place among signs; those of a newer server come last.
func worse(class api.MarkClass) int {
	if i := slices.IndexFunc(signs, func(s sign) bool { return s.class == class }); i >= 0 {
		return i
	}
	return len(signs)
}

func signOf(class api.MarkClass) sign {
	if i := worse(class); i < len(signs) {
		return signs[i]
	}
	return sign{class, "?", string(class), screen.Default}
}
