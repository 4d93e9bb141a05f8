package world

import (
	"fmt"
	"time"

	"dacorch/sim/internal/timeline"
)

// Config holds every latency and interval of the models. A Latency is drawn
// anew for each message; a Duration is fixed.
type Config struct {
	Database   DatabaseConfig
	MQTT       MQTTConfig
	Kafka      KafkaConfig
	ZooKeeper  ZooKeeperConfig
	Kubernetes KubernetesConfig
	DAC        DACConfig
}

// DatabaseConfig is the database's part of Config.
type DatabaseConfig struct {
	// Query is the way of a query to the moment at which its rows are read.
	// Default 1–20 ms, mean 4 ms.
	Query timeline.Latency
	// Answer is the way back, with the rows. Default 2–200 ms, mean 20 ms.
	Answer timeline.Latency
}

// MQTTConfig is the broker's part of Config.
type MQTTConfig struct {
	// Publish is the way of a message to the broker. Default 1–50 ms, mean 5 ms.
	Publish timeline.Latency
	// Deliver is the way from the broker to a subscriber. Default 1–100 ms, mean 10 ms.
	Deliver timeline.Latency
	// Ack is the way of a subscriber's acknowledgement to the broker; one that is
	// on its way when the connection breaks is lost. Default 1–50 ms, mean 5 ms.
	Ack timeline.Latency
	// Detect is how long a client takes to notice a broken connection. Default
	// 0.1–15 s, mean 2 s: a reset is seen at once, a silent end by the keep-alive.
	Detect timeline.Latency
	// Reconnect is the time between attempts to connect. Default 10 s (the contract's).
	Reconnect time.Duration
	// QueueBound is how many unacknowledged messages the broker keeps for a
	// subscriber; newer ones are dropped and counted. Default 100,000; at least 1.
	QueueBound int
	// PublisherBuffers makes the publisher keep messages while it has no
	// connection, and send them afterwards. Default false: they are lost and counted.
	PublisherBuffers bool
	// PublisherBound is how many messages the publisher keeps; newer ones are
	// lost and counted. Default 10,000; at least 1.
	PublisherBound int
}

// KafkaConfig is Kafka's part of Config.
type KafkaConfig struct {
	// Produce is the way of a record into the log. Default 2–200 ms, mean 10 ms.
	Produce timeline.Latency
	// Fetch is the way from the log to a consumer that waits in a long poll.
	// Default 2–200 ms, mean 15 ms.
	Fetch timeline.Latency
	// Detect is how long a consumer takes to notice that fetches fail. Default 10 s.
	Detect timeline.Latency
	// Reconnect is how long a consumer takes to fetch again once the broker is
	// back. Default 1–5 s, mean 2 s.
	Reconnect timeline.Latency
	// Join is how long a consumer takes to be given the partition, when it is
	// free. Default 0.1–5 s, mean 1 s.
	Join timeline.Latency
	// SessionTimeout is how long a crashed consumer keeps the partition. Default 45 s.
	SessionTimeout time.Duration
	// Retention is how many records the log keeps; older ones are gone even when
	// no group has read them. Default 65,536; at least 1.
	Retention int
}

// ZooKeeperConfig is ZooKeeper's part of Config.
type ZooKeeperConfig struct {
	// Request is the way of a request to the moment at which it takes effect: for
	// a write, that of the commit. Default 1–50 ms, mean 2.5 ms.
	Request timeline.Latency
	// Answer is the way of an answer back. Default 0.3–20 ms, mean 1 ms.
	Answer timeline.Latency
	// Watch is the way of a watch's event to the session. Default 0.5–50 ms, mean 2 ms.
	Watch timeline.Latency
	// ReadTree is the time to read a kind's whole tree, on top of Answer. Default
	// 10–500 ms, mean 50 ms.
	ReadTree timeline.Latency
	// Reconnect is how long a client takes to connect again when the ensemble, or
	// the way to it, is back. Default 0.1–2 s, mean 0.5 s.
	Reconnect timeline.Latency
	// SessionTimeout is how long a session outlives its client's last sign of
	// life. Default 10 s.
	SessionTimeout time.Duration
	// MaxRequest bounds the bytes of a node and of a whole multi
	// (jute.maxbuffer). Default 1,048,575.
	MaxRequest int
}

