package rest

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

// eachOther is a follower, the leader of Thing, and the leader of Rule.
func eachOther(t *testing.T) (p *pair, rules *running) {
	p = newPair(t, Config{})
	rules = start(t, Config{}, newFake())
	p.atFollower.setLeader("Rule", api.Leader{Name: "c", URL: rules.url})
	return p, rules
}

// publishAt publishes a move at a second.
func publishAt(s *running, kind, id string, second int) {
	ev := move(kind, id)
	ev.At = time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC)
	s.cfg.Events.Publish(ev)
}

// some reads n events and answers them in an order of their own.
func some(t *testing.T, next func() (api.Event, error, bool), n int) string {
	t.Helper()
	var got []string
	for range n {
		ev, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("%v %t after %q", err, ok, got)
		}
		got = append(got, describe(ev))
	}
	slices.Sort(got)
	return strings.Join(got, ", ")
}

// TestRecentOfSeveralLeaders: what has happened to all kinds is one list, and what
// follows goes on from it.
func TestRecentOfSeveralLeaders(t *testing.T) {
	p, rules := eachOther(t)
	c, ctx := asClient(t, p.follower, ""), bounded(t)
	for second := range 3 {
		publishAt(p.leader, "Thing", "t", 2*second)
		publishAt(rules, "Rule", "r", 2*second+1)
	}
	got, err := c.Recent(ctx, api.RecentQuery{})
	var kinds []string
	for _, ev := range got.Events {
		kinds = append(kinds, ev.Resource)
	}
	if want := "Rule Thing Rule Thing Rule Thing"; err != nil || !got.Complete || strings.Join(kinds, " ") != want {
		t.Errorf("%q complete %t, %v", kinds, got.Complete, err)
	}
	if cut, err := c.Recent(ctx, api.RecentQuery{Limit: 3}); err != nil || cut.Complete || len(cut.Events) != 3 || cut.Events[2].Resource != "Rule" || cut.Last != got.Last {
		t.Errorf("three of them: %+v, %v", cut, err)
	}
	if _, err := c.Recent(ctx, api.RecentQuery{Limit: 5000}); !errors.Is(err, &api.Error{Code: api.CodeOutOfRange}) {
		t.Errorf("too many: %v", err)
	}
	publishAt(p.leader, "Thing", "t9", 10)
	publishAt(rules, "Rule", "r9", 11)
	next, stop := iter.Pull2(c.EventsAfter(ctx, "", got.Last))
	defer stop()
	if got := some(t, next, 2); got != "move Rule r9, move Thing t9" {
		t.Error(got)
	}
	of, stopOf := iter.Pull2(c.EventsAfter(ctx, "Rule", got.Last))
	defer stopOf()
	if got := some(t, of, 1); got != "move Rule r9" {
		t.Error(got)
	}

	p.atFollower.setLeader("Rule", api.Leader{Name: "c", URL: "http://127.0.0.1:1"})
	if got, err := c.Recent(ctx, api.RecentQuery{}); err != nil || got.Complete || len(got.Events) != 4 {
		t.Errorf("without one of the leaders: %+v, %v", got, err)
	}
	p.atFollower.setLeader("Thing", api.Leader{Name: "d", URL: "http://127.0.0.1:2"})
	if _, err := c.Recent(ctx, api.RecentQuery{}); !errors.Is(err, &api.Error{Code: api.CodeUpstream}) {
		t.Errorf("without both: %v", err)
	}
}

// TestEventsWhileLeadersPart: whoever reads the events of all kinds goes on doing so
// when another process begins to lead one of them; nothing is left running.
func TestEventsWhileLeadersPart(t *testing.T) {
	p, rules := eachOther(t)
	both := api.Leader{Name: "b", URL: p.leader.url}
	p.atFollower.setLeader("Rule", both)
	c, err := api.New(api.Config{URL: p.follower.url, Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(bounded(t))
	next, stop := iter.Pull2(c.EventsAfter(ctx, "", p.leader.cfg.Events.id(0)))
	defer stop()
	p.leader.cfg.Events.Publish(move("Rule", "r1"))
	if got := some(t, next, 1); got != "move Rule r1" {
		t.Fatal(got)
	}
	p.atFollower.setLeader("Rule", api.Leader{Name: "c", URL: rules.url})
	p.atLead.setLeader("Rule", api.Leader{Name: "c", URL: rules.url})
	p.leader.cfg.Events.Publish(api.Event{Type: api.EventLeader, Resource: "Rule", Code: "c"})
	if got := some(t, next, 2); got != "bye  leader, leader Rule c" {
		t.Error(got)
	}
	p.leader.cfg.Events.Publish(move("Thing", "t1"))
	// The new leader of Rule cannot say what was missed; Thing's has missed nothing.
	if got := some(t, next, 2); got != "gap, move Thing t1" {
		t.Error(got)
	}
	rules.cfg.Events.Publish(move("Rule", "r2"))
	p.leader.cfg.Events.Publish(move("Thing", "t2"))
	if got := some(t, next, 2); got != "move Rule r2, move Thing t2" {
		t.Error(got)
	}
	cancel()
	if _, err, ok := next(); !ok || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v %t", err, ok)
	}
	if _, _, ok := next(); ok {
		t.Error("the iteration goes on")
	}
	stacks := make([]byte, 1<<20)
	if text := string(stacks[:runtime.Stack(stacks, true)]); strings.Contains(text, "api.(*subscription)") {
		t.Errorf("left running:\n%s", text)
	}
}
