package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest"
	wire "dacorch/sim/wire/kafka"
)

// patience only ever fails a test.
const patience = 60 * time.Second

var oneTopic = map[string]int{"HeartBeat": 1}

// heard is a Listen under way.
type heard struct {
	t     *testing.T
	stop  context.CancelFunc
	done  chan error
	mu    sync.Mutex
	more  chan struct{}
	ups   []bool
	beats []fleet.InstanceID
}

func listen(t *testing.T, c *Consumer) *heard {
	ctx, stop := context.WithCancel(context.Background())
	h := &heard{t: t, stop: stop, done: make(chan error, 1), more: make(chan struct{}, 1)}
	tell := func(what func()) {
		h.mu.Lock()
		what()
		h.mu.Unlock()
		select {
		case h.more <- struct{}{}:
		default:
		}
	}
	go func() {
		h.done <- c.Listen(ctx, "Thing",
			func(id fleet.InstanceID) { tell(func() { h.beats = append(h.beats, id) }) },
			func(up bool) { tell(func() { h.ups = append(h.ups, up) }) })
	}()
	t.Cleanup(stop)
	return h
}

// await waits until the channel has been told changes times and the beats are so
// many.
func (h *heard) await(changes, beats int) {
	h.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		h.mu.Lock()
		ups, n := fmt.Sprint(h.ups), len(h.beats)
		ok := len(h.ups) >= changes && n >= beats
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-h.more:
		case <-late.C:
			h.t.Fatalf("waited %s for %d changes and %d beats: changes %s, %d beats", patience, changes, beats, ups, n)
		}
	}
}

// changes is how often the channel has been told.
func (h *heard) changes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ups)
}

func (h *heard) end() {
	h.t.Helper()
	h.stop()
	select {
	case <-h.done:
	case <-time.After(patience):
		h.t.Fatal("Listen has not returned")
	}
}

func now(id fleet.InstanceID) []byte { return porttest.HeartbeatValue("Thing", id, time.Now()) }

// awaitStats waits until the counts are as wanted.
func awaitStats(t *testing.T, c *Consumer, why string, what func(Stats) bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !what(c.Stats()); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %+v", patience, why, c.Stats())
		}
	}
}

// TestMissingTopic: without its topic the channel is down, and the topic is not
// created.
func TestMissingTopic(t *testing.T) {
	server := startWire(t, wire.Config{AutoCreate: true})
	c := newConsumer(t, server, Config{})
	h := listen(t, c)
	awaitStats(t, c, "failures", func(s Stats) bool { return s.Failures > 3 })
	if n := h.changes(); n != 0 {
		t.Errorf("the channel was told %d times without a topic", n)
	}
	if err := server.CreateTopic("HeartBeat", 2); err != nil {
		t.Fatalf("the topic was created by listening: %v", err)
	}
	h.await(1, 0)
	h.end()
}

// TestFetchesFail: the brokers answer, but what they hold is not read. That is
// seen once they hold something.
func TestFetchesFail(t *testing.T) {
	server := startWire(t, wire.Config{Topics: oneTopic})
	producer := newProducer(t, server)
	h := listen(t, newConsumer(t, server, Config{}))
	h.await(1, 0)
	server.FailFetches("HeartBeat", true)
	produce(t, producer, now(1))
	h.await(2, 0)
	server.FailFetches("HeartBeat", false)
	h.await(3, 1)
	h.end()
}

// TestJoinsAreRefused: the channel is down for as long as the group cannot be joined.
func TestJoinsAreRefused(t *testing.T) {
	server := startWire(t, wire.Config{Topics: oneTopic})
	server.RefuseJoins(true)
	c := newConsumer(t, server, Config{})
	h := listen(t, c)
	awaitStats(t, c, "failures", func(s Stats) bool { return s.Failures > 0 })
	if s := c.Stats(); s.Sessions != 0 {
		t.Errorf("%d sessions while joins are refused", s.Sessions)
	}
	server.RefuseJoins(false)
	h.await(1, 0)
	h.end()
}

// TestLeadersMove: partitions and groups whose brokers change.
func TestLeadersMove(t *testing.T) {
	server := startWire(t, wire.Config{Brokers: 3, Topics: map[string]int{"HeartBeat": 3}})
	producer := newProducer(t, server)
	h := listen(t, newConsumer(t, server, Config{}))
	h.await(1, 0)
	for i := range 4 {
		server.MoveLeaders()
		server.MoveCoordinators()
		for id := range fleet.InstanceID(6) {
			produce(t, producer, now(id))
		}
		h.await(1, 6*(i+1))
	}
	h.end()
}

// TestBrokersRestart: on the same address, with what they held.
func TestBrokersRestart(t *testing.T) {
	cfg := wire.Config{Topics: oneTopic, DataDir: t.TempDir()}
	server := startWire(t, cfg)
	producer := newProducer(t, server)
	h := listen(t, newConsumer(t, server, Config{}))
	h.await(1, 0)
	produce(t, producer, now(1))
	h.await(1, 1)
	cfg.Addr = server.Addrs()[0]
	server.Close()
	h.await(2, 1)
	startWire(t, cfg)
	h.await(3, 1)
	produce(t, producer, now(2))
	h.await(3, 2)
	h.end()
}

