package zookeeper

import (
	"context"
	"errors"
	"testing"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// TestResolve: what is said of a transaction whose answer was lost, by what has
// happened since. A newer leader may have written the same, or created what it had
// deleted anew with the same versions.
func TestResolve(t *testing.T) {
	addr := startStandIn(t)
	raw := rawConn(t, addr)
	c := open(t, Config{Servers: []string{addr}})
	ctx := patient(t)
	if err := c.awaitConnection(ctx); err != nil {
		t.Fatal(err)
	}
	update := fleet.Change{Instance: 0, Capacity: 5, Used: 2, Times: 1, Add: []string{"b"}}
	create := fleet.Change{Kind: fleet.ChangeCreate, Instance: 1, Capacity: 5, Used: 1, Add: []string{"c"}}
	remove := fleet.Change{Kind: fleet.ChangeDelete, Instance: 0}
	for _, tt := range []struct {
		name    string
		change  fleet.Change
		happens string // in which order: m the transaction, e a newer epoch, s what the transaction does by another, d the deletion and c the creation of instance 0
		want    fleet.Outcome
	}{
		{"it happened", update, "m", fleet.OutcomeDone},
		{"it did not", update, "", fleet.OutcomeFailed},
		{"a newer leader, it did not", update, "e", fleet.OutcomeDeposed},
		{"a newer leader, it happened", update, "me", fleet.OutcomeDone},
		{"a newer leader wrote the same", update, "es", fleet.OutcomeDeposed},
		{"a newer leader wrote the same again", update, "mes", fleet.OutcomeUnknown},
		{"a newer leader created it anew, it happened", update, "medc", fleet.OutcomeUnknown},
		{"a newer leader created it anew, it did not happen", update, "edc", fleet.OutcomeUnknown},
		{"a newer leader created it anew and wrote the same", update, "medcs", fleet.OutcomeUnknown},
		{"two newer leaders wrote", update, "mesdce", fleet.OutcomeUnknown},
		{"created", create, "m", fleet.OutcomeDone},
		{"not created", create, "", fleet.OutcomeFailed},
		{"created by a newer leader", create, "es", fleet.OutcomeUnknown},
		{"created, then a newer leader came", create, "me", fleet.OutcomeDone},
		{"a newer leader, nothing there", create, "e", fleet.OutcomeUnknown},
		{"deleted", remove, "m", fleet.OutcomeDone},
		{"not deleted", remove, "", fleet.OutcomeFailed},
		{"deleted by a newer leader", remove, "es", fleet.OutcomeUnknown},
		{"a newer leader, not deleted", remove, "e", fleet.OutcomeDeposed},
		{"deleted, and a newer leader created it anew", remove, "mec", fleet.OutcomeUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kind := fleet.Kind(t.Name()[len("TestResolve/"):])
			err := c.Lead(ctx, kind, fleet.Candidate{}, func(_ context.Context, epoch int64, _ func() bool) {
				first := fleet.Txn{Epoch: epoch, Changes: []fleet.Change{{Kind: fleet.ChangeCreate, Capacity: 5, Used: 1, Add: []string{"a"}}}}
				if o, err := c.Commit(ctx, kind, &first); o != fleet.OutcomeDone {
					t.Fatal(o, err)
				}
				p, err := pathsOf(kind)
				if err != nil {
					t.Fatal(err)
				}
				does := func(change fleet.Change) *multi {
					m, err := c.prepare(ctx, c.kind(kind), &p, &fleet.Txn{Epoch: epoch, Changes: []fleet.Change{change}})
					if err != nil {
						t.Fatal(err)
					}
					return m
				}
				m, deletion, creation := does(tt.change), does(remove), does(first.Changes[0])
				for _, step := range tt.happens {
					switch step {
					case 'm':
						_, err = raw.Multi(m.ops...)
					case 's':
						err = anyVersion(raw, m.ops[1:])
					case 'd':
						err = anyVersion(raw, deletion.ops[1:])
					case 'c':
						err = anyVersion(raw, creation.ops[1:])
					case 'e':
						_, err = raw.Set(p.epoch, nil, -1)
					}
					if err != nil {
						t.Fatalf("%c: %v", step, err)
					}
				}
				got := fleet.OutcomeDone
				if r := (*refusal)(nil); errors.As(c.resolve(ctx, m, zk.ErrConnectionClosed), &r) {
					got = r.outcome
				}
				if got != tt.want {
					t.Errorf("%v, want %v", got, tt.want)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// anyVersion does the same as operations, whatever the versions are.
func anyVersion(conn *zk.Conn, ops []any) error {
	var same []any
	for _, op := range ops {
		switch op := op.(type) {
		case *zk.SetDataRequest:
			same = append(same, &zk.SetDataRequest{Path: op.Path, Data: op.Data, Version: -1})
		case *zk.DeleteRequest:
			same = append(same, &zk.DeleteRequest{Path: op.Path, Version: -1})
		default:
			same = append(same, op)
		}
	}
	_, err := conn.Multi(same...)
	return err
}
