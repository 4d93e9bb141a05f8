package porttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// podsDeadline only fails: nothing of the contract takes so long.
const podsDeadline = 60 * time.Second

// podsWatch is a running Watch and what it has told.
type podsWatch struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Watch, once done

	mu       sync.Mutex
	changed  chan struct{} // closed at the next call
	inside   bool          // a function of ours is being called
	returned bool
	pods     map[fleet.InstanceID]fleet.Pod // as told last, those gone left out
	stories  map[string][]string            // by UID: phases in the order told, then "gone"
	problems []string
}

// watch starts a Watch, which ends with the test at the latest. Its rules are
// checked then too.
func (f PodsFixture) watch(t *testing.T, kind fleet.Kind) *podsWatch {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &podsWatch{cancel: cancel, done: make(chan struct{}), changed: make(chan struct{}),
		pods: map[fleet.InstanceID]fleet.Pod{}, stories: map[string][]string{}}
	go func() {
		defer close(w.done)
		w.err = f.Pods.Watch(ctx, kind, w.seen, w.gone)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.returned = true
	}()
	t.Cleanup(func() {
		if err := w.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Watch answered %v, want %v", err, context.Canceled)
		}
		w.check(t)
	})
	return w
}

// stop ends the Watch and answers what it answered.
func (w *podsWatch) stop() error {
	w.cancel()
	<-w.done
	return w.err
}

func (w *podsWatch) seen(p fleet.Pod) {
	w.call("seen", p.UID, func() {
		if p.Phase == fleet.PhaseMissing {
			w.problems = append(w.problems, fmt.Sprintf("told of a pod in phase Missing: %+v", p))
		}
		if before, ok := w.pods[p.Instance]; ok && before.UID != p.UID {
			w.problems = append(w.problems, fmt.Sprintf("told of %s before the pod that had the name, %s, was gone", p.UID, before.UID))
		}
		w.pods[p.Instance] = p
		if s := w.stories[p.UID]; len(s) == 0 || s[len(s)-1] != p.Phase.String() {
			w.stories[p.UID] = append(s, p.Phase.String())
		}
	})
}

func (w *podsWatch) gone(id fleet.InstanceID, uid string) {
	w.call("gone", uid, func() {
		if w.pods[id].UID != uid {
			w.problems = append(w.problems, fmt.Sprintf("told that %s of instance %v is gone, which had not been told", uid, id))
		}
		delete(w.pods, id)
		w.stories[uid] = append(w.stories[uid], "gone")
	})
}

func (w *podsWatch) call(name, uid string, note func()) {
	w.mu.Lock()
	if w.returned {
		w.problems = append(w.problems, name+" called after Watch had returned")
	}
	if w.inside {
		w.problems = append(w.problems, name+" called while another call was under way")
	}
	if slices.Contains(w.stories[uid], "gone") {
		w.problems = append(w.problems, name+" called for "+uid+", which was gone")
	}
	w.inside = true
	note()
	w.mu.Unlock()

	w.mu.Lock() // so that a call beside this one is noticed
	defer w.mu.Unlock()
	w.inside = false
	close(w.changed)
	w.changed = make(chan struct{})
}

// check fails for every rule that the calls so far have broken.
func (w *podsWatch) check(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.problems {
		t.Error(p)
	}
	w.problems = nil
}

// until waits for a condition on what was told. It is asked with the lock held.
func (w *podsWatch) until(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.After(podsDeadline)
	for {
		w.mu.Lock()
		ok, changed := met(), w.changed
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-w.done:
			t.Fatalf("waiting until %s: Watch returned %v", what, w.err)
		case <-deadline:
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Fatalf("waited %v in vain until %s; told so far: %v; now %v", podsDeadline, what, w.stories,
				slices.Collect(maps.Values(w.pods)))
		}
	}
}

func (w *podsWatch) running(t *testing.T, id fleet.InstanceID, uid string) {
	t.Helper()
	w.until(t, fmt.Sprintf("instance %v runs as %s", id, uid), func() bool {
		p := w.pods[id]
		return p.UID == uid && p.Phase == fleet.PhaseRunning
	})
}

func (w *podsWatch) ended(t *testing.T, uid string) {
	t.Helper()
	w.until(t, uid+" is gone", func() bool { return slices.Contains(w.stories[uid], "gone") })
}

// story is what was told of a pod.
func (w *podsWatch) story(uid string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.stories[uid])
}

// now is an instance's pod as told last.
func (w *podsWatch) now(id fleet.InstanceID) (fleet.Pod, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.pods[id]
	return p, ok
}

func podsContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), podsDeadline)
	t.Cleanup(cancel)
	return ctx
}

func (f PodsFixture) create(t *testing.T, kind fleet.Kind, id fleet.InstanceID) string {
	t.Helper()
	uid, err := f.Pods.Create(podsContext(t), kind, id, "new instance")
	if err != nil {
		t.Fatalf("create instance %v: %v", id, err)
	}
	if uid == "" {
		t.Fatalf("create instance %v answered no UID", id)
	}
	return uid
}

func (f PodsFixture) remove(t *testing.T, kind fleet.Kind, id fleet.InstanceID, uid string) {
	t.Helper()
	if err := f.Pods.Delete(podsContext(t), kind, id, uid, "no longer needed"); err != nil {
		t.Fatalf("delete instance %v: %v", id, err)
	}
}

func (f PodsFixture) list(t *testing.T, kind fleet.Kind) []fleet.Pod {
	t.Helper()
	pods, err := f.Pods.List(podsContext(t), kind)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return pods
}

// podsTogether calls do for 0 to n-1, each in a goroutine of its own.
func podsTogether(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}
