package porttest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"dacorch/orchestrator/fleet"
)

func storeConflicts(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5, Add: []string{"a", "b"}})
	stale := func(change func(*fleet.Txn)) *fleet.Txn {
		txn := w.txn(fleet.Change{Instance: 0, Capacity: 6, Add: []string{"c"}})
		change(txn)
		return txn
	}
	for _, txn := range []*fleet.Txn{
		stale(func(x *fleet.Txn) { x.Changes[0].Versions.Node++ }),
		stale(func(x *fleet.Txn) { x.Changes[0].Versions.Resources++ }),
		stale(func(x *fleet.Txn) { x.Changes[0].Versions.Reload++ }),
		stale(func(x *fleet.Txn) { x.Changes[0].Versions.Reload = -1 }),
		stale(func(x *fleet.Txn) { x.Changes[0].Versions.Reload = -2 }),
		stale(func(x *fleet.Txn) { x.Changes[0].Instance = 9 }),
		stale(func(x *fleet.Txn) { x.Changes[0].Remove = []string{"z"} }),
		stale(func(x *fleet.Txn) { x.Changes[0].Add = []string{"a"} }),
		stale(func(x *fleet.Txn) { x.Control, x.ControlVersion = &fleet.Control{}, 0 }),
		w.txn(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 6}),
		w.txn(fleet.Change{Kind: fleet.ChangeDelete, Instance: 9}),
		stale(func(x *fleet.Txn) { x.Changes[0].Kind, x.Changes[0].Versions.Reload = fleet.ChangeDelete, 3 }),
		// all or nothing: the first change alone would do
		w.txn(fleet.Change{Instance: 0, Capacity: 6}, fleet.Change{Kind: fleet.ChangeDelete, Instance: 9}),
	} {
		w.commit(txn, fleet.OutcomeConflict)
		w.reads()
	}
	_, err := w.m.Store.Commit(ensembleContext(t), e.kind, stale(func(x *fleet.Txn) { x.Changes[0].Versions.Node = 8 }))
	if err == nil || !strings.Contains(err.Error(), e.path(0, "")) || !strings.Contains(err.Error(), "8") {
		t.Errorf("the error is %v, want one that names path and version", err)
	}
	w.done(fleet.Change{Instance: 0, Capacity: 6, Add: []string{"c"}})
	w.reads()
}

func storeStranger(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5, Add: []string{"a"}})
	e.Put(t, e.path(0, "/resources"), `{"ids": ["other"]}`)
	w.commit(w.txn(fleet.Change{Instance: 0, Capacity: 5, Add: []string{"b"}}), fleet.OutcomeConflict)
	in := w.model.instances[0]
	in.IDs, in.Versions.Resources = []string{"other"}, 1
	w.done(fleet.Change{Instance: 0, Capacity: 5, Add: []string{"b"}})
	w.reads()
	// Deleted and created anew by another leader: the version is the same, the
	// list is not.
	w.reign.resigns(t)
	second := newWriter(t, e)
	second.model = w.model
	second.reads()
	second.done(fleet.Change{Kind: fleet.ChangeDelete, Instance: 0})
	second.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5, Add: []string{"x"}})
	second.done(fleet.Change{Instance: 0, Capacity: 5, Add: []string{"y"}})
	second.done(fleet.Change{Instance: 0, Capacity: 5, Add: []string{"z"}})
	second.reign.resigns(t)
	w.reign = (&realm{t: t}).campaign(e, w.m, "again").leads(t)
	w.done(fleet.Change{Instance: 0, Capacity: 5, Remove: []string{"x"}})
	w.reads()
}

func storeDeleteBelow(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	for id := range 3 {
		w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: fleet.InstanceID(id), Capacity: 5})
	}
	e.Put(t, e.path(0, "/tmp/status"), `{"times":1}`)
	e.Put(t, e.path(1, "/tmp/log"), ``)
	e.Put(t, e.path(1, "/tmp/log/1"), `x`)
	e.Put(t, e.path(1, "/tmp/status"), ``)
	w.done(fleet.Change{Kind: fleet.ChangeDelete, Instance: 0}, fleet.Change{Kind: fleet.ChangeDelete, Instance: 1})
	w.reads()

	// It may come, and go, while the deletion is on its way.
	w.m.Before(func() { e.Put(t, e.path(2, "/tmp/status"), "") })
	w.done(fleet.Change{Kind: fleet.ChangeDelete, Instance: 2})
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 3, Capacity: 5})
	e.Put(t, e.path(3, "/tmp/status"), "")
	w.m.Before(func() { e.Remove(t, e.path(3, "/tmp/status")) })
	w.done(fleet.Change{Kind: fleet.ChangeDelete, Instance: 3})
	w.reads()
}

