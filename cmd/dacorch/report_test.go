package main

import (
	"bytes"
	"io"
	"testing"

	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim"
	"dacorch/sim/replay"
	"dacorch/sim/report"
)

// TestReportAgreesWithRun holds what a story derives from the core's events and
// commands alone to what the run, which sees the whole world, has counted.
func TestReportAgreesWithRun(t *testing.T) {
	for _, name := range []string{"first-light", "strict-handoff", "drain-and-maintenance", "kafka-blip", "silent-hang", "slow-pods"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc, err := scenarios.Shipped(name)
			if err != nil {
				t.Fatal(err)
			}
			var kept bytes.Buffer
			result, err := sim.Run(sc, sim.Options{Record: recording.NewWriter(&kept, sim.RecordingHeader("test", sc))})
			if err != nil {
				t.Fatal(err)
			}
			rec, err := replay.Load([]replay.File{{Name: name, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(kept.Bytes())), nil
			}}})
			if err != nil {
				t.Fatal(err)
			}
			story, err := report.Load(rec)
			if err != nil {
				t.Fatal(err)
			}
			total := story.Total()
			for metric, derived := range map[string]int{
				"moves_made": total.Moves, "instances_replaced": total.Replaced, "instances": total.Instances,
				"instances_released": total.Released, "resources": total.Resources, "resources_unplaced_end": total.Unplaced,
				"transactions": total.Transactions, "transactions_conflicted": total.Conflicts, "alarms": total.Alarms,
			} {
				counted, ok := result.Report.Metric(metric)
				if !ok {
					t.Errorf("%s is no metric", metric)
				}
				if counted != float64(derived) {
					t.Errorf("%s: the run counts %v, the story %d", metric, counted, derived)
				}
			}
			if story.Scenario != name || story.Seed != sc.Seed || !story.Ended || len(story.Problems) > 0 {
				t.Errorf("scenario %q, seed %d, ended %t, problems %q", story.Scenario, story.Seed, story.Ended, story.Problems)
			}
		})
	}
}
