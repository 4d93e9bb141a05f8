package zookeeper

import (
	"slices"
	"strings"
)

// read answers what changes nothing but watches.
func (a answer) read(r *request) {
	s := a.c.s
	switch r.op {
	case opSync:
		a.send(ok, func(b []byte) []byte { return putString(b, r.path) })
	case opExists:
		a.exists(r)
	case opGetData, opGetChildren, opGetChildren2:
		a.node(r)
	case opGetACL:
		a.acl(r)
	case opMultiRead:
		a.multiRead(r)
	case opSetWatches, opSetWatches2:
		s.restoreWatches(a.c, r.since, r.watchs[0], r.watchs[1], r.watchs[2])
		a.send(ok, nil)
	case opCheckWatches, opRemoveWatches:
		a.send(a.c.watches(r), nil)
	case opGetEphemerals:
		a.ephemerals(r)
	case opGetAllChildren:
		a.countBelow(r)
	}
}

// exists asks for no permission, and leaves its watch even where there is no node.
func (a answer) exists(r *request) {
	if strings.IndexByte(r.path, 0) >= 0 {
		a.send(badArguments, nil)
		return
	}
	n := a.c.s.tree.nodes[r.path]
	if r.watch {
		a.c.s.dataWatches.add(r.path, a.c)
	}
	if n == nil {
		a.send(noNode, nil)
		return
	}
	a.send(ok, func(b []byte) []byte { return putStat(b, n.stat()) })
}

// readable finds a node that the client may read.
func (c *conn) readable(path string, perm int32) (*node, code) {
	n := c.s.tree.nodes[path]
	switch {
	case n == nil:
		return nil, noNode
	case !permitted(n.acl, perm, c.ids):
		return nil, noAuth
	}
	return n, ok
}

func (a answer) node(r *request) {
	n, err := a.c.readable(r.path, permRead)
	if err == ok && r.watch {
		if r.op == opGetData {
			a.c.s.dataWatches.add(r.path, a.c)
		} else {
			a.c.s.childWatches.add(r.path, a.c)
		}
	}
	a.send(err, func(b []byte) []byte { return n.put(b, r.op) })
}

// put appends what a read of the node answers.
func (n *node) put(b []byte, op opCode) []byte {
	switch op {
	case opGetData:
		return putStat(putBuffer(b, n.data), n.stat())
	case opGetChildren2:
		return putStat(putStrings(b, n.list()), n.stat())
	}
	return putStrings(b, n.list())
}

func (a answer) acl(r *request) {
	n, err := a.c.readable(r.path, permRead|permAdmin)
	if err != ok {
		a.send(err, nil)
		return
	}
	acl := n.acl
	if !permitted(acl, permAdmin, a.c.ids) {
		acl = withoutDigests(acl)
	}
	a.send(ok, func(b []byte) []byte { return putStat(putACL(b, acl), n.stat()) })
}

func (a answer) multiRead(r *request) {
	a.send(ok, func(b []byte) []byte {
		for _, s := range r.steps {
			n, err := a.c.readable(s.path, permRead)
			if err != ok {
				b = putInt(putMultiHeader(b, opError, false, int32(err)), int32(err))
				continue
			}
			b = n.put(putMultiHeader(b, s.kind, false, 0), s.kind)
		}
		return putMultiHeader(b, opError, true, -1)
	})
}

// The sorts of watches in checkWatches and removeWatches.
const (
	watchesOfChildren = 1
	watchesOfData     = 2
	watchesOfAny      = 3
)

func (c *conn) watches(r *request) code {
	if r.kind < watchesOfChildren || r.kind > watchesOfAny {
		return marshallingError
	}
	found := false
	for kind, table := range map[int32]*watchTable{watchesOfChildren: &c.s.childWatches, watchesOfData: &c.s.dataWatches} {
		if r.kind != kind && r.kind != watchesOfAny {
			continue
		}
		if r.op == opRemoveWatches {
			found = table.remove(r.path, c) || found
		} else {
			// ZooKeeper 3.8 looks for a watch of anybody here.
			found = len(table.byPath[r.path]) > 0 || found
		}
	}
	if !found {
		return noWatcher
	}
	return ok
}

func (a answer) ephemerals(r *request) {
	owned := a.c.s.tree.owned(a.c.session.id)
	if prefix := strings.TrimSpace(r.path); prefix != "" && prefix != "/" {
		owned = slices.DeleteFunc(owned, func(p string) bool { return !strings.HasPrefix(p, r.path) })
	}
	a.send(ok, func(b []byte) []byte { return putStrings(b, owned) })
}

// countBelow counts all nodes below a path, at every depth.
func (a answer) countBelow(r *request) {
	_, err := a.c.readable(r.path, permRead)
	nodes := a.c.s.tree.nodes
	n := len(nodes) - 2 // the root has two names
	if r.path != rootPath && err == ok {
		n = 0
		for path := range nodes {
			if strings.HasPrefix(path, r.path+"/") {
				n++
			}
		}
	}
	a.send(err, func(b []byte) []byte { return putInt(b, int32(n)) })
}
