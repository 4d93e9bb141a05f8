package porttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
)

// PodsFixture is a cluster without pods of the two kinds, and the port to it. A
// hook that is nil is not supported: what needs it is skipped.
type PodsFixture struct {
	Pods loop.Pods
	// Kind's pods are gone soon after their deletion.
	Kind fleet.Kind
	// Slow is another kind, whose programs have a grace period of at least a
	// minute, and do not end when they are told to, until LetEnd.
	Slow   fleet.Kind
	LetEnd func(t *testing.T)

	// Fail ends an instance's program such that its pod ends in phase Failed.
	Fail func(t *testing.T, kind fleet.Kind, id fleet.InstanceID)
	// LoseNode makes the node of an instance's pod silent for good.
	LoseNode func(t *testing.T, kind fleet.Kind, id fleet.InstanceID)
	// Remove deletes an instance's pod at once, by somebody else's hand, and
	// returns when it has gone.
	Remove func(t *testing.T, kind fleet.Kind, id fleet.InstanceID)
	// Foreign makes somebody else's pod under an instance's name.
	Foreign func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) (uid string)
	// UID is that of the pod that now has the instance's name, "" when none has.
	UID func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) string
	// Events are the messages of the events recorded on the pod so far.
	Events func(t *testing.T, uid string) []string

	Cut           func(t *testing.T)               // the connection of every watch
	RefuseReads   func(t *testing.T) (heal func()) // new listings and watches, until heal
	Compact       func(t *testing.T)               // no watch can go on from before
	AnswerThenCut func(t *testing.T)               // the next creation is carried out, but not answered
}

// Pods holds an adapter to the contract of loop.Pods. start makes a fixture and
// cleans it up.
func Pods(t *testing.T, start func(t *testing.T) PodsFixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f PodsFixture)
	}{
		{"created, seen, running", podsCreated},
		{"list equals watch", podsListed},
		{"the name is taken", podsTaken},
		{"the name is taken while the pod terminates", podsTerminating},
		{"deleted by UID alone", podsDeletedByUID},
		{"gone once", podsGoneOnce},
		{"foreign pods", podsForeign},
		{"two kinds", podsKinds},
		{"failed", podsFailed},
		{"node lost", podsNodeLost},
		{"watch cut", podsCut},
		{"watch cut and versions forgotten", podsCompacted},
		{"recreated unseen", podsRecreated},
		{"created but not answered", podsUnanswered},
		{"why becomes an event", podsWhy},
		{"a hundred at once", podsMany},
		{"a function that blocks", podsBlocked},
		{"no call after return", podsReturned},
		{"what is not there", podsMissing},
		{"a context that has ended", podsEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t)
			c.run(t, f)
		})
	}
}

func podsCreated(t *testing.T, f PodsFixture) {
	first := f.create(t, f.Kind, 0)
	w := f.watch(t, f.Kind)
	w.running(t, 0, first) // from here on the watch misses nothing
	uid := f.create(t, f.Kind, 3)
	w.running(t, 3, uid)
	if got := w.story(uid); got[0] != "Pending" || got[len(got)-1] != "Running" {
		t.Errorf("told of a new pod: %v; want Pending first, Running last", got)
	}
}

func podsListed(t *testing.T, f PodsFixture) {
	w := f.watch(t, f.Kind)
	if pods := f.list(t, f.Kind); len(pods) != 0 {
		t.Fatalf("listed in an empty cluster: %v", pods)
	}
	for _, id := range []fleet.InstanceID{10, 2, 0} {
		w.running(t, id, f.create(t, f.Kind, id))
	}
	pods := f.list(t, f.Kind)
	ids := make([]fleet.InstanceID, len(pods))
	for i, p := range pods {
		ids[i] = p.Instance
		if told, ok := w.now(p.Instance); !ok || told != p {
			t.Errorf("listed %+v, watched %+v (%v)", p, told, ok)
		}
	}
	if !slices.Equal(ids, []fleet.InstanceID{0, 2, 10}) {
		t.Errorf("listed instances %v, want 0, 2, 10", ids)
	}
}

