package screen

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"strings"
)

// The size of a cell in a picture, and where its text's baseline is, in pixels.
const (
	cellWidth  = 9
	cellHeight = 18
	baseline   = 14
	fontSize   = 15
	margin     = 12
)

// SVG writes the frame as a picture that needs nothing else: text in whatever
// monospace font the viewer has, each run of it held to its columns; lines,
// blocks and shades as shapes, so that they join.
func (c *Canvas) SVG(w io.Writer, theme *Theme) error {
	out := bufio.NewWriter(w)
	p := &picture{out: out, frame: c.all, theme: theme, strokes: map[string]*strings.Builder{}}
	width, height := c.all.width*cellWidth+2*margin, c.all.height*cellHeight+2*margin
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="%d">`+"\n",
		width, height, width, height, fontSize)
	fmt.Fprintf(out, `<rect width="%d" height="%d" rx="8" fill="%s"/>`+"\n", width, height, hex(theme.Ground))
	fmt.Fprintf(out, `<g transform="translate(%d %d)">`+"\n", margin, margin)
	for y := range c.all.height {
		p.backgrounds(y)
	}
	for y := range c.all.height {
		p.row(y)
	}
	p.flushStrokes()
	fmt.Fprint(out, "</g>\n</svg>\n")
	return out.Flush()
}

// picture is an SVG that is being written.
type picture struct {
	out     *bufio.Writer
	frame   *frame
	theme   *Theme
	order   []string                    // of strokes, as they came up
	strokes map[string]*strings.Builder // path data by attributes: the lines of one look are one path
}

// look is how a style comes out in a picture.
func (t *Theme) look(st Style) (fg, bg color.Color, attr Attr) {
	fg, bg = t.colors(st)
	attr = t.attrs(st)
	if fg == nil {
		fg = t.Text
	}
	if attr&Reverse != 0 {
		if bg == nil {
			bg = t.Ground
		}
		fg, bg = bg, fg
	}
	return fg, bg, attr
}

// backgrounds draws a row's backgrounds, neighbours of one colour as one.
func (p *picture) backgrounds(y int) {
	from, last := 0, ""
	flush := func(to int) {
		if last != "" {
			fmt.Fprintf(p.out, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n",
				from*cellWidth, y*cellHeight, (to-from)*cellWidth, cellHeight, last)
		}
		from = to
	}
	for _, r := range p.frame.runs(y) {
		fill := ""
		if _, bg, _ := p.theme.look(r.style); bg != nil {
			fill = hex(bg)
		}
		if fill != last {
			flush(r.from)
			last = fill
		}
	}
	flush(p.frame.width)
}

// row draws a row's characters: ASCII in runs, every other one by itself, for its
// width may be another font's.
func (p *picture) row(y int) {
	line := p.frame.cells[y*p.frame.width : (y+1)*p.frame.width]
	for _, r := range p.frame.runs(y) {
		fg, bg, attr := p.theme.look(r.style)
		if bg != nil && hex(fg) == hex(bg) {
			continue // it is not meant to be seen
		}
		var text strings.Builder
		from, width := r.from, 0
		flush := func() {
			if strings.TrimSpace(text.String()) != "" || attr&(Underline|Strike) != 0 && text.Len() > 0 {
				p.text(from, y, width, text.String(), fg, attr)
			}
			text.Reset()
			width = 0
		}
		for x := r.from; x < r.to; x++ {
			at := line[x]
			switch {
			case at.width == 0:
			case at.width == 1 && len(at.text) == 1:
				if text.Len() == 0 {
					from = x
				}
				text.WriteString(at.text)
				width++
			default:
				flush()
				if !p.shape(x, y, at.text, hex(fg), attr) {
					from, width = x, int(at.width)
					text.WriteString(at.text)
					flush()
				}
			}
		}
		flush()
	}
}

func (p *picture) text(x, y, width int, text string, fg color.Color, attr Attr) {
	trimmed := strings.TrimLeft(text, " ")
	if attr&(Underline|Strike) == 0 {
		x, width = x+len(text)-len(trimmed), width-(len(text)-len(trimmed))
		text = strings.TrimRight(trimmed, " ")
		width -= len(trimmed) - len(text)
	}
	fmt.Fprintf(p.out, `<text x="%d" y="%d" textLength="%d" lengthAdjust="spacingAndGlyphs" fill="%s"%s xml:space="preserve">`,
		x*cellWidth, y*cellHeight+baseline, width*cellWidth, hex(fg), textAttributes(attr))
	if xml.EscapeText(p.out, []byte(text)) != nil {
		return // the writer keeps the error for Flush
	}
	fmt.Fprint(p.out, "</text>\n")
}

func textAttributes(attr Attr) string {
	text := ""
	if attr&Bold != 0 {
		text += ` font-weight="bold"`
	}
	if attr&Faint != 0 {
		text += ` opacity="0.6"`
	}
	var lines []string
	if attr&Underline != 0 {
		lines = append(lines, "underline")
	}
	if attr&Strike != 0 {
		lines = append(lines, "line-through")
	}
	if lines != nil {
		text += ` text-decoration="` + strings.Join(lines, " ") + `"`
	}
	return text
}

// hex is a colour as SVG has it.
func hex(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}
