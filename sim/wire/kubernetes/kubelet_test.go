package kubernetes_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"

	"dacorch/sim/wire/kubernetes"
)

// pipes is a listener in memory, so that a server can live in a bubble of
// virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// bubble runs f with a server in virtual time: synctest.Wait waits until all is
// quiet, and pass lets time pass.
func bubble(t *testing.T, config kubernetes.Config, f func(t *testing.T, s *kubernetes.Server, c *clients.Clientset)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		config.Listener = l
		s := start(t, config)
		r := restConfig(s)
		r.Dial = l.dial
		c, err := clients.NewForConfig(r)
		if err != nil {
			t.Fatal(err)
		}
		f(t, s, c)
		s.Close()
	})
}

// pass lets so much time pass, and what it brings with it happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func the(t *testing.T, s *kubernetes.Server, name string) *corev1.Pod {
	t.Helper()
	for _, p := range s.Pods() {
		if p.Name == name {
			return &p
		}
	}
	return nil
}

func made(t *testing.T, c *clients.Clientset, p *corev1.Pod) {
	t.Helper()
	if _, err := c.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func unmade(t *testing.T, c *clients.Clientset, name string, options metav1.DeleteOptions) {
	t.Helper()
	if err := c.CoreV1().Pods(namespace).Delete(t.Context(), name, options); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func TestDelaysAndGrace(t *testing.T) {
	var killed atomic.Int32
	deaf := &program{run: func(ctx context.Context, pod *corev1.Pod, _ io.Writer) error {
		<-ctx.Done()
		if pod.Name == "deaf" {
			<-kubernetes.Killed(ctx).Done()
			killed.Add(1)
		}
		return ctx.Err()
	}}
	config := kubernetes.Config{Runner: deaf, StartDelay: 3 * time.Second, StopDelay: 2 * time.Second}
	bubble(t, config, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		made(t, c, pod("deaf"))
		made(t, c, pod("prompt"))
		if p := the(t, s, "deaf"); p.Status.Phase != corev1.PodPending || p.Spec.NodeName == "" {
			t.Errorf("before its start: %+v", p.Status)
		}
		pass(3 * time.Second)
		if !running(the(t, s, "deaf")) || !running(the(t, s, "prompt")) {
			t.Fatal("the pods do not run")
		}
		unmade(t, c, "prompt", metav1.DeleteOptions{})
		unmade(t, c, "deaf", metav1.DeleteOptions{})
		pass(2 * time.Second)
		if the(t, s, "prompt") != nil {
			t.Error("a pod that ended at once still stands")
		}
		pass(27 * time.Second)
		if killed.Load() != 0 || !running(the(t, s, "deaf")) {
			t.Error("it was killed before its time")
		}
		pass(2 * time.Second)
		if killed.Load() != 1 || the(t, s, "deaf") != nil {
			t.Error("it was not killed in time")
		}

		made(t, c, pod("deaf"))
		pass(3 * time.Second)
		unmade(t, c, "deaf", metav1.DeleteOptions{})
		soon := int64(5)
		unmade(t, c, "deaf", metav1.DeleteOptions{GracePeriodSeconds: &soon})
		pass(6 * time.Second)
		if killed.Load() != 2 || the(t, s, "deaf") != nil {
			t.Error("a second deletion with less grace changes nothing")
		}
	})
}

// TestRestarts follows a program that always fails.
func TestRestarts(t *testing.T) {
	p := &program{run: func(_ context.Context, _ *corev1.Pod, log io.Writer) error {
		fmt.Fprintln(log, "dying")
		return errors.New("no fuel")
	}}
	bubble(t, kubernetes.Config{Runner: p, Events: true}, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		made(t, c, pod("always"))
		for _, wait := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
			before := the(t, s, "always").Status.ContainerStatuses[0].RestartCount
			if st := the(t, s, "always").Status; st.Phase != corev1.PodRunning || st.ContainerStatuses[0].Ready ||
				st.ContainerStatuses[0].State.Waiting.Reason != "CrashLoopBackOff" ||
				st.ContainerStatuses[0].LastTerminationState.Terminated.Message != "no fuel" {
				t.Errorf("a pod that waits to be restarted: %+v", st)
			}
			pass(wait*time.Second - 1)
			if p.starts() != int(before) {
				t.Errorf("restart %d came early", before)
			}
			pass(1)
			if p.starts() != int(before)+1 {
				t.Errorf("restart %d did not come after %ds", before, wait)
			}
		}
		for policy, want := range map[corev1.RestartPolicy]corev1.PodPhase{
			corev1.RestartPolicyNever: corev1.PodFailed, corev1.RestartPolicyOnFailure: corev1.PodRunning} {
			one := pod(strings.ToLower(string(policy)))
			one.Spec.RestartPolicy = policy
			made(t, c, one)
			if got := the(t, s, one.Name); got.Status.Phase != want {
				t.Errorf("%s: %+v", policy, got.Status)
			}
		}
		text, err := c.CoreV1().Pods(namespace).GetLogs("always", &corev1.PodLogOptions{Previous: true}).DoRaw(t.Context())
		if err != nil || string(text) != "dying\n" {
			t.Errorf("the log before: %q, %v", text, err)
		}
	})
	final := kubernetes.Config{Runner: &program{run: func(context.Context, *corev1.Pod, io.Writer) error { return nil }}, RestartBackoff: -1}
	bubble(t, final, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		made(t, c, pod("dac-0"))
		if got := the(t, s, "dac-0"); got.Status.Phase != corev1.PodSucceeded {
			t.Errorf("an end that is final: %+v", got.Status)
		}
	})
}

