package world

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// plainTree executes transactions the long way: as a multi on paths, with lists
// as JSON-like text, on a tree of its own.
type plainTree struct {
	z     *Znodes
	epoch int32
	lists map[fleet.InstanceID][]string
}

func newPlainTree(t *rapid.T) *plainTree {
	p := &plainTree{z: NewZnodes(0xfffff), lists: map[fleet.InstanceID][]string{}}
	for _, path := range []string{"/epoch", "/own", "/kind"} {
		if err := p.z.Create(path, "", 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *plainTree) submit(txn *fleet.Txn) fleet.Outcome {
	ops := []ZOp{{Kind: ZCheck, Path: "/epoch", Version: int32(txn.Epoch)}}
	if txn.Control != nil {
		kind := ZSet
		if txn.ControlVersion == -1 {
			kind = ZCreate
		}
		ops = append(ops, ZOp{Kind: kind, Path: "/own/control", Data: "", Version: txn.ControlVersion})
	}
	lists := map[fleet.InstanceID][]string{}
	for i := range txn.Changes {
		c := &txn.Changes[i]
		list, fits := edited(p.lists[c.Instance], c)
		if !fits {
			// The one who executes it does not hold the list at that version.
			if p.epoch != int32(txn.Epoch) {
				return fleet.OutcomeDeposed
			}
			return fleet.OutcomeConflict
		}
		lists[c.Instance] = list
		path := "/kind/" + c.Instance.String()
		data := strings.Join(list, ",")
		switch c.Kind {
		case fleet.ChangeCreate:
			for _, q := range []string{path, path + "/resources", path + "/_reload", path + "/tmp"} {
				ops = append(ops, ZOp{Kind: ZCreate, Path: q, Data: data})
			}
		case fleet.ChangeUpdate:
			ops = append(ops,
				ZOp{Kind: ZSet, Path: path, Version: c.Versions.Node, Data: fmt.Sprint(c.Used, c.Capacity)},
				ZOp{Kind: ZSet, Path: path + "/resources", Version: c.Versions.Resources, Data: data},
				ZOp{Kind: ZSet, Path: path + "/_reload", Version: c.Versions.Reload, Data: c.Times})
		case fleet.ChangeDelete:
			ops = append(ops,
				ZOp{Kind: ZDelete, Path: path + "/tmp", Version: AnyVersion},
				ZOp{Kind: ZDelete, Path: path + "/_reload", Version: c.Versions.Reload},
				ZOp{Kind: ZDelete, Path: path + "/resources", Version: c.Versions.Resources},
				ZOp{Kind: ZDelete, Path: path, Version: c.Versions.Node})
		}
	}
	index, err := p.z.Multi(ops)
	switch {
	case err == nil:
		for id, list := range lists {
			p.lists[id] = list
		}
		return fleet.OutcomeDone
	case index == 0:
		return fleet.OutcomeDeposed
	default:
		return fleet.OutcomeConflict
	}
}

// edited is a list after a change; false when the change does not fit it.
func edited(list []string, c *fleet.Change) ([]string, bool) {
	if c.Kind != fleet.ChangeUpdate {
		list = nil
	}
	list = slices.Clone(list)
	for _, id := range c.Remove {
		i := slices.Index(list, id)
		if i < 0 {
			return nil, false
		}
		list = slices.Delete(list, i, i+1)
	}
	for _, id := range c.Add {
		if slices.Contains(list, id) {
			return nil, false
		}
		list = append(list, id)
	}
	if c.Kind == fleet.ChangeDelete {
		list = nil
	}
	return list, true
}

func drawTxn(t *rapid.T, live map[fleet.InstanceID]fleet.Versions) *fleet.Txn {
	txn := &fleet.Txn{Epoch: rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, 1}).Draw(t, "epoch")}
	if rapid.IntRange(0, 5).Draw(t, "control") == 0 {
		txn.Control, txn.ControlVersion = &fleet.Control{Capacity: 3}, rapid.Int32Range(-1, 2).Draw(t, "controlVersion")
	}
	instances := rapid.SliceOfNDistinct(rapid.Int32Range(0, 3), 1, 3, rapid.ID[int32]).Draw(t, "instances")
	for _, id := range instances {
		c := fleet.Change{Kind: fleet.ChangeKind(rapid.IntRange(0, 2).Draw(t, "kind")), Instance: fleet.InstanceID(id), Capacity: 10, Times: 1}
		v, exists := live[c.Instance]
		if rapid.IntRange(0, 3).Draw(t, "sane") > 0 && (c.Kind == fleet.ChangeCreate) == exists {
			c.Kind = fleet.ChangeCreate
			if exists {
				c.Kind = fleet.ChangeUpdate
			}
		}
		c.Versions = v
		if rapid.IntRange(0, 9).Draw(t, "stale") == 0 {
			c.Versions.Reload += rapid.Int32Range(0, 1).Draw(t, "ahead")
		}
		ids := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 3, rapid.ID[string]).Draw(t, "ids")
		cut := rapid.IntRange(0, len(ids)).Draw(t, "cut")
		if c.Kind != fleet.ChangeDelete {
			c.Add = ids[:cut]
		}
		if c.Kind == fleet.ChangeUpdate {
			c.Remove = ids[cut:]
		}
		txn.Changes = append(txn.Changes, c)
	}
	return txn
}

