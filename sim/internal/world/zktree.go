package world

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// kindTree is a kind's part of the tree, with the nodes of each instance in hand.
type kindTree struct {
	kind       fleet.Kind
	root       *Znode // /iota/orchestration/<Kind>
	own        *Znode // /iota/orchestrator/<Kind>
	epoch      *Znode // its version is the epoch of the newest leader
	control    *Znode // nil before the first orchestration
	instances  map[fleet.InstanceID]*instanceNodes
	statuses   []*statusWatch
	candidates []*candidate // that stand, in order
}

// instanceNodes are the nodes of an instance; node is nil while it has none.
// The values are the nodes' data, changed in place.
type instanceNodes struct {
	id   fleet.InstanceID
	zk   *ZooKeeper
	kind *kindTree
	path string // …/<instance>

	node, resources, reload, tmp, status *Znode

	numbers instanceNumbers
	list    idList
	times   int64
	applied int64  // in tmp/status
	txn     uint64 // the newest submission that names the instance, as ZooKeeper.checked numbers it
}

// instanceNumbers is the data of …/<instance>.
type instanceNumbers struct{ used, count int }

func (n instanceNumbers) size() int {
	return len(`{"used":,"count":}`) + digits(int64(n.used)) + digits(int64(n.count))
}

func listSize(bytes int) int    { return len(`{"ids":[]}`) + bytes }
func timesSize(times int64) int { return len(`{"times":}`) + digits(times) }

func (z *ZooKeeper) tree(kind fleet.Kind) *kindTree {
	t := z.kinds[kind]
	if t == nil {
		own := "/iota/orchestrator/" + string(kind)
		t = &kindTree{kind: kind, instances: map[fleet.InstanceID]*instanceNodes{}}
		t.root = z.mustCreate("/iota/orchestration/"+string(kind), nil, 0)
		t.own = z.mustCreate(own, nil, 0)
		t.epoch = z.mustCreate(own+"/epoch", nil, 0)
		z.mustCreate(own+"/candidates", nil, 0)
		z.kinds[kind] = t
	}
	return t
}

func (z *ZooKeeper) instance(t *kindTree, id fleet.InstanceID) *instanceNodes {
	in := t.instances[id]
	if in == nil {
		in = &instanceNodes{id: id, zk: z, kind: t, path: t.root.Path + "/" + id.String()}
		t.instances[id] = in
	}
	return in
}

// Epoch is the epoch of the kind's newest leader; 0 before the first.
func (z *ZooKeeper) Epoch(kind fleet.Kind) int64 { return int64(z.tree(kind).epoch.Version) }

// Tree is what stands for a kind at this moment, without latency.
func (z *ZooKeeper) Tree(kind fleet.Kind) fleet.Tree { return z.tree(kind).snapshot() }

// List is an instance's list as it stands now, and the times of its _reload;
// false when it has no nodes.
func (z *ZooKeeper) List(kind fleet.Kind, id fleet.InstanceID) (ids []string, times int64, ok bool) {
	in := z.tree(kind).instances[id]
	if in == nil || in.node == nil {
		return nil, 0, false
	}
	return in.list.sorted(), in.times, true
}

// Disturb raises the version of an instance's resources node without changing
// it, as a stranger who writes it would; false when it has no nodes. The next
// transaction that touches the instance is a conflict.
func (z *ZooKeeper) Disturb(kind fleet.Kind, id fleet.InstanceID) bool {
	in := z.tree(kind).instances[id]
	if in == nil || in.node == nil {
		return false
	}
	z.nodes.begin()
	in.list.change(nil, nil)
	z.nodes.set(in.resources, in, in.resources.Size)
	z.nodes.commit()
	return true
}

type treeRead struct {
	session *Session
	gen     int64
	kind    *kindTree
	ref     uint64
	tree    fleet.Tree
	err     error
	done    func(now time.Duration, ref uint64, tree fleet.Tree, err error)
}

// ReadTree reads everything that stands for a kind, at one moment. done is
// called once with ref handed back, unless the session's process dies before;
// err is nil or ErrDisconnected. The tree is the caller's.
func (s *Session) ReadTree(kind fleet.Kind, ref uint64, done func(now time.Duration, ref uint64, tree fleet.Tree, err error)) {
	z := s.zk
	r := &treeRead{session: s, gen: s.gen, kind: z.tree(kind), ref: ref, done: done}
	now := z.tl.Now()
	if !s.connected {
		r.err = ErrDisconnected
		z.tl.At(now+z.answer.draw(), z, opTreeRead, 0, r)
		return
	}
	z.tl.At(s.sent(now), z, opReadTree, 0, r)
}

func (z *ZooKeeper) treeAtServer(now time.Duration, r *treeRead) {
	s := r.session
	if r.gen != s.gen {
		r.err = ErrDisconnected
		z.tl.At(now+z.answer.draw(), z, opTreeRead, 0, r)
		return
	}
	if old := s.minority(); old != nil {
		r.tree = old.tree(r.kind.kind)
	} else {
		r.tree = r.kind.snapshot()
	}
	// The many reads of a tree go beside other requests: they hold up no answer.
	z.tl.At(now+z.readTree.draw()+z.answer.draw(), z, opTreeRead, 0, r)
}

