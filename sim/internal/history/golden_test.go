package history

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func appendInt(to []byte, v int64) []byte { return binary.BigEndian.AppendUint64(to, uint64(v)) }

// TestGolden draws timelines and reports; rewrite with -rewrite, read in review.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var series *Series
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			var err error
			switch d.Cmd {
			case "series":
				series = parseSeries(t, d)
				return "ok"
			case "outage":
				series = outage()
				return "ok"
			case "timeline":
				opts := TimelineOptions{Unicode: d.HasArg("unicode")}
				d.MaybeScanArgs(t, "width", &opts.Width)
				err = series.Timeline(&out, opts)
			case "table":
				opts := TableOptions{Unicode: d.HasArg("unicode"), Color: d.HasArg("color"), Brief: d.HasArg("brief")}
				if d.HasArg("timeline") {
					opts.Timeline = outage()
				}
				d.MaybeScanArgs(t, "width", &opts.Width)
				err = reportNamed(t, d).Table(&out, opts)
			case "json":
				err = reportNamed(t, d).JSON(&out)
			case "junit":
				err = reportNamed(t, d).JUnit(&out)
			default:
				t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			}
			if err != nil {
				return "error: " + err.Error()
			}
			return strings.ReplaceAll(out.String(), "\x1b", "^[")
		})
	})
}

// parseSeries reads lines "row NAME AGG AT=VALUE…", "band NAME FROM TO" and
// "mark AT LABEL…"; a name's underscores stand for spaces.
func parseSeries(t *testing.T, d *datadriven.TestData) *Series {
	var duration string
	var buckets int
	d.ScanArgs(t, "duration", &duration)
	d.ScanArgs(t, "buckets", &buckets)
	s := NewSeries(parseDuration(t, duration), buckets)
	for line := range strings.Lines(d.Input) {
		f := strings.Fields(line)
		switch f[0] {
		case "row":
			r := s.Row(strings.ReplaceAll(f[1], "_", " "), map[string]Aggregate{"last": Last, "max": Max, "min": Min, "total": Total}[f[2]])
			for _, sample := range f[3:] {
				at, value, _ := strings.Cut(sample, "=")
				var v float64
				if _, err := fmt.Sscan(value, &v); err != nil {
					t.Fatalf("%s: %s: %v", d.Pos, sample, err)
				}
				r.Set(parseDuration(t, at), v)
			}
		case "band":
			s.Band(strings.ReplaceAll(f[1], "_", " "), parseDuration(t, f[2]), parseDuration(t, f[3]))
		case "mark":
			s.Mark(parseDuration(t, f[1]), strings.Join(f[2:], " "))
		}
	}
	return s
}

func parseDuration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// outage is half an hour in which Kafka fails for ten minutes, two pods crash,
// and an orchestration takes place.
func outage() *Series {
	s := NewSeries(30*time.Minute, 240)
	resources, instances := s.Row("resources", Last), s.Row("instances", Last)
	running, unplaced := s.Row("running", Min), s.Row("unplaced", Max)
	moves, alarms := s.Row("moves", Total), s.Row("alarms", Total)
	for at := time.Duration(0); at < 30*time.Minute; at += time.Second {
		sec := int(at / time.Second)
		resources.Set(at, float64(20000+sec+30*(sec%7)))
		up := 10.0
		switch {
		case at >= 3*time.Minute && at < 4*time.Minute:
			up = 8
		case at >= 24*time.Minute:
			up = 12
		}
		if at >= 24*time.Minute {
			instances.Set(at, 12)
		} else {
			instances.Set(at, 10)
		}
		running.Set(at, up)
		unplaced.Set(at, float64(sec%5))
	}
	unplaced.Set(24*time.Minute+10*time.Second, 400)
	unplaced.Set(24*time.Minute+20*time.Second, 0)
	for at := 24 * time.Minute; at < 26*time.Minute; at += time.Second {
		moves.Add(at, 30)
	}
	alarms.Add(6*time.Minute+30*time.Second, 1)
	s.Band("pod crash", 3*time.Minute, 3*time.Minute+time.Second)
	s.Band("kafka down", 5*time.Minute, 15*time.Minute)
	s.Mark(20*time.Minute, "heal")
	s.Mark(24*time.Minute, "orchestrate Thing maxInstances=20")
	return s
}

func TestTimelineIsAsWideAsAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSeries(time.Duration(rapid.Int64Range(-1, math.MaxInt64).Draw(t, "duration")), rapid.IntRange(-1, 300).Draw(t, "buckets"))
		for i := range rapid.IntRange(0, 4).Draw(t, "rows") {
			r := s.Row(rapid.StringN(0, 40, -1).Draw(t, "name"), Aggregate(i))
			for range rapid.IntRange(0, 20).Draw(t, "samples") {
				r.Set(time.Duration(rapid.Int64().Draw(t, "at")), rapid.Float64Range(-1e6, 1e9).Draw(t, "v"))
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "bands") {
			s.Band("fault", time.Duration(rapid.Int64().Draw(t, "from")), time.Duration(rapid.Int64().Draw(t, "to")))
		}
		width := rapid.IntRange(60, 200).Draw(t, "width")
		var out, again strings.Builder
		if err := s.Timeline(&out, TimelineOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		if err := s.Timeline(&again, TimelineOptions{Width: width}); err != nil || out.String() != again.String() {
			t.Fatalf("drawn twice, it differs (%v)", err)
		}
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Fatalf("a line of %d columns, want at most %d:\n%s", n, width, out.String())
			}
		}
	})
}

func TestSeriesIsBounded(t *testing.T) {
	s := NewSeries(time.Second, 10)
	r := s.Row("level", Max)
	for at := range 10000 {
		r.Set(time.Duration(at)*time.Millisecond, float64(at))
		s.Band("fault", 0, 1)
		s.Mark(0, "order")
	}
	if len(r.values) != 10 || len(s.bands) != maxBands || len(s.marks) != maxMarks {
		t.Errorf("%d values, %d bands, %d marks; want 10, %d, %d", len(r.values), len(s.bands), len(s.marks), maxBands, maxMarks)
	}
	var out strings.Builder
	if err := s.Timeline(&out, TimelineOptions{}); err != nil || !strings.Contains(out.String(), "18000 more faults and orders are not shown") {
		t.Errorf("the timeline does not say what it leaves out (%v):\n%s", err, out.String())
	}
}

