package dac

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
)

// ConfigFromEnv reads the configuration of a pod's program. getenv is os.Getenv;
// a variable that is empty is one that is not set.
//
//	DAC_INSTANCE_ID          the instance: a whole number from 0. Required. The
//	                         orchestrator sets a pod's first variable, whatever
//	                         its name in the template
//	DAC_INSTANCE_ID_FROM     the name of that variable where it is another
//	IOTA_KIND                the kind, such as Thing. Required
//	IOTA_ZOOKEEPER           host:port of the servers, with commas; localhost:2181
//	IOTA_ZOOKEEPER_SESSION   the session's timeout; 10s
//	IOTA_ZOOKEEPER_TLS_CA    file with the certificates to trust (PEM): switches TLS on
//	IOTA_ZOOKEEPER_USER      user at ZooKeeper (scheme digest), with a password
//	IOTA_ZOOKEEPER_PASSWORD  or IOTA_ZOOKEEPER_PASSWORD_FILE, a file that holds it
//	IOTA_KAFKA               host:port of some brokers, with commas; localhost:9092
//	IOTA_KAFKA_TLS_CA        file with the certificates to trust (PEM): switches TLS on
//	IOTA_KAFKA_SASL_MECHANISM  PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; no login
//	IOTA_KAFKA_USER          user at Kafka, with a password
//	IOTA_KAFKA_PASSWORD      or IOTA_KAFKA_PASSWORD_FILE, a file that holds it
//	IOTA_HEARTBEAT           on or off; on
//	IOTA_HEARTBEAT_INTERVAL  the time between two heartbeats; 60s
//	IOTA_HEARTBEAT_TOPIC     their topic; HeartBeat
//	IOTA_CONFIRMS            whether tmp/status says what has been applied, on or
//	                         off; on
//	IOTA_APPLY_LATENCY       how long a reload takes; 0s
//	IOTA_APPLY_COST          how long each resource takes to start or stop; 0s
//
// The files are read once, here. The error names the variable, and never tells a
// password.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	e := env{getenv: getenv}
	name := cmp.Or(getenv("DAC_INSTANCE_ID_FROM"), "DAC_INSTANCE_ID")
	cfg := Config{
		Kind:      fleet.Kind(e.text("IOTA_KIND", "")),
		Instance:  e.instance(name),
		ZooKeeper: e.addresses("IOTA_ZOOKEEPER", "localhost:2181"),
		Session:   e.duration("IOTA_ZOOKEEPER_SESSION", 10*time.Second, time.Millisecond),
		Kafka:     e.addresses("IOTA_KAFKA", "localhost:9092"),
		Heartbeat: e.onOff("IOTA_HEARTBEAT", true),
		Interval:  e.duration("IOTA_HEARTBEAT_INTERVAL", time.Minute, time.Millisecond),
		Topic:     e.text("IOTA_HEARTBEAT_TOPIC", "HeartBeat"),
		Confirms:  e.onOff("IOTA_CONFIRMS", true),
		Latency:   e.duration("IOTA_APPLY_LATENCY", 0, 0),
		Cost:      e.duration("IOTA_APPLY_COST", 0, 0),
	}
	cfg.TLS = e.trust("IOTA_ZOOKEEPER_TLS_CA")
	cfg.Login = e.login("IOTA_ZOOKEEPER")
	cfg.KafkaTLS = e.trust("IOTA_KAFKA_TLS_CA")
	cfg.SASL = SASL{Mechanism: e.text("IOTA_KAFKA_SASL_MECHANISM", ""), Login: e.login("IOTA_KAFKA")}
	if err := cfg.SASL.check(); err != nil && e.err == nil {
		e.err = fmt.Errorf("IOTA_KAFKA_SASL_MECHANISM, IOTA_KAFKA_USER: %w", err)
	}
	if cfg.Kind == "" {
		e.wrong("IOTA_KIND", "", "a kind such as Thing")
	}
	return cfg, e.err
}

// env reads variables and keeps the first error.
type env struct {
	getenv func(string) string
	err    error
}

func (e *env) wrong(name, value, want string) {
	if e.err == nil {
		e.err = &fleet.FieldError{Field: name, Value: strconv.Quote(value), Want: want}
	}
}

func (e *env) text(name, otherwise string) string { return cmp.Or(e.getenv(name), otherwise) }

func (e *env) instance(name string) fleet.InstanceID {
	value := e.getenv(name)
	id, err := strconv.ParseInt(value, 10, 32)
	if err != nil || id < 0 {
		e.wrong(name, value, "the instance's number, from 0 to 2147483647")
	}
	return fleet.InstanceID(id)
}

func (e *env) addresses(name, otherwise string) []string {
	var all []string
	for a := range strings.SplitSeq(e.text(name, otherwise), ",") {
		a = strings.TrimSpace(a)
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			e.wrong(name, e.getenv(name), "host:port, several with commas")
			return nil
		}
		all = append(all, a)
	}
	return all
}

func (e *env) duration(name string, otherwise, least time.Duration) time.Duration {
	value := e.getenv(name)
	if value == "" {
		return otherwise
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < least {
		e.wrong(name, value, fmt.Sprintf("a duration such as 30s, at least %s", least))
	}
	return d
}

// mostSecret bounds a file of certificates or a password.
const mostSecret = 1 << 20

// file reads the file that a variable names; nil where it names none.
func (e *env) file(name string) []byte {
	path := e.getenv(name)
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		e.wrong(name, path, "a file that can be read: "+err.Error())
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostSecret+1))
	if err == nil && len(data) > mostSecret {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		e.wrong(name, path, "a file that can be read: "+err.Error())
		return nil
	}
	return data
}

// trust is a client's side of TLS; nil where the variable is not set.
func (e *env) trust(name string) *tls.Config {
	pem := e.file(name)
	if e.getenv(name) == "" {
		return nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		e.wrong(name, e.getenv(name), "a file with certificates (PEM)")
	}
	return cfg
}

// login reads user and password; the end of a line in the password's file does not
// count.
func (e *env) login(prefix string) Login {
	l := Login{User: e.getenv(prefix + "_USER"), Password: e.getenv(prefix + "_PASSWORD")}
	if from := prefix + "_PASSWORD_FILE"; e.getenv(from) != "" {
		if l.Password != "" {
			e.wrong(from, e.getenv(from), "nothing where "+prefix+"_PASSWORD is set")
		}
		l.Password = strings.TrimRight(string(e.file(from)), "\r\n")
	}
	if err := l.check(prefix + "_USER, " + prefix + "_PASSWORD"); err != nil && e.err == nil {
		e.err = err
	}
	return l
}

func (e *env) onOff(name string, otherwise bool) bool {
	switch value := e.getenv(name); value {
	case "":
		return otherwise
	case "on":
		return true
	case "off":
		return false
	default:
		e.wrong(name, value, "on or off")
		return otherwise
	}
}
