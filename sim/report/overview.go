package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"dacorch/sim/internal/history"
)

// The measures of plots over time, in units of their viewBox.
const (
	titleHeight = 17.0
	panelHeight = 46.0
	panelGap    = 9.0
	bandHeight  = 15.0
	axisHeight  = 22.0
	moveHeight  = 64.0
)

// maxBandRows bounds the rows of faults, outages, alarms and orders.
const maxBandRows = 14

// chart is a figure over time: what it shows and how.
type chart struct {
	title  string
	time   bool // its values are seconds
	track  *Track
	within *Track // a second line, never above the first; what lies between is bad
	rate   bool   // per second
	zero   bool   // its axis begins at 0
	height float64
	line   ink
	area   ink
}

// overviewCharts are the figures that an engineer wants to see first.
func (s *Story) overviewCharts() []chart {
	t := &s.Tracks
	settle := "slowest settlement"
	if s.TracedBy == SettledInZooKeeper {
		settle = "slowest from told to written"
	}
	return []chart{
		{title: "resources", track: &t.Resources, height: panelHeight, line: inkLine, area: inkLine},
		{title: "instances, and of them running", track: &t.Instances, within: &t.Running, height: panelHeight, line: inkLine, area: inkLine},
		{title: "unplaced", track: &t.Unplaced, zero: true, height: panelHeight, line: inkBad, area: inkBadArea},
		{title: "transactions per second", track: &t.Transactions, rate: true, zero: true, height: panelHeight, line: inkLine, area: inkArea},
		{title: settle, time: true, track: &t.Settle, zero: true, height: panelHeight, line: inkLine, area: inkArea},
	}
}

// moveCharts show what moved and what was replaced.
func (s *Story) moveCharts() []chart {
	t := &s.Tracks
	return []chart{
		{title: "moves", track: &t.Moves, zero: true, height: moveHeight, line: inkMove, area: inkMoveArea},
		{title: "pods replaced", track: &t.Replaced, zero: true, height: moveHeight, line: inkBad, area: inkBadArea},
	}
}

// moveChartsThatShow leaves out what never happened.
func (s *Story) moveChartsThatShow() []chart {
	return slices.DeleteFunc(s.moveCharts(), func(c chart) bool { return c.track.Sum() == 0 })
}

// overTime draws charts above one another on one axis of time, with what went on
// above them where bands is set.
func (s *Story) overTime(sz size, charts []chart, bands bool) (*sheet, error) {
	axis := s.axis()
	var rows []bandRow
	height := 4.0
	if bands {
		rows = s.bandRows()
		height += bandHeight * float64(len(rows))
	}
	top := height
	for _, c := range charts {
		height += titleHeight + c.height + panelGap
	}
	sh := newSheet(sz, height+axisHeight-panelGap, axis)
	bottom := height - panelGap
	s.backdrop(sh, top, bottom)
	sh.timeTicks(top, bottom)
	for _, c := range charts {
		if err := s.chart(sh, c, top); err != nil {
			return nil, err
		}
		top += titleHeight + c.height + panelGap
	}
	for i, row := range rows {
		sh.bandRow(row, 2+bandHeight*float64(i))
	}
	return sh, nil
}

// backdrop tints the times of faults and outages and draws orders and the heal
// as lines.
func (s *Story) backdrop(sh *sheet, top, bottom float64) {
	var until time.Duration = -1
	var path vg.Path
	for i := range s.Bands { // by their beginning
		b := &s.Bands[i]
		switch {
		case b.Class == BandOrder:
			x := sh.x(sh.axis.share(b.From))
			sh.line(x, top, x, bottom, 0.8, inkOrder, 3, 3)
			continue
		case b.Class == BandAlarm || b.Once || b.To <= until:
			continue
		}
		from := sh.x(sh.axis.share(max(b.From, until)))
		until = b.To
		sh.addRect(&path, from, top, max(sh.x(sh.axis.share(b.To))-from, 1), bottom-top)
	}
	sh.fill(path, inkFault)
	if s.Heal > 0 && s.Heal < s.To {
		x := sh.x(sh.axis.share(s.Heal))
		sh.line(x, top, x, bottom, 1, inkHeal, 1, 2)
	}
}

// timeTicks draws the axis of time and its grid.
func (s *sheet) timeTicks(top, bottom float64) {
	room := 6.5 * s.font
	last := math.Inf(-1)
	for _, t := range s.axis.ticks(int(s.dataWidth() / room)) {
		x := s.x(s.axis.share(t.at))
		s.line(x, top, x, bottom, 0.6, inkGrid)
		w := s.textWidth(textStyle{}, t.label)
		at := min(max(x, s.left+w/2-8), s.width-w/2-1)
		if at-w/2 < last+6 {
			continue
		}
		s.text(at, bottom+15, textStyle{ink: inkMuted, mid: true}, t.label)
		last = at + w/2
	}
}

