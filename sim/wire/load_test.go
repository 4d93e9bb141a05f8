package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/stage"
	"dacorch/sim/internal/timeline"
)

// page is a user's page in a test: it notes when which call is made, and answers
// after a while.
type page struct {
	mu    sync.Mutex
	calls []visit
	takes time.Duration
	code  func(path string) int
}

type visit struct {
	at   time.Time
	path string
}

// RoundTrip is http.RoundTripper's.
func (p *page) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.calls = append(p.calls, visit{time.Now(), req.URL.RequestURI()})
	p.mu.Unlock()
	if !pause(req.Context(), p.takes) {
		return nil, req.Context().Err()
	}
	code := http.StatusOK
	if p.code != nil {
		code = p.code(req.URL.Path)
	}
	return &http.Response{StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)), Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
}

func unscaled(d time.Duration) time.Duration { return d }

var someRows = []fleet.Resource{{ID: "a", Group: "g"}, {ID: "b/c"}, {ID: ".."}}

func testUsers(spec scenarios.Users, pages ...*page) *users {
	if spec.Calls == nil {
		spec.Calls = []scenarios.Weighted{{Call: scenarios.CallWhere, Weight: 1}}
	}
	came := 0
	var mu sync.Mutex
	return &users{kind: "Thing", spec: &spec, real: unscaled, urls: []string{"http://one", "http://two"}, rows: someRows, stream: timeline.Seed(1).Stream,
		tally: &tally{calls: map[scenarios.Call]*measure{}}, client: func() *http.Client {
			mu.Lock()
			defer mu.Unlock()
			came++
			return &http.Client{Transport: pages[came-1]}
		}}
}

// TestUsersTakeTheirTime holds users to their ramp and waits, and their measure
// to what the answers took.
func TestUsersTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pages := make([]*page, 10)
		for i := range pages {
			pages[i] = &page{takes: 500 * time.Millisecond}
		}
		u := testUsers(scenarios.Users{Count: 10, Ramp: 40 * time.Second, WaitMin: 2 * time.Second, WaitMax: 4 * time.Second}, pages...)
		u.real = func(d time.Duration) time.Duration { return d / 2 } // time-scale 2
		began := time.Now()
		stop, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		u.play(t.Context(), stop)
		if took := time.Since(began); took < time.Minute || took > time.Minute+500*time.Millisecond {
			t.Errorf("the users went after %v, want a minute and at most the last answer", took)
		}
		total, waits := 0, map[time.Duration]bool{}
		for i, p := range pages {
			before := began.Add(time.Duration(i) * 2 * time.Second)
			for n, v := range p.calls {
				wait := v.at.Sub(before)
				if wait < time.Second || wait > 2*time.Second {
					t.Fatalf("user %d waited %v before call %d, want 1s to 2s", i, wait, n)
				}
				waits[wait] = true
				before = v.at.Add(p.takes)
			}
			total += len(p.calls)
		}
		if total < 200 || len(waits) < total/2 {
			t.Errorf("%d calls with %d different waits", total, len(waits))
		}
		m := &u.tally.requests
		if m.times.Count() != uint64(total) || m.times.Max() != 500*time.Millisecond || m.failed != 0 {
			t.Errorf("%s, want %d that took 500ms", m, total)
		}
	})
}

// TestUsersGoAtOnce says that the end of a run waits for no answer, and that an
// unanswered call is then no failure.
func TestUsersGoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		u := testUsers(scenarios.Users{Count: 1}, &page{takes: time.Hour})
		began := time.Now()
		u.play(ctx, ctx)
		if took := time.Since(began); took != 5*time.Second || u.tally.requests.times.Count() != 0 {
			t.Errorf("gone after %v with %s", took, &u.tally.requests)
		}
	})
}

