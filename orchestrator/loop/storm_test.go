package loop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// storm makes a world's ports slow and unreliable, in every way that ports.go
// allows, until it is over.
type storm struct {
	*world
	over atomic.Bool

	mu  sync.Mutex
	rng *rand.Rand
}

// one says yes once in n times, as long as the storm lasts.
func (s *storm) one(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.over.Load() && s.rng.IntN(n) == 0
}

func (s *storm) upTo(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

var errStorm = errors.New("the storm")

// trouble takes its time, and fails at times.
func (s *storm) trouble(ctx context.Context) error {
	if s.over.Load() {
		return nil
	}
	select {
	case <-time.After(time.Duration(s.upTo(800)) * time.Millisecond):
	case <-ctx.Done():
		s.lag()
		return ctx.Err()
	}
	if s.one(6) {
		return errStorm
	}
	return nil
}

func (s *storm) ReadTree(ctx context.Context, kind fleet.Kind) (fleet.Tree, error) {
	if err := s.trouble(ctx); err != nil {
		return fleet.Tree{}, err
	}
	return s.world.ReadTree(ctx, kind)
}

func (s *storm) Commit(ctx context.Context, kind fleet.Kind, txn *fleet.Txn) (fleet.Outcome, error) {
	if s.trouble(ctx) != nil {
		return fleet.OutcomeFailed, errStorm
	}
	if s.one(8) { // nothing happens
		return []fleet.Outcome{fleet.OutcomeConflict, fleet.OutcomeUnknown, fleet.OutcomeFailed}[s.upTo(3)], errStorm
	}
	out, err := s.world.Commit(ctx, kind, txn)
	if late := s.trouble(ctx); late != nil && out == fleet.OutcomeDone {
		return fleet.OutcomeUnknown, late
	}
	return out, err
}

func (s *storm) WatchStatus(ctx context.Context, _ fleet.Kind, _ func(fleet.InstanceID, fleet.Status)) error {
	select {
	case <-ctx.Done():
		s.lag()
		return ctx.Err()
	case <-time.After(time.Duration(1+s.upTo(120)) * time.Second):
		if s.over.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return errStorm
	}
}

// lag is the time that a port takes to end.
func (s *storm) lag() { <-time.After(time.Duration(s.upTo(3000)) * time.Millisecond) }

type stormPods struct {
	podPort
	*storm
}

func (p stormPods) List(ctx context.Context, kind fleet.Kind) ([]fleet.Pod, error) {
	if err := p.trouble(ctx); err != nil {
		return nil, err
	}
	return p.podPort.List(ctx, kind)
}

func (p stormPods) Create(ctx context.Context, kind fleet.Kind, id fleet.InstanceID, why string) (string, error) {
	if err := p.trouble(ctx); err != nil {
		return "", err
	}
	return p.podPort.Create(ctx, kind, id, why)
}

func (p stormPods) Delete(ctx context.Context, kind fleet.Kind, id fleet.InstanceID, uid, why string) error {
	if err := p.trouble(ctx); err != nil {
		return err
	}
	return p.podPort.Delete(ctx, kind, id, uid, why)
}

func (p stormPods) Watch(ctx context.Context, kind fleet.Kind, seen func(fleet.Pod), gone func(fleet.InstanceID, string)) error {
	defer p.lag()
	return p.podPort.Watch(ctx, kind, seen, gone)
}

type stormDatabase struct {
	database
	*storm
}

func (d stormDatabase) List(ctx context.Context, kind fleet.Kind, ids []string, each func([]fleet.Resource) error) error {
	if err := d.trouble(ctx); err != nil {
		return err
	}
	return d.database.List(ctx, kind, ids, each)
}

// broker is a process's session: it keeps what is published until it is
// acknowledged, and sends it again after each loss of the connection.
type broker struct {
	s *storm

	mu    sync.Mutex
	queue []*fleet.Notification
	sent  int      // of queue, over this connection
	token []uint64 // of those sent
	next  uint64
	wake  chan struct{} // holds a value when there is something to send
}

func (b *broker) publish(n *fleet.Notification) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, n)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// inherit takes over what an earlier process of the same session has left.
func (b *broker) inherit(was *broker) {
	for _, n := range was.queue {
		b.publish(n)
	}
}