func podsTaken(t *testing.T, f PodsFixture) {
	uid := f.create(t, f.Kind, 1)
	if got, err := f.Pods.Create(podsContext(t), f.Kind, 1, "again"); !errors.Is(err, fleet.ErrPodExists) || got != "" {
		t.Errorf("second creation: UID %q, error %v; want ErrPodExists", got, err)
	}
	if pods := f.list(t, f.Kind); len(pods) != 1 || pods[0].UID != uid {
		t.Errorf("listed %v, want only %s", pods, uid)
	}
}

func podsTerminating(t *testing.T, f PodsFixture) {
	if f.LetEnd == nil {
		t.Skip("programs cannot be kept from ending")
	}
	w := f.watch(t, f.Slow)
	uid := f.create(t, f.Slow, 0)
	w.running(t, 0, uid)
	f.remove(t, f.Slow, 0, uid)
	w.until(t, "instance 0 terminates", func() bool { return w.pods[0].Terminating })
	if _, err := f.Pods.Create(podsContext(t), f.Slow, 0, "too early"); !errors.Is(err, fleet.ErrPodExists) {
		t.Errorf("creation while the pod terminates: %v, want ErrPodExists", err)
	}
	if err := f.Pods.Delete(podsContext(t), f.Slow, 0, uid, "again"); err != nil {
		t.Errorf("deletion of a pod that terminates: %v, want none", err)
	}
	if pods := f.list(t, f.Slow); len(pods) != 1 || !pods[0].Terminating || pods[0].UID != uid {
		t.Errorf("listed %+v, want %s, terminating", pods, uid)
	}
	f.LetEnd(t)
	w.ended(t, uid)
	if next := f.create(t, f.Slow, 0); next == uid {
		t.Errorf("the next pod has the same UID %s", uid)
	}
}

func podsDeletedByUID(t *testing.T, f PodsFixture) {
	w := f.watch(t, f.Kind)
	uid := f.create(t, f.Kind, 0)
	w.running(t, 0, uid)
	for _, wrong := range []string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", uid + "0"} {
		if err := f.Pods.Delete(podsContext(t), f.Kind, 0, wrong, "another's UID"); !errors.Is(err, fleet.ErrPodNotFound) {
			t.Errorf("deletion with UID %s: %v, want ErrPodNotFound", wrong, err)
		}
	}
	if err := f.Pods.Delete(podsContext(t), f.Kind, 0, "", "no UID"); err == nil {
		t.Error("deletion without a UID succeeded")
	}
	if pods := f.list(t, f.Kind); len(pods) != 1 || pods[0].UID != uid || pods[0].Terminating {
		t.Fatalf("listed %+v, want %s untouched", pods, uid)
	}
	f.remove(t, f.Kind, 0, uid)
	w.ended(t, uid)
	if err := f.Pods.Delete(podsContext(t), f.Kind, 0, uid, "again"); !errors.Is(err, fleet.ErrPodNotFound) {
		t.Errorf("deletion of a pod that has gone: %v, want ErrPodNotFound", err)
	}
}

func podsGoneOnce(t *testing.T, f PodsFixture) {
	w := f.watch(t, f.Kind)
	for range 5 {
		uid := f.create(t, f.Kind, 0)
		w.running(t, 0, uid)
		f.remove(t, f.Kind, 0, uid)
		w.ended(t, uid)
	}
	last := f.create(t, f.Kind, 1)
	w.running(t, 1, last) // whatever would have been told twice has been told by now
	w.check(t)
}

