// Package wire runs the whole platform in one process, with servers that speak
// the real protocols on loopback: ZooKeeper, Kafka, MQTT, Kubernetes with a
// kubelet whose pods are simulated DACs, and a data centre with an SQLite
// database. The production orchestrator and its adapters run against it
// unchanged: `dacorch serve --dev` for people, `dacorch sim run --on wire` for
// scenarios, which Run plays in real time.
package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire/kafka"
	"dacorch/sim/wire/kubernetes"
	"dacorch/sim/wire/mqtt"
	"dacorch/sim/wire/zookeeper"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Kind is a kind as the platform around the orchestrator knows it.
type Kind struct {
	Kind              fleet.Kind
	InstanceName      string        // pods are named <InstanceName>-<id>
	Table             string        // of the database; default the kind's name
	Heartbeat         bool          // its DACs send heartbeats
	HeartbeatInterval time.Duration // how often
	Confirms          bool          // its DACs confirm what they have applied
	Session           time.Duration // of its DACs at ZooKeeper; default 10 s
	// Idle pods run and do nothing: somebody else plays the DACs.
	Idle bool
}

// Config says what platform to start. The zero value but for Kinds is one on
// free ports that keeps nothing.
type Config struct {
	Kinds []Kind
	// Dir keeps everything over a restart; empty: a temporary one that Close
	// removes.
	Dir string
	// Fixed has each server try its usual port first (2181, 9092, 1883), and take
	// a free one only where that is taken.
	Fixed bool
	// ZooKeeper is the address of one that runs elsewhere, instead of the platform's
	// own.
	ZooKeeper string
	// MQTT is the URL of a broker that runs elsewhere, mqtt://host:port, instead of
	// the platform's own.
	MQTT string
	// Database is the URL of a PostgreSQL that runs elsewhere, in which the data
	// centre makes its tables.
	Database string
	// Nodes and PodsPerNode bound the pods; default 10 nodes for 1000 pods each. With
	// a negative number no node takes any until AddNode.
	Nodes, PodsPerNode int
	// PodStart is how long a pod is Pending; 0 is no delay.
	PodStart time.Duration
	// EvictAfter is how long after the loss of a node its pods are marked for
	// deletion; default 5 minutes.
	EvictAfter time.Duration
	// Restarts says that RestartZooKeeper will be called: it keeps its data in Dir.
	Restarts bool
	// SessionMin is the shortest ZooKeeper session; default 400 ms.
	SessionMin time.Duration
	// Facts, unless nil, is told what the DACs do.
	Facts Facts
	Log   *slog.Logger // nil: discards
}

// Facts is told what the DACs say they do, as it happens; on any goroutine.
type Facts interface {
	// Ran says that an instance's DAC has started or stopped running a resource;
	// pod is the uid of the pod that it is the program of, here as below.
	Ran(kind fleet.Kind, id fleet.InstanceID, pod, resource string, on bool)
	// Reloaded says that it has applied its list as of these times.
	Reloaded(kind fleet.Kind, id fleet.InstanceID, times int64)
	// Alive says that it is able to work, or no longer is.
	Alive(kind fleet.Kind, id fleet.InstanceID, pod string, able bool)
	// Hung says that it does nothing any more, although its program has not ended.
	Hung(kind fleet.Kind, id fleet.InstanceID)
	// Zombie says the same of one that sends heartbeats and keeps its session.
	Zombie(kind fleet.Kind, id fleet.InstanceID)
	// Beat says that it has sent a heartbeat.
	Beat(kind fleet.Kind, id fleet.InstanceID)
}

// Platform is a running platform.
type Platform struct {
	ZooKeeper  *zookeeper.Server
	Kafka      *kafka.Server
	MQTT       *mqtt.Server
	Kubernetes *kubernetes.Server
	Centre     *DataCentre
	DACs       *DACs

	kinds    []Kind
	ensemble zookeeper.Config // of ZooKeeper, with the address that it has
	outside  string           // address of a ZooKeeper that runs elsewhere
	broker   string           // URL of an MQTT broker that runs elsewhere
	dir      string
	temp     bool
	closers  []func() error
}

