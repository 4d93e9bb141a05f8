package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"dacorch/sim/internal/history"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// HTML writes the story as one page that needs nothing beside itself. The same
// story gives the same bytes.
func (s *Story) HTML(w io.Writer) error {
	p := &page{story: s, axis: s.axis(), CSS: template.CSS(pageCSS)}
	p.head()
	p.verdict()
	p.tiles()
	if err := p.plots(); err != nil {
		return fmt.Errorf("a plot of the report: %w", err)
	}
	p.tables()
	p.quality()
	p.Data = s.hover()
	return pageTemplate.Execute(w, p)
}

// page is what the template shows.
type page struct {
	story *Story
	axis  timeAxis

	CSS, PlotCSS        template.CSS
	Kicker, Title       string
	Badge, BadgeClass   string
	About, Verdict      string
	Meta                []field
	Sections            []section
	Tiles               []tile
	Problems            []string
	HasVerdict, Failed  bool
	Violations          []violationRow
	ViolationsCaption   string
	Pending             []pendingRow
	Expectations        []expectationRow
	Notes               []string
	Overview            template.HTML
	OverviewCaption     string
	Lanes               template.HTML
	LanesNote           string
	Legend              []legendItem
	Moves               template.HTML
	MovesNote           string
	Replacements        []replacementRow
	ReplacementsCaption string
	Settle              template.HTML
	SettleNote          string
	Slowest             []slowRow
	Columns             []string
	Quality, Figures    []figureRow
	Log                 []logRow
	LogCaption          string
	Kinds               []kindRow
	Footer              string
	Data                hoverData
}

type field struct {
	Name, Value string
	Code        bool
}

type section struct{ ID, Name string }

type tile struct {
	Label, Value, Note string
	Bad                bool
}

// head says what was recorded.
func (p *page) head() {
	s := p.story
	add := func(name, value string, code bool) { p.Meta = append(p.Meta, field{name, value, code}) }
	p.Title, p.About = s.Scenario, s.About
	p.Kicker = "dacorch report: simulation"
	switch {
	case !s.Simulated():
		p.Kicker = "dacorch report: recording of production"
		p.Title = s.kindNames()
		if p.Title == "" {
			p.Title = "recording"
		}
		if !s.Began.IsZero() {
			from, to := s.Began.UTC().Add(s.From), s.Began.UTC().Add(s.To)
			format := "2006-01-02 15:04:05"
			until := to.Format(format)
			if from.YearDay() == to.YearDay() && from.Year() == to.Year() {
				until = to.Format("15:04:05")
			}
			add("recorded", from.Format(format)+" to "+until+" UTC", false)
		}
	case s.Report != nil:
		p.Title, p.About = s.Report.Scenario, s.Report.About
		if s.Report.Real {
			p.Kicker = "dacorch report: played over real protocols"
		}
	}
	p.Title, p.About = shortened(p.Title, maxIDShown), shortened(p.About, 2*maxTextShown)
	add("length", span(s.Length()), false)
	if s.Simulated() {
		add("seed", fmt.Sprint(s.Seed), true)
	}
	if s.Report != nil && s.Report.Trace != "" {
		add("trace", shortened(s.Report.Trace, maxIDShown), true)
	}
	if s.Simulated() {
		add("kinds", s.kindNames(), false)
	}
	add("entries", number(s.Entries), false)
	if s.Segments > 1 {
		add("segments", number(s.Segments), false)
	}
	if s.Program != "" {
		add("written by", shortened(s.Program, maxIDShown), false)
	}
}

func (s *Story) kindNames() string {
	var names []string
	for i := range s.Kinds {
		names = append(names, shortened(string(s.Kinds[i].Name), maxIDShown))
	}
	return strings.Join(names, ", ")
}