// everyChange are transactions of all kinds, one after the other.
func everyChange(w *writer) []func() *fleet.Txn {
	control := func(txn *fleet.Txn, capacity int) *fleet.Txn {
		txn.Control, txn.ControlVersion = &fleet.Control{Capacity: capacity}, w.model.controlVersion
		return txn
	}
	return []func() *fleet.Txn{
		func() *fleet.Txn {
			return w.txn(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5, Add: []string{"a"}})
		},
		func() *fleet.Txn { return w.txn(fleet.Change{Instance: 0, Capacity: 6, Add: []string{"b"}}) },
		func() *fleet.Txn {
			w.e.Remove(w.t, w.e.path(0, "/_reload"))
			w.model.instances[0].Versions.Reload, w.model.instances[0].Times = -1, 0
			return w.txn(fleet.Change{Instance: 0, Capacity: 6, Remove: []string{"b"}})
		},
		func() *fleet.Txn { return control(w.txn(), 1) },
		func() *fleet.Txn { return control(w.txn(), 2) },
		func() *fleet.Txn {
			return control(w.txn(fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 5, Add: []string{"c"}},
				fleet.Change{Instance: 0, Capacity: 5, Remove: []string{"a"}}), 3)
		},
		func() *fleet.Txn { return w.txn(fleet.Change{Kind: fleet.ChangeDelete, Instance: 0}) },
	}
}

func storeAnswerLost(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	for _, next := range everyChange(w) {
		w.m.LoseAnswer()
		w.commit(next(), fleet.OutcomeDone)
	}
	w.reads()
}

func storeRequestLost(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	for _, next := range everyChange(w) {
		w.m.LoseRequest()
		w.commit(next(), fleet.OutcomeFailed)
		w.reads()
		w.commit(next(), fleet.OutcomeDone)
	}
	w.reads()
}

func storeRequestLostDeposed(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5, Add: []string{"a"}})
	w.m.LoseRequest()
	e.Put(t, e.own("epoch"), "another leader")
	w.commit(w.txn(fleet.Change{Instance: 0, Capacity: 6, Add: []string{"b"}}), fleet.OutcomeDeposed)
	w.reads()
}

func storeRequestLostReplaced(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5, Add: []string{"a"}})
	in := w.model.instances[0]
	// Somebody else's write leaves the versions that ours would have left.
	w.m.Before(func() { e.put(t, 0, `{"used":1,"count":9}`, `{"ids":["other"]}`, `{"times":4}`) })
	w.m.LoseRequest()
	w.commit(w.txn(fleet.Change{Instance: 0, Capacity: 6, Add: []string{"b"}}), fleet.OutcomeConflict)
	in.Versions = fleet.Versions{Node: 1, Resources: 1, Reload: 1}
	in.Capacity, in.Used, in.IDs, in.Times = 9, 1, []string{"other"}, 4
	w.reads()
	w.done(fleet.Change{Instance: 0, Capacity: 6, Add: []string{"b"}, Remove: []string{"other"}})
	w.reads()
}

func storeKinds(t *testing.T, e *ensemble) {
	m := e.Join(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			kind := newEnsemble(e.EnsembleFixture)
			epoch := make(chan int64)
			lead := (&realm{t: t}).campaign(kind, m, "a")
			go func() { <-lead.began; epoch <- lead.epoch }()
			txn := &fleet.Txn{Epoch: <-epoch, Changes: []fleet.Change{{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 99}}}
			for n := range 50 {
				if o, err := m.Store.Commit(t.Context(), kind.kind, txn); o != fleet.OutcomeDone {
					t.Errorf("%s, transaction %d: %v, %v", kind.kind, n, o, err)
					return
				}
				v := int32(n)
				txn.Changes = []fleet.Change{{Instance: 1, Capacity: 99, Used: n + 1, Times: int64(n + 1), Add: []string{fmt.Sprint(kind.kind, n)},
					Versions: fleet.Versions{Node: v, Resources: v, Reload: v}}}
			}
		})
	}
	group.Wait()
}

