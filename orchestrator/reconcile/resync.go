package reconcile

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// maxBacklog bounds the notifications kept while the machine loads; more of
// them make it list the database again.
const maxBacklog = 10_000

// publisherReconnects is by when a publisher is connected again once we are:
// three of the contract's reconnect periods.
const publisherReconnects = 30 * time.Second

// reads is what the machine reads and waits for.
type reads struct {
	treeReq   uint64
	treeDone  uint64 // the last reading that was answered
	treeFails int
	treeRetry time.Duration
	tree      *fleet.Tree
	treeStale bool // ZooKeeper may hold something else than we think

	listReq   uint64 // a listing of the whole table is under way
	listFails int
	listRetry time.Duration
	listedAt  time.Duration
	again     bool // something has happened that only another listing can tell
	resyncAt  time.Duration
	rows      []fleet.Resource
	rowsKnown bool
	backlog   []*fleet.Notification

	lookupReq   uint64 // a listing of some ids is under way
	lookup      []string
	lookupNext  []string
	lookupFails int
	lookupRetry time.Duration

	// fresh and lookupFresh are ids that notifications named while a listing, or
	// a lookup, was under way: it may be older than they are.
	fresh, lookupFresh map[string]struct{}

	podsReq   uint64
	podsAsked time.Duration
	podsAt    time.Duration
	podsFails int
	podsKnown bool
}

// listRows asks for the whole table, or remembers to when that is under way.
func (m *Machine) listRows() {
	if m.listReq != 0 {
		m.again = true
		return
	}
	m.again = false
	m.listReq = m.req()
	m.emit(ListRows{Req: m.listReq})
}

func (m *Machine) listPods() {
	if m.podsReq != 0 {
		return
	}
	m.podsReq, m.podsAsked = m.req(), m.now
	m.emit(ListPods{Req: m.podsReq})
}

// sweepReads repeats what failed and what is due.
func (m *Machine) sweepReads() {
	due := func(at time.Duration) bool {
		if at > m.now {
			m.wakeAt(at)
			return false
		}
		return true
	}
	if m.treeFails > 0 && m.treeReq == 0 && due(m.treeRetry) {
		m.reload()
	}
	if m.listFails > 0 && m.listReq == 0 && due(m.listRetry) {
		m.listRows()
	}
	if m.podsReq == 0 && (m.podsFails > 0 || m.stage == StageActive) && due(m.podsAt) {
		m.listPods()
	}
	if m.stage != StageActive {
		return
	}
	if m.again && m.listReq == 0 && due(m.listedAt+m.cfg.ResyncFloor) {
		m.listRows()
	}
	if due(m.resyncAt) {
		m.resyncAt = m.now + m.cfg.Resync
		m.wakeAt(m.resyncAt)
		m.listRows()
	}
	m.askLookup()
}

func (m *Machine) noteChannel(up bool) {
	if !up {
		m.alarm("notifications-down", "the notification channel is down: changes are found by comparison with the database every %v", m.cfg.Resync)
		return
	}
	_, wasDown := m.alarms["notifications-down"]
	m.alarmOff("notifications-down")
	m.resyncSoon()
	// Whoever publishes reconnects too, and what it could not publish until then
	// is lost: compare once more when it has.
	again := m.now + publisherReconnects
	if m.stage == StageLoading {
		if wasDown { // else it is only told how it is
			m.resyncAt = again // for start
		}
		return
	}
	if m.cfg.Resync >= publisherReconnects { // one that is due before would come too early, and be in its place
		m.resyncAt = again
	}
	m.wakeAt(m.resyncAt)
}

// resyncSoon asks for a comparison with the database, at most one each
// ResyncFloor.
func (m *Machine) resyncSoon() {
	m.again = true
	if m.stage == StageActive && m.listReq == 0 {
		m.wakeAt(max(m.now, m.listedAt+m.cfg.ResyncFloor))
	}
}

// notified takes a notification: at once when active, later when loading. A
// follower knows that whoever leads, or it itself on the day it does, compares
// with the database.
func (m *Machine) notified(ev Notified) {
	if ev.Token > m.ackSeen {
		m.ackSeen = ev.Token
	}
	switch {
	case ev.Note.Table != string(m.cfg.Kind):
		m.stats.Foreign++
		if m.stage != StageActive { // else with what came before it
			m.ack(ev.Token)
		}
	case m.stage == StageFollower:
		m.ack(ev.Token)
	case m.stage == StageLoading:
		m.stats.Notifications++
		if len(m.backlog) < maxBacklog {
			m.backlog = append(m.backlog, ev.Note)
		} else {
			m.again = true
		}
		m.ack(ev.Token) // the listing that start waits for, or one after it, finds it
	default:
		m.stats.Notifications++
		m.apply(ev.Note)
	}
}

