package screen

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// ANSI is the frame for a terminal, without a line break at its end.
func (c *Canvas) ANSI(theme *Theme) string {
	return string(c.AppendANSI(make([]byte, 0, len(c.all.cells)*3), theme))
}

// AppendANSI appends what ANSI answers.
func (c *Canvas) AppendANSI(to []byte, theme *Theme) []byte {
	codes := map[Style]string{}
	for y := range c.all.height {
		if y > 0 {
			to = append(to, '\n')
		}
		var last Style
		line := c.all.cells[y*c.all.width : (y+1)*c.all.width]
		for i := range line {
			at, text := &line[i], line[i].text
			st := at.style
			if theme.hides(st) { // half the bytes, and nobody sees the difference
				st, text = Style{Bg: st.Bg}, strings.Repeat(" ", int(at.width))
			}
			if st != last {
				last = st
				code, ok := codes[last]
				if !ok {
					code = theme.code(last)
					codes[last] = code
				}
				to = append(to, code...)
			}
			to = append(to, text...)
		}
		if last != (Style{}) {
			to = append(to, ansi.ResetStyle...)
		}
	}
	return to
}

// hides says whether a character in this style is of its background's colour.
func (t *Theme) hides(st Style) bool {
	return st.Fg == st.Bg && t.Colors[st.Bg] != nil && t.attrs(st)&(Underline|Strike|Reverse) == 0
}

// code is the escape sequence that sets a style, whatever was set before.
func (t *Theme) code(st Style) string {
	if st == (Style{}) {
		return ansi.ResetStyle
	}
	attr := t.attrs(st)
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
	fg, bg := t.colors(st)
	if fg != nil {
		s = s.ForegroundColor(fg)
	}
	if bg != nil {
		s = s.BackgroundColor(bg)
	}
	return s.String()
}
