package churn

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"time"

	"dacorch/sim/internal/timeline"
)

func BenchmarkReadJobs(b *testing.B) {
	raw, err := io.ReadAll(openShared(b, "google-borg-2011-jobs/job_lifecycle.csv.gz"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := heap()
	var trace *Trace
	for b.Loop() {
		if trace, _, err = ReadTrace(bytes.NewReader(raw), jobsFormat); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((heap()-before)/float64(trace.Rows()), "kept-B/row")
}

func BenchmarkRunJobs(b *testing.B) {
	trace, _, err := ReadTrace(openShared(b, "google-borg-2011-jobs/job_lifecycle.csv.gz"), jobsFormat)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	ops := 0
	for b.Loop() {
		p, _ := NewPopulation("Job", nil, 1)
		g, _ := NewGenerator(p, 1, trace)
		for _, ok := g.Next(); ok; _, ok = g.Next() {
		}
		ops += g.Counts().Ops
	}
	b.ReportMetric(float64(ops)/b.Elapsed().Seconds(), "ops/s")
}

// 100,000 rows with five creations and five deletions a second.
func BenchmarkRates(b *testing.B) {
	p, _ := NewPopulation("Thing", Groups{{"a", 1}, {"b", 2}}, 1)
	p.Seed(100_000)
	g, err := NewGenerator(p, timeline.Seed(1), Rate{Verb: Create, PerSecond: 5}, Rate{Verb: Delete, PerSecond: 5})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var last time.Duration
	for b.Loop() {
		op, ok := g.Next()
		if !ok || op.At < last {
			b.Fatal("the churn ends, or runs backwards")
		}
		last = op.At
	}
}
