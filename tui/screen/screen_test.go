package screen

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"
)

func TestTextIsCutAndCleaned(t *testing.T) {
	c := New(10, 2)
	c.Text(0, 0, "a\x1b[2Jb\tc\u202ed", Style{})
	c.TextIn(0, 1, 6, "日本語テキスト", Fg(Accent))
	if got, want := c.Plain(), "a·[2Jb·c·d\n日本…\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if out := c.ANSI(Dark); strings.Contains(out, "\x1b[2J") {
		t.Errorf("an escape sequence of the text reaches the terminal: %q", out)
	}
}

// What terminals disagree about is shown by what they agree about.
func TestDisputedWidths(t *testing.T) {
	for text, want := range map[string]string{
		"a👩‍👩‍👧b": "a👩b", "👍🏽": "👍", "🇩🇪": "🇩🇪", "🇩": "·", "❤️": "❤", "日本": "日本", "e\u0301": "e\u0301", "x" + strings.Repeat("\u0300", 100): "x", "█░╭": "█░╭",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestCombiningCharacterAfterASCII(t *testing.T) {
	c := New(6, 1)
	if n := c.Text(0, 0, "xe\u0301y", Style{}); n != 3 {
		t.Errorf("took %d columns, want 3", n)
	}
	if got := c.Plain(); got != "xe\u0301y\n" {
		t.Errorf("got %q", got)
	}
}

func TestHalvesOfWideCharactersGoTogether(t *testing.T) {
	c := New(6, 1)
	c.Text(0, 0, "日本語", Style{})
	c.Text(1, 0, "x", Style{})
	c.Text(4, 0, "y", Style{})
	if got, want := c.Plain(), " x本y\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.Text(5, 0, "本", Style{}) // half of it would be outside
	if got, want := c.Plain(), " x本y\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStyles(t *testing.T) {
	c := New(20, 3)
	c.Text(2, 0, "abc", Fg(Accent))
	c.Text(5, 0, "d", Fg(Bad).On(Bar).With(Bold|Underline))
	c.Fill(0, 2, 20, 1, " ", Style{Bg: Select})
	if got, want := c.Styles(), "0: 2-4 accent, 5 bad/bar bold underline\n2: 0-19 -/select\n"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	seen := map[string]bool{}
	for role := range Roles {
		if seen[role.String()] || role.String() == "" {
			t.Errorf("role %d is called %q", role, role)
		}
		seen[role.String()] = true
	}
}

func TestReset(t *testing.T) {
	c := New(8, 2)
	blank := c.ANSI(Dark)
	c.Text(3, 1, "日本", Fg(Bad))
	c.Cursor(1, 1)
	c.Reset()
	if _, _, on := c.CursorAt(); on || c.ANSI(Dark) != blank || c.Styles() != "" {
		t.Errorf("something is left: %q", c.ANSI(Dark))
	}
}

// TestANSI holds a terminal's view of a frame to the canvas: without the
// sequences it is the plain text, and each line begins and ends unstyled.
func TestANSI(t *testing.T) {
	c := New(24, 3)
	c.Text(1, 0, "good", Fg(Good).With(Bold))
	c.Text(6, 0, "ink", Fg(Ink).On(Load6))
	c.Text(0, 2, "to the very last column!", Fg(Dim).On(Bar))
	for _, theme := range []*Theme{Dark, Light, Mono} {
		lines := strings.Split(c.ANSI(theme), "\n")
		plain := strings.Split(c.Plain(), "\n")
		for i, line := range lines {
			if got := strings.TrimRight(ansi.Strip(line), " "); got != plain[i] {
				t.Errorf("%s: line %d is %q, want %q", theme.Name, i, got, plain[i])
			}
			if last := strings.LastIndex(line, "\x1b"); last >= 0 && !strings.HasPrefix(line[last:], ansi.ResetStyle) {
				t.Errorf("%s: line %d leaves its style on: %q", theme.Name, i, line)
			}
		}
		if theme == Mono && strings.Contains(c.ANSI(theme), "8;2;") {
			t.Error("the mono theme sends colours")
		}
	}
}

// FuzzText: whatever a server sends, no control character and nothing that
// reorders text reaches a cell, and no width is exceeded.
func FuzzText(f *testing.F) {
	for _, text := range []string{"", "abc", "a\x1b]0;title\x07b", "日本語", "e\u0301e\u0301", "👩‍👩‍👧", "\u202eevil", "\xff\xfe", "a\u0300\u0300\u0300", "\u200d\u200d\u200d\u200d", "🇩🇪", "\U000e0041"} {
		f.Add(text, 5)
	}
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = min(max(width, -2), 40)
		cut := Cut(text, width)
		if Width(cut) > max(width, 0) {
			t.Errorf("Cut(%q, %d) = %q is %d wide", text, width, cut, Width(cut))
		}
		c := New(max(width, 1), 2)
		if n := c.Text(0, 0, text, Fg(Bad)); n > max(width, 1) {
			t.Errorf("%q took %d columns of %d", text, n, width)
		}
		c.TextIn(0, 1, width, text, Fg(Good))
		for _, r := range c.Plain() {
			if r != '\n' && (unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069') {
				t.Errorf("%q reaches the screen from %q", r, text)
			}
		}
		if wc, whole := ansi.StringWidthWc(Clean(text)), ansi.StringWidth(Clean(text)); wc != whole || wc != Width(text) {
			t.Errorf("%q is %d wide, %d by characters, %d by graphemes", Clean(text), Width(text), wc, whole)
		}
		for y, line := range strings.Split(c.Plain(), "\n") {
			if Width(line) > max(width, 1) {
				t.Errorf("line %d, %q, is %d wide, the canvas %d", y, line, Width(line), width)
			}
		}
		if err := c.SVG(new(strings.Builder), Dark); err != nil {
			t.Error(err)
		}
	})
}

