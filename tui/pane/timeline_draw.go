package pane

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// Draw draws the strip: what the clock does and, where there is room, what the
// marks mean; what lasts, as bands; the bar with the moment and the marks; and what
// happens at the moment, in words.
func (t *Timeline) Draw(c *screen.Canvas, s *data.State) {
	t.width = 0
	clock, ok := s.Clock()
	width, height := c.Size()
	if !ok || width < 4 || height < 1 {
		return
	}
	line, answer, known := data.Get[api.Timeline](s, askTimeline())
	t.from, t.to = window(clock, t.zoom)
	first, last := Offset(t.from), Offset(t.to)
	t.left = screen.Width(first) + 3
	t.width = width - t.left - screen.Width(last) - 3
	if t.width < 10 { // too narrow for labels
		first, last, t.left, t.width = "", "", 1, width-2
	}
	t.drawStatus(c, clock, line)
	if height > 1 {
		t.drawBands(c, clock, line.Marks)
	}
	if height > 2 {
		dim := screen.Fg(screen.Dim)
		c.TextRight(0, 2, t.left-1, first, dim)
		c.Text(t.left+t.width+1, 2, last, dim)
		t.drawBar(c, clock, line.Marks)
	}
	if height > 3 {
		happening := t.happening(clock, line.Marks)
		if !known {
			happening = Waiting(answer, "the timeline")
		}
		c.TextIn(1, 3, width-2, happening, screen.Style{})
	}
}

// drawStatus says what the clock does.
func (t *Timeline) drawStatus(c *screen.Canvas, clock api.Clock, line api.Timeline) {
	glyph, word, role := clockState(clock)
	x := 1
	x += c.Text(x, 0, glyph+" "+word, screen.Fg(role).With(screen.Bold))
	now := clock.Now
	if !clock.Paused { // tenths of a second would only flicker
		now = math.Floor(now)
	}
	x += c.Text(x, 0, " at "+Offset(now), screen.Fg(screen.Strong))
	rest := ""
	if !clock.Ended || clock.Now < clock.End {
		rest = " of " + Offset(max(clock.End, clock.Planned)) + " · " + Speed(clock.Speed)
	}
	if from, to := window(clock, t.zoom); from > clock.Begin || to < max(clock.End, clock.Planned) {
		rest += " · bar shows " + Offset(to-from)
	}
	x += c.Text(x, 0, rest, screen.Fg(screen.Dim))
	if n := clock.Violations; n > 0 {
		x += c.Text(x, 0, " · ", screen.Fg(screen.Dim))
		x += c.Text(x, 0, Plural(n, "violation"), screen.Fg(screen.Bad).With(screen.Bold))
	}
	drawLegend(c, x+2, line)
}

// drawLegend says what the marks that there are mean, at the right end of the
// first line, if there is room from column x on.
func drawLegend(c *screen.Canvas, x int, line api.Timeline) {
	width, _ := c.Size()
	var seen []sign
	long := 0
	for _, sign := range signs {
		if slices.ContainsFunc(line.Marks, func(m api.Mark) bool { return m.Class == sign.class && !lasts(&m) }) {
			seen = append(seen, sign)
			long += screen.Width(sign.word) + 4
		}
	}
	more := ""
	if line.MarksTruncated {
		more = "more marks than are listed  "
		long += screen.Width(more)
	}
	at := width - long
	if at < x {
		return
	}
	at += c.Text(at, 0, more, screen.Fg(screen.Warn))
	for _, sign := range seen {
		at += c.Text(at, 0, sign.glyph, screen.Fg(sign.role).With(screen.Bold))
		at += c.Text(at, 0, " "+sign.word+"  ", screen.Fg(screen.Dim))
	}
}

// clockState says in a word what the clock does.
func clockState(clock api.Clock) (glyph, word string, role screen.Role) {
	switch {
	case clock.Ended && clock.Now >= clock.End:
		return "■", "the end", screen.Info
	case clock.Paused:
		return "Ⅱ", "paused", screen.Warn
	case clock.Live:
		return "●", "live", screen.Good
	}
	return "▶", "playing the past", screen.Info
}

