package history

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// TimelineOptions say how a timeline is drawn.
type TimelineOptions struct {
	Width   int  // columns; 0 is 80; at least 40
	Unicode bool // block characters instead of ASCII
}

// The characters of a cell by level: the first for zero, the second for the
// least that is shown.
var (
	asciiLevels = []rune(".:-=+*#%@")
	blockLevels = []rune("·▁▂▃▄▅▆▇█")
)

// markNames name the cells and legend lines of marks.
const markNames = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Timeline draws the series: a line for each row, under them a line for each
// fault and one for the marks, then the time axis and the marks' legend.
//
// A row of levels (Last, Max, Min) is drawn between the least and the most that
// it ever was, which stand before it; so an instance fewer shows among hundreds.
// A row of sums is drawn from zero. Zero is always '.', in every row.
func (s *Series) Timeline(w io.Writer, opts TimelineOptions) error {
	t := s.layout(opts)
	for _, r := range s.rows {
		t.row(r)
	}
	t.rule()
	t.bandRows()
	t.markRow()
	t.axis()
	t.legend()
	_, err := io.WriteString(w, t.out.String())
	return err
}

// canvas is a timeline being drawn: name, range, then the cells.
type canvas struct {
	set    *Series
	opts   TimelineOptions
	name   int // columns of the names
	extent int // columns of the ranges
	cells  int
	out    strings.Builder
}

// maxName bounds the column of names, so that the cells keep their room.
const maxName = 24

func (s *Series) layout(opts TimelineOptions) *canvas {
	width := opts.Width
	if width == 0 {
		width = 80
	}
	width = max(width, 40)
	t := &canvas{set: s, opts: opts, name: 6, extent: 4}
	for _, r := range s.rows {
		t.name = max(t.name, utf8.RuneCountInString(r.name))
		lo, hi := r.bounds()
		t.extent = max(t.extent, utf8.RuneCountInString(r.rangeText(lo, hi)))
	}
	for _, b := range s.bands {
		t.name = max(t.name, utf8.RuneCountInString(b.name))
	}
	for _, g := range s.bandGroups() {
		t.extent = max(t.extent, len(g.when()))
	}
	t.name = min(t.name, maxName)
	t.cells = max(width-t.name-t.extent-4, 10)
	return t
}

func (t *canvas) line(name, extent, cells string) {
	if n := []rune(name); len(n) > t.name {
		name = string(n[:t.name-1]) + "~"
	}
	edge := "|"
	if t.opts.Unicode {
		edge = "│"
	}
	fmt.Fprintf(&t.out, "%-*s %*s %s%s%s\n", t.name, name, t.extent, extent, edge, cells, edge)
}

// bounds are the least and the most of the row over its buckets.
func (r *Row) bounds() (lo, hi float64) {
	lo, hi = r.at(0), r.at(0)
	for b := range r.set.buckets {
		lo, hi = min(lo, r.at(b)), max(hi, r.at(b))
	}
	return lo, hi
}

// rangeText is what stands before a row: its least and most, or for sums the
// total.
func (r *Row) rangeText(lo, hi float64) string {
	if r.agg == Total {
		sum := 0.0
		for _, v := range r.values {
			sum += v
		}
		return "sum " + compact(sum)
	}
	if lo == hi {
		return compact(lo)
	}
	return compact(lo) + ".." + compact(hi)
}

func (t *canvas) row(r *Row) {
	levels := asciiLevels
	if t.opts.Unicode {
		levels = blockLevels
	}
	lo, hi := r.bounds()
	extent := r.rangeText(lo, hi)
	values := r.resampled(t.cells)
	if r.agg == Total {
		lo = 0
		hi = slices.Max(values)
	}
	cells := make([]rune, t.cells)
	for i, v := range values {
		cells[i] = levels[level(v, lo, hi, len(levels))]
	}
	t.line(r.name, extent, string(cells))
}

// level is which of n characters shows v in a row from lo to hi. Zero alone has
// the first; the least and the most have the second and the last; what lies
// between never shows as either, so that a small dip or rise is still seen.
func level(v, lo, hi float64, n int) int {
	top := n - 1
	switch {
	case v == 0:
		return 0
	case v >= hi:
		return top
	case v <= lo:
		return 1
	}
	base := 2
	if lo <= 0 {
		base = 1
	}
	return min(base+int((v-lo)/(hi-lo)*float64(top-base)), top-1)
}

func (t *canvas) rule() {
	if len(t.set.bands) == 0 && len(t.set.marks) == 0 {
		return
	}
	dash := "-"
	if t.opts.Unicode {
		dash = "─"
	}
	t.line("", "", strings.Repeat(dash, t.cells))
}

// bandGroup is the bands of one name.
type bandGroup struct {
	name  string
	bands []band
}

func (s *Series) bandGroups() []bandGroup {
	var groups []bandGroup
	for _, b := range s.bands {
		i := slices.IndexFunc(groups, func(g bandGroup) bool { return g.name == b.name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, bandGroup{name: b.name})
		}
		groups[i].bands = append(groups[i].bands, b)
	}
	return groups
}

