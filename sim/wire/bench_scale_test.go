package wire

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest/real"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// BenchmarkScale runs the orchestrator as a process of its own on a real control
// plane without containers (etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler, and kwok in the place of kubelets), Debian's ZooKeeper,
// Mosquitto and PostgreSQL: 100 instances of 5,000 resources, and 1,000 instances
// of 50.
//
// nothing is from the start of the process, with rows in the database and nothing
// else anywhere, until every resource is placed and every pod runs. more is a
// re-orchestration to a fifth more instances, until all their pods run; since no
// program says that it works, a new instance is taken to after a second, the
// interval of heartbeats. killed is from the first of all pods' failing until as
// many new ones run. raw is a bare client that creates as many pods, 64 at once,
// until all run; it comes first, on the same servers.
func BenchmarkScale(b *testing.B) {
	for _, s := range []struct{ instances, each, more int }{{100, 5000, 4200}, {1000, 50, 41}} {
		b.Run(fmt.Sprintf("instances=%d/resources=%d", s.instances, s.instances*s.each-1), func(b *testing.B) {
			newScale(b, s.instances, s.each).measure(s.more)
		})
	}
}

// scalePatience bounds the wait for any one of the benchmark's steps.
const scalePatience = 20 * time.Minute

// scale is a platform of which only the Kubernetes stand-in is not used.
type scale struct {
	*rig
	cluster   *real.Cluster
	api       clients.Interface
	proc      *process
	instances int
	pods      cache.Store // as a watch tells them
}

func newScale(b *testing.B, instances, each int) *scale {
	b.Helper()
	s := &scale{cluster: real.Kubernetes(b, real.Controllers, real.Scheduler, real.Kwok), instances: instances}
	cfg := backends[1].config(b, usualWindow)
	cfg.Database = real.PostgreSQL(b).URL
	p := benchPlatform(b, cfg, Kind{Kind: "Thing", InstanceName: "iota-dac", Idle: true}, instances*each-1)
	s.rig = &rig{b: b, p: p}
	var err error
	s.api, err = clients.NewForConfig(&rest.Config{Host: s.cluster.URL, BearerToken: s.cluster.Token, QPS: 2000, Burst: 4000,
		ContentConfig: rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"}, TLSClientConfig: rest.TLSClientConfig{CAData: s.cluster.CA}})
	if err != nil {
		b.Fatal(err)
	}
	s.furnish(instances * 13 / 10)
	log := &syncBuffer{}
	s.proc, err = p.newProcess(context.WithoutCancel(b.Context()), Orchestrator{Name: "bench", Kinds: map[fleet.Kind]string{"Thing": fmt.Sprintf(
		"handoff: fast, limits: {maxInstances: 2000, resourcePerInstance: %d}, throttles: {replacing: %d}, timings: {heartbeatInterval: 1s, pending: 10m, resync: 10m}", each, instances)}}, serveTest, log)
	if err != nil {
		b.Fatal(err)
	}
	kubeconfig, err := os.ReadFile(s.cluster.Kubeconfig)
	if err == nil {
		err = writePrivate(p.Kubeconfig(), kubeconfig) // in the place of the stand-in's
	}
	if err != nil {
		b.Fatal(err)
	}
	s.addr = strings.TrimPrefix(s.proc.url, "http://")
	if s.client, err = api.New(api.Config{URL: s.proc.url}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.client.Close()
		if err := s.proc.stop(); err != nil || b.Failed() {
			b.Errorf("%v: the orchestrator said:\n%s", err, log.b.String())
		}
	})
	return s
}

// furnish makes the namespaces, nodes for so many pods, and a watch.
func (s *scale) furnish(pods int) {
	ctx := s.b.Context()
	for _, name := range []string{Namespace, "raw"} {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := s.api.CoreV1().Namespaces().Create(ctx, n, metav1.CreateOptions{}); err != nil {
			s.b.Fatal(err)
		}
		s.await("the account of the pods in "+name, func() bool {
			_, err := s.api.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
			return err == nil
		})
	}
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods: resource.MustParse("110")}
	for i := range pods/100 + 1 {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}, Status: corev1.NodeStatus{Allocatable: room, Capacity: room}}
		if _, err := s.api.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil {
			s.b.Fatal(err)
		}
	}
	s.await("the nodes to be ready", func() bool {
		list, err := s.api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false
		}
		for i := range list.Items {
			if len(list.Items[i].Spec.Taints) > 0 {
				return false
			}
		}
		return true
	})
	s.pods = cache.NewStore(cache.MetaNamespaceKeyFunc)
	watching, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		list := cache.NewListWatchFromClient(s.api.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, fields.Everything())
		cache.NewReflector(list, &corev1.Pod{}, s.pods, 0).RunWithContext(watching)
	})
	s.b.Cleanup(func() { stop(); ended.Wait() })
}

// running are the UIDs of a namespace's pods that run and are to stay, by name.
func (s *scale) running(namespace string) map[string]types.UID {
	all := map[string]types.UID{}
	for _, o := range s.pods.List() {
		if p := o.(*corev1.Pod); p.Namespace == namespace && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			all[p.Name] = p.UID
		}
	}
	return all
}

