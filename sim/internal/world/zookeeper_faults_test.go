package world

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// client is an orchestrator's session that writes down what it hears.
type client struct {
	w     *World
	s     *Session
	heard []string
}

func connect(w *World) *client {
	c := &client{w: w}
	c.s = w.ZooKeeper.Open(func(now time.Duration, state SessionState) { c.log("%v", state) })
	return c
}

func (c *client) log(format string, args ...any) {
	c.heard = append(c.heard, fmt.Sprintf(format, args...))
}

func (c *client) elect() {
	c.s.Elect(thing, func(_ time.Duration, epoch int64) { c.log("leads %d", epoch) })
}

func (c *client) read() {
	c.s.ReadTree(thing, 1, func(_ time.Duration, _ uint64, tree fleet.Tree, err error) {
		n := 0
		for _, in := range tree.Instances {
			n += len(in.IDs)
		}
		c.log("tree of %d resources: %v", n, err)
	})
}

// submit adds a resource to instance 1, whose list has seen so many changes.
func (c *client) submit(changes int, resource string) {
	v := int32(changes)
	txn := &fleet.Txn{Epoch: c.w.ZooKeeper.Epoch(thing), Changes: []fleet.Change{{
		Instance: 1, Capacity: 9, Times: int64(changes + 1), Add: []string{resource}, Versions: fleet.Versions{Node: v, Resources: v, Reload: v},
	}}}
	c.s.Submit(thing, txn, func(_ time.Duration, _ fleet.Kind, _ *fleet.Txn, o fleet.Outcome) { c.log("%s %v", resource, o) })
}

// expect compares what was heard since the last time.
func (c *client) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	if !slices.Equal(c.heard, want) {
		t.Errorf("%s: heard %q, want %q", when, c.heard, want)
	}
	c.heard = nil
}

func TestAConnectionBreaksInAWrite(t *testing.T) {
	w, _ := podOf(t)
	c := connect(w)
	var fault SubmitFault
	w.ZooKeeper.OnSubmit = func(time.Duration, fleet.Kind, *fleet.Txn) (SubmitFault, time.Duration) {
		return fault, 3 * time.Second
	}
	fault = AnswerLost
	c.submit(0, "b")
	c.read()
	c.submit(1, "c")
	wait(w, 2*time.Second)
	c.expect(t, "broken", "disconnected", "b unknown", "tree of 0 resources: zookeeper: connection lost", "c unknown")
	c.submit(1, "c")
	wait(w, 2*time.Second)
	c.expect(t, "still broken, then back", "c failed", "connected")
	fault = SubmitLost
	c.submit(1, "c")
	wait(w, 5*time.Second)
	c.expect(t, "broken before the commit", "disconnected", "c unknown", "connected")
	if ids, times, _ := w.ZooKeeper.List(thing, 1); !slices.Equal(ids, []string{"a", "b"}) || times != 1 {
		t.Errorf("%v at times %d", ids, times)
	}
	fault = SubmitRefused
	c.submit(1, "c")
	w.ZooKeeper.OnStatus = func(_ time.Duration, kind fleet.Kind, id fleet.InstanceID) (SubmitFault, time.Duration) {
		if kind != thing || id != 1 {
			t.Errorf("asked about %s %v", kind, id)
		}
		return AnswerLost, 30 * time.Second
	}
	wait(w, time.Second)
	c.expect(t, "refused", "c failed")
	fault = SubmitArrives
	c.submit(1, "c")
	wait(w, 20*time.Second)
	c.expect(t, "in peace", "c done")
	if tree := w.ZooKeeper.Tree(thing); tree.Instances[0].Status.Present {
		t.Error("the DAC was away for longer than its session lasts")
	}
	w.ZooKeeper.OnStatus = nil
	wait(w, 20*time.Second)
	if s := w.ZooKeeper.Tree(thing).Instances[0].Status; s != (fleet.Status{Present: true, Times: 2}) {
		t.Errorf("%+v", s)
	}
}

