package zookeeper

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// verdict is what a node says of a transaction whose answer was lost.
type verdict int

const (
	unclear verdict = iota
	happened
	absent   // the node is as before the transaction
	replaced // somebody else's write stands where the transaction's would
)

// resolve finds out whether a transaction happened whose answer was lost. nil when
// it did; else a refusal.
//
// Reading is conclusive once the library has given a request up: it has closed the
// connection, and the session has moved to another, on which the server executes
// nothing of the old one any more. sync then makes a server that lags behind see
// what has been committed.
func (c *Client) resolve(ctx context.Context, m *multi, cause error) error {
	m.forget()
	wait := newBackoff()
	for ctx.Err() == nil {
		if err := c.awaitConnection(ctx); err != nil {
			break
		}
		v, deposed, err := c.examine(ctx, m)
		if err == nil {
			return c.judge(m, v, deposed, cause)
		}
		if wait.sleep(ctx) != nil {
			break
		}
	}
	return refuse(fleet.OutcomeUnknown, "transaction %d may have happened: %w", m.txn.ID, cause)
}

func (c *Client) judge(m *multi, v verdict, deposed bool, cause error) error {
	if v != unclear {
		c.count.resolved.Add(1)
	}
	switch {
	case v == happened:
		return nil
	case v == unclear:
		return refuse(fleet.OutcomeUnknown, "transaction %d may have happened, and its nodes have been written since: %w", m.txn.ID, cause)
	case deposed:
		return refuse(fleet.OutcomeDeposed, "transaction %d did not happen, and a newer leader has written %s: %w", m.txn.ID, m.paths.epoch, cause)
	case v == replaced:
		return refuse(fleet.OutcomeConflict, "transaction %d did not happen, and somebody else has written its nodes: %w", m.txn.ID, cause)
	}
	return refuse(fleet.OutcomeFailed, "transaction %d did not happen: %w", m.txn.ID, cause)
}

// era is what the epoch node says of the writes that stand in the tree.
type era struct {
	deposed bool
	ours    int64 // writes below this number are not a newer leader's
}

// errNewEpoch: a leader has begun while the nodes were looked at.
var errNewEpoch = errors.New("zookeeper: another epoch was written meanwhile")

// era reads the epoch node, for a transaction of that epoch.
func (c *Client) era(ctx context.Context, m *multi) (era, error) {
	stat, _, err := c.exists(ctx, m.paths.epoch, false)
	switch newer := int64(stat.Version) - m.txn.Epoch; {
	case err != nil:
		return era{}, err
	case newer == 0:
		return era{ours: 1<<63 - 1}, nil
	case newer == 1:
		return era{deposed: true, ours: stat.Mzxid}, nil
	}
	return era{deposed: true}, nil // when the first of several began is not known
}

// examine looks at every node that the transaction writes. All of it happened or
// nothing: one node that is as before tells for all. No leader may begin meanwhile:
// a node as it has left it would be taken for ours.
func (c *Client) examine(ctx context.Context, m *multi) (v verdict, deposed bool, err error) {
	if err := c.sync(ctx, m.paths.epoch); err != nil {
		return unclear, false, err
	}
	e, err := c.era(ctx, m)
	if err != nil {
		return unclear, false, err
	}
	if m.trivial() { // it would change nothing: whether it happened makes no difference
		if e.deposed {
			return absent, true, nil
		}
		return happened, false, nil
	}
	v, err = c.lookAll(ctx, m, &e)
	if err != nil {
		return unclear, false, err
	}
	if again, err := c.era(ctx, m); err != nil || again != e {
		return unclear, false, cmp.Or(err, errNewEpoch)
	}
	return v, e.deposed, nil
}

func (c *Client) lookAll(ctx context.Context, m *multi, e *era) (verdict, error) {
	var written int64 // by which transaction; 0 for not known
	v := unclear
	for _, op := range m.ops[1:] {
		one, by, err := c.look(ctx, op, e)
		if err != nil {
			return unclear, err
		}
		switch {
		case one == absent || one == replaced:
			return one, nil
		case one == unclear:
			continue
		case by != 0 && written != 0 && by != written:
			return replaced, nil // ours would bear one number
		case by != 0:
			written = by
		}
		v = happened
	}
	return v, nil
}

// trivial transactions write nothing.
func (m *multi) trivial() bool { return len(m.ops) == 1 }

// look is what the node of one operation says, and which transaction wrote it. A
// node that a newer leader may have deleted or created anew says nothing.
func (c *Client) look(ctx context.Context, op any, e *era) (verdict, int64, error) {
	path, version, _ := operation(op)
	f, err := c.get(ctx, path, false)
	here := err == nil
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return unclear, 0, err
	}
	if here && f.stat.Czxid >= e.ours || !here && e.deposed {
		return unclear, 0, nil
	}
	switch op := op.(type) {
	case *zk.DeleteRequest:
		switch {
		case version < 0: // below tmp: comes and goes
			return unclear, 0, nil
		case !here:
			return happened, 0, nil
		case f.stat.Version == version:
			return absent, 0, nil
		}
		return unclear, 0, nil
	case *zk.CreateRequest:
		if !here {
			return absent, 0, nil
		}
		return compare(&f, 0, op.Data, e), f.stat.Czxid, nil
	case *zk.SetDataRequest:
		switch {
		case !here:
			return unclear, 0, nil
		case f.stat.Version == version:
			return absent, 0, nil
		}
		return compare(&f, version+1, op.Data, e), f.stat.Mzxid, nil
	}
	return unclear, 0, fmt.Errorf("zookeeper: no verdict for %T", op)
}

// compare tells a node at the version that the transaction would have left. At a
// later one it says nothing: the transaction may have happened before.
func compare(f *found, version int32, data []byte, e *era) verdict {
	switch {
	case f.stat.Version != version:
		return unclear
	case bytes.Equal(f.data, data) && f.stat.Mzxid < e.ours:
		return happened
	}
	return replaced
}
