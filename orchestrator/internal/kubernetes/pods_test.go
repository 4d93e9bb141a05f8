package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"dacorch/orchestrator/fleet"
	standin "dacorch/sim/wire/kubernetes"
)

// observe starts a Watch whose calls come as lines: "seen 3 Running <uid>",
// "gone 3 <uid>". It ends with the test.
func observe(t *testing.T, c *Client, kind fleet.Kind) <-chan string {
	t.Helper()
	lines := make(chan string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Watch(ctx, kind, func(p fleet.Pod) {
			lines <- fmt.Sprintf("seen %v %v %s", p.Instance, p.Phase, p.UID)
		}, func(id fleet.InstanceID, uid string) {
			lines <- fmt.Sprintf("gone %v %s", id, uid)
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return lines
}

// expect skips lines until the one wanted, and answers those skipped.
func expect(t *testing.T, lines <-chan string, want string) []string {
	t.Helper()
	var skipped []string
	deadline := time.After(60 * time.Second)
	for {
		select {
		case line := <-lines:
			if line == want {
				return skipped
			}
			skipped = append(skipped, line)
		case <-deadline:
			t.Fatalf("waited in vain for %q, got %q", want, skipped)
		}
	}
}

// TestAdoption: the first orchestrator's pods, which bear only the name and
// instanceId, become ours at the start of a watch, by a listing, and when they
// have the name of a pod that is to be created. Others do not.
func TestAdoption(t *testing.T) {
	c := startCluster(t, standin.Config{})
	instance := func(id string) map[string]string { return map[string]string{labelInstance: id, "app": "old"} }
	old := c.create(t, "iota-dac-0", instance("0"))
	others := []string{
		c.create(t, "iota-dac-1", instance("2")),                   // another's number
		c.create(t, "iota-dac-03", instance("03")),                 // not as we write it
		c.create(t, "iota-dac-x", instance("x")),                   // no number
		c.create(t, "iota-dac-4", map[string]string{"app": "old"}), // no instanceId
		c.create(t, "iota-dac-99999999", instance("99999999")),     // too great
		c.create(t, "iota-dac-5", map[string]string{labelInstance: "5", labelOrchestrator: "green"}),
	}
	var controlled corev1.Pod
	owned := template(t)
	yes := true
	owned.Name, owned.Labels = "iota-dac-6", instance("6")
	owned.OwnerReferences = append(owned.OwnerReferences, ownerReference(&yes))
	c.do(t, http.MethodPost, "pods", owned, &controlled)
	others = append(others, string(controlled.UID))

	client := c.client(t, nil)
	lines := observe(t, client, things)
	told := expect(t, lines, "seen 0 Running "+old)
	c.event(t, old, reasonAdopted, "it had an instance's name and no owner", 1)

	second := c.create(t, "iota-dac-7", instance("7"))
	_, err := client.Create(t.Context(), things, 7, "new")
	for again := 0; err != nil && strings.Contains(err.Error(), "could not be adopted") && again < 100; again++ { // it changed meanwhile
		_, err = client.Create(t.Context(), things, 7, "new")
	}
	if !errors.Is(err, fleet.ErrPodExists) || !strings.Contains(err.Error(), "and is adopted") {
		t.Errorf("creation under the name of a pod to be adopted: %v, want ErrPodExists", err)
	}
	told = append(told, expect(t, lines, "seen 7 Running "+second)...)
	third := c.create(t, "iota-dac-8", instance("8"))
	pods, err := client.List(t.Context(), things)
	for again := 0; err == nil && len(pods) < 3 && again < 100; again++ { // a pod that changes meanwhile is met again by the next listing
		pods, err = client.List(t.Context(), things)
	}
	if err != nil || len(pods) != 3 || pods[2].UID != third {
		t.Errorf("listed %v, %v; want 0, 7 and 8", pods, err)
	}
	told = append(told, expect(t, lines, "seen 8 Running "+third)...)
	if labels := c.pod("iota-dac-8").Labels; labels["app"] != "old" || labels[labelKind] != "Thing" {
		t.Errorf("an adopted pod's labels: %v", labels)
	}
	for _, line := range told {
		if slices.ContainsFunc(others, func(uid string) bool { return strings.HasSuffix(line, uid) }) {
			t.Errorf("told: %s, which is not to be adopted", line)
		}
	}
	for _, id := range []fleet.InstanceID{1, 4, 5, 6} {
		if _, err := client.Create(t.Context(), things, id, "new"); !errors.Is(err, fleet.ErrPodForeign) {
			t.Errorf("creation of instance %v: %v, want ErrPodForeign", id, err)
		}
	}
	if n := client.Stats().Adopted; n != 3 {
		t.Errorf("%d adopted, want 3", n)
	}
}

func TestIgnoreUnlabelled(t *testing.T) {
	c := startCluster(t, standin.Config{})
	c.create(t, "iota-dac-0", map[string]string{labelInstance: "0"})
	client := c.client(t, func(cfg *Config) { cfg.IgnoreUnlabelled = true })
	if pods, err := client.List(t.Context(), things); err != nil || len(pods) != 0 {
		t.Errorf("listed %v, %v; want nothing", pods, err)
	}
	if _, err := client.Create(t.Context(), things, 0, "new"); !errors.Is(err, fleet.ErrPodForeign) {
		t.Errorf("creation: %v, want ErrPodForeign", err)
	}
	if n := c.requests.count("patch pods"); n != 0 {
		t.Errorf("%d pods patched", n)
	}
}

// TestTwoOrchestrators: neither touches what the other has made.
func TestTwoOrchestrators(t *testing.T) {
	c := startCluster(t, standin.Config{})
	blue := c.client(t, func(cfg *Config) { cfg.Orchestrator = "blue" })
	green := c.client(t, func(cfg *Config) { cfg.Orchestrator = "green" })
	uid, err := blue.Create(t.Context(), things, 0, "new")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := green.Create(t.Context(), things, 0, "new"); !errors.Is(err, fleet.ErrPodForeign) || !strings.Contains(err.Error(), "blue") {
		t.Errorf("creation: %v, want ErrPodForeign that names blue", err)
	}
	if err := green.Delete(t.Context(), things, 0, uid, "mine?"); !errors.Is(err, fleet.ErrPodForeign) {
		t.Errorf("deletion: %v, want ErrPodForeign", err)
	}
	if pods, err := green.List(t.Context(), things); err != nil || len(pods) != 0 {
		t.Errorf("listed %v, %v; want nothing", pods, err)
	}
}

// TestLabelsLost: a watch by labels calls a pod deleted whose labels were taken
// away. It is not told as gone, for it runs; it becomes ours again.
func TestLabelsLost(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, nil)
	lines := observe(t, client, things)
	uid, err := client.Create(t.Context(), things, 0, "new")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "seen 0 Running "+uid)
	c.do(t, http.MethodPatch, "pods/iota-dac-0", map[string]any{"metadata": map[string]any{
		"labels": map[string]any{labelManagedBy: nil, labelKind: nil, labelOrchestrator: nil}}}, nil)
	until(t, "the labels are back", func() bool { return c.pod("iota-dac-0").Labels[labelKind] == "Thing" })
	c.remove(t, "iota-dac-0")
	// Its labels' return may be seen, and the mark of its deletion.
	if between := expect(t, lines, "gone 0 "+uid); slices.ContainsFunc(between, func(l string) bool { return l != "seen 0 Running "+uid }) {
		t.Errorf("told before: %q", between)
	}
}

// TestPages: a listing of many pages is complete, also when the server forgets
// the moment of the first between two of them.
func TestPages(t *testing.T) {
	c := startCluster(t, standin.Config{})
	compacted := 0
	client := c.client(t, func(cfg *Config) {
		cfg.PageSize = 3
		cfg.IgnoreUnlabelled = true
		cfg.Rest.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Query().Get("continue") != "" && compacted == 1 {
					c.Compact()
					compacted++
				}
				return next.RoundTrip(r)
			})
		})
	})
	for id := range fleet.InstanceID(20) {
		if _, err := client.Create(t.Context(), things, id, "new"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		before := c.requests.count("list pods")
		pods, err := client.List(t.Context(), things)
		if err != nil || len(pods) != 20 {
			t.Fatalf("listed %d pods, %v; want 20", len(pods), err)
		}
		for i, p := range pods {
			if p.Instance != fleet.InstanceID(i) {
				t.Errorf("place %d of the list is instance %v", i, p.Instance)
			}
		}
		want := 7 // pages of 3
		if compacted > 0 {
			want = 3 // a page, one refused, all
		}
		if got := c.requests.count("list pods") - before; got != want {
			t.Errorf("listed with %d requests, want %d", got, want)
		}
		compacted++
	}
}

