package orchestrator

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// Config is all that the orchestrator is told: one YAML file, over which the
// environment stands. docs/configuration.md is made of it and of configFields,
// where every field has its unit, default and consequence. Tags name the key in
// the file, the bounds (min, max) or words (oneOf) of a value, and what is secret:
// that comes from a file of its own or the environment, never from this one.
type Config struct {
	Name       string           `key:"name"`
	API        APIConfig        `key:"api"`
	ZooKeeper  ZooKeeperConfig  `key:"zookeeper"`
	Kafka      KafkaConfig      `key:"kafka"`
	MQTT       MQTTConfig       `key:"mqtt"`
	Database   DatabaseConfig   `key:"database"`
	Kubernetes KubernetesConfig `key:"kubernetes"`
	Log        LogConfig        `key:"log"`
	Record     RecordConfig     `key:"record"`
	Kinds      []KindConfig     `key:"kinds"`
}

// APIConfig is the REST interface.
type APIConfig struct {
	Listen     string   `key:"listen"`
	Advertise  string   `key:"advertise"`
	TokenFile  string   `key:"tokenFile"`
	Token      string   `key:"token" secret:"tokenFile"`
	Anonymous  string   `key:"anonymous" oneOf:"none read write"`
	Hosts      []string `key:"hosts"`
	CertFile   string   `key:"certFile"`
	KeyFile    string   `key:"keyFile"`
	CAFile     string   `key:"caFile"`
	MaxBody    int      `key:"maxBody" min:"1024" max:"67108864"`
	MaxAtOnce  int      `key:"maxAtOnce" min:"1" max:"100000"`
	MaxWaiting int      `key:"maxWaiting" min:"1" max:"1000000"`
	MaxStreams int      `key:"maxStreams" min:"1" max:"100000"`
}

// ZooKeeperConfig is where the orchestration stands.
type ZooKeeperConfig struct {
	Servers        []string      `key:"servers"`
	SessionTimeout time.Duration `key:"sessionTimeout" min:"100ms" max:"10m"`
	RequestTimeout time.Duration `key:"requestTimeout" min:"100ms" max:"10m"`
	MaxRequest     int           `key:"maxRequest" min:"65536" max:"1073741824"`
	User           string        `key:"user"`
	Password       string        `key:"password" secret:"passwordFile"`
	PasswordFile   string        `key:"passwordFile"`
	OthersMay      string        `key:"othersMay"`
	TLS            TLSConfig     `key:"tls"`
}

// KafkaConfig is where heartbeats come from.
type KafkaConfig struct {
	Brokers     []string   `key:"brokers"`
	Topic       string     `key:"topic"`
	GroupPrefix string     `key:"groupPrefix"`
	ClientID    string     `key:"clientId"`
	SASL        SASLConfig `key:"sasl"`
	TLS         TLSConfig  `key:"tls"`
}

// SASLConfig is a login to Kafka; none without a mechanism.
type SASLConfig struct {
	Mechanism    string `key:"mechanism" oneOf:"PLAIN SCRAM-SHA-256 SCRAM-SHA-512"`
	User         string `key:"user"`
	Password     string `key:"password" secret:"passwordFile"`
	PasswordFile string `key:"passwordFile"`
}

// MQTTConfig is where notifications come from.
type MQTTConfig struct {
	URL          string        `key:"url"`
	Topic        string        `key:"topic"`
	ClientID     string        `key:"clientId"`
	User         string        `key:"user"`
	Password     string        `key:"password" secret:"passwordFile"`
	PasswordFile string        `key:"passwordFile"`
	Reconnect    time.Duration `key:"reconnect" min:"100ms" max:"10m"`
	KeepAlive    time.Duration `key:"keepAlive" min:"1s" max:"10m"`
	TLS          TLSConfig     `key:"tls"`
}

