package zookeeper

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"
)

// Session is what the server knows of a client.
type Session struct {
	ID         int64         // 0 on a connection that has none yet
	Timeout    time.Duration // as negotiated
	RemoteAddr string        // host:port, empty while it is not connected
	Connected  bool
	Ephemerals []string // paths, sorted
}

// Sessions answers all sessions in the order of their ids, those that are away
// included.
func (s *Server) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Session, 0, len(s.sessions))
	for _, ses := range s.sessions {
		out = append(out, s.view(ses))
	}
	slices.SortFunc(out, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (s *Server) view(ses *session) Session {
	v := Session{ID: ses.id, Timeout: ses.timeout, Ephemerals: s.tree.owned(ses.id)}
	if ses.conn != nil {
		v.Connected, v.RemoteAddr = true, ses.conn.remote
	}
	return v
}

// view is the session behind a connection.
func (c *conn) view() Session {
	if c.session != nil {
		return c.s.view(c.session)
	}
	return Session{RemoteAddr: c.remote, Connected: true}
}

// Get answers a copy of a node's data and its stat, and whether there is such a
// node. It asks for no permission.
func (s *Server) Get(path string) ([]byte, Stat, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tree.nodes[path]
	if n == nil {
		return nil, Stat{}, false
	}
	return bytes.Clone(n.data), n.stat(), true
}

// Children answers the names of a node's children, sorted; none when there is no
// such node.
func (s *Server) Children(path string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tree.nodes[path]
	if n == nil {
		return nil
	}
	return slices.Sorted(slices.Values(n.list()))
}

// Node is a node as Dump tells it.
type Node struct {
	Path string
	Data []byte
	ACL  []ACL
	Stat Stat
}

// Dump answers every node but ZooKeeper's own (/zookeeper), in the order of
// their paths, all at one moment.
func (s *Server) Dump() []Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Node, 0, len(s.tree.nodes))
	for path, n := range s.tree.nodes {
		if path != "" && path != procPath && !strings.HasPrefix(path, procPath+"/") {
			out = append(out, Node{path, bytes.Clone(n.data), slices.Clone(n.acl), n.stat()})
		}
	}
	slices.SortFunc(out, func(a, b Node) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// Zxid is the number of the last change.
func (s *Server) Zxid() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zxid
}
