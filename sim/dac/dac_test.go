package dac

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest/real"
	"dacorch/sim/wire/zookeeper"
)

func TestReload(t *testing.T) {
	r := newRig(t)
	r.create(3, 1, "b", "a")
	u := r.run(Config{Instance: 3, Confirms: true})
	r.awaitStatus(3, `{"times":1}`)
	if !u.holds("a", "b") {
		t.Errorf("holds %v, want a and b", u.State().Held)
	}
	r.set(3, 2, "b", "c", "b")
	r.awaitStatus(3, `{"times":2}`)
	if !u.holds("b", "c") {
		t.Errorf("holds %v, want b and c", u.State().Held)
	}
	if s := u.State(); s.Times != 2 || s.Reloads != 2 || s.Session == 0 {
		t.Errorf("state %+v, want times 2 after 2 reloads in a session", s)
	}
	u.end()
	r.awaitNoStatus(3)
}

func TestNothingIsConfirmed(t *testing.T) {
	r := newRig(t)
	r.create(0, 1, "a")
	u := r.run(Config{})
	r.awaitStatus(0, `{}`)
	r.set(0, 2, "b")
	r.await("the reload", func() bool { return u.holds("b") })
	r.awaitStatus(0, `{}`)
	u.end()
}

// TestInstanceComesAndGoes: the pod may be there before its nodes, and after them.
func TestInstanceComesAndGoes(t *testing.T) {
	r := newRig(t)
	u := r.run(Config{Confirms: true})
	r.await("a session", func() bool { return len(r.server.Sessions()) == 2 })
	r.create(0, 1, "a")
	r.awaitStatus(0, `{"times":1}`)
	r.remove(0)
	r.await("nothing to run", func() bool { return u.holds() && u.State().Times == -1 })
	r.create(0, 1, "b")
	r.awaitStatus(0, `{"times":1}`)
	if !u.holds("b") {
		t.Errorf("holds %v, want b", u.State().Held)
	}
	u.end()
}

// TestSessions: over cuts and expiries the DAC runs on, and its status is there
// again, as a node of the session that it has now.
func TestSessions(t *testing.T) {
	r := newRig(t)
	r.create(0, 1, "a")
	u := r.run(Config{Confirms: true})
	r.awaitStatus(0, `{"times":1}`)
	other := func(s zookeeper.Session) bool { return s.ID != r.conn.SessionID() }
	r.server.Cut(other)
	r.set(0, 2, "a", "b")
	r.awaitStatus(0, `{"times":2}`)
	before := u.State().Session
	if r.server.Expire(other) != 1 {
		t.Fatal("no session to expire")
	}
	r.await("a status of another session", func() bool {
		data, stat, ok := r.server.Get(node(0) + "/tmp/status")
		return ok && string(data) == `{"times":2}` && stat.EphemeralOwner != before
	})
	r.set(0, 3, "b")
	r.awaitStatus(0, `{"times":3}`)
	if !u.holds("b") {
		t.Errorf("holds %v, want b", u.State().Held)
	}
	u.end()
}

// TestNextPod: what a killed pod has left under tmp is replaced by the next one.
func TestNextPod(t *testing.T) {
	r := newRig(t)
	r.create(0, 7, "a")
	first := r.run(Config{Confirms: true, Session: 10 * time.Second})
	r.awaitStatus(0, `{"times":7}`)
	owner := first.State().Session
	first.Kill()
	if err := <-first.done; err != nil {
		t.Errorf("Run answers %v", err)
	}
	if !first.holds() {
		t.Error("something runs in a pod that was killed")
	}
	if _, stat, ok := r.server.Get(node(0) + "/tmp/status"); !ok || stat.EphemeralOwner != owner {
		t.Error("the session of the killed pod was closed: it should expire by itself")
	}
	second := r.run(Config{})
	r.awaitStatus(0, `{}`)
	second.end()
}

// TestHang: a hung DAC runs what it ran, reads nothing, sends nothing, and loses
// its session.
func TestHang(t *testing.T) {
	r := newRig(t)
	r.create(0, 1, "a")
	beats := &counter{}
	u := r.run(Config{Confirms: true, Session: 400 * time.Millisecond, Heartbeat: true, Interval: time.Millisecond, Beats: beats})
	r.awaitStatus(0, `{"times":1}`)
	r.await("heartbeats", func() bool { return beats.n.Load() > 3 })
	u.Hang()
	r.awaitNoStatus(0)
	r.set(0, 2, "b")
	sent := beats.n.Load()
	if r.create(1, 1); !u.holds("a") || !u.State().Hung {
		t.Errorf("state %+v, want a held by a hung DAC", u.State())
	}
	if n := beats.n.Load(); n != sent {
		t.Errorf("%d heartbeats from a hung DAC", n-sent)
	}
	u.end()
}

