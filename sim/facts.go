package sim

import (
	"fmt"
	"math"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/timeline"
	"dacorch/sim/internal/world"
)

// observe has the world's facts told to the checker as they happen.
func (r *run) observe() {
	w := r.world
	w.ZooKeeper.OnCommit = func(now time.Duration, kind fleet.Kind, txn *fleet.Txn) {
		r.check.Committed(now, kind, w.ZooKeeper.Epoch(kind), txn)
		r.landed(kind, txn)
		r.pics.committed(now)
	}
	w.DACs.OnRun = func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, _, resource string, running bool) {
		r.check.Running(now, kind, id, resource, running)
	}
	w.DACs.OnReload = func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, times int64) {
		r.check.Reloaded(now, kind, id, times)
	}
	w.DACs.OnProcess = func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, _ string, state world.ProcessState) {
		if state == world.ProcessHung {
			r.check.Hung(now, kind, id)
		} else {
			r.check.Alive(now, kind, id, state == world.ProcessStarted)
		}
		r.pics.process(now, kind, id, state)
	}
	w.Kafka.OnProduce = func(kind fleet.Kind) { r.check.Add(kind, history.Heartbeats, 1) }
	w.Kubernetes.OnPod = func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, fact world.PodFact) {
		switch fact {
		case world.PodWasCreated:
			r.check.PodCreated(now, kind, id, uid)
		case world.PodWasRefused:
			r.check.PodRefused(now, kind, id)
		case world.PodIsTerminating:
			r.check.PodDeleted(now, kind, id, uid)
		case world.PodIsGone:
			r.check.PodGone(now, kind, id, uid)
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
	if v, ok := r.world.DACs.View(kind, id); ok && v.Hung {
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

// faultOn begins a fault; one of pods happens once, or again every so often.
func (r *run) faultOn(now time.Duration, i int) {
	f := &r.sc.Faults[i]
	if f.What == scenarios.PodCrash || f.What == scenarios.PodHang {
		r.breakPods(i, f)
		if f.Every > 0 && now+f.Every < f.At+f.For {
			r.tl.At(now+f.Every, r, opFaultOn, int64(i), nil)
		}
		return
	}
	r.tl.At(f.At+f.For, r, opFaultOff, int64(i), nil)
	if r.down[f.What]++; r.down[f.What] > 1 {
		return // down already
	}
	switch f.What {
	case scenarios.KafkaDown:
		r.world.Kafka.Down()
	case scenarios.MQTTDown:
		r.world.MQTT.Down()
	case scenarios.OrchestratorCrash:
		r.proc.kill()
	}
}

// faultOff ends a fault. Where another of the same sort lasts longer, that one
// keeps it down.
func (r *run) faultOff(_ time.Duration, i int) {
	what := r.sc.Faults[i].What
	if r.down[what]--; r.down[what] > 0 {
		return
	}
	switch what {
	case scenarios.KafkaDown:
		r.world.Kafka.Up()
	case scenarios.MQTTDown:
		r.world.MQTT.Up()
	case scenarios.OrchestratorCrash:
		r.proc = r.newProcess()
		r.proc.start()
	}
}

// breakPods crashes or hangs the pods that a fault is about. Each fault draws
// from a stream of its own.
func (r *run) breakPods(i int, f *scenarios.Fault) {
	kind := fleet.Kind(f.Kind)
	targets := []fleet.InstanceID{fleet.InstanceID(f.Instance)}
	if f.Count > 0 || f.Share > 0 {
		targets = targets[:0]
		for _, id := range r.world.DACs.Instances(kind) {
			if v, ok := r.world.DACs.View(kind, id); ok && !v.Hung {
				targets = append(targets, id)
			}
		}
		n := f.Count
		if f.Share > 0 {
			n = int(math.Ceil(f.Share * float64(len(targets))))
		}
		stream := r.faultStream(i)
		stream.Shuffle(len(targets), func(a, b int) { targets[a], targets[b] = targets[b], targets[a] })
		targets = targets[:min(n, len(targets))]
	}
	for _, id := range targets {
		if f.What == scenarios.PodHang {
			r.world.HangPod(kind, id)
		} else if r.world.CrashPod(kind, id) {
			r.check.Add(kind, history.PodsCrashed, 1)
		}
	}
}

func (r *run) faultStream(i int) *timeline.Stream {
	if r.faultStreams == nil {
		r.faultStreams = map[int]*timeline.Stream{}
	}
	if r.faultStreams[i] == nil {
		r.faultStreams[i] = r.seed.Stream("fault", fmt.Sprint(i))
	}
	return r.faultStreams[i]
}

// replaced notes the order to replace a pod, and whether that pod was in truth
// healthy and nobody had asked for it.
func (r *run) replaced(now time.Duration, d *driver, c reconcile.DeletePod) {
	pod := r.world.Kubernetes.Pod(d.name, c.Instance)
	dac, runs := r.world.DACs.View(d.name, c.Instance)
	healthy := pod.Phase == fleet.PhaseRunning && !pod.Terminating && !pod.NodeLost && runs && !dac.Hung
	r.check.Replaced(now, d.name, c.Instance, healthy && c.Purpose != reconcile.PurposeOrdered)
	r.pics.replaced(now)
}