// DatabaseConfig is where the resources are.
type DatabaseConfig struct {
	URL              string        `key:"url" instead:"urlFile"`
	URLFile          string        `key:"urlFile" instead:"url"`
	User             string        `key:"user"`
	Password         string        `key:"password" secret:"passwordFile"`
	PasswordFile     string        `key:"passwordFile"`
	PageSize         int           `key:"pageSize" min:"1" max:"100000"`
	StatementTimeout time.Duration `key:"statementTimeout" min:"1ms" max:"1h"`
	MaxConns         int           `key:"maxConns" min:"1" max:"100"`
}

// KubernetesConfig is where the pods run.
type KubernetesConfig struct {
	Kubeconfig       string        `key:"kubeconfig"`
	Namespace        string        `key:"namespace"`
	Orchestrator     string        `key:"orchestrator"`
	IgnoreUnlabelled bool          `key:"ignoreUnlabelled"`
	QPS              float64       `key:"qps" min:"0.1" max:"10000"`
	Burst            int           `key:"burst" min:"1" max:"10000"`
	RequestTimeout   time.Duration `key:"requestTimeout" min:"100ms" max:"10m"`
}

// TLSConfig is an encrypted connection, version 1.2 or newer.
type TLSConfig struct {
	Enabled    bool   `key:"enabled"`
	CAFile     string `key:"caFile"`
	CertFile   string `key:"certFile"`
	KeyFile    string `key:"keyFile"`
	ServerName string `key:"serverName"`
}

// LogConfig is what is logged, to standard error.
type LogConfig struct {
	Level  string `key:"level" oneOf:"debug info warn error"`
	Format string `key:"format" oneOf:"text json"`
}

// RecordConfig is where all that the core is told and answers is kept; nowhere
// without a directory.
type RecordConfig struct {
	Dir     string `key:"dir"`
	Segment int    `key:"segment" min:"65536" max:"1099511627776"`
	Total   int    `key:"total" min:"262144" max:"1125899906842624"`
}

// KindConfig is a class of resources that is orchestrated together.
type KindConfig struct {
	Kind         string          `key:"kind"`
	InstanceName string          `key:"instanceName"`
	Template     string          `key:"template"`
	GracePeriod  time.Duration   `key:"gracePeriod" min:"0s" max:"24h"`
	Heartbeat    bool            `key:"heartbeat"`
	Policy       string          `key:"policy" oneOf:"fill balance group"`
	Handoff      string          `key:"handoff" oneOf:"fast strict"`
	Schema       string          `key:"schema"`
	Table        string          `key:"table"`
	IDColumn     string          `key:"idColumn"`
	GroupColumn  string          `key:"groupColumn"`
	MaxIDBytes   int             `key:"maxIdBytes" min:"1" max:"4096"`
	Limits       LimitsConfig    `key:"limits"`
	Timings      TimingsConfig   `key:"timings"`
	Throttles    ThrottlesConfig `key:"throttles"`
}

// LimitsConfig is a kind's sizing.
type LimitsConfig struct {
	InitInstances       int `key:"initInstances" min:"1" max:"1073741824"`
	MaxInstances        int `key:"maxInstances" min:"4" max:"1073741824"`
	ResourcePerInstance int `key:"resourcePerInstance" min:"2" max:"1073741824"`
	TxnBytes            int `key:"txnBytes" min:"16384" max:"1073741824"`
}

// TimingsConfig is how long a kind's things may take.
type TimingsConfig struct {
	HeartbeatInterval time.Duration `key:"heartbeatInterval" min:"10ms" max:"24h"`
	Silence           time.Duration `key:"silence" min:"10ms" max:"24h"`
	SilentShare       float64       `key:"silentShare" min:"0.001" max:"1"`
	Monitor           time.Duration `key:"monitor" min:"10ms" max:"24h"`
	Resync            time.Duration `key:"resync" min:"10ms" max:"24h"`
	ResyncFloor       time.Duration `key:"resyncFloor" min:"1ms" max:"24h"`
	Pending           time.Duration `key:"pending" min:"10ms" max:"24h"`
	Patience          time.Duration `key:"patience" min:"10ms" max:"24h"`
	Unconfirmed       time.Duration `key:"unconfirmed" min:"0s" max:"24h"`
	RetryMin          time.Duration `key:"retryMin" min:"1ms" max:"1h"`
	RetryMax          time.Duration `key:"retryMax" min:"1ms" max:"24h"`
}

