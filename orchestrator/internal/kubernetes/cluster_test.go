package kubernetes

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
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

const (
	things fleet.Kind = "Thing"
	rules  fleet.Kind = "Rule" // its programs end only when they are let
)

// cluster is a stand-in for Kubernetes, and what only its owner can do to it.
type cluster struct {
	*standin.Server
	programs *programs
	requests requests
}

func startCluster(t *testing.T, config standin.Config) *cluster {
	t.Helper()
	c := &cluster{programs: &programs{release: make(chan struct{})}}
	config.Namespaces = []string{"iota", "elsewhere"}
	config.Runner = c.programs
	config.RestartBackoff = cmp.Or(config.RestartBackoff, -1)
	server, err := standin.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	c.Server = server
	t.Cleanup(func() {
		c.programs.letEnd()
		server.Close()
	})
	return c
}

// client is an adapter to the cluster. Its requests are recorded.
func (c *cluster) client(t *testing.T, change func(*Config)) *Client {
	t.Helper()
	cfg := configOf(t, &rest.Config{Host: c.URL()}, "")
	cfg.Rest.Wrap(c.requests.record)
	if change != nil {
		change(&cfg)
	}
	return newClient(t, cfg)
}

// configOf is an adapter's configuration with the tests' two kinds; "" stands for
// the usual namespace.
func configOf(t *testing.T, server *rest.Config, namespace string) Config {
	t.Helper()
	return Config{Rest: server, Namespace: namespace, QPS: 1000, Burst: 1000, Kinds: map[fleet.Kind]KindConfig{
		things: {InstanceName: "iota-dac", Template: template(t)},
		rules:  {InstanceName: "iota-rules-engine", Template: template(t), GracePeriod: 5 * time.Minute},
	}}
}

// newClient is an adapter that the test's end closes.
func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	client, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

const plainTemplate = `
apiVersion: v1
kind: Pod
metadata:
  name: placeholder
  labels: {app: dac, instanceId: ""}
  annotations: {note: kept}
spec:
  containers:
    - name: dac
      image: dac:1
      env:
        - {name: INSTANCE_ID, value: ""}
        - {name: OTHER, value: "7"}
`

func template(t *testing.T) *corev1.Pod {
	t.Helper()
	pod, err := ParseTemplate([]byte(plainTemplate))
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// programs run in the cluster's containers: they wait to be stopped, and those
// of kind Rule then for release.
type programs struct {
	release chan struct{}
	once    sync.Once
}

func (p *programs) letEnd() { p.once.Do(func() { close(p.release) }) }

func (p *programs) Run(ctx context.Context, pod *corev1.Pod, _ io.Writer) error {
	<-ctx.Done()
	if pod.Labels[labelKind] == string(rules) {
		select {
		case <-p.release:
		case <-standin.Killed(ctx).Done():
		}
	}
	return nil
}

// requests are the verbs and resources that were asked for, as roles name them.
type requests struct {
	mu   sync.Mutex
	seen map[string]int // "verb resource"
}

func (r *requests) record(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		r.mu.Lock()
		if r.seen == nil {
			r.seen = map[string]int{}
		}
		r.seen[verbOf(req)]++
		r.mu.Unlock()
		return next.RoundTrip(req)
	})
}

func verbOf(req *http.Request) string {
	rest := strings.TrimPrefix(req.URL.Path, "/api/v1/namespaces/iota/")
	resource, name, _ := strings.Cut(rest, "/")
	verb := map[string]string{"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete", "GET": "get"}[req.Method]
	switch {
	case name == "" && req.URL.Query().Get("watch") != "":
		verb = "watch"
	case name == "" && verb == "get":
		verb = "list"
	case name == "" && verb == "delete":
		verb = "deletecollection"
	}
	return verb + " " + resource
}

func (r *requests) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[what]
}

// asked is everything that was asked for, sorted.
func (r *requests) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.seen))
}

// do sends a request that is not the adapter's.
func (c *cluster) do(t *testing.T, method, path string, body, into any) {
	t.Helper()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL()+"/api/v1/namespaces/iota/"+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %d, %v: %s", method, path, resp.StatusCode, err, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatal(err)
		}
	}
}

// create makes a pod that is not the adapter's, and answers its UID.
func (c *cluster) create(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	var made corev1.Pod
	pod := template(t)
	pod.Name, pod.Labels = name, labels
	c.do(t, http.MethodPost, "pods", pod, &made)
	return string(made.UID)
}

// remove deletes a pod at once, and returns when it has gone.
func (c *cluster) remove(t *testing.T, name string) {
	t.Helper()
	uid := c.pod(name).UID
	c.do(t, http.MethodDelete, "pods/"+name+"?gracePeriodSeconds=0", nil, nil)
	until(t, name+" is gone", func() bool { return c.pod(name).UID != uid })
}

// pod is the pod of that name, an empty one when there is none.
func (c *cluster) pod(name string) corev1.Pod {
	for _, p := range c.Pods() {
		if p.Namespace == "iota" && p.Name == name {
			return p
		}
	}
	return corev1.Pod{}
}

func (c *cluster) events(t *testing.T) []corev1.Event {
	t.Helper()
	var list corev1.EventList
	c.do(t, http.MethodGet, "events", nil, &list)
	return list.Items
}

// event waits for an event that is as wanted.
func (c *cluster) event(t *testing.T, uid, reason, message string, count int32) {
	t.Helper()
	var got []corev1.Event
	until(t, fmt.Sprintf("event %s: %s", reason, message), func() bool {
		got = c.events(t)
		for _, e := range got {
			if string(e.InvolvedObject.UID) == uid && e.Reason == reason && e.Message == message && e.Count == count {
				return true
			}
		}
		return false
	})
}

// until asks again and again, until the deadline fails the test.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline, tick := time.After(60*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func isPost(method, path string) bool {
	return method == http.MethodPost && strings.HasSuffix(path, "/pods")
}
