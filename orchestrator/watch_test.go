package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/internal/kubernetes"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
)

// shelf is what Kubernetes is said to know.
type shelf struct {
	known  map[fleet.InstanceID]kubernetes.Detail
	events []kubernetes.Event
	err    error
}

func (s *shelf) Detail(_ fleet.Kind, id fleet.InstanceID) (kubernetes.Detail, bool) {
	d, ok := s.known[id]
	return d, ok
}

func (s *shelf) PodEvents(context.Context, fleet.Kind, fleet.InstanceID) ([]kubernetes.Event, error) {
	return s.events, s.err
}

// TestPod tells of a pod what the machine knows, what the watch knows, and what
// Kubernetes keeps; whatever is missing, the rest.
func TestPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		bare, err := s.Pod(t.Context(), "Thing", 1)
		if err != nil || bare.Name != "iota-dac-1" || bare.Phase != "Running" || bare.UID != m.pods[1].UID || bare.Restarts != nil || bare.AgeSeconds != nil || bare.Events == nil {
			t.Errorf("without Kubernetes: %+v, %v", bare, err)
		}
		_, err = s.Pod(t.Context(), "Thing", 9)
		wantCode(t, "pod", err, api.CodeUnknownInstance, "Thing has no instance 9")
		_, err = s.Pod(t.Context(), "Thing", 1<<32)
		wantCode(t, "pod", err, api.CodeUnknownInstance, "no instance 4294967296")
		_, err = s.Pod(t.Context(), "Sensor", 1)
		wantCode(t, "pod", err, api.CodeUnknownKind, "Thing")

		now := time.Now()
		k := &shelf{err: errors.New("events is forbidden"), known: map[fleet.InstanceID]kubernetes.Detail{
			0: {UID: "of a pod before", Node: "node-9"},
			1: {UID: m.pods[1].UID, Node: "node-1", Image: "dac:1", Restarts: 2, Created: now.Add(-time.Hour)},
			2: {UID: m.pods[2].UID, Created: now.Add(time.Hour)}, // another clock
		}}
		for n := range podEventsShown + 1 {
			k.events = append(k.events, kubernetes.Event{Last: now.Add(-time.Duration(n) * time.Second), Type: "Normal", Reason: "Started", Message: fmt.Sprint(n), Count: 3, Source: "kubelet"})
		}
		s.details = k
		pod, err := s.Pod(t.Context(), "Thing", 1)
		if err != nil || pod.Node != "node-1" || pod.Image != "dac:1" || *pod.Restarts != 2 || *pod.AgeSeconds != 3600 {
			t.Errorf("%+v, %v", pod, err)
		}
		if pod.EventsError != "events is forbidden" || len(pod.Events) != podEventsShown ||
			pod.Events[1] != (api.PodEvent{AgeSeconds: 1, Type: "Normal", Reason: "Started", Text: "1", Count: 3, Source: "kubelet"}) {
			t.Errorf("%d events, %q, the second %+v", len(pod.Events), pod.EventsError, pod.Events[1])
		}
		if pod, err := s.Pod(t.Context(), "Thing", 0); err != nil || pod.Node != "" || pod.Restarts != nil {
			t.Errorf("it has what was another pod's: %+v, %v", pod, err)
		}
		list, err := s.Instances(t.Context(), "Thing")
		if err != nil || len(list.Instances) != 3 {
			t.Fatalf("%+v, %v", list, err)
		}
		if in := list.Instances[0]; in.Node != "" || in.Restarts != nil || in.AgeSeconds != nil {
			t.Errorf("it has what was another pod's: %+v", in)
		}
		if in := list.Instances[1]; in.Node != "node-1" || *in.Restarts != 2 || *in.AgeSeconds != 3600 {
			t.Errorf("%+v", in)
		}
		if in := list.Instances[2]; *in.AgeSeconds != 0 {
			t.Errorf("the age is %v", *in.AgeSeconds)
		}
	})
}

