package serve

import (
	"context"
	"errors"
	"iter"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
)

// wrong says what is wrong with a clock; empty: nothing.
func (s *Server) wrong(c api.Clock) string {
	switch {
	case c.Begin > c.Now || c.Now > c.End:
		return "the moment shown is not between begin and end"
	case c.Live && c.Now != c.End:
		return "live, and not at the end"
	case c.End > c.Planned:
		return "beyond what is planned"
	case c.Ended && s.run != nil && c.End != c.Planned:
		return "ended before what was planned"
	case (c.ReadOnly == "") != (s.run != nil && c.Live && !c.Ended):
		return "read-only at the wrong time"
	case c.Event < 0 || c.Event > s.tape.Events() || c.Live && c.Event != s.tape.Events():
		return "no such event"
	case c.Event > 0 && c.Text == "":
		return "an event without words"
	}
	return ""
}

// TestTimePasses: at the speed asked for, while it is not paused, and at the end
// no more.
func TestTimePasses(t *testing.T) {
	sc := parsed(t, small)
	synctest.Test(t, func(t *testing.T) {
		s := made(t, Config{Scenario: sc, Speed: 10})
		ctx, stop := context.WithCancel(t.Context())
		passed := make(chan struct{})
		go func() { defer close(passed); s.pace(ctx) }()
		defer func() { stop(); <-passed }()
		after := func(d time.Duration) api.Clock {
			<-time.After(d)
			synctest.Wait()
			return ok[api.Clock](t)(s.Clock(ctx))
		}
		near := func(what string, c api.Clock, want float64) {
			t.Helper()
			if lag := want - c.Now; lag < 0 || lag > c.Speed*frame.Seconds()+1e-6 || s.wrong(c) != "" {
				t.Errorf("%s: the clock shows %v, want %v: %s", what, c.Now, want, s.wrong(c))
			}
		}
		set := func(change api.ClockChange) api.Clock { return ok[api.Clock](t)(s.SetClock(ctx, change)) }
		near("ten seconds at speed 10", after(10*time.Second), 100)
		at := set(api.ClockChange{Paused: new(true)}).Now
		if c := after(time.Hour); c.Now != at || !c.Paused {
			t.Errorf("while it is paused the clock goes from %v to %v", at, c.Now)
		}
		set(api.ClockChange{Paused: new(false), Speed: new(2.0)})
		near("another ten at speed 2", after(10*time.Second), at+20)
		set(api.ClockChange{Seek: new(30.0)})
		near("back at 30 s", after(10*time.Second), 50)
		end := ok[api.Clock](t)(s.Clock(ctx)).End
		if c := after(time.Minute); !c.Live || c.Now <= end {
			t.Errorf("the past ends at %v, where the simulation goes on: %+v", end, c)
		}
		set(api.ClockChange{Live: new(true), Speed: new(100_000.0)})
		if c := after(time.Second); !c.Ended || !c.Live || c.Now != 1800 || s.wrong(c) != "" {
			t.Errorf("at the end: %+v %s", c, s.wrong(c))
		}
		if s.pass() != never {
			t.Error("something is left to be done at the end")
		}
	})
}

func TestSetClockRefused(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(5 * time.Minute)
	for _, seek := range []float64{-1, 300.5, 1e300} {
		_, err := c.SetClock(ctx, api.ClockChange{Seek: &seek})
		wantCode(t, "seek", err, api.CodeOutOfRange, "want 0 to 300 seconds")
	}
	if _, err := s.SetClock(ctx, api.ClockChange{Seek: new(math.NaN())}); !errors.Is(err, &api.Error{Code: api.CodeOutOfRange}) {
		t.Errorf("seeking no number: %v", err)
	}
	if now := ok[api.Clock](t)(c.Clock(ctx)); now.Now != 300 || !now.Live {
		t.Errorf("a refused change has changed the clock: %+v", now)
	}
}

