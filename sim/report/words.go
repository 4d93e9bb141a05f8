package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// span writes a length of time with as many digits as a person wants.
func span(d time.Duration) string {
	switch abs := d.Abs(); {
	case abs >= 24*time.Hour:
		return trimUnits(fmt.Sprintf("%dd%s", d/(24*time.Hour), (abs % (24 * time.Hour)).Round(time.Minute)))
	case abs >= time.Minute:
		d = d.Round(time.Second)
	case abs >= 10*time.Second:
		d = d.Round(100 * time.Millisecond)
	case abs >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case abs >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	case abs >= time.Microsecond:
		d = d.Round(time.Microsecond)
	}
	return trimUnits(d.String())
}

// digits rounds a length of time to so many of them.
func digits(d time.Duration, n int) time.Duration {
	unit := time.Duration(1)
	for limit := math.Pow10(n); float64(d/unit) >= limit; {
		unit *= 10
	}
	return d.Round(unit)
}

// trimUnits takes off the parts at the end that are zero: 1h0m0s is 1h.
func trimUnits(s string) string {
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	if strings.HasSuffix(s, "d0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

// number writes a count with its thousands apart.
func number(n int) string {
	s := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// compact writes a number in few characters: 950, 2,818, 20.1k, 1.25M.
func compact(v float64) string {
	format := func(v float64, unit string) string {
		s := strconv.FormatFloat(v, 'f', 2, 64)
		return strings.TrimRight(strings.TrimRight(s, "0"), ".") + unit
	}
	switch abs := max(v, -v); {
	case abs >= 1e9:
		return format(v/1e9, "G")
	case abs >= 1e6:
		return format(v/1e6, "M")
	case abs >= 1e4:
		return format(v/1e3, "k")
	case abs >= 1e3:
		return number(int(math.Round(v)))
	}
	return format(v, "")
}
