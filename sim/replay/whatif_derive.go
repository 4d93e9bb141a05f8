package replay

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
	"dacorch/sim"
)

// deriver goes through a recording and gathers what the platform did.
type deriver struct {
	names   []fleet.Kind // in the order in which they were met
	kinds   map[fleet.Kind]*kindDeriver
	process map[int]time.Duration // by number: when it was last heard of
	origin  time.Duration         // what becomes the run's beginning; below 0: not met
	to      time.Duration         // the last moment
	away    []span                // the orchestrator was gone
	faults  []scenarios.Fault     // on the recording's clock
	open    map[scenarios.FaultKind]*window
	orders  []scenarios.Order
	took    latencies
	remarks remarks
}

// span is a stretch of time.
type span struct{ from, to time.Duration }

// kindDeriver is what is known of one kind on the way.
type kindDeriver struct {
	*deriver
	name    fleet.Kind
	cfg     reconcile.Config
	rows    *rows
	tree    *fleet.Tree // as first read
	running []fleet.InstanceID
	podsAt  bool // the pods have been listed
	slots   map[fleet.InstanceID]*slot

	leads     map[int]bool  // by process
	leader    int           // the process that led last
	deposed   time.Duration // since when none leads; below 0: one does, or none has
	beatsDown time.Duration // below 0: they arrive
	beatsUp   bool          // they have been known to
	notesDown time.Duration
	notesUp   bool
	outage    span // the last time at which no message came through

	reports  int  // of DACs in tmp/status
	confirms bool // one has said what it has applied

	asked map[question]asking
	calls map[question]time.Duration // of trees
	sent  map[int]sending            // transactions
}

// question is a command's number, which each process counts for itself.
type question struct {
	process int
	req     uint64
}

type asking struct {
	at    time.Duration
	whole bool
}

type sending struct {
	commit reconcile.Commit
	at     time.Duration
}

// The bounds of what a deriver remembers.
const (
	maxAsked = 64
	maxSlots = 1 << 17
)

func newDeriver() *deriver {
	return &deriver{kinds: map[fleet.Kind]*kindDeriver{}, process: map[int]time.Duration{}, origin: -1,
		open: map[scenarios.FaultKind]*window{}, took: latencies{}}
}

// kind finds what is known of a kind, with the configuration that it began with.
func (d *deriver) kind(name fleet.Kind, cfg reconcile.Config) *kindDeriver {
	k := d.kinds[name]
	if k == nil {
		k = &kindDeriver{deriver: d, name: name, cfg: cfg, rows: newRows(), slots: map[fleet.InstanceID]*slot{},
			leads: map[int]bool{}, deposed: -1, beatsDown: -1, notesDown: -1,
			asked: map[question]asking{}, calls: map[question]time.Duration{}, sent: map[int]sending{}}
		d.kinds[name], d.names = k, append(d.names, name)
	}
	return k
}

// moment takes over one moment of a recording.
func (k *kindDeriver) moment(m moment) error {
	switch {
	case m.joined:
		if *m.cfg != k.cfg {
			k.remarks.add("the settings of %s were others from %s on: it is simulated with the first throughout", k.name, shortTime(m.now))
		}
		k.restarted(k.to, m.now)
	case m.Restarted:
		if from, known := k.process[m.Process]; known && !k.others(m.Process, from) {
			k.restarted(from, m.now)
		} else {
			k.remarks.count("times that a process of the orchestrator began beside another; the simulation has one at a time", 1)
			delete(k.leads, m.Process)
		}
	}
	if k.to = max(k.to, m.now); m.Event != nil {
		k.process[m.Process] = m.now
	}
	var err error
	switch {
	case m.Snapshot != nil && m.anew:
		err = k.snapshot(m)
	case m.Event != nil:
		err = k.event(m)
	}
	for _, c := range m.Commands {
		k.command(m, c)
	}
	return err
}

// others says whether another process was heard of after a moment.
func (d *deriver) others(process int, since time.Duration) bool {
	for p, at := range d.process {
		if p != process && at > since+time.Second {
			return true
		}
	}
	return false
}

// starts says when the run begins: a little before the first is led.
func (d *deriver) starts(now time.Duration) {
	if d.origin < 0 {
		d.origin = max(now-time.Second, 0)
	}
}

