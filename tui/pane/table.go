package pane

import (
	"slices"

	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// column is one column of a table of R.
type column[R any] struct {
	title string
	least int  // columns it needs; with less it falls away
	most  int  // columns it takes at most when its values need them
	right bool // values stand at its right, as numbers do
	rank  int  // the higher, the sooner it falls away on a narrow screen; 0: never
	text  func(r *R, s *data.State) (string, screen.Style)
	// draw draws a value instead of text, most columns wide where there is room.
	draw  func(c *screen.Canvas, width int, r *R, s *data.State)
	order func(a, b *R) int // nil: nothing can be sorted by it
	down  bool              // the largest come first
}

// grid draws rows as a table, and keeps a cursor and a scroll position. Whose
// rows they are, and in which order, is not its business.
type grid[R any] struct {
	columns []column[R]
	sorted  int  // the column that the rows are sorted by
	reverse bool // against the column's own direction
	mark    string

	cursor, top int
	count       int   // rows, at the last look
	whole       int   // rows that there are, where these are not all; else 0
	height      int   // rows that were seen last
	natural     []int // how wide the values of each column were, so far
	clock       bool  // times were those of a clock, not of the day
	shown       []slot
}

// slot is a column's place on the screen.
type slot struct{ column, x, width int }

const gutter = 2 // columns before the first: the cursor's mark

// value is a cell's text and how it looks.
type value struct {
	text  string
	style screen.Style
}

// draw draws header and rows; row may answer nil for one that is not there yet.
// Focused says that the keyboard is here.
func (g *grid[R]) draw(c *screen.Canvas, s *data.State, row func(int) *R, focused bool) {
	width, height := c.Size()
	g.height = max(height-1, 0)
	g.scroll()
	seen := make([]*R, 0, g.height)
	for i := g.top; i < min(g.top+g.height, g.count); i++ {
		seen = append(seen, row(i))
	}
	texts := g.format(seen, s)
	g.layout(width - 1) // the last column is the scrollbar's
	g.header(c)
	for i, r := range seen {
		y, at := i+1, g.top+i == g.cursor
		if r == nil {
			c.Text(gutter, y, "…", screen.Fg(screen.Dim))
		} else {
			g.line(c, y, r, texts[i*len(g.columns):], s)
		}
		if at {
			g.under(c, y, width-1, focused)
		}
	}
	c.Scrollbar(width-1, 1, g.height, g.top, g.height, max(g.count, g.whole), screen.Fg(screen.Dim))
}

// under marks the line under the cursor: by a shape, and by its background when
// the keyboard is here.
func (g *grid[R]) under(c *screen.Canvas, y, width int, focused bool) {
	if !focused {
		c.Text(0, y, "›", screen.Fg(screen.Dim))
		return
	}
	c.Text(0, y, "▸", screen.Fg(screen.Focus))
	c.Paint(0, y, width, 1, func(st screen.Style) screen.Style { return st.On(screen.Select) })
}

// format makes the texts of the rows that are seen, and learns how wide they are.
func (g *grid[R]) format(seen []*R, s *data.State) []value {
	_, clock := s.Clock()
	if len(g.natural) != len(g.columns) || clock != g.clock {
		g.clock = clock
		g.natural = make([]int, len(g.columns))
		for i := range g.columns {
			col := &g.columns[i]
			g.natural[i] = screen.Width(col.title)
			if col.order != nil {
				g.natural[i] += 2 // the direction's arrow
			}
			if col.draw != nil {
				g.natural[i] = max(g.natural[i], col.most)
			}
		}
	}
	texts := make([]value, len(seen)*len(g.columns))
	for i, r := range seen {
		for j := range g.columns {
			if g.columns[j].text == nil || r == nil {
				continue
			}
			v := &texts[i*len(g.columns)+j]
			v.text, v.style = g.columns[j].text(r, s)
			if len(v.text) > g.natural[j] { // bytes are never fewer than columns
				g.natural[j] = max(g.natural[j], screen.Width(v.text))
			}
		}
	}
	return texts
}

// layout gives the columns their places: what does not fit falls away by rank,
// what room is left goes to those whose values need it.
func (g *grid[R]) layout(width int) {
	const gap = 2
	width -= gutter
	shown := make([]slot, 0, len(g.columns))
	need := -gap
	for i := range g.columns {
		shown = append(shown, slot{column: i, width: g.columns[i].least})
		need += g.columns[i].least + gap
	}
	for need > width {
		worst := -1
		for i, at := range shown {
			if rank := g.columns[at.column].rank; rank > 0 && (worst < 0 || rank >= g.columns[shown[worst].column].rank) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		need -= shown[worst].width + gap
		shown = slices.Delete(shown, worst, worst+1)
	}
	left := max(width-need, 0)
	modest := make([]int, len(shown)) // who takes little is served first
	for i := range modest {
		modest[i] = i
	}
	wants := func(i int) int {
		if col := &g.columns[shown[i].column]; col.draw == nil {
			return col.most
		}
		return 100 // a picture can be small
	}
	slices.SortStableFunc(modest, func(a, b int) int { return wants(a) - wants(b) })
	for _, i := range modest {
		at := &shown[i]
		more := min(min(g.natural[at.column], g.columns[at.column].most)-at.width, left)
		if more > 0 {
			at.width += more
			left -= more
		}
	}
	x := gutter
	for i := range shown {
		shown[i].x = x
		shown[i].width = min(shown[i].width, max(width+gutter-x, 0))
		x += shown[i].width + gap
	}
	g.shown = shown
}

// header draws the titles; the sorted column says its direction.
func (g *grid[R]) header(c *screen.Canvas) {
	for _, at := range g.shown {
		col := &g.columns[at.column]
		title, st := col.title, screen.Fg(screen.Dim)
		if at.column == g.sorted && col.order != nil {
			st = screen.Fg(screen.Strong)
			if title = screen.Cut(title, at.width-2) + " " + g.arrow(); col.title == "" {
				title = g.arrow()
			}
		}
		if col.right {
			c.TextRight(at.x, 0, at.width, title, st)
		} else {
			c.TextIn(at.x, 0, at.width, title, st)
		}
	}
}

// arrow points up when the smallest come first.
func (g *grid[R]) arrow() string {
	if g.columns[g.sorted].down != g.reverse {
		return "▼"
	}
	return "▲"
}

// line draws one row.
func (g *grid[R]) line(c *screen.Canvas, y int, r *R, texts []value, s *data.State) {
	for _, at := range g.shown {
		col, v := &g.columns[at.column], &texts[at.column]
		switch {
		case col.draw != nil:
			col.draw(c.Sub(at.x, y, at.width, 1), at.width, r, s)
		case col.right:
			text := screen.Cut(v.text, at.width)
			marked(c, at.x+at.width-screen.Width(text), y, text, v.style, g.mark)
		default:
			marked(c, at.x, y, screen.Cut(v.text, at.width), v.style, g.mark)
		}
	}
}

// scroll keeps the cursor on a row and in sight.
func (g *grid[R]) scroll() {
	g.cursor = min(max(g.cursor, 0), max(g.count-1, 0))
	if g.height <= 0 {
		g.top = g.cursor
		return
	}
	g.top = min(max(g.top, g.cursor-g.height+1), g.cursor)
	g.top = max(min(g.top, g.count-g.height), 0)
}

// press moves the cursor; false for a key that does not.
func (g *grid[R]) press(key string) bool {
	page := max(g.height-1, 1)
	switch key {
	case "up", "k":
		g.cursor--
	case "down", "j":
		g.cursor++
	case "pgup", "ctrl+u":
		g.cursor -= page
		g.top -= page
	case "pgdown", "ctrl+d":
		g.cursor += page
		g.top += page
	case "home", "g":
		g.cursor = 0
	case "end", "G":
		g.cursor = g.count - 1
	default:
		return false
	}
	g.scroll()
	return true
}

// wheel scrolls; the cursor stays in sight.
func (g *grid[R]) wheel(n int) {
	top := max(min(g.top+n, g.count-g.height), 0)
	g.cursor = min(max(g.cursor, top), top+max(g.height-1, 0))
	g.top = top
	g.scroll()
}

// click puts the cursor on a row; sort is the column whose title was clicked, or
// below 0; ok is false where there is neither.
func (g *grid[R]) click(x, y int) (sort int, ok bool) {
	if y == 0 {
		for _, at := range g.shown {
			if x >= at.x && x < at.x+at.width && g.columns[at.column].order != nil {
				return at.column, true
			}
		}
		return -1, false
	}
	row := g.top + y - 1
	if y < 0 || y > g.height || row >= g.count {
		return -1, false
	}
	g.cursor = row
	return -1, true
}

// keysOfTables move in every table.
var keysOfTables = []KeyHelp{
	{Key: "↑ ↓ j k", Does: "one row up, down"},
	{Key: "pgup pgdn", Does: "one page up, down"},
	{Key: "g G", Does: "first, last row"},
}

// keysOfSorting sort a table.
var keysOfSorting = []KeyHelp{
	{Key: "s", Does: "sort", Footer: true},
	{Key: "← →", Does: "sort by the column before, by the next"},
	{Key: "S", Does: "reverse the order"},
	{Key: "/", Does: "filter", Footer: true},
}
