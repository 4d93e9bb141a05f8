package scenarios

// Key is one key of the vocabulary. The loader refuses every other one, and the
// tables of README.md are made from these.
type Key struct {
	Name    string
	Type    string
	Default string // "required" when there is none
	Range   string
	Example string
	About   string
	With    []string // the keys of which one must stand beside it; empty: it may always stand
}

// Section is a mapping of the vocabulary.
type Section struct {
	Name  string
	Where string // the path at which it stands
	About string
	Keys  []Key
}

const required = "required"

// Vocabulary is everything that a scenario file can say, in reading order.
var Vocabulary = append([]Section{
	{"scenario", "the top of the file", "One run.", []Key{
		{Name: "name", Type: "text", Default: required, Range: "lower case letters, digits and hyphens; up to 64", Example: "kafka-outage", About: "Its name in reports."},
		{Name: "about", Type: "text", Default: required, Range: "up to 2000 characters", Example: "A Kafka outage restarts nobody.", About: "What it shows."},
		{Name: "seed", Type: "number", Default: "1", Range: "0 to 18446744073709551615", Example: "7", About: "Of every random stream. Same seed, same run."},
		{Name: "duration", Type: "duration", Default: required, Range: "1s to 366d", Example: "30m", About: "When the run ends, in virtual time."},
		{Name: "heal", Type: "duration", Default: "a quarter of the duration before its end, but at least 10m and at most 1h before it, and never more than half of it", Range: "above 0s, up to duration", Example: "20m", About: "When faults have stopped and nodes stay as they are, and churn stops unless its own `until` is later. From then on everything must settle."},
		{Name: "kinds", Type: "list of kind", Default: required, Range: "1 to 100, names unique", Example: "[{kind: Thing, resources: 20000}]", About: "What is orchestrated."},
		{Name: "churn", Type: "list of churn", Default: "none", Range: "up to 1000", Example: "[{kind: Thing, create: 5/s, delete: 4/s}]", About: "How rows come, change and go."},
		{Name: "faults", Type: "list of fault", Default: "none", Range: "up to 1000", Example: "[{at: 5m, for: 10m, kafka: down}]", About: "What breaks."},
		{Name: "orders", Type: "list of order", Default: "none", Range: "up to 1000", Example: "[{at: 5m, kind: Thing, drain: 3}]", About: "What an operator does."},
		{Name: "load", Type: "list of load", Default: "none", Range: "up to 1000", Example: "[{kind: Thing, users: 300, ramp: 30s, wait: 1s..5s}]", About: "Who calls the REST interface and announces what, besides. Played on wire only; a run in virtual time says that it is not."},
		{Name: "on", Type: "word", Default: "any", Range: "any, wire", Example: "wire", About: "Where it can run: in virtual time and on wire, or on wire alone, as a scenario must that expects something of its load."},
		{Name: "nodes", Type: "nodes", Default: "none: a pod always finds a node", Range: "", Example: "{count: 10, podsPerNode: 4}", About: "The nodes that pods run on; they may come and go, and pods with them."},
		{Name: "world", Type: "world", Default: "every latency's own", Range: "", Example: "{zookeeper: {request: {mean: 10ms}}}", About: "How fast the surroundings are."},
		{Name: "expect", Type: "list of text", Default: required, Range: "1 to 1000", Example: "[instances_replaced == 0]", About: "What must be true in the end; see Expectations."},
	}},
	{"kind", "`kinds[]`", "A class of resources, and the orchestrator's configuration of it. Keys from `heartbeatInterval` on are its timing and its limits.", []Key{
		{Name: "kind", Type: "text", Default: required, Range: "a letter, then letters, digits, _; up to 63", Example: "Thing", About: "Its table, and its name in messages."},
		{Name: "instanceName", Type: "text", Default: "iota-dac for Thing, iota-rules-engine for Rule, else iota- and the kind in lower case", Range: "lower case letters, digits and inner hyphens, a letter first; up to 50; unique", Example: "iota-dac", About: "Pods are named `<instanceName>-<id>`."},
		{Name: "heartbeat", Type: "true or false", Default: "false for Rule, else true", Range: "", Example: "true", About: "Its instances send heartbeats, and a silent one is replaced. Without, a hung pod is found by its `unconfirmed` list alone."},
		{Name: "policy", Type: "word", Default: "fill", Range: "fill, balance, group", Example: "balance", About: "Where a resource goes: the newest instance with room; evenly; its group's instances."},
		{Name: "handoff", Type: "word", Default: "fast", Range: "fast, strict", Example: "strict", About: "How a resource moves: in one transaction; or only once the old owner has confirmed."},
		{Name: "initInstances", Type: "number", Default: "10, or maxInstances where that is less", Range: "1 to maxInstances", Example: "3", About: "Fewest instances of an orchestration."},
		{Name: "maxInstances", Type: "number", Default: "100", Range: "3 to 100000", Example: "10000", About: "Most instances. A request must ask for fewer (the contract's range ends below it)."},
		{Name: "resourcePerInstance", Type: "number", Default: "5000", Range: "1 to 100000, and no more than fit in its list: resourcePerInstance × (maxIdBytes + 3) ≤ 498976", Example: "2000", About: "An instance's capacity in resources. A request must ask for less (the contract's range ends below it)."},
		{Name: "resources", Type: "number", Default: "0", Range: "0 to 10000000, and no more than maxInstances can hold", Example: "20000", About: "Rows at the start."},
		{Name: "groups", Type: "list of text, or mapping of text to weight", Default: "none", Range: "1 to 10000 names; weights above 0, up to 1000000", Example: "{aws: 5, azure: 3, gcp: 2}", About: "The group that a new row carries, drawn by weight (1 in a list). Policy group needs it, or a trace's `group`."},
		{Name: "heartbeatInterval", Type: "duration", Default: "1m", Range: "100ms to 1d", Example: "60s", About: "Between two heartbeats of an instance."},
		{Name: "silence", Type: "duration", Default: "90s, or 1.5 × heartbeatInterval where that is longer", Range: "above heartbeatInterval, up to 2d", Example: "90s", About: "An instance unheard for longer is silent."},
		{Name: "monitor", Type: "duration", Default: "1m", Range: "100ms to 1d", Example: "60s", About: "Between two checks of the pods."},
		{Name: "resync", Type: "duration", Default: "5m", Range: "1s to 1d", Example: "5m", About: "Between two comparisons with the database."},
		{Name: "pending", Type: "duration", Default: "5m", Range: "1s to 1d", Example: "5m", About: "A pod Pending for longer is replaced."},
		{Name: "patience", Type: "duration", Default: "10m", Range: "1s to 366d", Example: "10m", About: "An instance down for longer gives its resources to the others."},
		{Name: "unconfirmed", Type: "duration", Default: "5m", Range: "0s (never) to 1d", Example: "5m", About: "An instance that has confirmed a list before and leaves a later one unconfirmed for longer is replaced; twice as long after each such replacement, and without a ZooKeeper session."},
		{Name: "movesInFlight", Type: "number", Default: "1000", Range: "1 to 1000000", Example: "100", About: "Resources that may be between two instances at once."},
		{Name: "replacing", Type: "number", Default: "10", Range: "1 to 100000", Example: "3", About: "Pods that may be replaced at once."},
		{Name: "maxIdBytes", Type: "number", Default: "90", Range: "1 to 4096", Example: "64", About: "A resource's id may have at most so many bytes."},
	}},
	{"churn", "`churn[]`", "One entry is one of four: steady rates (`create`, `delete`, `update`), one `burst`, a `day` curve, or a `trace`.", []Key{
		{Name: "kind", Type: "text", Default: required, Range: "one of kinds", Example: "Thing", About: "Whose rows."},
		{Name: "create", Type: "rate", Default: "0", Range: "0 to 1000000/s", Example: "5/s", About: "Rows created."},
		{Name: "delete", Type: "rate", Default: "0", Range: "0 to 1000000/s", Example: "240/m", About: "Rows deleted, drawn from those that exist."},
		{Name: "update", Type: "rate", Default: "0", Range: "0 to 1000000/s", Example: "10/h", About: "Rows updated, drawn from those that exist."},
		{Name: "arrivals", Type: "word", Default: "poisson", Range: "poisson, constant", Example: "constant", About: "Independent of each other, or evenly spaced.", With: []string{"create", "delete", "update"}},
		{Name: "burst", Type: "number", Default: "", Range: "1 to 10000000", Example: "10000", About: "Rows of a burst."},
		{Name: "at", Type: "duration", Default: required, Range: "before duration", Example: "5m", About: "When the burst begins.", With: []string{"burst"}},
		{Name: "verb", Type: "word", Default: "create", Range: "create, update, delete", Example: "delete", About: "What the burst does.", With: []string{"burst"}},
		{Name: "over", Type: "duration", Default: "0s", Range: "up to the run's end", Example: "10s", About: "The time over which it is spread evenly.", With: []string{"burst"}},
		{Name: "bulk", Type: "number", Default: "none: each row alone (c, u, d)", Range: "1 to 1000000", Example: "500", About: "Rows that one statement changes and one message announces (bc, bu, bd).", With: []string{"burst"}},
		{Name: "condition", Type: "word", Default: "ids", Range: "ids, other", Example: "other", About: "What the message of a bulk update or delete names: the ids, or a condition that does not name them.", With: []string{"bulk"}},
		{Name: "day", Type: "day", Default: "", Range: "", Example: "{create: {peak: 10/s, trough: 1/s}}", About: "Rates that swing from trough to peak and back in a cosine; arrivals are poisson."},
		{Name: "period", Type: "duration", Default: "1d", Range: "1s to 366d", Example: "24h", About: "From peak to peak.", With: []string{"day"}},
		{Name: "peakAt", Type: "duration", Default: "0s", Range: "below period", Example: "14h", About: "When the first peak is.", With: []string{"day"}},
		{Name: "trace", Type: "trace", Default: "", Range: "", Example: "{file: rows.csv, source: our own, id: id, created: created, time: unix}", About: "A file of resources' lives."},
		{Name: "from", Type: "duration", Default: "0s", Range: "below until", Example: "1m", About: "When the entry begins. A trace begins at 0s.", With: []string{"create", "delete", "update", "day"}},
		{Name: "until", Type: "duration", Default: "heal", Range: "up to duration", Example: "20m", About: "When the entry ends; later than heal only if it says so here.", With: []string{"create", "delete", "update", "day", "trace"}},
	}},
	{"day", "`churn[].day`", "At least one of them.", []Key{
		{Name: "create", Type: "swing", Default: "0", Range: "", Example: "{peak: 10/s, trough: 1/s}", About: "Rows created."},
		{Name: "delete", Type: "swing", Default: "0", Range: "", Example: "{peak: 8/s}", About: "Rows deleted."},
		{Name: "update", Type: "swing", Default: "0", Range: "", Example: "{peak: 8/s}", About: "Rows updated."},
	}},
	{"swing", "`churn[].day.create`, `.delete`, `.update`", "", []Key{
		{Name: "peak", Type: "rate", Default: required, Range: "above 0, up to 1000000/s", Example: "10/s", About: "The highest rate."},
		{Name: "trough", Type: "rate", Default: "0", Range: "up to peak", Example: "1/s", About: "The lowest rate, half a period away."},
	}},
	{"trace", "`churn[].trace`", "A text file of rows and columns, plain or gzip, quoted as in RFC 4180; each row is the life of one resource. A resource created before the origin exists at the start, or is skipped if it was deleted before it. A row that cannot be used is counted and named in the report.", append(tableKeys("churn.0.trace.file"),
		Key{Name: "id", Type: "column or list of columns", Default: required, Range: "1 to 16", Example: "[USAF, WBAN]", About: "What forms the id; several are joined by a hyphen."},
		Key{Name: "created", Type: "column", Default: required, Range: "", Example: "BEGIN", About: "The time of creation."},
		Key{Name: "deleted", Type: "column", Default: "none", Range: "", Example: "END", About: "The time of deletion; none, or an empty field: never."},
		Key{Name: "group", Type: "column", Default: "none", Range: "", Example: "CTRY", About: "The group; none: no group."},
		Key{Name: "where", Type: "mapping of column to text", Default: "all rows", Range: "1 to 100 columns", Example: "{CTRY: US}", About: "Use only rows whose columns hold these values."},
	)},
	faultSection(),
	{"order", "`orders[]`", "One entry is one of five. While the orchestrator is down, does not lead yet or ceases to, it is given again every 5s, as people and scripts do, until it is answered otherwise, a later order about the same is given, or 2m have passed since heal and since `at`. Figures count it once; who is told that what it began is under way already was not refused.", []Key{
		{Name: "at", Type: "duration", Default: required, Range: "before duration", Example: "5m", About: "When the operator asks."},
		{Name: "kind", Type: "text", Default: required, Range: "one of kinds", Example: "Thing", About: "Of which kind."},
		{Name: "orchestrate", Type: "orchestrate", Default: "", Range: "", Example: "{resourcePerInstance: 2000}", About: "Re-orchestrate; `{}` with the sizing as it is."},
		{Name: "drain", Type: "number", Default: "", Range: "0 to the kind's maxInstances - 1", Example: "3", About: "Move the instance's resources away, then its pod goes; keep it empty."},
		{Name: "undrain", Type: "number", Default: "", Range: "0 to the kind's maxInstances - 1", Example: "3", About: "Let the instance have resources again."},
		{Name: "replace", Type: "number", Default: "", Range: "0 to the kind's maxInstances - 1", Example: "3", About: "Delete the instance's pod and create it anew."},
		{Name: "maintenance", Type: "word", Default: "", Range: "on, off", Example: "on", About: "Pause every automatic action, or resume."},
	}},
	{"orchestrate", "`orders[].orchestrate`", "Values that are not below the kind's own are refused by the orchestrator, not by the loader: that too can be a scenario.", []Key{
		{Name: "maxInstances", Type: "number", Default: "the kind's", Range: "1 to 1000000", Example: "50", About: "Most instances."},
		{Name: "resourcePerInstance", Type: "number", Default: "the kind's", Range: "1 to 10000000", Example: "2000", About: "Capacity of an instance."},
	}},
	{"load", "`load[]`", "One entry is one of two: `users`, a closed loop, each of whom waits for an answer before the next call; or `notifications`, an open loop, whose arrivals do not wait for the system. With `--time-scale` its times are shortened and its rate raised like every other; what is measured is real time. It begins at `from`, but not before every row of the start has run, and calls and announces only rows of the start that churn leaves alone.", []Key{
		{Name: "kind", Type: "text", Default: required, Range: "one of kinds", Example: "Thing", About: "Whose rows."},
		{Name: "users", Type: "number", Default: "", Range: "1 to 100000", Example: "300", About: "Users of the REST interface, each with a connection of its own; spread over the processes where several orchestrators run. An answer takes at most 10s of real time."},
		{Name: "ramp", Type: "duration", Default: "0s", Range: "0s to 1d", Example: "30s", About: "The time over which they come, evenly.", With: []string{"users"}},
		{Name: "wait", Type: "range", Default: "1s..5s", Range: "a duration, or two with .. between them; 0s to 1h", Example: "1s..5s", About: "How long a user waits before each call, drawn evenly.", With: []string{"users"}},
		{Name: "calls", Type: "mapping of call to weight", Default: "{where: 80, orchestration: 5, instances: 5, status: 4, search: 4, unknown: 2}", Range: "where (…/:id/instances), unknown (the same of an id that does not exist: 404 is right), orchestration (ids=false), instances, status, search; weights above 0, up to 1000000", Example: "{where: 9, search: 1}", About: "What they call, drawn by weight; the default is what a web UI does.", With: []string{"users"}},
		{Name: "notifications", Type: "rate", Default: "", Range: "above 0, up to 100000/s", Example: "500/s", About: "Messages on cm/notify, evenly spaced, that say again what is so: `c` and `u` of rows that exist, as they are. They cost work and change nothing."},
		{Name: "from", Type: "duration", Default: "0s", Range: "below until", Example: "1m", About: "When the entry begins."},
		{Name: "until", Type: "duration", Default: "heal", Range: "up to duration", Example: "20m", About: "When the entry ends: no call begins later."},
	}},
	{"nodes", "`nodes`", "Either `count` or a `trace`. A pod on a node that goes is lost with it; a pod that fits on no node is Pending.", []Key{
		{Name: "count", Type: "number", Default: "", Range: "1 to 100000", Example: "10", About: "So many nodes for the whole run, named node-0, node-1, …"},
		{Name: "trace", Type: "node trace", Default: "", Range: "", Example: "{file: nodes.csv, source: our own, time: ms, at: 1, action: 2, node: 3, header: false}", About: "A file that says when which node comes and goes."},
		{Name: "podsPerNode", Type: "number", Default: "1", Range: "1 to 1000", Example: "4", About: "Pods that fit on one node, of all kinds together."},
	}},
	{"node trace", "`nodes.trace`", "A text file as in `churn[].trace`; each row is a node that comes or goes.", append(tableKeys("nodes.trace.file"),
		Key{Name: "at", Type: "column", Default: required, Range: "", Example: "1", About: "The time."},
		Key{Name: "node", Type: "column", Default: required, Range: "", Example: "3", About: "The node's name."},
		Key{Name: "action", Type: "column", Default: required, Range: "", Example: "2", About: "Whether it comes or goes."},
		Key{Name: "add", Type: "text", Default: "add", Range: "", Example: "add", About: "The action of a node that comes."},
		Key{Name: "remove", Type: "text", Default: "remove", Range: "unlike add", Example: "remove", About: "The action of a node that goes."},
	)},
}, worldSections()...)