// snapshot is the state of a machine where the beginning of its recording is
// missing: what it knows stands for what was read.
func (k *kindDeriver) snapshot(m moment) error {
	machine, err := reconcile.Restore(k.cfg, m.Snapshot)
	if err != nil {
		return fmt.Errorf("the state of the machine of %s: %w", k.name, err)
	}
	if machine.Stage() != reconcile.StageActive {
		return nil
	}
	k.starts(m.now)
	k.leads[m.Process], k.leader, k.deposed = true, m.Process, -1
	lists := map[fleet.InstanceID][]string{}
	var all []fleet.Resource
	machine.EachResource(func(r fleet.Resource, on fleet.InstanceID) bool {
		all = append(all, r)
		if on != fleet.NoInstance {
			lists[on] = append(lists[on], r.ID)
		}
		return true
	})
	tree := fleet.Tree{Control: machine.Control()}
	born := int64(0)
	machine.EachInstance(func(in reconcile.Instance) bool {
		if in.Exists {
			born++ // by their numbers: who is older is not said
			ids := lists[in.ID]
			slices.Sort(ids)
			tree.Instances = append(tree.Instances, fleet.TreeInstance{ID: in.ID, Capacity: in.Capacity, Used: len(ids), IDs: ids,
				Times: in.Times, Born: born, Status: in.Status})
		}
		if s := k.slot(in.ID); s != nil && in.UID != "" {
			*s = slot{uid: in.UID, phase: in.Phase, present: in.Status.Present, confirmed: in.Status.Times, lastBeat: -1, heardAt: -1}
			if k.tree == nil && in.Phase == fleet.PhaseRunning && !in.Terminating {
				k.running = append(k.running, in.ID)
			}
		}
		return true
	})
	if k.tree == nil {
		k.tree, k.podsAt = &tree, true
	}
	return k.rows.table(all, m.now, m.now)
}

func (k *kindDeriver) event(m moment) error {
	now := m.now
	switch ev := m.Event.(type) {
	case reconcile.Led:
		k.led(m)
	case reconcile.Deposed:
		k.silenceBeats()
		if delete(k.leads, m.Process); len(k.leads) == 0 && k.deposed < 0 && k.leader == m.Process {
			k.deposed = now
		}
	case reconcile.TreeRead:
		k.treeRead(m, &ev)
	case reconcile.Listed:
		return k.listed(m, &ev)
	case reconcile.PodsListed:
		if ev.Err != "" {
			k.refused(callFault(ev.Err), now)
			break
		}
		k.answered("kubernetes", now)
		k.podsListed(now, ev.Pods)
	case reconcile.Notified:
		if ev.Note != nil && ev.Note.Table == string(k.name) {
			return k.rows.notified(ev.Note, now)
		}
	case reconcile.NotificationChannel:
		if m.Process == k.leader {
			k.notesChannel(now, ev.Up)
		}
	case reconcile.HeartbeatChannel:
		if m.Process == k.leader {
			k.beatsChannel(now, ev.Up)
		}
	case reconcile.Heartbeat:
		k.beat(now, ev.Instance)
	case reconcile.PodSeen:
		k.podSeen(now, ev.Pod)
	case reconcile.PodGone:
		k.podGone(now, ev.Instance, ev.UID)
	case reconcile.PodCreated:
		k.podCreated(now, ev)
	case reconcile.PodDeleted:
		if ev.Answer == reconcile.PodRefused {
			k.refused(callFault(ev.Err), now)
		} else {
			k.answered("kubernetes", now)
		}
	case reconcile.StatusSeen:
		k.statusSeen(now, ev.Instance, ev.Status)
	case reconcile.Committed:
		k.committed(m, ev)
	case reconcile.Ordered:
		k.ordered(now, ev.Order)
	}
	return nil
}

func (k *kindDeriver) command(m moment, c reconcile.Command) {
	which := question{process: m.Process}
	switch c := c.(type) {
	case reconcile.ReadTree:
		if which.req = c.Req; len(k.calls) < maxAsked {
			k.calls[which] = m.now
		}
	case reconcile.ListRows:
		if which.req = c.Req; len(k.asked) >= maxAsked {
			clear(k.asked) // those before a crash are never answered
		}
		k.asked[which] = asking{m.now, c.IDs == nil}
	case reconcile.Commit:
		if c.Txn != nil && (len(k.sent) < maxAsked || k.sent[m.Process].commit.Txn != nil) {
			k.sent[m.Process] = sending{c, m.now}
		}
	case reconcile.CreatePod:
		if s := k.slot(c.Instance); s != nil {
			s.asked = m.now
		}
	case reconcile.DeletePod:
		k.deletes(m.now, c)
	}
}

// led begins a leadership: of the first, the run begins.
func (k *kindDeriver) led(m moment) {
	k.starts(m.now)
	if k.deposed >= 0 {
		k.lostLead(k.deposed, m.now)
	}
	if m.Process != k.leader {
		k.notesDown, k.beatsDown, k.beatsUp = -1, -1, false
	}
	k.leads[m.Process], k.leader, k.deposed = true, m.Process, -1
	k.silenceBeats()
}

func (k *kindDeriver) treeRead(m moment, ev *reconcile.TreeRead) {
	which := question{m.Process, ev.Req}
	at, known := k.calls[which]
	delete(k.calls, which)
	if ev.Err != "" {
		k.refused(scenarios.ZooKeeperDown, m.now)
		return
	}
	k.answered("zookeeper", m.now)
	if known {
		k.took.add("zookeeper.readTree", m.now-at)
	}
	if k.tree == nil {
		tree := ev.Tree
		k.tree = &tree
	}
}