// TestAskedToSlowDown: after an answer 429 every call succeeds, with one attempt
// more for the one that was refused.
func TestAskedToSlowDown(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, nil)
	c.Refuse(1, http.StatusTooManyRequests, isPost)
	var wg sync.WaitGroup
	for id := range fleet.InstanceID(5) {
		wg.Go(func() {
			if _, err := client.Create(t.Context(), things, id, "new"); err != nil {
				t.Errorf("instance %v: %v", id, err)
			}
		})
	}
	wg.Wait()
	if s := client.Stats(); s.Throttled != 1 || s.Retried != 1 || s.Created != 5 {
		t.Errorf("counted %+v; want 1 throttled, 1 retried, 5 created", s)
	}
}

// TestAnswersHeeded: which answers ask for a pause.
func TestAnswersHeeded(t *testing.T) {
	for _, test := range []struct {
		code   int
		header string
		pause  bool
	}{
		{http.StatusTooManyRequests, "50", true},
		{http.StatusTooManyRequests, "99999999999", true},
		{http.StatusTooManyRequests, "1000000", true},
		{http.StatusServiceUnavailable, "50", true},
		{http.StatusInternalServerError, "", false},
		{http.StatusOK, "50", false},
	} {
		c := &Client{limiter: newLimiter(1, 1)}
		transport := c.watchAnswers(roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: test.code, Header: http.Header{"Retry-After": {test.header}}, Body: http.NoBody}, nil
		}))
		resp, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if p := c.limiter.pause(); (p > 0) != test.pause || p > maxHold || (c.Stats().Throttled == 1) != test.pause {
			t.Errorf("%d, Retry-After %s: a pause of %v, %d counted", test.code, test.header, p, c.Stats().Throttled)
		}
	}
}

