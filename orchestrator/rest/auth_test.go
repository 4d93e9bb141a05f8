package rest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

const kindURL = "/v1/api/orchestrations/Thing"

// TestWhoMayCall goes through tokens, scopes and anonymous requests.
func TestWhoMayCall(t *testing.T) {
	tokens := bothTokens()
	for _, test := range []struct {
		anonymous   Scope
		header      string
		read, write int
	}{
		{ScopeNone, "", 401, 401},
		{ScopeNone, "Bearer " + readToken, 200, 403},
		{ScopeNone, "Bearer " + writeToken, 200, 200},
		{ScopeNone, "bearer  " + writeToken, 200, 200},
		{ScopeNone, "Bearer " + writeToken + "x", 401, 401},
		{ScopeNone, "Bearer", 401, 401},
		{ScopeNone, "Basic dTpw", 401, 401},
		{ScopeNone, "Bearer " + strings.Repeat("x", 5000), 401, 401},
		{ScopeRead, "", 200, 403},
		{ScopeRead, "Bearer " + writeToken, 200, 200},
		{ScopeWrite, "", 200, 200},
		{ScopeWrite, "Bearer wrong", 401, 401}, // who shows a token wants it to count
	} {
		t.Run(fmt.Sprintf("%v/%.30s", test.anonymous, test.header), func(t *testing.T) {
			s := start(t, Config{Tokens: tokens, Anonymous: test.anonymous}, newFake())
			c := client(t)
			var headers []string
			if test.header != "" {
				headers = []string{"Authorization: " + test.header}
			}
			for _, rt := range routes {
				if rt.limit == limitStream || rt.path == "/metrics" {
					continue
				}
				path := strings.NewReplacer("{resource}", "Thing", "{id}", "t1", "{instance}", "1").Replace(rt.path)
				want := map[Scope]int{ScopeNone: 200, ScopeRead: test.read, ScopeWrite: test.write}[rt.scope]
				resp, answer := ask(t, c, rt.method, s.url+path, bodies[rt.body], headers...)
				if got := resp.StatusCode; got != want && !(want == 200 && got == 202) {
					t.Errorf("%s %s: %d %s, want %d", rt.method, path, got, answer, want)
				}
				if resp.StatusCode == 401 && !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("%s: 401 without WWW-Authenticate", path)
				}
			}
		})
	}
}

// TestOtherSites: no web page of another site can use the anonymous access that
// a browser on this machine has.
func TestOtherSites(t *testing.T) {
	s := start(t, Config{Anonymous: ScopeWrite, Tokens: bothTokens(), Hosts: []string{"dac.test"}}, newFake())
	c := client(t)
	port := s.url[strings.LastIndexByte(s.url, ':'):]
	for _, test := range []struct {
		headers string // separated by |
		want    int
	}{
		{"Host: localhost" + port, 200},
		{"Host: LOCALHOST", 200},
		{"Host: 127.0.0.1" + port, 200},
		{"Host: [::1]" + port, 200},
		{"Host: dac.test:1", 200},
		{"Host: evil.test" + port, 421},
		{"Host: localhost.evil.test", 421},
		{"Host: 10.0.0.1" + port, 421},
		{"Host: evil.test|Authorization: Bearer " + writeToken, 200}, // no page knows the token
		{"Host: localhost:1|Origin: http://localhost:1", 200},
		{"Host: localhost:1|Origin: http://localhost:2", 403},
		{"Host: localhost:1|Origin: http://evil.test", 403},
		{"Host: localhost:1|Origin: null", 403},
		{"Host: localhost:1|Sec-Fetch-Site: cross-site", 403},
		{"Host: localhost:1|Sec-Fetch-Site: same-origin", 200},
		{"Host: localhost:1|Content-Type: text/plain", 415},
		{"Host: localhost:1|Content-Type: application/x-www-form-urlencoded", 415},
		{"Host: localhost:1|Content-Type: application/json; charset=utf-8", 200},
	} {
		resp, answer := ask(t, c, "POST", s.url+kindURL+"/orchestrate", "{}", strings.Split(test.headers, "|")...)
		if resp.StatusCode != test.want {
			t.Errorf("%s: %s %s, want %d", test.headers, resp.Status, answer, test.want)
		}
	}
}

// address is a listener's that is not loopback.
type address struct {
	net.Listener
	addr net.Addr
}

func (a address) Addr() net.Addr { return a.addr }

