package pane

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// rows is a table of values that are all at hand: sorted, filtered, and with a
// cursor that stays on its row, whatever the order becomes.
type rows[R any, K comparable] struct {
	grid[R]
	key   func(*R) K
	match func(r *R, filter string) bool // nil: it cannot be filtered

	filter string
	all    []R
	order  []int32 // what is shown: indices into all
	on     K       // the row under the cursor
	chosen bool    // on is set
	of     made
}

// made is what an order was made of: with the same it need not be made again.
type made struct {
	first    any // where the values stand
	count    int
	at       time.Time
	sorted   int
	reverse  bool
	filter   string
	filtered bool
}

// set gives the table its values, as they came at a time.
func (t *rows[R, K]) set(all []R, at time.Time) {
	now := made{count: len(all), at: at, sorted: t.sorted, reverse: t.reverse, filter: t.filter, filtered: true}
	if len(all) > 0 {
		now.first = &all[0]
	}
	if now == t.of {
		t.follow()
		return
	}
	t.all, t.of, t.mark = all, now, t.filter
	t.sort()
	t.count = len(t.order)
	t.find()
}

// sort makes the order anew.
func (t *rows[R, K]) sort() {
	t.order = t.order[:0]
	for i := range t.all {
		if t.filter == "" || t.match == nil || t.match(&t.all[i], t.filter) {
			t.order = append(t.order, int32(i))
		}
	}
	by := t.columns[t.sorted].order
	if by == nil {
		return
	}
	down := t.columns[t.sorted].down != t.reverse
	slices.SortFunc(t.order, func(a, b int32) int {
		n := by(&t.all[a], &t.all[b])
		if down {
			n = -n
		}
		if n == 0 { // as they came; faster than a stable sort
			n = int(a - b)
		}
		return n
	})
}

// find puts the cursor on the row that it was on.
func (t *rows[R, K]) find() {
	if t.chosen {
		for i, n := range t.order {
			if t.key(&t.all[n]) == t.on {
				t.cursor = i
				return
			}
		}
	}
	t.cursor = min(max(t.cursor, 0), max(t.count-1, 0))
	t.follow()
}

// follow remembers which row the cursor is on.
func (t *rows[R, K]) follow() {
	if r := t.current(); r != nil {
		t.on, t.chosen = t.key(r), true
	}
}

// current is the row under the cursor; nil when there is none.
func (t *rows[R, K]) current() *R { return t.row(t.cursor) }

func (t *rows[R, K]) row(i int) *R {
	if i < 0 || i >= len(t.order) {
		return nil
	}
	return &t.all[t.order[i]]
}

// press handles the keys of tables: moving and sorting.
func (t *rows[R, K]) press(key string) bool {
	if t.grid.press(key) {
		t.follow()
		return true
	}
	switch key {
	case "s", "right":
		t.sortNext(1)
	case "left":
		t.sortNext(-1)
	case "S":
		t.by(t.sorted, !t.reverse)
	default:
		return false
	}
	return true
}

// sortNext sorts by the next column that is shown and can be sorted by.
func (t *rows[R, K]) sortNext(step int) {
	can := make([]int, 0, len(t.columns))
	for i := range t.columns {
		if t.columns[i].order != nil && (i == t.sorted || len(t.shown) == 0 ||
			slices.ContainsFunc(t.shown, func(at slot) bool { return at.column == i })) {
			can = append(can, i)
		}
	}
	if len(can) == 0 {
		return
	}
	at := slices.Index(can, t.sorted)
	if at < 0 {
		at = len(can) - step
	}
	t.by(can[(at+step+len(can))%len(can)], false)
}

// by sorts by a column. Whoever is on the first row wants to see what is first
// then; else the cursor stays on its row.
func (t *rows[R, K]) by(column int, reverse bool) {
	t.sorted, t.reverse = column, reverse
	if t.cursor == 0 {
		t.chosen = false
	}
}

// click handles a click on a title or a row; true for a row.
func (t *rows[R, K]) click(x, y int) bool {
	column, ok := t.grid.click(x, y)
	switch {
	case !ok:
		return false
	case column >= 0:
		t.by(column, column == t.sorted && !t.reverse)
		return false
	}
	t.follow()
	return true
}

