package reconcile

import (
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
)

// answering is what an instance's DAC has made known of what it was told. A DAC
// may confirm nothing: then nothing can be known, and nothing is done. One that
// has confirmed something since its pod came, and then does not for longer than
// Config.Unconfirmed although its list has changed, does nothing: it hangs in
// all but its heartbeats. One whose tmp/status has vanished has lost its session:
// it beats and works on, but can be told nothing, so it gets twice as long to come
// back and is then replaced as well. So is one that has not written a status since
// its pod came up, if the others of its kind do: of those that have confirmed there
// must be no fewer than of those without a word, or the kind's DACs are taken for
// such that confirm nothing. All that only while
//
//   - ZooKeeper answers us: nothing is being read anew or tried again; and
//   - no more than SilentShare of those that had something to confirm, or to
//     keep, are late: more are taken for a fault that is not theirs, and an alarm
//     is raised.
//
// Whoever is late again after a new pod gets twice as long each time: a DAC that
// never manages its list is not replaced for ever at full speed.
type answering struct {
	vouched     bool          // its pod has confirmed something: it can
	confirmedAt time.Duration // when that was last seen to rise; 0: it was found so
	owing       bool          // it has not confirmed its list, or has no status
	owingSince  time.Duration // since when, since it last confirmed another part, or since its pod came up
	stalls      int           // pods replaced for it, not yet forgotten
	stalledAt   time.Duration // when last
	stalled     bool          // replaced for it, and the new pod has not confirmed yet
	seen        fleet.Status  // the last status taken over
}

// maxStalls bounds how often the deadline doubles.
const maxStalls = 6

// heardOf takes over in.status, which has just come, or which a reading of
// ZooKeeper has found.
func (m *Machine) heardOf(in *instance, found bool) {
	st, before := in.status, in.seen
	in.seen = st
	switch {
	case st.Present && st.Times < 0:
		in.vouched = false // a new program, or one that never confirms
	case st.Present && in.phase != fleet.PhaseMissing:
		in.vouched = true
		if !found {
			in.confirmedAt, in.stalled = m.now, false
		}
	case in.confirmedAt == 0:
		in.vouched = false // what was found may have been its predecessor's
	}
	m.reckon(in, before.Present != st.Present || st.Times > before.Times)
}

// reckon notes whether the instance owes something; progress says that it has
// just confirmed a part.
func (m *Machine) reckon(in *instance, progress bool) {
	owing := in.exists && (!in.status.Present || in.vouched && in.status.Times < in.times)
	if owing && (progress || !in.owing) {
		in.owingSince = m.now
	}
	in.owing = owing
}

// grace is how long an instance may owe.
func (m *Machine) grace(in *instance) time.Duration {
	d := m.cfg.Unconfirmed << min(in.stalls, maxStalls)
	if !in.status.Present {
		d *= 2
	}
	return d
}

// lateness counts one way of not answering.
type lateness struct {
	late           []*instance
	overdue, asked int
}

// sweepUnconfirmed replaces the instances that run and do not answer, when that
// means something. It asks for no Tick: the pods are listed every Monitor.
func (m *Machine) sweepUnconfirmed() {
	// A transaction that is tried again says that ZooKeeper is in trouble. One that
	// was tried, and of which nothing can go before its former owner has confirmed,
	// says nothing: that owner may be the one who does nothing.
	retrying := m.attempts > 0 && (m.txn != nil || m.retryAt > m.now)
	if m.cfg.Unconfirmed == 0 || m.control.Maintenance || m.treeStale || retrying {
		return
	}
	idle, away := m.countUnconfirmed()
	if m.believe("mass-unconfirmed", "have not confirmed their lists", idle) {
		for _, in := range idle.late {
			m.stall(in, fmt.Sprintf("runs and does nothing: it has confirmed times %d of %d, and nothing more for %v",
				in.status.Times, in.times, (m.now-in.owingSince).Round(time.Second)))
		}
	}
	if m.believe("mass-cut-off", "have no status in ZooKeeper", away) {
		for _, in := range away.late {
			why := "its ZooKeeper session has been lost for %v: it can be told nothing"
			if !in.vouched {
				why = "it has run for %v without a status in ZooKeeper, which the others have: it can be told nothing"
			}
			m.stall(in, fmt.Sprintf(why, (m.now-in.owingSince).Round(time.Second)))
		}
	}
}

// countUnconfirmed finds who does not answer: among those that owe something or
// have confirmed something since the first of the late ones owes; and who has no
// status, among those that should. As with silence, who is on the way there counts,
// and who is being replaced for it.
func (m *Machine) countUnconfirmed() (idle, away lateness) {
	since, confirm := m.witnessed()
	for _, in := range m.order {
		if in.stalls > 0 && !in.owing && m.now-in.stalledAt > 4*m.grace(in) {
			in.stalls = 0
		}
		which := &away
		switch {
		case !m.plan.Has(in.id):
			continue
		case !m.up(in):
			if in.stalled {
				idle.asked, idle.overdue = idle.asked+1, idle.overdue+1
			}
			continue
		case in.vouched:
			away.asked++
			if in.status.Present {
				which = &idle
				if in.owing || in.confirmedAt > since {
					idle.asked++
				}
			}
		case in.status.Present || !confirm:
			continue // it confirms nothing, as may be
		default:
			away.asked++
		}
		if !in.owing {
			continue
		}
		if m.now-in.owingSince > m.cfg.Unconfirmed/2 {
			which.overdue++
		}
		if m.now-in.owingSince >= m.grace(in) {
			which.late = append(which.late, in)
		}
	}
	return idle, away
}

// witnessed finds since when whoever has confirmed anything speaks against a common
// fault, and whether the kind's DACs confirm at all: no fewer have than have long
// been without a word.
func (m *Machine) witnessed() (since time.Duration, confirm bool) {
	since = m.now
	can, mute := 0, 0
	for _, in := range m.order {
		switch {
		case !m.plan.Has(in.id) || !m.up(in):
		case in.vouched:
			can++
			if in.owing && in.status.Present && m.now-in.owingSince >= m.grace(in) {
				since = min(since, in.owingSince)
			}
		case in.owing && m.now-in.owingSince > m.cfg.Unconfirmed/2:
			mute++
		}
	}
	return since, can >= mute
}

// believe says that those late are themselves at fault, and raises the alarm code
// when they are too many for that.
func (m *Machine) believe(code, what string, l lateness) bool {
	if len(l.late) > 0 && l.overdue >= 2 && float64(l.overdue) > m.cfg.SilentShare*float64(l.asked) {
		m.alarm(code, "%d of %d instances %s: taken for a fault of what they share, nobody is replaced", l.overdue, l.asked, what)
		return false
	}
	m.alarmOff(code)
	return true
}

// stall replaces an instance that does not answer.
func (m *Machine) stall(in *instance, why string) {
	if m.replace(in, why, PurposeReplace); in.step != podDeleting {
		return // it has to wait
	}
	m.note(in.id, "%s; replaced", why)
	in.stalls++
	in.stalledAt, in.stalled = m.now, true
}
