package orchestrator

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
)

// mistakes is everything that is wrong with the values, in the order of the
// fields. inFile says which fields the file gave, where that matters.
func (c *Config) mistakes(inFile func(path string) bool) ConfigErrors {
	m := &mistakes{inFile: inFile}
	eachField(reflect.ValueOf(c).Elem(), "", m.field)
	m.top(c)
	m.login("zookeeper", c.ZooKeeper.User, c.ZooKeeper.Password, c.ZooKeeper.PasswordFile)
	m.login("mqtt", c.MQTT.User, c.MQTT.Password, c.MQTT.PasswordFile)
	m.tls("zookeeper.tls", c.ZooKeeper.TLS)
	m.tls("kafka.tls", c.Kafka.TLS)
	m.tls("mqtt.tls", c.MQTT.TLS)
	m.kafka(c.Kafka)
	m.mqtt(c.MQTT)
	m.database(c.Database)
	m.kubernetes(c.Kubernetes)
	if least := (len(c.Kinds) + 1) * c.Record.Segment; c.Record.Total < least {
		m.add("record.total", fmt.Sprintf("%d has no room for a file of each kind and one that is over", c.Record.Total),
			fmt.Sprintf("want at least %d, or smaller files (record.segment)", least))
	}
	m.kinds(c.Kinds)
	for i, k := range c.Kinds {
		if k.Limits.TxnBytes > c.ZooKeeper.MaxRequest {
			m.add(fmt.Sprintf("kinds[%d].limits.txnBytes", i), fmt.Sprintf("%d is more than ZooKeeper takes in one packet", k.Limits.TxnBytes),
				fmt.Sprintf("want at most zookeeper.maxRequest (%d)", c.ZooKeeper.MaxRequest))
		}
	}
	return m.found
}

type mistakes struct {
	inFile func(string) bool
	found  ConfigErrors
}

func (m *mistakes) add(path, problem, want string) {
	m.found = append(m.found, &ConfigError{Path: path, Problem: path + ": " + problem, Want: want})
}

// field holds one to its tag.
func (m *mistakes) field(path string, field reflect.StructField, v reflect.Value) {
	bad := func(shown string) { m.add(path, shown+" is not valid", "want "+typeOf(v.Type(), field.Tag)) }
	low, high := field.Tag.Get("min"), field.Tag.Get("max")
	switch value := v.Interface().(type) {
	case time.Duration:
		least, _ := time.ParseDuration(low)
		most, _ := time.ParseDuration(high)
		if value < least || value > most {
			bad(value.String())
		}
	case int:
		least, _ := strconv.Atoi(low)
		most, _ := strconv.Atoi(high)
		if value < least || value > most {
			bad(strconv.Itoa(value))
		}
	case float64:
		least, _ := strconv.ParseFloat(low, 64)
		most, _ := strconv.ParseFloat(high, 64)
		if !(value >= least && value <= most) {
			bad(strconv.FormatFloat(value, 'g', -1, 64))
		}
	case string:
		words := field.Tag.Get("oneOf")
		optional := path == "kafka.sasl.mechanism" && value == ""
		if words != "" && !optional && !slices.Contains(strings.Fields(words), value) {
			bad(strconv.Quote(shortened(value)))
		}
	}
}

func (m *mistakes) top(c *Config) {
	if c.Name == "" {
		m.add("name", `"" is not valid`, "want the process's name: this machine has none")
	}
	loopback := m.listen(c.API)
	m.advertise(c.API, loopback)
	if (c.API.CertFile == "") != (c.API.KeyFile == "") {
		m.add("api.certFile", "certFile and keyFile belong together", "want both, or neither for plain HTTP")
	}
	if !loopback {
		if c.API.Anonymous != "none" {
			m.add("api.anonymous", c.API.Anonymous+" counts only on loopback, and api.listen is not", "want none, and a tokenFile")
		}
		if c.API.TokenFile == "" && c.API.Token == "" {
			m.add("api.listen", "nobody could call: there are no tokens, and no anonymous access off loopback", "want api.tokenFile, or IOTA_TOKEN in the environment")
		}
	}
	if n := len(c.API.Token); n > 0 && (n < 8 || strings.ContainsAny(c.API.Token, " \t")) {
		m.add("api.token", "what it holds is not a token", "want at least 8 characters without blanks")
	}
	for _, servers := range []struct {
		path, usual string
		list        []string
	}{{"zookeeper.servers", "localhost:2181", c.ZooKeeper.Servers}, {"kafka.brokers", "localhost:9092", c.Kafka.Brokers}} {
		for _, s := range servers.list {
			host, port, err := net.SplitHostPort(s)
			switch {
			case strings.Contains(s, "@"): // not shown: what stands before it may be a password
				m.add(servers.path, "one of them has a user before its host", "want host:port, and the user and password in fields of their own")
			case err != nil || host == "" || !isPort(port):
				m.add(servers.path, strconv.Quote(shortened(s))+" is not valid", "want host:port, such as "+servers.usual)
			}
		}
	}
	if strings.Trim(c.ZooKeeper.OthersMay, "crwda") != "" {
		m.add("zookeeper.othersMay", strconv.Quote(shortened(c.ZooKeeper.OthersMay))+" is not valid", "want letters of crwda (create, read, write, delete, admin)")
	}
}