func TestARestartKeepsSessions(t *testing.T) {
	w, _ := podOf(t)
	c := connect(w)
	c.elect()
	killed, late := connect(w), connect(w)
	killed.elect()
	late.elect()
	wait(w, time.Second)
	c.expect(t, "elected", "leads 1")
	killed.s.Kill()
	w.ZooKeeper.Down()
	w.ZooKeeper.Down()
	opened := connect(w)
	opened.elect()
	wait(w, time.Hour)
	c.submit(0, "b")
	c.s.Restore() // in vain
	wait(w, time.Second)
	c.expect(t, "down", "disconnected", "b failed")
	opened.expect(t, "down")
	if n := len(w.ZooKeeper.Sessions(AllClients)); n != 5 { // with that of podOf
		t.Errorf("%d sessions outlive the outage", n)
	}
	late.s.Cut()
	w.ZooKeeper.Up()
	w.ZooKeeper.Up()
	wait(w, 9*time.Second)
	c.submit(0, "b")
	wait(w, time.Second)
	c.expect(t, "back in time", "connected", "b done")
	opened.expect(t, "a session opened meanwhile", "connected")
	wait(w, time.Minute)
	if n := len(w.ZooKeeper.Sessions(AllClients)); n != 4 || w.ZooKeeper.Stats().Expired != 2 {
		t.Errorf("%d sessions are left, %d have expired", n, w.ZooKeeper.Stats().Expired)
	}
	late.s.Restore()
	c.s.Close()
	wait(w, time.Second)
	late.expect(t, "back too late", "disconnected", "expired")
	opened.expect(t, "the next in line", "leads 2")
	if v, _ := w.DACs.View(thing, 1); !v.Session || !slices.Equal(v.Held, []string{"a", "b"}) {
		t.Errorf("%+v", v)
	}
}

func TestAMinorityReadsWhatWas(t *testing.T) {
	w, s := podOf(t)
	z := w.ZooKeeper
	c := connect(w)
	c.elect()
	wait(w, time.Second)
	c.expect(t, "elected", "leads 1")
	c.s.WatchStatus(thing, func(_ time.Duration, id fleet.InstanceID, s fleet.Status) { c.log("status %+v", s) })
	z.SetMinority(Orchestrators, true)
	z.SetMinority(Orchestrators, true)
	c.submit(0, "b")
	c.read()
	late := connect(w)
	late.elect()
	w.CrashPod(thing, 1)
	z.Disturb(thing, 1)
	wait(w, 5*time.Second)
	c.read()
	wait(w, time.Minute)
	c.read()
	c.submit(0, "b")
	wait(w, time.Second)
	c.expect(t, "cut off with a minority", "b failed", "tree of 1 resources: <nil>", "tree of 1 resources: <nil>", "b failed", "tree of 1 resources: <nil>")
	late.expect(t, "a new session")
	if s.Expired() != true || z.Stats().Expired != 3 || len(z.Sessions(Orchestrators)) != 0 { // and the DAC's
		t.Errorf("the majority keeps %d sessions, %d have expired", len(z.Sessions(Orchestrators)), z.Stats().Expired)
	}
	z.SetMinority(AllClients, false)
	wait(w, 10*time.Second)
	c.expect(t, "the end", "disconnected", "expired")
	late.expect(t, "the new session at the end", "connected", "leads 2")

	c = connect(w)
	wait(w, time.Second)
	z.SetMinority(AllClients, true)
	wait(w, 5*time.Second)
	z.SetMinority(Orchestrators, false)
	wait(w, 5*time.Second)
	c.expect(t, "a short one", "disconnected", "connected")
	z.SetMinority(DACClients, false)
}

// What a session has missed of the statuses while it was cut off, it is told once
// it is back, as it stands then.
func TestStatusesMissedAreTold(t *testing.T) {
	w, _ := podOf(t)
	c, other := connect(w), connect(w)
	other.elect()
	wait(w, time.Second)
	c.s.WatchStatus(thing, func(_ time.Duration, id fleet.InstanceID, s fleet.Status) { c.log("status %+v", s) })
	c.s.Cut()
	other.submit(0, "b")
	wait(w, 2*time.Second)
	other.submit(1, "c")
	wait(w, 2*time.Second)
	c.expect(t, "cut off", "disconnected")
	c.s.Restore()
	wait(w, time.Second)
	c.expect(t, "back", "connected", "status {Present:true Times:2}")
	wait(w, time.Minute)
	c.expect(t, "nothing more")
}

