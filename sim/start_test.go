package sim

import (
	"bytes"
	"fmt"
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
)

// A run begins with what stands: nothing moves, no pod is created anew, and the
// programs run their lists at once.
func TestStart(t *testing.T) {
	sc, err := scenarios.Parse("start", []byte(`
name: start
about: What stands is taken over.
duration: 10m
heal: 5m
kinds: [{kind: Thing, resources: 40, resourcePerInstance: 20, initInstances: 2}]
orders: [{at: 2m, kind: Thing, orchestrate: {resourcePerInstance: 10}}]
expect: [violations == 0, unsettled_end == 0, instances == 5, instances_replaced == 0, moves_excess == 0]
`))
	if err != nil {
		t.Fatal(err)
	}
	start := Standing{Tree: fleet.Tree{ControlVersion: -1}, Running: []fleet.InstanceID{0, 1}}
	for i := range 2 {
		in := fleet.TreeInstance{ID: fleet.InstanceID(i), Capacity: 20, Used: 20, Times: 7, Born: int64(9 - i)}
		for n := range 20 {
			in.IDs = append(in.IDs, fmt.Sprintf("Thing-%07d", 20*i+n+1))
		}
		start.Tree.Instances = append(start.Tree.Instances, in)
	}
	var file bytes.Buffer
	res, err := Run(sc, Options{Start: map[fleet.Kind]Standing{"Thing": start}, Record: recording.NewWriter(&file, RecordingHeader("test", sc))})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Report.OK() {
		t.Errorf("%+v\n%+v\n%+v", res.Report.Expectations, res.Report.Violations, res.Report.Pending)
	}
	r, err := recording.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	trees, pods := 0, 0
	for {
		e, err := r.Next()
		if err != nil {
			break
		}
		switch ev := e.Event.(type) {
		case reconcile.TreeRead:
			if trees++; trees == 1 && (len(ev.Tree.Instances) != 2 || ev.Tree.Instances[1].Born >= ev.Tree.Instances[0].Born || ev.Tree.Instances[0].Used != 20) {
				t.Errorf("%+v", ev.Tree)
			}
		case reconcile.PodsListed:
			if pods++; pods == 1 && (len(ev.Pods) != 2 || ev.Pods[0].Phase != fleet.PhaseRunning) {
				t.Errorf("%+v", ev.Pods)
			}
		}
	}
	if trees == 0 || pods == 0 {
		t.Error("nothing was read")
	}
}

func TestStartThatCannotBe(t *testing.T) {
	sc, err := scenarios.Shipped("first-light")
	if err != nil {
		t.Fatal(err)
	}
	for name, instances := range map[string][]fleet.TreeInstance{
		"twice":    {{ID: 1, Capacity: 5}, {ID: 1, Capacity: 5}},
		"id twice": {{ID: 1, Capacity: 5, Used: 2, IDs: []string{"a", "a"}}},
	} {
		_, err := Run(sc, Options{Start: map[fleet.Kind]Standing{"Thing": {Tree: fleet.Tree{Instances: instances, ControlVersion: -1}}}})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
