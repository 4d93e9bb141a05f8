package rest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dacorch/orchestrator/api"

	"github.com/rogpeppe/go-internal/txtar"
)

// ask sends one request. headers are "Name: value".
func ask(t testing.TB, c *http.Client, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(data)
}

// TestGolden plays the requests of testdata and compares the answers, byte for
// byte. A file's comment is the requests, its parts the answers.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f := newFake()
			s := start(t, Config{}, f)
			c := client(t)
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			played := &txtar.Archive{Comment: archive.Comment}
			for _, line := range strings.Split(strings.TrimSpace(string(archive.Comment)), "\n") {
				if line == "" || line[0] == '#' {
					continue
				}
				method, rest, _ := strings.Cut(line, " ")
				path, body, _ := strings.Cut(rest, " ")
				resp, answer := ask(t, c, method, s.url+path, body, "X-Request-Id: golden")
				head := resp.Status + " " + resp.Header.Get("Content-Type") + "\n"
				played.Files = append(played.Files, txtar.File{Name: line, Data: []byte(head + answer + "\n")})
			}
			got := txtar.Format(played)
			if *update {
				if err := os.WriteFile(name, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if want := txtar.Format(archive); !bytes.Equal(got, want) {
				t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
			}
		})
	}
}

// bodies are good ones, by the route's body.
var bodies = map[string]string{"Maintenance": `{"on":true}`, "OrchestrateRequest": `{"maxInstances":20}`,
	"ClockChange": `{"paused":true}`, "Step": `{"events":-1}`, anyObject: `{"pod":"crash"}`}

// TestEveryCall calls every route once, each answer as described, and checks that
// the leader's calls are refused by others.
func TestEveryCall(t *testing.T) {
	f := newFake()
	s := start(t, Config{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintln(w, "up 1")
	})}, f)
	c := client(t)
	for i := range routes {
		rt := &routes[i]
		if rt.limit == limitStream {
			continue // stream_test.go
		}
		path := strings.NewReplacer("{resource}", "Thing", "{id}", "t1", "{instance}", "1").Replace(rt.path)
		body := bodies[rt.body]
		f.setLeader("Thing", api.Leader{Self: true})
		resp, answer := ask(t, c, rt.method, s.url+path, body)
		if resp.StatusCode/100 != 2 {
			t.Errorf("%s %s: %s %s", rt.method, path, resp.Status, answer)
		}
		f.setLeader("Thing", api.Leader{})
		resp, answer = ask(t, c, rt.method, s.url+path, body)
		if led := rt.place == atLeader; led != (resp.StatusCode == 503) || led != strings.HasPrefix(answer, `{"error":{"code":"no_leader"`) || led != (resp.Header.Get("Retry-After") == "1") {
			t.Errorf("%s %s without a leader: %s %s", rt.method, path, resp.Status, answer)
		}
		resp, answer = ask(t, c, rt.method, s.url+strings.Replace(path, "/Thing", "/Nothing", 1), body)
		if kinds := strings.Contains(path, "/Thing"); kinds != (resp.StatusCode == 404 && strings.Contains(answer, `"unknown_kind"`)) {
			t.Errorf("%s %s of an unknown kind: %s %s", rt.method, path, resp.Status, answer)
		}
		resp, answer = ask(t, c, "DELETE", s.url+path, "")
		if resp.StatusCode != 405 || !strings.Contains(resp.Header.Get("Allow"), rt.method) {
			t.Errorf("DELETE %s: %s %s, Allow %q", path, resp.Status, answer, resp.Header.Get("Allow"))
		}
		if rt.method == "GET" {
			if resp, _ = ask(t, c, "HEAD", s.url+path, ""); resp.StatusCode != map[bool]int{true: 503, false: 200}[rt.place == atLeader] {
				t.Errorf("HEAD %s: %s", path, resp.Status)
			}
		}
	}
}

// TestAnyID: whatever text a resource's id is, it can be found.
func TestAnyID(t *testing.T) {
	f := newFake()
	s := start(t, Config{}, f)
	c := client(t)
	for id, n := range f.where {
		if n < 0 {
			continue
		}
		escaped := url.PathEscape(id)
		if strings.Trim(id, ".") == "" {
			escaped = strings.ReplaceAll(id, ".", "%2E")
		}
		want := fmt.Sprintf(`{"runIn":"iota-dac-%d","instance":%d,"phase":"Running"}`, n, n)
		if resp, answer := ask(t, c, "GET", s.url+"/v1/api/orchestrations/Thing/"+escaped+"/instances", ""); answer != want {
			t.Errorf("%q: %s %s, want %s", id, resp.Status, answer, want)
		}
		ask(t, c, "GET", s.url+"/v1/api/orchestrations/Thing/resources/"+escaped+"/moves", "")
		if call := fmt.Sprintf("Thing moves %q", id); !slices.Contains(f.seen(), call) {
			t.Errorf("%q was not called", call)
		}
	}
	for path, want := range map[string]string{"/Thing/%FF/instances": "bad_request", "/Thing//instances": "not_found", "/Thing/a/b/instances": "not_found",
		"/Thing/%20x/instances": "unknown_resource", "/%FF": "bad_request", "/Thing/instances/x/drain": "method"} {
		if _, answer := ask(t, c, "GET", s.url+"/v1/api/orchestrations"+path, ""); !strings.Contains(answer, `"code":"`+want+`"`) {
			t.Errorf("%s: %s, want %s", path, answer, want)
		}
	}
}

// TestListIsCut: an orchestration that fails in the middle does not look whole.
func TestListIsCut(t *testing.T) {
	f := newFake()
	f.big = 1000
	f.set(hookOn("Thing instance 500", fmt.Errorf("ZooKeeper has gone")))
	s := start(t, Config{}, f)
	resp, err := http.Get(s.url + "/v1/api/orchestrations/Thing")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("read %d bytes without an error", len(data))
	}
	// At the first instance the error can still be told.
	f.set(hookOn("Thing instance 0", fmt.Errorf("ZooKeeper has gone")))
	if resp, answer := ask(t, client(t), "GET", s.url+"/v1/api/orchestrations/Thing", ""); resp.StatusCode != 500 || strings.Contains(answer, "ZooKeeper") {
		t.Errorf("%s %s: want 500 without what is for the log", resp.Status, answer)
	}
}
