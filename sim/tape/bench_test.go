package tape_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/sim"
	"dacorch/sim/tape"
)

// large is a platform of so many Things, with churn and heartbeats.
func large(resources, instances int, duration string) string {
	return fmt.Sprintf(`
name: large
about: A large platform.
duration: %s
heal: %s
kinds:
  - {kind: Thing, resources: %d, resourcePerInstance: %d, initInstances: %d, maxInstances: %d}
churn:
  - {kind: Thing, create: 20/s, delete: 20/s}
expect:
  - violations == 0
`, duration, duration, resources, resources/instances*11/10, instances, instances*2)
}

// bare steps machines as a run does, and nothing else.
type bare struct {
	header   recording.Header
	machines map[[2]int]*reconcile.Machine
	process  int
	skew     time.Duration
}

func (b *bare) Process(n int, skew time.Duration) { b.process, b.skew = n, skew }
func (b *bare) Event(at time.Duration, kind int, ev reconcile.Event) {
	m := b.machines[[2]int{b.process, kind}]
	if m == nil {
		m, _ = reconcile.New(b.header.Kinds[kind].Config) // it has been made before
		b.machines[[2]int{b.process, kind}] = m
	}
	m.Step(at+b.skew, ev)
}
func (b *bare) Commands(time.Duration, int, []reconcile.Command) {}
func (b *bare) Restarted(_ time.Duration, kind int) {
	delete(b.machines, [2]int{b.process, kind})
}
func (b *bare) Mark(time.Duration, int, recording.Mark) {}
func (b *bare) Close(recording.Closing) error           { return nil }

// play tells a recorder what a recording holds.
func play(b *testing.B, data []byte, to sim.Recorder) (events int) {
	r, err := recording.NewReader(bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	for {
		e, err := r.Next()
		if err == io.EOF {
			return events
		} else if err != nil {
			b.Fatal(err)
		}
		to.Process(e.Process, e.Skew)
		switch {
		case e.Event != nil:
			events++
			to.Event(e.At, e.Kind, e.Event)
		case e.Commands != nil:
			to.Commands(e.At, e.Kind, e.Commands)
		case e.Restarted:
			to.Restarted(e.At, e.Kind)
		case e.Mark != nil:
			to.Mark(e.At, e.Kind, *e.Mark)
		}
	}
}

func record(b *testing.B, text string) (recording.Header, []byte) {
	sc := parsed(b, text)
	header := sim.RecordingHeader("bench", sc)
	var out bytes.Buffer
	if _, err := sim.Run(sc, sim.Options{Record: recording.NewWriter(&out, header)}); err != nil {
		b.Fatal(err)
	}
	return header, out.Bytes()
}

// nothing is told and does nothing: what reading costs alone.
type nothing struct{ bare }

func (nothing) Event(time.Duration, int, reconcile.Event) {}

// BenchmarkAppend compares what a tape costs with the core's own steps; reading
// the recording costs each the same.
func BenchmarkAppend(b *testing.B) {
	header, data := record(b, large(20_000, 100, "20m"))
	for name, make := range map[string]func() sim.Recorder{
		"reading": func() sim.Recorder { return &nothing{} },
		"core":    func() sim.Recorder { return &bare{header: header, machines: map[[2]int]*reconcile.Machine{}} },
		"tape": func() sim.Recorder {
			tp, err := tape.New(header, tape.Config{Store: newMemory()})
			if err != nil {
				b.Fatal(err)
			}
			return tp.Recorder()
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			events := 0
			for b.Loop() {
				events += play(b, data, make())
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkSeek goes to moments of tapes of small and of large kinds.
func BenchmarkSeek(b *testing.B) {
	for _, size := range []struct {
		resources, instances int
		duration             string
	}{{1000, 10, "2h"}, {20_000, 100, "1h"}, {500_000, 500, "30m"}} {
		b.Run(fmt.Sprint(size.resources), func(b *testing.B) { seeks(b, large(size.resources, size.instances, size.duration)) })
	}
}

func seeks(b *testing.B, text string) {
	header, data := record(b, text)
	store := newMemory()
	tp, err := tape.New(header, tape.Config{Store: store})
	if err != nil {
		b.Fatal(err)
	}
	play(b, data, tp.Recorder())
	noProblems(b, tp)
	b.Logf("%d events, %d segments, %d bytes", tp.Events(), len(store.files), store.bytes())
	end := tp.Events()
	seek := func(b *testing.B, n int64) {
		if _, err := tp.AtEvent(n); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("far", func(b *testing.B) {
		n := int64(0)
		for b.Loop() {
			n = (n + end*3/7 + 11) % end
			seek(b, n)
		}
	})
	b.Run("forward", func(b *testing.B) {
		n := end / 3
		for b.Loop() {
			n = min(n+1, end)
			seek(b, n)
		}
	})
	b.Run("back", func(b *testing.B) {
		n := end * 2 / 3
		for b.Loop() {
			if n--; n < 1 {
				n = end
			}
			seek(b, n)
		}
	})
}
