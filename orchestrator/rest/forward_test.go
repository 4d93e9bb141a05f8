package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"dacorch/orchestrator/api"
)

// pair is a follower and the leader that it forwards to.
type pair struct {
	follower, leader   *running
	atFollower, atLead *fake
}

func newPair(t *testing.T, cfg Config) *pair {
	p := &pair{atFollower: newFake(), atLead: newFake()}
	leading := cfg
	leading.Events = NewEvents(0)
	p.leader = start(t, leading, p.atLead)
	for _, kind := range p.atFollower.names {
		p.atFollower.setLeader(kind, api.Leader{Name: "b", URL: p.leader.url})
	}
	p.follower = start(t, cfg, p.atFollower)
	return p
}

// TestForward: every call is answered where it must be, with the caller's token,
// and the answer comes through as it is.
func TestForward(t *testing.T) {
	p := newPair(t, Config{Tokens: bothTokens()})
	c := client(t)
	token := "Authorization: Bearer " + writeToken
	for i := range routes {
		rt := &routes[i]
		if rt.place == atStream || rt.scope == ScopeNone || rt.path == "/metrics" {
			continue
		}
		path := strings.NewReplacer("{resource}", "Thing", "{id}", "a%2Fb", "{instance}", "1").Replace(rt.path)
		body := bodies[rt.body]
		before := len(p.atLead.seen())
		resp, answer := ask(t, c, rt.method, p.follower.url+path, body, token, "X-Request-Id: same", "Origin: http://web.test")
		_, direct := ask(t, c, rt.method, p.leader.url+path, body, token, "X-Request-Id: same")
		if resp.StatusCode/100 != 2 || rt.place == atLeader && answer != direct {
			t.Errorf("%s %s: %s %s, at the leader %s", rt.method, path, resp.Status, answer, direct)
		}
		if calls := p.atLead.seen()[before:]; rt.place == atLeader && (len(calls) != 2 || calls[0] != calls[1]) {
			t.Errorf("%s %s: the leader saw %q", rt.method, path, calls)
		}
		for _, name := range ownHeaders {
			if n := len(resp.Header.Values(name)); n > 1 {
				t.Errorf("%s %s: %d headers %s", rt.method, path, n, name)
			}
		}
	}
	for _, call := range p.atFollower.seen() {
		if !strings.HasPrefix(call, "Thing orchestration") && !strings.HasPrefix(call, "Thing instance ") && !strings.HasPrefix(call, "Thing search") && !strings.HasPrefix(call, "Thing resources") && call[0] != ' ' /* of no kind */ {
			t.Errorf("the follower did %q itself", call)
		}
	}
	if !slices.Contains(p.atLead.seen(), `Thing moves "a/b"`) || !slices.Contains(p.atLead.seen(), `Thing orchestrate {"maxInstances":20}`) {
		t.Errorf("the leader saw %q", p.atLead.seen())
	}
	// Errors come through, and the token is checked on both sides.
	resp, answer := ask(t, c, "POST", p.follower.url+kindURL+"/orchestrate", `{"maxInstances":3}`, token, "X-Request-Id: r1")
	if want := `{"error":{"code":"refused","message":"require instances more than the max: 4/3","requestId":"r1"}}`; resp.StatusCode != 409 || answer != want {
		t.Errorf("%s %s, want %s", resp.Status, answer, want)
	}
	if resp, _ := ask(t, c, "POST", p.follower.url+kindURL+"/orchestrate", "", "Authorization: Bearer "+readToken); resp.StatusCode != 403 {
		t.Errorf("a reader's order: %s", resp.Status)
	}
}

