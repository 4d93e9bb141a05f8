package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// deadline is what a test waits for something that must come; it only fails.
const deadline = 30 * time.Second

// serve runs a server of one handler and a client of it that waits little.
func serve(t *testing.T, cfg Config, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	cfg.URL = server.URL + cfg.URL
	if cfg.Wait == 0 {
		cfg.Wait = time.Microsecond
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{{}, {URL: "localhost:8080"}, {URL: "ftp://x"}, {URL: "http://"}, {URL: "http://x", Token: "a", TokenFile: "b"}, {URL: "http://x", TokenFile: "nowhere"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

// TestRetries: what changes nothing is tried again, an order never, and nothing
// after an answer that will not change.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		status  int // of the first two answers
		retries int
		call    func(context.Context, *Client) error
		want    int32 // requests
		good    bool
	}{
		{503, 0, where, 3, true},
		{502, 0, where, 3, true},
		{0, 0, where, 3, true}, // the connection is cut
		{503, 1, where, 2, false},
		{503, -1, where, 1, false},
		{504, 0, where, 1, false},
		{404, 0, where, 1, false},
		{503, 0, preview, 3, true},
		{503, 0, orchestrate, 1, false},
		{0, 0, orchestrate, 1, false},
		{503, 0, func(ctx context.Context, c *Client) error { _, err := c.Drain(ctx, "Thing", 1, false); return err }, 1, false},
	} {
		var n atomic.Int32
		c := serve(t, Config{Retries: test.retries}, func(w http.ResponseWriter, _ *http.Request) {
			switch {
			case n.Add(1) > 2:
				fmt.Fprint(w, `{}`)
			case test.status == 0:
				panic(http.ErrAbortHandler)
			default:
				w.WriteHeader(test.status)
			}
		})
		if err := test.call(bounded(t), c); (err == nil) != test.good || n.Load() != test.want {
			t.Errorf("%d, %d retries: %v after %d requests, want %d", test.status, test.retries, err, n.Load(), test.want)
		}
	}
}

func where(ctx context.Context, c *Client) error {
	_, err := c.Where(ctx, "Thing", "t1")
	return err
}

func preview(ctx context.Context, c *Client) error {
	_, err := c.Preview(ctx, "Thing", OrchestrateRequest{}, 0)
	return err
}

func orchestrate(ctx context.Context, c *Client) error {
	_, err := c.Orchestrate(ctx, "Thing", OrchestrateRequest{})
	return err
}

func TestBackoff(t *testing.T) {
	c := &Client{cfg: Config{Wait: 100 * time.Millisecond}}
	for n, most := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		if got := c.backoff(n, nil); got < most*time.Millisecond/2 || got > most*time.Millisecond+1 {
			t.Errorf("try %d waits %v, want %dms at most and half of it at least", n, got, most)
		}
	}
	if got := c.backoff(100, &Error{RetryAfter: time.Hour}); got != 5*time.Second {
		t.Errorf("a server that says an hour: %v", got)
	}
}

// TestErrors: every answer that is no 2xx is an *Error.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		status  int
		body    string
		code    Code
		message string
	}{
		{404, `{"error":{"code":"unplaced","message":"stands nowhere","requestId":"r"}}`, CodeUnplaced, "unplaced: stands nowhere"},
		{403, `<html>a proxy</html>`, CodeInternal, "internal: the server answers 403 Forbidden"},
		{500, `{"error":{}}`, CodeInternal, "internal: the server answers 500 Internal Server Error"},
		{302, ``, CodeInternal, "internal: the server answers 302 Found"},
	} {
		c := serve(t, Config{Token: "secret"}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stolen" {
				t.Error("the client follows a redirection, with the token")
			}
			w.Header().Set("Location", "/stolen")
			w.Header().Set("X-Request-Id", "r")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(test.status)
			fmt.Fprint(w, test.body)
		})
		err := where(bounded(t), c)
		var e *Error
		if !errors.As(err, &e) || e.Code != test.code || e.Error() != test.message || e.HTTPStatus != test.status || e.RequestID != "r" || e.RetryAfter != 7*time.Second {
			t.Errorf("%d %s: %#v", test.status, test.body, err)
		}
		if !errors.Is(err, &Error{Code: test.code}) || errors.Is(err, &Error{Code: CodeBusy}) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v is not %s alone", err, test.code)
		}
	}
	for answer, want := range map[string]string{"no JSON": "cannot be read", `{"runIn":"` + strings.Repeat("x", 100) + `"}`: "more than 50 bytes"} {
		c := serve(t, Config{MaxAnswer: 50}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
		if err := where(bounded(t), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
	}
}

// TestStatuses: every code has a status, and it is one of an error.
func TestStatuses(t *testing.T) {
	for code, status := range statuses {
		if status < 400 || status > 599 || http.StatusText(status) == "" || code.Status() != status {
			t.Errorf("%s: %d", code, status)
		}
	}
	if Code("new").Status() != 500 {
		t.Error("an unknown code")
	}
}

// TestTokenFile: a token that is refused is read anew, once.
func TestTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	var n atomic.Int32
	c := serve(t, Config{TokenFile: file}, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(401)
			fmt.Fprint(w, `{"error":{"code":"unauthorized","message":"no"}}`)
			return
		}
		fmt.Fprint(w, `{}`)
	})
	if err := where(bounded(t), c); !errors.Is(err, &Error{Code: CodeUnauthorized}) || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
	write("new")
	if err := where(bounded(t), c); err != nil || n.Load() != 3 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
	for _, bad := range []string{"", "two words"} {
		write(bad)
		if _, err := New(Config{URL: "http://x", TokenFile: file}); err == nil {
			t.Errorf("a token file of %q is taken", bad)
		}
	}
}