func TestCrash(t *testing.T) {
	p := &program{}
	bubble(t, kubernetes.Config{Runner: p}, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		made(t, c, pod("dac-0"))
		if err := s.CrashPod(namespace, "dac-0"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := the(t, s, "dac-0").Status.ContainerStatuses[0]; st.LastTerminationState.Terminated.ExitCode != 137 {
			t.Errorf("a crashed program: %+v", st)
		}
		pass(10 * time.Second)
		if st := the(t, s, "dac-0").Status; !st.ContainerStatuses[0].Ready || st.ContainerStatuses[0].RestartCount != 1 || p.starts() != 2 {
			t.Errorf("after its restart: %+v", st)
		}
	})
}

func TestNodes(t *testing.T) {
	bubble(t, kubernetes.Config{Nodes: 2, PodsPerNode: 2, Runner: &program{}}, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		for i := range 5 {
			made(t, c, pod(fmt.Sprintf("dac-%d", i)))
		}
		waiting := the(t, s, "dac-4")
		if len(waiting.Status.Conditions) != 1 || waiting.Status.Conditions[0].Reason != corev1.PodReasonUnschedulable {
			t.Errorf("a pod for which there is no room: %+v", waiting.Status)
		}
		if err := s.AddNode("node-2"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if p := the(t, s, "dac-4"); p.Spec.NodeName != "node-2" || !running(p) {
			t.Errorf("with a new node: %+v", p)
		}
		if err := s.Cordon("node-2", true); err != nil {
			t.Fatal(err)
		}
		made(t, c, pod("dac-5"))
		if p := the(t, s, "dac-5"); p.Spec.NodeName != "" {
			t.Errorf("a cordoned node takes a pod: %+v", p)
		}
		if err := s.Cordon("node-2", false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !running(the(t, s, "dac-5")) {
			t.Error("a node that is open again takes no pod")
		}
		made(t, c, pod("dac-6"))
		unmade(t, c, "dac-0", metav1.DeleteOptions{})
		if !running(the(t, s, "dac-6")) {
			t.Error("the room that a deleted pod left is not used")
		}
		if err := c.CoreV1().Nodes().Delete(t.Context(), "node-2", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if the(t, s, "dac-4") != nil || the(t, s, "dac-5") != nil {
			t.Error("pods outlive their node")
		}
	})
}

func TestLostNode(t *testing.T) {
	p := &program{}
	bubble(t, kubernetes.Config{Runner: p}, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		made(t, c, pod("dac-0"))
		made(t, c, pod("dac-1"))
		if err := s.LoseNode("node-0"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if p := the(t, s, "dac-0"); !running(p) || ready(p) {
			t.Errorf("a pod of a lost node: %+v", p.Status)
		}
		unmade(t, c, "dac-1", metav1.DeleteOptions{})
		pass(time.Minute)
		if the(t, s, "dac-1") == nil {
			t.Error("a lost node finished a deletion")
		}
		made(t, c, pod("dac-2"))
		if p := the(t, s, "dac-2"); p.Spec.NodeName != "" {
			t.Errorf("a lost node got a pod: %+v", p)
		}
		if err := s.RestoreNode("node-0"); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		if p := the(t, s, "dac-0"); !running(p) || !ready(p) || p.Status.ContainerStatuses[0].RestartCount != 1 {
			t.Errorf("a pod of a node that is back: %+v", p.Status)
		}
		if the(t, s, "dac-1") != nil || !running(the(t, s, "dac-2")) {
			t.Error("a node that is back does not do what it should")
		}
		if err := s.LoseNode("node-0"); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Minute)
		if p := the(t, s, "dac-0"); p.DeletionTimestamp == nil {
			t.Error("the pods of a lost node are not evicted")
		}
		now := int64(0)
		unmade(t, c, "dac-0", metav1.DeleteOptions{GracePeriodSeconds: &now})
		if the(t, s, "dac-0") != nil {
			t.Error("force does not remove a pod of a lost node")
		}
	})
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestLogs(t *testing.T) {
	more := make(chan string)
	p := &program{run: func(ctx context.Context, _ *corev1.Pod, log io.Writer) error {
		for {
			select {
			case text := <-more:
				fmt.Fprint(log, text)
			case <-ctx.Done():
				return nil
			}
		}
	}}
	s := start(t, kubernetes.Config{Runner: p, LogBytes: 100})
	c := client(t, s)
	logs := func(o corev1.PodLogOptions) (string, error) {
		text, err := c.CoreV1().Pods(namespace).GetLogs("dac-0", &o).DoRaw(within(t))
		return string(text), err
	}
	if _, err := logs(corev1.PodLogOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the log of nothing: %v", err)
	}
	create(t, c, pod("dac-0"))
	await(t, c, "dac-0", "running", running)
	stream, err := c.CoreV1().Pods(namespace).GetLogs("dac-0", &corev1.PodLogOptions{Follow: true}).Stream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stream)
	for i := range 20 {
		more <- fmt.Sprintf("line %02d\n", i)
		if !lines.Scan() || lines.Text() != fmt.Sprintf("line %02d", i) {
			t.Fatalf("followed: %q, %v", lines.Text(), lines.Err())
		}
	}
	two, zero := int64(2), int64(0)
	for want, o := range map[string]corev1.PodLogOptions{
		"line 18\nline 19\n": {TailLines: &two}, "": {TailLines: &zero},
		"li": {LimitBytes: &two},
	} {
		if text, err := logs(o); err != nil || text != want {
			t.Errorf("%+v: %q, %v", o, text, err)
		}
	}
	if text, err := logs(corev1.PodLogOptions{}); err != nil || len(text) > 100 || !strings.HasSuffix(text, "line 19\n") {
		t.Errorf("what is kept: %q, %v", text, err)
	}
	if text, err := logs(corev1.PodLogOptions{TailLines: &two, Timestamps: true}); err != nil || !strings.HasPrefix(text, "20") {
		t.Errorf("with times: %q, %v", text, err)
	}
	for _, o := range []corev1.PodLogOptions{{Container: "other"}, {Previous: true}} {
		if _, err := logs(o); !apierrors.IsBadRequest(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	unmadeHere(t, c)
	if lines.Scan() {
		t.Errorf("after the end: %q", lines.Text())
	}
}

func unmadeHere(t *testing.T, c *clients.Clientset) {
	t.Helper()
	if err := c.CoreV1().Pods(namespace).Delete(within(t), "dac-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	s := start(t, kubernetes.Config{Runner: &program{}})
	c := client(t, s)
	create(t, c, pod("dac-0"))
	await(t, c, "dac-0", "running", running)
	for path, want := range map[string]int{"pods": 1, "pods?labelSelector=app%3Ddac": 1, "pods?labelSelector=app%3Dx": 0} {
		text, err := c.RESTClient().Get().RequestURI("/apis/metrics.k8s.io/v1beta1/namespaces/iota/" + path).DoRaw(within(t))
		var list struct {
			Items []struct {
				Metadata   metav1.ObjectMeta
				Containers []struct{ Usage map[string]string }
			}
		}
		if err == nil {
			err = json.Unmarshal(text, &list)
		}
		if err != nil || len(list.Items) != want {
			t.Fatalf("%s: %s, %v", path, text, err)
		}
		if want == 1 && (list.Items[0].Metadata.Name != "dac-0" || list.Items[0].Containers[0].Usage["cpu"] != "250m" ||
			list.Items[0].Containers[0].Usage["memory"] != "64Mi") {
			t.Errorf("%s: %s", path, text)
		}
	}
}