// ThrottlesConfig bounds what happens to a kind at once.
type ThrottlesConfig struct {
	MovesInFlight int `key:"movesInFlight" min:"1" max:"1000000"`
	Replacing     int `key:"replacing" min:"1" max:"100000"`
}

// Default is the configuration of the platform's two kinds on one machine. It
// lacks only database.url.
func Default() *Config {
	c := defaults()
	c.complete()
	return c
}

// defaults is Default before what follows from other fields is filled in.
func defaults() *Config {
	return &Config{
		API: APIConfig{Listen: "127.0.0.1:8080", Anonymous: "none", MaxBody: 1 << 20, MaxAtOnce: 512, MaxWaiting: 8192, MaxStreams: 256},
		ZooKeeper: ZooKeeperConfig{Servers: []string{"localhost:2181"}, SessionTimeout: 10 * time.Second,
			RequestTimeout: 5 * time.Second, MaxRequest: 1_048_575, OthersMay: "r"},
		Kafka: KafkaConfig{Brokers: []string{"localhost:9092"}, Topic: "HeartBeat", GroupPrefix: "iota-orchestrator-", ClientID: "iota-orchestrator"},
		MQTT:  MQTTConfig{URL: "mqtt://localhost:1883", Topic: "cm/notify", Reconnect: 10 * time.Second, KeepAlive: 10 * time.Second},
		Database: DatabaseConfig{
			PageSize: 5000, StatementTimeout: 30 * time.Second, MaxConns: 4},
		Kubernetes: KubernetesConfig{Namespace: "iota", Orchestrator: "dacorch", QPS: 50, Burst: 100, RequestTimeout: 10 * time.Second},
		Log:        LogConfig{Level: "info", Format: "text"},
		Record:     RecordConfig{Segment: recording.DefaultSegment, Total: recording.DefaultTotal},
		Kinds:      []KindConfig{defaultKind("Thing"), defaultKind("Rule")},
	}
}

// platformInstances are the instance names of the platform's kinds.
var platformInstances = map[string]string{"Thing": "iota-dac", "Rule": "iota-rules-engine"}

// defaultKind is what holds for a kind whose entry says nothing but its name.
func defaultKind(name string) KindConfig {
	d := reconcile.DefaultConfig(fleet.Kind(name))
	return KindConfig{
		Kind: name, InstanceName: platformInstances[name], Heartbeat: d.Heartbeat, Policy: string(d.Policy), Handoff: string(d.Handoff),
		IDColumn: "id", MaxIDBytes: d.MaxIDBytes,
		Limits: LimitsConfig{InitInstances: d.Limits.InitInstances, MaxInstances: d.Limits.MaxInstances,
			ResourcePerInstance: d.Limits.ResourcePerInstance, TxnBytes: d.TxnBytes},
		Timings: TimingsConfig{HeartbeatInterval: d.HeartbeatInterval, Silence: d.Silence, SilentShare: d.SilentShare, Monitor: d.Monitor,
			Resync: d.Resync, ResyncFloor: d.ResyncFloor, Pending: d.Pending, Patience: d.Patience, Unconfirmed: d.Unconfirmed, RetryMin: d.RetryMin, RetryMax: d.RetryMax},
		Throttles: ThrottlesConfig{MovesInFlight: d.MovesInFlight, Replacing: d.Replacing},
	}
}

// complete fills in what follows from other fields.
func (c *Config) complete() {
	if c.Name == "" {
		c.Name, _ = os.Hostname() // Validate asks for it when there is none
	}
	if c.API.Advertise == "" {
		scheme := "http://"
		if c.API.CertFile != "" {
			scheme = "https://"
		}
		c.API.Advertise = scheme + c.API.Listen
	}
	c.MQTT.ClientID = cmp.Or(c.MQTT.ClientID, "dacorch-"+c.Name)
	if !strings.Contains(c.MQTT.URL, "://") {
		c.MQTT.URL = "mqtt://" + c.MQTT.URL
	}
	if strings.HasPrefix(c.MQTT.URL, "mqtts:") {
		c.MQTT.TLS.Enabled = true
	}
	for i := range c.Kinds {
		k := &c.Kinds[i]
		k.Table = cmp.Or(k.Table, k.Kind)
		k.Template = cmp.Or(k.Template, "templates/"+k.InstanceName+"/pod-template.yml")
	}
}