// TestPaths: the request's target is what was meant, whatever the names are.
func TestPaths(t *testing.T) {
	var target atomic.Value
	c := serve(t, Config{URL: "/behind%2Fa/proxy/"}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		target.Store(r.Method + " " + r.RequestURI + " " + string(body))
		fmt.Fprint(w, `{}`)
	})
	const at = " /behind%2Fa/proxy/v1/api/orchestrations"
	for _, test := range []struct {
		call func(ctx context.Context) error
		want string
	}{
		{func(ctx context.Context) error { _, err := c.Where(ctx, "a b", "x/y?z#%"); return err }, "GET" + at + "/a%20b/x%2Fy%3Fz%23%25/instances "},
		{func(ctx context.Context) error { _, err := c.Where(ctx, "Thing", ".."); return err }, "GET" + at + "/Thing/%2E%2E/instances "},
		{func(ctx context.Context) error { _, err := c.Search(ctx, "Thing", "a&b", "", 5); return err }, "GET" + at + "/Thing/resources?after=&limit=5&prefix=a%26b "},
		{func(ctx context.Context) error { _, err := c.SetMaintenance(ctx, "Thing", true); return err }, "PUT" + at + `/Thing/maintenance {"on":true}`},
		{func(ctx context.Context) error { _, err := c.Pod(ctx, "Thing", 3); return err }, "GET" + at + "/Thing/instances/3/pod "},
		{func(ctx context.Context) error { _, err := c.Resources(ctx, "Thing", 3, "a&b", 5); return err }, "GET" + at + "/Thing/instances/3/resources?after=a%26b&limit=5 "},
		{func(ctx context.Context) error { _, err := c.Reorchestrations(ctx, "Thing"); return err }, "GET" + at + "/Thing/reorchestrations "},
		{func(ctx context.Context) error { _, err := c.Recent(ctx, RecentQuery{}); return err }, "GET /behind%2Fa/proxy/v1/api/events/recent "},
		{func(ctx context.Context) error {
			_, err := c.Recent(ctx, RecentQuery{Kind: "a b", Instance: new(0), ResourceID: "x/y", Type: EventMove, Limit: 7})
			return err
		}, "GET /behind%2Fa/proxy/v1/api/events/recent?instance=0&limit=7&resource=a+b&resourceId=x%2Fy&type=move "},
		{func(ctx context.Context) error { _, err := c.Timeline(ctx, 0); return err }, "GET /behind%2Fa/proxy/v1/api/timeline "},
		{func(ctx context.Context) error { _, err := c.Timeline(ctx, 9); return err }, "GET /behind%2Fa/proxy/v1/api/timeline?buckets=9 "},
		{func(ctx context.Context) error {
			_, err := c.SetClock(ctx, ClockChange{Seek: new(0.0), Paused: new(false)})
			return err
		}, `PUT /behind%2Fa/proxy/v1/api/time {"paused":false,"seek":0}`},
		{func(ctx context.Context) error { _, err := c.Step(ctx, -3); return err }, `POST /behind%2Fa/proxy/v1/api/time/step {"events":-3}`},
		{func(ctx context.Context) error { _, err := c.Inject(ctx, map[string]any{"pod": "crash"}); return err }, `POST /behind%2Fa/proxy/v1/api/faults {"pod":"crash"}`},
		{func(ctx context.Context) error { _, err := c.Undrain(ctx, "Thing", 3); return err }, "POST" + at + "/Thing/instances/3/undrain "},
	} {
		if err := test.call(bounded(t)); err != nil || target.Load() != test.want {
			t.Errorf("%v %q, want %q", err, target.Load(), test.want)
		}
	}
}

