package sim

import (
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
)

// The kinds of record in a run's trace. Every event that the core is told and
// every command that it gives is one; so are the rows' changes, which cause
// them.
const (
	recChurn byte = iota + 1
	recHeal
	recLed
	recDeposed
	recTreeRead
	recListed
	recPodsListed
	recNotified
	recNotificationChannel
	recHeartbeat
	recHeartbeatChannel
	recPodSeen
	recPodGone
	recPodCreated
	recPodDeleted
	recCommitted
	recStatusSeen
	recTick
	recOrdered
	recReadTree
	recListRows
	recListPods
	recCommit
	recCreatePod
	recDeletePod
	recAck
	recReply
	recStepDown
	recAlarm
	recNote
	recLostOrder
	recFault
)

func (r *run) record(now time.Duration, what byte) { r.trace.Begin(now, what) }

// recordChurn puts a change of rows into the trace.
func (r *run) recordChurn(now time.Duration, k *kind, n *fleet.Notification, rows []fleet.Resource) {
	t := r.trace
	t.Begin(now, recChurn)
	t.Int(k.number)
	t.Int(int64(n.Op))
	t.Bool(len(n.Resources) > 0)
	for i := range rows {
		t.String(rows[i].ID)
		t.String(rows[i].Group)
	}
	t.End()
}

// recordLostOrder puts an order that nobody took into the trace.
func (r *run) recordLostOrder(now time.Duration, o *scenarios.Order) {
	r.trace.Begin(now, recLostOrder)
	r.trace.String(o.Kind)
	r.trace.String(orderLabel(o))
	r.trace.End()
}

func (r *run) log(now time.Duration, d *driver, arrow string, x any) {
	who := string(d.name)
	if d.p.number > 1 {
		who += fmt.Sprintf(" (process %d)", d.p.number)
	}
	fmt.Fprintf(r.opts.Log, "%-12v %s %s %s\n", now.Round(time.Microsecond), who, arrow, reconcile.Describe(x))
}

// recordEvent puts an event into the trace before the core sees it.
func (r *run) recordEvent(now time.Duration, d *driver, ev reconcile.Event) {
	if r.opts.Log != nil {
		r.log(now, d, "→", ev)
	}
	t := r.trace
	begin := func(what byte) {
		t.Begin(now, what)
		t.Int(d.k.number)
	}
	switch ev := ev.(type) {
	case reconcile.Led:
		begin(recLed)
		t.Int(ev.Epoch)
	case reconcile.Deposed:
		begin(recDeposed)
	case reconcile.TreeRead:
		begin(recTreeRead)
		for i := range ev.Tree.Instances {
			in := &ev.Tree.Instances[i]
			t.Int(int64(in.ID))
			t.Int(int64(in.Capacity))
			t.Int(in.Times)
			t.Int(int64(in.Versions.Node))
			for _, id := range in.IDs {
				t.String(id)
			}
		}
		t.String(ev.Err)
	case reconcile.Listed:
		begin(recListed)
		t.Int(int64(len(ev.Rows)))
		if d := ev.Digest; d.Count > 0 { // of the whole table: stands for each row
			t.Int(int64(d.IDs))
			t.Int(int64(d.Groups))
		} else {
			for i := range ev.Rows {
				t.String(ev.Rows[i].ID)
				t.String(ev.Rows[i].Group)
			}
		}
		t.String(ev.Err)
	case reconcile.PodsListed:
		begin(recPodsListed)
		for i := range ev.Pods {
			t.Int(int64(ev.Pods[i].Instance))
			t.String(ev.Pods[i].UID)
			t.Int(int64(ev.Pods[i].Phase))
			t.Bool(ev.Pods[i].Terminating)
		}
		t.String(ev.Err)
	case reconcile.Notified:
		begin(recNotified)
		t.Int(int64(ev.Token))
		t.Int(int64(ev.Note.Op))
		for i := range ev.Note.Resources {
			t.String(ev.Note.Resources[i].ID)
		}
	case reconcile.NotificationChannel:
		begin(recNotificationChannel)
		t.Bool(ev.Up)
	case reconcile.Heartbeat:
		begin(recHeartbeat)
		t.Int(int64(ev.Instance))
	case reconcile.HeartbeatChannel:
		begin(recHeartbeatChannel)
		t.Bool(ev.Up)
	case reconcile.PodSeen:
		begin(recPodSeen)
		t.Int(int64(ev.Pod.Instance))
		t.String(ev.Pod.UID)
		t.Int(int64(ev.Pod.Phase))
		t.Bool(ev.Pod.Terminating)
		t.Bool(ev.Pod.NodeLost)
	case reconcile.PodGone:
		begin(recPodGone)
		t.Int(int64(ev.Instance))
		t.String(ev.UID)
	case reconcile.PodCreated:
		begin(recPodCreated)
		t.Int(int64(ev.Instance))
		t.Int(int64(ev.Answer))
	case reconcile.PodDeleted:
		begin(recPodDeleted)
		t.Int(int64(ev.Instance))
		t.Int(int64(ev.Answer))
	case reconcile.Committed:
		begin(recCommitted)
		t.Int(int64(ev.Txn))
		t.Int(int64(ev.Outcome))
	case reconcile.StatusSeen:
		begin(recStatusSeen)
		t.Int(int64(ev.Instance))
		t.Bool(ev.Status.Present)
		t.Int(ev.Status.Times)
	case reconcile.Tick:
		begin(recTick)
	case reconcile.Ordered:
		begin(recOrdered)
		t.Int(int64(ev.Req))
		t.String(reconcile.Describe(ev))
	default:
		panic(fmt.Sprintf("sim: event %T is not recorded", ev))
	}
	t.End()
}