// chart draws one figure.
func (s *Story) chart(sh *sheet, c chart, top float64) error {
	xys := s.points(c.track, c.rate)
	both := xys
	var within plotter.XYs
	if c.within != nil {
		within = s.points(c.within, c.rate)
		both = slices.Concat(xys, within)
	}
	lo, hi, step := axisRange(both, c.zero)
	switch {
	case c.time && step > 1:
		step = roundTime(step)
		hi = math.Ceil(hi/step) * step
	case !c.time && !c.rate:
		step = max(step, 1) // nothing is half placed
	}
	p := sh.panel(top+titleHeight, c.height, 0, 1, lo, hi)
	sh.text(sh.left, top+titleHeight-5, textStyle{bold: true}, c.title)
	for v, last := lo, math.Inf(1); v <= hi+step/2; v += step {
		y := p.y(v)
		sh.line(sh.left, y, sh.left+sh.dataWidth(), y, 0.6, inkGrid)
		if last-y >= sh.font {
			label := c.value(v)
			if !c.time && step < 1000 && hi >= 1e4 { // rounded, they would not differ
				label = number(int(math.Round(v)))
			}
			style := textStyle{ink: inkMuted, right: true, size: sh.font - 1}
			sh.text(sh.left-5, y+sh.font*0.35, style, sh.fit(style, label, sh.left-5))
			last = y
		}
	}
	if within != nil {
		if err := p.between(xys, within); err != nil {
			return err
		}
	}
	if err := p.steps(xys, c.line, 1.4, c.area); err != nil {
		return err
	}
	if sh.right > 40 { // room for the line's end
		p.endLabel(c, xys)
	}
	return nil
}

// value writes one of the chart's.
func (c *chart) value(v float64) string {
	if c.time && v != 0 {
		return span(digits(seconds(v), 3))
	}
	return compact(v)
}

// endLabel writes what a line ends with beside it, and the sum or the most of
// what has no level.
func (p *panel) endLabel(c chart, xys plotter.XYs) {
	v := xys[len(xys)-1].Y
	text := c.value(v)
	if !c.time && v < 1e7 {
		text = number(int(math.Round(v)))
	}
	y := p.y(v) + p.font*0.35
	switch {
	case c.track.agg == history.Total:
		text, y = "Σ "+compact(c.track.Sum()), p.top+p.height/2
	case c.zero:
		text, y = "max "+c.value(c.track.Max()), p.top+p.height/2
	}
	p.text(p.left+p.dataWidth()+6, min(max(y, p.top+p.font*0.7), p.top+p.height), textStyle{ink: c.line}, p.fit(textStyle{}, text, p.right-8))
}

// between fills what is missing of a level to another in the ink of what is bad.
func (p *panel) between(upper, lower plotter.XYs) error {
	// The area under the upper line, and the one under the lower in the page's own
	// colour above it, would hide the grid: rectangles leave it.
	var path vg.Path
	u, l := 0, 0
	for x := 0.0; x < 1; {
		for u+1 < len(upper) && upper[u+1].X <= x {
			u++
		}
		for l+1 < len(lower) && lower[l+1].X <= x {
			l++
		}
		next := 1.0
		if u+1 < len(upper) {
			next = min(next, upper[u+1].X)
		}
		if l+1 < len(lower) {
			next = min(next, lower[l+1].X)
		}
		if next <= x {
			break
		}
		if hi, lo := upper[u].Y, lower[l].Y; hi > lo {
			top := p.y(hi)
			p.addRect(&path, p.x(x), top, p.x(next)-p.x(x), p.y(lo)-top)
		}
		x = next
	}
	p.fill(path, inkBadArea)
	return p.steps(lower, inkBad, 1, inkBad)
}

// points are a track's values over the axis from 0 to 1, the ones that change.
func (s *Story) points(t *Track, rate bool) plotter.XYs {
	axis := s.axis()
	scale := 1.0
	if rate {
		scale = 1 / s.Bucket.Seconds()
	}
	var xys plotter.XYs
	for i, v := range t.Values {
		v *= scale
		if math.IsNaN(v) || math.IsInf(v, 0) {
			v = 0
		}
		x := axis.share(s.From + time.Duration(i)*s.Bucket)
		if n := len(xys); n == 0 || xys[n-1].Y != v {
			xys = append(xys, plotter.XY{X: x, Y: v})
		}
	}
	if len(xys) == 0 {
		xys = append(xys, plotter.XY{})
	}
	return append(xys, plotter.XY{X: 1, Y: xys[len(xys)-1].Y})
}

