package kind

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// heard is what the run is told, a word for each fact.
type heard []string

func (h *heard) Ran(_ fleet.Kind, id fleet.InstanceID, pod, resource string, on bool) {
	*h = append(*h, fmt.Sprintf("%d/%s %s%s", id, pod, map[bool]string{true: "+", false: "-"}[on], resource))
}
func (h *heard) Reloaded(_ fleet.Kind, id fleet.InstanceID, times int64) {
	*h = append(*h, fmt.Sprintf("%d as of %d", id, times))
}
func (h *heard) Alive(_ fleet.Kind, id fleet.InstanceID, pod string, able bool) {
	*h = append(*h, fmt.Sprintf("%d/%s %s", id, pod, map[bool]string{true: "lives", false: "is over"}[able]))
}
func (h *heard) Hung(_ fleet.Kind, id fleet.InstanceID)   { *h = append(*h, fmt.Sprintf("%d hangs", id)) }
func (h *heard) Zombie(_ fleet.Kind, id fleet.InstanceID) {}
func (h *heard) Beat(fleet.Kind, fleet.InstanceID)        {}

// take is what was heard since.
func (h *heard) take() string {
	said := strings.Join(*h, ", ")
	*h = nil
	return said
}

func pod(uid string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "iota-dac-0", UID: types.UID(uid)}, Status: corev1.PodStatus{Phase: phase}}
}

// list is the transaction that gives instance 0 a list.
func list(op string, times int, ids ...string) []zookeeper.Change {
	const at = orchestrationRoot + "Thing/0"
	quoted := []string{}
	for _, id := range ids {
		quoted = append(quoted, `"`+id+`"`)
	}
	return []zookeeper.Change{
		{Op: op, Path: at, Data: fmt.Appendf(nil, `{"used":%d,"count":9}`, len(ids))},
		{Op: op, Path: at + "/resources", Data: fmt.Appendf(nil, `{"ids":[%s]}`, strings.Join(quoted, ","))},
		{Op: op, Path: at + "/_reload", Data: fmt.Appendf(nil, `{"times":%d}`, times)},
	}
}

func status(op string, times int) []zookeeper.Change {
	return []zookeeper.Change{{Op: op, Path: orchestrationRoot + "Thing/0/tmp/status", Data: fmt.Appendf(nil, `{"times":%d}`, times)}}
}