func (t *rows[R, K]) wheel(n int) {
	t.grid.wheel(n)
	t.follow()
}

// draw draws the table; values that an error has kept old are dimmed.
func (t *rows[R, K]) draw(c *screen.Canvas, s *data.State, focused, old bool) {
	t.grid.draw(c, s, t.row, focused)
	if old {
		faded(c)
	}
}

// faded dims what is drawn: it may be so no longer.
func faded(c *screen.Canvas) {
	w, h := c.Size()
	c.Paint(0, 0, w, h, func(st screen.Style) screen.Style { st.Fg = screen.Dim; return st })
}

// sorting says what the rows are sorted by, for the note.
func (t *rows[R, K]) sorting() string {
	col := &t.columns[t.sorted]
	if col.order == nil {
		return ""
	}
	return "by " + col.title + " " + t.arrow()
}

// filtering says what the filter leaves, for the note.
func (t *rows[R, K]) filtering() string {
	if t.filter == "" {
		return ""
	}
	return Count(len(t.order)) + " of " + Count(len(t.all)) + " with “" + screen.Cut(t.filter, 20) + "”"
}

// notes joins parts of a note, leaving out empty ones.
func notes(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " · ")
}

// contains says whether one of the texts holds another, whatever the case of
// their letters.
func contains(filter string, texts ...string) bool {
	for _, text := range texts {
		if from, _ := fold(text, filter); from >= 0 {
			return true
		}
	}
	return false
}

// fold is where in a text another begins and ends, whatever the case of their
// letters; below 0 when it is not there.
func fold(text, what string) (from, to int) {
	if what == "" {
		return -1, -1
	}
	runes := utf8.RuneCountInString(what)
	first, _ := utf8.DecodeRuneInString(what)
	for i, r := range text {
		if r != first && r|0x20 != first|0x20 && r < utf8.RuneSelf && first < utf8.RuneSelf {
			continue
		}
		end := i
		for n := 0; n < runes && end < len(text); n++ {
			_, size := utf8.DecodeRuneInString(text[end:])
			end += size
		}
		if strings.EqualFold(text[i:end], what) {
			return i, end
		}
	}
	return -1, -1
}

// marked writes a text and marks what a filter has found in it.
func marked(c *screen.Canvas, x, y int, text string, st screen.Style, filter string) {
	c.Text(x, y, text, st)
	if from, to := fold(text, filter); from >= 0 {
		c.Paint(x+screen.Width(text[:from]), y, screen.Width(text[from:to]), 1, func(st screen.Style) screen.Style {
			return screen.Style{Fg: screen.Match, Bg: st.Bg, Attr: st.Attr | screen.Underline}
		})
	}
}

// empty says in the middle of a view why there is nothing to see.
func empty(c *screen.Canvas, lines ...string) {
	w, h := c.Size()
	y := max(h/3, 1)
	for i, text := range lines {
		role := screen.Dim
		if i == 0 {
			role = screen.Default
		}
		for _, line := range Wrap(text, w-2*gutter, 4) {
			c.Text(max((w-screen.Width(line))/2, gutter), y, line, screen.Fg(role))
			y++
		}
	}
}

// trouble draws at the bottom why values are old, and answers the canvas above
// it; old is false when they are not.
func trouble(c *screen.Canvas, s *data.State, a *data.Answer, what string) (above *screen.Canvas, old bool) {
	if a == nil || a.Err == nil || a.Value == nil {
		return c, false
	}
	w, h := c.Size()
	text := "! cannot read " + what + ": " + a.Err.Error()
	if !a.At.IsZero() {
		text += "; what is shown is " + Age(s.Now.Sub(a.At)) + " old"
	}
	c.TextIn(gutter, h-1, w-gutter, text, screen.Fg(screen.Bad))
	return c.Sub(0, 0, w, h-1), true
}

// restart forgets cursor and widths: other values come.
func (t *rows[R, K]) restart() {
	t.cursor, t.top, t.chosen, t.natural = 0, 0, false, nil
	t.of, t.all, t.order, t.count = made{}, nil, nil, 0
}
