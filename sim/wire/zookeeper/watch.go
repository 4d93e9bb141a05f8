package zookeeper

import "cmp"

// watchTable is the one-shot watches of one sort: data (and existence), or
// children. Whoever calls holds the server's lock.
type watchTable struct {
	byPath map[string]map[*conn]struct{}
	byConn map[*conn]map[string]struct{}
}

func newWatchTable() watchTable {
	return watchTable{byPath: map[string]map[*conn]struct{}{}, byConn: map[*conn]map[string]struct{}{}}
}

func (w *watchTable) add(path string, c *conn) {
	conns := w.byPath[path]
	if conns == nil {
		conns = map[*conn]struct{}{}
		w.byPath[path] = conns
	}
	conns[c] = struct{}{}
	paths := w.byConn[c]
	if paths == nil {
		paths = map[string]struct{}{}
		w.byConn[c] = paths
	}
	paths[path] = struct{}{}
}

// remove says whether there was such a watch.
func (w *watchTable) remove(path string, c *conn) bool {
	conns := w.byPath[path]
	if _, there := conns[c]; !there {
		return false
	}
	w.unlink(path, c)
	delete(conns, c)
	if len(conns) == 0 {
		delete(w.byPath, path)
	}
	return true
}

func (w *watchTable) unlink(path string, c *conn) {
	delete(w.byConn[c], path)
	if len(w.byConn[c]) == 0 {
		delete(w.byConn, c)
	}
}

func (w *watchTable) drop(c *conn) {
	for path := range w.byConn[c] {
		w.remove(path, c)
	}
}

func (w *watchTable) count() int {
	n := 0
	for _, conns := range w.byPath {
		n += len(conns)
	}
	return n
}

// take ends the watches of a path and answers who had one.
func (w *watchTable) take(path string) map[*conn]struct{} {
	conns := w.byPath[path]
	if conns == nil {
		return nil
	}
	delete(w.byPath, path)
	for c := range conns {
		w.unlink(path, c)
	}
	return conns
}

// fire sends an event to those who watch path. Who may not read the node hears
// nothing, but their watch is spent. Those in except have heard of it already.
func (w *watchTable) fire(path string, event int32, acl []ACL, except map[*conn]struct{}) map[*conn]struct{} {
	conns := w.take(path)
	for c := range conns {
		if _, heard := except[c]; !heard {
			c.notify(event, path, acl)
		}
	}
	return conns
}

// fire sends the events of a change, in ZooKeeper's order.
func (s *Server) fire(c *change) {
	if c.kind == opSetData {
		s.dataWatches.fire(c.path, eventDataChanged, c.readers, nil)
		return
	}
	if c.kind != opCreate && c.kind != opDelete {
		return
	}
	if c.kind == opCreate {
		s.dataWatches.fire(c.path, eventCreated, c.readers, nil)
	} else {
		heard := s.dataWatches.fire(c.path, eventDeleted, c.readers, nil)
		s.childWatches.fire(c.path, eventDeleted, c.readers, heard)
	}
	parent, _ := split(c.path)
	s.childWatches.fire(cmp.Or(parent, rootPath), eventChildrenChanged, c.parentReaders, nil)
}

// restoreWatches sets again what a client watched on its former connection; what
// changed since, after the zxid that the client saw last, fires at once: as in
// ZooKeeper, even for who may not read the node.
func (s *Server) restoreWatches(c *conn, since int64, data, exist, child []string) {
	for _, path := range data {
		switch n := s.tree.nodes[path]; {
		case n == nil:
			c.notify(eventDeleted, path, nil)
		case n.mzxid > since:
			c.notify(eventDataChanged, path, nil)
		default:
			s.dataWatches.add(path, c)
		}
	}
	for _, path := range exist {
		if n := s.tree.nodes[path]; n != nil {
			c.notify(eventCreated, path, nil)
		} else {
			s.dataWatches.add(path, c)
		}
	}
	for _, path := range child {
		switch n := s.tree.nodes[path]; {
		case n == nil:
			c.notify(eventDeleted, path, nil)
		case n.pzxid > since:
			c.notify(eventChildrenChanged, path, nil)
		default:
			s.childWatches.add(path, c)
		}
	}
}
