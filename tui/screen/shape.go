package screen

import "strings"

// Lines is how a box is drawn.
type Lines uint8

// The lines of boxes.
const (
	Round Lines = iota
	Square
	Heavy
	Double
	Dashed
	Dotted
)

// lineSet is a box's pieces: horizontal, vertical, and the corners from the top
// left clockwise.
var lineSet = [...][6]string{
	Round:  {"─", "│", "╭", "╮", "╯", "╰"},
	Square: {"─", "│", "┌", "┐", "┘", "└"},
	Heavy:  {"━", "┃", "┏", "┓", "┛", "┗"},
	Double: {"═", "║", "╔", "╗", "╝", "╚"},
	Dashed: {"╌", "╎", "┌", "┐", "┘", "└"},
	Dotted: {"┈", "┊", "┌", "┐", "┘", "└"},
}

// Box draws a box around the whole canvas, with a title in its upper line and a
// note at that line's right end, and answers the canvas inside. The title goes
// before the note where there is no room for both.
func (c *Canvas) Box(lines Lines, title, note string, st Style) *Canvas {
	w, h := c.Size()
	set := lineSet[lines]
	if w < 2 || h < 2 {
		return c.Sub(0, 0, 0, 0)
	}
	c.Fill(1, 0, w-2, 1, set[0], st)
	c.Fill(1, h-1, w-2, 1, set[0], st)
	c.Fill(0, 1, 1, h-2, set[1], st)
	c.Fill(w-1, 1, 1, h-2, set[1], st)
	c.Text(0, 0, set[2], st)
	c.Text(w-1, 0, set[3], st)
	c.Text(w-1, h-1, set[4], st)
	c.Text(0, h-1, set[5], st)
	used := 0
	if title != "" && w > 6 {
		title = Cut(title, w-6)
		c.Text(2, 0, " "+title+" ", Fg(Strong).On(st.Bg))
		used = Width(title) + 2
	}
	if left := w - 6 - used; note != "" && left >= 4 {
		note = Cut(note, left-2)
		c.Text(w-4-Width(note), 0, " "+note+" ", Fg(Dim).On(st.Bg))
	}
	return c.Sub(1, 1, w-2, h-2)
}

// Scrollbar draws, in one column, which part of a list is seen: the rows from
// first on of so many. Nothing is drawn where all are seen.
func (c *Canvas) Scrollbar(x, y, height, first, seen, of int, st Style) {
	if height <= 0 || of <= seen || of <= 0 {
		return
	}
	thumb := min(max(height*seen/of, 1), height)
	at := 0
	if of > seen {
		at = min(max(first, 0), of-seen) * (height - thumb) / (of - seen)
	}
	c.Fill(x, y, 1, height, "│", Fg(Border).On(st.Bg))
	c.Fill(x, y+at, 1, thumb, "┃", st)
}

// Rule draws a line from left to right.
func (c *Canvas) Rule(x, y, width int, st Style) {
	c.Text(x, y, strings.Repeat("─", max(width, 0)), st)
}