func (b *broker) take() (*fleet.Notification, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sent == len(b.queue) {
		return nil, 0
	}
	n := b.queue[b.sent]
	b.sent++
	b.next++
	b.token = append(b.token, b.next)
	return n, b.next
}

func (b *broker) Listen(ctx context.Context, note func(uint64, *fleet.Notification), channel func(bool)) error {
	for {
		b.mu.Lock()
		b.sent, b.token = 0, nil
		b.mu.Unlock()
		channel(true)
		for !b.s.one(40) {
			if n, token := b.take(); n != nil {
				note(token, n)
				continue
			}
			select {
			case <-b.wake:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		channel(false)
		pause(ctx, time.Second)
	}
}

func (b *broker) Ack(token uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.token) > 0 && b.token[0] <= token {
		b.token, b.queue = b.token[1:], b.queue[1:]
		b.sent--
	}
}

type stormBeats struct{ s *storm }

func (h stormBeats) Listen(ctx context.Context, kind fleet.Kind, beat func(fleet.InstanceID), channel func(bool)) error {
	defer h.s.lag()
	for n := 0; ; n++ {
		select {
		case <-time.After(20 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		channel(!h.s.one(5))
		for id := range fleet.InstanceID(4) {
			beat(id)
		}
	}
}

// closed refuses what is called after the end: whoever owns the ports ends them
// then.
type closed struct {
	t       *testing.T
	ended   *atomic.Bool
	commits *[2]atomic.Int32 // under way, of each kind
	Store
}

func (c closed) Commit(ctx context.Context, kind fleet.Kind, txn *fleet.Txn) (fleet.Outcome, error) {
	defer c.check("Commit")
	n := &c.commits[len(kind)%2]
	if n.Add(1) > 1 {
		c.t.Errorf("two transactions of %s at a time", kind)
	}
	defer n.Add(-1)
	return c.Store.Commit(ctx, kind, txn)
}

func (c closed) ReadTree(ctx context.Context, kind fleet.Kind) (fleet.Tree, error) {
	defer c.check("ReadTree")
	return c.Store.ReadTree(ctx, kind)
}

func (c closed) check(what string) {
	if c.ended.Load() {
		c.t.Errorf("%s was under way when Run had returned", what)
	}
}

// TestStorm runs two processes through lost leaderships, transactions that end
// in every way, ports that fail, channels that come and go, dying pods, orders
// and questions that are given up, with an inbox that is always full. When the
// storm is over, each row stands in one list, every message is acknowledged, and
// nothing is left of either process.
func TestStorm(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { runStorm(t, seed) }) })
	}
}

type stormProcess struct {
	*broker
	name  string
	loop  *Loop
	stop  context.CancelFunc
	done  chan error
	ended atomic.Bool

	commits [2]atomic.Int32
}

func startInStorm(t *testing.T, s *storm, name string) *stormProcess {
	p := &stormProcess{name: name, broker: &broker{s: s, wake: make(chan struct{}, 1)}, done: make(chan error, 1)}
	beats := machineConfig(thing)
	beats.Heartbeat = true
	beats.Limits.ResourcePerInstance = 20
	ports := Ports{Election: s.world, Store: closed{t, &p.ended, &p.commits, s}, Pods: stormPods{podPort{s.world}, s}, Database: stormDatabase{database{s.world}, s},
		Notifications: p.broker, Heartbeats: stormBeats{s}}
	l, err := New(Config{Who: fleet.Candidate{Name: name}, Kinds: []reconcile.Config{beats, machineConfig(rule)}, Inbox: 1, PodCalls: 1, Moves: 10,
		CommitTimeout: time.Second, CallTimeout: time.Second}, ports)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p.loop, p.stop = l, cancel
	go func() {
		err := l.Run(ctx)
		p.ended.Store(true)
		p.done <- err
	}()
	return p
}

