package orchestrator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
)

// wantCode demands an error of the interface.
func wantCode(t *testing.T, what string, err error, code api.Code, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("%s: %v, want %s with %q", what, err, code, text)
	}
}

func orchestrateRequest(perInstance, most int) api.OrchestrateRequest {
	var r api.OrchestrateRequest
	if perInstance > 0 {
		r.ResourcePerInstance = &perInstance
	}
	if most > 0 {
		r.MaxInstances = &most
	}
	return r
}

// TestReads asks a leader and a follower what every process knows.
func TestReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		leader, follower := serviceOver(t, m, "leader"), serviceOver(t, m, "follower")
		settle(time.Minute)
		for name, s := range map[string]*service{"leader": leader, "follower": follower} {
			kinds, err := s.Kinds(t.Context())
			if err != nil || len(kinds) != 1 || kinds[0].InstanceCount != 3 || kinds[0].Used != 10 || kinds[0].Leader.Self != (name == "leader") || kinds[0].Leader.URL != "http://leader" {
				t.Errorf("%s: kinds %+v, %v", name, kinds, err)
			}
			var all []string
			totals, err := s.Orchestration(t.Context(), "Thing", true, func(in api.InstanceList) error {
				if !slices.IsSorted(in.IDs) || len(in.IDs) != in.Used || in.Pod != s.pod("Thing", fleet.InstanceID(in.ID)) || in.IDs == nil {
					t.Errorf("%s: %+v", name, in)
				}
				for _, id := range in.IDs {
					if at, err := s.Where("Thing", id); err != nil || at.RunIn != in.Pod || at.Instance != in.ID {
						t.Errorf("%s: %s stands on %+v, %v", name, id, at, err)
					}
				}
				all = append(all, in.IDs...)
				clear(in.IDs) // ours to spoil
				return nil
			})
			if err != nil || totals.InstanceCount != 3 || totals.Used != 10 || totals.Unplaced != 0 || len(all) != 10 {
				t.Errorf("%s: %+v, %v", name, totals, err)
			}
			found, more, err := s.Search(t.Context(), "Thing", "thing-10", "thing-1003", 2)
			if err != nil || !more || len(found) != 2 || found[0].ID != "thing-1004" || found[0].RunIn == "" || *found[0].Instance < 0 {
				t.Errorf("%s: found %+v %t, %v", name, found, more, err)
			}
			if found, more, _ := s.Search(t.Context(), "Thing", "thing-1009", "", 1); more || len(found) != 1 {
				t.Errorf("%s: the last page is %v %t", name, found, more)
			}
			_, err = s.Where("Thing", "nobody")
			wantCode(t, name, err, api.CodeUnknownResource, `no Thing "nobody"`)
			_, err = s.Where("Sensor", "nobody")
			wantCode(t, name, err, api.CodeUnknownKind, "Thing")
			broken := errors.New("the reader has gone")
			if _, err := s.Orchestration(t.Context(), "Thing", false, func(in api.InstanceList) error {
				if in.IDs != nil {
					t.Error("ids that nobody asked for")
				}
				return broken
			}); err != broken {
				t.Errorf("%s: %v", name, err)
			}
			h := s.Health(t.Context())
			if !h.Live || !h.Ready || slices.ContainsFunc(h.Checks, func(c api.Check) bool { return !c.OK }) {
				t.Errorf("%s: %+v", name, h)
			}
		}
		for name, call := range observers(follower) {
			wantCode(t, "a follower's "+name, call(), api.CodeNotLeader, "")
		}
	})
}

// observers are the calls that only a leader answers, each with its error.
func observers(s *service) map[string]func() error {
	ctx := context.Background()
	return map[string]func() error{
		"instances":   func() error { _, err := s.Instances(ctx, "Thing"); return err },
		"pod":         func() error { _, err := s.Pod(ctx, "Thing", 0); return err },
		"runs":        func() error { _, err := s.Reorchestrations(ctx, "Thing"); return err },
		"moves":       func() error { _, err := s.Moves(ctx, "Thing", "thing-1000"); return err },
		"preview":     func() error { _, err := s.Preview(ctx, "Thing", api.OrchestrateRequest{}, 10); return err },
		"progress":    func() error { _, err := s.Progress(ctx, "Thing"); return err },
		"maintenance": func() error { _, err := s.Maintenance(ctx, "Thing"); return err },
		"status":      func() error { _, err := s.Status(ctx, "Thing"); return err },
		"orchestrate": func() error { _, err := s.Orchestrate(ctx, "Thing", api.OrchestrateRequest{}); return err },
		"drain":       func() error { return s.Drain(ctx, "Thing", 0, false) },
		"undrain":     func() error { return s.Undrain(ctx, "Thing", 0) },
		"replace":     func() error { return s.Replace(ctx, "Thing", 0) },
		"set":         func() error { return s.SetMaintenance(ctx, "Thing", false) },
	}
}

