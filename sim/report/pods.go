package report

import (
	"math"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// lane is an instance's; nil when there are too many.
func (t *teller) lane(k *kindTeller, id fleet.InstanceID) *Lane {
	if l, ok := k.lanes[id]; ok {
		return l
	}
	if len(t.story.Lanes) >= MaxLanes {
		t.story.Unfollowed.Lanes++
		return nil
	}
	l := &Lane{Kind: k.Name, Instance: id, Born: -1, Died: -1, now: Cell{Load: -1}, changed: t.now}
	k.lanes[id] = l
	t.story.Lanes = append(t.story.Lanes, l)
	return l
}

// elapsed counts the time since the lane last changed.
func (t *teller) elapsed(l *Lane) {
	if l.exists && l.ran && l.now.State != Running {
		l.Down += t.now - l.changed
	}
	l.changed = t.now
}

// change brings a lane's picture up to what is known of it.
func (t *teller) change(l *Lane) {
	t.elapsed(l)
	was := l.now
	now := Cell{Load: -1, State: l.state}
	switch {
	case l.exists && l.state == Absent:
		now.State = Unseen
	case !l.exists && (l.state == Missing || l.state == Unseen):
		now.State = Absent
	}
	if l.exists && l.Capacity > 0 {
		load := float64(l.Used) / float64(l.Capacity)
		l.Peak = max(l.Peak, load)
		now.Load = float32(load)
	}
	t.running += count(now.State == Running) - count(was.State == Running)
	l.become(t.bucket(t.now), now)
	if was.State != now.State {
		t.levels()
	}
}

// maxBeyond bounds the instances that are counted though they have no lane.
const maxBeyond = 1 << 18

// sized is what ZooKeeper holds of an instance.
func (t *teller) sized(k *kindTeller, id fleet.InstanceID, used, capacity int) {
	l := t.lane(k, id)
	if l == nil {
		if _, counted := k.beyond[id]; !counted && len(k.beyond) < maxBeyond {
			k.beyond[id] = struct{}{}
			k.Instances++
			t.instances++
		}
		return
	}
	if !l.exists {
		k.Instances++
		t.instances++
		l.exists, l.Died = true, -1
		if k.placed && l.Born < 0 {
			l.Born = t.now
		}
	}
	l.Used, l.Capacity = used, capacity
	t.change(l)
}

// removed says that ZooKeeper no longer has the instance.
func (t *teller) removed(k *kindTeller, id fleet.InstanceID) {
	if _, counted := k.beyond[id]; counted {
		delete(k.beyond, id)
		k.Instances--
		t.instances--
	}
	l := k.lanes[id]
	if l == nil || !l.exists {
		return
	}
	k.Instances--
	t.instances--
	t.elapsed(l)
	l.exists, l.Died = false, t.now
	l.Used, l.Capacity = 0, 0
	t.change(l)
}

func stateOf(p *fleet.Pod) State {
	switch {
	case p.Phase == fleet.PhaseMissing:
		return Missing
	case p.Phase == fleet.PhaseFailed, p.Phase == fleet.PhaseSucceeded:
		return Failed
	case p.NodeLost, p.Phase == fleet.PhaseUnknown:
		return NodeLost
	case p.Terminating:
		return Leaving
	case p.Phase == fleet.PhasePending:
		return Pending
	case p.Phase == fleet.PhaseRunning:
		return Running
	}
	return NodeLost // a phase that this program does not know
}

func (t *teller) podSeen(k *kindTeller, p fleet.Pod) {
	l := t.lane(k, p.Instance)
	if l == nil {
		return
	}
	t.elapsed(l)
	state := stateOf(&p)
	if l.state == Hung && state == Running && p.UID == l.uid {
		state = Hung // the phase does not show it
	}
	l.state, l.uid = state, p.UID
	if state == Running {
		t.ranAgain(l)
	}
	t.change(l)
}

// ranAgain ends the wait of a replaced instance.
func (t *teller) ranAgain(l *Lane) {
	l.ran = true
	if l.open > 0 {
		r := &t.story.Replacements[l.open-1]
		if l.uid == r.uid {
			return // the old one still
		}
		r.Back = t.now - r.At
		l.open = 0
	}
}

func (t *teller) podGone(k *kindTeller, ev reconcile.PodGone) {
	l := k.lanes[ev.Instance]
	if l == nil || l.uid != "" && ev.UID != l.uid {
		return
	}
	t.elapsed(l)
	l.state, l.uid = Missing, ""
	t.change(l)
}

func (t *teller) podsListed(k *kindTeller, pods []fleet.Pod) {
	there := make(map[fleet.InstanceID]bool, len(pods))
	for i := range pods {
		there[pods[i].Instance] = true
		t.podSeen(k, pods[i])
	}
	for _, l := range t.story.Lanes {
		if l.Kind == k.Name && !there[l.Instance] && l.state != Missing {
			t.elapsed(l)
			l.state, l.uid = Missing, ""
			t.change(l)
		}
	}
}

// replaced is the order to delete a pod so that it is created anew.
func (t *teller) replaced(k *kindTeller, c reconcile.DeletePod) {
	k.Replaced++
	b := t.bucket(t.now)
	t.story.Tracks.Replaced.add(b, 1)
	l := t.lane(k, c.Instance)
	if l != nil {
		l.Replaced++
		l.advance(b)
		if cell := &l.Cells[len(l.Cells)-1]; cell.Ticks < math.MaxUint8 {
			cell.Ticks++
		}
	}
	if len(t.story.Replacements) >= MaxReplacements {
		t.story.Unfollowed.Replacements++
		return
	}
	t.story.Replacements = append(t.story.Replacements, Replacement{
		At: t.now, Kind: k.Name, Instance: c.Instance, Why: shortened(c.Why, maxTextShown),
		Ordered: c.Purpose == reconcile.PurposeOrdered, uid: c.UID,
	})
	if l != nil {
		l.open = len(t.story.Replacements)
	}
}

// program is what a simulation knows of an instance's program.
func (t *teller) program(k *kindTeller, m *recording.Mark) {
	if k == nil {
		return
	}
	l := k.lanes[m.Instance]
	if l == nil {
		return
	}
	switch {
	case m.What == recording.ProgramHung && l.state == Running:
		l.state = Hung
	case m.What == recording.ProgramStarted && l.state == Hung:
		l.state = Running
	default:
		return
	}
	t.change(l)
}
