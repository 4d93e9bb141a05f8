package pane

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// The words in which all panes say the same things.

// Age is a length of time in its largest unit, rounded down: "12 s", "3 min",
// "2 h", "4 d". What is below 0 is "0 s".
func Age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(max(d, 0)/time.Second)) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return Count(int(d/(24*time.Hour))) + " d"
}

// Seconds is seconds as a length of time, bounded to what a Duration holds.
func Seconds(s float64) time.Duration {
	const most = 200 * 365 * 24 * 3600
	if !(s > 0) { // NaN too
		return 0
	}
	return time.Duration(min(s, most) * float64(time.Second))
}

// AgeSeconds is Age of seconds; nil, not known, is "–".
func AgeSeconds(s *float64) string {
	if s == nil {
		return "–"
	}
	return Age(Seconds(*s))
}

// Took is a length of time with two units, or with a fraction where it is short:
// "40 ms", "1.4 s", "32 s", "2 min 5 s", "3 h 20 min", "2 d 4 h".
func Took(d time.Duration) string {
	d = max(d, 0)
	two := func(large, small time.Duration, l, s string) string {
		out := Count(int(d/large)) + " " + l
		if rest := int(d % large / small); rest > 0 {
			out += " " + strconv.Itoa(rest) + " " + s
		}
		return out
	}
	switch {
	case d < time.Second:
		return strconv.Itoa(int(d/time.Millisecond)) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(float64(d/(100*time.Millisecond))/10, 'f', -1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < time.Hour:
		return two(time.Minute, time.Second, "min", "s")
	case d < 48*time.Hour:
		return two(time.Hour, time.Minute, "h", "min")
	}
	return two(24*time.Hour, time.Hour, "d", "h")
}

// Count is a whole number with its digits in groups of three: "12 480".
func Count[N ~int | ~int64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return sign + text
}

// Plural counts things: "1 instance", "12 480 instances". Many is one with an s
// when it is not given.
func Plural[N ~int | ~int64](n N, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return Count(n) + " " + many[0]
	}
	return Count(n) + " " + one + "s"
}

// Percent is a share in whole percent, rounded down, so that "100 %" means all;
// what is there but rounds to nothing is "<1 %". Of nothing it is "–".
func Percent(part, whole int) string {
	switch {
	case whole <= 0:
		return "–"
	case part > 0 && part*100 < whole:
		return "<1 %"
	}
	return Count(part*100/whole) + " %"
}

// ClockTime is the time of day of a moment, in the zone of now; with the date
// when it is of another day.
func ClockTime(at, now time.Time) string {
	if at.IsZero() {
		return "–"
	}
	at = at.In(now.Location())
	if at.Year() != now.Year() {
		return at.Format("2006-01-02 15:04:05")
	}
	if at.YearDay() != now.YearDay() {
		return at.Format("Jan 2 15:04:05")
	}
	return at.Format("15:04:05")
}

// Ago is how long ago something was: "12 s ago".
func Ago(at, now time.Time) string {
	if at.IsZero() {
		return "–"
	}
	return Age(now.Sub(at)) + " ago"
}

// HealthRole is how a health is drawn.
func HealthRole(h data.Health) screen.Role {
	return [...]screen.Role{data.Up: screen.Up, data.Closing: screen.Closing, data.Starting: screen.Starting,
		data.Silent: screen.Silent, data.Down: screen.Down}[h]
}

// Waiting says why an answer is not there yet, in words: "loading …", or what
// went wrong.
func Waiting(a *data.Answer, what string) string {
	if a != nil && a.Err != nil {
		return "cannot read " + what + ": " + a.Err.Error()
	}
	return "loading " + what + " …"
}

// Bar draws how much of a whole is used, in eighths of columns: full columns are
// blocks, the rest is a track of dots.
func Bar(c *screen.Canvas, x, y, width, part, whole int, st screen.Style) {
	if width <= 0 {
		return
	}
	eighths := 0
	if whole > 0 && part > 0 {
		eighths = max(int(float64(min(part, whole))/float64(whole)*float64(width*8)), 1)
	}
	full, rest := eighths/8, eighths%8
	text := strings.Repeat("█", full)
	if rest > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[rest-1])
		full++
	}
	c.Text(x, y, text, st)
	track := screen.Fg(screen.Border).On(st.Bg)
	c.Text(x+full, y, strings.Repeat("·", width-full), track)
}

// ThinBar is Bar as a line, in halves of columns, for bars below each other.
func ThinBar(c *screen.Canvas, x, y, width, part, whole int, st screen.Style) {
	if width <= 0 {
		return
	}
	halves := 0
	if whole > 0 && part > 0 {
		halves = max(int(float64(min(part, whole))/float64(whole)*float64(width*2)), 1)
	}
	c.Rule(x, y, width, screen.Fg(screen.Border).On(st.Bg))
	c.Text(x, y, strings.Repeat("━", halves/2)+strings.Repeat("╸", halves%2), st)
}

// Wrap breaks a text into lines of at most so many columns, between words where
// it can; at most most lines, the last of them with an ellipsis when there is
// more.
func Wrap(text string, width, most int) []string {
	if width <= 0 || most <= 0 {
		return nil
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		joined := word
		if line != "" {
			joined = line + " " + word
		}
		if screen.Width(joined) <= width {
			line = joined
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		if len(lines) == most {
			lines[most-1] = screen.Cut(lines[most-1]+" …", width)
			return lines
		}
		line = screen.Cut(word, width)
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// present is the moment that is shown: a simulation's or a recording's, or now.
func present(s *data.State) time.Time {
	if clock, ok := s.Clock(); ok && !clock.Began.IsZero() {
		return clock.Began.Add(Seconds(clock.Now))
	}
	return s.Now
}

// Moment is when something was: since time 0 where the server has a clock, as on
// its timeline, else the time of day.
func Moment(at time.Time, s *data.State) string {
	if at.IsZero() {
		return "–"
	}
	if clock, ok := s.Clock(); ok && !clock.Began.IsZero() {
		return stopwatch(at.Sub(clock.Began))
	}
	return ClockTime(at, s.Now)
}

// stopwatch is a time since time 0, short enough for a table: "2:05.3", "1:02:05.3".
func stopwatch(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	tenths := int64(d / (100 * time.Millisecond))
	h, m, sec := tenths/36000, tenths/600%60, tenths/10%60
	if h > 0 {
		return fmt.Sprintf("%s%d:%02d:%02d.%d", sign, h, m, sec, tenths%10)
	}
	return fmt.Sprintf("%s%d:%02d.%d", sign, m, sec, tenths%10)
}
