package replay

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// gauge measures one kind.
type gauge struct {
	*gauges
	out      Outcome
	machines map[int]*twin // by process
	sent     map[int]reconcile.Commit
	asked    map[question]asking
	places   map[uint64]place // by a hash of the resource's id
	slots    map[fleet.InstanceID]*standing
	alarms   map[string]time.Duration // that are on, since when

	on, waiting    int // resources on lists, and known and on none
	instances      int
	used, capacity int
	placed         bool // every resource has had a place once

	sampled time.Duration // when imbalance was looked at last
	spread  float64       // what it was
	lasted  time.Duration
	area    float64
}

// twin is a machine that is told the same: it knows how many moves its plans asked for.
type twin struct {
	*reconcile.Machine
	before int // moves that were planned before it was followed
}

// place is what is known of one resource.
type place struct {
	since   time.Duration // waiting, leaving: since when; told of by a message
	lost    time.Duration // since when nobody runs it that has run it; below 0: somebody does
	last    fleet.InstanceID
	on      bool // last's list holds it
	waiting bool
	told    bool
	leaving bool
	read    bool // in the reading that goes on
}

// standing is what is known of one instance.
type standing struct {
	exists         bool
	used, capacity int
	uid            string
	phase          fleet.Phase
	present, ran   bool
	up             bool
	down           time.Duration // since when it is not up, having been
	lost           int           // of the resources on it, those that nobody has run since a time of their own
}

// maxPlaces bounds the resources that are followed: 4 million, at about 100 bytes.
const maxPlaces = 4 << 20

// spreadEvery is how often imbalance is looked at.
const spreadEvery = time.Second

func (k *gauge) counts() bool { return k.now >= k.from }

func (k *gauge) moment(m moment) error {
	k.now = m.now
	if m.Restarted || m.joined {
		k.forget(m.Process)
	}
	switch {
	case m.Snapshot != nil && m.anew:
		k.restore(m)
	case m.Event != nil:
		k.event(m)
	}
	for _, c := range m.Commands {
		k.command(m, c)
	}
	k.balance()
	return nil
}

// machine finds the twin of a process.
func (k *gauge) machine(m moment) *twin {
	t := k.machines[m.Process]
	if t == nil && len(k.machines) < maxAsked {
		machine, err := reconcile.New(*m.cfg)
		if err != nil {
			return nil
		}
		t = &twin{Machine: machine}
		k.machines[m.Process] = t
	}
	return t
}

// forgo takes back what a machine has planned and not done, since who leads next
// plans it again.
func (k *gauge) forgo(t *twin) {
	if p := t.Progress(); p.Running {
		k.out.MovesNeeded -= p.MovesLeft
	}
}

// forget says that a process has ended: its machine's plans are counted.
func (k *gauge) forget(process int) {
	if t := k.machines[process]; t != nil {
		k.forgo(t)
		k.out.MovesNeeded += t.Stats().MovesPlanned - t.before
	}
	delete(k.machines, process)
	delete(k.sent, process)
}

// restore takes over what a machine knew where the beginning is missing.
func (k *gauge) restore(m moment) {
	machine, err := reconcile.Restore(*m.cfg, m.Snapshot)
	if err != nil {
		return // Derive has told of it
	}
	k.machines[m.Process] = &twin{machine, machine.Stats().MovesPlanned}
	machine.EachInstance(func(in reconcile.Instance) bool {
		if in.Exists {
			k.sized(in.ID, in.Used, in.Capacity)
		}
		s := k.slot(in.ID)
		s.uid, s.phase, s.present = in.UID, in.Phase, in.Status.Present
		s.up = s.running()
		s.ran = s.up
		return true
	})
	machine.EachPlace(func(id string, on fleet.InstanceID) bool {
		h := hashed(id)
		if on == fleet.NoInstance {
			k.put(h, place{last: on, lost: -1, waiting: true, since: m.now})
		} else {
			k.put(h, place{last: on, lost: -1, on: true})
		}
		return true
	})
	k.placed = machine.Stage() == reconcile.StageActive
}

func (k *gauge) event(m moment) {
	switch ev := m.Event.(type) {
	case reconcile.TreeRead:
		if ev.Err == "" {
			k.treeRead(&ev.Tree)
		}
	case reconcile.Listed:
		k.listed(m, &ev)
	case reconcile.Notified:
		if ev.Note != nil && ev.Note.Table == string(m.kind) {
			k.notified(ev.Note)
		}
	case reconcile.Committed:
		k.committed(m, ev)
	case reconcile.PodSeen:
		k.podSeen(ev.Pod)
	case reconcile.PodsListed:
		for _, p := range ev.Pods {
			k.podSeen(p)
		}
	case reconcile.PodGone:
		if s := k.slots[ev.Instance]; s != nil && s.uid == ev.UID {
			s.phase, s.present = fleet.PhaseMissing, false
			k.turned(ev.Instance, s)
		}
	case reconcile.StatusSeen:
		s := k.slot(ev.Instance)
		s.present = ev.Status.Present
		k.turned(ev.Instance, s)
	case reconcile.Ordered:
		k.out.Orders += k.one()
	}
	if t := k.machine(m); t != nil {
		if _, deposed := m.Event.(reconcile.Deposed); deposed {
			k.forgo(t)
		}
		if _, err := step(t.Machine, m.At+m.Skew, m.Event); err != nil {
			delete(k.machines, m.Process) // another core's recording: its plans are not known
		}
	}
}