// when says when the bands were: from..to for one, how many for several.
func (g bandGroup) when() string {
	if len(g.bands) > 1 {
		return fmt.Sprintf("%d times", len(g.bands))
	}
	return shortDuration(g.bands[0].from) + ".." + shortDuration(g.bands[0].to)
}

func (t *canvas) bandRows() {
	full := '#'
	if t.opts.Unicode {
		full = '▒'
	}
	for _, g := range t.set.bandGroups() {
		cells := []rune(strings.Repeat(" ", t.cells))
		for _, b := range g.bands {
			from, to := t.cell(b.from), t.cell(b.to)
			if to > from && t.at(to) >= b.to {
				to-- // it ended as this cell began
			}
			for i := from; i <= to; i++ {
				cells[i] = full
			}
		}
		t.line(g.name, g.when(), string(cells))
	}
}

// cell is the cell of a time, and at the time at which a cell begins.
func (t *canvas) cell(at time.Duration) int {
	share := min(max(float64(at)/float64(t.set.duration), 0), 1)
	return min(int(share*float64(t.cells)), t.cells-1)
}

func (t *canvas) at(cell int) time.Duration {
	return time.Duration(float64(t.set.duration) * float64(cell) / float64(t.cells))
}

// sortedMarks are the marks in the order of their time.
func (s *Series) sortedMarks() []mark {
	marks := slices.Clone(s.marks)
	slices.SortStableFunc(marks, func(a, b mark) int { return int(min(max(a.at-b.at, -1), 1)) })
	return marks
}

func (t *canvas) markRow() {
	if len(t.set.marks) == 0 {
		return
	}
	cells := []rune(strings.Repeat(" ", t.cells))
	for n, m := range t.set.sortedMarks() {
		c := t.cell(m.at)
		switch {
		case cells[c] != ' ':
			cells[c] = '*' // several
		case n < len(markNames):
			cells[c] = rune(markNames[n])
		default:
			cells[c] = '+'
		}
	}
	t.line("events", compact(float64(len(t.set.marks))), string(cells))
}

// steps are the distances that ticks of the axis may have.
var steps = []time.Duration{
	time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour,
	91 * 24 * time.Hour, 365 * 24 * time.Hour, 3650 * 24 * time.Hour,
}

// tickCells is the least distance of two ticks: their labels must fit.
const tickCells = 9

func (t *canvas) axis() {
	step := t.set.duration
	for _, s := range steps {
		if float64(s)/float64(t.set.duration)*float64(t.cells) >= tickCells {
			step = min(s, step)
			break
		}
	}
	dash, tick := '-', '+'
	if t.opts.Unicode {
		dash, tick = '─', '┴'
	}
	rule := []rune(strings.Repeat(string(dash), t.cells))
	labels := []rune(strings.Repeat(" ", t.cells+1))
	for at := time.Duration(0); at < t.set.duration; at += step {
		c := t.cell(at)
		rule[c] = tick
		if label := []rune(tickLabel(at)); c+len(label) <= len(labels) {
			copy(labels[c:], label)
		}
	}
	corner := '+'
	left := strings.Repeat(" ", t.name+t.extent+2)
	if t.opts.Unicode {
		fmt.Fprintf(&t.out, "%s└%s┘\n", left, string(rule))
	} else {
		fmt.Fprintf(&t.out, "%s%c%s%c\n", left, corner, string(rule), corner)
	}
	fmt.Fprintf(&t.out, "%s\n", strings.TrimRight(left+" "+string(labels), " "))
}

// tickLabel writes a time on the axis, in days once it has some.
func tickLabel(at time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case at == 0:
		return "0"
	case at >= 2*day && at%day == 0:
		return fmt.Sprintf("%dd", at/day)
	}
	return shortDuration(at)
}

func (t *canvas) legend() {
	marks := t.set.sortedMarks()
	for n, m := range marks {
		if n == len(markNames) {
			fmt.Fprintf(&t.out, "  + %d more\n", len(marks)-n)
			break
		}
		fmt.Fprintf(&t.out, "  %c %s %s\n", markNames[n], shortDuration(m.at), m.label)
	}
	if t.set.dropped > 0 {
		fmt.Fprintf(&t.out, "  %d more faults and orders are not shown\n", t.set.dropped)
	}
}

// compact writes a number in few characters: 950, 20.1k, 1.25M. Whole numbers
// below 100,000 stand in full, so that 19,999 and 20,000 differ.
func compact(v float64) string {
	abs := max(v, -v)
	switch {
	case abs >= 1e9:
		return trimZeros(fmt.Sprintf("%.2f", v/1e9)) + "G"
	case abs >= 1e6:
		return trimZeros(fmt.Sprintf("%.2f", v/1e6)) + "M"
	case abs >= 1e5:
		return trimZeros(fmt.Sprintf("%.1f", v/1e3)) + "k"
	}
	return trimZeros(fmt.Sprintf("%.2f", v))
}

func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
