package sim

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

// told runs a small world with these faults and answers its report and its log.
func told(t *testing.T, faults string, more ...string) (*Report, string) {
	t.Helper()
	sc := parse(t, `
seed: 5
duration: 25m
heal: 12m
kinds: [{kind: Thing, resources: 300, resourcePerInstance: 100, initInstances: 6, policy: balance}]
nodes: {count: 3, podsPerNode: 4}
churn: [{kind: Thing, create: 1/s, delete: 1/s}]
faults: `+faults+"\n"+strings.Join(more, "\n"))
	var log bytes.Buffer
	res, err := Run(sc, Options{Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	return res.Report, log.String()
}

// TestFaultStories says of each fault what a reader sees of it: lines of the log
// in this order, and figures.
func TestFaultStories(t *testing.T) {
	type figures map[history.Metric][2]float64 // least and most
	const many = 1e9
	for faults, want := range map[string]struct {
		log     []string
		figures figures
	}{
		"[{at: 3m, pod: oom, kind: Thing, instance: 2}]": {
			[]string{`→ pod-seen 2 Failed.*OOMKilled`, `← delete-pod 2`, `← create-pod 2`},
			figures{history.PodsCrashed: {1, 1}, history.InstancesReplaced: {1, 1}}},
		"[{at: 3m, pod: oom, kind: Thing, instance: 2}, {at: 3m1s, pod: crash, kind: Thing, instance: 2}]": { // it has ended, though nobody knows
			[]string{`→ pod-seen 2 Failed.*OOMKilled`, `← delete-pod 2`, `← create-pod 2`},
			figures{history.PodsCrashed: {1, 1}, history.InstancesReplaced: {1, 1}, history.DetectionTimeMax: {1.2, 3.6}}},
		"[{at: 3m, pod: crash, kind: Thing, count: 6}, {at: 3m1s, for: 1m, node: partition, name: node-1}]": { // before the kubelets tell
			[]string{`→ pod-seen \d Running.*node-lost`, `→ pod-seen \d Failed.*Error`, `→ pod-seen \d Failed.*Error`},
			figures{history.PodsCrashed: {6, 6}, history.InstancesReplaced: {6, 6}}},
		"[{at: 3m, pod: evict, kind: Thing, count: 2}]": {
			[]string{`→ pod-seen \d Failed.*Evicted`, `← create-pod`, `← create-pod`},
			figures{history.InstancesReplaced: {2, 2}, history.InstancesReplacedNeedlessly: {0, 0}}},
		"[{at: 3m, pod: hang, kind: Thing, instance: 1}]": {
			[]string{`← note instance 1 silent for`, `← delete-pod 1`},
			figures{history.InstancesReplaced: {1, 1}, history.DetectionTimeMax: {15, 120}}},
		"[{at: 3m, pod: zombie, kind: Thing, instance: 1}]": {
			[]string{`← delete-pod 1`, `← create-pod 1`},
			figures{history.InstancesReplaced: {1, 1}, history.InstancesReplacedNeedlessly: {0, 0}}},
		"[{at: 0s, for: 5m, pod: slow-start, kind: Thing, by: 1m}]": {
			nil, figures{history.StartTime: {60, 90}, history.InstancesReplaced: {0, 0}}},
		"[{at: 3m, for: 2m, pod: crash-loop, kind: Thing, instance: 0}, {at: 3m, pod: crash, kind: Thing, instance: 0}]": {
			[]string{`→ pod-seen 0 Failed`, `→ pod-seen 0 Failed`, `→ pod-seen 0 Failed`}, figures{history.InstancesReplaced: {3, 40}}},
		"[{at: 3m, for: 2m, pod: no-image, kind: Thing}, {at: 3m1s, pod: crash, kind: Thing, instance: 0}]": {
			[]string{`→ pod-seen 0 Pending.*ImagePullBackOff`, `→ pod-seen 0 Running`}, figures{history.RecoverTimeMax: {110, 150}}},
		"[{at: 3m, for: 7m, node: lose, count: 1}]": {
			[]string{`→ pod-seen \d Running.*node-lost|→ pod-seen`}, figures{history.InstancesReplaced: {1, 4}, history.InstancesReplacedNeedlessly: {0, 0}}},
		"[{at: 3m, for: 7m, node: lose, name: node-1}]": {
			[]string{`→ pod-seen \d Running.*node-lost|→ pod-seen`}, figures{history.InstancesReplaced: {1, 4}, history.InstancesReplacedNeedlessly: {0, 0}}},
		"[{at: 3m, for: 2m, node: drain, count: 1}]": {
			[]string{`→ pod-gone`, `← create-pod`}, figures{history.InstancesReplacedNeedlessly: {0, 0}}},
		"[{at: 3m, for: 5m, heartbeats: lose, kind: Thing, instance: 3}]": {
			[]string{`← note instance 3 silent for`, `← delete-pod 3`}, figures{history.InstancesReplacedNeedlessly: {1, 3}}},
		"[{at: 3m, for: 5m, heartbeats: lose}]": {
			[]string{`← alarm mass-silence`}, figures{history.InstancesReplaced: {0, 0}, history.Alarms: {1, many}}},
		"[{at: 3m, for: 5m, heartbeats: double}]": {nil, figures{history.InstancesReplaced: {0, 0}}},
		"[{at: 3m, for: 5m, heartbeats: skew, by: 1h}]": {
			nil, figures{history.InstancesReplaced: {0, 0}, history.Alarms: {0, 0}}},
		"[{at: 3m, for: 5m, kafka: rebalance}]": {
			[]string{`→ heartbeat-channel down`, `→ heartbeat-channel up`}, figures{history.InstancesReplaced: {0, 0}}},
		"[{at: 3m, kafka: reset}]": {
			[]string{`→ heartbeat-channel down`, `→ heartbeat-channel up`}, figures{history.InstancesReplaced: {0, 0}}},
		"[{at: 3m, for: 5m, mqtt: lose, chance: 30%}]": {
			nil, figures{history.NotificationsLost: {100, 260}, history.SettleTimeMax: {60, 301}}},
		"[{at: 3m, for: 1m, mqtt: flood, rate: 50/s}]": {
			[]string{`→ notified . Thing \[stray-`}, figures{history.Notifications: {4000, 5000}, history.UnsettledEnd: {0, 0}}},
		"[{at: 3m, zookeeper: expire}]": {
			[]string{`→ deposed: the ZooKeeper session has expired`, `→ led epoch=2`}, figures{history.LeaderChanges: {1, 1}, history.InstancesReplaced: {0, 0}}},
		"[{at: 3m, for: 30s, zookeeper: cut, chance: 20%}]": {
			[]string{`→ committed unknown`, `→ tree-read 6 instances`}, figures{history.InstancesReplaced: {0, 0}}},
		"[{at: 3m, for: 2m, zookeeper: read-only}]": {
			[]string{`→ deposed`, `→ led`}, figures{history.InstancesReplaced: {0, 0}}},
		"[{at: 3m, for: 2m, zookeeper: down}]": {
			[]string{`→ deposed: the leadership could not be proved`, `→ led epoch=2`}, figures{history.SettleTimeMax: {100, 150}}},
		"[{at: 3m, for: 2m, zookeeper: full}]": {
			[]string{`→ committed failed`, `→ committed done`}, figures{history.ResourcesUnplacedMax: {30, 200}}},
		"[{at: 3m, for: 4m, kubernetes: quota}, {at: 3m1s, pod: crash, kind: Thing, instance: 0}]": {
			[]string{`→ pod-created 0 refused.*quota`, `→ pod-created 0 accepted`}, nil},
		"[{at: 3m, for: 4m, kubernetes: down}, {at: 3m1s, pod: crash, kind: Thing, instance: 0}]": {
			[]string{`→ pod-seen 0 Failed`, `→ pod-gone 0`}, figures{history.RecoverTimeMax: {230, 400}}},
		"[{at: 3m, for: 4m, kubernetes: cut-watch}, {at: 3m1s, pod: crash, kind: Thing, instance: 0}]": {
			[]string{`→ pods-listed 6`, `← delete-pod 0`}, figures{history.InstancesReplaced: {1, 1}}},
		"[{at: 3m, kubernetes: gone}]": {
			[]string{`→ pod-seen 0 Running`, `→ pod-seen 5 Running`}, figures{history.InstancesReplaced: {0, 0}}},
		"[{at: 4m, for: 6m, database: down}]": {
			[]string{`→ listed failed`}, figures{history.InstancesReplaced: {0, 0}}},
	} {
		t.Run(faults, func(t *testing.T) {
			t.Parallel()
			rep, log := told(t, faults)
			if !rep.OK() || len(rep.Pending) > 0 {
				t.Errorf("violations %+v, pending %+v", rep.Violations, rep.Pending)
			}
			follows(t, log[strings.Index(log, "\n2m"):], want.log)
			for m, bounds := range want.figures {
				if v := rep.Totals[m]; v < bounds[0] || v > bounds[1] {
					t.Errorf("%s is %v, want %v to %v", m, v, bounds[0], bounds[1])
				}
			}
		})
	}
}

// follows finds lines that match, one after the other.
func follows(t *testing.T, log string, lines []string) {
	t.Helper()
	for _, line := range lines {
		at := regexp.MustCompile(line).FindStringIndex(log)
		if at == nil {
			t.Errorf("the log does not go on with %q", line)
			return
		}
		log = log[at[1]:]
	}
}

// TestSameSeedSameTraceUnderEachFault plays every sort of fault twice, and with
// another seed.
func TestSameSeedSameTraceUnderEachFault(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine, and it takes long")
	}
	for _, w := range scenarios.FaultWords {
		t.Run(string(w.What), func(t *testing.T) {
			t.Parallel()
			f := scenarios.NewFault(w.What)
			f.At = 3 * 60e9
			if !f.Once() {
				f.For = 6 * 60e9
			}
			if strings.HasPrefix(string(w.What), "pod-") {
				f.Kind = "Thing"
				if f.Count = 1; !f.Once() {
					f.Count = 6
				}
			} else if len(w.Needs) > 0 {
				f.Count = 1
				if strings.Contains(strings.Join(w.Needs, " "), "instance") {
					f.Kind = "Thing"
				}
			}
			if f.What == scenarios.OrchestratorCrash {
				f.Command, f.By, f.Chance = "commit", 5e9, 0.1
			}
			crash := scenarios.NewFault(scenarios.PodCrash)
			crash.At, crash.Kind, crash.Count = 4*60e9, "Thing", 1
			want := mustSettle(t, faulty(t, 1, []scenarios.Fault{f, crash}))
			if got := mustSettle(t, faulty(t, 1, []scenarios.Fault{f, crash})); got.Trace != want.Trace || got.Totals != want.Totals {
				t.Errorf("the same seed gave %s, then %s", want.Trace, got.Trace)
			}
			none := mustSettle(t, faulty(t, 1, []scenarios.Fault{crash}))
			if none.Trace == want.Trace && f.What != scenarios.HeartbeatsSkew { // of which nothing must follow
				t.Error("the trace is that of a run without the fault")
			}
			if other := mustSettle(t, faulty(t, 2, []scenarios.Fault{f, crash})); other.Trace == want.Trace {
				t.Error("another seed gave the same trace")
			}
		})
	}
}

// TestFaultsAreRecorded reads back what a recording says of the world around the
// core.
func TestFaultsAreRecorded(t *testing.T) {
	sc := parse(t, `
duration: 10m
heal: 6m
kinds: [{kind: Thing, resources: 10}]
orders: [{at: 1m, kind: Thing, orchestrate: {}}]
faults: [{at: 2m, for: 1m, kafka: down}, {at: 3m, pod: crash, kind: Thing, instance: 0}, {at: 4m, for: 10s, orchestrator: crash}]`)
	var file bytes.Buffer
	w := recording.NewWriter(&file, RecordingHeader("test", sc))
	if _, err := Run(sc, Options{Record: w}); err != nil {
		t.Fatal(err)
	}
	r, err := recording.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		e, err := r.Next()
		if err != nil {
			break
		}
		if m := e.Mark; m != nil && e.At > 59*time.Second {
			got = append(got, fmt.Sprint(e.At, " ", m.What, " ", m.Instance, " ", m.Text))
		}
	}
	log := strings.Join(got, "\n")
	follows(t, log, []string{
		fmt.Sprintf(`^1m0s %d 0 orchestrate`, recording.OrderGiven), fmt.Sprintf(`2m0s %d none \{at: 2m, for: 1m, kafka: down\}`, recording.FaultBegan),
		fmt.Sprintf(`3m0s %d none \{at: 3m, pod: crash`, recording.FaultBegan), fmt.Sprintf(`3m0s %d 0 pod-`, recording.ProgramEnded),
		fmt.Sprintf(`3m0s %d none \{at: 2m, for: 1m, kafka: down\}`, recording.FaultEnded), fmt.Sprintf(`3m\S+ %d 0 pod-`, recording.ProgramStarted), fmt.Sprintf(`4m0s %d none`, recording.ProcessDied),
		fmt.Sprintf(`6m0s %d none`, recording.Healed),
	})
}
