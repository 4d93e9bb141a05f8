package zookeeper

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dacorch/orchestrator/fleet"
)

// TestCacheUnderFaults: whatever breaks, what is kept of a list is byte for byte
// what stands in the node at that version, and a transaction has happened exactly
// if it is said to have.
func TestCacheUnderFaults(t *testing.T) {
	t.Parallel()
	addr := startStandIn(t)
	p := newProxy(t, addr)
	servers := slices.Repeat([]string{p.addr()}, 1000) // there is a pause after so many attempts
	c := open(t, Config{Servers: servers, SessionTimeout: sessionTimeout})
	raw := rawConn(t, addr)
	ctx := patient(t)
	kinds := 0
	rapid.Check(t, func(rt *rapid.T) {
		kinds++
		kind := fleet.Kind(fmt.Sprint("Cache", kinds))
		err := c.Lead(ctx, kind, fleet.Candidate{}, func(_ context.Context, epoch int64, _ func() bool) {
			w := &cacheWriter{c: c, p: p, kind: kind, epoch: epoch, lists: map[fleet.InstanceID]*fleet.TreeInstance{}}
			w.paths, _ = pathsOf(kind)
			for range rapid.IntRange(1, 15).Draw(rt, "transactions") {
				w.step(rt, ctx)
				for id, in := range w.lists {
					data, stat, err := raw.Get(w.paths.instance(id).resources)
					if err != nil || string(data) != string(encodeList(in.IDs)) || stat.Version != in.Versions.Resources {
						rt.Fatalf("instance %d holds %.300s at %v (%v), want %q at %d", id, data, stat, err, in.IDs, in.Versions.Resources)
					}
					if kept, ok := c.kind(kind).list(id, stat.Version); ok && string(kept.data) != string(data) {
						rt.Fatalf("instance %d: %.300s is kept, and %.300s stands", id, kept.data, data)
					}
				}
				for id := range c.kind(kind).lists {
					if w.lists[id] == nil {
						rt.Fatalf("instance %d is kept, and is not there", id)
					}
				}
			}
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// cacheWriter makes random transactions with random faults, and knows what should
// come of them.
type cacheWriter struct {
	c     *Client
	p     *proxy
	kind  fleet.Kind
	paths paths
	epoch int64
	lists map[fleet.InstanceID]*fleet.TreeInstance
	ids   int
}

func (w *cacheWriter) step(rt *rapid.T, ctx context.Context) {
	txn := &fleet.Txn{Epoch: w.epoch}
	after := map[fleet.InstanceID]*fleet.TreeInstance{}
	for id := range fleet.InstanceID(3) {
		if rapid.Bool().Draw(rt, "left alone") {
			continue
		}
		change, in := w.change(rt, id)
		txn.Changes = append(txn.Changes, change)
		after[id] = in
	}
	want := fleet.OutcomeDone
	switch rapid.IntRange(0, 9).Draw(rt, "fault") {
	case 0:
		w.p.next(loseAnswer)
	case 1:
		w.p.next(loseRequest)
		want = fleet.OutcomeFailed
	case 2:
		w.p.cut()
	case 3:
		if len(txn.Changes) > 0 {
			txn.Changes[0].Versions.Node += 5
			want = fleet.OutcomeConflict
		}
	case 4:
		if _, err := w.c.ReadTree(ctx, w.kind); err != nil {
			rt.Log(err)
		}
	}
	if len(txn.Changes) > 0 && txn.Changes[0].Versions.Node >= 5 && txn.Changes[0].Kind == fleet.ChangeCreate {
		want = fleet.OutcomeDone // creations expect no version
	}
	got, err := w.commit(ctx, txn)
	w.p.next(none)
	switch {
	case got == fleet.OutcomeDone && want == fleet.OutcomeFailed && len(txn.Changes) == 0: // it writes nothing
	case got != want && got != fleet.OutcomeFailed: // a cut may cost any of them
		rt.Fatalf("%v (%v), want %v", got, err, want)
	}
	if got != fleet.OutcomeDone {
		return
	}
	for id, in := range after {
		if in == nil {
			delete(w.lists, id)
		} else {
			w.lists[id] = in
		}
	}
}

// commit waits for a connection first, so that most transactions are sent.
func (w *cacheWriter) commit(ctx context.Context, txn *fleet.Txn) (fleet.Outcome, error) {
	if err := w.c.awaitConnection(ctx); err != nil {
		return fleet.OutcomeFailed, err
	}
	return w.c.Commit(ctx, w.kind, txn)
}

// change draws what is done to an instance, and what it is then; nil when gone.
func (w *cacheWriter) change(rt *rapid.T, id fleet.InstanceID) (fleet.Change, *fleet.TreeInstance) {
	was := w.lists[id]
	change := fleet.Change{Instance: id, Capacity: 99}
	is := &fleet.TreeInstance{}
	switch {
	case was == nil:
		change.Kind = fleet.ChangeCreate
	case rapid.IntRange(0, 7).Draw(rt, "delete") == 0:
		change.Kind, change.Versions = fleet.ChangeDelete, was.Versions
		return change, nil
	default:
		change.Versions = was.Versions
		is.Versions = fleet.Versions{Node: was.Versions.Node + 1, Resources: was.Versions.Resources + 1, Reload: was.Versions.Reload + 1}
		for _, one := range was.IDs {
			if rapid.IntRange(0, 2).Draw(rt, "remove") == 0 {
				change.Remove = append(change.Remove, one)
			} else {
				is.IDs = append(is.IDs, one)
			}
		}
	}
	for range rapid.IntRange(0, 20).Draw(rt, "add") {
		w.ids++
		one := fmt.Sprintf("thing-%08d", w.ids)
		if rapid.IntRange(0, 20).Draw(rt, "odd") == 0 {
			one = fmt.Sprintf(`\"odd",%d`, w.ids)
		}
		change.Add = append(change.Add, one)
		is.IDs = append(is.IDs, one)
	}
	change.Used = len(is.IDs)
	return change, is
}
