package churn

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"strconv"
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

// sumOfSkips checks that no row is unaccounted for.
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
	t.Logf("%+v", stats)

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
	raw, err := io.ReadAll(openShared(t, "google-borg-2011-jobs/job_lifecycle.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	trace, stats, err := ReadTrace(bytes.NewReader(raw), jobsFormat)
	if err != nil {
		t.Fatal(err)
	}
	checkAccounts(t, stats)
	t.Logf("%+v", stats)

	unzipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	rows, backwards, before, ended, gone := 0, 0, 0, 0, 0
	lines := bufio.NewScanner(unzipped)
	for lines.Scan(); lines.Scan(); rows++ {
		f := strings.Split(lines.Text(), ",")
		submit, _ := strconv.ParseFloat(f[2], 64)
		end, err := strconv.ParseFloat(f[4], 64)
		switch {
		case err == nil && end < submit:
			backwards++
		case err == nil && end <= 0:
			gone++
		case submit <= 0:
			before++
			fallthrough
		default:
			if err == nil {
				ended++
			}
		}
	}
	if rows != 672_074 || stats.Rows != rows || stats.Used != rows-backwards-gone || stats.Initial != before {
		t.Errorf("%d rows, %d used, %d at the start; want %d, %d, %d", stats.Rows, stats.Used, stats.Initial, rows, rows-backwards-gone, before)
	}
	_ = trace
	_ = ended
}

var p3Format = NodeFormat{File: "p3-trace.csv", NoHeader: true, At: "1", Verb: "2", Node: "3", Time: "ms"}

func TestRealSpotNodes(t *testing.T) {
	events, stats, err := ReadNodes(openShared(t, "spot-preemption-bamboo/p3-trace.csv"), p3Format)
	if err != nil {
		t.Fatal(err)
	}
	checkAccounts(t, stats)
	t.Logf("%+v %v", stats, events[len(events)-1])
}
