// Package reconcile holds the orchestrator's core: one Machine per kind, which
// turns what happens into what must be done.
//
//	commands := machine.Step(now, event)
//
// It is pure: no clock, no goroutine, no network, no randomness. The production
// loop and the simulator drive the very same code.
//
// How it thinks: `plan` is where each resource should stand, changed at once by
// every event; `pending` is what of it ZooKeeper does not say yet; one
// transaction at a time carries pending changes over (commit.go). Pods follow
// the instances (pods.go), liveness follows the heartbeats (liveness.go), and
// people's orders go through the same plan (orders.go). At start, and whenever
// ZooKeeper turns out to differ from what was thought, everything is read anew
// (load.go): a restart is no special case.
package reconcile

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// Stage is how far a machine is.
type Stage uint8

// The stages of a machine.
const (
	StageFollower Stage = iota // another process leads
	StageLoading               // leads, and reads ZooKeeper, the database and the pods
	StageActive                // leads and acts
)

// String is the stage's name.
func (s Stage) String() string { return [...]string{"follower", "loading", "active"}[s] }

// never is a deadline that does not come.
const never = time.Duration(math.MaxInt64)

// Machine orchestrates one kind. Its methods must not be called concurrently.
type Machine struct {
	cfg   Config
	now   time.Duration
	out   []Command
	stage Stage
	epoch int64
	next  uint64 // the last request number given out
	wake  time.Duration

	plan      *placement.Assignment // where everything should stand
	scratch   placement.Plan
	digest    fleet.Digest // of the plan's resources, when digested
	digested  bool
	instances map[fleet.InstanceID]*instance
	order     []*instance // the same, by ascending id

	commits
	reads
	liveness
	orders

	alarms   map[string]string
	busy     int // instances that count against Config.Replacing
	downs    census
	manyDown bool // watchDown has found so many down that nothing may move, since the sweep began
	stats    Stats
}

// Stats counts what a machine has met since it was made.
type Stats struct {
	Notifications int // of this kind
	Foreign       int // notifications for another table
	BadIDs        int // ids that cannot stand in a list
	Heartbeats    int
	StrayBeats    int // heartbeats of instances that do not exist
	Conflicts     int // transactions refused because ZooKeeper held something else
	Unknown       int // transactions whose outcome was not known
	Replaced      int // pods deleted in order to be created anew
	MovesPlanned  int // moves that the placement decided on: each plan makes as few as can be
	Moves         int // resources moved between instances by committed transactions
	Committed     int // transactions committed
	Resyncs       int // whole comparisons with the database
	Healed        int // resources that such a comparison added or removed
}

// instance is all that is known of one instance.
type instance struct {
	id fleet.InstanceID

	// As ZooKeeper holds it.
	exists   bool
	used     int
	capacity int
	bytes    int // bound of the list's JSON
	times    int64
	floor    int64 // where the times of new nodes begin: above all that its DAC may have heard of before the old ones vanished
	versions fleet.Versions
	status   fleet.Status
	// statusNews is the reading of ZooKeeper that was under way, or not yet taken
	// over, when status came: it may be older.
	statusNews uint64

	// What is to become of it.
	queued       bool          // stands in commits.touched
	creating     bool          // the transaction in flight creates its nodes
	rewrite      bool          // its nodes are to be written although they say what they should
	arriving     int           // pending changes whose target it is
	leaving      int           // pending changes whose source it is
	incoming     []*change     // moves to it that wait
	confirmSince time.Duration // since when none of confirm has been confirmed
	confirm      []unconfirm   // removals that its DAC has not confirmed (strict handoff)
	closing      bool          // drained or surplus: once empty it goes
	drainReq     uint64        // the order that waits for it to go; zero for none
	barrier      bool          // strict handoff, after a restart: its DAC has not confirmed its list
	evacuated    bool          // its resources have moved away until it runs again
	building     fleet.Change
	txn          *fleet.Change // what the transaction being built does to it

	pod
	answering
	lastBeat       time.Duration
	silent         bool
	replacedSilent bool // for its silence, and not heard since
}

// New makes a machine that follows until it is told that it leads.
func New(cfg Config) (*Machine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Limits.ResourcePerInstance = cmp.Or(cfg.Limits.ResourcePerInstance, placement.DefaultResourcePerInstance)
	cfg.Limits.MaxInstances = cmp.Or(cfg.Limits.MaxInstances, placement.DefaultMaxInstances)
	m := &Machine{cfg: cfg, wake: never, alarms: map[string]string{}}
	m.forget()
	return m, nil
}

// forget drops everything that a leadership knew. Pods are kept by nobody else,
// so the next leadership lists them again.
func (m *Machine) forget() {
	m.plan = placement.New(placement.Config{Policy: m.cfg.Policy, Limits: m.cfg.Limits})
	m.digested = false
	m.instances = map[fleet.InstanceID]*instance{}
	m.order, m.busy = nil, 0
	m.commits = newCommits()
	m.reads = reads{}
	m.orders = orders{control: fleet.Control{}, controlVersion: -1}
	m.liveness = liveness{beatsUp: m.liveness.beatsUp, beatsSince: m.liveness.beatsSince}
}

