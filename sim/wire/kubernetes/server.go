// Package kubernetes is an in-process stand-in for a Kubernetes cluster: the
// HTTP API for pods, their logs and status, nodes, namespaces, config maps,
// secrets, leases, events and pod metrics, a scheduler, and a kubelet for each
// node, which runs the programs of a Runner instead of containers. client-go and
// kubectl speak to it as to the real one.
//
// What it keeps faithfully is what a controller trips over: one version counter
// over everything, conflicts (409), names that stay taken while a pod
// terminates, watches that end, fall behind (410) or are cut, lists in pages,
// selectors, every kind of patch, graceful deletion. What it leaves out:
// admission, roles, owner references and their collection, volumes, probes,
// networks, init containers, and every other resource.
//
// Its tests ask it and a real API server the same and compare every answer and
// every watch; what is meant to differ is listed there, in
// differential_intended_test.go.
//
// Everything lives in memory. Each server is its own cluster; many may run in
// one process.
package kubernetes

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Runner runs the program of a pod's containers.
type Runner interface {
	// Run runs until the program ends by itself or ctx ends, which tells it to
	// stop (SIGTERM). When the grace period is over without its end, Killed(ctx)
	// ends too (SIGKILL), and the kubelet no longer waits for it: from then on
	// another pod of the same name may run beside it. What it writes to log is the
	// container's output. nil, and context.Canceled once ctx has ended, is exit
	// code 0; with any other error the container has failed. pod is the runner's
	// own.
	Run(ctx context.Context, pod *corev1.Pod, log io.Writer) error
}

// Starter is what a Runner may also be: it is asked before a pod's program starts.
type Starter interface {
	// Starting says how much later than usual the program starts, and whether its
	// image is there. While it is not, the pod is Pending (ImagePullBackOff), and
	// it is asked again ten times a second. pod is the runner's own.
	Starting(pod *corev1.Pod) (late time.Duration, image bool)
}

// Hanger is what a Runner may also be: Hang makes a pod's running program stop
// doing anything without its end, as HangPod asks.
type Hanger interface {
	Hang(pod *corev1.Pod)
}

// Meter is what a Runner may also be: what a pod's running program uses, for
// pod metrics. Without it nothing uses anything.
type Meter interface {
	Usage(pod *corev1.Pod) (milliCPU, memoryBytes int64)
}

// Config says what cluster to start. The zero value is one node for 110 pods
// whose programs do nothing until they are stopped.
type Config struct {
	Addr     string       // where to listen when there is no Listener; 127.0.0.1:0 by default
	Listener net.Listener // closed with the server
	TLS      *tls.Config  // with it the server speaks HTTPS; without, HTTP
	Token    string       // bearer token that every request must carry; "" for none

	Namespaces  []string // beside default, kube-system and kube-node-lease
	Nodes       int      // 1 by default
	PodsPerNode int      // 110 by default

	// StartDelay is how long a pod that has its node stays Pending, StopDelay how
	// long after its program's end a terminating pod still stands. 0 is no delay.
	StartDelay, StopDelay time.Duration
	// RestartBackoff is the wait before a container's first restart, doubled with
	// each further one up to 5 minutes: 10 s by default. When negative, nothing
	// restarts, whatever the restartPolicy: the pod ends with its program.
	RestartBackoff time.Duration
	// EvictAfter is how long after the loss of a node its pods are marked for
	// deletion: 5 minutes by default, never when negative.
	EvictAfter time.Duration

	Runner Runner
	Events bool // scheduler and kubelet write events about pods

	// History is how many changes are kept for watches and pages: 16,384 by
	// default. Who falls behind further is answered 410.
	History int
	// BookmarkEvery is how often a watch that asks for bookmarks gets one: a
	// minute by default.
	BookmarkEvery time.Duration
	// LogBytes is how much of a container's newest output is kept: 64 KiB by
	// default.
	LogBytes int
}

func (c Config) withDefaults() (Config, error) {
	if c.Nodes < 0 || c.PodsPerNode < 0 || c.History < 0 || c.LogBytes < 0 {
		return c, fmt.Errorf("kubernetes: Nodes %d, PodsPerNode %d, History %d and LogBytes %d: none may be negative",
			c.Nodes, c.PodsPerNode, c.History, c.LogBytes)
	}
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:0")
	c.Nodes = cmp.Or(c.Nodes, 1)
	c.PodsPerNode = cmp.Or(c.PodsPerNode, 110)
	c.RestartBackoff = cmp.Or(c.RestartBackoff, 10*time.Second)
	c.EvictAfter = cmp.Or(c.EvictAfter, 5*time.Minute)
	c.History = cmp.Or(c.History, 16_384)
	c.BookmarkEvery = cmp.Or(c.BookmarkEvery, time.Minute)
	c.LogBytes = cmp.Or(c.LogBytes, 64<<10)
	if c.Runner == nil {
		c.Runner = idle{}
	}
	return c, nil
}

