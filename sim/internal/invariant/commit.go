package invariant

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// instance is what is known about one instance number.
type instance struct {
	exists    bool // in ZooKeeper
	used      int  // resources in its list
	before    int  // those before the transaction in hand
	stretched int  // the longest that a circle of moves has made its list
	capacity  int
	times     int64
	versions  fleet.Versions
	txn       int64 // the last transaction that named it

	healthy     bool
	life        uint32 // raised when its DAC or its nodes go: ends what was demanded of it
	applied     int64  // times that its DAC has applied; -1: none in this life
	owed        int64  // times that its DAC must apply; -1: none in this life
	unhealthyAt time.Duration
	sick        bool // unhealthy since unhealthyAt and not yet replaced
	replacing   bool // from its replacement until its DAC is healthy again
	hanging

	pod         string // uid; empty: the name is free
	terminating bool
	replacedPod string // the pod whose replacement was ordered last

	ends     uint32        // how often its DAC has come not to work any more
	endedAt  time.Duration // the last time
	aliveAt  time.Duration // when its DAC came to work last
	was      string        // its pod, while its DAC did not work
	alivePod string        // the pod whose DAC was the last to come to work
	dac      string        // the pod whose program runs what it runs, where that is told
	runs     int           // how many resources that is
	outlived bool          // that pod is gone, its program is not

	disturbance

	oddAt time.Duration // since when it and its pod do not fit together
	isOdd bool

	closing   bool          // ZooKeeper has it among those that are to go
	closingAt time.Duration // since when
	usedAt    time.Duration // when its list changed last

	weighed int // its load among its kind's, plus one; 0: none
}

// instance finds an instance, or answers nil for a number that cannot be one.
func (c *Checker) instance(k *kindState, id fleet.InstanceID) *instance {
	if id < 0 || id >= maxInstanceID {
		c.fail(k, Facts, "instance %d: its number is outside 0…%d", id, maxInstanceID-1)
		return nil
	}
	for int(id) >= len(k.instances) {
		k.instances = append(k.instances, instance{applied: -1, owed: -1})
	}
	return &k.instances[id]
}

// Tree makes the state of ZooKeeper known as it was read or set outside any
// transaction: at the start, or after someone else has written. It replaces
// what was known of lists, counts and versions, and checks nothing: a tree that
// others wrote may be wrong, and becomes the orchestrator's duty to mend.
func (c *Checker) Tree(now time.Duration, kind fleet.Kind, tree fleet.Tree) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	for i := range k.recs {
		k.recs[i].owners, k.recs[i].owner = 0, fleet.NoInstance
	}
	k.moreOwners, k.control = nil, tree.Control
	k.allowsTree(&tree)
	for i := range k.instances {
		in := &k.instances[i]
		in.exists, in.used, in.life, in.owed = false, 0, in.life+1, -1
	}
	k.exist = 0
	for _, t := range tree.Instances {
		in := c.instance(k, t.ID)
		if in == nil || in.exists {
			continue
		}
		in.exists, in.capacity, in.times, in.versions = true, t.Capacity, t.Times, t.Versions
		k.exist++
		for _, id := range t.IDs {
			if i := k.record(id); !k.owned(i, t.ID) {
				k.own(i, t.ID, in, now)
			}
		}
	}
	k.loads.pass(now, k.started)
	for id := range k.instances {
		k.weigh(&k.instances[id])
		k.instances[id].odd(now)
	}
	for i := range k.recs { // only now: nothing was unplaced in between
		if at, ok := k.index[k.recs[i].id]; ok && at == int32(i) {
			c.update(k, at, false)
		}
	}
	k.undertakes(now)
	c.peak(k)
}

