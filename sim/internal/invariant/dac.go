package invariant

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// Running says that an instance's DAC has started (on) or stopped running a
// resource. A DAC that dies has stopped all that it ran: each is told.
func (c *Checker) Running(now time.Duration, kind fleet.Kind, by fleet.InstanceID, id string, on bool) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	if c.instance(k, by) == nil {
		return
	}
	if on { // whatever pod it is
		c.started(k, by, id)
	} else {
		c.stopped(k, by, id)
	}
}

func (c *Checker) started(k *kindState, by fleet.InstanceID, id string) {
	i := k.record(id)
	r := &k.recs[i]
	if k.runs(i, by) {
		c.fail(k, Facts, "instance %d starts %q, which it runs already", by, id)
		return
	}
	join(&k.moreRunners, i, &r.runner, &r.runners, by)
	if r.runners == 1 && r.row {
		k.startedRow(r, c.now)
	}
	k.program(by).runs++
	if r.runners == 2 {
		r.overlapAt, r.late = c.now, false
		k.boundOverlap(i, c.now)
	}
	if r.runners > 1 && k.cfg.Handoff == fleet.HandoffStrict && !r.late {
		switch {
		case k.living(i) > 1:
			r.late = true
			c.fail(k, Overlap, "%s %q runs on %s at once from %v on, and the handoff is strict", k.cfg.Kind, id, k.list(k.runners(i)), c.now)
		case r.early && r.owners > 0 && r.owner == by:
			r.late = true
			c.fail(k, Overlap, "%s %q runs on %s at once from %v on: the handoff is strict, and instance %d was given it at %v, when the other's pod was not gone",
				k.cfg.Kind, id, k.list(k.runners(i)), c.now, by, r.placedAt)
		}
	}
	c.update(k, i, false)
}

func (c *Checker) stopped(k *kindState, by fleet.InstanceID, id string) {
	i, ok := k.index[id]
	if !ok || !k.runs(i, by) {
		c.fail(k, Facts, "instance %d stops %q, which it does not run", by, id)
		return
	}
	r := &k.recs[i]
	in := k.program(by)
	stuck := in.stuck(k)
	leave(k.moreRunners, i, &r.runner, &r.runners, by)
	in.runs--
	switch r.runners {
	case 0:
		r.stoppedBy = by
		if r.row {
			r.stoppedAt, r.failed, r.ends = c.now, !in.healthy, in.ends // who hangs is not healthy
			if in.wanting {
				r.stoppedAt = max(r.rowAt, in.wantingAt)
			}
		} else if r.hadRow {
			k.deleted(r, c.now)
		}
	case 1:
		k.overlap.Add(c.now - r.overlapAt)
		if !r.late && !stuck && !k.heldUp(i) && k.cfg.Handoff != fleet.HandoffStrict && k.cfg.OverlapBound > 0 && c.now-r.boundAt > k.cfg.OverlapBound {
			c.failOverlap(k, i)
		}
	default:
		if stuck && !k.heldUp(i) { // the others have no more excuse
			k.boundOverlap(i, c.now)
		}
	}
	c.update(k, i, false)
}

// startedRow measures what ends when a row that nobody ran starts.
func (k *kindState) startedRow(r *record, now time.Duration) {
	if r.waiting {
		k.waited(r, now)
	} else {
		k.unowned(r, r.stoppedAt, now, false)
	}
}

// endsWithin is how much later than the stops of its resources a program's end
// may be told.
const endsWithin = time.Second

// unowned measures a time in which nobody ran a row that had run before, or only
// a DAC that hangs.
func (k *kindState) unowned(r *record, since, now time.Duration, hangs bool) {
	k.outage.Add(now - since)
	what := slowMove
	if hangs || k.hasFailed(r) {
		what = slowRecover
		k.recover.Add(now - since)
		k.tell(r, now, now-since, true)
	}
	k.slowed(&k.slowOutages, r, what, since, now)
}

// hasFailed says that a row which nobody runs is without its DAC because that one
// failed: it did not just hand over.
func (k *kindState) hasFailed(r *record) bool {
	if r.failed {
		return true
	}
	in := k.program(r.stoppedBy)
	switch in.ends - r.ends {
	case 0:
		return false
	case 1:
		return in.endedAt-r.stoppedAt <= endsWithin
	}
	return true // it comes and goes
}

// deleted measures the time that a deleted row ran on.
func (k *kindState) deleted(r *record, now time.Duration) {
	k.settles(r, slowDelete, now)
}

// settles measures how long a row's creation or deletion took.
func (k *kindState) settles(r *record, what string, now time.Duration) {
	k.settle.Add(now - r.rowAt)
	k.slowed(&k.slowSettles, r, what, r.rowAt, now)
	k.tell(r, now, now-r.rowAt, false)
}

