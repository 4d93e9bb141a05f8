package mqtt

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest"
	broker "dacorch/sim/wire/mqtt"
)

// heard is what a Listen has handed over: ids, or "up" and "down".
type heard chan string

func (h heard) note(_ uint64, n *fleet.Notification) { h <- n.Resources[0].ID }

func (h heard) channel(up bool) {
	if up {
		h <- "up"
	} else {
		h <- "down"
	}
}

func (h heard) want(t *testing.T, what ...string) {
	t.Helper()
	for _, w := range what {
		select {
		case got := <-h:
			if got != w {
				t.Fatalf("heard %q, want %q", got, w)
			}
		case <-time.After(patience):
			t.Fatalf("heard nothing, want %q", w)
		}
	}
}

// run listens until the test ends.
func run(t *testing.T, c *Client) heard {
	t.Helper()
	h := make(heard, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Listen(ctx, h.note, h.channel)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return h
}

func TestTLS(t *testing.T) {
	ca, pair := certificate(t, "broker.test")
	_, other := certificate(t, "broker.test")
	s := standIn(t, broker.Config{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	stranger := standIn(t, broker.Config{TLS: &tls.Config{Certificates: []tls.Certificate{other}}})

	cfg := config(s.URL())
	cfg.TLS = TLS{CA: ca, ServerName: "broker.test"}
	h := run(t, adapter(t, cfg))
	h.want(t, "up")
	inside(t, s, porttest.NotificationValue("Thing", "a"))
	h.want(t, "a")

	for name, c := range map[string]struct{ url, server, want string }{
		"not signed by the ca": {stranger.URL(), "broker.test", "x509: "},
		"another's name":       {s.URL(), "else.test", "not else.test"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, log := config(c.url), newLines()
			cfg.TLS = TLS{CA: ca, ServerName: c.server}
			cfg.Log = slog.New(slog.NewTextHandler(log, nil))
			run(t, adapter(t, cfg))
			log.wait(t, c.want)
		})
	}
}

func (l *lines) wait(t *testing.T, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := l.await(ctx, func(text string) bool { return strings.Contains(text, want) }); err != nil {
		t.Fatalf("the log does not say %q: %s", want, l.text())
	}
}

// certificate is one that signs itself, as a file to trust and as a pair to serve.
func certificate(t *testing.T, name string) (file string, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A message that is too large neither takes memory without bound nor comes again
// for ever.
func TestTooLarge(t *testing.T) {
	s := standIn(t, broker.Config{MaxPacket: 64 << 20})
	c := adapter(t, config(s.URL()))
	h := run(t, c)
	h.want(t, "up")
	inside(t, s, bytes.Repeat([]byte("x"), MaxPayload+1<<20))
	inside(t, s, porttest.NotificationValue("Thing", "a"))
	h.want(t, "a")
	if got := c.Stats(); got.Bad != 1 || got.Received != 2 {
		t.Errorf("%+v: want one bad of two", got)
	}
}

// The subscription must be granted with quality of service 1 at least.
func TestGrants(t *testing.T) {
	for name, c := range map[string]struct {
		codes []byte
		want  string
	}{
		"refused":     {[]byte{0x80}, "refuses the subscription to"},
		"downgraded":  {[]byte{0}, "quality of service 0 only: want 1"},
		"nonsense":    {[]byte{7}, "refuses the subscription to"},
		"two for one": {[]byte{1, 1}, "broke the protocol"},
		"none":        {nil, "broke the protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			log := newLines()
			cfg := config("mqtt://in-memory")
			cfg.Log = slog.New(slog.NewTextHandler(log, nil))
			cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go answer(theirs, c.codes)
				return ours, nil
			}
			h := run(t, adapter(t, cfg))
			log.wait(t, c.want)
			select {
			case got := <-h:
				t.Errorf("heard %q", got)
			default:
			}
		})
	}
}

// answer is a broker that lets everybody in and answers a subscription with these
// codes.
func answer(conn net.Conn, codes []byte) {
	defer conn.Close()
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			packets.NewControlPacket(packets.Connack).Write(conn)
		case *packets.SubscribePacket:
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID, ack.ReturnCodes = p.MessageID, codes
			ack.Write(conn)
		case *packets.DisconnectPacket:
			return
		}
	}
}

