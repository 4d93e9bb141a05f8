package zookeeper

import (
	"fmt"
	"strings"
)

// version is what the server says it is: the one it has been compared with.
const version = "3.8.0-standin, built on 01/01/2024 00:00 UTC"

// answerWord answers a four-letter word, which a client sends in place of the
// length of its first packet, and says whether it was one.
func (c *conn) answerWord(word string) bool {
	var text string
	switch word {
	case "ruok":
		text = "imok"
	case "srvr", "stat":
		text = c.s.srvr(word == "stat")
	case "mntr":
		text = c.s.mntr()
	default:
		return false
	}
	c.s.received.Add(1)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if !c.closed {
		c.out.raw([]byte(text))
		c.out.end()
	}
	return true
}

func (s *Server) srvr(clients bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "Zookeeper version: %s\n", version)
	if clients {
		b.WriteString("Clients:\n")
		for c := range s.conns {
			fmt.Fprintf(&b, " /%s[1](queued=0,recved=0,sent=0)\n", c.remote)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "Latency min/avg/max: 0/0.0/0\nReceived: %d\nSent: %d\nConnections: %d\nOutstanding: 0\n",
		s.received.Load(), s.sent.Load(), len(s.conns))
	fmt.Fprintf(&b, "Zxid: 0x%x\nMode: standalone\nNode count: %d\n", s.zxid, len(s.tree.nodes))
	return b.String()
}

func (s *Server) mntr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ephemerals, bytes := 0, 0
	for _, owned := range s.tree.ephemerals {
		ephemerals += len(owned)
	}
	for path, n := range s.tree.nodes {
		bytes += len(path) + len(n.data)
	}
	var b strings.Builder
	for _, line := range []struct {
		key   string
		value any
	}{
		{"version", version}, {"server_state", "standalone"},
		{"packets_received", s.received.Load()}, {"packets_sent", s.sent.Load()},
		{"num_alive_connections", len(s.conns)}, {"outstanding_requests", 0},
		{"znode_count", len(s.tree.nodes)}, {"watch_count", s.dataWatches.count() + s.childWatches.count()},
		{"ephemerals_count", ephemerals}, {"approximate_data_size", bytes}, {"global_sessions", len(s.sessions)},
	} {
		fmt.Fprintf(&b, "zk_%s\t%v\n", line.key, line.value)
	}
	return b.String()
}
