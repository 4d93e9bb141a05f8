package fleet

// Versions are the ZooKeeper versions of the three nodes of an instance that
// the orchestrator writes. A successful write raises each written one by one.
type Versions struct {
	Node      int32 // …/<instance>
	Resources int32 // …/<instance>/resources
	Reload    int32 // …/<instance>/_reload; -1 when there is none, as in a tree that others left: an update makes it
}

// Status is what an instance has written to its ephemeral tmp/status.
type Status struct {
	Present bool  // the node exists: the instance holds a ZooKeeper session
	Times   int64 // the _reload times that it has applied; -1 for one that confirms nothing
}

// TreeInstance is one instance as ZooKeeper holds it.
type TreeInstance struct {
	ID       InstanceID
	Capacity int      // "count" of the node
	Used     int      // "used" of the node; may disagree with IDs in a tree that others wrote
	IDs      []string // "ids" of resources
	Times    int64    // "times" of _reload
	Born     int64    // the creating transaction's number (czxid): orders instances by age
	Versions Versions
	Status   Status
}

// Tree is everything that ZooKeeper holds for a kind, read at one moment.
type Tree struct {
	Instances      []TreeInstance // any order
	Control        Control
	ControlVersion int32 // -1 when no control node exists yet
}

// Control is what the orchestrator itself must remember across a restart. It
// lies outside the contract's tree, in /iota/orchestrator/<Kind>/control.
type Control struct {
	// ResourcePerInstance and MaxInstances are those of the last orchestration;
	// zero before the first.
	ResourcePerInstance int `json:"resourcePerInstance,omitempty"`
	MaxInstances        int `json:"maxInstances,omitempty"`
	// Capacity is what an instance created now is given: R after the contract's
	// init rule; zero before the first orchestration.
	Capacity int `json:"capacity,omitempty"`
	// TargetInstances is the number of instances that a re-orchestration under
	// way works towards; zero when none is. A restart resumes it.
	TargetInstances int `json:"targetInstances,omitempty"`
	// Closing are the instances whose resources are to move away and whose pods
	// then go: drained on purpose, or surplus after an orchestration. Ascending.
	Closing []InstanceID `json:"closing,omitempty"`
	// Maintenance pauses every automatic action.
	Maintenance bool `json:"maintenance,omitempty"`
}

// ChangeKind says what a Change does to an instance's nodes.
type ChangeKind uint8

// The kinds of change.
const (
	ChangeUpdate ChangeKind = iota // write node, resources and _reload of an instance that exists
	ChangeCreate                   // create node, resources, _reload and tmp
	ChangeDelete                   // delete them, with whatever stands under tmp
)

var changeNames = [...]string{"update", "create", "delete"}

// String is the change's name in traces.
func (k ChangeKind) String() string { return changeNames[k] }

// Change is what a transaction does to one instance. The list is given as a
// difference against the version that Versions names: whoever executes it holds
// the list at that version, or answers OutcomeConflict.
type Change struct {
	Kind     ChangeKind
	Instance InstanceID
	Capacity int      // "count" after the change
	Used     int      // "used" after the change: the length of the list
	Add      []string // ids that join the list, none of them in it
	Remove   []string // ids that leave the list, each of them in it
	Times    int64    // _reload "times" after the change; one more than before when the list changed
	Versions Versions // what must be there before; unused for ChangeCreate
}

// Txn is one ZooKeeper transaction (multi): all of it happens, or nothing.
type Txn struct {
	ID      uint64 // unique within a leadership
	Epoch   int64  // the leader's epoch; the transaction fails unless it is still the newest
	Changes []Change

	// Control, unless nil, is written in the same transaction.
	Control        *Control
	ControlVersion int32 // -1 creates the node
}

// Outcome is how a transaction ended.
type Outcome uint8

// The outcomes of a transaction.
const (
	OutcomeDone     Outcome = iota // it happened
	OutcomeConflict                // it did not: a version was not what the transaction expected
	OutcomeDeposed                 // it did not: a newer leader's epoch stands there
	OutcomeFailed                  // it did not, for a reason that may pass (not connected, throttled)
	OutcomeUnknown                 // the connection broke before the answer: it may have happened
)

var outcomeNames = [...]string{"done", "conflict", "deposed", "failed", "unknown"}

// String is the outcome's name in traces.
func (o Outcome) String() string { return outcomeNames[o] }
