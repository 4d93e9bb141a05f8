package history

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// TableOptions say how a report is written for people.
type TableOptions struct {
	Width   int  // columns; 0 is 80; long reasons are wrapped to it
	Color   bool // ANSI colours on verdicts
	Unicode bool // ✓ and ✗ instead of ok and FAIL, and the timeline in blocks
	// Timeline, unless nil, is drawn between the figures and the expectations.
	Timeline *Series
	// Brief leaves out everything that is as it should be.
	Brief bool
}

// shownViolations is how many violations the table shows in full.
const shownViolations = 10

// Table writes the report for people: figures by kind, the schedule's quality, the
// timeline, expectations, broken invariants, what is pending, what was skipped, and where
// the eye ends, the verdict and the trace's hash.
func (r *Report) Table(w io.Writer, opts TableOptions) error {
	if opts.Width == 0 {
		opts.Width = 80
	}
	t := &table{opts: opts, report: r}
	t.head()
	if !opts.Brief {
		t.figures()
		t.quality()
		if err := t.timeline(); err != nil {
			return err
		}
	}
	t.expectations()
	t.invariants()
	t.pending()
	if !opts.Brief {
		t.slowest()
		t.skipped()
		t.notes()
	}
	t.verdict()
	_, err := io.WriteString(w, t.out.String())
	return err
}

type table struct {
	opts   TableOptions
	report *Report
	out    strings.Builder
}

func (t *table) head() {
	r := t.report
	fmt.Fprintf(&t.out, "%s (seed %d)\n", r.Scenario, r.Seed)
	if r.About != "" {
		t.wrap("  ", "  ", r.About)
	}
	virtual := shortDuration(time.Duration(r.VirtualS * float64(time.Second)))
	if r.WallS > 0 {
		wall := shortDuration(time.Duration(r.WallS * float64(time.Second)))
		done, speed := "simulated", thousands(float64(int64(r.Speed())))
		if r.Real {
			done, speed = "played over real protocols", fmt.Sprintf("%.1f", r.Speed())
		}
		fmt.Fprintf(&t.out, "  %s %s in %s: %s times real time, %s events\n", virtual, done, wall, speed, thousands(float64(r.Events)))
	} else {
		fmt.Fprintf(&t.out, "  %s simulated, %s events\n", virtual, thousands(float64(r.Events)))
	}
}

// alwaysShown are the metrics that the table has even when they are zero.
var alwaysShown = []Metric{
	Resources, Instances, Transactions, MovesNeeded, MovesMade, InstancesReplaced, ResourcesUnplacedMax,
	SettleTimeP50, SettleTimeP99, SettleTimeMax,
}

// figures has a line for each metric that is not zero for every kind, and a
// column for each kind; with several kinds, one for all together.
func (t *table) figures() {
	r := t.report
	columns := make([]KindFigures, 0, len(r.Kinds)+1)
	columns = append(columns, r.Kinds...)
	if len(r.Kinds) != 1 {
		columns = append(columns, KindFigures{Kind: "all", Figures: r.Totals})
	}
	rows := [][]string{{""}}
	for _, c := range columns {
		rows[0] = append(rows[0], string(c.Kind))
	}
	for _, m := range Metrics() {
		if slices.Contains(ofQuality, m) {
			continue
		}
		row := []string{m.String()}
		some := slices.Contains(alwaysShown, m)
		for _, c := range columns {
			row = append(row, m.Format(c.Figures[m]))
			some = some || c.Figures[m] != 0
		}
		if some {
			rows = append(rows, row)
		}
	}
	t.out.WriteByte('\n')
	t.align(rows)
	t.out.WriteString("  (figures not shown are zero)\n")
}

// align writes rows with the first column to the left, the others to the right.
func (t *table) align(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		fmt.Fprintf(&b, "  %-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			fmt.Fprintf(&b, "  %*s", widths[i+1], cell)
		}
		t.out.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	}
}

func (t *table) timeline() error {
	if t.opts.Timeline == nil {
		return nil
	}
	t.out.WriteByte('\n')
	return t.opts.Timeline.Timeline(&t.out, TimelineOptions{Width: t.opts.Width, Unicode: t.opts.Unicode})
}

func (t *table) expectations() {
	var shown []Expectation
	width := 0
	for _, e := range t.report.Expectations {
		if !e.Met || !t.opts.Brief {
			shown = append(shown, e)
			width = max(width, utf8.RuneCountInString(e.Text))
		}
	}
	if len(shown) == 0 {
		return
	}
	t.out.WriteString("\nexpected\n")
	for _, e := range shown {
		fmt.Fprintf(&t.out, "  %s %-*s  %s\n", t.sign(e.Met), width, e.Text, e.shown())
	}
}