// Namespace is where the pods stand.
const Namespace = "iota"

// heartbeatTopic is the topic of heartbeats, and heartbeatPartitions how many
// partitions it has.
const (
	heartbeatTopic      = "HeartBeat"
	heartbeatPartitions = 3
)

// Start starts every server. They are ready when it returns.
func Start(cfg Config) (p *Platform, err error) {
	if len(cfg.Kinds) == 0 {
		return nil, &fleet.FieldError{Field: "kinds", Value: "[]", Want: "at least one kind"}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p = &Platform{dir: cfg.Dir, kinds: cfg.Kinds, outside: cfg.ZooKeeper, broker: cfg.MQTT}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
			p = nil
		}
	}()
	if p.dir == "" {
		p.temp = true
		if p.dir, err = os.MkdirTemp("", "dacorch-"); err != nil {
			return p, fmt.Errorf("a directory for the platform: %w", err)
		}
	}
	for _, start := range []func(Config) error{p.startZooKeeper, p.startKafka, p.startMQTT, p.startCentre, p.startKubernetes} {
		if err := start(cfg); err != nil {
			return p, err
		}
	}
	return p, nil
}

// Close stops everything and waits for it.
func (p *Platform) Close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	p.closers = nil
	if p.temp && p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}

func (p *Platform) onClose(f func() error) { p.closers = append(p.closers, f) }

// sub is a server's own directory; none for a platform that keeps nothing.
func (p *Platform) sub(cfg Config, name string) (string, error) {
	if cfg.Dir == "" {
		return "", nil
	}
	dir := p.dir + "/" + name
	return dir, os.MkdirAll(dir, 0o700)
}

