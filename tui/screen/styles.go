package screen

import (
	"fmt"
	"strings"
)

var roleNames = [Roles]string{
	"-", "dim", "strong", "accent", "key", "border", "focus", "bar", "select", "match", "good", "warn", "bad", "info",
	"up", "starting", "silent", "down", "closing",
	"load0", "load1", "load2", "load3", "load4", "load5", "load6", "load7", "arriving", "leaving", "ink", "cursor",
}

// String is the role's name, "-" for Default.
func (r Role) String() string {
	if r >= Roles {
		return fmt.Sprintf("role%d", uint8(r))
	}
	return roleNames[r]
}

var attrNames = []string{"bold", "faint", "underline", "reverse", "strike"}

// String is such as "bad/bar bold": the character's role, the background's, the
// attributes.
func (s Style) String() string {
	text := s.Fg.String()
	if s.Bg != Default {
		text += "/" + s.Bg.String()
	}
	for i, name := range attrNames {
		if s.Attr&(1<<i) != 0 {
			text += " " + name
		}
	}
	return text
}

// Styles is where the frame has which style: one line for each row that has any
// but the plain one, such as "3: 2-11 accent, 14-20 bad/bar bold". Rows and
// columns begin at 0.
func (c *Canvas) Styles() string {
	var b strings.Builder
	for y := range c.all.height {
		sep := fmt.Sprintf("%d: ", y)
		for _, run := range c.all.runs(y) {
			if run.style == (Style{}) {
				continue
			}
			fmt.Fprintf(&b, "%s%d", sep, run.from)
			if run.to > run.from+1 {
				fmt.Fprintf(&b, "-%d", run.to-1)
			}
			fmt.Fprintf(&b, " %s", run.style)
			sep = ", "
		}
		if sep == ", " {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// run is a part of a row, from column from to before column to, in one style.
type run struct {
	from, to int
	style    Style
}

// runs are a row's parts.
func (f *frame) runs(y int) []run {
	var runs []run
	for x, at := range f.cells[y*f.width : (y+1)*f.width] {
		if n := len(runs); n > 0 && runs[n-1].style == at.style {
			runs[n-1].to = x + 1
			continue
		}
		runs = append(runs, run{x, x + 1, at.style})
	}
	return runs
}
