package kubernetes_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"dacorch/sim/wire/kubernetes"
)

// deadline is how long anything may take; it only ever fails a test.
const deadline = 30 * time.Second

const namespace = "iota"

func start(t testing.TB, config kubernetes.Config) *kubernetes.Server {
	t.Helper()
	config.Namespaces = append(config.Namespaces, namespace)
	s, err := kubernetes.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func client(t testing.TB, s *kubernetes.Server) *clients.Clientset {
	t.Helper()
	c, err := clients.NewForConfig(restConfig(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func restConfig(s *kubernetes.Server) *rest.Config {
	return &rest.Config{Host: s.URL(), QPS: -1}
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"app": "dac"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "dac", Image: "dac:1", Env: []corev1.EnvVar{{Name: "INSTANCE", Value: "0"}}}}},
	}
}

func create(t testing.TB, c *clients.Clientset, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	got, err := c.CoreV1().Pods(namespace).Create(within(t), p, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// await watches a pod until it is as it should be; is gets nil for a pod that is
// not there. It answers the pod as it was last.
func await(t testing.TB, c *clients.Clientset, name, what string, is func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	ctx := within(t)
	options := metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	list, err := c.CoreV1().Pods(namespace).List(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	var last *corev1.Pod
	if len(list.Items) > 0 {
		last = &list.Items[0]
	}
	if is(last) {
		return last
	}
	options.ResourceVersion = list.ResourceVersion
	w, err := c.CoreV1().Pods(namespace).Watch(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		p, ok := e.Object.(*corev1.Pod)
		if !ok {
			t.Fatalf("watch of pod %s: %v", name, e.Object)
		}
		if last = p; e.Type == watch.Deleted {
			p = nil
		}
		if is(p) {
			return last
		}
	}
	t.Fatalf("pod %s is not %s in time: %+v", name, what, last)
	return nil
}

func running(p *corev1.Pod) bool { return p != nil && p.Status.Phase == corev1.PodRunning }
func gone(p *corev1.Pod) bool    { return p == nil }

// program is a runner whose pods do what the test says.
type program struct {
	mu      sync.Mutex
	run     func(ctx context.Context, pod *corev1.Pod, log io.Writer) error
	started []string
	hung    []string
}

func (p *program) Run(ctx context.Context, pod *corev1.Pod, log io.Writer) error {
	p.mu.Lock()
	p.started = append(p.started, pod.Name)
	run := p.run
	p.mu.Unlock()
	if run == nil {
		<-ctx.Done()
		return nil
	}
	return run(ctx, pod, log)
}

func (p *program) starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.started)
}

func (p *program) Hang(pod *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hung = append(p.hung, pod.Name)
}

func (p *program) Usage(pod *corev1.Pod) (int64, int64) { return 250, 64 << 20 }

func TestPodLives(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s)
	p := create(t, c, pod("dac-0"))
	if p.UID == "" || p.ResourceVersion == "" || p.CreationTimestamp.IsZero() || p.Status.Phase != corev1.PodPending {
		t.Errorf("a new pod lacks what the server gives: %+v", p)
	}
	p = await(t, c, "dac-0", "running", running)
	if p.Spec.NodeName != "node-0" || p.Status.PodIP == "" || p.Status.StartTime == nil ||
		len(p.Status.ContainerStatuses) != 1 || !p.Status.ContainerStatuses[0].Ready {
		t.Errorf("a running pod lacks what the kubelet gives: %+v", p)
	}
	if err := c.CoreV1().Pods(namespace).Delete(within(t), "dac-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, c, "dac-0", "gone", gone)
}

// TestCloseLeavesNothing counts goroutines before and after.
func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	s, err := kubernetes.Start(kubernetes.Config{Namespaces: []string{namespace}})
	if err != nil {
		t.Fatal(err)
	}
	config := restConfig(s)
	c, err := clients.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		create(t, c, pod(fmt.Sprintf("dac-%d", i)))
	}
	w, err := c.CoreV1().Pods("").Watch(within(t), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	for range w.ResultChan() {
	}
	for until := time.Now().Add(deadline); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(until) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before,
				strings.TrimSpace(string(stacks[:runtime.Stack(stacks, true)])))
		}
	}
}
