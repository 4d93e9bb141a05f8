package orchestrator_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire"
	"dacorch/sim/wire/mqtt"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// patience bounds every wait; it only fails.
const patience = 60 * time.Second

const reader, writer = "reader-of-everything", "writer-of-everything"

// timings shorten a kind's intervals.
const timings = "timings: {heartbeatInterval: 1s, silence: 5s, monitor: 1s, resync: 3s, resyncFloor: 100ms}, limits: {initInstances: 3}"

func startPlatform(t *testing.T, rows int) *wire.Platform {
	t.Helper()
	p, err := wire.Start(wire.Config{Kinds: []wire.Kind{{Kind: "Thing", InstanceName: "iota-dac", Heartbeat: true, HeartbeatInterval: time.Second, Confirms: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Populate(t.Context(), "Thing", rows); err != nil {
		t.Fatal(err)
	}
	return p
}

// configure is an orchestrator's configuration for the platform, with TLS and
// tokens.
func configure(t *testing.T, p *wire.Platform, name, dir string) *orchestrator.Config {
	t.Helper()
	file, err := p.Configure(wire.Orchestrator{Name: name, Listen: "127.0.0.1:0", Session: 4 * time.Second, Kinds: map[fleet.Kind]string{"Thing": timings}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := orchestrator.LoadConfig(file, data, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	cfg.API.Anonymous, cfg.API.Advertise = "none", "https://127.0.0.1:0"
	cfg.API.TokenFile = filepath.Join(dir, "tokens")
	cfg.API.CertFile, cfg.API.KeyFile, cfg.API.CAFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	return cfg
}

// secrets writes the tokens and a certificate for loopback, and answers what
// trusts it.
func secrets(t *testing.T, dir string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{"cert.pem": public, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
		"tokens": []byte("web read " + reader + "\nops write " + writer + "\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	return &tls.Config{RootCAs: roots}
}

// runs is a call of Run.
type runs struct {
	addr string
	stop context.CancelFunc
	done chan error
}

func run(t *testing.T, cfg *orchestrator.Config) *runs {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &runs{stop: cancel, done: make(chan error, 1)}
	serving := make(chan net.Addr, 1)
	go func() {
		r.done <- orchestrator.Run(ctx, cfg, orchestrator.Options{Serving: func(addr net.Addr) { serving <- addr }})
	}()
	t.Cleanup(cancel)
	select {
	case addr := <-serving:
		r.addr = addr.String()
	case err := <-r.done:
		t.Fatalf("Run answered %v", err)
	}
	return r
}

// end asks Run to end and waits for it.
func (r *runs) end(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			t.Errorf("Run answered %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run does not end")
	}
}

func client(t *testing.T, r *runs, token string, trusts *tls.Config) *api.Client {
	t.Helper()
	c, err := api.New(api.Config{URL: "https://" + r.addr, Token: token, TLS: trusts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// eventually tries until it gets nil.
func eventually(t *testing.T, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("in vain: %v", err)
		}
	}
}

// TestRun has two orchestrators serve a platform with the real protocols, over
// TLS and with tokens, and ends the one that leads: the other goes on.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	trusts := secrets(t, dir)
	p := startPlatform(t, 50)
	first := run(t, configure(t, p, "first", dir))
	admin := client(t, first, writer, trusts)
	eventually(t, func(ctx context.Context) error {
		st, err := admin.Status(ctx, "Thing")
		if err == nil && (st.Stage != "active" || st.Unplaced > 0 || st.Resources != 50) {
			err = fmt.Errorf("%+v", st)
		}
		return err
	})
	second := run(t, configure(t, p, "second", dir))
	other := client(t, second, writer, trusts)
	eventually(t, func(ctx context.Context) error {
		at, err := other.Where(ctx, "Thing", "thing-000007")
		if err == nil && !strings.HasPrefix(at.RunIn, "iota-dac-") {
			t.Fatalf("it stands on %+v", at)
		}
		return err
	})
	guarded(t, first, trusts)
	scraped(t, first, trusts)

	// An order through the process that follows is carried out by the leader.
	if err := order(t, other); err != nil {
		t.Error(err)
	}
	var e *api.Error
	one, three := 1, 3
	if _, err := other.Orchestrate(t.Context(), "Thing", api.OrchestrateRequest{ResourcePerInstance: &one, MaxInstances: &three}); !errors.As(err, &e) ||
		e.Code != api.CodeRefused || e.Message != "require instances more than the max: 51/3" {
		t.Errorf("too many instances: %v", err)
	}

	told(t, p, other)
	create(t, p, "early")
	eventually(t, func(ctx context.Context) error { _, err := admin.Where(ctx, "Thing", "early"); return err })
	first.end(t)
	if s := session(t, p, false); s.Queued+s.Inflight > 0 { // else it all comes again at the next start
		t.Errorf("what was placed before the end is not acknowledged: %+v", s)
	}
	create(t, p, "late")
	eventually(t, func(ctx context.Context) error {
		_, err := other.Where(ctx, "Thing", "late")
		if err == nil {
			_, err = other.Status(ctx, "Thing")
		}
		return err
	})
	eventually(t, func(context.Context) error {
		if s := session(t, p, true); s.Queued+s.Inflight > 0 {
			return fmt.Errorf("not acknowledged: %+v", s)
		}
		return nil
	})
	second.end(t)
}

// told has the follower's stream tell what the leader does: transactions, and
// orders.
func told(t *testing.T, p *wire.Platform, follower *api.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := make(chan error, 1)
	go func() {
		missing := map[api.EventType]bool{api.EventCommit: true, api.EventOrder: true, api.EventMaintenance: true}
		for ev, err := range follower.Events(ctx, "Thing") {
			delete(missing, ev.Type)
			if err != nil || len(missing) == 0 {
				seen <- err
				return
			}
		}
	}()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for n := 0; ; n++ { // the stream may not be open yet
		create(t, p, fmt.Sprintf("told-%d", n))
		if _, err := follower.SetMaintenance(t.Context(), "Thing", false); err != nil {
			t.Error(err)
		}
		select {
		case err := <-seen:
			if err != nil {
				t.Error(err)
			}
			return
		case <-again.C:
		}
	}
}

// create makes a row and announces it.
func create(t *testing.T, p *wire.Platform, id string) {
	t.Helper()
	s := wire.Statement{Kind: "Thing", Verb: wire.Create, Rows: []fleet.Resource{{ID: id}}, Named: true}
	if _, err := p.Centre.Do(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// session is what the broker holds for the orchestrator that is connected, or for
// the one that is not.
func session(t *testing.T, p *wire.Platform, connected bool) mqtt.Session {
	t.Helper()
	for _, s := range p.MQTT.Sessions() {
		if s.Connected == connected && !s.Clean {
			return s
		}
	}
	t.Fatalf("no such session: %+v", p.MQTT.Sessions())
	return mqtt.Session{}
}

// order replaces an instance's pod and sees it happen.
func order(t *testing.T, c *api.Client) error {
	if _, err := c.Replace(t.Context(), "Thing", 0); err != nil {
		return err
	}
	st, err := c.Status(t.Context(), "Thing")
	if err == nil && st.Counters["replaced"] == 0 {
		err = fmt.Errorf("the leader has replaced nothing: %+v", st)
	}
	return err
}

// guarded demands tokens with the right scope.
func guarded(t *testing.T, r *runs, trusts *tls.Config) {
	t.Helper()
	var e *api.Error
	if _, err := client(t, r, "", trusts).Kinds(t.Context()); !errors.As(err, &e) || e.Code != api.CodeUnauthorized {
		t.Errorf("without a token: %v", err)
	}
	readOnly := client(t, r, reader, trusts)
	if kinds, err := readOnly.Kinds(t.Context()); err != nil || len(kinds.Kinds) != 1 {
		t.Errorf("%+v, %v", kinds, err)
	}
	if _, err := readOnly.SetMaintenance(t.Context(), "Thing", true); !errors.As(err, &e) || e.Code != api.CodeForbidden {
		t.Errorf("an order with a reader's token: %v", err)
	}
	stranger := client(t, r, reader, &tls.Config{RootCAs: x509.NewCertPool()})
	if _, err := stranger.Kinds(t.Context()); err == nil {
		t.Error("a certificate of nobody is trusted")
	}
}

// scrape reads /metrics.
func scrape(t *testing.T, r *runs, trusts *tls.Config) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+reader)
	transport := &http.Transport{TLSClientConfig: trusts}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %v", resp.Status, err)
	}
	return string(text)
}

// scraped holds every figure of a process that leads to Prometheus' habits.
func scraped(t *testing.T, r *runs, trusts *tls.Config) {
	t.Helper()
	text := scrape(t, r, trusts)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, want := range []string{`dacorch_leader{kind="Thing"} 1`, `dacorch_resources{kind="Thing"} 50`, "dacorch_mqtt_messages_total", "dacorch_zookeeper_connections_total",
		"dacorch_kubernetes_requests_total", "dacorch_kafka_failures_total", `dacorch_transaction_seconds_count{kind="Thing",outcome="done"}`, "dacorch_rest_seconds_count", "go_goroutines"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in /metrics", want)
		}
	}
}

// TestRunRefuses answers what no waiting mends, at once, and leaves nothing behind.
func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	secrets(t, dir)
	p := startPlatform(t, 0)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, spoil := range map[string]func(*orchestrator.Config){
		"name":                func(c *orchestrator.Config) { c.Name = "" },
		"api.listen":          func(c *orchestrator.Config) { c.API.Listen = taken.Addr().String() },
		"zookeeper":           func(c *orchestrator.Config) { c.ZooKeeper.PasswordFile = filepath.Join(dir, "none") },
		"mqtt":                func(c *orchestrator.Config) { c.MQTT.URL = "gopher://127.0.0.1" },
		"cert":                func(c *orchestrator.Config) { c.API.CertFile = filepath.Join(dir, "tokens") },
		"kinds[0].template":   func(c *orchestrator.Config) { c.Kinds[0].Template = "" },
		"kubernetes":          func(c *orchestrator.Config) { c.Kubernetes.Kubeconfig = filepath.Join(dir, "none") },
		"token":               func(c *orchestrator.Config) { c.API.TokenFile = filepath.Join(dir, "none") },
		"resourcePerInstance": func(c *orchestrator.Config) { c.Kinds[0].Limits.ResourcePerInstance = -1 },
	} {
		cfg := configure(t, p, "wrong", dir)
		spoil(cfg)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := orchestrator.Run(ctx, cfg, orchestrator.Options{})
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run answered %v, want an error with %q", err, want)
		}
	}
}

// TestRunWaits serves while no server is there yet, tells that it is not ready,
// and ends in order all the same.
func TestRunWaits(t *testing.T) {
	dir := t.TempDir()
	trusts := secrets(t, dir)
	cfg := configure(t, startPlatform(t, 0), "early", dir)
	cfg.ZooKeeper.Servers = []string{"127.0.0.1:1"}
	cfg.MQTT.URL = "mqtt://127.0.0.1:1"
	cfg.Kafka.Brokers = []string{"127.0.0.1:1"}
	before := runtime.NumGoroutine()
	r := run(t, cfg)
	c := client(t, r, reader, trusts)
	h, err := c.Health(t.Context())
	if err != nil || !h.Live || h.Ready {
		t.Errorf("%+v, %v", h, err)
	}
	r.end(t)
	c.Close()
	eventually(t, func(context.Context) error {
		if n := runtime.NumGoroutine(); n > before {
			stacks := make([]byte, 1<<20)
			return fmt.Errorf("%d goroutines, %d before:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
		}
		return nil
	})
}
