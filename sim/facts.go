package sim

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/world"
)

// askFaults has the faults asked about each case; a run without faults is spared
// that.
func (r *run) askFaults() {
	w := r.world
	w.DACs.OnBeat, w.Kafka.OnSend, w.MQTT.OnMessage = r.onBeat, r.onSend, r.onMessage
	w.Kubernetes.OnStart, w.Kubernetes.OnCall = r.onStart, r.onCall
	w.ZooKeeper.OnSubmit, w.ZooKeeper.OnStatus = r.onSubmit, r.onStatus
}

// observe has the world's facts told to the checker as they happen.
func (r *run) observe() {
	w := r.world
	if len(r.broken) > 0 {
		r.askFaults()
	}
	w.ZooKeeper.OnCommit = func(now time.Duration, kind fleet.Kind, txn *fleet.Txn) {
		r.check.Committed(now, kind, w.ZooKeeper.Epoch(kind), txn)
		r.landed(kind, txn)
		r.kindNamed(kind).resize(txn)
		r.pics.committed(now)
	}
	w.DACs.OnRun = func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid, resource string, running bool) {
		r.check.RunningPod(now, kind, id, uid, resource, running)
	}
	w.DACs.OnReload = func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, times int64) {
		r.check.Reloaded(now, kind, id, times)
	}
	w.DACs.OnProcess = func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, state world.ProcessState) {
		switch state {
		case world.ProcessHung:
			r.check.Hung(now, kind, id)
		case world.ProcessZombie:
			r.check.Zombie(now, kind, id)
		case world.ProcessStarted:
			r.rejoined(now, dacAt{kind, id})
			r.check.AlivePod(now, kind, id, uid, true)
		default:
			r.check.AlivePod(now, kind, id, uid, false)
		}
		r.pics.process(now, kind, id, state)
		r.keepMark(now, r.kindNamed(kind), id, programMarks[state], uid)
	}
	w.MQTT.OnLost = r.lost
	w.Kafka.OnProduce = func(kind fleet.Kind) { r.check.Add(kind, history.Heartbeats, 1) }
	w.Kubernetes.OnPod = func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, fact world.PodFact) {
		switch fact {
		case world.PodWasCreated:
			k := r.kindNamed(kind)
			k.born[id], k.pods = now, max(k.pods, int(id)+1)
			r.check.PodCreated(now, kind, id, uid)
			for _, b := range r.broken {
				r.newcomer(now, dacAt{kind, id}, b)
			}
		case world.PodWasRefused:
			r.check.PodRefused(now, kind, id)
		case world.PodWasBound:
			r.keepMark(now, r.kindNamed(kind), id, recording.PodBound, w.Kubernetes.PodNode(kind, id))
		case world.PodIsTerminating:
			r.check.PodDeleted(now, kind, id, uid)
		case world.PodIsGone:
			r.check.PodGone(now, kind, id, uid)
		}
	}
}

// resize follows how full the instances are.
func (k *kind) resize(txn *fleet.Txn) {
	for i := range txn.Changes {
		if c := &txn.Changes[i]; c.Kind == fleet.ChangeDelete {
			delete(k.sizes, c.Instance)
		} else {
			k.sizes[c.Instance] = size{c.Used, c.Capacity}
		}
	}
}

// podState describes an instance's pod for the checker's reasons.
func (r *run) podState(kind fleet.Kind, id fleet.InstanceID) string {
	p := r.world.Kubernetes.Pod(kind, id)
	s := p.Phase.String()
	if p.Reason != "" {
		s += " (" + p.Reason + ")"
	}
	if p.Terminating {
		s += ", terminating"
	}
	if r.pics.hung[dacAt{kind, id}] {
		s += ", hung"
	}
	return s
}

// nextOp schedules a kind's next operation.
func (r *run) nextOp(i int) {
	k := r.kinds[i]
	op, ok := k.cast.Generator.Next()
	if !ok || op.At >= r.sc.Duration {
		return
	}
	k.pending = op
	r.tl.At(op.At, r, opChurn, int64(i), nil)
}

// churn does what the data centre does: the rows first, then the notification.
func (r *run) churn(now time.Duration, k *kind) {
	op := &k.pending
	n := &fleet.Notification{Table: string(k.name), Op: notificationOp(op), GroupKnown: !op.Bulk && op.Verb != churn.Delete}
	for _, row := range op.Resources {
		switch op.Verb {
		case churn.Create:
			if r.world.Database.Insert(k.name, row) {
				r.check.RowInserted(now, k.name, row)
			}
		case churn.Update:
			if r.world.Database.Update(k.name, row) {
				r.check.RowUpdated(now, k.name, row)
			}
		case churn.Delete:
			if r.world.Database.Delete(k.name, row.ID) {
				r.check.RowDeleted(now, k.name, row.ID)
			}
		}
	}
	if op.Named {
		n.Resources = op.Resources
	}
	r.publish(n, k)
	r.recordChurn(now, k, n, op.Resources)
	r.pics.rows(now)
	r.nextOp(int(k.number))
}

// notificationOp is the operation that the message of a statement names. A
// creation that names nothing is a bare message.
func notificationOp(op *churn.Op) fleet.Op {
	if !op.Named && op.Verb == churn.Create {
		return fleet.OpOther
	}
	if op.Bulk {
		return [...]fleet.Op{churn.Create: fleet.OpBulkCreate, churn.Update: fleet.OpBulkUpdate, churn.Delete: fleet.OpBulkDelete}[op.Verb]
	}
	return [...]fleet.Op{churn.Create: fleet.OpCreate, churn.Update: fleet.OpUpdate, churn.Delete: fleet.OpDelete}[op.Verb]
}

func (r *run) node(ev churn.NodeEvent) {
	if ev.Add {
		if err := r.world.Kubernetes.AddNode(ev.Node, 0); err != nil {
			panic("sim: a node event that was checked is refused: " + err.Error())
		}
		return
	}
	r.world.Kubernetes.RemoveNode(ev.Node, "Preempting")
}

// acts tells the checker what the newest leader does to pods by itself.
func (r *run) acts(now time.Duration, d *driver, c reconcile.Command) {
	switch c := c.(type) {
	case reconcile.CreatePod:
		if r.newest(d) {
			r.check.Acted(now, d.name, c.Instance, "create")
		}
	case reconcile.DeletePod:
		if r.newest(d) && c.Purpose != reconcile.PurposeOrdered {
			r.check.Acted(now, d.name, c.Instance, "delete")
		}
	}
}

// replaced notes the order to replace a pod, and whether that pod was in truth
// healthy and nobody had asked for it.
func (r *run) replaced(now time.Duration, d *driver, c reconcile.DeletePod) {
	pod := r.world.Kubernetes.Pod(d.name, c.Instance)
	_, runs := r.world.DACs.View(d.name, c.Instance)
	healthy := pod.Phase == fleet.PhaseRunning && !pod.Terminating && !pod.NodeLost && runs && !r.pics.hung[dacAt{d.name, c.Instance}]
	r.check.Replaced(now, d.name, c.Instance, healthy && c.Purpose != reconcile.PurposeOrdered)
	r.pics.replaced(now)
}
