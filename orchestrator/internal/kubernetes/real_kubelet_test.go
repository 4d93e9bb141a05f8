package kubernetes

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clients "k8s.io/client-go/kubernetes"
)

// testKubelet plays the scheduler and the kubelet for the pods of one namespace:
// it gives each pod a node, says that it runs, and lets it go when it is deleted,
// those of kind Rule once they are released. What it fails to write it writes at
// the next look; it looks at every change, and now and then at all pods.
type testKubelet struct {
	api       clients.Interface
	namespace string
	release   chan struct{}
	once      sync.Once
	mu        sync.Mutex
	lost      map[string]bool // names of pods whose node is silent
}

func startKubelet(t *testing.T, api clients.Interface, namespace string) *testKubelet {
	k := &testKubelet{api: api, namespace: namespace, release: make(chan struct{}), lost: map[string]bool{}}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return k
}

func (k *testKubelet) letEnd() { k.once.Do(func() { close(k.release) }) }

func (k *testKubelet) run(ctx context.Context) {
	for ctx.Err() == nil {
		k.follow(ctx)
		select { // the watch ended: at its time, or with the API server
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// follow looks at every pod, and then at those that change, for a while.
func (k *testKubelet) follow(ctx context.Context) {
	seconds := int64(2)
	w, err := k.api.CoreV1().Pods(k.namespace).Watch(ctx, metav1.ListOptions{TimeoutSeconds: &seconds})
	if err != nil {
		return
	}
	defer w.Stop()
	released := k.release
	for {
		select {
		case e, open := <-w.ResultChan():
			if !open {
				return
			}
			if p, is := e.Object.(*corev1.Pod); is && e.Type != "DELETED" {
				k.look(ctx, p)
			}
		case <-released:
			return // to look at all of them anew; from now on nothing is held
		}
		select {
		case <-k.release:
			released = nil
		default:
		}
	}
}

func (k *testKubelet) look(ctx context.Context, p *corev1.Pod) {
	k.mu.Lock()
	lost := k.lost[p.Name]
	k.mu.Unlock()
	pods := k.api.CoreV1().Pods(k.namespace)
	switch {
	case lost:
	case p.DeletionTimestamp != nil:
		if p.Labels[labelKind] == string(rules) && !k.released() {
			return
		}
		now := int64(0)
		_ = pods.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.UID}})
	case p.Spec.NodeName == "":
		_ = pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: p.Name, UID: p.UID},
			Target: corev1.ObjectReference{Kind: "Node", Name: "node-0"}}, metav1.CreateOptions{})
	case p.Status.Phase == corev1.PodPending:
		_ = k.write(ctx, p.Name, corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", Conditions: ready(corev1.ConditionTrue)})
	}
}

func (k *testKubelet) released() bool {
	select {
	case <-k.release:
		return true
	default:
		return false
	}
}

// write changes a pod's status.
func (k *testKubelet) write(ctx context.Context, name string, status corev1.PodStatus) error {
	data, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = k.api.CoreV1().Pods(k.namespace).Patch(ctx, name, types.StrategicMergePatchType, data, metav1.PatchOptions{}, "status")
	return err
}

// lose makes a pod's node silent; the node controller says so in its place.
func (k *testKubelet) lose(ctx context.Context, name string) error {
	k.mu.Lock()
	k.lost[name] = true
	k.mu.Unlock()
	return k.write(ctx, name, corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready(corev1.ConditionFalse)})
}

// ready says that the containers are well, and whether the pod is too.
func ready(pod corev1.ConditionStatus) []corev1.PodCondition {
	now := metav1.Now()
	return []corev1.PodCondition{
		{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: corev1.PodReady, Status: pod, LastTransitionTime: now},
	}
}
