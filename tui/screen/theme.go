package screen

import (
	"image/color"

	"github.com/charmbracelet/x/ansi"
)

// Theme says how roles look. A nil colour is the terminal's own.
type Theme struct {
	Name   string
	Dark   bool // it is made for a dark background
	Colors [Roles]color.Color
	Attrs  [Roles]Attr // besides the style's own: all that there is without colour
}

// code is the escape sequence that sets a style, whatever was set before.
func (t *Theme) code(st Style) string {
	attr := st.Attr | t.Attrs[st.Fg]
	if st.Bg != Default {
		attr |= t.Attrs[st.Bg]
	}
	s := ansi.Style{}.Reset()
	if attr&Bold != 0 {
		s = s.Bold()
	}
	if attr&Faint != 0 {
		s = s.Faint()
	}
	if attr&Underline != 0 {
		s = s.Underline(true)
	}
	if attr&Reverse != 0 {
		s = s.Reverse(true)
	}
	if attr&Strike != 0 {
		s = s.Strikethrough(true)
	}
	if fg := t.Colors[st.Fg]; fg != nil {
		s = s.ForegroundColor(fg)
	}
	if bg := t.Colors[st.Bg]; bg != nil && st.Bg != Default {
		s = s.BackgroundColor(bg)
	}
	return s.String()
}

func rgb(v uint32) color.Color {
	return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 0xff}
}

// Dark, Light and Mono are the themes. The load's colours are steps of cividis,
// which the colour-blind see as everybody else does, and grow monotonously
// brighter; health takes the Okabe-Ito colours, and never a colour alone.
var (
	Dark = &Theme{Name: "dark", Dark: true, Colors: [Roles]color.Color{
		Dim: rgb(0x8a8f98), Strong: rgb(0xffffff), Accent: rgb(0x7cc7ff), Key: rgb(0xf0c674), Border: rgb(0x4a505a), Focus: rgb(0x56b4e9),
		Bar: rgb(0x20252d), Select: rgb(0x2f4258), Match: rgb(0xf0e442),
		Good: rgb(0x33c19a), Warn: rgb(0xe69f00), Bad: rgb(0xff7a45), Info: rgb(0x56b4e9),
		Up: rgb(0x33c19a), Starting: rgb(0x56b4e9), Silent: rgb(0xe69f00), Down: rgb(0xff7a45), Closing: rgb(0xcc79a7),
		Load0: rgb(0x2a2e36), Load1: rgb(0x123570), Load2: rgb(0x3b496c), Load3: rgb(0x575d6d), Load4: rgb(0x8a8678), Load5: rgb(0xc4b56c), Load6: rgb(0xfee838), Load7: rgb(0xff7a45),
		Arriving: rgb(0x56b4e9), Leaving: rgb(0xcc79a7),
	}, Attrs: [Roles]Attr{Strong: Bold, Match: Bold}}

	Light = &Theme{Name: "light", Colors: [Roles]color.Color{
		Dim: rgb(0x6a7078), Strong: rgb(0x000000), Accent: rgb(0x005a9c), Key: rgb(0x8a5a00), Border: rgb(0xb8bec8), Focus: rgb(0x0072b2),
		Bar: rgb(0xe8ecf1), Select: rgb(0xcfe3f5), Match: rgb(0x9a6700),
		Good: rgb(0x00785a), Warn: rgb(0x9a6700), Bad: rgb(0xb83a00), Info: rgb(0x0072b2),
		Up: rgb(0x00785a), Starting: rgb(0x0072b2), Silent: rgb(0x9a6700), Down: rgb(0xb83a00), Closing: rgb(0x9c3f74),
		Load0: rgb(0xeef1f5), Load1: rgb(0xfee838), Load2: rgb(0xd8c35f), Load3: rgb(0xa69d75), Load4: rgb(0x7c7b78), Load5: rgb(0x575d6d), Load6: rgb(0x123570), Load7: rgb(0xb83a00),
		Arriving: rgb(0x0072b2), Leaving: rgb(0x9c3f74),
	}, Attrs: [Roles]Attr{Strong: Bold, Match: Bold}}

	Mono = &Theme{Name: "mono", Attrs: [Roles]Attr{
		Strong: Bold, Key: Bold, Accent: Underline, Bar: Reverse, Select: Reverse, Match: Bold | Underline, Dim: Faint,
		Bad: Bold, Warn: Bold, Down: Bold | Reverse, Silent: Bold,
	}}
)
