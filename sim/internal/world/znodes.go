package world

import (
	"errors"
	"slices"
	"strings"
)

// The errors of a tree operation, after ZooKeeper's own.
var (
	ErrNoNode                  = errors.New("zookeeper: no node")
	ErrNodeExists              = errors.New("zookeeper: node exists")
	ErrBadVersion              = errors.New("zookeeper: bad version")
	ErrNotEmpty                = errors.New("zookeeper: node has children")
	ErrNoChildrenForEphemerals = errors.New("zookeeper: ephemerals have no children")
	ErrTooLarge                = errors.New("zookeeper: request exceeds jute.maxbuffer")
	ErrBadPath                 = errors.New("zookeeper: invalid path")
)

// AnyVersion matches every version of a node.
const AnyVersion int32 = -1

// opOverhead bounds what an operation takes on the wire beside path and data.
const opOverhead = 64

// Znodes is ZooKeeper's tree: linearizable because it is one value that changes
// one operation at a time, without latency. Data is any value with the size that
// it would have as bytes.
type Znodes struct {
	nodes      map[string]*Znode
	root       *Znode
	zxid       int64
	maxRequest int
	absent     map[string][]Watcher // waiting for a node to be created
	ephemerals map[int64][]*Znode   // by session, in order of creation

	changes []change // of the transaction under way
	fired   []firing
}

// Znode is one node. Its fields change with the tree.
type Znode struct {
	Path     string
	Data     any   // whoever reads it must not change it
	Size     int   // bytes of Data on the wire
	Version  int32 // rises with every set
	Cversion int32 // rises with every child created or deleted
	Czxid    int64 // the transaction that created the node
	Mzxid    int64 // the transaction that set it last
	Session  int64 // the owner of an ephemeral; 0 for none

	parent   *Znode
	children map[string]*Znode
	data     []Watcher // waiting for Data to change or the node to go
	child    []Watcher // waiting for a child to come or go
}

// WatchEvent is what a watch has seen.
type WatchEvent uint8

// The events of a watch.
const (
	NodeCreated WatchEvent = iota
	NodeDataChanged
	NodeDeleted
	NodeChildrenChanged
)

// Watcher hears of one change, at the moment of the transaction and after the
// whole of it. Set twice in one place, it still fires once. It must be
// comparable, and must not change the tree.
type Watcher interface {
	Fired(event WatchEvent, path string)
}

type firing struct {
	w     Watcher
	event WatchEvent
	path  string
}

// ZOpKind is the kind of an operation of a multi.
type ZOpKind uint8

// The operations of a multi.
const (
	ZCreate ZOpKind = iota
	ZSet
	ZDelete
	ZCheck
)

// ZOp is one operation of a multi.
type ZOp struct {
	Kind    ZOpKind
	Path    string
	Data    any
	Size    int   // bytes of Data
	Version int32 // of set, delete and check; AnyVersion matches all
	Session int64 // create: the owner of an ephemeral; 0 for none
}

// NewZnodes is a tree that holds only its root. maxRequest bounds the bytes of
// a multi.
func NewZnodes(maxRequest int) *Znodes {
	root := &Znode{Path: "/", children: map[string]*Znode{}}
	return &Znodes{
		nodes: map[string]*Znode{"/": root}, root: root, maxRequest: maxRequest,
		absent: map[string][]Watcher{}, ephemerals: map[int64][]*Znode{},
	}
}

// Zxid is the number of the newest transaction that changed the tree.
func (z *Znodes) Zxid() int64 { return z.zxid }

// Get is the node at path; ErrNoNode when there is none. A watcher, unless nil,
// hears of the next change of its data or its deletion.
func (z *Znodes) Get(path string, w Watcher) (*Znode, error) {
	n := z.nodes[path]
	if n == nil {
		return nil, ErrNoNode
	}
	if w != nil {
		n.watch(w)
	}
	return n, nil
}

// Exists is the node at path, or nil. A watcher, unless nil, hears of the next
// change of its data, its deletion, or its creation.
func (z *Znodes) Exists(path string, w Watcher) *Znode {
	n, err := z.Get(path, w)
	if err != nil && w != nil {
		z.absent[path] = watchedBy(z.absent[path], w)
	}
	return n
}