// verdict says in a sentence what became of it.
func (p *page) verdict() {
	s := p.story
	p.Problems = append(p.Problems, s.Problems...)
	if n := s.Unfollowed; n != (Omitted{}) {
		p.Problems = append(p.Problems, fmt.Sprintf("Too much for one page: not followed were %s sightings of instances, %s of resources, %s faults, alarms and orders; %s replacements are not listed.",
			number(n.Lanes), number(n.Resources), number(n.Bands), number(n.Replacements)))
	}
	rep := s.Report
	switch {
	case rep != nil:
		p.simulationVerdict(rep)
	case s.Simulated():
		p.Badge, p.BadgeClass = "NO VERDICT", "warn"
		p.Verdict = "The recording ends before the run did: nothing says whether what must hold held."
	default:
		p.productionVerdict()
	}
	for _, v := range s.Violations {
		p.Violations = append(p.Violations, violationRow{p.axis.when(v.At), shortened(string(v.Kind), maxIDShown), v.Invariant, v.Reason})
	}
	p.HasVerdict = len(p.Violations)+len(p.Pending)+len(p.Expectations)+len(p.Notes) > 0
}

func (p *page) simulationVerdict(rep *history.Report) {
	met, broken := 0, uint64(0)
	for _, e := range rep.Expectations {
		met += count(e.Met)
		shown := e.Shown
		if shown == "" {
			shown = compact(e.Value)
		}
		if _, value, ok := strings.Cut(shown, " = "); ok {
			shown = value // the metric's name stands beside it
		}
		p.Expectations = append(p.Expectations, expectationRow{shortened(e.Text, maxTextShown), shortened(shown, maxIDShown), e.Met})
	}
	slices.SortStableFunc(p.Expectations, func(a, b expectationRow) int { return count(a.Met) - count(b.Met) })
	for _, c := range rep.Invariants {
		broken += c.Broken
	}
	p.Badge, p.BadgeClass = "✓ PASS", "pass"
	if !rep.OK() {
		p.Badge, p.BadgeClass, p.Failed = "✗ FAIL", "fail", true
	}
	p.Verdict = fmt.Sprintf("%d of %s met, %s.", met, plural(len(rep.Expectations), "expectation"), plural(int(min(broken, 1<<40)), "violation"))
	const named = 3
	for i, e := range p.Expectations[:len(p.Expectations)-met] {
		if i == named {
			p.Verdict += " And more."
			break
		}
		p.Verdict += fmt.Sprintf(" Not met: %s, it was %s.", e.Text, e.Shown)
	}
	if n := len(rep.Pending); n > 0 {
		p.Verdict += " Not everything was settled at the end: see below."
	}
	p.ViolationsCaption = fmt.Sprintf("The first %d of %s.", min(len(rep.Violations), MaxViolations), number(int(min(broken, 1<<40))))
	for i := range rep.Pending[:min(len(rep.Pending), maxPending)] {
		pd := &rep.Pending[i]
		p.Pending = append(p.Pending, pendingRow{shortened(string(pd.Kind), maxIDShown), number(pd.Count), shortened(pd.Why, maxTextShown), shortened(strings.Join(pd.IDs, " "), maxTextShown)})
	}
	for _, note := range rep.Notes {
		p.Notes = append(p.Notes, shortened(note, maxTextShown))
	}
	for _, skipped := range rep.Skipped {
		p.Notes = append(p.Notes, shortened(fmt.Sprintf("%s: %d rows could not be used: %s", skipped.File, skipped.Rows, skipped.Why), maxTextShown))
	}
}

// maxPending bounds the groups of unsettled resources that the page lists.
const maxPending = 50

