package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/api"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// deadline is what a test waits for something that must come; it only fails.
const deadline = 30 * time.Second

// fake is a Service: one or more kinds with a few instances. What a hook is set
// for is answered by it.
type fake struct {
	names  []string
	where  map[string]int // id to instance; -1 for none
	health api.Health
	slow   bool // Where calls the hook, too
	big    int  // further instances of 100 resources each

	mu          sync.Mutex
	shown       api.Clock
	leaders     map[string]api.Leader
	nobody      map[string]string // why nobody leads a kind
	maintenance bool
	calls       []string

	hook func(ctx context.Context, call string) error // called by every method but Leader; nil: no error
}

func newFake() *fake {
	return &fake{
		names:   []string{"Thing", "Rule"},
		leaders: map[string]api.Leader{"Thing": {Self: true, Name: "a"}, "Rule": {Self: true, Name: "a"}},
		health:  api.Health{Live: true, Ready: true, Checks: []api.Check{{Name: "zookeeper", OK: true, Text: "connected to 1 of 1"}}},
		where: map[string]int{"t1": 0, "t2": 0, "t3": 1, "lost": -1, "instances": 1, "resources": 0, "a/b": 1, "..": 0, ".": 1,
			"orchestrate": 0, "sp ace?#%": 1, "ünï": 0, "maintenance": 1, "a&b<c>\"": 0},
	}
}

func (f *fake) setLeader(kind string, l api.Leader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaders[kind] = l
}

