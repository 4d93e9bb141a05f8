package world

import (
	"time"

	"dacorch/orchestrator/fleet"
)

// What is declared here and does nothing yet comes in the next commits.

// Zombie makes an instance's program a zombie: it sends heartbeats and keeps its
// session, yet reads, applies and confirms nothing until its pod ends. False when
// none runs, or it hangs or is a zombie already.
func (f *DACs) Zombie(kind fleet.Kind, id fleet.InstanceID) bool { return false }

// APIDown stops the API server: calls are answered with ErrUnanswered after
// KubernetesConfig.Timeout, watches are cut, pods run on.
func (k *Kubernetes) APIDown() {}

// APIUp starts the API server again and mends the watches, unless CutWatches has
// cut them too.
func (k *Kubernetes) APIUp() {}

// CutWatches stops all watches: what is on its way is lost, nothing is told.
func (k *Kubernetes) CutWatches() {}

// MendWatches ends CutWatches: each watch tells the difference between what it
// told last and what is.
func (k *Kubernetes) MendWatches() {}

// ExpireWatches ends all watches with 410: each lists anew, so that every pod is
// told again, and what has gone unseen.
func (k *Kubernetes) ExpireWatches() {}

// SetWatchDelay makes every event of a watch come this much later; 0 ends it.
func (k *Kubernetes) SetWatchDelay(d time.Duration) {}

// RetryImages asks OnStart anew about every pod that has no image, oldest first.
func (k *Kubernetes) RetryImages() {}

// NodeNames are the machines, by name.
func (k *Kubernetes) NodeNames() []string { return nil }

// FailNode is the loss of a machine with all its pods. They are said to run, with
// NodeLost, until their phase becomes Unknown. False when there is no such node,
// or it is not reachable already.
func (k *Kubernetes) FailNode(name string) bool { return false }

// PartitionNode makes a machine unreachable: its pods are told of as after
// FailNode, yet their programs run on, without ZooKeeper and Kafka. False as with
// FailNode. A pod that is deleted with grace period 0 is forgotten while its
// program runs on; one with a longer period ends when the machine is back.
func (k *Kubernetes) PartitionNode(name string) bool { return false }

// ReturnNode makes a machine reachable again. One that failed is empty: its pods
// are Failed. One that was partitioned tells of its pods as they are, and ends
// the programs of those that were deleted. False when there is no such node, or
// it is reachable.
func (k *Kubernetes) ReturnNode(name string) bool { return false }

// DrainNode cordons a machine and deletes its pods with a grace period, as
// kubectl drain does. False when there is no such node.
func (k *Kubernetes) DrainNode(name string, grace time.Duration) bool { return false }

// Uncordon lets pods onto a drained machine again. False when there is no such node.
func (k *Kubernetes) Uncordon(name string) bool { return false }

// SetDelay makes every record arrive this much later; 0 ends it.
func (k *Kafka) SetDelay(d time.Duration) {}

// Revoke is a rebalance: every consumer loses the partition and is told so, and
// joins again.
func (k *Kafka) Revoke() {}

// ResetOffsets loses the groups' offsets: after a rebalance each begins at the
// oldest record that the log holds. Who cares how old a record is looks at
// Heartbeat.Appended.
func (k *Kafka) ResetOffsets() {}

// LosePartition makes the heartbeats of those instances go nowhere. A consumer
// finds within the detection latency that not all it should read can be read, and
// is told false, though what comes still comes.
func (k *Kafka) LosePartition(of func(kind fleet.Kind, instance fleet.InstanceID) bool) {}

// ReturnPartition ends LosePartition; consumers are told after the reconnect latency.
func (k *Kafka) ReturnPartition() {}

// PublishGarbage sends a message that nobody can parse: it takes its place in the
// queues and a token of the subscribers, is counted in Stats.Unparseable, and
// acknowledges itself when all before it are. No callback hears of it.
func (m *MQTT) PublishGarbage() {}

// SetDelay makes every request of these clients take this much longer; 0 ends it.
func (z *ZooKeeper) SetDelay(of Clients, d time.Duration) {}

// Down stops the ensemble: every connection breaks, and none comes back before Up.
func (z *ZooKeeper) Down() {}

// Up starts the ensemble again with all that was written. A session has its whole
// timeout, from now on, to come back.
func (z *ZooKeeper) Up() {}

// SetMinority puts the servers that these clients speak to in a minority: reads
// are answered as things stood when that began, writes are refused with
// OutcomeFailed, no watch tells anything, and elections and new sessions wait. The
// majority ends the sessions after their timeout; their clients hear of it at the
// end.
func (z *ZooKeeper) SetMinority(of Clients, on bool) {}

// SetFull makes the ensemble refuse every write that needs room, with
// OutcomeFailed: what creates a node or makes one longer. Candidates and DACs try
// again every second.
func (z *ZooKeeper) SetFull(full bool) {}

// Sessions are those clients' sessions that have not ended, oldest first.
func (z *ZooKeeper) Sessions(of Clients) []*Session { return nil }

// Break cuts the connection and has it come back after away. The session expires
// when that is later than its timeout.
func (s *Session) Break(away time.Duration) {}

// ExpireUnheard makes the ensemble end the session, of which the client hears
// nothing: it believes that it is connected, and what it asks is not answered,
// until Hear.
func (s *Session) ExpireUnheard() {}

// Hear ends ExpireUnheard: what was asked is answered as by a broken connection,
// and the client hears SessionExpired.
func (s *Session) Hear() {}

// SetDelay makes listings take this much longer; 0 ends it.
func (d *Database) SetDelay(by time.Duration) {}

// SetTorn makes listings of all rows be read page by page over this time, while
// rows change: a row counts as it is when its page is read. 0 ends it.
func (d *Database) SetTorn(over time.Duration) {}