// KubernetesConfig is Kubernetes' part of Config.
type KubernetesConfig struct {
	// Request is the way of a call to the moment at which it takes effect.
	// Default 5–500 ms, mean 12 ms.
	Request timeline.Latency
	// Answer is the way of its answer back. Default 2–200 ms, mean 6 ms.
	Answer timeline.Latency
	// Watch is the way of a watch's event. Default 5–500 ms, mean 20 ms.
	Watch timeline.Latency
	// Kubelet is the time from the end of a pod's program until the API server has
	// the pod's phase. Default 1.2–3 s, mean 1.7 s: measured on kind.
	Kubelet timeline.Latency
	// Schedule is the time from a pod's creation to the choice of its node.
	// Default 0.2–1 s, mean 0.4 s.
	Schedule timeline.Latency
	// Start is the time to pull the image and start the container. Default
	// 2–10 s, mean 4 s.
	Start timeline.Latency
	// Delete is the time from the deletion of a pod whose container runs or
	// starts to its end, even with grace period 0. Default 0.5–2 s, mean 0.8 s.
	// A pod without a container goes within a tenth of it.
	Delete timeline.Latency
	// Shutdown is how long a program takes to stop by itself when it is given a
	// grace period; at its end, and when it hangs, it is killed. Default 0.2–5 s,
	// mean 1 s.
	Shutdown timeline.Latency
	// Timeout is how long a client waits for the answer of an API server that is
	// down. Default 10 s.
	Timeout time.Duration
	// NodeUnknown is the time from the loss of a node to phase Unknown. Default 5 min.
	NodeUnknown time.Duration
	// NodeCapacity is how many pods a node holds whose AddNode gives no number.
	// Default 110; at least 1.
	NodeCapacity int
}

// DACConfig is the simulated DAC pods' part of Config.
type DACConfig struct {
	// Load is the time from the container's start until the program reads its
	// list. Default 1–3 s, mean 1.5 s.
	Load timeline.Latency
	// Apply is the time to apply a list that has been read. Default 5–500 ms, mean 20 ms.
	Apply timeline.Latency
	// Heartbeat is the time between heartbeats. Default 60 s; above 0.
	Heartbeat time.Duration
	// Reopen is the time that a DAC takes to open a new session after its own
	// has expired. Default 0.5–5 s, mean 1 s.
	Reopen timeline.Latency
}

// DefaultConfig is a healthy small cluster.
func DefaultConfig() Config {
	const us, ms, s = time.Microsecond, time.Millisecond, time.Second
	lat := func(min, mean, max time.Duration) timeline.Latency {
		return timeline.Latency{Min: min, Mean: mean, Max: max}
	}
	return Config{
		Database: DatabaseConfig{Query: lat(1*ms, 4*ms, 20*ms), Answer: lat(2*ms, 20*ms, 200*ms)},
		MQTT: MQTTConfig{
			Publish: lat(1*ms, 5*ms, 50*ms), Deliver: lat(1*ms, 10*ms, 100*ms), Ack: lat(1*ms, 5*ms, 50*ms),
			Detect: lat(100*ms, 2*s, 15*s), Reconnect: 10 * s,
			QueueBound: 100_000, PublisherBound: 10_000,
		},
		Kafka: KafkaConfig{
			Produce: lat(2*ms, 10*ms, 200*ms), Fetch: lat(2*ms, 15*ms, 200*ms),
			Detect: lat(10*s, 10*s, 10*s), Reconnect: lat(1*s, 2*s, 5*s), Join: lat(100*ms, 1*s, 5*s),
			SessionTimeout: 45 * s, Retention: 65_536,
		},
		ZooKeeper: ZooKeeperConfig{
			Request: lat(1*ms, 2500*us, 50*ms), Answer: lat(300*us, 1*ms, 20*ms), Watch: lat(500*us, 2*ms, 50*ms),
			ReadTree: lat(10*ms, 50*ms, 500*ms), Reconnect: lat(100*ms, 500*ms, 2*s), SessionTimeout: 10 * s, MaxRequest: 0xfffff,
		},
		Kubernetes: KubernetesConfig{
			Request: lat(5*ms, 12*ms, 500*ms), Answer: lat(2*ms, 6*ms, 200*ms), Watch: lat(5*ms, 20*ms, 500*ms),
			Kubelet: lat(1200*ms, 1700*ms, 3*s), Schedule: lat(200*ms, 400*ms, 1*s), Start: lat(2*s, 4*s, 10*s), Delete: lat(500*ms, 800*ms, 2*s),
			Shutdown: lat(200*ms, 1*s, 5*s), Timeout: 10 * s, NodeUnknown: 5 * time.Minute, NodeCapacity: 110,
		},
		DAC: DACConfig{
			Load: lat(1*s, 1500*ms, 3*s), Apply: lat(5*ms, 20*ms, 500*ms),
			Heartbeat: 60 * s, Reopen: lat(500*ms, 1*s, 5*s),
		},
	}
}

