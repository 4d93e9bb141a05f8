package orchestrator

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
)

// memory is a platform of one kind, Thing, behind the loop's ports: the least
// that an orchestration needs.
type memory struct {
	mu      sync.Mutex
	tree    map[fleet.InstanceID]*fleet.TreeInstance
	control fleet.Control
	ctlVer  int32
	epoch   int64
	rows    []fleet.Resource
	pods    map[fleet.InstanceID]fleet.Pod
	uids    int
	leader  fleet.Candidate
	changed chan struct{} // closed at the next change

	reading time.Duration // how long ZooKeeper takes to be read
	noPods  bool          // none can be created
	lose    chan struct{} // ends the leadership
}

func newMemory(rows int) *memory {
	m := &memory{tree: map[fleet.InstanceID]*fleet.TreeInstance{}, ctlVer: -1, pods: map[fleet.InstanceID]fleet.Pod{},
		changed: make(chan struct{}), lose: make(chan struct{})}
	for i := range rows {
		m.rows = append(m.rows, fleet.Resource{ID: "thing-" + strconv.Itoa(1000+i)})
	}
	return m
}

// change is called with mu held.
func (m *memory) change() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// watch calls look with mu held, at first and after each change, then what it
// answers without.
func (m *memory) watch(ctx context.Context, look func() func()) error {
	for {
		m.mu.Lock()
		tell, changed := look(), m.changed
		m.mu.Unlock()
		tell()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Lead has the process named "leader" lead, and no other.
func (m *memory) Lead(ctx context.Context, _ fleet.Kind, who fleet.Candidate, lead func(context.Context, int64, func() bool)) error {
	if who.Name != "leader" {
		<-ctx.Done()
		return ctx.Err()
	}
	m.mu.Lock()
	m.epoch++
	epoch := m.epoch
	m.leader = who
	m.change()
	m.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-m.lose:
			cancel(errors.New("the session has expired"))
		case <-ctx.Done():
		}
	}()
	lead(ctx, epoch, func() bool { return true })
	return nil
}

func (m *memory) WatchLeader(ctx context.Context, _ fleet.Kind, tell func(fleet.Candidate)) error {
	return m.watch(ctx, func() func() { who := m.leader; return func() { tell(who) } })
}

