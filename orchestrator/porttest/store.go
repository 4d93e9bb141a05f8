package porttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
)

// Store holds an adapter to the contract of loop.Store, and to the bytes that the
// platform reads and writes. start makes a fixture and cleans it up.
func Store(t *testing.T, start func(t *testing.T) EnsembleFixture) {
	f := start(t)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, e *ensemble)
	}{
		{"a tree that does not exist", storeEmpty},
		{"the bytes that are written", storeBytes},
		{"what others wrote is read", storeReads},
		{"a tree that the first orchestrator left", storeInherited},
		{"what does not parse is refused by its path", storeBad},
		{"create, update, move, delete", storeRoundTrip},
		{"conflicts", storeConflicts},
		{"a deposed leader", storeDeposed},
		{"larger than a packet", storeTooLarge},
		{"a list that others have changed", storeStranger},
		{"deletion with what stands below tmp", storeDeleteBelow},
		{"the answer is lost", storeAnswerLost},
		{"the request is lost", storeRequestLost},
		{"the request is lost and a new leader writes", storeRequestLostDeposed},
		{"the request is lost and somebody else writes", storeRequestLostReplaced},
		{"no connection until ctx ends", storePartitioned},
		{"kinds at the same time", storeKinds},
		{"random transactions equal a model", storeTwin},
		{"each instance is read at one version", storeConsistent},
		{"status", storeStatus},
		{"status after a cut, a partition and an expiry", storeStatusBreaks},
		{"the tree", storeTree},
		{"the tree after a cut, a partition and an expiry", storeTreeBreaks},
		{"a slow reader of the tree", storeTreeSlow},
		{"many instances", storeMany},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newEnsemble(f)) })
	}
}

// writer is a leader that commits, and the model of what stands.
type writer struct {
	t     *testing.T
	e     *ensemble
	m     EnsembleMember
	reign *reign
	model *treeModel
	next  uint64
}

func newWriter(t *testing.T, e *ensemble) *writer {
	m := e.Join(t)
	r := (&realm{t: t}).campaign(e, m, "writer").leads(t)
	return &writer{t: t, e: e, m: m, reign: r, model: newTreeModel()}
}

// txn is a transaction with the versions that the model has.
func (w *writer) txn(changes ...fleet.Change) *fleet.Txn {
	w.next++
	txn := &fleet.Txn{ID: w.next, Epoch: w.reign.epoch, Changes: changes}
	for i := range txn.Changes {
		c := &txn.Changes[i]
		in := w.model.instances[c.Instance]
		if in == nil {
			c.Used = len(c.Add)
			continue
		}
		c.Versions = in.Versions
		c.Used = len(in.IDs) + len(c.Add) - len(c.Remove)
		if c.Times == 0 {
			c.Times = in.Times + 1
		}
	}
	return txn
}

// commit wants an outcome, and an error that explains it.
func (w *writer) commit(txn *fleet.Txn, want fleet.Outcome) {
	w.t.Helper()
	got, err := w.m.Store.Commit(ensembleContext(w.t), w.e.kind, txn)
	if got != want {
		w.t.Fatalf("transaction %d: %v (%v), want %v", txn.ID, got, err, want)
	}
	if (err == nil) != (want == fleet.OutcomeDone) {
		w.t.Fatalf("transaction %d: %v with error %v", txn.ID, got, err)
	}
	if want == fleet.OutcomeDone {
		w.model.apply(txn)
	}
}

func (w *writer) done(changes ...fleet.Change) {
	w.t.Helper()
	w.commit(w.txn(changes...), fleet.OutcomeDone)
}

// reads wants what is read by each member to be what the model has.
func (w *writer) reads(members ...EnsembleMember) {
	w.t.Helper()
	for _, m := range append(members, w.m) {
		tree, err := m.Store.ReadTree(ensembleContext(w.t), w.e.kind)
		if err != nil {
			w.t.Fatal(err)
		}
		if d := w.model.differs(tree); d != "" {
			w.t.Fatalf("the tree differs from the model: %s", d)
		}
	}
}

