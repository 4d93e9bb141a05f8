package reconcile

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// snapshotVersion is raised with every change of what is written.
const snapshotVersion = 2

const snapshotMagic = "dacorch machine"

// Snapshot appends the machine's whole state to dst. Restore makes of it a
// machine that answers every event as this one would: the same commands in the
// same order, the same deadlines, the same request numbers. Equal histories give
// equal bytes. It takes about 45 bytes a resource beyond the id's own when all is
// settled, twice that when nothing is, and changes nothing.
//
// The form (see placement.Coder): the words "dacorch machine", the version, the
// kind and the policy, then the fields in the order of the functions below, the
// plan (placement.Assignment.Code) and the checksum. A follower's is short.
func (m *Machine) Snapshot(dst []byte) []byte {
	c := placement.NewWriter(dst)
	codeHeader(c, m.cfg)
	m.code(c)
	dst, _ = c.Done()
	return dst
}

// Restore makes the machine whose state Snapshot has written. cfg must name the
// same kind and the same policy; with the rest of it the machine goes on, and it
// does exactly as the one written if all of it is the same. A transaction that
// was in flight is answered by Committed with its ID.
//
// data may come from anywhere: what is damaged, cut off, of another version or
// not a possible state is refused with the byte and the part where that shows.
// Nothing of data is kept but a copy, as long as the machine knows ids of it.
func Restore(cfg Config, data []byte) (*Machine, error) {
	m, err := New(cfg)
	if err != nil {
		return nil, err
	}
	c := placement.NewReader(data)
	codeHeader(c, m.cfg)
	m.code(c)
	if _, err := c.Done(); err != nil {
		return nil, err
	}
	return m, nil
}

// SnapshotVersion answers of which version a state is, and which one Restore reads;
// version is 0 where data does not begin as a state does.
func SnapshotVersion(data []byte) (version, reads uint64) {
	magic := append(binary.AppendUvarint(nil, uint64(len(snapshotMagic))), snapshotMagic...)
	if rest, is := bytes.CutPrefix(data, magic); is {
		version, _ = binary.Uvarint(rest)
	}
	return version, snapshotVersion
}

func codeHeader(c *placement.Coder, cfg Config) {
	c.Section("the header")
	magic, version := snapshotMagic, uint64(snapshotVersion)
	if c.String(&magic); magic != snapshotMagic {
		c.Fail("%.20q is not %q: this is no snapshot of a machine", magic, snapshotMagic)
	}
	if c.Uint(&version); version != snapshotVersion {
		c.Fail("version %d: this program reads version %d", version, snapshotVersion)
	}
	kind, policy := string(cfg.Kind), string(cfg.Policy)
	if c.String(&kind); kind != string(cfg.Kind) {
		c.Fail("it is of kind %.64q, the configuration is of %q", kind, cfg.Kind)
	}
	if c.String(&policy); policy != string(cfg.Policy) {
		c.Fail("it was placed by policy %.64q, the configuration's is %q", policy, cfg.Policy)
	}
}

// code is the whole state.
func (m *Machine) code(c *placement.Coder) {
	c.Section("the machine")
	placement.Int(c, &m.now)
	placement.Enum(c, &m.stage, StageActive)
	placement.Int(c, &m.epoch)
	c.Uint(&m.next)
	placement.Int(c, &m.wake)
	c.Bool(&m.digested)
	codeDigest(c, &m.digest)
	c.Bool(&m.manyDown)
	placement.Int(c, &m.busy)
	m.liveness.code(c)
	codeTexts(c, m.alarms)
	m.stats.code(c)
	m.codeInstances(c)
	m.commits.code(c, m)
	m.reads.code(c)
	m.orders.code(c)
	m.plan.Code(c)
}

func codeDigest(c *placement.Coder, d *fleet.Digest) {
	placement.Int(c, &d.Count)
	c.Uint(&d.IDs)
	c.Uint(&d.Groups)
}

func (l *liveness) code(c *placement.Coder) {
	c.Bool(&l.beatsUp)
	placement.Int(c, &l.beatsSince)
	placement.Int(c, &l.beatsDown)
}

func (s *Stats) code(c *placement.Coder) {
	for _, n := range []*int{&s.Notifications, &s.Foreign, &s.BadIDs, &s.Heartbeats, &s.StrayBeats, &s.Conflicts, &s.Unknown,
		&s.Replaced, &s.MovesPlanned, &s.Moves, &s.Committed, &s.Resyncs, &s.Healed} {
		placement.Int(c, n)
	}
}

