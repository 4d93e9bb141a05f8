package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// The rows of the page's tables.
type (
	violationRow   struct{ At, Kind, Invariant, Reason string }
	pendingRow     struct{ Kind, Count, Why, IDs string }
	expectationRow struct {
		Text, Shown string
		Met         bool
	}
	replacementRow struct{ At, Instance, Why, Back string }
	slowRow        struct{ Took, At, What, Resource, More, Instance, Cause string }
	figureRow      struct {
		Name   string
		Values []string
		About  string
	}
	logRow     struct{ At, Class, Sort, About, Text string }
	kindRow    struct{ Name, Policy, Beats, Notifications, Heartbeats, Transactions, Failed string }
	legendItem struct {
		Swatch template.HTML
		Text   string
	}
)

// plots draws everything that is drawn, in both widths.
func (p *page) plots() error {
	s := p.story
	styles := &classes{of: map[string]string{}}
	both := func(label string, draw func(size) (*sheet, error)) (template.HTML, error) {
		var out template.HTML
		for _, sz := range sizes {
			sh, err := draw(sz)
			if err != nil {
				return "", err
			}
			markup, err := sh.markup(styles, label)
			if err != nil {
				return "", err
			}
			out += markup
		}
		return out, nil
	}
	t := s.Total()
	var err error
	if p.Overview, err = both(fmt.Sprintf("Over time: resources, instances, unplaced resources, transactions, slowest settlement. At the end %s resources on %s instances.",
		number(t.Resources), number(t.Instances)), func(sz size) (*sheet, error) { return s.overTime(sz, s.overviewCharts(), true) }); err != nil {
		return err
	}
	p.OverviewCaption = s.overviewCaption()
	if len(s.Lanes) > 0 {
		if p.Lanes, err = both(fmt.Sprintf("%s over time, their load as colour and what their pods did", plural(len(s.Lanes), "instance")),
			func(sz size) (*sheet, error) { return s.laneSheet(sz), nil }); err != nil {
			return err
		}
		p.LanesNote, p.Legend = s.lanesNote(), s.legend()
	}
	p.MovesNote = "No resource moved and no pod was replaced."
	if s.Tracks.Moves.Sum()+s.Tracks.Replaced.Sum() > 0 {
		p.MovesNote = fmt.Sprintf("In steps of %s: times a resource got another instance than its last, and pods deleted to be created anew.", span(s.Bucket))
		if p.Moves, err = both(fmt.Sprintf("Over time: %s moves and %s pods replaced", number(t.Moves), number(t.Replaced)),
			func(sz size) (*sheet, error) { return s.overTime(sz, s.moveChartsThatShow(), false) }); err != nil {
			return err
		}
	}
	p.SettleNote = s.settleNote()
	if s.Settle.Count() > 0 {
		if p.Settle, err = both(fmt.Sprintf("Histogram of %s settle times: p50 %s, p99 %s, max %s", number(s.Settle.Count()),
			span(s.Settle.P50()), span(s.Settle.P99()), span(s.Settle.Max())), func(sz size) (*sheet, error) { return s.settleSheet(sz), nil }); err != nil {
			return err
		}
	}
	p.PlotCSS = template.CSS(styles.rules.String())
	return nil
}

func (s *Story) overviewCaption() string {
	var parts []string
	has := func(c BandClass) bool {
		return slices.ContainsFunc(s.Bands, func(b Band) bool { return b.Class == c && (!b.Once || c == BandOrder) })
	}
	if has(BandFault) || has(BandOutage) {
		parts = append(parts, "Shaded: while a fault or an outage lasted.")
	}
	if has(BandOrder) {
		parts = append(parts, "Dashed lines: orders.")
	}
	if s.Heal > 0 && s.Heal < s.To {
		parts = append(parts, "Dotted line: faults have stopped, and everything must settle.")
	}
	unplaced := "on no instance's list"
	if !s.Simulated() {
		unplaced = "known and " + unplaced
	}
	parts = append(parts, fmt.Sprintf("Unplaced: %s, once the start was over. Each step is %s.", unplaced, span(s.Bucket)))
	if !s.axis().began.IsZero() {
		parts = append(parts, "Times are UTC.")
	}
	return strings.Join(parts, " ")
}