// The typed layer ends every transaction as a multi on paths would, and leaves
// the same lists and versions; what it announces is what happened; a DAC that
// follows differences holds the list.
func TestSubmitIsAMulti(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := timeline.New()
		z := NewZooKeeper(tl, 1, fixedConfig().ZooKeeper)
		twin := newPlainTree(t)
		announced := 0
		z.OnCommit = func(time.Duration, fleet.Kind, *fleet.Txn) { announced++ }
		session := z.Open(nil)
		done := 0
		mirrors := map[fleet.InstanceID]*mirror{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			live := map[fleet.InstanceID]fleet.Versions{}
			for _, in := range z.tree(thing).snapshot().Instances {
				live[in.ID] = in.Versions
			}
			txn := drawTxn(t, live)
			want := twin.submit(txn)
			var got fleet.Outcome
			session.Submit(thing, txn, func(_ time.Duration, _ fleet.Kind, _ *fleet.Txn, o fleet.Outcome) { got = o })
			for tl.Step() {
			}
			if got != want {
				t.Fatalf("txn %+v: %v, want %v", txn, got, want)
			}
			if got == fleet.OutcomeDone {
				done++
			}
			if announced != done {
				t.Fatalf("%d transactions announced, %d done", announced, done)
			}
			compareInstances(t, z, twin)
			for id := range fleet.InstanceID(4) {
				in := z.instance(z.tree(thing), id)
				if rapid.IntRange(0, 2).Draw(t, "follow") == 0 {
					follow(t, mirrors, in)
				}
			}
		}
	})
}