// sampleReport is a run of two kinds that failed in every way there is.
func sampleReport() *Report {
	thing, rule := Figures{}, Figures{}
	thing[Resources], thing[Instances], thing[InstancesReplaced], thing[SettleTimeP99] = 20000, 10, 2, 4.25
	thing[MovesNeeded], thing[MovesMade], thing[MovesExcess], thing[CapacityUsedMax] = 1200, 1204, 4, 0.875
	thing[UnownedTimeP50], thing[UnownedTimeP99], thing[UnownedTimeMax], thing[ImbalanceMean], thing[ImbalanceMaxEnd] = 5.5, 41, 42, 0.125, 212
	rule[Resources], rule[Instances], rule[InstancesReplaced], rule[SettleTimeP99] = 50, 10, 1, 1.5
	r := &Report{
		Scenario: "kafka-outage", About: "A ten-minute Kafka outage must not restart a single healthy instance.", Seed: 7,
		VirtualS: 1800, Events: 1234567, Records: 2345678, Trace: "sha256:0123456789abcdef",
		Kinds: []KindFigures{{"Thing", thing}, {"Rule", rule}},
		Expectations: []Expectation{
			{Text: "instances_replaced == 0", Value: 3},
			{Text: "settle_time_p99 < 30s", Value: 4.25, Shown: "4.25s", Met: true},
		},
		Invariants: []InvariantCount{{"one-owner", 2}, {"capacity", 0}, {SettledName, 2}},
		Violations: []Violation{
			{242100 * time.Millisecond, "Thing", "one-owner", `Thing "Thing-0000017" stands on instances 3 and 7 after transaction 512 at 4m2.1s`},
			{25 * time.Minute, "Thing", SettledName, `Thing "Thing-0000020" is not settled 1s after it had to be: not in any instance's list`},
		},
		HealS: 1200,
		Pending: []Pending{
			{"Thing", "on instance 4, not running; pod of instance 4: Pending (Unschedulable) since 22m; its DAC does not work", 2000, 22 * time.Minute, []string{"Thing-0000004", "Thing-0000014", "Thing-0000024"}},
			{"Thing", "not in any instance's list", 1, 24 * time.Minute, []string{"Thing-0000020"}},
		},
		Slowest: []Slow{
			{Kind: "Thing", Resource: "Thing-0000020", What: "settle", From: 24 * time.Minute, Took: 6 * time.Minute, Open: true, Instance: -1, Why: "not in any instance's list"},
			{Kind: "Thing", Resource: "Thing-0000008", What: "recover", From: 3 * time.Minute, Took: 42 * time.Second, Instance: 8,
				Why: "the DAC of instance 8 stopped working; the DAC of instance 8 worked 40s later, its pod before that: Pending; 2s until instance 8 ran it"},
			{Kind: "Thing", Resource: "Thing-0000018", What: "recover", From: 3 * time.Minute, Took: 41 * time.Second, Instance: 8,
				Why: "the DAC of instance 8 stopped working; the DAC of instance 8 worked 39.5s later, its pod before that: Pending; 1.5s until instance 8 ran it"},
			{Kind: "Thing", Resource: "Thing-0000028", What: "recover", From: 3 * time.Minute, Took: 40500 * time.Millisecond, Instance: 8,
				Why: "the DAC of instance 8 stopped working; the DAC of instance 8 worked 39.5s later, its pod before that: Pending; 1s300ms until instance 8 ran it"},
			{Kind: "Thing", Resource: "Thing-0000009", What: "recover", From: 3 * time.Minute, Took: 40 * time.Second, Instance: 9, Why: "the DAC of instance 9 stopped working"},
			{Kind: "Thing", Resource: "Thing-0000003", What: "delete", From: 3 * time.Minute, Took: 30 * time.Second, Instance: -1, Why: "30s until the DAC of instance 3 let it go"},
		},
		Distributions: []Distribution{{Kind: "Thing", Measure: "settle_time", BoundsS: []float64{0.5, 360}, Counts: []uint64{799, 1}}},
		Skipped:       []Skipped{{"stations.csv.gz", "the end lies before the begin", 12, "line 4711"}},
		Notes:         []string{"The load was not played: virtual time has no REST interface to call."},
	}
	r.Totals = Sum(r.Kinds)
	return r
}

// goodReport is a run in which all is well, with its wall time.
func goodReport() *Report {
	r := sampleReport()
	r.Scenario, r.About = "first-light", ""
	r.Kinds = r.Kinds[:1]
	r.Totals = Sum(r.Kinds)
	r.Expectations = r.Expectations[1:]
	r.Invariants = []InvariantCount{{"one-owner", 0}, {"capacity", 0}, {SettledName, 0}}
	r.Violations, r.Pending, r.Slowest, r.Distributions, r.Skipped, r.Notes = nil, nil, nil, nil, nil, nil
	r.WallS = 0.125
	return r
}

// TestExpectationShown holds that what was measured reads as a sentence, and
// that the line does not say the metric's name twice.
func TestExpectationShown(t *testing.T) {
	for _, c := range []struct{ text, shown, want string }{
		{"violations == 0", "violations = 0", "was 0"},
		{"violations==0", "violations = 0", "was 0"},
		{"settle_time_p99 < 30s", "settle_time_p99 = 4.25s", "was 4.25s"},
		{"Rule.moves_made == 0", "Rule.moves_made = 3", "was 3"},
		{"moves_made <= moves_needed", "moves_made = 5, moves_needed = 4", "was moves_made = 5, moves_needed = 4"},
		{"settle_time_p99 < 30s", "settle_time_p99 has no value", "settle_time_p99 has no value"},
		{"moves_made <= moves_needed", "moves_needed has no value", "moves_needed has no value"},
		{"resources > 5", "", "was 20,000"},
	} {
		if got := (Expectation{Text: c.text, Shown: c.shown, Value: 20000}).shown(); got != c.want {
			t.Errorf("%s with %q: shown as %q, want %q", c.text, c.shown, got, c.want)
		}
	}
}

func reportNamed(t *testing.T, d *datadriven.TestData) *Report {
	if d.HasArg("good") {
		r := goodReport()
		if d.HasArg("real") {
			r.Real, r.WallS, r.Trace = true, 1804, ""
		}
		return r
	}
	return sampleReport()
}
