package sim

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/fault"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/world"
)

// breakPods crashes, hangs or otherwise breaks the pods that a fault is about: of
// those whose program runs and works, by a count or a share; or the one named.
func breakPods(r *run, now time.Duration, b *broken) {
	kind := fleet.Kind(b.Kind)
	for _, id := range b.victims(r, now) {
		switch b.What {
		case scenarios.PodHang:
			r.world.HangPod(kind, id)
		case scenarios.PodZombie:
			r.world.DACs.Zombie(kind, id)
		default:
			reason := map[scenarios.FaultKind]string{scenarios.PodCrash: "Error", scenarios.PodOOM: "OOMKilled", scenarios.PodEvict: "Evicted"}[b.What]
			if r.world.Kubernetes.Finish(kind, id, fleet.PhaseFailed, reason) {
				r.check.Add(kind, history.PodsCrashed, 1)
			}
		}
	}
}

// victims are the instances that a pod fault hits now.
func (b *broken) victims(r *run, now time.Duration) []fleet.InstanceID {
	kind := fleet.Kind(b.Kind)
	if b.One {
		if id := fleet.InstanceID(b.Instance); b.dice.Hits(now, id.String()) {
			return []fleet.InstanceID{id}
		}
		return nil
	}
	var there []fault.Candidate
	for _, id := range r.world.DACs.Instances(kind) {
		if !r.pics.hung[dacAt{kind, id}] {
			there = append(there, r.kindNamed(kind).candidate(now, id))
		}
	}
	return b.dice.Choose(now, there)
}

// crashLoopLeast and crashLoopMost are how long after its start a pod in a crash
// loop crashes.
const crashLoopLeast, crashLoopMost = time.Second, 8 * time.Second

// onStart is asked about each start of a pod.
func (r *run) onStart(now time.Duration, kind fleet.Kind, id fleet.InstanceID, _ string) (f world.StartFault) {
	for _, b := range r.active[scenarios.PodSlowStart] {
		if b.befalls(r, now, kind, id) {
			f.Late += b.By
		}
	}
	for _, b := range r.active[scenarios.PodCrashLoop] {
		if b.befalls(r, now, kind, id) {
			f.Crash = crashLoopLeast + time.Duration(b.before.Float64()*float64(crashLoopMost-crashLoopLeast))
		}
	}
	for _, b := range r.active[scenarios.PodNoImage] {
		f.NoImage = b.befalls(r, now, kind, id) || f.NoImage
	}
	return f
}

// retryImages lets the pods without an image be asked about anew.
func retryImages(r *run, _ time.Duration, b *broken) {
	if !b.on {
		r.world.Kubernetes.RetryImages()
	}
}

// drainGrace is the time that a drain leaves a pod's program to stop, as
// Kubernetes' default has it.
const drainGrace = 30 * time.Second

// breakNodes loses, parts or drains machines, chosen when the fault begins among
// those that are there. One that several faults hit comes back with the last.
func breakNodes(r *run, now time.Duration, b *broken) {
	kube := r.world.Kubernetes
	switch {
	case b.on && b.What == scenarios.NodeDrain:
		for _, name := range b.pickNodes(r, now) {
			if r.drains[name]++; r.drains[name] == 1 {
				kube.DrainNode(name, drainGrace)
			}
		}
	case b.on:
		for _, name := range b.pickNodes(r, now) {
			r.loseNode(now, name, b.What)
		}
	default:
		for _, name := range b.nodes {
			if b.What != scenarios.NodeDrain {
				r.returnNode(now, name)
			} else if r.drains[name]--; r.drains[name] == 0 {
				kube.Uncordon(name)
			}
		}
		b.nodes = nil
	}
}

// pickNodes chooses the machines. Those of a fault that comes and goes stay the
// same throughout.
func (b *broken) pickNodes(r *run, now time.Duration) []string {
	if b.What == scenarios.NodeFlap {
		if b.flapping == nil {
			b.flapping = b.dice.DrawNames(r.world.Kubernetes.NodeNames())
		}
		b.nodes = b.flapping
		return b.nodes
	}
	b.nodes = b.dice.DrawNames(r.world.Kubernetes.NodeNames())
	b.nodes = slices.DeleteFunc(b.nodes, func(name string) bool { return !b.dice.Hits(now, name) })
	return b.nodes
}