// Machine is the kind as its machine is told of it.
func (k KindConfig) Machine() reconcile.Config {
	m := reconcile.DefaultConfig(fleet.Kind(k.Kind))
	m.Policy, m.Handoff, m.Heartbeat = fleet.Policy(k.Policy), fleet.Handoff(k.Handoff), k.Heartbeat
	m.Limits = placement.Limits{ResourcePerInstance: k.Limits.ResourcePerInstance,
		MaxInstances: k.Limits.MaxInstances, InitInstances: k.Limits.InitInstances}
	m.TxnBytes, m.MaxIDBytes = k.Limits.TxnBytes, k.MaxIDBytes
	t := k.Timings
	m.HeartbeatInterval, m.Silence, m.SilentShare = t.HeartbeatInterval, t.Silence, t.SilentShare
	m.Monitor, m.Resync, m.ResyncFloor, m.Pending, m.Patience = t.Monitor, t.Resync, t.ResyncFloor, t.Pending, t.Patience
	m.Unconfirmed, m.RetryMin, m.RetryMax = t.Unconfirmed, t.RetryMin, t.RetryMax
	m.MovesInFlight, m.Replacing = k.Throttles.MovesInFlight, k.Throttles.Replacing
	return m
}

// ConfigError is one mistake in the configuration: where it is, what is wrong, and
// what would be right.
type ConfigError struct {
	File         string
	Line, Column int    // from 1; 0 when the mistake is not in the file
	Env          string // the variable that it is in
	Path         string // the field, such as kinds[0].timings.silence; empty when the file is no YAML
	Problem      string
	Want         string
}

// Error reads "file:line:column: problem: want"; the variable, or the file alone,
// stands in front when the mistake has no place in the file.
func (e *ConfigError) Error() string {
	where := cmp.Or(e.File, "configuration")
	switch {
	case e.Env != "":
		where = e.Env
	case e.Line > 0:
		where = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	return where + ": " + e.Problem + ": " + e.Want
}

// ConfigErrors are the mistakes of a configuration in the order of the file, at
// most 100.
type ConfigErrors []*ConfigError

// Error is one line for each mistake.
func (es ConfigErrors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

const maxConfigErrors = 100

// LoadConfig reads the file's data over the defaults, and the environment over
// both (see EnvironmentOf), and validates the whole. path is only for errors;
// data may be empty: then the defaults and the environment are all. It answers
// ConfigErrors. Secrets that stand in files are not read yet: see ReadSecrets.
func LoadConfig(path string, data []byte, getenv func(string) string) (*Config, error) {
	d := &configDecoder{file: path, at: map[string]configPlace{}, bad: map[string]bool{}}
	c := defaults()
	root, wrong := parseConfigYAML(path, data)
	if wrong != nil {
		return nil, ConfigErrors{wrong}
	}
	if root != nil {
		d.config(root, c)
	}
	d.environment(c, getenv)
	c.complete()
	for _, e := range c.mistakes(d.given) {
		if !d.unread(e.Path) {
			d.failAt(e.Path, e.Problem, e.Want)
		}
	}
	if len(d.errs) == 0 {
		return c, nil
	}
	slices.SortStableFunc(d.errs, func(a, b *ConfigError) int {
		return cmp.Or(cmp.Compare(a.Env, b.Env), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return nil, d.errs[:min(len(d.errs), maxConfigErrors)]
}

// Validate answers ConfigErrors for what is not valid.
func (c *Config) Validate() error {
	if es := c.mistakes(nil); len(es) > 0 {
		return es
	}
	return nil
}
