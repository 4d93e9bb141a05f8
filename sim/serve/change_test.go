package serve

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

// instance is one of a kind's instances, as it is told.
func instance(t *testing.T, c *api.Client, kind string, id int) api.Instance {
	t.Helper()
	for _, in := range ok[api.Instances](t)(c.Instances(t.Context(), kind)).Instances {
		if in.ID == id {
			return in
		}
	}
	t.Fatalf("%s has no instance %d", kind, id)
	return api.Instance{}
}

// TestCrashAndBack: a pod is broken, seen dead, replaced; and runs again when one
// goes back.
func TestCrashAndBack(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(5 * time.Minute)
	was := ok[api.Pod](t)(c.Pod(ctx, "Thing", 2))
	if was.Phase != "Running" || was.Node == "" || was.Restarts == nil || *was.Restarts != 0 || was.AgeSeconds == nil || *was.AgeSeconds < 290 {
		t.Fatalf("the pod is %+v", was)
	}
	done := ok[api.Injected](t)(c.Inject(ctx, map[string]any{"pod": "crash", "kind": "Thing", "instance": 2}))
	if done.At != 300 || done.Text != "{pod: crash, kind: Thing, instance: 2}" {
		t.Errorf("injected %+v", done)
	}
	s.until(5*time.Minute + 4*time.Second) // the kubelet takes up to three to tell
	if in := instance(t, c, "Thing", 2); in.Up {
		t.Errorf("seconds later: %+v", in)
	}
	s.until(6 * time.Minute)
	now := ok[api.Pod](t)(c.Pod(ctx, "Thing", 2))
	if now.UID == was.UID || now.Phase != "Running" || *now.AgeSeconds > 60 {
		t.Errorf("a minute later: %+v", now)
	}
	reasons := map[string]bool{}
	for i, ev := range now.Events {
		reasons[ev.Reason] = true
		if i > 0 && ev.AgeSeconds < now.Events[i-1].AgeSeconds {
			t.Errorf("event %d is newer than the one before: %+v", i, ev)
		}
	}
	for _, want := range []string{"Created", "Scheduled", "Started", "Running", "Failed", "Deleted", "Gone"} {
		if !reasons[want] {
			t.Errorf("no event %s of the pod: %+v", want, now.Events)
		}
	}
	line := ok[api.Timeline](t)(c.Timeline(ctx, 100))
	found := false
	for _, m := range line.Marks {
		found = found || m.Class == api.MarkFault && m.Once && m.At == 300
	}
	if !found {
		t.Errorf("no mark of the crash: %+v", line.Marks)
	}
	ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Seek: new(299.0)}))
	if again := ok[api.Pod](t)(c.Pod(ctx, "Thing", 2)); again.UID != was.UID || again.Phase != "Running" {
		t.Errorf("back again: %+v", again)
	}
	if recent := ok[api.Recent](t)(c.Recent(ctx, api.RecentQuery{Limit: 1000})); recent.Events[0].Type != api.EventTime || recent.Events[1].At.After(simulationBegan.Add(299*time.Second)) {
		t.Errorf("recently: %+v", recent.Events[:2])
	}
}

