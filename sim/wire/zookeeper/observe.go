package zookeeper

// Change is one node's part of a transaction that has been carried out.
type Change struct {
	Op   string // create, setData, delete
	Path string
	Data []byte // what the node holds now; the observer must not change it
	// Version is the node's data version now.
	Version int32
	// Czxid is the change that created the node.
	Czxid int64
}

// Observe has f told of every transaction that changes nodes, in order, with the
// session that made it, or whose end it is. nil tells nobody. f is called with the
// server standing still: it must be quick and must not call the server. It hears
// of a transaction before any client does.
func (s *Server) Observe(f func(session int64, changes []Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observer = f
}

var observed = map[opCode]string{opCreate: "create", opSetData: "setData", opDelete: "delete"}

// tell tells the observer of a transaction.
func (s *Server) tell(x *txn) {
	var told []Change
	for _, c := range x.changes {
		op, is := observed[c.kind]
		if !is {
			continue
		}
		t := Change{Op: op, Path: c.path, Data: c.data}
		if n := s.tree.nodes[c.path]; n != nil {
			t.Version, t.Czxid = n.version, n.czxid
		}
		told = append(told, t)
	}
	if len(told) > 0 {
		s.observer(x.session, told)
	}
}
