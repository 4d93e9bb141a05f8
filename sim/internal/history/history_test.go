package history

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTraceHashIsOfTheCanonicalForm(t *testing.T) {
	tr := NewTrace()
	tr.Begin(1, 'x')
	tr.Int(-2)
	tr.String("ab")
	tr.Bool(true)
	tr.Bool(false)
	tr.End()
	// printf '\0\0\0\0\0\0\0\1xi\377\377\377\377\377\377\377\376s\0\0\0\2abTF\0' | sha256sum
	want := "sha256:" + sumOf("\x00\x00\x00\x00\x00\x00\x00\x01xi\xff\xff\xff\xff\xff\xff\xff\xfes\x00\x00\x00\x02abTF\x00")
	if got := tr.Sum(); got != want {
		t.Errorf("Sum() = %s, want %s", got, want)
	}
	if tr.Records() != 1 {
		t.Errorf("Records() = %d, want 1", tr.Records())
	}
}

func TestTraceTellsRecordsApart(t *testing.T) {
	seen := map[string]string{}
	for name, write := range map[string]func(*Trace){
		"empty":               func(*Trace) {},
		"one record":          func(tr *Trace) { tr.Begin(0, 0); tr.End() },
		"two records":         func(tr *Trace) { tr.Begin(0, 0); tr.End(); tr.Begin(0, 0); tr.End() },
		"another time":        func(tr *Trace) { tr.Begin(1, 0); tr.End() },
		"another code":        func(tr *Trace) { tr.Begin(0, 1); tr.End() },
		"int":                 func(tr *Trace) { tr.Begin(0, 0); tr.Int(1); tr.End() },
		"strings ab, c":       func(tr *Trace) { tr.Begin(0, 0); tr.String("ab"); tr.String("c"); tr.End() },
		"strings a, bc":       func(tr *Trace) { tr.Begin(0, 0); tr.String("a"); tr.String("bc"); tr.End() },
		"strings across ends": func(tr *Trace) { tr.Begin(0, 0); tr.String("ab"); tr.End(); tr.Begin(0, 0); tr.String("c") },
	} {
		tr := NewTrace()
		write(tr)
		sum := tr.Sum()
		if other, ok := seen[sum]; ok {
			t.Errorf("%q and %q have the same hash", name, other)
		}
		seen[sum] = name
	}
}

// The dumb twin gathers the canonical form whole; where the trace hashes in
// pieces, and how often Sum is asked, must not show.
func TestTraceAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := NewTrace()
		var whole []byte
		for range rapid.IntRange(0, 50).Draw(t, "records") {
			now := rapid.Int64().Draw(t, "now")
			tr.Begin(time.Duration(now), 7)
			whole = append(appendInt(whole, now), 7)
			for range rapid.IntRange(0, 4).Draw(t, "fields") {
				if rapid.Bool().Draw(t, "string") {
					s := strings.Repeat("s", rapid.SampledFrom([]int{0, 1, 100, flushBytes - 30, flushBytes, 3*flushBytes + 1}).Draw(t, "length"))
					tr.String(s)
					n := len(s)
					whole = append(whole, 's', byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
					whole = append(whole, s...)
				} else {
					v := rapid.Int64().Draw(t, "v")
					tr.Int(v)
					whole = appendInt(append(whole, 'i'), v)
				}
			}
			tr.End()
			whole = append(whole, 0)
			if rapid.Bool().Draw(t, "sum") {
				tr.Sum()
			}
		}
		if got, want := tr.Sum(), "sha256:"+sumOf(string(whole)); got != want {
			t.Fatalf("Sum() = %s, twin %s", got, want)
		}
	})
}

func TestTraceTextHasOneLineARecord(t *testing.T) {
	names := [256]string{1: "txn"}
	var text bytes.Buffer
	tr, quiet := NewTrace(), NewTrace()
	tr.Text(&text, &names)
	for _, to := range []*Trace{tr, quiet} {
		to.Begin(90*time.Second, 1)
		to.Int(5)
		to.String("Thing-1")
		to.String("two words\n")
		to.String("")
		to.Bool(true)
		to.Begin(91*time.Second, 2) // ends the first
		to.End()
		to.End() // nothing open: nothing happens
	}
	want := "1m30s txn 5 Thing-1 \"two words\\n\" \"\" true\n1m31s what=2\n"
	if text.String() != want {
		t.Errorf("text\n%s\nwant\n%s", text.String(), want)
	}
	if tr.Sum() != quiet.Sum() {
		t.Error("the text changes the hash")
	}
}

type brokenWriter struct{ writes int }