func podsForeign(t *testing.T, f PodsFixture) {
	if f.Foreign == nil || f.UID == nil {
		t.Skip("no foreign pods")
	}
	foreign := f.Foreign(t, f.Kind, 4)
	w := f.watch(t, f.Kind)
	later := f.Foreign(t, f.Kind, 5)
	if _, err := f.Pods.Create(podsContext(t), f.Kind, 4, "over it"); !errors.Is(err, fleet.ErrPodForeign) || errors.Is(err, fleet.ErrPodExists) {
		t.Errorf("creation under a foreign pod's name: %v, want ErrPodForeign", err)
	}
	if err := f.Pods.Delete(podsContext(t), f.Kind, 4, foreign, "not ours"); err == nil {
		t.Error("a foreign pod could be deleted")
	}
	w.running(t, 6, f.create(t, f.Kind, 6))
	if f.Cut != nil {
		f.Cut(t)
		w.running(t, 7, f.create(t, f.Kind, 7))
	}
	for _, p := range f.list(t, f.Kind) {
		if p.Instance == 4 || p.Instance == 5 {
			t.Errorf("a foreign pod is listed: %+v", p)
		}
	}
	if s := append(w.story(foreign), w.story(later)...); len(s) > 0 {
		t.Errorf("told of foreign pods: %v", s)
	}
	if got := []string{f.UID(t, f.Kind, 4), f.UID(t, f.Kind, 5)}; got[0] != foreign || got[1] != later {
		t.Errorf("the foreign pods are now %v, want %s and %s untouched", got, foreign, later)
	}
}

func podsKinds(t *testing.T, f PodsFixture) {
	w, slow := f.watch(t, f.Kind), f.watch(t, f.Slow)
	uid, other := f.create(t, f.Kind, 0), f.create(t, f.Slow, 0)
	w.running(t, 0, uid)
	slow.running(t, 0, other)
	if err := f.Pods.Delete(podsContext(t), f.Kind, 0, other, "the other kind's"); !errors.Is(err, fleet.ErrPodNotFound) {
		t.Errorf("deletion with the UID of another kind's pod: %v, want ErrPodNotFound", err)
	}
	if s := append(w.story(other), slow.story(uid)...); len(s) > 0 {
		t.Errorf("told of another kind's pods: %v", s)
	}
	for kind, want := range map[fleet.Kind]string{f.Kind: uid, f.Slow: other} {
		if pods := f.list(t, kind); len(pods) != 1 || pods[0].UID != want {
			t.Errorf("listed for %s: %+v, want %s", kind, pods, want)
		}
	}
}

func podsFailed(t *testing.T, f PodsFixture) {
	if f.Fail == nil {
		t.Skip("pods cannot be made to fail")
	}
	w := f.watch(t, f.Kind)
	uid := f.create(t, f.Kind, 0)
	w.running(t, 0, uid)
	f.Fail(t, f.Kind, 0)
	w.until(t, "instance 0 fails, with a reason", func() bool {
		p := w.pods[0]
		return p.UID == uid && p.Phase == fleet.PhaseFailed && p.Reason != ""
	})
	f.remove(t, f.Kind, 0, uid)
	w.ended(t, uid)
}

func podsNodeLost(t *testing.T, f PodsFixture) {
	if f.LoseNode == nil {
		t.Skip("nodes cannot be lost")
	}
	w := f.watch(t, f.Kind)
	uid := f.create(t, f.Kind, 0)
	w.running(t, 0, uid)
	f.LoseNode(t, f.Kind, 0)
	w.until(t, "instance 0's node is lost", func() bool { return w.pods[0].NodeLost })
}

func podsCut(t *testing.T, f PodsFixture) {
	if f.Cut == nil || f.Remove == nil || f.RefuseReads == nil {
		t.Skip("watches cannot be cut")
	}
	goneUnseen(t, f, func() {})
}

func podsCompacted(t *testing.T, f PodsFixture) {
	if f.Cut == nil || f.Remove == nil || f.RefuseReads == nil || f.Compact == nil {
		t.Skip("versions cannot be forgotten")
	}
	goneUnseen(t, f, func() { f.Compact(t) })
}

