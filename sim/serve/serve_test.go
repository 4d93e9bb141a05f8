package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/sim"
	"dacorch/sim/tape"
)

// answers is all that the interface says of the moment shown, but for what tells
// the moment itself.
func answers(t *testing.T, c *api.Client) map[string]string {
	t.Helper()
	ctx, out := t.Context(), map[string]string{}
	say := func(name string, v any, err error) {
		t.Helper()
		var e *api.Error
		if errors.As(err, &e) {
			e.RequestID = ""
			v = e
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	kinds, err := c.Kinds(ctx)
	say("kinds", kinds, err)
	for _, k := range kinds.Kinds {
		kind := k.Resource
		instances, err := c.Instances(ctx, kind)
		say(kind+" instances", instances, err)
		for _, in := range instances.Instances {
			pod, err := c.Pod(ctx, kind, in.ID)
			say(fmt.Sprint(kind, " pod ", in.ID), pod, err)
			on, err := c.Resources(ctx, kind, in.ID, "", 1000)
			say(fmt.Sprint(kind, " on ", in.ID), on, err)
		}
		all, err := c.Orchestration(ctx, kind, true)
		say(kind+" orchestration", all, err)
		found, err := c.Search(ctx, kind, "", "", 1000)
		say(kind+" search", found, err)
		for _, f := range found.Resources[:min(5, len(found.Resources))] {
			at, err := c.Where(ctx, kind, f.ID)
			say(kind+" where "+f.ID, at, err)
			moves, err := c.Moves(ctx, kind, f.ID)
			say(kind+" moves "+f.ID, moves, err)
		}
		status, err := c.Status(ctx, kind)
		say(kind+" status", status, err)
		progress, err := c.Progress(ctx, kind)
		say(kind+" progress", progress, err)
		mode, err := c.Maintenance(ctx, kind)
		say(kind+" maintenance", mode, err)
		runs, err := c.Reorchestrations(ctx, kind)
		say(kind+" reorchestrations", runs, err)
		plan, err := c.Preview(ctx, kind, api.OrchestrateRequest{ResourcePerInstance: new(20)}, 10)
		say(kind+" preview", plan, err)
	}
	recent, err := c.Recent(ctx, api.RecentQuery{Limit: 200, Type: api.EventMove})
	for i := range recent.Events {
		recent.Events[i].ID = ""
	}
	say("recent", recent.Events, err)
	clock, err := c.Clock(ctx)
	say("clock", []any{clock.Now, clock.Violations, clock.Faults}, err)
	faults, err := c.Faults(ctx)
	say("faults", faults.Active, err)
	return out
}

// TestPastIsAsItWas: what the interface says of a moment of the past is what it
// said when that moment was the present.
func TestPastIsAsItWas(t *testing.T) {
	s := paused(t, small)
	c := client(t, s)
	then := map[time.Duration]map[string]string{}
	moments := []time.Duration{0, time.Second, 3*time.Minute + 30*time.Second, 6*time.Minute + time.Second, 9*time.Minute + 2*time.Second,
		12*time.Minute + 20*time.Second, 12*time.Minute + 41*time.Second, 20 * time.Minute, 29 * time.Minute}
	for _, at := range moments {
		s.until(at)
		then[at] = answers(t, c)
	}
	s.until(time.Hour)
	for _, at := range append(moments[4:], moments[:6]...) {
		clock := ok[api.Clock](t)(c.SetClock(t.Context(), api.ClockChange{Seek: new(at.Seconds())}))
		if clock.Now != at.Seconds() || clock.Live || clock.ReadOnly == "" {
			t.Fatalf("seeking %v shows %+v", at, clock)
		}
		now := answers(t, c)
		for name, was := range then[at] {
			if now[name] != was {
				t.Errorf("%s at %v\n was %s\n now %s", name, at, was, now[name])
			}
		}
		if len(now) != len(then[at]) {
			t.Errorf("%v: %d answers, there were %d", at, len(now), len(then[at]))
		}
	}
}

// TestFiguresAreTheSimulations: what the interface adds up is what the simulation
// itself has counted, by means of its own.
func TestFiguresAreTheSimulations(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	for _, at := range []time.Duration{2 * time.Minute, 8 * time.Minute, 11 * time.Minute, 19 * time.Minute, 28 * time.Minute} {
		s.until(at)
		twin := ok[*sim.Live](t)(sim.Begin(parsed(t, small), sim.Options{}))
		twin.Advance(at, 1<<30)
		report := ok[*sim.Result](t)(twin.Close()).Report
		want := func(name string, got int) {
			t.Helper()
			if is, known := report.Metric(name); !known || is != float64(got) {
				t.Errorf("%v: the interface says %d %s, the simulation %v", at, got, name, is)
			}
		}
		line := ok[api.Timeline](t)(c.Timeline(ctx, 50))
		for i, k := range ok[api.Kinds](t)(c.Kinds(ctx)).Kinds {
			moves, commits := 0, 0
			for j := range line.Series[i].Moves {
				moves, commits = moves+line.Series[i].Moves[j], commits+line.Series[i].Commits[j]
			}
			want(k.Resource+".moves_made", moves)
			want(k.Resource+".transactions", commits)
			want(k.Resource+".instances", k.InstanceCount)
			if at > 27*time.Minute { // nothing is on its way any more
				want(k.Resource+".resources", k.Used)
				want(k.Resource+".resources_unplaced_end", k.Unplaced)
			}
			runs := ok[api.Reorchestrations](t)(c.Reorchestrations(ctx, k.Resource))
			done := 0
			for _, r := range runs.Runs {
				if r.Outcome == "done" {
					done++
				}
			}
			want(k.Resource+".orchestrations_done", done)
		}
		want("violations", ok[api.Clock](t)(c.Clock(ctx)).Violations)
	}
}

// TestNobodyLeads: while the orchestrator is down, what stands in ZooKeeper is
// told, and what only a leader knows is not.
func TestNobodyLeads(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(12*time.Minute - time.Millisecond)
	before := ok[api.Orchestration](t)(c.Orchestration(ctx, "Thing", true))
	s.until(12*time.Minute + 30*time.Second)
	kinds := ok[api.Kinds](t)(c.Kinds(ctx)).Kinds
	if kinds[0].Leader.Name != "" || kinds[0].InstanceCount != len(before.Instances) {
		t.Errorf("the kinds are %+v", kinds)
	}
	_, err := c.Instances(ctx, "Thing")
	wantCode(t, "the instances", err, api.CodeNoLeader, "nobody leads Thing")
	_, err = c.Drain(ctx, "Thing", 0, false)
	wantCode(t, "an order", err, api.CodeNoLeader, "nobody leads Thing")
	after := ok[api.Orchestration](t)(c.Orchestration(ctx, "Thing", true))
	if len(after.Instances) != len(before.Instances) || after.Used == 0 {
		t.Errorf("%d instances with %d resources, there were %d with %d", len(after.Instances), after.Used, len(before.Instances), before.Used)
	}
	// The next leader reads for a while before it knows.
	for loading := false; !loading; {
		if step := ok[api.Clock](t)(c.Step(ctx, 1)); step.Now > 13*60 {
			t.Fatal("nobody has led again")
		}
		status, err := c.Status(ctx, "Thing")
		loading = err == nil && status.Stage == "loading"
	}
	_, err = c.Instances(ctx, "Thing")
	wantCode(t, "the instances", err, api.CodeUnavailable, "loading")
	for _, in := range after.Instances {
		if len(in.IDs) == 0 {
			continue
		}
		if at := ok[api.Location](t)(c.Where(ctx, "Thing", in.IDs[0])); at.Instance != in.ID {
			t.Errorf("%s is on %d, and was on %d", in.IDs[0], at.Instance, in.ID)
		}
	}
	if now := ok[api.Kinds](t)(c.Kinds(ctx)).Kinds[0]; now.Used != after.Used || now.Leader.Name == "" {
		t.Errorf("while it loads: %+v", now)
	}
	if page := ok[api.Search](t)(c.Search(ctx, "Thing", "", "", 2)); len(page.Resources) != 2 || page.Next == "" {
		t.Errorf("while it loads: %+v", page)
	}
}

// TestProcessDies: from a process's death on nobody leads, until another does,
// whatever it has died of; also at moments that are long over.
func TestProcessDies(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(5 * time.Minute)
	ok[api.Injected](t)(c.Inject(ctx, map[string]any{"orchestrator": "crash", "command": "commit", "for": "1m", "by": "20s"}))
	leader := func() string { return ok[api.Kinds](t)(c.Kinds(ctx)).Kinds[0].Leader.Name }
	var died time.Duration
	for died = s.end(); leader() != ""; died = s.end() {
		if s.until(s.end() + time.Second); s.end() > 6*time.Minute {
			t.Fatal("it has not died")
		}
	}
	s.until(8 * time.Minute)
	if leader() == "" {
		t.Error("nobody leads two minutes later")
	}
	ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Seek: new(died.Seconds())}))
	if name := leader(); name != "" {
		t.Errorf("%s leads, back at its death", name)
	}
	var told []string
	for _, m := range ok[api.Timeline](t)(c.Timeline(ctx, 100)).Marks {
		if m.Class == api.MarkLeader && m.Resource == "Thing" && m.At >= 300 {
			told = append(told, m.Text)
		}
	}
	if len(told) < 3 || told[0] != "process 1 died" || told[1] != "process 1 began" || !strings.HasPrefix(told[2], "process 1 leads") {
		t.Errorf("the timeline has %q", told)
	}
	recent := ok[api.Recent](t)(c.Recent(ctx, api.RecentQuery{Limit: 1000})).Events
	if i := slices.IndexFunc(recent, func(e api.Event) bool { return e.Type == api.EventLeader }); i < 0 || recent[i].On == nil || *recent[i].On {
		t.Errorf("the newest event about leaders is not that nobody leads: number %d", i)
	}
}

