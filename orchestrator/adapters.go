package orchestrator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/internal/database"
	"dacorch/orchestrator/internal/kafka"
	"dacorch/orchestrator/internal/kubernetes"
	"dacorch/orchestrator/internal/mqtt"
	"dacorch/orchestrator/internal/zookeeper"
	"dacorch/orchestrator/loop"
)

// adapters are the connections to the servers around the orchestrator.
type adapters struct {
	zookeeper  *zookeeper.Client
	kafka      *kafka.Consumer // nil when no kind has heartbeats
	mqtt       *mqtt.Client
	database   *database.DB
	kubernetes *kubernetes.Client
}

// connect makes the adapters. None of them waits for its server.
func connect(cfg *Config, log *slog.Logger) (_ *adapters, err error) {
	own := *cfg // whoever gave it keeps it without the secrets
	cfg = &own
	warnings, err := cfg.ReadSecrets()
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	a := &adapters{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	for _, step := range []struct {
		section string
		connect func(*Config, *slog.Logger) error
	}{
		{"zookeeper", a.connectZooKeeper}, {"kafka", a.connectKafka}, {"mqtt", a.connectMQTT},
		{"database", a.connectDatabase}, {"kubernetes", a.connectKubernetes},
	} {
		if err := step.connect(cfg, log.With("adapter", step.section)); err != nil {
			return nil, fmt.Errorf("%s: %w", step.section, err)
		}
	}
	return a, nil
}

// checkTables asks the database once, in its own time, whether the tables are
// what the configuration says, so that a wrong name is told as such and not only
// as a listing that fails again and again.
func (a *adapters) checkTables(ctx context.Context, log *slog.Logger) {
	if err := a.database.Check(ctx); err != nil && ctx.Err() == nil {
		log.Error("the database is not as configured, or cannot be asked", "error", err)
	}
}

func (a *adapters) ports() loop.Ports {
	p := loop.Ports{Election: a.zookeeper, Store: a.zookeeper, Pods: a.kubernetes, Database: a.database, Notifications: a.mqtt}
	if a.kafka != nil {
		p.Heartbeats = a.kafka
	}
	return p
}

// close ends every connection.
func (a *adapters) close() error {
	var err error
	if a.kubernetes != nil {
		err = a.kubernetes.Close()
	}
	if a.database != nil {
		a.database.Close()
	}
	if a.zookeeper != nil {
		a.zookeeper.Close()
	}
	return err
}

func (a *adapters) connectZooKeeper(cfg *Config, log *slog.Logger) (err error) {
	zc, err := cfg.forZooKeeper(log)
	if err == nil {
		a.zookeeper, err = zookeeper.New(zc)
	}
	return err
}

func (c *Config) forZooKeeper(log *slog.Logger) (zookeeper.Config, error) {
	z := &c.ZooKeeper
	secure, err := z.TLS.client()
	return zookeeper.Config{Servers: z.Servers, SessionTimeout: z.SessionTimeout, RequestTimeout: z.RequestTimeout,
		MaxRequest: z.MaxRequest, User: z.User, Password: z.Password, OthersMay: z.OthersMay, TLS: secure, Log: log}, err
}

func (a *adapters) connectKafka(cfg *Config, log *slog.Logger) (err error) {
	if !slices.ContainsFunc(cfg.Kinds, func(k KindConfig) bool { return k.Heartbeat }) {
		return nil
	}
	kc, err := cfg.forKafka(log)
	if err == nil {
		a.kafka, err = kafka.New(kc)
	}
	return err
}

// minBeatAge is the least age at which the Kafka adapter can be told to leave
// heartbeats out; shorter silences are for tests.
const minBeatAge = time.Second

func (c *Config) forKafka(log *slog.Logger) (kafka.Config, error) {
	k := &c.Kafka
	secure, err := k.TLS.client()
	kc := kafka.Config{Brokers: k.Brokers, Topic: k.Topic, GroupPrefix: k.GroupPrefix, ClientID: k.ClientID, MaxAge: minBeatAge,
		SASL: kafka.SASL{Mechanism: k.SASL.Mechanism, User: k.SASL.User, Password: k.SASL.Password}, TLS: secure, Log: log}
	for _, kind := range c.Kinds {
		if kind.Heartbeat {
			kc.MaxAge = max(kc.MaxAge, kind.Timings.Silence)
		}
	}
	return kc, err
}

func (a *adapters) connectMQTT(cfg *Config, log *slog.Logger) (err error) {
	a.mqtt, err = mqtt.New(cfg.forMQTT(log))
	return err
}

func (c *Config) forMQTT(log *slog.Logger) mqtt.Config {
	m := c.MQTT.apart()
	groups := map[fleet.Kind]string{}
	for _, k := range c.Kinds {
		if k.GroupColumn != "" {
			groups[fleet.Kind(k.Kind)] = k.GroupColumn
		}
	}
	return mqtt.Config{URL: m.URL, Topic: m.Topic, ClientID: m.ClientID, User: m.User, Password: m.Password,
		TLS:         mqtt.TLS{CA: m.TLS.CAFile, Cert: m.TLS.CertFile, Key: m.TLS.KeyFile, ServerName: m.TLS.ServerName},
		GroupColumn: groups, Reconnect: m.Reconnect, KeepAlive: m.KeepAlive, Log: log}
}

// apart takes user and password out of the URL, where the environment may have
// put them.
func (m MQTTConfig) apart() MQTTConfig {
	u, err := url.Parse(m.URL)
	if err != nil || u.User == nil {
		return m
	}
	m.User = u.User.Username()
	if password, given := u.User.Password(); given {
		m.Password = password
	}
	u.User = nil
	m.URL = u.String()
	return m
}

func (a *adapters) connectDatabase(cfg *Config, _ *slog.Logger) (err error) {
	a.database, err = database.Open(context.Background(), cfg.forDatabase())
	return err
}

func (c *Config) forDatabase() database.Config {
	d := &c.Database
	tables := map[fleet.Kind]database.Table{}
	for _, k := range c.Kinds {
		tables[fleet.Kind(k.Kind)] = database.Table{Schema: k.Schema, Name: k.Table, IDColumn: k.IDColumn, GroupColumn: k.GroupColumn}
	}
	return database.Config{URL: d.URL, User: d.User, Password: d.Password, PasswordFile: d.PasswordFile,
		PageSize: d.PageSize, StatementTimeout: d.StatementTimeout, MaxConns: d.MaxConns, Tables: tables}
}

func (a *adapters) connectKubernetes(cfg *Config, log *slog.Logger) (err error) {
	kc, err := cfg.forKubernetes(log)
	if err == nil {
		a.kubernetes, err = kubernetes.New(kc)
	}
	return err
}

func (c *Config) forKubernetes(log *slog.Logger) (kubernetes.Config, error) {
	k := &c.Kubernetes
	kinds := map[fleet.Kind]kubernetes.KindConfig{}
	for i, kind := range c.Kinds {
		template, err := kubernetes.LoadTemplate(kind.Template)
		if err != nil {
			return kubernetes.Config{}, fmt.Errorf("kinds[%d].template: %w", i, err)
		}
		kinds[fleet.Kind(kind.Kind)] = kubernetes.KindConfig{InstanceName: kind.InstanceName, Template: template, GracePeriod: kind.GracePeriod}
	}
	return kubernetes.Config{Kubeconfig: k.Kubeconfig, Namespace: k.Namespace, Orchestrator: k.Orchestrator,
		Kinds: kinds, IgnoreUnlabelled: k.IgnoreUnlabelled, QPS: k.QPS, Burst: k.Burst, RequestTimeout: k.RequestTimeout, Log: log}, nil
}

// client is an encrypted connection's side of TLS; nil where it is not enabled.
func (t TLSConfig) client() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no certificate: want PEM", t.CAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			return nil, fmt.Errorf("certFile, keyFile: %w", err)
		}
		// Read anew for each connection, so that a renewed certificate counts.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			return &pair, err
		}
	}
	return c, nil
}