// codeTexts codes texts by their keys.
func codeTexts(c *placement.Coder, texts map[string]string) {
	type entry struct{ key, text string }
	var all []entry
	for _, key := range sortedKeys(texts) {
		all = append(all, entry{key, texts[key]})
	}
	placement.List(c, &all, func(e *entry) {
		c.String(&e.key)
		c.String(&e.text)
	})
	for _, e := range all {
		texts[e.key] = e.text
	}
}

// recordBytes is more than anything takes that a list points to; entryBytes what
// an entry of a map does.
const (
	recordBytes = 1024
	entryBytes  = 64
)

// codeSet codes a set of ids. An empty one is read as nil.
func codeSet(c *placement.Coder, set *map[string]struct{}) {
	ids := make([]string, 0, len(*set))
	for id := range *set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	placement.List(c, &ids, c.String)
	if !c.Reading() {
		return
	}
	c.Alloc(entryBytes * len(ids))
	if *set = nil; len(ids) > 0 && !c.Failed() {
		*set = make(map[string]struct{}, len(ids))
	}
	for i := 0; i < len(ids) && *set != nil; i++ {
		(*set)[ids[i]] = struct{}{}
	}
}

func codeIDs(c *placement.Coder, ids *[]fleet.InstanceID) {
	placement.List(c, ids, func(id *fleet.InstanceID) { placement.Int(c, id) })
}

func (m *Machine) codeInstances(c *placement.Coder) {
	c.Section("the instances")
	placement.List(c, &m.order, func(p **instance) {
		if c.Reading() {
			c.Alloc(recordBytes)
			*p = &instance{}
		}
		in := *p
		in.code(c)
		if !c.Reading() {
			return
		}
		if n := len(m.order); n > 1 && m.order[n-2].id >= in.id {
			c.Fail("instance %d does not follow %d", int32(in.id), int32(m.order[n-2].id))
		}
		m.instances[in.id] = in
	})
}

func (in *instance) code(c *placement.Coder) {
	placement.Int(c, &in.id)
	c.Bool(&in.exists)
	placement.Int(c, &in.used)
	placement.Int(c, &in.capacity)
	placement.Int(c, &in.bytes)
	placement.Int(c, &in.times)
	placement.Int(c, &in.floor)
	codeVersions(c, &in.versions)
	codeStatus(c, &in.status)
	c.Uint(&in.statusNews)
	c.Bool(&in.queued)
	c.Bool(&in.creating)
	c.Bool(&in.rewrite)
	placement.Int(c, &in.arriving)
	placement.Int(c, &in.leaving)
	placement.Int(c, &in.confirmSince)
	placement.List(c, &in.confirm, func(u *unconfirm) {
		c.String(&u.id)
		placement.Int(c, &u.times)
	})
	c.Bool(&in.closing)
	c.Uint(&in.drainReq)
	c.Bool(&in.barrier)
	c.Bool(&in.evacuated)
	in.pod.code(c)
	in.answering.code(c)
	placement.Int(c, &in.lastBeat)
	c.Bool(&in.silent)
	c.Bool(&in.replacedSilent)
}

func (a *answering) code(c *placement.Coder) {
	c.Bool(&a.vouched)
	placement.Int(c, &a.confirmedAt)
	c.Bool(&a.owing)
	placement.Int(c, &a.owingSince)
	placement.Int(c, &a.stalls)
	placement.Int(c, &a.stalledAt)
	c.Bool(&a.stalled)
	codeStatus(c, &a.seen)
	if a.stalls < 0 {
		c.Fail("%d pods replaced", a.stalls)
	}
}

func (p *pod) code(c *placement.Coder) {
	placement.Enum(c, &p.phase, fleet.PhaseUnknown)
	c.String(&p.uid)
	c.String(&p.lastGone)
	c.String(&p.reason)
	c.Bool(&p.terminating)
	c.Bool(&p.nodeLost)
	placement.Int(c, &p.since)
	placement.Int(c, &p.seenAt)
	placement.Enum(c, &p.step, podDeleting)
	placement.Int(c, &p.attempts)
	placement.Int(c, &p.retryAt)
	placement.Int(c, &p.downSince)
	c.Bool(&p.down)
	c.Bool(&p.ran)
	c.Bool(&p.replacing)
}