func (m *mistakes) listen(a APIConfig) (loopback bool) {
	host, port, err := net.SplitHostPort(a.Listen)
	if err != nil || !isPort(port) && port != "0" {
		m.add("api.listen", strconv.Quote(shortened(a.Listen))+" is not valid", "want host:port, such as 127.0.0.1:8080 or :8080 for every address")
		return true
	}
	return isLoopback(host)
}

func (m *mistakes) advertise(a APIConfig, loopback bool) {
	u, err := url.Parse(a.Advertise)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		m.add("api.advertise", "it is not the URL of this process", "want such as http://10.0.0.7:8080")
	case u.Scheme == "http" && a.CertFile != "":
		m.add("api.advertise", "it begins with http: although api.certFile switches HTTPS on", "want https://host:port")
	case !loopback && isEverywhere(u.Hostname()):
		m.add("api.advertise", "its host stands for every address, so whoever forwards to it reaches itself", "want the host by which the other processes reach this one, such as http://10.0.0.7:8080")
	}
}

func isEverywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// login wants a user for a password, and one password.
func (m *mistakes) login(path, user, password, file string) {
	switch {
	case password != "" && file != "":
		m.add(path+".passwordFile", "the password is given twice, also by "+EnvironmentOf(path+".password"), "want one of them")
	case user == "" && (password != "" || file != ""):
		m.add(path+".passwordFile", "a password without "+path+".user", "want both, or neither")
	}
}

func (m *mistakes) tls(path string, t TLSConfig) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		m.add(path+".certFile", "certFile and keyFile belong together", "want both, or neither to show no certificate")
	}
	if !t.Enabled && t != (TLSConfig{}) {
		m.add(path+".enabled", "it is false beside settings that then mean nothing", "want enabled: true")
	}
}

func (m *mistakes) kafka(k KafkaConfig) {
	m.login("kafka.sasl", k.SASL.User, k.SASL.Password, k.SASL.PasswordFile)
	if (k.SASL.Mechanism == "") != (k.SASL.User == "") {
		m.add("kafka.sasl.mechanism", "mechanism and user belong together", "want both, or neither to log in as nobody")
	}
	for path, text := range map[string]string{"kafka.topic": k.Topic, "kafka.clientId": k.ClientID} {
		if text == "" {
			m.add(path, `"" is not valid`, "want a name")
		}
	}
}

func (m *mistakes) mqtt(c MQTTConfig) {
	u, err := url.Parse(c.URL)
	switch {
	case m.passwordIn("mqtt.url", c.URL, "mqtt.user and mqtt.passwordFile"):
	case err != nil || u.Scheme != "mqtt" && u.Scheme != "mqtts" || u.Hostname() == "" || u.Port() != "" && !isPort(u.Port()) || strings.Trim(u.Path, "/") != "":
		m.add("mqtt.url", "it is not the URL of a broker", "want mqtt://host:port, or mqtts://host:port with TLS")
	case c.TLS.Enabled && u.Scheme == "mqtt":
		m.add("mqtt.url", "it begins with mqtt: although mqtt.tls.enabled is true", "want mqtts://host:port")
	case u.User != nil && c.User != "":
		m.add("mqtt.user", "the user is given twice, also by mqtt.url", "want one of them")
	}
	if c.KeepAlive%time.Second != 0 {
		m.add("mqtt.keepAlive", c.KeepAlive.String()+" is not valid", "want whole seconds")
	}
	if c.Topic == "" {
		m.add("mqtt.topic", `"" is not valid`, "want a topic, such as cm/notify")
	}
}