// tableKeys are the keys that all trace files share.
func tableKeys(set string) []Key {
	return []Key{
		{Name: "file", Type: "text", Default: required, Range: "", Example: "rows.csv.gz", About: "The file, from the scenario's directory on; with `--set " + set + "=…` from the working directory on."},
		{Name: "source", Type: "text", Default: required, Range: "", Example: "NOAA station list; its SOURCE.md names the origin", About: "What the file is and where its origin is named, for whoever does not have it."},
		{Name: "header", Type: "true or false", Default: "true", Range: "", Example: "false", About: "The first row names the columns; else they are 1, 2, 3, …"},
		{Name: "comma", Type: "text", Default: `","`, Range: "one ASCII character, or tab", Example: `";"`, About: "What stands between two columns."},
		{Name: "time", Type: "text", Default: required, Range: "unix, s, ms, us, or a layout of Go's package time", Example: `"20060102"`, About: "How times are written: a number of units (fractions allowed; unix is s), or a layout."},
		{Name: "scale", Type: "text", Default: "1s = 1s", Range: "two durations above 0; y is 365.25 days", Example: "1y = 1m", About: "The file's time = the scenario's time."},
		{Name: "origin", Type: "text", Default: "the file's earliest time", Range: "a time as the file writes it", Example: `"19010101"`, About: "The file's time that falls on the start of the run."},
		{Name: "limit", Type: "number", Default: "all rows", Range: "1 to 100000000", Example: "1000", About: "Use at most so many rows, in the order of the file."},
	}
}

func section(name string) *Section {
	for i := range Vocabulary {
		if Vocabulary[i].Name == name {
			return &Vocabulary[i]
		}
	}
	panic("scenarios: no section " + name + " in the vocabulary")
}

func (s *Section) key(name string) *Key {
	for i := range s.Keys {
		if s.Keys[i].Name == name {
			return &s.Keys[i]
		}
	}
	return nil
}
