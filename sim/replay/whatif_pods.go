package replay

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
)

// slot is what is known of an instance's pod, and of the program in it.
type slot struct {
	uid      string
	phase    fleet.Phase
	failed   bool          // that it ended by itself has been noted
	leaving  time.Duration // since when it terminates; 0: it does not
	deleting bool          // the core has asked for that
	deleted  time.Duration // when that was answered
	asked    time.Duration // for its creation
	created  time.Duration // when that was answered
	running  time.Duration // since when
	away     time.Duration // since when its node does not answer; 0: it does
	waits    time.Duration // since when some pod of the instance should run and none has; 0: none

	lastBeat  time.Duration // below 0: none that counts
	heardAt   time.Duration // when tmp/status came last; below 0: never
	present   bool
	expired   time.Duration // when its session went while its pod ran; 0: it has not, or another has come
	reported  bool          // since its pod runs
	confirmed int64         // times
	owed      int64         // times of the newest list
	owedAt    time.Duration
}

// sessionEnds is how long a ZooKeeper session outlives its program.
const sessionEnds = 10 * time.Second

// longWait is from how long on a pod that does not run waits for a reason of its own.
const longWait = time.Minute

func (k *kindDeriver) podCreated(now time.Duration, ev reconcile.PodCreated) {
	switch ev.Answer {
	case reconcile.PodRefused:
		k.refused(callFault(ev.Err), now)
		return
	case reconcile.PodAlreadyExists:
		return
	}
	k.answered("kubernetes", now)
	s := k.slot(ev.Instance)
	if s == nil {
		return
	}
	if s.asked > 0 {
		k.took.add("kubernetes.request", now-s.asked)
	}
	k.newPod(s, ev.UID)
	s.created = now
	if s.waits == 0 {
		s.waits = now
	}
}

// newPod says that the instance's pod is another one now.
func (k *kindDeriver) newPod(s *slot, uid string) {
	if s.uid == uid {
		return
	}
	*s = slot{uid: uid, asked: s.asked, waits: s.waits, owed: s.owed, owedAt: s.owedAt, confirmed: s.confirmed, lastBeat: -1, heardAt: -1}
}

func (k *kindDeriver) podSeen(now time.Duration, p fleet.Pod) {
	s := k.slot(p.Instance)
	if s == nil {
		return
	}
	k.newPod(s, p.UID)
	was := s.phase
	s.phase = p.Phase
	if p.Terminating && s.leaving == 0 {
		s.leaving = now
	}
	switch {
	case p.Terminating:
	case p.NodeLost || p.Phase == fleet.PhaseUnknown:
		if s.away == 0 && !s.failed {
			s.away = now
		}
	case s.away > 0:
		k.remarks.count("times that a pod's node was lost and came back, left out", 1)
		s.away, s.lastBeat = 0, -1
	case p.Phase == fleet.PhaseRunning && was != fleet.PhaseRunning:
		k.runs(now, p.Instance, s)
	case p.Phase == fleet.PhaseSucceeded && !s.failed:
		k.remarks.count("pods that ended in order, for which a crash stands", 1)
		k.failed(now, p, s, scenarios.PodCrash)
	case p.Phase == fleet.PhaseFailed && !s.failed:
		k.failed(now, p, s, map[string]scenarios.FaultKind{"OOMKilled": scenarios.PodOOM, "Evicted": scenarios.PodEvict}[p.Reason])
	}
}

// failed says that a pod ended by itself.
func (k *kindDeriver) failed(now time.Duration, p fleet.Pod, s *slot, what scenarios.FaultKind) {
	if s.failed = true; s.deleting {
		return
	}
	if what == scenarios.PodEvict { // that is told as it happens
		k.strikes(what, p.Instance, now-seenLate, 0)
		return
	}
	k.strikes(cmp.Or(what, scenarios.PodCrash), p.Instance, s.ended(now), 0)
}

// ended is when a pod's program crashed of whose end was told now: after its
// start, if it has come to run.
func (s *slot) ended(now time.Duration) time.Duration {
	at := now - seenLate
	if s.running == 0 {
		return at
	}
	return min(at, max(at-endLate, s.running))
}

// runs says that a pod has come to run.
func (k *kindDeriver) runs(now time.Duration, id fleet.InstanceID, s *slot) {
	s.running, s.failed, s.lastBeat = now, false, -1
	if s.created > 0 {
		if waited := now - s.waits; waited >= longWait {
			k.remarks.count("pods long in coming, for which an image that is not there stands", 1)
			k.strikes(scenarios.PodNoImage, id, s.waits-around, max(waited-k.took.mean("kubernetes.start", 4*time.Second), time.Second))
		} else {
			k.took.add("kubernetes.start", now-s.created)
		}
	}
	s.waits = 0
}

