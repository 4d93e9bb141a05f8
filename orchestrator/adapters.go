package orchestrator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
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

// CheckFiles reads every file that the configuration names: secrets, certificates,
// templates. It answers warnings about them, and an error for each that cannot
// be used. It speaks to no server.
func (c *Config) CheckFiles() (warnings []string, err error) {
	own := *c
	warnings, err = own.ReadSecrets()
	errs := []error{err}
	for _, t := range []struct {
		path string
		TLSConfig
	}{{"zookeeper.tls", c.ZooKeeper.TLS}, {"kafka.tls", c.Kafka.TLS}, {"mqtt.tls", c.MQTT.TLS}} {
		if _, err := t.client(); err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", t.path, err))
		}
	}
	for i, k := range c.Kinds {
		if _, err := kubernetes.LoadTemplate(k.Template); err != nil {
			errs = append(errs, fmt.Errorf("kinds[%d].template: %w", i, err))
		}
	}
	return warnings, errors.Join(errs...)
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
	z := &cfg.ZooKeeper
	secure, err := z.TLS.client()
	if err != nil {
		return err
	}
	a.zookeeper, err = zookeeper.New(zookeeper.Config{Servers: z.Servers, SessionTimeout: z.SessionTimeout, RequestTimeout: z.RequestTimeout,
		MaxRequest: z.MaxRequest, User: z.User, Password: z.Password, OthersMay: z.OthersMay, TLS: secure, Log: log})
	return err
}

func (a *adapters) connectKafka(cfg *Config, log *slog.Logger) (err error) {
	k := &cfg.Kafka
	secure, err := k.TLS.client()
	if err != nil {
		return err
	}
	kc := kafka.Config{Brokers: k.Brokers, Topic: k.Topic, GroupPrefix: k.GroupPrefix, ClientID: k.ClientID,
		SASL: kafka.SASL{Mechanism: k.SASL.Mechanism, User: k.SASL.User, Password: k.SASL.Password}, TLS: secure, Log: log}
	heard := false
	for _, kind := range cfg.Kinds {
		if kind.Heartbeat {
			heard = true
			kc.MaxAge = max(kc.MaxAge, kind.Timings.Silence)
		}
	}
	if !heard {
		return nil
	}
	kc.MaxAge = max(kc.MaxAge, minBeatAge)
	a.kafka, err = kafka.New(kc)
	return err
}

// minBeatAge is the least age at which the Kafka adapter can be told to leave
// heartbeats out; shorter silences are for tests.
const minBeatAge = time.Second

func (a *adapters) connectMQTT(cfg *Config, log *slog.Logger) (err error) {
	m := &cfg.MQTT
	groups := map[fleet.Kind]string{}
	for _, k := range cfg.Kinds {
		if k.GroupColumn != "" {
			groups[fleet.Kind(k.Kind)] = k.GroupColumn
		}
	}
	a.mqtt, err = mqtt.New(mqtt.Config{URL: m.URL, Topic: m.Topic, ClientID: m.ClientID, User: m.User, Password: m.Password,
		TLS:         mqtt.TLS{CA: m.TLS.CAFile, Cert: m.TLS.CertFile, Key: m.TLS.KeyFile, ServerName: m.TLS.ServerName},
		GroupColumn: groups, Reconnect: m.Reconnect, KeepAlive: m.KeepAlive, Log: log})
	return err
}

func (a *adapters) connectDatabase(cfg *Config, _ *slog.Logger) (err error) {
	d := &cfg.Database
	tables := map[fleet.Kind]database.Table{}
	for _, k := range cfg.Kinds {
		tables[fleet.Kind(k.Kind)] = database.Table{Schema: k.Schema, Name: k.Table, IDColumn: k.IDColumn, GroupColumn: k.GroupColumn}
	}
	a.database, err = database.Open(context.Background(), database.Config{URL: d.URL, User: d.User, Password: d.Password, PasswordFile: d.PasswordFile,
		PageSize: d.PageSize, StatementTimeout: d.StatementTimeout, MaxConns: d.MaxConns, Tables: tables})
	return err
}

func (a *adapters) connectKubernetes(cfg *Config, log *slog.Logger) (err error) {
	k := &cfg.Kubernetes
	kinds := map[fleet.Kind]kubernetes.KindConfig{}
	for _, c := range cfg.Kinds {
		template, err := kubernetes.LoadTemplate(c.Template)
		if err != nil {
			return err
		}
		kinds[fleet.Kind(c.Kind)] = kubernetes.KindConfig{InstanceName: c.InstanceName, Template: template, GracePeriod: c.GracePeriod}
	}
	a.kubernetes, err = kubernetes.New(kubernetes.Config{Kubeconfig: k.Kubeconfig, Namespace: k.Namespace, Orchestrator: k.Orchestrator,
		Kinds: kinds, IgnoreUnlabelled: k.IgnoreUnlabelled, QPS: k.QPS, Burst: k.Burst, RequestTimeout: k.RequestTimeout, Log: log})
	return err
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
