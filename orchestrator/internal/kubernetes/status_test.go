package kubernetes

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"dacorch/orchestrator/fleet"
)

func ownerReference(controller *bool) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "r", UID: "u", Controller: controller}
}

func TestTold(t *testing.T) {
	k := &podKind{instanceName: "iota-dac"}
	waiting := func(reason string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
	}
	ended := func(code int32, reason string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}}}
	}
	is := func(kind corev1.PodConditionType, status corev1.ConditionStatus, reason string) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: status, Reason: reason}
	}
	type conditions = []corev1.PodCondition
	for name, c := range map[string]struct {
		status corev1.PodStatus
		want   fleet.Pod
	}{
		"just created": {corev1.PodStatus{}, fleet.Pod{Phase: fleet.PhasePending}},
		"unschedulable": {corev1.PodStatus{Phase: "Pending", Conditions: conditions{is(corev1.PodScheduled, "False", "Unschedulable")}},
			fleet.Pod{Phase: fleet.PhasePending, Reason: "Unschedulable"}},
		"image": {corev1.PodStatus{Phase: "Pending", ContainerStatuses: waiting("ImagePullBackOff"),
			Conditions: conditions{is(corev1.PodScheduled, "True", "")}},
			fleet.Pod{Phase: fleet.PhasePending, Reason: "ImagePullBackOff"}},
		"init container": {corev1.PodStatus{Phase: "Pending", InitContainerStatuses: waiting("CrashLoopBackOff"),
			ContainerStatuses: waiting("PodInitializing")}, fleet.Pod{Phase: fleet.PhasePending, Reason: "CrashLoopBackOff"}},
		"running": {corev1.PodStatus{Phase: "Running", InitContainerStatuses: ended(0, "Completed"),
			Conditions: conditions{is(corev1.PodReady, "True", ""), is(corev1.ContainersReady, "True", "")}},
			fleet.Pod{Phase: fleet.PhaseRunning}},
		"crashes": {corev1.PodStatus{Phase: "Running", ContainerStatuses: waiting("CrashLoopBackOff"),
			Conditions: conditions{is(corev1.PodReady, "False", "ContainersNotReady"), is(corev1.ContainersReady, "False", "ContainersNotReady")}},
			fleet.Pod{Phase: fleet.PhaseRunning, Reason: "CrashLoopBackOff"}},
		"memory":    {corev1.PodStatus{Phase: "Failed", ContainerStatuses: ended(137, "OOMKilled")}, fleet.Pod{Phase: fleet.PhaseFailed, Reason: "OOMKilled"}},
		"evicted":   {corev1.PodStatus{Phase: "Failed", Reason: "Evicted"}, fleet.Pod{Phase: fleet.PhaseFailed, Reason: "Evicted"}},
		"succeeded": {corev1.PodStatus{Phase: "Succeeded", ContainerStatuses: ended(0, "Completed")}, fleet.Pod{Phase: fleet.PhaseSucceeded}},
		"unknown":   {corev1.PodStatus{Phase: "Unknown"}, fleet.Pod{Phase: fleet.PhaseUnknown}},
		"new phase": {corev1.PodStatus{Phase: "Resting"}, fleet.Pod{Phase: fleet.PhaseUnknown}},
		"given up":  {corev1.PodStatus{Phase: "Running", Reason: "NodeLost"}, fleet.Pod{Phase: fleet.PhaseRunning, NodeLost: true, Reason: "NodeLost"}},
		"node silent": {corev1.PodStatus{Phase: "Running",
			Conditions: conditions{is(corev1.PodReady, "False", ""), is(corev1.ContainersReady, "True", "")}},
			fleet.Pod{Phase: fleet.PhaseRunning, NodeLost: true}},
		"readiness unknown": {corev1.PodStatus{Phase: "Running", Conditions: conditions{is(corev1.PodReady, "Unknown", "")}},
			fleet.Pod{Phase: fleet.PhaseRunning, NodeLost: true}},
		"readiness gate": {corev1.PodStatus{Phase: "Running",
			Conditions: conditions{is(corev1.PodReady, "False", "ReadinessGatesNotReady"), is(corev1.ContainersReady, "True", "")}},
			fleet.Pod{Phase: fleet.PhaseRunning}},
	} {
		pod := &corev1.Pod{Status: c.status}
		pod.Name, pod.UID, pod.Labels = "iota-dac-3", "u", map[string]string{labelInstance: "3"}
		c.want.Instance, c.want.UID = 3, "u"
		if got, ok := k.told(pod); !ok || got != c.want {
			t.Errorf("%s: told %+v (%v), want %+v", name, got, ok, c.want)
		}
		pod.DeletionTimestamp = &metav1.Time{}
		c.want.Terminating = true
		if got, _ := k.told(pod); got != c.want {
			t.Errorf("%s, terminating: told %+v, want %+v", name, got, c.want)
		}
	}
}

// TestAnotherUID: whatever a watch has missed, a pod is told as gone before the
// next of its name is told, and once.
func TestAnotherUID(t *testing.T) {
	var told []string
	ctx, cancel := context.WithCancel(t.Context())
	w := &podWatch{c: &Client{ours: map[string]*record{}}, kind: &podKind{instanceName: "iota-dac"}, ctx: ctx,
		seen:  func(p fleet.Pod) { told = append(told, "seen "+p.UID) },
		gone:  func(_ fleet.InstanceID, uid string) { told = append(told, "gone "+uid) },
		known: map[fleet.InstanceID]fleet.Pod{}}
	pod := func(uid types.UID) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "iota-dac-3", UID: uid,
			Labels: map[string]string{labelInstance: "3"}, DeletionTimestamp: &metav1.Time{}}}
	}
	for _, step := range []func() error{
		func() error { return w.Add(pod("a")) },
		func() error { return w.Update(pod("a")) }, // nothing that we tell has changed
		func() error { return w.Update(pod("b")) },
		func() error { return w.Delete(pod("a")) }, // late
		func() error { return w.Replace([]any{pod("c")}, "") },
		func() error { return w.Delete(cache.DeletedFinalStateUnknown{Key: "iota/iota-dac-3", Obj: pod("c")}) },
		func() error { return w.Add(pod("d")) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"seen a", "gone a", "seen b", "gone b", "seen c", "gone c", "seen d"}; !slices.Equal(told, want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
	if w.forget(); len(w.c.ours) != 0 {
		t.Errorf("remembered after the watch: %v", w.c.ours)
	}
	if w.Add(&corev1.Node{}) == nil || w.Delete("x") == nil || w.Replace([]any{1}, "") == nil {
		t.Error("what is no pod is taken for one")
	}
	cancel()
	before := len(told)
	_, _, _ = w.Add(pod("e")), w.Delete(pod("d")), w.Replace(nil, "")
	if len(told) != before {
		t.Errorf("told after the end: %q", told[before:])
	}
}
