package wire

import (
	"errors"
	"testing"
	"time"

	"dacorch/sim/internal/history"
)

// TestDied: an orchestrator that ends by itself breaks the run; where none has led
// yet, it ends the run at once, and with its reason.
func TestDied(t *testing.T) {
	why := errors.New("sim-0 ended by itself")
	r := &run{opts: RunOptions{TimeScale: 2}, began: time.Now(), reader: NewTreeReader([]Kind{{Kind: "Thing"}, {Kind: "Rule"}})}
	r.died(r.began, why)
	if !r.deserted() || !errors.Is(r.broken, why) || len(r.wrong.counts) > 0 {
		t.Errorf("before anybody has led: broken %v, wrong %+v", r.broken, r.wrong)
	}
	r.broken = nil
	r.reader.kinds["Rule"].epochs[7] = 1
	r.died(r.began.Add(time.Minute), why)
	r.died(r.began.Add(2*time.Minute), why)
	rep := &history.Report{Violations: []history.Violation{{At: 3 * time.Minute, Invariant: "x"}}, Totals: history.Figures{}}
	r.wrong.enter(rep)
	if r.broken != nil || len(rep.Violations) != 3 || rep.Violations[0].At != 2*time.Minute || rep.Violations[0].Invariant != invariantProcess || rep.Totals[history.Violations] != 2 {
		t.Errorf("after somebody has led: broken %v, %+v", r.broken, rep)
	}
}
