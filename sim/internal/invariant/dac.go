package invariant

import (
	"slices"
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
	if on {
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
	if r.runners == 2 {
		r.overlapAt, r.late = c.now, false
		if k.cfg.Handoff == fleet.HandoffStrict {
			r.late = true
			c.fail(k, Overlap, "%s %q runs on %s at once from %v on, and the handoff is strict", k.cfg.Kind, id, list(k.runners(i)), c.now)
		} else if k.cfg.OverlapBound > 0 {
			k.overlaps.push(deadline{at: c.now + k.cfg.OverlapBound, since: c.now, of: i})
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
	leave(k.moreRunners, i, &r.runner, &r.runners, by)
	switch r.runners {
	case 1:
		k.overlap.Add(c.now - r.overlapAt)
		held := k.hangsOn(i) || k.instances[by].hung
		if !r.late && !held && k.cfg.Handoff != fleet.HandoffStrict && k.cfg.OverlapBound > 0 && c.now-r.overlapAt > k.cfg.OverlapBound {
			c.failOverlap(k, i)
		}
	case 0:
		if r.row {
			r.stoppedAt = c.now
			if in := &k.instances[by]; in.hung {
				r.stoppedAt = max(r.rowAt, in.hungAt)
			}
		} else if r.hadRow {
			k.settle.Add(c.now - r.rowAt)
		}
	}
	c.update(k, i, false)
}

// startedRow measures what ends when a row that nobody ran starts.
func (k *kindState) startedRow(r *record, now time.Duration) {
	if r.waiting {
		k.waited(r, now)
	} else {
		k.recover.Add(now - r.stoppedAt)
	}
}

// waited ends a row's wait for its first DAC, or for its deletion.
func (k *kindState) waited(r *record, now time.Duration) {
	if r.present {
		k.toStart--
		k.checkStarted(now)
	} else {
		k.settle.Add(now - r.rowAt)
	}
	r.waiting, r.present = false, false
}

// checkStarted notes when the kind's start is over.
func (k *kindState) checkStarted(now time.Duration) {
	if !k.started && k.toStart == 0 && k.worked {
		k.started = true
		k.counted[history.StartTime] = now.Seconds()
	}
}

func (c *Checker) failOverlap(k *kindState, i int32) {
	r := &k.recs[i]
	r.late = true
	c.fail(k, Overlap, "%s %q ran on several instances at once from %v on, longer than the %v that a fast handoff may take; now on %v",
		k.cfg.Kind, r.id, r.overlapAt, k.cfg.OverlapBound, list(k.runners(i)))
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
		if !in.replacing {
			in.sick, in.unhealthyAt = true, now
		}
		return
	}
	in.applied, in.sick, in.replacing, in.hung = -1, false, false, false
	k.worked = true
	k.checkStarted(now)
	if in.exists && in.used > 0 {
		k.demandReload(id, in, now)
	}
}

// Hung says that an instance's DAC does nothing any more although its program
// has not ended. It still counts among those that run its resources, since a
// second runner would be one too many; but who waits for one has waited since now.
func (c *Checker) Hung(now time.Duration, kind fleet.Kind, id fleet.InstanceID) {
	c.Alive(now, kind, id, false)
	if k := c.kind(now, kind); k != nil {
		if in := c.instance(k, id); in != nil && !in.hung {
			in.hung, in.hungAt = true, now
		}
	}
}

// hangsOn says that one of those who run a resource hangs. Fast handoff waits
// for nobody, so such an overlap lasts until the pod is replaced.
func (k *kindState) hangsOn(i int32) bool {
	return slices.ContainsFunc(k.runners(i), func(by fleet.InstanceID) bool { return k.instances[by].hung })
}

// idle says that a row's only runner hangs.
func (k *kindState) idle(r *record) bool {
	return r.row && r.runners == 1 && k.instances[r.runner].hung
}

// out says since when a row that has run before does not, if so it is.
func (k *kindState) out(r *record) (since time.Duration, is bool) {
	if k.idle(r) {
		return max(r.rowAt, k.instances[r.runner].hungAt), true
	}
	return r.stoppedAt, r.row && r.runners == 0
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
}

// PodRefused says that Kubernetes has refused the creation of an instance's pod
// because the name is taken. That is a violation while the old pod terminates;
// while it lives, an answer was lost.
func (c *Checker) PodRefused(now time.Duration, kind fleet.Kind, id fleet.InstanceID) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	if in := c.instance(k, id); in != nil && in.pod != "" && in.terminating {
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
	in.pod, in.terminating, in.hung = "", false, false
}

// Replaced says that the orchestrator has ordered an instance's pod deleted to
// be created anew, and whether it was in truth healthy.
func (c *Checker) Replaced(now time.Duration, kind fleet.Kind, id fleet.InstanceID, healthy bool) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil {
		return
	}
	k.counted[history.InstancesReplaced]++
	if healthy {
		k.counted[history.InstancesReplacedNeedlessly]++
	} else if in.sick {
		k.detection.Add(now - in.unhealthyAt)
	}
	in.sick, in.replacing = false, true
}
