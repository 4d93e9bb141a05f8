package reconcile

import (
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// Event is something that has happened. Whoever drives the machine hands each
// one to Step with the time it happened; the machine keeps no reference to it
// beyond the strings it holds, except where a field says otherwise.
type Event interface{ event() }

// Led says that this process leads the kind from now on.
type Led struct {
	Epoch int64 // greater than that of every leader before
}

// Deposed says that this process no longer leads the kind, or cannot be sure
// that it does.
type Deposed struct {
	Why string
}

// TreeRead answers a ReadTree command. The machine keeps Tree.
type TreeRead struct {
	Req  uint64
	Tree fleet.Tree
	Err  string // why it could not be read; empty when it was
}

// Listed answers a ListRows command.
type Listed struct {
	Req    uint64
	Digest fleet.Digest     // of Rows, for a command that named no ids
	Rows   []fleet.Resource // for a command that named ids: those of them that exist; good only during Step
	Err    string           // why it could not be listed; empty when it was
}

// PodsListed answers a ListPods command.
type PodsListed struct {
	Req  uint64
	Pods []fleet.Pod
	Err  string
}

// Notified is a message of cm/notify, parsed. Tokens rise; the machine answers
// with an Ack once everything up to a token is safe.
type Notified struct {
	Token uint64
	Note  *fleet.Notification // never changed by the machine
}

// NotificationChannel says whether notifications can reach us. Coming up again
// makes the machine compare with the database.
type NotificationChannel struct{ Up bool }

// Heartbeat is a sign of life from an instance of this kind.
type Heartbeat struct{ Instance fleet.InstanceID }

// HeartbeatChannel says whether the heartbeat channel itself is known to work.
// While it is down, silence means nothing.
type HeartbeatChannel struct{ Up bool }

// PodSeen is an instance's pod as Kubernetes has it now.
type PodSeen struct{ Pod fleet.Pod }

// PodGone says that the deletion of a pod has finished: its name is free.
type PodGone struct {
	Instance fleet.InstanceID
	UID      string
}

// PodAnswer is what a pod command came to.
type PodAnswer uint8

// The answers to CreatePod and DeletePod.
const (
	PodAccepted      PodAnswer = iota
	PodAlreadyExists           // create: the name is taken (409)
	PodNotFound                // delete: no such pod (404)
	PodRefused                 // anything else; Err says what
)

var podAnswerNames = [...]string{"accepted", "already-exists", "not-found", "refused"}

// String is the answer's name in traces.
func (a PodAnswer) String() string { return podAnswerNames[a] }

// PodCreated answers a CreatePod command.
type PodCreated struct {
	Instance fleet.InstanceID
	UID      string // when accepted
	Answer   PodAnswer
	Err      string
}

// PodDeleted answers a DeletePod command: the request, not its completion.
type PodDeleted struct {
	Instance fleet.InstanceID
	UID      string
	Answer   PodAnswer
	Err      string
}

// Committed says how a transaction ended.
type Committed struct {
	Txn     uint64
	Outcome fleet.Outcome
	Err     string
}

// StatusSeen is what an instance has written to tmp/status, or that the node is
// gone.
type StatusSeen struct {
	Instance fleet.InstanceID
	Status   fleet.Status
}

// Tick says that time has passed. It is due at Machine.Deadline; more are
// harmless.
type Tick struct{}

// Ordered is an operator's order. The machine answers with one Reply.
type Ordered struct {
	Req   uint64
	Order Order
}

// Order is what an operator wants done.
type Order interface{ order() }

// Orchestrate computes the orchestration anew.
type Orchestrate struct{ Request placement.Request }

// Drain moves an instance's resources to the others, then deletes its pod and
// its nodes.
type Drain struct{ Instance fleet.InstanceID }

// Undrain takes back a Drain that has not finished.
type Undrain struct{ Instance fleet.InstanceID }

// Replace deletes an instance's pod and creates it anew; its list stays.
type Replace struct{ Instance fleet.InstanceID }

// Maintenance switches the mode in which the machine does nothing by itself.
type Maintenance struct{ On bool }

func (Orchestrate) order() {}
func (Drain) order()       {}
func (Undrain) order()     {}
func (Replace) order()     {}
func (Maintenance) order() {}

func (Led) event()                 {}
func (Deposed) event()             {}
func (TreeRead) event()            {}
func (Listed) event()              {}
func (PodsListed) event()          {}
func (Notified) event()            {}
func (NotificationChannel) event() {}
func (Heartbeat) event()           {}
func (HeartbeatChannel) event()    {}
func (PodSeen) event()             {}
func (PodGone) event()             {}
func (PodCreated) event()          {}
func (PodDeleted) event()          {}
func (Committed) event()           {}
func (StatusSeen) event()          {}
func (Tick) event()                {}
func (Ordered) event()             {}