// Children are the names below path, sorted. A watcher, unless nil, hears of
// the next child that comes or goes, or of the node's deletion.
func (z *Znodes) Children(path string, w Watcher) ([]string, error) {
	n := z.nodes[path]
	if n == nil {
		return nil, ErrNoNode
	}
	if w != nil {
		n.child = watchedBy(n.child, w)
	}
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Unwatch takes back every watch of w on path.
func (z *Znodes) Unwatch(path string, w Watcher) {
	without := func(ws []Watcher) []Watcher {
		return slices.DeleteFunc(ws, func(x Watcher) bool { return x == w })
	}
	if rest := without(z.absent[path]); len(rest) == 0 {
		delete(z.absent, path)
	} else {
		z.absent[path] = rest
	}
	if n := z.nodes[path]; n != nil {
		n.data, n.child = without(n.data), without(n.child)
	}
}

// Create adds a node. session is the owner of an ephemeral, 0 for none.
func (z *Znodes) Create(path string, data any, size int, session int64) error {
	_, err := z.Multi([]ZOp{{Kind: ZCreate, Path: path, Data: data, Size: size, Session: session}})
	return err
}

// Set replaces a node's data if its version is the one given.
func (z *Znodes) Set(path string, data any, size int, version int32) error {
	_, err := z.Multi([]ZOp{{Kind: ZSet, Path: path, Data: data, Size: size, Version: version}})
	return err
}

// Delete removes a node without children if its version is the one given.
func (z *Znodes) Delete(path string, version int32) error {
	_, err := z.Multi([]ZOp{{Kind: ZDelete, Path: path, Version: version}})
	return err
}

// Multi applies operations one after the other, all of them or none. When one
// fails, its index and error are the answer; else the index is -1. An error that
// concerns the request as a whole (ErrTooLarge) has index -1 as well.
func (z *Znodes) Multi(ops []ZOp) (int, error) {
	size := 0
	for i := range ops {
		size += ops[i].Size + len(ops[i].Path) + opOverhead
	}
	if size > z.maxRequest {
		return -1, ErrTooLarge
	}
	z.begin()
	for i := range ops {
		if err := z.apply(&ops[i]); err != nil {
			z.rollback()
			return i, err
		}
	}
	z.commit()
	return -1, nil
}

// CloseSession deletes the ephemerals of a session in one transaction.
func (z *Znodes) CloseSession(session int64) {
	owned := z.ephemerals[session]
	if len(owned) == 0 {
		return
	}
	z.begin()
	for _, n := range slices.Clone(owned) {
		z.remove(n)
	}
	z.commit()
}

func (z *Znodes) apply(op *ZOp) error {
	if op.Kind == ZCreate {
		parent, name, err := z.place(op.Path)
		if err != nil {
			return err
		}
		_, err = z.add(parent, name, op.Path, op.Data, op.Size, op.Session)
		return err
	}
	n := z.nodes[op.Path]
	switch {
	case n == nil:
		return ErrNoNode
	case op.Version != AnyVersion && op.Version != n.Version:
		return ErrBadVersion
	case op.Kind == ZDelete && n == z.root:
		return ErrBadPath
	case op.Kind == ZDelete && len(n.children) > 0:
		return ErrNotEmpty
	case op.Kind == ZDelete:
		z.remove(n)
	case op.Kind == ZSet:
		z.set(n, op.Data, op.Size)
	}
	return nil
}

// place finds the parent and the name of a node to create.
func (z *Znodes) place(path string) (*Znode, string, error) {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 || path[0] != '/' || slash == len(path)-1 || strings.Contains(path, "//") {
		return nil, "", ErrBadPath
	}
	name := path[slash+1:]
	if name == "." || name == ".." {
		return nil, "", ErrBadPath
	}
	parent := z.root
	if slash > 0 {
		parent = z.nodes[path[:slash]]
	}
	if parent == nil {
		return nil, "", ErrNoNode
	}
	return parent, name, nil
}

// watch sets a watch on the node's data.
func (n *Znode) watch(w Watcher) { n.data = watchedBy(n.data, w) }

func watchedBy(ws []Watcher, w Watcher) []Watcher {
	if slices.Contains(ws, w) {
		return ws
	}
	return append(ws, w)
}