func (s *Story) lanesNote() string {
	note := "A row for each instance: its load as colour, and what its pod did where it did not run."
	if len(s.Lanes) > manyLanes {
		note = fmt.Sprintf("%s instances are too many for a row each: together above, and below a row for each of those to which most happened.", number(len(s.Lanes)))
	}
	return note + fmt.Sprintf(" Each step is at least %s and shows the worst that happened in it.", span(s.Bucket))
}

// legend explains what occurs.
func (s *Story) legend() []legendItem {
	var seen [Failed + 1]bool
	var over, ticks bool
	for _, l := range s.Lanes {
		over = over || l.Peak > 1.0001
		ticks = ticks || l.Replaced > 0
		for _, c := range l.Cells {
			seen[c.State] = true
		}
	}
	swatch := func(i ink) template.HTML {
		return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 22 12" aria-hidden="true"><rect width="22" height="12" style="fill:%s"/></svg>`, i.css()))
	}
	var ramp strings.Builder
	for i := range loadSteps {
		fmt.Fprintf(&ramp, `<rect x="%d" width="11" height="12" style="fill:%s"/>`, 11*i, (inkLoad + ink(i)).css())
	}
	items := []legendItem{{template.HTML(`<svg class="ramp" viewBox="0 0 99 12" aria-hidden="true">` + ramp.String() + `</svg>`), "running, empty to full"}}
	if over {
		items = append(items, legendItem{swatch(inkLoad + loadSteps), "more than its capacity"})
	}
	for _, st := range badStates {
		if seen[st] {
			color, _ := cellInk(Cell{State: st})
			items = append(items, legendItem{swatch(color), st.String()})
		}
	}
	if ticks {
		items = append(items, legendItem{template.HTML(fmt.Sprintf(`<svg viewBox="0 0 22 12" aria-hidden="true"><rect x="9.5" width="2.5" height="12" style="fill:%s"/></svg>`, inkTick.css())), "replaced"})
	}
	return items
}

func (s *Story) settleNote() string {
	if s.Settle.Count() == 0 {
		return "Nothing was created or deleted."
	}
	if s.SettledBy == SettledInZooKeeper {
		return fmt.Sprintf("%s creations and deletions, from the notification until the transaction was confirmed: whether a DAC then runs the resource, the orchestrator is not told. Both axes are logarithmic.", number(s.Settle.Count()))
	}
	return fmt.Sprintf("%s creations and deletions, from the row's change until exactly one DAC runs it, or none, the start's own apart. Both axes are logarithmic.", number(s.Settle.Count()))
}

// tables fills those that are lists.
func (p *page) tables() {
	s := p.story
	many := len(s.Kinds) > 1
	about := func(kind fleet.Kind, in fleet.InstanceID, more int) string {
		var parts []string
		if many && kind != "" {
			parts = append(parts, shortened(string(kind), maxIDShown))
		}
		if in != fleet.NoInstance {
			parts = append(parts, "instance "+in.String())
		}
		if more > 0 {
			parts = append(parts, fmt.Sprintf("and %d more", more))
		}
		return strings.Join(parts, " ")
	}
	const shown = 200
	p.ReplacementsCaption = fmt.Sprintf("%s in all.", plural(s.Total().Replaced, "replacement"))
	if n := len(s.Replacements); n > shown {
		p.ReplacementsCaption = fmt.Sprintf("The first %d of %s.", shown, plural(s.Total().Replaced, "replacement"))
	}
	for _, r := range s.Replacements[:min(len(s.Replacements), shown)] {
		row := replacementRow{At: p.axis.when(r.At), Instance: about(r.Kind, r.Instance, 0), Why: r.Why, Back: "not by the end"}
		if r.Back > 0 {
			row.Back = span(r.Back)
		}
		if r.Ordered {
			row.Why = "ordered: " + row.Why
		}
		p.Replacements = append(p.Replacements, row)
	}
	p.slowest()
	p.LogCaption = "Lines that say the same of several instances at one time stand together."
	if s.LogOmitted > 0 {
		p.LogCaption += fmt.Sprintf(" %s in the middle are left out.", plural(s.LogOmitted, "line"))
	}
	for _, e := range s.Log {
		class := [...]string{LogNote: "c-note", LogAlarmOn: "c-alarm", LogAlarmOff: "c-over", LogOrder: "c-order",
			LogLeader: "c-leader", LogFault: "c-fault", LogBroken: "c-broken"}[e.Class]
		p.Log = append(p.Log, logRow{p.axis.when(e.At), class, e.Class.String(), about(e.Kind, e.Instance, e.More), e.Text})
	}
	for i := range s.Kinds {
		p.kindRow(&s.Kinds[i])
	}
	p.sections()
	p.Footer = "Drawn from the recording alone by dacorch sim report. A story of at most " + number(MaxBuckets) + " steps of time; every list is bounded and says what it leaves out."
}

