package zookeeper

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
	standin "dacorch/sim/wire/zookeeper"
)

func open(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestConfig(t *testing.T) {
	good := func() Config { return Config{Servers: []string{"127.0.0.1:1"}} }
	for name, spoil := range map[string]func(*Config){
		"servers":         func(c *Config) { c.Servers = nil },
		"host:port":       func(c *Config) { c.Servers = []string{"localhost"} },
		"session timeout": func(c *Config) { c.SessionTimeout = time.Millisecond },
		"request":         func(c *Config) { c.MaxRequest = 10 },
		"crwda":           func(c *Config) { c.OthersMay = "x" },
	} {
		cfg := good()
		spoil(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want an error that says so", name, err)
		}
	}
}

// Nobody answers: everything ends with its context or with Close, and nothing of
// it stays.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, err := New(Config{Servers: []string{addr}, User: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.Commit(t.Context(), "Thing", &fleet.Txn{}); o != fleet.OutcomeFailed || err == nil {
		t.Errorf("commit: %v, %v, want failed", o, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ReadTree(ended, "Thing"); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	answers := make(chan error, 4)
	go func() {
		answers <- c.Lead(t.Context(), "Thing", fleet.Candidate{}, func(context.Context, int64, func() bool) {})
	}()
	go func() { answers <- c.WatchLeader(t.Context(), "Thing", func(fleet.Candidate) {}) }()
	go func() { answers <- c.WatchStatus(t.Context(), "Thing", func(fleet.InstanceID, fleet.Status) {}) }()
	go func() {
		_, err := c.ReadTree(t.Context(), "Thing")
		answers <- err
	}()
	c.Close()
	for range cap(answers) {
		if err := <-answers; !errors.Is(err, ErrClosed) {
			t.Errorf("%v after Close, want ErrClosed", err)
		}
	}
	c.Close()
}

func TestNothingStaysAfterClose(t *testing.T) {
	addr := startStandIn(t)
	cycle := func() {
		c, err := New(Config{Servers: []string{addr}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan struct{}, 10)
		ended := make(chan error, 2)
		go func() { ended <- c.WatchLeader(ctx, "Thing", func(fleet.Candidate) { told <- struct{}{} }) }()
		go func() {
			ended <- c.WatchTree(ctx, "Thing", func(fleet.TreeInstance) {}, func(fleet.InstanceID) {}, func() { told <- struct{}{} })
		}()
		<-told
		<-told
		cancel()
		<-ended
		<-ended
		c.Close()
	}
	cycle()
	before := runtime.NumGoroutine()
	for range 5 {
		cycle()
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); runtime.NumGoroutine() > before; {
		select {
		case <-deadline:
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		case <-tick.C:
		}
	}
}

// TestPacketBytes: what is computed is what the server counts, to the byte.
func TestPacketBytes(t *testing.T) {
	const limit = 5000
	for _, b := range []struct {
		name  string
		start func(t testing.TB) string
	}{{"stand-in", func(t testing.TB) string {
		s, err := standin.Start(standin.Config{MaxBuffer: limit})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s.Addr()
	}}, {"real", func(t testing.TB) string { return realLimited(t, limit) }}} {
		t.Run(b.name, func(t *testing.T) {
			conn := rawConn(t, b.start(t))
			for over := range 2 {
				ops := []any{
					&zk.CheckVersionRequest{Path: "/zookeeper", Version: -1},
					&zk.CreateRequest{Path: "/a", Acl: zk.WorldACL(zk.PermAll)},
					&zk.DeleteRequest{Path: "/a", Version: -1},
					&zk.CreateRequest{Path: "/b", Acl: append(zk.WorldACL(zk.PermAll), zk.WorldACL(zk.PermRead)...)},
					&zk.SetDataRequest{Path: "/b", Version: 0},
					&zk.DeleteRequest{Path: "/b", Version: 1},
				}
				ops[4].(*zk.SetDataRequest).Data = make([]byte, limit-packetBytes(ops)+over)
				if _, err := conn.Multi(ops...); (err != nil) != (over > 0) {
					t.Errorf("%d bytes with a limit of %d: %v", packetBytes(ops), limit, err)
				}
			}
		})
	}
}

// TestDigest: with a user, others can read what the orchestrator writes, and write
// below tmp alone.
func TestDigest(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			addr := b.start(t)
			p := newProxy(t, addr)
			c := open(t, Config{Servers: []string{p.addr()}, User: "orchestrator", Password: "secret"})
			ctx := patient(t)
			err := c.Lead(ctx, "Thing", fleet.Candidate{Name: "a"}, func(ctx context.Context, epoch int64, _ func() bool) {
				create := fleet.Txn{Epoch: epoch, Changes: []fleet.Change{{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 5}}}
				if o, err := c.Commit(ctx, "Thing", &create); o != fleet.OutcomeDone {
					t.Error(o, err)
				}
				stranger := rawConn(t, addr)
				const node = "/iota/orchestration/Thing/1"
				if data, _, err := stranger.Get(node + "/resources"); err != nil || string(data) != `{"ids":[]}` {
					t.Errorf("others read %s, %v", data, err)
				}
				if _, err := stranger.Set(node+"/resources", nil, -1); !errors.Is(err, zk.ErrNoAuth) {
					t.Errorf("others write the list: %v", err)
				}
				if _, err := stranger.Create(node+"/tmp/status", []byte(`{"times":1}`), zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
					t.Errorf("an instance cannot write its status: %v", err)
				}
				p.cut() // the user is told anew
				remove := fleet.Txn{Epoch: epoch, Changes: []fleet.Change{{Kind: fleet.ChangeDelete, Instance: 1}}}
				for c.awaitConnection(ctx) == nil {
					o, err := c.Commit(ctx, "Thing", &remove)
					if o == fleet.OutcomeDone {
						return
					}
					if o != fleet.OutcomeFailed || errors.Is(err, zk.ErrNoAuth) {
						t.Error("after a reconnect:", o, err)
						return
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTwoChangesOfOne: the nodes of an instance that is deleted and created in one
// transaction would look as if neither had happened.
func TestTwoChangesOfOne(t *testing.T) {
	c := open(t, Config{Servers: []string{startStandIn(t)}})
	ctx := patient(t)
	err := c.Lead(ctx, "Thing", fleet.Candidate{}, func(_ context.Context, epoch int64, _ func() bool) {
		txn := &fleet.Txn{Epoch: epoch, Changes: []fleet.Change{{Kind: fleet.ChangeCreate, Instance: 1}, {Kind: fleet.ChangeCreate, Instance: 2}}}
		if o, err := c.Commit(ctx, "Thing", txn); o != fleet.OutcomeDone {
			t.Error(o, err)
		}
		txn.Changes[0].Kind, txn.Changes[1].Instance = fleet.ChangeDelete, 1
		if o, err := c.Commit(ctx, "Thing", txn); o != fleet.OutcomeFailed || !strings.Contains(err.Error(), "Thing/1") {
			t.Errorf("%v, %v, want failed with an error that names the instance", o, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s, err := standin.Start(standin.Config{TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	c := open(t, Config{Servers: []string{s.Addr()}, TLS: &tls.Config{RootCAs: roots}})
	if tree, err := c.ReadTree(patient(t), "Thing"); err != nil || tree.ControlVersion != -1 {
		t.Errorf("%+v, %v", tree, err)
	}
	wrong := open(t, Config{Servers: []string{s.Addr()}, TLS: &tls.Config{RootCAs: x509.NewCertPool()}, RequestTimeout: 100 * time.Millisecond})
	if _, err := wrong.ReadTree(patient(t), "Thing"); err == nil {
		t.Error("a server with an unknown certificate is trusted")
	}
}

// A server that accepts and never greets does not hold up the way to one that does.
func TestSilentServer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	addr := startStandIn(t)
	for range 4 { // each begins with one of the two, by chance
		c := open(t, Config{Servers: []string{silent.Addr().String(), addr}, SessionTimeout: time.Second})
		if err := c.awaitConnection(patient(t)); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); !s.Connected || s.Session == 0 || s.Timeout != time.Second || s.Connections != 1 {
			t.Errorf("%+v", s)
		}
	}
}