func (m *mistakes) database(d DatabaseConfig) {
	scheme, rest, _ := strings.Cut(d.URL, ":")
	switch {
	case d.URL == "" && d.URLFile == "":
		m.add("database.url", "there is none", "want postgres://user@host:port/name or sqlite:path here, in a file that database.urlFile names, or in IOTA_DB")
	case d.URL != "" && d.URLFile != "":
		m.add("database.urlFile", "the URL is given twice, also by database.url", "want one of them")
	case m.passwordIn("database.url", d.URL, "database.passwordFile, or the whole URL in a file that database.urlFile names"):
	case d.URL != "" && (!slices.Contains([]string{"postgres", "postgresql", "sqlite", "file"}, scheme) || rest == ""):
		m.add("database.url", "it is not the URL of a database", "want postgres://user@host:port/name or sqlite:path")
	}
	if d.Password != "" && d.PasswordFile != "" {
		m.add("database.passwordFile", "the password is given twice, also by "+EnvironmentOf("database.password"), "want one of them")
	}
}

var (
	namespacePattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	labelValuePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
)

func (m *mistakes) kubernetes(k KubernetesConfig) {
	if !namespacePattern.MatchString(k.Namespace) {
		m.add("kubernetes.namespace", strconv.Quote(shortened(k.Namespace))+" is not valid", "want a namespace's name: at most 63 of a-z, 0-9 and -")
	}
	if !labelValuePattern.MatchString(k.Orchestrator) {
		m.add("kubernetes.orchestrator", strconv.Quote(shortened(k.Orchestrator))+" is not valid", "want a label's value: at most 63 letters, digits, - _ and .")
	}
}

// passwordIn refuses a URL with a password in the file; in the environment it may
// stand.
func (m *mistakes) passwordIn(path, text, instead string) bool {
	if m.inFile == nil || !m.inFile(path) || !hasPassword(text) {
		return false
	}
	m.add(path, "a password has no place in this file, which many may read", "want it without, and "+instead)
	return true
}

// passwordPattern finds it up to the last @, for a password may hold one.
var passwordPattern = regexp.MustCompile(`//[^/?#]*:.*@|[?&](?i:password|sslpassword)=[^&#]*`)

func hasPassword(url string) bool { return passwordPattern.MatchString(url) }

var instanceNamePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,53}[a-z0-9])?$`)

func (m *mistakes) kinds(kinds []KindConfig) {
	if len(kinds) == 0 {
		m.add("kinds", "there are none", "want at least one, such as - kind: Thing")
	}
	names, instances := map[string]bool{}, map[string]string{}
	for i, k := range kinds {
		path := fmt.Sprintf("kinds[%d]", i)
		switch other, taken := instances[k.InstanceName]; {
		case !kindPattern.MatchString(k.Kind):
			m.add(path+".kind", strconv.Quote(shortened(k.Kind))+" is not valid", "want the table's name, such as Thing: 1 to 63 letters, digits, _ and -")
		case names[k.Kind]:
			m.add(path+".kind", k.Kind+" is there twice", "want one entry for each kind")
		case !instanceNamePattern.MatchString(k.InstanceName):
			m.add(path+".instanceName", strconv.Quote(shortened(k.InstanceName))+" is not valid", "want what its pods are called before -0, such as iota-dac: at most 55 of a-z, 0-9 and -")
		case taken:
			m.add(path+".instanceName", k.InstanceName+" is also that of "+other, "want one for each kind, or their pods would have the same names")
		}
		names[k.Kind], instances[k.InstanceName] = true, k.Kind
		if k.GracePeriod%time.Second != 0 {
			m.add(path+".gracePeriod", k.GracePeriod.String()+" is not valid", "want whole seconds")
		}
		if k.Policy == string(fleet.PolicyGroup) && k.GroupColumn == "" {
			m.add(path+".policy", "group needs to know the groups", "want groupColumn: the column that holds a row's group")
		}
		if err, ok := errors.AsType[*fleet.FieldError](k.Machine().Validate()); ok {
			m.machine(path, k, err)
		}
	}
}

var kindPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// machine tells the machine's own complaint, unless the field has been found
// wrong by its bounds.
func (m *mistakes) machine(kind string, k KindConfig, err *fleet.FieldError) {
	path := kind
	eachField(reflect.ValueOf(&k).Elem(), kind, func(at string, field reflect.StructField, _ reflect.Value) {
		if field.Tag.Get("key") == err.Field {
			path = at
		}
	})
	if !slices.ContainsFunc(m.found, func(e *ConfigError) bool { return e.Path == path }) {
		m.add(path, err.Value+" is not valid", "want "+err.Want)
	}
}