// TestSlowAnswers says that no answer in time is a failure, and counts in the
// times.
func TestSlowAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		u := testUsers(scenarios.Users{Count: 1, WaitMin: time.Second, WaitMax: time.Second}, &page{takes: time.Hour})
		u.play(t.Context(), stop)
		m := &u.tally.requests
		if m.failed != 3 || m.why["no answer within 10s"] != 3 || m.times.Max() != answerLimit {
			t.Errorf("%s, want 3 without an answer", m)
		}
	})
}

// TestMix holds the calls to their weights, and each to its path and status.
func TestMix(t *testing.T) {
	u := testUsers(scenarios.Users{Count: 1, Calls: scenarios.Calls})
	rnd, drawn := u.stream("test"), map[scenarios.Call]int{}
	const draws = 20_000
	for range draws {
		drawn[u.draw(rnd)]++
	}
	for _, c := range scenarios.Calls {
		if share := 100 * float64(drawn[c.Call]) / draws; share < c.Weight*0.8 || share > c.Weight*1.2 {
			t.Errorf("%s is %.1f%% of the calls, want about %v%%", c.Call, share, c.Weight)
		}
	}
	for _, c := range scenarios.Calls {
		paths := map[string]bool{}
		for range 50 {
			path, want := u.request(c.Call, rnd)
			if (want == http.StatusNotFound) != (c.Call == scenarios.CallUnknown) || want != http.StatusNotFound && want != http.StatusOK {
				t.Errorf("%s wants status %d", c.Call, want)
			}
			paths[path] = true
		}
		const at = "/v1/api/orchestrations/Thing"
		for path := range paths {
			if !strings.HasPrefix(path, at) {
				t.Errorf("%s calls %s", c.Call, path)
			}
		}
		want := map[scenarios.Call][]string{
			scenarios.CallWhere:         {at + "/%2E%2E/instances", at + "/a/instances", at + "/b%2Fc/instances"},
			scenarios.CallOrchestration: {at + "?ids=false"}, scenarios.CallInstances: {at + "/instances"}, scenarios.CallStatus: {at + "/status"},
			scenarios.CallSearch: {at + "/resources?limit=20&prefix=", at + "/resources?limit=20&prefix=b"},
		}[c.Call]
		if got := slices.Sorted(maps.Keys(paths)); want != nil && !slices.Equal(got, want) {
			t.Errorf("%s calls %q, want %q", c.Call, got, want)
		}
	}
}

