// Package rig brings up what the orchestrator works with, for real: a Kubernetes
// cluster (kind), ZooKeeper, Kafka, Mosquitto and PostgreSQL in containers that
// the cluster's pods reach, all with TLS and passwords of this rig alone, and the
// orchestrator from its chart. `dacorch rig` is this package for people; the
// end-to-end suite and `dacorch sim run --on kind` attach to a rig that is up.
package rig

// Name is a rig's name where nobody gives another: the cluster, the network and
// the containers are called after it.
const Name = "dacorch"

// A ServiceName is one of the servers in containers. It is the server's host name
// on the rig's network too, for pods and containers alike.
type ServiceName string

// The servers.
const (
	ZooKeeper  ServiceName = "zookeeper"
	Kafka      ServiceName = "kafka"
	Mosquitto  ServiceName = "mosquitto"
	PostgreSQL ServiceName = "postgres"
)

// ServiceNames are all of them, in the order of their start.
var ServiceNames = []ServiceName{ZooKeeper, Kafka, Mosquitto, PostgreSQL}

// Service says how a server is reached. Each speaks TLS with a certificate of the
// rig's authority that bears its ServiceName, localhost and 127.0.0.1.
type Service struct {
	Name     ServiceName `json:"name"`
	Image    string      `json:"image"`
	Outside  string      `json:"outside"` // host:port from this machine, on loopback
	Inside   string      `json:"inside"`  // host:port from pods and containers
	User     string      `json:"user"`
	Password string      `json:"-"` // stands in State's file of secrets
}

// State is what is kept of a rig that is up, in its directory.
type State struct {
	Name       string                  `json:"name"`
	Dir        string                  `json:"dir"`        // this rig's, readable by its owner alone
	Network    string                  `json:"network"`    // of Docker
	Kubeconfig string                  `json:"kubeconfig"` // file
	CAFile     string                  `json:"caFile"`     // certificate of the rig's authority (PEM)
	Services   map[ServiceName]Service `json:"services"`
	Images     Images                  `json:"images"`
}

// Images are the names of all images that a rig is made of. DefaultImages pins
// them in one place.
type Images struct {
	Node       string `json:"node"`
	ZooKeeper  string `json:"zookeeper"`
	Kafka      string `json:"kafka"`
	Mosquitto  string `json:"mosquitto"`
	PostgreSQL string `json:"postgres"`
	Dacorch    string `json:"dacorch"` // made here: the orchestrator
	DAC        string `json:"dac"`     // made here: the simulated DAC
}