// loseNode takes a machine away from everybody else. The DACs that run on there
// are cut off.
func (r *run) loseNode(now time.Duration, name string, what scenarios.FaultKind) {
	if r.out[name]++; r.out[name] > 1 {
		return
	}
	if what == scenarios.NodeLose {
		r.world.Kubernetes.FailNode(name)
		return
	}
	for _, at := range r.dacsOn(name) {
		r.parted[at] = append(r.parted[at], name)
		r.check.Disturbed(now, at.kind, at.id, true, "its machine cannot be reached")
	}
	r.world.Kubernetes.PartitionNode(name)
}

func (r *run) returnNode(now time.Duration, name string) {
	if r.out[name]--; r.out[name] > 0 {
		return
	}
	r.world.Kubernetes.ReturnNode(name)
	for _, at := range r.everyDAC() {
		if i := slices.Index(r.parted[at], name); i >= 0 {
			r.parted[at] = slices.Delete(r.parted[at], i, i+1)
			r.check.Disturbed(now, at.kind, at.id, false, "its machine cannot be reached")
		}
	}
}

// dacsOn are the instances whose pods stand on a machine.
func (r *run) dacsOn(node string) []dacAt {
	var out []dacAt
	for _, at := range r.everyDAC() {
		if r.world.Kubernetes.PodNode(at.kind, at.id) == node {
			out = append(out, at)
		}
	}
	return out
}

// everyDAC are the instances that have had a pod, in stable order.
func (r *run) everyDAC() []dacAt {
	var out []dacAt
	for _, k := range r.kinds {
		for id := range k.pods {
			out = append(out, dacAt{k.name, fleet.InstanceID(id)})
		}
	}
	return out
}

// onSend is asked about each heartbeat that is sent.
func (r *run) onSend(now time.Duration, kind fleet.Kind, id fleet.InstanceID) (f world.SendFault) {
	each := func(what scenarios.FaultKind, do func(b *broken)) {
		for _, b := range r.active[what] {
			if b.befalls(r, now, kind, id) {
				do(b)
			}
		}
	}
	each(scenarios.HeartbeatsLose, func(*broken) { f.Drop = true })
	each(scenarios.HeartbeatsDelay, func(b *broken) { f.Delay += b.By })
	each(scenarios.KafkaSlow, func(b *broken) { f.Delay += b.By })
	each(scenarios.HeartbeatsDouble, func(*broken) { f.Copies++ })
	each(scenarios.HeartbeatsSkew, func(b *broken) { f.Skew += b.By })
	return f
}

// onBeat is asked how much later than its interval says a DAC sends.
func (r *run) onBeat(now time.Duration, kind fleet.Kind, id fleet.InstanceID) (late time.Duration) {
	for _, b := range r.active[scenarios.HeartbeatsDrift] {
		if b.befalls(r, now, kind, id) {
			late += b.By
		}
	}
	return late
}

// strayRows is how many rows that never were a flood of notifications names.
const strayRows = 100

// flood publishes a message that tells nothing: about a row that does not exist,
// or one that has not changed.
func flood(r *run, _ time.Duration, b *broken) {
	if !b.on {
		return
	}
	k := r.kinds[b.before.IntN(len(r.kinds))]
	n := &fleet.Notification{Table: string(k.name), Op: fleet.OpUpdate, GroupKnown: true}
	if rows := r.world.Database.Rows(k.name); len(rows) > 0 && b.before.Bool(0.5) {
		n.Resources = []fleet.Resource{rows[b.before.IntN(len(rows))]}
	} else {
		if n.Op = fleet.OpCreate; b.before.Bool(0.5) {
			n.Op = fleet.OpDelete
		}
		n.Resources = []fleet.Resource{{ID: fmt.Sprint("stray-", b.before.IntN(strayRows))}}
	}
	r.publish(n, k)
}

// garbage publishes a message that nobody can parse.
func garbage(r *run, _ time.Duration, b *broken) {
	if b.on {
		r.world.MQTT.PublishGarbage()
	}
}
