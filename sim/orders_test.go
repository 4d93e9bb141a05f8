package sim

import (
	"strings"
	"testing"

	"dacorch/sim/internal/history"
)

// TestOrdersAreGivenAgain has orders come while nobody can take them. They are
// given again until somebody can, and count once.
func TestOrdersAreGivenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		faults, orders string
		lines          []string
		done, refused  float64
	}{
		"nobody has loaded yet": {"[]", "[{at: 0s, kind: Thing, orchestrate: {resourcePerInstance: 40}}]",
			[]string{`Thing → ordered.*orchestrate`, `Thing ← reply .*not ready`, `Thing → ordered.*orchestrate`, `orchestration ended`}, 1, 0},
		"the process is down": {"[{at: 1m, for: 1m, orchestrator: crash}]", "[{at: 70s, kind: Thing, orchestrate: {resourcePerInstance: 40}}]",
			[]string{`(?m)^2m[05].* Thing → ordered`, `orchestration ended`}, 1, 0},
		"it dies with the order": {"[{at: 62s, for: 10s, orchestrator: crash, command: list-rows}]", "[{at: 62s, kind: Thing, orchestrate: {resourcePerInstance: 40}}]",
			[]string{`(?m)^1m2s .*Thing → ordered`, `Thing → led epoch=2`, `Thing → ordered`, `orchestration ended`}, 1, 0},
		"the next one has done it": {"[{at: 64s, for: 1s, orchestrator: crash}]", "[{at: 60s, kind: Thing, orchestrate: {resourcePerInstance: 40}}]",
			[]string{`(?m)^1m0s .*Thing → ordered`, `Thing → led epoch=2`, `orchestration ended`, `Thing → ordered`, `orchestrates .* 0 moves`}, 1, 0},
		"the next one is about it": {"[{at: 61s, zookeeper: expire}]", "[{at: 60s, kind: Thing, orchestrate: {resourcePerInstance: 40}}]",
			[]string{`reply .*refused: no longer the leader`, `Thing → led epoch=2`, `orchestration ended`, `Thing → ordered`, `orchestrates .* 0 moves`}, 1, 0},
		"the answer is no": {"[]", "[{at: 1m, kind: Thing, orchestrate: {maxInstances: 200}}]",
			[]string{`(?m)^1m0s .*Thing → ordered`, `Thing ← reply`}, 0, 1},
		"what is asked for last counts": {"[{at: 1m, for: 1m, orchestrator: crash}]", "[{at: 61s, kind: Thing, maintenance: on}, {at: 63s, kind: Thing, maintenance: off}, {at: 64s, kind: Thing, orchestrate: {resourcePerInstance: 30}}, {at: 67s, kind: Thing, orchestrate: {resourcePerInstance: 40}}]",
			[]string{`Thing → ordered orchestrate`, `Thing → ordered maintenance false`, `orchestration ended`}, 1, 1},
		"nobody ever comes": {"[{at: 0s, for: 5m, database: down}]", "[{at: 10s, kind: Thing, orchestrate: {resourcePerInstance: 40}}]", []string{`Thing ← reply .*not ready`}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rep, log := told(t, c.faults, "orders: "+c.orders)
			if done, refused := rep.Totals[history.OrchestrationsDone], rep.Totals[history.OrchestrationsRefused]; done != c.done || refused != c.refused {
				t.Errorf("%v done and %v refused, want %v and %v", done, refused, c.done, c.refused)
			}
			if len(rep.Pending) > 0 || !rep.OK() {
				t.Errorf("pending %+v, violations %+v", rep.Pending, rep.Violations)
			}
			follows(t, log, c.lines)
			if strings.Contains(name, "last counts") && strings.Contains(log, "maintenance true") {
				t.Error("maintenance was switched on after it was to be off")
			}
		})
	}
}