// TestEmptyInstance has ids although it holds none: only ?ids=false leaves them out.
func TestEmptyInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serviceOver(t, newMemory(0), "leader")
		settle(time.Minute)
		totals, err := s.Orchestration(t.Context(), "Thing", true, func(in api.InstanceList) error {
			if in.IDs == nil {
				t.Errorf("instance %d has no list", in.ID)
			}
			return nil
		})
		if err != nil || totals.InstanceCount != 3 {
			t.Errorf("%+v, %v", totals, err)
		}
	})
}

// TestLoading answers what a process that has not read ZooKeeper knows: nothing.
func TestLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		m.reading = time.Hour
		s := serviceOver(t, m, "leader")
		settle(time.Second)
		_, err := s.Where("Thing", "thing-1000")
		wantCode(t, "where", err, api.CodeUnavailable, "not been read")
		_, _, err = s.Search(t.Context(), "Thing", "", "", 1)
		wantCode(t, "search", err, api.CodeUnavailable, "not been read")
		_, _, err = s.Resources(t.Context(), "Thing", 0, "", 1)
		wantCode(t, "resources", err, api.CodeUnavailable, "not been read")
		_, err = s.Orchestration(t.Context(), "Thing", true, nil)
		wantCode(t, "orchestration", err, api.CodeUnavailable, "not been read")
		calls := observers(s)
		for _, name := range []string{"moves", "status", "runs"} { // the machine knows something of these
			if err := calls[name](); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			delete(calls, name)
		}
		for name, call := range calls {
			wantCode(t, name, call(), api.CodeUnavailable, "")
		}
		if h := s.Health(t.Context()); !h.Live || h.Ready {
			t.Errorf("%+v", h)
		}
	})
}

// TestOrchestrate goes through the contract's answers.
func TestOrchestrate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(100)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		ctx := t.Context()
		for _, ask := range []func(api.OrchestrateRequest) error{
			func(r api.OrchestrateRequest) error { _, err := s.Orchestrate(ctx, "Thing", r); return err },
			func(r api.OrchestrateRequest) error { _, err := s.Preview(ctx, "Thing", r, 10); return err },
		} {
			err := ask(orchestrateRequest(10, 5))
			wantCode(t, "too many", err, api.CodeRefused, "")
			if e := new(api.Error); errors.As(err, &e) && e.Message != "require instances more than the max: 11/5" {
				t.Errorf("the message is %q", e.Message)
			}
			for _, r := range []api.OrchestrateRequest{orchestrateRequest(5000, 0), orchestrateRequest(0, 2)} {
				err := ask(r)
				wantCode(t, "out of range", err, api.CodeOutOfRange, "want")
				if e := new(api.Error); errors.As(err, &e) && e.Field == "" {
					t.Error("no field is named")
				}
			}
		}
		plan, err := s.Preview(ctx, "Thing", orchestrateRequest(20, 0), 5)
		if err != nil || plan.Instances != 6 || plan.Cost.Opened != 3 || plan.Cost.Moves == 0 || len(plan.Moves) != 5 || !plan.MovesTruncated || plan.Resources != 100 {
			t.Errorf("preview %+v, %v", plan, err)
		}
		if n, _ := s.loop.View("Thing").Totals(); n != 3 {
			t.Errorf("a preview made %d instances of 3", n)
		}
		done, err := s.Orchestrate(ctx, "Thing", orchestrateRequest(20, 0))
		if err != nil || done.Instances != 6 || done.Opened != 3 || done.Released != 0 || done.Resources != 100 || done.ResourcePerInstance != 20 || done.Moves != plan.Cost.Moves {
			t.Errorf("orchestrated %+v, %v; the preview said %+v", done, err, plan.Cost)
		}
		done, err = s.Orchestrate(ctx, "Thing", orchestrateRequest(45, 0))
		if err != nil || done.Instances != 3 || done.Opened != 0 || done.Released != 3 {
			t.Errorf("orchestrated %+v, %v", done, err)
		}
		moves, err := s.Moves(ctx, "Thing", "thing-1000")
		if err != nil || !moves.Complete || len(moves.Moves) == 0 || moves.Moves[len(moves.Moves)-1].From != nil {
			t.Errorf("moves %+v, %v", moves, err)
		}
	})
}

