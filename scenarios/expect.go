package scenarios

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Expectation is one line of a scenario's expect: a metric of the run, compared
// with a value or with another metric of the same unit.
type Expectation struct {
	Text   string // as written
	Line   int    // of the file; 0 when it was set from outside
	Metric string // one of Metrics over all kinds, or with a kind and a dot before it, of that kind
	Op     string // one of Ops
	Value  float64
	Other  string // the metric to compare with; empty: Value
}

// Ops are the comparisons of an expectation.
var Ops = []string{"==", "!=", "<=", ">=", "<", ">"}

// Check compares the run's values. They come in the metric's unit: a number, a
// ratio (1 is the whole), or a duration in seconds; false says that the run has
// no such value, as when nothing ever settled: then the expectation is not met.
// shown is what the report prints: the values that were compared.
func (e Expectation) Check(value func(metric string) (float64, bool)) (ok bool, shown string) {
	left, shownLeft, ok := look(e.Metric, value)
	if !ok {
		return false, shownLeft
	}
	right := e.Value
	if e.Other != "" {
		var shownRight string
		if right, shownRight, ok = look(e.Other, value); !ok {
			return false, shownRight
		}
		shownLeft += ", " + shownRight
	}
	return compare(left, e.Op, right), shownLeft
}

func look(name string, value func(string) (float64, bool)) (v float64, shown string, ok bool) {
	v, ok = value(name)
	if !ok || math.IsNaN(v) {
		return 0, name + " has no value", false
	}
	m, _ := MetricNamed(name)
	return v, name + " = " + m.Format(v), true
}

func compare(a float64, op string, b float64) bool {
	switch op {
	case "==":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	}
	return false
}

// ParseExpectation reads "<metric> <op> <value>". The value is a number for a
// count, a duration for a duration, a percentage or a number for a ratio, or the
// name of another metric of the same unit.
func ParseExpectation(text string) (Expectation, error) {
	e := Expectation{Text: text}
	name, op, value, err := comparison(text)
	if err != nil {
		return e, err
	}
	if op == "" {
		return e, fmt.Errorf("%q compares nothing: want \"<metric> <op> <value>\", such as \"instances_replaced == 0\"", text)
	}
	e.Metric, e.Op = name, op
	metric, ok := MetricNamed(e.Metric)
	if !ok {
		return e, unknownMetric(e.Metric)
	}
	if value == "" {
		return e, fmt.Errorf("%q has no value: want %s", text, metric.Unit.wants())
	}
	if c := value[0]; c < '0' || c > '9' {
		return e.against(metric, value)
	}
	v, err := metric.Unit.parse(value)
	if err != nil {
		return e, fmt.Errorf("%q is not a value of %s: want %s", value, e.Metric, metric.Unit.wants())
	}
	e.Value = v
	return e, e.decides(metric)
}

// comparison splits "<name> <op> <value>"; op is empty where nothing is compared.
func comparison(text string) (name, op, value string, err error) {
	i := strings.IndexAny(text, "=!<>")
	if i < 0 {
		return "", "", "", nil
	}
	for _, op := range Ops { // the longer ones come first
		if strings.HasPrefix(text[i:], op) {
			return strings.TrimSpace(text[:i]), op, strings.TrimSpace(text[i+len(op):]), nil
		}
	}
	return "", "", "", fmt.Errorf("%q is no comparison: want one of %s", text[i:i+1], strings.Join(Ops, " "))
}

// against completes an expectation that compares with another metric.
func (e Expectation) against(metric Metric, other string) (Expectation, error) {
	m, ok := MetricNamed(other)
	switch {
	case !ok && strings.ContainsAny(other, "+-*/() "):
		return e, fmt.Errorf("%q is not a value of %s: want %s", other, e.Metric, metric.Unit.wants())
	case !ok:
		return e, unknownMetric(other)
	case other == e.Metric:
		return e, fmt.Errorf("%s is compared with itself: want a value or another metric", other)
	case m.Unit != metric.Unit:
		return e, fmt.Errorf("%s is a %s and %s a %s: want two of one unit", e.Metric, metric.Unit, other, m.Unit)
	}
	e.Other = other
	return e, nil
}

// decides refuses what is true of every run: no metric is below zero.
func (e Expectation) decides(m Metric) error {
	switch {
	case e.Value == 0 && e.Op == ">=":
		return fmt.Errorf("%q is met by every run: want one that can fail, such as \"%s > 0\"", e.Text, m.Name)
	case e.Value == 0 && e.Op == "<":
		return fmt.Errorf("%q is met by no run: want one that can be met, such as \"%s == 0\"", e.Text, m.Name)
	}
	return nil
}

func unknownMetric(name string) error {
	names := make([]string, len(Metrics))
	for i, m := range Metrics {
		names[i] = m.Name
	}
	if n := nearest(name, names); n != "" {
		return fmt.Errorf("unknown metric %q: did you mean %s?", name, n)
	}
	return fmt.Errorf("unknown metric %q: README.md lists those there are, such as %s", name, names[0])
}

// Unit is what a metric is measured in.
type Unit string

// The units. Their values as numbers: the count itself, seconds, and 1 for the whole.
const (
	UnitCount    Unit = "count"
	UnitDuration Unit = "duration"
	UnitRatio    Unit = "ratio"
)

func (u Unit) wants() string {
	switch u {
	case UnitDuration:
		return "a duration, such as 30s, or a metric that is a duration"
	case UnitRatio:
		return "a percentage or a number of at least 0, such as 90% or 0.9, or a metric that is a ratio"
	}
	return "a number of at least 0, such as 100, or a metric that is a count"
}

func (u Unit) parse(s string) (float64, error) {
	switch u {
	case UnitDuration:
		d, err := ParseDuration(s)
		return d.Seconds(), err
	case UnitRatio:
		if number, found := strings.CutSuffix(s, "%"); found {
			n, err := parseNumber(number)
			return n / 100, err
		}
	}
	return parseNumber(s)
}

// Format writes a value of the metric for a reader: 1200, 1.25s, 87.5%.
// Durations are rounded to what the eye can use.
func (m Metric) Format(v float64) string {
	switch m.Unit {
	case UnitDuration:
		return formatSeconds(v)
	case UnitRatio:
		return strconv.FormatFloat(math.Round(v*1e4)/1e2, 'f', -1, 64) + "%"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func formatSeconds(v float64) string {
	if v*1e9 >= math.MaxInt64 || v*1e9 <= math.MinInt64 {
		return strconv.FormatFloat(v, 'g', -1, 64) + "s"
	}
	d := time.Duration(math.Round(v * 1e9))
	switch a := d.Abs(); {
	case a >= time.Minute:
		d = d.Round(100 * time.Millisecond)
	case a >= time.Second:
		d = d.Round(time.Millisecond)
	case a >= time.Millisecond:
		d = d.Round(time.Microsecond)
	}
	return FormatDuration(d)
}

// MetricNamed answers the metric of that name; "Thing.alarms" is that of one kind.
func MetricNamed(name string) (Metric, bool) {
	if kind, of, found := strings.Cut(name, "."); found && kind != "" {
		name = of
	}
	i := slices.IndexFunc(Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return Metrics[i], true
}

var errExpectType = errors.New("want text, such as \"instances_replaced == 0\"")