// address is where a server listens.
func address(cfg Config, port int) string {
	if cfg.Fixed {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil && l.Close() == nil {
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	return "127.0.0.1:0"
}

// ZooKeeperAddr is where ZooKeeper answers.
func (p *Platform) ZooKeeperAddr() string {
	if p.outside != "" {
		return p.outside
	}
	return p.ensemble.Addr
}

func (p *Platform) startZooKeeper(cfg Config) error {
	if p.outside != "" {
		return nil
	}
	dir := ""
	if cfg.Dir != "" || cfg.Restarts {
		dir = filepath.Join(p.dir, "zookeeper")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	shortest := cfg.SessionMin
	if shortest == 0 {
		shortest = 400 * time.Millisecond
	}
	p.ensemble = zookeeper.Config{Addr: address(cfg, 2181), DataDir: dir,
		TickTime: shortest / 4, MinSessionTimeout: shortest, MaxSessionTimeout: time.Minute}
	var err error
	if p.ZooKeeper, err = zookeeper.Start(p.ensemble); err != nil {
		return fmt.Errorf("ZooKeeper: %w", err)
	}
	p.ensemble.Addr = p.ZooKeeper.Addr()
	p.onClose(func() error { return p.ZooKeeper.Close() })
	return nil
}

// StopZooKeeper ends the server with every connection, until RestartZooKeeper. The
// platform's Config says Restarts.
func (p *Platform) StopZooKeeper() error { return p.ZooKeeper.Close() }

// RestartZooKeeper starts the server that was stopped, with all that was written,
// at its address. Sessions have their whole timeout to come back. It is another
// Server, which has neither observer nor faults.
func (p *Platform) RestartZooKeeper() error {
	s, err := zookeeper.Start(p.ensemble)
	for tries := 1; errors.Is(err, syscall.EADDRINUSE) && tries < 50; tries++ { // somebody's own port for a moment
		time.Sleep(20 * time.Millisecond)
		s, err = zookeeper.Start(p.ensemble)
	}
	if err != nil {
		return fmt.Errorf("ZooKeeper, again: %w", err)
	}
	p.ZooKeeper = s
	return nil
}

func (p *Platform) startKafka(cfg Config) error {
	dir, err := p.sub(cfg, "kafka")
	if err != nil {
		return err
	}
	p.Kafka, err = kafka.Start(kafka.Config{Addr: address(cfg, 9092), DataDir: dir, Topics: map[string]int{heartbeatTopic: heartbeatPartitions}})
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	p.onClose(func() error { p.Kafka.Close(); return nil })
	return nil
}

// MQTTURL is where the MQTT broker answers, mqtt://host:port.
func (p *Platform) MQTTURL() string {
	if p.broker != "" {
		return p.broker
	}
	return p.MQTT.URL()
}

func (p *Platform) startMQTT(cfg Config) error {
	if p.broker != "" {
		return nil
	}
	dir, err := p.sub(cfg, "mqtt")
	if err != nil {
		return err
	}
	p.MQTT, err = mqtt.Start(mqtt.Config{Addr: address(cfg, 1883), DataDir: dir, Log: cfg.Log})
	if err != nil {
		return fmt.Errorf("MQTT: %w", err)
	}
	p.onClose(p.MQTT.Close)
	return nil
}

func (p *Platform) startCentre(cfg Config) (err error) {
	publish := func(payload []byte) error { return p.MQTT.Publish(topic, payload, 1, false) }
	if p.broker != "" {
		var end func()
		if publish, end, err = Publisher(paho.NewClientOptions().AddBroker(p.broker)); err != nil {
			return err
		}
		p.onClose(func() error { end(); return nil })
	}
	p.Centre, err = openCentre(cfg.Database, p.dir, cfg.Kinds, publish)
	if err != nil {
		return err
	}
	p.onClose(p.Centre.Close)
	return nil
}

func (p *Platform) startKubernetes(cfg Config) (err error) {
	if cfg.Nodes == 0 {
		cfg.Nodes, cfg.PodsPerNode = 10, 1000
	}
	p.DACs, err = newDACs(p, cfg)
	if err != nil {
		return err
	}
	p.onClose(p.DACs.close)
	p.Kubernetes, err = kubernetes.Start(kubernetes.Config{Namespaces: []string{Namespace}, Nodes: max(cfg.Nodes, 1), PodsPerNode: cfg.PodsPerNode,
		StartDelay: cfg.PodStart, RestartBackoff: -1, EvictAfter: cfg.EvictAfter, Runner: p.DACs, Events: true})
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	p.onClose(func() error { p.Kubernetes.Close(); return nil })
	if cfg.Nodes < 0 {
		return p.Kubernetes.Cordon(firstNode, true) // the server has one at least
	}
	return nil
}

// firstNode is the node that the cluster has in any case.
const firstNode = "node-0"

// Kubeconfig is the file that says how to reach the cluster, once Configure has
// written it.
func (p *Platform) Kubeconfig() string { return filepath.Join(p.dir, "kubeconfig") }

// Populate makes rows in a kind's table until it has that many, and tells
// nobody. Their ids are names that a person can type.
func (p *Platform) Populate(ctx context.Context, kind string, rows int) error {
	s := Statement{Kind: fleet.Kind(kind), Verb: Create, Silent: true}
	for i := range rows {
		s.Rows = append(s.Rows, fleet.Resource{ID: fmt.Sprintf("%s-%06d", strings.ToLower(kind), i)})
	}
	_, err := p.Centre.Do(ctx, s)
	return err
}

// FollowAnnouncements has the data centre commit what others announce on
// cm/notify, until ctx ends: so that a row that a person publishes exists.
func (p *Platform) FollowAnnouncements(ctx context.Context, log *slog.Logger) error {
	return p.listen(ctx, func(payload []byte) {
		if err := p.Centre.hear(ctx, payload); err != nil && ctx.Err() == nil {
			log.Warn("an announcement that the data centre could not follow", "error", err)
		}
	})
}
