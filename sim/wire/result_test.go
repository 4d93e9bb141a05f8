package wire

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire/zookeeper"
)

// deaf is a witness that answers only after some questions.
type deaf struct {
	Witness
	fails int
}

var errDeaf = errors.New("zk: connection closed")

func (d *deaf) Nodes(ctx context.Context, kind fleet.Kind) ([]zookeeper.Node, error) {
	if d.fails--; d.fails >= 0 {
		return nil, errDeaf
	}
	return d.Witness.Nodes(ctx, kind)
}

// TestAudit: a truth that cannot be read at once is read later; one that cannot be
// read at all is a note, and the report is not lost.
func TestAudit(t *testing.T) {
	emptyTemp(t)
	r := newRun(t.Context(), scenario(t, "first-light"), RunOptions{TimeScale: 60, Log: io.Discard})
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	witness := r.Look
	r.Look = &deaf{witness, 2}
	if err := r.audit(time.Minute); err != nil || len(r.notes) > 0 || len(r.check.Violations()) > 0 {
		t.Errorf("%v, the report would say %q, %v", err, r.notes, r.check.Violations())
	}
	r.Look = &deaf{witness, 1_000_000}
	if err := r.audit(2 * time.Second); err != nil || len(r.notes) != 1 || !strings.Contains(r.notes[0], errDeaf.Error()) {
		t.Errorf("%v, the report would say %q", err, r.notes)
	}
	r.cancel()
	if err := r.audit(time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("after the run's end: %v", err)
	}
}
