package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// world is a platform in memory behind the ports, with the dumbest behaviour
// that keeps the ports' promises. porttest holds the real adapters to these.
type world struct {
	mu     sync.Mutex
	trees  map[fleet.Kind]*tree
	rows   map[fleet.Kind]map[string]fleet.Resource
	pods   map[fleet.Kind]map[fleet.InstanceID]*fleet.Pod
	uids   int
	acked  []uint64
	called []string // pod calls, in order

	notes   chan func(note func(uint64, *fleet.Notification), channel func(bool))
	beats   chan fleet.InstanceID
	commit  chan struct{} // unless nil, each commit waits for one
	commits int
	answer  func(*fleet.Txn) (fleet.Outcome, bool) // a commit's outcome, and whether it happens; nil: done
}

// tree is a kind's part of ZooKeeper.
type tree struct {
	epoch     int64
	leader    fleet.Candidate
	control   fleet.Control
	ctlVer    int32
	instances map[fleet.InstanceID]*fleet.TreeInstance
	turn      chan struct{} // a token: whoever has it leads
	lose      chan error    // ends the leadership
	held      bool
	changed   chan struct{} // closed at the next change
}

func newWorld(kinds ...fleet.Kind) *world {
	w := &world{
		trees: map[fleet.Kind]*tree{}, rows: map[fleet.Kind]map[string]fleet.Resource{}, pods: map[fleet.Kind]map[fleet.InstanceID]*fleet.Pod{},
		notes: make(chan func(func(uint64, *fleet.Notification), func(bool))), beats: make(chan fleet.InstanceID),
	}
	for _, k := range kinds {
		w.trees[k] = &tree{ctlVer: -1, instances: map[fleet.InstanceID]*fleet.TreeInstance{}, turn: make(chan struct{}, 1),
			lose: make(chan error), held: true, changed: make(chan struct{})}
		w.trees[k].turn <- struct{}{}
		w.rows[k] = map[string]fleet.Resource{}
		w.pods[k] = map[fleet.InstanceID]*fleet.Pod{}
	}
	return w
}

func (w *world) ports() Ports {
	return Ports{Election: w, Store: w, Pods: podPort{w}, Database: database{w}, Notifications: w, Heartbeats: heartbeats{w}}
}

// change is called with mu held.
func (t *tree) change() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (w *world) Lead(ctx context.Context, kind fleet.Kind, who fleet.Candidate, lead func(context.Context, int64, func() bool)) error {
	t := w.trees[kind]
	select {
	case <-t.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	t.epoch++
	t.leader, t.held = who, true
	t.change()
	epoch := t.epoch
	w.mu.Unlock()
	inner, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		select {
		case err := <-t.lose:
			cancel(err)
		case <-done:
		}
	}()
	lead(inner, epoch, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return t.held })
	close(done)
	cancel(nil)
	w.mu.Lock()
	t.leader = fleet.Candidate{}
	t.change()
	w.mu.Unlock()
	t.turn <- struct{}{}
	return nil
}

func (w *world) WatchLeader(ctx context.Context, kind fleet.Kind, tell func(fleet.Candidate)) error {
	return w.watch(ctx, kind, func(t *tree) func() {
		who := t.leader
		return func() { tell(who) }
	})
}

