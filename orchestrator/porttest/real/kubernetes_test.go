package real

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestKubernetesKeepsDataAndHasNoGuests(t *testing.T) {
	c := Kubernetes(t)
	made := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "kept"}}
	if err := c.Do(t.Context(), "POST", "/api/v1/namespaces/default/configmaps", made, nil); err != nil {
		t.Fatal(err)
	}
	c.API.Kill()
	c.Etcd.Kill()
	c.Etcd.Start()
	c.API.Start()
	if err := c.Do(t.Context(), "GET", "/api/v1/namespaces/default/configmaps/kept", nil, nil); err != nil {
		t.Error(err)
	}
	c.Token, c.http.Transport = "", bearer{"guessed", c.http.Transport.(bearer).next}
	if err := c.Do(t.Context(), "GET", "/api/v1/namespaces", nil, nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with a token that nobody gave: %v, want 401", err)
	}
}

// What is compacted cannot be watched from.
func TestKubernetesCompacts(t *testing.T) {
	c := Kubernetes(t)
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := c.Do(t.Context(), "GET", "/api/v1/namespaces/default/pods", nil, &list); err != nil {
		t.Fatal(err)
	}
	c.Compact(t)
	var event struct{ Object struct{ Code int } }
	err := c.Do(t.Context(), "GET", "/api/v1/namespaces/default/pods?watch=1&timeoutSeconds=20&resourceVersion="+list.Metadata.ResourceVersion, nil, &event)
	if (err == nil || !strings.Contains(err.Error(), "410")) && event.Object.Code != 410 {
		t.Errorf("a watch from before: %v, %+v; want 410", err, event)
	}
}

// All components together: a pod gets a node, and runs.
func TestKubernetesRunsAPod(t *testing.T) {
	c := Kubernetes(t, Controllers, Scheduler, Kwok)
	node := map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "node-0"},
		"status": map[string]any{"capacity": map[string]any{"cpu": "8", "memory": "8Gi", "pods": "10"}}}
	if err := c.Do(t.Context(), "POST", "/api/v1/nodes", node, nil); err != nil {
		t.Fatal(err)
	}
	const pods = "/api/v1/namespaces/default/pods"
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "none"}}}}
	within := time.After(startWithin)
	again := func(what string, done func() error) {
		for err := done(); err != nil; err = done() {
			select {
			case <-within:
				t.Fatalf("%s: %v", what, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	again("the account of pods is not there yet", func() error { return c.Do(t.Context(), "POST", pods, pod, nil) })
	var p struct {
		Spec   struct{ NodeName string }
		Status struct{ Phase string }
	}
	again("the pod runs", func() error {
		err := c.Do(t.Context(), "GET", pods+"/p", nil, &p)
		if err == nil && (p.Spec.NodeName != "node-0" || p.Status.Phase != "Running") {
			err = errNotYet{p}
		}
		return err
	})
	if err := c.Do(t.Context(), "DELETE", pods+"/p", nil, nil); err != nil {
		t.Fatal(err)
	}
	again("the pod is gone", func() error {
		if err := c.Do(t.Context(), "GET", pods+"/p", nil, &p); err == nil || !strings.Contains(err.Error(), "404") {
			return errNotYet{err}
		}
		return nil
	})
	for _, s := range slices.Backward(append([]*Server{c.Etcd, c.API}, c.Others...)) { // each needs those before it
		if s.PID() == 0 {
			t.Errorf("%s does not run", s.name)
		}
		s.Stop()
	}
}

type errNotYet struct{ seen any }

func (e errNotYet) Error() string { return "not yet" }