// TestDACs tells the stories of an instance's programs: what is seen, and what the
// run is told of it.
func TestDACs(t *testing.T) {
	const leader, first, second = 1, 11, 12
	var told heard
	d := newDACs([]wire.Kind{{Kind: "Thing", InstanceName: "iota-dac"}}, &told)
	for i, step := range []struct {
		do   func()
		want string
	}{
		{func() { d.tree(leader, list("create", 1, "a", "b")) }, ""},
		{func() { d.created(pod("u1", corev1.PodPending)) }, ""},
		{func() { d.changed(pod("u1", corev1.PodRunning)) }, "0/u1 lives"},
		{func() { d.tree(first, status("create", 1)) }, "0/u1 +a, 0/u1 +b, 0 as of 1"},
		{func() { d.tree(leader, list("setData", 2, "b", "c")) }, ""},
		{func() { d.tree(leader, list("setData", 3, "b", "d")) }, ""},
		{func() { d.tree(leader, list("setData", 4, "b", "d", "e")) }, ""},
		// What came and went before it was confirmed, it never ran.
		{func() { d.tree(first, status("setData", 3)) }, "0/u1 -a, 0/u1 +d, 0 as of 3"},
		// Its session is another: the same program.
		{func() { d.tree(first+100, status("create", 4)) }, "0/u1 +e, 0 as of 4"},
		{func() { d.changed(pod("u1", corev1.PodRunning)) }, ""},
		// The run kills it before Kubernetes knows.
		{func() { d.killed("Thing", 0, "u1") }, "0/u1 -b, 0/u1 -d, 0/u1 -e, 0/u1 is over"},
		{func() { d.changed(pod("u1", corev1.PodRunning)) }, ""},
		{func() { d.changed(pod("u1", corev1.PodFailed)) }, ""},
		{func() { d.tree(first+100, status("setData", 4)) }, ""}, // its last words
		{func() { d.tree(leader, list("setData", 5, "b")) }, ""},
		{func() { d.gone(pod("u1", corev1.PodFailed)) }, ""},
		{func() { d.created(pod("u2", corev1.PodPending)) }, ""},
		{func() { d.tree(first+100, status("setData", 5)) }, ""}, // from beyond the grave
		// The confirmation may be seen before the kubelet's word.
		{func() { d.tree(second, status("create", 5)) }, "0/u2 lives, 0/u2 +b, 0 as of 5"},
		{func() { d.changed(pod("u2", corev1.PodRunning)) }, ""},
		{func() { d.hangs("Thing", 0, "u1") }, ""}, // an older one's
		{func() { d.hangs("Thing", 0, "u2") }, "0 hangs"},
		{func() { d.gone(pod("u2", corev1.PodRunning)) }, "0/u2 -b, 0/u2 is over"},
		{func() { d.created(pod("u3", corev1.PodRunning)) }, "0/u3 lives"},
		// The watch was away: the next pod comes without the end of the last.
		{func() { d.created(pod("u4", corev1.PodRunning)) }, "0/u3 is over, 0/u4 lives"},
		{func() { d.gone(pod("u3", corev1.PodRunning)) }, ""},
		{func() { d.tree(14, status("create", 5)) }, "0/u4 +b, 0 as of 5"},
		{func() { d.tree(leader, list("delete", 0)) }, "0/u4 -b"},
		{func() { d.gone(pod("u4", corev1.PodRunning)) }, "0/u4 is over"},
		{func() { d.tree(leader, list("create", 6, "a")) }, ""},
		// The confirmation may be seen before its pod: it is kept.
		{func() { d.tree(15, status("create", 6)) }, ""},
		{func() { d.tree(leader, list("setData", 7, "a", "b")) }, ""},
		{func() { d.created(pod("u5", corev1.PodPending)) }, "0/u5 lives, 0/u5 +a, 0 as of 6"},
		{func() { d.tree(15, status("setData", 7)) }, "0/u5 +b, 0 as of 7"},
		{func() { d.killed("Thing", 0, "u5") }, "0/u5 -a, 0/u5 -b, 0/u5 is over"},
		{func() { d.tree(16, append(status("delete", 7), status("create", 7)...)) }, ""},
		{func() { d.created(pod("u6", corev1.PodRunning)) }, "0/u6 lives, 0/u6 +a, 0/u6 +b, 0 as of 7"},
		{func() { d.gone(pod("u6", corev1.PodRunning)) }, "0/u6 -a, 0/u6 -b, 0/u6 is over"},
		// Unless whoever confirmed is gone before its pod is seen.
		{func() { d.tree(17, status("create", 7)) }, ""},
		{func() { d.tree(17, status("delete", 7)) }, ""},
		{func() { d.created(pod("u7", corev1.PodRunning)) }, "0/u7 lives"},
	} {
		step.do()
		if got := told.take(); got != step.want {
			t.Errorf("step %d: told %q, want %q", i, got, step.want)
		}
	}
}

// TestRunning: what is answered for the audit is what was told.
func TestRunning(t *testing.T) {
	var told heard
	d := newDACs([]wire.Kind{{Kind: "Thing", InstanceName: "iota-dac"}}, &told)
	d.tree(1, list("create", 1, "a", "b"))
	d.created(pod("u1", corev1.PodRunning))
	if got := d.running("Thing"); len(got) != 0 {
		t.Errorf("before a confirmation %v run", got)
	}
	d.tree(2, status("create", 1))
	if got := d.running("Thing")[0]; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q run", got)
	}
	if got := d.working("Thing"); !slices.Equal(got, []fleet.InstanceID{0}) {
		t.Errorf("%v work", got)
	}
	d.hangs("Thing", 0, "u1")
	if got := d.working("Thing"); len(got) != 0 {
		t.Errorf("%v work, and one hangs", got)
	}
	if d.of(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "sim-0"}}) != nil {
		t.Error("an orchestrator's pod is an instance's")
	}
}

// TestOurs: of ZooKeeper's changes a run sees those of its own kinds, called as in
// its scenario.
func TestOurs(t *testing.T) {
	g := &ground{dacs: newDACs([]wire.Kind{{Kind: "Thing", InstanceName: "iota-dac"}}, new(heard))}
	var got []string
	for _, c := range g.ours([]zookeeper.Change{
		{Path: "/iota/orchestration/ThingSim"}, {Path: "/iota/orchestration/ThingSim/3/_reload"}, {Path: "/iota/orchestrator/ThingSim/epoch"},
		{Path: "/iota/orchestration/Thing/3"}, {Path: "/iota/orchestration/RuleSim/3"}, {Path: "/iota/orchestration/ThingSimSim"}, {Path: "/iota"}, {Path: "/else/ThingSim"},
	}) {
		got = append(got, c.Path)
	}
	want := []string{"/iota/orchestration/Thing", "/iota/orchestration/Thing/3/_reload", "/iota/orchestrator/Thing/epoch"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
