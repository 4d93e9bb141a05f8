package pane

import (
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// loadGlyphs stand for loads where there is no colour: by screen.Role from
// Load0. Where there is colour they are hidden, being of their background's.
var loadGlyphs = [...]string{"·", "▁", "▂", "▄", "▆", "▇", "█", "+"}

// loadSwatch is the character and the style for a load, and the role.
func loadSwatch(used, capacity int) (glyph string, st screen.Style, role screen.Role) {
	role = screen.LoadRole(used, capacity)
	st = screen.Fg(role).On(role)
	if role == screen.Load0 || role == screen.Load7 { // these are read, not only seen
		st.Fg = screen.Ink
	}
	return loadGlyphs[role-screen.Load0], st, role
}

// outlines are how the healths are outlined.
var outlines = [...]screen.Lines{data.Up: screen.Round, data.Closing: screen.Dotted, data.Starting: screen.Dashed,
	data.Silent: screen.Double, data.Down: screen.Heavy}

// flowMark is the one character for what moves; empty for nothing.
func flowMark(f data.Flow) string {
	switch {
	case f.In > 0 && f.Out > 0:
		return "◆"
	case f.In > 0:
		return "▲"
	case f.Out > 0:
		return "▼"
	}
	return ""
}

// found is the instance on which a resource was found; -1: none.
func found(s *data.State) int {
	if s.Found != nil && s.Found.Instance != nil {
		return *s.Found.Instance
	}
	return -1
}

// cellView is what one cell shows.
type cellView struct {
	in             *api.Instance // the first of a group
	health         data.Health   // the worst
	used, capacity int
	flow           data.Flow
	cursor, found  bool
}

// drawCells draws the rows that are seen.
func (v *PlacementView) drawCells(c *screen.Canvas, s *data.State) {
	g := &v.grid
	w, _ := c.Size()
	at, star := v.place/g.per, found(s)
	for row := range min(g.seen, g.rows-g.top) {
		first := (g.top + row) * g.cols
		if g.label > 0 {
			v.drawLabel(c, row*g.h, first*g.per, at/g.cols == g.top+row)
		}
		for col := range min(g.cols, g.cells-first) {
			cell := first + col
			v.drawCell(c, g.x(col), row*g.h, v.viewOf(s, cell, cell == at, star))
		}
	}
	c.Scrollbar(w-1, 0, g.seen*g.h, g.top, g.seen, g.rows, screen.Fg(screen.Focus))
}

// drawLabel writes before a row which instance it begins with; when they are not
// sorted by number, which position.
func (v *PlacementView) drawLabel(c *screen.Canvas, y, place int, here bool) {
	st := screen.Fg(screen.Dim)
	if here {
		st = screen.Fg(screen.Strong)
	}
	label := strconv.Itoa(place + 1)
	if v.by == numberOrder {
		label = strconv.Itoa(v.order.in(place).ID)
	}
	c.TextRight(0, y, v.grid.label-1, label, st)
}

// viewOf is what a cell shows.
func (v *PlacementView) viewOf(s *data.State, cell int, cursor bool, star int) cellView {
	o := &v.order
	if v.grid.per > 1 {
		g := o.group(s, cell*v.grid.per, v.grid.per)
		view := cellView{in: o.in(g.first), health: g.worst, used: g.used, capacity: g.capacity, flow: g.flow, cursor: cursor}
		for place := g.first; star >= 0 && place <= g.last; place++ {
			view.found = view.found || o.in(place).ID == star
		}
		return view
	}
	in := o.in(cell)
	return cellView{in: in, health: o.healthAt(cell), used: in.Used, capacity: in.Capacity, flow: o.flow(s, cell), cursor: cursor, found: in.ID == star}
}

func (v *PlacementView) drawCell(c *screen.Canvas, x, y int, view cellView) {
	switch v.grid.form {
	case cardCell:
		view.card(c.Sub(x, y, v.grid.w-1, v.grid.h))
	case boxCell:
		view.box(c.Sub(x, y, v.grid.w-1, v.grid.h))
	case tileCell:
		view.tile(c.Sub(x, y, v.grid.w-1, 1), v.order.digits)
	case pointCell:
		view.point(c, x, y)
	default:
		view.dot(c, x, y)
	}
}

// mark is the one character that matters most beside the load: found, unwell,
// moving. Empty when nothing does.
func (v *cellView) mark() (string, screen.Style) {
	ink := screen.Fg(screen.Ink)
	switch {
	case v.found:
		return "★", ink.On(screen.Match)
	case v.health != data.Up:
		return v.health.Letter(), ink.On(HealthRole(v.health)).With(screen.Bold)
	}
	_, st, _ := loadSwatch(v.used, v.capacity)
	st.Fg = screen.Ink
	return flowMark(v.flow), st
}

// here stands in the cell under the cursor where a load would be.
const here = "•"

// point is one column: the load, or the mark instead.
func (v *cellView) point(c *screen.Canvas, x, y int) {
	text, st := v.mark()
	if text == "" {
		text, st, _ = loadSwatch(v.used, v.capacity)
		if v.cursor {
			text = here
		}
	}
	if v.cursor {
		st = screen.Fg(screen.Ink).On(screen.Cursor)
	}
	c.Text(x, y, text, st)
}

// dot is two columns: the load, and the mark where there is one.
func (v *cellView) dot(c *screen.Canvas, x, y int) {
	glyph, load, _ := loadSwatch(v.used, v.capacity)
	text, st := v.mark()
	if text == "" {
		text, st = " ", load
	}
	if v.cursor {
		glyph, load = here, screen.Fg(screen.Ink).On(screen.Cursor)
		st = load
	}
	c.Text(x, y, glyph, load)
	c.Text(x+1, y, text, st)
}

// tile is the number on the load's colour, the load, the mark, and the percent
// where there is room.
func (v *cellView) tile(c *screen.Canvas, digits int) {
	w, _ := c.Size()
	glyph, load, role := loadSwatch(v.used, v.capacity)
	number := screen.Fg(screen.Ink).On(role)
	text, st := v.mark()
	if text == "" {
		text, st = " ", load
	}
	if v.cursor {
		number = screen.Fg(screen.Ink).On(screen.Cursor)
	}
	c.Fill(0, 0, digits, 1, " ", number)
	c.TextRight(0, 0, digits, strconv.Itoa(v.in.ID), number)
	c.Text(digits, 0, glyph, load)
	c.Text(digits+1, 0, text, st)
	if w >= digits+7 {
		c.TextRight(digits+2, 0, w-digits-2, Percent(v.used, v.capacity), screen.Fg(screen.Dim))
	}
}

// outline draws the box of a card or a box, with a title, and what moves in its
// lower line.
func (v *cellView) outline(c *screen.Canvas, title string) *screen.Canvas {
	w, h := c.Size()
	st := screen.Fg(HealthRole(v.health))
	name := screen.Fg(screen.Default)
	if v.cursor {
		st, name = st.With(screen.Bold), screen.Fg(screen.Ink).On(screen.Cursor)
		if v.health == data.Up {
			st.Fg = screen.Strong
		}
	}
	inside := c.Box(outlines[v.health], "", "", st)
	x := 1
	if v.found || v.health != data.Up {
		mark, st := v.mark()
		x += c.Text(x, 0, mark, st)
	} else if screen.Width(title)+5 <= w {
		x++ // the corner is seen better
	}
	c.TextIn(x, 0, w-1-x, " "+title+" ", name)
	v.drawFlow(c, 2, h-1, w-3)
	return inside
}

// drawFlow writes how many come and go, or only that they do.
func (v *cellView) drawFlow(c *screen.Canvas, x, y, width int) {
	in, out := "", ""
	if v.flow.In > 0 {
		in = "▲" + strconv.Itoa(v.flow.In)
	}
	if v.flow.Out > 0 {
		out = "▼" + strconv.Itoa(v.flow.Out)
	}
	if screen.Width(in)+screen.Width(out) > width {
		in, out = flowMark(data.Flow{In: v.flow.In}), flowMark(data.Flow{Out: v.flow.Out})
	}
	x += c.Text(x, y, in, screen.Fg(screen.Arriving))
	c.Text(x, y, out, screen.Fg(screen.Leaving))
}

// box has the number in its outline, and on the load's colour percent, and as far
// as there is room figures and the health in words.
func (v *cellView) box(c *screen.Canvas) {
	inside := v.outline(c, strconv.Itoa(v.in.ID))
	w, h := inside.Size()
	glyph, st, role := loadSwatch(v.used, v.capacity)
	ink := screen.Fg(screen.Ink).On(role)
	inside.Fill(0, 0, w, h, " ", st)
	inside.Text(0, 0, glyph, st)
	inside.TextRight(1, 0, w-1, Percent(v.used, v.capacity), ink)
	figures := Count(v.used) + "/" + Count(v.capacity)
	if screen.Width(figures) > w {
		figures = Count(v.used)
	}
	inside.TextRight(0, 1, w, figures, ink)
	if v.health == data.Up {
		if screen.Width(v.in.Node) <= w {
			inside.TextRight(0, 2, w, v.in.Node, ink)
		}
	} else { // a strip that stands out
		ink = screen.Fg(screen.Ink).On(HealthRole(v.health))
		inside.Fill(0, 2, w, 1, " ", ink)
		inside.TextRight(0, 2, w, v.health.String(), ink)
	}
}

// card has the name in its outline, a bar, figures, words, and as much more as
// there is room for.
func (v *cellView) card(c *screen.Canvas) {
	w, _ := c.Size()
	title := v.in.Pod
	if screen.Width(title) > w-5 {
		title = strconv.Itoa(v.in.ID)
	}
	inside := v.outline(c, title)
	w, h := inside.Size()
	_, _, role := loadSwatch(v.used, v.capacity)
	Bar(inside, 0, 0, w, v.used, v.capacity, screen.Fg(role))
	inside.TextIn(0, 1, w-6, Count(v.used)+" of "+Count(v.capacity), screen.Fg(screen.Default))
	share := screen.Fg(screen.Strong)
	if role == screen.Load7 {
		share = screen.Fg(screen.Bad)
	}
	inside.TextRight(w-6, 1, 6, Percent(v.used, v.capacity), share)
	words, health := healthWords(v.in)
	inside.TextIn(0, 2, w, words, screen.Fg(health))
	more := whereWords(v.in, data.Flow{})
	if v.health != data.Up {
		more = append(more, "pod "+phaseWords(v.in))
	}
	var life []string
	if v.in.AgeSeconds != nil {
		life = append(life, AgeSeconds(v.in.AgeSeconds)+" old")
	}
	if v.in.Restarts != nil && *v.in.Restarts > 0 {
		life = append(life, Plural(*v.in.Restarts, "restart"))
	}
	if life != nil {
		more = append(more, strings.Join(life, ", "))
	}
	for i, text := range more[:min(len(more), max(h-3, 0))] {
		inside.TextIn(0, 3+i, w, text, screen.Fg(screen.Dim))
	}
}
