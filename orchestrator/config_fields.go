package orchestrator

// configField says of a field what its type does not: what it means, and what
// follows from another value. Docs, example and --check-config read it here.
type configField struct {
	path    string // of a kind's field without the index: kinds.policy
	unit    string // of its value, or what it looks like
	example string // where the default is nothing
	about   string
}

// configSections are the sections and what each is.
var configSections = map[string]string{
	"":                "",
	"api":             "The REST interface.",
	"zookeeper":       "Where the orchestration stands, and who leads.",
	"zookeeper.tls":   "An encrypted connection to ZooKeeper.",
	"kafka":           "Where heartbeats come from.",
	"kafka.sasl":      "A login to Kafka; none without a mechanism.",
	"kafka.tls":       "An encrypted connection to Kafka.",
	"mqtt":            "Where notifications of the data centre come from.",
	"mqtt.tls":        "An encrypted connection to the broker.",
	"database":        "Where the resources are. It is only read.",
	"kubernetes":      "Where the pods run.",
	"log":             "What is logged, to standard error.",
	"kinds":           "The classes of resources, each orchestrated for itself. Without this list: Thing and Rule.",
	"kinds.limits":    "The sizing of a kind (see CONTRACT's Sizing).",
	"kinds.timings":   "How long things may take.",
	"kinds.throttles": "How much happens at once.",
}

const tlsCA, tlsCert, tlsKey, tlsName = "File with the certificates to trust (PEM); the system's without it.",
	"File with our own certificate (PEM), for servers that ask for one. Together with keyFile.",
	"File with its key (PEM).",
	"Name that the server's certificate must bear; the host's name without it."