// TestStopsBeforeItsSessionEnds: nobody may see the session gone while something
// still runs.
func TestStopsBeforeItsSessionEnds(t *testing.T) {
	r := newRig(t)
	r.create(0, 1, "a")
	var ended, late atomic.Bool
	u := r.run(Config{Confirms: true})
	r.awaitStatus(0, `{"times":1}`)
	r.server.Observe(func(_ int64, changes []zookeeper.Change) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if slices.ContainsFunc(changes, func(c zookeeper.Change) bool { return c.Op == "delete" && c.Path == node(0)+"/tmp/status" }) {
			ended.Store(true)
			late.Store(len(u.runs) > 0)
		}
	})
	u.end()
	r.awaitNoStatus(0)
	if !ended.Load() || late.Load() {
		t.Error("the session ended while a resource still ran")
	}
}

// TestServerRestarts: a ZooKeeper that is down and comes back.
func TestServerRestarts(t *testing.T) {
	cfg := zookeeper.Config{DataDir: t.TempDir(), TickTime: 100 * time.Millisecond, MaxSessionTimeout: time.Minute}
	r := newRigOn(t, cfg)
	r.create(0, 1, "a")
	u := r.run(Config{Confirms: true})
	r.awaitStatus(0, `{"times":1}`)
	cfg.Addr = r.server.Addr()
	if err := r.server.Close(); err != nil {
		t.Fatal(err)
	}
	if !u.holds("a") {
		t.Error("what runs has stopped with ZooKeeper")
	}
	r.serve(cfg)
	r.await("the writer's connection", func() bool {
		_, err := r.conn.Set(node(0)+"/resources", listJSON("a"), -1)
		return err == nil
	})
	r.set(0, 2, "z")
	r.awaitStatus(0, `{"times":2}`)
	if !u.holds("z") {
		t.Errorf("holds %v, want z", u.State().Held)
	}
	u.end()
}

// TestOnRealZooKeeper: the same against the real one, killed and started again.
func TestOnRealZooKeeper(t *testing.T) {
	server := real.ZooKeeper(t)
	r := &rig{t: t, addr: server.Addr}
	r.connect()
	u := r.run(Config{Instance: 2, Confirms: true, Session: 10 * time.Second})
	r.create(2, 1, "a", "b")
	r.awaitStatus(2, `{"times":1}`)
	r.set(2, 2, "b", "c")
	r.awaitStatus(2, `{"times":2}`)
	if !u.holds("b", "c") {
		t.Errorf("holds %v, want b and c", u.State().Held)
	}
	server.Kill()
	server.Start()
	r.await("the writer's connection", func() bool {
		_, err := r.conn.Set(node(2)+"/resources", listJSON("b", "c"), -1)
		return err == nil
	})
	r.set(2, 3, "z")
	r.awaitStatus(2, `{"times":3}`)
	if !u.holds("z") {
		t.Errorf("holds %v, want z", u.State().Held)
	}
	u.end()
	r.awaitNoStatus(2)
}

// TestMany: a hundred DACs in one process, each with a full list.
func TestMany(t *testing.T) {
	n, ids := 100, make([]string, 5000)
	if testing.Short() {
		n = 10
	}
	for i := range ids {
		ids[i] = fmt.Sprintf("0b5c2f4e-7d1a-4c60-9a1e-%012d", i)
	}
	r := newRig(t)
	before := runtime.NumGoroutine()
	all := make([]*DAC, n)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, n)
	for i := range all {
		r.create(fleet.InstanceID(i), 1, ids...)
		d, err := New(Config{Kind: "Thing", Instance: fleet.InstanceID(i), ZooKeeper: []string{r.server.Addr()},
			Session: 30 * time.Second, Confirms: true})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = d
		go func() { ended <- d.Run(ctx) }()
	}
	for i := range all {
		r.awaitStatus(fleet.InstanceID(i), `{"times":1}`)
	}
	for i := range all {
		r.set(fleet.InstanceID(i), 2, ids[1:]...)
	}
	for i, d := range all {
		r.awaitStatus(fleet.InstanceID(i), `{"times":2}`)
		if held := d.State().Held; len(held) != 4999 || held[0] != ids[1] {
			t.Errorf("instance %d holds %d ids", i, len(held))
		}
	}
	stop()
	for range all {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	r.await("the goroutines' end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// counter counts heartbeats.
type counter struct {
	n    atomic.Int64
	fail atomic.Bool
}

func (c *counter) Send(context.Context, fleet.Kind, fleet.InstanceID) error {
	if c.fail.Load() {
		return errors.New("no brokers")
	}
	c.n.Add(1)
	return nil
}

func TestConfigIsChecked(t *testing.T) {
	right := Config{Kind: "Thing", ZooKeeper: []string{"localhost:2181"}}
	for field, change := range map[string]func(*Config){
		"kind":      func(c *Config) { c.Kind = "" },
		"instance":  func(c *Config) { c.Instance = -1 },
		"zookeeper": func(c *Config) { c.ZooKeeper = nil },
		"session":   func(c *Config) { c.Session = -1 },
		"kafka":     func(c *Config) { c.Heartbeat = true },
		"interval":  func(c *Config) { c.Heartbeat, c.Beats, c.Interval = true, &counter{}, -1 },
		"maxPacket": func(c *Config) { c.MaxPacket = 1 },
		"latency":   func(c *Config) { c.Latency = -1 },
	} {
		cfg := right
		change(&cfg)
		if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v does not name it", field, err)
		}
	}
}
