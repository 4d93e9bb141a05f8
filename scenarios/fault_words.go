package scenarios

import (
	"slices"
	"strings"
	"time"
)

// FaultWord is what the vocabulary says of one fault.
type FaultWord struct {
	What  FaultKind
	About string
	Case  string // what Fault.Chance is decided for, each time anew
	// Keys are those that it takes besides at, for, every, chance and stable.
	Keys []string
	// Needs are the keys of which one must be given; empty: it goes without.
	Needs []string
	// By, Stable and Of are what the fault has when its entry does not say.
	By, Stable time.Duration
	Of         string
	// Wire says how a run on wire plays it, Kind how one on kind does; empty: it cannot.
	Wire, Kind string
}

// Of several words that take the same.
var (
	podKeys  = []string{"kind", "instance", "count", "share", "where"}
	podNeeds = []string{"instance", "count", "share", "where"}
	nodeKeys = []string{"name", "count", "share"}
	beatKeys = podKeys
	amount   = []string{"by"}
	amounts  = []string{"rate"}
	zkKeys   = append([]string{"of"}, podKeys...)
	zkBy     = append([]string{"by"}, zkKeys...)
	zkClass  = []string{"of"} // servers tell clients apart by class alone
	turn     = "turn"
)

// defaultRate is that of messages that nobody asked for.
const defaultRate Rate = 10

