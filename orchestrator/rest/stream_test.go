package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

// listener reads an event stream.
type listener struct {
	t     *testing.T
	resp  *http.Response
	lines *bufio.Scanner
	last  string // id
}

// listen opens the stream and returns once the server has begun it: it holds
// everything published from then on.
func listen(t *testing.T, url, last string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	l := &listener{t: t, resp: resp, lines: bufio.NewScanner(resp.Body)}
	l.lines.Buffer(nil, 1<<20)
	return l
}

// next answers the next event and holds it to its schema; false at the end.
func (l *listener) next() (ev api.Event, ok bool) {
	l.t.Helper()
	v := &validating{t: l.t}
	v.doc, _ = strictDescription()
	var name string
	for l.lines.Scan() {
		field, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch field {
		case "id":
			l.last = value
		case "event":
			name = value
		case "data":
			v.value("Event", []byte(value))
			if err := json.Unmarshal([]byte(value), &ev); err != nil || string(ev.Type) != name {
				l.t.Errorf("event %q, data %s: %v", name, value, err)
			}
			return ev, true
		}
	}
	return ev, false
}

func (l *listener) expect(what ...string) {
	l.t.Helper()
	for _, want := range what {
		ev, ok := l.next()
		if got := describe(ev); !ok || got != want {
			l.t.Fatalf("event %q (%v), want %q", got, ok, want)
		}
	}
}

func describe(ev api.Event) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s%s", ev.Type, ev.Resource, ev.Code, ev.ResourceID))
}

func (l *listener) end() {
	l.t.Helper()
	if ev, ok := l.next(); ok {
		l.t.Errorf("event %q after the last", describe(ev))
	}
}

func move(kind, id string) api.Event {
	from, to := 0, 1
	return api.Event{Type: api.EventMove, Resource: kind, ResourceID: id, From: &from, To: &to, Text: "evens"}
}

