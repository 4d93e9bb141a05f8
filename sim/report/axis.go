package report

import (
	"math"
	"time"
)

// timeAxis is the time that plots show.
type timeAxis struct {
	from, to time.Duration
	began    time.Time // wall clock at 0; zero: times are shown as they are
}

func (s *Story) axis() timeAxis {
	a := timeAxis{from: s.From, to: s.To, began: s.Began.UTC()}
	if s.Simulated() {
		a.from = 0
		a.began = time.Time{}
	}
	a.from = min(a.from, math.MaxInt64-time.Millisecond)
	a.to = max(a.to, a.from+time.Millisecond)
	return a
}

// share is where on the axis a time lies, from 0 to 1.
func (a timeAxis) share(at time.Duration) float64 {
	return min(max(float64(at-a.from)/float64(a.to-a.from), 0), 1)
}

// steps are the distances that ticks may have.
var steps = []time.Duration{
	time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour,
	91 * 24 * time.Hour, 365 * 24 * time.Hour, 3650 * 24 * time.Hour,
}

// tick is a mark of the axis.
type tick struct {
	at    time.Duration
	label string
}

// ticks are at most n marks at round times.
func (a timeAxis) ticks(n int) []tick {
	step := steps[len(steps)-1]
	for _, s := range steps {
		if (a.to-a.from)/s < time.Duration(max(n, 1)) {
			step = s
			break
		}
	}
	offset := time.Duration(0) // of the first round time from time 0
	if !a.began.IsZero() {
		offset = a.began.Truncate(step).Sub(a.began)
	}
	first := a.from - (a.from-offset)%step
	var ticks []tick
	for at := first; len(ticks) <= n; at += step {
		if at >= a.from {
			ticks = append(ticks, tick{at, a.tickLabel(at, step)})
		}
		if at > a.to-step { // adding first may pass the greatest Duration
			break
		}
	}
	return ticks
}

func (a timeAxis) tickLabel(at, step time.Duration) string {
	if !a.began.IsZero() {
		t := a.began.Add(at)
		switch {
		case step >= 24*time.Hour:
			return t.Format("2 Jan")
		case step >= time.Minute:
			return t.Format("15:04")
		case step >= time.Second:
			return t.Format("15:04:05")
		}
		return t.Format("05.000")
	}
	if at == 0 {
		return "0"
	}
	return span(at)
}

// when writes a time for tables: the wall clock in production, else the time
// since the start.
func (a timeAxis) when(at time.Duration) string {
	if a.began.IsZero() {
		if at < time.Hour {
			return span(at.Round(10 * time.Millisecond))
		}
		return span(at.Round(time.Second))
	}
	t := a.began.Add(at)
	if a.to-a.from > 20*time.Hour {
		return t.Format("2 Jan 15:04:05")
	}
	return t.Format("15:04:05.0")
}
