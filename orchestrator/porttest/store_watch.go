package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"dacorch/orchestrator/fleet"
)

// treeLog is what a watch has told: what stands now by it.
type treeLog struct {
	t       *testing.T
	mu      sync.Mutex
	status  map[fleet.InstanceID]fleet.Status
	tree    map[fleet.InstanceID]fleet.TreeInstance
	calls   int
	synced  int
	atSync  int           // instances told before synced
	blocked chan struct{} // unless nil, a telling waits for it

	inside, ended atomic.Bool
}

// watch runs a watch until the test ends, and wants it to keep to its manners.
func (l *treeLog) watch(name string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan error, 1)
	go func() {
		err := run(ctx)
		l.ended.Store(true)
		answer <- err
	}()
	l.t.Cleanup(func() {
		cancel()
		if err := answeredWith(l.t, answer); !errors.Is(err, context.Canceled) {
			l.t.Errorf("%s answered %v, want the context's error", name, err)
		}
	})
}

func (l *treeLog) call(note func()) {
	if !l.inside.CompareAndSwap(false, true) || l.ended.Load() {
		l.t.Error("told from two goroutines at once, or after the end")
	}
	l.mu.Lock()
	l.calls++
	note()
	blocked := l.blocked
	l.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
	l.inside.Store(false)
}

func watchStatus(t *testing.T, e *ensemble, m EnsembleMember) *treeLog {
	l := &treeLog{t: t, status: map[fleet.InstanceID]fleet.Status{}}
	l.watch("WatchStatus", func(ctx context.Context) error {
		return m.Store.WatchStatus(ctx, e.kind, func(id fleet.InstanceID, s fleet.Status) {
			l.call(func() { l.status[id] = s })
		})
	})
	return l
}

func watchTree(t *testing.T, e *ensemble, m EnsembleMember) *treeLog {
	l := &treeLog{t: t, tree: map[fleet.InstanceID]fleet.TreeInstance{}}
	l.watch("WatchTree", func(ctx context.Context) error {
		return m.Store.WatchTree(ctx, e.kind,
			func(in fleet.TreeInstance) { l.call(func() { l.tree[in.ID] = in }) },
			func(id fleet.InstanceID) {
				l.call(func() {
					if _, told := l.tree[id]; !told {
						t.Errorf("instance %d is told gone, and was never told", id)
					}
					delete(l.tree, id)
				})
			},
			func() { l.call(func() { l.synced, l.atSync = l.synced+1, len(l.tree) }) })
	})
	return l
}

func (l *treeLog) has(id fleet.InstanceID, want fleet.Status) {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("instance %d told with status %+v", id, want), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		got, told := l.status[id]
		return told && got == want
	})
}

// equals waits until what was told is what the model has.
func (l *treeLog) equals(m *treeModel) {
	l.t.Helper()
	var last string
	defer func() {
		if l.t.Failed() {
			l.t.Log("it differs: " + last)
		}
	}()
	eventually(l.t, "the tree told is the one that stands", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		tree := fleet.Tree{Control: m.control, ControlVersion: m.controlVersion}
		for _, in := range l.tree {
			tree.Instances = append(tree.Instances, in)
		}
		last = m.differs(tree)
		return last == ""
	})
}

func storeStatus(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	for id := range 3 {
		w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: fleet.InstanceID(id), Capacity: 5})
	}
	e.Put(t, e.path(0, "/tmp/status"), `{"times":4}`)
	l := watchStatus(t, e, e.Join(t))
	l.has(0, fleet.Status{Present: true, Times: 4})
	e.Put(t, e.path(0, "/tmp/status"), `{"times":5}`)
	l.has(0, fleet.Status{Present: true, Times: 5})
	e.Put(t, e.path(1, "/tmp/status"), `here`)
	l.has(1, fleet.Status{Present: true, Times: -1})
	e.Remove(t, e.path(0, "/tmp/status"))
	l.has(0, fleet.Status{})
	e.Put(t, e.path(0, "/tmp/status"), `{"times":0}`)
	l.has(0, fleet.Status{Present: true, Times: 0})
	w.done(fleet.Change{Kind: fleet.ChangeDelete, Instance: 1})
	l.has(1, fleet.Status{})
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 5})
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 7, Capacity: 5})
	e.Put(t, e.path(7, "/tmp/status"), `{"times":2}`)
	l.has(7, fleet.Status{Present: true, Times: 2})
	e.Put(t, e.path(1, "/tmp/status"), `{"times":3}`)
	l.has(1, fleet.Status{Present: true, Times: 3})
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, told := l.status[2]; told {
		t.Errorf("instance 2 told with %+v, and has never had a status", s)
	}
}

