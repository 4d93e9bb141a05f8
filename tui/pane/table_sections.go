package pane

import (
	"dacorch/tui/screen"
)

// sections are tables below each other's names: side by side where there is room
// for all, else the one that has the keyboard, and the others' names.
type sections struct {
	names  []string
	shares []int // of the width, when side by side
	wide   int   // columns from which on they stand side by side

	at    int     // which has the keyboard
	areas []place // of the last draw
}

// place is where a section was drawn; its name is on line y-1.
type place struct{ section, x, y, width, height int }

// draw draws the names, each with its count, and calls body for each section that
// is seen.
func (n *sections) draw(c *screen.Canvas, counts []string, body func(section int, c *screen.Canvas, focused bool)) {
	w, h := c.Size()
	n.areas = n.areas[:0]
	if h < 2 {
		return
	}
	if w >= n.wide {
		n.beside(c, counts, body)
		return
	}
	x := gutter
	c.Rule(0, 0, w, screen.Fg(screen.Border))
	for i, name := range n.names {
		text, st := "  "+name+" "+counts[i]+" ", screen.Fg(screen.Dim)
		if i == n.at {
			text, st = " ▸"+text[2:], screen.Fg(screen.Strong).On(screen.Select)
		}
		width := screen.Width(text)
		c.Text(x, 0, text, st)
		n.areas = append(n.areas, place{section: i, x: x, y: 1, width: width})
		x += width + 1
	}
	n.areas = append(n.areas, place{section: n.at, y: 1, width: w, height: h - 1})
	body(n.at, c.Sub(0, 1, w, h-1), true)
}

func (n *sections) beside(c *screen.Canvas, counts []string, body func(int, *screen.Canvas, bool)) {
	w, h := c.Size()
	x, sum := 0, 0
	for _, share := range n.shares {
		sum += share
	}
	for i, name := range n.names {
		width := (w - len(n.names) + 1) * n.shares[i] / sum
		if i == len(n.names)-1 {
			width = w - x
		}
		line, text := screen.Fg(screen.Border), screen.Fg(screen.Dim)
		mark := "  "
		if i == n.at {
			line, text, mark = screen.Fg(screen.Focus), screen.Fg(screen.Strong), " ▸"
		}
		c.Rule(x, 0, width, line)
		c.Sub(x, 0, width, 1).Text(gutter-1, 0, mark+name+" "+counts[i]+" ", text)
		n.areas = append(n.areas, place{i, x, 1, width, h - 1})
		body(i, c.Sub(x, 1, width, h-1), i == n.at)
		x += width + 1
	}
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
// it that was; y is below 0 for its name.
func (n *sections) click(x, y int) (inX, inY int, ok bool) {
	for _, at := range n.areas {
		if x >= at.x && x < at.x+at.width && y >= at.y-1 && y < at.y+at.height {
			n.at = at.section
			return x - at.x, y - at.y, true
		}
	}
	return 0, 0, false
}

// keysOfSections go from one to another.
var keysOfSections = []KeyHelp{{Key: "tab ← →", Does: "the next section, the one before", Footer: true}}

// labels draws names and values below each other, and answers how many lines it
// took. A value that is too long is cut.
func labels(c *screen.Canvas, lines []label) int {
	w, h := c.Size()
	lines = lines[:min(len(lines), h)]
	const width = 9
	for y, l := range lines {
		c.Text(gutter, y, l.name, screen.Fg(screen.Dim))
		if l.draw != nil {
			l.draw(c.Sub(gutter+width, y, w-gutter-width, 1))
			continue
		}
		c.TextIn(gutter+width, y, w-gutter-width, l.text, screen.Fg(l.role))
	}
	return len(lines)
}

// label is a value with its name; draw draws it instead of text.
type label struct {
	name, text string
	role       screen.Role
	draw       func(c *screen.Canvas)
}
