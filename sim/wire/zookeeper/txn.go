package zookeeper

import "fmt"

// step is one entry of a write: what a client asked for.
type step struct {
	kind    opCode
	path    string
	data    []byte
	acl     []ACL
	flags   int32
	version int32 // the version it is bound to, -1 for any
}

// outcome is what became of a step.
type outcome struct {
	kind opCode // opError in a multi that failed
	err  code
	path string
	stat Stat
}

// txn is one transaction being made. Each step is checked and applied at once;
// when a later one fails, all are taken back, and nobody has seen them, because
// the server's lock is held all the while.
type txn struct {
	tree    *tree
	ids     []identity // who asks
	session int64
	zxid    int64
	ms      int64
	changes []*change
	undos   []undo
	outs    []outcome
}

// run carries out all steps or none. The outcomes are those that ZooKeeper
// tells: in a failed multi, entries before the bad one read ok, those after it
// runtimeInconsistency.
func (x *txn) run(steps []step) []outcome {
	for i := range steps {
		out := outcome{kind: steps[i].kind, path: steps[i].path}
		if out.err = x.do(&steps[i], &out); out.err != ok {
			x.rollback()
			x.fail(i, len(steps), out.err)
			break
		}
		x.outs = append(x.outs, out)
	}
	return x.outs
}

func (x *txn) rollback() {
	for i := len(x.undos) - 1; i >= 0; i-- {
		x.tree.revert(&x.undos[i])
	}
	x.changes, x.undos = x.changes[:0], x.undos[:0]
}

func (x *txn) fail(at, n int, err code) {
	x.outs = x.outs[:0]
	for i := range n {
		out := outcome{kind: opError}
		switch {
		case i == at:
			out.err = err
		case i > at:
			out.err = runtimeInconsistency
		}
		x.outs = append(x.outs, out)
	}
}

func (x *txn) do(s *step, out *outcome) code {
	switch s.kind {
	case opCreate, opCreate2:
		return x.create(s, out)
	case opDelete:
		return x.delete(s)
	case opSetData:
		return x.setData(s, out)
	case opSetACL:
		return x.setACL(s, out)
	case opCheck:
		return x.check(s)
	}
	return unimplemented
}

// apply changes the tree. The order of checks before it is ZooKeeper's, because
// it decides which error a client sees.
func (x *txn) apply(c *change) {
	if c.kind != opSetACL { // it never stands in a multi: nothing takes it back
		x.undos = append(x.undos, x.tree.before(c))
	}
	if n := x.tree.nodes[c.path]; n != nil {
		c.readers = n.acl
	} else {
		c.readers = c.acl
	}
	parent, _ := split(c.path)
	if p := x.tree.nodes[parent]; p != nil {
		c.parentReaders = p.acl
	}
	x.tree.apply(c, x.zxid, x.ms)
	x.changes = append(x.changes, c)
}

func (x *txn) create(s *step, out *outcome) code {
	switch s.flags {
	case 0, flagEphemeral, flagSequential, flagEphemeral | flagSequential:
	case flagContainer, flagTTL, flagTTLAndSeq:
		return unimplemented
	default:
		return badArguments
	}
	if !hasParent(s.path) {
		return badArguments
	}
	acl, err := resolve(s.acl, x.ids)
	if err != ok {
		return err
	}
	parentPath, _ := split(s.path)
	parent := x.tree.nodes[parentPath]
	if parent == nil {
		return noNode
	}
	if !permitted(parent.acl, permCreate, x.ids) {
		return noAuth
	}
	path := s.path
	if s.flags&flagSequential != 0 {
		path += fmt.Sprintf("%010d", parent.childrenMade)
	}
	switch {
	case !validPath(path):
		return badArguments
	case x.tree.nodes[path] != nil:
		return nodeExists
	case parent.owner != 0:
		return noChildrenForEphemerals
	}
	c := &change{kind: opCreate, path: path, data: s.data, acl: acl}
	if s.flags&flagEphemeral != 0 {
		c.owner = x.session
	}
	x.apply(c)
	out.path, out.stat = path, x.tree.nodes[path].stat()
	return ok
}

func (x *txn) delete(s *step) code {
	if !hasParent(s.path) || isSpecial(s.path) {
		return badArguments
	}
	parentPath, _ := split(s.path)
	parent := x.tree.nodes[parentPath]
	if parent == nil {
		return noNode
	}
	if !permitted(parent.acl, permDelete, x.ids) {
		return noAuth
	}
	n := x.tree.nodes[s.path]
	switch {
	case n == nil:
		return noNode
	case s.version != -1 && s.version != n.version:
		return badVersion
	case len(n.children) > 0:
		return notEmpty
	}
	x.apply(&change{kind: opDelete, path: s.path})
	return ok
}

// bound finds the node that a step is about, and holds the step to the version
// that current tells.
func (x *txn) bound(s *step, perm int32, current func(*node) int32) (*node, code) {
	n := x.tree.nodes[s.path]
	switch {
	case n == nil:
		return nil, noNode
	case !permitted(n.acl, perm, x.ids):
		return nil, noAuth
	case s.version != -1 && s.version != current(n):
		return nil, badVersion
	}
	return n, ok
}

func dataVersion(n *node) int32 { return n.version }
func aclVersion(n *node) int32  { return n.aversion }

func (x *txn) setData(s *step, out *outcome) code {
	if !validPath(s.path) {
		return badArguments
	}
	n, err := x.bound(s, permWrite, dataVersion)
	if err != ok {
		return err
	}
	x.apply(&change{kind: opSetData, path: s.path, data: s.data, n: n.version + 1})
	out.stat = n.stat()
	return ok
}

func (x *txn) setACL(s *step, out *outcome) code {
	if !validPath(s.path) {
		return badArguments
	}
	acl, err := resolve(s.acl, x.ids)
	if err != ok {
		return err
	}
	n, err := x.bound(s, permAdmin, aclVersion)
	if err != ok {
		return err
	}
	x.apply(&change{kind: opSetACL, path: s.path, acl: acl, n: n.aversion + 1})
	out.stat = n.stat()
	return ok
}

func (x *txn) check(s *step) code {
	if !validPath(s.path) {
		return badArguments
	}
	_, err := x.bound(s, permRead, dataVersion)
	return err
}