// configFields are all fields, in the order of the file.
var configFields = []configField{
	{"name", "text", "dacorch-0", "Name of this process, unique among those that work together: it stands in elections, logs and the MQTT session. Default: the machine's host name, which is the pod's name in Kubernetes."},

	{"api.listen", "host:port", "", "Where the REST interface listens. Off loopback callers need tokens."},
	{"api.advertise", "URL", "http://10.0.0.7:8080", "Where the other processes reach this one, to forward writes to a leader. Default: made of listen, which is right on one machine only; required where listen stands for every address."},
	{"api.tokenFile", "path", "/etc/dacorch/tokens", "File of bearer tokens, a line each: name, read or write, token (or sha256:…). It is read again when it changes."},
	{"api.token", "token", "", "One token more, named environment in the log, that may write. Only from the environment."},
	{"api.anonymous", "", "", "What callers without a token may do. It counts only while listen is on loopback."},
	{"api.hosts", "names", "[dacorch.example]", "Names, besides localhost, under which a browser may call without a token: others are refused, as a foreign page could have sent it."},
	{"api.certFile", "path", "/etc/dacorch/tls.crt", "Certificate (PEM): switches HTTPS on. Read again when it changes. Together with keyFile."},
	{"api.keyFile", "path", "/etc/dacorch/tls.key", "Its key (PEM)."},
	{"api.caFile", "path", "/etc/dacorch/ca.crt", "Certificates to trust (PEM) when forwarding to a leader over HTTPS; the system's without it."},
	{"api.maxBody", "bytes", "", "Largest body of a request; larger ones are answered 413."},
	{"api.maxAtOnce", "requests", "", "Requests that are worked on at once; more wait."},
	{"api.maxWaiting", "requests", "", "Requests that wait; more are answered 503."},
	{"api.maxStreams", "streams", "", "Event streams at once; more are answered 503."},

	{"zookeeper.servers", "host:port", "", "ZooKeeper's servers; any that answers is used."},
	{"zookeeper.sessionTimeout", "duration", "", "How long a session outlives its connection. It bounds how long a dead leader is missed; shorter makes a slow network look like death. The server may grant another."},
	{"zookeeper.requestTimeout", "duration", "", "How long a read may take."},
	{"zookeeper.maxRequest", "bytes", "", "The servers' jute.maxbuffer. They cut the connection over a larger request, so none is sent."},
	{"zookeeper.user", "text", "orchestrator", "Name for digest authentication. Nodes that we create then belong to it. Without it everybody may change everything."},
	{"zookeeper.password", "text", "", "Its password. Only from the environment."},
	{"zookeeper.passwordFile", "path", "/etc/dacorch/zookeeper-password", "File that holds the password in one line."},
	{"zookeeper.othersMay", "letters of crwda", "", "What others than user may do with our nodes. Instances always may write below tmp. Without r they cannot see their resources."},
	{"zookeeper.tls.enabled", "", "", "Speak TLS with ZooKeeper's secure port."},
	{"zookeeper.tls.caFile", "path", "/etc/dacorch/zookeeper-ca.crt", tlsCA},
	{"zookeeper.tls.certFile", "path", "/etc/dacorch/zookeeper.crt", tlsCert},
	{"zookeeper.tls.keyFile", "path", "/etc/dacorch/zookeeper.key", tlsKey},
	{"zookeeper.tls.serverName", "host name", "zookeeper.example", tlsName},

	{"kafka.brokers", "host:port", "", "Some of Kafka's brokers; the others are learnt from them."},
	{"kafka.topic", "text", "", "Topic of the heartbeats. While it is missing nothing is replaced for being silent."},
	{"kafka.groupPrefix", "text", "", "Consumer groups are called this and the kind."},
	{"kafka.clientId", "text", "", "What the brokers log and count by."},
	{"kafka.sasl.mechanism", "", "SCRAM-SHA-512", "How to log in."},
	{"kafka.sasl.user", "text", "orchestrator", "Who logs in."},
	{"kafka.sasl.password", "text", "", "The password. Only from the environment."},
	{"kafka.sasl.passwordFile", "path", "/etc/dacorch/kafka-password", "File that holds the password in one line."},
	{"kafka.tls.enabled", "", "", "Speak TLS with the brokers."},
	{"kafka.tls.caFile", "path", "/etc/dacorch/kafka-ca.crt", tlsCA},
	{"kafka.tls.certFile", "path", "/etc/dacorch/kafka.crt", tlsCert},
	{"kafka.tls.keyFile", "path", "/etc/dacorch/kafka.key", tlsKey},
	{"kafka.tls.serverName", "host name", "kafka.example", tlsName},

	{"mqtt.url", "URL", "", "The broker: mqtt://host:port, or mqtts://host:port with TLS. In the environment it may hold user and password. A host:port alone means mqtt."},
	{"mqtt.topic", "text", "", "Topic of the notifications."},
	{"mqtt.clientId", "text", "dacorch-0", "Name of the session at the broker. It must be this process's alone, and the same after a restart, or what came in between is lost until the next comparison with the database. Default: dacorch-<name>."},
	{"mqtt.user", "text", "orchestrator", "Who logs in; nobody without it."},
	{"mqtt.password", "text", "", "The password. Only from the environment."},
	{"mqtt.passwordFile", "path", "/etc/dacorch/mqtt-password", "File that holds the password in one line."},
	{"mqtt.reconnect", "duration", "", "Longest wait between two attempts to connect, made up to half as long again by chance; the first ones are shorter."},
	{"mqtt.keepAlive", "duration", "", "In whole seconds, how long the line may be silent before the broker is asked for a sign of life. A dead line is noticed after about twice that."},
	{"mqtt.tls.enabled", "", "", "Speak TLS; mqtts says it too."},
	{"mqtt.tls.caFile", "path", "/etc/dacorch/mqtt-ca.crt", tlsCA},
	{"mqtt.tls.certFile", "path", "/etc/dacorch/mqtt.crt", tlsCert},
	{"mqtt.tls.keyFile", "path", "/etc/dacorch/mqtt.key", tlsKey},
	{"mqtt.tls.serverName", "host name", "mqtt.example", tlsName},

	{"database.url", "URL", "postgres://orchestrator@localhost:5432/iota", "The database: postgres://user@host:port/name, or sqlite:path. Required, here, in urlFile or in the environment. PostgreSQL's sslmode is verify-full off loopback unless the URL says otherwise: the server's certificate must bear its name, and come from the system's authorities or those in the file that sslrootcert names."},
	{"database.urlFile", "path", "/etc/dacorch/database-url", "File that holds the URL in one line; there it may have a password."},
	{"database.user", "text", "orchestrator", "Who logs in; over what the URL says."},
	{"database.password", "text", "", "The password. Only from the environment."},
	{"database.passwordFile", "path", "/etc/dacorch/database-password", "File that holds the password in one line. It is read at every connection, so a new one needs no restart."},
	{"database.pageSize", "rows", "", "Rows that are read in one statement. Fewer take less memory and more time."},
	{"database.statementTimeout", "duration", "", "How long a page or a count may take. A count that takes longer fails for ever."},
	{"database.maxConns", "connections", "", "Connections at once."},

	{"kubernetes.kubeconfig", "path", "/etc/dacorch/kubeconfig", "File that says how to reach the API server, with its current context. Without it: what a pod finds inside its cluster."},
	{"kubernetes.namespace", "text", "", "Where the pods are. Nothing is read or written elsewhere."},
	{"kubernetes.orchestrator", "text", "", "Marks our pods, so that two orchestrators can work in one namespace. Under another name the pods made before are foreign."},
	{"kubernetes.ignoreUnlabelled", "", "", "Do not adopt pods under an instance's name that bear no marks, as the first orchestrator's do. They then block ours for ever."},
	{"kubernetes.qps", "requests per second", "", "Bound of our requests to the API server. Lower makes large changes slower."},
	{"kubernetes.burst", "requests", "", "How many may come at once on top."},
	{"kubernetes.requestTimeout", "duration", "", "How long one attempt of a request may take."},

	{"log.level", "", "", "The least that is logged. debug tells every transaction."},
	{"log.format", "", "", "Lines of key=value, or of JSON."},

	{"kinds.kind", "text", "Thing", "Name of the kind: in ZooKeeper, in notifications, in heartbeats, in the REST interface. Required."},
	{"kinds.instanceName", "text", "iota-dac", "What its pods are called before -0, -1, … At most 55 of a-z, 0-9 and -. Default: iota-dac for Thing, iota-rules-engine for Rule; required for others."},
	{"kinds.template", "path", "templates/iota-dac/pod-template.yml", "Template of its pods. Default: templates/<instanceName>/pod-template.yml, from the working directory."},
	{"kinds.gracePeriod", "duration", "", "How long a pod that is deleted has to end; whole seconds. 0s kills it at once."},
	{"kinds.heartbeat", "", "", "Its instances send heartbeats. Without them only a pod's phase tells that it failed. Default: true, but false for Rule."},
	{"kinds.policy", "", "", "How resources are placed: fill takes the newest instance with room, balance keeps instances equal, group keeps each group on instances of its own."},
	{"kinds.handoff", "", "", "How a resource moves between live instances: fast in one transaction, so that both may run it until the old one has reloaded; strict only once the old one has confirmed, for DACs that do."},
	{"kinds.schema", "text", "public", "The table's schema. Default: the database's search path."},
	{"kinds.table", "text", "Thing", "The table, upper and lower case as written. Default: the kind's name."},
	{"kinds.idColumn", "text", "", "Column of the ids: unique, of any type with an order."},
	{"kinds.groupColumn", "text", "site", "Column of the groups, which policy group needs."},
	{"kinds.maxIdBytes", "bytes", "", "Longest id that is placed; longer ones are counted, logged and left out. resourcePerInstance of this length must fit in half of txnBytes."},
	{"kinds.limits.initInstances", "instances", "", "Fewest instances of an orchestration."},
	{"kinds.limits.maxInstances", "instances", "", "Most instances; an orchestration that needs more is refused."},
	{"kinds.limits.resourcePerInstance", "resources", "", "Most resources of an instance."},
	{"kinds.limits.txnBytes", "bytes", "", "Largest transaction. ZooKeeper refuses more than zookeeper.maxRequest."},
	{"kinds.timings.heartbeatInterval", "duration", "", "How often an instance sends a heartbeat."},
	{"kinds.timings.silence", "duration", "", "How long an instance may be silent before it is replaced; more than heartbeatInterval. Shorter replaces healthy pods."},
	{"kinds.timings.silentShare", "share", "", "When more than this share of the instances is silent the channel is taken for broken: nothing is replaced, an alarm is raised."},
	{"kinds.timings.monitor", "duration", "", "Time between two listings of the pods."},
	{"kinds.timings.resync", "duration", "", "Time between two comparisons with the database, which heal what notifications missed."},
	{"kinds.timings.resyncFloor", "duration", "", "Least time between two whole listings of the database, however many messages ask for one."},
	{"kinds.timings.pending", "duration", "", "How long a pod may be Pending before it is replaced."},
	{"kinds.timings.patience", "duration", "", "How long an instance may be without a running pod before its resources move to the others. Shorter moves more."},
	{"kinds.throttles.movesInFlight", "resources", "", "Resources that are between two owners at once."},
	{"kinds.throttles.replacing", "pods", "", "Pods that are replaced at once."},
}