func (r *treeRead) finish(now time.Duration) {
	switch {
	case r.session.dead:
		return
	case r.session.unheard:
		r.session.reads = append(r.session.reads, r)
		return
	}
	if r.err == nil && r.gen != r.session.gen {
		r.tree, r.err = fleet.Tree{}, ErrDisconnected
	}
	r.done(now, r.ref, r.tree, r.err)
}

func (t *kindTree) snapshot() fleet.Tree {
	tree := fleet.Tree{ControlVersion: -1}
	for _, in := range t.instances {
		if in.node == nil {
			continue
		}
		tree.Instances = append(tree.Instances, fleet.TreeInstance{
			ID: in.id, Capacity: in.numbers.count, Used: in.numbers.used,
			IDs: in.list.sorted(), Times: in.times, Born: in.node.Czxid,
			Versions: fleet.Versions{Node: in.node.Version, Resources: in.resources.Version, Reload: in.reload.Version},
			Status:   in.currentStatus(),
		})
	}
	slices.SortFunc(tree.Instances, func(a, b fleet.TreeInstance) int { return cmp.Compare(a.ID, b.ID) })
	if t.control != nil {
		tree.Control = decodeControl(t.control.Data.([]byte))
		tree.ControlVersion = t.control.Version
	}
	return tree
}

// encodeControl is the control node's data: JSON, since it is written rarely and
// holds whatever the vocabulary says.
func encodeControl(c *fleet.Control) []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic("world: control: " + err.Error()) // plain values always marshal
	}
	return b
}

func decodeControl(b []byte) (c fleet.Control) {
	if err := json.Unmarshal(b, &c); err != nil {
		panic("world: control: " + err.Error()) // encodeControl has written it
	}
	return c
}

func (in *instanceNodes) currentStatus() fleet.Status {
	if in.status == nil {
		return fleet.Status{}
	}
	return fleet.Status{Present: true, Times: in.applied}
}

// statusWatch is a session's persistent watch of a kind's status nodes.
type statusWatch struct {
	session *Session
	kind    *kindTree
	on      func(now time.Duration, id fleet.InstanceID, s fleet.Status)
	events  queue[statusEvent]
	missed  []fleet.InstanceID // whose changes the session could not be told
}

type statusEvent struct {
	id     fleet.InstanceID
	status fleet.Status
}

// WatchStatus tells of every change of a tmp/status of the kind from now on,
// after the watch latency, until the session ends. Of what changes while the
// session is cut off, it tells after the reconnect what is then.
func (s *Session) WatchStatus(kind fleet.Kind, on func(now time.Duration, id fleet.InstanceID, status fleet.Status)) {
	if s.expired {
		return
	}
	t := s.zk.tree(kind)
	w := &statusWatch{session: s, kind: t, on: on}
	t.statuses = append(t.statuses, w)
	s.statuses = append(s.statuses, w)
}

func (w *statusWatch) close() {
	w.kind.statuses = slices.DeleteFunc(w.kind.statuses, func(x *statusWatch) bool { return x == w })
}

func (w *statusWatch) deliver(now time.Duration, gen int64) {
	e := w.events.pop()
	switch {
	case w.session.dead || w.session.expired:
	case gen == w.session.gen:
		w.on(now, e.id, e.status)
	default: // lost with its connection
		w.miss(e.id)
		w.catchUp(now)
	}
}

func (w *statusWatch) miss(id fleet.InstanceID) {
	if !slices.Contains(w.missed, id) {
		w.missed = append(w.missed, id)
	}
}

// catchUp tells the session what it has missed, if that can be told.
func (w *statusWatch) catchUp(now time.Duration) {
	if !w.session.hears() {
		return
	}
	z := w.session.zk
	for _, id := range w.missed {
		w.events.push(statusEvent{id, z.instance(w.kind, id).currentStatus()})
		z.tl.At(w.session.noticed(now), z, opStatusSeen, w.session.gen, w)
	}
	w.missed = w.missed[:0]
}

// statusChanged tells every watch what an instance's status is now.
func (in *instanceNodes) statusChanged(now time.Duration) {
	for _, w := range in.kind.statuses {
		w.miss(in.id)
		w.catchUp(now)
	}
}

// writeStatus puts a session's ephemeral tmp/status in place, in one
// transaction; one that another session left behind is replaced. It answers
// ErrNoNode when the instance has no tmp, ErrFull when there is no room for it.
func (in *instanceNodes) writeStatus(now time.Duration, s *Session, times int64) error {
	if in.tmp == nil {
		return ErrNoNode
	}
	if in.zk.full && (in.status == nil || in.status.Session != s.id) {
		return ErrFull
	}
	z := in.zk.nodes
	size := timesSize(times)
	z.begin()
	switch {
	case in.status == nil:
		in.addStatus(s, size)
	case in.status.Session == s.id:
		z.set(in.status, in, size)
	default:
		z.remove(in.status)
		in.addStatus(s, size)
	}
	in.applied = times
	z.commit()
	in.statusChanged(now)
	return nil
}

func (in *instanceNodes) addStatus(s *Session, size int) {
	n, err := in.zk.nodes.add(in.tmp, "status", in.path+"/tmp/status", in, size, s.id)
	if err != nil {
		panic("world: " + in.path + ": " + err.Error()) // its place has just been looked at
	}
	in.status = n
}
