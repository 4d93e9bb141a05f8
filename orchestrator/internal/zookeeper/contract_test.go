package zookeeper

import (
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/porttest"
	"dacorch/orchestrator/porttest/real"
	standin "dacorch/sim/wire/zookeeper"
)

var (
	_ loop.Election = (*Client)(nil)
	_ loop.Store    = (*Client)(nil)
)

// servers that the adapter is held to the contract with.
var backends = []struct {
	name  string
	start func(t testing.TB) (addr string)
}{
	{"stand-in", startStandIn},
	{"real", func(t testing.TB) string { return real.ZooKeeper(t).Addr }},
}

func startStandIn(t testing.TB) string {
	s, err := standin.Start(standin.Config{TickTime: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Addr()
}

func TestElection(t *testing.T) {
	t.Parallel()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			porttest.Election(t, ensemble(b.start))
		})
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			porttest.Store(t, ensemble(b.start))
		})
	}
}

// sessionTimeout of the members: so long that a loaded machine does not lose
// sessions, so short that a test can wait for one to expire.
const sessionTimeout = 4 * time.Second

func ensemble(start func(testing.TB) string) func(t *testing.T) porttest.EnsembleFixture {
	return func(t *testing.T) porttest.EnsembleFixture {
		addr := start(t)
		stranger := rawConn(t, addr)
		return porttest.EnsembleFixture{
			Join: func(t *testing.T) porttest.EnsembleMember { return join(t, addr) },
			Put: func(t *testing.T, path, data string) {
				_, err := stranger.Set(path, []byte(data), -1)
				if errors.Is(err, zk.ErrNoNode) {
					_, err = stranger.Create(path, []byte(data), 0, zk.WorldACL(zk.PermAll))
				}
				if err != nil {
					t.Fatalf("put %s: %v", path, err)
				}
			},
			Get: func(t *testing.T, path string) (string, int32, bool) {
				data, stat, err := stranger.Get(path)
				if errors.Is(err, zk.ErrNoNode) {
					return "", 0, false
				}
				if err != nil {
					t.Fatalf("get %s: %v", path, err)
				}
				return string(data), stat.Version, true
			},
			Remove: func(t *testing.T, path string) {
				if err := stranger.Delete(path, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
					t.Fatalf("remove %s: %v", path, err)
				}
			},
			Children: func(t *testing.T, path string) []string {
				names, _, err := stranger.Children(path)
				if err != nil && !errors.Is(err, zk.ErrNoNode) {
					t.Fatalf("children of %s: %v", path, err)
				}
				return names
			},
		}
	}
}

// rawConn is a connection of the bare library.
func rawConn(t testing.TB, addr string) *zk.Conn {
	conn, events, err := zk.Connect([]string{addr}, 20*time.Second, zk.WithLogger(quiet{slog.New(slog.DiscardHandler)}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events { // until it has ended
		}
	})
	return conn
}

func join(t *testing.T, addr string) porttest.EnsembleMember {
	p := newProxy(t, addr)
	c, err := New(Config{Servers: []string{p.addr()}, SessionTimeout: sessionTimeout, Coalesce: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	leave := sync.OnceFunc(c.Close)
	t.Cleanup(leave)
	if err := c.awaitConnection(t.Context()); err != nil {
		t.Fatal(err)
	}
	return porttest.EnsembleMember{
		Election: c, Store: c, Leave: leave,
		Cut: p.cut, Partition: p.partition, Expire: p.expire,
		LoseRequest: func() { p.next(loseRequest) },
		LoseAnswer:  func() { p.next(loseAnswer) },
		Before:      p.meanwhile,
	}
}

// realLimited is a ZooKeeper with another limit of a packet's bytes.
func realLimited(t testing.TB, bytes int) string {
	return real.ZooKeeper(t, real.Setting("jute.maxbuffer", strconv.Itoa(bytes))).Addr
}
