package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"dacorch/orchestrator/api"
)

// asClient is a client of the server.
func asClient(t *testing.T, s *running, token string) *api.Client {
	t.Helper()
	c, err := api.New(api.Config{URL: s.url, Token: token, Retries: -1})
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

// TestRecent asks for events by each of their sides.
func TestRecent(t *testing.T) {
	s := start(t, Config{}, newFake())
	c, ctx := asClient(t, s, ""), bounded(t)
	none, err := c.Recent(ctx, api.RecentQuery{})
	if err != nil || !none.Complete || none.Events == nil || len(none.Events) != 0 {
		t.Errorf("before the first: %+v, %v", none, err)
	}
	two := 2
	events := s.cfg.Events
	events.Publish(move("Thing", "t1"))
	events.Publish(api.Event{Type: api.EventPod, Resource: "Thing", Instance: &two, Code: "Running"})
	events.Publish(move("Rule", "r1"))
	events.Publish(api.Event{Type: api.EventMove, Resource: "Thing", ResourceID: "t2", To: &two})
	events.Publish(api.Event{Type: api.EventNote, Resource: "Thing", Text: "nothing to do"})
	for _, test := range []struct {
		query    api.RecentQuery
		want     string
		complete bool
	}{
		{api.RecentQuery{}, "note Thing|move Thing t2|move Rule r1|pod Thing Running|move Thing t1", true},
		{api.RecentQuery{Limit: 5}, "note Thing|move Thing t2|move Rule r1|pod Thing Running|move Thing t1", true},
		{api.RecentQuery{Limit: 2}, "note Thing|move Thing t2", false},
		{api.RecentQuery{Kind: "Thing", Limit: 4}, "note Thing|move Thing t2|pod Thing Running|move Thing t1", true},
		{api.RecentQuery{Kind: "Rule"}, "move Rule r1", true},
		{api.RecentQuery{Instance: &two}, "move Thing t2|pod Thing Running", true},
		{api.RecentQuery{Instance: new(0)}, "move Rule r1|move Thing t1", true},
		{api.RecentQuery{Instance: new(1), Kind: "Thing"}, "move Thing t1", true},
		{api.RecentQuery{Instance: new(3)}, "", true},
		{api.RecentQuery{ResourceID: "t1"}, "move Thing t1", true},
		{api.RecentQuery{Type: api.EventMove, Limit: 2}, "move Thing t2|move Rule r1", false},
		{api.RecentQuery{Type: api.EventTime}, "", true},
	} {
		got, err := c.Recent(ctx, test.query)
		var seen []string
		for _, ev := range got.Events {
			seen = append(seen, describe(ev))
		}
		if err != nil || strings.Join(seen, "|") != test.want || got.Complete != test.complete || got.Last != events.id(5) {
			t.Errorf("%+v: %q complete %t after %s, %v; want %q %t", test.query, seen, got.Complete, got.Last, err, test.want, test.complete)
		}
	}
	// What comes next follows from Last, without a gap and without anything twice.
	last, err := c.Recent(ctx, api.RecentQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	events.Publish(move("Thing", "t9"))
	listen(t, s.url+"/v1/api/events", last.Last).expect("move Thing t9")
}

// TestRecentTypes: each type that has an id can be asked for.
func TestRecentTypes(t *testing.T) {
	for _, name := range readTypes(t)["EventType"].enum {
		typ := api.EventType(name)
		if own := typ == api.EventGap || typ == api.EventBye; own == slices.Contains(recentTypes, typ) {
			t.Errorf("%s: in recentTypes is %t", name, !own)
		}
	}
}

// TestRecentForgets: a ring that was overwritten is told as not complete, unless
// all that was asked for has been found and more.
func TestRecentForgets(t *testing.T) {
	e := NewEvents(16)
	all := &wanted{instance: anyInstance}
	for n := range 40 {
		e.Publish(move("Thing", fmt.Sprint(n)))
		kept := min(n+1, 16)
		r := e.recent(all, 1000)
		if len(r.Events) != kept || r.Complete != (n < 16) || r.Events[0].ResourceID != fmt.Sprint(n) {
			t.Errorf("after %d: %d events, complete %t, the first %q", n+1, len(r.Events), r.Complete, r.Events[0].ResourceID)
		}
	}
	if r := e.recent(&wanted{instance: anyInstance, kind: "Rule"}, 10); len(r.Events) != 0 || r.Complete {
		t.Errorf("%+v", r)
	}
}

// TestRecentRemembersWhatComesSeldom: many moves make nobody forget an alarm; what
// is told of the time before the ring is in order, and nothing is told twice.
func TestRecentRemembersWhatComesSeldom(t *testing.T) {
	e := NewEvents(16) // and 4 that come seldom
	ask := func(w wanted, limit int, want string, complete bool) {
		t.Helper()
		w.instance = anyInstance
		r := e.recent(&w, limit)
		var texts []string
		for _, ev := range r.Events {
			if ev.Type == api.EventMove {
				ev.Text = "."
			}
			texts = append(texts, ev.Text)
			if ev.ID == "" || e.id(e.next-1) != r.Last {
				t.Errorf("%+v of %s", ev, r.Last)
			}
		}
		if got := strings.Join(texts, " "); got != want || r.Complete != complete {
			t.Errorf("%+v: %q complete %t, want %q %t", w, got, r.Complete, want, complete)
		}
	}
	alarm := func(text string) { e.Publish(api.Event{Type: api.EventAlarm, Resource: "Thing", Text: text}) }
	moves := func(n int) {
		for range n {
			e.Publish(move("Thing", "t"))
		}
	}
	alarm("a")
	moves(2)
	alarm("b")
	ask(wanted{}, 9, "b . . a", true)
	moves(100)
	ask(wanted{}, 18, strings.Repeat(". ", 16)+"b a", false)
	ask(wanted{}, 17, strings.Repeat(". ", 16)+"b", false)
	ask(wanted{typ: api.EventAlarm}, 9, "b a", true)
	ask(wanted{typ: api.EventAlarm}, 1, "b", false)
	ask(wanted{typ: api.EventAlarm, kind: "Rule"}, 9, "", true)
	alarm("c")
	alarm("d")
	ask(wanted{typ: api.EventAlarm}, 9, "d c b a", false) // the next would be forgotten, for all that is known
	alarm("e")
	ask(wanted{typ: api.EventAlarm}, 9, "e d c b", false)
	moves(15)
	alarm("f") // the ring begins with moves
	ask(wanted{typ: api.EventAlarm}, 9, "f e d c", false)
	e.Rewind([]api.Event{{Type: api.EventNote, Text: "past"}}, true, api.Event{Type: api.EventTime, Text: "now"})
	ask(wanted{}, 9, "now past", true)
	moves(40)
	ask(wanted{typ: api.EventNote}, 9, "past", true)
	ask(wanted{typ: api.EventAlarm}, 9, "", true)
	e.Rewind([]api.Event{{Type: api.EventNote, Text: "past"}}, false, api.Event{Type: api.EventTime, Text: "now"})
	ask(wanted{typ: api.EventNote}, 9, "past", false)
}

// TestRecentBeside reads while events come: what is told is of one row, newest
// first, and nobody who publishes waits for the whole reading.
func TestRecentBeside(t *testing.T) {
	e := NewEvents(4 * recentTurn)
	for range 4 * recentTurn {
		e.Publish(move("Thing", "t"))
	}
	var publishing sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		publishing.Go(func() {
			for !ended(done) {
				e.Publish(move("Thing", "t"))
			}
		})
	}
	for _, w := range []wanted{{instance: anyInstance}, {instance: 7}} {
		for range 200 {
			r := e.recent(&w, recentMost)
			ids := make([]string, 0, len(r.Events))
			for _, ev := range r.Events {
				ids = append(ids, ev.ID)
			}
			if r.Complete || !slices.IsSortedFunc(ids, func(a, b string) int { return len(b) - len(a) }) || len(ids) > 0 && ids[0] != r.Last || w.instance == 7 && len(ids) > 0 {
				t.Fatalf("%d events, complete %t, %v … %s", len(ids), r.Complete, ids[:min(3, len(ids))], r.Last)
			}
			for i := 1; i < len(ids); i++ {
				if ids[i] == ids[i-1] {
					t.Fatalf("%s twice", ids[i])
				}
			}
		}
	}
	close(done)
	publishing.Wait()
}

// TestRecentOfLeaders answers from the leader's events, as the stream does.
func TestRecentOfLeaders(t *testing.T) {
	p := newPair(t, Config{})
	p.leader.cfg.Events.Publish(move("Thing", "t1"))
	c, ctx := asClient(t, p.follower, ""), bounded(t)
	got, err := c.Recent(ctx, api.RecentQuery{Kind: "Thing"})
	if err != nil || len(got.Events) != 1 || got.Events[0].ResourceID != "t1" {
		t.Errorf("through a follower: %+v, %v", got, err)
	}
	p.atFollower.setLeader("Rule", api.Leader{Name: "c", URL: "http://127.0.0.1:1"})
	if resp, answer := ask(t, client(t), "GET", p.follower.url+"/v1/api/events/recent", ""); resp.StatusCode != 409 || !strings.Contains(answer, `"several_leaders"`) {
		t.Errorf("of several leaders: %s %s", resp.Status, answer)
	}
	p.atFollower.setLeader("Rule", api.Leader{})
	p.atFollower.setLeader("Thing", api.Leader{})
	if _, err := c.Recent(ctx, api.RecentQuery{}); !errors.Is(err, &api.Error{Code: api.CodeNoLeader}) {
		t.Errorf("of no leader: %v", err)
	}
}

// TestAbout tells each caller who it is and what it may.
func TestAbout(t *testing.T) {
	s := start(t, Config{Tokens: bothTokens(), Program: "dacorch 1.2", Name: "a", Title: onlyShowsNow}, newFake())
	ctx := bounded(t)
	for token, want := range map[string]api.About{
		readToken:  {Program: "dacorch 1.2", Name: "a", Title: onlyShowsNow, Who: "r", Scope: "read"},
		writeToken: {Program: "dacorch 1.2", Name: "a", Title: onlyShowsNow, Who: "w", Scope: "write"},
	} {
		if got, err := asClient(t, s, token).About(ctx); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	if _, err := asClient(t, s, "").About(ctx); !errors.Is(err, &api.Error{Code: api.CodeUnauthorized}) {
		t.Errorf("nobody: %v", err)
	}
	open := start(t, Config{}, newFake())
	if got, err := asClient(t, open, "").About(ctx); err != nil || got != (api.About{Scope: "write", Time: true, Faults: true}) {
		t.Errorf("a simulation without tokens: %+v, %v", got, err)
	}
}

// TestNotOffered: a server without time and faults says so, to whoever might use
// them, before anything else.
func TestNotOffered(t *testing.T) {
	s := start(t, Config{Tokens: bothTokens(), Title: onlyShowsNow}, newFake())
	ctx := bounded(t)
	calls := func(c *api.Client) map[string]error {
		errs := map[string]error{}
		_, errs["time"] = c.Clock(ctx)
		_, errs["set"] = c.SetClock(ctx, api.ClockChange{})
		_, errs["step"] = c.Step(ctx, 0)
		_, errs["timeline"] = c.Timeline(ctx, 0)
		_, errs["faults"] = c.Faults(ctx)
		_, errs["inject"] = c.Inject(ctx, nil)
		return errs
	}
	for name, err := range calls(asClient(t, s, writeToken)) {
		if e := new(api.Error); !errors.As(err, &e) || e.Code != api.CodeNotOffered || e.HTTPStatus != 404 || !strings.Contains(e.Message, "simulation") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range calls(asClient(t, s, readToken)) {
		want := api.CodeNotOffered
		if name == "set" || name == "step" || name == "inject" {
			want = api.CodeForbidden
		}
		if !errors.Is(err, &api.Error{Code: want}) {
			t.Errorf("%s with a token that may read: %v", name, err)
		}
	}
}

// TestWatchClient: the client has every call of a live view.
func TestWatchClient(t *testing.T) {
	f := newFake()
	s := start(t, Config{}, f)
	c, ctx := asClient(t, s, ""), bounded(t)
	try := func(name string, good bool, err error) {
		t.Helper()
		if err != nil || !good {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := c.Pod(ctx, "Thing", 1)
	try("pod", *p.Restarts == 3 && len(p.Events) == 1 && p.Events[0].Count == 2, err)
	p, err = c.Pod(ctx, "Thing", 0)
	try("pod", p.EventsError == "forbidden" && p.Events != nil, err)
	r, err := c.Reorchestrations(ctx, "Thing")
	try("reorchestrations", len(r.Runs) == 2 && r.Runs[0].EndedAt == nil && r.Runs[1].Outcome == "done", err)
	on, err := c.Resources(ctx, "Thing", 0, "", 1)
	try("resources", len(on.Resources) == 1 && on.Next == "t1", err)
	clock, err := c.Clock(ctx)
	try("clock", clock.Source == "simulation" && clock.Faults != nil, err)
	clock, err = c.SetClock(ctx, api.ClockChange{Seek: new(12.5), Paused: new(true), Speed: new(0.01)})
	try("set clock", clock.Now == 12.5 && clock.Paused && clock.Speed == 0.01, err)
	clock, err = c.Step(ctx, -10_000)
	try("step", clock.Now == 12.5-10_000, err)
	line, err := c.Timeline(ctx, 7)
	try("timeline", len(line.Marks) == 1 && line.Series[0].Moves != nil, err)
	faults, err := c.Faults(ctx)
	try("faults", len(faults.Offered) == 1 && faults.Offered[0].Keys != nil && faults.Nodes != nil, err)
	done, err := c.Inject(ctx, map[string]any{"pod": "crash"})
	try("inject", done.Text == `{"pod":"crash"}`, err)
	for _, want := range []string{" timeline 7", ` inject {"pod":"crash"}`, `Thing resources 0 "" 1`} {
		if !slices.Contains(f.seen(), want) {
			t.Errorf("%q was not called: %q", want, f.seen())
		}
	}
}

// TestScrubbingIsNotLogged: who moves the time asks many times a second, and
// breaks nothing; who breaks something is named.
func TestScrubbingIsNotLogged(t *testing.T) {
	var log lines
	s := start(t, Config{Tokens: bothTokens(), AccessLevel: slog.LevelDebug, Log: slog.New(slog.NewTextHandler(&log, nil))}, newFake())
	c, ctx := asClient(t, s, writeToken), bounded(t)
	for range 3 {
		if _, err := c.SetClock(ctx, api.ClockChange{Seek: new(1.0)}); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Inject(ctx, map[string]any{"pod": "crash"}); err != nil {
		t.Error(err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "path=/v1/api/faults") || !strings.Contains(text, "token=w") {
		t.Errorf("the log:\n%s", text)
	}
}