func (k *kindDeriver) podGone(now time.Duration, id fleet.InstanceID, uid string) {
	s := k.slots[id]
	if s == nil || s.uid != uid {
		return
	}
	if s.deleting && s.deleted > 0 {
		k.took.add("kubernetes.delete", now-s.deleted)
	}
	switch {
	case s.deleting || s.failed:
	case s.away > 0:
		k.nodeLost(id, s)
	default:
		k.remarks.count("pods deleted by somebody else, for which an eviction stands", 1)
		k.strikes(scenarios.PodEvict, id, cmp.Or(s.leaving, now)-seenLate, 0)
	}
	s.uid, s.phase, s.present = "", fleet.PhaseMissing, false
}

func (k *kindDeriver) podsListed(now time.Duration, pods []fleet.Pod) {
	first := !k.podsAt
	k.podsAt = true
	there := map[fleet.InstanceID]bool{}
	for _, p := range pods {
		there[p.Instance] = true
		if !first {
			k.podSeen(now, p)
			continue
		}
		if s := k.slot(p.Instance); s != nil {
			k.newPod(s, p.UID)
			s.phase, s.failed = p.Phase, p.Phase == fleet.PhaseFailed || p.Phase == fleet.PhaseSucceeded
			if p.Phase == fleet.PhaseRunning && !p.Terminating && !p.NodeLost {
				k.running = append(k.running, p.Instance)
				s.running = now
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(k.slots)) {
		if s := k.slots[id]; s.uid != "" && !there[id] && s.created < now-time.Second {
			k.podGone(now, id, s.uid)
		}
	}
}

// nodeLost says that a pod has gone with its node.
func (k *kindDeriver) nodeLost(id fleet.InstanceID, s *slot) {
	k.remarks.count("pods lost with their nodes, for which a crash stands", 1)
	k.strikes(scenarios.PodCrash, id, s.ended(s.away), 0)
}

// deletes says that the core gives a pod up: why, shows what had befallen it.
func (k *kindDeriver) deletes(now time.Duration, c reconcile.DeletePod) {
	s := k.slots[c.Instance]
	if s == nil || s.uid != c.UID || c.UID == "" {
		return
	}
	again := s.deleting
	s.deleting, s.deleted = true, now
	if again || c.Purpose != reconcile.PurposeReplace || s.phase != fleet.PhaseRunning || s.failed {
		switch {
		case c.Purpose == reconcile.PurposeRelease:
			s.waits = 0
		case s.away > 0 && !again:
			k.nodeLost(c.Instance, s)
		}
		return
	}
	if s.away > 0 {
		k.nodeLost(c.Instance, s)
		return
	}
	switch quiet := now - s.lastBeat; {
	case k.cfg.Heartbeat && s.lastBeat >= 0 && quiet > k.cfg.Silence*9/10:
		if s.heardAt > s.lastBeat+time.Second && s.present && s.confirmed >= s.owed { // it did what it should, and was not heard
			k.strikes(scenarios.HeartbeatsLose, c.Instance, s.lastBeat+around, quiet-around)
			return
		}
		k.strikes(scenarios.PodHang, c.Instance, max(s.lastBeat, s.heardAt, s.expired-sessionEnds)+around, 0)
	case k.cfg.Heartbeat && s.lastBeat < 0 && now-s.running > k.cfg.Silence*9/10:
		k.strikes(scenarios.PodHang, c.Instance, max(s.running, s.heardAt)+around, 0)
	case s.owed > s.confirmed || !s.present:
		k.strikes(scenarios.PodZombie, c.Instance, max(s.running, s.heardAt)+around, 0)
	default:
		k.remarks.count("pods replaced for what the recording does not show, left out", 1)
	}
}

// beat hears an instance: a gap before it was lost heartbeats, since its pod lives.
func (k *kindDeriver) beat(now time.Duration, id fleet.InstanceID) {
	s := k.slots[id]
	if s == nil {
		return
	}
	if gap := now - s.lastBeat; s.lastBeat >= 0 && gap > k.cfg.HeartbeatInterval*3/2+time.Second && s.phase == fleet.PhaseRunning && !s.deleting && s.away == 0 {
		k.strikes(scenarios.HeartbeatsLose, id, s.lastBeat+around, max(gap-2*around, around))
	}
	s.lastBeat = now
}

func (k *kindDeriver) statusSeen(now time.Duration, id fleet.InstanceID, st fleet.Status) {
	s := k.slot(id)
	if s == nil {
		return
	}
	if !st.Present {
		if s.present && s.phase == fleet.PhaseRunning && !s.deleting && !s.failed && s.reported {
			s.expired = now
		}
		s.present = false
		return
	}
	k.reports++
	k.confirms = k.confirms || st.Times >= 0
	if s.expired > 0 { // the program has another session: it lived
		k.strikes(scenarios.ZooKeeperExpire, id, s.expired-seenLate, 0)
		s.expired = 0
	}
	switch {
	case s.running > 0 && !s.reported && s.created > 0:
		k.took.add("dac.load", now-s.running)
	case s.owed > s.confirmed && st.Times >= s.owed && s.owedAt > s.running:
		k.took.add("dac.apply", now-s.owedAt)
	}
	s.present, s.reported, s.heardAt, s.confirmed = true, s.running > 0, now, max(s.confirmed, st.Times)
}
