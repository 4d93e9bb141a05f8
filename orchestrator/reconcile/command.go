package reconcile

import (
	"fmt"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// Command is something that must be done. The driver executes commands in the
// order given and hands back what came of those that have an answer.
type Command interface{ command() }

// ReadTree reads everything ZooKeeper holds for the kind. Answer: TreeRead.
type ReadTree struct{ Req uint64 }

// ListRows lists the kind's table, or those of IDs that exist in it. The rows
// must be read after the command was given. Answer: Listed.
type ListRows struct {
	Req uint64
	IDs []string // nil: all rows
}

// ListPods lists the kind's pods. Answer: PodsListed.
type ListPods struct{ Req uint64 }

// Commit executes a transaction. One is in flight at a time. Answer: Committed.
type Commit struct {
	Txn       *fleet.Txn       // not changed by the machine until answered
	Decisions []placement.Move // why, for each resource that the transaction touches
}

// CreatePod creates an instance's pod. Answer: PodCreated, later PodSeen.
type CreatePod struct {
	Instance fleet.InstanceID
	Why      string
}

// Purpose is what a pod is deleted for.
type Purpose uint8

// The purposes of a deletion.
const (
	PurposeReplace Purpose = iota // the machine found it failed: it is created anew
	PurposeOrdered                // somebody ordered it replaced
	PurposeRelease                // its instance goes, or never was
)

// String is the purpose as people are told it: replace, ordered, release.
func (p Purpose) String() string {
	switch p {
	case PurposeReplace:
		return "replace"
	case PurposeOrdered:
		return "ordered"
	case PurposeRelease:
		return "release"
	}
	return fmt.Sprintf("Purpose(%d)", uint8(p))
}

// DeletePod requests the deletion of the pod with this UID. Answer: PodDeleted,
// later PodGone.
type DeletePod struct {
	Instance fleet.InstanceID
	UID      string
	Purpose  Purpose
	Why      string
}

// Ack says that all notifications up to Token are safe: committed, or certain
// to be found again in the database.
type Ack struct{ Token uint64 }

// Reply answers an Ordered event.
type Reply struct {
	Req uint64
	Err string // why the order was refused or given up; empty when done
}

// StepDown gives up the leadership: a newer leader has been seen.
type StepDown struct{ Why string }

// Alarm tells people that something needs their eye, or no longer does.
type Alarm struct {
	Code string // stable name, such as "heartbeats-down"
	On   bool
	Text string
}

// Note tells people what was decided and why.
type Note struct {
	Instance fleet.InstanceID // NoInstance for the kind as a whole
	Text     string
}

func (ReadTree) command()  {}
func (ListRows) command()  {}
func (ListPods) command()  {}
func (Commit) command()    {}
func (CreatePod) command() {}
func (DeletePod) command() {}
func (Ack) command()       {}
func (Reply) command()     {}
func (StepDown) command()  {}
func (Alarm) command()     {}
func (Note) command()      {}
