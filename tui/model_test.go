package tui

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/sample"
)

func TestKeysSwitchViews(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	for i, v := range tabs {
		r.press(string(rune('1' + i)))
		r.settle()
		equal(t, "view", r.m.page.view, v)
		r.sees(string(v))
	}
	r.press("esc")
	equal(t, "view after esc", r.m.page.view, tabs[len(tabs)-2])
	r.press("?")
	equal(t, "view after ?", r.m.page.view, pane.Help)
	r.press("esc")
	equal(t, "view after leaving the help", r.m.page.view, tabs[len(tabs)-2])
	r.press("ctrl+c")
	r.until("it quits", func() bool { return r.quit })
}

func TestReplaceAsksBack(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{View: "instances"})
	r.settle()
	r.press("r", "enter") // No has the focus
	equal(t, "orders after enter alone", len(r.orders()), 0)
	r.seesNot("replace Thing 0?")
	r.press("r", "y")
	r.sees("replace Thing 0?", "its pod is deleted and created", "resources of at most", "enter: replace it")
	equal(t, "orders after y", len(r.orders()), 0)
	r.press("enter")
	r.settle()
	equal(t, "orders", r.orders(), []pane.Intent{{Act: pane.Replace, Kind: "Thing", Sure: true}})
	r.sees("it is done")
	r.pass(toastFor + tickEvery)
	r.seesNot("it is done")
}

func TestOrdersAreBounded(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	r.settle()
	for range maxOrders {
		r.m.order(pane.Intent{Act: pane.Drain, Kind: "Thing", Instance: 3}, nil, r.time) // the command is not run: it goes on
	}
	equal(t, "orders under way", r.m.orders.running, maxOrders)
	if cmd := r.m.order(pane.Intent{Act: pane.Drain, Kind: "Thing", Instance: 3}, nil, r.time); cmd != nil {
		t.Error("an eleventh order is taken")
	}
	r.sees("10 orders are under way already", "waiting: drain Thing 3")
	equal(t, "orders remembered", len(r.m.state.Orders), maxOrders)
}

func TestReadOnlyTokenIsToldWhy(t *testing.T) {
	s := newStand(sample.Production(sample.State(12, 400)))
	s.put(data.Query{What: data.AskAbout}, api.About{Name: "a", Scope: "read"})
	r := newRig(t, s, Config{View: "instances"})
	r.settle()
	r.sees("read only", "the token may only")
	for _, key := range []string{"r", "d", "o"} {
		r.press(key)
		if r.m.dialog != nil {
			t.Errorf("%s opens a dialog", key)
		}
		r.sees("cannot", "the token may only read: it needs the scope write")
	}
	r.typed(":replace 3")
	r.press("enter")
	r.sees("cannot replace Thing 3")
	equal(t, "orders", len(r.orders()), 0)
}

func TestConnectionIsLostAndHeals(t *testing.T) {
	s := newStand(sample.Production(sample.State(12, 400)))
	r := newRig(t, s, Config{View: "instances"})
	r.settle()
	r.sees("● connected", "iota-dac", "12 instances")
	s.set(func() { s.err = syscall.ECONNREFUSED })
	r.pass(2 * time.Second)
	r.until("it is noticed", func() bool { return !r.m.state.Connection.Up })
	r.pass(30 * time.Millisecond)
	r.sees("✗ not connected", "not connected since 0 s: connection refused", "12 instances")
	asked := func() (n int) {
		s.set(func() {
			for _, v := range s.asked {
				n += v
			}
		})
		return n
	}
	before := asked()
	for range 30 {
		r.pass(time.Second)
		r.until("the try ends", func() bool { return r.m.asks.running == 0 })
	}
	if n := asked() - before; n < 3 || n > 12 {
		t.Errorf("in 30 s without a connection it is tried %d times, want about every 5 s", n)
	}
	r.sees("not connected since", "trying again in", "12 instances")
	s.set(func() { s.err = nil })
	r.pass(retryMost * 3)
	r.until("it heals", func() bool { return r.m.state.Connection.Up })
	r.settle()
	r.sees("● connected")
	r.seesNot("not connected")
}

