package wire

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"dacorch/scenarios"
)

// played is a scenario in which things break for a while and then heal.
const played = `
name: broken
about: Things break for a while.
duration: %s
heal: %s
kinds:
  - {kind: Thing, resources: 300, initInstances: 4, resourcePerInstance: 100, silence: 5m, unconfirmed: 6m, handoff: %s}
nodes: {count: 4, podsPerNode: 4}
churn:
  - {kind: Thing, create: 20/m, delete: 20/m, update: 20/m}
faults:
%s
expect:
  - violations == 0
  - unsettled_end == 0
  - resources_unplaced_end == 0
`

// subjects breaks everything that wire can break, a subject at a time.
var subjects = []struct {
	name    string
	handoff string
	faults  []string
	orchs   int
}{
	{name: "pods", handoff: "fast", faults: []string{
		"{at: 0s, pod: slow-start, kind: Thing, for: 6m, by: 20s}", "{at: 0s, pod: crash-loop, kind: Thing, for: 2m, chance: 80%}", "{at: 3m, pod: no-image, for: 2m, kind: Thing}",
		"{at: 2m, pod: crash, kind: Thing, count: 1}", "{at: 2m10s, pod: oom, kind: Thing, instance: 0}", "{at: 2m30s, pod: evict, kind: Thing, share: 30%}",
		"{at: 5m, pod: hang, kind: Thing, instance: 1}", "{at: 5m, pod: zombie, kind: Thing, instance: 2}",
	}},
	{name: "nodes", handoff: "strict", faults: []string{
		"{at: 2m, node: lose, for: 2m, count: 1}", "{at: 3m, node: drain, for: 2m, count: 1}", "{at: 5m, node: partition, for: 5m, name: node-1}", "{at: 6m, node: flap, for: 3m, count: 1, stable: 30s}",
	}},
	{name: "heartbeats", handoff: "strict", faults: []string{
		"{at: 30s, heartbeats: lose, for: 9m30s, kind: Thing, instance: 0}", "{at: 2m, heartbeats: delay, for: 4m, chance: 50%}", "{at: 2m, heartbeats: double, for: 4m}",
		"{at: 2m, heartbeats: skew, for: 4m}", "{at: 2m, heartbeats: drift, for: 6m}",
	}},
	{name: "kafka", handoff: "strict", faults: []string{
		"{at: 2m, kafka: slow, for: 3m}", "{at: 4m, kafka: rebalance, for: 4m}", "{at: 5m, kafka: reset}", "{at: 6m, kafka: down, for: 2m}", "{at: 7m, kafka: partition, kind: Thing, for: 3m, instance: 0}",
	}},
	{name: "mqtt", handoff: "fast", faults: []string{
		"{at: 1m, mqtt: lose, for: 2m, chance: 50%}", "{at: 1m, mqtt: duplicate, for: 3m, chance: 30%}", "{at: 1m, mqtt: reorder, for: 3m}",
		"{at: 2m, mqtt: garbage, for: 2m}", "{at: 2m, mqtt: flood, for: 2m}", "{at: 4m, mqtt: down, for: 1m}",
	}},
	{name: "zookeeper", handoff: "strict", faults: []string{
		"{at: 5m, zookeeper: expire}", "{at: 3m, zookeeper: expire, of: dacs, kind: Thing, count: 2}", "{at: 1m, zookeeper: cut, for: 2m, of: all, chance: 50%}",
		"{at: 4m, zookeeper: slow, for: 1m}", "{at: 5m, zookeeper: read-only, for: 1m}", "{at: 6m, zookeeper: full, for: 1m}",
		"{at: 7m, zookeeper: down, for: 1m}", "{at: 8m30s, zookeeper: down, for: 30s, of: dacs}",
	}},
	{name: "kubernetes", handoff: "strict", faults: []string{
		"{at: 0s, kubernetes: error, for: 3m, chance: 30%}", "{at: 1m, kubernetes: slow, for: 2m}", "{at: 0s, kubernetes: conflict, for: 2m, chance: 50%}",
		"{at: 1m, kubernetes: throttle, for: 2m, chance: 20%}", "{at: 2m, kubernetes: quota, for: 2m}", "{at: 2m, pod: crash, kind: Thing, count: 2}",
		"{at: 4m, kubernetes: gone, every: 20s, for: 1m}", "{at: 5m, kubernetes: cut-watch, for: 1m}", "{at: 5m10s, pod: crash, kind: Thing, count: 2}",
		"{at: 6m, kubernetes: down, for: 1m}", "{at: 6m10s, pod: crash, kind: Thing, count: 2}",
	}},
	{name: "database", handoff: "fast", faults: []string{"{at: 30s, database: down, for: 3m}", "{at: 2m, mqtt: lose, for: 1m}", "{at: 4m, database: torn, for: 1m}"}},
	{name: "orchestrator", handoff: "strict", faults: []string{
		"{at: 30s, orchestrator: crash, for: 3m, command: commit, chance: 20%}", "{at: 2m, pod: crash, kind: Thing, count: 2}", "{at: 0s, orchestrator: crash, for: 30s, command: create-pod}",
		"{at: 4m, orchestrator: pause, for: 2m}", "{at: 7m, orchestrator: split, for: 2m}", "{at: 9m30s, orchestrator: crash, for: 20s}",
	}},
	{name: "orchestrators", handoff: "strict", orchs: 2, faults: []string{
		"{at: 2m, orchestrator: pause, for: 3m}", "{at: 3m, pod: crash, kind: Thing, count: 2}", "{at: 6m, orchestrator: split, for: 2m}", "{at: 7m, pod: crash, kind: Thing, count: 1}",
	}},
}