// one is what a moment counts.
func (k *gauge) one() int {
	if k.counts() {
		return 1
	}
	return 0
}

func (k *gauge) command(m moment, c reconcile.Command) {
	switch c := c.(type) {
	case reconcile.Commit:
		if c.Txn != nil && (len(k.sent) < maxAsked || k.sent[m.Process].Txn != nil) {
			k.sent[m.Process] = c
		}
	case reconcile.ListRows:
		if len(k.asked) >= maxAsked {
			clear(k.asked)
		}
		k.asked[question{m.Process, c.Req}] = asking{m.now, c.IDs == nil}
	case reconcile.DeletePod:
		if c.Purpose != reconcile.PurposeRelease {
			k.out.Replaced += k.one()
		}
	case reconcile.Alarm:
		k.alarm(c)
	case reconcile.Reply:
		if c.Err != "" {
			k.out.Refused += k.one()
		}
	}
}

// glimpse is how long an alarm must last to count: as a process starts, one may
// come and go for milliseconds, or not.
const glimpse = time.Second

func (k *gauge) alarm(c reconcile.Alarm) {
	since, on := k.alarms[c.Code]
	switch {
	case c.On && !on && len(k.alarms) < maxSlots:
		k.out.Alarms += k.one()
		k.alarms[c.Code] = k.now
	case on && !c.On:
		if k.now-since < glimpse && since >= k.from {
			k.out.Alarms--
		}
		delete(k.alarms, c.Code)
	}
}

func (k *gauge) slot(id fleet.InstanceID) *standing {
	s := k.slots[id]
	if s == nil {
		if s = (&standing{}); len(k.slots) < maxSlots {
			k.slots[id] = s
		}
	}
	return s
}

// running says whether what stands on the list is run, as far as the core knows.
func (s *standing) running() bool { return s.phase == fleet.PhaseRunning && s.present }

func (k *gauge) podSeen(p fleet.Pod) {
	s := k.slot(p.Instance)
	if s.uid != p.UID {
		s.uid, s.present = p.UID, false
	}
	if s.phase = p.Phase; p.Phase != fleet.PhaseRunning || p.NodeLost || p.Terminating {
		s.phase = max(fleet.PhasePending, s.phase)
		if s.phase == fleet.PhaseRunning {
			s.phase = fleet.PhaseUnknown
		}
		s.present = false
	}
	k.turned(p.Instance, s)
}

// turned notes whether an instance has come up, or gone down.
func (k *gauge) turned(id fleet.InstanceID, s *standing) {
	up := s.running()
	switch {
	case up && !s.up:
		k.runAgain(id, s)
	case !up && s.up:
		s.down = k.now
	}
	s.up, s.ran = up, s.ran || up
}

// runAgain counts the times that end as an instance comes up.
func (k *gauge) runAgain(id fleet.InstanceID, s *standing) {
	if s.ran {
		for range s.used - s.lost {
			k.ownerless(s.down)
		}
	}
	if s.lost == 0 {
		return
	}
	for h, p := range k.places {
		if p.on && p.last == id && p.lost >= 0 {
			k.ownerless(p.lost)
			p.lost = -1
			k.put(h, p)
		}
	}
}

// ownerless counts a time that is over at which nobody ran a resource.
func (k *gauge) ownerless(since time.Duration) {
	if since = max(since, k.from); k.counts() && k.now > since {
		k.unowned.Add(k.now - since)
	}
}

// balance looks at how evenly the instances are filled, once in a while.
func (k *gauge) balance() {
	if k.now-k.sampled < spreadEvery && k.sampled > 0 || !k.placed || !k.counts() {
		return
	}
	if k.sampled > 0 {
		k.lasted += k.now - k.sampled
		k.area += k.spread * (k.now - k.sampled).Seconds()
	}
	k.sampled = max(k.now, 1)
	most, least := k.ends()
	k.spread = 0
	if k.used > 0 {
		k.spread = float64(most-least) * float64(k.instances) / float64(k.used)
	}
}

// ends are the resources on the fullest and on the emptiest instance.
func (k *gauge) ends() (most, least int) {
	first := true
	for _, s := range k.slots {
		if s.exists {
			if most = max(most, s.used); first || s.used < least {
				least = s.used
			}
			first = false
		}
	}
	return most, least
}

// finish ends what lasts.
func (k *gauge) finish(to time.Duration) {
	k.now = max(k.now, to)
	k.balance()
	for _, t := range k.machines {
		k.out.MovesNeeded += t.Stats().MovesPlanned - t.before
		if p := t.Progress(); p.Running && to > 0 {
			k.out.MovesNeeded -= p.MovesLeft // the recording ends before they are made
		}
	}
	if k.lasted > 0 {
		k.out.Imbalance = k.area / k.lasted.Seconds()
	}
	most, least := k.ends()
	k.out.ImbalanceEnd = most - least
	for _, s := range k.slots {
		if s.exists && s.ran && !s.up {
			for range s.used - s.lost {
				k.ownerless(s.down)
			}
		}
	}
	for _, p := range k.places {
		if p.lost >= 0 && (p.on || p.waiting) {
			k.ownerless(p.lost)
		}
	}
}