func (m *memory) ReadTree(ctx context.Context, _ fleet.Kind) (fleet.Tree, error) {
	select {
	case <-time.After(m.reading):
	case <-ctx.Done():
		return fleet.Tree{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return fleet.Tree{Instances: m.list(), Control: m.control, ControlVersion: m.ctlVer}, nil
}

func (m *memory) list() (out []fleet.TreeInstance) {
	for _, in := range m.tree {
		c := *in
		c.IDs = slices.Clone(in.IDs)
		out = append(out, c)
	}
	return out
}

func (m *memory) Commit(_ context.Context, _ fleet.Kind, txn *fleet.Txn) (fleet.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if txn.Epoch != m.epoch {
		return fleet.OutcomeDeposed, errors.New("a newer epoch")
	}
	for _, c := range txn.Changes {
		if c.Kind == fleet.ChangeDelete {
			delete(m.tree, c.Instance)
			continue
		}
		in := m.tree[c.Instance]
		if in == nil {
			in = &fleet.TreeInstance{ID: c.Instance, Status: fleet.Status{Times: -1}, Versions: fleet.Versions{Node: -1, Resources: -1, Reload: -1}}
			m.tree[c.Instance] = in
		}
		in.IDs = append(slices.DeleteFunc(in.IDs, func(id string) bool { return slices.Contains(c.Remove, id) }), c.Add...)
		in.Capacity, in.Used, in.Times = c.Capacity, c.Used, c.Times
		in.Versions = fleet.Versions{Node: in.Versions.Node + 1, Resources: in.Versions.Resources + 1, Reload: in.Versions.Reload + 1}
	}
	if txn.Control != nil {
		m.control = *txn.Control
		m.ctlVer++
	}
	m.change()
	return fleet.OutcomeDone, nil
}

func (m *memory) WatchStatus(ctx context.Context, _ fleet.Kind, _ func(fleet.InstanceID, fleet.Status)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (m *memory) WatchTree(ctx context.Context, _ fleet.Kind, seen func(fleet.TreeInstance), gone func(fleet.InstanceID), synced func()) error {
	told := map[fleet.InstanceID]bool{}
	select {
	case <-time.After(m.reading):
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.watch(ctx, func() func() {
		all := m.list()
		return func() {
			for id := range told {
				if !slices.ContainsFunc(all, func(in fleet.TreeInstance) bool { return in.ID == id }) {
					delete(told, id)
					gone(id)
				}
			}
			for _, in := range all {
				told[in.ID] = true
				seen(in)
			}
			synced()
			synced = func() {}
		}
	})
}

type memoryPods struct{ *memory }

func (p memoryPods) List(context.Context, fleet.Kind) (out []fleet.Pod, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pod := range p.pods {
		out = append(out, pod)
	}
	return out, nil
}

func (p memoryPods) Create(_ context.Context, _ fleet.Kind, id fleet.InstanceID, _ string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.pods[id]; ok {
		return "", fleet.ErrPodExists
	}
	if p.noPods {
		return "", errors.New("the quota is exhausted")
	}
	p.uids++
	pod := fleet.Pod{Instance: id, UID: strconv.Itoa(p.uids), Phase: fleet.PhaseRunning}
	p.pods[id] = pod
	p.change()
	return pod.UID, nil
}

func (p memoryPods) Delete(_ context.Context, _ fleet.Kind, id fleet.InstanceID, uid, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pods[id].UID != uid {
		return fleet.ErrPodNotFound
	}
	delete(p.pods, id)
	p.change()
	return nil
}

func (p memoryPods) Watch(ctx context.Context, _ fleet.Kind, seen func(fleet.Pod), gone func(fleet.InstanceID, string)) error {
	told := map[fleet.InstanceID]string{}
	return p.watch(ctx, func() func() {
		var all []fleet.Pod
		for _, pod := range p.pods {
			all = append(all, pod)
		}
		return func() {
			for id, uid := range told {
				if !slices.ContainsFunc(all, func(pod fleet.Pod) bool { return pod.UID == uid }) {
					delete(told, id)
					gone(id, uid)
				}
			}
			for _, pod := range all {
				if told[pod.Instance] != pod.UID {
					told[pod.Instance] = pod.UID
					seen(pod)
				}
			}
		}
	})
}

type memoryRows struct{ *memory }

func (d memoryRows) Count(context.Context, fleet.Kind) (int, error) { return len(d.rows), nil }

func (d memoryRows) List(_ context.Context, _ fleet.Kind, ids []string, each func([]fleet.Resource) error) error {
	d.mu.Lock()
	var out []fleet.Resource
	for _, r := range d.rows {
		if ids == nil || slices.Contains(ids, r.ID) {
			out = append(out, r)
		}
	}
	d.mu.Unlock()
	return each(out)
}

// quiet is a broker that has nothing to say.
type quiet struct{}

func (quiet) Listen(ctx context.Context, _ func(uint64, *fleet.Notification), channel func(bool)) error {
	channel(true)
	<-ctx.Done()
	return ctx.Err()
}

func (quiet) Ack(uint64) {}

// serviceOver runs a loop over the platform until the test ends, and answers the
// service over it: three instances at least, of 50 resources at most.
func serviceOver(t *testing.T, m *memory, name string) *service {
	t.Helper()
	return serviceOf(t, m, name, func(c *reconcile.Config) {
		c.Limits.InitInstances, c.Limits.ResourcePerInstance = 3, 50
	})
}

func serviceOf(t testing.TB, m *memory, name string, change func(*reconcile.Config)) *service {
	t.Helper()
	c := reconcile.DefaultConfig("Thing")
	c.Heartbeat = false
	change(&c)
	told := newRuns()
	l, err := loop.New(loop.Config{Who: fleet.Candidate{Name: name, URL: "http://" + name}, Kinds: []reconcile.Config{c}, Tell: told.told},
		loop.Ports{Election: m, Store: m, Pods: memoryPods{m}, Database: memoryRows{m}, Notifications: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &service{loop: l, kinds: []string{"Thing"}, names: map[string]string{"Thing": "iota-dac"}, runs: told}
}

// settle lets the bubble's time pass and everything that follows happen.
func settle(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