func TestSteps(t *testing.T) {
	s := paused(t, small)
	s.until(time.Minute)
	s.clock.paused = false
	ctx := t.Context()
	step := func(n int) api.Clock {
		t.Helper()
		c := ok[api.Clock](t)(s.Step(ctx, api.Step{Events: n}))
		if w := s.wrong(c); w != "" || !c.Paused {
			t.Fatalf("after %d events: %+v: %s", n, c, w)
		}
		return c
	}
	at := step(-1)
	first := at.Event
	for i := range int64(20) {
		if c := step(-1); c.Event != first-1-i || c.Now > at.Now || c.Live {
			t.Fatalf("one back from %d: %+v", first-i, c)
		}
	}
	if c := step(20); c.Event != first || c.Text != at.Text || c.Now != at.Now {
		t.Errorf("20 back and 20 on: %+v, was %+v", c, at)
	}
	if c := step(1); c.Event != first+1 || c.Live {
		t.Errorf("to the last event: %+v", c)
	}
	if c := step(5); c.Event < first+6 || !c.Live || c.End < 60 {
		t.Errorf("five beyond the end: %+v", c)
	}
	if c := step(-10_000); c.Event != 0 || c.Now != 0 {
		t.Errorf("back to the beginning: %+v", c)
	}
	s.until(time.Hour)
	s.goLive()
	if c := step(10); !c.Ended || !c.Live || c.Now != 1800 {
		t.Errorf("a step at the end: %+v", c)
	}
}

// TestStream: whoever reads the stream of a kind hears each thing once while time
// passes, and of a jump that it was one.
func TestStream(t *testing.T) {
	s := paused(t, small)
	c := client(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s.until(time.Minute)
	last := ok[api.Recent](t)(c.Recent(ctx, api.RecentQuery{Limit: 1})).Last
	next, stop := iter.Pull2(c.EventsAfter(ctx, "Thing", last))
	defer stop()
	read := func() api.Event {
		t.Helper()
		ev, err, more := next()
		if err != nil || !more {
			t.Fatalf("the stream ends: %v", err)
		}
		return ev
	}
	before := s.moment.LastEntry()
	s.until(time.Minute + 20*time.Second)
	told := 0
	for at := simulationBegan.Add(time.Minute); int64(told) < s.moment.LastEntry()-before; told++ {
		ev := read()
		if ev.Resource != "Thing" || ev.At.Before(at) {
			t.Fatalf("%+v comes after %v", ev, at)
		}
		at = ev.At
	}
	ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Seek: new(10.0)}))
	if ev := read(); ev.Type != api.EventTime || !ev.At.Equal(simulationBegan.Add(10*time.Second)) {
		t.Errorf("after the jump comes %+v", ev)
	}
	s.until(30 * time.Second)
	if ev := read(); ev.At.Before(simulationBegan.Add(10*time.Second)) || ev.At.After(simulationBegan.Add(30*time.Second)) {
		t.Errorf("shown on from there comes %+v", ev)
	}
}