func storeEmpty(t *testing.T, e *ensemble) {
	tree, err := e.Join(t).Store.ReadTree(ensembleContext(t), e.kind)
	if err != nil || len(tree.Instances) != 0 || tree.ControlVersion != -1 {
		t.Errorf("read %+v, %v, want an empty tree with control version -1", tree, err)
	}
}

func storeBytes(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	control := w.txn(fleet.Change{Kind: fleet.ChangeCreate, Instance: 3, Capacity: 500, Add: []string{"a", `q"\<é`}})
	control.Control, control.ControlVersion = &fleet.Control{Capacity: 500}, -1
	w.commit(control, fleet.OutcomeDone)
	w.wantNodes(map[string]string{
		"": `{"used":2,"count":500}`, "/resources": `{"ids":["a","q\"\\<é"]}`, "/_reload": `{"times":0}`, "/tmp": "",
	})
	w.done(fleet.Change{Instance: 3, Capacity: 400, Add: []string{"c"}, Remove: []string{"a"}})
	w.wantNodes(map[string]string{
		"": `{"used":2,"count":400}`, "/resources": `{"ids":["q\"\\<é","c"]}`, "/_reload": `{"times":1}`,
	})
	if data, version, _ := e.Get(t, e.own("control")); data != `{"capacity":500}` || version != 0 {
		t.Errorf("control is %s at version %d", data, version)
	}
	w.done(fleet.Change{Instance: 3, Capacity: 400, Remove: []string{"c", `q"\<é`}})
	w.wantNodes(map[string]string{"": `{"used":0,"count":400}`, "/resources": `{"ids":[]}`, "/_reload": `{"times":2}`})
	w.done(fleet.Change{Kind: fleet.ChangeDelete, Instance: 3})
	if names := e.Children(t, strings.TrimSuffix(e.path(3, ""), "/3")); len(names) != 0 {
		t.Errorf("%q stand after the deletion", names)
	}
}

func (w *writer) wantNodes(nodes map[string]string) {
	w.t.Helper()
	for below, want := range nodes {
		got, _, ok := w.e.Get(w.t, w.e.path(3, below))
		if !ok || got != want {
			w.t.Errorf("%s holds %s (there: %v), want %s", w.e.path(3, below), got, ok, want)
		}
	}
}

// put makes an instance's nodes as others write them.
func (e *ensemble) put(t *testing.T, id int, node, resources, reload string) {
	t.Helper()
	e.Put(t, e.path(id, ""), node)
	e.Put(t, e.path(id, "/resources"), resources)
	e.Put(t, e.path(id, "/_reload"), reload)
	e.Put(t, e.path(id, "/tmp"), "")
}

func storeReads(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 5})
	e.put(t, 4, ` { "count" : 500 , "more" : {"x":[1]}, "used" : "2" }`, "{\n \"ids\": [ \"a\\u0062\", \"c\\/d\", 17 ],\n \"v\": 1 }", `{"x":null,"times":"4"}`)
	e.Put(t, e.path(4, "/tmp/status"), `{"at": 1, "times": 3}`)
	e.put(t, 5, `{"used":0,"count":1}`, `{"ids":[]}`, `{"times":0}`)
	e.Put(t, e.path(5, "/tmp/status"), `running`)
	tree, err := w.m.Store.ReadTree(ensembleContext(t), e.kind)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[fleet.InstanceID]fleet.TreeInstance{}
	for _, in := range tree.Instances {
		byID[in.ID] = in
	}
	in := byID[4]
	if in.Used != 2 || in.Capacity != 500 || in.Times != 4 || !slices.Equal(in.IDs, []string{"ab", "c/d", "17"}) ||
		in.Status != (fleet.Status{Present: true, Times: 3}) {
		t.Errorf("read %+v", in)
	}
	if s := byID[5].Status; s != (fleet.Status{Present: true, Times: -1}) {
		t.Errorf("a status without times reads %+v, want Present and -1", s)
	}
	if byID[1].Born >= in.Born || in.Born >= byID[5].Born {
		t.Errorf("born %d, %d, %d: want the order of creation", byID[1].Born, in.Born, byID[5].Born)
	}
	// The change of such a list is one of the list as it reads.
	txn := &fleet.Txn{ID: 99, Epoch: w.reign.epoch, Changes: []fleet.Change{{Instance: 4, Capacity: 500, Used: 3, Times: 5,
		Add: []string{"n"}, Remove: []string{"ab"}, Versions: in.Versions}}}
	if o, err := w.m.Store.Commit(ensembleContext(t), e.kind, txn); o != fleet.OutcomeDone {
		t.Fatal(o, err)
	}
	if data, _, _ := e.Get(t, e.path(4, "/resources")); data != `{"ids":["c/d","17","n"]}` {
		t.Errorf("the list is %s", data)
	}
}

