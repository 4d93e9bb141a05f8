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
}

// Of several words that take the same.
var (
	podKeys  = []string{"kind", "instance", "count", "share", "where"}
	podNeeds = []string{"instance", "count", "share", "where"}
	nodeKeys = []string{"count", "share"}
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
	{What: PodCrash, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "Pods go to Failed, reason Error."},
	{What: PodOOM, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "Pods go to Failed, reason OOMKilled."},
	{What: PodEvict, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "Pods go to Failed, reason Evicted."},
	{What: PodHang, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "Pods stay Running and run on what they run, but confirm and send nothing, until they are replaced."},
	{What: PodZombie, Case: "pod", Keys: podKeys, Needs: podNeeds, About: "As hang, but they send heartbeats and keep their ZooKeeper session: only what they do not confirm gives them away."},
	{What: PodSlowStart, Case: "start of a pod", Keys: append(amount, podKeys...), By: 2 * time.Minute, About: "Pods that start take `by` longer."},
	{What: PodCrashLoop, Case: "start of a pod", Keys: podKeys, About: "Pods crash a few seconds after they start."},
	{What: PodNoImage, Case: "created pod", Keys: podKeys, About: "Pods that are created stay Pending (ImagePullBackOff) until it ends."},

	{What: NodeLose, Case: "node", Keys: nodeKeys, Needs: nodeKeys, About: "Nodes are gone with their pods, and come back empty."},
	{What: NodeDrain, Case: "node", Keys: nodeKeys, Needs: nodeKeys, About: "Nodes are cordoned, and their pods evicted."},
	{What: NodePartition, Case: "node", Keys: nodeKeys, Needs: nodeKeys, About: "Nobody reaches what runs on the nodes, and it runs on."},
	{What: NodeFlap, Case: turn, Keys: nodeKeys, Needs: nodeKeys, Stable: 30 * time.Second, About: "A partition that comes and goes every `stable`."},

	{What: HeartbeatsLose, Case: "heartbeat", Keys: beatKeys, About: "Heartbeats are never sent."},
	{What: HeartbeatsDelay, Case: "heartbeat", Keys: append(amount, beatKeys...), By: 30 * time.Second, About: "Heartbeats arrive `by` late."},
	{What: HeartbeatsDouble, Case: "heartbeat", Keys: beatKeys, About: "Heartbeats arrive twice."},
	{What: HeartbeatsSkew, Case: "heartbeat", Keys: append(amount, beatKeys...), By: time.Hour, About: "The sender's timestamps are wrong by `by`."},
	{What: HeartbeatsDrift, Case: "heartbeat", Keys: append(amount, beatKeys...), By: 15 * time.Second, About: "Each interval is `by` longer: the sender's clock is slow."},

	{What: KafkaDown, Case: turn, About: "No heartbeat arrives; those sent meanwhile are lost."},
	{What: KafkaSlow, Case: "record", Keys: amount, By: 5 * time.Second, About: "Records arrive `by` later."},
	{What: KafkaRebalance, Case: turn, Stable: 10 * time.Second, About: "A storm: every `stable`, consumers lose their partitions and join again."},
	{What: KafkaReset, Case: "each time", About: "The groups' offsets are gone: consumers begin at the oldest record."},
	{What: KafkaPartition, Case: turn, Keys: podKeys, Needs: podNeeds, About: "One partition is gone: the heartbeats of these instances go nowhere."},

	{What: MQTTDown, Case: turn, About: "No notification arrives."},
	{What: MQTTLose, Case: "notification", About: "Notifications are lost, as with quality of service 0."},
	{What: MQTTDuplicate, Case: "notification", About: "Notifications are delivered twice."},
	{What: MQTTReorder, Case: "notification", Keys: amount, By: 10 * time.Second, About: "Notifications are delivered up to `by` late, behind younger ones."},
	{What: MQTTGarbage, Case: "message", Keys: amounts, About: "`rate` messages arrive that nobody can parse."},
	{What: MQTTFlood, Case: "message", Keys: amounts, About: "`rate` messages arrive about rows that do not exist or have not changed."},

	{What: ZooKeeperExpire, Case: "session", Keys: zkKeys, Of: OfOrchestrator, About: "Sessions expire."},
	{What: ZooKeeperCut, Case: "write", Keys: zkBy, By: time.Second, Of: OfOrchestrator, About: "Connections break in the middle of a write, before or after it took effect, and come back after `by`."},
	{What: ZooKeeperSlow, Case: turn, Keys: append(amount, zkClass...), By: time.Second, Of: OfAll, About: "Requests take `by` longer."},
	{What: ZooKeeperReadOnly, Case: turn, Keys: zkClass, Of: OfAll, About: "A minority: it reads what was, and refuses every write and session."},
	{What: ZooKeeperDown, Case: turn, Keys: zkKeys, Of: OfAll, About: "A restart: no connection until it ends; what was written is there."},
	{What: ZooKeeperFull, Case: turn, Keys: zkClass, Of: OfAll, About: "Writes that need room are refused."},

	{What: KubernetesError, Case: "call", About: "Calls are answered 500, executed or not."},
	{What: KubernetesSlow, Case: "call or event", Keys: amount, By: 5 * time.Second, About: "Calls and watches take `by` longer."},
	{What: KubernetesConflict, Case: "call", About: "Calls are answered 409."},
	{What: KubernetesThrottle, Case: "call", About: "Calls are answered 429."},
	{What: KubernetesGone, Case: "watch", About: "Watches end with 410: everything is listed anew."},
	{What: KubernetesCutWatch, Case: turn, About: "Watches tell nothing, and in the end what is."},
	{What: KubernetesQuota, Case: "creation", About: "Creations are answered 403, quota exceeded."},
	{What: KubernetesDown, Case: turn, About: "No call is answered and no watch tells anything; pods run on."},

	{What: DatabaseDown, Case: turn, About: "Listings fail."},
	{What: DatabaseSlow, Case: turn, Keys: amount, By: 20 * time.Second, About: "Listings take `by` longer."},
	{What: DatabaseTorn, Case: turn, Keys: amount, By: 2 * time.Second, About: "Rows change under a listing: its pages are read over `by`."},

	{What: OrchestratorCrash, Case: "command", Keys: []string{"command", "by"}, About: "The orchestrator is gone with all it held in memory, and starts again in the end. With `command`: struck down at such commands, and back after `by` each time."},
	{What: OrchestratorPause, Case: turn, About: "Stopped (SIGSTOP), and resumed in the end as if nothing had been."},
	{What: OrchestratorSplit, Case: turn, About: "ZooKeeper ends the leader's session, and the leader does not hear of it until the end, while another leads."},
	{What: OrchestratorClock, Case: "each time", Keys: amount, By: time.Minute, About: "Its clock jumps `by` ahead."},
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