// TestFaults: whatever breaks, no invariant does, and when it is over everything
// settles.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("ten runs of a quarter of a minute")
	}
	emptyTemp(t)
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			text := fmt.Sprintf(played, "16m", "10m", s.handoff, "  - "+strings.Join(s.faults, "\n  - "))
			sc, err := scenarios.Load("broken.yaml", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			log := &syncBuffer{}
			result, err := Run(t.Context(), sc, RunOptions{Serve: serveTest, TimeScale: 60, Orchestrators: max(1, s.orchs), Log: log})
			if err != nil {
				t.Fatalf("%v\n%s", err, log.b.String())
			}
			rep := result.Report
			if !settled(rep) {
				shown := &bytes.Buffer{}
				if err := rep.JSON(shown); err != nil {
					t.Error(err)
				}
				t.Errorf("an invariant broke, or not everything settled:\n%s\n%s", shown, log.b.String())
			}
			idle := 0 // on a busy machine some come before there is anything to break
			for _, note := range rep.Notes {
				t.Log(note)
				if strings.Contains(note, "befell nothing") {
					idle++
				}
			}
			if idle == len(s.faults) {
				t.Error("not one fault befell anything")
			}
		})
	}
}

// TestFaultsRefused: what no run on wire can do is refused before anything starts,
// by its name and with the reason.
func TestFaultsRefused(t *testing.T) {
	emptyTemp(t)
	for word, entry := range map[string]string{
		"reads this machine's clock":     "{at: 1m, orchestrator: clock}",
		"SQLite file":                    "{at: 1m, database: slow, for: 1m}",
		"hears of the command ack":       "{at: 1m, orchestrator: crash, command: ack, for: 1m}",
		"hears of the command list-rows": "{at: 1m, orchestrator: crash, command: list-rows, for: 1m}",
	} {
		sc, err := scenarios.Load("broken.yaml", strings.NewReader(fmt.Sprintf(played, "16m", "10m", "fast", "  - {at: 1m, mqtt: down, for: 1m}\n  - "+entry)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Run(t.Context(), sc, RunOptions{Serve: func(context.Context, string) *exec.Cmd {
			t.Error("an orchestrator was started")
			return nil
		}})
		if err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), sc.Faults[1].Label()) || !strings.Contains(err.Error(), "faults.1") {
			t.Errorf("%s: %v", entry, err)
		}
	}
}
