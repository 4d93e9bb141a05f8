package churn

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/sim/internal/timeline"
)

// timesOf runs a source by itself.
func timesOf(s Source, until time.Duration) []time.Duration {
	c := s.open(timeline.Seed(1).Stream("when"))
	var at []time.Duration
	for step, ok := c.next(); ok && step.at < until; step, ok = c.next() {
		at = append(at, step.at)
	}
	return at
}

func TestConstantRate(t *testing.T) {
	got := timesOf(Rate{PerSecond: 2, Arrivals: Constant, From: time.Second, Until: 3 * time.Second}, always)
	const ms = time.Millisecond
	if want := []time.Duration{1250 * ms, 1750 * ms, 2250 * ms, 2750 * ms}; !slices.Equal(got, want) {
		t.Errorf("times %v, want %v", got, want)
	}
	// No drift: a third of a second is no whole number of nanoseconds.
	day := timesOf(Rate{PerSecond: 3, Arrivals: Constant, Until: 24 * time.Hour}, always)
	if len(day) != 3*86_400 {
		t.Errorf("%d arrivals in a day at 3/s", len(day))
	}
}

func TestPoissonRate(t *testing.T) {
	at := timesOf(Rate{PerSecond: 5, From: time.Hour, Until: 11 * time.Hour}, always)
	if at[0] < time.Hour || at[len(at)-1] >= 11*time.Hour {
		t.Errorf("arrivals from %v to %v", at[0], at[len(at)-1])
	}
	if n := float64(len(at)); math.Abs(n-180_000) > 5*math.Sqrt(180_000) {
		t.Errorf("%v arrivals in ten hours at 5/s, want about 180000", n)
	}
	// Independent gaps: as many are longer than their mean as an exponential has.
	long := 0
	for i := 1; i < len(at); i++ {
		if at[i]-at[i-1] > 200*time.Millisecond {
			long++
		}
	}
	if got, want := float64(long)/float64(len(at)), math.Exp(-1); math.Abs(got-want) > 0.006 {
		t.Errorf("%v of the gaps are longer than the mean, want %v", got, want)
	}
}

func TestRatesThatEndAtOnce(t *testing.T) {
	for _, s := range []Source{
		Rate{}, Rate{Arrivals: Constant}, Day{}, Burst{}, Rate{PerSecond: 1, From: 5, Until: 5},
		Rate{PerSecond: 1e-300}, Rate{PerSecond: 1e-300, Arrivals: Constant}, Rate{PerSecond: 1, From: always},
	} {
		if at := timesOf(s, always); len(at) != 0 {
			t.Errorf("%+v happens at %v", s, at)
		}
	}
}

// Over two days the hours around the peak see the peak's rate, those around the
// trough the trough's, and the whole day the mean of both.
func TestDayCurve(t *testing.T) {
	d := Day{Peak: 1, Trough: 0.2, PeakAt: 14 * time.Hour, Until: 48 * time.Hour}
	perHour := make([]float64, 48)
	at := timesOf(d, always)
	for _, a := range at {
		perHour[a/time.Hour]++
	}
	for hour, n := range perHour {
		mean := 0.0
		for m := range 60 { // the rate's integral over the hour, computed apart
			phase := (float64(hour) + (float64(m)+0.5)/60 - 14) / 24
			mean += 60 * (0.6 + 0.4*math.Cos(2*math.Pi*phase))
		}
		if math.Abs(n-mean) > 5*math.Sqrt(mean) {
			t.Errorf("hour %d: %v events, want about %.0f", hour, n, mean)
		}
	}
	if n, mean := float64(len(at)), 0.6*172_800; math.Abs(n-mean) > 5*math.Sqrt(mean) {
		t.Errorf("%v events in two days, want about %v", n, mean)
	}
}

func TestBurstIsSpreadEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Burst{
			At: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "at")), Over: time.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "over")),
			Count: rapid.IntRange(0, 300).Draw(t, "count"), Bulk: rapid.IntRange(0, 40).Draw(t, "bulk"),
		}
		c := b.open(nil)
		rows, messages := 0, 0
		var at []time.Duration
		for s, ok := c.next(); ok; s, ok = c.next() {
			if s.bulk != (b.Bulk > 0) || s.count < 1 || s.count > max(b.Bulk, 1) {
				t.Fatalf("%+v", s)
			}
			rows += s.count
			messages++
			at = append(at, s.at)
		}
		if want := int(math.Ceil(float64(b.Count) / float64(max(b.Bulk, 1)))); rows != b.Count || messages != want {
			t.Fatalf("%d rows in %d messages, want %d in %d", rows, messages, b.Count, want)
		}
		for i, a := range at {
			if want := float64(b.At) + float64(b.Over)*float64(i)/float64(messages); math.Abs(float64(a)-want) > 2 {
				t.Fatalf("message %d at %d, want %v", i, a, want)
			}
		}
	})
}

func TestMulDiv(t *testing.T) {
	for _, c := range []struct{ a, b, c, want int64 }{
		{7, 3, 2, 10}, {math.MaxInt64, 5, 5, math.MaxInt64}, {math.MaxInt64, 3, 2, math.MaxInt64},
		{math.MaxInt64, math.MaxInt64, 1, math.MaxInt64}, {0, 9, 4, 0}, {1 << 60, 1 << 60, 1 << 61, 1 << 59},
	} {
		if got := mulDiv(c.a, c.b, c.c); got != c.want {
			t.Errorf("%d·%d/%d = %d, want %d", c.a, c.b, c.c, got, c.want)
		}
	}
}
