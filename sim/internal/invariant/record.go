package invariant

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// kindState is everything known about one kind. A resource's state lies in one
// record of a slab, found by one map, so that a change costs one look-up.
type kindState struct {
	cfg       KindConfig
	onTime    func(time.Duration, fleet.Kind, string, fleet.InstanceID, time.Duration, bool)
	index     map[string]int32 // id → record
	recs      []record
	free      []int32
	instances []instance // by number

	// Owners and runners beyond a record's first: only broken states and
	// overlaps have them.
	moreOwners  map[int32][]fleet.InstanceID
	moreRunners map[int32][]fleet.InstanceID

	epoch     int64
	txns      int64   // transactions seen: stamps instances inside one
	touched   []int32 // records that the transaction in hand has changed
	exist     int     // instances in ZooKeeper
	rows      int
	unplaced  int
	unsettled int
	pendings  int
	broken    int // violations of this kind

	toStart int  // rows there from the start that have not run yet
	worked  bool // a DAC has been able to work
	started bool // the start is over

	unplacedMax  int
	capacityMax  float64
	imbalanceEnd int
	idleEnd      int // rows at the end whose only runner hangs

	measures
	alarms
	promises
	unfinished
	limit int // the longest that a list may be, as far as outsiders know; 0: not known

	slowSettles, slowOutages slowest

	loads       loads
	orphans     []orphan
	disturbance // of all its DACs

	counted history.Figures // by the driver, and what needs counting event by event

	overlaps, reloads, unsettleds queue
}

// The bits of a record's state: what the counters of its kind hold about it.
const (
	unplaced  uint8 = 1 << iota // a row that no list holds
	unsettled                   // a row that not exactly one DAC runs
	pending                     // anything else than a row on one list and its DAC alone running it
)

// record is what is known about one resource id: a row, its place in lists, who
// runs it. It is freed when none of the three remains.
type record struct {
	id, group   string
	rowAt       time.Duration // when the row was inserted, or deleted
	placedAt    time.Duration // when the last list came to hold it or ceased to, or its row came
	stoppedAt   time.Duration // when its last DAC stopped
	overlapAt   time.Duration // when the second DAC started
	boundAt     time.Duration // since when that overlap's bound runs
	unsettledAt time.Duration // when it came to be pending
	ends        uint32        // how often that DAC had failed by then
	owners      int32
	runners     int32
	owner       fleet.InstanceID // the first list that holds it
	runner      fleet.InstanceID // the first DAC that runs it
	last        fleet.InstanceID // the last list that held it
	stoppedBy   fleet.InstanceID // the last DAC that ran it
	state       uint8
	row         bool // the database holds it
	hadRow      bool // the database held it once
	waiting     bool // it has not run since its row was inserted
	present     bool // it is waiting, and its row was there at the start
	failed      bool // stoppedBy did not work when it stopped
	early       bool // its last list came to hold it while another's program ran it
	late        bool // this overlap was counted as a violation
	touched     bool // the transaction in hand has changed its owners
	overdue     bool // that it is still pending was counted as a violation
}

// record finds the record of id, or makes one.
func (k *kindState) record(id string) int32 {
	if i, ok := k.index[id]; ok {
		return i
	}
	var i int32
	if n := len(k.free); n > 0 {
		i = k.free[n-1]
		k.free = k.free[:n-1]
	} else {
		i = int32(len(k.recs))
		k.recs = append(k.recs, record{})
	}
	k.recs[i] = record{
		id:    id,
		owner: fleet.NoInstance, runner: fleet.NoInstance, last: fleet.NoInstance, stoppedBy: fleet.NoInstance,
	}
	k.index[id] = i
	return i
}

// settled says whether the record is as it should stay: a row on one list, run
// by that instance alone.
func (r *record) settled() bool {
	return r.row && r.owners == 1 && r.runners == 1 && r.owner == r.runner
}

