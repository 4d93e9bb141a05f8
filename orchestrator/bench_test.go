package orchestrator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/internal/kubernetes"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/rest"
)

// manyInstances is a platform of n instances that all run, with as many resources
// each as per says, and what Kubernetes knows of their pods.
func manyInstances(n, per int) (*memory, *shelf) {
	m, k := newMemory(n*per), &shelf{known: map[fleet.InstanceID]kubernetes.Detail{}}
	for i := range n {
		id, uid := fleet.InstanceID(i), "uid-"+strconv.Itoa(i)
		in := &fleet.TreeInstance{ID: id, Used: per, Capacity: per + 1, Times: 1, Status: fleet.Status{Times: -1}}
		for _, r := range m.rows[i*per : (i+1)*per] {
			in.IDs = append(in.IDs, r.ID)
		}
		m.tree[id] = in
		m.pods[id] = fleet.Pod{Instance: id, UID: uid, Phase: fleet.PhaseRunning}
		k.known[id] = kubernetes.Detail{UID: uid, Node: "node-" + strconv.Itoa(i%100), Image: "dac:1", Restarts: i % 3, Created: time.Now()}
	}
	return m, k
}

// BenchmarkInstances measures GET …/instances of 10,000 instances: for how long
// the machine waits (machine), the service's part (service), the whole answer
// without the network (rest), and beside it encoding/json alone (json): what is
// possible.
func BenchmarkInstances(b *testing.B) {
	const n = 10_000
	m, k := manyInstances(n, 5)
	s := serviceOf(b, m, "leader", func(c *reconcile.Config) {
		c.Limits.InitInstances, c.Limits.MaxInstances, c.Limits.ResourcePerInstance = n, 2*n, 50
	})
	s.details = k
	list := untilActive(b, s, n)
	b.Run("machine", func(b *testing.B) {
		for b.Loop() {
			if err := s.lead(b.Context(), "Thing", false, func(st loop.State) error { instancesOf(st.Machine); return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("service", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Instances(b.Context(), "Thing"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rest", func(b *testing.B) {
		server, err := rest.New(rest.Config{Tokens: []rest.Token{rest.NewToken("r", rest.ScopeRead, "secret")}}, s)
		if err != nil {
			b.Fatal(err)
		}
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/api/orchestrations/Thing/instances", nil)
		r.Header.Set("Authorization", "Bearer secret")
		for b.Loop() {
			w := &counter{header: http.Header{}}
			server.ServeHTTP(w, r)
			b.ReportMetric(float64(w.bytes), "bytes")
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			if _, err := json.Marshal(list); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// counter is a client that takes whatever comes at once.
type counter struct {
	header http.Header
	bytes  int
}

func (c *counter) Header() http.Header         { return c.header }
func (c *counter) Write(p []byte) (int, error) { c.bytes += len(p); return len(p), nil }
func (c *counter) WriteHeader(int)             {}

// untilActive waits until the machine knows n instances that are up.
func untilActive(b *testing.B, s *service, n int) (list api.Instances) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		list, err := s.Instances(ctx, "Thing")
		up := 0
		for _, in := range list.Instances {
			if in.Up && in.Restarts != nil {
				up++
			}
		}
		if err == nil && up == n {
			return list
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			b.Fatalf("%d of %d instances are up: %v", up, n, err)
		}
	}
}
