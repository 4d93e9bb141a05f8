package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot/vg"
)

// How instances are drawn: up to tallLanes of them with a row each that has room
// for its name, up to manyLanes with thin rows; beyond, the ones that something
// happened to, and the others as a density.
const (
	tallLanes  = 48
	manyLanes  = 160
	shownLanes = 32 // of more than manyLanes

	tallRow = 13.0
	thinRow = 5.0

	maxCells = 24_000 // of a plot; with more, each is wider

	densityRows = 10 // tenths of the capacity
	densityRow  = 11.0
)

// shown are the instances that have a row of their own.
func (s *Story) shown() []*Lane {
	if len(s.Lanes) <= manyLanes {
		return s.Lanes
	}
	lanes := slices.Clone(s.Lanes)
	slices.SortStableFunc(lanes, func(a, b *Lane) int { return cmp.Compare(b.interest(), a.interest()) })
	lanes = lanes[:shownLanes]
	for len(lanes) > shownLanes/4 && lanes[len(lanes)-1].interest() == 0 {
		lanes = lanes[:len(lanes)-1]
	}
	slices.SortFunc(lanes, func(a, b *Lane) int { return slices.Index(s.Lanes, a) - slices.Index(s.Lanes, b) })
	return lanes
}

// interest says how much happened to the instance.
func (l *Lane) interest() float64 {
	score := 1000*float64(l.Replaced) + l.Down.Seconds()
	if l.Born >= 0 {
		score += 100
	}
	if l.Died >= 0 {
		score += 100
	}
	if l.Peak > 1 {
		score += 500
	}
	return score
}

// cellInk is what a cell is filled with; false for none.
func cellInk(c Cell) (ink, bool) {
	switch c.State {
	case Absent:
		return 0, false
	case Running:
		switch {
		case c.Load < 0:
			return inkUnseen, true
		case c.Load > 1.0001:
			return inkLoad + loadSteps, true
		}
		return inkLoad + ink(math.Round(float64(c.Load)*(loadSteps-1))), true
	}
	return [...]ink{Unseen: inkUnseen, Hung: inkHung, Leaving: inkLeaving, Pending: inkPending,
		Missing: inkMissing, NodeLost: inkNodeLost, Failed: inkFailed}[c.State], true
}

// columns are a lane's cells over the axis in n columns, each the worst of what
// it covers.
func (s *Story) columns(cells []Cell, n int) []Cell {
	axis := s.axis()
	out := make([]Cell, n)
	for i := range out {
		out[i].Load = -1
	}
	for b, c := range cells {
		from := s.From + time.Duration(b)*s.Bucket
		if from >= axis.to && b > 0 && axis.to > axis.from {
			break
		}
		first := min(int(axis.share(from)*float64(n)), n-1)
		last := min(int(math.Ceil(axis.share(from+s.Bucket)*float64(n)))-1, n-1)
		for i := first; i <= max(last, first); i++ {
			o := &out[i]
			if i == first {
				o.Ticks = uint8(min(int(o.Ticks)+int(c.Ticks), math.MaxUint8))
			}
			o.State = max(o.State, c.State)
			if c.State != Absent {
				o.Load = c.Load
			}
		}
	}
	return out
}

// laneSheet draws the instances over time.
func (s *Story) laneSheet(sz size) *sheet {
	lanes := s.shown()
	row := tallRow
	if len(lanes) > tallLanes {
		row = thinRow
	}
	density := len(s.Lanes) > manyLanes
	height := 10.0
	if density {
		height += 2*titleHeight + panelHeight + panelGap + densityRow*densityRows + panelGap + titleHeight
	}
	rowsTop := height
	var kinds int
	for i, l := range lanes {
		if len(s.Kinds) > 1 && (i == 0 || lanes[i-1].Kind != l.Kind) {
			kinds++
		}
	}
	height += row*float64(len(lanes)) + titleHeight*float64(kinds)
	sh := newSheet(sz, height+axisHeight, s.axis())
	n := min(max(maxCells/max(len(lanes), 1), 96), int(sh.dataWidth()/1.8))
	s.backdrop(sh, 0, height)
	sh.timeTicks(8, height)
	if density {
		s.notRunning(sh, n, 0)
		s.density(sh, n, titleHeight+panelHeight+panelGap)
		sh.text(sh.left, rowsTop-5, textStyle{bold: true}, sh.fit(textStyle{bold: true},
			fmt.Sprintf("the %d of %s instances to which most happened", len(lanes), number(len(s.Lanes))), sh.dataWidth()))
	}
	s.laneRows(sh, lanes, row, n, rowsTop)
	return sh
}