// TestAddresses: what would leave the interface open is refused at start, with
// what to do.
func TestAddresses(t *testing.T) {
	public, local := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{IP: net.IPv6loopback}
	for _, test := range []struct {
		cfg  Config
		addr net.Addr
		want string
	}{
		{Config{}, public, "name a token file"},
		{Config{}, &net.TCPAddr{IP: net.IPv4zero}, "name a token file"},
		{Config{}, nil, "name a token file"},
		{Config{}, local, "nobody could call"},
		{Config{Anonymous: ScopeRead}, public, "set anonymous to none"},
		{Config{Anonymous: ScopeRead, Tokens: bothTokens()}, public, "set anonymous to none"},
		{Config{Anonymous: ScopeRead}, local, ""},
		{Config{Anonymous: ScopeRead}, &net.UnixAddr{Name: "x"}, ""},
		{Config{Tokens: bothTokens()}, public, ""},
	} {
		s, err := New(test.cfg, newFake())
		if err != nil {
			t.Fatal(err)
		}
		err = s.CheckAddr(test.addr)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v at %v: %v, want %q", test.cfg.Anonymous, test.addr, err, test.want)
		}
		if err != nil && test.addr != nil {
			ln, lnErr := net.Listen("tcp", "127.0.0.1:0")
			if lnErr != nil {
				t.Fatal(lnErr)
			}
			if served := s.Serve(context.Background(), address{ln, test.addr}); served == nil || served.Error() != err.Error() {
				t.Errorf("Serve: %v, want %v", served, err)
			}
		}
	}
	for _, cfg := range []Config{{CertFile: "x"}, {MaxBody: -1}, {MaxAtOnce: -1}, {Anonymous: 9}, {TokenFile: "nowhere"}, {CertFile: "nowhere", KeyFile: "nowhere"},
		{Tokens: append(bothTokens(), NewToken("again", ScopeRead, readToken))}} {
		if _, err := New(cfg, newFake()); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

func TestParseTokens(t *testing.T) {
	hash := "sha256:" + strings.Repeat("0aF1", 16)
	good := "# whose\n\nweb-ui\tread  some-plain-token\r\n ops write " + hash + "\n"
	list, err := ParseTokens([]byte(good))
	if err != nil || len(list) != 2 || list[0] != NewToken("web-ui", ScopeRead, "some-plain-token") || list[1].Scope != ScopeWrite || list[1].Hash[1] != 0xf1 {
		t.Errorf("%v %v", list, err)
	}
	for text, want := range map[string]string{
		"a read":                                     "line 1: 2 words",
		"a read secret-token more":                   "line 1: 4 words",
		"\na none secret-token":                      "line 2: the second word",
		"a admin secret-token":                       "line 1: the second word",
		"a read short":                               "line 1: the token has 5 bytes",
		"a read sha256:00":                           "line 1: the token's hash",
		"a read sha256:" + hash:                      "line 1: the token's hash",
		"a read secret-token\na write secret-token2": `line 2: the name "a" stands in line 1`,
		"a read " + strings.Repeat("x", 5000):        "line 1: ",
	} {
		_, err := ParseTokens([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestTokensChange: the file is read anew when it has changed; a mistake in it
// leaves the old tokens valid.
func TestTokensChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string, at int64) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		stamp := time.Unix(at, 0)
		if err := os.Chtimes(file+".new", stamp, stamp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("a read first-token", 1000)
	s := start(t, Config{TokenFile: file, TokenCheck: time.Nanosecond, Tokens: []Token{NewToken("env", ScopeWrite, "legacy-token")}}, newFake())
	c := client(t)
	status := func(token string) int {
		resp, _ := ask(t, c, "GET", s.url+kindURL, "", "Authorization: Bearer "+token)
		return resp.StatusCode
	}
	check := func(when string, want ...int) {
		t.Helper()
		var got []int
		for _, token := range []string{"first-token", "second-token", "legacy-token"} {
			got = append(got, status(token))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	check("at first", 200, 401, 200)
	write("b read second-token", 2000)
	check("after a change", 401, 200, 200)
	write("b read", 3000)
	check("after a mistake", 401, 200, 200)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	check("without the file", 401, 200, 200)
	write("a read first-token", 4000)
	check("with the file again", 200, 401, 200)
}

func FuzzParseTokens(f *testing.F) {
	f.Add([]byte("a read secret-token\n#\n\nb write sha256:00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseTokens(data)
		if err != nil && list != nil {
			t.Error("tokens with an error")
		}
		for _, tok := range list {
			if tok.Scope != ScopeRead && tok.Scope != ScopeWrite || tok.Name == "" {
				t.Errorf("%+v", tok)
			}
		}
	})
}

// TestHealthKeepsToItself: who may not read learns no details.
func TestHealthKeepsToItself(t *testing.T) {
	f := newFake()
	f.health = api.Health{Live: true, Checks: []api.Check{{Name: "zookeeper", Text: "no route to 192.0.2.1"}}}
	s := start(t, Config{Tokens: bothTokens()}, f)
	c := client(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/v1/api/health": 503} {
		if resp, answer := ask(t, c, http.MethodGet, s.url+path, ""); resp.StatusCode != want || strings.Contains(answer, "192") {
			t.Errorf("%s: %s %s", path, resp.Status, answer)
		}
		if _, answer := ask(t, c, http.MethodGet, s.url+path, "", "Authorization: Bearer "+readToken); !strings.Contains(answer, "192") {
			t.Errorf("%s with a token: %s", path, answer)
		}
		if resp, answer := ask(t, c, http.MethodGet, s.url+path, "", "Authorization: Bearer stale"); resp.StatusCode != want || strings.Contains(answer, "192") {
			t.Errorf("%s with an old token: %s %s", path, resp.Status, answer)
		}
	}
}