func TestErrorsAreToldInWords(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&api.Error{Code: api.CodeNoLeader, Message: "nobody stands for election", HTTPStatus: 503}, "nobody leads Thing: nobody stands"},
		{&api.Error{Code: api.CodeUnauthorized, Message: "no token", HTTPStatus: 401}, "--token-file FILE"},
		{&api.Error{Code: api.CodeForbidden, Message: "read is needed", HTTPStatus: 403}, "not allowed with this token: read is needed"},
		{context.DeadlineExceeded, "no answer in time"},
		{syscall.ECONNRESET, "the server hung up"},
		{errors.New("api: odd"), "odd"},
	} {
		if got := explain(c.err, "Thing").Error(); !strings.Contains(got, c.want) {
			t.Errorf("%v reads %q, want %q in it", c.err, got, c.want)
		}
		if !errors.Is(explain(c.err, "Thing"), c.err) {
			t.Errorf("%v is lost in words", c.err)
		}
	}
	s := newStand(sample.Production(sample.State(12, 400)))
	r := newRig(t, s, Config{})
	r.settle()
	s.set(func() {
		s.errOf[data.AskStatus] = &api.Error{Code: api.CodeNoLeader, Message: "an election is on", HTTPStatus: 503}
	})
	r.pass(3 * time.Second)
	r.until("it is told", func() bool { return strings.Contains(r.screen(), "nobody leads Thing: an election is on") })
	r.sees("● connected", "12 instances")
}

func TestSlowServerFreezesNoKey(t *testing.T) {
	s := newStand(sample.Production(sample.State(12, 400)))
	r := newRig(t, s, Config{})
	r.settle()
	s.set(func() { s.hold = true })
	r.pass(5 * time.Second)
	if n := r.m.asks.running; n < 1 || n > maxReads {
		t.Errorf("%d queries are under way, want 1 to %d", n, maxReads)
	}
	r.sees("● no answer for")
	for i, v := range tabs {
		r.press(string(rune('1' + i)))
		equal(t, "view", r.m.page.view, v)
	}
	r.press("F")
	r.typed("thing")
	r.sees("find a resource", "looking")
	if n := r.m.asks.running; n > maxReads {
		t.Errorf("%d queries are under way, want at most %d", n, maxReads)
	}
	r.press("esc")
	r.typed(":quit")
	r.press("enter")
	r.until("it quits", func() bool { return r.quit })
}

func TestNothingAnsweredYet(t *testing.T) {
	s := newStand(sample.State(0, 0))
	s.hold = true
	r := newRig(t, s, Config{})
	r.sees("connecting …")
	for range tabs {
		r.press("tab", "down", "enter")
		r.screen()
	}
}

func TestAnswersOfAnotherMomentAreDropped(t *testing.T) {
	s := newStand(sample.State(12, 400))
	r := newRig(t, s, Config{View: "instances"})
	r.settle()
	s.set(func() { s.hold = true })
	r.pass(10 * time.Second) // queries of the moment shown are under way
	q := data.Query{What: data.AskInstances, Kind: "Thing"}
	at := r.m.asks.asks[q]
	if at.serial == 0 {
		t.Fatal("instances are not being asked")
	}
	old := result{query: q, serial: at.serial, value: api.Instances{Resource: "Thing"}}
	s.set(func() { s.hold = false })
	r.typed(":seek 2m")
	r.press("enter")
	r.until("the moment is shown", func() bool { return !r.m.turning.under })
	r.send(old)
	if in, _ := r.m.state.Instances("Thing"); len(in) != 12 {
		t.Errorf("an answer of the moment before counts: %d instances, want 12", len(in))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	equal(t, "turns", len(s.turns), 1)
	equal(t, "moment", *s.turns[0].change.Seek, 120)
}

func TestTurnsOfTheClockAreOneAtATime(t *testing.T) {
	s := newStand(sample.State(12, 400))
	s.gate = make(chan struct{})
	r := newRig(t, s, Config{})
	r.settle()
	before, _ := r.m.state.Clock()
	r.press("[", "[", "[")
	c, _ := r.m.state.Clock()
	equal(t, "the clock that is foreseen", c.Now, before.Now-30)
	s.gate <- struct{}{}
	r.until("the first is done", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.turns) == 1 && r.m.turning.next == nil
	})
	s.gate <- struct{}{}
	r.until("both are done", func() bool { return !r.m.turning.under })
	s.mu.Lock()
	defer s.mu.Unlock()
	equal(t, "turns", len(s.turns), 2)
	equal(t, "the last", *s.turns[1].change.Seek, before.Now-30)
}

