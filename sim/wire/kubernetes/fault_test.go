package kubernetes_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"dacorch/sim/wire/kubernetes"
)

func posts(method, _ string) bool { return method == http.MethodPost }

// once is a client that tries nothing twice: client-go itself retries what is
// answered with Retry-After.
func once(t *testing.T, s *kubernetes.Server) *clients.Clientset {
	t.Helper()
	config := restConfig(s)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return withoutRetry{next} })
	c, err := clients.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type withoutRetry struct{ next http.RoundTripper }

func (w withoutRetry) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := w.next.RoundTrip(r)
	if err == nil {
		a.Header.Del("Retry-After")
	}
	return a, err
}

func TestRefuse(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := once(t, s)
	for code, is := range map[int]func(error) bool{
		http.StatusUnauthorized: apierrors.IsUnauthorized, http.StatusForbidden: apierrors.IsForbidden,
		http.StatusNotFound: apierrors.IsNotFound, http.StatusConflict: apierrors.IsConflict,
		http.StatusGone: apierrors.IsResourceExpired, http.StatusTooManyRequests: apierrors.IsTooManyRequests,
		http.StatusInternalServerError: apierrors.IsInternalError, http.StatusServiceUnavailable: apierrors.IsServiceUnavailable,
		http.StatusGatewayTimeout: apierrors.IsTimeout,
	} {
		end := s.Refuse(kubernetes.Always, code, posts)
		_, err := c.CoreV1().Pods(namespace).Create(within(t), pod("dac-0"), metav1.CreateOptions{})
		if !is(err) {
			t.Errorf("refused with %d: %v", code, err)
		}
		if wait, asked := apierrors.SuggestsClientDelay(err); code == http.StatusTooManyRequests && (!asked || wait != 1) {
			t.Errorf("429 suggests no delay: %v", err)
		}
		if _, err := c.CoreV1().Pods(namespace).List(within(t), metav1.ListOptions{}); err != nil {
			t.Errorf("what does not match is refused: %v", err)
		}
		end()
	}
	s.Refuse(1, http.StatusTooManyRequests, nil)
	if _, err := client(t, s).CoreV1().Pods(namespace).List(within(t), metav1.ListOptions{}); err != nil {
		t.Errorf("client-go does not try again after one 429: %v", err)
	}
	if len(s.Pods()) != 0 {
		t.Error("what was refused was carried out")
	}
}

func TestAnswerThenCut(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s)
	s.AnswerThenCut(1, posts)
	_, err := c.CoreV1().Pods(namespace).Create(within(t), pod("dac-0"), metav1.CreateOptions{})
	var status apierrors.APIStatus
	if err == nil || errors.As(err, &status) {
		t.Fatalf("a cut connection answers %v", err)
	}
	await(t, c, "dac-0", "running", running)

	s.Drop(1, posts)
	if _, err := c.CoreV1().Pods(namespace).Create(within(t), pod("dac-1"), metav1.CreateOptions{}); err == nil {
		t.Error("a dropped request was answered")
	}
	if len(s.Pods()) != 1 {
		t.Error("a dropped request was carried out")
	}
}

// TestLateAnswers looks at the world while an answer is held back.
func TestLateAnswers(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s)
	s.AnswerLate(1, time.Hour, posts)
	ctx, cancel := context.WithCancel(within(t))
	answered := make(chan error, 1)
	go func() {
		_, err := c.CoreV1().Pods(namespace).Create(ctx, pod("dac-0"), metav1.CreateOptions{})
		answered <- err
	}()
	await(t, c, "dac-0", "running", running)
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("the answer came: %v", err)
	}

	end := s.Delay(1, time.Hour, posts)
	ctx, cancel = context.WithTimeout(within(t), time.Millisecond)
	defer cancel()
	if _, err := c.CoreV1().Pods(namespace).Create(ctx, pod("dac-1"), metav1.CreateOptions{}); err == nil {
		t.Error("a delayed request was answered at once")
	}
	end() // the request may never have come so far
	if len(s.Pods()) != 1 {
		t.Error("a request whose client went before its time was carried out")
	}
	s.AnswerLate(1, time.Millisecond, posts)
	create(t, c, pod("dac-2"))
}

func TestStall(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s)
	n := follow(t, s)
	s.Stall(true)
	s.Stall(true)
	answered := make(chan error, 1)
	go func() {
		_, err := c.CoreV1().Pods(namespace).Create(within(t), pod("dac-0"), metav1.CreateOptions{})
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a stalled server answers: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	s.Heal()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	n.until(t, 1, 1)
}