// Committed says that ZooKeeper has committed a transaction while epoch was the
// newest epoch that it held.
func (c *Checker) Committed(now time.Duration, kind fleet.Kind, epoch int64, txn *fleet.Txn) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	k.txns++
	k.counted[history.Transactions]++
	k.epoch = max(k.epoch, epoch)
	if txn.Epoch < k.epoch {
		c.fail(k, Epoch, "transaction %d of epoch %d committed at %v, but epoch %d was there already", txn.ID, txn.Epoch, now, k.epoch)
	}
	k.epoch = max(k.epoch, txn.Epoch)
	c.noted(k, txn)

	// A move's two sides may come in either order: what leaves goes first.
	for n := range txn.Changes {
		c.shape(k, txn, &txn.Changes[n])
	}
	for n := range txn.Changes {
		ch := &txn.Changes[n]
		if in := c.instance(k, ch.Instance); in != nil {
			for _, id := range ch.Remove {
				c.disown(k, txn, id, ch.Instance, in)
			}
		}
	}
	k.loads.pass(now, k.started)
	for n := range txn.Changes {
		c.apply(k, txn, &txn.Changes[n])
		if in := c.instance(k, txn.Changes[n].Instance); in != nil {
			k.weigh(in)
			in.odd(now)
		}
	}
	for _, i := range k.touched { // only now: in the middle of a move nothing is unplaced
		k.recs[i].touched = false
		c.update(k, i, false)
	}
	k.touched = k.touched[:0]
	if txn.Control != nil {
		k.undertakes(now)
	}
	c.peak(k)
}

// touch has a record brought up to date when the transaction is through.
func (k *kindState) touch(i int32) {
	if !k.recs[i].touched {
		k.recs[i].touched = true
		k.touched = append(k.touched, i)
	}
}

// shape checks that the instance is there or not, as the change needs it, and
// that the change names it as it was.
func (c *Checker) shape(k *kindState, txn *fleet.Txn, ch *fleet.Change) {
	in := c.instance(k, ch.Instance)
	if in == nil {
		return
	}
	if in.txn == k.txns {
		c.fail(k, TreeShape, "transaction %d changes instance %d twice", txn.ID, ch.Instance)
	}
	in.txn, in.before = k.txns, in.used
	if ch.Kind == fleet.ChangeCreate {
		if in.exists {
			c.fail(k, TreeShape, "transaction %d creates instance %d, which exists with %d resources", txn.ID, ch.Instance, in.used)
		} else {
			in.exists = true
			k.exist++
			if k.started {
				k.counted[history.InstancesCreated]++
			}
		}
		in.versions, in.times, in.capacity = fleet.Versions{}, ch.Times, ch.Capacity
		return
	}
	if !in.exists {
		c.fail(k, TreeShape, "transaction %d %ss instance %d, which does not exist", txn.ID, ch.Kind, ch.Instance)
		if ch.Kind == fleet.ChangeDelete {
			return
		}
		in.exists = true // follow what was committed, so that one break is counted once
		k.exist++
	} else if ch.Versions != in.versions {
		c.fail(k, VersionsMatch, "transaction %d expects versions %v of instance %d, which was at %v", txn.ID, ch.Versions, ch.Instance, in.versions)
	}
	if ch.Kind == fleet.ChangeDelete {
		return
	}
	in.versions = fleet.Versions{
		Node: ch.Versions.Node + 1, Resources: ch.Versions.Resources + 1, Reload: ch.Versions.Reload + 1,
	}
	if rise := ch.Times - in.times; len(ch.Add)+len(ch.Remove) > 0 {
		if rise != 1 {
			c.fail(k, TimesRise, "transaction %d changes the list of instance %d, but its _reload times goes from %d to %d instead of %d",
				txn.ID, ch.Instance, in.times, ch.Times, in.times+1)
		}
	} else if rise != 0 && rise != 1 {
		c.fail(k, TimesRise, "transaction %d leaves the list of instance %d as it is, but its _reload times goes from %d to %d",
			txn.ID, ch.Instance, in.times, ch.Times)
	}
	in.times, in.capacity = ch.Times, ch.Capacity
}