// goneUnseen removes one of two pods while the watch is cut.
func goneUnseen(t *testing.T, f PodsFixture, meanwhile func()) {
	w := f.watch(t, f.Kind)
	stays, goes := f.create(t, f.Kind, 0), f.create(t, f.Kind, 1)
	w.running(t, 0, stays)
	w.running(t, 1, goes)
	heal := f.RefuseReads(t)
	f.Cut(t)
	f.Remove(t, f.Kind, 1)
	meanwhile()
	heal()
	w.ended(t, goes)
	w.running(t, 2, f.create(t, f.Kind, 2))
	if told := w.story(stays); slices.Contains(told, "gone") {
		t.Errorf("told of the pod that stayed: %v", told)
	}
	w.check(t)
}

func podsRecreated(t *testing.T, f PodsFixture) {
	if f.Cut == nil || f.Remove == nil || f.Compact == nil || f.RefuseReads == nil {
		t.Skip("watches cannot be cut")
	}
	w := f.watch(t, f.Kind)
	old := f.create(t, f.Kind, 0)
	w.running(t, 0, old)
	heal := f.RefuseReads(t)
	f.Cut(t)
	f.Remove(t, f.Kind, 0)
	young := f.create(t, f.Kind, 0)
	f.Compact(t)
	heal()
	w.running(t, 0, young)
	w.ended(t, old)
	if told := w.story(young); slices.Contains(told, "gone") {
		t.Errorf("told of the pod that is there: %v", told)
	}
	w.check(t)
}

func podsUnanswered(t *testing.T, f PodsFixture) {
	if f.AnswerThenCut == nil {
		t.Skip("answers cannot be cut off")
	}
	w := f.watch(t, f.Kind)
	w.running(t, 0, f.create(t, f.Kind, 0))
	f.AnswerThenCut(t)
	uid := f.create(t, f.Kind, 1)
	w.running(t, 1, uid)
	if pods := f.list(t, f.Kind); len(pods) != 2 || pods[1].UID != uid {
		t.Errorf("listed %+v, want instance 1's pod to be %s", pods, uid)
	}
}

func podsWhy(t *testing.T, f PodsFixture) {
	if f.Events == nil {
		t.Skip("events cannot be read")
	}
	w := f.watch(t, f.Kind)
	uid, err := f.Pods.Create(podsContext(t), f.Kind, 0, "because it was missing")
	if err != nil {
		t.Fatal(err)
	}
	w.running(t, 0, uid)
	recorded(t, f, uid, "because it was missing")
	if err := f.Pods.Delete(podsContext(t), f.Kind, 0, uid, "silent for 90s"); err != nil {
		t.Fatal(err)
	}
	recorded(t, f, uid, "silent for 90s")
}

func recorded(t *testing.T, f PodsFixture, uid, why string) {
	t.Helper()
	var got []string
	deadline, tick := time.After(podsDeadline), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		got = f.Events(t, uid)
		if slices.ContainsFunc(got, func(m string) bool { return strings.Contains(m, why) }) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("events on the pod: %q; want one that says %q", got, why)
		}
	}
}

func podsMany(t *testing.T, f PodsFixture) {
	const n = 100
	w := f.watch(t, f.Kind)
	uids := make([]string, n)
	podsTogether(n, func(i int) {
		uid, err := f.Pods.Create(podsContext(t), f.Kind, fleet.InstanceID(i), "many")
		if err != nil {
			t.Errorf("create instance %d: %v", i, err)
		}
		uids[i] = uid
	})
	for i, uid := range uids {
		w.running(t, fleet.InstanceID(i), uid)
	}
	if pods := f.list(t, f.Kind); len(pods) != n {
		t.Errorf("listed %d pods, want %d", len(pods), n)
	}
	podsTogether(n, func(i int) {
		if err := f.Pods.Delete(podsContext(t), f.Kind, fleet.InstanceID(i), uids[i], "many"); err != nil {
			t.Errorf("delete instance %d: %v", i, err)
		}
	})
	for _, uid := range uids {
		w.ended(t, uid)
	}
	w.check(t)
}