// TestForwardEndsSomewhere: two processes that take each other for the leader, a
// leader that is not there, and one that is none.
func TestForwardEndsSomewhere(t *testing.T) {
	p := newPair(t, Config{})
	c := client(t)
	try := func(want int, code string) {
		t.Helper()
		for _, path := range []string{kindURL + "/status", "/v1/api/events?resource=Thing"} {
			resp, answer := ask(t, c, "GET", p.follower.url+path, "")
			if resp.StatusCode != want || !strings.Contains(answer, `"code":"`+code+`"`) || want == 503 && resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %s %s, want %d %s", path, resp.Status, answer, want, code)
			}
		}
	}
	p.atLead.setLeader("Thing", api.Leader{URL: p.follower.url})
	try(503, "no_leader")
	p.atLead.setLeader("Thing", api.Leader{URL: p.leader.url}) // itself
	try(503, "no_leader")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	p.atFollower.setLeader("Thing", api.Leader{URL: "http://" + ln.Addr().String()})
	try(502, "upstream")
	p.atFollower.setLeader("Thing", api.Leader{URL: "nonsense"})
	try(502, "upstream")
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	p.atFollower.setLeader("Thing", api.Leader{URL: cut.URL})
	try(502, "upstream")
}

// TestLeadershipGoesMeanwhile: an order that the old leader has not begun goes to
// the new one, once.
func TestLeadershipGoesMeanwhile(t *testing.T) {
	p := newPair(t, Config{})
	c := client(t)
	p.atFollower.setLeader("Thing", api.Leader{Self: true})
	p.atFollower.set(func(context.Context, string) error {
		p.atFollower.setLeader("Thing", api.Leader{URL: p.leader.url})
		return fmt.Errorf("orders: %w", api.Errorf(api.CodeNotLeader, "deposed"))
	})
	if resp, answer := ask(t, c, "POST", p.follower.url+kindURL+"/orchestrate", `{"maxInstances":20}`); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, answer)
	}
	if got := p.atLead.seen(); !slices.Equal(got, []string{`Thing orchestrate {"maxInstances":20}`}) {
		t.Errorf("the new leader saw %q", got)
	}
	p.atFollower.setLeader("Thing", api.Leader{Self: true})
	p.atFollower.set(func(context.Context, string) error { return api.Errorf(api.CodeNotLeader, "deposed") })
	if resp, answer := ask(t, c, "POST", p.follower.url+kindURL+"/orchestrate", ""); resp.StatusCode != 503 || !strings.Contains(answer, `"no_leader"`) {
		t.Errorf("while nobody leads: %s %s", resp.Status, answer)
	}
}

// TestNobodyLeads tells why, where the service knows it; other kinds go on.
func TestNobodyLeads(t *testing.T) {
	f := newFake()
	f.nobody = map[string]string{"Thing": "nobody leads: user x may not write /iota"}
	s := start(t, Config{}, f)
	c := client(t)
	for _, path := range []string{kindURL + "/status", "/v1/api/events?resource=Thing"} {
		resp, answer := ask(t, c, "GET", s.url+path, "")
		if resp.StatusCode != 503 || !strings.Contains(answer, `"no_leader"`) || !strings.Contains(answer, "user x may not write /iota") || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %s %s", path, resp.Status, answer)
		}
	}
	if resp, answer := ask(t, c, "GET", s.url+strings.Replace(kindURL, "Thing", "Rule", 1)+"/status", ""); resp.StatusCode != 200 {
		t.Errorf("the other kind: %s %s", resp.Status, answer)
	}
	l := listen(t, s.url+"/v1/api/events", "")
	s.cfg.Events.Publish(move("Rule", "r1"))
	l.expect("move Rule r1")
}

// TestForwardedStream: events come through the follower as they happen; the
// stream ends with either of the two.
func TestForwardedStream(t *testing.T) {
	p := newPair(t, Config{})
	l, other := listen(t, p.follower.url+"/v1/api/events", ""), listen(t, p.follower.url+"/v1/api/events?resource=Thing", "")
	p.leader.cfg.Events.Publish(move("Thing", "t1"))
	l.expect("move Thing t1")
	other.expect("move Thing t1")
	p.leader.cfg.Events.Publish(move("Thing", "t2"))
	l.expect("move Thing t2")
	other.expect("move Thing t2")
	if err := p.follower.stop(); err != nil {
		t.Error(err)
	}
	other.end()
}