func TestTurnsAreMerged(t *testing.T) {
	seek, on := 12.0, true
	first := turn{change: api.ClockChange{Seek: &seek}}
	paused := turn{change: api.ClockChange{Paused: &on}}
	both := merge(&first, paused)
	equal(t, "seek and pause", both.change, api.ClockChange{Seek: &seek, Paused: &on})
	equal(t, "steps", merge(&turn{step: 3}, turn{step: -1}).step, 2)
	if merge(&turn{step: 3}, turn{step: -3}) != nil {
		t.Error("steps forth and back leave something to do")
	}
	equal(t, "a step after a seek", merge(&first, turn{step: 1}).step, 1)
}

func TestFindShowsWhereAResourceRuns(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{View: "events"})
	r.settle()
	found := func() []candidate {
		d, ok := r.m.dialog.(*find)
		if !ok {
			return nil
		}
		c, _, _, _ := d.candidates(&r.m.state)
		return c
	}
	r.press("F")
	all, _ := r.s.ask(t.Context(), data.Query{What: data.AskSearch, Kind: "Thing", N: 1})
	id := all.(api.Search).Resources[0].ID
	r.typed(id)
	r.until("it is found", func() bool { return len(found()) > 0 && found()[0].ID == id })
	r.press("enter")
	r.settle()
	equal(t, "view", r.m.page.view, pane.Placement)
	equal(t, "found", r.m.state.Found.ID, id)
	r.press("enter")
	equal(t, "view after a second enter", r.m.page.view, pane.Resource)
	r.press("esc")
	r.press("esc")
	if r.m.state.Found != nil {
		t.Error("esc leaves the highlight")
	}
	r.press("esc")
	equal(t, "view", r.m.page.view, pane.Events)
}

func TestMouse(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	r.settle()
	r.screen()
	tab := r.m.at.tabs[2]
	r.send(tea.MouseClickMsg{X: tab.from + 1, Y: r.m.at.tabsRow, Button: tea.MouseLeft})
	equal(t, "view after a click on its tab", r.m.page.view, pane.Resources)
	r.settle()
	r.screen()
	strip := r.m.at.timeline
	r.send(tea.MouseClickMsg{X: strip.width / 4, Y: strip.y + 1, Button: tea.MouseLeft})
	for y := strip.y; y < strip.y+strip.height; y++ {
		r.send(tea.MouseMotionMsg{X: strip.width / 5, Y: y, Button: tea.MouseLeft})
		r.send(tea.MouseWheelMsg{X: strip.width / 5, Y: y, Button: tea.MouseWheelUp})
	}
	r.settle()
	c, _ := r.m.state.Clock()
	if c.Now >= sample.Shown {
		t.Errorf("clicks on the strip of time leave the moment at %v", c.Now)
	}
	for y := range 40 {
		for _, b := range []tea.MouseButton{tea.MouseLeft, tea.MouseRight, tea.MouseWheelDown, tea.MouseWheelUp} {
			r.send(tea.MouseClickMsg{X: 30, Y: y, Button: b})
			r.send(tea.MouseWheelMsg{X: 30, Y: y, Button: b})
		}
	}
}

func TestTokenIsAskedFor(t *testing.T) {
	s := newStand(sample.Production(sample.State(12, 400)))
	s.err = &api.Error{Code: api.CodeUnauthorized, Message: "a token is needed", HTTPStatus: 401}
	r := newRig(t, s, Config{})
	r.until("it is told", func() bool { return strings.Contains(r.screen(), "--token-file FILE") })
	r.sees("● connected", "DACORCH_TOKEN")
}

func TestSmallScreenShowsTheClock(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	r.settle()
	r.send(tea.WindowSizeMsg{Width: 80, Height: 12})
	r.sees("● 12 min 30 s · 10×", "● connected")
	if r.m.at.timeline.height > 0 {
		t.Error("there is a strip of time where there is no room")
	}
}
