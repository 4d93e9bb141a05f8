package world

import "slices"

// A transaction on the tree: begin, then add, set and remove in order, then
// commit or rollback. The typed layer of ZooKeeper uses it with nodes in hand
// where Multi goes by path.

type changeKind uint8

const (
	changeAdded changeKind = iota
	changeSet
	changeRemoved
)

// change is what rollback needs to undo one operation, and commit to fire its
// watches.
type change struct {
	kind  changeKind
	n     *Znode
	data  any
	size  int
	mzxid int64
}

func (z *Znodes) begin() { z.zxid++ }

func (z *Znodes) add(parent *Znode, name, path string, data any, size int, session int64) (*Znode, error) {
	switch {
	case parent.Session != 0:
		return nil, ErrNoChildrenForEphemerals
	case parent.children[name] != nil:
		return nil, ErrNodeExists
	}
	n := &Znode{Path: path, Data: data, Size: size, Czxid: z.zxid, Mzxid: z.zxid, Session: session, parent: parent}
	z.attach(n, name)
	parent.Cversion++
	z.changes = append(z.changes, change{kind: changeAdded, n: n})
	return n, nil
}

func (z *Znodes) set(n *Znode, data any, size int) {
	z.changes = append(z.changes, change{kind: changeSet, n: n, data: n.Data, size: n.Size, mzxid: n.Mzxid})
	n.Data, n.Size, n.Mzxid = data, size, z.zxid
	n.Version++
}

// remove deletes a node that has no children.
func (z *Znodes) remove(n *Znode) {
	z.detach(n)
	n.parent.Cversion++
	z.changes = append(z.changes, change{kind: changeRemoved, n: n})
}

func (z *Znodes) attach(n *Znode, name string) {
	z.nodes[n.Path] = n
	if n.parent.children == nil {
		n.parent.children = map[string]*Znode{}
	}
	n.parent.children[name] = n
	if n.Session != 0 {
		z.ephemerals[n.Session] = append(z.ephemerals[n.Session], n)
	}
}

func (z *Znodes) detach(n *Znode) {
	delete(z.nodes, n.Path)
	delete(n.parent.children, n.name())
	if n.Session != 0 {
		owned := z.ephemerals[n.Session]
		if i := slices.Index(owned, n); i >= 0 {
			owned = slices.Delete(owned, i, i+1)
		}
		if len(owned) == 0 {
			delete(z.ephemerals, n.Session)
		} else {
			z.ephemerals[n.Session] = owned
		}
	}
}

func (n *Znode) name() string {
	if n.parent.parent == nil {
		return n.Path[1:]
	}
	return n.Path[len(n.parent.Path)+1:]
}

// rollback undoes the transaction, newest operation first.
func (z *Znodes) rollback() {
	for i := len(z.changes) - 1; i >= 0; i-- {
		c := &z.changes[i]
		switch c.kind {
		case changeAdded:
			z.detach(c.n)
			c.n.parent.Cversion--
		case changeRemoved:
			z.attach(c.n, c.n.name())
			c.n.parent.Cversion--
		case changeSet:
			c.n.Data, c.n.Size, c.n.Mzxid = c.data, c.size, c.mzxid
			c.n.Version--
		}
	}
	z.zxid--
	z.forget()
}

// commit ends the transaction and fires its watches, in the order of its
// operations. Every watch fires once.
func (z *Znodes) commit() {
	for i := range z.changes {
		c := &z.changes[i]
		switch c.kind {
		case changeAdded:
			if ws := z.absent[c.n.Path]; len(ws) > 0 {
				delete(z.absent, c.n.Path)
				z.fire(ws, NodeCreated, c.n.Path)
			}
			z.fireChildren(c.n.parent)
		case changeSet:
			z.fire(c.n.data, NodeDataChanged, c.n.Path)
			c.n.data = c.n.data[:0]
		case changeRemoved:
			z.fire(c.n.data, NodeDeleted, c.n.Path)
			z.fire(c.n.child, NodeDeleted, c.n.Path)
			c.n.data, c.n.child = nil, nil
			z.fireChildren(c.n.parent)
		}
	}
	z.forget()
	for i := 0; i < len(z.fired); i++ {
		f := z.fired[i]
		z.fired[i] = firing{}
		f.w.Fired(f.event, f.path)
	}
	z.fired = z.fired[:0]
}

func (z *Znodes) fire(ws []Watcher, event WatchEvent, path string) {
	for _, w := range ws {
		z.fired = append(z.fired, firing{w, event, path})
	}
}

func (z *Znodes) fireChildren(parent *Znode) {
	z.fire(parent.child, NodeChildrenChanged, parent.Path)
	parent.child = parent.child[:0]
}

func (z *Znodes) forget() {
	clear(z.changes)
	z.changes = z.changes[:0]
}