// apply puts what joins into the list and checks the instance as it is then.
func (c *Checker) apply(k *kindState, txn *fleet.Txn, ch *fleet.Change) {
	in := c.instance(k, ch.Instance)
	if in == nil || !in.exists {
		return // counted already
	}
	for _, id := range ch.Add {
		c.ownIn(k, txn, id, ch.Instance, in)
	}
	if ch.Kind == fleet.ChangeDelete {
		c.drop(k, txn, ch.Instance, in)
		return
	}
	if in.used != ch.Used {
		c.fail(k, Counters, "transaction %d writes used %d to instance %d, whose list then holds %d", txn.ID, ch.Used, ch.Instance, in.used)
	}
	if in.used > ch.Capacity {
		c.fail(k, Capacity, "transaction %d leaves instance %d with %d resources, but its capacity is %d", txn.ID, ch.Instance, in.used, ch.Capacity)
	}
	c.lookAtLimit(k, txn, ch, in)
	if ch.Capacity > 0 {
		k.capacityMax = max(k.capacityMax, float64(in.used)/float64(ch.Capacity))
	}
	if len(ch.Add)+len(ch.Remove) > 0 {
		in.usedAt = c.now
	}
	if in.healthy && len(ch.Add)+len(ch.Remove) > 0 {
		k.demandReload(ch.Instance, in, c.now)
	}
	if in.applied < in.times {
		in.wants(c.now)
	}
}

// drop takes an instance out of the tree.
func (c *Checker) drop(k *kindState, txn *fleet.Txn, id fleet.InstanceID, in *instance) {
	if in.used > 0 {
		c.fail(k, TreeShape, "transaction %d deletes instance %d, whose list still holds %d resources", txn.ID, id, in.used)
		for i := range k.recs {
			r := &k.recs[i]
			if k.owned(int32(i), id) {
				leave(k.moreOwners, int32(i), &r.owner, &r.owners, id)
				k.touch(int32(i))
			}
		}
	}
	in.exists, in.used, in.times, in.capacity = false, 0, 0, 0
	in.owed = -1
	in.life++
	k.exist--
	k.counted[history.InstancesReleased]++
}

// ownIn puts a resource on an instance's list by a transaction.
func (c *Checker) ownIn(k *kindState, txn *fleet.Txn, id string, by fleet.InstanceID, in *instance) {
	i := k.record(id)
	r := &k.recs[i]
	switch {
	case r.owners == 0:
	case k.owned(i, by):
		c.fail(k, TreeShape, "transaction %d adds %s %q to instance %d, whose list holds it already", txn.ID, k.cfg.Kind, id, by)
		return
	default:
		c.fail(k, OneOwner, "%s %q stands on instances %d and %d after transaction %d at %v", k.cfg.Kind, id, r.owner, by, txn.ID, c.now)
	}
	if r.last != fleet.NoInstance && r.last != by && r.row {
		k.counted[history.MovesMade]++
		k.movedAt = c.now
	}
	k.own(i, by, in, c.now)
	k.touch(i)
}

// own puts a record on the list of an instance that does not hold it.
func (k *kindState) own(i int32, by fleet.InstanceID, in *instance, now time.Duration) {
	r := &k.recs[i]
	r.early = r.runners > 0 && k.tooSoon(i, by)
	r.placedAt = now
	join(&k.moreOwners, i, &r.owner, &r.owners, by)
	r.last = by
	in.used++
}

// disown takes a resource off an instance's list by a transaction.
func (c *Checker) disown(k *kindState, txn *fleet.Txn, id string, by fleet.InstanceID, in *instance) {
	i, ok := k.index[id]
	if !ok || !k.owned(i, by) {
		c.fail(k, TreeShape, "transaction %d removes %s %q from instance %d, whose list does not hold it", txn.ID, k.cfg.Kind, id, by)
		return
	}
	r := &k.recs[i]
	leave(k.moreOwners, i, &r.owner, &r.owners, by)
	r.placedAt = c.now
	in.used--
	k.touch(i)
}
