package reconcile

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// podStep is what the machine waits for before it does anything else to a pod.
type podStep uint8

const (
	podIdle     podStep = iota
	podCreating         // the answer to CreatePod
	podDeleting         // the answer to DeletePod
)

// pod is what is known of an instance's pod and of the work on it.
type pod struct {
	phase       fleet.Phase
	uid         string
	lastGone    string // the UID whose deletion was last seen
	reason      string
	terminating bool
	nodeLost    bool
	since       time.Duration // when phase or nodeLost last changed
	seenAt      time.Duration // the last news: an older listing cannot contradict it

	step      podStep
	attempts  int           // failures since the pod last ran for long
	retryAt   time.Duration // not created or deleted before
	downSince time.Duration // since when an instance that should be up is not
	down      bool
	ran       bool // it has been up since this leadership began
	replacing bool // counts against Config.Replacing
}

// up says that the instance's pod runs and is not about to go.
func (m *Machine) up(in *instance) bool {
	return in.phase == fleet.PhaseRunning && !in.terminating && !in.nodeLost && in.step != podDeleting
}

// ready says that resources may move to the instance: its DAC works, as its
// status in ZooKeeper tells, or if it never writes one, has had the time to start.
func (m *Machine) ready(in *instance) bool {
	return m.up(in) && (in.status.Present || m.now-in.since >= m.cfg.HeartbeatInterval)
}

// knownDead says that no process of the instance can be running any more.
// Unknown and a lost node are no proof.
func (m *Machine) knownDead(in *instance) bool {
	if in == nil {
		return true
	}
	return m.podsKnown && in.step != podCreating &&
		(in.phase == fleet.PhaseMissing || in.phase == fleet.PhaseFailed || in.phase == fleet.PhaseSucceeded)
}

// tend does for an instance's pod what is due now: create it, wait for it,
// replace it, or let it go. It is safe to call at any time.
func (m *Machine) tend(in *instance) {
	if m.stage != StageActive || !m.podsKnown || m.control.Maintenance || m.instances[in.id] != in {
		return
	}
	switch {
	case in.closing && m.empty(in):
		m.letGo(in)
	case m.plan.Has(in.id):
		if in.exists {
			m.keepUp(in)
		}
	case in.phase != fleet.PhaseMissing:
		if !m.late(in) {
			m.deletePod(in, fmt.Sprintf("no instance %d in ZooKeeper", in.id), PurposeRelease)
		}
	case !in.exists && in.step == podIdle && !in.terminating:
		m.drop(in)
	}
}