func runStorm(t *testing.T, seed uint64) {
	s := &storm{world: newWorld(thing, rule), rng: rand.New(rand.NewPCG(seed, 1))}
	all := []*stormProcess{startInStorm(t, s, "one"), startInStorm(t, s, "two")}
	for i := range 300 {
		<-time.After(time.Duration(s.upTo(1500)) * time.Millisecond)
		s.act(t, all, i)
		if i%60 == 30 { // an orderly end in the middle of everything
			p := all[i/60%2]
			p.stop()
			if err := <-p.done; err != nil {
				t.Error(err)
			}
			again := startInStorm(t, s, p.name)
			again.broker.inherit(p.broker)
			all[i/60%2] = again
		}
	}
	s.over.Store(true)
	settle(30 * time.Minute)
	s.check(t, all)
	for _, p := range all {
		p.stop()
		if err := <-p.done; err != nil {
			t.Error(err)
		}
	}
	settle(time.Minute) // calls that were left behind would end now, and be found
}

// act does one thing to the world.
func (s *storm) act(t *testing.T, all []*stormProcess, i int) {
	kind := []fleet.Kind{thing, rule}[s.upTo(2)]
	switch s.upTo(12) {
	case 0:
		select {
		case s.trees[kind].lose <- errStorm:
		default: // nobody leads
		}
	case 1:
		s.world.mu.Lock()
		delete(s.pods[kind], fleet.InstanceID(s.upTo(3)))
		s.trees[kind].change()
		s.world.mu.Unlock()
	case 2, 3:
		order := []reconcile.Order{reconcile.Orchestrate{}, reconcile.Drain{Instance: fleet.InstanceID(s.upTo(3))}, reconcile.Replace{}, reconcile.Undrain{}}[s.upTo(4)]
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+s.upTo(2000))*time.Millisecond)
		go func() {
			defer cancel()
			_ = all[s.upTo(2)].loop.Order(ctx, kind, order)
			_ = all[s.upTo(2)].loop.Inspect(ctx, kind, func(st State) { st.Machine.Pending(10) })
		}()
	default:
		n := &fleet.Notification{Op: fleet.OpCreate, Table: string(kind)}
		s.world.mu.Lock()
		for j := range 1 + s.upTo(5) {
			n.Resources = append(n.Resources, fleet.Resource{ID: fmt.Sprintf("r%d-%d", i, j)})
			s.rows[kind][n.Resources[j].ID] = n.Resources[j]
		}
		if s.upTo(3) == 0 {
			n.Op, n.Resources = fleet.OpDelete, nil
			for id := range s.rows[kind] {
				delete(s.rows[kind], id)
				n.Resources = append(n.Resources, fleet.Resource{ID: id})
				break
			}
		} else if len(n.Resources) > 1 {
			n.Op = fleet.OpBulkCreate
		}
		s.world.mu.Unlock()
		if s.upTo(6) > 0 { // else it is lost
			for _, p := range all {
				p.publish(n)
			}
		}
	}
}

func (s *storm) check(t *testing.T, all []*stormProcess) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	for kind, tree := range s.trees {
		at := map[string]fleet.InstanceID{}
		for id, in := range tree.instances {
			for _, r := range in.IDs {
				if was, twice := at[r]; twice {
					t.Errorf("%s %s stands on %v and %v", kind, r, was, id)
				}
				at[r] = id
			}
		}
		if len(at) != len(s.rows[kind]) {
			t.Errorf("%d of %s stand in lists, %d rows", len(at), kind, len(s.rows[kind]))
		}
		for r := range s.rows[kind] {
			for i, p := range all {
				if in, ok := p.loop.View(kind).Where(r); !ok || in != at[r] {
					t.Errorf("%s %s stands on %v; process %d says %v %t", kind, r, at[r], i, in, ok)
				}
			}
		}
		for i, p := range all {
			for _, l := range p.loop.View(kind).List(true) {
				if in := tree.instances[l.ID]; in == nil || len(in.IDs) != len(l.IDs) || l.Used != len(l.IDs) || slices.Contains(l.IDs, "") {
					t.Errorf("process %d lists %d on %s %v", i, len(l.IDs), kind, l.ID)
				}
			}
		}
	}
	for i, p := range all {
		if n := len(p.queue); n > 0 {
			t.Errorf("process %d has not acknowledged %d messages", i, n)
		}
	}
}