var errFull = errors.New("disk full")

func (w *brokenWriter) Write([]byte) (int, error) { w.writes++; return 0, errFull }

func TestTraceKeepsTheFirstTextError(t *testing.T) {
	w := &brokenWriter{}
	tr := NewTrace()
	tr.Text(w, nil)
	for range 3 {
		tr.Begin(0, 1)
		tr.End()
	}
	if !errors.Is(tr.Err(), errFull) || w.writes != 1 || tr.Records() != 3 {
		t.Errorf("Err() = %v after %d writes and %d records, want %v after 1 and 3", tr.Err(), w.writes, tr.Records(), errFull)
	}
}

func TestTraceDoesNotAllocate(t *testing.T) {
	tr := NewTrace()
	if n := testing.AllocsPerRun(1000, func() {
		tr.Begin(1, 2)
		tr.Int(3)
		tr.String("Thing-0000017")
		tr.End()
	}); n != 0 {
		t.Errorf("%v allocations a record, want 0", n)
	}
}

func BenchmarkTrace(b *testing.B) {
	tr := NewTrace()
	for b.Loop() {
		tr.Begin(1, 2)
		tr.Int(3)
		tr.String("Thing-0000017")
		tr.End()
	}
}

// The twin sorts all durations and takes the one of nearest rank.
func TestHistogramAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.SliceOfN(rapid.OneOf(
			rapid.Int64Range(0, 1000), rapid.Int64Range(0, int64(time.Hour)), rapid.Int64Range(-5, math.MaxInt64),
		), 1, 200).Draw(t, "durations")
		split := rapid.IntRange(0, len(durations)).Draw(t, "split")
		var h, other Histogram
		for i, d := range durations {
			if i < split {
				h.Add(time.Duration(d))
			} else {
				other.Add(time.Duration(d))
			}
			durations[i] = max(d, 0)
		}
		h.Merge(&other)
		slices.Sort(durations)
		n := len(durations)
		if h.Count() != uint64(n) || int64(h.Max()) != durations[n-1] {
			t.Fatalf("count %d, max %d; want %d, %d", h.Count(), h.Max(), n, durations[n-1])
		}
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
			rank := min(max(int(math.Ceil(q*float64(n))), 1), n)
			want := durations[rank-1]
			got := int64(h.Quantile(q))
			if got < want || float64(got-want) > 0.01*float64(want) {
				t.Fatalf("Quantile(%v) = %d, want %d within 1 %% above", q, got, want)
			}
		}
	})
}

// The twin counts for each bucket of the distribution what lies in it.
func TestDistributionAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.SliceOfN(rapid.OneOf(
			rapid.Int64Range(0, 1000), rapid.Int64Range(1e6, int64(time.Hour)), rapid.Int64Range(0, 1<<50),
		), 0, 100).Draw(t, "durations")
		var h Histogram
		for _, d := range durations {
			h.Add(time.Duration(d))
		}
		d := h.Distribution("Thing", "settle_time")
		if len(d.BoundsS) != len(d.Counts) || len(d.Counts) > 64 || d.Kind != "Thing" || d.Measure != "settle_time" {
			t.Fatalf("%+v", d)
		}
		if n := len(durations); n > 0 && d.BoundsS[len(d.BoundsS)-1] != h.Max().Seconds() {
			t.Fatalf("the last bound is %v, want the longest, %v", d.BoundsS, h.Max())
		}
		counts := make([]uint64, len(d.Counts))
		for _, v := range durations {
			i, _ := slices.BinarySearch(d.BoundsS, time.Duration(v).Seconds())
			counts[i]++
		}
		if !slices.Equal(counts, d.Counts) || !slices.IsSorted(d.BoundsS) {
			t.Fatalf("%+v, the twin counts %v", d, counts)
		}
	})
}

func TestHistogramBucketsCoverEveryValueOnce(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 255, 256, 257, 511, 512, 1 << 20, 1<<20 - 1, math.MaxInt64} {
		i := bucketOf(v)
		if end := bucketEnd(i); end < v || bucketOf(end) != i {
			t.Errorf("value %d: bucket %d ends at %d", v, i, end)
		}
		if i > 0 && bucketEnd(i-1) >= v {
			t.Errorf("value %d: bucket %d reaches it too", v, i-1)
		}
	}
	var h Histogram
	h.Add(math.MaxInt64)
	if size := len(h.buckets) * bits.UintSize / 8; size > 58<<10 {
		t.Errorf("the histogram takes %d bytes, want at most 58 KiB", size)
	}
	var empty Histogram
	if empty.Quantile(0.5) != 0 || empty.Max() != 0 {
		t.Error("an empty histogram answers something else than zero")
	}
	if got := h.Quantile(math.NaN()); got != math.MaxInt64 {
		t.Errorf("Quantile(NaN) = %v, want the least", got)
	}
}

