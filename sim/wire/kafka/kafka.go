// Package kafka is Kafka in this process: brokers on loopback that speak the
// real protocol (franz-go's kfake), with faults that are switched by name. Every
// client works against it: groups, SASL, TLS, transactions.
//
// Faults come in two layers. Down, Stall and Delay act on the connections, below
// the protocol, so that no client can tell them from a broken network.
// RefuseJoins, FailFetches, MoveLeaders and MoveCoordinators are brokers that
// work and answer so.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Config says what Start starts. The zero value is one broker on a free port of
// 127.0.0.1 without topics, in memory.
type Config struct {
	// Addr is where the first broker listens, "127.0.0.1:0" by default. With a
	// port other than 0 the others listen on the ports after it. Only loopback
	// addresses: there is nothing between the brokers and whoever reaches them.
	Addr string
	// Brokers is how many there are, 1 by default, at most 100.
	Brokers int
	// Topics are created at the start, each with so many partitions, at least 1.
	Topics map[string]int
	// AutoCreate lets producers create topics with one partition, as Kafka does
	// by default.
	AutoCreate bool
	// DataDir keeps records, groups and offsets, so that a Server started with it
	// later goes on from there. Empty: they end with the Server.
	DataDir string
	// User and Password, unless both are empty, must be given by clients with
	// SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	User, Password string
	// TLS, unless nil, is what clients must speak.
	TLS *tls.Config
	// MinSession is the shortest session timeout that a group's member may ask
	// for; 6 s by default, like Kafka's.
	MinSession time.Duration
}

// Server is a running cluster. Its methods are safe for concurrent use.
type Server struct {
	cluster *kfake.Cluster
	lines   *lines
	faults  faults
	cfg     Config
}

// Start starts the brokers. They are ready when it returns. The error names the
// field of the configuration that is wrong, or the address that is taken.
func Start(cfg Config) (*Server, error) {
	host, port, err := cfg.check()
	if err != nil {
		return nil, err
	}
	s := &Server{lines: newLines(), cfg: cfg}
	options := []kfake.Opt{
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			_, p, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return s.lines.listen(network, net.JoinHostPort(host, p))
		}),
		kfake.DefaultNumPartitions(1),
		kfake.ClusterID("dacorch"),
	}
	ports := make([]int, max(cfg.Brokers, 1))
	for i := range ports {
		if port != 0 {
			ports[i] = port + i
		}
	}
	options = append(options, kfake.Ports(ports...))
	s.cluster, err = kfake.NewCluster(append(options, cfg.options()...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka stand-in on %s: %w", net.JoinHostPort(host, strconv.Itoa(port)), err)
	}
	return s, nil
}

// options are those of kfake that stand for fields one by one.
func (cfg Config) options() []kfake.Opt {
	var options []kfake.Opt
	for topic, partitions := range cfg.Topics {
		options = append(options, kfake.SeedTopics(int32(partitions), topic))
	}
	if cfg.AutoCreate {
		options = append(options, kfake.AllowAutoTopicCreation())
	}
	if cfg.DataDir != "" {
		options = append(options, kfake.DataDir(cfg.DataDir))
	}
	if cfg.User != "" {
		options = append(options, kfake.EnableSASL())
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			options = append(options, kfake.Superuser(mechanism, cfg.User, cfg.Password))
		}
	}
	if cfg.TLS != nil {
		options = append(options, kfake.TLS(cfg.TLS))
	}
	if cfg.MinSession > 0 {
		options = append(options, kfake.GroupMinSessionTimeout(cfg.MinSession))
	}
	return options
}

// check answers the host and port that Addr names.
func (cfg Config) check() (host string, port int, err error) {
	host = "127.0.0.1"
	if cfg.Addr != "" {
		var p string
		if host, p, err = net.SplitHostPort(cfg.Addr); err != nil {
			return "", 0, fmt.Errorf("kafka stand-in: Addr %q is not host:port: %w", cfg.Addr, err)
		}
		if port, err = strconv.Atoi(p); err != nil || port < 0 || port > 65535 {
			return "", 0, fmt.Errorf("kafka stand-in: Addr %q: want a port from 0 to 65535", cfg.Addr)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return "", 0, fmt.Errorf("kafka stand-in: Addr %q: want a loopback address such as 127.0.0.1", cfg.Addr)
		}
	}
	if cfg.Brokers < 0 || cfg.Brokers > 100 {
		return "", 0, fmt.Errorf("kafka stand-in: Brokers %d: want 1 to 100, or 0 for 1", cfg.Brokers)
	}
	for topic, n := range cfg.Topics {
		if topic == "" || n < 1 || n > 1000 {
			return "", 0, fmt.Errorf("kafka stand-in: Topics %q: %d partitions: want a name and 1 to 1000", topic, n)
		}
	}
	if (cfg.User == "") != (cfg.Password == "") {
		return "", 0, errors.New("kafka stand-in: User without Password, or the other way round: want both or neither")
	}
	return host, port, nil
}

// Addrs are the brokers' addresses, host:port.
func (s *Server) Addrs() []string { return s.cluster.ListenAddrs() }

// Close stops the brokers and ends every connection. With a DataDir all is on
// disk when it returns. A second Close does nothing.
func (s *Server) Close() {
	s.cluster.Close()
	s.lines.close()
}

// CreateTopic creates a topic that does not exist, with at least 1 partition.
func (s *Server) CreateTopic(topic string, partitions int) error {
	return s.cluster.CreateTopic(topic, int32(partitions), nil)
}

// Count answers how many records a topic holds, 0 for one that does not exist.
func (s *Server) Count(topic string) int64 {
	var n int64
	for _, p := range s.cluster.PartitionInfos(topic) {
		n += p.HighWatermark - p.LogStartOffset
	}
	return n
}

// Committed answers what a group has committed for a partition: the offset to go
// on from, or -1.
func (s *Server) Committed(group, topic string, partition int32) int64 {
	if info := s.cluster.GroupInfo(group); info != nil {
		if c, ok := info.Commits[topic][partition]; ok {
			return c.Offset
		}
	}
	return -1
}

// WaitMembers waits until a group is stable with that many members, or none for
// 0. It answers ctx's error when that does not happen before its end.
func (s *Server) WaitMembers(ctx context.Context, group string, members int) error {
	_, err := s.cluster.WaitGroupInfo(ctx, group, func(g *kfake.GroupInfo) bool {
		if g == nil || members == 0 {
			return members == 0 && (g == nil || len(g.Members) == 0)
		}
		return len(g.Members) == members && g.State == "Stable"
	})
	return err
}
