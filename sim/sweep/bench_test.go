package sweep

import (
	"context"
	"io"
	"os"
	"testing"

	"dacorch/scenarios"
)

// BenchmarkHalfHour is one job's rate over a half-hour scenario with 10,000
// resources, under one seed after the other; the aim is 1,000 runs an hour.
func BenchmarkHalfHour(b *testing.B) {
	base, err := scenarios.Shipped("kafka-outage", scenarios.Setting{Key: "kinds.Thing.resources", Value: "10000"})
	if err != nil {
		b.Fatal(err)
	}
	measured(b, Options{Bases: []*scenarios.Scenario{base}})
}

// BenchmarkSwarm is the same over everything that a swarm makes of two scenarios.
func BenchmarkSwarm(b *testing.B) {
	var bases []*scenarios.Scenario
	for _, name := range []string{"pod-crash-storm", "re-orchestrate-under-churn"} {
		base, err := scenarios.Shipped(name)
		if err != nil {
			b.Fatal(err)
		}
		bases = append(bases, base)
	}
	measured(b, Options{Bases: bases, Swarm: true})
}

func measured(b *testing.B, opts Options) {
	opts.Seeds, opts.From, opts.Jobs = b.N, 1, 1
	opts.Open = func(path string) (io.ReadCloser, error) { return os.Open(path) }
	summary, err := Sweep(context.Background(), opts)
	if err != nil {
		b.Fatal(err)
	}
	if len(summary.Groups) > 0 {
		b.Fatalf("%d causes of failure; the first: %s", len(summary.Groups), summary.Groups[0].Cause)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Hours(), "runs/h")
}
