// Package invariant checks, fact by fact, what must always hold in a run and
// what must hold once the faults are over, and measures what follows from the
// same facts. Whoever drives the run tells it what really happened in the
// world: rows, committed transactions, what DACs run, pods. Every check
// answers with a reason that a person can act on. It is pure.
package invariant

import (
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// Invariant names what must hold.
type Invariant uint8

// The invariants.
const (
	OneOwner      Invariant = iota // a committed state has each resource in at most one list
	Counters                       // an instance's used is the length of its list
	Capacity                       // a transaction leaves used at most at the capacity, and both at most at what was ever asked for
	TimesRise                      // _reload times rises by exactly one whenever the list changes
	VersionsMatch                  // a transaction names the versions that were there
	Epoch                          // no transaction of a leader older than the newest commits
	TreeShape                      // created only when absent, deleted only when empty, lists changed only as they can
	Overlap                        // two DACs run a resource at once no longer than the handoff allows
	ReloadReaches                  // a healthy DAC applies each change of its list within the bound
	PodName                        // a pod's name is not used again before its deletion was seen
	Settled                        // after heal nothing stays unsettled longer than the bound
	Maintenance                    // in maintenance nothing is done automatically
	Orders                         // what an operator is told is done stands in ZooKeeper, and after heal nothing stays half done
	Pods                           // after heal each instance in ZooKeeper has a pod, and each pod its instance
	Facts                          // what the driver tells fits together
	invariantCount
)

var invariantNames = [invariantCount]string{
	"one-owner", "counters", "capacity", "times-rise", "versions", "epoch", "tree-shape",
	"overlap", "reload-reaches", "pod-name", "settled", "maintenance", "orders", "pods", "facts",
}

// String is the invariant's name in reports.
func (i Invariant) String() string { return invariantNames[i] }

// keptViolations is how many violations a run keeps in full; every invariant's
// first is kept beyond that.
const keptViolations = 100

// maxInstanceID bounds the instance numbers that the checker accepts.
const maxInstanceID = 1 << 20

// Config says what to check.
type Config struct {
	Kinds []KindConfig

	// Pod describes an instance's pod for reasons, such as
	// "Pending (Unschedulable) since 4m0s". It may be nil.
	Pod func(fleet.Kind, fleet.InstanceID) string
	// Why says what else the caller knows of why something took so long: "the
	// orchestrator was down from 4m0s to 6m0s", "its notification was lost". The
	// instance is fleet.NoInstance when no list holds the resource. It is asked
	// after End, about the slowest alone, and may be nil.
	Why func(kind fleet.Kind, resource string, instance fleet.InstanceID, from, to time.Duration) string

	// OnTime, unless nil, is told each time that enters the settle times or, with
	// recovered, the times to recover, when it does; what never ended, at the End.
	// The instance is that on whose list the resource is, or of the last that ran it.
	OnTime func(now time.Duration, kind fleet.Kind, resource string, instance fleet.InstanceID, took time.Duration, recovered bool)
	// OnBroken, unless nil, is told each violation that is kept.
	OnBroken func(history.Violation)
}

// KindConfig says what holds for one kind. A bound of zero is not checked.
type KindConfig struct {
	Kind    fleet.Kind
	Handoff fleet.Handoff // strict: no overlap at all; fast: none longer than OverlapBound

	OverlapBound time.Duration // fast handoff: longest time that two DACs may run a resource
	ReloadBound  time.Duration // longest time from a commit to its DAC having applied it
	SettleBound  time.Duration // longest time that anything may be unsettled after heal

	// NoHeartbeat says that its DACs send none: those that hang are found as zombies
	// are, by the list that they leave unconfirmed for Unconfirmed (0: never), which is
	// looked at every Monitor.
	NoHeartbeat          bool
	Unconfirmed, Monitor time.Duration

	// PerInstance is the configured resourcePerInstance, which no order exceeds: no
	// list and no count may. Grouped says that one group's room is not another's.
	PerInstance int
	Grouped     bool

	Resources int // how many are expected at once: room is made beforehand
}

// Checker takes the facts of a run. Facts come in the order of their time.
// Methods that name a kind that is not configured count a Facts violation.
type Checker struct {
	kinds []*kindState
	pod   func(fleet.Kind, fleet.InstanceID) string

	whyCaller func(fleet.Kind, string, fleet.InstanceID, time.Duration, time.Duration) string
	onBroken  func(history.Violation)
	now       time.Duration

	healed bool
	healAt time.Duration
	ended  bool
	blind  int // reasons for which orchestrators may be wrong about pods

	counts     [invariantCount]uint64
	violations []history.Violation

	unplaced, unplacedMax int // over all kinds
}

// New makes a checker that has seen nothing.
func New(cfg Config) *Checker {
	c := &Checker{pod: cfg.Pod, whyCaller: cfg.Why, onBroken: cfg.OnBroken}
	for _, k := range cfg.Kinds {
		c.kinds = append(c.kinds, &kindState{
			cfg: k, onTime: cfg.OnTime,
			index: make(map[string]int32, k.Resources),
			recs:  make([]record, 0, k.Resources),
		})
	}
	return c
}

// RowInserted says that the database has committed a new row.
func (c *Checker) RowInserted(now time.Duration, kind fleet.Kind, res fleet.Resource) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	i := k.record(res.ID)
	r := &k.recs[i]
	if r.row {
		c.fail(k, Facts, "row %q inserted, but it has been there since %v", res.ID, r.rowAt)
		return
	}
	r.row, r.rowAt, r.group = true, now, res.Group
	r.waiting = true
	if r.owners == 0 {
		r.last = fleet.NoInstance // where an earlier row of the id stood is no matter
	}
	k.rows++
	k.counted[history.ResourcesCreated]++
	if r.runners > 0 { // a deleted row of the same id still runs
		k.startedRow(r, now)
	}
	r.placedAt = now // for a list that held it before
	c.update(k, i, true)
	c.peak(k)
}

