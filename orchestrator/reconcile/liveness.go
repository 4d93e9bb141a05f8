package reconcile

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// liveness judges silence. An instance is replaced for it only when
//
//   - the heartbeat channel is known to be up, and has been for a whole Silence;
//   - no more than SilentShare of the watched instances are overdue: they have
//     missed a heartbeat, or are being replaced for their silence. A short outage
//     that nobody noticed makes many miss one, and their deadlines pass one after
//     the other: counting the silent ones alone would find few at any time; and
//   - witnesses were heard: a quarter of the others (at least one) have sent a
//     heartbeat since the silent one missed its own. A channel that fails
//     without anybody noticing falls silent for everyone at the same moment, so
//     the first to pass its deadline has no witness.
type liveness struct {
	beatsUp    bool          // the channel is known to work
	beatsSince time.Duration // since when it is
	beatsDown  time.Duration // since when it is not, or we lead without knowing
}

func (m *Machine) beatChannel(up bool) {
	switch {
	case up && !m.beatsUp:
		m.beatsSince = m.now
		if m.stage != StageFollower { // a follower does nothing at a Tick
			m.wakeAt(m.now + m.cfg.Silence)
		}
		m.alarmOff("heartbeats-down")
	case !up && m.beatsUp:
		m.beatsDown = m.now
		if m.stage != StageFollower {
			m.alarmBeatsDown()
		}
	}
	m.beatsUp = up
}

func (m *Machine) alarmBeatsDown() {
	if m.cfg.Heartbeat {
		m.alarm("heartbeats-down", "the heartbeat channel is down: silence replaces nobody until it is back")
	}
}

func (m *Machine) heartbeat(id fleet.InstanceID) {
	m.stats.Heartbeats++
	in := m.instances[id]
	if in == nil {
		m.stats.StrayBeats++
		return
	}
	in.lastBeat = m.now
	in.replacedSilent = false
	if in.silent {
		in.silent = false
		m.note(id, "heard again")
	}
}

// heardSince is the moment from which an instance's silence counts.
func (m *Machine) heardSince(in *instance) time.Duration { return max(in.lastBeat, m.beatsSince) }

// sweepSilence replaces the instances that fell silent, when silence means
// something, and asks for a Tick at the next deadline.
func (m *Machine) sweepSilence() {
	if !m.cfg.Heartbeat {
		return
	}
	if !m.beatsUp {
		// A process that has just come to lead is not connected yet.
		if at := m.beatsDown + m.cfg.HeartbeatInterval/2; m.now < at {
			m.wakeAt(at)
		} else {
			m.alarmBeatsDown()
		}
		return
	}
	if m.control.Maintenance {
		return
	}
	silent, overdue, watched := m.countSilent()
	if len(silent) > 0 && overdue >= 2 && float64(overdue) > m.cfg.SilentShare*float64(watched) {
		m.alarm("mass-silence", "%d of %d instances have missed a heartbeat: taken for a fault of the channel, nobody is replaced", overdue, watched)
		for _, in := range silent {
			in.silent = true
		}
		m.wakeAt(m.now + m.cfg.HeartbeatInterval/4)
		return
	}
	m.alarmOff("mass-silence")
	for _, in := range silent {
		if !in.silent {
			in.silent = true
			m.note(in.id, "silent for %v", (m.now - in.lastBeat).Round(time.Second))
		}
		heard, need := m.witnesses(in)
		if heard < need {
			m.wakeAt(m.now + m.cfg.HeartbeatInterval/4)
			continue
		}
		in.replacedSilent = true
		m.replace(in, fmt.Sprintf("silent for %v while %d others were heard", (m.now-in.lastBeat).Round(time.Second), heard), PurposeReplace)
		m.wakeAt(m.now + m.cfg.HeartbeatInterval/4)
	}
}

