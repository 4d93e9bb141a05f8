package screen

import "github.com/charmbracelet/x/ansi"

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
			at := &line[i]
			if at.style != last {
				last = at.style
				code, ok := codes[last]
				if !ok {
					code = theme.code(last)
					codes[last] = code
				}
				to = append(to, code...)
			}
			to = append(to, at.text...)
		}
		if last != (Style{}) {
			to = append(to, ansi.ResetStyle...)
		}
	}
	return to
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