// idle is a program that waits to be stopped.
type idle struct{}

func (idle) Run(ctx context.Context, _ *corev1.Pod, _ io.Writer) error {
	<-ctx.Done()
	return nil
}

// Server is a running cluster. Its methods may be called from any goroutine.
type Server struct {
	config   Config
	store    *store
	kubelet  *kubelet
	faults   faults
	listener net.Listener
	http     *http.Server
	scheme   string

	ctx         context.Context // ends with the server
	stop        context.CancelFunc
	served      chan struct{}
	connections sync.WaitGroup
	requests    gate
	closing     sync.Once
}

// Start starts a cluster, which runs until Close.
func Start(config Config) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, store: newStore(config.History), listener: config.Listener,
		scheme: "http", served: make(chan struct{})}
	s.faults.init()
	s.ctx, s.stop = context.WithCancel(context.Background())
	if err := s.furnish(); err != nil {
		s.stop()
		return nil, err
	}
	if s.listener == nil {
		if s.listener, err = net.Listen("tcp", config.Addr); err != nil {
			s.stop()
			return nil, fmt.Errorf("kubernetes: %w", err)
		}
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second, TLSConfig: config.TLS,
		ErrorLog: log.New(io.Discard, "", 0), ConnState: s.connection,
		BaseContext: func(net.Listener) context.Context { return s.ctx }}
	serve := s.http.Serve
	if config.TLS != nil {
		s.scheme = "https"
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	s.kubelet = newKubelet(s)
	go func() {
		defer close(s.served)
		_ = serve(s.listener) // it ends when Close closes it
	}()
	return s, nil
}

// furnish makes what every cluster has from its start.
func (s *Server) furnish() error {
	for _, name := range append([]string{"default", "kube-system", "kube-node-lease"}, s.config.Namespaces...) {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := namespaces.prepareNew(n); err != nil {
			return fmt.Errorf("kubernetes: namespace %q: %w", name, err)
		}
		if _, err := s.store.create(namespaces, n); err != nil && name != "default" {
			continue // it is named twice
		}
	}
	for i := range s.config.Nodes {
		if err := s.addNode(fmt.Sprintf("node-%d", i)); err != nil {
			return err
		}
	}
	return nil
}

// Addr answers where the server listens, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL answers the server's address as clients want it: rest.Config's Host.
func (s *Server) URL() string { return s.scheme + "://" + s.Addr() }

// Close stops the server, ends every watch, kills every program and waits for
// all of them. A second call does nothing.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.stop()
		_ = s.http.Close() // the listener's error tells nothing that matters any more
		<-s.served
		s.requests.close()
		s.connections.Wait()
		s.kubelet.close()
	})
}

// connection counts the connections, so that Close can wait for them.
func (s *Server) connection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateClosed:
		s.connections.Done()
	}
}

// gate lets requests in until it is closed, and closes when the last is out.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.inside.Add(1)
	}
	return !g.closed
}

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}

// Pods answers every pod as it is now, in order of namespace and name. The
// copies are the caller's.
func (s *Server) Pods() []corev1.Pod {
	all, _ := s.store.now(pods, "")
	copies := make([]corev1.Pod, len(all))
	for i, o := range all {
		o.(*corev1.Pod).DeepCopyInto(&copies[i])
	}
	return copies
}

// WriteKubeconfig writes a file with which kubectl and client-go reach the
// server, token included; only the owner can read it. A token wants TLS: with a
// kubeconfig, both leave it out over plain HTTP.
func (s *Server) WriteKubeconfig(path string) error {
	const name = "dacorch"
	if s.config.Token != "" && s.config.TLS == nil {
		return fmt.Errorf("kubernetes: kubeconfig: clients send no token over plain HTTP: configure TLS, or no token")
	}
	cluster := &clientcmdapi.Cluster{Server: s.URL()}
	if s.config.TLS != nil && len(s.config.TLS.Certificates) > 0 {
		var chain strings.Builder
		for _, der := range s.config.TLS.Certificates[0].Certificate {
			if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
				return fmt.Errorf("kubernetes: the server's certificate: %w", err)
			}
		}
		cluster.CertificateAuthorityData = []byte(chain.String())
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = cluster
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: s.config.Token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("kubernetes: kubeconfig: %w", err)
	}
	return nil
}
