package loop

import (
	"context"

	"dacorch/orchestrator/fleet"
)

// The ports: what the loop needs of the world, in the vocabulary's types. An
// adapter per dependency satisfies each (orchestrator/internal); porttest holds
// every adapter and every stand-in to the same contract.
//
// All methods are safe for concurrent use. Those that "run until ctx ends"
// reconnect by themselves, with growing waits, for as long as they run; they
// answer ctx's error in the end, or one that no waiting mends (a certificate
// that cannot be read). Functions given to them are called from one goroutine of
// theirs at a time, in the order in which things happened, and never after the
// method has returned. Such a function may block: whoever calls it must bear
// that, and bound what it keeps meanwhile.

// Election is how one of several processes comes to lead a kind.
type Election interface {
	// Lead stands for election and, once elected, calls lead with the new epoch,
	// which is greater than that of every leader before. It runs until lead
	// returns, then resigns at once, so that the next candidate need not wait for
	// the session to expire; it answers nil. Or until ctx ends before the turn
	// comes.
	//
	// The context that lead gets ends when the leadership is lost or can no longer
	// be proved: its candidacy or session is gone, another epoch was written, or
	// no answer of the ensemble proves the session alive for now (a local timer:
	// who is cut off never hears that the session expired). context.Cause says
	// which. held asks the clock itself: it is false as soon as that time is over,
	// even when the process was stopped and its timers are late.
	Lead(ctx context.Context, kind fleet.Kind, who fleet.Candidate, lead func(ctx context.Context, epoch int64, held func() bool)) error

	// WatchLeader tells who leads the kind, at first and after every change; the
	// zero Candidate when nobody does or it is not known. It runs until ctx ends.
	WatchLeader(ctx context.Context, kind fleet.Kind, tell func(fleet.Candidate)) error
}

// Store is where the orchestration stands (CONTRACT.md, ZooKeeper).
type Store interface {
	// ReadTree reads everything that there is of the kind. Each instance is read
	// consistently: its four nodes belong to one version of it. A tree that does
	// not exist is empty. Nodes that do not parse are an error that names the path.
	ReadTree(ctx context.Context, kind fleet.Kind) (fleet.Tree, error)

	// Commit executes a transaction as one multi that checks the epoch. The error
	// explains every outcome but OutcomeDone. When the connection broke before the
	// answer, it finds out by reading whether the transaction happened, for as
	// long as ctx lets it; only then OutcomeUnknown. A transaction larger than a
	// packet is OutcomeFailed. One call for a kind at a time.
	Commit(ctx context.Context, kind fleet.Kind, txn *fleet.Txn) (fleet.Outcome, error)

	// WatchStatus tells what instances write to tmp/status: what is there at
	// first, and after every change; a Status that is not Present when the node is
	// gone. Two changes in short order may be told as one. It runs until ctx ends.
	WatchStatus(ctx context.Context, kind fleet.Kind, seen func(fleet.InstanceID, fleet.Status)) error

	// WatchTree tells every instance at first, then all that change, as ReadTree
	// would read them; gone for one that was told and is no longer there. Two
	// changes in short order may be told as one. synced is called once after the
	// first telling is complete. It runs until ctx ends.
	WatchTree(ctx context.Context, kind fleet.Kind, seen func(fleet.TreeInstance), gone func(fleet.InstanceID), synced func()) error
}

// Pods is Kubernetes. Only pods that carry this orchestrator's labels are
// touched or told; another's pod under an instance's name is ErrPodForeign.
type Pods interface {
	// List reads the kind's pods from the server, not from a cache.
	List(ctx context.Context, kind fleet.Kind) ([]fleet.Pod, error)
	// Create makes the instance's pod from the kind's template and answers its
	// UID. fleet.ErrPodExists while the name is taken, even by a pod that is being
	// deleted. why is for people: it becomes an event on the pod.
	Create(ctx context.Context, kind fleet.Kind, id fleet.InstanceID, why string) (uid string, err error)
	// Delete requests the deletion of the pod with that UID and no other.
	// fleet.ErrPodNotFound when there is none.
	Delete(ctx context.Context, kind fleet.Kind, id fleet.InstanceID, uid, why string) error
	// Watch tells every pod at first, then all changes; gone when a pod has
	// finally gone. It runs until ctx ends.
	Watch(ctx context.Context, kind fleet.Kind, seen func(fleet.Pod), gone func(id fleet.InstanceID, uid string)) error
}

// Database is where the resources are (CONTRACT.md, The database). It is never
// written.
type Database interface {
	// Count answers how many rows the kind has.
	Count(ctx context.Context, kind fleet.Kind) (int, error)
	// List hands the kind's rows to each in pages, ascending by id, no id twice;
	// with ids that is not nil, only those of them that exist. A row that existed
	// before the call and throughout it is among them. The page is each's to keep.
	// An error of each ends the listing and is answered.
	List(ctx context.Context, kind fleet.Kind, ids []string, each func(page []fleet.Resource) error) error
}

// Notifications is cm/notify (CONTRACT.md, MQTT).
type Notifications interface {
	// Listen hands over each message that parses, with tokens that rise, in the
	// order in which they came; one that does not is counted, logged and
	// acknowledged. channel says whether messages can reach us: false at every
	// loss of the connection, true once subscribed, before the first message. A
	// message may come twice. It runs until ctx ends.
	Listen(ctx context.Context, note func(token uint64, n *fleet.Notification), channel func(up bool)) error
	// Ack lets the broker forget every message up to the token. What is not
	// acknowledged when the connection breaks comes again.
	Ack(token uint64)
}

// Heartbeats is the topic HeartBeat (CONTRACT.md, Kafka).
type Heartbeats interface {
	// Listen hands over the kind's heartbeats. channel says whether silence means
	// anything: true only while the brokers answer and all that they hold has been
	// read, up to about a second ago. It is false at first. It runs until ctx ends.
	Listen(ctx context.Context, kind fleet.Kind, beat func(fleet.InstanceID), channel func(up bool)) error
}
