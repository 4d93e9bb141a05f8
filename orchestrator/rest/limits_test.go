package rest

import (
	"bufio"
	"bytes"
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
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

// TestFull: what is more than the server takes at once waits, what is more than
// may wait is told to come again, and health answers all the while.
func TestFull(t *testing.T) {
	f := newFake()
	f.slow = true
	inside, release := make(chan struct{}, 10), make(chan struct{})
	f.set(func(context.Context, string) error {
		inside <- struct{}{}
		<-release
		return nil
	})
	s := start(t, Config{MaxAtOnce: 2, MaxWaiting: 3, MaxWait: deadline}, f)
	c := client(t)
	answers := make(chan int, 5)
	for range 5 {
		go func() {
			resp, err := c.Get(s.url + kindURL + "/t1/instances")
			if err != nil {
				answers <- 0
				return
			}
			resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	<-inside
	<-inside
	for len(s.reads.waiting) < 3 {
		runtime.Gosched() // they are on their way
	}
	resp, answer := ask(t, c, "GET", s.url+kindURL+"/t1/instances", "")
	if resp.StatusCode != 503 || !strings.Contains(answer, `"busy"`) || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("one more: %s %s", resp.Status, answer)
	}
	if resp, _ := ask(t, c, "GET", s.url+"/healthz", ""); resp.StatusCode != 200 {
		t.Errorf("health: %s", resp.Status)
	}
	close(release)
	for range 5 {
		if got := <-answers; got != 200 {
			t.Errorf("one that waited: %d", got)
		}
	}
	impatient := newGate(0, 1, time.Nanosecond)
	if impatient.enter(context.Background()) {
		t.Error("a gate without slots lets somebody in")
	}
}

// TestConnections: one more than the server takes is closed at once, and one
// that goes makes room.
func TestConnections(t *testing.T) {
	s := start(t, Config{MaxConns: 1}, newFake())
	addr := strings.TrimPrefix(s.url, "http://")
	first, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	talk := func(conn net.Conn) (status string) {
		_ = conn.SetDeadline(time.Now().Add(deadline))
		fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return strings.TrimSpace(line)
	}
	if got := talk(first); got != "HTTP/1.1 200 OK" {
		t.Errorf("the first: %q", got)
	}
	second, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if got := talk(second); got != "" {
		t.Errorf("one more: %q", got)
	}
	first.Close()
	for give := time.Now().Add(deadline); time.Now().Before(give); {
		third, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		got := talk(third)
		third.Close()
		if got == "HTTP/1.1 200 OK" {
			return
		}
	}
	t.Error("a connection that went makes no room")
}

// TestManyUsers: three thousand at once, and nobody is sent away.
func TestManyUsers(t *testing.T) {
	users := 3000
	if testing.Short() {
		users = 300
	}
	const patience = 10 * deadline // how long it takes is not asked
	s := start(t, Config{MaxAtOnce: 64, MaxWait: patience, ReadLimit: patience, WriteTimeout: patience}, newFake())
	const sockets = 300 // fewer than users: each takes two file handles here
	transport := &http.Transport{MaxIdleConnsPerHost: sockets, MaxConnsPerHost: sockets}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: patience}
	var wg sync.WaitGroup
	failed := make(chan string, users)
	for n := range users {
		wg.Go(func() {
			resp, err := c.Get(s.url + kindURL + [...]string{"/t1/instances", "", "/status"}[n%3])
			if err != nil {
				failed <- err.Error()
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 {
				failed <- resp.Status
			}
		})
	}
	wg.Wait()
	if n := len(failed); n > 0 {
		t.Errorf("%d of %d failed, such as: %s", n, users, <-failed)
	}
}

func TestBounds(t *testing.T) {
	f := newFake()
	f.set(func(ctx context.Context, call string) error {
		switch {
		case call == "Thing progress" || call == "Thing orchestrate {}":
			<-ctx.Done()
			return fmt.Errorf("asking: %w", ctx.Err())
		case call == "Thing status":
			panic("a fault")
		case call == "Thing maintenance":
			return errors.New("secret detail")
		case call == "Thing instances":
			return &api.Error{Code: api.CodeUnavailable, Message: "loading", RetryAfter: 1500 * time.Millisecond}
		}
		return nil
	})
	var log lines
	observed := make(chan string, 100)
	s := start(t, Config{Observe: func(path, method string, status int, _ time.Duration) {
		observed <- fmt.Sprintf("%s %s %d", method, path, status)
	}, MaxBody: 100, MaxHeader: 1000, ReadLimit: time.Millisecond, OrderLimit: time.Millisecond,
		Log: slog.New(slog.NewJSONHandler(&log, nil))}, f)
	c := client(t)
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/orchestrate", `{"maxInstances":` + strings.Repeat(" ", 100) + "4}", 413, "too_large"},
		{"GET", "/progress", "", 504, "timeout"},
		{"POST", "/orchestrate", "", 504, "the order goes on"},
		{"GET", "/status", "", 500, "internal"},
		{"GET", "/maintenance", "", 500, "internal"},
		{"GET", "/instances", "", 503, "loading"},
	} {
		resp, answer := ask(t, c, test.method, s.url+kindURL+test.path, test.body, "X-Request-Id: bounds")
		if resp.StatusCode != test.status || !strings.Contains(answer, test.want) || strings.Contains(answer, "secret") || !strings.Contains(answer, `"requestId":"bounds"`) {
			t.Errorf("%s %s: %s %s, want %d %s", test.method, test.path, resp.Status, answer, test.status, test.want)
		}
		if after := resp.Header.Get("Retry-After"); (test.status == 503) != (after == "2") {
			t.Errorf("%s: Retry-After %q", test.path, after)
		}
	}
	resp, err := http.Get(s.url + "/" + strings.Repeat("x", 10_000))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a long head: %s", resp.Status)
	}
	for _, id := range []string{"a b", "a\tb", strings.Repeat("x", 65), "é"} {
		if resp, _ := ask(t, c, "GET", s.url+"/healthz", "", "X-Request-Id: "+id); resp.Header.Get("X-Request-Id") == id || resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("request id %q: %q", id, resp.Header.Get("X-Request-Id"))
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got, want := <-observed, "POST "+kindPath+"/orchestrate 413"; got != want {
		t.Errorf("observed %q first, want %q", got, want)
	}
	for _, want := range []string{`"panic":"a fault"`, `"err":"secret detail"`, `"request":"bounds"`, `"status":413`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
}

// lines is a log that is written from many goroutines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestAccessLog: a line for a request, no token in it, and no more than the rate.
func TestAccessLog(t *testing.T) {
	var log lines
	s := start(t, Config{Tokens: bothTokens(), AccessRate: 3, Log: slog.New(slog.NewTextHandler(&log, nil))}, newFake())
	c := client(t)
	for range 20 {
		ask(t, c, "GET", s.url+kindURL, "", "Authorization: Bearer "+readToken)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	text := log.String()
	if strings.Contains(text, readToken) || !strings.Contains(text, "token=r ") && !strings.Contains(text, "token=r\n") {
		t.Errorf("the log:\n%s", text)
	}
	a := newAccessLog(Config{AccessRate: 3})
	for n, want := range []bool{true, true, true, false, false} {
		if a.may(7) != want {
			t.Errorf("line %d of a second: want %v", n, want)
		}
	}
	if !a.may(8) || a.left.Load() != 2 {
		t.Errorf("%d left out", a.left.Load())
	}
}

// TestShutdown: a running request ends well, or is cut at the bound.
func TestShutdown(t *testing.T) {
	for _, patient := range []bool{true, false} {
		f := newFake()
		inside, release := make(chan struct{}), make(chan struct{})
		f.set(func(ctx context.Context, call string) error {
			if call != "Thing orchestrate {}" {
				return nil
			}
			close(inside)
			select {
			case <-release:
			case <-ctx.Done():
			}
			return ctx.Err()
		})
		bound := deadline
		if !patient {
			bound = time.Millisecond
		}
		s := start(t, Config{Shutdown: bound}, f)
		answer := make(chan string, 1)
		go func() {
			resp, err := http.Post(s.url+kindURL+"/orchestrate", "", nil)
			if err != nil {
				answer <- "cut"
				return
			}
			resp.Body.Close()
			answer <- resp.Status
		}()
		<-inside
		stopped := make(chan error, 1)
		go func() { stopped <- s.stop() }()
		if patient {
			<-s.closing
			close(release)
		}
		if got := <-answer; patient != (got == "200 OK") { // else cut, or told so in the last moment
			t.Errorf("patient %v: %s", patient, got)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
}

// selfSigned makes a certificate for 127.0.0.1, and what trusts it.
func selfSigned(t *testing.T, dir string) (certFile, keyFile string, trusts *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	tmpl := &x509.Certificate{SerialNumber: serial, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return certFile, keyFile, &tls.Config{RootCAs: roots}
}

// TestTLS: the certificate is read anew when it has changed; old versions of TLS
// are refused.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, first := selfSigned(t, dir)
	s := start(t, Config{CertFile: certFile, KeyFile: keyFile, TokenCheck: time.Nanosecond}, newFake())
	get := func(trusts *tls.Config) error {
		tr := &http.Transport{TLSClientConfig: trusts.Clone(), ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr, Timeout: deadline}).Get(s.url + kindURL + "/t1/instances")
		if err == nil {
			defer resp.Body.Close()
			if resp.StatusCode != 200 || resp.ProtoMajor != 2 || resp.Header.Get("Strict-Transport-Security") == "" {
				return errors.New(resp.Proto + " " + resp.Status)
			}
		}
		return err
	}
	if err := get(first); err != nil {
		t.Error(err)
	}
	_, _, second := selfSigned(t, dir)
	if err := get(second); err != nil {
		t.Errorf("after a change: %v", err)
	}
	if get(first) == nil {
		t.Error("the old certificate is still in use")
	}
	if err := os.WriteFile(certFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := get(second); err != nil {
		t.Errorf("after a mistake: %v", err)
	}
	old := second.Clone()
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	if get(old) == nil {
		t.Error("TLS 1.1 is taken")
	}
}
