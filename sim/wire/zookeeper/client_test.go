package zookeeper

import (
	"net"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

const patience = 30 * time.Second // only fails a test

// start runs a server that goes with the test.
func start(t testing.TB, config Config) *Server {
	t.Helper()
	if config.TickTime == 0 {
		config.TickTime = 50 * time.Millisecond
		config.MaxSessionTimeout = time.Minute
	}
	s, err := Start(config)
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

// client is a real client with what it hears of its session.
type client struct {
	*zk.Conn
	states chan zk.State
}

// connect opens a session with the real client library.
func connect(t testing.TB, addr string, timeout time.Duration) *client {
	t.Helper()
	c := connectLater(t, addr, timeout)
	c.await(t, zk.StateHasSession)
	return c
}

// connectLater does not wait for the session.
func connectLater(t testing.TB, addr string, timeout time.Duration) *client {
	t.Helper()
	c := &client{states: make(chan zk.State, 1000)}
	conn, _, err := zk.Connect([]string{addr}, timeout, zk.WithLogInfo(false), zk.WithLogger(quiet{}),
		zk.WithEventCallback(func(e zk.Event) {
			if e.Type == zk.EventSession {
				c.states <- e.State
			}
		}), zk.WithDialer(func(network, address string, timeout time.Duration) (net.Conn, error) {
			return net.DialTimeout(network, address, timeout)
		}))
	if err != nil {
		t.Fatal(err)
	}
	c.Conn = conn
	t.Cleanup(conn.Close)
	return c
}

// await waits until the session is in a state.
func (c *client) await(t testing.TB, want zk.State) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-c.states:
			if got == want {
				return
			}
		case <-deadline:
			t.Fatalf("the client did not come to %v within %v", want, patience)
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var open = zk.WorldACL(zk.PermAll)

// heard waits for a watch's event.
func heard(t testing.TB, ch <-chan zk.Event) zk.Event {
	t.Helper()
	select {
	case e := <-ch:
		return e
	case <-time.After(patience):
		t.Fatalf("no event within %v", patience)
		return zk.Event{}
	}
}

// eventually waits for what a server does on its own.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
