package invariant

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// hanging is what is known of a DAC that does nothing any more although its pod
// runs. Only what tells it from a healthy one can be found by anybody. One that
// hangs sends nothing, and its ZooKeeper session ends. A zombie sends heartbeats
// and runs what it ran: until its list changes nothing is wrong, and from then on
// it leaves that change unconfirmed, which is all there is to find it by.
type hanging struct {
	hung   bool
	hungAt time.Duration // since when it does nothing
	zombie bool          // it beats

	wanting   bool          // what it runs is not what it should: see idle
	wantingAt time.Duration // since when

	everHung  bool
	revivedAt time.Duration // since when it no longer hangs, if it ever did

	replaced int           // its pods replaced for what the orchestrator may have taken for doing nothing
	excused  time.Duration // until when the orchestrator had an excuse not to replace it
	told     bool          // that it was not is counted as a violation
}

// Hung says that an instance's DAC does nothing any more although its program
// has not ended. It still counts among those that run its resources, since a
// second runner would be one too many; but who waits for one has waited since now.
func (c *Checker) Hung(now time.Duration, kind fleet.Kind, id fleet.InstanceID) {
	c.hangs(now, kind, id, false)
}

// Zombie says the same of a DAC that goes on sending heartbeats and keeps its
// ZooKeeper session. What it runs counts as run until its list changes.
func (c *Checker) Zombie(now time.Duration, kind fleet.Kind, id fleet.InstanceID) {
	c.hangs(now, kind, id, true)
}

func (c *Checker) hangs(now time.Duration, kind fleet.Kind, id fleet.InstanceID, zombie bool) {
	c.Alive(now, kind, id, false)
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil || in.hung && !in.zombie {
		return
	}
	if !in.hung {
		in.hung, in.hungAt, in.wanting, in.excused, in.told = true, now, false, 0, false
		in.sick = in.sick && !zombie // so far it does what it should
	}
	if in.zombie = zombie; !zombie || in.exists && in.applied < in.times {
		in.wants(now)
	}
}

// wants notes that what a DAC that hangs runs is no longer what it should.
func (in *instance) wants(now time.Duration) {
	if !in.hung || in.wanting {
		return
	}
	in.wanting, in.wantingAt = true, now
	if !in.replacing {
		in.sick, in.unhealthyAt = true, now
	}
}

// revived ends it: the pod is gone, or another program has begun.
func (in *instance) revived(now time.Duration) {
	if in.hung {
		in.everHung, in.revivedAt = true, now
	}
	in.hung, in.zombie, in.wanting, in.told = false, false, false, false
}

// idle says that a row's only runner hangs, and does not just run on what it should.
func (k *kindState) idle(r *record) bool {
	return r.row && r.runners == 1 && k.program(r.runner).wanting
}

// out says since when a row that has run before does not, if so it is.
func (k *kindState) out(r *record) (since time.Duration, is bool) {
	if k.idle(r) {
		return max(r.rowAt, k.program(r.runner).wantingAt), true
	}
	return r.stoppedAt, r.row && r.runners == 0
}

// alarms are those that the newest leader has raised of which each says that
// people must act, since it does not replace anybody.
type alarms struct {
	alarmEpoch int64
	raised     []string
}

// maintenance is the alarm that needs no other reason.
const maintenance = "maintenance"

// excuses are the codes of those alarms. That many are unwell must be true.
var excuses = []string{maintenance, "mass-silence", "mass-unconfirmed", "mass-cut-off"}

// Alarm says that the leader of this epoch has raised an alarm (on), or ended it.
// While one stands that says why nobody is replaced, that is demanded of nobody;
// the bounds start anew when it ends.
func (c *Checker) Alarm(now time.Duration, kind fleet.Kind, epoch int64, code string, on bool) {
	k := c.kind(now, kind)
	if k == nil || epoch < k.alarmEpoch || !slices.Contains(excuses, code) {
		return
	}
	k.led(epoch)
	i := slices.Index(k.raised, code)
	switch {
	case on && i < 0:
		k.raised = append(k.raised, code)
	case !on && i >= 0:
		k.excuse(now)
		k.raised = slices.Delete(k.raised, i, i+1)
	}
}

// Leads says that a leader of this epoch begins: the alarms of the one before are
// over, and it has to find out by itself who does nothing.
func (c *Checker) Leads(now time.Duration, kind fleet.Kind, epoch int64) {
	k := c.kind(now, kind)
	if k == nil || epoch <= k.alarmEpoch {
		return
	}
	for i := range k.instances {
		k.instances[i].excused = now
	}
	k.movedAt = now
	k.led(epoch)
}

