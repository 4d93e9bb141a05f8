package dac

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire/zookeeper"
)

// patience only ever fails a test.
const patience = 60 * time.Second

// rig is a ZooKeeper and somebody who writes the tree as the orchestrator does.
type rig struct {
	t      *testing.T
	server *zookeeper.Server // nil when it is a real one
	addr   string
	conn   *zk.Conn
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, zookeeper.Config{TickTime: 100 * time.Millisecond, MaxSessionTimeout: time.Minute})
}

func newRigOn(t *testing.T, cfg zookeeper.Config) *rig {
	t.Helper()
	r := &rig{t: t}
	r.serve(cfg)
	r.connect()
	return r
}

// connect is the writer's connection, and the nodes that are always there.
func (r *rig) connect() {
	r.t.Helper()
	const session = 30 * time.Second
	via := &link{via: net.DialTimeout, session: session}
	conn, _, err := zk.Connect([]string{r.addr}, session, zk.WithDialer(via.dial), zk.WithLogger(silent{}), zk.WithLogInfo(false))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(conn.Close)
	r.conn = conn
	for _, path := range []string{"/iota", "/iota/orchestration", "/iota/orchestration/Thing"} {
		r.must(conn.Create(path, nil, 0, zk.WorldACL(zk.PermAll)))
	}
}

// serve starts a server, in the place of one that was closed.
func (r *rig) serve(cfg zookeeper.Config) {
	r.t.Helper()
	server, err := zookeeper.Start(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.server, r.addr = server, server.Addr()
	r.t.Cleanup(func() { _ = server.Close() })
}

func (r *rig) must(_ any, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func node(id fleet.InstanceID) string { return fmt.Sprintf("/iota/orchestration/Thing/%d", id) }

func listJSON(ids ...string) []byte {
	b, _ := json.Marshal(map[string][]string{"ids": append([]string{}, ids...)})
	return b
}

func timesJSON(times int64) []byte { return fmt.Appendf(nil, `{"times":%d}`, times) }

// create makes an instance's nodes in one transaction.
func (r *rig) create(id fleet.InstanceID, times int64, ids ...string) {
	r.t.Helper()
	all := zk.WorldACL(zk.PermAll)
	r.must(r.conn.Multi(
		&zk.CreateRequest{Path: node(id), Data: []byte(`{"used":0,"count":5000}`), Acl: all},
		&zk.CreateRequest{Path: node(id) + "/resources", Data: listJSON(ids...), Acl: all},
		&zk.CreateRequest{Path: node(id) + "/_reload", Data: timesJSON(times), Acl: all},
		&zk.CreateRequest{Path: node(id) + "/tmp", Acl: all}))
}

// set changes list and times in one transaction.
func (r *rig) set(id fleet.InstanceID, times int64, ids ...string) {
	r.t.Helper()
	r.must(r.conn.Multi(
		&zk.SetDataRequest{Path: node(id) + "/resources", Data: listJSON(ids...), Version: -1},
		&zk.SetDataRequest{Path: node(id) + "/_reload", Data: timesJSON(times), Version: -1}))
}

// remove deletes an instance with all that stands under it, in one transaction.
func (r *rig) remove(id fleet.InstanceID) {
	r.t.Helper()
	for range 100 {
		ops := []any{}
		if there, _, _ := r.conn.Exists(node(id) + "/tmp/status"); there {
			ops = append(ops, &zk.DeleteRequest{Path: node(id) + "/tmp/status", Version: -1})
		}
		for _, path := range []string{"/tmp", "/_reload", "/resources", ""} {
			ops = append(ops, &zk.DeleteRequest{Path: node(id) + path, Version: -1})
		}
		if _, err := r.conn.Multi(ops...); err == nil {
			return
		}
	}
	r.t.Fatal("cannot delete the instance")
}

// await waits until the server's tree is as wanted.
func (r *rig) await(why string, what func() bool) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !what(); <-tick.C {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %s for %s", patience, why)
		}
	}
}

func (r *rig) awaitStatus(id fleet.InstanceID, want string) {
	r.t.Helper()
	r.await("status "+want, func() bool {
		data, stat, err := r.conn.Get(node(id) + "/tmp/status")
		return err == nil && string(data) == want && stat.EphemeralOwner != 0
	})
}

func (r *rig) awaitNoStatus(id fleet.InstanceID) {
	r.t.Helper()
	r.await("no status", func() bool {
		_, _, err := r.conn.Get(node(id) + "/tmp/status")
		return errors.Is(err, zk.ErrNoNode)
	})
}

// running is a DAC under way.
type running struct {
	*DAC
	t    *testing.T
	stop context.CancelFunc
	done chan error

	mu   sync.Mutex
	runs map[string]int // what it runs, as OnRun tells
	bad  error
}

func (r *rig) run(cfg Config) *running {
	r.t.Helper()
	cfg.Kind = "Thing"
	cfg.ZooKeeper = []string{r.addr}
	if cfg.Session == 0 {
		cfg.Session = 2 * time.Second
	}
	cfg.Log = slog.New(slog.NewTextHandler(r.t.Output(), nil))
	u := &running{t: r.t, done: make(chan error, 1), runs: map[string]int{}}
	cfg.OnRun = u.onRun
	d, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	u.DAC = d
	ctx, stop := context.WithCancel(context.Background())
	u.stop = stop
	go func() { u.done <- d.Run(ctx) }()
	r.t.Cleanup(func() {
		stop()
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.bad != nil {
			r.t.Error(u.bad)
		}
	})
	return u
}

func (u *running) onRun(id string, on bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if on == (u.runs[id] == 1) {
		u.bad = errors.Join(u.bad, fmt.Errorf("%s: told twice that it runs: %t", id, on))
	}
	if on {
		u.runs[id] = 1
	} else {
		delete(u.runs, id)
	}
}

func (u *running) holds(ids ...string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range ids {
		if u.runs[id] != 1 {
			return false
		}
	}
	return len(u.runs) == len(ids) && slices.Equal(u.State().Held, ids)
}

// end stops the DAC and waits until Run has returned.
func (u *running) end() {
	u.t.Helper()
	u.stop()
	select {
	case err := <-u.done:
		if err != nil {
			u.t.Errorf("Run answers %v", err)
		}
	case <-time.After(patience):
		u.t.Fatal("Run has not returned")
	}
	if !u.holds() {
		u.t.Errorf("something runs after the end: %v", u.State().Held)
	}
}