// TestAnyDrawing draws anything anywhere: no panic, nothing outside.
func TestAnyDrawing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New(rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(0, 12).Draw(t, "height"))
		at := rapid.IntRange(-5, 45)
		size := rapid.IntRange(-3, 50)
		sub := c.Sub(at.Draw(t, "x"), at.Draw(t, "y"), size.Draw(t, "w"), size.Draw(t, "h"))
		outside := c.Sub(0, 0, 40, 12)
		outside.Fill(0, 0, 40, 12, "#", Fg(Bad))
		w, h := sub.Size()
		sub.Fill(-1, -1, w+2, h+2, "!", Style{})
		text := rapid.StringN(0, 20, -1).Draw(t, "text")
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			x, y, n := at.Draw(t, "x"), at.Draw(t, "y"), size.Draw(t, "n")
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				sub.Text(x, y, text, Fg(Good))
			case 1:
				sub.TextRight(x, y, n, text, Fg(Good))
			case 2:
				sub.Box(Lines(rapid.IntRange(0, int(Dotted)).Draw(t, "lines")), text, text, Fg(Border))
			case 3:
				sub.TextIn(x, y, n, text, Fg(Load5))
			case 4:
				sub.Scrollbar(x, y, n, rapid.IntRange(-3, 100).Draw(t, "first"), n, rapid.IntRange(-3, 1000).Draw(t, "of"), Fg(Focus))
			case 5:
				sub.Paint(x, y, n, n, func(st Style) Style { return st.With(Faint) })
			case 6:
				sub.Rule(x, y, n, Fg(Border))
			}
		}
		whole, _ := c.Size()
		sharps := strings.Count(c.Plain(), "#")
		_, high := c.Size()
		if want := whole*high - w*h; !strings.Contains(text, "#") && sharps != want {
			t.Fatalf("%d cells are as they were, want %d\n%s", sharps, want, c.Plain())
		}
		for _, line := range strings.Split(c.Plain(), "\n") {
			if Width(line) > whole {
				t.Fatalf("%q is wider than %d", line, whole)
			}
		}
	})
}

// frameOf is a frame as a busy placement view draws it.
func frameOf(c *Canvas) {
	w, h := c.Size()
	for y := range h {
		for x := 0; x+2 <= w; x += 2 {
			role := Load0 + Role((x*7+y*13)%8)
			c.Text(x, y, "▆", Fg(role).On(role))
			c.Text(x+1, y, "!", Fg(Ink).On(Up+Role((x+y)%5)))
		}
	}
}

func BenchmarkDraw200x60(b *testing.B) {
	c := New(200, 60)
	b.ReportAllocs()
	for b.Loop() {
		c.Reset()
		frameOf(c)
	}
}

func BenchmarkANSI200x60(b *testing.B) {
	c := New(200, 60)
	frameOf(c)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = c.AppendANSI(out[:0], Dark)
	}
	b.ReportMetric(float64(len(out)), "bytes/frame")
}
