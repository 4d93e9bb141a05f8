package loop

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// TestTells has every order, what it came to, and how a re-orchestration gets on
// told to people.
func TestTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		w := newWorld(thing)
		for i := range 40 {
			id := fmt.Sprint("r", i)
			w.rows[thing][id] = fleet.Resource{ID: id}
		}
		l, stop := startWith(t, w.ports(), Config{Who: fleet.Candidate{Name: "one"}, Kinds: []reconcile.Config{machineConfig(thing)}, Tell: func(e Entry) {
			mu.Lock()
			defer mu.Unlock()
			switch e.Type {
			case EntryOrder, EntryMaintenance, EntryProgress:
				told = append(told, fmt.Sprintf("%s %v %s %t %s", e.Type, e.Instance, e.Code, e.On, e.Text))
			}
		}})
		settle(time.Minute)
		per := 10
		for _, o := range []reconcile.Order{reconcile.Maintenance{On: true}, reconcile.Drain{Instance: 1}, reconcile.Maintenance{}, reconcile.Replace{Instance: 1},
			reconcile.Drain{Instance: 77}, reconcile.Undrain{Instance: 1}, reconcile.Orchestrate{Request: placement.Request{ResourcePerInstance: &per}}} {
			_ = l.Order(t.Context(), thing, o)
		}
		gate := make(chan struct{})
		w.commit = gate // the next order does not come to its end
		go func() { _ = l.Order(t.Context(), thing, reconcile.Drain{Instance: 0}) }()
		synctest.Wait()
		w.trees[thing].lose <- errStorm
		settle(time.Millisecond)
		w.commit = nil
		close(gate)
		if err := stop(); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		all := strings.Join(told, "\n")
		for _, want := range []string{
			"maintenance none  true \norder none done false maintenance on",
			"order 1 refused false drain: maintenance mode is on: switch it off first",
			"maintenance none  false \norder none done false maintenance off",
			"order 1 done false replace",
			"order 77 refused false drain: no instance 77",
			"order 1 refused false undrain: instance 1 is not being drained",
			"order none done false orchestrate",
			"order 0 interrupted false drain: no longer the leader: the storm",
			"progress none  true waits for the database",
			"progress none  false ended",
		} {
			if !strings.Contains(all, want) {
				t.Errorf("nobody was told %q", want)
			}
		}
		if !slices.ContainsFunc(told, func(s string) bool {
			return strings.HasPrefix(s, "progress none  true ") && strings.Contains(s, "moves left")
		}) || t.Failed() {
			t.Errorf("told:\n%s", all)
		}
	})
}
