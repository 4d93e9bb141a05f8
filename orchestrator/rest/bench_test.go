package rest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"dacorch/orchestrator/api"
)

// BenchmarkWhere measures GET …/:id/instances over loopback with the whole way of
// a request (token, access log that is switched off, limits), and beside it a
// bare net/http handler that returns the same bytes: what is possible here.
func BenchmarkWhere(b *testing.B) {
	const body = `{"runIn":"iota-dac-1","instance":1,"phase":"Running"}`
	path := kindURL + "/t3/instances"
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("bare/%d", conns), func(b *testing.B) {
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
			}))
			defer h.Close()
			load(b, h.Listener.Addr().String(), path, conns)
		})
		b.Run(fmt.Sprintf("rest/%d", conns), func(b *testing.B) {
			s := start(b, Config{Tokens: bothTokens(), AccessLevel: slog.LevelDebug, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, newFake())
			load(b, s.url[len("http://"):], path, conns)
		})
	}
}

// load sends b.N requests on some connections, with a client that costs as
// little as can be: the server is what is measured.
func load(b *testing.B, addr, path string, conns int) {
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + readToken + "\r\nAccept: application/json\r\n\r\n")
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range conns {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for range n {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				resp, err := http.ReadResponse(in, nil)
				if err != nil || resp.StatusCode != 200 {
					b.Error(resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkHandlerAlone leaves the network out.
func BenchmarkHandlerAlone(b *testing.B) {
	s, err := New(Config{Tokens: bothTokens()}, newFake())
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), "GET", kindURL+"/t3/instances", nil)
	r.Header.Set("Authorization", "Bearer "+readToken)
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(w, r)
	}
}

// TestWhereAllocates little: the call, its id and the header that holds it.
func TestWhereAllocates(t *testing.T) {
	s, err := New(Config{Tokens: bothTokens()}, newFake())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", kindURL+"/t3/instances", nil)
	r.Header.Set("Authorization", "Bearer "+readToken)
	w := &sink{header: http.Header{}}
	if n := testing.AllocsPerRun(100, func() { s.ServeHTTP(w, r) }); n > 6 {
		t.Errorf("%v allocations, want at most 6", n)
	}
}

type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

// BenchmarkOrchestration writes a kind of 500,000 resources with all its ids.
func BenchmarkOrchestration(b *testing.B) {
	f := newFake()
	f.big = 5000
	s, err := New(Config{Tokens: bothTokens()}, f)
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), "GET", kindURL, nil)
	r.Header.Set("Authorization", "Bearer "+readToken)
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(&sink{header: http.Header{}}, r)
	}
}

// BenchmarkRecent looks through the largest ring in vain: the dearest question.
func BenchmarkRecent(b *testing.B) {
	e := NewEvents(1 << 20)
	for range 1 << 20 {
		e.Publish(api.Event{Type: api.EventCommit, Resource: "Thing"})
	}
	for b.Loop() {
		if r := e.recent(&wanted{instance: 7}, 100); len(r.Events) > 0 {
			b.Fatal(r)
		}
	}
}