// apply does to the plan what a notification says. Notifications are hints: one
// that leaves a doubt asks the database.
func (m *Machine) apply(n *fleet.Notification) {
	rs := n.Resources
	if m.listReq != 0 {
		m.fresh = mark(m.fresh, rs)
	}
	if m.lookupReq != 0 {
		m.lookupFresh = mark(m.lookupFresh, rs)
	}
	if len(rs) == 0 {
		if n.Op != fleet.OpBulkCreate {
			m.resyncSoon() // a condition that names no ids, or a bare message
		}
		return
	}
	switch n.Op {
	case fleet.OpCreate, fleet.OpBulkCreate:
		if !m.groupsKnown(n) {
			m.lookUp(rs)
			return
		}
		if len(rs) == 1 {
			if m.validID(rs[0].ID) {
				m.place(rs[0])
			}
		} else {
			m.placeAll(slices.DeleteFunc(slices.Clone(rs), func(r fleet.Resource) bool { return !m.validID(r.ID) }), nil)
		}
	case fleet.OpDelete, fleet.OpBulkDelete:
		if len(rs) == 1 {
			m.displace(rs[0].ID)
		} else {
			ids := make([]string, len(rs))
			for i, r := range rs {
				ids[i] = r.ID
			}
			m.placeAll(nil, ids)
		}
	case fleet.OpUpdate, fleet.OpBulkUpdate:
		m.updated(n)
	default:
		m.resyncSoon()
	}
}

// mark adds the ids of rs to a set, made when there is none yet.
func mark(set map[string]struct{}, rs []fleet.Resource) map[string]struct{} {
	if set == nil {
		set = make(map[string]struct{}, len(rs))
	}
	for _, r := range rs {
		set[r.ID] = struct{}{}
	}
	return set
}

// place puts a resource into the plan.
func (m *Machine) place(r fleet.Resource) {
	was, known := m.plan.Add(r, &m.scratch)
	if m.digested {
		if known {
			m.digest.Remove(was)
		}
		m.digest.Add(r)
	}
	m.absorb(&m.scratch)
}

// displace takes a resource out of the plan.
func (m *Machine) displace(id string) {
	if was, known := m.plan.Remove(id, &m.scratch); known {
		if m.digested {
			m.digest.Remove(was)
		}
		m.absorb(&m.scratch)
	}
}

// placeAll takes resources out of the plan and puts others into it, with the
// fewest moves for all of them together.
func (m *Machine) placeAll(add []fleet.Resource, remove []string) {
	if len(add)+len(remove) == 1 { // as resync mostly finds
		for _, r := range add {
			m.place(r)
		}
		for _, id := range remove {
			m.displace(id)
		}
		return
	}
	m.plan.Apply(add, remove, &m.scratch)
	m.absorb(&m.scratch)
	m.digested = false
}

// counted is the digest of the plan's resources.
func (m *Machine) counted() fleet.Digest {
	if !m.digested {
		m.digest, m.digested = fleet.Digest{}, true
		for _, r := range m.knownRows() {
			m.digest.Add(r)
		}
	}
	return m.digest
}

// groupsKnown says that the message is enough to place its resources.
func (m *Machine) groupsKnown(n *fleet.Notification) bool {
	return n.GroupKnown || m.cfg.Policy != fleet.PolicyGroup
}

// updated handles u and bu: they matter where they change a group, or name a
// row whose creation was missed.
func (m *Machine) updated(n *fleet.Notification) {
	var doubt []fleet.Resource
	for _, r := range n.Resources {
		_, known := m.plan.Owner(r.ID)
		switch {
		case !known, !m.groupsKnown(n):
			doubt = append(doubt, r)
		case n.GroupKnown && m.plan.Group(r.ID) != r.Group:
			m.place(r)
		}
	}
	m.lookUp(doubt)
}

// validID says whether an id can stand in a list, and tells people when not.
func (m *Machine) validID(id string) bool {
	err := fleet.CheckResourceID(id, m.cfg.MaxIDBytes)
	if err == nil && fleet.ListBytes(id) > m.cfg.MaxIDBytes+3 {
		err = &fleet.FieldError{Field: "id", Value: id, Want: "an id whose JSON is shorter"}
	}
	if err != nil {
		m.stats.BadIDs++
		m.alarm("bad-id", "a row cannot be placed: %v", err)
		return false
	}
	return true
}

