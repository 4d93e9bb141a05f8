package tape_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/sim/tape"
)

// drawer makes something to tell of bytes.
type drawer struct{ data []byte }

func (d *drawer) below(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return int(b) % n
}

func (d *drawer) instance() fleet.InstanceID { return fleet.InstanceID(d.below(5) - 1) }
func (d *drawer) ids() (list []string) {
	for range d.below(4) {
		list = append(list, fmt.Sprint("r", d.below(9)))
	}
	return list
}

func (d *drawer) pod() fleet.Pod {
	return fleet.Pod{Instance: d.instance(), UID: fmt.Sprint("u", d.below(4)), Phase: fleet.Phase(d.below(6)), Terminating: d.below(4) == 0}
}

func (d *drawer) event() reconcile.Event {
	switch d.below(16) {
	case 0:
		return reconcile.Led{Epoch: int64(d.below(9))}
	case 1:
		return reconcile.Deposed{Why: "so it is"}
	case 2:
		tree := fleet.Tree{ControlVersion: -1}
		for i := range d.below(4) {
			ids := d.ids()
			tree.Instances = append(tree.Instances, fleet.TreeInstance{ID: fleet.InstanceID(i), Capacity: 9, Used: len(ids), IDs: ids, Born: int64(i)})
		}
		return reconcile.TreeRead{Req: uint64(d.below(12)), Tree: tree}
	case 3, 4:
		ev := reconcile.Listed{Req: uint64(d.below(12))}
		for _, id := range d.ids() {
			ev.Rows = append(ev.Rows, fleet.Resource{ID: id})
			ev.Digest.Add(ev.Rows[len(ev.Rows)-1])
		}
		return ev
	case 5:
		return reconcile.PodsListed{Req: uint64(d.below(12)), Pods: []fleet.Pod{d.pod(), d.pod()}}
	case 6:
		var rows []fleet.Resource
		for _, id := range d.ids() {
			rows = append(rows, fleet.Resource{ID: id})
		}
		return reconcile.Notified{Token: uint64(d.below(99)), Note: &fleet.Notification{Op: fleet.Op(d.below(7)), Table: "Thing", Resources: rows, GroupKnown: true}}
	case 7:
		return reconcile.NotificationChannel{Up: d.below(2) == 0}
	case 8:
		return reconcile.Heartbeat{Instance: d.instance()}
	case 9:
		return reconcile.HeartbeatChannel{Up: d.below(2) == 0}
	case 10:
		return reconcile.PodSeen{Pod: d.pod()}
	case 11:
		return reconcile.PodGone{Instance: d.instance(), UID: fmt.Sprint("u", d.below(4))}
	case 12:
		return reconcile.PodCreated{Instance: d.instance(), UID: fmt.Sprint("u", d.below(4))}
	case 13:
		return reconcile.Committed{Txn: uint64(d.below(5)), Outcome: fleet.Outcome(d.below(5))}
	case 14:
		orders := []reconcile.Order{reconcile.Orchestrate{Request: placement.Request{}}, reconcile.Drain{Instance: d.instance()},
			reconcile.Undrain{Instance: d.instance()}, reconcile.Replace{Instance: d.instance()}, reconcile.Maintenance{On: d.below(2) == 0}}
		return reconcile.Ordered{Req: uint64(d.below(9)), Order: orders[d.below(len(orders))]}
	default:
		return reconcile.Tick{}
	}
}

// tellNext tells a tape the next thing that the bytes say.
func (d *drawer) tellNext(r *tape.Recorder, at time.Duration) {
	r.Process(d.below(2), time.Duration(d.below(3))*time.Second)
	switch d.below(12) {
	case 0:
		r.Restarted(at, 0)
	case 1:
		r.Mark(at, 0, recording.Mark{What: recording.MarkKind(d.below(int(recording.ProcessDied) + 1)), Instance: d.instance(), Text: "u1"})
	default:
		r.Event(at, 0, d.event())
	}
}

// FuzzTold tells a tape anything in any order, and finds every moment again as it
// was when it was the end.
func FuzzTold(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		data := make([]byte, 2000)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &drawer{data[:min(len(data), 4000)]}
		tp := fresh(t, tape.Config{SegmentEntries: 16})
		r := tp.Recorder()
		type seen struct {
			event int64
			at    time.Duration
			state []byte
			text  string
			leads bool
		}
		look := func(m *tape.Moment) seen {
			a, err := m.Ask("Thing")
			if err != nil {
				t.Fatal(err)
			}
			m.Pod("Thing", 1)
			m.Reorchestrations("Thing", 3)
			return seen{m.Event(), m.At(), a.Machine.Snapshot(nil), m.EventText(), a.Leads}
		}
		var all []seen
		for at := time.Duration(0); len(d.data) > 0; at += time.Second {
			d.tellNext(r, at)
			if d.below(5) == 0 {
				tp.Pass(at)
				all = append(all, look(tp.Live()))
			}
		}
		for i := range all {
			want := &all[(i*7)%len(all)]
			m, err := tp.At(want.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := look(m); got.event != want.event || got.leads != want.leads || !bytes.Equal(got.state, want.state) {
				t.Fatalf("at %v: event %d, leads %v, %d bytes; it was event %d, leads %v, %d bytes", want.at, got.event, got.leads, len(got.state), want.event, want.leads, len(want.state))
			} else if tp.Events() > 0 && len(got.text) < len(want.text) { // later it may name the process as well
				t.Fatalf("at %v: %q, it was %q", want.at, got.text, want.text)
			}
		}
		tp.Marks(100)
		tp.Series(50)
	})
}
