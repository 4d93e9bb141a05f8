// Package placement decides how many instances a kind has and which resource
// stands on which of them, with the fewest moves that the policy allows and a
// reason for each choice. It is pure: no clock, no randomness, no input or
// output, and the order of its inputs does not matter.
//
// An Assignment holds the state of one kind. Each change to it (Add, Remove,
// Apply, Close, Open, Reorchestrate, Restore) appends what follows from the
// change to a Plan: instances opened and released, capacities changed, and
// resources moved.
package placement

import (
	"fmt"
	"iter"
	"slices"

	"dacorch/orchestrator/fleet"
)

// Plan is what a change leads to. Each call appends its net effect: one
// resource occurs at most once among the Moves of one call. Carried out in the
// order of the fields, no step needs a later one.
type Plan struct {
	Opened     []Opened
	Capacities []Recapacity // may lie below the load until the moves are made
	Moves      []Move
	Released   []Released
}

// keptMoves bounds the memory that Reset keeps: a plan for everything at once is
// made once, those that follow are small.
const keptMoves = 1 << 14

// Reset empties the plan and keeps its memory, unless that is very large.
func (p *Plan) Reset() {
	p.Opened = p.Opened[:0]
	if cap(p.Moves) > keptMoves {
		p.Moves = nil
	}
	p.Moves = p.Moves[:0]
	p.Released = p.Released[:0]
	p.Capacities = p.Capacities[:0]
}

// Move is a resource that changed its place.
type Move struct {
	Resource string
	From, To fleet.InstanceID // From NoInstance: newly placed; To NoInstance: removed, or lost its place
	Why      Reason
}

// Opened is an instance that the policy opened. It counts as present at once.
type Opened struct {
	Instance fleet.InstanceID
	Capacity int
	Group    string // the group policy's; empty otherwise
	Why      Reason
}

// Released is an instance that the policy closed. It is empty after the plan,
// and its id stays taken until Forget.
type Released struct {
	Instance fleet.InstanceID
	Why      Reason
}

// Recapacity is a change of an instance's capacity.
type Recapacity struct {
	Instance fleet.InstanceID
	From, To int
	Why      Reason
}

// Config is what an Assignment is made with.
type Config struct {
	Policy fleet.Policy // fill when empty or unknown: check it with fleet.CheckPolicy
	Limits Limits
}

// Instance is an instance as ZooKeeper holds it, for Restore.
type Instance struct {
	ID       fleet.InstanceID
	Capacity int
	Born     int64 // orders instances by age; any numbers
	Closed   bool  // its resources are to move away
}

// Placed is a resource and where it stands, for Restore.
type Placed struct {
	fleet.Resource
	At fleet.InstanceID // NoInstance: known, but on no instance
}

// Assignment is the state of one kind: its instances, its resources, and which
// stands where. It is not safe for concurrent use.
//
// An instance is open or closed; a closed one receives nothing. MaxInstances
// bounds the open ones. "Newest" is the greatest Born, ties by the greater id.
type Assignment struct {
	policy policy
	limits Limits
	size   Size

	index   index
	res     []resource // by handle
	freeRes []uint32

	inst     []instance // by slot
	freeInst []int32
	slotOf   map[fleet.InstanceID]int32
	idHint   fleet.InstanceID // no smaller id is free
	born     int64            // the greatest so far

	labels  map[string]*label
	shared  *pool // the only pool, unless the policy has one per group
	open    int   // open instances
	waiting int   // resources on no instance

	spare   []int32 // Restore only: open, empty instances of no group
	scratch scratch
}

// New makes an Assignment without instances and resources. Until SetSize or
// Reorchestrate, the limits are the size.
func New(cfg Config) *Assignment {
	a := &Assignment{policy: policyFor(cfg.Policy), limits: cfg.Limits.withDefaults()}
	a.size = Size{
		ResourcePerInstance: a.limits.ResourcePerInstance,
		Ceiling:             a.limits.ResourcePerInstance,
		MaxInstances:        a.limits.MaxInstances,
	}
	a.clear()
	return a
}

func (a *Assignment) clear() {
	a.index = index{}
	a.res, a.freeRes = nil, nil
	a.inst, a.freeInst = nil, nil
	a.slotOf = make(map[fleet.InstanceID]int32)
	a.idHint, a.born = 0, 0
	a.labels = make(map[string]*label)
	a.shared = nil
	if !a.policy.perGroup() {
		a.shared = a.newPool(nil)
	}
	a.open, a.waiting, a.spare = 0, 0, nil
}

