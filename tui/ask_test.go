package tui

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

var (
	askInstances = data.Query{What: data.AskInstances, Kind: "Thing"}
	askStatus    = data.Query{What: data.AskStatus, Kind: "Thing"}
)

// attempts counts how often a query is asked in a time, when each answer takes so
// long.
func attempts(t *testing.T, q data.Query, over, took time.Duration, still bool, err error) (n int) {
	t.Helper()
	a, now := newAsker(), time.Unix(1000, 0)
	for end := now.Add(over); now.Before(end); {
		begin, next := a.due(context.Background(), now, []data.Query{q}, still, maxReads)
		if len(begin) == 0 {
			if !next.After(now) {
				t.Fatalf("nothing is due, and the next time is %v of %v", next, now)
			}
			now = next
			continue
		}
		n++
		now = now.Add(took)
		a.done(now, result{q, begin[0].serial, api.Status{}, err})
	}
	return n
}

func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		what        string
		q           data.Query
		took        time.Duration
		still       bool
		err         error
		most, least int // in a minute
	}{
		{"what is small", askStatus, 0, false, nil, 60, 60},
		{"while nothing changes", askStatus, 0, true, nil, 12, 12},
		{"what takes long", askInstances, 500 * time.Millisecond, false, nil, 12, 10},
		{"what takes very long", askInstances, 10 * time.Second, false, nil, 2, 2},
		{"who we are", data.Query{What: data.AskAbout}, 0, false, nil, 2, 2},
		{"what fails", askStatus, 0, false, errors.New("no"), 10, 6},
		{"what is refused", askStatus, 0, false, &api.Error{HTTPStatus: 404}, 12, 12},
	} {
		if n := attempts(t, c.q, time.Minute, c.took, c.still, c.err); n > c.most || n < c.least {
			t.Errorf("%s is asked %d times a minute, want %d to %d", c.what, n, c.least, c.most)
		}
	}
}

func TestStaleIsAskedSooner(t *testing.T) {
	a, now := newAsker(), time.Unix(1000, 0)
	begin, _ := a.due(t.Context(), now, []data.Query{askInstances}, false, maxReads)
	a.stale(func(data.Query) bool { return true }) // while it is under way
	a.done(now, result{query: askInstances, serial: begin[0].serial, value: api.Instances{}})
	if begin, next := a.due(t.Context(), now, []data.Query{askInstances}, false, maxReads); len(begin) > 0 || next != now.Add(minPeriod) {
		t.Errorf("what became stale is asked at %v, want after %v", next.Sub(now), minPeriod)
	}
	now = now.Add(minPeriod)
	if begin, _ := a.due(t.Context(), now, []data.Query{askInstances}, false, maxReads); len(begin) != 1 {
		t.Error("what is stale is not asked")
	}
}

func TestWhatNobodyNeedsIsForgotten(t *testing.T) {
	a, now := newAsker(), time.Unix(1000, 0)
	begin, _ := a.due(t.Context(), now, []data.Query{askInstances, askStatus}, false, maxReads)
	a.done(now, result{query: askStatus, serial: begin[1].serial, value: api.Status{}})
	now = now.Add(time.Second)
	a.due(t.Context(), now, nil, false, maxReads)
	if begin[0].ctx.Err() == nil {
		t.Error("what nobody needs goes on being asked")
	}
	if a.done(now, result{query: askInstances, serial: begin[0].serial, err: context.Canceled}) {
		t.Error("what was given up counts")
	}
	now = now.Add(keepFor - time.Second)
	a.due(t.Context(), now, nil, false, maxReads)
	if a.answers[askStatus] == nil {
		t.Errorf("an answer is gone before %v", keepFor)
	}
	a.due(t.Context(), now.Add(2*time.Second), nil, false, maxReads)
	equal(t, "answers kept", len(a.answers)+len(a.asks), 0)
}

func TestScrubbingShowsSomething(t *testing.T) {
	a, now := newAsker(), time.Unix(1000, 0)
	counted := 0
	for range 10 { // each answer comes a jump too late
		begin, _ := a.due(t.Context(), now, []data.Query{askInstances}, false, maxReads)
		if len(begin) != 1 {
			now = now.Add(minPeriod)
			continue
		}
		a.jump()
		if a.done(now, result{query: askInstances, serial: begin[0].serial, value: api.Instances{}}) {
			counted++
		}
	}
	if counted < 3 {
		t.Errorf("%d of 10 answers count while the moment jumps, want some", counted)
	}
	if !a.answers[askInstances].Stale {
		t.Error("an answer of another moment is not asked again")
	}
}

// Whatever happens: never more than so many under way, none twice, and the count
// is right.
func TestAskerProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, now := newAsker(), time.Unix(1000, 0)
		under := map[data.Query]start{}
		query := rapid.Custom(func(t *rapid.T) data.Query {
			return data.Query{What: data.What(rapid.IntRange(0, int(data.AskFaults)).Draw(t, "what")), Kind: rapid.SampledFrom([]string{"A", "B"}).Draw(t, "kind")}
		})
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				begin, next := a.due(context.Background(), now, rapid.SliceOfN(query, 0, 8).Draw(t, "needs"), rapid.Bool().Draw(t, "still"), maxReads)
				if !next.IsZero() && !next.After(now) {
					t.Fatalf("the next is due at %v, now is %v, and nothing is begun", next, now)
				}
				for _, b := range begin {
					if _, twice := under[b.query]; twice {
						t.Fatalf("%v is asked while it is under way", b.query)
					}
					under[b.query] = b
				}
			},
			"done": func(t *rapid.T) {
				for q, b := range under {
					err := rapid.SampledFrom([]error{nil, errors.New("no"), b.ctx.Err()}).Draw(t, "error")
					a.done(now, result{q, b.serial, 1, err})
					delete(under, q)
					return
				}
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			},
			"jump":  func(*rapid.T) { a.jump() },
			"retry": func(*rapid.T) { a.retry() },
			"stale": func(*rapid.T) { a.stale(func(q data.Query) bool { return q.Kind == "A" }) },
			"": func(t *rapid.T) {
				if a.running != len(under) || a.running > maxReads {
					t.Fatalf("%d are counted, %d are under way, at most %d may be", a.running, len(under), maxReads)
				}
				if len(a.asks) != len(a.answers) {
					t.Fatalf("%d asks for %d answers", len(a.asks), len(a.answers))
				}
			},
		})
	})
}