// laneRows draws a row for each lane, all cells of one ink as one path.
func (s *Story) laneRows(sh *sheet, lanes []*Lane, row float64, n int, top float64) {
	paths := map[ink]*vg.Path{}
	width := sh.dataWidth() / float64(n)
	labelled := math.Inf(-1)
	gap := 1.0
	if row < tallRow {
		gap = 0.5
	}
	var ticks, casing vg.Path // so that a tick shows on every load
	for i, l := range lanes {
		if len(s.Kinds) > 1 && (i == 0 || lanes[i-1].Kind != l.Kind) {
			sh.text(sh.left, top+titleHeight-5, textStyle{bold: true}, sh.fit(textStyle{bold: true}, shortened(string(l.Kind), maxIDShown), sh.dataWidth()))
			top += titleHeight
			labelled = math.Inf(-1)
		}
		columns := s.columns(l.Cells, n)
		for from := 0; from < n; {
			to := from + 1
			color, some := cellInk(columns[from])
			for to < n {
				if next, ok := cellInk(columns[to]); next != color || ok != some {
					break
				}
				to++
			}
			if some {
				if paths[color] == nil {
					paths[color] = new(vg.Path)
				}
				sh.addRect(paths[color], sh.left+float64(from)*width, top, float64(to-from)*width, row-gap)
			}
			from = to
		}
		for c := range columns {
			if columns[c].Ticks > 0 {
				sh.addRect(&casing, sh.left+float64(c)*width-2, top-gap, 3.8, row)
				sh.addRect(&ticks, sh.left+float64(c)*width-1, top-gap, 1.8, row)
			}
		}
		if top-labelled >= sh.font {
			base := top + row/2 + sh.font*0.33
			sh.text(sh.left-6, base, textStyle{ink: inkMuted, size: sh.font - 1, right: true}, l.Instance.String())
			if sh.right > 40 {
				sh.text(sh.left+sh.dataWidth()+6, base, textStyle{ink: inkMuted, size: sh.font - 1}, sh.fit(textStyle{size: sh.font - 1}, l.ending(), sh.right-6))
			}
			labelled = top
		}
		top += row
	}
	for i := inkMuted; i <= inkLoad+loadSteps; i++ { // in their order, for the same page each time
		if p := paths[i]; p != nil {
			sh.fill(*p, i)
		}
	}
	sh.fill(casing, inkCard)
	sh.fill(ticks, inkTick)
}

// ending is what a lane ends with.
func (l *Lane) ending() string {
	if !l.exists {
		return "released"
	}
	return compact(float64(l.Used)) + "/" + compact(float64(l.Capacity))
}

// badStates are those in which an instance does not do its work, from the
// least bad to the worst.
var badStates = []State{Unseen, Leaving, Pending, Missing, Hung, NodeLost, Failed}

// notRunning draws how many instances did not run, by what they did, stacked.
func (s *Story) notRunning(sh *sheet, n int, top float64) {
	counts := make([][Failed + 1]int, n)
	most := 1
	for _, l := range s.Lanes {
		for i, c := range s.columns(l.Cells, n) {
			counts[i][c.State]++
		}
	}
	sums := make([]int, n)
	for i := range counts {
		for _, st := range badStates {
			sums[i] += counts[i][st]
		}
		most = max(most, sums[i])
	}
	scale := func(n int) float64 { return math.Log10(1 + float64(n)) } // three of thousands show
	p := sh.panel(top+titleHeight, panelHeight, 0, 1, 0, math.Ceil(scale(most)-0.05))
	sh.text(sh.left, top+titleHeight-5, textStyle{bold: true}, "instances not running, logarithmic")
	for v, last := 1, math.Inf(1); scale(v) < p.plt.Y.Max+0.05; v *= 10 {
		y := p.y(scale(v))
		sh.line(sh.left, y, sh.left+sh.dataWidth(), y, 0.6, inkGrid)
		if last-y >= sh.font {
			last = y
			sh.text(sh.left-5, y+sh.font*0.35, textStyle{ink: inkMuted, right: true, size: sh.font - 1}, compact(float64(v)))
		}
	}
	width := sh.dataWidth() / float64(n)
	base := make([]int, n)
	for _, st := range badStates {
		var path vg.Path
		for i := range counts {
			if c := counts[i][st]; c > 0 {
				y0, y1 := p.y(scale(base[i])), p.y(scale(base[i]+c))
				sh.addRect(&path, sh.left+float64(i)*width, y1, width, y0-y1)
				base[i] += c
			}
		}
		color, _ := cellInk(Cell{State: st})
		sh.fill(path, color)
	}
}

// density draws how many instances had which load when.
func (s *Story) density(sh *sheet, n int, top float64) {
	counts := make([][densityRows]int, n)
	for _, l := range s.Lanes {
		for i, c := range s.columns(l.Cells, n) {
			if c.State != Absent && c.Load >= 0 {
				counts[i][min(int(c.Load*densityRows), densityRows-1)]++
			}
		}
	}
	sh.text(sh.left, top+titleHeight-5, textStyle{bold: true}, "how full: instances by load")
	top += titleHeight
	width := sh.dataWidth() / float64(n)
	paths := map[ink]*vg.Path{}
	for r := range densityRows {
		y := top + densityRow*float64(densityRows-1-r)
		for from := 0; from < n; {
			shade := densityInk(counts[from][r], len(s.Lanes))
			to := from + 1
			for to < n && densityInk(counts[to][r], len(s.Lanes)) == shade {
				to++
			}
			if shade > 0 {
				if paths[shade] == nil {
					paths[shade] = new(vg.Path)
				}
				sh.addRect(paths[shade], sh.left+float64(from)*width, y, float64(to-from)*width, densityRow-0.5)
			}
			from = to
		}
	}
	for i := inkLoad; i < inkLoad+loadSteps; i++ {
		if p := paths[i]; p != nil {
			sh.fill(*p, i)
		}
	}
	for _, label := range []struct {
		text string
		row  int
	}{{"100%", 0}, {"50%", densityRows / 2}, {"0", densityRows}} {
		sh.text(sh.left-5, top+densityRow*float64(label.row)+sh.font*0.35, textStyle{ink: inkMuted, right: true}, label.text)
	}
}

// densityInk is darker the more of the instances there are; 0 for none. A single
// one of thousands shows.
func densityInk(count, all int) ink {
	if count == 0 {
		return 0
	}
	share := math.Sqrt(float64(count) / float64(max(all, 1)))
	return inkLoad + ink(min(1+math.Round(share*(loadSteps-2)), loadSteps-1))
}
