package sim

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

// TestTimesAreMarked has a recording tell the settle times, the times to recover
// and the violations that the report of the same run has.
func TestTimesAreMarked(t *testing.T) {
	for name, text := range map[string]string{
		"two kinds, pods crash": `
name: marked
about: Rows come and go.
duration: 20m
heal: 12m
kinds:
  - {kind: Thing, resources: 200, resourcePerInstance: 30}
  - {kind: Rule, resources: 40, resourcePerInstance: 30}
churn:
  - {kind: Thing, create: 1/s, delete: 1/s}
  - {kind: Rule, create: 10/m, delete: 10/m}
faults:
  - {at: 3m, for: 2m, every: 1m, pod: crash, kind: Thing, share: 30%}
  - {at: 6m, for: 1m, node: partition, share: 50%}
nodes: {count: 4, podsPerNode: 10}
expect: [resources > 0]
`,
		"nothing ever works": `
name: marked
about: Rows come and go.
duration: 15m
heal: 1m
kinds:
  - {kind: Thing, resources: 20}
faults:
  - {at: 0s, for: 1m, database: down}
churn:
  - {kind: Thing, create: 1/s, until: 2m}
orders:
  - {at: 0s, kind: Thing, maintenance: on}
expect: [resources > 0]
`,
	} {
		t.Run(name, func(t *testing.T) {
			sc, err := scenarios.Parse("marked.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			var file bytes.Buffer
			res, err := Run(sc, Options{Record: recording.NewWriter(&file, RecordingHeader("test", sc))})
			if err != nil {
				t.Fatal(err)
			}
			plain, err := Run(sc, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if plain.Report.Trace != res.Report.Trace {
				t.Error("recorded, it is another run")
			}
			sameTimes(t, &file, res.Report)
		})
	}
}

func sameTimes(t *testing.T, file io.Reader, rep *Report) {
	t.Helper()
	r, err := recording.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var settle, recover history.Histogram
	broken := 0
	last := time.Duration(0)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if e.Mark == nil {
			continue
		}
		if e.At < last {
			t.Errorf("a mark at %v stands behind one at %v", e.At, last)
		}
		last = e.At
		switch m := e.Mark; m.What {
		case recording.Settled:
			settle.Add(m.For)
			if m.Resource == "" || m.For > e.At {
				t.Errorf("at %v: %+v", e.At, m)
			}
		case recording.Recovered:
			recover.Add(m.For)
		case recording.Broken:
			broken++
		}
	}
	var settled uint64
	for i := range rep.Distributions {
		if d := &rep.Distributions[i]; d.Measure == "settle_time" {
			for _, n := range d.Counts {
				settled += n
			}
		}
	}
	if settle.Count() != settled || settled == 0 || broken != len(rep.Violations) {
		t.Errorf("%d settled, %d broken; the report says %d and %d", settle.Count(), broken, settled, len(rep.Violations))
	}
	for m, got := range map[history.Metric]time.Duration{
		history.SettleTimeP50: settle.Quantile(0.5), history.SettleTimeP99: settle.Quantile(0.99), history.SettleTimeMax: settle.Max(),
		history.RecoverTimeP99: recover.Quantile(0.99), history.RecoverTimeMax: recover.Max(),
	} {
		if want := rep.Totals[m]; got.Seconds() != want {
			t.Errorf("%v: the marks say %v, the report %v", m, got.Seconds(), want)
		}
	}
	t.Logf("%d settled, %d recovered, %d broken", settle.Count(), recover.Count(), broken)
}
