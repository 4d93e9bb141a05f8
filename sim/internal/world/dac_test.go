package world

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// editor writes random lists, one transaction at a time.
type editor struct {
	t       *rapid.T
	w       *World
	session *Session

	faults    bool // the world may be at fault: transactions may fail
	disturbed bool // its session has been, too: it may have missed statuses
	status    map[fleet.InstanceID]fleet.Status
}

// open starts the editor's session, anew when it has expired.
func (e *editor) open() {
	e.session = e.w.ZooKeeper.Open(func(_ time.Duration, state SessionState) {
		e.disturbed = true
		if state == SessionExpired {
			e.open()
		}
	})
	e.session.WatchStatus(thing, func(_ time.Duration, id fleet.InstanceID, s fleet.Status) { e.status[id] = s })
}

func (e *editor) change() {
	tree := e.w.ZooKeeper.tree(thing).snapshot()
	at := map[fleet.InstanceID]*fleet.TreeInstance{}
	for i := range tree.Instances {
		at[tree.Instances[i].ID] = &tree.Instances[i]
	}
	c := fleet.Change{Instance: fleet.InstanceID(rapid.IntRange(0, 2).Draw(e.t, "instance"))}
	in := at[c.Instance]
	switch {
	case in == nil:
		c.Kind = fleet.ChangeCreate
	case rapid.IntRange(0, 7).Draw(e.t, "drop") == 0:
		c.Kind, c.Versions = fleet.ChangeDelete, in.Versions
	default:
		c.Versions, c.Times = in.Versions, in.Times+1
	}
	if c.Kind != fleet.ChangeDelete {
		for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}), 0, 4, rapid.ID[string]).Draw(e.t, "ids") {
			if in != nil && slices.Contains(in.IDs, id) {
				c.Remove = append(c.Remove, id)
			} else {
				c.Add = append(c.Add, id)
			}
		}
	}
	e.session.Submit(thing, &fleet.Txn{Changes: []fleet.Change{c}}, func(_ time.Duration, _ fleet.Kind, _ *fleet.Txn, o fleet.Outcome) {
		if o != fleet.OutcomeDone && o != fleet.OutcomeConflict && !e.faults { // two in flight may name one instance
			e.t.Fatalf("%+v: %v", c, o)
		}
	})
}

// Whatever happens to pods, sessions and lists: a program starts and stops each
// resource in turn and leaves none running at its end; once there is peace, every
// pod runs exactly its list and its status says so.
func TestDACsFollowTheirLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkDACs(t, false) })
}

// The same holds under every fault of ZooKeeper and of nodes, once it is over.
func TestDACsFollowTheirListsAfterFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkDACs(t, true) })
}

