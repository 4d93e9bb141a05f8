package history

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// shownSlowest is how many of the slowest cases that are not alike the table tells of.
const shownSlowest = 3

// qualityLine is a line of the table's block on the schedule's quality: one
// figure of all kinds together, in the words that its metrics share.
type qualityLine struct {
	name   string
	of     []Metric
	format string // of the metrics' values
	always bool   // even when all of them are zero
}

var qualityLines = []qualityLine{
	{"moves_excess", []Metric{MovesExcess, MovesMade}, "%s of %s made", true},
	{"instances_replaced_needlessly", []Metric{InstancesReplacedNeedlessly, InstancesReplaced}, "%s of %s replaced", true},
	{"imbalance", []Metric{ImbalanceMean, ImbalanceMaxEnd}, "mean %s, max_end %s", true},
	{"unowned_time", []Metric{UnownedTimeP50, UnownedTimeP99, UnownedTimeMax}, "p50 %s, p99 %s, max %s", false},
	{"overlap_time", []Metric{OverlapTimeP50, OverlapTimeP99, OverlapTimeMax}, "p50 %s, p99 %s, max %s", false},
	{"detection_time", []Metric{DetectionTimeP50, DetectionTimeP99, DetectionTimeMax}, "p50 %s, p99 %s, max %s", false},
}

// ofQuality are the metrics that the block tells alone.
var ofQuality = []Metric{
	MovesExcess, InstancesReplacedNeedlessly, ImbalanceMean, ImbalanceMaxEnd, UnownedTimeP50, UnownedTimeP99, UnownedTimeMax,
	OverlapTimeP50, OverlapTimeP99, OverlapTimeMax, DetectionTimeP50, DetectionTimeP99, DetectionTimeMax,
}

// quality says how good the schedule was.
func (t *table) quality() {
	total := &t.report.Totals
	width := 0
	var shown [][2]string
	for _, line := range qualityLines {
		some := line.always
		values := make([]any, len(line.of))
		for n, m := range line.of {
			values[n] = m.Format(total[m])
			some = some || total[m] != 0
		}
		if some {
			shown = append(shown, [2]string{line.name, fmt.Sprintf(line.format, values...)})
			width = max(width, len(line.name))
		}
	}
	t.out.WriteString("\nquality\n")
	for _, s := range shown {
		fmt.Fprintf(&t.out, "  %-*s  %s\n", width, s[0], s[1])
	}
}

// slowest tells of the slowest cases of all kinds, once of those that are alike.
func (t *table) slowest() {
	if len(t.report.Slowest) == 0 {
		return
	}
	all := slices.Clone(t.report.Slowest)
	slices.SortStableFunc(all, func(a, b Slow) int { return cmp.Compare(b.Took, a.Took) })
	likes := map[Slow]int{}
	for _, s := range all {
		likes[s.alike()]++
	}
	t.out.WriteString("\nslowest\n")
	shown := 0
	for _, s := range all {
		more := likes[s.alike()] - 1
		if more < 0 || shown == shownSlowest {
			continue
		}
		likes[s.alike()] = 0 // told
		shown++
		took := shortDuration(s.Took)
		if s.Open {
			took += " and not over"
		}
		text := fmt.Sprintf("%s of %s %s since %v took %s: %s", s.What, s.Kind, s.Resource, s.From.Round(time.Millisecond), took, s.Why)
		if more > 0 {
			text += fmt.Sprintf("; and %d more like it", more)
		}
		t.wrap("  ", "    ", text)
	}
}

// durations are those in a cause, such as 1m2.345s.
var durations = regexp.MustCompile(`([0-9]+(\.[0-9]+)?(ns|µs|ms|h|m|s))+`)

// alike is what cases have in common that are told of once: the same befell the
// same instance, whichever resource it was and however long it took.
func (s *Slow) alike() Slow {
	return Slow{Kind: s.Kind, What: s.What, Instance: s.Instance, Open: s.Open, Why: durations.ReplaceAllString(s.Why, "t")}
}
