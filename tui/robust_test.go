package tui

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

// While one call hangs and the connection is lost, nothing is to be done before
// one of them ends: no wake-up in the past, which would be one after the other.
func TestLostConnectionWithHangingCallSleeps(t *testing.T) {
	r := newRig(t, newStand(sample.Production(sample.State(12, 400))), Config{})
	r.settle()
	m := r.m
	m.asks.begin(m.ctx, r.time, data.Query{What: data.AskAbout}, m.asks.asks[data.Query{What: data.AskAbout}])
	m.state.Connection = data.Connection{Err: "connection refused", Since: r.time, Retry: r.time.Add(-time.Second)}
	if asks, next := m.work(r.time); len(asks) > 0 || !next.IsZero() {
		t.Errorf("%d calls are begun, and the next look is in %v", len(asks), next.Sub(r.time))
	}
}

func TestKindThatIsGone(t *testing.T) {
	s := newStand(sample.Production(sample.State(12, 400)))
	r := newRig(t, s, Config{})
	r.settle()
	var kinds api.Kinds
	s.set(func() {
		kinds = s.state.Answers[data.Query{What: data.AskKinds}].Value.(api.Kinds)
		s.put(data.Query{What: data.AskKinds}, api.Kinds{Kinds: kinds.Kinds[1:]})
	})
	was, next := kinds.Kinds[0].Resource, kinds.Kinds[1].Resource
	r.m.visit(pane.Intent{View: pane.Instance, Kind: was, Instance: 3})
	r.press("r")
	r.pass(3 * time.Second)
	r.until("another kind is looked at", func() bool { return r.m.state.Kind == next })
	equal(t, "view", r.m.page.view, pane.Placement)
	if r.m.dialog != nil {
		t.Error("a dialog about what is gone is still open")
	}
	r.sees("there is no kind " + was + " any longer")
}

func TestAnotherServerAnswers(t *testing.T) {
	s := newStand(sample.State(12, 400))
	r := newRig(t, s, Config{})
	r.settle()
	if _, ok := r.m.state.Clock(); !ok {
		t.Fatal("the simulation has no clock")
	}
	s.set(func() { sample.Production(s.state) })
	r.m.asks.stale(func(q data.Query) bool { return q.What == data.AskAbout })
	r.pass(time.Second)
	r.until("the other is known", func() bool { return !r.m.hasClock() })
	if _, ok := r.m.state.Clock(); ok {
		t.Error("the clock of the server before is still shown")
	}
	r.sees("another server answers here now")
}

// What a proxy says instead of the server is told, and is no lost connection.
func TestNonsenseIsTold(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"this is no dacorch server": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Log in</html>") },
		"one of another version":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"kinds": 7}`) },
		"502 Bad Gateway":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"301 Moved Permanently":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMovedPermanently) },
		"does not accept the token": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		s := httptest.NewServer(answer)
		client, err := api.New(api.Config{URL: s.URL, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		err = Snapshot(t.Context(), Config{Client: client, URL: s.URL}, 80, 24, new(strings.Builder), Text)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the snapshot's error is %v, want %q in it", err, name)
		}
		_, err = remote{client}.ask(t.Context(), data.Query{What: data.AskKinds})
		if !answered(err) {
			t.Errorf("%v counts as no answer", err)
		}
		client.Close()
		s.Close()
	}
}

// What a server says cannot do anything to the terminal that the error is shown on.
func TestErrorsOfSnapshotsAreClean(t *testing.T) {
	s := newStand(sample.State(12, 400))
	s.err = &api.Error{Code: api.CodeInternal, Message: "a\x1b]0;owned\x07b", HTTPStatus: 500}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"error": {"code": "internal", "message": "a\u001b]0;owned\u0007b"}}`)
	}))
	defer server.Close()
	client, err := api.New(api.Config{URL: server.URL, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = Snapshot(t.Context(), Config{Client: client, URL: server.URL}, 80, 24, new(strings.Builder), Text)
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07") || !strings.Contains(err.Error(), "owned") {
		t.Errorf("got %q", err)
	}
}

