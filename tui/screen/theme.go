package screen

import (
	"image/color"
	"math"
)

// Theme says how roles look. A nil colour is the terminal's own.
type Theme struct {
	Name   string
	Dark   bool // it is made for a dark background
	Colors [Roles]color.Color
	Attrs  [Roles]Attr // besides the style's own: all that there is without colour
	// Grounds are the attributes that a role has as a background.
	Grounds [Roles]Attr

	// Text and Ground are what a picture has where a terminal has its own.
	Text, Ground color.Color
}

// colors are a style's colours; nil is the terminal's own.
func (t *Theme) colors(st Style) (fg, bg color.Color) {
	if st.Bg != Default {
		bg = t.Colors[st.Bg]
	}
	if st.Fg != Ink {
		return t.Colors[st.Fg], bg
	}
	if bg == nil {
		return nil, nil
	}
	if luminance(bg) > 0.179 { // where black and white are read equally well
		return rgb(0), bg
	}
	return rgb(0xffffff), bg
}

// attrs are a style's attributes with those that the theme adds.
func (t *Theme) attrs(st Style) Attr {
	attr := st.Attr | t.Attrs[st.Fg]
	if st.Bg != Default {
		attr |= t.Grounds[st.Bg]
	}
	return attr
}

// luminance is how bright a colour is, from 0 to 1, as WCAG 2 defines it.
func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}

// linear undoes sRGB's gamma.
func linear(v uint32) float64 {
	f := float64(v) / 0xffff
	if f <= 0.04045 {
		return f / 12.92
	}
	return math.Pow((f+0.055)/1.055, 2.4)
}

func rgb(v uint32) color.Color {
	return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 0xff}
}

// Dark, Light and Mono are the themes. The load's colours are steps of cividis,
// which the colour-blind see as everybody else does, and grow monotonously
// brighter; health takes the Okabe-Ito colours, shifted until every eye tells
// them apart and reads them (theme_test.go measures it), and never a colour alone.
var (
	Dark = &Theme{Name: "dark", Dark: true, Colors: [Roles]color.Color{
		Dim: rgb(0x9aa0aa), Strong: rgb(0xffffff), Accent: rgb(0x7cc7ff), Key: rgb(0xf0c674), Border: rgb(0x4a505a), Focus: rgb(0x6ca1ef),
		Bar: rgb(0x20252d), Select: rgb(0x26384c), Match: rgb(0xf0e442),
		Good: rgb(0x37c49c), Warn: rgb(0xe69f00), Bad: rgb(0xff7a45), Info: rgb(0x6ca1ef),
		Up: rgb(0x37c49c), Starting: rgb(0x6ca1ef), Silent: rgb(0xe69f00), Down: rgb(0xff7a45), Closing: rgb(0xd987bb),
		Load0: rgb(0x2a2e36), Load1: rgb(0x123570), Load2: rgb(0x44546c), Load3: rgb(0x646a70), Load4: rgb(0x8a8678), Load5: rgb(0xc4b56c), Load6: rgb(0xfee838), Load7: rgb(0xff7a45),
		Arriving: rgb(0x6ca1ef), Leaving: rgb(0xd987bb), Cursor: rgb(0xffffff),
	}, Attrs: [Roles]Attr{Strong: Bold, Match: Bold},
		Text: rgb(0xd6dae1), Ground: rgb(0x14171c)}

	Light = &Theme{Name: "light", Colors: [Roles]color.Color{
		Dim: rgb(0x5a6068), Strong: rgb(0x000000), Accent: rgb(0x005a9c), Key: rgb(0x8a5a00), Border: rgb(0xb8bec8), Focus: rgb(0x0758b6),
		Bar: rgb(0xe8ecf1), Select: rgb(0xd3e5f5), Match: rgb(0x845500),
		Good: rgb(0x007153), Warn: rgb(0x82562f), Bad: rgb(0xb63900), Info: rgb(0x0758b6),
		Up: rgb(0x007153), Starting: rgb(0x0758b6), Silent: rgb(0x82562f), Down: rgb(0xb63900), Closing: rgb(0x963d74),
		Load0: rgb(0xeef1f5), Load1: rgb(0xfee838), Load2: rgb(0xd8c35f), Load3: rgb(0xa69d75), Load4: rgb(0x7c7b78), Load5: rgb(0x575d6d), Load6: rgb(0x123570), Load7: rgb(0xb63900),
		Arriving: rgb(0x0758b6), Leaving: rgb(0x963d74), Cursor: rgb(0x000000),
	}, Attrs: [Roles]Attr{Strong: Bold, Match: Bold},
		Text: rgb(0x1f2328), Ground: rgb(0xffffff)}

	Mono = &Theme{Name: "mono", Attrs: [Roles]Attr{
		Strong: Bold, Key: Bold, Accent: Underline, Match: Bold | Underline, Dim: Faint,
		Bad: Bold, Warn: Bold, Down: Bold, Silent: Bold,
	}, Grounds: [Roles]Attr{
		Bar: Reverse, Select: Reverse, Cursor: Reverse, Match: Reverse,
		Starting: Reverse, Silent: Reverse, Down: Reverse, Closing: Reverse,
	}, Text: rgb(0x1f2328), Ground: rgb(0xffffff)}
)