// TestFailures says why a call failed, in words that are the same for all that
// failed alike.
func TestFailures(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"error": {"code": "busy", "message": "come again"}}`)
		case "/broken":
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>")
		case "/cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		case "/gone":
			panic(http.ErrAbortHandler)
		}
	}))
	defer srv.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	client := ownConnection()
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		at   string
		want int
		why  string
	}{
		{srv.URL + "/", 200, ""},
		{srv.URL + "/", 404, "200 OK"},
		{srv.URL + "/busy", 503, ""},
		{srv.URL + "/busy", 200, "503 Service Unavailable busy"},
		{srv.URL + "/broken", 200, "502 Bad Gateway"},
		{srv.URL + "/cut", 200, "answer cut short: unexpected EOF"},
		{srv.URL + "/gone", 200, "EOF"},
		{closed.URL, 200, "connection refused"},
	} {
		if why := get(t.Context(), client, c.at, c.want); why != c.why {
			t.Errorf("%s, wanting %d: %q, want %q", c.at, c.want, why, c.why)
		}
	}
}

// ticket is an acknowledgement in a test.
type ticket struct {
	done chan struct{}
	err  error
}

// Done and Error are acknowledgement's.
func (k *ticket) Done() <-chan struct{} { return k.done }
func (k *ticket) Error() error          { return k.err }

func taken(err error) *ticket {
	k := &ticket{done: make(chan struct{}), err: err}
	close(k.done)
	return k
}

func announce(t *testing.T, perSecond float64, lasts time.Duration, publish func(n int) acknowledgement) (m *measure, sent []time.Duration) {
	began := time.Now()
	a := &announcer{kind: "Thing", perSecond: perSecond, rows: someRows, tally: &tally{}}
	a.publish = func(payload []byte) acknowledgement {
		var msg message
		if err := json.Unmarshal(payload, &msg); err != nil {
			t.Errorf("message %s: %v", payload, err)
		}
		n, r := len(sent), someRows[len(sent)%len(someRows)]
		if want := []string{"u", "c"}[n%2]; msg.Op != want || msg.Table != "Thing" || msg.Key.ID != r.ID || *msg.Instance != (row{r.ID, r.Group}) {
			t.Errorf("message %d is %s", n, payload)
		}
		sent = append(sent, time.Since(began))
		return publish(n)
	}
	stop, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	a.play(t.Context(), stop)
	return &a.tally.published, sent
}

// TestArrivalsAreConstant says that a broker that is slow makes no message later
// but those that could not be sent, and that these count from when they were due.
func TestArrivalsAreConstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, sent := announce(t, 10, 9950*time.Millisecond, func(n int) acknowledgement {
			if n == 10 {
				pause(t.Context(), 3*time.Second)
			}
			return taken(nil)
		})
		if len(sent) != 100 || m.times.Count() != 100 || m.failed != 0 {
			t.Fatalf("%d sent, measured %s; want 100", len(sent), m)
		}
		for n, at := range sent {
			due := time.Duration(n) * 100 * time.Millisecond
			if n > 10 {
				due = max(due, 4*time.Second)
			}
			if (at - due).Abs() > time.Microsecond {
				t.Errorf("message %d was sent at %v, want %v", n, at, due)
			}
		}
		// Of a hundred, 30 waited 3s, 2.9s, … 0.1s.
		if p75 := m.times.Quantile(0.75); m.times.Max() != 3*time.Second || p75 < 400*time.Millisecond || p75 > 600*time.Millisecond {
			t.Errorf("measured %s, p75 %v: want those of the messages that were due meanwhile", m, p75)
		}
	})
}

// TestUnacknowledged says that what nobody acknowledges is a failure, that it is
// bounded, and that the end does not wait for ever.
func TestUnacknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		m, sent := announce(t, 10_000, 3*time.Second-50*time.Microsecond, func(n int) acknowledgement {
			if n < 5 {
				return taken(errors.New("refused"))
			}
			return &ticket{done: make(chan struct{})}
		})
		full := uint64(m.times.Count()) - uint64(len(sent))
		if m.times.Count() != 30_000 || m.failed != 30_000 || m.why["refused"] != 5 || full < 9000 || full > 10_000 ||
			m.why["20000 before it were not acknowledged"] != full || m.why["not acknowledged within 10s"] != uint64(len(sent))-5 {
			t.Errorf("%d sent, measured %s", len(sent), m)
		}
		if took := time.Since(began); took > 3*time.Second+answerLimit {
			t.Errorf("it took %v", took)
		}
	})
}

// TestReasonsAreBounded says that a thousand reasons do not fill the memory.
func TestReasonsAreBounded(t *testing.T) {
	var m measure
	for i := range 1000 {
		m.add(time.Second, fmt.Sprint("reason ", i))
	}
	if len(m.why) != maxReasons+1 || m.why["others"] != 1000-maxReasons || m.failed != 1000 {
		t.Errorf("%d reasons, %d others, %d failed", len(m.why), m.why["others"], m.failed)
	}
}

func loadRun(t *testing.T, text string) *run {
	sc, err := scenarios.Parse("load.yaml", []byte("name: load\nabout: A load.\nduration: 60s\nheal: 50s\non: wire\nexpect: [violations == 0]\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return &run{sc: sc, script: stage.Script{Scenario: sc, Seed: timeline.Seed(sc.Seed)}}
}

// TestLoadIsAboutWhatStays finds the rows that churn leaves alone, and says so
// when there are none, or files for too few users.
func TestLoadIsAboutWhatStays(t *testing.T) {
	r := loadRun(t, "kinds: [{kind: Thing, resources: 500}]\nchurn: [{kind: Thing, create: 5/s, delete: 3/s, update: 2/s}]\nload: [{kind: Thing, users: 1}, {kind: Thing, notifications: 1/s}]\n")
	if err := r.prepareLoad(); err != nil {
		t.Fatal(err)
	}
	stay := map[string]bool{}
	for _, row := range r.load.rows["Thing"] {
		stay[row.ID] = true
	}
	if len(stay) < 250 || len(stay) > 450 {
		t.Errorf("%d of 500 rows stay", len(stay))
	}
	cast, err := r.script.Cast(&r.sc.Kinds[0])
	if err != nil {
		t.Fatal(err)
	}
	for op, ok := cast.Generator.Next(); ok; op, ok = cast.Generator.Next() {
		for _, row := range op.Resources {
			if stay[row.ID] {
				t.Fatalf("%s of %s at %v: it was to be left alone", op.Verb, row.ID, op.At)
			}
		}
	}
	r = loadRun(t, "kinds: [{kind: Thing}]\nload: [{kind: Thing, users: 1}]\n")
	if err := r.prepareLoad(); err == nil || !strings.Contains(err.Error(), "load.yaml: load.0: churn leaves no Thing of the start alone") {
		t.Errorf("with no rows: %v", err)
	}
	if limit, known := openFiles(); known && limit < 100_000 {
		r = loadRun(t, "kinds: [{kind: Thing, resources: 1}]\nload: [{kind: Thing, users: 100000}]\n")
		if err := r.prepareLoad(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("a process may have %d here", limit)) {
			t.Errorf("with %d files: %v", limit, err)
		}
	}
}

// TestLoadPlayed plays a small load on the platform: nothing fails.
func TestLoadPlayed(t *testing.T) {
	var rep *history.Report
	for _, lasts := range []string{"8s", "80s"} { // a slow machine starts slowly
		r := loadRun(t, "world: {kubernetes: {start: {mean: 10ms}}}\n"+
			"kinds: [{kind: Thing, resources: 200, initInstances: 2, resourcePerInstance: 200}, {kind: Rule, resources: 20, initInstances: 1}]\n"+
			"churn: [{kind: Thing, create: 10/s, delete: 10/s}]\n"+
			"load:\n  - {kind: Thing, users: 20, ramp: 500ms, wait: 20ms..200ms}\n  - {kind: Rule, users: 2, wait: 100ms, calls: {unknown: 1}}\n  - {kind: Thing, notifications: 100/s}\n")
		var err error
		if r.sc.Duration, err = time.ParseDuration(lasts); err != nil {
			t.Fatal(err)
		}
		for i := range r.sc.Load {
			r.sc.Load[i].Until = r.sc.Duration
		}
		r.sc.Heal, r.sc.Churn[0].Until = r.sc.Duration, r.sc.Duration
		res, err := Run(t.Context(), r.sc, RunOptions{Serve: serveTest, Orchestrators: 2, Log: testLog{t}})
		if err != nil {
			t.Fatal(err)
		}
		rep = res.Report
		if !slices.ContainsFunc(rep.Notes, func(note string) bool { return strings.Contains(note, "never begun") }) {
			break
		}
	}
	for _, want := range []struct {
		metric string
		least  float64
		most   float64
	}{
		{"Thing.rest_requests", 20, 1e6}, {"Rule.rest_requests", 2, 1e6}, {"rest_failures", 0, 0}, {"rest_time_max", 1e-6, 10},
		{"Thing.notifications_published", 20, 1e6}, {"Rule.notifications_published", 0, 0}, {"publish_failures", 0, 0}, {"publish_time_p99", 1e-6, 10},
		{"violations", 0, 0},
	} {
		if v, ok := rep.Metric(want.metric); !ok || v < want.least || v > want.most {
			t.Errorf("%s = %v, want %v to %v", want.metric, v, want.least, want.most)
		}
	}
	if t.Failed() {
		t.Logf("notes: %s\nviolations: %+v", strings.Join(rep.Notes, "\n"), rep.Violations)
	}
}
