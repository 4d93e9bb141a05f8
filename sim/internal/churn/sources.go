package churn

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// MaxPerSecond bounds rates: more than a data centre could write one by one.
const MaxPerSecond = 1e6

// Arrivals says how a rate's events lie in time.
type Arrivals uint8

// The arrivals.
const (
	Poisson  Arrivals = iota // independent of each other: exponential gaps
	Constant                 // equal gaps
)

// Rate does something so many times a second, one row each, in [From, Until).
type Rate struct {
	Verb      Verb
	PerSecond float64 // in [0, MaxPerSecond]; 0 does nothing
	Arrivals  Arrivals
	From      time.Duration // since the scenario's start
	Until     time.Duration // 0: for ever
	Unnamed   bool          // the messages do not name the row (see Op.Named)
}

// Burst does something to Count rows at once, or spread evenly over [At, At+Over).
type Burst struct {
	At      time.Duration // since the scenario's start
	Over    time.Duration // 0: all at once
	Verb    Verb
	Count   int  // rows; at least 0
	Bulk    int  // rows of a bulk message; 0: single messages, one row each
	Unnamed bool // the messages do not name the rows (see Op.Named)
}

// Day does something at a rate that follows the time of day, in [From, Until):
// a cosine between Trough and Peak, events independent of each other (a
// non-homogeneous Poisson process, by thinning: Lewis and Shedler, 1979).
type Day struct {
	Verb         Verb
	Peak, Trough float64       // per second; 0 ≤ Trough ≤ Peak ≤ MaxPerSecond
	Period       time.Duration // 0: 24 h
	PeakAt       time.Duration // since the scenario's start: a moment of highest rate
	From         time.Duration // since the scenario's start
	Until        time.Duration // 0: for ever
	Unnamed      bool          // the messages do not name the row (see Op.Named)
}

// Validate answers a *fleet.FieldError unless every field is in its range.
func (r Rate) Validate() error {
	if r.Arrivals > Constant {
		return &fleet.FieldError{Field: "arrivals", Value: fmt.Sprint(uint8(r.Arrivals)), Want: "poisson or constant"}
	}
	return firstError(checkVerb(r.Verb), checkRate("perSecond", r.PerSecond, 0), checkSpan(r.From, r.Until))
}

// Validate answers a *fleet.FieldError unless every field is in its range.
func (b Burst) Validate() error {
	switch {
	case b.Count < 0:
		return &fleet.FieldError{Field: "count", Value: fmt.Sprint(b.Count), Want: "at least 0"}
	case b.Bulk < 0:
		return &fleet.FieldError{Field: "bulk", Value: fmt.Sprint(b.Bulk), Want: "at least 0"}
	}
	return firstError(checkVerb(b.Verb), checkTime("at", b.At), checkTime("over", b.Over))
}

// Validate answers a *fleet.FieldError unless every field is in its range.
func (d Day) Validate() error {
	return firstError(checkVerb(d.Verb), checkRate("trough", d.Trough, 0), checkRate("peak", d.Peak, d.Trough),
		checkTime("period", d.Period), checkTime("peakAt", d.PeakAt), checkSpan(d.From, d.Until))
}

func (r Rate) label() string  { return "rate " + r.Verb.String() }
func (b Burst) label() string { return "burst " + b.Verb.String() }
func (d Day) label() string   { return "day " + d.Verb.String() }

func (r Rate) open(stream *timeline.Stream) cursor {
	if r.Arrivals == Constant {
		return &constant{Rate: r}
	}
	return &poisson{
		step: step{at: r.From, verb: r.Verb, unnamed: r.Unnamed, count: 1},
		rate: r.PerSecond, until: r.Until, stream: stream,
		keep: func(time.Duration) bool { return true },
	}
}

func (d Day) open(stream *timeline.Stream) cursor {
	return &poisson{
		step: step{at: d.From, verb: d.Verb, unnamed: d.Unnamed, count: 1},
		rate: d.Peak, until: d.Until, stream: stream,
		keep: func(at time.Duration) bool { return stream.Bool(d.perSecond(at) / d.Peak) },
	}
}