func TestUnknown(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(time.Minute)
	for name, call := range map[string]func() error{
		"where":         func() error { _, err := c.Where(ctx, "Think", "x"); return err },
		"instances":     func() error { _, err := c.Instances(ctx, "Think"); return err },
		"orchestration": func() error { _, err := c.Orchestration(ctx, "Think", false); return err },
		"search":        func() error { _, err := c.Search(ctx, "Think", "", "", 0); return err },
		"drain":         func() error { _, err := c.Drain(ctx, "Think", 0, false); return err },
		"maintenance":   func() error { _, err := c.SetMaintenance(ctx, "Think", true); return err },
		"orchestrate":   func() error { _, err := c.Orchestrate(ctx, "Think", api.OrchestrateRequest{}); return err },
	} {
		wantCode(t, name, call(), api.CodeUnknownKind, "Think")
	}
	_, err := c.Where(ctx, "Thing", "none")
	wantCode(t, "where", err, api.CodeUnknownResource, "none")
	_, err = c.Pod(ctx, "Thing", 99)
	wantCode(t, "pod", err, api.CodeUnknownInstance, "Thing has no instance 99")
	_, err = c.Resources(ctx, "Thing", 99, "", 1)
	wantCode(t, "resources", err, api.CodeUnknownInstance, "Thing has no instance 99")
	_, err = c.Replace(ctx, "Thing", 1000)
	wantCode(t, "replace", err, api.CodeUnknownInstance, "Thing has no instance")
}

