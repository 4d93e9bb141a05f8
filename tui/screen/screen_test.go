package screen

import (
	"strings"
	"testing"
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
