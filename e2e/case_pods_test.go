package e2e_test

import (
	"context"
	"testing"
	"time"
)

// TestEveryPodKilled: each DAC gets SIGKILL, in turn, and its container starts anew
// in the same pod, which nobody replaces; then each pod is deleted, in turn, and
// comes again. Nothing moves.
func TestEveryPodKilled(t *testing.T) {
	t.Parallel()
	// Longer silent than a node that is busy takes to start a container.
	k := newKind("Killed", map[string]any{"timings": map[string]any{"silence": "90s"}})
	w := start(t, 30, k)
	o := w.observe(k)
	before := w.tree(k)
	for id := range before {
		was := w.mustPods(k)[id]
		since := time.Now()
		w.signal(was, "KILL")
		w.awaitRun(k, id, runOf(was), replacedWithin)
		t.Logf("%s was killed and is back after %v", k.pod(id), took(since))
		if got, want := runOf(w.mustPods(k)[id]), runOf(was).restarted(); got != want {
			t.Errorf("%s was killed and is %v: want the same pod, its container restarted: %v", k.pod(id), got, want)
		}
	}
	for id := range before {
		was := w.mustPods(k)[id]
		since := time.Now()
		w.deletePod(was)
		w.awaitRun(k, id, runOf(was), replacedWithin)
		t.Logf("%s was deleted and is back after %v", k.pod(id), took(since))
	}
	w.samePlaces(k, before, "pods killed one by one")
	o.end()
	w.verify()
}

// TestFrozen: a DAC that is stopped (SIGSTOP) is running as far as Kubernetes knows.
// Its silence replaces it, and nobody else.
func TestFrozen(t *testing.T) {
	t.Parallel()
	k := newKind("Frozen", nil)
	w := start(t, 30, k)
	o := w.observe(k)
	before, places := w.runs(k), w.tree(k)
	was := w.status(k) // a loaded machine may have had replacements while it installed
	const frozen = 1
	since := time.Now()
	w.signal(w.mustPods(k)[frozen], "STOP")
	w.awaitRun(k, frozen, before[frozen], replacedWithin)
	t.Logf("replaced after %v", took(since))
	delete(before, frozen)
	now := w.runs(k)
	for id, r := range before {
		if now[id] != r {
			t.Errorf("%s was replaced, too: %v, %v", k.pod(id), r, now[id])
		}
	}
	if is := w.status(k); is.Epoch != was.Epoch {
		t.Logf("the leader has changed, from epoch %d to %d, and counts from 0", was.Epoch, is.Epoch)
	} else if n := is.counted(t, "replaced") - was.counted(t, "replaced"); n != 1 {
		t.Errorf("replaced %d pods: want 1", n)
	}
	w.samePlaces(k, places, "a frozen pod replaced")
	o.end()
	w.verify()
}

// TestPodsDeleted: somebody deletes every pod at once. They come again, and every
// resource is where it was.
func TestPodsDeleted(t *testing.T) {
	t.Parallel()
	k, quiet := newKind("Deleted", nil), newKind("DeletedQuiet", map[string]any{"heartbeat": false})
	w := start(t, 30, k, quiet)
	for _, k := range w.kinds {
		o := w.observe(k)
		before, places := w.runs(k), w.tree(k)
		for _, p := range w.mustPods(k) {
			w.deletePod(p)
		}
		for id, was := range before {
			w.awaitRun(k, id, was, replacedWithin)
		}
		w.samePlaces(k, places, "all pods deleted")
		o.end()
	}
	w.verify()
}

// TestNodeRestarted: the only node goes down, with the orchestrator and every DAC,
// and comes again. It runs alone: everybody's pods are on it.
func TestNodeRestarted(t *testing.T) {
	k := newKind("Node", nil)
	w := start(t, 30, k)
	o := w.observe(k)
	places := w.tree(k)
	since := time.Now()
	ctx, done := context.WithTimeout(t.Context(), installedWithin)
	defer done()
	if err := w.rig.RestartNode(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("the node is back after %v", took(since))
	w.awaitReady(healedWithin)
	w.insert(k, "after")
	w.announce(k.created("after"))
	w.awaitPlaced(k, healedWithin, "after")
	w.verify()
	t.Logf("all is well %v after the restart began", took(since))
	w.samePlaces(k, places, "the node restarted")
	o.end()
}