// TestNobodyLeads has the reason told where there is one, and only then.
func TestNobodyLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serviceOver(t, newMemory(100), "leader")
		settle(time.Minute)
		why := "create /iota: not as user x"
		s.refused = func(fleet.Kind) string { return why }
		if l, err := s.Leader("Thing"); err != nil || !l.Self {
			t.Errorf("a leader's own leader is %+v, %v", l, err)
		}
		s.loop = idle(t)
		_, err := s.Leader("Thing")
		wantCode(t, "leader", err, api.CodeNoLeader, "Thing, and this process cannot: "+why)
		if list, err := s.Kinds(t.Context()); err != nil || list[0].Leader != (api.Leader{}) {
			t.Errorf("kinds %+v, %v", list, err)
		}
		why = ""
		if l, err := s.Leader("Thing"); err != nil || l != (api.Leader{}) {
			t.Errorf("while nobody leads, the leader is %+v, %v", l, err)
		}
	})
}

// idle is a loop that does not run: nobody leads.
func idle(t *testing.T) *loop.Loop {
	m, c := newMemory(0), reconcile.DefaultConfig("Thing")
	c.Heartbeat = false
	l, err := loop.New(loop.Config{Who: fleet.Candidate{Name: "idle"}, Kinds: []reconcile.Config{c}},
		loop.Ports{Election: m, Store: m, Pods: memoryPods{m}, Database: memoryRows{m}, Notifications: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPreviewBeside computes previews while the machine goes on: they share nothing
// that changes.
func TestPreviewBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serviceOver(t, newMemory(100), "leader")
		settle(time.Minute)
		var previews sync.WaitGroup
		for n := range 4 {
			previews.Go(func() {
				for range 10 {
					if p, err := s.Preview(t.Context(), "Thing", orchestrateRequest(10+n, 0), 100); err != nil || p.Resources != 100 {
						t.Errorf("%+v, %v", p, err)
					}
				}
			})
		}
		for n := range 10 {
			if _, err := s.Orchestrate(t.Context(), "Thing", orchestrateRequest(15+10*(n%3), 0)); err != nil {
				t.Error(err)
			}
		}
		previews.Wait()
	})
}

// TestOrchestrateTwice has one go on when its caller has gone, and refuses a
// second meanwhile.
func TestOrchestrateTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(100)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		m.mu.Lock()
		m.noPods = true
		m.mu.Unlock()
		errs := make(chan error, 2)
		for range 2 { // at once: neither finds the other running when it comes
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := s.Orchestrate(ctx, "Thing", orchestrateRequest(20, 0))
				errs <- err
			}()
		}
		wantCode(t, "the second", <-errs, api.CodeConflict, "an orchestration is running")
		settle(time.Second)
		if p, err := s.Progress(t.Context(), "Thing"); err != nil || !p.Running || p.CreateLeft != 3 {
			t.Errorf("progress %+v, %v", p, err)
		}
		if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first, whose caller went: %v", err)
		}
		m.mu.Lock()
		m.noPods = false
		m.mu.Unlock()
		settle(10 * time.Minute)
		if p, err := s.Progress(t.Context(), "Thing"); err != nil || p.Running {
			t.Errorf("progress %+v, %v", p, err)
		}
		if n, _ := s.loop.View("Thing").Totals(); n != 6 {
			t.Errorf("%d instances", n)
		}
	})
}

// TestInterrupted loses the leadership while an order is carried out. That is not
// not_leader, which says that nothing was done.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(100)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		m.mu.Lock()
		m.noPods = true
		m.mu.Unlock()
		answer := make(chan error, 1)
		go func() {
			_, err := s.Orchestrate(t.Context(), "Thing", orchestrateRequest(20, 0))
			answer <- err
		}()
		settle(time.Second)
		m.lose <- struct{}{}
		wantCode(t, "orchestrate", <-answer, api.CodeUnavailable, "whoever leads Thing next")
		settle(time.Minute)
		if p, err := s.Progress(t.Context(), "Thing"); err != nil || !p.Running {
			t.Errorf("the next leadership does not go on: %+v, %v", p, err)
		}
	})
}

