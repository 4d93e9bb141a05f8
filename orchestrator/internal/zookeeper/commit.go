package zookeeper

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// multi is a transaction as ZooKeeper gets it.
type multi struct {
	kind  *kindState
	paths *paths
	txn   *fleet.Txn
	ops   []any
	lists []list // of each change, after it; none for a deletion
	bytes int    // of the packet
}

// refusal is an outcome with its reason.
type refusal struct {
	outcome fleet.Outcome
	err     error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(o fleet.Outcome, format string, args ...any) error {
	return &refusal{o, fmt.Errorf("zookeeper: "+format, args...)}
}

// Commit executes a transaction as one multi; see loop.Store. An update costs one
// request, unless the list is not known at the version that the transaction
// expects; a deletion first looks for what stands under tmp.
func (c *Client) Commit(ctx context.Context, kind fleet.Kind, txn *fleet.Txn) (fleet.Outcome, error) {
	err := c.commit(ctx, kind, txn)
	outcome := fleet.OutcomeDone
	if err != nil {
		outcome = fleet.OutcomeFailed
		if r := (*refusal)(nil); errors.As(err, &r) {
			outcome = r.outcome
		}
	}
	c.count.outcomes[outcome].Add(1)
	return outcome, err
}

func (c *Client) commit(ctx context.Context, kind fleet.Kind, txn *fleet.Txn) error {
	p, err := pathsOf(kind)
	if err != nil {
		return err
	}
	if !c.connected() {
		return errNotConnected
	}
	k := c.kind(kind)
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	k.at(txn.Epoch)
	if err := c.root(ctx, k, &p); err != nil {
		return err
	}
	const attempts = 10 // each fails only when something has come or gone below tmp
	for range attempts {
		var m *multi
		if m, err = c.prepare(ctx, k, &p, txn); err != nil {
			return err
		}
		again := false
		if again, err = c.execute(ctx, m); !again {
			return err
		}
	}
	return err
}

// root sees to it, once, that what a new instance or the control node hangs from
// is there.
func (c *Client) root(ctx context.Context, k *kindState, p *paths) error {
	k.mu.Lock()
	rooted := k.rooted
	k.mu.Unlock()
	if rooted {
		return nil
	}
	if err := c.ensure(ctx, p); err != nil {
		return err
	}
	k.setRooted(true)
	return nil
}

// prepare makes the operations. It reads what it has to.
func (c *Client) prepare(ctx context.Context, k *kindState, p *paths, txn *fleet.Txn) (*multi, error) {
	m := &multi{kind: k, paths: p, txn: txn, lists: make([]list, len(txn.Changes)),
		ops: make([]any, 0, 2+5*len(txn.Changes))}
	if txn.Epoch < 0 || txn.Epoch > 1<<31-1 {
		return nil, refuse(fleet.OutcomeDeposed, "%s: no leader has epoch %d", p.epoch, txn.Epoch)
	}
	m.ops = append(m.ops, &zk.CheckVersionRequest{Path: p.epoch, Version: int32(txn.Epoch)})
	if id, twice := namedTwice(txn.Changes); twice { // its nodes could not tell whether the one or the other happened
		return nil, refuse(fleet.OutcomeFailed, "transaction %d has two changes of %s: want one", txn.ID, p.instance(id).node)
	}
	for i := range txn.Changes {
		change := &txn.Changes[i]
		at := p.instance(change.Instance)
		var err error
		if v := change.Versions; change.Kind != fleet.ChangeCreate && (min(v.Node, v.Resources) < 0 || v.Reload < -1) {
			return nil, refuse(fleet.OutcomeConflict, "%s cannot have versions %+v", at.node, v) // ZooKeeper would take any
		}
		switch change.Kind {
		case fleet.ChangeUpdate:
			err = c.update(ctx, m, &at, i)
		case fleet.ChangeCreate:
			err = c.create(m, &at, i)
		case fleet.ChangeDelete:
			err = c.delete(ctx, m, &at, i)
		default:
			err = fmt.Errorf("zookeeper: change %d of transaction %d is of no known kind", i, txn.ID)
		}
		if err != nil {
			return nil, err
		}
	}
	if txn.Control != nil {
		data, err := encodeControl(txn.Control)
		if err != nil {
			return nil, fmt.Errorf("zookeeper: %s: %w", p.control, err)
		}
		if txn.ControlVersion < -1 {
			return nil, refuse(fleet.OutcomeConflict, "%s cannot have version %d", p.control, txn.ControlVersion)
		}
		if txn.ControlVersion == -1 {
			m.ops = append(m.ops, c.creation(p.control, data, 0))
		} else {
			m.ops = append(m.ops, &zk.SetDataRequest{Path: p.control, Data: data, Version: txn.ControlVersion})
		}
	}
	m.bytes = packetBytes(m.ops)
	if m.bytes > c.cfg.MaxRequest {
		return nil, refuse(fleet.OutcomeFailed, "transaction %d of %s takes %d bytes, more than a packet's %d: commit less at a time",
			txn.ID, p.root, m.bytes, c.cfg.MaxRequest)
	}
	return m, nil
}

func namedTwice(changes []fleet.Change) (fleet.InstanceID, bool) {
	if len(changes) < 2 {
		return 0, false
	}
	named := make(map[fleet.InstanceID]bool, len(changes))
	for i := range changes {
		id := changes[i].Instance
		if named[id] {
			return id, true
		}
		named[id] = true
	}
	return 0, false
}

func (c *Client) update(ctx context.Context, m *multi, at *instancePaths, i int) error {
	change := &m.txn.Changes[i]
	want := change.Versions
	old, ok := m.kind.list(change.Instance, want.Resources)
	if !ok {
		f, err := c.get(ctx, at.resources, false)
		if errors.Is(err, zk.ErrNoNode) {
			return refuse(fleet.OutcomeConflict, "%s is not there, want version %d", at.resources, want.Resources)
		}
		if err != nil {
			return err
		}
		if f.stat.Version != want.Resources {
			return refuse(fleet.OutcomeConflict, "%s has version %d, want %d", at.resources, f.stat.Version, want.Resources)
		}
		_, canonical, err := decodeList(f.data)
		if err != nil {
			return fmt.Errorf("zookeeper: %s: %w", at.resources, err)
		}
		old = listOf(canonical)
		m.kind.keep(m.txn.Epoch, change.Instance, cachedList{f.stat.Version, old})
	}
	if err := m.list(i, old); err != nil {
		return refuse(fleet.OutcomeConflict, "%s at version %d: %w", at.resources, want.Resources, err)
	}
	m.ops = append(m.ops,
		&zk.SetDataRequest{Path: at.node, Data: numbers{change.Used, change.Capacity}.encode(), Version: want.Node},
		&zk.SetDataRequest{Path: at.resources, Data: m.lists[i].data, Version: want.Resources})
	if times := encodeTimes(change.Times); want.Reload == -1 {
		m.ops = append(m.ops, c.creation(at.reload, times, 0))
	} else {
		m.ops = append(m.ops, &zk.SetDataRequest{Path: at.reload, Data: times, Version: want.Reload})
	}
	return nil
}

// list makes the list that a change leaves of the old one.
func (m *multi) list(i int, old list) error {
	change := &m.txn.Changes[i]
	into := m.kind.buffer(old.sizeAfter(change.Add))
	after, err := old.change(into, change.Add, change.Remove)
	if err != nil {
		m.kind.reuse(into)
		return err
	}
	m.lists[i] = after
	return nil
}

func (c *Client) create(m *multi, at *instancePaths, i int) error {
	change := &m.txn.Changes[i]
	if err := m.list(i, list{data: []byte(listHead + listTail)}); err != nil {
		return refuse(fleet.OutcomeConflict, "%s: %w", at.resources, err)
	}
	m.ops = append(m.ops,
		c.creation(at.node, numbers{change.Used, change.Capacity}.encode(), 0),
		c.creation(at.resources, m.lists[i].data, 0),
		c.creation(at.reload, encodeTimes(change.Times), 0),
		c.creation(at.tmp, nil, zk.PermRead|zk.PermCreate|zk.PermDelete))
	return nil
}

func (c *Client) creation(path string, data []byte, open int32) *zk.CreateRequest {
	return &zk.CreateRequest{Path: path, Data: data, Acl: c.acl(open)}
}

func (c *Client) delete(ctx context.Context, m *multi, at *instancePaths, i int) error {
	want := m.txn.Changes[i].Versions
	below, err := c.below(ctx, at.tmp)
	if err != nil {
		return err
	}
	for _, path := range below {
		m.ops = append(m.ops, &zk.DeleteRequest{Path: path, Version: -1})
	}
	if want.Reload >= 0 {
		m.ops = append(m.ops, &zk.DeleteRequest{Path: at.reload, Version: want.Reload})
	}
	m.ops = append(m.ops,
		&zk.DeleteRequest{Path: at.resources, Version: want.Resources},
		&zk.DeleteRequest{Path: at.node, Version: want.Node})
	return nil
}

// below lists path and everything under it, children first; nothing when it is not
// there.
func (c *Client) below(ctx context.Context, path string) ([]string, error) {
	const most = 10_000
	var all []string
	for todo := []string{path}; len(todo) > 0; {
		parent := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		names, err := c.children(ctx, parent, false)
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if all = append(all, parent); len(all)+len(names) > most {
			return nil, refuse(fleet.OutcomeFailed, "more than %d nodes under %s: remove them", most, path)
		}
		for _, name := range names {
			todo = append(todo, parent+"/"+name)
		}
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 { // parents came first
		all[i], all[j] = all[j], all[i]
	}
	return all, nil
}

// execute sends the multi. It asks to prepare it anew when what it was to delete
// has changed below tmp.
func (c *Client) execute(ctx context.Context, m *multi) (again bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c.count.bytes.Add(uint64(m.bytes))
	results, err := ask(ctx, c, func(conn *zk.Conn) ([]zk.MultiResponse, error) { return conn.Multi(m.ops...) })
	switch {
	case err == nil:
		m.done()
		return false, nil
	case errors.Is(err, zk.ErrNoServer):
		m.release()
		return false, refuse(fleet.OutcomeFailed, "transaction %d was not sent: %w", m.txn.ID, err)
	case !answered(err):
		err = c.resolve(ctx, m, err)
		if err == nil {
			m.done()
		}
		return false, err
	}
	m.release()
	return m.explain(results, err)
}

// answered says whether an error is the server's: then the transaction did not
// happen. All others leave it open.
func answered(err error) bool {
	for _, e := range []error{zk.ErrNoNode, zk.ErrBadVersion, zk.ErrNodeExists, zk.ErrNotEmpty, zk.ErrNoAuth, zk.ErrSessionMoved,
		zk.ErrInvalidACL, zk.ErrBadArguments, zk.ErrNoChildrenForEphemerals, zk.ErrAuthFailed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// explain finds the operation that failed: those before it bear no error.
func (m *multi) explain(results []zk.MultiResponse, err error) (again bool, _ error) {
	failed := -1
	for i := range results {
		if results[i].Error != nil {
			failed = i
			break
		}
	}
	if failed < 0 || failed >= len(m.ops) {
		return false, refuse(fleet.OutcomeFailed, "transaction %d: %w", m.txn.ID, err)
	}
	err = results[failed].Error
	path, version, what := operation(m.ops[failed])
	conflict := errors.Is(err, zk.ErrBadVersion) || errors.Is(err, zk.ErrNodeExists) || errors.Is(err, zk.ErrNoNode)
	switch {
	case failed == 0 && conflict:
		return false, refuse(fleet.OutcomeDeposed, "%s has another version than %d: there is a newer leader: %w", path, version, err)
	case errors.Is(err, zk.ErrNotEmpty), errors.Is(err, zk.ErrNoNode) && what == "delete" && version < 0:
		return true, refuse(fleet.OutcomeConflict, "%s %s: its children come and go: %w", what, path, err)
	case conflict:
		m.forget()
		m.kind.setRooted(false) // perhaps it is the root that is gone
		return false, refuse(fleet.OutcomeConflict, "%s %s at version %d: %w", what, path, version, err)
	}
	return false, refuse(fleet.OutcomeFailed, "%s %s: %w", what, path, err)
}

// operation is what an operation does, where, and the version that it expects.
func operation(op any) (path string, version int32, what string) {
	switch op := op.(type) {
	case *zk.CheckVersionRequest:
		return op.Path, op.Version, "check"
	case *zk.SetDataRequest:
		return op.Path, op.Version, "write"
	case *zk.DeleteRequest:
		return op.Path, op.Version, "delete"
	case *zk.CreateRequest:
		return op.Path, -1, "create"
	}
	return "", -1, "unknown operation on"
}

// done keeps what the transaction has made of the lists. The library must have
// given the request up: it does not read their bytes any more.
func (m *multi) done() {
	for i := range m.txn.Changes {
		switch change := &m.txn.Changes[i]; change.Kind {
		case fleet.ChangeUpdate:
			m.kind.keep(m.txn.Epoch, change.Instance, cachedList{change.Versions.Resources + 1, m.lists[i]})
		case fleet.ChangeCreate:
			m.kind.keep(m.txn.Epoch, change.Instance, cachedList{0, m.lists[i]})
		case fleet.ChangeDelete:
			m.kind.forget(change.Instance)
		}
	}
}

// release gives back the bytes of the lists of a transaction that did not happen,
// and that the library has given up.
func (m *multi) release() {
	for i := range m.lists {
		m.kind.reuse(m.lists[i].data)
		m.lists[i] = list{}
	}
}

// forget drops the lists that the transaction touches.
func (m *multi) forget() {
	for i := range m.txn.Changes {
		m.kind.forget(m.txn.Changes[i].Instance)
	}
}

// packetBytes is what the server counts of a multi, without the length itself.
func packetBytes(ops []any) int {
	const header, opHeader, number = 8, 9, 4
	n := header + opHeader
	for _, op := range ops {
		n += opHeader
		switch op := op.(type) {
		case *zk.CheckVersionRequest:
			n += number + len(op.Path) + number
		case *zk.SetDataRequest:
			n += number + len(op.Path) + number + len(op.Data) + number
		case *zk.DeleteRequest:
			n += number + len(op.Path) + number
		case *zk.CreateRequest:
			n += number + len(op.Path) + number + len(op.Data) + number + number
			for _, a := range op.Acl {
				n += 3*number + len(a.Scheme) + len(a.ID)
			}
		}
	}
	return n
}
