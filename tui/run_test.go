package tui

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
)

// serveSample is a server on loopback that answers what tui/sample made up, as far
// as the header and the tables of instances and kinds need it.
func serveSample(t *testing.T) *httptest.Server {
	t.Helper()
	s := newStand(sample.Production(sample.State(12, 400)))
	queries := map[string]data.Query{
		"/v1/api/about":                          {What: data.AskAbout},
		"/v1/api/orchestrations":                 {What: data.AskKinds},
		"/v1/api/orchestrations/Thing/status":    {What: data.AskStatus, Kind: "Thing"},
		"/v1/api/orchestrations/Thing/instances": {What: data.AskInstances, Kind: "Thing"},
		"/v1/api/events/recent":                  {What: data.AskRecent, Instance: -1, N: recentMost},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/api/events" {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		q, ok := queries[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		v, _ := s.ask(r.Context(), q)
		_ = json.NewEncoder(w).Encode(v)
	}))
	t.Cleanup(srv.Close)
	return srv
}

// paper is a terminal that remembers all that was written to it.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

// shows waits for words.
func (p *paper) shows(t *testing.T, words string) {
	t.Helper()
	limit := time.After(patience)
	for {
		p.mu.Lock()
		there := strings.Contains(p.text.String(), words)
		p.mu.Unlock()
		if there {
			return
		}
		select {
		case <-p.more:
		case <-limit:
			t.Fatalf("%q is never written:\n%q", words, p.text.String())
		}
	}
}

// The whole program: it reads, it draws, it quits, and leaves nothing behind.
func TestRun(t *testing.T) {
	srv := serveSample(t)
	before := runtime.NumGoroutine()
	start := func(ctx context.Context) (io.Writer, *paper, chan error) {
		client, err := api.New(api.Config{URL: srv.URL, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		in, keys := io.Pipe()
		t.Cleanup(func() { keys.Close() })
		out, ended := &paper{more: make(chan struct{}, 1)}, make(chan error, 1)
		go func() {
			ended <- Run(ctx, Config{Client: client, URL: srv.URL, View: "instances", Theme: "dark", Input: in, Output: out,
				Environ: []string{"TERM=xterm-256color", "COLUMNS=120", "LINES=40"}, size: [2]int{120, 40}})
		}()
		return keys, out, ended
	}
	keys, out, ended := start(t.Context())
	out.shows(t, "iota-dac-11")
	if _, err := io.WriteString(keys, "q"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after q: %v", err)
	}
	out.shows(t, "\x1b[?1049l") // the screen that was there before is back
	ctx, cancel := context.WithCancel(t.Context())
	_, out, ended = start(ctx)
	out.shows(t, "iota-dac-11")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("after its context has ended: %v", err)
	}
	for limit := time.Now().Add(patience); runtime.NumGoroutine() > before+20; runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("%d goroutines are left, %d were there before", runtime.NumGoroutine(), before)
		}
	}
}

func TestSnapshot(t *testing.T) {
	srv := serveSample(t)
	client, err := api.New(api.Config{URL: srv.URL, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	for format, want := range map[Format]string{Text: "iota-dac-11", ANSI: "\x1b[", SVG: "<svg"} {
		var out bytes.Buffer
		if err := Snapshot(t.Context(), Config{Client: client, URL: srv.URL, View: "instances"}, 120, 40, &out, format); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("a snapshot as %s has no %q:\n%s", format, want, out.String())
		}
	}
	var out bytes.Buffer
	if err := Snapshot(t.Context(), Config{Client: client, View: "nothing"}, 80, 24, &out, Text); err == nil || !strings.Contains(err.Error(), "want one of placement, instances") {
		t.Errorf("an unknown view: %v", err)
	}
	srv.Close()
	if err := Snapshot(t.Context(), Config{Client: client, URL: "http://127.0.0.1:1"}, 80, 24, &out, Text); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a server that is gone: %v", err)
	}
}

// Nothing is done where nothing changes: a simulation that is paused is asked
// rarely, and the screen is drawn as rarely.
func TestIdleCostsNextToNothing(t *testing.T) {
	s := newStand(sample.State(12, 400))
	s.state.Flows = nil
	c, _ := s.state.Clock()
	c.Paused = true
	s.put(data.Query{What: data.AskClock}, c)
	r := newRig(t, s, Config{View: "instances"})
	r.settle()
	r.pass(5 * time.Second)
	r.settle()
	asked := func() (n int) {
		s.set(func() {
			for _, v := range s.asked {
				n += v
			}
		})
		return n
	}
	before, drawn, frames := asked(), r.m.drawn, 0
	for range 600 {
		r.pass(100 * time.Millisecond)
		r.until("what is due is answered", func() bool { return r.m.asks.running == 0 })
		if r.m.drawn != drawn {
			drawn = r.m.drawn
			frames++
		}
	}
	needs := len(r.m.needs())
	if n := asked() - before; n > needs*13 {
		t.Errorf("in a minute of rest %d calls for %d queries, want at most 12 each", n, needs)
	}
	if frames > 30 {
		t.Errorf("%d frames in a minute of rest, want about 12", frames)
	}
}
