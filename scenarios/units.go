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

const (
	day  = 24 * time.Hour
	year = 365*day + 6*time.Hour // the Julian year, as in "1y = 1m"
)

// Rate is how often something happens, per second.
type Rate float64

// maxRate bounds every rate, so that a typing error cannot fill the memory.
const maxRate Rate = 1e6

var (
	errDuration = errors.New("want a number with a unit, such as 90s, 5m, 1h30m or 2d")
	errRate     = errors.New("want a number per time, such as 5/s, 300/m, 10/h or 100/d")
	errShare    = errors.New("want a share above 0% and up to 100%, such as 10%")
	errScale    = errors.New(`want "<time in the file> = <time in the scenario>", such as "1y = 1m" or "1s = 1s"`)
	errClock    = errors.New(`want the unit of a number (unix, s, ms, us) or a layout of Go's package time with its year, such as "20060102"`)
)

// ParseDuration reads Go's durations with days on top: 90s, 1h30m, 2d, 1d12h.
// There are no signs, and no number but 0 goes without a unit.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s, false) }

func parseDuration(s string, years bool) (time.Duration, error) {
	if s == "" || strings.ContainsAny(s, "+-") {
		return 0, errDuration
	}
	var total float64
	rest := s
	for _, u := range []struct {
		unit string
		size time.Duration
	}{{"y", year}, {"d", day}} {
		head, tail, found := strings.Cut(rest, u.unit)
		if !found {
			continue
		}
		n, err := parseNumber(head)
		if err != nil || u.unit == "y" && !years {
			return 0, errDuration
		}
		total += n * float64(u.size)
		rest = tail
	}
	var small time.Duration
	if rest != "" {
		var err error
		if small, err = time.ParseDuration(rest); err != nil {
			return 0, errDuration
		}
	}
	if total+float64(small) >= math.MaxInt64 {
		return 0, errors.New("want less than 292 years")
	}
	return time.Duration(math.Round(total)) + small, nil
}

// parseNumber reads a plain decimal number without a sign: 12, 0.5, 1_000.
func parseNumber(s string) (float64, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if !isDigits(whole) || dotted && !isDigits(frac) {
		return 0, errors.New("want a decimal number")
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, errors.New("want a smaller number")
	}
	return f, nil
}

// isDigits says whether s is digits, with single underscores between them at most.
func isDigits(s string) bool {
	for i := range len(s) {
		inner := i > 0 && i < len(s)-1
		if c := s[i]; (c < '0' || c > '9') && (c != '_' || !inner || s[i-1] == '_') {
			return false
		}
	}
	return s != ""
}

// FormatDuration writes a duration so that ParseDuration reads it back.
func FormatDuration(d time.Duration) string {
	if d < day {
		return shortDuration(d)
	}
	s := strconv.FormatInt(int64(d/day), 10) + "d"
	if d%day != 0 {
		s += shortDuration(d % day)
	}
	return s
}

// shortDuration is Go's writing without the zeros at its end: 5m, not 5m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

