// Package fleet is the vocabulary that every other package speaks: kinds,
// resources, instances, pods, notifications, and the ZooKeeper state of a kind
// as plain values. It holds no behaviour beyond validation and stable order,
// imports nothing from this module, and is pure.
//
// Time throughout the module is a time.Duration since an arbitrary fixed origin
// (the process start in production, the scenario's start in the simulator). It
// is monotonic; wall-clock jumps cannot reach the core.
package fleet

import (
	"cmp"
	"strconv"
)

// Kind names a class of resources that is orchestrated together, such as
// "Thing" or "Rule". It is also the table's name in the database and in
// notifications.
type Kind string

// InstanceID is the number of an instance of a kind: 0, 1, 2, …
type InstanceID int32

// NoInstance is the owner of a resource that stands on no instance.
const NoInstance InstanceID = -1

// String is the decimal number, or "none".
func (id InstanceID) String() string {
	if id == NoInstance {
		return "none"
	}
	return strconv.Itoa(int(id))
}

// Resource is one row of a kind.
type Resource struct {
	ID    string // primary key; not empty
	Group string // what the group policy keeps together; empty for kinds without groups
}

// Compare orders resources by ID, then by group.
func (r Resource) Compare(other Resource) int {
	return cmp.Or(cmp.Compare(r.ID, other.ID), cmp.Compare(r.Group, other.Group))
}

// Policy names a placement policy.
type Policy string

// The placement policies.
const (
	PolicyFill    Policy = "fill"    // the newest instance that has room, else a new instance
	PolicyBalance Policy = "balance" // instances differ by at most one resource
	PolicyGroup   Policy = "group"   // a group's resources stand only on that group's instances
)

// Policies lists every policy in stable order.
var Policies = []Policy{PolicyFill, PolicyBalance, PolicyGroup}

// Handoff says how a resource moves between two live instances.
type Handoff string

// The ways of handing a resource over.
const (
	// HandoffFast moves a resource in one transaction for both sides. Until the
	// old owner has reloaded, both may run it: the overlap is bounded by the
	// reload time and is measured.
	HandoffFast Handoff = "fast"
	// HandoffStrict gives the new owner a resource only after the old one has
	// confirmed the reload in tmp/status, or is known dead.
	HandoffStrict Handoff = "strict"
)

// Phase is what Kubernetes says about a pod.
type Phase uint8

// The phases of a pod. PhaseMissing is no phase of Kubernetes: it says that no
// pod of that name exists.
const (
	PhaseMissing Phase = iota
	PhasePending
	PhaseRunning
	PhaseSucceeded
	PhaseFailed
	PhaseUnknown
)

var phaseNames = [...]string{"Missing", "Pending", "Running", "Succeeded", "Failed", "Unknown"}

// String is the phase's name as Kubernetes writes it.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "Phase(" + strconv.Itoa(int(p)) + ")"
}

// Pod is an instance's pod as last seen.
type Pod struct {
	Instance    InstanceID
	UID         string // distinguishes two pods that bore the same name one after the other
	Phase       Phase
	Terminating bool   // its deletion has been requested; the name is not yet free
	NodeLost    bool   // its node does not answer: the phase may be stale
	Reason      string // Kubernetes' own reason, such as "Unschedulable" or "OOMKilled"; may be empty
}

// State is how the pod is, in words.
func (p Pod) State() string {
	text := p.Phase.String()
	if p.Terminating {
		text += ", terminating"
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}