// TestEveryClockIsPossible: whatever is asked for, in whatever order.
func TestEveryClockIsPossible(t *testing.T) {
	sc := parsed(t, small)
	rapid.Check(t, func(t *rapid.T) {
		s, err := New(Config{Scenario: sc, Paused: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx := context.Background()
		look := func(t *rapid.T, what string, c api.Clock, err error) {
			t.Helper()
			var e *api.Error
			if errors.As(err, &e) {
				c, err = s.Clock(ctx)
			}
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if w := s.wrong(c); w != "" {
				t.Fatalf("%s: %+v: %s", what, c, w)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"pass": func(t *rapid.T) {
				s.until(s.clock.now + time.Duration(rapid.Int64Range(0, int64(4*time.Minute)).Draw(t, "by")))
				c, err := s.Clock(ctx)
				look(t, "passing", c, err)
			},
			"seek": func(t *rapid.T) {
				to := rapid.Float64Range(-1, 1900).Draw(t, "to")
				c, err := s.SetClock(ctx, api.ClockChange{Seek: &to})
				look(t, "seeking", c, err)
				if err == nil && math.Abs(c.Now-to) > 1e-6 {
					t.Fatalf("sought %v, and %v is shown", to, c.Now)
				}
			},
			"live": func(t *rapid.T) {
				c, err := s.SetClock(ctx, api.ClockChange{Live: new(true)})
				look(t, "going live", c, err)
				if !c.Live {
					t.Fatalf("not live: %+v", c)
				}
			},
			"step": func(t *rapid.T) {
				n := rapid.IntRange(-300, 300).Filter(func(n int) bool { return n != 0 }).Draw(t, "events")
				before := s.moment.Event()
				c, err := s.Step(ctx, api.Step{Events: n})
				look(t, "stepping", c, err)
				if n > 0 && c.Event < before || n < 0 && c.Event > before {
					t.Fatalf("%d events from %d lead to %d", n, before, c.Event)
				}
			},
			"inject": func(t *rapid.T) {
				_, err := s.Inject(ctx, []byte(`{"pod": "crash", "kind": "Thing", "instance": 1}`))
				c, _ := s.Clock(ctx)
				look(t, "injecting", c, err)
			},
			"order": func(t *rapid.T) {
				err := s.Replace(ctx, "Thing", rapid.IntRange(0, 5).Draw(t, "instance"))
				c, _ := s.Clock(ctx)
				look(t, "ordering", c, err)
			},
			"read": func(t *rapid.T) {
				if _, err := s.Kinds(ctx); err != nil {
					t.Fatal(err)
				}
				_, err := s.Orchestration(ctx, "Thing", true, func(in api.InstanceList) error {
					if len(in.IDs) > 0 {
						if at, err := s.Where("Thing", in.IDs[0]); err != nil || at.Instance != in.ID {
							t.Fatalf("%s on %d is found on %+v, %v", in.IDs[0], in.ID, at, err)
						}
					}
					return nil
				})
				c, _ := s.Clock(ctx)
				look(t, "reading", c, err)
			},
		})
	})
}

// TestAllAtOnce: readers, seekers and those who change something, while time
// passes.
func TestAllAtOnce(t *testing.T) {
	s := made(t, Config{Scenario: parsed(t, small), Speed: 60})
	c := client(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, call := range []func() error{
		func() error { _, err := c.Kinds(ctx); return err },
		func() error { _, err := c.Instances(ctx, "Thing"); return err },
		func() error { _, err := c.Pod(ctx, "Thing", 1); return err },
		func() error { _, err := c.Orchestration(ctx, "Thing", true); return err },
		func() error { _, err := c.Search(ctx, "Thing", "", "", 50); return err },
		func() error { _, err := c.Status(ctx, "Rule"); return err },
		func() error { _, err := c.Timeline(ctx, 100); return err },
		func() error { _, err := c.Recent(ctx, api.RecentQuery{}); return err },
		func() error { _, err := c.Faults(ctx); return err },
		func() error { _, err := c.Step(ctx, -50); return err },
		func() error {
			_, err := c.SetClock(ctx, api.ClockChange{Seek: new(1.0), Paused: new(false)})
			return err
		},
		func() error {
			_, err := c.SetClock(ctx, api.ClockChange{Live: new(true), Paused: new(false)})
			return err
		},
		func() error { _, err := c.Replace(ctx, "Thing", 1); return err },
		func() error { _, err := c.Drain(ctx, "Rule", 1, true); return err },
		func() error {
			_, err := c.Inject(ctx, map[string]any{"pod": "crash", "kind": "Thing", "instance": 0})
			return err
		},
		func() error {
			clock, err := c.Clock(ctx)
			if err == nil && (clock.Now < clock.Begin || clock.Now > clock.End || clock.Live && clock.Now != clock.End) {
				return errors.New("an impossible clock")
			}
			return err
		},
	} {
		all.Go(func() {
			for ctx.Err() == nil {
				var e *api.Error
				if err := call(); err != nil && ctx.Err() == nil && (!errors.As(err, &e) || e.Code == api.CodeInternal) {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
