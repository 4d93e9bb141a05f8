package pane

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/tui/screen"
)

func TestWords(t *testing.T) {
	now := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	nan := math.NaN()
	for _, c := range []struct{ got, want string }{
		{Age(-time.Hour), "0 s"},
		{Age(59*time.Second + 900*time.Millisecond), "59 s"},
		{Age(60 * time.Second), "1 min"},
		{Age(2 * time.Hour), "2 h"},
		{Age(47 * time.Hour), "47 h"},
		{Age(50 * time.Hour), "2 d"},
		{Age(Seconds(1e300)), "73 000 d"},
		{Age(Seconds(math.Inf(1))), "73 000 d"},
		{AgeSeconds(nil), "–"},
		{AgeSeconds(&nan), "0 s"},
		{Took(40 * time.Millisecond), "40 ms"},
		{Took(1440 * time.Millisecond), "1.4 s"},
		{Took(32 * time.Second), "32 s"},
		{Took(125 * time.Second), "2 min 5 s"},
		{Took(200 * time.Minute), "3 h 20 min"},
		{Took(52 * time.Hour), "2 d 4 h"},
		{Count(0), "0"},
		{Count(999), "999"},
		{Count(12480), "12 480"},
		{Count(-1234567), "-1 234 567"},
		{Count(int64(math.MinInt64)), "-9 223 372 036 854 775 808"},
		{Plural(1, "instance"), "1 instance"},
		{Plural(12480, "instance"), "12 480 instances"},
		{Plural(0, "is", "are"), "0 are"},
		{Percent(0, 0), "–"},
		{Percent(0, 9), "0 %"},
		{Percent(1, 900), "<1 %"},
		{Percent(4999, 5000), "99 %"},
		{Percent(5600, 5000), "112 %"},
		{ClockTime(now.Add(-time.Minute), now), "11:59:00"},
		{ClockTime(now.Add(-24*time.Hour), now), "Mar 8 12:00:00"},
		{ClockTime(now.Add(-365*24*time.Hour), now), "2025-03-09 12:00:00"},
		{ClockTime(time.Time{}, now), "–"},
		{Ago(now.Add(-3*time.Second), now), "3 s ago"},
		{strings.Join(Wrap("the quick brown fox", 10, 9), "|"), "the quick|brown fox"},
		{strings.Join(Wrap("the quick brown fox", 10, 1), "|"), "the quick…"},
		{strings.Join(Wrap("abcdefghijklmnop q", 5, 9), "|"), "abcd…|q"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestWrapKeepsToItsWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, width, most := rapid.String().Draw(t, "text"), rapid.IntRange(-1, 30).Draw(t, "width"), rapid.IntRange(-1, 4).Draw(t, "most")
		lines := Wrap(text, width, most)
		if len(lines) > max(most, 0) {
			t.Fatalf("%d lines, at most %d were asked for", len(lines), most)
		}
		for _, line := range lines {
			if screen.Width(line) > width {
				t.Fatalf("%q is %d wide, may be %d", line, screen.Width(line), width)
			}
		}
	})
}

func TestBar(t *testing.T) {
	for used, want := range map[int]string{0: "····", 1: "▏···", 50: "██··", 99: "███▉", 100: "████", 300: "████"} {
		c := screen.New(6, 1)
		Bar(c, 1, 0, 4, used, 100, screen.Style{})
		if got := c.Plain(); got != " "+want+"\n" {
			t.Errorf("%d of 100: got %q, want %q", used, got, want)
		}
	}
}

func TestThinBar(t *testing.T) {
	for used, want := range map[int]string{0: "────", 1: "╸───", 50: "━━──", 99: "━━━╸", 100: "━━━━", 300: "━━━━"} {
		c := screen.New(6, 1)
		ThinBar(c, 1, 0, 4, used, 100, screen.Style{})
		if got := c.Plain(); got != " "+want+"\n" {
			t.Errorf("%d of 100: got %q, want %q", used, got, want)
		}
	}
}

func TestLineEdits(t *testing.T) {
	for _, c := range []struct{ keys, want string }{
		{"a b space c", "ab c|"},
		{"a b left x", "ax|b"},
		{"a b home x delete", "x|b"},
		{"o n e space t w o ctrl+w", "one |"},
		{"o n e space t w o alt+b ctrl+k", "one |"},
		{"o n e space t w o alt+b ctrl+u", "|two"},
		{"o n e space t w o ctrl+a alt+f backspace", "on| two"},
		{"o n e space t w o home alt+d", "| two"},
		{"é backspace backspace delete left right", "|"},
	} {
		var l Line
		for _, key := range strings.Fields(c.keys) {
			if !l.Press(key) {
				t.Errorf("%q means nothing to it", key)
			}
		}
		got := string(l.text[:l.at]) + "|" + string(l.text[l.at:])
		if want := c.want; got != want {
			t.Errorf("%s: got %q, want %q", c.keys, got, want)
		}
	}
	var l Line
	l.Insert("one\ttwo\r\nthree\x1b[2J\n")
	if got, want := l.Value(), "one two three[2J"; got != want {
		t.Errorf("pasted: got %q, want %q", got, want)
	}
	if l.Press("enter") || l.Press("f5") {
		t.Error("keys that edit nothing are taken")
	}
	l.Insert(strings.Repeat("x", 5000))
	if got := len(l.Value()); got != MaxLine {
		t.Errorf("it holds %d characters, the bound is %d", got, MaxLine)
	}
}

func TestLineIsDrawnAroundItsCursor(t *testing.T) {
	keys := rapid.SampledFrom(strings.Fields("a 日 space left right home end alt+b alt+f backspace delete ctrl+w ctrl+u ctrl+k alt+d"))
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(0, 12).Draw(t, "width")
		var l Line
		for _, key := range rapid.SliceOfN(keys, 0, 40).Draw(t, "keys") {
			l.Press(key)
			if l.at < 0 || l.at > len(l.text) {
				t.Fatalf("the cursor is at %d of %d", l.at, len(l.text))
			}
			c := screen.New(20, 1)
			l.Draw(c, 2, 0, width, screen.Style{})
			if x, _, on := c.CursorAt(); on != (width > 0) || on && (x < 2 || x >= 2+width) {
				t.Fatalf("the cursor is drawn at %d (%v), the line is %d wide", x, on, width)
			}
			if out := strings.TrimRight(c.Plain(), "\n"); screen.Width(out) > 2+width {
				t.Fatalf("%q is wider than %d", out, 2+width)
			}
		}
	})
}
