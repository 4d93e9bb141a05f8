package world

import (
	"time"

	"dacorch/orchestrator/fleet"
)

// SetDelay makes every record arrive this much later; 0 ends it.
func (k *Kafka) SetDelay(d time.Duration) { k.slow = d }

// Revoke is a rebalance: every consumer loses the partition and is told so, and
// joins again.
func (k *Kafka) Revoke() {
	for _, g := range k.groups {
		for _, c := range g.members {
			if !c.open || !c.assigned {
				continue
			}
			c.cut()
			c.assigned = false
			k.tl.After(0, k, opRevoked, c.gen, c)
			k.tl.After(k.join.draw(), k, opAssign, c.gen, c)
		}
	}
}

// revoked tells that the partition is lost.
func (c *Consumer) revoked(now time.Duration) {
	if c.told && !c.assigned {
		c.told = false
		c.state(now, false)
	}
}

// ResetOffsets loses the groups' offsets: after a rebalance each begins at the
// oldest record that the log holds. Who cares how old a record is looks at
// Heartbeat.Appended.
func (k *Kafka) ResetOffsets() {
	for _, g := range k.groups {
		g.committed = k.end - int64(k.log.len())
	}
	k.Revoke()
}

// LosePartition makes the heartbeats of those instances go nowhere. A consumer
// finds within the detection latency that not all it should read can be read, and
// is told false, though what comes still comes.
func (k *Kafka) LosePartition(of func(kind fleet.Kind, instance fleet.InstanceID) bool) {
	noticed := k.missing != nil
	if k.missing = of; !noticed {
		k.tellPartition(opPartitionGone, &k.detect)
	}
}

// ReturnPartition ends LosePartition; consumers are told after the reconnect latency.
func (k *Kafka) ReturnPartition() {
	if k.missing != nil {
		k.missing = nil
		k.tellPartition(opPartitionBack, &k.reconnect)
	}
}

func (k *Kafka) tellPartition(op uint32, after *delay) {
	k.outage++
	for _, g := range k.groups {
		for _, c := range g.members {
			k.tl.After(after.draw(), k, op, k.outage, c)
		}
	}
}

// partition tells whether all that should be read can be.
func (c *Consumer) partition(now time.Duration, back bool) {
	if c.open && (c.up || !back) {
		c.tell(now, back)
	}
}

// unreachable counts a heartbeat whose sender does not reach the broker.
func (k *Kafka) unreachable(kind fleet.Kind) {
	k.stats.Produced++
	k.stats.Lost++
	if k.OnProduce != nil {
		k.OnProduce(kind)
	}
}