func checkDACs(t *rapid.T, faults bool) {
	w, err := New(timeline.New(), drawSeed(t), DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddKind(KindSpec{Kind: thing, InstanceName: "iota-dac", Confirms: true}); err != nil {
		t.Fatal(err)
	}
	running := map[string]map[string]bool{}
	w.DACs.OnRun = func(_ time.Duration, _ fleet.Kind, _ fleet.InstanceID, uid, resource string, on bool) {
		if running[uid] == nil {
			running[uid] = map[string]bool{}
		}
		if running[uid][resource] == on {
			t.Fatalf("%s: %s running %v twice", uid, resource, on)
		}
		running[uid][resource] = on
	}
	e := &editor{t: t, w: w, faults: faults, status: map[fleet.InstanceID]fleet.Status{}}
	e.open()
	what := []string{"change", "change", "change", "change", "create", "create", "delete", "crash", "hang", "expire", "cut", "restore", "blip", "blip", "disturb"}
	if faults {
		what = append(what, faultWords...)
		e.breakThings()
	}
	answered := func(time.Duration, PodReply) {}
	tl := w.Timeline
	for range rapid.IntRange(1, 50).Draw(t, "steps") {
		id := fleet.InstanceID(rapid.IntRange(0, 2).Draw(t, "pod"))
		session := w.DACs.Session(thing, id)
		what := rapid.SampledFrom(what).Draw(t, "do")
		switch {
		case slices.Contains(faultWords, what):
			e.fault(what, id)
		case what == "change":
			e.change()
		case what == "create":
			w.Kubernetes.CreatePod(thing, id, 0, answered)
		case what == "delete":
			w.Kubernetes.DeletePod(thing, id, "", seconds(t, "grace", 3), 0, answered)
		case what == "crash":
			w.CrashPod(thing, id)
		case what == "hang":
			w.HangPod(thing, id)
		case what == "disturb":
			w.ZooKeeper.Disturb(thing, id)
		case session == nil:
		case what == "expire":
			session.Expire()
		case what == "blip": // within a reload
			e.change()
			runUntil(tl, tl.Now()+seconds(t, "blip", 1)/20)
			session.Cut()
			runUntil(tl, tl.Now()+seconds(t, "gap", 1)/20)
			session.Restore()
		case what == "cut":
			session.Cut()
		case what == "restore":
			session.Restore()
		}
		wait := seconds(t, "wait", 15)
		if rapid.Bool().Draw(t, "soon") {
			wait /= 500
		}
		runUntil(tl, tl.Now()+wait)
	}
	heal(w)
	for id := range fleet.InstanceID(3) {
		v, ok := w.DACs.View(thing, id)
		if !ok || v.Hung || v.Zombie || !v.Session {
			t.Fatalf("instance %v after healing: %v %+v", id, ok, v)
		}
		list, times, exists := w.ZooKeeper.List(thing, id)
		got, want := slices.Sorted(slices.Values(v.Held)), slices.Sorted(slices.Values(list))
		if !slices.Equal(got, want) || exists && v.Times != times {
			t.Fatalf("instance %v runs %v at times %d; its list is %v at times %d", id, got, v.Times, want, times)
		}
		s := w.ZooKeeper.instance(w.ZooKeeper.tree(thing), id).currentStatus()
		if !e.disturbed && s != e.status[id] || s.Present != exists || exists && s.Times != times {
			t.Fatalf("instance %v: status %+v, seen %+v; nodes exist %v at times %d", id, s, e.status[id], exists, times)
		}
		for _, resource := range v.Held {
			if !running[v.UID][resource] || !w.DACs.Holds(thing, id, resource) {
				t.Fatalf("instance %v holds %s, which never started", id, resource)
			}
		}
		delete(running, v.UID)
	}
	for uid, resources := range running {
		for resource, on := range resources {
			if on {
				t.Fatalf("%s has ended and left %s running", uid, resource)
			}
		}
	}
}

// robbed says whether an instance has lost its status to a stray: one that comes
// back from a partition takes the place of its successor's, and takes it along
// when it is ended.
func robbed(w *World, id fleet.InstanceID) bool {
	in := w.ZooKeeper.instance(w.ZooKeeper.tree(thing), id)
	return in.node != nil && in.status == nil
}

// heal reconnects every session, gives every instance a pod that works, and
// waits.
func heal(w *World) {
	answered := func(time.Duration, PodReply) {}
	tl := w.Timeline
	mend(w)
	for _, id := range w.DACs.Instances(thing) {
		if s := w.DACs.Session(thing, id); s != nil {
			s.Restore()
		}
	}
	runUntil(tl, tl.Now()+time.Minute)
	for id := range fleet.InstanceID(3) {
		if v, ok := w.DACs.View(thing, id); !ok || v.Hung || v.Zombie || robbed(w, id) {
			w.Kubernetes.DeletePod(thing, id, "", 0, 0, answered)
		}
	}
	runUntil(tl, tl.Now()+time.Minute)
	for id := range fleet.InstanceID(3) {
		w.Kubernetes.CreatePod(thing, id, 0, answered)
	}
	runUntil(tl, tl.Now()+time.Minute)
}

// dayTrace is every callback of an hour with faults in it.
func dayTrace(t *testing.T, seed timeline.Seed) string {
	w := newWorld(t, seed, DefaultConfig())
	hash := sha256.New()
	lines := 0
	trace := func(now time.Duration, format string, args ...any) {
		lines++
		fmt.Fprintf(hash, "%d %s\n", now, fmt.Sprintf(format, args...))
	}
	w.DACs.OnRun = func(now time.Duration, _ fleet.Kind, id fleet.InstanceID, uid, resource string, running bool) {
		trace(now, "run %v %s %s %v", id, uid, resource, running)
	}
	f := startFeeder(w, 5, trace)
	tick := newTicker(w, 200, 20_000)
	runUntil(w.Timeline, 30*time.Second)
	tick.Handle(0, 0, 0, nil)
	step := func(d time.Duration) { runUntil(w.Timeline, w.Timeline.Now()+d) }
	step(time.Minute)
	w.CrashPod(thing, 1)
	w.HangPod(thing, 2)
	step(time.Minute)
	w.Kafka.Down()
	w.MQTT.Down()
	step(5 * time.Minute)
	w.Kafka.Up()
	w.MQTT.Up()
	step(time.Minute)
	w.DACs.Session(thing, 0).Expire()
	w.Kubernetes.DeletePod(thing, 1, "", 0, 0, func(now time.Duration, r PodReply) { trace(now, "%+v", r) })
	step(10 * time.Minute)
	if len(f.bad) > 0 || f.seen == 0 || f.beats == 0 {
		t.Fatalf("bad %v, statuses %d, heartbeats %d", f.bad, f.seen, f.beats)
	}
	return fmt.Sprintf("%x of %d lines", hash.Sum(nil), lines)
}

func TestSameSeedSameTrace(t *testing.T) {
	first := dayTrace(t, 7)
	for range 3 {
		if again := dayTrace(t, 7); again != first {
			t.Fatalf("seed 7 gives %s, then %s", first, again)
		}
	}
	if other := dayTrace(t, 8); other == first {
		t.Errorf("seeds 7 and 8 give the same trace %s", first)
	}
}