func TestTitleIsClean(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	r.m.state.Kind = "Thing\x1b\\\x07\u009c" + strings.Repeat("x", 500)
	r.screen()
	r.m.show()
	if title := r.m.view.WindowTitle; strings.ContainsAny(title, "\x1b\x07\u009c") || screen.Width(title) > 80 || !strings.HasPrefix(title, "Thing") {
		t.Errorf("the title is %q", title)
	}
}

// Each terminal gets a theme that it can show; one without colours no other.
func TestThemesFollowTheTerminal(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	for _, step := range []struct {
		msg   tea.Msg
		theme string
	}{
		{tea.ColorProfileMsg{Profile: colorprofile.TrueColor}, "dark"},
		{tea.BackgroundColorMsg{Color: screen.Light.Ground}, "light"},
		{tea.ColorProfileMsg{Profile: colorprofile.ANSI256}, "light256"},
		{tea.BackgroundColorMsg{Color: screen.Dark.Ground}, "dark256"},
		{tea.ColorProfileMsg{Profile: colorprofile.ANSI}, "dark16"},
		{tea.ColorProfileMsg{Profile: colorprofile.ASCII}, "mono"},
	} {
		r.send(step.msg)
		equal(t, "theme", r.m.theme.Name, step.theme)
	}
	r.typed(":theme light")
	r.press("enter")
	equal(t, "theme", r.m.theme.Name, "mono")
	r.sees("this terminal shows no colours")
	r.send(tea.ColorProfileMsg{Profile: colorprofile.ANSI})
	equal(t, "theme", r.m.theme.Name, "light16")
}

// Moves that are counted one by one are the sum of those that are still seen.
func TestFlowsAddUp(t *testing.T) {
	m := newModel(t.Context(), Config{View: "placement"}, newStand(sample.State(12, 400)))
	now := sample.Now()
	for n := range 200 {
		var b batch
		for i := range n % 7 {
			b.add(moveOf(n * i))
		}
		m.happened(b, now)
		now = now.Add(time.Duration(n%13) * 100 * time.Millisecond)
		m.flood.expire(now, &m.state)
		sum := map[data.Place]data.Flow{}
		for _, kept := range m.flood.flows {
			for at, f := range kept.flows {
				sum[at] = data.Flow{In: sum[at].In + f.In, Out: sum[at].Out + f.Out}
			}
		}
		if len(sum)+len(m.state.Flows) > 0 && !reflect.DeepEqual(m.state.Flows, sum) {
			t.Fatalf("after %d batches: got %v, want %v", n, m.state.Flows, sum)
		}
	}
}

func TestBatchIsBoundedWhateverComes(t *testing.T) {
	var b batch
	long := strings.Repeat("日", 1<<18)
	for n := range 5000 {
		b.add(api.Event{Type: api.EventNote, Resource: fmt.Sprint(n), Text: long, ResourceID: long})
		b.add(api.Event{Type: api.EventGap, Count: -1})
	}
	size := 0
	for _, ev := range b.events {
		size += len(ev.Text) + len(ev.ResourceID) + len(ev.Resource)
	}
	if len(b.stale) > batchKinds || !b.gap || size > 3*clipText*batchOthers || b.skipped != 5000-batchOthers {
		t.Errorf("%d kinds, gap %v, %d bytes, %d left out", len(b.stale), b.gap, size, b.skipped)
	}
}

// An order that is under way does not keep the program from ending, nor is it told
// as failed.
func TestQuitWhileAnOrderRuns(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	r.settle()
	r.m.order(pane.Intent{Act: pane.Drain, Kind: "Thing", Instance: 3}, nil, r.time)
	r.press("?", "ctrl+c")
	r.until("it quits", func() bool { return r.quit })
	for _, err := range []error{syscall.ECONNRESET, errors.New("nobody knows")} {
		r.m.orders.running = 1
		r.m.ordered(ordered{at: r.m.state.Orders[0].At, err: err, kind: "Thing"}, r.time)
		r.sees("it is not known whether it was done")
	}
}