// Size is the size in force.
func (a *Assignment) Size() Size { return a.size }

// Owner is the instance that the resource stands on: NoInstance and true for
// one that is known but has no place, NoInstance and false for an unknown one.
func (a *Assignment) Owner(id string) (fleet.InstanceID, bool) {
	h, ok := a.find(id)
	if !ok {
		return fleet.NoInstance, false
	}
	return a.idOf(a.res[h].slot), true
}

// Group is the resource's group; empty for an unknown resource.
func (a *Assignment) Group(id string) string {
	if h, ok := a.find(id); ok {
		return a.res[h].label.name
	}
	return ""
}

// Missing answers the resources whose ids are not among those of rows, in stable
// order. On the way it tells each of every row: its group here, and whether it is
// known. It takes one look-up for each row.
func (a *Assignment) Missing(rows []fleet.Resource, each func(row fleet.Resource, group string, known bool)) []fleet.Resource {
	seen := make([]uint64, len(a.res)/64+1)
	found := 0
	for _, row := range rows {
		h, ok := a.find(row.ID)
		if !ok {
			each(row, "", false)
			continue
		}
		if bit := uint64(1) << (h % 64); seen[h/64]&bit == 0 {
			seen[h/64] |= bit
			found++
		}
		each(row, a.res[h].label.name, true)
	}
	if found == a.Len() {
		return nil
	}
	var missing []fleet.Resource
	for h := range a.res {
		if r := &a.res[h]; r.label != nil && seen[h/64]&(1<<(h%64)) == 0 {
			missing = append(missing, fleet.Resource{ID: r.id, Group: r.label.name})
		}
	}
	return missing
}

// Len is the number of resources known, placed or not.
func (a *Assignment) Len() int { return len(a.res) - len(a.freeRes) }

// Unplaced is the number of resources known that stand on no instance.
func (a *Assignment) Unplaced() int { return a.waiting }

// EachUnplaced calls f for each resource without a place, ascending by id, with
// the reason, until f answers false.
func (a *Assignment) EachUnplaced(f func(fleet.Resource, Reason) bool) {
	var all []uint32
	for _, pl := range a.pools() {
		all = append(all, pl.waiting...)
	}
	a.sortByID(all)
	for _, h := range all {
		r := &a.res[h]
		if !f(fleet.Resource{ID: r.id, Group: r.label.name}, a.whyUnplaced(r.label.pool)) {
			return
		}
	}
}

// Used is the number of resources on the instance; 0 for an unknown one.
func (a *Assignment) Used(i fleet.InstanceID) int {
	if s, ok := a.slotOf[i]; ok {
		return len(a.inst[s].members)
	}
	return 0
}

// Capacity is the instance's capacity; 0 for an unknown one.
func (a *Assignment) Capacity(i fleet.InstanceID) int {
	if s, ok := a.slotOf[i]; ok {
		return a.inst[s].capacity
	}
	return 0
}

// Closed says whether the instance exists and is closed.
func (a *Assignment) Closed(i fleet.InstanceID) bool {
	s, ok := a.slotOf[i]
	return ok && a.inst[s].closed
}

// Has says whether the instance exists: open, or closed and not yet forgotten.
func (a *Assignment) Has(i fleet.InstanceID) bool {
	_, ok := a.slotOf[i]
	return ok
}

// Instances are all instances, open and closed, ascending.
func (a *Assignment) Instances() iter.Seq[fleet.InstanceID] {
	ids := make([]fleet.InstanceID, 0, len(a.slotOf))
	for id := range a.slotOf {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Values(ids)
}

// Each calls f for each resource on the instance, until f answers false. The
// order follows from the history of calls; it is not by id.
func (a *Assignment) Each(i fleet.InstanceID, f func(id string) bool) {
	s, ok := a.slotOf[i]
	if !ok {
		return
	}
	for _, h := range a.inst[s].members {
		if !f(a.res[h].id) {
			return
		}
	}
}

// Stuck is the number of resources that are to leave closed instances, but for
// which there is no room elsewhere.
func (a *Assignment) Stuck() int {
	n := 0
	for _, pl := range a.pools() {
		n += pl.stuck
	}
	return n
}

// String is a one-line summary.
func (a *Assignment) String() string {
	return fmt.Sprintf("%d resources on %d open of %d instances, %d unplaced", a.Len(), a.open, len(a.slotOf), a.waiting)
}
