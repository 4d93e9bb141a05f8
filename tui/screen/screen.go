// Package screen is what the terminal UI draws on: a canvas of cells whose style
// is a role, such as "bad" or "load 5 of 7", not a colour. A theme gives roles
// their colours; one frame can be written as text for a terminal, as plain text
// and as SVG.
//
//	c := screen.New(80, 24)
//	c.Text(2, 1, "iota-dac-3", screen.Fg(screen.Accent))
//	io.WriteString(terminal, c.ANSI(screen.Dark))
//
// Text comes from outside: what could move a terminal's cursor, or make it do
// anything but show a character, never reaches a cell.
package screen

import (
	"image"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/clipperhouse/displaywidth"
)

// Role is what something on the screen is; a theme says how it looks.
type Role uint8

// The roles. Default is the terminal's own colour.
const (
	Default Role = iota
	Dim          // what matters less
	Strong       // headings, what matters most
	Accent       // names of things that can be opened
	Key          // a key to press
	Border       // lines
	Focus        // lines around what has the keyboard
	Bar          // the background of header and footer
	Select       // the background of the line under the cursor
	Match        // what a search has found
	Good
	Warn
	Bad
	Info

	// The health of an instance.
	Up       // runs and is heard
	Starting // pending, loading, or being created
	Silent   // runs, and is not heard; or its node is lost
	Down     // no pod runs that should
	Closing  // drained, released, terminating

	// How full an instance is, from nothing to more than it may hold.
	Load0 // empty
	Load1 // up to 20 %
	Load2 // up to 40 %
	Load3 // up to 60 %
	Load4 // up to 80 %
	Load5 // below 100 %
	Load6 // full
	Load7 // over its capacity

	Arriving // resources come
	Leaving  // resources go

	Ink    // text on the background of a load, a health or Cursor: black or white, what is read better
	Cursor // the background of the one cell under the cursor

	Roles // how many there are
)

// Attr is a set of attributes.
type Attr uint8

// The attributes.
const (
	Bold Attr = 1 << iota
	Faint
	Underline
	Reverse
	Strike
)

// Style is how a cell looks: what its character and its background are, and
// attributes beside the theme's own.
type Style struct {
	Fg, Bg Role
	Attr   Attr
}

// Fg is a style with a role for the character.
func Fg(r Role) Style { return Style{Fg: r} }

// On is the style with another background.
func (s Style) On(bg Role) Style { s.Bg = bg; return s }

// With is the style with more attributes.
func (s Style) With(a Attr) Style { s.Attr |= a; return s }

// LoadRole is the role for how full an instance is.
func LoadRole(used, capacity int) Role {
	switch {
	case used <= 0:
		return Load0
	case used > capacity:
		return Load7
	case used == capacity:
		return Load6
	}
	return Load1 + Role(min(max(used*5/capacity, 0), 4)) // a product beyond int is below 0
}

// cell is one place on the canvas. The place right of a wide character has an
// empty text and width 0.
type cell struct {
	text  string // one grapheme
	style Style
	width int8
}

// Canvas is an area to draw on. Coordinates begin at 0, 0 at its top left; what
// lies outside is not drawn. Canvases that Sub made share their cells.
type Canvas struct {
	all  *frame
	area image.Rectangle // on the frame
}

// frame is the cells of a whole frame.
type frame struct {
	width, height int
	cells         []cell
	cursor        image.Point
	cursorOn      bool
}

// New makes a blank canvas. Its sides are at least 1 and at most 4096.
func New(width, height int) *Canvas {
	width, height = min(max(width, 1), 4096), min(max(height, 1), 4096)
	f := &frame{width: width, height: height, cells: make([]cell, width*height)}
	c := &Canvas{all: f, area: image.Rect(0, 0, width, height)}
	c.Reset()
	return c
}

// Reset blanks the whole frame and hides the cursor, so that a canvas can be
// drawn on again.
func (c *Canvas) Reset() {
	blank := cell{text: " ", width: 1}
	for i := range c.all.cells {
		c.all.cells[i] = blank
	}
	c.all.cursor, c.all.cursorOn = image.Point{}, false
}

// Size is how wide and high the canvas is.
func (c *Canvas) Size() (width, height int) { return c.area.Dx(), c.area.Dy() }

// Sub is the part of the canvas that begins at x, y; its sides may be cut.
func (c *Canvas) Sub(x, y, width, height int) *Canvas {
	at := c.area.Min.Add(image.Pt(x, y))
	return &Canvas{all: c.all, area: image.Rectangle{Min: at, Max: at.Add(image.Pt(max(width, 0), max(height, 0)))}.Intersect(c.area)}
}

// Clear fills the canvas with blanks.
func (c *Canvas) Clear(st Style) { w, h := c.Size(); c.Fill(0, 0, w, h, " ", st) }

// Fill fills a rectangle with a character.
func (c *Canvas) Fill(x, y, width, height int, text string, st Style) {
	for dy := range height {
		for dx := range width {
			c.put(x+dx, y+dy, text, 1, st)
		}
	}
}

// put sets one cell; a wide character's halves that lose each other are blanked.
func (c *Canvas) put(x, y int, text string, width int, st Style) {
	p := c.area.Min.Add(image.Pt(x, y))
	if !p.In(c.area) || width > 1 && p.X+width > c.area.Max.X {
		return
	}
	line := c.all.cells[p.Y*c.all.width : (p.Y+1)*c.all.width]
	if width == 1 && line[p.X].width == 1 {
		line[p.X] = cell{text, st, 1}
		return
	}
	blank := func(x int) { line[x].text, line[x].width = " ", 1 }
	for i := range width {
		at := p.X + i
		if line[at].width == 0 && at > 0 && line[at-1].width > 1 {
			blank(at - 1)
		}
		if line[at].width > 1 && at+1 < len(line) {
			blank(at + 1)
		}
		line[at] = cell{style: st}
	}
	line[p.X] = cell{text, st, int8(width)}
}

