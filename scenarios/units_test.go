package scenarios

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurationsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(maxRun)).Draw(t, "ns"))
		got, err := ParseDuration(FormatDuration(d))
		if err != nil || got != d {
			t.Fatalf("%d ns is written %q, which reads as %d: %v", d, FormatDuration(d), got, err)
		}
	})
}

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
	}{
		{"90s", 90 * time.Second}, {"1h30m", 90 * time.Minute}, {"2d", 2 * day}, {"1d12h", 36 * time.Hour}, {"1.5d", 36 * time.Hour},
		{"0", 0}, {"250ms", 250 * time.Millisecond}, {"3µs", 3 * time.Microsecond}, {"366d", maxRun},
	} {
		if got, err := ParseDuration(c.text); err != nil || got != c.want {
			t.Errorf("%q: %v, %v: want %v", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"", "5", "-5m", "+5m", "5 m", "1y", "d", "1dd", "12h1d", "1d-1h", "1e3s", "999999999d", "1_d", "5M"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q reads as %v: want an error", text, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", time.Hour: "1h", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m", 25 * time.Hour: "1d1h", time.Hour + time.Second: "1h0m1s"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%d ns is written %q: want %q", d, got, want)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]Rate{"5/s": 5, "300/m": 5, "36/h": 0.01, "86400/d": 1, "0": 0, "0/s": 0, "0.5/s": 0.5, "1_000/s": 1000, "1000000/s": maxRate} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("%q: %v, %v: want %v", text, float64(got), err, float64(want))
		}
	}
	for _, text := range []string{"", "5", "/s", "5/", "5/sec", "-5/s", "5 /s", "1000001/s", "1e3/s", "5/s/s", "NaN/s", "Inf/s", ".5/s", "_5/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q reads as %v: want an error", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		r := Rate(rapid.Float64Range(0, float64(maxRate)).Draw(t, "rate"))
		got, err := ParseRate(r.String())
		if err != nil || math.Abs(float64(got-r)) > 1e-12*float64(r) {
			t.Fatalf("%v is written %q, which reads as %v: %v", float64(r), r, float64(got), err)
		}
	})
}

func TestShares(t *testing.T) {
	for text, want := range map[string]float64{"10%": 0.1, "100%": 1, "0.5%": 0.005, "12.5 %": 0.125} {
		if got, err := ParseShare(text); err != nil || got != want {
			t.Errorf("%q: %v, %v: want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "10", "0.1", "0%", "101%", "-1%", "1e1%", "10%%"} {
		if got, err := ParseShare(text); err == nil {
			t.Errorf("%q reads as %v: want an error", text, got)
		}
	}
}

func TestScales(t *testing.T) {
	century, err := ParseScale("1y = 1m")
	if err != nil {
		t.Fatal(err)
	}
	if want := (Scale{8766 * time.Hour, time.Minute}); century != want {
		t.Errorf("a year a minute is %v: want %v", century, want)
	}
	for _, text := range []string{"", "1y", "1y = ", "= 1m", "0s = 1s", "1s = 0s", "1s : 1s", "1s = 1s = 1s", "-1s = 1s"} {
		if got, err := ParseScale(text); err == nil {
			t.Errorf("%q reads as %v: want an error", text, got)
		}
	}
}

func TestClocks(t *testing.T) {
	for _, c := range []struct {
		clock, text string
		want        time.Duration
	}{
		{"s", "600", 600 * time.Second}, {"s", "342417.219", 342417219 * time.Millisecond}, {"unix", "1700000000", 1700000000 * time.Second},
		{"ms", "60000", time.Minute}, {"us", "0.5", 500}, {"us", "9223372036854775", 9223372036854775000}, {"s", "-1.5", -1500 * time.Millisecond},
		{"20060102", "19700102", day}, {"20060102", " 19690101 ", -365 * day},
		{"2006-01-02T15:04:05Z07:00", "1970-01-01T01:00:00+01:00", 0}, {"2006-01-02T15:04:05.000Z", "1970-01-01T00:00:01.500Z", 1500 * time.Millisecond},
	} {
		clock, err := ParseClock(c.clock)
		if err != nil {
			t.Errorf("%q: %v", c.clock, err)
			continue
		}
		if got, err := clock.Parse(c.text); err != nil || got != c.want {
			t.Errorf("%q by %q: %v, %v: want %v", c.text, c.clock, got, err, c.want)
		}
	}
	for _, text := range []string{"", "sec", "ns", "m", "MM/DD", "15:04:05", "0102", "YYYYMMDD"} {
		if got, err := ParseClock(text); err == nil {
			t.Errorf("%q reads as %v: want an error", text, got)
		}
	}
	for clock, text := range map[string]string{"s": "12:00", "ms": "", "unix": "9223372037", "us": "9223372036854776", "20060102": "19011301", "2006-01-02": "2600-01-01", "20060102 ": "1e3"} {
		c, err := ParseClock(clock)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Parse(text); err == nil {
			t.Errorf("%q by %q reads as %v: want an error", text, clock, got)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"resources", "resourcePerInstance", "heartbeat", "kind"}
	for word, want := range map[string]string{"resorces": "resources", "Kind": "kind", "knid": "kind", "heartbeats": "heartbeat", "colour": "", "": ""} {
		if got := nearest(word, words); got != want {
			t.Errorf("%q is taken for %q: want %q", word, got, want)
		}
	}
}
