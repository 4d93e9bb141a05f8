package zookeeper

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest/real"
)

// TestServerRestarts: while ZooKeeper is killed and started again and again,
// whatever was answered as done stands in the end, and nothing else does. The
// leader goes on under its epoch, or another one does.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	server := real.ZooKeeper(t)
	c := open(t, Config{Servers: []string{server.Addr}, SessionTimeout: sessionTimeout})
	ctx := patient(t)
	var ids []string
	var in fleet.TreeInstance
	restarts, commits := 0, 0
	for restarts < 3 {
		err := c.Lead(ctx, "Thing", fleet.Candidate{Name: "a"}, func(leading context.Context, epoch int64, _ func() bool) {
			if tree, err := c.ReadTree(leading, "Thing"); err != nil {
				return // the next turn
			} else if len(tree.Instances) > 0 {
				in = tree.Instances[0]
				if !slices.Equal(in.IDs, ids) {
					t.Errorf("after %d restarts %d ids stand, want %d: %.300q, want %.300q", restarts, len(in.IDs), len(ids), in.IDs, ids)
				}
			}
			restart := make(chan struct{})
			defer func() { <-restart }()
			go func() { defer close(restart); server.Kill(); server.Start() }()
			restarts++
			for range 300 {
				if c.awaitConnection(leading) != nil {
					return
				}
				id := fmt.Sprint("r", commits)
				commits++
				txn := fleet.Txn{Epoch: epoch, Changes: []fleet.Change{{Kind: fleet.ChangeUpdate, Capacity: 9, Used: len(ids) + 1, Add: []string{id}, Versions: in.Versions}}}
				if len(ids) == 0 {
					txn.Changes[0].Kind = fleet.ChangeCreate
				}
				switch o, err := c.Commit(ctx, "Thing", &txn); o {
				case fleet.OutcomeDone:
					if len(ids) > 0 {
						in.Versions.Node, in.Versions.Resources, in.Versions.Reload = in.Versions.Node+1, in.Versions.Resources+1, in.Versions.Reload+1
					}
					ids = append(ids, id)
				case fleet.OutcomeFailed:
				default:
					t.Errorf("transaction %d: %v, %v", commits, o, err)
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := c.ReadTree(ctx, "Thing")
	if err != nil || !slices.Equal(tree.Instances[0].IDs, ids) {
		t.Errorf("%d of %d ids stand at the end (%v)", len(tree.Instances[0].IDs), len(ids), err)
	}
	t.Logf("%d transactions, %d done, %+v", commits, len(ids), c.Stats())
}

// TestRequestDelayed is what resolve relies on: a request that is still on its way
// on a connection that the client has given up is not carried out any more once
// the session has moved to another. So what was found not to have happened does
// not happen later.
func TestRequestDelayed(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, b.start(t))
			c := open(t, Config{Servers: []string{p.addr()}, SessionTimeout: sessionTimeout})
			ctx := patient(t)
			err := c.Lead(ctx, "Thing", fleet.Candidate{}, func(_ context.Context, epoch int64, _ func() bool) {
				p.held = make(chan struct{})
				p.next(holdRequest)
				txn := &fleet.Txn{Epoch: epoch, Changes: []fleet.Change{{Kind: fleet.ChangeCreate, Capacity: 1}}}
				if o, err := c.Commit(ctx, "Thing", txn); o != fleet.OutcomeFailed {
					t.Errorf("%v, %v, want failed", o, err)
				}
				close(p.held)
				for range 20 { // it has time to arrive
					if _, err := c.ReadTree(ctx, "Thing"); err != nil {
						t.Error(err)
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
			if tree, err := c.ReadTree(ctx, "Thing"); err != nil || len(tree.Instances) != 0 {
				t.Errorf("%+v, %v: the delayed transaction has happened", tree, err)
			}
		})
	}
}