func TestToken(t *testing.T) {
	secure, err := kubernetes.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, kubernetes.Config{Token: "hush", TLS: secure})
	path := filepath.Join(t.TempDir(), "config")
	if err := s.WriteKubeconfig(path); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	for token, is := range map[string]bool{"hush": true, "hash": false, "": false} {
		config := rest.CopyConfig(config)
		config.BearerToken = token
		c, err := clients.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.CoreV1().Nodes().List(within(t), metav1.ListOptions{}); (err == nil) != is || !is && !apierrors.IsUnauthorized(err) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	open := start(t, kubernetes.Config{Token: "hush"})
	if err := open.WriteKubeconfig(path); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("a kubeconfig whose token no client would send: %v", err)
	}
}

func TestFailAndHang(t *testing.T) {
	p := &program{}
	s := start(t, kubernetes.Config{Runner: p})
	c := client(t, s)
	create(t, c, pod("dac-0"))
	await(t, c, "dac-0", "running", running)
	if err := s.HangPod(namespace, "dac-0"); err != nil || len(p.hung) != 1 {
		t.Errorf("hang: %v, %v", err, p.hung)
	}
	if err := s.FailPod(namespace, "dac-0", "Evicted"); err != nil {
		t.Fatal(err)
	}
	got := await(t, c, "dac-0", "failed", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	if got.Status.Reason != "Evicted" || got.Status.ContainerStatuses[0].State.Terminated == nil {
		t.Errorf("a failed pod: %+v", got.Status)
	}
	for _, err := range []error{s.FailPod(namespace, "dac-0", "Evicted"), s.FailPod(namespace, "dac-9", "Evicted"),
		s.HangPod(namespace, "dac-9"), s.CrashPod(namespace, "dac-0"), s.CrashPod(namespace, "dac-9"),
		s.LoseNode("node-9"), s.RestoreNode("node-9"), s.AddNode("node-0"), s.AddNode("No!"), s.Cordon("node-9", true)} {
		if err == nil {
			t.Error("what cannot be done was done")
		}
	}
	idle := start(t, kubernetes.Config{})
	create(t, client(t, idle), pod("dac-0"))
	if err := idle.HangPod(namespace, "dac-0"); err == nil {
		t.Error("a runner that cannot hang hung")
	}
}

// Judge decides about each request: it is refused, carried out or not, and late.
func TestJudge(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s)
	verdicts := map[string]kubernetes.Verdict{"dac-0": {Code: http.StatusInternalServerError, Done: true}, "dac-1": {Code: http.StatusConflict}, "dac-2": {Late: time.Millisecond}}
	var name atomic.Value
	s.Judge(func(q kubernetes.Request) kubernetes.Verdict {
		if n, is := name.Load().(string); is && q.Method == http.MethodPost && strings.HasSuffix(q.Path, "/pods") && !q.Watch {
			return verdicts[n]
		}
		return kubernetes.Verdict{}
	})
	for n, want := range map[string]func(error) bool{"dac-0": apierrors.IsInternalError, "dac-1": apierrors.IsConflict, "dac-2": func(err error) bool { return err == nil }} {
		name.Store(n)
		if _, err := c.CoreV1().Pods(namespace).Create(within(t), pod(n), metav1.CreateOptions{}); !want(err) {
			t.Errorf("%s: %v", n, err)
		}
	}
	there := map[string]bool{}
	for _, p := range s.Pods() {
		there[p.Name] = true
	}
	if !there["dac-0"] || there["dac-1"] || !there["dac-2"] {
		t.Errorf("there are %v", there)
	}
	s.Judge(nil)
	create(t, c, pod("dac-1"))
}

// Watches that are silent tell everything when they speak again; late ones tell
// it late.
func TestSilentWatches(t *testing.T) {
	bubble(t, kubernetes.Config{}, func(t *testing.T, s *kubernetes.Server, c *clients.Clientset) {
		w, err := c.CoreV1().Pods(namespace).Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		told := func() (n int) {
			for synctest.Wait(); ; n++ {
				select {
				case <-w.ResultChan():
					synctest.Wait()
				default:
					return n
				}
			}
		}
		s.SilenceWatches(true)
		made(t, c, pod("dac-0"))
		if n := told(); n != 0 {
			t.Errorf("a silent watch told of %d", n)
		}
		s.SilenceWatches(false)
		if n := told(); n == 0 {
			t.Error("a watch that speaks again tells nothing")
		}
		s.DelayWatches(time.Minute)
		made(t, c, pod("dac-1"))
		if n := told(); n != 0 {
			t.Errorf("a late watch told of %d at once", n)
		}
		pass(2 * time.Minute)
		if n := told(); n == 0 {
			t.Error("a late watch tells nothing")
		}
	})
}
