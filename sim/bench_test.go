package sim

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

// dayScenario is a day of a large platform: 100,000 Things on 100 instances,
// five creations and five deletions a second, heartbeats every minute.
const dayScenario = `
name: day
about: A day of a large platform.
duration: 24h
heal: 24h
kinds:
  - {kind: Thing, resources: 100000, resourcePerInstance: 1100, initInstances: 100, maxInstances: 200}
churn:
  - {kind: Thing, create: 5/s, delete: 5/s}
expect:
  - violations == 0
`

// BenchmarkDay measures simulated time against real time.
func BenchmarkDay(b *testing.B) {
	sc, err := scenarios.Parse("day.yaml", []byte(dayScenario))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkRun(b, sc)
}

// BenchmarkBorg runs the whole Borg trace: 672,074 jobs in 29 days.
func BenchmarkBorg(b *testing.B) {
	file := filepath.Join("..", "scenarios", "borg-jobs.yaml")
	f, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	sc, err := scenarios.Load(file, f)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(sc.Churn[0].Trace.Path); err != nil {
		b.Skipf("the trace is not there: %v", err)
	}
	benchmarkRun(b, sc)
}

func benchmarkRun(b *testing.B, sc *scenarios.Scenario) {
	b.ReportAllocs()
	defer debug.SetGCPercent(debug.SetGCPercent(300)) // as the command does
	var events uint64
	var peak uint64
	for b.Loop() {
		res, err := Run(sc, Options{Open: openFile, Progress: func(Progress) error {
			peak = max(peak, heapInUse())
			return nil
		}})
		if err != nil {
			b.Fatal(err)
		}
		if n := res.Report.Totals[history.Violations]; n > 0 {
			b.Fatalf("%v violations: %v", n, res.Report.Violations)
		}
		events += res.Report.Events
	}
	perRun := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(sc.Duration.Seconds()/perRun.Seconds(), "x-real-time")
	b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
	b.ReportMetric(float64(peak), "peak-bytes")
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}