// RowPresent says that the database holds a row from the start. Until all such
// rows have run once, and a first DAC works, the kind is starting: what that
// takes is StartTime, and enters no other measure.
func (c *Checker) RowPresent(now time.Duration, kind fleet.Kind, res fleet.Resource) {
	c.RowInserted(now, kind, res)
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	if i, ok := k.index[res.ID]; ok && k.recs[i].waiting && !k.recs[i].present {
		k.recs[i].present = true
		k.toStart++
		k.counted[history.ResourcesCreated]--
	}
}

// RowUpdated says that the database has committed a change of a row.
func (c *Checker) RowUpdated(now time.Duration, kind fleet.Kind, res fleet.Resource) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	i, ok := k.index[res.ID]
	if !ok || !k.recs[i].row {
		c.fail(k, Facts, "row %q updated, but there is none", res.ID)
		return
	}
	k.recs[i].group = res.Group
}

// RowDeleted says that the database has committed the deletion of a row.
func (c *Checker) RowDeleted(now time.Duration, kind fleet.Kind, id string) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	i, ok := k.index[id]
	if !ok || !k.recs[i].row {
		c.fail(k, Facts, "row %q deleted, but there is none", id)
		return
	}
	r := &k.recs[i]
	if r.waiting { // it never ran: it waited until now
		k.waited(r, now)
	} else if since, out := k.out(r); out {
		k.unowned(r, since, now, k.idle(r))
	}
	r.row, r.rowAt, r.waiting, r.hadRow = false, now, false, true
	k.rows--
	k.counted[history.ResourcesDeleted]++
	c.update(k, i, true)
}

// Add adds n to a metric that only the driver can count, such as Notifications.
// Those that follow from the facts are computed: see Figures.
func (c *Checker) Add(kind fleet.Kind, m history.Metric, n float64) {
	if k := c.kind(c.now, kind); k != nil {
		k.counted[m] += n
	}
}

// Raise raises a metric that is a maximum, such as
// OrchestrationTimeMax, to v, in the metric's unit.
func (c *Checker) Raise(kind fleet.Kind, m history.Metric, v float64) {
	if k := c.kind(c.now, kind); k != nil {
		k.counted[m] = max(k.counted[m], v)
	}
}

// Violations are the first violations, in the order they were found: 100, and
// beyond them the first of each invariant.
func (c *Checker) Violations() []history.Violation { return c.violations }

// Counts says for every invariant how often it broke.
func (c *Checker) Counts() []history.InvariantCount {
	counts := make([]history.InvariantCount, invariantCount)
	for i := range counts {
		counts[i] = history.InvariantCount{Name: Invariant(i).String(), Broken: c.counts[i]}
	}
	return counts
}

// Broken is how often the invariant broke.
func (c *Checker) Broken(i Invariant) uint64 { return c.counts[i] }

// kind finds a kind and moves the time on.
func (c *Checker) kind(now time.Duration, kind fleet.Kind) *kindState {
	c.advance(now)
	for _, k := range c.kinds {
		if k.cfg.Kind == kind {
			return k
		}
	}
	c.record(Facts, kind, fmt.Sprintf("a fact about kind %q, which is not configured", kind))
	return nil
}

// advance moves the time on; it never goes back.
func (c *Checker) advance(now time.Duration) {
	if now < c.now {
		c.record(Facts, "", fmt.Sprintf("time went back from %v to %v", c.now, now))
		return
	}
	c.now = now
}

// fail counts a violation now; its reason is only made when it is kept.
func (c *Checker) fail(k *kindState, inv Invariant, format string, args ...any) {
	k.broken++
	if !c.keeps(inv) {
		c.counts[inv]++
		return
	}
	c.record(inv, k.cfg.Kind, fmt.Sprintf(format, args...))
}

func (c *Checker) keeps(inv Invariant) bool {
	return len(c.violations) < keptViolations || c.counts[inv] == 0
}

func (c *Checker) record(inv Invariant, kind fleet.Kind, reason string) {
	if c.keeps(inv) {
		v := history.Violation{At: c.now, Kind: kind, Invariant: inv.String(), Reason: reason}
		c.violations = append(c.violations, v)
		if c.onBroken != nil {
			c.onBroken(v)
		}
	}
	c.counts[inv]++
}
