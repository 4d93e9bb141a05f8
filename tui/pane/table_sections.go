package pane

import (
	"slices"

	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// sections are tables with a name each: all of them where there is room, else
// the one that has the keyboard, and the others' names.
type sections struct {
	names []string
	// areas divides what room there is, names included; nil: it is enough for one.
	areas func(width, height int) []area

	at    int    // which has the keyboard
	told  error  // what the summary above them says
	drawn []part // of the last draw
}

// area is a place on a canvas.
type area struct{ x, y, width, height int }

// part is where a section can be clicked; its name is on the first line.
type part struct {
	section int
	area
}

// draw draws the names, each with its count, and calls body for each section that
// is seen.
func (n *sections) draw(c *screen.Canvas, counts []string, body func(section int, c *screen.Canvas, focused bool)) {
	w, h := c.Size()
	n.drawn = n.drawn[:0]
	if h < 2 {
		return
	}
	areas := n.areas(w, h)
	if areas == nil {
		n.tabs(c, counts)
		body(n.at, c.Sub(0, 1, w, h-1), true)
		return
	}
	for i, at := range areas {
		n.drawn = append(n.drawn, part{i, at})
		line, text, mark := screen.Fg(screen.Border), screen.Fg(screen.Dim), "─ "
		if i == n.at {
			line, text, mark = screen.Fg(screen.Focus), screen.Fg(screen.Strong), "▸ "
		}
		c.Rule(at.x, at.y, at.width, line)
		in := c.Sub(at.x, at.y, at.width, at.height)
		in.Text(0, 0, mark, line)
		in.Text(gutter, 0, n.names[i]+" "+counts[i]+" ", text)
		body(i, in.Sub(0, 1, at.width, at.height-1), i == n.at)
	}
}

// tabs draws the names on one line.
func (n *sections) tabs(c *screen.Canvas, counts []string) {
	w, h := c.Size()
	c.Rule(0, 0, w, screen.Fg(screen.Border))
	x := 0
	for i, name := range n.names {
		text, st := "  "+name+" "+counts[i]+" ", screen.Fg(screen.Dim)
		if i == n.at {
			text, st = "▸"+text[1:], screen.Fg(screen.Strong).On(screen.Select)
		}
		width := screen.Width(text)
		c.Text(x, 0, text, st)
		n.drawn = append(n.drawn, part{i, area{x: x, width: width, height: 1}})
		x += width + 1
	}
	n.drawn = append(n.drawn, part{n.at, area{width: w, height: h}})
}

// trouble is as the function, but for what is told above already.
func (n *sections) trouble(c *screen.Canvas, s *data.State, a *data.Answer, what string) (above *screen.Canvas, old bool) {
	if a != nil && a.Err != nil && a.Value != nil && n.told != nil && n.told.Error() == a.Err.Error() {
		return c, true
	}
	return trouble(c, s, a, what)
}

// press goes to another section; false for other keys.
func (n *sections) press(key string) bool {
	switch key {
	case "tab", "right", "l":
		n.at = (n.at + 1) % len(n.names)
	case "shift+tab", "left", "h":
		n.at = (n.at + len(n.names) - 1) % len(n.names)
	default:
		return false
	}
	return true
}

// click gives the keyboard to the section that was clicked, and answers where in
// its table that was; y is below 0 for its name.
func (n *sections) click(x, y int) (inX, inY int, ok bool) {
	i := slices.IndexFunc(n.drawn, func(p part) bool {
		return x >= p.x && x < p.x+p.width && y >= p.y && y < p.y+p.height
	})
	if i < 0 {
		return 0, 0, false
	}
	n.at = n.drawn[i].section
	return x - n.drawn[i].x, y - n.drawn[i].y - 1, true
}

// keysOfSections go from one to another.
var keysOfSections = []KeyHelp{{Key: "tab ← →", Does: "next section", Footer: true}}

// labels draws names and values below each other, and answers how many lines it
// took. A value that is too long is cut.
func labels(c *screen.Canvas, lines []label) int {
	w, h := c.Size()
	lines = lines[:min(len(lines), h)]
	const width = 10
	for y, l := range lines {
		c.Text(gutter, y, l.name, screen.Fg(screen.Dim))
		in := c.Sub(gutter+width, y, w-gutter-width, 1)
		if l.draw != nil {
			l.draw(in)
			continue
		}
		in.TextIn(0, 0, w-gutter-width, l.text, screen.Fg(l.role))
	}
	return len(lines)
}

// label is a value with its name; draw draws it instead of text.
type label struct {
	name, text string
	role       screen.Role
	draw       func(c *screen.Canvas)
}
