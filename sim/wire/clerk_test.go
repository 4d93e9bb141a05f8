package wire

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/internal/stage"
)

// TestChurnByItself: the data centre does and announces everything that churn
// foresees, in its order over all kinds, although the run's goroutine does nothing
// meanwhile; and the end waits for it.
func TestChurnByItself(t *testing.T) {
	emptyTemp(t)
	sc, err := scenarios.Load("churn.yaml", strings.NewReader(`
name: churn
about: Rows of two kinds.
duration: 1m
heal: 40s
kinds:
  - {kind: Thing, resources: 0}
  - {kind: Rule, resources: 0}
churn:
  - {kind: Thing, create: 3/s, delete: 1/s, until: 30s}
  - {kind: Rule, create: 2/s, until: 30s}
expect:
  - violations == 0
`))
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(t.Context(), sc, RunOptions{TimeScale: 60, Log: io.Discard})
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	var want, said []string
	next := make([]upcoming, len(sc.Kinds))
	again := stage.Script{Scenario: sc, Seed: r.script.Seed}
	kinds := make([]*kind, len(sc.Kinds))
	for i := range sc.Kinds {
		cast, err := again.Cast(&sc.Kinds[i])
		if err != nil {
			t.Fatal(err)
		}
		kinds[i] = &kind{cast: cast}
		next[i].take(kinds[i])
	}
	for i := soonest(next); i >= 0; i = soonest(next) {
		for _, row := range next[i].op.Resources {
			want = append(want, row.ID)
		}
		next[i].take(kinds[i])
	}
	r.Centre.say = func(payload []byte) error {
		var m message
		if err := json.Unmarshal(payload, &m); err != nil {
			t.Error(err)
		}
		said = append(said, m.Key.ID)
		return nil
	}
	r.began = time.Now()
	r.beginChurn()
	r.endChurn()
	if len(want) < 100 || !slices.Equal(said, want) {
		t.Errorf("%d rows were announced, of %d:\n%q, want\n%q", len(said), len(want), said, want)
	}
	if len(r.notes) > 0 {
		t.Errorf("the report would say %q", r.notes)
	}
	things, err := r.Centre.Rows(t.Context(), "Thing")
	if err != nil {
		t.Error(err)
	}
	rules, err := r.Centre.Rows(t.Context(), "Rule")
	if err != nil || len(things)+len(rules) < 100 || len(rules) == 0 {
		t.Errorf("%v; there are %d Things and %d Rules", err, len(things), len(rules))
	}
}
