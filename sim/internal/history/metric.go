package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Metric is one figure of a run. Expectations of scenarios name them.
type Metric uint8

// The metrics. What each measures stands in metrics below.
const (
	Resources Metric = iota
	Instances
	ResourcesCreated
	ResourcesDeleted
	TraceRows
	TraceRowsSkipped
	Notifications
	NotificationsLost
	Transactions
	TransactionsConflicted
	MovesNeeded
	MovesMade
	MovesExcess
	InstancesCreated
	InstancesReplaced
	InstancesReplacedNeedlessly
	InstancesReleased
	PodsCrashed
	ResourcesUnplacedMax
	ResourcesUnplacedEnd
	StartTime
	SettleTimeP50
	SettleTimeP99
	SettleTimeMax
	RecoverTimeP99
	RecoverTimeMax
	UnownedTimeP50
	UnownedTimeP99
	UnownedTimeMax
	OverlapTimeP50
	OverlapTimeP99
	OverlapTimeMax
	DetectionTimeP50
	DetectionTimeP99
	DetectionTimeMax
	OrchestrationsDone
	OrchestrationsRefused
	OrchestrationTimeMax
	Alarms
	Heartbeats
	UnsettledEnd
	Violations
	ImbalanceMaxEnd
	ImbalanceMean
	LeaderChanges
	CapacityUsedMax
	RestRequests
	RestFailures
	RestTimeP50
	RestTimeP99
	RestTimeMax
	NotificationsPublished
	PublishFailures
	PublishTimeP50
	PublishTimeP99
	PublishTimeMax
	metricCount
)

// Unit is what a metric is counted in.
type Unit uint8

// The units.
const (
	Count   Unit = iota
	Seconds      // JSON field names end in _s
	Ratio        // of 1
)

var metrics = [metricCount]struct {
	name  string
	unit  Unit
	worst bool // several kinds together: the largest; otherwise the sum
	about string
}{
	Resources:                   {"resources", Count, false, "rows in the database at the end"},
	Instances:                   {"instances", Count, false, "instances in ZooKeeper at the end"},
	ResourcesCreated:            {"resources_created", Count, false, "rows inserted after the start"},
	ResourcesDeleted:            {"resources_deleted", Count, false, "rows deleted"},
	TraceRows:                   {"trace_rows", Count, false, "rows of trace files that were used"},
	TraceRowsSkipped:            {"trace_rows_skipped", Count, false, "rows of trace files that could not be used"},
	Notifications:               {"notifications", Count, false, "notifications published"},
	NotificationsLost:           {"notifications_lost", Count, false, "notifications that never arrived"},
	Transactions:                {"transactions", Count, false, "ZooKeeper transactions committed"},
	TransactionsConflicted:      {"transactions_conflicted", Count, false, "transactions refused for a version"},
	MovesNeeded:                 {"moves_needed", Count, false, "moves that plans asked for, each plan the fewest"},
	MovesMade:                   {"moves_made", Count, false, "times a resource got another instance than its last"},
	MovesExcess:                 {"moves_excess", Count, false, "moves made beyond those needed"},
	InstancesCreated:            {"instances_created", Count, false, "instances created in ZooKeeper after the start"},
	InstancesReplaced:           {"instances_replaced", Count, false, "pods deleted to be created anew"},
	InstancesReplacedNeedlessly: {"instances_replaced_needlessly", Count, false, "of these, pods that were healthy"},
	InstancesReleased:           {"instances_released", Count, false, "instances deleted from ZooKeeper"},
	PodsCrashed:                 {"pods_crashed", Count, false, "pods that crashed"},
	ResourcesUnplacedMax:        {"resources_unplaced_max", Count, true, "most rows at once that no list held, once started"},
	ResourcesUnplacedEnd:        {"resources_unplaced_end", Count, false, "rows that no list held at the end"},
	StartTime:                   {"start_time", Seconds, true, "from the start until every row that was there has run"},
	SettleTimeP50:               {"settle_time_p50", Seconds, true, "row inserted to running, or deleted to nowhere running, the start's own apart"},
	SettleTimeP99:               {"settle_time_p99", Seconds, true, "same"},
	SettleTimeMax:               {"settle_time_max", Seconds, true, "same"},
	RecoverTimeP99:              {"recover_time_p99", Seconds, true, "running stopped by a DAC that failed to running again, row there throughout"},
	RecoverTimeMax:              {"recover_time_max", Seconds, true, "same"},
	UnownedTimeP50:              {"unowned_time_p50", Seconds, true, "a row that has run was run by no DAC, each time, for whatever reason; a new row's wait is its settle time"},
	UnownedTimeP99:              {"unowned_time_p99", Seconds, true, "same"},
	UnownedTimeMax:              {"unowned_time_max", Seconds, true, "same"},
	OverlapTimeP50:              {"overlap_time_p50", Seconds, true, "two DACs or more ran a resource at once"},
	OverlapTimeP99:              {"overlap_time_p99", Seconds, true, "same"},
	OverlapTimeMax:              {"overlap_time_max", Seconds, true, "same"},
	DetectionTimeP50:            {"detection_time_p50", Seconds, true, "instance unhealthy or cut off to its replacement ordered"},
	DetectionTimeP99:            {"detection_time_p99", Seconds, true, "same"},
	DetectionTimeMax:            {"detection_time_max", Seconds, true, "same"},
	OrchestrationsDone:          {"orchestrations_done", Count, false, "orchestrations finished"},
	OrchestrationsRefused:       {"orchestrations_refused", Count, false, "orchestrations refused"},
	OrchestrationTimeMax:        {"orchestration_time_max", Seconds, true, "request to done"},
	Alarms:                      {"alarms", Count, false, "alarms raised"},
	Heartbeats:                  {"heartbeats", Count, false, "heartbeats sent"},
	UnsettledEnd:                {"unsettled_end", Count, false, "rows not running on exactly one DAC at the end"},
	Violations:                  {"violations", Count, false, "times an invariant broke"},
	ImbalanceMaxEnd:             {"imbalance_max_end", Count, true, "resources on the fullest less the emptiest instance at the end"},
	ImbalanceMean:               {"imbalance_mean", Ratio, true, "fullest less emptiest instance as a share of the mean, on average over the time since the start"},
	LeaderChanges:               {"leader_changes", Count, false, "times another leader took over"},
	CapacityUsedMax:             {"capacity_used_max", Ratio, true, "largest used/capacity that an instance ever had"},
	RestRequests:                {"rest_requests", Count, false, "REST calls of the scenario's users"},
	RestFailures:                {"rest_failures", Count, false, "of these, not answered as they should be"},
	RestTimeP50:                 {"rest_time_p50", Seconds, true, "call to whole answer, real time"},
	RestTimeP99:                 {"rest_time_p99", Seconds, true, "same"},
	RestTimeMax:                 {"rest_time_max", Seconds, true, "same"},
	NotificationsPublished:      {"notifications_published", Count, false, "messages that the scenario's load was to publish"},
	PublishFailures:             {"publish_failures", Count, false, "of these, not acknowledged"},
	PublishTimeP50:              {"publish_time_p50", Seconds, true, "message due to acknowledged, real time"},
	PublishTimeP99:              {"publish_time_p99", Seconds, true, "same"},
	PublishTimeMax:              {"publish_time_max", Seconds, true, "same"},
}

