package reconcile

import (
	"cmp"
	"slices"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// behindBarrier stands in commits.releasing for resources whose former owner,
// if any, a restart cannot know.
const behindBarrier fleet.InstanceID = -2

// reload reads ZooKeeper anew, and whatever else is not known yet. Until the
// tree is read nothing is committed.
func (m *Machine) reload() {
	m.treeStale = true
	if m.treeReq == 0 {
		m.treeReq = m.req()
		m.emit(ReadTree{Req: m.treeReq})
	}
	if m.stage == StageLoading {
		m.listRows()
	}
	if !m.podsKnown {
		m.listPods()
	}
}

func (m *Machine) treeRead(ev TreeRead) {
	if ev.Req != m.treeReq {
		return
	}
	m.treeReq = 0
	m.treeDone = ev.Req
	if ev.Err != "" {
		m.treeFails++
		m.treeRetry = m.now + m.backoff("tree", m.treeFails)
		m.wakeAt(m.treeRetry)
		m.alarm("zookeeper-unreadable", "ZooKeeper cannot be read: %s", ev.Err)
		return
	}
	m.treeFails, m.treeRetry = 0, 0
	m.alarmOff("zookeeper-unreadable")
	m.tree = &ev.Tree
	if m.stage == StageActive {
		m.build(m.knownRows())
		m.wakeAt(m.now) // whatever differs from what was thought is tended
		return
	}
	m.start()
}

// knownRows are the resources of the plan.
func (m *Machine) knownRows() []fleet.Resource {
	rows := make([]fleet.Resource, 0, m.plan.Len())
	add := func(id string) bool {
		rows = append(rows, fleet.Resource{ID: id, Group: m.plan.Group(id)})
		return true
	}
	for i := range m.plan.Instances() {
		m.plan.Each(i, add)
	}
	m.plan.EachUnplaced(func(r fleet.Resource, _ placement.Reason) bool {
		rows = append(rows, r)
		return true
	})
	return rows
}

// start begins to act once ZooKeeper, the database and the pods are known.
func (m *Machine) start() {
	if m.stage != StageLoading || m.tree == nil || !m.rowsKnown || !m.podsKnown {
		return
	}
	m.build(m.rows)
	m.rows = nil
	m.stage = StageActive
	due := m.now + m.cfg.Resync
	if m.resyncAt > 0 { // see noteChannel
		due = min(due, m.resyncAt)
	}
	m.resyncAt = due
	m.podsAt = m.now + m.cfg.Monitor
	m.note(fleet.NoInstance, "active: %d resources on %d instances", m.plan.Len(), len(m.order))
	backlog := m.backlog
	m.backlog = nil
	for _, n := range backlog {
		m.apply(n)
	}
	if m.control.Maintenance {
		m.alarm("maintenance", "maintenance mode is on: nothing is done automatically")
	}
	m.sweep()
}

// build makes the plan from what ZooKeeper holds and the rows that exist, and
// notes as pending whatever of it ZooKeeper does not hold yet.
func (m *Machine) build(rows []fleet.Resource) {
	tree := m.tree
	m.tree, m.treeStale = nil, false
	was := m.commits
	m.commits = newCommits()
	m.ackSeen, m.ackDone = was.ackSeen, was.ackDone
	m.attempts, m.retryAt = was.attempts, was.retryAt
	if !m.controlDirty {
		m.control = tree.Control
	}
	m.controlVersion = tree.ControlVersion
	for _, in := range slices.Clone(m.order) {
		if in.floor = max(in.floor, in.status.Times+1); in.exists {
			in.floor = max(in.floor, in.times+1)
		}
		in.exists, in.used, in.bytes, in.times, in.incoming, in.confirm = false, 0, 0, 0, nil, nil
		if in.statusNews != m.treeDone {
			in.status = fleet.Status{Times: -1}
		}
		in.queued, in.rewrite, in.arriving, in.leaving, in.closing, in.barrier, in.creating = false, false, 0, 0, false, false, false
	}
	m.plan, m.digested = placement.New(placement.Config{Policy: m.cfg.Policy, Limits: m.cfg.Limits}), false
	m.size(tree)

	instances, placed, gone := m.adopt(tree, rows)
	var p placement.Plan
	if err := m.plan.Restore(instances, placed, &p); err != nil {
		panic("reconcile: what adopt made of ZooKeeper's tree is not consistent: " + err.Error())
	}
	for _, s := range gone {
		m.want(s.id, s.instance, fleet.NoInstance, placement.Reason{})
	}
	m.absorb(&p)
	if len(tree.Instances) == 0 {
		m.bootstrap(len(rows))
	}
	var add []fleet.Resource
	for _, r := range rows {
		if _, placed := m.plan.Owner(r.ID); !placed && m.validID(r.ID) {
			add = append(add, r)
		}
	}
	m.raiseBarrier()
	m.placeAll(add, nil)
	if m.control.TargetInstances > 0 {
		m.resumeOrchestration()
	}
}

// size tells the plan the last orchestration's size. A tree that the first
// orchestrator left has none: its instances' largest capacity stands for it.
func (m *Machine) size(tree *fleet.Tree) {
	s := placement.Size{
		Instances:           len(tree.Instances),
		ResourcePerInstance: m.control.Capacity,
		Ceiling:             m.control.ResourcePerInstance,
		MaxInstances:        m.control.MaxInstances,
	}
	if s.ResourcePerInstance == 0 {
		for _, ti := range tree.Instances {
			s.ResourcePerInstance = max(s.ResourcePerInstance, ti.Capacity)
		}
		s.ResourcePerInstance = min(cmp.Or(s.ResourcePerInstance, m.cfg.Limits.ResourcePerInstance), m.cfg.Limits.ResourcePerInstance)
	}
	s.Ceiling = cmp.Or(s.Ceiling, m.cfg.Limits.ResourcePerInstance)
	s.MaxInstances = cmp.Or(s.MaxInstances, m.cfg.Limits.MaxInstances)
	m.plan.SetSize(s)
}

// bootstrap sizes a kind that ZooKeeper holds nothing of.
func (m *Machine) bootstrap(rows int) {
	size, err := m.cfg.Limits.Size(rows, placement.Request{})
	if err != nil {
		m.alarm("too-many", "%v: as many as fit are placed, the rest waits", err)
		size = placement.Size{Instances: m.cfg.Limits.MaxInstances, ResourcePerInstance: m.cfg.Limits.ResourcePerInstance,
			Ceiling: m.cfg.Limits.ResourcePerInstance, MaxInstances: m.cfg.Limits.MaxInstances}
	}
	if err := m.plan.Reorchestrate(size, &m.scratch); err != nil {
		m.alarm("too-many", "%v", err)
	}
	m.setSize()
	m.absorb(&m.scratch)
}

// setSize notes the plan's size for the next restart.
func (m *Machine) setSize() {
	s := m.plan.Size()
	m.control.Capacity, m.control.ResourcePerInstance, m.control.MaxInstances = s.ResourcePerInstance, s.Ceiling, s.MaxInstances
	m.controlDirty = true
}

// adopt takes over the instances that ZooKeeper holds. It answers them, the
// resources that stay where they are, and the listings that must go because
// their rows are gone. A resource listed twice stays on the instance that runs,
// else on the one with the smaller id; the other listing becomes a stray.
func (m *Machine) adopt(tree *fleet.Tree, rows []fleet.Resource) (instances []placement.Instance, placed []placement.Placed, gone []stray) {
	group := make(map[string]string, len(rows))
	for _, r := range rows {
		group[r.ID] = r.Group
	}
	m.control.Closing = slices.DeleteFunc(slices.Clone(m.control.Closing), func(id fleet.InstanceID) bool {
		stale := !slices.ContainsFunc(tree.Instances, func(ti fleet.TreeInstance) bool { return ti.ID == id })
		m.controlDirty = m.controlDirty || stale // it went, and the note of it was lost
		return stale
	})
	for i := range tree.Instances {
		ti := &tree.Instances[i]
		in := m.at(ti.ID)
		in.exists, in.capacity, in.times, in.versions = true, ti.Capacity, ti.Times, ti.Versions
		if in.statusNews != m.treeDone {
			in.status = ti.Status
		}
		if ti.Versions.Reload < 0 { // the next must be above all that its DAC may have heard of
			in.times = max(ti.Times, in.floor-1, in.status.Times)
		}
		in.floor = 0
		m.heardOf(in, true)
		in.closing = slices.Contains(m.control.Closing, ti.ID)
		instances = append(instances, placement.Instance{ID: ti.ID, Capacity: max(1, ti.Capacity), Born: ti.Born, Closed: in.closing || in.evacuated})
	}
	for _, in := range m.order {
		if !in.exists {
			m.reckon(in, false)
		}
		if in.drainReq != 0 && !in.exists { // the transaction of which no answer came has happened
			m.emit(Reply{Req: in.drainReq})
			in.drainReq = 0
		}
	}
	trees := slices.Clone(tree.Instances)
	slices.SortFunc(trees, func(x, y fleet.TreeInstance) int {
		return cmp.Or(cmp.Compare(m.rank(x.ID), m.rank(y.ID)), cmp.Compare(x.ID, y.ID))
	})
	owner := make(map[string]fleet.InstanceID, len(rows))
	for i := range trees {
		ti := &trees[i]
		in := m.at(ti.ID)
		for _, id := range ti.IDs {
			first, listed := owner[id]
			if listed && first == ti.ID {
				in.rewrite = true // twice in one list
				continue
			}
			in.used++
			in.bytes += fleet.ListBytes(id)
			if listed {
				m.strays = append(m.strays, stray{instance: ti.ID, id: id})
				continue
			}
			owner[id] = ti.ID
			if g, exists := group[id]; exists {
				placed = append(placed, placement.Placed{Resource: fleet.Resource{ID: id, Group: g}, At: ti.ID})
			} else {
				gone = append(gone, stray{instance: ti.ID, id: id})
			}
		}
		if in.used != ti.Used || in.used > ti.Capacity {
			in.rewrite = true
		}
		if in.rewrite {
			m.touch(in)
		}
	}
	return instances, placed, gone
}

// rank prefers instances that run.
func (m *Machine) rank(id fleet.InstanceID) int {
	if m.up(m.at(id)) {
		return 0
	}
	return 1
}

// raiseBarrier holds back, with strict handoff, resources that stand in no
// list: their former owner, if any, may still run them until every living DAC
// has confirmed the list that ZooKeeper holds for it now. What comes while the
// barrier is up is held too: a row may be no news to a DAC (see want).
func (m *Machine) raiseBarrier() {
	if m.cfg.Handoff != fleet.HandoffStrict {
		return
	}
	for _, in := range m.order {
		// A pod whose nodes are gone confirms nothing: its end is awaited.
		in.barrier = !m.knownDead(in) && (!in.exists || in.status.Times < in.times)
		m.barrierUp = m.barrierUp || in.barrier
	}
}

// liftBarrier lets the resources go that raiseBarrier held, once every instance
// has confirmed.
func (m *Machine) liftBarrier() {
	for _, in := range m.order {
		if in.barrier {
			return
		}
	}
	m.blocked, m.barrierUp = false, false
	for id, was := range m.releasing {
		if was == behindBarrier {
			delete(m.releasing, id)
		}
	}
}