// Validate answers an error that names the field, what it holds and what would
// be right.
func (c *Config) Validate() error {
	latencies := []struct {
		field string
		value timeline.Latency
	}{
		{"database.query", c.Database.Query}, {"database.answer", c.Database.Answer},
		{"mqtt.publish", c.MQTT.Publish}, {"mqtt.deliver", c.MQTT.Deliver}, {"mqtt.ack", c.MQTT.Ack}, {"mqtt.detect", c.MQTT.Detect},
		{"kafka.produce", c.Kafka.Produce}, {"kafka.fetch", c.Kafka.Fetch}, {"kafka.detect", c.Kafka.Detect},
		{"kafka.reconnect", c.Kafka.Reconnect}, {"kafka.join", c.Kafka.Join},
		{"zookeeper.request", c.ZooKeeper.Request}, {"zookeeper.answer", c.ZooKeeper.Answer},
		{"zookeeper.watch", c.ZooKeeper.Watch}, {"zookeeper.readTree", c.ZooKeeper.ReadTree}, {"zookeeper.reconnect", c.ZooKeeper.Reconnect},
		{"kubernetes.request", c.Kubernetes.Request}, {"kubernetes.answer", c.Kubernetes.Answer},
		{"kubernetes.watch", c.Kubernetes.Watch}, {"kubernetes.kubelet", c.Kubernetes.Kubelet}, {"kubernetes.schedule", c.Kubernetes.Schedule},
		{"kubernetes.start", c.Kubernetes.Start}, {"kubernetes.delete", c.Kubernetes.Delete}, {"kubernetes.shutdown", c.Kubernetes.Shutdown},
		{"dac.load", c.DAC.Load}, {"dac.apply", c.DAC.Apply}, {"dac.reopen", c.DAC.Reopen},
	}
	for _, l := range latencies {
		if err := l.value.Validate(); err != nil {
			return fmt.Errorf("%s.%w", l.field, err)
		}
	}
	positive := []struct {
		field string
		value time.Duration
	}{
		{"mqtt.reconnect", c.MQTT.Reconnect},
		{"kafka.sessionTimeout", c.Kafka.SessionTimeout},
		{"zookeeper.sessionTimeout", c.ZooKeeper.SessionTimeout},
		{"kubernetes.timeout", c.Kubernetes.Timeout},
		{"kubernetes.nodeUnknown", c.Kubernetes.NodeUnknown},
		{"dac.heartbeat", c.DAC.Heartbeat},
	}
	for _, d := range positive {
		if d.value <= 0 {
			return fmt.Errorf("%s: %v is not valid: want more than 0s", d.field, d.value)
		}
	}
	counts := []struct {
		field string
		value int
		least int
	}{
		{"mqtt.queueBound", c.MQTT.QueueBound, 1},
		{"mqtt.publisherBound", c.MQTT.PublisherBound, 1},
		{"kafka.retention", c.Kafka.Retention, 1},
		{"zookeeper.maxRequest", c.ZooKeeper.MaxRequest, 1024},
		{"kubernetes.nodeCapacity", c.Kubernetes.NodeCapacity, 1},
	}
	for _, n := range counts {
		if n.value < n.least {
			return fmt.Errorf("%s: %d is not valid: want at least %d", n.field, n.value, n.least)
		}
	}
	return nil
}