// countSilent answers the instances that are silent, how many are overdue, the
// silent ones among them, and how many are watched.
func (m *Machine) countSilent() (silent []*instance, overdue, watched int) {
	slack := min(m.cfg.HeartbeatInterval/10, (m.cfg.Silence-m.cfg.HeartbeatInterval)/2)
	for _, in := range m.order {
		switch {
		case !m.plan.Has(in.id):
			continue
		case !m.up(in):
			if in.replacedSilent {
				watched++
				overdue++
			}
			continue
		}
		watched++
		heard := m.heardSince(in)
		if m.now > heard+m.cfg.HeartbeatInterval+slack {
			overdue++
		}
		if at := heard + m.cfg.Silence; m.now < at {
			m.wakeAt(at)
		} else {
			silent = append(silent, in)
		}
	}
	return silent, overdue, watched
}

// witnesses counts the other instances heard since this one missed its beat,
// and how many are needed to believe in its silence.
func (m *Machine) witnesses(silent *instance) (heard, need int) {
	missed := m.heardSince(silent) + m.cfg.HeartbeatInterval
	others := 0
	for _, in := range m.order {
		if in == silent || !m.up(in) {
			continue
		}
		others++
		if in.lastBeat > missed {
			heard++
		}
	}
	if others == 0 {
		return 0, 0
	}
	return heard, max(1, others/4)
}

// statusSeen takes over what an instance wrote to tmp/status.
func (m *Machine) statusSeen(id fleet.InstanceID, st fleet.Status) {
	reading := m.treeReq // the reading of ZooKeeper that may be older than this
	if m.tree != nil {
		reading = m.treeDone
	}
	in := m.instances[id]
	if in == nil {
		if reading == 0 || id < 0 || id > maxInstanceID {
			return
		}
		in = m.at(id) // ZooKeeper is being read: the instance may be in it
	}
	m.blocked = m.blocked && (in.status.Present || !st.Present) // see ready
	in.status, in.statusNews = st, reading
	m.heardOf(in, false)
	if st.Present && in.exists { // else it speaks of a list that no longer is
		m.confirm(in, st.Times)
		m.tend(in)
	}
}

// released notes, with strict handoff, that a resource has left a list while
// the list's DAC may still run it.
func (m *Machine) released(in *instance, id string) {
	if m.cfg.Handoff != fleet.HandoffStrict || m.knownDead(in) || in.status.Times >= in.times {
		return // its word can be faster than the transaction's answer
	}
	m.releasing[id] = in.id
	if len(in.confirm) == 0 {
		in.confirmSince = m.now
		m.wakeAt(m.now + m.cfg.Patience)
	}
	in.confirm = append(in.confirm, unconfirm{id: id, times: in.times})
}

// watchConfirm tells people about a DAC that runs and does not confirm: with
// strict handoff what has left its list waits for it.
func (m *Machine) watchConfirm(in *instance) {
	code := fmt.Sprintf("unconfirmed-%d", in.id)
	switch at := in.confirmSince + m.cfg.Patience; {
	case len(in.confirm) == 0:
		m.alarmOff(code)
	case m.now < at:
		m.wakeAt(at)
	default:
		m.alarm(code, "instance %d has not confirmed that it dropped %d resources for %v: strict handoff waits for it; replace it, or use handoff fast for DACs that never write tmp/status",
			in.id, len(in.confirm), (m.now - in.confirmSince).Round(time.Second))
	}
}

// confirm ends the wait for everything that the DAC has dropped by times.
func (m *Machine) confirm(in *instance, times int64) {
	n := slices.IndexFunc(in.confirm, func(u unconfirm) bool { return u.times > times })
	if n < 0 {
		n = len(in.confirm)
	}
	for _, u := range in.confirm[:n] {
		if m.releasing[u.id] == in.id {
			delete(m.releasing, u.id)
		}
	}
	in.confirm = slices.Delete(in.confirm, 0, n)
	if n > 0 {
		in.confirmSince = m.now
		m.blocked = false
		if len(in.confirm) == 0 && len(m.alarms) > 0 {
			m.watchConfirm(in)
		}
	}
	if in.barrier && times >= max(in.times, in.floor) {
		in.barrier = false
		m.liftBarrier()
	}
}

// confirmAll is confirm for an instance that is known dead.
func (m *Machine) confirmAll(in *instance) {
	if m.knownDead(in) {
		m.confirm(in, 1<<62)
	}
}