// slowest fills the table of slow settlements; those that took as long for the
// same reason stand in one row.
func (p *page) slowest() {
	var last *Settlement
	more := 0
	for i := range p.story.Slowest {
		sl := &p.story.Slowest[i]
		if n := len(p.Slowest); last != nil && span(sl.For) == span(last.For) && sl.Cause == last.Cause && sl.What == last.What && sl.Cause != "" {
			more++
			p.Slowest[n-1].More = fmt.Sprintf("and %d more", more)
			continue
		}
		last, more = sl, 0
		row := slowRow{Took: span(sl.For), At: p.axis.when(sl.At), What: sl.What, Resource: sl.Resource, Instance: sl.Instance.String(), Cause: sl.Cause}
		if sl.Cause == "" {
			row.Cause = "no outage, alarm or order at that time"
		}
		if sl.Open {
			row.At = "not by the end"
		}
		p.Slowest = append(p.Slowest, row)
	}
}

func (p *page) kindRow(k *Kind) {
	c := &k.Config
	beats := "none: only a pod's phase tells that it failed"
	if c.Heartbeat {
		beats = fmt.Sprintf("every %s, silent after %s", span(c.HeartbeatInterval), span(c.Silence))
	}
	p.Kinds = append(p.Kinds, kindRow{
		shortened(string(k.Name), maxIDShown), shortened(string(c.Policy)+", "+string(c.Handoff), maxIDShown), beats,
		number(k.Notifications), number(k.Heartbeats), number(k.Transactions), number(k.Conflicts) + ", " + number(k.Failed),
	})
}

func (p *page) sections() {
	verdict := section{"verdict", "Verdict"}
	if p.Failed { // what is wrong comes first
		p.Sections = append(p.Sections, verdict)
	}
	p.Sections = append(p.Sections, section{"overview", "Overview"})
	if p.Lanes != "" {
		p.Sections = append(p.Sections, section{"instances", "Instances"})
	}
	if p.HasVerdict && !p.Failed {
		p.Sections = append(p.Sections, verdict)
	}
	p.Sections = append(p.Sections, section{"moves", "Moves and replacements"}, section{"settle", "Settle time"},
		section{"quality", "Quality"}, section{"log", "Decisions"}, section{"kinds", "Kinds"})
}

// qualityPrefixes are those of the metrics that say how good the schedule was.
var qualityPrefixes = []string{"moves_", "imbalance", "unowned", "overlap", "instances_replaced", "detection", "recover", "capacity_used"}

// quality fills the tables of figures: a simulation's from its report, with a
// column for each kind, else what the recording gives.
func (p *page) quality() {
	s := p.story
	if s.Report == nil {
		p.derivedQuality()
		return
	}
	columns := s.Report.Kinds
	if len(columns) != 1 {
		columns = append(slices.Clone(columns), history.KindFigures{Kind: "all", Figures: s.Report.Totals})
	}
	for _, c := range columns {
		p.Columns = append(p.Columns, shortened(string(c.Kind), maxIDShown))
	}
	for _, m := range history.Metrics() {
		row := figureRow{Name: m.String(), About: m.About()}
		some := false
		for _, c := range columns {
			v := c.Figures[m]
			if math.IsNaN(v) || math.IsInf(v, 0) || m.Unit() == history.Seconds && math.Abs(v) > 1e9 {
				v = 0
			}
			row.Values = append(row.Values, m.Format(v))
			some = some || v != 0
		}
		if slices.ContainsFunc(qualityPrefixes, func(prefix string) bool { return strings.HasPrefix(m.String(), prefix) }) {
			p.addQuality(row)
		}
		if some {
			p.Figures = append(p.Figures, row)
		}
	}
}

// quantiles are the ends of the names of metrics that stand in one row.
var quantiles = []string{"_p50", "_p99", "_max"}