// Metrics lists every metric in the order of reports.
func Metrics() []Metric {
	all := make([]Metric, metricCount)
	for i := range all {
		all[i] = Metric(i)
	}
	return all
}

// ParseMetric finds a metric by its name.
func ParseMetric(name string) (Metric, bool) {
	for i := range metrics {
		if metrics[i].name == name {
			return Metric(i), true
		}
	}
	return 0, false
}

// String is the metric's name.
func (m Metric) String() string {
	if m < metricCount {
		return metrics[m].name
	}
	return "Metric(" + strconv.Itoa(int(m)) + ")"
}

// Unit is what the metric is counted in.
func (m Metric) Unit() Unit { return metrics[m].unit }

// About says in a few words what the metric measures.
func (m Metric) About() string { return metrics[m].about }

// Field is the metric's name in JSON: its unit comes last.
func (m Metric) Field() string {
	if m.Unit() == Seconds {
		return m.String() + "_s"
	}
	return m.String()
}

// Format writes a value of the metric for people: durations as Go writes them,
// rounded to three digits or so, counts with thousands apart.
func (m Metric) Format(v float64) string {
	switch m.Unit() {
	case Seconds:
		return shortDuration(time.Duration(v * float64(time.Second)))
	case Ratio:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return thousands(v)
}

// Figures holds a value for every metric: counts, seconds, ratios.
type Figures [metricCount]float64

// Sum combines the figures of several kinds: counts add up; times, ratios and
// maxima are those of the worst kind. Percentiles so combined are an upper
// bound: merge the histograms where the exact one matters.
func Sum(kinds []KindFigures) Figures {
	var total Figures
	for _, k := range kinds {
		for m := range total {
			if metrics[m].worst {
				total[m] = max(total[m], k.Figures[m])
			} else {
				total[m] += k.Figures[m]
			}
		}
	}
	return total
}

// MarshalJSON writes an object with a field for every metric, in their order.
func (f Figures) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for m := range metricCount {
		if m > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendQuote(out, m.Field())
		out = append(out, ':')
		value, err := json.Marshal(f[m])
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", m, err)
		}
		out = append(out, value...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes. Fields that are missing are
// zero; unknown ones are refused.
func (f *Figures) UnmarshalJSON(data []byte) error {
	var fields map[string]float64
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&fields); err != nil {
		return err
	}
	var read Figures
	known := 0
	for m := range metricCount {
		if v, ok := fields[m.Field()]; ok {
			read[m] = v
			known++
		}
	}
	if known < len(fields) {
		return fmt.Errorf("figures: %d of %d fields are no metric", len(fields)-known, len(fields))
	}
	*f = read
	return nil
}

// thousands writes a count with its thousands apart: 1,234,567.
func thousands(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	whole, fraction, _ := strings.Cut(s, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	if fraction != "" {
		b.WriteString("." + fraction)
	}
	return sign + b.String()
}

// shortDuration writes d with as many digits as a person wants: 1.23ms, 4.21s,
// 3m12s, 26h0m0s becomes 26h.
func shortDuration(d time.Duration) string {
	switch abs := d.Abs(); {
	case abs >= time.Minute:
		d = d.Round(time.Second)
	case abs >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case abs >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