// drawBar draws the line of time with the marks on it, and the moment shown.
func (t *Timeline) drawBar(c *screen.Canvas, clock api.Clock, marks []api.Mark) {
	for x := range t.width {
		glyph, style := "─", screen.Fg(screen.Dim)
		switch at := t.from + float64(x)/float64(max(t.width-1, 1))*(t.to-t.from); {
		case at <= clock.Now:
			glyph, style = "━", screen.Fg(screen.Focus)
		case at > clock.End:
			glyph, style = "┄", screen.Fg(screen.Border)
		}
		c.Text(t.left+x, 2, glyph, style)
	}
	moment := t.column(clock.Now)
	counts, worst := make([]int, t.width), make([]int, t.width)
	for i := range marks {
		x := t.column(marks[i].At)
		if lasts(&marks[i]) || x < 0 || x >= t.width {
			continue
		}
		if w := worse(marks[i].Class); counts[x] == 0 || w < worst[x] {
			worst[x] = w
		}
		counts[x]++
	}
	for x, n := range counts {
		if n == 0 {
			continue
		}
		mark := sign{glyph: "?"}
		if worst[x] < len(signs) {
			mark = signs[worst[x]]
		}
		c.Text(t.left+x, 2, mark.glyph, screen.Fg(mark.role).With(screen.Bold))
		if n > 1 && x+1 < t.width && counts[x+1] == 0 && x+1 != moment {
			c.Text(t.left+x+1, 2, few(n), screen.Fg(mark.role))
		}
	}
	if moment >= 0 && moment < t.width {
		c.Text(t.left+moment, 2, "▼", screen.Fg(screen.Key).With(screen.Bold))
	}
}

// few is a count in one character.
func few(n int) string {
	if n > 9 {
		return "+"
	}
	return strconv.Itoa(n)
}

// band is a mark that lasts, in columns of the bar.
type band struct {
	from, to int // both are in it
	mark     *api.Mark
}

// bands are the marks that last and can be seen; one that has not ended lasts up
// to what has happened.
func (t *Timeline) bands(clock api.Clock, marks []api.Mark) []band {
	var out []band
	for i := range marks {
		m := &marks[i]
		until := clock.End
		if m.Until != nil {
			until = *m.Until
		}
		if !lasts(m) || until < t.from || m.At > t.to {
			continue
		}
		out = append(out, band{max(t.column(m.At), 0), min(t.column(max(until, m.At)), t.width-1), m})
	}
	return out
}

// parallel is what lasts at once: faults, or where there is none, the outages that
// the core has seen.
type parallel struct {
	n     int
	first *api.Mark
}

func (p *parallel) add(m *api.Mark) {
	switch {
	case p.n == 0, p.first.Class != api.MarkFault && m.Class == api.MarkFault:
		p.n, p.first = 1, m
	case p.first.Class == m.Class:
		p.n++
	}
}

// drawBands draws what lasts: each with its name where it is alone, a count where
// several last at once.
func (t *Timeline) drawBands(c *screen.Canvas, clock api.Clock, marks []api.Mark) {
	all := t.bands(clock, marks)
	if len(all) == 0 {
		return
	}
	over := make([]parallel, t.width)
	for i := range all {
		for x := max(all[i].from, 0); x <= all[i].to; x++ {
			over[x].add(all[i].mark)
		}
	}
	none := func(x int) bool { return x < 0 || x >= t.width || over[x].n == 0 }
	for x := 0; x < t.width; {
		end := x + 1
		for end < t.width && over[end] == over[x] {
			end++
		}
		if !none(x) {
			drawBand(c.Sub(t.left+x, 1, end-x, 1), over[x].first, over[x].n, none(x-1), none(end))
		}
		x = end
	}
}