// tell hands on a time that was measured.
func (k *kindState) tell(r *record, now, took time.Duration, recovered bool) {
	if k.onTime == nil {
		return
	}
	by := r.owner
	if by == fleet.NoInstance {
		if by = r.runner; by == fleet.NoInstance {
			by = r.stoppedBy
		}
	}
	if by >= maxInstanceID {
		by = k.orphans[by-maxInstanceID].of
	}
	k.onTime(now, k.cfg.Kind, r.id, by, took, recovered)
}

// waited ends a row's wait for its first DAC, or for its deletion.
func (k *kindState) waited(r *record, now time.Duration) {
	if r.present {
		k.toStart--
		k.checkStarted(now)
	} else {
		k.settles(r, slowSettle, now)
	}
	r.waiting, r.present = false, false
}

// checkStarted notes when the kind's start is over.
func (k *kindState) checkStarted(now time.Duration) {
	if !k.started && k.toStart == 0 && k.worked {
		k.started = true
		k.loads.pass(now, false)
		k.counted[history.StartTime] = now.Seconds()
	}
}

func (c *Checker) failOverlap(k *kindState, i int32) {
	r := &k.recs[i]
	r.late = true
	c.fail(k, Overlap, "%s %q ran on several instances at once from %v on, longer than the %v that a fast handoff may take; now on %v",
		k.cfg.Kind, r.id, r.boundAt, k.cfg.OverlapBound, k.list(k.runners(i)))
}

// Alive says that an instance's DAC has become able to work (running and
// connected), or no longer is. Only what is able to work owes reloads.
func (c *Checker) Alive(now time.Duration, kind fleet.Kind, id fleet.InstanceID, healthy bool) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil || in.healthy == healthy {
		return
	}
	in.healthy = healthy
	if !healthy {
		in.life++
		in.owed, in.was = -1, ""
		in.endedAt = now
		in.ends++
		if !in.replacing {
			in.sick, in.unhealthyAt = true, now
		}
		return
	}
	in.applied, in.owed, in.sick, in.replacing, in.aliveAt = -1, -1, false, false, now
	in.revived(c.now)
	k.worked = true
	k.checkStarted(now)
	if in.exists && in.used > 0 {
		k.demandReload(id, in, now)
	}
}

// Reloaded says that an instance's DAC has applied its list as of _reload times.
func (c *Checker) Reloaded(now time.Duration, kind fleet.Kind, id fleet.InstanceID, times int64) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil || !in.exists {
		return // its nodes are gone: it applies what it read before
	}
	if times > in.times {
		c.fail(k, ReloadReaches, "instance %d has applied _reload times %d, but ZooKeeper has only %d", id, times, in.times)
		return
	}
	in.applied = max(in.applied, times)
}

// PodCreated says that Kubernetes has accepted the creation of an instance's pod.
func (c *Checker) PodCreated(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil {
		return
	}
	if in.pod != "" {
		c.fail(k, PodName, "pod %s of instance %d created, but pod %s of that name was not seen gone", uid, id, in.pod)
	}
	in.pod, in.terminating = uid, false
	in.odd(now)
}

// PodRefused says that Kubernetes has refused the creation of an instance's pod
// because the name is taken. That is a violation while the old pod terminates;
// while it lives, an answer was lost.
func (c *Checker) PodRefused(now time.Duration, kind fleet.Kind, id fleet.InstanceID) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	if in := c.instance(k, id); in != nil && in.pod != "" && in.terminating && c.blind == 0 {
		c.fail(k, PodName, "creation of the pod of instance %d asked for while pod %s of that name still terminates", id, in.pod)
	}
}

// PodDeleted says that the deletion of an instance's pod was asked for.
func (c *Checker) PodDeleted(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	if in := c.instance(k, id); in != nil && in.pod == uid {
		in.terminating = true
	}
}

// PodGone says that an instance's pod is gone and its name is free.
func (c *Checker) PodGone(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil {
		return
	}
	if in.pod != uid {
		c.fail(k, Facts, "pod %q of instance %d is gone, but the one of that name is %q", uid, id, in.pod)
		return
	}
	in.pod, in.terminating = "", false
	in.odd(now)
	if in.dac == uid && in.runs > 0 && uid != "" {
		in.outlived = true
		return
	}
	in.revived(c.now)
}

// Replaced says that the orchestrator has ordered an instance's pod deleted to
// be created anew, and whether it was in truth healthy. The same order given again
// for the same pod, by a successor or by another that believes to lead, is one.
func (c *Checker) Replaced(now time.Duration, kind fleet.Kind, id fleet.InstanceID, healthy bool) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil {
		return
	}
	if in.pod != "" && in.replacedPod == in.pod {
		return
	}
	in.replacedPod = in.pod
	k.countReplaced(in, healthy)
	k.counted[history.InstancesReplaced]++
	switch {
	case healthy:
		k.counted[history.InstancesReplacedNeedlessly]++
	case in.sick:
		k.detection.Add(now - in.unhealthyAt)
	case in.disturbed > 0: // it works, but nobody hears of it
		k.detection.Add(now - in.disturbedAt)
	}
	in.sick, in.replacing = false, true
}
