package invariant

import (
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// Disturbed says that something keeps an instance's DAC from doing its part (on),
// or no longer does: it is cut off from ZooKeeper, its machine cannot be reached,
// it starts slowly. Disturbances nest: each that begins must end. While one lasts
// the DAC owes no reload, and with fast handoff what it runs may run elsewhere as
// well; when the last one ends, both bounds start anew. Nothing else is ever
// suspended. A DAC that works no more is told of by Alive or Hung instead: so a
// zombie hangs, whatever it sends.
func (c *Checker) Disturbed(now time.Duration, kind fleet.Kind, id fleet.InstanceID, on bool, why string) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil {
		return
	}
	if !on && in.disturbed == 0 {
		c.fail(k, Facts, "the disturbance %q of instance %d ends, but none has begun", why, id)
		return
	}
	if on {
		in.begin(now, why)
		return
	}
	if in.cease(now) && k.disturbed == 0 {
		k.demandAnew(id, in, now)
		k.boundAnew(now, func(i int32) bool { return k.runs(i, id) })
	}
}

// DisturbedAll is Disturbed for every DAC of a kind, those that come meanwhile
// included; for those of all kinds when kind is empty.
func (c *Checker) DisturbedAll(now time.Duration, kind fleet.Kind, on bool, why string) {
	if kind == "" {
		for _, k := range c.kinds {
			c.DisturbedAll(now, k.cfg.Kind, on, why)
		}
		return
	}
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	if !on && k.disturbed == 0 {
		c.fail(k, Facts, "the disturbance %q of all instances ends, but none has begun", why)
		return
	}
	if on {
		k.begin(now, why)
		return
	}
	if !k.cease(now) {
		return
	}
	for id := range k.instances {
		if in := &k.instances[id]; in.disturbed == 0 {
			k.demandAnew(fleet.InstanceID(id), in, now)
		}
	}
	k.boundAnew(now, func(int32) bool { return true })
}

// Blind says that orchestrators may be wrong about pods without any fault of
// theirs (on), or no longer: two of them lead, or what Kubernetes tells comes late
// or not at all. It nests. Meanwhile it breaks nothing that they ask for a name
// which Kubernetes refuses; that a name was used again before its deletion breaks
// PodName all the same.
func (c *Checker) Blind(now time.Duration, on bool) {
	c.advance(now)
	if on {
		c.blind++
	} else if c.blind--; c.blind < 0 {
		c.blind = 0
		c.record(Facts, "", "orchestrators are blind no longer, but never were")
	}
}

// disturbance is what disturbs one DAC, or all of a kind.
type disturbance struct {
	disturbed    int // how many last
	disturbedAt  time.Duration
	calmAt       time.Duration // when the last one ended
	disturbedWhy string
}

func (d *disturbance) begin(now time.Duration, why string) {
	if d.disturbed++; d.disturbed == 1 {
		d.disturbedAt = now
	}
	d.disturbedWhy = why
}

// cease ends one and says whether it was the last.
func (d *disturbance) cease(now time.Duration) bool {
	d.disturbed--
	d.calmAt = now
	return d.disturbed == 0
}

// during is why the last disturbance was, if it reached into the time; else empty.
func (d *disturbance) during(from, to time.Duration) string {
	if d.disturbedAt <= to && (d.disturbed > 0 || d.calmAt > from) {
		return d.disturbedWhy
	}
	return ""
}

// suspended says that bounds do not run for an instance's DAC.
func (k *kindState) suspended(in *instance) bool { return in.disturbed > 0 || k.disturbed > 0 }

// heldUp says that one of those who run a resource cannot be asked to stop: it
// hangs, is disturbed, or has outlived its pod. Fast handoff waits for nobody, so
// such an overlap lasts as long as that.
func (k *kindState) heldUp(i int32) bool {
	return slices.ContainsFunc(k.runners(i), func(by fleet.InstanceID) bool { return k.program(by).stuck(k) })
}

func (in *instance) stuck(k *kindState) bool { return in.hung || in.outlived || k.suspended(in) }

// demandAnew demands what an instance still owes, from now on.
func (k *kindState) demandAnew(id fleet.InstanceID, in *instance, now time.Duration) {
	in.life++ // what was demanded before is void
	if in.healthy && in.exists && in.applied < in.owed {
		k.pushReload(id, in, in.owed, now)
	}
}

// boundAnew lets the bound of every overlap that is about which start anew, unless
// something else still holds it up.
func (k *kindState) boundAnew(now time.Duration, about func(int32) bool) {
	for _, i := range slices.Sorted(maps.Keys(k.moreRunners)) {
		if about(i) && !k.heldUp(i) {
			k.boundOverlap(i, now)
		}
	}
}

// boundOverlap bounds an overlap from now on.
func (k *kindState) boundOverlap(i int32, now time.Duration) {
	k.recs[i].boundAt = now
	if k.cfg.Handoff != fleet.HandoffStrict && k.cfg.OverlapBound > 0 {
		k.overlaps.push(deadline{at: now + k.cfg.OverlapBound, since: now, of: i})
	}
}