// TestEvents: fields of the stream that the client does not need, lines of a
// comment, data over several lines; the end of the stream and errors in it.
func TestEvents(t *testing.T) {
	var n atomic.Int32
	lasts := make(chan string, 10)
	c := serve(t, Config{Retries: -1}, func(w http.ResponseWriter, r *http.Request) {
		lasts <- r.Header.Get("Last-Event-ID")
		switch n.Add(1) {
		case 1:
			fmt.Fprint(w, "retry: 5\nid: s-0\n\n: hello\n\nevent: move\nid: s-1\ndata: {\"type\":\"move\",\ndata: \"resourceId\":\"a\"}\n\nid: s-2\ndata: {\"type\":\"cut off\"}\n")
		case 2:
			fmt.Fprint(w, "id: s-3\n\n")
		case 3:
			fmt.Fprint(w, "data: {nonsense}\n\n")
		case 4:
			w.WriteHeader(503)
		default:
			w.WriteHeader(404)
		}
	})
	var got []string
	for ev, err := range c.Events(bounded(t), "Thing") {
		if err != nil {
			got = append(got, err.Error())
		} else {
			got = append(got, string(ev.Type)+" "+ev.ResourceID)
		}
	}
	want := []string{"move a", "api: an event cannot be read", "internal: the server answers 503", "internal: the server answers 404"}
	if len(got) != len(want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
	for i, want := range []string{"", "s-1", "s-3", "s-3", "s-3"} {
		if last := <-lasts; last != want {
			t.Errorf("Last-Event-ID of request %d: %q, want %q", i, last, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range c.Events(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v after the context", err)
		}
	}
}

// TestSilence: a stream that says nothing is opened anew.
func TestSilence(t *testing.T) {
	c := serve(t, Config{Silence: 10 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	n := 0
	for _, err := range c.Events(bounded(t), "") {
		if err == nil || err.Error() != "api: the event stream said nothing for 10ms" {
			t.Fatal(err)
		}
		if n++; n == 2 {
			return
		}
	}
}

// FuzzEvents: whatever a server sends, the client does not fall over.
func FuzzEvents(f *testing.F) {
	f.Add("id: s-1\nevent: move\ndata: {\"type\":\"move\"}\n\n:\n\ndata\n\ndata: 1\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := &subscription{yield: func(ev Event, _ error) bool { return ev.Type != "stop" }}
		if err := s.parse(bufio.NewScanner(strings.NewReader(text))); err == nil && strings.Contains(text, "\n\n") && s.last == "" && strings.HasPrefix(text, "id: x\n\n") {
			t.Error("an id is lost")
		}
	})
}

// TestWire: what the contract fixes, and lists that are there though empty.
func TestWire(t *testing.T) {
	for want, v := range map[string]any{
		`{"runIn":"iota-dac-3","instance":3}`:        Location{RunIn: "iota-dac-3", Instance: 3},
		`{"maxInstances":5,"resourcePerInstance":0}`: OrchestrateRequest{MaxInstances: new(5), ResourcePerInstance: new(0)},
		`{}`:                                    OrchestrateRequest{},
		`{"id":1,"pod":"p","used":0,"count":5}`: InstanceList{ID: 1, Pod: "p", Cap: 5},
		`{"id":1,"pod":"p","used":0,"count":5,"ids":[]}`:                                             InstanceList{ID: 1, Pod: "p", Cap: 5, IDs: []string{}},
		`{"type":"move","at":"0001-01-01T00:00:00Z","from":0}`:                                       Event{Type: EventMove, From: new(0)},
		`{"error":{"code":"refused","message":"m"}}`:                                                 ErrorBody{Error: Errorf(CodeRefused, "m")},
		`{"resource":"Thing","id":"x","moves":null,"complete":false,"since":"0001-01-01T00:00:00Z"}`: Moves{Resource: "Thing", ID: "x"},
	} {
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("%s %v, want %s", got, err, want)
		}
	}
}
