package kubernetes

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"dacorch/orchestrator/fleet"
)

// told is a pod in the vocabulary. false when its name or its instanceId is none
// of the kind's.
func (k *podKind) told(pod *corev1.Pod) (fleet.Pod, bool) {
	id, ok := k.instance(pod)
	if !ok {
		return fleet.Pod{}, false
	}
	return fleet.Pod{
		Instance:    id,
		UID:         string(pod.UID),
		Phase:       phase(pod),
		Terminating: pod.DeletionTimestamp != nil,
		NodeLost:    nodeLost(pod),
		Reason:      reason(pod),
	}, true
}

// instance is the number in a pod's name, written as we write it, when the label
// instanceId says the same.
func (k *podKind) instance(pod *corev1.Pod) (fleet.InstanceID, bool) {
	digits, ok := strings.CutPrefix(pod.Name, k.instanceName+"-")
	if !ok || pod.Labels[labelInstance] != digits {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 || n > maxInstanceID || strconv.FormatInt(n, 10) != digits {
		return 0, false
	}
	return fleet.InstanceID(n), true
}

func phase(pod *corev1.Pod) fleet.Phase {
	switch pod.Status.Phase {
	case corev1.PodPending, "":
		return fleet.PhasePending
	case corev1.PodRunning:
		return fleet.PhaseRunning
	case corev1.PodSucceeded:
		return fleet.PhaseSucceeded
	case corev1.PodFailed:
		return fleet.PhaseFailed
	}
	return fleet.PhaseUnknown
}

// nodeLost says that the node does not answer. Kubernetes tells it in two ways.
// Its node controller sets the status's reason NodeLost when it gives the pod
// up. Long before that it sets the condition Ready to False, and leaves
// everything else as the kubelet wrote it, so ContainersReady still says True. A
// kubelet itself writes that only for readiness gates.
func nodeLost(pod *corev1.Pod) bool {
	if pod.Status.Reason == reasonNodeLost {
		return true
	}
	ready, containers := condition(pod, corev1.PodReady), condition(pod, corev1.ContainersReady)
	switch {
	case ready == nil || pod.Status.Phase != corev1.PodRunning:
		return false
	case ready.Status == corev1.ConditionUnknown:
		return true
	}
	return ready.Status == corev1.ConditionFalse && ready.Reason != reasonGates &&
		containers != nil && containers.Status == corev1.ConditionTrue
}

const (
	reasonNodeLost = "NodeLost"
	reasonGates    = "ReadinessGatesNotReady"
)

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// reason is what explains the pod's state best: the pod's own reason (Evicted),
// what a container waits for (ImagePullBackOff, CrashLoopBackOff), how one ended
// (OOMKilled), why no node takes the pod (Unschedulable).
func reason(pod *corev1.Pod) string {
	if pod.Status.Reason != "" {
		return pod.Status.Reason
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			if r := containerReason(&list[i].State); r != "" {
				return r
			}
		}
	}
	if c := condition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		return c.Reason
	}
	return ""
}

// containerReason leaves out a container that ended as it should.
func containerReason(s *corev1.ContainerState) string {
	switch {
	case s.Waiting != nil:
		return s.Waiting.Reason
	case s.Terminated != nil && (s.Terminated.ExitCode != 0 || s.Terminated.Signal != 0):
		return s.Terminated.Reason
	}
	return ""
}