// update brings the counters to the record's state and frees it when nothing
// of it remains. Every change of a record ends here. anew says that the row
// came or went: whatever is pending has been so only from now on.
func (c *Checker) update(k *kindState, i int32, anew bool) {
	r := &k.recs[i]
	var state uint8
	gone := !r.row && r.owners == 0 && r.runners == 0
	if r.row && r.owners == 0 {
		state |= unplaced
	}
	if r.row && r.runners != 1 {
		state |= unsettled
	}
	if !gone && !r.settled() {
		state |= pending
	}
	was := r.state
	r.state = state
	if changed := was ^ state; changed != 0 {
		if changed&unplaced != 0 {
			by := step(state & unplaced)
			k.unplaced += by
			c.unplaced += by
		}
		if changed&unsettled != 0 {
			k.unsettled += step(state & unsettled)
		}
		if changed&pending != 0 {
			k.pendings += step(state & pending)
		}
	}
	if state&pending != 0 && (was&pending == 0 || anew) {
		r.unsettledAt, r.overdue = c.now, false
		if c.healed {
			k.demandSettled(i, c.now)
		}
	}
	if gone {
		delete(k.index, r.id)
		*r = record{}
		k.free = append(k.free, i)
	}
}

// peak raises the maxima once a fact is through: in the middle of a
// transaction, what joins and what leaves would count at once.
func (c *Checker) peak(k *kindState) {
	if k.toStart > 0 {
		return
	}
	k.unplacedMax = max(k.unplacedMax, k.unplaced)
	for _, other := range c.kinds {
		if other.toStart > 0 {
			return
		}
	}
	c.unplacedMax = max(c.unplacedMax, c.unplaced)
}

func step(set uint8) int {
	if set != 0 {
		return 1
	}
	return -1
}

// owned says whether the instance's list holds the record.
func (k *kindState) owned(i int32, by fleet.InstanceID) bool {
	r := &k.recs[i]
	return r.owners > 0 && r.owner == by || r.owners > 1 && slices.Contains(k.moreOwners[i], by)
}

// runs says whether the instance's DAC runs the record.
func (k *kindState) runs(i int32, by fleet.InstanceID) bool {
	r := &k.recs[i]
	return r.runners > 0 && r.runner == by || r.runners > 1 && slices.Contains(k.moreRunners[i], by)
}

// join adds an instance to a record's holders, of which first and n are the
// first and the number, and more holds the rest.
func join(more *map[int32][]fleet.InstanceID, i int32, first *fleet.InstanceID, n *int32, by fleet.InstanceID) {
	*n++
	if *n == 1 {
		*first = by
		return
	}
	if *more == nil {
		*more = make(map[int32][]fleet.InstanceID)
	}
	(*more)[i] = append((*more)[i], by)
}

// leave takes an instance, which must be among them, out of a record's holders.
func leave(more map[int32][]fleet.InstanceID, i int32, first *fleet.InstanceID, n *int32, by fleet.InstanceID) {
	*n--
	if *n == 0 {
		*first = fleet.NoInstance
		return
	}
	rest := more[i]
	if *first == by {
		*first, rest = rest[0], rest[1:]
	} else {
		at := slices.Index(rest, by)
		rest = slices.Delete(rest, at, at+1)
	}
	if len(rest) == 0 {
		delete(more, i)
	} else {
		more[i] = rest
	}
}

// holders lists a record's holders in ascending order.
func holders(more map[int32][]fleet.InstanceID, i int32, first fleet.InstanceID, n int32) []fleet.InstanceID {
	if n == 0 {
		return nil
	}
	all := []fleet.InstanceID{first}
	if n > 1 {
		all = append(all, more[i]...)
	}
	slices.Sort(all)
	return all
}

func (k *kindState) owners(i int32) []fleet.InstanceID {
	return holders(k.moreOwners, i, k.recs[i].owner, k.recs[i].owners)
}

func (k *kindState) runners(i int32) []fleet.InstanceID {
	return holders(k.moreRunners, i, k.recs[i].runner, k.recs[i].runners)
}