func (k *kindDeriver) listed(m moment, ev *reconcile.Listed) error {
	which := question{m.Process, ev.Req}
	q, known := k.asked[which]
	delete(k.asked, which)
	if ev.Err != "" {
		k.refused(scenarios.DatabaseDown, m.now)
		return nil
	}
	k.answered("database", m.now)
	if known {
		k.took.add("database.answer", m.now-q.at)
	} else {
		q = asking{m.now, ev.Digest.Count > 0}
	}
	if !q.whole {
		k.rows.some(ev.Rows)
		return nil
	}
	if len(ev.Rows) == 0 && ev.Digest.Count > 0 || k.rows.same(ev.Digest) {
		return nil // the rows are what was known
	}
	return k.rows.table(ev.Rows, q.at, k.happened(m.now))
}

// happened is when a change took place that only a listing told of.
func (k *kindDeriver) happened(now time.Duration) time.Duration {
	if o := k.outage; o.to > 0 && now-o.to < k.cfg.Resync+time.Minute {
		k.outage = span{}
		return o.from + (o.to-o.from)/2
	}
	return now
}

func (k *kindDeriver) committed(m moment, ev reconcile.Committed) {
	s := k.sent[m.Process]
	if s.commit.Txn == nil || s.commit.Txn.ID != ev.Txn {
		return // of a process that has died
	}
	delete(k.sent, m.Process)
	switch ev.Outcome {
	case fleet.OutcomeFailed:
		k.refused(scenarios.ZooKeeperDown, m.now)
		return
	case fleet.OutcomeUnknown:
		k.refused(scenarios.ZooKeeperCut, m.now)
		return
	case fleet.OutcomeConflict:
		k.remarks.count("transactions that met what others had written into ZooKeeper; what that was is not recorded", 1)
		return
	case fleet.OutcomeDeposed:
		return
	}
	k.answered("zookeeper", m.now)
	k.took.add("zookeeper.request", m.now-s.at)
	for i := range s.commit.Txn.Changes {
		c := &s.commit.Txn.Changes[i]
		if in := k.slot(c.Instance); in != nil && len(c.Add)+len(c.Remove) > 0 {
			in.owed, in.owedAt = c.Times, m.now
		}
	}
}

func (k *kindDeriver) ordered(now time.Duration, order reconcile.Order) {
	o := sim.OperatorOrder(k.name, order, now.Round(time.Millisecond))
	if o != nil && len(k.orders) < 100*maxOrders { // those of the beginning; givenOrders counts what else is left out
		k.orders = append(k.orders, *o)
	}
}

// slot finds what is known of an instance; nil where there are too many.
func (k *kindDeriver) slot(id fleet.InstanceID) *slot {
	s := k.slots[id]
	if s == nil && len(k.slots) < maxSlots {
		s = &slot{lastBeat: -1, heardAt: -1}
		k.slots[id] = s
	}
	return s
}

// standing is what stood at the start.
func (k *kindDeriver) standing() (sim.Standing, bool) {
	if k.tree == nil || len(k.tree.Instances) == 0 {
		return sim.Standing{}, false
	}
	st := sim.Standing{Tree: *k.tree}
	st.Tree.Instances = nil
	seen := map[fleet.InstanceID]bool{}
	for _, in := range k.tree.Instances {
		if seen[in.ID] || in.ID < 0 {
			continue
		}
		seen[in.ID] = true
		slices.Sort(in.IDs)
		in.IDs = slices.Compact(in.IDs)
		in.Used = len(in.IDs)
		st.Tree.Instances = append(st.Tree.Instances, in)
		if slices.Contains(k.running, in.ID) {
			st.Running = append(st.Running, in.ID)
		}
	}
	return st, len(st.Tree.Instances) > 0
}

// remarks are what could not be carried over, in words.
type remarks struct {
	lines  []string
	counts map[string]int
	more   int
}

// maxRemarks bounds those that stand alone.
const maxRemarks = 20

func (r *remarks) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	switch {
	case slices.Contains(r.lines, text):
	case len(r.lines) >= maxRemarks:
		r.more++
	default:
		r.lines = append(r.lines, text)
	}
}

// count adds to a remark that ends with a number.
func (r *remarks) count(text string, n int) {
	if n == 0 {
		return
	}
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[text] += n
}

func (r *remarks) all() []string {
	out := slices.Clone(r.lines)
	for _, text := range slices.Sorted(maps.Keys(r.counts)) {
		out = append(out, fmt.Sprintf("%s: %d", text, r.counts[text]))
	}
	if r.more > 0 {
		out = append(out, fmt.Sprintf("more of this sort: %d", r.more))
	}
	return out
}

// shortTime is a moment or a length for people.
func shortTime(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	default:
		d = d.Round(10 * time.Microsecond)
	}
	return scenarios.FormatDuration(d)
}
