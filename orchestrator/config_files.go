package orchestrator

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"dacorch/orchestrator/internal/kubernetes"
)

// CheckFiles reads every file that the configuration names: secrets, tokens,
// certificates, the kubeconfig, templates. It answers warnings about them, and an
// error for each that cannot be used. It speaks to no server.
func (c *Config) CheckFiles() (warnings []string, err error) {
	own := *c
	warnings, err = own.ReadSecrets()
	errs := []error{err, own.checkAPI()}
	for _, t := range []struct {
		path string
		TLSConfig
	}{{"zookeeper.tls", c.ZooKeeper.TLS}, {"kafka.tls", c.Kafka.TLS}, {"mqtt.tls", c.MQTT.TLS}} {
		if _, err := t.client(); err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", t.path, err))
		}
	}
	if c.Kubernetes.Kubeconfig != "" {
		if err := kubernetes.CheckKubeconfig(c.Kubernetes.Kubeconfig); err != nil {
			errs = append(errs, fmt.Errorf("kubernetes.kubeconfig: %w", err))
		}
	}
	for i, k := range c.Kinds {
		if _, err := kubernetes.LoadTemplate(k.Template); err != nil {
			errs = append(errs, fmt.Errorf("kinds[%d].template: %w", i, err))
		}
	}
	return warnings, errors.Join(errs...)
}

// checkAPI makes the server of the REST interface, which reads its files, and asks
// whether it would listen.
func (c *Config) checkAPI() error {
	server, err := newServer(c, nil, nil, newMetrics(), slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	var addr net.Addr // none: an address that is not loopback
	if allLoopback([]string{c.API.Listen}) {
		addr = &net.TCPAddr{IP: net.IPv6loopback}
	}
	if err := server.CheckAddr(addr); err != nil {
		return fmt.Errorf("api.listen: %w", err)
	}
	return nil
}

// ReadSecrets reads the files that hold passwords and the database's URL into the
// fields beside them (all but database.passwordFile, which is read at every
// connection). It warns of files with secrets that others may read, and of secrets
// that cross a network readably. Its error names every file that cannot be used.
func (c *Config) ReadSecrets() (warnings []string, err error) {
	var failed []error
	for _, s := range []struct {
		path, file string
		into       *string
	}{
		{"zookeeper.passwordFile", c.ZooKeeper.PasswordFile, &c.ZooKeeper.Password},
		{"kafka.sasl.passwordFile", c.Kafka.SASL.PasswordFile, &c.Kafka.SASL.Password},
		{"mqtt.passwordFile", c.MQTT.PasswordFile, &c.MQTT.Password},
		{"database.urlFile", c.Database.URLFile, &c.Database.URL},
		{"database.passwordFile", c.Database.PasswordFile, new(string)},
	} {
		if s.file == "" {
			continue
		}
		word, exposed, err := readSecret(s.file)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.path, err))
			continue
		}
		if exposed {
			warnings = append(warnings, openWarning(s.path, s.file))
		}
		*s.into = word
	}
	for _, s := range []struct{ path, file string }{
		{"api.tokenFile", c.API.TokenFile}, {"api.keyFile", c.API.KeyFile}, {"kubernetes.kubeconfig", c.Kubernetes.Kubeconfig},
		{"zookeeper.tls.keyFile", c.ZooKeeper.TLS.KeyFile}, {"kafka.tls.keyFile", c.Kafka.TLS.KeyFile}, {"mqtt.tls.keyFile", c.MQTT.TLS.KeyFile},
	} {
		if info, err := os.Stat(s.file); s.file != "" && err == nil && open(info) { // whoever uses it says what is wrong with it
			warnings = append(warnings, openWarning(s.path, s.file))
		}
	}
	return append(warnings, c.readable()...), errors.Join(failed...)
}

func open(info fs.FileInfo) bool { return info.Mode().Perm()&0o007 != 0 }

func openWarning(path, file string) string {
	return fmt.Sprintf("%s: everybody on this machine may read %s: chmod o= it", path, file)
}

// readable warns of secrets that leave this machine unencrypted.
func (c *Config) readable() (warnings []string) {
	warn := func(off bool, secret, instead string) {
		if off {
			warnings = append(warnings, secret+" crosses the network so that others can read it: "+instead)
		}
	}
	m := c.MQTT.apart()
	broker, err := url.Parse(m.URL)
	warn(m.Password != "" && !m.TLS.Enabled && err == nil && !isLoopback(broker.Hostname()), "mqtt.password", "want mqtts:// in mqtt.url")
	warn(c.Kafka.SASL.Mechanism == "PLAIN" && !c.Kafka.TLS.Enabled && !allLoopback(c.Kafka.Brokers), "kafka.sasl.password", "want kafka.tls, or a mechanism of SCRAM")
	warn(c.ZooKeeper.Password != "" && !c.ZooKeeper.TLS.Enabled && !allLoopback(c.ZooKeeper.Servers), "zookeeper.password", "want zookeeper.tls")
	warn(c.API.CertFile == "" && !allLoopback([]string{c.API.Listen}), "a token of the REST interface", "want api.certFile, or something in front that speaks TLS")
	return warnings
}

func allLoopback(addrs []string) bool {
	return !slices.ContainsFunc(addrs, func(addr string) bool {
		host, _, err := net.SplitHostPort(addr)
		return err != nil || !isLoopback(host)
	})
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func readSecret(path string) (word string, exposed bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	const most = 4096
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", false, err
	}
	word = strings.TrimRight(string(data), "\r\n")
	if word == "" || len(data) > most || strings.ContainsAny(word, "\r\n\x00") {
		return "", false, fmt.Errorf("%s is not a secret: want one line of at most %d bytes", path, most)
	}
	return word, open(info), nil
}
