package scenarios

import "time"

// Fault is something that breaks. What it is about and what befalls it stand in
// What, as subject and word: {mqtt: lose} is MQTTLose.
type Fault struct {
	What FaultKind
	At   time.Duration
	For  time.Duration // how long it lasts, or goes on happening; 0 for one that happens once
	// Every has a fault that happens at a moment happen again with this period
	// while At ≤ t < At+For; 0: once.
	Every time.Duration
	// Chance is how likely each single case is (a message, a call, a transaction, a
	// command, a target): above 0, up to 1, which is the default.
	Chance float64
	// Stable is how long what Chance has decided stands for the one it was decided
	// for, so that faults come in runs; 0: each case is decided alone.
	Stable time.Duration
	Target
	// By is how much: how late, how slow, how far a clock is off. 0 for faults that
	// have no such amount.
	By time.Duration
	// Rate is how many messages MQTTGarbage and MQTTFlood send.
	Rate Rate
	// Of is whose connections a ZooKeeper fault is about: OfOrchestrator, OfDACs or
	// OfAll.
	Of string
	// Command is the command of the core at which OrchestratorCrash strikes: one of
	// Commands. Empty: it strikes at At.
	Command string
}

// Target is whom a fault hits. A fault of pods, heartbeats or a DAC's connections
// names a kind and at most one of Instance (with One), Count and Share; without,
// all. A fault of nodes has one of Node, Count and Share.
type Target struct {
	Kind     string
	One      bool // Instance is set
	Instance int
	Node     string  // the machine of this name; empty: not by name
	Count    int     // so many of those that Where allows, drawn at random; 0: not by count
	Share    float64 // this share of them, rounded up, drawn at random; 0: not by share
	// Where are conditions that all must hold of an instance at the moment when it
	// is chosen.
	Where []Condition
}

// Targeted says that some instances are meant, not all of the kinds.
func (t *Target) Targeted() bool { return t.One || t.Count > 0 || t.Share > 0 || len(t.Where) > 0 }

// Condition compares a property of an instance with a number.
type Condition struct {
	Field string  // "instance", "resources", "load" (of its capacity, 1 is full) or "age" (of its pod, seconds)
	Op    string  // as in expectations
	Value float64 // in the field's unit
	Text  string  // as the scenario has it
}

// FaultKind names what breaks: the subject, a hyphen, and the word.
type FaultKind string