// podsBlocked holds the watch in its first call while more happens than one
// would keep; nothing is lost, and no other call has to wait.
func podsBlocked(t *testing.T, f PodsFixture) {
	ctx, cancel := context.WithCancel(context.Background())
	entered, release, returned := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var first sync.Once
	told := make(chan string, 1000)
	go func() {
		returned <- f.Pods.Watch(ctx, f.Kind, func(fleet.Pod) {
			first.Do(func() {
				close(entered)
				<-release
			})
		}, func(_ fleet.InstanceID, uid string) { told <- uid })
	}()
	t.Cleanup(func() {
		cancel()
		<-returned
	})
	stays := f.create(t, f.Kind, 0)
	<-entered
	const rounds = 100
	w := f.watch(t, f.Kind)
	w.running(t, 0, stays)
	for range rounds {
		uid := f.create(t, f.Kind, 1)
		w.running(t, 1, uid)
		f.remove(t, f.Kind, 1, uid)
		w.ended(t, uid)
	}
	last := f.create(t, f.Kind, 2)
	w.running(t, 2, last)
	close(release)
	f.remove(t, f.Kind, 2, last)
	seen := map[string]bool{}
	for deadline := time.After(podsDeadline); !seen[last]; {
		select {
		case uid := <-told:
			if seen[uid] {
				t.Errorf("told twice that %s is gone", uid)
			}
			seen[uid] = true
		case <-deadline:
			t.Fatalf("the watch that was held does not tell that the last pod is gone, after %d others", len(seen))
		}
	}
	if seen[stays] {
		t.Error("told that the pod that stays is gone")
	}
}

func podsReturned(t *testing.T, f PodsFixture) {
	w := f.watch(t, f.Kind)
	w.running(t, 0, f.create(t, f.Kind, 0))
	var wg sync.WaitGroup
	wg.Go(func() { // what happens while the watch ends
		for id := range fleet.InstanceID(20) {
			if _, err := f.Pods.Create(podsContext(t), f.Kind, id+1, "meanwhile"); err != nil {
				t.Errorf("create instance %d: %v", id+1, err)
			}
		}
	})
	w.until(t, "a pod of those made meanwhile", func() bool { return len(w.pods) > 1 })
	if err := w.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch answered %v, want %v", err, context.Canceled)
	}
	wg.Wait()
	w.check(t) // a call after the return is among its problems
}

func podsMissing(t *testing.T, f PodsFixture) {
	if err := f.Pods.Delete(podsContext(t), f.Kind, 7, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "not there"); !errors.Is(err, fleet.ErrPodNotFound) {
		t.Errorf("deletion of what is not there: %v, want ErrPodNotFound", err)
	}
	if _, err := f.Pods.List(podsContext(t), "Nothing"); err == nil {
		t.Error("a kind that nobody configured could be listed")
	}
	if _, err := f.Pods.Create(podsContext(t), f.Kind, fleet.NoInstance, "no instance"); err == nil {
		t.Error("a pod could be created for no instance")
	}
}

func podsEnded(t *testing.T, f PodsFixture) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Pods.List(ended, f.Kind); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v, want %v", err, context.Canceled)
	}
	if _, err := f.Pods.Create(ended, f.Kind, 0, "too late"); !errors.Is(err, context.Canceled) {
		t.Errorf("Create: %v, want %v", err, context.Canceled)
	}
	err := f.Pods.Watch(ended, f.Kind, func(fleet.Pod) {}, func(fleet.InstanceID, string) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v, want %v", err, context.Canceled)
	}
	if pods := f.list(t, f.Kind); len(pods) != 0 {
		t.Errorf("listed %v, want nothing", pods)
	}
}
