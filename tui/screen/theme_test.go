package screen

import (
	"image/color"
	"math"
	"testing"
)

// grounds are backgrounds that terminals have.
var grounds = map[*Theme][]uint32{
	Dark:     {0x000000, 0x0c0c0c, 0x14171c, 0x1e1e1e, 0x002b36},
	dark256:  {0x000000, 0x0c0c0c, 0x14171c, 0x1e1e1e, 0x002b36},
	Light:    {0xffffff, 0xfafafa, 0xf6f8fa, 0xfdf6e3},
	light256: {0xffffff, 0xfafafa, 0xf6f8fa, 0xfdf6e3},
}

// written are the roles that text is written in.
var written = []Role{Dim, Strong, Accent, Key, Match, Good, Warn, Bad, Info, Up, Starting, Silent, Down, Closing, Arriving, Leaving}

// painted are the backgrounds that Ink is written on.
var painted = []Role{Match, Up, Starting, Silent, Down, Closing, Load0, Load1, Load2, Load3, Load4, Load5, Load6, Load7, Cursor}

func contrast(a, b color.Color) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestContrast holds text to what WCAG 2 asks of text of this size.
func TestContrast(t *testing.T) {
	const least = 4.5
	for theme, backs := range grounds {
		for _, role := range written {
			for _, back := range backs {
				if got := contrast(theme.Colors[role], rgb(back)); got < least {
					t.Errorf("%s: %s on %06x has a contrast of %.2f", theme.Name, role, back, got)
				}
			}
			for _, back := range []Role{Bar, Select} {
				if got := contrast(theme.Colors[role], theme.Colors[back]); got < least {
					t.Errorf("%s: %s on %s has a contrast of %.2f", theme.Name, role, back, got)
				}
			}
		}
		for _, back := range []Role{Bar, Select} {
			if got := contrast(theme.Text, theme.Colors[back]); got < least {
				t.Errorf("%s: text on %s has a contrast of %.2f", theme.Name, back, got)
			}
		}
		for _, role := range painted {
			fg, bg := theme.colors(Fg(Ink).On(role))
			if got := contrast(fg, bg); got < least {
				t.Errorf("%s: ink on %s has a contrast of %.2f", theme.Name, role, got)
			}
		}
	}
}

// sights are how colours are seen: with all cones, and simulated after Machado,
// Oliveira and Fernandes (2009) without one sort of them; on linear RGB.
var sights = map[string][9]float64{
	"all cones":    {1, 0, 0, 0, 1, 0, 0, 0, 1},
	"protanopia":   {0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998},
	"deuteranopia": {0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881},
	"tritanopia":   {1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900},
}

// lab is a colour in CIE L*a*b* as it is seen.
func lab(c color.Color, sight [9]float64) [3]float64 {
	r, g, b, _ := c.RGBA()
	in := [3]float64{linear(r), linear(g), linear(b)}
	var seen [3]float64
	for i := range seen {
		seen[i] = min(max(sight[3*i]*in[0]+sight[3*i+1]*in[1]+sight[3*i+2]*in[2], 0), 1)
	}
	f := func(v float64) float64 {
		if v > 216.0/24389 {
			return math.Cbrt(v)
		}
		return (24389.0/27*v + 16) / 116
	}
	x := f((0.4124564*seen[0] + 0.3575761*seen[1] + 0.1804375*seen[2]) / 0.95047)
	y := f(0.2126729*seen[0] + 0.7151522*seen[1] + 0.0721750*seen[2])
	z := f((0.0193339*seen[0] + 0.1191920*seen[1] + 0.9503041*seen[2]) / 1.08883)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

func distance(a, b [3]float64) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}

// TestTheColourBlindTellThemApart: 10 in L*a*b* is a difference seen at a glance.
func TestTheColourBlindTellThemApart(t *testing.T) {
	sets := [][]Role{
		{Up, Starting, Silent, Down, Closing},
		{Arriving, Leaving},
		{Good, Warn, Bad},
		{Load0, Load1, Load2, Load3, Load4, Load5, Load6},
		{Load5, Load6, Load7},
	}
	for theme := range grounds {
		for name, sight := range sights {
			for _, set := range sets {
				for i, a := range set {
					for _, b := range set[:i] {
						if got := distance(lab(theme.Colors[a], sight), lab(theme.Colors[b], sight)); got < 10 {
							t.Errorf("%s, %s: %s and %s differ by %.1f", theme.Name, name, b, a, got)
						}
					}
				}
			}
		}
	}
}

// TestFullerIsFurtherFromTheGround: from empty to full the load's colours go one
// way, for every eye.
func TestFullerIsFurtherFromTheGround(t *testing.T) {
	for theme, way := range map[*Theme]float64{Dark: 1, dark256: 1, Light: -1, light256: -1} {
		for name, sight := range sights {
			for role := Load1; role <= Load6; role++ {
				step := way * (lab(theme.Colors[role], sight)[0] - lab(theme.Colors[role-1], sight)[0])
				if step < 2 {
					t.Errorf("%s, %s: from %s to %s the lightness goes by %.1f", theme.Name, name, role-1, role, step)
				}
			}
		}
	}
}

// TestWithoutColour: what the mono theme shows alike has to differ by its
// character, as it does where it is used; these have to differ by themselves.
func TestWithoutColour(t *testing.T) {
	plain := Mono.code(Style{})
	for _, st := range []Style{{Bg: Bar}, {Bg: Select}, {Bg: Cursor}, Fg(Ink).On(Down), Fg(Ink).On(Silent), Fg(Strong), Fg(Dim), Fg(Match), Fg(Accent), Fg(Key)} {
		if Mono.code(st) == plain {
			t.Errorf("%s looks like plain text", st)
		}
	}
	for role := range Roles {
		if Mono.Colors[role] != nil {
			t.Errorf("%s has a colour", role)
		}
	}
}
