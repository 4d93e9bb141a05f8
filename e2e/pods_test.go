package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pods are those of a kind, by instance, whatever labels they bear.
func (w *world) pods(ctx context.Context, k *kind) (map[int]*corev1.Pod, error) {
	all, err := w.kube.CoreV1().Pods(w.release.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := map[int]*corev1.Pod{}
	for i := range all.Items {
		digits, ours := strings.CutPrefix(all.Items[i].Name, k.instanceName+"-")
		if id, err := strconv.Atoi(digits); ours && err == nil {
			out[id] = &all.Items[i]
		}
	}
	return out, nil
}

// mustPods are the kind's pods now.
func (w *world) mustPods(k *kind) (out map[int]*corev1.Pod) {
	w.t.Helper()
	eventually(w.t, callWithin, "list the pods of "+k.name, func(ctx context.Context) (err error) {
		out, err = w.pods(ctx, k)
		return err
	})
	return out
}

// run is what tells one life of an instance from the next: a pod that is replaced
// has another uid, a container that ended has restarted.
type run struct {
	uid      types.UID
	restarts int32
}

// restarted is the life after one: the same pod, its container started anew.
func (r run) restarted() run { return run{uid: r.uid, restarts: r.restarts + 1} }

func runOf(p *corev1.Pod) run {
	r := run{uid: p.UID}
	for _, c := range p.Status.ContainerStatuses {
		r.restarts += c.RestartCount
	}
	return r
}

func (w *world) runs(k *kind) map[int]run {
	w.t.Helper()
	out := map[int]run{}
	for id, p := range w.mustPods(k) {
		out[id] = runOf(p)
	}
	return out
}

// sameRuns fails the case when a pod was replaced or restarted since.
func (w *world) sameRuns(k *kind, before map[int]run, what string) {
	w.t.Helper()
	if now := w.runs(k); !maps.Equal(before, now) {
		w.t.Errorf("%s: %s's pods are not those of before:\n%v\n%v", what, k.name, before, now)
	}
}

// samePlaces fails the case when a resource has moved since, or was lost. Rows may
// have been deleted.
func (w *world) samePlaces(k *kind, before tree, what string) {
	w.t.Helper()
	was, is := before.placed(), w.tree(k).placed()
	for id, on := range was {
		switch now, there := is[id]; {
		case !there && !k.isReleased(id):
			w.t.Errorf("%s: %s of %s was on instance %d and is nowhere", what, id, k.name, on)
		case there && now != on:
			w.t.Errorf("%s: %s of %s moved from instance %d to %d", what, id, k.name, on, now)
		}
	}
}

// podWrong says what an instance's pod lacks to be at work.
func podWrong(p *corev1.Pod) error {
	switch {
	case p == nil:
		return fmt.Errorf("there is no pod")
	case p.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted", p.Name)
	case p.Status.Phase != corev1.PodRunning:
		return fmt.Errorf("pod %s is %s", p.Name, p.Status.Phase)
	}
	for _, c := range p.Status.ContainerStatuses {
		if !c.Ready {
			return fmt.Errorf("pod %s: container %s is not ready", p.Name, c.Name)
		}
	}
	return nil
}

// deletePod deletes a pod as somebody with kubectl --force does.
func (w *world) deletePod(p *corev1.Pod) {
	w.t.Helper()
	now := int64(0)
	eventually(w.t, callWithin, "delete pod "+p.Name, func(ctx context.Context) error {
		return w.kube.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.UID}})
	})
}

// signal sends a signal to the programs of a pod.
func (w *world) signal(p *corev1.Pod, name string) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), callWithin)
	defer done()
	n, err := w.rig.SignalPod(ctx, string(p.UID), name)
	if err != nil || n == 0 {
		w.t.Fatalf("SIG%s to pod %s: %d processes, %v", name, p.Name, n, err)
	}
}

// awaitRun waits until an instance's pod has another life than before, and is at
// work.
func (w *world) awaitRun(k *kind, id int, before run, within time.Duration) {
	w.t.Helper()
	eventually(w.t, within, fmt.Sprintf("a new life of %s", k.pod(id)), func(ctx context.Context) error {
		pods, err := w.pods(ctx, k)
		if err != nil {
			return err
		}
		if err := podWrong(pods[id]); err != nil {
			return err
		}
		if runOf(pods[id]) == before {
			return fmt.Errorf("it is the one of before")
		}
		now, err := w.read(ctx, k)
		if err != nil {
			return err
		}
		return now[id].confirmed(k, id)
	})
}

// confirmed says what an instance's DAC has not yet done with its list.
func (n node) confirmed(k *kind, id int) error {
	switch {
	case !n.session:
		return fmt.Errorf("%s has no tmp/status", k.pod(id))
	case n.applied != n.times:
		return fmt.Errorf("%s confirms %d, and _reload says %d", k.pod(id), n.applied, n.times)
	}
	return nil
}

// orchestrators are the pods of the release itself.
func (w *world) orchestrators() (out []*corev1.Pod) {
	w.t.Helper()
	eventually(w.t, callWithin, "list the orchestrator's pods", func(ctx context.Context) error {
		all, err := w.kube.CoreV1().Pods(w.release.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		out = nil
		for i := range all.Items {
			if !w.isInstance(all.Items[i].Name) {
				out = append(out, &all.Items[i])
			}
		}
		return nil
	})
	return out
}

// isInstance says whether a pod's name is that of an instance of the case's kinds.
func (w *world) isInstance(pod string) bool {
	for _, k := range w.kinds {
		digits, ours := strings.CutPrefix(pod, k.instanceName+"-")
		if _, err := strconv.Atoi(digits); ours && err == nil {
			return true
		}
	}
	return false
}

// awaitReady waits until the REST interface says that the orchestrator is.
func (w *world) awaitReady(within time.Duration) {
	w.t.Helper()
	eventually(w.t, within, "the orchestrator ready", func(ctx context.Context) error {
		health, err := w.api.Health(ctx)
		if err != nil {
			return err
		}
		if !health.Ready {
			return fmt.Errorf("%+v", health.Checks)
		}
		return nil
	})
}