func (k *kindState) led(epoch int64) {
	if epoch > k.alarmEpoch {
		k.alarmEpoch, k.raised = epoch, nil
	}
}

// alarm is the alarm that excuses the orchestrator; empty: there is none, or it
// says that many are unwell, and they are not.
func (k *kindState) alarm() string {
	if len(k.raised) == 0 {
		return ""
	}
	if slices.Contains(k.raised, maintenance) {
		return maintenance
	}
	unwell := 0
	for i := range k.instances {
		if in := &k.instances[i]; in.exists && (!in.healthy || in.disturbed > 0) {
			unwell++
		}
	}
	if unwell < 2 && k.disturbed == 0 {
		return ""
	}
	return k.raised[0]
}

// excuse notes an excuse that stands until now.
func (k *kindState) excuse(now time.Duration) {
	if k.alarm() == "" {
		return
	}
	for i := range k.instances {
		k.instances[i].excused = now
	}
}

// maxReplaced bounds how often the core doubles its deadline.
const maxReplaced = 6

// patience is how long the orchestrator may take until it replaces an instance's
// DAC that hangs; false: it cannot know of it.
func (k *kindState) patience(in *instance) (time.Duration, bool) {
	if !in.zombie && !k.cfg.NoHeartbeat {
		return k.cfg.SettleBound, k.cfg.SettleBound > 0
	}
	if k.cfg.SettleBound == 0 || k.cfg.Unconfirmed == 0 || in.applied < 0 && !k.vouches() {
		return 0, false
	}
	// Its session may have ended, which gives it twice the time.
	return k.cfg.SettleBound + k.cfg.Monitor + 2*k.cfg.Unconfirmed<<min(in.replaced, maxReplaced), true
}

// vouches says that those of the kind who have confirmed a list are as many as
// those who never had one and hang: they tell that DACs confirm at all.
func (k *kindState) vouches() bool {
	can, mute := 0, 0
	for i := range k.instances {
		switch in := &k.instances[i]; {
		case !in.exists:
		case in.applied >= 0 && (in.healthy || in.hung):
			can++
		case in.hung:
			mute++
		}
	}
	return can >= mute && can > 0
}

// late says that an instance's DAC hangs for longer than the orchestrator has
// promised.
func (c *Checker) late(k *kindState, in *instance) bool {
	if !c.healed || !in.wanting || !in.exists {
		return false
	}
	within, can := k.patience(in)
	return can && c.now-max(in.wantingAt, in.excused, c.healAt) > within
}

// lookAtHung looks for DACs that hang and were not replaced in time: what they
// hold stands where it should, and yet nobody runs it as it should.
func (c *Checker) lookAtHung(k *kindState) {
	k.excuse(c.now)
	for id := range k.instances {
		in := &k.instances[id]
		if in.told || !c.late(k, in) || in.used == 0 && in.runs == 0 {
			continue
		}
		in.told = true
		within, _ := k.patience(in)
		if in.zombie {
			c.fail(k, Settled, "instance %d does nothing but send heartbeats since %v, its list is another since %v, and it was not replaced within %v: nobody runs the %d resources on it as they should",
				id, in.hungAt, in.wantingAt, within, in.used)
		} else {
			c.fail(k, Settled, "instance %d hangs since %v and was not replaced within %v: nobody runs the %d resources on its list", id, in.hungAt, within, in.used)
		}
	}
}

// waits says that what keeps a record from settling is a DAC that hangs and may
// still be found, or never can be, or has just been found: one that holds it, or with strict handoff, where
// who has left a list waits for its DAC, any of the kind.
func (c *Checker) waits(k *kindState, i int32) bool {
	waits := func(in *instance) bool {
		return in.hung && !c.late(k, in) || in.everHung && !in.hung && c.now-in.revivedAt < k.cfg.SettleBound
	}
	for _, by := range k.owners(i) {
		if waits(&k.instances[by]) {
			return true
		}
	}
	for _, by := range k.runners(i) {
		if by < maxInstanceID && waits(&k.instances[by]) {
			return true
		}
	}
	if k.cfg.Handoff != fleet.HandoffStrict || k.recs[i].owners > 0 {
		return false
	}
	for id := range k.instances {
		if in := &k.instances[id]; in.exists && waits(in) {
			return true
		}
	}
	return false
}

// countReplaced notes that a pod was replaced which, as far as anybody could tell,
// may have done nothing.
func (k *kindState) countReplaced(in *instance, healthy bool) {
	if healthy || in.hung || k.suspended(in) {
		in.replaced++
	}
}
