// Package rig brings up what the orchestrator works with, for real: a Kubernetes
// cluster (kind), ZooKeeper, Kafka, Mosquitto and PostgreSQL in containers that
// the cluster's pods reach, all with TLS and passwords of this rig alone, and the
// orchestrator from its chart. `dacorch rig` is this package for people; the
// end-to-end suite and `dacorch sim run --on kind` attach to a rig that is up.
package rig

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// A Rig is one that is up, or that Up is bringing up. Its methods are safe for
// concurrent use.
type Rig struct {
	docker *client.Client
	rest   *rest.Config
	ca     *x509.CertPool

	mu        sync.Mutex
	state     State
	ports     map[int32]string // node ports given out, and to which release
	helm      string           // program, once it was looked for
	nodeSince time.Time        // when Up started a stopped node; what it said before is void
}

// rigLabel marks what belongs to a rig, with its name.
const rigLabel = "dacorch.rig"

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

// State is what the rig is made of and how it is reached.
func (r *Rig) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	s.Services = maps.Clone(s.Services)
	return s
}

// TLS trusts the rig's authority and no other.
func (r *Rig) TLS() *tls.Config { return &tls.Config{RootCAs: r.ca, MinVersion: tls.VersionTLS12} }

// REST is the API server's address and an administrator's credentials.
func (r *Rig) REST() *rest.Config { return rest.CopyConfig(r.rest) }

// Close ends what the Rig holds of this process; the rig stays up.
func (r *Rig) Close() error { return r.docker.Close() }

// loadCA reads the authority's certificate for TLS.
func (r *Rig) loadCA() error {
	pem, err := os.ReadFile(r.state.CAFile)
	if err != nil {
		return fmt.Errorf("the rig's authority: %w", err)
	}
	r.ca = x509.NewCertPool()
	if !r.ca.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate (PEM): %s, then up, makes a new one", r.state.CAFile, Command("down", r.state.Name))
	}
	return nil
}

// loadKubeconfig reads how the API server is reached, for REST.
func (r *Rig) loadKubeconfig() error {
	cfg, err := clientcmd.BuildConfigFromFlags("", r.state.Kubeconfig)
	if err != nil {
		return fmt.Errorf("the cluster's %s: %w", r.state.Kubeconfig, err)
	}
	cfg.QPS, cfg.Burst = 100, 200 // client-go's own bounds are for a person's program
	r.rest = cfg
	return nil
}