func storeStatusBreaks(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5}, fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 5})
	e.Put(t, e.path(0, "/tmp/status"), `{"times":1}`)
	m := e.Join(t)
	l := watchStatus(t, e, m)
	l.has(0, fleet.Status{Present: true, Times: 1})

	m.Cut()
	e.Put(t, e.path(0, "/tmp/status"), `{"times":2}`)
	l.has(0, fleet.Status{Present: true, Times: 2})

	heal := m.Partition()
	e.Put(t, e.path(0, "/tmp/status"), `{"times":3}`)
	e.Put(t, e.path(1, "/tmp/status"), `{"times":3}`)
	heal()
	l.has(0, fleet.Status{Present: true, Times: 3})
	l.has(1, fleet.Status{Present: true, Times: 3})

	m.Expire()
	e.Remove(t, e.path(0, "/tmp/status"))
	e.Put(t, e.path(1, "/tmp/status"), `{"times":4}`)
	l.has(0, fleet.Status{})
	l.has(1, fleet.Status{Present: true, Times: 4})
	e.Put(t, e.path(0, "/tmp/status"), `{"times":5}`)
	l.has(0, fleet.Status{Present: true, Times: 5})
}

func storeTree(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5, Add: []string{"a"}},
		fleet.Change{Kind: fleet.ChangeCreate, Instance: 4, Capacity: 5})
	l := watchTree(t, e, e.Join(t))
	l.equals(w.model)
	eventually(t, "synced", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.synced == 1
	})
	if l.atSync != 2 {
		t.Errorf("synced with %d instances told, want 2", l.atSync)
	}
	w.done(fleet.Change{Instance: 0, Capacity: 6, Add: []string{"b"}}, fleet.Change{Instance: 4, Capacity: 5, Add: []string{"c"}})
	l.equals(w.model)
	w.done(fleet.Change{Kind: fleet.ChangeDelete, Instance: 4}, fleet.Change{Kind: fleet.ChangeCreate, Instance: 5, Capacity: 1})
	l.equals(w.model)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 4, Capacity: 8, Add: []string{"again"}})
	l.equals(w.model)
	e.Put(t, e.path(5, "/tmp/status"), `{"times":9}`)
	w.model.instances[5].Status = fleet.Status{Present: true, Times: 9}
	l.equals(w.model)

	// Others write one node alone; and one that does not parse is passed over
	// until it does.
	e.Put(t, e.path(5, "/_reload"), `nonsense`)
	e.Put(t, e.path(0, "/_reload"), `{"times":77}`)
	w.model.instances[0].Times, w.model.instances[0].Versions.Reload = 77, w.model.instances[0].Versions.Reload+1
	l.equals(w.model)
	e.Put(t, e.path(5, "/_reload"), `{"times":1}`)
	w.model.instances[5].Times, w.model.instances[5].Versions.Reload = 1, 2
	l.equals(w.model)
	e.Put(t, e.path(6, ""), `{"used":0,"count":1}`) // one node after the other
	e.Put(t, e.path(6, "/resources"), `{"ids":[]}`)
	e.Put(t, e.path(6, "/_reload"), `{"times":0}`)
	w.model.instances[6] = &fleet.TreeInstance{ID: 6, Capacity: 1}
	l.equals(w.model)
	if l.synced != 1 {
		t.Errorf("synced %d times, want once", l.synced)
	}
}

func storeTreeBreaks(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	m := e.Join(t)
	l := watchTree(t, e, m)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5}, fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 5})
	l.equals(w.model)
	step := 0
	change := func() {
		step++
		w.done(fleet.Change{Instance: 0, Capacity: 5, Add: []string{fmt.Sprint("a", step)}},
			fleet.Change{Kind: fleet.ChangeDelete, Instance: fleet.InstanceID(step)},
			fleet.Change{Kind: fleet.ChangeCreate, Instance: fleet.InstanceID(step + 1), Capacity: step})
	}
	m.Cut()
	change()
	l.equals(w.model)
	heal := m.Partition()
	change()
	heal()
	l.equals(w.model)
	m.Expire()
	change()
	l.equals(w.model)
	change()
	l.equals(w.model)
}

func storeTreeSlow(t *testing.T, e *ensemble) {
	w := newWriter(t, e)
	w.done(fleet.Change{Kind: fleet.ChangeCreate, Instance: 0, Capacity: 5})
	l := watchTree(t, e, e.Join(t))
	l.equals(w.model)
	blocked := make(chan struct{})
	release := sync.OnceFunc(func() { close(blocked) })
	t.Cleanup(release)
	l.mu.Lock()
	l.blocked = blocked
	before := l.calls
	l.mu.Unlock()
	for n := range 200 {
		w.done(fleet.Change{Instance: 0, Capacity: n, Add: []string{fmt.Sprint(n)}})
	}
	l.mu.Lock()
	l.blocked = nil
	l.mu.Unlock()
	release()
	l.equals(w.model)
	l.mu.Lock()
	defer l.mu.Unlock()
	if told := l.calls - before; told >= 200 {
		t.Errorf("%d tellings of 200 changes to one who was slow, want fewer", told)
	}
}