func TestStream(t *testing.T) {
	s := start(t, Config{}, newFake())
	all, things := listen(t, s.url+"/v1/api/events", ""), listen(t, s.url+"/v1/api/events?resource=Thing", "")
	events := s.cfg.Events
	on := true
	events.Publish(move("Thing", "t1"))
	events.Publish(move("Rule", "r1"))
	events.Publish(api.Event{Type: api.EventAlarm, Resource: "Thing", Code: "full", On: &on})
	all.expect("move Thing t1", "move Rule r1", "alarm Thing full")
	things.expect("move Thing t1", "alarm Thing full")

	// Come again: what was missed follows, and nothing twice.
	events.Publish(move("Thing", "t2"))
	events.Publish(move("Thing", "t3"))
	all.expect("move Thing t2")
	listen(t, s.url+"/v1/api/events", all.last).expect("move Thing t3")
	listen(t, s.url+"/v1/api/events?resource=Thing", things.last).expect("move Thing t2", "move Thing t3")
	// An id of another process, or nonsense: nobody knows what was missed.
	for _, id := range []string{"otherstream-3", "nonsense", events.stream + "-999", events.stream + "-"} {
		again := listen(t, s.url+"/v1/api/events", id)
		ev, _ := again.next()
		if ev.Type != api.EventGap || ev.Count != 0 {
			t.Errorf("%q: %+v, want a gap of unknown size", id, ev)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	things.expect("move Thing t2", "move Thing t3", "bye  closing")
	things.end()
}

// TestStreamGap: whoever comes back too late is told how much was lost, then
// what is left.
func TestStreamGap(t *testing.T) {
	events := NewEvents(16)
	s := start(t, Config{Events: events}, newFake())
	l := listen(t, s.url+"/v1/api/events", "")
	events.Publish(move("Thing", "first"))
	l.expect("move Thing first")
	for n := range 20 {
		events.Publish(move("Thing", fmt.Sprint(n)))
	}
	again := listen(t, s.url+"/v1/api/events", l.last)
	if ev, _ := again.next(); ev.Type != api.EventGap || ev.Count != 4 {
		t.Errorf("%+v, want a gap of 4", ev)
	}
	again.expect("move Thing 4", "move Thing 5")
	// Even before the first event of a stream an id is there to come again with.
	l = listen(t, s.url+"/v1/api/events", "")
	for _, want := range []string{"retry: 1000", "id: " + events.id(21)} {
		if !l.lines.Scan() || l.lines.Text() != want {
			t.Errorf("the stream begins with %q, want %q", l.lines.Text(), want)
		}
	}
}

// TestStreamSlow: a reader that does not read is cut, and told so.
func TestStreamSlow(t *testing.T) {
	events := NewEvents(16)
	s := start(t, Config{Events: events}, newFake())
	l := listen(t, s.url+"/v1/api/events", "")
	long := strings.Repeat("x", 64<<10)
	for range 1000 { // more than any socket buffers
		events.Publish(api.Event{Type: api.EventNote, Resource: "Thing", Text: long})
	}
	n := 0
	for ev, ok := l.next(); ok; ev, ok = l.next() {
		if n++; ev.Type == api.EventBye {
			if ev.Code != api.ByeSlow || n > 900 {
				t.Errorf("%s after %d events", ev.Code, n)
			}
			l.end()
			return
		}
	}
	t.Errorf("no bye after %d events", n)
}

// TestStreamEnds: with the leadership, and when there are too many.
func TestStreamEnds(t *testing.T) {
	f := newFake()
	s := start(t, Config{Beat: time.Millisecond, MaxStreams: 1}, f)
	c := client(t)
	l := listen(t, s.url+"/v1/api/events", "")
	if resp, answer := ask(t, c, "GET", s.url+"/v1/api/events", ""); resp.StatusCode != 503 || !strings.Contains(answer, `"busy"`) {
		t.Errorf("a second stream: %s %s", resp.Status, answer)
	}
	for l.lines.Scan() && l.lines.Text() != ":" { // a beat
	}
	f.setLeader("Thing", api.Leader{})
	f.setLeader("Rule", api.Leader{URL: "http://127.0.0.1:1"})
	l.expect("bye  leader") // found with a beat
	l.end()
	f.setLeader("Thing", api.Leader{Self: true})
	if resp, answer := ask(t, c, "GET", s.url+"/v1/api/events", ""); resp.StatusCode != 409 || !strings.Contains(answer, `"several_leaders"`) {
		t.Errorf("several leaders: %s %s", resp.Status, answer)
	}
}

func TestStreamEndsWithLeaderEvent(t *testing.T) {
	f := newFake()
	s := start(t, Config{}, f)
	l := listen(t, s.url+"/v1/api/events?resource=Thing", "")
	s.cfg.Events.Publish(api.Event{Type: api.EventLeader, Resource: "Thing", Code: "still us"})
	l.expect("leader Thing still us")
	s.cfg.Events.Publish(move("Thing", "t1"))
	l.expect("move Thing t1") // by now it has been found to lead still
	f.setLeader("Thing", api.Leader{Name: "b"})
	s.cfg.Events.Publish(api.Event{Type: api.EventLeader, Resource: "Thing", Code: "b"})
	l.expect("leader Thing b", "bye  leader")
	l.end()
}

// TestClientEvents: the client comes again by itself, misses nothing and sees
// nothing twice.
func TestClientEvents(t *testing.T) {
	events := NewEvents(0)
	s, err := New(Config{Tokens: bothTokens(), Events: events}, newFake())
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	defer h.Close()
	c, err := api.New(api.Config{URL: h.URL, Token: readToken, Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const total = 300
	go func() {
		for n := range total {
			events.Publish(move("Thing", fmt.Sprint(n)))
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	begin := events.id(0) // the first connection may come after the first events
	var seen []string
	cuts := 0
	for ev, err := range c.EventsAfter(ctx, "Thing", begin) {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		if err != nil {
			continue // it comes again
		}
		if seen = append(seen, ev.ResourceID); len(seen) == total {
			break
		}
		if len(seen)%50 == 0 {
			cuts++
			h.CloseClientConnections()
		}
	}
	for n := range total {
		if len(seen) != total || seen[n] != fmt.Sprint(n) {
			t.Fatalf("%d events, %d cuts: %v", len(seen), cuts, seen)
		}
	}
	// What no waiting mends ends the iteration.
	bad, err := api.New(api.Config{URL: h.URL, Token: "another"})
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	var errs []error
	for _, err := range bad.Events(ctx, "") {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], &api.Error{Code: api.CodeUnauthorized}) {
		t.Errorf("with a wrong token: %v", errs)
	}
}

// TestNothingIsLeftRunning: when Serve has returned, nothing of it runs.
func TestNothingIsLeftRunning(t *testing.T) {
	f := newFake()
	s := start(t, Config{}, f)
	for range 5 {
		listen(t, s.url+"/v1/api/events", "")
		ask(t, client(t), "GET", s.url+kindURL, "")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	left := slices.DeleteFunc(strings.Split(string(stacks), "\n\n"), func(g string) bool {
		return !strings.Contains(g, "rest.(*Server)") || strings.Contains(g, "testing.tRunner")
	})
	if len(left) > 0 {
		t.Errorf("left running:\n%s", strings.Join(left, "\n\n"))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), ln); err == nil {
		t.Error("Serve twice")
	}
}