// TestPause: a pause is for every request, is bounded, and ends waiting calls
// with their context.
func TestPause(t *testing.T) {
	l := newLimiter(1000, 1000)
	l.hold(100 * time.Hour)
	if p := l.pause(); p > maxHold {
		t.Errorf("a pause of %v, want at most %v", p, maxHold)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waited: %v", err)
	}
}

// TestTriedAgain: failures that are the server's are tried again, refusals are
// not, and neither goes on for ever.
func TestTriedAgain(t *testing.T) {
	for _, test := range []struct {
		code, refusals int
		posts          int
		created        bool
	}{
		{http.StatusInternalServerError, 2, 3, true},
		{http.StatusGatewayTimeout, 2, 3, true},
		{http.StatusForbidden, 1, 1, false},
		{http.StatusInternalServerError, standin.Always, maxAttempts, false},
	} {
		c := startCluster(t, standin.Config{})
		client := c.client(t, nil)
		c.Refuse(test.refusals, test.code, isPost)
		uid, err := client.Create(t.Context(), things, 0, "new")
		if (err == nil) != test.created || (uid != "") != test.created {
			t.Errorf("%d, %d times: created %q, %v", test.code, test.refusals, uid, err)
		}
		if n := c.requests.count("create pods"); n != test.posts {
			t.Errorf("%d, %d times: %d creations requested, want %d", test.code, test.refusals, n, test.posts)
		}
	}
}

// TestLateAnswer: an answer that does not come in time is as one that is lost.
func TestLateAnswer(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, func(cfg *Config) { cfg.RequestTimeout = 200 * time.Millisecond })
	c.AnswerLate(1, time.Hour, isPost)
	uid, err := client.Create(t.Context(), things, 0, "new")
	if err != nil || uid != string(c.pod("iota-dac-0").UID) {
		t.Errorf("created %q, %v; want %s", uid, err, c.pod("iota-dac-0").UID)
	}
}

// TestStall: calls to a server that holds every connection still end, and a
// watch goes on when it is over.
func TestStall(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, func(cfg *Config) { cfg.RequestTimeout = 100 * time.Millisecond })
	lines := observe(t, client, things)
	uid, err := client.Create(t.Context(), things, 0, "new")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "seen 0 Running "+uid)
	c.Stall(true)
	if _, err := client.List(t.Context(), things); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("listed: %v, want %v", err, context.DeadlineExceeded)
	}
	c.Stall(false)
	if err := client.Delete(t.Context(), things, 0, uid, "over"); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "gone 0 "+uid)
}

// TestReplaced: the event on the new pod says why the one before went.
func TestReplaced(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, nil)
	lines := observe(t, client, things)
	first, err := client.Create(t.Context(), things, 0, "new instance")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "seen 0 Running "+first)
	if err := client.Delete(t.Context(), things, 0, first, "silent for 90s"); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "gone 0 "+first)
	second, err := client.Create(t.Context(), things, 0, "its pod is missing")
	if err != nil {
		t.Fatal(err)
	}
	c.event(t, first, reasonCreated, "new instance", 1)
	c.event(t, first, reasonDeleted, "silent for 90s", 1)
	c.event(t, second, reasonReplaced, "its pod is missing; the pod before was deleted: silent for 90s", 1)
	if n := c.requests.count("get pods"); n != 0 {
		t.Errorf("%d pods read one by one: the watch knows them", n)
	}
}

// TestKubeconfig reaches the cluster as kubectl would, and is refused without
// the token.
func TestKubeconfig(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	c := startCluster(t, standin.Config{Token: "secret", TLS: certified.TLS})
	path := filepath.Join(t.TempDir(), "config")
	if err := c.WriteKubeconfig(path); err != nil {
		t.Fatal(err)
	}
	client := c.client(t, func(cfg *Config) { cfg.Rest, cfg.Kubeconfig = nil, path })
	if _, err := client.Create(t.Context(), things, 0, "new"); err != nil {
		t.Error(err)
	}
	anonymous := c.client(t, func(cfg *Config) {
		cfg.Rest = &rest.Config{Host: c.URL(), TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	})
	if _, err := anonymous.List(t.Context(), things); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("listed without a token: %v", err)
	}
}