// storeInherited: what the first orchestrator never wrote is read as times 0, and
// made by the first change of the instance.
func storeInherited(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	for id, reload := range map[int]string{1: "", 2: `{}`, 3: `{"times":null}`, 4: "", 5: ""} {
		e.put(t, id, `{"used":1,"count":5}`, fmt.Sprintf(`{"ids":["r%d"]}`, id), reload)
		in := &fleet.TreeInstance{ID: fleet.InstanceID(id), Capacity: 5, Used: 1, IDs: []string{fmt.Sprint("r", id)}}
		if reload == "" {
			e.Remove(t, e.path(id, "/_reload"))
			in.Versions.Reload = -1
		}
		w.model.instances[in.ID] = in
	}
	e.Remove(t, e.path(4, "/tmp"))
	l := watchTree(t, e, e.Join(t))
	l.equals(w.model)
	w.reads()
	if _, _, there := e.Get(t, e.path(1, "/_reload")); there {
		t.Error("reading makes nodes")
	}
	w.done(fleet.Change{Instance: 1, Capacity: 5, Add: []string{"a"}}, fleet.Change{Instance: 2, Capacity: 5, Add: []string{"b"}},
		fleet.Change{Instance: 3, Capacity: 5, Remove: []string{"r3"}}, fleet.Change{Kind: fleet.ChangeDelete, Instance: 4})
	l.equals(w.model)
	w.reads()
	if data, version, _ := e.Get(t, e.path(1, "/_reload")); data != `{"times":1}` || version != 0 {
		t.Errorf("_reload is %s at version %d", data, version)
	}
	w.done(fleet.Change{Instance: 1, Capacity: 5, Remove: []string{"a"}})
	w.reads()

	// Somebody else makes it first: neither a change nor a deletion passes over that.
	e.Put(t, e.path(5, "/_reload"), `{"times":7}`)
	w.commit(w.txn(fleet.Change{Instance: 5, Capacity: 5, Add: []string{"c"}}), fleet.OutcomeConflict)
	w.commit(w.txn(fleet.Change{Kind: fleet.ChangeDelete, Instance: 5}), fleet.OutcomeConflict)
	w.model.instances[5].Versions.Reload, w.model.instances[5].Times = 0, 7
	l.equals(w.model)
	w.reads()
	w.done(fleet.Change{Instance: 5, Capacity: 5, Add: []string{"c"}})
	// And takes it away again.
	e.Remove(t, e.path(5, "/_reload"))
	w.commit(w.txn(fleet.Change{Instance: 5, Capacity: 5, Add: []string{"d"}}), fleet.OutcomeConflict)
	w.model.instances[5].Versions.Reload, w.model.instances[5].Times = -1, 0
	l.equals(w.model)
	w.done(fleet.Change{Instance: 5, Capacity: 5, Add: []string{"d"}})
	l.equals(w.model)
	w.reads()
}

