package pane

import (
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// oneLine is the width from which on the whole legend is one line.
const oneLine = 132

// legendLines is how many lines the legend takes.
func legendLines(width, height int) int {
	switch {
	case height < 8:
		return 0
	case width >= oneLine:
		return 1
	case height < 11:
		return 0
	case height < 17: // the cells need the other
		return 1
	}
	return 2
}

// loadWords are what the loads' colours mean, from screen.Load0.
var loadWords = [...]string{"empty", "to 20 %", "40", "60", "80", "below 100", "full", "over"}

// drawLegend explains colours, letters and arrows.
func (v *PlacementView) drawLegend(c *screen.Canvas, lines int) {
	w, _ := c.Size()
	x, y := 1, 0
	word := func(text string, st screen.Style) { x += c.Text(x, y, screen.Cut(text, w-x), st) }
	dim := screen.Fg(screen.Dim)
	boxed := v.grid.form == cardCell || v.grid.form == boxCell
	short := lines == 1 && w < oneLine
	if !short || !boxed { // boxes say the percentage
		word("load ", dim)
	}
	for i, text := range loadWords {
		used := []int{0, 1, 39, 59, 79, 99, 100, 101}[i]
		glyph, st, _ := loadSwatch(used, 100)
		switch {
		case !short:
			word(glyph+" ", st)
			word(" "+text+" ", dim)
		case !boxed:
			word(glyph, st)
		}
	}
	switch {
	case lines > 1:
		x, y = 1, 1
	case !short:
		word(" ", dim)
	case !boxed:
		word("  ", dim)
	}
	for _, h := range []data.Health{data.Up, data.Closing, data.Starting, data.Silent, data.Down} {
		if boxed {
			word(corners[h], screen.Fg(HealthRole(h)))
		}
		if h != data.Up {
			word(h.Letter(), screen.Fg(screen.Ink).On(HealthRole(h)))
		} else if !boxed {
			continue
		}
		word(" "+h.String()+"  ", dim)
	}
	word("▲", screen.Fg(screen.Arriving))
	if !short || boxed {
		word(" arrive  ", dim)
	}
	word("▼", screen.Fg(screen.Leaving))
	if !short || boxed {
		word(" leave", dim)
	} else {
		word(" move", dim)
	}
	switch {
	case v.grid.per > 1:
		word("  "+Count(v.grid.per)+" to a cell", screen.Fg(screen.Default))
	case !boxed && !short:
		word("  ◆ both", dim)
	}
}

// corners are pieces of the outlines.
var corners = [...]string{data.Up: "╭─", data.Closing: "┌┈", data.Starting: "┌╌", data.Silent: "╔═", data.Down: "┏━"}