// axisRange is where an axis begins and ends and the distance of its ticks.
func axisRange(xys plotter.XYs, zero bool) (lo, hi, step float64) {
	lo, hi = xys[0].Y, xys[0].Y
	for _, xy := range xys {
		lo, hi = min(lo, xy.Y), max(hi, xy.Y)
	}
	if zero {
		lo = min(lo, 0)
	}
	if hi-lo < 1e-9 {
		if zero {
			return lo, lo + 1, 1
		}
		return lo - 1, hi + 1, 1
	}
	step = nice((hi - lo) / 2)
	lo = math.Floor(lo/step) * step
	hi = math.Ceil(hi/step) * step
	return lo, hi, step
}

// roundTime is the least distance of ticks of a clock that is not below v, in
// seconds.
func roundTime(v float64) float64 {
	for _, s := range steps {
		if s.Seconds() >= v {
			return s.Seconds()
		}
	}
	return v
}

// nice is the least of 1, 2, 2.5 and 5 times a power of ten that is not below v.
func nice(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// bandRow is what lasted under one name.
type bandRow struct {
	class BandClass
	name  string
	bands []*Band
}

// bandRows are the rows in the order of their classes and beginnings; what does
// not fit has a row of its own.
func (s *Story) bandRows() []bandRow {
	var rows []bandRow
	for i := range s.Bands {
		b := &s.Bands[i]
		name := b.Name
		if b.Class == BandOrder {
			name = "" // one row for all
		}
		at := slices.IndexFunc(rows, func(r bandRow) bool { return r.class == b.Class && r.name == name })
		if at < 0 {
			at = len(rows)
			if len(rows) == MaxBands {
				continue
			}
			rows = append(rows, bandRow{class: b.Class, name: name})
		}
		rows[at].bands = append(rows[at].bands, b)
	}
	slices.SortStableFunc(rows, func(a, b bandRow) int { return cmp.Compare(a.class, b.class) })
	if more := len(rows) - maxBandRows; more > 0 {
		rest := bandRow{class: rows[maxBandRows].class, name: fmt.Sprintf("%d more names", more+1)}
		for _, r := range rows[maxBandRows-1:] {
			rest.bands = append(rest.bands, r.bands...)
		}
		rows = append(rows[:maxBandRows-1], rest)
	}
	return rows
}

func (c BandClass) ink() ink {
	return [...]ink{BandFault: inkFailed, BandOutage: inkOutage, BandAlarm: inkAlarm, BandOrder: inkOrder}[c]
}

// bandRow draws a row: bars for what lasted, marks for what happened once, and
// the name where there is room for it.
func (s *sheet) bandRow(row bandRow, top float64) {
	var bars vg.Path
	first, last := math.Inf(1), math.Inf(-1)
	free := math.Inf(-1) // orders: up to where labels stand
	mid := top + bandHeight/2
	for _, b := range row.bands {
		x0, x1 := s.x(s.axis.share(b.From)), s.x(s.axis.share(b.To))
		if b.Once {
			bars.Move(s.point(x0-3.2, mid))
			bars.Line(s.point(x0, mid-4.5))
			bars.Line(s.point(x0+3.2, mid))
			bars.Line(s.point(x0, mid+4.5))
			bars.Close()
			x0, x1 = x0-3, x0+3
			if row.class == BandOrder && x0 > free {
				if label := s.fit(textStyle{}, b.Name, s.width-x1-6); label != "" && len(label) > 4 {
					s.text(x1+4, mid+s.font*0.36, textStyle{ink: inkOrder}, label)
					free = x1 + 10 + s.textWidth(textStyle{}, label)
				}
			}
		} else {
			s.addRect(&bars, x0, top+3, max(x1-x0, 1.5), bandHeight-6)
		}
		first, last = min(first, x0), max(last, x1, x0+1.5)
	}
	s.fill(bars, row.class.ink())
	if row.name != "" {
		s.bandName(row, first, last, mid+s.font*0.36)
	}
}

// bandName writes a row's name behind its last bar, before its first, or, where
// neither has room, as much as fits into the margin.
func (s *sheet) bandName(row bandRow, first, last, y float64) {
	name := row.name
	if row.class == BandAlarm {
		name = "alarm: " + name
	}
	if n := len(row.bands); n > 1 {
		name += fmt.Sprintf(" ×%d", n)
	}
	w := s.textWidth(textStyle{}, name)
	switch {
	case last+5+w <= s.width:
		s.text(last+5, y, textStyle{}, name)
	case first-5-w >= 0:
		s.text(first-5, y, textStyle{right: true}, name)
	default:
		s.text(s.left+4, y, textStyle{ink: inkOnBand}, s.fit(textStyle{}, name, s.dataWidth()-8))
	}
}