// set makes hook see every call from now on.
func (f *fake) set(hook func(context.Context, string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// enter notes a call and says what is wrong with it.
func (f *fake) enter(ctx context.Context, kind, format string, args ...any) error {
	call := fmt.Sprintf(kind+" "+format, args...)
	f.mu.Lock()
	f.calls = append(f.calls, call)
	hook := f.hook
	f.mu.Unlock()
	if !slices.Contains(f.names, kind) && kind != "" {
		return api.Errorf(api.CodeUnknownKind, "there is no kind %q: want one of %s", kind, strings.Join(f.names, ", "))
	}
	if hook != nil {
		return hook(ctx, call)
	}
	return nil
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) Leader(kind string) (api.Leader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.leaders[kind]
	if !ok {
		return l, api.Errorf(api.CodeUnknownKind, "there is no kind %q", kind)
	}
	if why := f.nobody[kind]; why != "" {
		return api.Leader{}, api.Errorf(api.CodeNoLeader, "%s", why)
	}
	return l, nil
}

func (f *fake) Kinds(ctx context.Context) (list []api.KindSummary, err error) {
	for _, name := range f.names {
		l, _ := f.Leader(name)
		list = append(list, api.KindSummary{Resource: name, InstanceName: "iota-dac", Leader: l, Totals: api.Totals{InstanceCount: 2, Used: 3, Capacity: 10}})
	}
	return list, f.enter(ctx, "", "kinds")
}

func (f *fake) Where(kind, id string) (api.Location, error) {
	if f.slow {
		if err := f.enter(context.Background(), kind, "where %q", id); err != nil {
			return api.Location{}, err
		}
	}
	n, ok := f.where[id]
	switch {
	case !slices.Contains(f.names, kind):
		return api.Location{}, api.Errorf(api.CodeUnknownKind, "there is no kind %q: want one of %s", kind, strings.Join(f.names, ", "))
	case !ok:
		return api.Location{}, errUnknown
	case n < 0:
		return api.Location{}, api.Errorf(api.CodeUnplaced, "%s %q exists and stands on no instance", kind, id)
	}
	return api.Location{RunIn: [...]string{"iota-dac-0", "iota-dac-1"}[n], Instance: n, Phase: "Running"}, nil
}

var errUnknown = api.Errorf(api.CodeUnknownResource, "no such resource is known here")

func (f *fake) Orchestration(ctx context.Context, kind string, ids bool, each func(api.InstanceList) error) (t api.Totals, err error) {
	if err := f.enter(ctx, kind, "orchestration ids=%v", ids); err != nil {
		return t, err
	}
	lists := [][]string{{"t1", "t2"}, {"t3"}}
	for range f.big {
		lists = append(lists, slices.Repeat([]string{"0123456789abcdef-0123456789abcdef"}, 100))
	}
	for i, list := range lists {
		in := api.InstanceList{ID: i, Pod: fmt.Sprintf("iota-dac-%d", i), Used: len(list), Cap: 5}
		if ids {
			in.IDs = list
		}
		if err := each(in); err != nil {
			return t, err
		}
		t.InstanceCount, t.Used, t.Capacity = t.InstanceCount+1, t.Used+len(list), t.Capacity+5
		if err := f.enter(ctx, kind, "instance %d", i); err != nil {
			return t, err
		}
	}
	t.Unplaced = 1
	return t, nil
}

func (f *fake) Search(ctx context.Context, kind, prefix, after string, limit int) (found []api.Found, more bool, err error) {
	for id, n := range f.where {
		if strings.HasPrefix(id, prefix) && id > after {
			found = append(found, api.Found{ID: id})
			if n >= 0 {
				found[len(found)-1].Instance, found[len(found)-1].RunIn = &n, fmt.Sprintf("iota-dac-%d", n)
			}
		}
	}
	slices.SortFunc(found, func(a, b api.Found) int { return strings.Compare(a.ID, b.ID) })
	if more = len(found) > limit; more {
		found = found[:limit]
	}
	return found, more, f.enter(ctx, kind, "search %q %q %d", prefix, after, limit)
}

func (f *fake) Resources(ctx context.Context, kind string, n int, after string, limit int) (found []api.Found, more bool, err error) {
	if n > 1 {
		return nil, false, api.Errorf(api.CodeUnknownInstance, "no instance %d", n)
	}
	found = []api.Found{{ID: "t1", RunIn: "iota-dac-0", Instance: &n}, {ID: "t2", RunIn: "iota-dac-0", Instance: &n}}
	return found[:min(limit, 2)], limit < 2, f.enter(ctx, kind, "resources %d %q %d", n, after, limit)
}

func (f *fake) Instances(ctx context.Context, kind string) (api.Instances, error) {
	age, times := 2.5, int64(7)
	return api.Instances{Resource: kind, Heartbeat: true, Instances: []api.Instance{
		{ID: 0, Pod: "iota-dac-0", Used: 2, Capacity: 5, Phase: "Running", Up: true, Session: true, Confirms: true, Times: 7, ConfirmedTimes: &times, HeartbeatAgeSeconds: &age},
		{ID: 1, Pod: "iota-dac-1", Used: 1, Capacity: 5, Phase: "Pending", Reason: "Unschedulable", DownForSeconds: &age},
	}}, f.enter(ctx, kind, "instances")
}

func (f *fake) Moves(ctx context.Context, kind, id string) (api.Moves, error) {
	at, n := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 0
	return api.Moves{Resource: kind, ID: id, Moves: []api.MoveRecord{{At: at, To: &n, Reason: "newest with room"}}, Complete: true, Since: at}, f.enter(ctx, kind, "moves %q", id)
}

func (f *fake) Pod(ctx context.Context, kind string, n int) (api.Pod, error) {
	restarts, age := 3, 4.5
	p := api.Pod{Resource: kind, Instance: n, Name: fmt.Sprintf("iota-dac-%d", n), UID: "u-1", Phase: "Running", Node: "node-1", Image: "dac:1", Restarts: &restarts, AgeSeconds: &age}
	if n == 0 {
		p.EventsError = "forbidden"
		return p, f.enter(ctx, kind, "pod %d", n)
	}
	p.Events = []api.PodEvent{{AgeSeconds: 1.5, Type: "Warning", Reason: "BackOff", Text: "back-off", Count: 2, Source: "kubelet"}}
	return p, f.order(ctx, kind, "pod", n)
}

func (f *fake) Reorchestrations(ctx context.Context, kind string) (api.Reorchestrations, error) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := api.Reorchestrations{Resource: kind, Since: at}
	if kind == "Thing" {
		r.Runs = []api.Reorchestration{{StartedAt: at, Outcome: "running", Moves: 4, Create: 1}, {StartedAt: at, EndedAt: &at, Outcome: "done"}}
	}
	return r, f.enter(ctx, kind, "reorchestrations")
}

func (f *fake) check(req api.OrchestrateRequest) error {
	if n := req.MaxInstances; n != nil && *n == 3 {
		return api.Errorf(api.CodeRefused, "require instances more than the max: 4/3")
	}
	if n := req.ResourcePerInstance; n != nil && (*n <= 0 || *n >= 5000) {
		return &api.Error{Code: api.CodeOutOfRange, Field: "resourcePerInstance", Message: fmt.Sprintf("resourcePerInstance: %d is not valid: want 1 to 4999", *n)}
	}
	return nil
}

func (f *fake) Preview(ctx context.Context, kind string, req api.OrchestrateRequest, limit int) (api.Plan, error) {
	from, to := 0, 1
	p := api.Plan{Resource: kind, Resources: 4, Instances: 3, ResourcePerInstance: 2, Cost: api.Cost{Moves: 1, Opened: 1},
		Opened: []api.PlannedOpen{{ID: 2, Capacity: 2, Reason: "room"}}}
	if limit > 0 {
		p.Moves = []api.PlannedMove{{ID: "t1", From: &from, To: &to, Reason: "more than its share"}}
	}
	return p, errors.Join(f.enter(ctx, kind, "preview %d", limit), f.check(req))
}

func (f *fake) Progress(ctx context.Context, kind string) (api.Progress, error) {
	return api.Progress{Resource: kind, Running: true, Moves: 4, MovesLeft: 1, SinceSeconds: 1.5}, f.enter(ctx, kind, "progress")
}

func (f *fake) Maintenance(ctx context.Context, kind string) (api.Maintenance, error) {
	f.mu.Lock()
	on := f.maintenance
	f.mu.Unlock()
	return api.Maintenance{On: on}, f.enter(ctx, kind, "maintenance")
}

func (f *fake) Status(ctx context.Context, kind string) (api.Status, error) {
	l, _ := f.Leader(kind)
	return api.Status{Resource: kind, Leader: l, Epoch: 3, Stage: "active", Instances: 2, Resources: 4, Unplaced: 1,
		Alarms: []api.Alarm{{Code: "full", Text: "no room"}}, Counters: map[string]int64{"moves": 12}}, f.enter(ctx, kind, "status")
}

func (f *fake) Orchestrate(ctx context.Context, kind string, req api.OrchestrateRequest) (api.Orchestrated, error) {
	text, _ := json.Marshal(req)
	return api.Orchestrated{Resource: kind, Instances: 2, Resources: 4, ResourcePerInstance: 3, Moves: 1, TookSeconds: 0.25},
		errors.Join(f.enter(ctx, kind, "orchestrate %s", text), f.check(req))
}

func (f *fake) Drain(ctx context.Context, kind string, n int, wait bool) error {
	return f.order(ctx, kind, "drain", n)
}
func (f *fake) Undrain(ctx context.Context, kind string, n int) error {
	return f.order(ctx, kind, "undrain", n)
}
func (f *fake) Replace(ctx context.Context, kind string, n int) error {
	return f.order(ctx, kind, "replace", n)
}

func (f *fake) order(ctx context.Context, kind, order string, n int) error {
	if err := f.enter(ctx, kind, "%s %d", order, n); err != nil {
		return err
	}
	if n > 1 {
		return api.Errorf(api.CodeUnknownInstance, "no instance %d", n)
	}
	return nil
}

func (f *fake) SetMaintenance(ctx context.Context, kind string, on bool) error {
	f.mu.Lock()
	f.maintenance = on
	f.mu.Unlock()
	return f.enter(ctx, kind, "set-maintenance %v", on)
}

func (f *fake) Health(context.Context) api.Health { return f.health }

// running is a server that answers.
type running struct {
	*Server
	url  string
	stop func() error // ends it and answers what Serve answered
}

const readToken, writeToken = "reader-secret", "writer-secret"

// onlyShowsNow is the title of a server that shows no simulation.
const onlyShowsNow = "now"

// start runs a server on loopback until the test ends. Without tokens, anonymous
// requests may write. A fake shows a simulation, where nothing else does.
func start(t testing.TB, cfg Config, service Service) *running {
	t.Helper()
	if len(cfg.Tokens) == 0 && cfg.TokenFile == "" {
		cfg.Anonymous = ScopeWrite
	}
	if f, is := service.(*fake); is && cfg.Title != onlyShowsNow {
		cfg.Time, cfg.Faults = f, f
	}
	s, err := New(cfg, service)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	r := &running{Server: s, url: "http://" + ln.Addr().String()}
	if cfg.CertFile != "" {
		r.url = "https://" + ln.Addr().String()
	}
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(deadline):
			return errors.New("Serve does not end")
		}
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func bothTokens() []Token {
	return []Token{NewToken("r", ScopeRead, readToken), NewToken("w", ScopeWrite, writeToken)}
}

// validating holds every answer to the description.
type validating struct {
	t    testing.TB
	doc  *openapi3.T
	tree *node
	next http.RoundTripper
}

// strictDescription is the description, under which the handlers may not say more
// than is described.
var strictDescription = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		return nil, err
	}
	no := false
	for _, schema := range doc.Components.Schemas {
		if schema.Value.Properties != nil {
			schema.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
		}
	}
	return doc, nil
})

