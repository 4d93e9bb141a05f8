package invariant

import (
	"math"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// tickWork bounds the deadlines of each sort that one Tick looks at.
const tickWork = 4096

// deadline is something that must have ended by then: what a record has been
// in since some time, or what an instance owes in one life. When a record is no
// longer in it since that time, the deadline is void.
type deadline struct {
	at, since time.Duration
	times     int64  // instances: what must have been applied
	of        int32  // the record, or the instance
	life      uint32 // instances
}

// queue holds deadlines of one bound, which come in the order they fall due.
type queue struct {
	items []deadline
	head  int
}

func (q *queue) push(d deadline) {
	if q.head > 1024 && q.head > len(q.items)/2 {
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	q.items = append(q.items, d)
}

// due takes the oldest deadline that has passed.
func (q *queue) due(now time.Duration) (deadline, bool) {
	if q.head == len(q.items) || q.items[q.head].at >= now {
		return deadline{}, false
	}
	d := q.items[q.head]
	q.head++
	return d, true
}

// demandReload demands that the instance's DAC applies its list in time.
func (k *kindState) demandReload(id fleet.InstanceID, in *instance, now time.Duration) {
	in.owed = in.times
	k.pushReload(id, in, in.times, now) // void if it is disturbed when that falls due, or has been until then
}

func (k *kindState) pushReload(id fleet.InstanceID, in *instance, times int64, now time.Duration) {
	if k.cfg.ReloadBound > 0 {
		k.reloads.push(deadline{at: now + k.cfg.ReloadBound, since: now, times: times, of: int32(id), life: in.life})
	}
}

// demandSettled demands that a pending record settles in time.
func (k *kindState) demandSettled(i int32, now time.Duration) {
	if k.cfg.SettleBound > 0 {
		k.unsettleds.push(deadline{at: now + k.cfg.SettleBound, since: k.recs[i].unsettledAt, of: i})
	}
}

// Tick looks at what has fallen due. Its work is bounded: what it leaves, the
// next tick or End takes. A deadline breaks once its time has passed, not at it.
func (c *Checker) Tick(now time.Duration) {
	c.advance(now)
	c.expire(tickWork)
	c.lookAtPods()
}

func (c *Checker) expire(work int) {
	for _, k := range c.kinds {
		c.lookAtHung(k)
		for range work {
			d, ok := k.overlaps.due(c.now)
			if !ok {
				break
			}
			if r := &k.recs[d.of]; r.runners > 1 && r.boundAt == d.since && !r.late && !k.heldUp(d.of) {
				c.failOverlap(k, d.of)
			}
		}
		for range work {
			d, ok := k.reloads.due(c.now)
			if !ok {
				break
			}
			if in := &k.instances[d.of]; in.life == d.life && in.applied < d.times && !k.suspended(in) {
				c.fail(k, ReloadReaches, "instance %d is healthy, but has not applied _reload times %d, there since %v, within %v (applied: %s)",
					d.of, d.times, d.since, k.cfg.ReloadBound, appliedTimes(in.applied))
			}
		}
		for range work {
			d, ok := k.unsettleds.due(c.now)
			if !ok {
				break
			}
			if r := &k.recs[d.of]; r.state&pending != 0 && r.unsettledAt == d.since && !r.overdue {
				if c.waits(k, d.of) || k.rests(c.now) {
					k.demandSettled(d.of, c.now)
					continue
				}
				r.overdue = true
				c.fail(k, Settled, "%s %q is not settled %v after it had to be: %s", k.cfg.Kind, r.id, c.now-d.at, c.why(k, d.of))
			}
		}
	}
}

// Heal says that faults have stopped: from here on everything must settle
// within the bound, until Unheal.
func (c *Checker) Heal(now time.Duration) {
	c.advance(now)
	if c.healed {
		return
	}
	c.healed, c.healAt = true, c.now
	for _, k := range c.kinds {
		for i := range k.recs {
			if k.recs[i].state&pending != 0 {
				k.demandSettled(int32(i), c.now)
			}
		}
	}
}

// Unheal says that something has been broken again: until the next Heal nothing
// has to settle. What has fallen due by now is looked at; what must always hold
// must go on holding.
func (c *Checker) Unheal(now time.Duration) {
	c.advance(now)
	c.expire(math.MaxInt)
	c.healed = false
	for _, k := range c.kinds {
		k.unsettleds = queue{} // Heal demands them anew
	}
}

// End closes the run: every deadline that has passed is looked at, and what is
// still waiting enters the measures with the time that it has waited so far, so
// that nothing looks fast because it never ended.
func (c *Checker) End(now time.Duration) {
	c.advance(now)
	if c.ended {
		return
	}
	c.ended = true
	c.expire(math.MaxInt)
	for _, k := range c.kinds {
		if !k.started {
			k.counted[history.StartTime] = now.Seconds()
		}
		c.endPods(k)
		c.endOrders(k)
		for i := range k.recs {
			k.close(&k.recs[i], c.now)
		}
		c.explainOpen(k)
		k.loads.pass(c.now, k.started)
		k.imbalanceEnd = k.imbalance()
	}
}

// close measures what the record still waits for.
func (k *kindState) close(r *record, now time.Duration) {
	switch {
	case r.present:
	case r.waiting:
		k.settles(r, slowSettle, now)
	case r.row && (r.runners == 0 || k.idle(r)):
		since, _ := k.out(r)
		k.unowned(r, since, now, k.idle(r))
		if r.runners > 0 {
			k.idleEnd++
		}
	case !r.row && r.hadRow && r.runners > 0:
		k.deleted(r, now)
	}
	if r.runners > 1 {
		k.overlap.Add(now - r.overlapAt)
	}
}
