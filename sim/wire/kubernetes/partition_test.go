package kubernetes_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"

	"dacorch/sim/wire/kubernetes"
)

// hesitant counts what runs, and starts as late as it is told.
type hesitant struct {
	mu    sync.Mutex
	runs  map[string]int // by uid
	late  time.Duration
	image bool
}

func (h *hesitant) Run(ctx context.Context, p *corev1.Pod, _ io.Writer) error {
	h.count(p, 1)
	defer h.count(p, -1)
	<-ctx.Done()
	return ctx.Err()
}

func (h *hesitant) count(p *corev1.Pod, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs[string(p.UID)] += n
}

func (h *hesitant) is(p *corev1.Pod) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.runs[string(p.UID)] == 1
}

func (h *hesitant) Starting(*corev1.Pod) (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late, h.image
}

func (h *hesitant) set(late time.Duration, image bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.late, h.image = late, image
}

// TestPartition: what runs on a node that nobody reaches runs on, whatever is
// asked meanwhile; when the node is back, what was deleted ends.
func TestPartition(t *testing.T) {
	h := &hesitant{runs: map[string]int{}, image: true}
	bubble(t, kubernetes.Config{Runner: h, EvictAfter: -1}, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		for _, name := range []string{"kept", "forced", "asked"} {
			made(t, c, pod(name))
		}
		kept, forced, asked := the(t, s, "kept"), the(t, s, "forced"), the(t, s, "asked")
		if err := s.PartitionNode("node-0"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if p := the(t, s, "kept"); !running(p) || ready(p) {
			t.Errorf("a pod that nobody reaches: %+v", p.Status)
		}
		now := int64(0)
		unmade(t, c, "forced", metav1.DeleteOptions{GracePeriodSeconds: &now})
		unmade(t, c, "asked", metav1.DeleteOptions{})
		pass(time.Minute)
		if the(t, s, "forced") != nil || the(t, s, "asked") == nil {
			t.Error("what nobody reaches is removed by force alone")
		}
		if !h.is(kept) || !h.is(forced) || !h.is(asked) {
			t.Errorf("what runs on a node that nobody reaches has ended: %v", h.runs)
		}
		if err := s.RestoreNode("node-0"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if p := the(t, s, "kept"); !running(p) || !ready(p) || p.Status.ContainerStatuses[0].RestartCount != 0 || !h.is(kept) {
			t.Errorf("a pod that has run on: %+v", p.Status)
		}
		if the(t, s, "asked") != nil || h.is(forced) || h.is(asked) {
			t.Errorf("what was deleted runs on: %v", h.runs)
		}
	})
}

// TestStarter: a pod whose image is not there is Pending and says why; one that
// starts late starts late.
func TestStarter(t *testing.T) {
	h := &hesitant{runs: map[string]int{}}
	bubble(t, kubernetes.Config{Runner: h}, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		made(t, c, pod("dac-0"))
		pass(time.Minute)
		p := the(t, s, "dac-0")
		if p.Status.Phase != corev1.PodPending || len(p.Status.ContainerStatuses) != 1 || p.Status.ContainerStatuses[0].State.Waiting == nil ||
			p.Status.ContainerStatuses[0].State.Waiting.Reason != "ImagePullBackOff" {
			t.Errorf("without an image: %+v", p.Status)
		}
		h.set(time.Hour, true)
		pass(59 * time.Minute)
		if running(the(t, s, "dac-0")) {
			t.Error("it has started at once")
		}
		pass(2 * time.Minute)
		if !running(the(t, s, "dac-0")) || !h.is(p) {
			t.Errorf("it has not started: %+v", the(t, s, "dac-0").Status)
		}
	})
}

// TestDrain: a node that is drained takes no pods, and its own end in their time.
func TestDrain(t *testing.T) {
	h := &hesitant{runs: map[string]int{}, image: true}
	bubble(t, kubernetes.Config{Runner: h, Nodes: 2}, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		made(t, c, pod("dac-0"))
		node := the(t, s, "dac-0").Spec.NodeName
		if err := s.DrainNode(node, 1500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if the(t, s, "dac-0") != nil {
			t.Error("a drained node keeps its pods")
		}
		if nodes := s.Nodes(); len(nodes) != 1 || nodes[0] == node {
			t.Errorf("%v take pods, and %s is drained", nodes, node)
		}
		made(t, c, pod("dac-1"))
		if p := the(t, s, "dac-1"); p.Spec.NodeName == node {
			t.Error("a drained node gets a pod")
		}
		if err := s.DrainNode("none", 0); err == nil {
			t.Error("a node that is not there was drained")
		}
	})
}