func TestConfig(t *testing.T) {
	ca, _ := certificate(t, "broker.test")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"mqtt client id":           func(c *Config) { c.ClientID = "" },
		"mqtt topic":               func(c *Config) { c.Topic = "a\x00" },
		"that is not shared":       func(c *Config) { c.Topic = "$share/g/cm/notify" },
		"want a user":              func(c *Config) { c.User = "" },
		"whole seconds":            func(c *Config) { c.KeepAlive = 1500 * time.Millisecond },
		"mqtt reconnect":           func(c *Config) { c.Reconnect = -1 },
		"mqtt timeout":             func(c *Config) { c.Timeout = -1 },
		"want mqtt://host:port":    func(c *Config) { c.URL = "mqtt://" },
		"want mqtt:// or mqtts://": func(c *Config) { c.URL = "http://localhost" },
		"not shown":                func(c *Config) { c.URL = "mqtt://me:secret@localhost" },
		"since TLS is configured":  func(c *Config) { c.TLS.CA = ca },
		"no such file":             func(c *Config) { c.URL, c.TLS.CA = "mqtts://x", filepath.Join(t.TempDir(), "none") },
		"holds no certificate":     func(c *Config) { c.URL, c.TLS.CA = "mqtts://x", empty },
		"mqtt tls cert and key":    func(c *Config) { c.URL, c.TLS.Cert = "mqtts://x", ca },
	} {
		cfg := config("mqtt://localhost")
		change(&cfg)
		_, err := New(cfg)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	for url, want := range map[string]string{
		"": "localhost:1883", "mqtt://h": "h:1883", "mqtts://h": "h:8883", "mqtt://h:1/": "h:1", "ssl://[::1]:2": "[::1]:2",
	} {
		if c := adapter(t, Config{URL: url, ClientID: "x"}); c.addr != want || c.encrypted != strings.Contains(url, "s") {
			t.Errorf("%q: %s, encrypted %t; want %s", url, c.addr, c.encrypted, want)
		}
	}
}

// Listen leaves nothing behind, whatever it was doing.
func TestNothingLeft(t *testing.T) {
	s := standIn(t, broker.Config{})
	c := adapter(t, config(s.URL()))
	before := runtime.NumGoroutine()
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		inside(t, s, porttest.NotificationValue("Thing", "a"))
		err := c.Listen(ctx, func(uint64, *fleet.Notification) {}, func(bool) { cancel() })
		if err != context.Canceled {
			t.Errorf("Listen answers %v", err)
		}
		cancel()
	}
	deadline := time.NewTimer(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline.C:
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x00\x90\x03\x00\x01\x01\x30\x05\x00\x01axy"))
	f.Add([]byte("\x30\xff\xff\xff\x7f"))
	f.Add([]byte("\x30\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		whole, err := io.ReadAll(newFrames(bytes.NewReader(sent)))
		single, _ := io.ReadAll(newFrames(iotest.OneByteReader(bytes.NewReader(sent))))
		if !bytes.Equal(whole, single) {
			t.Fatalf("%q in one go, %q byte by byte", whole, single)
		}
		if err == nil && len(sent) < maxPublish && len(whole) > len(sent) {
			t.Fatalf("%q became %q", sent, whole)
		}
	})
}

// heavy is a message of quality of service 0 that nobody has sent.
type heavy struct {
	paho.Message
	payload []byte
}

func (h heavy) Payload() []byte { return h.payload }
func (h heavy) Qos() byte       { return 0 }

// What is received and not yet dealt with is bounded: the reader waits.
func TestHeldIsBounded(t *testing.T) {
	conn := &connection{
		stop: make(chan struct{}), ready: make(chan struct{}, 1), room: make(chan struct{}, 1), acks: make(chan struct{}, 1),
		wire: &wire{broken: make(chan struct{})},
	}
	m := heavy{payload: make([]byte, maxHeld/2+1)}
	took := make(chan struct{})
	go func() {
		defer close(took)
		for range 3 {
			conn.take(nil, m)
		}
	}()
	for range 3 {
		got, err := conn.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn.mu.Lock()
		if conn.held > maxHeld || len(conn.queue) > 0 {
			t.Errorf("%d bytes held, %d more messages: want at most %d bytes", conn.held, len(conn.queue), maxHeld)
		}
		conn.mu.Unlock()
		conn.handed(1, got, false)
	}
	<-took
	conn.take(nil, m)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn.take(nil, m) // for which there is no room
	}()
	close(conn.stop)
	<-ended
}