func (m *Machine) listed(ev Listed) {
	switch {
	case ev.Req == m.listReq && ev.Req != 0:
		m.listReq = 0
		fresh := m.fresh
		m.fresh = nil
		if ev.Err != "" {
			m.listFails++
			m.listRetry = m.unlisted("list", m.listFails, ev.Err)
			return
		}
		m.listFails = 0
		m.alarmOff("database-unreadable")
		m.listedAt = m.now
		if m.stage == StageLoading {
			m.rows, m.rowsKnown = slices.Clone(ev.Rows), true
			m.start()
			return
		}
		m.resync(ev.Rows, ev.Digest, fresh)
		m.planOrchestration()
		if m.again {
			m.resyncSoon()
		}
	case ev.Req == m.lookupReq && ev.Req != 0:
		m.lookupReq = 0
		ids, fresh := m.lookup, m.lookupFresh
		m.lookup, m.lookupFresh = nil, nil
		if ev.Err != "" {
			m.lookupFails++
			m.lookupRetry = m.unlisted("lookup", m.lookupFails, ev.Err)
			m.lookupNext = append(ids, m.lookupNext...)
			return
		}
		m.lookupFails = 0
		if m.listFails == 0 {
			m.alarmOff("database-unreadable")
		}
		m.lookedUp(ids, ev.Rows, fresh)
		m.askLookup()
	}
}

// unlisted answers when a listing that has failed is tried again.
func (m *Machine) unlisted(what string, fails int, err string) time.Duration {
	retry := m.now + m.backoff(what, fails)
	m.wakeAt(retry)
	m.alarm("database-unreadable", "the database cannot be listed: %s", err)
	return retry
}

// resync makes the plan agree with the table, except for the ids that
// notifications named since the listing began.
func (m *Machine) resync(rows []fleet.Resource, digest fleet.Digest, fresh map[string]struct{}) {
	m.stats.Resyncs++
	bad := false
	defer func() {
		if !bad {
			m.alarmOff("bad-id")
		}
	}()
	if m.agrees(rows, digest, fresh) {
		return // no need to look at each
	}
	var add []fleet.Resource
	missing := m.plan.Missing(rows, func(r fleet.Resource, group string, known bool) {
		if known && (m.cfg.Policy != fleet.PolicyGroup || group == r.Group) {
			return
		}
		if !m.validID(r.ID) {
			bad = true
		} else if _, young := fresh[r.ID]; !young {
			add = append(add, r)
		}
	})
	var remove []string
	for _, r := range missing {
		if _, young := fresh[r.ID]; !young {
			remove = append(remove, r.ID)
		}
	}
	if len(add)+len(remove) == 0 {
		return
	}
	m.stats.Healed += len(add) + len(remove)
	m.note(fleet.NoInstance, "comparison with the database: %d resources added, %d removed that no notification had told of", len(add), len(remove))
	m.placeAll(add, remove)
}

// agrees says, by their digests, that the rows and the plan hold the same
// resources, but for those in fresh.
func (m *Machine) agrees(rows []fleet.Resource, digest fleet.Digest, fresh map[string]struct{}) bool {
	plan := m.counted()
	same := func() bool {
		return digest.Count == plan.Count && digest.IDs == plan.IDs && (digest.Groups == plan.Groups || m.cfg.Policy != fleet.PolicyGroup)
	}
	if same() || len(fresh) == 0 {
		return same()
	}
	for id := range fresh {
		if _, known := m.plan.Owner(id); known {
			plan.Remove(fleet.Resource{ID: id, Group: m.plan.Group(id)})
		}
	}
	// Hardly any row is among the few fresh ones: most are told by their ends.
	var ends [256]bool
	for id := range fresh {
		ends[ending(id)] = true
	}
	for _, r := range rows {
		if !ends[ending(r.ID)] {
			continue
		}
		if _, young := fresh[r.ID]; young {
			digest.Remove(r)
		}
	}
	return same()
}

// ending mixes the last two bytes of an id, where ids differ most.
func ending(id string) byte {
	if n := len(id); n > 1 {
		return id[n-1]*31 ^ id[n-2]
	}
	return 0
}

func (m *Machine) podsListed(ev PodsListed) {
	if ev.Req != m.podsReq {
		return
	}
	m.podsReq = 0
	if ev.Err != "" {
		m.podsFails++
		m.podsAt = m.now + m.backoff("pods", m.podsFails)
		m.wakeAt(m.podsAt)
		m.alarm("kubernetes-unreadable", "the pods cannot be listed: %s", ev.Err)
		return
	}
	m.podsFails, m.podsAt = 0, m.now+m.cfg.Monitor
	m.wakeAt(m.podsAt)
	m.alarmOff("kubernetes-unreadable")
	first := !m.podsKnown
	m.podsKnown = true
	listed := make(map[fleet.InstanceID]bool, len(ev.Pods))
	for _, p := range ev.Pods {
		listed[p.Instance] = true
		if in := m.instances[p.Instance]; first || in == nil || in.seenAt < m.podsAsked {
			if in != nil && in.uid != "" && in.uid != p.UID {
				in.lastGone = in.uid // its end was missed
				m.lost(in)
			}
			m.podSeen(p)
		}
	}
	for _, in := range slices.Clone(m.order) {
		if !listed[in.id] && in.uid != "" && in.seenAt < m.podsAsked {
			m.podGone(in.id, in.uid)
		}
	}
	if first {
		m.start()
	}
}
