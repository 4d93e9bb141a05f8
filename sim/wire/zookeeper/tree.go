package zookeeper

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
)

// node is one znode. ZooKeeper keeps the number of children ever created, and
// computes Stat.Cversion from it; sequence numbers are that count.
type node struct {
	data         []byte
	acl          []ACL
	czxid, mzxid int64
	ctime, mtime int64
	pzxid        int64
	owner        int64
	version      int32
	aversion     int32
	childrenMade int32
	children     map[string]struct{}
	listed       []string // children in the order they are told, nil when they changed since
}

func (n *node) stat() Stat {
	return Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: n.childrenMade*2 - int32(len(n.children)), Aversion: n.aversion,
		EphemeralOwner: n.owner, DataLength: int32(len(n.data)), NumChildren: int32(len(n.children)), Pzxid: n.pzxid,
	}
}

// list answers the children in an order that is always the same and never the
// alphabetical one: ZooKeeper promises none, and clients must not rely on any.
func (n *node) list() []string {
	if n.listed == nil && len(n.children) > 0 {
		type hashed struct {
			hash uint32
			name string
		}
		v := make([]hashed, 0, len(n.children))
		for name := range n.children {
			h := fnv.New32a()
			h.Write([]byte(name))
			v = append(v, hashed{h.Sum32(), name})
		}
		slices.SortFunc(v, func(a, b hashed) int {
			return cmp.Or(cmp.Compare(a.hash, b.hash), strings.Compare(a.name, b.name))
		})
		n.listed = make([]string, len(v))
		for i := range v {
			n.listed[i] = v[i].name
		}
	}
	return n.listed
}

func (n *node) addChild(name string) {
	if n.children == nil {
		n.children = map[string]struct{}{}
	}
	n.children[name] = struct{}{}
	n.listed = nil
}

func (n *node) dropChild(name string) {
	delete(n.children, name)
	n.listed = nil
}

// tree is the nodes by path. The root stands under "/" and, as in ZooKeeper,
// under "", which is the parent of its children.
type tree struct {
	nodes      map[string]*node
	ephemerals map[int64]map[string]struct{} // by owner
}

// The nodes that ZooKeeper makes for itself. They cannot be deleted.
const (
	rootPath   = "/"
	procPath   = "/zookeeper"
	quotaPath  = "/zookeeper/quota"
	configPath = "/zookeeper/config"
)

func newTree() *tree {
	root := &node{data: []byte{}, acl: openACL}
	proc := &node{data: []byte{}, acl: openACL}
	root.addChild("zookeeper")
	proc.addChild("quota")
	proc.addChild("config")
	return &tree{
		nodes: map[string]*node{
			"": root, rootPath: root, procPath: proc,
			quotaPath:  {data: []byte{}, acl: openACL},
			configPath: {data: []byte{}, acl: []ACL{{permRead, "world", "anyone"}}, aversion: -1},
		},
		ephemerals: map[int64]map[string]struct{}{},
	}
}

// split answers a path's parent, as the tree knows it, and its last name.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

// change is one step of a transaction, fully decided: applying it cannot fail.
type change struct {
	kind  opCode // create, delete, setData, setACL, and the opening and closing of sessions
	path  string
	data  []byte
	acl   []ACL
	owner int64
	n     int32 // the new version; for a session its timeout in milliseconds

	// Who may read the node, and its parent, hears of the change. They are noted
	// as the change is made, since a later one of the same transaction may delete
	// either.
	readers, parentReaders []ACL
}

// apply carries out a change of the tree.
func (t *tree) apply(c *change, zxid, ms int64) {
	switch c.kind {
	case opCreate:
		parent, name := split(c.path)
		p := t.nodes[parent]
		p.addChild(name)
		p.childrenMade++
		p.pzxid = zxid
		t.insert(c.path, &node{data: c.data, acl: c.acl, czxid: zxid, mzxid: zxid, pzxid: zxid,
			ctime: ms, mtime: ms, owner: c.owner})
	case opDelete:
		parent, name := split(c.path)
		p := t.nodes[parent]
		p.dropChild(name)
		p.pzxid = zxid
		t.remove(c.path)
	case opSetData:
		n := t.nodes[c.path]
		n.data, n.version, n.mzxid, n.mtime = c.data, c.n, zxid, ms
	case opSetACL:
		n := t.nodes[c.path]
		n.acl, n.aversion = c.acl, c.n
	}
}

func (t *tree) insert(path string, n *node) {
	t.nodes[path] = n
	if n.owner == 0 {
		return
	}
	owned := t.ephemerals[n.owner]
	if owned == nil {
		owned = map[string]struct{}{}
		t.ephemerals[n.owner] = owned
	}
	owned[path] = struct{}{}
}

func (t *tree) remove(path string) {
	n := t.nodes[path]
	delete(t.nodes, path)
	if n.owner == 0 {
		return
	}
	owned := t.ephemerals[n.owner]
	delete(owned, path)
	if len(owned) == 0 {
		delete(t.ephemerals, n.owner)
	}
}

// owned answers the ephemeral nodes of a session, sorted.
func (t *tree) owned(session int64) []string {
	return slices.Sorted(maps.Keys(t.ephemerals[session]))
}

// undo is what a change overwrote.
type undo struct {
	c            *change
	was          node // the node before setData
	gone         *node
	childrenMade int32
	pzxid        int64
}

// before notes what c is about to overwrite.
func (t *tree) before(c *change) undo {
	u := undo{c: c}
	if c.kind == opSetData {
		u.was = *t.nodes[c.path]
		return u
	}
	parent, _ := split(c.path)
	p := t.nodes[parent]
	u.gone, u.childrenMade, u.pzxid = t.nodes[c.path], p.childrenMade, p.pzxid
	return u
}

// revert takes a change back. Changes are taken back in reverse order.
func (t *tree) revert(u *undo) {
	if u.c.kind == opSetData {
		n := t.nodes[u.c.path]
		n.data, n.version, n.mzxid, n.mtime = u.was.data, u.was.version, u.was.mzxid, u.was.mtime
		return
	}
	parent, name := split(u.c.path)
	p := t.nodes[parent]
	if u.c.kind == opCreate {
		p.dropChild(name)
		t.remove(u.c.path)
	} else {
		p.addChild(name)
		t.insert(u.c.path, u.gone)
	}
	p.childrenMade, p.pzxid = u.childrenMade, u.pzxid
}
