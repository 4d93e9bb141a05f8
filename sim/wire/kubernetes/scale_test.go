package kubernetes_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"dacorch/sim/wire/kubernetes"
)

// flock creates pods, many at once.
func flock(t testing.TB, s *kubernetes.Server, pods int) {
	t.Helper()
	c := client(t, s)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := worker; i < pods; i += 8 {
				if _, err := c.CoreV1().Pods(namespace).Create(t.Context(), pod(fmt.Sprintf("dac-%d", i)), metav1.CreateOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// census follows pods through an informer, and holds every event against the one
// before it.
type census struct {
	mu       sync.Mutex
	problems []string
	there    map[string]*corev1.Pod
	running  int
	changed  chan struct{}
}

func follow(t testing.TB, s *kubernetes.Server) *census {
	t.Helper()
	n := &census{there: map[string]*corev1.Pod{}, changed: make(chan struct{}, 1)}
	factory := informers.NewSharedInformerFactory(client(t, s), 0)
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { n.see(nil, o.(*corev1.Pod)) },
		UpdateFunc: func(old, o any) { n.see(old.(*corev1.Pod), o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if late, is := o.(cache.DeletedFinalStateUnknown); is {
				o = late.Obj
			}
			n.see(o.(*corev1.Pod), nil)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); factory.Shutdown() })
	factory.Start(stop)
	if !cache.WaitForCacheSync(within(t).Done(), informer.HasSynced) {
		t.Fatal("the informer does not see the pods in time")
	}
	return n
}

func (n *census) see(old, now *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if running(old) {
		n.running--
	}
	if running(now) {
		n.running++
	}
	if now == nil {
		delete(n.there, old.Name)
	} else {
		if (n.there[now.Name] == nil) != (old == nil) {
			n.problems = append(n.problems, "an event of "+now.Name+" was lost")
		}
		n.there[now.Name] = now
	}
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// until waits for so many pods, and so many of them running.
func (n *census) until(t testing.TB, pods, running int) {
	t.Helper()
	late := time.After(4 * deadline)
	for {
		n.mu.Lock()
		has, runs, problems := len(n.there), n.running, n.problems
		n.mu.Unlock()
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if has == pods && runs == running {
			return
		}
		select {
		case <-n.changed:
		case <-late:
			t.Fatalf("%d pods and %d running, not %d and %d", has, runs, pods, running)
		}
	}
}

// TestInformerOverManyPods is the burst at which client-go's fake clientset
// panics.
func TestInformerOverManyPods(t *testing.T) {
	pods := 5000
	if testing.Short() {
		pods = 500
	}
	s := start(t, kubernetes.Config{Nodes: 50})
	n := follow(t, s)
	flock(t, s, pods)
	n.until(t, pods, pods)
	for _, p := range s.Pods() {
		if n.there[p.Name].ResourceVersion != p.ResourceVersion {
			t.Errorf("pod %s: the informer has version %s, the server %s", p.Name, n.there[p.Name].ResourceVersion, p.ResourceVersion)
		}
	}
	err := client(t, s).CoreV1().Pods(namespace).DeleteCollection(within(t), metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.until(t, 0, 0)
}

// BenchmarkPods creates pods and waits until an informer sees them run.
func BenchmarkPods(b *testing.B) {
	const pods = 5000
	for b.Loop() {
		s := start(b, kubernetes.Config{Nodes: 50})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		flock(b, s, pods)
		for runs := 0; runs < pods; {
			runs = 0
			for _, p := range s.Pods() {
				if running(&p) {
					runs++
				}
			}
		}
		b.ReportMetric(pods/time.Since(begun).Seconds(), "pods/s")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/pods, "B/pod")
		s.Close()
	}
}