// FaultWords is every fault, those of a subject together, in reading order.
var FaultWords = []FaultWord{
	{What: PodCrash, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "Pods go to Failed, reason Error, once the kubelet tells.",
		Wire: "The kubelet kills the program.",
		Kind: "The program is killed on the node."},
	{What: PodOOM, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "Pods go to Failed, reason OOMKilled, once the kubelet tells.",
		Wire: "The kubelet fails the pod.",
		Kind: "As crash: Kubernetes calls that Error."},
	{What: PodEvict, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "Pods go to Failed, reason Evicted, at once.",
		Wire: "The kubelet fails the pod.",
		Kind: "By an eviction through the API: the pod goes."},
	{What: PodHang, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "Pods stay Running and run on what they run, but confirm and send nothing, until they are replaced.",
		Wire: "The program falls silent; its session expires.",
		Kind: "The program is stopped (SIGSTOP)."},
	{What: PodZombie, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "As hang, but they send heartbeats and keep their ZooKeeper session: only what they do not confirm gives them away.",
		Wire: "The program goes on beating, and applies nothing."},
	{What: PodSlowStart, Case: "start of a pod", Keys: append(amount, podKeys...), By: 2 * time.Minute, About: "Pods that start take `by` longer.",
		Wire: "The kubelet waits."},
	{What: PodCrashLoop, Case: "start of a pod", Keys: podKeys, About: "Pods crash a few seconds after they start.",
		Wire: "The program ends with an error."},
	{What: PodNoImage, Case: "created pod", Keys: podKeys, About: "Pods that are created stay Pending (ImagePullBackOff) until it ends.",
		Wire: "The kubelet finds no image."},

	{What: NodeLose, Case: "node", Keys: nodeKeys, Needs: nodeKeys, About: "Nodes are gone with their pods, and come back empty.",
		Wire: "The kubelet's programs are killed, and nobody hears of it."},
	{What: NodeDrain, Case: "node", Keys: nodeKeys, Needs: nodeKeys, About: "Nodes are cordoned, and their pods evicted.",
		Wire: "As `kubectl drain`: a cordon and deletions."},
	{What: NodePartition, Case: "node", Keys: nodeKeys, Needs: nodeKeys, About: "Nobody reaches what runs on the nodes, and it runs on.",
		Wire: "The kubelet is silent; its programs' connections are cut."},
	{What: NodeFlap, Case: turn, Keys: nodeKeys, Needs: nodeKeys, Stable: 30 * time.Second, About: "A partition that comes and goes every `stable`.",
		Wire: "As partition."},

	{What: HeartbeatsLose, Case: "heartbeat", Keys: beatKeys, About: "Heartbeats are never sent.",
		Wire: "At the sender."},
	{What: HeartbeatsDelay, Case: "heartbeat", Keys: append(amount, beatKeys...), By: 30 * time.Second, About: "Heartbeats arrive `by` late.",
		Wire: "At the sender."},
	{What: HeartbeatsDouble, Case: "heartbeat", Keys: beatKeys, About: "Heartbeats arrive twice.",
		Wire: "At the sender."},
	{What: HeartbeatsSkew, Case: "heartbeat", Keys: append(amount, beatKeys...), By: time.Hour, About: "The sender's timestamps are wrong by `by`.",
		Wire: "In the message; not scaled."},
	{What: HeartbeatsDrift, Case: "heartbeat", Keys: append(amount, beatKeys...), By: 15 * time.Second, About: "Each interval is `by` longer: the sender's clock is slow.",
		Wire: "At the sender."},

	{What: KafkaDown, Case: turn, About: "No heartbeat arrives; those sent meanwhile are lost.",
		Wire: "Brokers cut and refuse every connection.",
		Kind: "The container is stopped, for everybody."},
	{What: KafkaSlow, Case: "record", Keys: amount, By: 5 * time.Second, About: "Records arrive `by` later.",
		Wire: "Each of the brokers' answers is late; decided by turns."},
	{What: KafkaRebalance, Case: turn, Stable: 10 * time.Second, About: "A storm: every `stable`, consumers lose their partitions and join again.",
		Wire: "Brokers answer the groups' own heartbeats so, which come every 2.5 s of real time."},
	{What: KafkaReset, Case: "each time", About: "The groups' offsets are gone: consumers begin at the oldest record.",
		Wire: "The next fetch of offsets is answered 0."},
	{What: KafkaPartition, Case: turn, Keys: podKeys, Needs: podNeeds, About: "One partition is gone: the heartbeats of these instances go nowhere.",
		Wire: "At the sender: what it sends is never taken."},

	{What: MQTTDown, Case: turn, About: "No notification arrives.",
		Wire: "The broker cuts and refuses every connection.",
		Kind: "The container is stopped, for everybody."},
	{What: MQTTLose, Case: "notification", About: "Notifications are lost, as with quality of service 0.",
		Wire: "Before the broker.",
		Kind: "As on wire."},
	{What: MQTTDuplicate, Case: "notification", About: "Notifications are delivered twice.",
		Wire: "Before the broker.",
		Kind: "As on wire."},
	{What: MQTTReorder, Case: "notification", Keys: amount, By: 10 * time.Second, About: "Notifications are delivered up to `by` late, behind younger ones.",
		Wire: "Before the broker.",
		Kind: "As on wire."},
	{What: MQTTGarbage, Case: "message", Keys: amounts, About: "`rate` messages arrive that nobody can parse.",
		Wire: "Published.",
		Kind: "Published, for everybody."},
	{What: MQTTFlood, Case: "message", Keys: amounts, About: "`rate` messages arrive about rows that do not exist or have not changed.",
		Wire: "Published.",
		Kind: "Published, for everybody."},

	{What: ZooKeeperExpire, Case: "session", Keys: zkKeys, Of: OfOrchestrator, About: "Sessions expire.",
		Wire: "The server ends the sessions that are connected."},
	{What: ZooKeeperCut, Case: "write", Keys: zkBy, By: time.Second, Of: OfOrchestrator, About: "Connections break in the middle of a write, before or after it took effect, and come back after `by`.",
		Wire: "The server closes the connection, and turns the client away for `by`."},
	{What: ZooKeeperSlow, Case: turn, Keys: append(amount, zkClass...), By: time.Second, Of: OfAll, About: "Requests take `by` longer.",
		Wire: "Answers are late."},
	{What: ZooKeeperReadOnly, Case: turn, Keys: zkClass, Of: OfAll, About: "A minority: it reads what was, and refuses every write and session.",
		Wire: "Writes are answered NOTREADONLY, new sessions turned away; with `of`, reads see what is, not what was."},
	{What: ZooKeeperDown, Case: turn, Keys: zkKeys, Of: OfAll, About: "A restart: no connection until it ends; what was written is there.",
		Wire: "The server is stopped, and started on its data; with `of` or a target, those are turned away.",
		Kind: "The container is stopped, for everybody; not for some."},
	{What: ZooKeeperFull, Case: turn, Keys: zkClass, Of: OfAll, About: "Writes that need room are refused.",
		Wire: "Answered QUOTAEXCEEDED."},

	{What: KubernetesError, Case: "call", About: "Calls are answered 500, executed or not.",
		Wire: "As it says."},
	{What: KubernetesSlow, Case: "call or event", Keys: amount, By: 5 * time.Second, About: "Calls and watches take `by` longer.",
		Wire: "As it says."},
	{What: KubernetesConflict, Case: "call", About: "Calls are answered 409.",
		Wire: "Only calls that write."},
	{What: KubernetesThrottle, Case: "call", About: "Calls are answered 429.",
		Wire: "With Retry-After: 1."},
	{What: KubernetesGone, Case: "watch", About: "Watches end with 410: everything is listed anew.",
		Wire: "The history is compacted, and watches are cut."},
	{What: KubernetesCutWatch, Case: turn, About: "Watches tell nothing, and in the end what is.",
		Wire: "Connections stay open, and silent."},
	{What: KubernetesQuota, Case: "creation", About: "Creations are answered 403, quota exceeded.",
		Wire: "As it says."},
	{What: KubernetesDown, Case: turn, About: "No call is answered and no watch tells anything; pods run on.",
		Wire: "Every request and watch is held, connections stay open."},

	{What: DatabaseDown, Case: turn, About: "Listings fail.",
		Wire: "The tables are renamed for that long: every statement fails.",
		Kind: "The run's tables are renamed for that long."},
	{What: DatabaseSlow, Case: turn, Keys: amount, By: 20 * time.Second, About: "Listings take `by` longer.",
		Wire: "Refused: the orchestrator reads an SQLite file itself."},
	{What: DatabaseTorn, Case: turn, Keys: amount, By: 2 * time.Second, About: "Rows change under a listing: its pages are read over `by`.",
		Wire: "Nothing is done: churn tears listings of several pages by itself.",
		Kind: "As on wire."},

	{What: OrchestratorCrash, Case: "command", Keys: []string{"command", "by"}, About: "The orchestrator is gone with all it held in memory, and starts again in the end. With `command`: struck down at such commands, and back after `by` each time.",
		Wire: "SIGKILL. With `command`: when a server receives such a call, and before or after it carries it out; list-rows and ack are refused, no server hears of them.",
		Kind: "All are killed and their pods removed; not with `command`."},
	{What: OrchestratorPause, Case: turn, About: "Stopped (SIGSTOP), and resumed in the end as if nothing had been.",
		Wire: "SIGSTOP and SIGCONT for who leads.",
		Kind: "SIGSTOP and SIGCONT for who leads; probes kill it after a minute of real time."},
	{What: OrchestratorSplit, Case: turn, About: "ZooKeeper ends the leader's session, and the leader does not hear of it until the end, while another leads.",
		Wire: "The leader's session ends and it is turned away; another process is started, unless --orchestrators has several."},
	{What: OrchestratorClock, Case: "each time", Keys: amount, By: time.Minute, About: "Its clock jumps `by` ahead.",
		Wire: "Refused: the process reads this machine's clock."},
}