func TestFaultsRefused(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(5 * time.Minute)
	for _, f := range []struct {
		fault map[string]any
		code  api.Code
		field string
		says  string
	}{
		{map[string]any{"pod": "crash", "kind": "Thing", "instance": 17}, api.CodeOutOfRange, "instance", "Thing has no instance 17 now: want one of 0-3"},
		{map[string]any{"node": "lose", "name": "node-7", "for": "1m"}, api.CodeOutOfRange, "name", `no node "node-7": want one of node-0 to node-2`},
		{map[string]any{"node": "lose", "for": "1m"}, api.CodeBadRequest, "", "want one of name, count, share"},
		{map[string]any{"pod": "crash", "kind": "Think", "instance": 1}, api.CodeOutOfRange, "kind", "did you mean Thing?"},
		{map[string]any{"pod": "crush", "kind": "Thing", "instance": 1}, api.CodeOutOfRange, "pod", "did you mean crash?"},
		{map[string]any{"pod": "crash", "kind": "Thing", "instance": 1, "at": "3m"}, api.CodeOutOfRange, "at", "at has no meaning here"},
		{map[string]any{"pod": "crash", "kind": "Thing", "where": "x", "colour": 1}, api.CodeUnknownField, "colour", "unknown key"},
		{map[string]any{"kafka": "down"}, api.CodeBadRequest, "", "without for"},
		{map[string]any{}, api.CodeBadRequest, "", "no fault"},
	} {
		_, err := c.Inject(ctx, f.fault)
		wantCode(t, f.says, err, f.code, f.says)
		var e *api.Error
		if errors.As(err, &e) && e.Field != f.field {
			t.Errorf("%s: the field is %q, want %q", f.says, e.Field, f.field)
		}
	}
	offered := ok[api.Faults](t)(c.Faults(ctx))
	words := map[string]api.FaultWord{}
	for _, w := range offered.Offered {
		words[w.Subject+" "+w.Word] = w
	}
	if w := words["pod crash"]; !w.Once || w.Target != "instance" || !w.Needs || w.About == "" {
		t.Errorf("pod crash is offered as %+v", w)
	}
	if w := words["kafka slow"]; w.Once || w.Target != "" || w.By != 5 {
		t.Errorf("kafka slow is offered as %+v", w)
	}
	if w := words["node lose"]; w.Target != "node" || !w.Needs || len(offered.Nodes) != 3 || !slices.Contains(w.Keys, "name") {
		t.Errorf("node lose is offered as %+v, nodes are %v", w, offered.Nodes)
	}
	ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Seek: new(60.0)}))
	if past := ok[api.Faults](t)(c.Faults(ctx)); !slices.Equal(past.Nodes, offered.Nodes) {
		t.Errorf("nodes of a minute are %v, want %v", past.Nodes, offered.Nodes)
	}
	ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Live: new(true)}))
	s.until(5*time.Minute + time.Second)
	ok[api.Injected](t)(c.Inject(ctx, map[string]any{"kafka": "down", "for": "1m"}))
	if active := ok[api.Faults](t)(c.Faults(ctx)).Active; len(active) != 1 || active[0].Class != api.MarkFault || active[0].Until != nil {
		t.Errorf("active: %+v", active)
	}
	if clock := ok[api.Clock](t)(c.Clock(ctx)); len(clock.Faults) != 1 {
		t.Errorf("the clock says %v", clock.Faults)
	}
}

// TestEveryFaultOffered: what is offered is taken, with the least that it asks
// for.
func TestEveryFaultOffered(t *testing.T) {
	s := paused(t, small)
	s.until(2 * time.Minute)
	c, ctx := client(t, s), t.Context()
	for _, w := range ok[api.Faults](t)(c.Faults(ctx)).Offered {
		f := map[string]any{w.Subject: w.Word}
		if !w.Once {
			f["for"] = "5s"
		}
		switch {
		case w.Target == "instance" && w.Needs:
			f["kind"], f["instance"] = "Thing", 1
		case w.Target == "node":
			f["name"] = "node-1"
		case w.Subject == "pod":
			f["kind"] = "Thing"
		}
		if _, err := c.Inject(ctx, f); err != nil {
			t.Errorf("%v: %v", f, err)
		}
		s.until(s.end() + 10*time.Second)
	}
}

func TestOrders(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(5 * time.Minute)
	was := instance(t, c, "Thing", 1)

	ok[api.Done](t)(c.Replace(ctx, "Thing", 1))
	_, err := c.Replace(ctx, "Thing", 1)
	wantCode(t, "replaced twice", err, api.CodeConflict, "on its way")
	s.until(6 * time.Minute)
	if now := instance(t, c, "Thing", 1); !now.Up || *now.AgeSeconds > 60 || *was.AgeSeconds < 60 {
		t.Errorf("after its replacement: %+v", now)
	}

	ok[api.Done](t)(c.Drain(ctx, "Rule", 0, false))
	_, err = c.Drain(ctx, "Rule", 0, false)
	wantCode(t, "drained twice", err, api.CodeConflict, "being drained already")
	ok[api.Done](t)(c.Undrain(ctx, "Rule", 0))
	_, err = c.Undrain(ctx, "Rule", 0)
	wantCode(t, "undrained twice", err, api.CodeConflict, "not being drained")

	ok[api.Maintenance](t)(c.SetMaintenance(ctx, "Rule", true))
	if !ok[api.Maintenance](t)(c.Maintenance(ctx, "Rule")).On {
		t.Error("maintenance is off")
	}
	_, err = c.Replace(ctx, "Rule", 0)
	wantCode(t, "in maintenance", err, api.CodeRefused, "maintenance")
	ok[api.Maintenance](t)(c.SetMaintenance(ctx, "Rule", false))

	_, err = c.Orchestrate(ctx, "Thing", api.OrchestrateRequest{ResourcePerInstance: new(0)})
	wantCode(t, "no resources on an instance", err, api.CodeOutOfRange, "resourcePerInstance")
	_, err = c.Orchestrate(ctx, "Thing", api.OrchestrateRequest{ResourcePerInstance: new(1), MaxInstances: new(3)})
	wantCode(t, "too many instances", err, api.CodeRefused, "require instances more than the max")
}