func storeBad(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 5})
	for below, bad := range map[string]string{"": `{"used":1}`, "/resources": `{"ids":"a"}`, "/_reload": `null`} {
		good, _, _ := e.Get(t, e.path(1, below))
		e.Put(t, e.path(1, below), bad)
		_, err := w.m.Store.ReadTree(ensembleContext(t), e.kind)
		if err == nil || !strings.Contains(err.Error(), e.path(1, below)) {
			t.Errorf("%s holds %s: the error is %v, want one that names the path", e.path(1, below), bad, err)
		}
		e.Put(t, e.path(1, below), good)
	}
	e.Put(t, e.path(1, "/../notes")[:len(e.path(1, ""))-1]+"notes", "not an instance")
	if tree, err := w.m.Store.ReadTree(ensembleContext(t), e.kind); err != nil || len(tree.Instances) != 1 {
		t.Errorf("read %+v, %v with a node that is no instance, want the one that is", tree, err)
	}
}

func storeRoundTrip(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	reader := e.Join(t)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 10, Add: []string{"a", "b", "c"}},
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 12, Capacity: 10, Times: 7})
	w.reads(reader)
	w.done(fleet.Change{Instance: 0, Capacity: 10, Remove: []string{"b"}}, fleet.Change{Instance: 12, Capacity: 10, Add: []string{"b"}})
	w.reads(reader)
	last := w.txn(fleet.Change{Kind: fleet.ChangeDelete, Instance: 12}, fleet.Change{Instance: 0, Capacity: 11, Add: []string{"b"}})
	last.Control = &fleet.Control{TargetInstances: 1, Closing: []fleet.InstanceID{12}, Maintenance: true}
	last.ControlVersion = -1
	w.commit(last, fleet.OutcomeDone)
	w.reads(reader)
	control := w.txn()
	control.Control = &fleet.Control{ResourcePerInstance: 5, MaxInstances: 6, Capacity: 7}
	w.commit(control, fleet.OutcomeDone)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 12, Capacity: 3, Add: []string{"x"}})
	w.done(fleet.Change{Instance: 12, Capacity: 3, Add: []string{"y"}})
	w.done()
	w.reads(reader)
}

func storeDeposed(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 1})
	for _, epoch := range []int64{w.reign.epoch - 1, w.reign.epoch + 1, -5, 1 << 40} {
		txn := w.txn(fleet.Change{Instance: 0, Capacity: 2})
		txn.Epoch = epoch
		w.commit(txn, fleet.OutcomeDeposed)
	}
	w.reads()
}

func storeTooLarge(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	ids := make([]string, 12_000)
	for i := range ids {
		ids[i] = fmt.Sprintf("%090d", i)
	}
	w.commit(w.txn(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 20_000, Add: ids}), fleet.OutcomeFailed)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 20_000, Add: ids[:11_000]})
	w.commit(w.txn(fleet.Change{Instance: 0, Capacity: 20_000, Add: ids[11_000:]}), fleet.OutcomeFailed)
	w.done(fleet.Change{Instance: 0, Capacity: 20_000, Remove: ids[:9_000]})
	w.done(fleet.Change{Instance: 0, Capacity: 20_000, Add: ids[11_000:]})
	w.reads()
}

func storeMany(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	const instances, batch = 300, 50
	for from := 0; from < instances; from += batch {
		var changes []fleet.Change
		for i := from; i < from+batch; i++ {
			changes = append(changes, fleet.Change{Kind: fleet.ChangeCreate, Instance: fleet.InstanceID(i), Capacity: 9, Add: []string{fmt.Sprint("r", i)}})
		}
		w.done(changes...)
	}
	w.reads(e.Join(t))
}

func storePartitioned(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	heal := w.m.Partition()
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan fleet.Outcome, 1)
	txn := w.txn(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 1})
	go func() {
		o, _ := w.m.Store.Commit(ctx, e.kind, txn)
		answer <- o
	}()
	awaited(t, w.reign.ctx.Done(), "the leadership ends")
	cancel()
	select {
	case o := <-answer:
		if o != fleet.OutcomeUnknown {
			t.Errorf("%v for a transaction that nobody answered, want unknown", o)
		}
	case <-ensembleContext(t).Done():
		t.Error("Commit does not end with its context")
	}
	heal()
}
