package loop

import (
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// The types of entries.
const (
	EntryLeader    = "leader"     // who leads, as this process sees it
	EntryLed       = "led"        // this process leads
	EntryDeposed   = "deposed"    // it does no longer
	EntryNote      = "note"       // a decision
	EntryAlarm     = "alarm"      // an alarm is on
	EntryAlarmOver = "alarm-over" // it is over
	EntryCommit    = "commit"     // a transaction has happened
	EntryPodCreate = "pod-create" // a pod is being created
	EntryPodDelete = "pod-delete"
	EntryPod       = "pod" // Kubernetes tells a pod's new phase

	EntryOrder       = "order"       // an order is done, refused or interrupted
	EntryProgress    = "progress"    // a re-orchestration began, got on or ended
	EntryMaintenance = "maintenance" // the mode was set by an order
)

// Entry is something that has happened, for whoever tells people.
type Entry struct {
	Kind     fleet.Kind
	Type     string
	Instance fleet.InstanceID // NoInstance for the kind as a whole
	Code     string           // of an alarm; of EntryPodDelete: replace, ordered, release; of EntryOrder: done, refused, interrupted
	On       bool             // of EntryProgress: it runs; of EntryMaintenance: the mode
	Text     string
	Phase    fleet.Phase        // of EntryPod
	Progress reconcile.Progress // of EntryProgress
	Order    reconcile.Order    // of EntryOrder
	Why      string             // of EntryOrder that is not done

	// Of EntryCommit; neither changes afterwards.
	Txn       *fleet.Txn
	Decisions []placement.Move
}

// moves remembers a kind's latest placements.
type moves struct {
	ring  []Moved
	n     uint64        // so many were ever added
	began time.Duration // when the leadership began
}

// Moved is a placement that was committed.
type Moved struct {
	At time.Duration
	placement.Move
}

func newMoves(size int) *moves { return &moves{ring: make([]Moved, 0, size)} }

func (m *moves) add(at time.Duration, decided []placement.Move) {
	for _, mv := range decided {
		if len(m.ring) < cap(m.ring) {
			m.ring = append(m.ring, Moved{at, mv})
		} else {
			m.ring[m.n%uint64(cap(m.ring))] = Moved{at, mv}
		}
		m.n++
	}
}

func (m *moves) clear() {
	clear(m.ring)
	m.ring, m.n, m.began = m.ring[:0], 0, 0
}

// since is the time from which on every placement is remembered, and whether
// none has been forgotten.
func (m *moves) since() (time.Duration, bool) {
	if m.n <= uint64(len(m.ring)) {
		return m.began, true
	}
	return m.ring[m.n%uint64(len(m.ring))].At, false
}

// of answers a resource's placements, the latest first, at most limit.
func (m *moves) of(id string, limit int) (found []Moved) {
	for i := uint64(1); i <= uint64(len(m.ring)) && len(found) < limit; i++ {
		if mv := &m.ring[(m.n-i)%uint64(cap(m.ring))]; mv.Resource == id {
			found = append(found, *mv)
		}
	}
	return found
}

func (d *driver) tell(e Entry) {
	if d.l.cfg.Tell != nil {
		e.Kind = d.kind
		d.l.cfg.Tell(e)
	}
}

func (d *driver) note(kind string, id fleet.InstanceID, format string, args ...any) {
	d.tell(Entry{Type: kind, Instance: id, Text: fmt.Sprintf(format, args...)})
}

// tellOrder tells what an order came to.
func (d *driver) tellOrder(order reconcile.Order, code, why string) {
	e := Entry{Type: EntryOrder, Code: code, Order: order, Why: why}
	e.Text, e.Instance = reconcile.Told(order)
	if mode, is := order.(reconcile.Maintenance); is && code == orderDone {
		d.tell(Entry{Type: EntryMaintenance, Instance: fleet.NoInstance, On: mode.On})
	}
	if why != "" {
		e.Text += ": " + why
	}
	d.tell(e)
}

// tellProgress tells how far a re-orchestration is, when that has changed.
func (d *driver) tellProgress() {
	p := d.machine.Progress()
	if p == d.progress {
		return
	}
	d.progress = p
	e := Entry{Type: EntryProgress, Instance: fleet.NoInstance, On: p.Running, Text: "ended", Progress: p}
	if p.Running {
		e.Text = p.String()
	}
	d.tell(e)
}

// podChanged tells of a pod's new phase.
func (d *driver) podChanged(p fleet.Pod) {
	was := d.phases[p.Instance]
	if was.UID == p.UID && was.Phase == p.Phase && was.Terminating == p.Terminating {
		return
	}
	d.phases[p.Instance] = p
	d.tell(Entry{Type: EntryPod, Instance: p.Instance, Phase: p.Phase, Text: p.State()})
}

func (d *driver) podGone(ev reconcile.PodGone) {
	if d.phases[ev.Instance].UID == ev.UID {
		delete(d.phases, ev.Instance)
		d.tell(Entry{Type: EntryPod, Instance: ev.Instance, Phase: fleet.PhaseMissing, Text: "gone"})
	}
}