// TestOrchestrateWaits: an order is answered when it is done, and waits for that
// while time stands still.
func TestOrchestrateWaits(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(5 * time.Minute)
	type outcome struct {
		done api.Orchestrated
		err  error
	}
	answered := make(chan outcome, 1)
	go func() {
		done, err := c.Orchestrate(ctx, "Thing", api.OrchestrateRequest{ResourcePerInstance: new(30)})
		answered <- outcome{done, err}
	}()
	deadline := time.After(patience)
	for running := false; !running; {
		select {
		case o := <-answered:
			t.Fatalf("answered while time stands still: %+v", o)
		case <-deadline:
			t.Fatal("the order was never taken")
		default:
			p, err := s.Progress(ctx, "Thing")
			running = err == nil && p.Running
		}
	}
	_, err := c.Orchestrate(ctx, "Thing", api.OrchestrateRequest{})
	wantCode(t, "while another runs", err, api.CodeConflict, "an orchestration is running")
	s.until(8 * time.Minute)
	o := <-answered
	if o.err != nil {
		t.Fatal(o.err)
	}
	if o.done.Instances < 5 || o.done.Opened == 0 || o.done.Moves == 0 || o.done.TookSeconds <= 0 || o.done.TookSeconds > 100 {
		t.Errorf("orchestrated: %+v", o.done)
	}
	runs := ok[api.Reorchestrations](t)(c.Reorchestrations(ctx, "Thing")).Runs
	if len(runs) == 0 || runs[0].Outcome != "done" || runs[0].EndedAt == nil || runs[0].Moves < o.done.Moves {
		t.Errorf("runs: %+v, the answer: %+v", runs, o.done)
	}
}

// TestChangesAreRefused where nothing can be changed: in the past, at the end of a
// simulation, in a recording.
func TestChangesAreRefused(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	refused := func(c *api.Client, says string) {
		t.Helper()
		_, err := c.Replace(ctx, "Thing", 1)
		wantCode(t, "an order", err, api.CodeRefused, says)
		_, err = c.Orchestrate(ctx, "Thing", api.OrchestrateRequest{})
		wantCode(t, "an orchestration", err, api.CodeRefused, says)
		if clock := ok[api.Clock](t)(c.Clock(ctx)); clock.ReadOnly == "" {
			t.Errorf("the clock says nothing: %+v", clock)
		}
	}
	s.until(17 * time.Minute)
	ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Seek: new(300.0)}))
	refused(c, "the moment shown is 12m0s before the end: go to the end (live) to change something")
	_, err := c.Inject(ctx, map[string]any{"pod": "crash", "kind": "Thing", "instance": 1})
	wantCode(t, "a fault", err, api.CodeRefused, "12m0s before the end")
	if clock := ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Live: new(true)})); !clock.Live || clock.Now != 17*60 || clock.ReadOnly != "" {
		t.Errorf("at the end: %+v", clock)
	}
	ok[api.Done](t)(c.Replace(ctx, "Thing", 1))
	s.until(time.Hour)
	refused(c, "the simulation has ended")
}

// TestOrderUnanswered: whoever does not wait longer leaves the order to itself.
func TestOrderUnanswered(t *testing.T) {
	s := paused(t, small)
	s.until(5 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Drain(ctx, "Thing", 1, true); !errors.Is(err, context.Canceled) {
		t.Errorf("a drain that nobody waits for: %v", err)
	}
	s.until(6 * time.Minute)
	for _, in := range must(t, s).Instances {
		if in.ID == 1 {
			t.Errorf("instance 1 is still there: %+v", in)
		}
	}
}

func must(t *testing.T, s *Server) api.Instances {
	t.Helper()
	return ok[api.Instances](t)(s.Instances(t.Context(), "Thing"))
}

// TestClosedWithOrders: an order that waits is answered when the server goes.
func TestClosedWithOrders(t *testing.T) {
	s, err := New(Config{Scenario: parsed(t, small), Paused: true})
	if err != nil {
		t.Fatal(err)
	}
	s.until(5 * time.Minute)
	dir := s.store.path
	g, err := s.onInstance("Thing", 1, drain)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantCode(t, "the order", g.wait(t.Context()), api.CodeUnavailable, "ended before the order was done")
	if r, ended := s.Result(); r == nil || ended || r.Report.Scenario != "small" {
		t.Errorf("the result is %+v, ended: %v", r, ended)
	}
	if _, err := (&directory{path: dir}).Open(0); err == nil {
		t.Error("the directory is still there")
	}
}
