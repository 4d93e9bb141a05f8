package churn

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// openShared opens a real trace, which lies beside the project, or skips.
func openShared(t testing.TB, name string) fs.File {
	t.Helper()
	f, err := os.DirFS("../../../../shared/traces").Open(name)
	if err != nil {
		t.Skipf("the real trace is not there (../shared/traces/%s beside the project): %v", name, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

var stationsFormat = Format{
	File: "isd-history.csv", ID: []string{"USAF", "WBAN"}, Created: "BEGIN", Deleted: "END", Group: "CTRY",
	Time: "20060102", Scale: Scale{Trace: scaleUnits["y"], Scenario: time.Minute},
}

var jobsFormat = Format{
	File: "job_lifecycle.csv.gz", ID: []string{"job"}, Created: "submit_s", Deleted: "end_s", Group: "sched_class", Time: "s",
}

// checkAccounts checks that no row is unaccounted for.
func checkAccounts(t testing.TB, s Stats) {
	t.Helper()
	if s.Used+s.Filtered+s.SkippedRows() != s.Rows {
		t.Errorf("%d used + %d filtered + %d skipped are not the %d rows", s.Used, s.Filtered, s.SkippedRows(), s.Rows)
	}
	for _, skip := range s.Skipped {
		if skip.Count == 0 || len(skip.Examples) != min(skip.Count, maxExamples) {
			t.Errorf("%d examples of %d rows: %v", len(skip.Examples), skip.Count, skip)
		}
	}
}

func TestRealStations(t *testing.T) {
	raw, err := io.ReadAll(openShared(t, "noaa-isd-stations/isd-history.csv"))
	if err != nil {
		t.Fatal(err)
	}
	trace, stats, err := ReadTrace(bytes.NewReader(raw), stationsFormat)
	if err != nil {
		t.Fatal(err)
	}
	checkAccounts(t, stats)

	// The same figures by another way: split at `","`, dates compared as text.
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")[1:]
	ids, first, last, begunFirst := map[string]bool{}, "9", "0", 0
	for _, line := range lines {
		f := strings.Split(strings.Trim(line, `"`), `","`)
		ids[f[0]+"-"+f[1]] = true
		first, last = min(first, f[9]), max(last, f[10])
	}
	for _, line := range lines {
		if strings.Contains(line, `,"`+first+`",`) {
			begunFirst++
		}
	}
	if len(lines) != 30_050 || stats.Rows != len(lines) || stats.Used != len(ids) || trace.Rows() != len(ids) {
		t.Errorf("%d rows, %d used; the file has %d lines with %d ids", stats.Rows, stats.Used, len(lines), len(ids))
	}
	if stats.First != first || stats.Last != last || stats.Initial != begunFirst || len(trace.Initial()) != begunFirst {
		t.Errorf("from %s to %s, %d at the start; want %s to %s, %d", stats.First, stats.Last, stats.Initial, first, last, begunFirst)
	}
	begin, _ := time.Parse("20060102", first)
	end, _ := time.Parse("20060102", last)
	want := end.Sub(begin).Hours() / 24 / 365.25 * 60 // a year is a minute
	if got := trace.End().Seconds(); got < want-1e-6 || got > want+1e-6 {
		t.Errorf("ends at %v s, want %v s", got, want)
	}
	if row := trace.rows[0]; row != (fleet.Resource{ID: "007026-99999", Group: "AF"}) {
		t.Errorf("the first row is %+v", row)
	}
}

func TestRealJobs(t *testing.T) {
	format := jobsFormat
	if raceDetector {
		format.Limit = 20_000
	}
	trace, stats, err := ReadTrace(openShared(t, "google-borg-2011-jobs/job_lifecycle.csv.gz"), format)
	if err != nil {
		t.Fatal(err)
	}
	checkAccounts(t, stats)
	if raceDetector {
		if stats.Used != format.Limit || !stats.More || trace.Rows() != format.Limit {
			t.Errorf("%+v; want %d rows and more to come", stats, format.Limit)
		}
		return
	}
	// The figures by another way:
	//	zcat job_lifecycle.csv.gz | awk -F, 'NR>1 {rows++; initial+=$3=="0"; deleted+=$5!="";
	//	    unusable+=$5!="" && ($5<$3 || $5+0<=0); last=$5+0>last+0?$5:last}
	//	    END {print rows, initial, deleted, unusable, last}'
	const rows, initial, deleted, unusable, last = 672_074, 3_986, 668_085, 0, "2506198.229"
	if stats.Rows != rows || stats.Used != rows-unusable || stats.Initial != initial || stats.First != "0" || stats.Last != last {
		t.Errorf("%+v; want %d rows, %d not to be used, %d at the start, the last at %s", stats, rows, unusable, initial, last)
	}
	p, g := start(t, 1, 0, nil, trace)
	for _, ok := g.Next(); ok; _, ok = g.Next() {
	}
	want := Counts{Ops: rows - initial + deleted, Created: rows - initial, Deleted: deleted}
	if g.Counts() != want || p.Len() != rows-deleted {
		t.Errorf("it runs as %+v and leaves %d rows, want %+v and %d", g.Counts(), p.Len(), want, rows-deleted)
	}
	if got := trace.End(); got != 2506198229*time.Millisecond {
		t.Errorf("it ends at %v", got)
	}
}

// With half of the id the stations' file is full of duplicates: those whose
// lives overlap are skipped, the others are re-creations.
func TestRealStationsWithAnIDThatIsNotUnique(t *testing.T) {
	raw, err := io.ReadAll(openShared(t, "noaa-isd-stations/isd-history.csv"))
	if err != nil {
		t.Fatal(err)
	}
	format := stationsFormat
	format.ID = []string{"USAF"}
	trace, stats, err := ReadTrace(bytes.NewReader(raw), format)
	if err != nil {
		t.Fatal(err)
	}
	checkAccounts(t, stats)

	lives := map[string][][2]string{}
	for line := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n") {
		f := strings.Split(strings.Trim(line, `"`), `","`)
		lives[f[0]] = append(lives[f[0]], [2]string{f[9], f[10]})
	}
	delete(lives, "USAF") // the header
	used := 0
	for _, l := range lives {
		slices.SortFunc(l, func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
		free := ""
		for _, life := range l {
			if life[0] >= free {
				used++
				free = life[1]
			}
		}
	}
	if len(stats.Skipped) != 1 || stats.Skipped[0].Reason != reasonNames[overlaps] || stats.Used != used || stats.Used < len(lives) {
		t.Errorf("%d used, skipped %v; want %d of %d ids", stats.Used, stats.Skipped, used, len(lives))
	}
	if _, g := start(t, 1, 0, nil, trace); len(take(g, 100_000, always)) < used || g.Counts().OutOfPlace != 0 {
		t.Errorf("it runs as %+v", g.Counts())
	}
}

var p3Format = NodeFormat{File: "p3-trace.csv", NoHeader: true, At: "1", Verb: "2", Node: "3", Time: "ms"}

func TestRealSpotNodes(t *testing.T) {
	for name, want := range map[string]struct {
		adds, removes int // as the SOURCE note says
		last          time.Duration
	}{
		"p3-trace.csv":   {177, 167, 40_920_000 * time.Millisecond},
		"g4dn-trace.csv": {79, 74, 38_760_000 * time.Millisecond},
	} {
		format := p3Format
		format.Origin = "0"
		events, stats, err := ReadNodes(openShared(t, "spot-preemption-bamboo/"+name), format)
		if err != nil {
			t.Fatal(err)
		}
		checkAccounts(t, stats)
		adds := 0
		for _, e := range events {
			if e.Add {
				adds++
			}
		}
		last := events[len(events)-1].At
		if adds != want.adds || len(events)-adds != want.removes || stats.Used != len(events) || len(stats.Skipped) != 0 || last != want.last {
			t.Errorf("%s: %d added, %d removed, the last at %v, skipped %v; want %+v", name, adds, len(events)-adds, last, stats.Skipped, want)
		}
	}
}