// drawBand draws a part of the bands in which nothing changes: n marks last, of
// which one is given; before and after it there may be none.
func drawBand(c *screen.Canvas, m *api.Mark, n int, begins, ends bool) {
	width, _ := c.Size()
	style := screen.Fg(screen.Warn)
	if m.Class == api.MarkOutage {
		style = screen.Fg(screen.Silent)
	}
	c.Fill(0, 0, width, 1, "═", style)
	switch {
	case begins && ends && width == 1:
		c.Text(0, 0, "║", style)
		return
	case begins:
		c.Text(0, 0, "╞", style)
	}
	if ends {
		c.Text(width-1, 0, "╡", style)
	}
	name := faultText(m.Text)
	alone, _, _ := strings.Cut(name, ", ")
	subject, _, _ := strings.Cut(name, ":")
	names := []string{name, alone, subject}
	if n > 1 {
		names = []string{few(n) + " at once"}
	}
	for _, name := range names { // the longest that there is room for
		if screen.Width(name) <= width-4 {
			c.Text(1, 0, " "+name+" ", style.With(screen.Bold))
			return
		}
	}
	if n > 1 {
		c.Text(width/2, 0, few(n), style.With(screen.Bold))
	}
}

// happening says what happens at the moment: the marks at it, the last event when
// the clock stands, the marks beside it, and what lasts.
func (t *Timeline) happening(clock api.Clock, marks []api.Mark) string {
	var now, near, parts []string                                                               // now: at the very moment; near: in the same column
	in := slices.CompactFunc(t.inColumn(marks, t.column(clock.Now)), func(a, b api.Mark) bool { // one for each kind
		return a.Class == b.Class && a.At == b.At && a.Text == b.Text
	})
	for _, m := range in[:min(len(in), 3)] {
		text := signOf(m.Class).word + " at " + Offset(m.At) + ": " + markText(&m)
		if math.Abs(m.At-clock.Now) < 1e-3 {
			now = append(now, text)
		} else {
			near = append(near, text)
		}
	}
	if len(in) > 3 {
		near = append(near, Plural(len(in)-3, "more mark")+" here")
	}
	parts = append(parts, now...)
	if clock.Paused && clock.Text != "" { // it is what a step changes
		parts = append(parts, "last event: "+clock.Text)
	}
	parts = append(parts, near...)
	for _, m := range marks {
		if !lasts(&m) || m.At > clock.Now || m.Until != nil && *m.Until <= clock.Now {
			continue
		}
		text := markText(&m) + ", since " + Offset(m.At)
		if m.Until != nil {
			text = markText(&m) + ", " + Offset(m.At) + " – " + Offset(*m.Until)
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "nothing special at this moment"
	}
	return strings.Join(parts, " · ")
}

// markText is a mark in words: an alarm's without its code, which begins it.
func markText(m *api.Mark) string {
	if code, text, ok := strings.Cut(m.Text, ": "); ok && m.Class == api.MarkAlarm && !strings.ContainsAny(code, " \t") {
		return text
	}
	return faultText(m.Text)
}

// FaultsLast says which faults last at the moment shown, in short: "fault: node
// partition", "3 faults last". Empty when none does.
func FaultsLast(clock api.Clock) string {
	switch len(clock.Faults) {
	case 0:
		return ""
	case 1:
		name, _, _ := strings.Cut(faultText(clock.Faults[0]), ", ")
		return "fault: " + screen.Cut(strings.Replace(name, ": ", " ", 1), 32)
	}
	return Plural(len(clock.Faults), "fault") + " last"
}

// Offset is a moment, or a length, of a run as exactly as a tenth of a second:
// "0 s", "12 min 30.4 s", "2 h 5 min", "3 d 4 h 20 min".
func Offset(seconds float64) string {
	tenths := int64(math.Floor(math.Min(math.Max(seconds, 0), 1e11)*10 + 1e-6))
	if math.IsNaN(seconds) {
		tenths = 0
	}
	var parts []string
	for _, unit := range []struct {
		tenths int64
		name   string
	}{{864000, "d"}, {36000, "h"}, {600, "min"}} {
		if n := tenths / unit.tenths; n > 0 {
			parts = append(parts, Count(n)+" "+unit.name)
			tenths %= unit.tenths
		}
	}
	switch {
	case tenths%10 != 0:
		parts = append(parts, strconv.FormatFloat(float64(tenths)/10, 'f', 1, 64)+" s")
	case tenths > 0 || len(parts) == 0:
		parts = append(parts, strconv.FormatInt(tenths/10, 10)+" s")
	}
	return strings.Join(parts, " ")
}

// Speed is how fast time goes: "10×", "0.5×".
func Speed(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) + "×" }
