package pane

import (
	"image"
	"math"

	"dacorch/tui/screen"
)

// chart is one curve, as it is drawn.
type chart struct {
	title string
	curve *curve
	of    *curve // of how many; nil: the curve stands alone
	role  screen.Role
	words func(float64) string // the value
	scale func(float64) string // at the axis
	float bool                 // its axis need not begin at 0
	time  bool                 // it is seconds
	none  string               // why there is nothing; empty: it is not known
}

// eighths fill a cell from below.
var eighths = [...]string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}

// axisWidth is how many columns the labels of an axis take.
const axisWidth = 8

// draw draws the chart: a line with its title and its value in words, the curve,
// and the axis of time. It answers where the curve is.
func (k *chart) draw(c *screen.Canvas, f *figures) image.Rectangle {
	width, height := c.Size()
	now := k.curve.at(f.moment)
	if k.curve.how == theMean { // of one look after the other it would jump
		now = k.curve.mean(f.moment-60, f.moment)
	}
	value := k.valueText(now, f.moment)
	c.TextIn(0, 0, width, k.title, screen.Fg(screen.Strong))
	if room := width - screen.Width(k.title) - 2; room > 0 {
		c.TextRight(width-room, 0, room, value, k.valueStyle(now, f.moment))
	}
	left := axisWidth
	if width < 4*axisWidth {
		left = 0
	}
	plot := image.Rect(left, 1, width, height-1)
	if plot.Dx() < 2 || plot.Dy() < 1 {
		return image.Rectangle{}
	}
	if k.none != "" {
		c.TextIn(left+1, 1+plot.Dy()/2, plot.Dx()-1, k.none, screen.Fg(screen.Dim))
	}
	columns := k.curve.columns(f.from, f.to, plot.Dx())
	var whole []float64
	if k.of != nil {
		whole = k.of.columns(f.from, f.to, plot.Dx())
	}
	bottom, top := k.axis(columns, whole)
	if left > 0 {
		k.drawAxis(c, plot, bottom, top)
	}
	moment := -1
	if f.to > f.from {
		moment = min(max(int((f.moment-f.from)/(f.to-f.from)*float64(plot.Dx())), 0), plot.Dx()-1)
	}
	k.drawCurve(c, plot, columns, whole, bottom, top, moment)
	drawTimes(c, plot, f, moment)
	return plot
}

// valueText is the value at the moment, in words.
func (k *chart) valueText(v, moment float64) string {
	switch {
	case k.none != "":
		return "–"
	case math.IsNaN(v):
		return "not known"
	case k.of != nil:
		if of := k.of.at(moment); !math.IsNaN(of) {
			return k.words(v) + " of " + k.words(of)
		}
	}
	return k.words(v)
}

func (k *chart) valueStyle(v, moment float64) screen.Style {
	switch {
	case math.IsNaN(v), v == 0 && k.of == nil:
		return screen.Fg(screen.Dim)
	case k.of != nil && v < k.of.at(moment):
		return screen.Fg(screen.Down).With(screen.Bold)
	}
	return screen.Fg(k.role).With(screen.Bold)
}

// axis is what the lower and the upper end of the drawing stand for.
func (k *chart) axis(columns, whole []float64) (bottom, top float64) {
	least, most := math.Inf(1), 0.0
	for _, values := range [][]float64{columns, whole} {
		for _, v := range values {
			if !math.IsNaN(v) {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	if k.float && most > least && least > 0.6*most {
		step := roundUp((most - least) / 2)
		return math.Floor(least/step) * step, math.Ceil(most/step) * step
	}
	switch {
	case k.of != nil: // the whole is the upper end
		return 0, max(most, 1)
	case k.time:
		return 0, roundTime(most)
	}
	return 0, max(roundUp(most), 1)
}

// roundTime is the next larger number of seconds that people like to read.
func roundTime(v float64) float64 {
	for _, s := range []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600, 24 * 3600} {
		if s >= v {
			return s
		}
	}
	return roundUp(v/86400) * 86400
}

// roundUp is the next larger number that people like to read.
func roundUp(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8} {
		if f*unit >= v {
			if f*unit > 1 {
				return math.Ceil(f * unit)
			}
			return f * unit
		}
	}
	return 10 * unit
}

// drawAxis writes what the ends stand for left of the curve.
func (k *chart) drawAxis(c *screen.Canvas, plot image.Rectangle, bottom, top float64) {
	dim := screen.Fg(screen.Dim)
	for y := plot.Min.Y; y < plot.Max.Y; y++ {
		c.Text(plot.Min.X-1, y, "│", screen.Fg(screen.Border))
	}
	label := func(y int, v float64) {
		c.TextRight(0, y, plot.Min.X-1, k.scale(v), dim)
		c.Text(plot.Min.X-1, y, "┤", screen.Fg(screen.Border))
	}
	label(plot.Min.Y, top)
	if plot.Dy() > 1 {
		label(plot.Max.Y-1, bottom)
	}
}

// drawCurve fills what is below the curve. What is missing up to the whole is
// hatched; a gap is a dot; behind the moment it is dimmed.
func (k *chart) drawCurve(c *screen.Canvas, plot image.Rectangle, columns, whole []float64, bottom, top float64, moment int) {
	level := func(v float64) int {
		if math.IsNaN(v) || v <= bottom {
			return 0
		}
		return max(int(math.Round((v-bottom)/(top-bottom)*float64(plot.Dy()*8))), 1)
	}
	for i, v := range columns {
		x := plot.Min.X + i
		style := screen.Fg(k.role)
		if i > moment {
			style = screen.Fg(screen.Dim)
		}
		if math.IsNaN(v) && k.none == "" {
			c.Text(x, plot.Max.Y-1, "·", screen.Fg(screen.Dim))
		}
		full, missing := level(v), 0
		if whole != nil && !math.IsNaN(v) {
			missing = level(whole[i])
		}
		for y := range plot.Dy() {
			at := plot.Max.Y - 1 - y
			switch filled := min(max(full-8*y, 0), 8); {
			case filled > 0:
				c.Text(x, at, eighths[filled], style)
			case missing > 8*y:
				c.Text(x, at, "░", screen.Fg(screen.Down))
			}
			if i == moment && full <= 8*y {
				c.Text(x, at, "│", screen.Fg(screen.Focus))
			}
		}
	}
}

// drawTimes writes the axis of time below the curve.
func drawTimes(c *screen.Canvas, plot image.Rectangle, f *figures, moment int) {
	y := plot.Max.Y
	line, dim := screen.Fg(screen.Border), screen.Fg(screen.Dim)
	c.Fill(plot.Min.X, y, plot.Dx(), 1, "─", line)
	if plot.Min.X > 0 {
		c.Text(plot.Min.X-1, y, "└", line)
	}
	first, last := Offset(f.from), Offset(math.Floor(f.to))
	if !f.seekable {
		first, last = Age(Seconds(f.to-f.from))+" ago", "now"
	}
	left, right := screen.Width(first)+2, plot.Dx()-screen.Width(last)-3
	if right > left+2 { // the ends themselves are left to the moment
		if moment < 1 || moment > left {
			c.Text(plot.Min.X+1, y, first+" ", dim)
		}
		if moment < right || moment > plot.Dx()-2 {
			c.Text(plot.Min.X+right, y, " "+last+" ", dim)
		}
	}
	if moment >= 0 {
		c.Text(plot.Min.X+moment, y, "▲", screen.Fg(screen.Focus))
	}
}