// client makes an HTTP client that holds answers to the description.
func client(t testing.TB) *http.Client {
	t.Helper()
	doc, err := strictDescription()
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: &validating{t: t, doc: doc, tree: newTree(routes), next: transport}}
}

func (v *validating) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := v.next.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		if resp.StatusCode != http.StatusOK {
			v.t.Errorf("%s %s: a stream with status %d", r.Method, r.URL, resp.StatusCode)
		}
		return resp, nil
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodHead {
		v.check(r, resp, body)
	}
	return resp, nil
}

func (v *validating) check(r *http.Request, resp *http.Response, body []byte) {
	var a args
	at := v.tree.find(strings.Trim(r.URL.EscapedPath(), "/"), &a)
	if at == nil || at.route[r.Method] == nil {
		v.value("ErrorBody", body)
		return
	}
	path := at.route[r.Method].path
	item := v.doc.Paths.Value(path)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r,
			Route: &routers.Route{Spec: v.doc, Path: path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)}},
		Status: resp.StatusCode, Header: resp.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		v.t.Errorf("%s %s: the answer %d is not as described: %v\n%s", r.Method, r.URL, resp.StatusCode, err, body)
	}
}

// value holds a JSON value to a schema.
func (v *validating) value(schema string, data []byte) {
	var x any
	if err := json.Unmarshal(data, &x); err != nil {
		v.t.Errorf("%s: %v: %s", schema, err, data)
		return
	}
	if err := v.doc.Components.Schemas[schema].Value.VisitJSON(x); err != nil {
		v.t.Errorf("%s: %v: %s", schema, err, data)
	}
}

// hookOn answers err to one call.
func hookOn(which string, err error) func(context.Context, string) error {
	return func(_ context.Context, call string) error {
		if call == which {
			return err
		}
		return nil
	}
}