// Text writes one line of text and answers how many columns it took. What does
// not fit is cut.
func (c *Canvas) Text(x, y int, text string, st Style) int {
	from, width := x, c.area.Dx()
	n := plain(text)
	for i := 0; i < n && x < width; i++ {
		c.put(x, y, text[i:i+1], 1, st)
		x++
	}
	g := displaywidth.StringGraphemes(text[n:])
	for x < width && g.Next() {
		shown, w := Shown(g.Value(), g.Width())
		if w == 0 {
			continue
		}
		if x+w > width {
			break
		}
		c.put(x, y, shown, w, st)
		x += w
	}
	return x - from
}

// plain is how many bytes at a text's beginning are ASCII characters that stand
// for themselves. The last one is not counted when more follows, which might
// combine with it.
func plain(text string) int {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] >= 0x7f {
			return max(i-1, 0)
		}
	}
	return len(text)
}

// TextIn writes text into so many columns: cut with an ellipsis where it is too
// long.
func (c *Canvas) TextIn(x, y, width int, text string, st Style) { c.Text(x, y, Cut(text, width), st) }

// TextRight writes text so that it ends before column x+width.
func (c *Canvas) TextRight(x, y, width int, text string, st Style) {
	text = Cut(text, width)
	c.Text(x+width-Width(text), y, text, st)
}

// Paint changes the style of cells and leaves their characters.
func (c *Canvas) Paint(x, y, width, height int, change func(Style) Style) {
	r := image.Rect(x, y, x+width, y+height).Add(c.area.Min).Intersect(c.area)
	for py := r.Min.Y; py < r.Max.Y; py++ {
		for px := r.Min.X; px < r.Max.X; px++ {
			at := &c.all.cells[py*c.all.width+px]
			at.style = change(at.style)
		}
	}
}

// Cursor shows the terminal's cursor at a place.
func (c *Canvas) Cursor(x, y int) {
	p := c.area.Min.Add(image.Pt(x, y))
	c.all.cursor, c.all.cursorOn = p, p.In(c.area)
}

// CursorAt answers where Cursor put it, on the whole frame.
func (c *Canvas) CursorAt() (x, y int, on bool) {
	return c.all.cursor.X, c.all.cursor.Y, c.all.cursorOn
}

// Shown is a grapheme as it may be put on a terminal, and its width: control
// characters, what reorders text, and broken UTF-8 are shown as one dot.
func Shown(grapheme string, width int) (string, int) {
	for _, r := range grapheme {
		switch {
		case r < 0x20, r >= 0x7f && r < 0xa0, r == '\uFFFD',
			r >= 0x200B && r <= 0x200F, r >= 0x2028 && r <= 0x202E, r >= 0x2060 && r <= 0x206F, r == 0xFEFF, r == 0x061C:
			if r == 0x200D && len(grapheme) > 3 { // joins the parts of one emoji
				continue
			}
			return "·", 1
		}
	}
	r, size := utf8.DecodeRuneInString(grapheme)
	switch alone := size == len(grapheme); {
	case alone && (r < 0x800 || r >= 0x2000 && r < 0xFB00), agreed(grapheme, width):
		return grapheme, width
	case alone:
		return "·", 1
	}
	return Shown(grapheme[:size], displaywidth.String(grapheme[:size])) // of a family, one of it
}

// agreed says whether terminals agree how wide a grapheme is, those that measure
// each character and those that measure the whole: beside one of which they do
// not, everything would stand in the wrong place. Nor do those with many accents
// count, which would run over other lines.
func agreed(grapheme string, width int) bool {
	return len(grapheme) <= 64 && ansi.StringWidthWc(grapheme) == width && ansi.StringWidth(grapheme) == width
}

// Clean is a text as Text shows it, for where there is no canvas: a window's title,
// an error.
func Clean(text string) string {
	var b strings.Builder
	for g := displaywidth.StringGraphemes(text); g.Next(); {
		if shown, w := Shown(g.Value(), g.Width()); w > 0 {
			b.WriteString(shown)
		}
	}
	return b.String()
}

// Width is how many columns a text takes.
func Width(text string) int {
	n := plain(text)
	for g := displaywidth.StringGraphemes(text[n:]); g.Next(); {
		_, w := Shown(g.Value(), g.Width())
		n += w
	}
	return n
}

// Cut shortens a text to so many columns, with an ellipsis at its end.
func Cut(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if len(text) <= width && plain(text) == len(text) {
		return text
	}
	n, at, keep := 0, 0, 0 // columns, bytes, and bytes before the ellipsis
	for g := displaywidth.StringGraphemes(text); g.Next(); {
		_, w := Shown(g.Value(), g.Width())
		if n += w; n > width { // however much follows
			return Clean(text[:keep]) + "…"
		}
		at += len(g.Value())
		if n < width {
			keep = at
		}
	}
	return text
}

// Plain is the frame without styles, each line without blanks at its end.
func (c *Canvas) Plain() string {
	var b strings.Builder
	for y := range c.all.height {
		line := c.all.cells[y*c.all.width : (y+1)*c.all.width]
		for len(line) > 0 && line[len(line)-1].text == " " {
			line = line[:len(line)-1]
		}
		for _, at := range line {
			b.WriteString(at.text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