func TestDACsInAMinorityKeepTheirLists(t *testing.T) {
	w, s := podOf(t)
	z := w.ZooKeeper
	z.SetMinority(DACClients, true)
	w.DACs.Session(thing, 1).Break(time.Second) // it reads anew
	if o := addTo(w, s, "b"); o != fleet.OutcomeDone {
		t.Fatal(o)
	}
	wait(w, time.Minute)
	v, _ := w.DACs.View(thing, 1)
	if in := z.Tree(thing).Instances[0]; v.Session || in.Status.Present || !slices.Equal(v.Held, []string{"a"}) {
		t.Errorf("%+v; %+v", v, in)
	}
	z.SetMinority(DACClients, false)
	wait(w, time.Minute)
	v, _ = w.DACs.View(thing, 1)
	if in := z.Tree(thing).Instances[0]; in.Status != (fleet.Status{Present: true, Times: 1}) || !slices.Equal(v.Held, []string{"a", "b"}) {
		t.Errorf("%+v; %+v", v, in)
	}
}

func TestNoRoom(t *testing.T) {
	w, _ := podOf(t)
	z := w.ZooKeeper
	z.SetFull(true)
	c := connect(w)
	c.elect()
	c.submit(0, "b")
	w.DACs.Session(thing, 1).Expire() // its new session has no status
	remove := &fleet.Txn{Changes: []fleet.Change{{Instance: 1, Times: 1, Remove: []string{"a"}}}}
	c.s.Submit(thing, remove, func(_ time.Duration, _ fleet.Kind, _ *fleet.Txn, o fleet.Outcome) { c.log("remove %v", o) })
	c.s.Submit(thing, &fleet.Txn{Control: &fleet.Control{}, ControlVersion: -1}, func(_ time.Duration, _ fleet.Kind, _ *fleet.Txn, o fleet.Outcome) {
		c.log("control %v", o)
	})
	wait(w, time.Minute)
	c.expect(t, "full", "b failed", "remove done", "control failed")
	if in := z.Tree(thing).Instances[0]; in.Status.Present || z.Stats().Full != 2 {
		t.Errorf("%+v; %+v", in, z.Stats())
	}
	in := z.instance(z.tree(thing), 1)
	if err := in.writeStatus(w.Timeline.Now(), c.s, 1); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	z.SetFull(false)
	wait(w, 5*time.Second)
	c.expect(t, "room", "leads 1")
	if in := z.Tree(thing).Instances[0]; in.Status != (fleet.Status{Present: true, Times: 1}) {
		t.Errorf("%+v", in)
	}
}

func TestALeaderDoesNotHear(t *testing.T) {
	w, _ := podOf(t)
	c, next := connect(w), connect(w)
	c.elect()
	wait(w, time.Second)
	next.elect()
	wait(w, time.Second)
	c.expect(t, "elected", "leads 1")
	c.submit(0, "b") // its answer is never heard
	c.s.ExpireUnheard()
	c.s.ExpireUnheard()
	c.s.Restore()
	wait(w, time.Second)
	next.expect(t, "the next", "leads 2")
	c.submit(0, "c")
	c.read()
	c.elect()
	wait(w, time.Hour)
	c.expect(t, "deaf")
	c.s.Hear()
	c.s.Hear()
	wait(w, time.Second)
	c.expect(t, "it hears", "b unknown", "c unknown", "tree of 0 resources: zookeeper: connection lost", "expired")
	c.s.Restore()
	wait(w, time.Minute)
	c.expect(t, "nothing more")
	dead := connect(w)
	dead.s.ExpireUnheard()
	dead.submit(0, "d")
	wait(w, time.Second)
	dead.s.Kill()
	dead.s.Hear()
	wait(w, time.Minute)
	dead.expect(t, "the dead")
}

func TestAClassIsSlow(t *testing.T) {
	w, _ := podOf(t)
	z := w.ZooKeeper
	z.SetDelay(DACClients, 4*time.Second)
	c := connect(w)
	c.submit(0, "b")
	wait(w, time.Second)
	c.expect(t, "the others are not", "b done")
	wait(w, 2*time.Second)
	if v, _ := w.DACs.View(thing, 1); v.Times != 0 {
		t.Error("a slow DAC is fast")
	}
	wait(w, 6*time.Second)
	if s := z.Tree(thing).Instances[0].Status; s.Times != 1 {
		t.Errorf("after a slow read and a slow report %+v", s)
	}
	z.SetDelay(AllClients, time.Minute)
	z.SetDelay(DACClients, 0)
	c.read()
	wait(w, 59*time.Second)
	c.expect(t, "slow")
	wait(w, 2*time.Second)
	c.expect(t, "slow", "tree of 2 resources: <nil>")
}