// keepUp looks after an instance that should have a running pod.
func (m *Machine) keepUp(in *instance) {
	m.watchDown(in)
	if in.step != podIdle || in.terminating {
		return
	}
	age := m.now - in.since
	switch in.phase {
	case fleet.PhaseMissing:
		why := "its pod is missing"
		if !in.ran && !in.replacing {
			why = "new instance"
		}
		m.createPod(in, why)
	case fleet.PhasePending:
		if age < m.cfg.Pending {
			m.wakeAt(in.since + m.cfg.Pending)
			return
		}
		m.replace(in, fmt.Sprintf("Pending for %v%s", age.Round(time.Second), because(in.reason)), PurposeReplace)
	case fleet.PhaseRunning:
		if !in.nodeLost {
			return
		}
		if age < m.cfg.Silence {
			m.wakeAt(in.since + m.cfg.Silence)
			return
		}
		m.replace(in, fmt.Sprintf("its node has not answered for %v", age.Round(time.Second)), PurposeReplace)
	default:
		m.replace(in, in.phase.String()+because(in.reason), PurposeReplace)
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// watchDown notes how long an instance is without a running pod, and moves its
// resources away when patience is at its end.
func (m *Machine) watchDown(in *instance) {
	if m.up(in) {
		return // podSeen has seen to it
	}
	if !in.down {
		in.down, in.downSince = true, m.now
	}
	if in.evacuated || in.closing {
		return
	}
	if m.now < in.downSince+m.cfg.Patience {
		m.wakeAt(in.downSince + m.cfg.Patience)
		return
	}
	downs, wanted := m.countDown()
	if 2*downs > wanted {
		m.alarm("many-down", "%d of %d instances have no running pod: moving resources would not help, so nothing moves", downs, wanted)
		m.manyDown = true
		m.settleReplacing(in) // those whose pods cannot start must not keep the others from being tried
		m.wakeAt(m.now + m.cfg.Monitor)
		return
	}
	in.evacuated = true
	m.settleReplacing(in)
	m.alarm(fmt.Sprintf("instance-down-%d", in.id), "instance %d has had no running pod for %v: its %d resources move to the others",
		in.id, (m.now - in.downSince).Round(time.Second), m.plan.Used(in.id))
	m.plan.Close(in.id, true, &m.scratch)
	m.absorb(&m.scratch)
}

// census is how many instances are wanted and how many of them have no running
// pod, counted at most once a Step.
type census struct {
	known         bool
	downs, wanted int
}

func (m *Machine) countDown() (downs, wanted int) {
	if !m.downs.known {
		m.downs = census{known: true}
		for _, in := range m.order {
			if m.plan.Has(in.id) && !in.closing {
				m.downs.wanted++
				if !m.up(in) {
					m.downs.downs++
				}
			}
		}
	}
	return m.downs.downs, m.downs.wanted
}

// cameUp handles an instance whose pod has begun to run.
func (m *Machine) cameUp(in *instance) {
	in.down, in.ran, in.silent = false, true, false
	in.lastBeat = m.now
	in.owing = false // until now it could not answer
	m.reckon(in, false)
	m.settleReplacing(in)
	if m.stage == StageActive && in.evacuated {
		in.evacuated = false
		m.alarmOff(fmt.Sprintf("instance-down-%d", in.id))
		if m.plan.Has(in.id) && !in.closing {
			m.plan.Open(in.id, &m.scratch)
			m.absorb(&m.scratch)
		}
	}
	m.wakeAt(m.now + m.cfg.Silence)
	m.wakeAt(m.now + m.cfg.HeartbeatInterval) // see ready
}

// settleReplacing ends an instance's part in the throttle.
func (m *Machine) settleReplacing(in *instance) {
	if in.replacing {
		m.setReplacing(in, false)
		m.wakeAt(m.now) // another may be waiting
	}
}

// mayReplace says whether one more pod may be replaced now, and counts it.
func (m *Machine) mayReplace(in *instance) bool {
	if in.replacing || in.evacuated {
		return true
	}
	if m.busy >= m.cfg.Replacing {
		return false
	}
	m.setReplacing(in, true)
	return true
}

func (m *Machine) setReplacing(in *instance, on bool) {
	if in.replacing != on {
		in.replacing = on
		if on {
			m.busy++
		} else {
			m.busy--
		}
	}
}

// replace deletes an instance's pod; once it is gone, keepUp creates it anew.
func (m *Machine) replace(in *instance, why string, purpose Purpose) {
	if in.step != podIdle || in.terminating || in.phase == fleet.PhaseMissing || m.late(in) || !m.mayReplace(in) {
		return
	}
	m.forgive(in)
	in.attempts++
	m.stats.Replaced++
	m.deletePod(in, why, purpose)
	if in.attempts > 1 {
		in.retryAt = m.now + m.backoff("pod", in.attempts+5)
	}
}

// forgive forgets the failures of an instance whose pod has run for long.
func (m *Machine) forgive(in *instance) {
	if in.phase == fleet.PhaseRunning && m.now-in.since >= m.cfg.Patience {
		in.attempts = 0
	}
}

// late says that the last attempt failed so recently that the next must wait.
func (m *Machine) late(in *instance) bool {
	if in.retryAt > m.now {
		m.wakeAt(in.retryAt)
		return true
	}
	return false
}

func (m *Machine) createPod(in *instance, why string) {
	if m.late(in) || m.losing(in) || in.ran && !m.mayReplace(in) {
		return
	}
	in.step = podCreating
	m.emit(CreatePod{Instance: in.id, Why: why})
}

// losing says that, with strict handoff, the transaction in flight takes
// resources from the instance's list as from a dead one's: a pod created now
// would read the list as it was. The instance is tended when it has ended.
func (m *Machine) losing(in *instance) bool {
	return m.cfg.Handoff == fleet.HandoffStrict && m.txn != nil && slices.ContainsFunc(m.txn.Changes, func(ch fleet.Change) bool {
		return ch.Instance == in.id && len(ch.Remove) > 0
	})
}

func (m *Machine) deletePod(in *instance, why string, purpose Purpose) {
	if in.step != podIdle || in.terminating {
		return
	}
	in.step = podDeleting
	m.emit(DeletePod{Instance: in.id, UID: in.uid, Purpose: purpose, Why: why})
}

func (m *Machine) podCreated(ev PodCreated) {
	in := m.instances[ev.Instance]
	if in == nil || in.step != podCreating {
		return
	}
	in.step = podIdle
	if ev.Answer != PodAlreadyExists || m.podsReq != 0 { // which pod that is, the listing tells that is asked for now; not an older one
		in.seenAt = m.now
	}
	switch ev.Answer {
	case PodAccepted:
		if in.uid != ev.UID && in.lastGone != ev.UID {
			m.podSeen(fleet.Pod{Instance: in.id, UID: ev.UID, Phase: fleet.PhasePending})
			return
		}
	case PodAlreadyExists:
		if in.phase == fleet.PhaseMissing {
			in.reason = "" // of a creation before: it is refused no more
		}
		in.attempts++
		in.retryAt = m.now + m.backoff("create", in.attempts)
		m.listPods()
	default:
		in.attempts++
		in.retryAt = m.now + m.backoff("create", in.attempts)
		if in.phase == fleet.PhaseMissing {
			in.reason = ev.Err // such as a quota: told until there is a pod
		}
		m.note(in.id, "pod not created: %s", ev.Err)
	}
	m.tend(in)
}

func (m *Machine) podDeleted(ev PodDeleted) {
	in := m.instances[ev.Instance]
	if in == nil || in.step != podDeleting || in.uid != ev.UID {
		return
	}
	in.step, in.seenAt = podIdle, m.now
	switch ev.Answer {
	case PodAccepted:
		in.terminating = true
	case PodNotFound:
		m.podGone(in.id, ev.UID)
		return
	default:
		in.attempts++
		in.retryAt = m.now + m.backoff("delete", in.attempts)
		m.note(in.id, "pod not deleted: %s", ev.Err)
		if m.up(in) { // it runs on, and may never again be found wanting
			in.down = false
			m.settleReplacing(in)
		}
	}
	m.tend(in)
}

// maxInstanceID bounds the numbers taken from pods' names.
const maxInstanceID = 1 << 20

func (m *Machine) podSeen(p fleet.Pod) {
	if p.Instance < 0 || p.Instance > maxInstanceID || p.UID == "" {
		return
	}
	in := m.at(p.Instance)
	if p.UID == in.lastGone {
		return // news of a pod that is gone
	}
	if in.uid != "" && in.uid != p.UID {
		// Either the end of the one known was missed, or this is late news of one
		// before it, which must not make a running pod look dead.
		m.listPods()
		return
	}
	wasUp := m.up(in)
	if in.uid != p.UID || in.phase != p.Phase || in.nodeLost != p.NodeLost {
		m.forgive(in)
		in.since = m.now
	}
	in.uid, in.phase, in.reason = p.UID, p.Phase, p.Reason
	in.nodeLost, in.terminating = p.NodeLost, p.Terminating || in.terminating
	in.seenAt = m.now
	if m.up(in) && !wasUp {
		m.cameUp(in)
	}
	if m.knownDead(in) {
		m.confirmAll(in)
	}
	m.tend(in)
	m.checkOrchestration()
}

func (m *Machine) podGone(id fleet.InstanceID, uid string) {
	in := m.instances[id]
	if in == nil || in.uid != uid {
		return
	}
	in.lastGone = uid
	m.lost(in)
	m.confirmAll(in)
	m.tend(in)
}

// lost clears what was known of a pod that no longer exists.
func (m *Machine) lost(in *instance) {
	if in.step == podDeleting {
		in.step = podIdle
	}
	in.phase, in.uid, in.reason = fleet.PhaseMissing, "", ""
	in.terminating, in.nodeLost = false, false
	in.since, in.seenAt = m.now, m.now
	in.vouched, in.owing, in.confirmedAt = false, false, 0
}

// empty says that nothing stands on the instance in ZooKeeper, nothing is on
// its way there, and its DAC has dropped what it had.
func (m *Machine) empty(in *instance) bool {
	return in.used == 0 && in.arriving == 0 && in.leaving == 0 && len(in.confirm) == 0
}

// letGo deletes the pod of an emptied instance, then its nodes.
func (m *Machine) letGo(in *instance) {
	if in.phase != fleet.PhaseMissing {
		if !m.late(in) {
			m.deletePod(in, "drained: nothing stands on it any more", PurposeRelease)
		}
		return
	}
	if in.step != podIdle || in.creating {
		return
	}
	if in.exists {
		m.touch(in) // flush deletes its nodes
		return
	}
	m.gone(in)
}

// gone ends an instance whose nodes are deleted, or were never created.
func (m *Machine) gone(in *instance) {
	in.exists, in.used, in.bytes, in.times, in.status = false, 0, 0, 0, fleet.Status{Times: -1}
	in.closing, in.evacuated, in.owing = false, false, false
	m.settleReplacing(in)
	m.plan.Forget(in.id)
	m.uncontrol(in.id)
	m.alarmOff(fmt.Sprintf("instance-down-%d", in.id))
	m.note(in.id, "released")
	if in.drainReq != 0 {
		m.emit(Reply{Req: in.drainReq})
		in.drainReq = 0
	}
	if in.phase == fleet.PhaseMissing {
		m.drop(in)
	}
}