// TestPages: all pages together are the orchestration, while time stands still and
// while it passes.
func TestPages(t *testing.T) {
	s := paused(t, small)
	s.until(5 * time.Minute)
	ctx := context.Background()
	where := map[string]int{}
	totals, err := s.Orchestration(ctx, "Thing", true, func(in api.InstanceList) error {
		for _, id := range in.IDs {
			where[id] = in.ID
		}
		return nil
	})
	if err != nil || totals.Used != len(where) {
		t.Fatalf("%d resources, %+v, %v", len(where), totals, err)
	}
	for _, moves := range []bool{false, true} {
		s.clock.paused = !moves
		after, n := "", 0
		for more := true; more; {
			var page []api.Found
			if page, more, err = s.Search(ctx, "Thing", "Thing-", after, 7); err != nil {
				t.Fatal(err)
			}
			for _, f := range page {
				if on, known := where[f.ID]; f.ID <= after || known && (f.Instance == nil || *f.Instance != on) {
					t.Errorf("%+v after %s, which is on %d", f, after, on)
				}
				after, n = f.ID, n+1
			}
		}
		if n < len(where) {
			t.Errorf("%d of %d resources found, with time passing: %v", n, len(where), moves)
		}
		if none, more, err := s.Search(ctx, "Thing", "Nothing", "", 7); len(none) > 0 || more || err != nil {
			t.Errorf("found %v, %v, %v", none, more, err)
		}
		on := 0
		for id := range where {
			if where[id] == 2 {
				on++
			}
		}
		if page, more, err := s.Resources(ctx, "Thing", 2, "", 1000); len(page) != on || more || err != nil {
			t.Errorf("%d on instance 2, want %d; %v, %v", len(page), on, more, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for text, cfg := range map[string]Config{
		"want one of Scenario and Recording": {},
		"want 0.01 to 100000":                {Scenario: parsed(t, small), Speed: 0.001},
		"no moment 1h0m0s: want 0s to 30m0s": {Scenario: parsed(t, small), At: time.Hour},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
	s := made(t, Config{Scenario: parsed(t, small), At: 10 * time.Minute, Paused: true})
	if clock := ok[api.Clock](t)(s.Clock(t.Context())); clock.Now != 600 || !clock.Live {
		t.Errorf("begun at ten minutes: %+v", clock)
	}
	if about := ok[api.About](t)(client(t, s).About(t.Context())); about.Title != "scenario small, seed 3" || !about.Time || !about.Faults || about.Scope != "write" {
		t.Errorf("about: %+v", about)
	}
}

// TestEveryEntryHasItsEvent: what the tape logs is told as production tells it.
func TestEveryEntryHasItsEvent(t *testing.T) {
	s := paused(t, small)
	for typ, want := range map[string]api.EventType{
		tape.EntryLed: api.EventLeader, tape.EntryDeposed: api.EventLeader, tape.EntryNote: api.EventNote,
		tape.EntryAlarm: api.EventAlarm, tape.EntryAlarmOver: api.EventAlarm, tape.EntryCommit: api.EventCommit,
		tape.EntryInstance: api.EventInstance, tape.EntryMove: api.EventMove,
		tape.EntryPodCreate: api.EventInstance, tape.EntryPodDelete: api.EventInstance, tape.EntryPod: api.EventPod,
		tape.EntryOrder: api.EventOrder, tape.EntryProgress: api.EventProgress, tape.EntryMaintenance: api.EventMaintenance,
	} {
		clear(s.told)
		events := s.eventsOf(&tape.Entry{Type: typ, Kind: "Thing", At: time.Minute})
		last := events[len(events)-1]
		if last.Type != want || !last.At.Equal(simulationBegan.Add(time.Minute)) || last.Resource != "Thing" {
			t.Errorf("an entry of type %s is told as %+v, want %s", typ, events, want)
		}
	}
	s.told["Thing"] = 1
	if events := s.eventsOf(&tape.Entry{Type: tape.EntryDeposed, Kind: "Thing", Process: 0}); len(events) != 1 {
		t.Errorf("one who does not lead is deposed: %+v", events)
	}
}
