package replay

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim"
)

// TestRunIsRecorded runs a scenario with and without a recording: the trace is the
// same, and the recording replays.
func TestRunIsRecorded(t *testing.T) {
	file, trace := recordedRun(t, "first-light")
	sc, err := scenarios.Shipped("first-light")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := sim.Run(sc, sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if plain.Report.Trace != trace {
		t.Errorf("recorded, the trace is %x, and else %x", trace, plain.Report.Trace)
	}
	if res := replayed(t, file); res.Difference != nil || len(res.Gaps) > 0 || res.Commands < 1000 {
		t.Errorf("%+v", res)
	}
	errStop := errors.New("stop")
	if _, err := load(t, file).Replay(func(p Progress) error { return errStop }); !errors.Is(err, errStop) {
		t.Errorf("stopped: %v", err)
	}
}

func recordedRun(t testing.TB, name string) (file *bytes.Buffer, trace string) {
	t.Helper()
	sc, err := scenarios.Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	file = &bytes.Buffer{}
	result, err := sim.Run(sc, sim.Options{Record: recording.NewWriter(file, sim.RecordingHeader("test", sc))})
	if err != nil {
		t.Fatal(err)
	}
	return file, result.Report.Trace
}

// BenchmarkRecord measures what recording costs beside the core's own work on the
// same events: each per event.
func BenchmarkRecord(b *testing.B) {
	for _, name := range []string{"first-light", "steady-churn"} {
		b.Run(name, func(b *testing.B) { benchmark(b, name) })
	}
}

func benchmark(b *testing.B, name string) {
	file, _ := recordedRun(b, name)
	var entries []recording.Entry
	r, err := recording.NewReader(bytes.NewReader(file.Bytes()))
	if err != nil {
		b.Fatal(err)
	}
	events := 0
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			b.Fatal(err)
		}
		if entries = append(entries, e); e.Event != nil {
			events++
		}
	}
	hours := (entries[len(entries)-1].At).Hours()
	var stepping, writing time.Duration
	for b.Loop() {
		began := time.Now()
		w := recording.NewWriter(io.Discard, r.Header())
		for _, e := range entries {
			switch {
			case e.Event != nil:
				w.Event(e.At, e.Kind, e.Event)
			case e.Commands != nil:
				w.Commands(e.At, e.Kind, e.Commands)
			}
		}
		if err := w.Close(recording.Closing{}); err != nil {
			b.Fatal(err)
		}
		writing += time.Since(began)
		began = time.Now()
		machines := machinesOf(b, r.Header())
		for _, e := range entries {
			if e.Event != nil {
				machines[e.Kind].Step(e.At, e.Event)
			}
		}
		stepping += time.Since(began)
	}
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) / float64(events) }
	b.ReportMetric(per(stepping), "ns-step/event")
	b.ReportMetric(per(writing), "ns-record/event")
	b.ReportMetric(float64(writing)/float64(stepping), "record/step")
	b.ReportMetric(float64(file.Len())/float64(events), "B/event")
	b.ReportMetric(float64(file.Len())/hours, "B/hour")
	b.ReportMetric(0, "ns/op")
}

func machinesOf(b *testing.B, h recording.Header) []*reconcile.Machine {
	var out []*reconcile.Machine
	for _, k := range h.Kinds {
		m, err := reconcile.New(k.Config)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}