// twinIDs are ids that are hard to find in JSON.
var twinIDs = []string{"a", "b", "ab", ",", `"`, `\`, `\\`, `","`, `a"`, `"a`, `\"`, `a\`, "ids", "[", "]", "{", `]}`, `"]}`,
	"é", "日本", "<a&b>", "\u2028", "x,", ",x", `x","y`, `\u0061`, "0", "3f6c0b0e-2a49-4a52-9d4e-0f0a7f1c2d3e", strings.Repeat("n", 90)}

// storeTwin runs random transactions, valid and not, against the model.
func storeTwin(t *testing.T, e *ensemble) {
	m, reader := e.Join(t), e.Join(t)
	rapid.Check(t, func(rt *rapid.T) {
		kind := newEnsemble(e.EnsembleFixture)
		r := (&realm{t: t}).campaign(kind, m, "twin").leads(t)
		defer r.resigns(t)
		w := &writer{t: t, e: kind, m: m, reign: r, model: newTreeModel()}
		for range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			txn := drawTxn(rt, w)
			want := w.model.outcome(txn)
			if txn.Epoch != r.epoch {
				want = fleet.OutcomeDeposed
			}
			got, err := m.Store.Commit(ensembleContext(t), kind.kind, txn)
			// With two things wrong either may be found first.
			bothWrong := want == fleet.OutcomeDeposed && got == fleet.OutcomeConflict && w.model.outcome(txn) == got
			if got != want && !bothWrong {
				rt.Fatalf("%+v: %v (%v), want %v", *txn, got, err, want)
			}
			if got == fleet.OutcomeDone {
				w.model.apply(txn)
			}
			if rapid.IntRange(0, 3).Draw(rt, "read") == 0 {
				w.reads()
			}
		}
		w.reads(reader)
	})
}

func drawTxn(rt *rapid.T, w *writer) *fleet.Txn {
	var changes []fleet.Change
	ids := rapid.SliceOfNDistinct(rapid.Int32Range(0, 4), 0, 3, rapid.ID[int32]).Draw(rt, "instances")
	for _, n := range ids {
		c := fleet.Change{Instance: fleet.InstanceID(n), Capacity: rapid.IntRange(0, 9999).Draw(rt, "capacity")}
		in := w.model.instances[c.Instance]
		picked := rapid.SliceOfNDistinct(rapid.SampledFrom(twinIDs), 0, len(twinIDs), rapid.ID[string]).Draw(rt, "ids")
		switch {
		case in == nil:
			c.Kind, c.Add = fleet.ChangeCreate, picked
		case rapid.IntRange(0, 5).Draw(rt, "delete") == 0:
			c.Kind = fleet.ChangeDelete
		default:
			for _, id := range picked {
				if slices.Contains(in.IDs, id) {
					c.Remove = append(c.Remove, id)
				} else {
					c.Add = append(c.Add, id)
				}
			}
		}
		changes = append(changes, c)
	}
	txn := w.txn(changes...)
	if rapid.Bool().Draw(rt, "control") {
		txn.Control = &fleet.Control{Capacity: rapid.IntRange(0, 3).Draw(rt, "control capacity")}
		txn.ControlVersion = w.model.controlVersion
	}
	spoil(rt, txn)
	return txn
}

// spoil makes some transactions invalid.
func spoil(rt *rapid.T, txn *fleet.Txn) {
	at := rapid.IntRange(0, 30).Draw(rt, "spoil")
	if at == 0 {
		txn.Epoch++
	}
	if len(txn.Changes) == 0 {
		return
	}
	c := &txn.Changes[len(txn.Changes)-1]
	switch at {
	case 1:
		c.Versions.Node++
	case 2:
		c.Versions.Resources++
	case 3:
		c.Versions.Reload--
	case 4:
		c.Kind = fleet.ChangeUpdate
	case 5:
		c.Remove = append(c.Remove, "nobody")
	case 6:
		txn.ControlVersion++
	}
}

// storeConsistent reads while transactions go on: no mixture may be seen.
func storeConsistent(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 0})
	reader := e.Join(t)
	stop := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			tree, err := reader.Store.ReadTree(t.Context(), e.kind)
			if err != nil {
				failed <- err
				return
			}
			in := tree.Instances[0]
			v := in.Versions
			if v.Node != v.Resources || v.Node != v.Reload || in.Used != len(in.IDs) || in.Times != int64(v.Reload) {
				failed <- fmt.Errorf("a mixture: %+v", in)
				return
			}
		}
	}()
	for n := range 300 {
		w.done(fleet.Change{Instance: 0, Capacity: n, Add: []string{fmt.Sprint(n)}})
	}
	close(stop)
	if err := answeredWith(t, failed); err != nil {
		t.Error(err)
	}
}