// TestForwardOverTLS also shows that the client's own errors are typed.
func TestForwardOverTLS(t *testing.T) {
	certFile, keyFile, pool := selfSigned(t, t.TempDir())
	p := newPair(t, Config{Tokens: bothTokens(), CertFile: certFile, KeyFile: keyFile, ForwardTLS: pool})
	c, err := api.New(api.Config{URL: p.follower.url, Token: writeToken, TLS: pool, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	done, err := c.Orchestrate(ctx, "Thing", api.OrchestrateRequest{})
	if err != nil || done.Moves != 1 {
		t.Errorf("%+v %v", done, err)
	}
	_, err = c.Drain(ctx, "Thing", 7, false)
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeUnknownInstance || e.HTTPStatus != 404 || e.RequestID == "" {
		t.Errorf("%#v", err)
	}
	events := p.leader.cfg.Events
	events.Publish(move("Thing", "t9"))
	for ev, err := range c.EventsAfter(ctx, "Thing", events.id(0)) {
		if err != nil || ev.ResourceID != "t9" {
			t.Errorf("%+v %v", ev, err)
		}
		break
	}
}

// TestClientCalls: the client has every call, and no id confuses it.
func TestClientCalls(t *testing.T) {
	f := newFake()
	s := start(t, Config{}, f)
	c, err := api.New(api.Config{URL: s.url + "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for id, n := range f.where {
		at, err := c.Where(ctx, "Thing", id)
		if n < 0 {
			if !errors.Is(err, &api.Error{Code: api.CodeUnplaced}) {
				t.Errorf("%q: %v", id, err)
			}
		} else if err != nil || at.Instance != n || at.RunIn != fmt.Sprintf("iota-dac-%d", n) {
			t.Errorf("%q: %+v %v", id, at, err)
		}
		if m, err := c.Moves(ctx, "Thing", id); err != nil || m.ID != id {
			t.Errorf("%q: %+v %v", id, m, err)
		}
	}
	try := func(name string, good bool, err error) {
		t.Helper()
		if err != nil || !good {
			t.Errorf("%s: %v", name, err)
		}
	}
	kinds, err := c.Kinds(ctx)
	try("kinds", len(kinds.Kinds) == 2 && kinds.Kinds[0].Used == 3, err)
	o, err := c.Orchestration(ctx, "Thing", true)
	try("orchestration", o.Used == 3 && len(o.Instances) == 2 && len(o.Instances[0].IDs) == 2, err)
	o, err = c.Orchestration(ctx, "Thing", false)
	try("orchestration", o.Used == 3 && o.Instances[0].IDs == nil, err)
	in, err := c.Instances(ctx, "Thing")
	try("instances", *in.Instances[0].HeartbeatAgeSeconds == 2.5, err)
	found, err := c.Search(ctx, "Thing", "t", "t1", 1)
	try("search", len(found.Resources) == 1 && found.Resources[0].ID == "t2" && found.Next == "t2", err)
	plan, err := c.Preview(ctx, "Thing", api.OrchestrateRequest{}, 5)
	try("preview", len(plan.Moves) == 1 && *plan.Moves[0].To == 1, err)
	pr, err := c.Progress(ctx, "Thing")
	try("progress", pr.Running, err)
	st, err := c.Status(ctx, "Thing")
	try("status", st.Counters["moves"] == 12, err)
	d, err := c.Drain(ctx, "Thing", 1, true)
	try("drain", d.Finished, err)
	d, err = c.Undrain(ctx, "Thing", 1)
	try("undrain", d.Order == "undrain", err)
	d, err = c.Replace(ctx, "Thing", 1)
	try("replace", d.Instance == 1, err)
	m, err := c.SetMaintenance(ctx, "Thing", true)
	try("set maintenance", m.On, err)
	m, err = c.Maintenance(ctx, "Thing")
	try("maintenance", m.On, err)
	f.health = api.Health{Live: true, Checks: []api.Check{{Name: "kafka", Text: "no broker"}}}
	h, err := c.Health(ctx)
	try("health", h.Live && !h.Ready && h.Checks[0].Text == "no broker", err)
	stop, cancelled := context.WithCancel(ctx)
	cancelled()
	if _, err := c.Status(stop, "Thing"); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
}
