package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"testing"
	"time"

	"dacorch/e2e/rig"

	"github.com/go-zookeeper/zk"
)

const (
	treeRoot = "/iota/orchestration"
	ownRoot  = "/iota/orchestrator" // elections and the control node
)

// tree is a kind's instances as ZooKeeper held them at one moment.
type tree map[int]node

// node is one instance.
type node struct {
	used, count int
	ids         []string
	times       int64
	// What the DAC has written; its node changes by itself, so that it is of a
	// moment of its own. applied is -1 for one that confirms nothing.
	session bool
	applied int64
}

// connectZooKeeper is a session as the orchestrator's user, whose nodes are read
// and, at the end, deleted.
func connectZooKeeper(t *testing.T, r *rig.Rig) *zk.Conn {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), callWithin)
	defer done()
	conn, err := r.ConnectZooKeeper(ctx, rig.UserOrchestrator, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// errMoved is a tree that changed while it was read, again and again.
var errMoved = errors.New("the tree changes faster than it can be read")

// noReload are the times of an instance without _reload: no DAC confirms them.
const noReload = -2

// errMalformed is a node that is not as the contract says.
var errMalformed = errors.New("not a node of the contract")

// read reads a tree of one moment. Several reads are several moments, so a
// transaction that only checks follows: it goes through when no node has another
// version than the one read, and then all of them stood so when it went through.
// What it cannot check is whether there are more instances: the parent's count of
// children's changes says that.
func (w *world) read(ctx context.Context, k *kind) (tree, error) {
	for range 20 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t, err := w.readOnce(k)
		if !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrBadVersion) && !errors.Is(err, errMoved) {
			return t, err
		}
	}
	return nil, errMoved
}

func (w *world) readOnce(k *kind) (tree, error) {
	root := treeRoot + "/" + k.name
	children, before, err := w.zk.Children(root)
	if errors.Is(err, zk.ErrNoNode) {
		return tree{}, nil
	} else if err != nil {
		return nil, err
	}
	out := tree{}
	var checks []any
	for _, child := range children {
		id, err := strconv.Atoi(child)
		if err != nil {
			return nil, fmt.Errorf("%w: %s/%s is no instance's number", errMalformed, root, child)
		}
		n, check, err := w.readInstance(path.Join(root, child))
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", root, child, err)
		}
		out[id] = n
		checks = append(checks, check...)
	}
	if len(checks) > 0 {
		answers, err := w.zk.Multi(checks...)
		for _, a := range answers {
			if errors.Is(a.Error, zk.ErrBadVersion) || errors.Is(a.Error, zk.ErrNoNode) {
				return nil, a.Error
			}
		}
		if err != nil {
			return nil, err
		}
	}
	there, after, err := w.zk.Exists(root)
	switch {
	case err != nil:
		return nil, err
	case !there || after.Cversion != before.Cversion || after.Czxid != before.Czxid:
		return nil, errMoved
	}
	return out, nil
}

func (w *world) readInstance(at string) (n node, checks []any, err error) {
	var head struct{ Used, Count int }
	var list struct{ IDs []string }
	var reload struct{ Times int64 }
	for _, part := range []struct {
		path string
		into any
	}{{at, &head}, {at + "/resources", &list}, {at + "/_reload", &reload}} {
		data, stat, err := w.zk.Get(part.path)
		if errors.Is(err, zk.ErrNoNode) && part.into == &reload {
			reload.Times = noReload // the first orchestrator's; who makes it changes the list, too
			continue
		}
		if err != nil {
			return n, nil, err
		}
		if err := json.Unmarshal(data, part.into); err != nil {
			return n, nil, fmt.Errorf("%w: %s: %q: %w", errMalformed, part.path, data, err)
		}
		checks = append(checks, &zk.CheckVersionRequest{Path: part.path, Version: stat.Version})
	}
	n = node{used: head.Used, count: head.Count, ids: list.IDs, times: reload.Times, applied: -1}
	data, stat, err := w.zk.Get(at + "/tmp/status")
	if errors.Is(err, zk.ErrNoNode) {
		return n, checks, nil
	} else if err != nil {
		return n, nil, err
	}
	var status struct{ Times *int64 }
	n.session = stat.EphemeralOwner != 0
	if json.Unmarshal(data, &status) == nil && status.Times != nil {
		n.applied = *status.Times
	}
	return n, checks, nil
}

// owners says on which instances each resource stands.
func (t tree) owners() map[string][]int {
	out := map[string][]int{}
	for id, n := range t {
		for _, r := range n.ids {
			out[r] = append(out[r], id)
		}
	}
	return out
}

// wrong says what must never be, whatever else goes on.
func (t tree) wrong() error {
	var errs []error
	for r, on := range t.owners() {
		if len(on) > 1 {
			slices.Sort(on)
			errs = append(errs, fmt.Errorf("resource %s stands on instances %v", r, on))
		}
	}
	for id, n := range t {
		if n.used != len(n.ids) {
			errs = append(errs, fmt.Errorf("instance %d: used is %d, with a list of %d", id, n.used, len(n.ids)))
		}
	}
	return errors.Join(errs...)
}

// placed is where each resource stands, for comparing.
func (t tree) placed() map[string]int {
	out := map[string]int{}
	for id, n := range t {
		for _, r := range n.ids {
			out[r] = id
		}
	}
	return out
}

// awaitSessionsGone waits until no candidate and no DAC has a node of its own below
// the kind: who ends in good order takes it along, of others it goes with the
// session.
func (w *world) awaitSessionsGone(k *kind) error {
	return retry(context.Background(), goneWithin, func(context.Context) error {
		return errors.Join(w.noSessions(treeRoot+"/"+k.name), w.noSessions(ownRoot+"/"+k.name))
	})
}

// noSessions says which nodes from at on belong to a session.
func (w *world) noSessions(at string) error {
	there, stat, err := w.zk.Exists(at)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", at, err)
	case !there:
		return nil
	case stat.EphemeralOwner != 0:
		return fmt.Errorf("%s is there, of session %x", at, stat.EphemeralOwner)
	}
	children, _, err := w.zk.Children(at)
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	} else if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	var errs []error
	for _, child := range children {
		errs = append(errs, w.noSessions(path.Join(at, child)))
	}
	return errors.Join(errs...)
}

// removeTree deletes what the kind has in ZooKeeper.
func (w *world) removeTree(k *kind) error {
	return errors.Join(w.removeNode(treeRoot+"/"+k.name), w.removeNode(ownRoot+"/"+k.name))
}

func (w *world) removeNode(at string) error {
	for {
		children, _, err := w.zk.Children(at)
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		for _, child := range children {
			if err := w.removeNode(path.Join(at, child)); err != nil {
				return err
			}
		}
		err = w.zk.Delete(at, -1)
		if !errors.Is(err, zk.ErrNotEmpty) { // somebody has just added a node
			if errors.Is(err, zk.ErrNoNode) {
				err = nil
			}
			return err
		}
	}
}