// addQuality adds a figure in words, those of one measure in one row.
func (p *page) addQuality(f figureRow) {
	row := figureRow{Name: strings.ReplaceAll(f.Name, "_", " "), Values: slices.Clone(f.Values), About: f.About}
	for _, q := range quantiles {
		stem, is := strings.CutSuffix(f.Name, "_time"+q)
		if !is {
			continue
		}
		name, last := strings.ReplaceAll(stem, "_", " ")+" time: ", strings.TrimPrefix(q, "_")
		if n := len(p.Quality); n > 0 && strings.HasPrefix(p.Quality[n-1].Name, name) {
			before := &p.Quality[n-1]
			before.Name += ", " + last
			for i := range before.Values {
				before.Values[i] += ", " + row.Values[i]
			}
			return
		}
		row.Name = name + last
	}
	p.Quality = append(p.Quality, row)
}

// derivedQuality is what a recording of production tells.
func (p *page) derivedQuality() {
	s := p.story
	rows := []figureRow{
		{Name: "moves", About: "times a resource got another instance than its last"},
		{Name: "imbalance at the end", About: "resources on the fullest less those on the emptiest instance"},
		{Name: "pods replaced", About: "deleted to be created anew; whether one was healthy after all, the orchestrator cannot know"},
		{Name: "longest until one ran again", About: "of the replaced pods, from the order on"},
		{Name: "time without a running pod", About: "of all instances together, once a pod of theirs had run"},
		{Name: "start", About: "from leading until everything known had a place"},
		{Name: "transactions that did not happen", About: "refused for a version, failed, or of unknown outcome"},
	}
	for i := range s.Kinds {
		k := &s.Kinds[i]
		p.Columns = append(p.Columns, shortened(string(k.Name), maxIDShown))
		least, most := math.MaxInt, 0
		var down, back time.Duration
		for _, l := range s.Lanes {
			if l.Kind != k.Name {
				continue
			}
			down += l.Down
			if l.exists {
				least, most = min(least, l.Used), max(most, l.Used)
			}
		}
		for _, r := range s.Replacements {
			if r.Kind == k.Name {
				back = max(back, r.Back)
			}
		}
		for j, v := range []string{number(k.Moves), number(max(most-min(least, most), 0)), number(k.Replaced), span(back), span(down), span(k.Start), number(k.Conflicts + k.Failed)} {
			rows[j].Values = append(rows[j].Values, v)
		}
	}
	p.Quality = rows
}

// hoverData is what the page's script shows under the pointer.
type hoverData struct {
	From   float64      `json:"from"` // of the axis, seconds
	To     float64      `json:"to"`
	Start  float64      `json:"start"` // of the first bucket
	Bucket float64      `json:"bucket"`
	Began  int64        `json:"began,omitempty"` // Unix milliseconds
	Wide   [2]float64   `json:"wide"`            // where the data begins and ends, as shares of the plot
	Narrow [2]float64   `json:"narrow"`
	Tracks []hoverTrack `json:"tracks"`
}

type hoverTrack struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit,omitempty"`
	Values []float64 `json:"values"`
}

func (s *Story) hover() hoverData {
	axis := s.axis()
	d := hoverData{From: axis.from.Seconds(), To: axis.to.Seconds(), Start: s.From.Seconds(), Bucket: s.Bucket.Seconds()}
	if !axis.began.IsZero() {
		d.Began = axis.began.UnixMilli()
	}
	ends := func(sz size) [2]float64 { return [2]float64{sz.left / sz.width, 1 - sz.right/sz.width} }
	d.Wide, d.Narrow = ends(sizes[0]), ends(sizes[1])
	for _, c := range slices.Concat(s.overviewCharts(), s.moveCharts()) {
		d.Tracks = append(d.Tracks, hoverTrack{c.title, c.unit(), rounded(c.track, c.rate, s.Bucket)})
		if c.within != nil {
			d.Tracks[len(d.Tracks)-1].Name = "instances"
			d.Tracks = append(d.Tracks, hoverTrack{"running", "", rounded(c.within, c.rate, s.Bucket)})
		}
	}
	return d
}

// unit is what stands behind the chart's values under the pointer.
func (c *chart) unit() string {
	if c.time {
		return " s"
	}
	return ""
}

// rounded are a track's values with three digits behind the point.
func rounded(t *Track, rate bool, bucket time.Duration) []float64 {
	out := make([]float64, len(t.Values))
	for i, v := range t.Values {
		if rate {
			v /= bucket.Seconds()
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			v = 0
		}
		out[i] = math.Round(v*1000) / 1000
	}
	return out
}