// productionVerdict sums up what needs an eye. Nobody has said what must hold.
func (p *page) productionVerdict() {
	s, t := p.story, p.story.Total()
	var on []string
	for i := range s.Bands {
		if b := &s.Bands[i]; b.Open && b.Class != BandFault {
			on = append(on, b.Name)
		}
	}
	p.Badge, p.BadgeClass = "QUIET", "pass"
	if t.Alarms+t.Replaced+t.Failed > 0 {
		p.Badge, p.BadgeClass = "RECOVERED", "info"
	}
	if t.Alarms+t.Replaced+t.Failed == 0 && len(on) == 0 && t.Unplaced == 0 {
		p.Verdict = "No alarm, no pod replaced, every transaction went through."
		return
	}
	p.Verdict = fmt.Sprintf("%s raised, %s replaced, %s failed or of unknown outcome.", plural(t.Alarms, "alarm"), plural(t.Replaced, "pod"), plural(t.Failed, "transaction"))
	if len(on)+t.Unplaced > 0 {
		p.Badge, p.BadgeClass = "NEEDS AN EYE", "warn"
		if len(on) > 0 {
			p.Verdict += " Still on at the end: " + shortened(strings.Join(on[:min(len(on), 5)], ", "), maxTextShown) + "."
		}
		if t.Unplaced > 0 {
			p.Verdict += fmt.Sprintf(" %s without a place at the end.", plural(t.Unplaced, "resource"))
		}
	} else {
		p.Verdict += " At the end all alarms were over and every resource had a place."
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(n) + " " + what + "s"
}

// tiles are the headline figures: a simulation's own where it left a report.
func (p *page) tiles() {
	s, t := p.story, p.story.Total()
	metric := func(m history.Metric, derived int) string {
		if s.Report != nil {
			return m.Format(s.Report.Totals[m])
		}
		return number(derived)
	}
	value := func(m history.Metric) float64 {
		if s.Report != nil {
			return s.Report.Totals[m]
		}
		return 0
	}
	unplacedEnd := metric(history.ResourcesUnplacedEnd, t.Unplaced)
	running := 0
	for _, l := range s.Lanes {
		running += count(l.exists && l.now.State == Running)
	}
	moves := "times a resource changed instance"
	replaced := "none was healthy"
	if s.Report != nil {
		moves = history.MovesNeeded.Format(value(history.MovesNeeded)) + " needed"
		if n := value(history.InstancesReplacedNeedlessly); n > 0 {
			replaced = history.InstancesReplacedNeedlessly.Format(n) + " needlessly"
		}
		if value(history.InstancesReplaced) == 0 {
			replaced = "none deleted to be created anew"
		}
	} else {
		replaced = "deleted to be created anew"
	}
	p.Tiles = []tile{
		{"Resources", metric(history.Resources, t.Resources), unplacedEnd + " without a place at the end", unplacedEnd != "0"},
		{"Instances", metric(history.Instances, t.Instances), number(running) + " running at the end", running < t.Instances},
		{"Unplaced at most", metric(history.ResourcesUnplacedMax, t.UnplacedMax), "after the start" + startNote(t.Start), false},
		{"Settle time p99", span(s.Settle.P99()), "p50 " + span(s.Settle.P50()) + ", max " + span(s.Settle.Max()), false},
		{"Moves", metric(history.MovesMade, t.Moves), moves, value(history.MovesExcess) > 0},
		{"Pods replaced", metric(history.InstancesReplaced, t.Replaced), replaced, value(history.InstancesReplacedNeedlessly) > 0},
		{"Transactions", metric(history.Transactions, t.Transactions), fmt.Sprintf("%s refused for a version, %s failed", number(t.Conflicts), number(t.Failed)), false},
		{"Alarms", metric(history.Alarms, t.Alarms), s.alarmsNote(), false},
	}
	if s.Report != nil {
		f := history.SettleTimeP99.Format
		p.Tiles[3].Value = f(value(history.SettleTimeP99))
		p.Tiles[3].Note = "p50 " + f(value(history.SettleTimeP50)) + ", max " + f(value(history.SettleTimeMax))
	} else if s.Settle.Count() == 0 {
		p.Tiles[3].Value, p.Tiles[3].Note = "–", "nothing was created or deleted"
	}
}

func startNote(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return ", which took " + span(d)
}

// alarmsNote names the alarms that were on longest, or are still.
func (s *Story) alarmsNote() string {
	open, longest := 0, time.Duration(-1)
	name := ""
	for i := range s.Bands {
		b := &s.Bands[i]
		if b.Class != BandAlarm {
			continue
		}
		open += count(b.Open)
		if b.To-b.From > longest {
			longest, name = b.To-b.From, b.Name
		}
	}
	switch {
	case longest < 0:
		return "none raised"
	case open > 0:
		return fmt.Sprintf("%d still on at the end", open)
	}
	return name + " longest, " + span(longest)
}
