package tui

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
)

func moveOf(n int) api.Event {
	from, to := n%7, n%5
	return api.Event{Type: api.EventMove, Resource: "Thing", ResourceID: fmt.Sprint("thing-", n), From: &from, To: &to}
}

// A flood comes in batches that are bounded; every move counts, and what is left
// out is counted.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 100_000
		s := newStand(sample.State(12, 400))
		m := newModel(t.Context(), Config{View: "events", Theme: "dark"}, s)
		m.width, m.height = 120, 40
		go m.stream.follow(t.Context())
		go func() {
			for n := range events {
				s.stream <- moveOf(n)
			}
		}()
		seen, kept, began := 0, 0, time.Now()
		for batches := 0; seen < events; batches++ {
			b, ok := m.stream.take(t.Context())
			if !ok {
				t.Fatal("the stream has ended")
			}
			if most := batchMoves + batchOthers; !b.fresh && len(b.events) > most {
				t.Fatalf("a batch has %d events, want at most %d", len(b.events), most)
			}
			if batches > 0 && time.Since(began) < time.Duration(batches)*batchEvery {
				t.Fatalf("%d batches within %v", batches, time.Since(began))
			}
			in, out := 0, 0
			for _, f := range b.flows {
				in, out = in+f.In, out+f.Out
			}
			if in != b.seen || out != b.seen {
				t.Fatalf("%d resources came and %d went in %d moves", in, out, b.seen)
			}
			seen += b.seen
			if !b.fresh {
				kept += len(b.events)
			}
			m.Update(batchMsg{b})
			if n := len(m.state.Events); n > data.MaxEvents {
				t.Fatalf("%d events are kept, want at most %d", n, data.MaxEvents)
			}
		}
		if !m.state.Sampled || m.state.Skipped == 0 || m.state.Skipped+kept > events {
			t.Errorf("of %d events %d are shown and %d said to be left out (now: %v)", events, kept, m.state.Skipped, m.state.Sampled)
		}
		<-time.After(2 * data.Fade)
		m.Update(wakeMsg{})
		if m.state.Sampled || len(m.state.Flows) > 0 || m.state.Rate > 0 {
			t.Errorf("the flood is over, and yet: sampled %v, %d flows, %v events a second", m.state.Sampled, len(m.state.Flows), m.state.Rate)
		}
	})
}

// After a jump in time the latest events of the moment shown are read anew, and
// what was known of the other moment goes.
func TestStreamFollowsAJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(sample.State(12, 400))
		m := newModel(t.Context(), Config{View: "events", Theme: "dark"}, s)
		go m.stream.follow(t.Context())
		first, _ := m.stream.take(t.Context())
		if !first.fresh || len(first.events) == 0 {
			t.Fatalf("the stream begins with %d events, fresh %v", len(first.events), first.fresh)
		}
		for i, ev := range first.events[1:] {
			if ev.At.Before(first.events[i].At) {
				t.Fatal("the latest events are not oldest first")
			}
		}
		s.stream <- moveOf(1)
		s.stream <- api.Event{Type: api.EventTime}
		jump, _ := m.stream.take(t.Context())
		if !jump.fresh { // it may come with the next batch
			jump2, _ := m.stream.take(t.Context())
			jump.fresh, jump.events, jump.jumped = jump2.fresh, jump2.events, jump.jumped || jump2.jumped
		}
		if !jump.jumped || !jump.fresh || len(jump.events) != len(first.events) {
			t.Errorf("after a jump: jumped %v, fresh %v, %d events, want the %d latest", jump.jumped, jump.fresh, len(jump.events), len(first.events))
		}
		moment := m.asks.moment
		m.Update(batchMsg{jump})
		equal(t, "moments", m.asks.moment, moment+1)
		s.stream <- api.Event{Type: api.EventGap, Count: 7}
		gap, _ := m.stream.take(t.Context())
		if !gap.gap || gap.skipped != 7 {
			t.Errorf("a gap of 7 events reads %v, %d", gap.gap, gap.skipped)
		}
	})
}

// A stream that is not there is told, tried again, and heals.
func TestStreamHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(sample.Production(sample.State(12, 400)))
		s.err = &api.Error{Code: api.CodeUnavailable, Message: "it starts", HTTPStatus: 503}
		m := newModel(t.Context(), Config{View: "events", Theme: "dark"}, s)
		go m.stream.follow(t.Context())
		b, _ := m.stream.take(t.Context())
		m.Update(batchMsg{b})
		m.state.Connection.Up = true
		if text, _ := m.trouble(); text != "no events are coming: nobody can answer now: it starts" {
			t.Errorf("the trouble reads %q", text)
		}
		s.set(func() { s.err = nil })
		b, _ = m.stream.take(t.Context())
		m.Update(batchMsg{b})
		if text, _ := m.trouble(); text != "" || len(m.state.Events) == 0 {
			t.Errorf("the stream is back, and yet: %q, %d events", text, len(m.state.Events))
		}
	})
}

func TestWhatEventsMakeStale(t *testing.T) {
	var b batch
	seven := 7
	b.add(api.Event{Type: api.EventPod, Resource: "Thing", Instance: &seven})
	b.add(moveOf(3)) // from 3 to 3
	for q, want := range map[data.Query]bool{
		{What: data.AskInstances, Kind: "Thing"}:               true,
		{What: data.AskInstances, Kind: "Rule"}:                false,
		{What: data.AskKinds}:                                  true,
		{What: data.AskAbout}:                                  false,
		{What: data.AskPod, Kind: "Thing", Instance: 7}:        true,
		{What: data.AskPod, Kind: "Thing", Instance: 8}:        false,
		{What: data.AskMoves, Kind: "Thing", Text: "thing-3"}:  true,
		{What: data.AskMoves, Kind: "Thing", Text: "thing-4"}:  false,
		{What: data.AskReorchestrations, Kind: "Thing"}:        false,
		{What: data.AskRecent, Kind: "Thing", Instance: 8}:     false,
		{What: data.AskRecent, Kind: "Thing", Instance: 7}:     true,
		{What: data.AskSearch, Kind: "Thing", Text: "x", N: 1}: true,
	} {
		if got := b.touches(q); got != want {
			t.Errorf("%+v is stale: %v, want %v", q, got, want)
		}
	}
}
