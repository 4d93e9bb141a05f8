package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"dacorch/orchestrator/api"
)

// TestWatched asks two orchestrators over a platform with the real protocols what
// a live view shows: the one that follows answers as the one that leads.
func TestWatched(t *testing.T) {
	dir := t.TempDir()
	trusts := secrets(t, dir)
	p := startPlatform(t, 50)
	first := run(t, configure(t, p, "first", dir))
	leader := client(t, first, writer, trusts)
	eventually(t, func(ctx context.Context) error { return settled(leader.Status(ctx, "Thing")) })
	second := run(t, configure(t, p, "second", dir))
	follower := client(t, second, reader, trusts)
	eventually(t, func(ctx context.Context) error { return settled(follower.Status(ctx, "Thing")) })

	ctx := t.Context()
	if about, err := follower.About(ctx); err != nil || about.Name != "second" || about.Who != "web" || about.Scope != "read" || about.Title != "" || about.Time || about.Faults {
		t.Errorf("%+v, %v", about, err)
	}
	var before string
	eventually(t, func(ctx context.Context) error {
		pod, err := follower.Pod(ctx, "Thing", 1)
		if err != nil {
			return err
		}
		started := slices.ContainsFunc(pod.Events, func(e api.PodEvent) bool { return e.Reason == "Started" && e.Source == "kubelet" })
		made := slices.ContainsFunc(pod.Events, func(e api.PodEvent) bool { return e.Reason == "Created" && e.Source == "dacorch" })
		before = pod.UID
		if !started || !made || pod.EventsError != "" || pod.Phase != "Running" || pod.Node == "" || pod.Image == "" || pod.Restarts == nil || pod.AgeSeconds == nil {
			return fmt.Errorf("%+v", pod)
		}
		return nil
	})
	eventually(t, func(ctx context.Context) error {
		list, err := follower.Instances(ctx, "Thing")
		if err == nil && slices.ContainsFunc(list.Instances, func(in api.Instance) bool { return in.Node == "" || in.Restarts == nil || in.AgeSeconds == nil }) {
			err = fmt.Errorf("%+v", list)
		}
		return err
	})
	watchReplaced(t, leader, follower, before)
	watchOrchestrated(t, leader, follower)
	for _, err := range []error{func() error { _, err := follower.Clock(ctx); return err }(), func() error { _, err := leader.Inject(ctx, nil); return err }()} {
		if !errors.Is(err, &api.Error{Code: api.CodeNotOffered}) {
			t.Errorf("production moves in time, or breaks: %v", err)
		}
	}
	first.end(t)
	second.end(t)
}

// settled says what keeps a kind of 50 resources from being placed.
func settled(st api.Status, err error) error {
	if err == nil && (st.Stage != "active" || st.Unplaced > 0 || st.Resources != 50) {
		err = fmt.Errorf("%+v", st)
	}
	return err
}

// watchReplaced replaces a pod and sees it in the pod's events and in the recent
// ones.
func watchReplaced(t *testing.T, leader, follower *api.Client, before string) {
	t.Helper()
	if _, err := leader.Replace(t.Context(), "Thing", 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		pod, err := follower.Pod(ctx, "Thing", 1)
		if err == nil && (pod.UID == before || pod.Node == "" || !slices.ContainsFunc(pod.Events, func(e api.PodEvent) bool { return e.Reason == "Replaced" })) {
			err = fmt.Errorf("%+v", pod)
		}
		return err
	})
	one := 1
	got, err := follower.Recent(t.Context(), api.RecentQuery{Kind: "Thing", Instance: &one, Type: api.EventInstance})
	if err != nil || !slices.ContainsFunc(got.Events, func(e api.Event) bool { return e.Code == "replace" || e.Code == "ordered" }) {
		t.Errorf("%+v, %v", got, err)
	}
	if !slices.IsSortedFunc(got.Events, func(a, b api.Event) int { return b.At.Compare(a.At) }) || len(got.Events) < 2 {
		t.Errorf("not newest first: %+v", got.Events)
	}
}

// watchOrchestrated re-orchestrates and finds the run, its moves, and the
// resources where they stand now.
func watchOrchestrated(t *testing.T, leader, follower *api.Client) {
	t.Helper()
	ten := 10
	done, err := leader.Orchestrate(t.Context(), "Thing", api.OrchestrateRequest{ResourcePerInstance: &ten})
	if err != nil {
		t.Fatal(err)
	}
	list, err := follower.Reorchestrations(t.Context(), "Thing")
	if err != nil || len(list.Runs) == 0 || list.Runs[0].Outcome != "done" || list.Runs[0].Moves != done.Moves || list.Runs[0].Create != done.Opened || list.Since.IsZero() {
		t.Errorf("%+v after %+v, %v", list, done, err)
	}
	moves, err := follower.Recent(t.Context(), api.RecentQuery{Kind: "Thing", Type: api.EventMove, Limit: 1000})
	if err != nil || len(moves.Events) < done.Moves {
		t.Errorf("%d events of %d moves, %v", len(moves.Events), done.Moves, err)
	}
	eventually(t, func(ctx context.Context) error {
		total := 0
		in, err := follower.Instances(ctx, "Thing")
		for _, x := range in.Instances {
			found, err := follower.Resources(ctx, "Thing", x.ID, "", 1000)
			if err != nil {
				return err
			}
			total += len(found.Resources)
		}
		if err == nil && total != 50 {
			err = fmt.Errorf("%d resources on %d instances", total, len(in.Instances))
		}
		return err
	})
}