// TestLeaveIsBounded: Listen returns while the brokers answer nothing.
func TestLeaveIsBounded(t *testing.T) {
	server := startWire(t, wire.Config{Topics: oneTopic})
	h := listen(t, newConsumer(t, server, Config{Leave: 50 * time.Millisecond, Session: 5 * time.Minute}))
	h.await(1, 0)
	server.Stall(true)
	defer server.Stall(false)
	h.end()
}

// TestLeaves: a Listen that ends leaves the group, and has committed.
func TestLeaves(t *testing.T) {
	server := startWire(t, wire.Config{Topics: oneTopic})
	producer := newProducer(t, server)
	h := listen(t, newConsumer(t, server, Config{GroupPrefix: "test-"}))
	h.await(1, 0)
	produce(t, producer, now(1))
	h.await(1, 1)
	h.end()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := server.WaitMembers(ctx, "test-Thing", 0); err != nil {
		t.Errorf("the group has members: %v", err)
	}
	if at := server.Committed("test-Thing", "HeartBeat", 0); at != 1 {
		t.Errorf("committed %d, want 1", at)
	}
}

// TestClocks: a sender whose clock is wrong is heard as long as its records are
// new; in a backlog its timestamp is all there is.
func TestClocks(t *testing.T) {
	server := startWire(t, wire.Config{Topics: oneTopic})
	producer := newProducer(t, server)
	c := newConsumer(t, server, Config{})
	h := listen(t, c)
	h.await(1, 0)
	hour := time.Hour
	produce(t, producer, porttest.HeartbeatValue("Thing", 1, time.Now().Add(-hour)))
	produce(t, producer, porttest.HeartbeatValue("Thing", 2, time.Now().Add(hour)))
	h.await(1, 2)
	h.end()
	produce(t, producer, porttest.HeartbeatValue("Thing", 3, time.Now().Add(-hour)))
	produce(t, producer, now(4))
	h = listen(t, c)
	h.await(1, 1)
	h.end()
	if fmt.Sprint(h.beats) != "[4]" {
		t.Errorf("beats of %v, want of 4 alone", h.beats)
	}
	if s := c.Stats(); s.Skewed != 2 || s.Late != 1 || s.Beats != 3 {
		t.Errorf("%+v, want 3 beats, 2 of them skewed, and 1 late", s)
	}
}

func TestLogins(t *testing.T) {
	server := startWire(t, wire.Config{Topics: oneTopic, User: "orchestrator", Password: "right"})
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			h := listen(t, newConsumer(t, server, Config{SASL: SASL{mechanism, "orchestrator", "right"}}))
			h.await(1, 0)
			h.end()
			c := newConsumer(t, server, Config{SASL: SASL{mechanism, "orchestrator", "wrong"}})
			h = listen(t, c)
			awaitStats(t, c, "failures", func(s Stats) bool { return s.Failures > 1 })
			h.end()
			if h.changes() > 0 {
				t.Error("up with a wrong password")
			}
		})
	}
}

func TestTLS(t *testing.T) {
	certificate, roots := certificate(t)
	server := startWire(t, wire.Config{Topics: oneTopic, TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}})
	h := listen(t, newConsumer(t, server, Config{TLS: &tls.Config{RootCAs: roots}}))
	h.await(1, 0)
	h.end()
	for _, wrong := range []*tls.Config{{RootCAs: x509.NewCertPool()}, {RootCAs: roots, ServerName: "another.example"}} {
		c := newConsumer(t, server, Config{TLS: wrong})
		h = listen(t, c)
		awaitStats(t, c, "failures", func(s Stats) bool { return s.Failures > 1 })
		h.end()
	}
}

// certificate is one for 127.0.0.1, and what trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestConfigIsChecked(t *testing.T) {
	right := Config{Brokers: []string{"localhost:9092"}}
	if _, err := New(right); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Config){
		"brokers":        func(c *Config) { c.Brokers = nil },
		"fresh":          func(c *Config) { c.Fresh = time.Millisecond },
		"maxAge":         func(c *Config) { c.MaxAge = -1 },
		"session":        func(c *Config) { c.Session = time.Hour },
		"leave":          func(c *Config) { c.Leave = time.Hour },
		"maxBytes":       func(c *Config) { c.MaxBytes = 1 },
		"sasl.mechanism": func(c *Config) { c.SASL.Mechanism = "GSSAPI" },
		"sasl.password":  func(c *Config) { c.SASL = SASL{Mechanism: sarama.SASLTypePlaintext, User: "u"} },
	} {
		cfg := right
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v does not name it", field, err)
		}
	}
	secret := Config{SASL: SASL{"PLAIN", "u", "secret"}}
	if s := fmt.Sprintf("%v %+v %#v", secret, secret, secret); strings.Contains(s, "secret") {
		t.Errorf("the password is printed: %s", s)
	}
}