func compareInstances(t *rapid.T, z *ZooKeeper, twin *plainTree) {
	tree := z.tree(thing).snapshot()
	names, err := twin.z.Children("/kind", nil)
	if err != nil || len(names) != len(tree.Instances) {
		t.Fatalf("%d instances, want %v (%v)", len(tree.Instances), names, err)
	}
	for _, in := range tree.Instances {
		path := "/kind/" + in.ID.String()
		version := func(p string) int32 {
			n, err := twin.z.Get(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			return n.Version
		}
		if want := (fleet.Versions{Node: version(path), Resources: version(path + "/resources"), Reload: version(path + "/_reload")}); in.Versions != want {
			t.Fatalf("instance %v: versions %+v, want %+v", in.ID, in.Versions, want)
		}
		bytes := 0
		for _, id := range in.IDs {
			bytes += fleet.ListBytes(id)
		}
		if got := z.tree(thing).instances[in.ID].list.bytes; got != bytes {
			t.Fatalf("instance %v: %d bytes, want %d", in.ID, got, bytes)
		}
		slices.Sort(in.IDs)
		if want := slices.Sorted(slices.Values(twin.lists[in.ID])); !slices.Equal(in.IDs, want) {
			t.Fatalf("instance %v: %v, want %v", in.ID, in.IDs, want)
		}
	}
}

// mirror is a reader that holds some version of a list.
type mirror struct {
	born    int64
	version int32
	ids     idSet
}

func follow(t *rapid.T, mirrors map[fleet.InstanceID]*mirror, in *instanceNodes) {
	if in.node == nil {
		return
	}
	m := mirrors[in.id]
	if m == nil || m.born != in.node.Czxid {
		m = &mirror{born: in.node.Czxid, version: in.list.version}
		mirrors[in.id] = m
		for _, id := range in.list.sorted() {
			m.ids.add(id)
		}
		return
	}
	edits, ok := in.list.since(m.version, nil)
	if !ok && in.list.version-m.version <= logVersions {
		t.Fatalf("the log does not lead from %d to %d", m.version, in.list.version)
	}
	if !ok {
		delete(mirrors, in.id)
		return
	}
	for _, e := range lastEdits(edits) {
		if e.add {
			m.ids.add(e.id)
		} else {
			m.ids.remove(e.id)
		}
	}
	m.version = in.list.version
	if got, want := m.ids.sorted(), in.list.sorted(); !slices.Equal(got, want) {
		t.Fatalf("instance %v followed to version %d: %v, want %v", in.id, m.version, got, want)
	}
}

// A transaction past jute.maxbuffer fails whole and is counted; one just below
// passes.
func TestSubmitBoundsBytes(t *testing.T) {
	tl := timeline.New()
	cfg := fixedConfig().ZooKeeper
	cfg.MaxRequest = 4096
	z := NewZooKeeper(tl, 1, cfg)
	session := z.Open(nil)
	submit := func(c fleet.Change) (got fleet.Outcome) {
		session.Submit(thing, &fleet.Txn{Changes: []fleet.Change{c}}, func(_ time.Duration, _ fleet.Kind, _ *fleet.Txn, o fleet.Outcome) { got = o })
		for tl.Step() {
		}
		return got
	}
	if got := submit(fleet.Change{Kind: fleet.ChangeCreate, Add: []string{strings.Repeat("a", 3000)}}); got != fleet.OutcomeDone {
		t.Fatalf("3000 bytes: %v", got)
	}
	if got := submit(fleet.Change{Kind: fleet.ChangeUpdate, Add: []string{strings.Repeat("b", 1000)}, Times: 1}); got != fleet.OutcomeFailed {
		t.Errorf("4000 bytes: %v, want failed", got)
	}
	if got := submit(fleet.Change{Kind: fleet.ChangeUpdate, Add: []string{strings.Repeat("b", 1000)}, Remove: []string{strings.Repeat("a", 3000)}, Times: 1}); got != fleet.OutcomeDone {
		t.Errorf("1000 bytes after the removal of 3000: %v", got)
	}
	if s := z.Stats(); s.TooLarge != 1 || s.Committed != 2 || s.MaxBytes < 3000 || s.MaxBytes > cfg.MaxRequest {
		t.Errorf("stats %+v", s)
	}
}

// A large difference is not kept: readers take the whole list.
func TestLargeDifferencesAreNotKept(t *testing.T) {
	var l idList
	l.create([]string{"x"})
	many := make([]string, logIDs+1)
	for i := range many {
		many[i] = fmt.Sprint("id", i)
	}
	l.change([]string{"y"}, nil)
	l.change(many, nil)
	if _, ok := l.since(1, nil); ok {
		t.Error("a difference past the bound was kept")
	}
	l.change(nil, []string{"x"})
	edits, ok := l.since(2, nil)
	if want := []listEdit{{id: "x"}}; !ok || !slices.Equal(edits, want) {
		t.Errorf("since 2: %v %v, want %v", edits, ok, want)
	}
	if _, ok := l.since(4, nil); ok {
		t.Error("a version yet to come was answered")
	}
}

func TestDisconnectedSessionFails(t *testing.T) {
	tl := timeline.New()
	z := NewZooKeeper(tl, 1, fixedConfig().ZooKeeper)
	s := z.Open(nil)
	s.Close()
	s.Submit(thing, &fleet.Txn{}, func(time.Duration, fleet.Kind, *fleet.Txn, fleet.Outcome) { t.Error("a closed session was answered") })
	s.ReadTree(thing, 1, func(time.Duration, uint64, fleet.Tree, error) { t.Error("a closed session was answered") })
	for tl.Step() {
	}
	s = z.Open(nil)
	s.Cut()
	var err error
	s.ReadTree(thing, 1, func(_ time.Duration, _ uint64, _ fleet.Tree, e error) { err = e })
	for tl.Step() {
	}
	if !errors.Is(err, ErrDisconnected) {
		t.Errorf("read without a connection: %v, want %v", err, ErrDisconnected)
	}
}