// recordCommand puts a command into the trace before it is executed.
func (r *run) recordCommand(now time.Duration, d *driver, c reconcile.Command) {
	if r.opts.Log != nil {
		r.log(now, d, "←", c)
	}
	t := r.trace
	begin := func(what byte) {
		t.Begin(now, what)
		t.Int(d.k.number)
	}
	switch c := c.(type) {
	case reconcile.ReadTree:
		begin(recReadTree)
	case reconcile.ListRows:
		begin(recListRows)
		for _, id := range c.IDs {
			t.String(id)
		}
	case reconcile.ListPods:
		begin(recListPods)
	case reconcile.Commit:
		begin(recCommit)
		r.recordTxn(c.Txn)
	case reconcile.CreatePod:
		begin(recCreatePod)
		t.Int(int64(c.Instance))
		t.String(c.Why)
	case reconcile.DeletePod:
		begin(recDeletePod)
		t.Int(int64(c.Instance))
		t.String(c.UID)
		t.Int(int64(c.Purpose))
		t.String(c.Why)
	case reconcile.Ack:
		begin(recAck)
		t.Int(int64(c.Token))
	case reconcile.Reply:
		begin(recReply)
		t.Int(int64(c.Req))
		t.String(c.Err)
	case reconcile.StepDown:
		begin(recStepDown)
	case reconcile.Alarm:
		begin(recAlarm)
		t.String(c.Code)
		t.Bool(c.On)
		t.String(c.Text)
	case reconcile.Note:
		begin(recNote)
		t.Int(int64(c.Instance))
		t.String(c.Text)
	default:
		panic(fmt.Sprintf("sim: command %T is not recorded", c))
	}
	t.End()
}

func (r *run) recordTxn(txn *fleet.Txn) {
	t := r.trace
	t.Int(int64(txn.ID))
	t.Int(txn.Epoch)
	for i := range txn.Changes {
		ch := &txn.Changes[i]
		t.Int(int64(ch.Kind))
		t.Int(int64(ch.Instance))
		t.Int(int64(ch.Used))
		t.Int(int64(ch.Capacity))
		t.Int(ch.Times)
		for _, id := range ch.Add {
			t.String(id)
		}
		t.Bool(true)
		for _, id := range ch.Remove {
			t.String(id)
		}
	}
	if c := txn.Control; c != nil {
		t.String(fmt.Sprint(*c))
	}
}

// recordProcess puts into the trace what befalls a process.
func (r *run) recordProcess(now time.Duration, p *process, what string, by time.Duration) {
	r.trace.Begin(now, recFault)
	r.trace.Int(int64(p.number))
	r.trace.String(what)
	r.trace.Int(int64(by))
	r.trace.End()
}
