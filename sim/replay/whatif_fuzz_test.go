package replay

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
)

// tape makes entries of any bytes.
type tape struct {
	data []byte
	w    *recording.Writer
	now  time.Duration
}

func (t *tape) next() int {
	if len(t.data) == 0 {
		return 0
	}
	b := t.data[0]
	t.data = t.data[1:]
	return int(b)
}

func (t *tape) instance() fleet.InstanceID { return fleet.InstanceID(t.next()%6 - 1) }
func (t *tape) uid() string                { return fmt.Sprint("uid-", t.next()%4) }
func (t *tape) err() string {
	return []string{"", "", "", "quota", "connection refused", "429"}[t.next()%6]
}

func (t *tape) rows() []fleet.Resource {
	var out []fleet.Resource
	for range t.next() % 5 {
		out = append(out, fleet.Resource{ID: []string{"a", "b", "c", "d", "\x01", ""}[t.next()%6], Group: []string{"", "x", "y"}[t.next()%3]})
	}
	return out
}

func (t *tape) ids() []string {
	var out []string
	for _, r := range t.rows() {
		out = append(out, r.ID)
	}
	return out
}

func (t *tape) pod() fleet.Pod {
	return fleet.Pod{Instance: t.instance(), UID: t.uid(), Phase: fleet.Phase(t.next() % 6), Terminating: t.next()%4 == 0, NodeLost: t.next()%5 == 0, Reason: "OOMKilled"}
}

func (t *tape) event() reconcile.Event {
	req := uint64(t.next() % 4)
	switch t.next() % 17 {
	case 0:
		return reconcile.Led{Epoch: int64(t.next())}
	case 1:
		return reconcile.Deposed{Why: "so"}
	case 2:
		tree := fleet.Tree{ControlVersion: int32(t.next()%3 - 1)}
		for range t.next() % 4 {
			tree.Instances = append(tree.Instances, fleet.TreeInstance{ID: t.instance(), Capacity: t.next(), Used: t.next(), IDs: t.ids(), Times: int64(t.next()), Born: int64(t.next())})
		}
		return reconcile.TreeRead{Req: req, Tree: tree, Err: t.err()}
	case 3:
		return reconcile.Listed{Req: req, Rows: t.rows(), Digest: fleet.Digest{Count: t.next() % 5}, Err: t.err()}
	case 4:
		return reconcile.PodsListed{Req: req, Pods: []fleet.Pod{t.pod(), t.pod()}, Err: t.err()}
	case 5, 6:
		return reconcile.Notified{Token: uint64(t.next()), Note: &fleet.Notification{Op: fleet.Op(t.next() % 7), Table: "Thing", Resources: t.rows(), GroupKnown: t.next()%2 == 0}}
	case 7:
		return reconcile.NotificationChannel{Up: t.next()%2 == 0}
	case 8:
		return reconcile.HeartbeatChannel{Up: t.next()%2 == 0}
	case 9:
		return reconcile.Heartbeat{Instance: t.instance()}
	case 10:
		return reconcile.PodSeen{Pod: t.pod()}
	case 11:
		return reconcile.PodGone{Instance: t.instance(), UID: t.uid()}
	case 12:
		return reconcile.PodCreated{Instance: t.instance(), UID: t.uid(), Answer: reconcile.PodAnswer(t.next() % 4), Err: t.err()}
	case 13:
		return reconcile.PodDeleted{Instance: t.instance(), UID: t.uid(), Answer: reconcile.PodAnswer(t.next() % 4), Err: t.err()}
	case 14:
		return reconcile.Committed{Txn: req, Outcome: fleet.Outcome(t.next() % 5)}
	case 15:
		return reconcile.StatusSeen{Instance: t.instance(), Status: fleet.Status{Present: t.next()%3 > 0, Times: int64(t.next() % 9)}}
	}
	n := t.next() - 20
	return reconcile.Ordered{Req: req, Order: []reconcile.Order{reconcile.Orchestrate{Request: placement.Request{MaxInstances: &n}}, reconcile.Drain{Instance: t.instance()},
		reconcile.Undrain{Instance: t.instance()}, reconcile.Replace{Instance: t.instance()}, reconcile.Maintenance{On: n > 0}}[t.next()%5]}
}

func (t *tape) command() reconcile.Command {
	req := uint64(t.next() % 4)
	switch t.next() % 6 {
	case 0:
		return reconcile.ReadTree{Req: req}
	case 1:
		return reconcile.ListRows{Req: req, IDs: t.ids()}
	case 2:
		return reconcile.CreatePod{Instance: t.instance()}
	case 3:
		return reconcile.DeletePod{Instance: t.instance(), UID: t.uid(), Purpose: reconcile.Purpose(t.next() % 3)}
	case 4:
		return reconcile.Alarm{Code: "odd", On: true}
	}
	txn := &fleet.Txn{ID: req}
	for range t.next() % 3 {
		txn.Changes = append(txn.Changes, fleet.Change{Kind: fleet.ChangeKind(t.next() % 3), Instance: t.instance(), Capacity: t.next(), Used: t.next(),
			Add: t.ids(), Remove: t.ids(), Times: int64(t.next())})
	}
	return reconcile.Commit{Txn: txn, Decisions: []placement.Move{{Resource: "a", From: t.instance(), To: t.instance()}}}
}

// Whatever a recording holds is turned into a scenario that the loader takes, or
// refused; and measured.
func FuzzDerive(f *testing.F) {
	f.Add([]byte{0, 0, 1, 3, 3, 1, 2, 2, 0, 10, 3, 2, 9, 4})
	f.Add(bytes.Repeat([]byte{7, 1, 0, 2, 14, 200, 3, 5, 1, 16, 9, 10, 3, 2, 2}, 40))
	f.Add(bytes.Repeat([]byte{1, 0, 0, 9, 3, 255, 5, 5, 8, 12, 40, 11}, 60))
	f.Fuzz(func(t *testing.T, data []byte) {
		var file bytes.Buffer
		cfg := config()
		tp := &tape{data: data, w: recording.NewWriter(&file, recording.Header{Program: "test", Kinds: []recording.Kind{{Config: cfg}}})}
		for n := 0; len(tp.data) > 0 && n < 2000; n++ {
			tp.now += time.Duration(tp.next()) * 100 * time.Millisecond
			switch how := tp.next(); {
			case how == 255:
				tp.w.Restarted(tp.now, 0)
				continue
			case how > 250:
				tp.w.Process(how-250, time.Duration(tp.next())*time.Second)
			case how > 245:
				tp.now += time.Hour
			}
			tp.w.Event(tp.now, 0, tp.event())
			if tp.next()%2 == 0 {
				tp.w.Commands(tp.now, 0, []reconcile.Command{tp.command()})
			}
		}
		if err := tp.w.Close(recording.Closing{}); err != nil {
			t.Fatal(err)
		}
		rec := load(t, &file)
		d, err := rec.Derive("what came")
		if errors.Is(err, ErrNoLead) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rec.outcome(d.From, d.From+d.Length); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.With([]scenarios.Setting{{Key: "policy", Value: "balance"}, {Key: "maxInstances", Value: "3"}, {Key: "initInstances", Value: "2"}}, false); err != nil {
			t.Fatal(err)
		}
		if d.Length < 10*time.Minute {
			if _, err := d.Ask(Question{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