// watch calls look with mu held, at first and after each change, and then what
// it answers without.
func (w *world) watch(ctx context.Context, kind fleet.Kind, look func(*tree) func()) error {
	for {
		w.mu.Lock()
		t := w.trees[kind]
		tell, changed := look(t), t.changed
		w.mu.Unlock()
		tell()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *world) ReadTree(_ context.Context, kind fleet.Kind) (fleet.Tree, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.trees[kind]
	out := fleet.Tree{Control: t.control, ControlVersion: t.ctlVer}
	for _, in := range t.instances {
		out.Instances = append(out.Instances, copyOf(in))
	}
	return out, nil
}

func copyOf(in *fleet.TreeInstance) fleet.TreeInstance {
	c := *in
	c.IDs = slices.Clone(in.IDs)
	return c
}

func (w *world) Commit(ctx context.Context, kind fleet.Kind, txn *fleet.Txn) (fleet.Outcome, error) {
	if w.commit != nil {
		select {
		case <-w.commit:
		case <-ctx.Done():
			return fleet.OutcomeUnknown, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits++
	t := w.trees[kind]
	outcome, happens := fleet.OutcomeDone, true
	if w.answer != nil {
		outcome, happens = w.answer(txn)
	}
	if txn.Epoch != t.epoch {
		return fleet.OutcomeDeposed, errors.New("a newer epoch")
	}
	if happens {
		w.execute(t, txn)
	}
	if outcome != fleet.OutcomeDone {
		return outcome, errors.New("told so by the test")
	}
	return outcome, nil
}

func (w *world) execute(t *tree, txn *fleet.Txn) {
	for _, c := range txn.Changes {
		in := t.instances[c.Instance]
		switch c.Kind {
		case fleet.ChangeDelete:
			delete(t.instances, c.Instance)
			continue
		case fleet.ChangeCreate:
			in = &fleet.TreeInstance{ID: c.Instance, Status: fleet.Status{Times: -1}, Versions: fleet.Versions{Node: -1, Resources: -1, Reload: -1}}
			t.instances[c.Instance] = in
		}
		in.IDs = slices.DeleteFunc(in.IDs, func(id string) bool { return slices.Contains(c.Remove, id) })
		in.IDs = append(in.IDs, c.Add...)
		in.Capacity, in.Used, in.Times = c.Capacity, c.Used, c.Times
		in.Versions.Node++
		in.Versions.Resources++
		in.Versions.Reload++
	}
	if txn.Control != nil {
		t.control = *txn.Control
		t.ctlVer++
	}
	t.change()
}

func (w *world) WatchStatus(ctx context.Context, _ fleet.Kind, _ func(fleet.InstanceID, fleet.Status)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) WatchTree(ctx context.Context, kind fleet.Kind, seen func(fleet.TreeInstance), gone func(fleet.InstanceID), synced func()) error {
	told, first := map[fleet.InstanceID]bool{}, true
	return w.watch(ctx, kind, func(t *tree) func() {
		var ins []fleet.TreeInstance
		for _, in := range t.instances {
			ins = append(ins, copyOf(in))
		}
		return func() {
			for id := range told {
				if !slices.ContainsFunc(ins, func(in fleet.TreeInstance) bool { return in.ID == id }) {
					delete(told, id)
					gone(id)
				}
			}
			for _, in := range ins {
				told[in.ID] = true
				seen(in)
			}
			if first {
				first = false
				synced()
			}
		}
	})
}

type podPort struct{ *world }

func (p podPort) List(_ context.Context, kind fleet.Kind) ([]fleet.Pod, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []fleet.Pod
	for _, pod := range p.pods[kind] {
		out = append(out, *pod)
	}
	return out, nil
}

func (p podPort) Create(_ context.Context, kind fleet.Kind, id fleet.InstanceID, _ string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.called = append(p.called, fmt.Sprintf("create %s %d", kind, id))
	if p.pods[kind][id] != nil {
		return "", fmt.Errorf("instance %d: %w", id, fleet.ErrPodExists)
	}
	p.uids++
	pod := &fleet.Pod{Instance: id, UID: fmt.Sprintf("uid-%d", p.uids), Phase: fleet.PhaseRunning}
	p.pods[kind][id] = pod
	p.trees[kind].change()
	return pod.UID, nil
}

func (p podPort) Delete(_ context.Context, kind fleet.Kind, id fleet.InstanceID, uid, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.called = append(p.called, fmt.Sprintf("delete %s %d", kind, id))
	if pod := p.pods[kind][id]; pod == nil || pod.UID != uid {
		return fleet.ErrPodNotFound
	}
	delete(p.pods[kind], id)
	p.trees[kind].change()
	return nil
}

func (p podPort) Watch(ctx context.Context, kind fleet.Kind, seen func(fleet.Pod), gone func(fleet.InstanceID, string)) error {
	told := map[fleet.InstanceID]fleet.Pod{}
	return p.watch(ctx, kind, func(*tree) func() {
		now := map[fleet.InstanceID]fleet.Pod{}
		for id, pod := range p.pods[kind] {
			now[id] = *pod
		}
		return func() {
			for id, was := range told {
				if now[id].UID != was.UID {
					delete(told, id)
					gone(id, was.UID)
				}
			}
			for _, id := range slices.Sorted(maps.Keys(now)) {
				if told[id] != now[id] {
					told[id] = now[id]
					seen(now[id])
				}
			}
		}
	})
}

type database struct{ *world }

func (d database) Count(_ context.Context, kind fleet.Kind) (int, error) {
	return len(d.rows[kind]), nil
}

func (d database) List(_ context.Context, kind fleet.Kind, ids []string, each func([]fleet.Resource) error) error {
	d.mu.Lock()
	var out []fleet.Resource
	for id, r := range d.rows[kind] {
		if ids == nil || slices.Contains(ids, id) {
			out = append(out, r)
		}
	}
	d.mu.Unlock()
	slices.SortFunc(out, func(a, b fleet.Resource) int { return cmp.Compare(a.ID, b.ID) })
	return each(out)
}

func (w *world) Listen(ctx context.Context, note func(uint64, *fleet.Notification), channel func(bool)) error {
	channel(true)
	for {
		select {
		case f := <-w.notes:
			f(note, channel)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *world) Ack(token uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked = append(w.acked, token)
}

type heartbeats struct{ *world }

func (h heartbeats) Listen(ctx context.Context, _ fleet.Kind, beat func(fleet.InstanceID), channel func(bool)) error {
	channel(true)
	for {
		select {
		case id := <-h.beats:
			beat(id)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// created is a notification of new rows, which the database has as well.
func (w *world) created(token uint64, kind fleet.Kind, ids ...string) {
	n := &fleet.Notification{Op: fleet.OpBulkCreate, Table: string(kind)}
	w.mu.Lock()
	for _, id := range ids {
		n.Resources = append(n.Resources, fleet.Resource{ID: id})
		if rows := w.rows[kind]; rows != nil {
			rows[id] = fleet.Resource{ID: id}
		}
	}
	w.mu.Unlock()
	w.notes <- func(note func(uint64, *fleet.Notification), _ func(bool)) { note(token, n) }
}

// machineConfig is a kind of small instances without heartbeats.
func machineConfig(kind fleet.Kind) reconcile.Config {
	c := reconcile.DefaultConfig(kind)
	c.Heartbeat = false
	c.Limits.InitInstances = 2
	return c
}

func startLoop(t *testing.T, w *world, name string, kinds ...reconcile.Config) (l *Loop, stop func() error) {
	t.Helper()
	return startRecorded(t, w, nil, name, kinds...)
}

func startRecorded(t *testing.T, w *world, rec Recorder, name string, kinds ...reconcile.Config) (l *Loop, stop func() error) {
	t.Helper()
	l, err := New(Config{Who: fleet.Candidate{Name: name, URL: "http://" + name}, Kinds: kinds, Record: rec}, w.ports())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return l, func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Hour): // of the bubble's time
			return errors.New("Run did not end")
		}
	}
}