// TestArriving tells what is on its way while there is nowhere to go.
func TestArriving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(100)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		m.mu.Lock()
		m.noPods = true
		m.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := s.Orchestrate(ctx, "Thing", orchestrateRequest(20, 0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		list, err := s.Instances(t.Context(), "Thing")
		if err != nil {
			t.Fatal(err)
		}
		arriving, leaving := 0, 0
		for _, in := range list.Instances {
			arriving, leaving = arriving+in.Arriving, leaving+in.Leaving
		}
		if p, _ := s.Progress(t.Context(), "Thing"); arriving == 0 || arriving != leaving || arriving != p.MovesLeft {
			t.Errorf("%d arrive and %d leave of %+v", arriving, leaving, p)
		}
	})
}

// TestResources reads an instance's list in pages, at a leader and a follower.
func TestResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		leader, follower := serviceOver(t, m, "leader"), serviceOver(t, m, "follower")
		settle(time.Minute)
		for name, s := range map[string]*service{"leader": leader, "follower": follower} {
			var all []string
			for id := range 3 {
				for after, more := "", true; more; {
					var found []api.Found
					var err error
					found, more, err = s.Resources(t.Context(), "Thing", id, after, 2)
					if err != nil || more && len(found) != 2 {
						t.Fatalf("%s: %+v, %t, %v", name, found, more, err)
					}
					for _, f := range found {
						if at, err := s.Where("Thing", f.ID); err != nil || at.RunIn != f.RunIn || at.Instance != *f.Instance || id != *f.Instance || f.ID <= after {
							t.Errorf("%s: %+v after %q stands on %+v, %v", name, f, after, at, err)
						}
						after = f.ID
						all = append(all, f.ID)
					}
				}
			}
			if len(all) != 10 {
				t.Errorf("%s: %q", name, all)
			}
			_, _, err := s.Resources(t.Context(), "Thing", 9, "", 1)
			wantCode(t, name, err, api.CodeUnknownInstance, "Thing has no instance 9")
			_, _, err = s.Resources(t.Context(), "Thing", 1<<32, "", 1)
			wantCode(t, name, err, api.CodeUnknownInstance, "no instance")
			_, _, err = s.Resources(t.Context(), "Sensor", 0, "", 1)
			wantCode(t, name, err, api.CodeUnknownKind, "Thing")
		}
	})
}

// outcomes are the runs that are remembered, the oldest first.
func outcomes(t *testing.T, s *service) (out []string) {
	t.Helper()
	list, err := s.Reorchestrations(t.Context(), "Thing")
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Runs {
		run := list.Runs[len(list.Runs)-1-i]
		if (run.Outcome == runRunning) != (run.EndedAt == nil) || run.EndedAt != nil && run.EndedAt.Before(run.StartedAt) {
			t.Errorf("%+v", run)
		}
		out = append(out, fmt.Sprintf("%s %d %d %d %s", run.Outcome, run.Moves, run.Create, run.Release, run.Text))
	}
	return out
}