// TestInstanceOrders goes through drain, undrain and replace.
func TestInstanceOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(60)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		ctx := t.Context()
		for name, order := range map[string]func(int) error{
			"drain":   func(i int) error { return s.Drain(ctx, "Thing", i, false) },
			"undrain": func(i int) error { return s.Undrain(ctx, "Thing", i) },
			"replace": func(i int) error { return s.Replace(ctx, "Thing", i) },
		} {
			wantCode(t, name, order(9), api.CodeUnknownInstance, "Thing has no instance 9")
			wantCode(t, name, order(1<<32), api.CodeUnknownInstance, "no instance 4294967296")
		}
		wantCode(t, "undrain", s.Undrain(ctx, "Thing", 1), api.CodeConflict, "not being drained")
		uid := m.pods[1].UID
		if err := s.Replace(ctx, "Thing", 1); err != nil {
			t.Error(err)
		}
		wantCode(t, "replace twice", s.Replace(ctx, "Thing", 1), api.CodeConflict, "on its way")
		settle(time.Minute)
		if pod := m.pods[1]; pod.UID == uid || pod.Phase != fleet.PhaseRunning {
			t.Errorf("the pod is %+v", pod)
		}
		if err := s.Drain(ctx, "Thing", 1, false); err != nil {
			t.Error(err)
		}
		wantCode(t, "drain twice", s.Drain(ctx, "Thing", 1, false), api.CodeConflict, "drained already")
		if err := s.Drain(ctx, "Thing", 2, true); err != nil {
			t.Error(err)
		}
		if _, gone := s.loop.View("Thing").Where("thing-1059"); !gone {
			t.Error("a drained resource stands nowhere")
		}
		settle(time.Minute)
		for _, l := range s.loop.View("Thing").List(false) {
			if l.ID == 1 || l.ID == 2 {
				t.Errorf("instance %v is still there", l.ID)
			}
		}
		if err := s.SetMaintenance(ctx, "Thing", true); err != nil {
			t.Error(err)
		}
		if mode, err := s.Maintenance(ctx, "Thing"); err != nil || !mode.On {
			t.Errorf("%+v, %v", mode, err)
		}
		wantCode(t, "drain", s.Drain(ctx, "Thing", 0, false), api.CodeRefused, "maintenance mode is on")
		wantCode(t, "undrain", s.Undrain(ctx, "Thing", 0), api.CodeRefused, "maintenance mode is on")
		st, err := s.Status(ctx, "Thing")
		if err != nil || !st.Maintenance || len(st.Alarms) == 0 || st.Epoch != 1 || st.Counters["replaced"] != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		list, err := s.Instances(ctx, "Thing")
		if err != nil || len(list.Instances) < 1 || !list.Instances[0].Up || list.Instances[0].HeartbeatAgeSeconds != nil {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestStuck has the machine work on one thing for long. What is answered from
// memory is answered all the same; an order that cannot be begun is not.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		at := make(chan struct{})
		go func() { _ = s.loop.Inspect(t.Context(), "Thing", func(loop.State) { <-at }) }()
		synctest.Wait()
		if kinds, err := s.Kinds(t.Context()); err != nil || kinds[0].Used != 10 {
			t.Errorf("%+v, %v", kinds, err)
		}
		if totals, err := s.Orchestration(t.Context(), "Thing", true, func(api.InstanceList) error { return nil }); err != nil || totals.Used != 10 {
			t.Errorf("%+v, %v", totals, err)
		}
		_, err := s.Where("Thing", "nobody")
		wantCode(t, "where", err, api.CodeUnknownResource, "")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		wantCode(t, "drain", s.Drain(ctx, "Thing", 1, false), api.CodeUnavailable, "nothing was done")
		if h := s.Health(t.Context()); h.Live {
			t.Errorf("%+v", h)
		}
		close(at)
		settle(time.Minute)
		if h := s.Health(t.Context()); !h.Live || len(s.loop.View("Thing").List(false)) != 3 {
			t.Errorf("%+v", h)
		}
	})
}

// TestUnplaced tells a resource that waits from one that there is not.
func TestUnplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		if err := s.loop.Order(t.Context(), "Thing", reconcile.Maintenance{On: true}); err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		m.rows = append(m.rows, fleet.Resource{ID: "late"})
		m.mu.Unlock()
		settle(10 * time.Minute)
		_, err := s.Where("Thing", "late")
		wantCode(t, "where", err, api.CodeUnplaced, "stands on no instance yet")
		if err := s.SetMaintenance(t.Context(), "Thing", false); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		if at, err := s.Where("Thing", "late"); err != nil || at.RunIn == "" {
			t.Errorf("%+v, %v", at, err)
		}
	})
}