func TestMetricNames(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Metrics() {
		if m.String() == "" || m.About() == "" || seen[m.String()] {
			t.Errorf("metric %d: name %q, about %q: want both, the name once", m, m, m.About())
		}
		seen[m.String()] = true
		if got, ok := ParseMetric(m.String()); !ok || got != m {
			t.Errorf("ParseMetric(%q) = %v, %v", m, got, ok)
		}
	}
	if _, ok := ParseMetric("moves"); ok {
		t.Error("ParseMetric knows a metric that does not exist")
	}
}

func TestFiguresJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f, back Figures
		for m := range f {
			f[m] = rapid.Float64Range(0, 1e12).Draw(t, "figure")
		}
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &back); err != nil || back != f {
			t.Fatalf("read back %v, %v, want %v", back, err, f)
		}
	})
	var f Figures
	if err := json.Unmarshal([]byte(`{"alarms":1,"moves":2}`), &f); err == nil || f[Alarms] != 0 {
		t.Errorf("an unknown field: error %v, figures %v; want an error and nothing read", err, f[Alarms])
	}
	f[Alarms] = math.NaN()
	if _, err := json.Marshal(f); err == nil || !strings.Contains(err.Error(), "alarms") {
		t.Errorf("not a number: error %v, want one that names the metric", err)
	}
}

func TestReportMetric(t *testing.T) {
	r := sampleReport()
	for _, c := range []struct {
		name string
		want float64
		ok   bool
	}{
		{"instances_replaced", 3, true}, {"Thing.instances_replaced", 2, true}, {"Rule.instances_replaced", 1, true},
		{"settle_time_p99", 4.25, true}, {"Rule.settle_time_p99", 1.5, true},
		{"Topic.alarms", 0, false}, {"moves", 0, false}, {"Thing.", 0, false}, {"", 0, false},
	} {
		if got, ok := r.Metric(c.name); got != c.want || ok != c.ok {
			t.Errorf("Metric(%q) = %v, %v, want %v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestJSONReadsBack(t *testing.T) {
	r := sampleReport()
	var out bytes.Buffer
	if err := r.JSON(&out); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := back.JSON(&again); err != nil {
		t.Fatal(err)
	}
	if out.String() != again.String() {
		t.Errorf("read back and written again\n%s\nwant\n%s", again.String(), out.String())
	}
	out.Reset()
	if err := new(Report).JSON(&out); err != nil || strings.Contains(out.String(), "null") || strings.Contains(out.String(), "wall_s") {
		t.Errorf("an empty report is %s (%v), want lists without null and no wall time", out.String(), err)
	}
}

func TestJUnitIsValidXML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := sampleReport()
		r.Scenario = rapid.String().Draw(t, "scenario")
		r.Expectations[0].Text = rapid.String().Draw(t, "expectation")
		r.Violations[0].Reason = rapid.StringN(0, 50, -1).Draw(t, "reason")
		var out bytes.Buffer
		if err := r.JUnit(&out); err != nil {
			t.Fatal(err)
		}
		var suite junitSuite
		if err := xml.Unmarshal(out.Bytes(), &suite); err != nil {
			t.Fatalf("%v in\n%s", err, out.String())
		}
		if want := len(r.Expectations) + len(r.Invariants); suite.Tests != want || len(suite.Cases) != want {
			t.Fatalf("%d tests and %d cases, want %d", suite.Tests, len(suite.Cases), want)
		}
		failures := 0
		for _, c := range suite.Cases {
			if c.Failure != nil {
				failures++
			}
		}
		if failures != suite.Failures || failures != 3 {
			t.Fatalf("%d failures, the suite says %d, want 3", failures, suite.Failures)
		}
	})
}

func TestRenderersReportWriteErrors(t *testing.T) {
	r := sampleReport()
	for name, render := range map[string]func() error{
		"Table":    func() error { return r.Table(&brokenWriter{}, TableOptions{}) },
		"JSON":     func() error { return r.JSON(&brokenWriter{}) },
		"JUnit":    func() error { return r.JUnit(&brokenWriter{}) },
		"Timeline": func() error { return outage().Timeline(&brokenWriter{}, TimelineOptions{}) },
	} {
		if err := render(); !errors.Is(err, errFull) {
			t.Errorf("%s answers %v, want %v", name, err, errFull)
		}
	}
}