// shown is the expectation's value for people. The metric's name is left out
// where it would only repeat the line's beginning.
func (e Expectation) shown() string {
	if e.Shown == "" {
		return "was " + thousands(e.Value)
	}
	name, _, _ := strings.Cut(strings.TrimLeft(e.Text, " "), " ")
	if i := strings.IndexAny(name, "=!<>"); i >= 0 {
		name = name[:i]
	}
	if value, only := strings.CutPrefix(e.Shown, name+" = "); only && !strings.Contains(value, " = ") {
		return "was " + value
	}
	if strings.HasSuffix(e.Shown, " has no value") {
		return e.Shown
	}
	return "was " + e.Shown
}

func (t *table) invariants() {
	r := t.report
	broken := r.broken()
	if broken == 0 && t.opts.Brief {
		return
	}
	t.out.WriteString("\ninvariants\n")
	if broken == 0 {
		fmt.Fprintf(&t.out, "  %s all %d held throughout\n", t.sign(true), len(r.Invariants))
		return
	}
	for _, c := range r.Invariants {
		if c.Broken > 0 {
			fmt.Fprintf(&t.out, "  %s %s broke %s\n", t.sign(false), c.Name, plural(c.Broken, "time"))
		}
	}
	for _, v := range r.Violations[:min(len(r.Violations), shownViolations)] {
		t.wrap("    ", "      ", fmt.Sprintf("%v %s %s: %s", v.At, v.Kind, v.Invariant, v.Reason))
	}
	if more := broken - uint64(min(len(r.Violations), shownViolations)); more > 0 {
		fmt.Fprintf(&t.out, "    and %s more\n", thousands(float64(more)))
	}
}

func (t *table) pending() {
	if len(t.report.Pending) == 0 {
		return
	}
	t.out.WriteString("\nnot settled at the end\n")
	for _, p := range t.report.Pending {
		t.wrap("  ", "    ", fmt.Sprintf("%s %s since %s: %s (%s)", thousands(float64(p.Count)), p.Kind,
			shortDuration(p.Since), p.Why, examples(p)))
	}
}

func examples(p Pending) string {
	s := strings.Join(p.IDs, ", ")
	if p.Count > len(p.IDs) {
		s += ", …"
	}
	return s
}

func (t *table) skipped() {
	if len(t.report.Skipped) == 0 {
		return
	}
	t.out.WriteString("\ntrace rows skipped\n")
	for _, s := range t.report.Skipped {
		line := fmt.Sprintf("%s of %s: %s", thousands(float64(s.Rows)), s.File, s.Why)
		if s.Example != "" {
			line += ", first " + s.Example
		}
		t.wrap("  ", "    ", line)
	}
}

func (t *table) notes() {
	if len(t.report.Notes) == 0 {
		return
	}
	t.out.WriteString("\nto know\n")
	for _, note := range t.report.Notes {
		t.wrap("  ", "    ", note)
	}
}

func (t *table) verdict() {
	r := t.report
	met := 0
	for _, e := range r.Expectations {
		if e.Met {
			met++
		}
	}
	fmt.Fprintf(&t.out, "\n%s %d of %s met, %s\n", t.sign(r.OK()), met,
		plural(uint64(len(r.Expectations)), "expectation"), plural(r.broken(), "violation"))
	if !r.Real { // real time does not repeat itself
		fmt.Fprintf(&t.out, "trace %s\n", r.Trace)
	}
}

func plural(n uint64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(float64(n)) + " " + noun
}

// sign is the mark of something that is as it should be, or is not.
func (t *table) sign(ok bool) string {
	text, color := "FAIL", "31"
	switch {
	case t.opts.Unicode && ok:
		text, color = "✓", "32"
	case t.opts.Unicode:
		text = "✗"
	case ok:
		text, color = "ok  ", "32"
	}
	if t.opts.Color {
		return "\x1b[" + color + "m" + text + "\x1b[0m"
	}
	return text
}

// wrap writes text broken between words to the width, the first line after
// indent, the others after hang. Line breaks and other control characters of the
// text become spaces: nothing that a trace or scenario holds can forge a line.
func (t *table) wrap(indent, hang, text string) {
	line := indent
	empty := true
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > t.opts.Width {
			t.out.WriteString(line + "\n")
			line, empty = hang, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	t.out.WriteString(line + "\n")
}