// The faults. "Once" says that it happens at a moment, and again with Every.
const (
	PodCrash     FaultKind = "pod-crash"      // once; pods go to Failed, reason Error
	PodOOM       FaultKind = "pod-oom"        // once; Failed, OOMKilled
	PodEvict     FaultKind = "pod-evict"      // once; Failed, Evicted
	PodHang      FaultKind = "pod-hang"       // once; Running, but runs on what it runs and confirms and sends nothing, until replaced
	PodZombie    FaultKind = "pod-zombie"     // once; as PodHang, but it sends heartbeats and keeps its ZooKeeper session
	PodSlowStart FaultKind = "pod-slow-start" // lasts; pods that start take By longer
	PodCrashLoop FaultKind = "pod-crash-loop" // lasts; pods crash a few seconds after they start
	PodNoImage   FaultKind = "pod-no-image"   // lasts; pods created stay Pending (ImagePullBackOff) until it ends

	NodeLose      FaultKind = "node-lose"      // lasts; machines are gone with their pods, and come back empty
	NodeDrain     FaultKind = "node-drain"     // lasts; cordoned, their pods evicted
	NodePartition FaultKind = "node-partition" // lasts; nobody reaches what runs there, and it runs on
	NodeFlap      FaultKind = "node-flap"      // lasts; a partition that comes and goes every Stable

	HeartbeatsLose   FaultKind = "heartbeats-lose"   // lasts; never sent
	HeartbeatsDelay  FaultKind = "heartbeats-delay"  // lasts; arrive By late
	HeartbeatsDouble FaultKind = "heartbeats-double" // lasts; arrive twice
	HeartbeatsSkew   FaultKind = "heartbeats-skew"   // lasts; the sender's timestamps are wrong by By
	HeartbeatsDrift  FaultKind = "heartbeats-drift"  // lasts; each interval is By longer: the sender's clock is slow

	KafkaDown      FaultKind = "kafka-down"      // lasts; no heartbeat arrives; those sent meanwhile are lost
	KafkaSlow      FaultKind = "kafka-slow"      // lasts; every record arrives By later
	KafkaRebalance FaultKind = "kafka-rebalance" // lasts; a storm: consumers lose their partitions every Stable and join again
	KafkaReset     FaultKind = "kafka-reset"     // once; the groups' offsets are gone: consumers begin at the oldest record
	KafkaPartition FaultKind = "kafka-partition" // lasts; one partition gone: the heartbeats of Share of the instances (by key) go nowhere

	MQTTDown      FaultKind = "mqtt-down"      // lasts; no notification arrives
	MQTTLose      FaultKind = "mqtt-lose"      // lasts; notifications are lost, as with quality of service 0
	MQTTDuplicate FaultKind = "mqtt-duplicate" // lasts; delivered twice
	MQTTReorder   FaultKind = "mqtt-reorder"   // lasts; delivered up to By late, behind younger ones
	MQTTGarbage   FaultKind = "mqtt-garbage"   // lasts; Rate messages that nobody can parse
	MQTTFlood     FaultKind = "mqtt-flood"     // lasts; Rate messages about rows that do not exist or have not changed

	ZooKeeperExpire   FaultKind = "zookeeper-expire"    // once; sessions expire
	ZooKeeperCut      FaultKind = "zookeeper-cut"       // lasts; connections break in the middle of a write, before or after it took effect, and come back after By
	ZooKeeperSlow     FaultKind = "zookeeper-slow"      // lasts; every request takes By longer
	ZooKeeperReadOnly FaultKind = "zookeeper-read-only" // lasts; a minority: it reads what was, and refuses every write and session
	ZooKeeperDown     FaultKind = "zookeeper-down"      // lasts; a restart: no connection until it ends, and what was written is there
	ZooKeeperFull     FaultKind = "zookeeper-full"      // lasts; every write that needs room is refused

	KubernetesError    FaultKind = "kubernetes-error"     // lasts; calls answered 500, executed or not
	KubernetesSlow     FaultKind = "kubernetes-slow"      // lasts; calls and watches take By longer
	KubernetesConflict FaultKind = "kubernetes-conflict"  // lasts; calls answered 409
	KubernetesThrottle FaultKind = "kubernetes-throttle"  // lasts; calls answered 429
	KubernetesGone     FaultKind = "kubernetes-gone"      // once; watches end with 410: everything is listed anew
	KubernetesCutWatch FaultKind = "kubernetes-cut-watch" // lasts; watches tell nothing, and then what is
	KubernetesQuota    FaultKind = "kubernetes-quota"     // lasts; creations answered 403, quota exceeded
	KubernetesDown     FaultKind = "kubernetes-down"      // lasts; no call is answered, no watch tells anything; pods run on

	DatabaseDown FaultKind = "database-down" // lasts; listings fail
	DatabaseSlow FaultKind = "database-slow" // lasts; listings take By longer
	DatabaseTorn FaultKind = "database-torn" // lasts; rows change under a listing: its pages are read over By

	OrchestratorCrash FaultKind = "orchestrator-crash" // lasts; gone with all it held in memory; with Command: struck down at such commands, by Chance, and back after By
	OrchestratorPause FaultKind = "orchestrator-pause" // lasts; stopped (SIGSTOP), resumed at the end as if nothing had been
	OrchestratorSplit FaultKind = "orchestrator-split" // lasts; ZooKeeper ends the leader's session and the leader does not hear of it until the end, while another leads
	OrchestratorClock FaultKind = "orchestrator-clock" // once; its clock jumps By ahead
)

// The words of Fault.Of.
const (
	OfOrchestrator = "orchestrator"
	OfDACs         = "dacs"
	OfAll          = "all"
)

// Commands are the words of Fault.Command.
var Commands = []string{"any", "read-tree", "list-rows", "list-pods", "commit", "create-pod", "delete-pod", "ack"}

// Once says that the fault happens at a moment, and again with Every, rather
// than lasting for For.
func (f *Fault) Once() bool {
	switch f.What {
	case PodCrash, PodOOM, PodEvict, PodHang, PodZombie, KafkaReset, ZooKeeperExpire, KubernetesGone, OrchestratorClock:
		return true
	}
	return false
}