// TestReorchestrations goes through what becomes of a run: it is done, the
// machine gives it up, the leadership ends, the next one goes on.
func TestReorchestrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(100)
		s := serviceOver(t, m, "leader")
		settle(time.Minute)
		first, err := s.Reorchestrations(t.Context(), "Thing")
		if err != nil || first.Resource != "Thing" || first.Runs == nil || len(first.Runs) != 0 || time.Since(first.Since) < 50*time.Second {
			t.Errorf("%+v, %v", first, err)
		}
		done, err := s.Orchestrate(t.Context(), "Thing", orchestrateRequest(20, 0))
		if err != nil {
			t.Fatal(err)
		}
		ended := fmt.Sprintf("done %d 3 0 ", done.Moves)
		if got := outcomes(t, s); len(got) != 1 || got[0] != ended {
			t.Errorf("%q, want %q", got, ended)
		}
		m.mu.Lock()
		m.noPods = true
		m.mu.Unlock()
		answer := make(chan error, 1)
		go func() {
			_, err := s.Orchestrate(t.Context(), "Thing", orchestrateRequest(10, 0))
			answer <- err
		}()
		settle(time.Second)
		_, err = s.Orchestrate(t.Context(), "Thing", orchestrateRequest(30, 0))
		wantCode(t, "another", err, api.CodeConflict, "")
		if got := outcomes(t, s); len(got) != 2 || !strings.HasPrefix(got[1], "running ") || !strings.Contains(got[1], " of 5 instances to create") {
			t.Errorf("%q", got)
		}
		m.lose <- struct{}{}
		<-answer
		settle(time.Minute)
		got := outcomes(t, s)
		if len(got) != 3 || !strings.HasPrefix(got[1], "interrupted ") || !strings.Contains(got[1], "session has expired; it was: ") || !strings.HasPrefix(got[2], "running ") {
			t.Errorf("%q", got)
		}
		again, _ := s.Reorchestrations(t.Context(), "Thing")
		if !again.Since.After(first.Since) {
			t.Errorf("nothing is missing since %v, which was another leadership", again.Since)
		}
		m.mu.Lock()
		m.noPods = false
		m.mu.Unlock()
		settle(10 * time.Minute)
		if got := outcomes(t, s); len(got) != 3 || !strings.HasPrefix(got[2], "done ") {
			t.Errorf("%q", got)
		}
		_, err = s.Reorchestrations(t.Context(), "Sensor")
		wantCode(t, "reorchestrations", err, api.CodeUnknownKind, "Thing")
	})
}

// TestRuns tells runs apart, and keeps a bounded number of them.
func TestRuns(t *testing.T) {
	r := newRuns()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	began := at
	r.now = func() time.Time { at = at.Add(time.Second); return at }
	tell := func(e loop.Entry) { e.Kind = "Thing"; r.told(e) }
	progress := func(p reconcile.Progress) { tell(loop.Entry{Type: loop.EntryProgress, On: p.Running, Progress: p}) }
	last := func() api.Reorchestration { list, _ := r.of("Thing"); return list[0] }
	refuse := func(why string) {
		tell(loop.Entry{Type: loop.EntryOrder, Code: "refused", Order: reconcile.Orchestrate{}, Why: why})
	}

	tell(loop.Entry{Type: loop.EntryLed})
	tell(loop.Entry{Type: loop.EntryDeposed, Text: "nothing runs"})
	progress(reconcile.Progress{Running: true})
	refuse("require instances more than the max: 11/5")
	progress(reconcile.Progress{})
	if run := last(); run.Outcome != runInterrupted || !strings.HasPrefix(run.Text, "require instances more than the max: 11/5; it was: waits for the database") {
		t.Errorf("given up: %+v", run)
	}
	progress(reconcile.Progress{Running: true})
	refuse("an orchestration is running") // another one's order
	progress(reconcile.Progress{Running: true, Planned: true, Moves: 4, MovesLeft: 4})
	tell(loop.Entry{Type: loop.EntryOrder, Code: "done", Order: reconcile.Orchestrate{}})
	progress(reconcile.Progress{})
	if run := last(); run.Outcome != runDone || run.Moves != 4 || run.Text != "" {
		t.Errorf("done, though another was refused: %+v", run)
	}
	progress(reconcile.Progress{Running: true, Planned: true, Moves: 1}) // a predecessor's
	refuse("an orchestration is running")
	progress(reconcile.Progress{})
	if run := last(); run.Outcome != runDone {
		t.Errorf("gone on with: %+v", run)
	}
	if _, since := r.of("Thing"); since.Sub(began) != time.Second {
		t.Errorf("since %v", since)
	}
	for range runsKept {
		progress(reconcile.Progress{Running: true})
		progress(reconcile.Progress{})
	}
	list, since := r.of("Thing")
	if len(list) != runsKept || list[0].StartedAt.Before(list[1].StartedAt) || since != list[runsKept-1].StartedAt {
		t.Errorf("%d runs since %v, the last %+v", len(list), since, list[len(list)-1])
	}
}
