package screen

import (
	"image/color"

	"github.com/charmbracelet/x/ansi"
)

// Within is the theme for a terminal that shows so many colours. What a terminal
// of 256 would make of the others by itself, the eye does not tell apart; with 16,
// of which nobody knows how they look, loads are told by their characters.
func (t *Theme) Within(colors int) *Theme {
	switch {
	case t == Mono || colors >= 1<<24:
		return t
	case colors >= 256 && t.Dark:
		return dark256
	case colors >= 256:
		return light256
	case colors >= 16 && t.Dark:
		return dark16
	case colors >= 16:
		return light16
	}
	return Mono
}

// The themes of 256 colours take those that never differ from terminal to terminal:
// the nearest to the theme's own that pass the same tests.
var (
	dark256 = Dark.with("dark256", map[Role]uint8{
		Dim: 247, Strong: 231, Accent: 117, Key: 222, Border: 240, Focus: 111,
		Bar: 235, Select: 17, Match: 227, Good: 36, Warn: 214, Bad: 209, Info: 111,
		Up: 36, Starting: 111, Silent: 214, Down: 209, Closing: 175,
		Load0: 236, Load1: 24, Load2: 242, Load3: 102, Load4: 248, Load5: 186, Load6: 227, Load7: 209,
		Arriving: 111, Leaving: 175, Cursor: 231,
	})
	light256 = Light.with("light256", map[Role]uint8{
		Dim: 59, Strong: 16, Accent: 25, Key: 94, Border: 249, Focus: 25,
		Bar: 255, Select: 195, Match: 94, Good: 23, Warn: 94, Bad: 88, Info: 25,
		Up: 23, Starting: 25, Silent: 94, Down: 88, Closing: 96,
		Load0: 231, Load1: 227, Load2: 185, Load3: 144, Load4: 246, Load5: 243, Load6: 25, Load7: 124,
		Arriving: 25, Leaving: 96, Cursor: 16,
	})
)

// The themes of 16 colours leave the ground to the terminal: a bar is none, and the
// line under the cursor is reversed.
var (
	dark16 = Dark.with("dark16", map[Role]uint8{
		Dim: 7, Strong: 15, Accent: 14, Key: 11, Border: 8, Focus: 12, Match: 11,
		Good: 10, Warn: 11, Bad: 9, Info: 12,
		Up: 10, Starting: 12, Silent: 11, Down: 9, Closing: 13, Load7: 9, Arriving: 12, Leaving: 13,
	}).plain()
	light16 = Light.with("light16", map[Role]uint8{
		Dim: 8, Strong: 0, Accent: 4, Key: 5, Border: 8, Focus: 4, Match: 5,
		Good: 2, Warn: 3, Bad: 1, Info: 4,
		Up: 2, Starting: 4, Silent: 3, Down: 1, Closing: 5, Load7: 1, Arriving: 4, Leaving: 5,
	}).plain()
)

// with is the theme with these colours and no others.
func (t *Theme) with(name string, colors map[Role]uint8) *Theme {
	of := *t
	of.Name, of.Colors = name, [Roles]color.Color{}
	for role, index := range colors {
		if index < 16 {
			of.Colors[role] = ansi.BasicColor(index)
		} else {
			of.Colors[role] = ansi.IndexedColor(index)
		}
	}
	return &of
}

// plain is the theme without grounds but those of what is unwell.
func (t *Theme) plain() *Theme {
	t.Grounds[Select], t.Grounds[Cursor] = Reverse, Reverse
	t.Attrs[Key] = Bold
	return t
}
