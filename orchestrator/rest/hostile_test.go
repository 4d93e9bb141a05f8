package rest

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

// TestForwardStaysEncrypted: a process that speaks TLS hands its callers' tokens
// to nobody in the clear, whatever address it is told that the leader has.
func TestForwardStaysEncrypted(t *testing.T) {
	asked := make(chan string, 1)
	forged := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Authorization") }))
	defer forged.Close()
	certFile, keyFile, pool := selfSigned(t, t.TempDir())
	f := newFake()
	f.setLeader("Thing", api.Leader{Name: "b", URL: forged.URL})
	s := start(t, Config{Tokens: bothTokens(), CertFile: certFile, KeyFile: keyFile, ForwardTLS: pool}, f)
	transport := &http.Transport{TLSClientConfig: pool.Clone()}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: deadline}
	resp, answer := ask(t, c, "POST", s.url+kindURL+"/orchestrate", "", "Authorization: Bearer "+writeToken)
	if resp.StatusCode != 502 || !strings.Contains(answer, "https") {
		t.Errorf("%s %s", resp.Status, answer)
	}
	select {
	case token := <-asked:
		t.Errorf("the forged leader was sent %q", token)
	default:
	}
}

// TestForwardKeepsToHTTP: neither a caller nor a leader makes another protocol of
// a forwarded request, which nothing would bound.
func TestForwardKeepsToHTTP(t *testing.T) {
	asked := make(chan http.Header, 1)
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "tunnel")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	defer leader.Close()
	f := newFake()
	f.setLeader("Thing", api.Leader{Name: "b", URL: leader.URL})
	s := start(t, Config{}, f)
	resp, _ := ask(t, &http.Client{Timeout: deadline}, "GET", s.url+kindURL+"/status", "", "Connection: Upgrade, X-Smuggled", "Upgrade: tunnel",
		"X-Smuggled: 1", "X-Forwarded-For: 10.0.0.1", "Cookie: a=b")
	if resp.StatusCode != 502 {
		t.Errorf("%s", resp.Status)
	}
	got := <-asked
	for _, name := range []string{"Upgrade", "Connection", "X-Smuggled", "X-Forwarded-For", "Cookie"} {
		if got.Get(name) != "" {
			t.Errorf("the leader was sent %s: %s", name, got.Get(name))
		}
	}
}

// TestPreviewIsARead: what changes nothing needs no token that may write, and
// takes no place among the orders; what could be either is an order.
func TestPreviewIsARead(t *testing.T) {
	f := newFake()
	s := start(t, Config{Tokens: bothTokens()}, f)
	for range cap(s.orders.slots) {
		s.orders.slots <- struct{}{}
	}
	c := client(t)
	for query, want := range map[string]int{
		"?dryRun=true": 200, "?limit=1&dryRun=true": 200, "": 403, "?dryRun=false": 403, "?dryRun=1": 403,
		"?dryRun=true&dryRun=false": 403, "?dryRun=true&x=1": 403, "?dryrun=true": 403, "?dryRun=true;x": 403,
	} {
		for _, call := range []string{"/orchestrate", "/orchestrations"} {
			if resp, answer := ask(t, c, "POST", s.url+kindURL+call+query, "", "Authorization: Bearer "+readToken); resp.StatusCode != want {
				t.Errorf("%s%s: %s %s, want %d", call, query, resp.Status, answer, want)
			}
		}
	}
	for _, call := range f.seen() {
		if !strings.HasPrefix(call, "Thing preview") {
			t.Errorf("a reader's call did %q", call)
		}
	}
	if resp, _ := ask(t, c, "POST", s.url+kindURL+"/instances/0/drain?dryRun=true", "", "Authorization: Bearer "+readToken); resp.StatusCode != 403 {
		t.Errorf("a drain is no preview: %s", resp.Status)
	}
}

// TestLargeBodyIsNotAwaited: who announces too much is answered at once, and holds
// no place among the orders while nothing comes.
func TestLargeBodyIsNotAwaited(t *testing.T) {
	s := start(t, Config{}, newFake())
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(deadline)) // less than ReadTimeout would be no answer at all
	fmt.Fprintf(conn, "POST %s/orchestrate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n", kindURL)
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "413") {
		t.Errorf("%q, %v", line, err)
	}
}

// TestStreamEndsWithItsToken: a stream that is open does not outlive its token.
func TestStreamEndsWithItsToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("a read " + readToken + "\n")
	s := start(t, Config{TokenFile: file, TokenCheck: time.Nanosecond, Beat: time.Millisecond}, newFake())
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/v1/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+readToken)
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	l := &listener{t: t, resp: resp, lines: bufio.NewScanner(resp.Body)}
	for l.lines.Scan() && l.lines.Text() != ":" { // a beat
	}
	write("another read another-token\n")
	l.expect("bye  token")
	l.end()
}

// TestOrdersAreLogged: who ordered what stands in the log at its usual level, and
// who was refused; what was only read does not.
func TestOrdersAreLogged(t *testing.T) {
	var log lines
	s := start(t, Config{Tokens: bothTokens(), AccessLevel: slog.LevelDebug, Log: slog.New(slog.NewTextHandler(&log, nil))}, newFake())
	c := client(t)
	for _, order := range [][3]string{{"POST", "/instances/1/drain", writeToken}, {"POST", "/instances/0/drain", readToken}, {"GET", "/status", "guessed-token"}, {"GET", "", readToken}} {
		ask(t, c, order[0], s.url+kindURL+order[1], "", "Authorization: Bearer "+order[2], "X-Request-Id: a\" level=ERROR")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	text := log.String()
	for _, want := range []string{"1/drain status=202", "token=w", "0/drain status=403", "token=r", "status status=401"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
	if strings.Count(text, "\n") != 3 || strings.Contains(text, "level=ERROR") || strings.Contains(text, "guessed") {
		t.Errorf("the log:\n%s", text)
	}
}