// crashBy is how long the orchestrator is gone that was struck down at a command.
const crashBy = 5 * time.Second

// Subject is what the fault is about: a key of its entry, such as "kafka".
func (k FaultKind) Subject() string {
	s, _, _ := strings.Cut(string(k), "-")
	return s
}

// Word is what befalls the subject: the value of its key, such as "down".
func (k FaultKind) Word() string {
	_, w, _ := strings.Cut(string(k), "-")
	return w
}

// vocabulary is what FaultWords says of a fault; nil for none of them.
func (k FaultKind) vocabulary() *FaultWord {
	i := slices.IndexFunc(FaultWords, func(w FaultWord) bool { return w.What == k })
	if i < 0 {
		return nil
	}
	return &FaultWords[i]
}

// NewFault is a fault with what it has when its entry says no more than its
// subject and word. A kind that is none of FaultWords has Chance alone.
func NewFault(what FaultKind) Fault {
	f := Fault{What: what, Chance: 1}
	if w := what.vocabulary(); w != nil {
		f.By, f.Stable, f.Of = w.By, w.Stable, w.Of
		if slices.Contains(w.Keys, "rate") {
			f.Rate = defaultRate
		}
	}
	return f
}

// faultSubjects are the subjects, in reading order.
func faultSubjects() []string {
	var subjects []string
	for i := range FaultWords {
		if s := FaultWords[i].What.Subject(); !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	return subjects
}

// wordsOf are the words of a subject, in reading order.
func wordsOf(subject string) []string {
	var words []string
	for i := range FaultWords {
		if k := FaultWords[i].What; k.Subject() == subject {
			words = append(words, k.Word())
		}
	}
	return words
}

// takers are the words that take a key, as "kafka: slow".
func takers(key string) []string {
	var words []string
	for i := range FaultWords {
		if w := &FaultWords[i]; slices.Contains(w.Keys, key) {
			words = append(words, w.What.Subject()+": "+w.What.Word())
		}
	}
	return words
}

// faultSection is the vocabulary of an entry of faults.
func faultSection() Section {
	s := Section{"fault", "`faults[]`", "One entry is one subject with one word, such as `kafka: down`; the table of faults says what each does and which of these keys it takes. It ends by heal.", []Key{
		{Name: "at", Type: "duration", Default: required, Range: "before heal", Example: "5m", About: "When it begins."},
		{Name: "for", Type: "duration", Default: "required by what lasts; refused by what happens once, without `every`", Range: "above 0s; at + for up to heal", Example: "10m", About: "How long it lasts; or how long it goes on happening, every `every`."},
		{Name: "every", Type: "duration", Default: "none: once", Range: "1s up to for", Example: "1m", About: "What happens once happens again with this period, until `for` is over."},
	}}
	about := map[string]string{
		"pod": "Pods.", "node": "The machines of `nodes`, and with them the pods on them.", "heartbeats": "Heartbeats on their way, and the clocks that they are sent by.",
		"kafka": "The broker that carries heartbeats.", "mqtt": "The broker that carries notifications.", "zookeeper": "ZooKeeper, for whom `of` says.",
		"kubernetes": "The API server.", "database": "Listings of the rows.", "orchestrator": "The process that leads.",
	}
	for _, subject := range faultSubjects() {
		words := wordsOf(subject)
		s.Keys = append(s.Keys, Key{Name: subject, Type: "word", Range: strings.Join(words, ", "), Example: words[0], About: about[subject]})
	}
	return Section{s.Name, s.Where, s.About, append(s.Keys, []Key{
		{Name: "kind", Type: "text", Default: "required by pod; else all that it can be about", Range: "one of kinds", Example: "Thing", About: "Whose instances."},
		{Name: "instance", Type: "number", Default: "", Range: "0 to the kind's maxInstances - 1", Example: "3", About: "This instance. It needs kind, and excludes count and share."},
		{Name: "name", Type: "text", Default: "", Range: "with `nodes.count`, one of node-0, node-1, …", Example: "node-3", About: "The machine of this name. It excludes count and share, and hits nobody while there is no such machine."},
		{Name: "count", Type: "number", Default: "", Range: "1 to 100000", Example: "5", About: "So many instances, or nodes, drawn at random. It excludes share."},
		{Name: "share", Type: "share", Default: "", Range: "above 0%, up to 100%", Example: "10%", About: "This share of the instances, or nodes, rounded up, drawn at random."},
		{Name: "where", Type: "list of text", Default: "none", Range: "1 to 10 conditions", Example: "[load > 90%, age < 1m]", About: "Only instances of which all the conditions hold at the moment when they are chosen; see Whom a fault hits."},
		{Name: "of", Type: "word", Default: "orchestrator for expire and cut, else all", Range: "orchestrator, dacs, all", Example: "dacs", About: "Whose sessions and connections a ZooKeeper fault is about. Instances can be told with dacs alone, and where the table of faults says target."},
		{Name: "command", Type: "word", Default: "none: it strikes at `at`", Range: strings.Join(Commands, ", "), Example: "commit", About: "The command of the core at which the orchestrator crashes."},
		{Name: "by", Type: "duration", Default: "each word's own; see the table of faults", Range: "above 0s, up to 1d", Example: "30s", About: "How late, how slow, how far off, or after how long it is back."},
		{Name: "rate", Type: "rate", Default: "10/s", Range: "above 0, up to 100000/s", Example: "100/s", About: "How many messages."},
		{Name: "chance", Type: "share", Default: "100%", Range: "above 0%, up to 100%", Example: "20%", About: "How likely each single case is; the table of faults says what a case is. A crash of the orchestrator takes it beside command."},
		{Name: "stable", Type: "duration", Default: "0s: each case is decided alone; 30s for node: flap, 10s for kafka: rebalance", Range: "0s to 1d", Example: "30s", About: "How long what `chance` has decided stands. It needs chance, but for flap and rebalance, whose turns it measures."},
	}...)}
}