// Step tells the machine what happened and answers what must be done, in that
// order. now must not go back; if it does, the last time is kept. The slice is
// valid until the next Step; the commands in it for as long as they are needed.
func (m *Machine) Step(now time.Duration, ev Event) []Command {
	m.now = max(m.now, now)
	clear(m.out)
	m.out = m.out[:0]
	m.downs.known = false
	switch ev.(type) {
	case Heartbeat, StatusSeen, Notified: // alone, they let nothing go that waits: what follows from them says so
	default:
		m.blocked = false
	}
	switch ev := ev.(type) {
	case Led:
		m.led(ev)
	case Deposed:
		m.deposed(ev.Why)
	case HeartbeatChannel:
		m.beatChannel(ev.Up)
	case Ordered:
		m.ordered(ev)
	case Notified:
		m.notified(ev)
	default:
		if m.stage != StageFollower { // answers to an earlier leadership's commands mean nothing
			m.lead(ev)
		}
	}
	if m.stage == StageActive {
		m.checkUnplaced()
		m.flush()
	}
	return m.out
}

// lead handles the events that concern a leader alone.
func (m *Machine) lead(ev Event) {
	switch ev := ev.(type) {
	case TreeRead:
		m.treeRead(ev)
	case Listed:
		m.listed(ev)
	case PodsListed:
		m.podsListed(ev)
	case NotificationChannel:
		m.noteChannel(ev.Up)
	case Heartbeat:
		m.heartbeat(ev.Instance)
	case PodSeen:
		m.podSeen(ev.Pod)
	case PodGone:
		m.podGone(ev.Instance, ev.UID)
	case PodCreated:
		m.podCreated(ev)
	case PodDeleted:
		m.podDeleted(ev)
	case Committed:
		m.committed(ev)
	case StatusSeen:
		m.statusSeen(ev.Instance, ev.Status)
	case Tick:
		m.sweep()
	}
}

// Deadline is when the machine next wants a Tick; false when it waits for
// events alone.
func (m *Machine) Deadline() (time.Duration, bool) { return m.wake, m.wake != never }

// wakeAt brings the next Tick forward.
func (m *Machine) wakeAt(at time.Duration) { m.wake = min(m.wake, at) }

func (m *Machine) led(ev Led) {
	if m.stage != StageFollower {
		m.deposed("a new leadership began before the old one was seen to end")
	}
	m.forget()
	m.stage, m.epoch = StageLoading, ev.Epoch
	m.beatsSince, m.beatsDown = max(m.beatsSince, m.now), m.now
	m.note(fleet.NoInstance, "leads with epoch %d; reads ZooKeeper, the database and the pods", ev.Epoch)
	m.reload()
}

func (m *Machine) deposed(why string) {
	if m.stage == StageFollower {
		return
	}
	m.failOrders("no longer the leader: " + why)
	for _, code := range sortedKeys(m.alarms) {
		m.alarmOff(code)
	}
	m.note(fleet.NoInstance, "follows: %s", why)
	m.ack(m.ackSeen) // whoever leads next compares with the database
	m.forget()
	m.stage, m.wake = StageFollower, never
}

// sweep looks at every deadline and finds the next one.
func (m *Machine) sweep() {
	m.wake = never
	m.sweepReads()
	if m.stage != StageActive {
		return
	}
	m.sweepCommits()
	m.sweepSilence()
	m.sweepUnconfirmed()
	m.manyDown = false
	for _, in := range slices.Clone(m.order) { // tending may end an instance
		if m.cfg.Handoff == fleet.HandoffStrict {
			m.watchConfirm(in)
		}
		m.tend(in)
	}
	if !m.manyDown && !m.control.Maintenance {
		m.alarmOff("many-down")
	}
	if stuck := m.stuck(); stuck > 0 {
		m.alarm("no-room", "%d resources cannot leave the instances that close: no other has room; raise maxInstances or resourcePerInstance", stuck)
	} else {
		m.alarmOff("no-room")
	}
}

// stuck counts the resources that cannot leave closing instances.
func (m *Machine) stuck() int {
	if len(m.control.Closing) == 0 {
		return 0
	}
	return m.plan.Stuck()
}

// at answers the instance's record, made when there is none yet.
func (m *Machine) at(id fleet.InstanceID) *instance {
	if in := m.instances[id]; in != nil {
		return in
	}
	in := &instance{id: id, status: fleet.Status{Times: -1}}
	m.instances[id] = in
	i, _ := slices.BinarySearchFunc(m.order, id, byID)
	m.order = slices.Insert(m.order, i, in)
	return in
}

func (m *Machine) drop(in *instance) {
	m.setReplacing(in, false)
	m.alarmOff(fmt.Sprintf("instance-down-%d", in.id))
	m.alarmOff(fmt.Sprintf("unconfirmed-%d", in.id))
	delete(m.instances, in.id)
	if i, ok := slices.BinarySearchFunc(m.order, in.id, byID); ok {
		m.order = slices.Delete(m.order, i, i+1)
	}
}

func byID(in *instance, id fleet.InstanceID) int { return int(in.id) - int(id) }

// req gives out the next request number.
func (m *Machine) req() uint64 {
	m.next++
	return m.next
}

// emit appends a command.
func (m *Machine) emit(c Command) { m.out = append(m.out, c) }

// backoff is the wait before attempt n (from 1) of something: RetryMin doubled
// with each attempt up to RetryMax, less up to a quarter by a jitter that what
// and attempt determine.
func (m *Machine) backoff(what string, n int) time.Duration {
	d := m.cfg.RetryMin
	for i := 1; i < n && d < m.cfg.RetryMax; i++ {
		d *= 2
	}
	d = min(d, m.cfg.RetryMax)
	h := fnv.New32a()
	h.Write([]byte(m.cfg.Kind))
	h.Write([]byte(what))
	h.Write([]byte{byte(n), byte(n >> 8)})
	return d - time.Duration(h.Sum32()%256)*d/1024
}
