package pane

// cellForm is what a cell looks like.
type cellForm uint8

const (
	cardCell  cellForm = iota // its name, a bar, figures, words
	boxCell                   // an outline with number and percent
	tileCell                  // number and load
	dotCell                   // two columns
	pointCell                 // one column
	groupCell                 // two columns for several instances
)

func (f cellForm) String() string {
	return [...]string{"cards", "boxes", "tiles", "dots", "points", "groups"}[f]
}

// groupSizes are how many instances a cell may stand for. The ladder of zoom steps
// has the forms for one instance each first, then these.
var groupSizes = [...]int{2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000}

// zoomSteps is how many steps the ladder has for so many instances.
func zoomSteps(n int) int {
	count := int(groupCell)
	for _, g := range groupSizes {
		if g*4 > n {
			break
		}
		count++
	}
	return count
}

// cellGrid is where the cells are on the canvas.
type cellGrid struct {
	step       int // of the ladder
	form       cellForm
	per        int // instances that a cell stands for
	cells      int
	cols, rows int // in all
	seen       int // rows
	label      int // columns for numbers before each row
	w, h       int // of a cell with the gap after it
	top        int // first row seen
}

// each is how many instances a cell stands for: 1 before the first Draw.
func (g *cellGrid) each() int { return max(g.per, 1) }

// newGrid lays the instances out in so much room.
func newGrid(o *placed, step, width, height int) cellGrid {
	n, digits := len(o.list), o.digits
	g := cellGrid{step: step, form: groupCell, per: 1}
	if step < int(groupCell) {
		g.form = cellForm(step)
	} else {
		g.per = groupSizes[min(step-int(groupCell), len(groupSizes)-1)]
	}
	g.cells = (n + g.per - 1) / g.per
	switch g.form {
	case cardCell:
		g.w, g.h = cardSize(g.cells, width, height)
	case boxCell:
		g.w, g.h = boxSize(g.cells, o.figures, width, height)
	case tileCell:
		g.w, g.h = digits+4, 1
		if cols := columns(width / (digits + 9)); (g.cells+cols-1)/cols <= height {
			g.w += 5 // for the percent
		}
	case pointCell:
		g.w, g.h, g.label = 1, 1, digits+1
	default:
		g.w, g.h, g.label = 2, 1, digits+1
	}
	room := max(width-g.label, 1)
	g.cols = room / g.w
	if g.form == cardCell || g.form == boxCell {
		g.cols = (room + 1) / g.w // the last needs no gap
	}
	if g.label > 0 {
		for g.cols > 1 && g.x(g.cols-1)+g.w > width {
			g.cols--
		}
	}
	g.cols = columns(g.cols)
	g.rows = (g.cells + g.cols - 1) / g.cols
	g.seen = max(height/g.h, min(height, 1))
	return g
}

// cardSize is how large so many cards can be, with the gap after them.
func cardSize(cells, width, height int) (w, h int) {
	const least, most, lowest, highest = 19, 33, 5, 8
	cols := max(min((width+1)/least, cells), 1)
	rows := (cells + cols - 1) / cols
	return min(max((width+1)/cols, least), most), min(max(height/max(rows, 1), lowest), highest)
}

// boxSize is how large so many boxes can be, with the gap after them: at best
// there are three lines in them, and used and capacity fit into one; the latter
// matters more.
func boxSize(cells, figures, width, height int) (w, h int) {
	const least, wordy, most = 9, 11, 14 // wordy has room for "starting"
	full := min(max(figures+3, least), most)
	for _, try := range []struct{ high, narrow int }{{5, max(full, wordy)}, {4, full}, {5, wordy}, {4, least}, {3, least}} {
		for w = most; w >= try.narrow; w-- {
			cols := columns(max((width+1)/w, 1))
			if (cells+cols-1)/cols*try.high <= height {
				return w, try.high
			}
		}
	}
	return least, 3
}

// columns is how many of the cells that fit into a row are used: numbers that are
// easy to count on.
func columns(fit int) int {
	if fit > 10 {
		fit -= fit % 5
	}
	return max(fit, 1)
}

// x is where a column of cells begins. After every ten there is a gap, for the
// eye to count.
func (g *cellGrid) x(col int) int {
	if g.label > 0 {
		return g.label + col*g.w + col/10
	}
	return col * g.w
}

// cellAt is the cell at a place of the canvas.
func (g *cellGrid) cellAt(x, y int) (int, bool) {
	if g.w == 0 || x < 0 || y < 0 || y/g.h >= g.seen {
		return 0, false
	}
	for col := range g.cols {
		if at := g.x(col); x >= at && x < at+g.w {
			cell := (g.top+y/g.h)*g.cols + col
			return cell, cell < g.cells
		}
	}
	return 0, false
}

// layout chooses the zoom, and which rows are seen.
func (v *PlacementView) layout(width, height int) {
	last := zoomSteps(len(v.order.list))
	v.zoom = min(v.zoom, last)
	for step := max(v.zoom-1, 0); step < last; step++ {
		v.grid = newGrid(&v.order, step, width, height)
		if v.zoom > 0 || v.grid.rows <= v.grid.seen {
			break
		}
	}
	if v.grid.rows > v.grid.seen {
		v.grid = newGrid(&v.order, v.grid.step, width-2, height) // room for the scrollbar
	}
	g := &v.grid
	if row := v.place / g.per / g.cols; !v.stray {
		v.top = min(max(v.top, row-g.seen+1), row)
	}
	v.top = max(min(v.top, g.rows-g.seen), 0)
	g.top = v.top
}