func (b Burst) open(*timeline.Stream) cursor { return &burst{Burst: b} }

// perSecond is the rate at this time.
func (d Day) perSecond(at time.Duration) float64 {
	period := d.Period
	if period == 0 {
		period = 24 * time.Hour
	}
	phase := float64((at-d.PeakAt)%period) / float64(period)
	return d.Trough + (d.Peak-d.Trough)*(1+math.Cos(2*math.Pi*phase))/2
}

// poisson draws exponential gaps and keeps those arrivals that keep lets through.
type poisson struct {
	step
	rate   float64
	until  time.Duration
	stream *timeline.Stream
	keep   func(time.Duration) bool
}

func (p *poisson) creates() bool { return p.verb == Create }

func (p *poisson) next() (step, bool) {
	for p.rate > 0 {
		gap := p.stream.Exp(float64(time.Second) / p.rate)
		if gap >= float64(math.MaxInt64-p.at) {
			break
		}
		p.at += time.Duration(gap)
		if p.until > 0 && p.at >= p.until {
			break
		}
		if p.keep(p.at) {
			return p.step, true
		}
	}
	p.rate = 0
	return step{}, false
}

// constant places each arrival in the middle of its interval, so that n/PerSecond
// seconds hold exactly n of them and none lies on a border.
type constant struct {
	Rate
	done float64 // arrivals so far
}

func (c *constant) creates() bool { return c.Verb == Create }

func (c *constant) next() (step, bool) {
	after := (c.done + 0.5) / c.PerSecond * float64(time.Second)
	if c.PerSecond == 0 || after >= float64(math.MaxInt64-c.From) {
		return step{}, false
	}
	at := c.From + time.Duration(after)
	if c.Until > 0 && at >= c.Until {
		return step{}, false
	}
	c.done++
	return step{at: at, verb: c.Verb, unnamed: c.Unnamed, count: 1}, true
}

type burst struct {
	Burst
	done int // messages so far
}

func (b *burst) creates() bool { return b.Verb == Create }

func (b *burst) next() (step, bool) {
	size := max(b.Bulk, 1)
	left := b.Count - b.done*size
	if left <= 0 {
		return step{}, false
	}
	messages := (b.Count-1)/size + 1
	at := saturatingAdd(b.At, mulDiv(int64(b.Over), int64(b.done), int64(messages)))
	b.done++
	return step{at: at, verb: b.Verb, bulk: b.Bulk > 0, unnamed: b.Unnamed, count: min(size, left)}, true
}

func checkVerb(v Verb) error {
	if v > Delete {
		return &fleet.FieldError{Field: "verb", Value: v.String(), Want: "create, update or delete"}
	}
	return nil
}

func checkRate(field string, perSecond, floor float64) error {
	if !(perSecond >= floor && perSecond <= MaxPerSecond) {
		return &fleet.FieldError{Field: field, Value: fmt.Sprintf("%v/s", perSecond),
			Want: fmt.Sprintf("%v/s to %.0f/s", floor, float64(MaxPerSecond))}
	}
	return nil
}

func checkTime(field string, at time.Duration) error {
	if at < 0 {
		return &fleet.FieldError{Field: field, Value: at.String(), Want: "at least 0s"}
	}
	return nil
}

func checkSpan(from, until time.Duration) error {
	if until != 0 && until < from {
		return &fleet.FieldError{Field: "until", Value: until.String(), Want: fmt.Sprintf("0s (for ever) or at least from, %v", from)}
	}
	return firstError(checkTime("from", from), checkTime("until", until))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// mulDiv is a·b/c rounded down, exact in between; the largest int64 when it is
// more than that. None may be negative, and c not 0.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, math.MaxInt64))
}

// saturatingAdd is a+b for two that are not negative.
func saturatingAdd(a time.Duration, b int64) time.Duration {
	if b > math.MaxInt64-int64(a) {
		return math.MaxInt64
	}
	return a + time.Duration(b)
}
