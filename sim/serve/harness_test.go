package serve

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/scenarios"
)

// small is a scenario that does a little of everything.
const small = `
name: small
about: For the tests of the server.
seed: 3
duration: 30m
heal: 25m
kinds:
  - {kind: Thing, resources: 200, initInstances: 4, maxInstances: 20, resourcePerInstance: 60}
  - {kind: Rule, resources: 10, initInstances: 3}
nodes: {count: 3, podsPerNode: 8}
churn:
  - {kind: Thing, create: 1/s, delete: 1/s}
faults:
  - {at: 3m, for: 1m, mqtt: lose, chance: 50%}
  - {at: 6m, pod: crash, kind: Thing, instance: 1}
  - {at: 12m, for: 40s, orchestrator: crash}
orders:
  - {at: 9m, kind: Thing, orchestrate: {resourcePerInstance: 25}}
expect: [resources_unplaced_max < 1000]
`

// patience only ever fails a test.
const patience = 30 * time.Second

func parsed(t testing.TB, text string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// paused is a server whose time stands still, and what takes it on.
func paused(t testing.TB, text string) *Server {
	t.Helper()
	return made(t, Config{Program: "test", Scenario: parsed(t, text), Paused: true, Dir: t.TempDir()})
}

func made(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// until has a simulation go on to a moment, as fast as it can.
func (s *Server) until(at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goOn(at, time.Now().Add(time.Hour))
}

// client serves over HTTP until the test ends.
func client(t testing.TB, s *Server) *api.Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	c, err := api.New(api.Config{URL: "http://" + ln.Addr().String(), Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// ok is a call's answer.
func ok[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantCode is what a call is refused with.
func wantCode(t testing.TB, what string, err error, code api.Code, says string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, says) {
		t.Errorf("%s: %v, want %s and %q", what, err, code, says)
	}
}
