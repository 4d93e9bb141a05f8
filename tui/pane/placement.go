package pane

import (
	"strconv"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// PlacementView draws every instance of the kind as a cell: its load is the
// cell's colour, its health the outline and a letter, what comes and goes arrows.
// How large a cell is depends on how many there are; where there is no room for
// one each, a cell stands for several.
type PlacementView struct {
	kind  string // that was drawn last
	at    int    // number of the instance under the cursor
	place int    // where it stood in the order
	zoom  int    // chosen: 1 + a step of the ladder; 0: what fits
	by    placementOrder
	top   int    // first row of cells that is seen
	stray bool   // the wheel has scrolled: the cursor need not be seen
	shown string // the resource that the cursor was last moved to
	order placed
	grid  cellGrid // of the last Draw
	list  listed   // likewise
}

// NewPlacement makes the placement view.
func NewPlacement() *PlacementView { return &PlacementView{} }

// Title is the view's name.
func (v *PlacementView) Title(s *data.State) string {
	if s.Kind == "" {
		return "placement"
	}
	return "placement of " + s.Kind
}

// Note counts what there is.
func (v *PlacementView) Note(s *data.State) string {
	v.sync(s)
	if !v.order.known {
		return ""
	}
	note := Plural(len(v.order.list), "instance")
	if bad := v.order.unwell(); bad > 0 {
		note += ", " + Count(bad) + " not up"
	}
	st, _, ok := data.Get[api.Status](s, data.Query{What: data.AskStatus, Kind: s.Kind})
	if ok {
		note += ", " + Plural(st.Resources, "resource")
		if st.Unplaced > 0 {
			note += ", " + Count(st.Unplaced) + " unplaced"
		}
	} else {
		note += ", " + Count(v.order.used) + " resources placed"
	}
	return note + ", by " + v.by.String()
}

// Needs are the instances, and the totals.
func (v *PlacementView) Needs(s *data.State) []data.Query {
	if s.Kind == "" {
		return []data.Query{{What: data.AskKinds}}
	}
	return []data.Query{{What: data.AskInstances, Kind: s.Kind}, {What: data.AskStatus, Kind: s.Kind}, {What: data.AskKinds}}
}

// Keys are the view's own.
func (v *PlacementView) Keys() []KeyHelp {
	return []KeyHelp{
		{Key: "enter", Does: "open", Footer: true},
		{Key: "!", Does: "next not up: go to the next instance that is not up", Footer: true},
		{Key: "r", Does: "replace its pod: delete it, and create it anew", Footer: true, Changes: true},
		{Key: "d", Does: "drain: move all its resources away, then let it go", Footer: true, Changes: true},
		{Key: "u", Does: "undrain", Changes: true},
		{Key: "o", Does: "re-orchestrate", Footer: true, Changes: true},
		{Key: "s", Does: "sort: by number, load, health", Footer: true},
		{Key: "+ -", Does: "zoom", Footer: true},
		{Key: "0", Does: "zoom so that all fit"},
		{Key: "← ↑ ↓ →", Does: "move, as h k j l do"},
		{Key: "pgup pgdown", Does: "a screen up or down"},
		{Key: "g G", Does: "to the first, to the last"},
	}
}

// Press moves the cursor, zooms, sorts, or says what is wanted of the instance
// under the cursor.
func (v *PlacementView) Press(key string, s *data.State) (Intent, bool) {
	v.sync(s)
	switch key {
	case "+", "=", "-", "_", "0", "s", "!":
		return v.look(key), true
	case "o":
		return Intent{Act: Orchestrate, Kind: s.Kind}, s.Kind != ""
	}
	if step, ok := v.step(key); ok {
		v.moveTo(v.place/v.grid.each()*v.grid.each() + step*v.grid.each())
		return Intent{}, true
	}
	do, ok := instanceKeys(key, s.Kind, v.at)
	if ok {
		do = v.check(do)
	}
	return do, ok
}

// step is by how many cells a key moves the cursor.
func (v *PlacementView) step(key string) (cells int, ok bool) {
	cols, all := max(v.grid.cols, 1), len(v.order.list)
	switch key {
	case "left", "h":
		return -1, true
	case "right", "l":
		return 1, true
	case "up", "k":
		return -cols, true
	case "down", "j":
		return cols, true
	case "pgup":
		return -cols * max(v.grid.seen, 1), true
	case "pgdown":
		return cols * max(v.grid.seen, 1), true
	case "home", "g":
		return -all, true
	case "end", "G":
		return all, true
	}
	return 0, false
}

// moveTo puts the cursor on a position of the order, or the one next to it that
// there is. In a group it stands on the one that is worst off.
func (v *PlacementView) moveTo(place int) {
	if len(v.order.list) == 0 {
		return
	}
	v.place = min(max(place, 0), len(v.order.list)-1)
	if each := v.grid.each(); each > 1 {
		v.place = v.order.worst(v.place/each*each, each)
	}
	v.at, v.stray = v.order.in(v.place).ID, false
}

// look changes what is seen, not what is there.
func (v *PlacementView) look(key string) Intent {
	v.stray = false
	switch key {
	case "+", "=":
		v.zoom = max(v.grid.step, 1)
	case "-", "_":
		v.zoom = min(v.grid.step+2, zoomSteps(len(v.order.list)))
	case "0":
		v.zoom = 0
	case "s":
		v.by = (v.by + 1) % placementOrders
		return Intent{Act: Say, Text: "sorted by " + v.by.String()}
	case "!":
		place, ok := v.order.nextUnwell(v.place)
		if !ok {
			return Intent{Act: Say, Text: "all instances are up"}
		}
		v.place, v.at = place, v.order.in(place).ID
	}
	return Intent{}
}

// check is what comes of what is wanted of the instance under the cursor. A
// group is opened by looking closer; nothing else can be done to one.
func (v *PlacementView) check(do Intent) Intent {
	switch {
	case len(v.order.list) == 0:
		return Intent{Act: Say, Text: "there is no instance here"}
	case v.grid.each() == 1:
		return do
	case do.Act == Open:
		return v.look("+")
	}
	return Intent{Act: Say, Text: "this cell stands for " + Plural(v.grid.each(), "instance") + ": zoom in with + and choose one"}
}

// Click moves the cursor to the cell that was clicked, or to the one listed
// beside them; a double click opens it.
func (v *PlacementView) Click(x, y int, twice bool, s *data.State) Intent {
	v.sync(s)
	if place, ok := v.listedAt(x, y); ok {
		v.moveTo(place)
		return Intent{}
	}
	cell, ok := v.grid.cellAt(x, y)
	if !ok || cell*v.grid.each() >= len(v.order.list) {
		return Intent{}
	}
	v.moveTo(cell * v.grid.each())
	if twice {
		do, _ := instanceKeys("enter", s.Kind, v.at)
		return v.check(do)
	}
	return Intent{}
}

// Wheel scrolls the cells; the cursor stays where it is.
func (v *PlacementView) Wheel(n int, _ *data.State) {
	v.top += n
	v.stray = true
}

// sync takes in what has changed since the last call: the kind, the instances,
// what was found. The cursor stays on its instance, or near where that one was.
func (v *PlacementView) sync(s *data.State) {
	if v.kind != s.Kind {
		by, zoom := v.by, v.zoom
		*v = PlacementView{kind: s.Kind, by: by, zoom: zoom}
	}
	v.order.update(s, v.by)
	if f := s.Found; f != nil && f.Instance != nil {
		if key := f.ID + " " + strconv.Itoa(*f.Instance); key != v.shown {
			v.shown, v.at, v.stray = key, *f.Instance, false
		}
	} else {
		v.shown = ""
	}
	if len(v.order.list) == 0 {
		v.place = 0
		return
	}
	if place, ok := v.order.placeOf(v.at, v.place); ok {
		v.place = place
		return
	}
	v.place = min(v.place, len(v.order.list)-1)
	v.at = v.order.in(v.place).ID
}

// Draw draws the cells, beside or below them the one under the cursor in words,
// and a legend.
func (v *PlacementView) Draw(c *screen.Canvas, s *data.State) {
	v.sync(s)
	v.grid, v.list = cellGrid{}, listed{}
	_, a := s.Instances(s.Kind)
	if len(v.order.list) == 0 {
		v.drawNothing(c, s, a)
		return
	}
	c, old := trouble(c, s, a, "the instances of "+s.Kind)
	if old {
		defer outdated(c)
	}
	w, h := c.Size()
	side, line := 0, 0
	if w >= 112 && h >= 16 {
		side = min(max(w/4, 34), 46)
	} else if h >= 6 {
		line = 1
	}
	w -= side
	legend := legendLines(w, h-line)
	v.layout(w, h-line-legend)
	v.drawCells(c.Sub(0, 0, w, h-line-legend), s)
	v.drawLegend(c.Sub(0, h-line-legend, w, legend), legend)
	if line > 0 {
		v.drawLine(c.Sub(0, h-line, w, line), s)
	}
	if side > 0 {
		v.list.x = w
		v.drawSide(c.Sub(w, 0, side, h), s)
	}
}

// outdated takes the colours away: it may be so no longer. The loads can still be
// seen by their characters.
func outdated(c *screen.Canvas) {
	w, h := c.Size()
	c.Paint(0, 0, w, h, func(st screen.Style) screen.Style {
		if st.Bg != screen.Bar && st.Bg != screen.Cursor {
			st = screen.Fg(screen.Dim)
		}
		return st
	})
}

// drawNothing says why there is nothing to see.
func (v *PlacementView) drawNothing(c *screen.Canvas, s *data.State, a *data.Answer) {
	switch {
	case s.Kind == "":
		empty(c, Waiting(s.Answers[data.Query{What: data.AskKinds}], "the kinds"))
	case a.Value == nil:
		empty(c, Waiting(a, "the instances of "+s.Kind))
	default:
		c, _ = trouble(c, s, a, "the instances of "+s.Kind)
		empty(c, noInstances(s, s.Kind)...)
	}
}