func codeVersions(c *placement.Coder, v *fleet.Versions) {
	placement.Int(c, &v.Node)
	placement.Int(c, &v.Resources)
	placement.Int(c, &v.Reload)
}

func codeStatus(c *placement.Coder, s *fleet.Status) {
	c.Bool(&s.Present)
	placement.Int(c, &s.Times)
}

// codePointer codes whether something is there, and if so makes it for reading.
func codePointer[T any](c *placement.Coder, p **T) bool {
	there := *p != nil
	c.Bool(&there)
	if c.Reading() {
		if *p = nil; there {
			*p = new(T)
		}
	}
	return there
}

func (o *orders) code(c *placement.Coder) {
	c.Section("the orders")
	codeControl(c, &o.control)
	placement.Int(c, &o.controlVersion)
	c.Bool(&o.controlDirty)
	placement.List(c, &o.unnoted, func(req *uint64) { c.Uint(req) })
	if !codePointer(c, &o.orchestration) {
		return
	}
	or := o.orchestration
	c.Uint(&or.req)
	for _, n := range []**int{&or.request.ResourcePerInstance, &or.request.MaxInstances} {
		if codePointer(c, n) {
			placement.Int(c, *n)
		}
	}
	c.Bool(&or.planned)
	c.Bool(&or.closed)
	placement.Int(c, &or.began)
	placement.Int(c, &or.moves)
	codeIDs(c, &or.opened)
	codeIDs(c, &or.closing)
}

func codeControl(c *placement.Coder, o *fleet.Control) {
	placement.Int(c, &o.ResourcePerInstance)
	placement.Int(c, &o.MaxInstances)
	placement.Int(c, &o.Capacity)
	placement.Int(c, &o.TargetInstances)
	codeIDs(c, &o.Closing)
	c.Bool(&o.Maintenance)
}

func (r *reads) code(c *placement.Coder) {
	c.Section("the readings")
	for _, n := range []*uint64{&r.treeReq, &r.treeDone, &r.listReq, &r.lookupReq, &r.podsReq} {
		c.Uint(n)
	}
	for _, n := range []*int{&r.treeFails, &r.listFails, &r.lookupFails, &r.podsFails} {
		placement.Int(c, n)
	}
	for _, at := range []*time.Duration{&r.treeRetry, &r.listRetry, &r.listedAt, &r.resyncAt, &r.lookupRetry, &r.podsAsked, &r.podsAt} {
		placement.Int(c, at)
	}
	for _, b := range []*bool{&r.treeStale, &r.again, &r.rowsKnown, &r.podsKnown} {
		c.Bool(b)
	}
	if codePointer(c, &r.tree) {
		codeTree(c, r.tree)
	}
	codeResources(c, &r.rows)
	placement.List(c, &r.backlog, func(p **fleet.Notification) {
		if c.Reading() {
			c.Alloc(entryBytes)
			*p = &fleet.Notification{}
		}
		n := *p
		placement.Enum(c, &n.Op, fleet.OpBulkDelete)
		c.String(&n.Table)
		codeResources(c, &n.Resources)
		c.Bool(&n.GroupKnown)
	})
	placement.List(c, &r.lookup, c.String)
	placement.List(c, &r.lookupNext, c.String)
	codeSet(c, &r.fresh)
	codeSet(c, &r.lookupFresh)
}

func codeResources(c *placement.Coder, rs *[]fleet.Resource) {
	placement.List(c, rs, func(r *fleet.Resource) {
		c.String(&r.ID)
		group := &r.Group
		if c.Word(&group); group != nil {
			r.Group = *group
		}
	})
}

func codeTree(c *placement.Coder, t *fleet.Tree) {
	placement.List(c, &t.Instances, func(in *fleet.TreeInstance) {
		placement.Int(c, &in.ID)
		placement.Int(c, &in.Capacity)
		placement.Int(c, &in.Used)
		placement.List(c, &in.IDs, c.String)
		placement.Int(c, &in.Times)
		placement.Int(c, &in.Born)
		codeVersions(c, &in.Versions)
		codeStatus(c, &in.Status)
	})
	codeControl(c, &t.Control)
	placement.Int(c, &t.ControlVersion)
	ids := make(map[fleet.InstanceID]bool, len(t.Instances))
	for i := range t.Instances {
		id := t.Instances[i].ID
		if id < 0 || ids[id] {
			c.Fail("the tree that was read holds instance %d, negative or twice", int32(id))
		}
		ids[id] = true
	}
}
