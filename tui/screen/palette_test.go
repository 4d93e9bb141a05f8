package screen

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestWithin(t *testing.T) {
	for _, theme := range []*Theme{Dark, Light, Mono} {
		if theme.Within(1<<24) != theme || theme.Within(2) != Mono {
			t.Errorf("%s is another with all colours, or is not mono without", theme.Name)
		}
		for _, colors := range []int{16, 256} {
			got := theme.Within(colors)
			if got.Dark != theme.Dark || (got == Mono) != (theme == Mono) {
				t.Errorf("%s within %d colours is %s", theme.Name, colors, got.Name)
			}
			for role, c := range got.Colors {
				if basic, ok := c.(ansi.BasicColor); ok && colors == 16 && basic < 16 || c == nil {
					continue
				}
				if indexed, ok := c.(ansi.IndexedColor); !ok || colors != 256 || indexed < 16 {
					t.Errorf("%s: %s is %v", got.Name, Role(role), c)
				}
			}
		}
	}
}

// TestFewColours: with 16 colours a load is seen by its character.
func TestFewColours(t *testing.T) {
	c := New(7, 1)
	for i, glyph := range []string{"·", "▁", "▂", "▄", "▆", "▇", "█"} {
		role := Load0 + Role(i)
		c.Text(i, 0, glyph, Fg(role).On(role))
	}
	for _, theme := range []*Theme{dark16, light16, Mono} {
		if got := ansi.Strip(c.ANSI(theme)); got != "·▁▂▄▆▇█" {
			t.Errorf("%s shows loads as %q", theme.Name, got)
		}
	}
	for _, theme := range []*Theme{Dark, Light, dark256, light256} {
		if got := ansi.Strip(c.ANSI(theme)); strings.TrimSpace(got) != "" || len(got) != 7 {
			t.Errorf("%s sends %q where only the colour is seen", theme.Name, got)
		}
	}
}