var rateUnits = []struct {
	unit string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", day}}

// ParseRate reads a rate: 5/s, 300/m, 0.5/h, 100/d, or 0.
func ParseRate(s string) (Rate, error) {
	if s == "0" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(s, "/")
	n, err := parseNumber(number)
	if err != nil {
		return 0, errRate
	}
	for _, u := range rateUnits {
		if u.unit != unit {
			continue
		}
		r := Rate(n / u.per.Seconds())
		if r > maxRate {
			return 0, fmt.Errorf("want at most %s", maxRate)
		}
		return r, nil
	}
	return 0, errRate
}

// String is the rate in the shortest unit of which there is at least one.
func (r Rate) String() string {
	if r == 0 {
		return "0"
	}
	for _, u := range rateUnits {
		if n := float64(r) * u.per.Seconds(); n >= 1 || u.unit == "d" {
			return strconv.FormatFloat(n, 'f', -1, 64) + "/" + u.unit
		}
	}
	panic("unreachable: the last unit always answers")
}

// ParseShare reads a share of a whole: 10% is 0.1.
func ParseShare(s string) (float64, error) {
	number, found := strings.CutSuffix(s, "%")
	n, err := parseNumber(strings.TrimRight(number, " "))
	if err != nil || !found || n <= 0 || n > 100 {
		return 0, errShare
	}
	// The digits themselves are shifted, so that every share can be written.
	return strconv.ParseFloat(strings.ReplaceAll(strings.TrimRight(number, " "), "_", "")+"e-2", 64)
}

// FormatShare writes a share so that ParseShare reads it back exactly.
func FormatShare(share float64) string {
	whole, frac, _ := strings.Cut(strconv.FormatFloat(share, 'f', -1, 64), ".")
	for len(frac) < 2 {
		frac += "0"
	}
	whole = strings.TrimLeft(whole+frac[:2], "0")
	if whole == "" {
		whole = "0"
	}
	if frac = frac[2:]; frac != "" {
		frac = "." + frac
	}
	return whole + frac + "%"
}

// Scale is the time of a file against the time of the scenario: File in the
// file passes in Scenario of the run. Both are above 0.
type Scale struct{ File, Scenario time.Duration }

// ParseScale reads "1y = 1m" (y is 365.25 days) or "1s = 1s".
func ParseScale(s string) (Scale, error) {
	left, right, found := strings.Cut(s, "=")
	file, err1 := parseDuration(strings.TrimSpace(left), true)
	scenario, err2 := parseDuration(strings.TrimSpace(right), true)
	if !found || err1 != nil || err2 != nil || file <= 0 || scenario <= 0 {
		return Scale{}, errScale
	}
	return Scale{File: file, Scenario: scenario}, nil
}

// Clock is how a file writes times: as a number of units, or in a layout.
type Clock struct {
	Unit   time.Duration // of a number; 0: Layout says it
	Layout string        // of package time; times without a zone are UTC
}

var clockUnits = []struct {
	word string
	unit time.Duration
}{
	{"unix", time.Second}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond},
}

// ParseClock reads a unit (unix and s are both seconds) or a layout that names
// at least a year.
func ParseClock(s string) (Clock, error) {
	for _, u := range clockUnits {
		if u.word == s {
			return Clock{Unit: u.unit}, nil
		}
	}
	// A layout is one that tells two years apart.
	a, b := time.Date(1999, 11, 12, 13, 14, 15, 0, time.UTC), time.Date(2011, 11, 12, 13, 14, 15, 0, time.UTC)
	if _, err := time.Parse(s, a.Format(s)); err != nil || a.Format(s) == b.Format(s) {
		return Clock{}, errClock
	}
	return Clock{Layout: s}, nil
}

// Parse reads one time of the file: the offset from its zero, or in a layout
// from 1970. It lies within ±292 years.
func (c Clock) Parse(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if c.Unit == 0 {
		t, err := time.Parse(c.Layout, s)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time: want one like %q", s, c.Layout)
		}
		d := t.Sub(time.Unix(0, 0))
		if d == math.MaxInt64 || d == math.MinInt64 {
			return 0, fmt.Errorf("%q is not a time: want one between 1678 and 2262", s)
		}
		return d, nil
	}
	bad := func() (time.Duration, error) {
		return 0, fmt.Errorf("%q is not a time: want a number of %s within 292 years", s, shortDuration(c.Unit))
	}
	number, negative := strings.CutPrefix(s, "-")
	whole, frac, dotted := strings.Cut(number, ".")
	if strings.Contains(number, "_") || !isDigits(whole) || dotted && !isDigits(frac) {
		return bad()
	}
	w, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || w > math.MaxInt64/int64(c.Unit) {
		return bad()
	}
	f, err := strconv.ParseFloat("0."+frac, 64)
	if err != nil {
		return bad()
	}
	d := time.Duration(w)*c.Unit + time.Duration(math.Round(f*float64(c.Unit))) // whole units exactly
	switch {
	case d < 0: // beyond the largest
		return bad()
	case negative:
		return -d, nil
	}
	return d, nil
}

// nearest is the candidate that a mistyped word most likely meant, or "".
func nearest(word string, candidates []string) string {
	best, bestDistance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance counts the letters to insert, delete or replace. It compares no
// more than 64 bytes of each.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(previous[j+1]+1, row[j]+1, previous[j]+cost)
		}
	}
	return row[len(b)]
}
