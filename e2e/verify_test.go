package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"dacorch/orchestrator/api"
)

// verify waits until all kinds are settled. It is the end of every case.
func (w *world) verify() {
	w.t.Helper()
	w.verifyBut(nil)
}

// verifyBut is verify where some alarms may stay on, by their codes.
func (w *world) verifyBut(alarms []string) {
	w.t.Helper()
	for _, k := range w.kinds {
		eventually(w.t, healedWithin, k.name+" settled", func(ctx context.Context) error { return w.settled(ctx, k, alarms) })
	}
}

// settled says what keeps a kind from being as it ought to be when nothing happens.
// The tree is read between two readings of the rows that must agree.
func (w *world) settled(ctx context.Context, k *kind, alarms []string) error {
	rows, err := w.rows(ctx, k)
	if err != nil {
		return err
	}
	now, err := w.read(ctx, k)
	if err != nil {
		return err
	}
	if again, err := w.rows(ctx, k); err != nil || !maps.Equal(rows, again) {
		return errors.Join(errors.New("the rows change"), err)
	}
	return errors.Join(now.wrong(), now.complete(rows), w.podsRight(ctx, k, now), w.answersRight(ctx, k, now, alarms))
}

// complete says which rows stand nowhere, which resources are no rows, and which
// instance holds more than it may.
func (t tree) complete(rows map[string]bool) error {
	placed := t.placed()
	var missing, extra []string
	for id := range rows {
		if _, there := placed[id]; !there {
			missing = append(missing, id)
		}
	}
	for id := range placed {
		if !rows[id] {
			extra = append(extra, id)
		}
	}
	var errs []error
	if len(missing)+len(extra) > 0 {
		errs = append(errs, fmt.Errorf("%d rows stand nowhere (%s), %d resources are no rows (%s)", len(missing), some(missing), len(extra), some(extra)))
	}
	for id, n := range t {
		if n.used > n.count {
			errs = append(errs, fmt.Errorf("instance %d holds %d of at most %d", id, n.used, n.count))
		}
	}
	return errors.Join(errs...)
}

// some are the first few.
func some(ids []string) string {
	slices.Sort(ids)
	if len(ids) > 10 {
		return strings.Join(ids[:10], " ") + " …"
	}
	return strings.Join(ids, " ")
}

// podsRight says which instance has no pod at work, or a DAC that has not confirmed
// the newest list, and which pod has no instance.
func (w *world) podsRight(ctx context.Context, k *kind, now tree) error {
	pods, err := w.pods(ctx, k)
	if err != nil {
		return err
	}
	var errs []error
	for id, n := range now {
		errs = append(errs, podWrong(pods[id]), n.confirmed(k, id))
	}
	for id, p := range pods {
		if _, there := now[id]; !there {
			errs = append(errs, fmt.Errorf("pod %s has no instance", p.Name))
		}
	}
	return errors.Join(errs...)
}

// answersRight says where the REST interface tells something else than ZooKeeper,
// or that something is left to do.
func (w *world) answersRight(ctx context.Context, k *kind, now tree, allowed []string) error {
	shown, err := w.api.Orchestration(ctx, k.name, true)
	if err != nil {
		return err
	}
	var errs []error
	told := tree{}
	for _, in := range shown.Instances {
		told[in.ID] = node{used: in.Used, count: in.Cap, ids: in.IDs}
		if in.Pod != k.pod(in.ID) {
			errs = append(errs, fmt.Errorf("REST calls the pod of instance %d %s: want %s", in.ID, in.Pod, k.pod(in.ID)))
		}
	}
	if !maps.Equal(told.placed(), now.placed()) || len(told) != len(now) || shown.Unplaced != 0 {
		errs = append(errs, fmt.Errorf("REST tells of %d resources on %d instances (%d unplaced), ZooKeeper of %d on %d, or of other places",
			shown.Used, len(told), shown.Unplaced, len(now.placed()), len(now)))
	}
	for id, n := range now {
		if told[id].used != n.used || told[id].count != n.count {
			errs = append(errs, fmt.Errorf("REST says instance %d holds %d of %d, ZooKeeper %d of %d", id, told[id].used, told[id].count, n.used, n.count))
		}
	}
	status, err := w.api.Status(ctx, k.name)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	on := slices.DeleteFunc(slices.Clone(status.Alarms), func(a api.Alarm) bool { return slices.Contains(allowed, a.Code) })
	if status.Stage != "active" || len(on) > 0 || len(status.Pending) > 0 {
		errs = append(errs, fmt.Errorf("REST: stage %s, alarms %v, pending %q", status.Stage, on, status.Pending))
	}
	return errors.Join(errs...)
}

// status is what a kind's leader says of it.
type status struct{ api.Status }

// status waits until one leads.
func (w *world) status(k *kind) (out status) {
	w.t.Helper()
	eventually(w.t, settledWithin, "the status of "+k.name, func(ctx context.Context) (err error) {
		out.Status, err = w.api.Status(ctx, k.name)
		if err == nil && out.Stage != "active" {
			err = fmt.Errorf("it is %s", out.Stage)
		}
		return err
	})
	return out
}

// counted is one of the counters.
func (s status) counted(t *testing.T, name string) int64 {
	t.Helper()
	n, there := s.Counters[name]
	if !there {
		t.Fatalf("the status has no counter %q: %v", name, s.Counters)
	}
	return n
}

// whereAnswers compares the call that the web UI makes with the lists, for the first
// few resources.
func (w *world) whereAnswers(k *kind) {
	w.t.Helper()
	places := w.tree(k).placed()
	for _, id := range slices.Sorted(maps.Keys(places))[:min(5, len(places))] {
		at, err := w.api.Where(w.t.Context(), k.name, id)
		if err != nil || at.RunIn != k.pod(places[id]) {
			w.t.Errorf("%s runs in %q (%v): want %s", id, at.RunIn, err, k.pod(places[id]))
		}
	}
}
