package kubernetes

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
