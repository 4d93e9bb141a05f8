package churn

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dacorch/orchestrator/fleet"
)

// Format describes a trace file: a CSV, one row per resource. Columns are named
// by the header's names or, without a header, by their numbers from 1.
type Format struct {
	File     string // the file's name for messages
	Comma    rune   // what separates columns: one ASCII character; 0: ','
	NoHeader bool   // the first row is data

	ID      []string // columns that form the id, joined by "-"; at least one
	Created string   // column: when the row is created
	Deleted string   // column: when it is deleted, empty in a row that lives on; "": none is deleted
	Group   string   // column: the row's group; "": no groups

	// Time is how times are written: "unix" or "s" (seconds), "ms", "us", numbers
	// that may have fractions; or a Go layout such as "20060102", in UTC unless it
	// holds a zone. Times are kept to the microsecond.
	Time string

	// Origin is the time, written as Time says, that becomes the scenario's 0;
	// "": that of the earliest creation. Rows created until then exist at the
	// start; rows deleted until then are skipped.
	Origin string

	Scale Scale             // how the trace's time becomes the scenario's; zero: unchanged
	Where map[string]string // keeps only rows whose column has this value
	Limit int               // stops after so many usable rows; 0: reads all
}

// name is the file's name, or what stands for it.
func (f Format) name() string {
	if f.File == "" {
		return "trace"
	}
	return f.File
}

// Validate answers a *fleet.FieldError unless the description makes sense by
// itself. Whether the columns exist is for ReadTrace to say.
func (f Format) Validate() error {
	switch {
	case len(f.ID) == 0:
		return &fleet.FieldError{Field: "id", Value: "[]", Want: "at least one column"}
	case f.Created == "":
		return &fleet.FieldError{Field: "created", Value: `""`, Want: "a column"}
	}
	if err := firstError(checkComma(f.Comma), checkLayout(f.Time), f.Scale.Validate(), checkLimit(f.Limit)); err != nil {
		return err
	}
	return checkOrigin(f.Origin, f.Time)
}

// columns are a Format's columns by position.
type columns struct {
	id             []int
	created        int
	deleted, group int // -1: none
	where          []whereColumn
}

type whereColumn struct {
	column int
	value  string
}

func (f Format) resolve(t *table) (*columns, error) {
	c := &columns{deleted: -1, group: -1}
	find := func(into *int, field, name string) error {
		if name == "" && (field == "deleted" || field == "group") {
			return nil
		}
		column, err := t.column(field, name)
		*into = column
		return err
	}
	c.id = make([]int, len(f.ID))
	for i, name := range f.ID {
		if err := find(&c.id[i], "id", name); err != nil {
			return nil, err
		}
	}
	err := firstError(find(&c.created, "created", f.Created), find(&c.deleted, "deleted", f.Deleted), find(&c.group, "group", f.Group))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(f.Where))
	for name := range f.Where {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w := whereColumn{value: f.Where[name]}
		if err := find(&w.column, "where", name); err != nil {
			return nil, err
		}
		c.where = append(c.where, w)
	}
	return c, nil
}

// Scale is how time is compressed or stretched: Trace of the trace's time
// becomes Scenario of the scenario's. The zero value leaves time as it is.
type Scale struct{ Trace, Scenario time.Duration }

// scaleUnits are the units of ParseScale; a year is 365.25 days.
var scaleUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365*24*time.Hour + 6*time.Hour,
}

// ParseScale reads "1y = 1m": the trace's time left, the scenario's right, each
// a number and one of ms, s, m (minutes), h, d, w, y (365.25 days).
func ParseScale(s string) (Scale, error) {
	bad := &fleet.FieldError{Field: "scale", Value: fmt.Sprintf("%q", s),
		Want: `two times such as "1y = 1m", each a number above 0 and one of ms, s, m, h, d, w, y, at most 292y`}
	left, right, ok := strings.Cut(s, "=")
	if !ok {
		return Scale{}, bad
	}
	trace, ok1 := parseSpan(left)
	scenario, ok2 := parseSpan(right)
	scale := Scale{Trace: trace, Scenario: scenario}
	if !ok1 || !ok2 || scale.Validate() != nil {
		return Scale{}, bad
	}
	return scale, nil
}