func (s *scale) measure(more int) {
	s.row("raw", s.raw)
	s.row("nothing", func() {
		if err := s.proc.start(); err != nil {
			s.b.Fatal(err)
		}
		s.await("everything to be placed, and every pod to run", func() bool {
			return len(s.running(Namespace)) == s.instances && s.metric("dacorch_active") == 1 && s.metric("dacorch_resources_unplaced") == 0
		})
	})
	s.row("more", func() {
		did, err := s.client.Orchestrate(s.b.Context(), "Thing", api.OrchestrateRequest{ResourcePerInstance: &more})
		if err != nil {
			s.b.Fatal(err)
		}
		s.b.Logf("re-orchestrated: %+v", did)
		s.instances = did.Instances
		s.await("the new instances' pods to run", func() bool { return len(s.running(Namespace)) == s.instances })
	})
	s.row("killed", func() {
		before := s.running(Namespace)
		failed := []byte(`{"status":{"phase":"Failed","reason":"Killed"}}`)
		s.together(before, func(ctx context.Context, name string) error {
			_, err := s.api.CoreV1().Pods(Namespace).Patch(ctx, name, types.MergePatchType, failed, metav1.PatchOptions{}, "status")
			return err
		})
		s.await("as many other pods to run", func() bool {
			now := s.running(Namespace)
			for name, uid := range before {
				if now[name] == "" || now[name] == uid {
					return false
				}
			}
			return true
		})
	})
}

// raw creates as many pods as there are instances, waits until they run, and
// removes them.
func (s *scale) raw() {
	names := map[string]types.UID{}
	for i := range s.instances {
		names[fmt.Sprintf("raw-%d", i)] = ""
	}
	s.together(names, func(ctx context.Context, name string) error {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "raw"}, Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "dac", Image: "dacorch"}}}}
		_, err := s.api.CoreV1().Pods("raw").Create(ctx, p, metav1.CreateOptions{})
		return err
	})
	s.await("the bare client's pods to run", func() bool { return len(s.running("raw")) == s.instances })
}

// together does something to each of the named pods, with many under way.
func (s *scale) together(names map[string]types.UID, do func(ctx context.Context, name string) error) {
	queue := make(chan string)
	var over sync.WaitGroup
	for range 64 {
		over.Go(func() {
			for name := range queue {
				if err := do(s.b.Context(), name); err != nil {
					s.b.Error(err)
				}
			}
		})
	}
	for name := range names {
		queue <- name
	}
	close(queue)
	over.Wait()
}

// row measures one step: its time, and what was used for it.
func (s *scale) row(by string, step func()) {
	s.b.Helper()
	cluster := []int{s.cluster.Etcd.PID(), s.cluster.API.PID()}
	for _, o := range s.cluster.Others {
		cluster = append(cluster, o.PID())
	}
	orchestrator := func() int {
		if cmd, _ := s.proc.now(); cmd != nil {
			return cmd.Process.Pid
		}
		return 0
	}
	requests, used, theirs := s.metric("dacorch_kubernetes_requests_total"), s.cpu(orchestrator()), s.cpu(cluster...)
	began := time.Now()
	step()
	took := time.Since(began)
	figures := map[string]float64{"cluster-CPU-s": s.cpu(cluster...) - theirs}
	if orchestrator() != 0 {
		requests = s.metric("dacorch_kubernetes_requests_total") - requests
		figures["CPU-s"] = s.cpu(orchestrator()) - used
		figures["most-RSS(MB)"] = status(s.b, s.proc, "VmHWM")
		figures["requests"] = requests
		figures["requests/s"] = requests / took.Seconds()
	} else { // a bare client: a request for each pod
		figures["requests"], figures["requests/s"] = float64(s.instances), float64(s.instances)/took.Seconds()
		s.clear("raw")
	}
	rowOf(s.b, by, took, figures)
}

// clear removes a namespace's pods.
func (s *scale) clear(namespace string) {
	now := int64(0)
	if err := s.api.CoreV1().Pods(namespace).DeleteCollection(s.b.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
		s.b.Fatal(err)
	}
	s.await("the bare client's pods to go", func() bool { return len(s.running(namespace)) == 0 })
}

// cpu is the processor time that processes have used, in seconds; 0 for the
// process 0.
func (s *scale) cpu(pids ...int) (seconds float64) {
	const ticks = 100 // a second, on every Linux
	for _, pid := range pids {
		if pid == 0 {
			continue
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			s.b.Skipf("the system does not tell a process's time: %v", err)
		}
		rest := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		for _, field := range rest[11:13] { // user's and system's
			n, err := strconv.ParseFloat(field, 64)
			if err != nil {
				s.b.Fatal(err)
			}
			seconds += n / ticks
		}
	}
	return seconds
}

func (s *scale) await(what string, yes func() bool) {
	s.b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(scalePatience); !yes(); {
		select {
		case <-tick.C:
		case <-deadline:
			s.b.Fatalf("waited %v for %s", scalePatience, what)
		}
	}
}
