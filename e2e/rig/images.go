package rig

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

// DefaultImages are the images that a rig takes from registries, pinned, and the
// two that it makes.
func DefaultImages() Images {
	return Images{
		Node:       "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
		ZooKeeper:  "zookeeper:3.8.4",
		Kafka:      "apache/kafka:4.2.0",
		Mosquitto:  "eclipse-mosquitto:2.0.22",
		PostgreSQL: "postgres:15.14",
		Dacorch:    "dacorch-rig/dacorch:dev",
		DAC:        "dacorch-rig/dac:dev",
	}
}

// AirGappedImages are the images that e2e/airgap/build makes where no registry
// can be reached.
func AirGappedImages() Images {
	return Images{
		Node:       "dacorch-rig/node:v1.34.3",
		ZooKeeper:  "dacorch-rig/zookeeper:3.8.0",
		Kafka:      "dacorch-rig/kafka:4.2.0",
		Mosquitto:  "dacorch-rig/mosquitto:2.0.11",
		PostgreSQL: "dacorch-rig/postgres:15",
		Dacorch:    "dacorch-rig/dacorch:dev",
		DAC:        "dacorch-rig/dac:dev",
	}
}

// Of is the image that a service runs.
func (i Images) Of(name ServiceName) string {
	return map[ServiceName]string{ZooKeeper: i.ZooKeeper, Kafka: i.Kafka, Mosquitto: i.Mosquitto, PostgreSQL: i.PostgreSQL}[name]
}