// Validate answers a *fleet.FieldError unless both are 0, or both above 0 and
// Trace at least a microsecond.
func (s Scale) Validate() error {
	if s == (Scale{}) || s.Trace >= time.Microsecond && s.Scenario > 0 {
		return nil
	}
	return &fleet.FieldError{Field: "scale", Value: fmt.Sprintf("%v = %v", s.Trace, s.Scenario),
		Want: "two times above 0, the trace's at least 1µs"}
}

func parseSpan(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz")
	unit, ok := scaleUnits[s[len(number):]]
	n, err := parseNumber(strings.TrimSpace(number))
	d := n * float64(unit)
	return time.Duration(d), ok && err == nil && d >= 1 && d < math.MaxInt64
}

// clock reads a trace's times and turns them into the scenario's.
type clock struct {
	perUnit  float64 // µs of a number's unit; 0: layout
	layout   string
	origin   int64 // µs, in the trace's own time
	from, to int64 // scale: from µs of the trace are to ns of the scenario
}

// timeUnits are the times that are numbers, in µs.
var timeUnits = map[string]float64{"unix": 1e6, "s": 1e6, "ms": 1e3, "us": 1}

// maxMicroseconds keeps the difference of two times inside an int64.
const maxMicroseconds = 1 << 61

// newClock is a clock for a valid format and scale.
func newClock(format string, scale Scale) clock {
	c := clock{perUnit: timeUnits[format], layout: format, from: 1, to: 1000}
	if scale != (Scale{}) {
		c.from, c.to = scale.Trace.Microseconds(), int64(scale.Scenario)
	}
	return c
}

// parse answers µs; false when s is not such a time.
func (c *clock) parse(s string) (int64, bool) {
	if c.perUnit == 0 {
		// UTC, not the machine's zone, also for zones given by abbreviation.
		t, err := time.ParseInLocation(c.layout, s, time.UTC)
		return t.UnixMicro(), err == nil
	}
	n, err := parseNumber(s)
	us := math.Round(n * c.perUnit)
	return int64(us), err == nil && math.Abs(us) < maxMicroseconds
}

// format writes µs the way the trace does.
func (c *clock) format(us int64) string {
	if c.perUnit == 0 {
		return time.UnixMicro(us).UTC().Format(c.layout)
	}
	return strconv.FormatFloat(float64(us)/c.perUnit, 'f', -1, 64)
}

// want describes the times that parse reads.
func (c *clock) want() string {
	if c.perUnit == 0 {
		return "a time like " + c.layout
	}
	return "a number (" + c.layout + ") within 73,000 years"
}

// scenario is the scenario's time of a moment, 0 for those before the origin,
// the largest Duration for those too far ahead.
func (c *clock) scenario(us int64) time.Duration {
	return time.Duration(mulDiv(max(us-c.origin, 0), c.to, c.from))
}

// parseNumber reads a plain decimal number: no NaN, no infinity, no hexadecimal.
func parseNumber(s string) (float64, error) {
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

func checkLayout(format string) error {
	if _, ok := timeUnits[format]; ok {
		return nil
	}
	a := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	b := time.Date(2012, 11, 10, 19, 48, 57, 0, time.UTC)
	if written := a.Format(format); written != b.Format(format) {
		if _, err := time.ParseInLocation(format, written, time.UTC); err == nil {
			return nil
		}
	}
	return &fleet.FieldError{Field: "time", Value: fmt.Sprintf("%q", format),
		Want: `"unix", "s", "ms", "us" or a Go layout such as "20060102" (2 January 2006, 15:04:05)`}
}

func checkOrigin(origin, format string) error {
	c := newClock(format, Scale{})
	if origin == "" {
		return nil
	}
	if _, ok := c.parse(origin); !ok {
		return &fleet.FieldError{Field: "origin", Value: fmt.Sprintf("%q", origin), Want: c.want()}
	}
	return nil
}

func checkComma(comma rune) error {
	if comma >= utf8.RuneSelf || comma < 0 || comma == '"' || comma == '\n' || comma == '\r' {
		return &fleet.FieldError{Field: "comma", Value: fmt.Sprintf("%q", comma), Want: "one ASCII character, no quote and no line end"}
	}
	return nil
}

func checkLimit(limit int) error {
	if limit < 0 {
		return &fleet.FieldError{Field: "limit", Value: fmt.Sprint(limit), Want: "at least 0"}
	}
	return nil
}
