package world

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// node is a machine that pods run on.
type node struct {
	name     string
	capacity int
	pods     []*pod // in order of placement
	state    nodeState
	cordoned bool
	strays   []*pod // whose programs run on, though they were deleted while it was cut off
}

// AddNode adds a machine with room for capacity pods, 0 for the configured
// number; an error when the name is taken. From the first call on, pods need
// room on a node: one that finds none stays Pending, Reason "Unschedulable".
func (k *Kubernetes) AddNode(name string, capacity int) error {
	i, found := k.findNode(name)
	if found {
		return fmt.Errorf("node: %q is not valid: want a name that no other node has", name)
	}
	if capacity == 0 {
		capacity = k.cfg.NodeCapacity
	}
	k.limited = true
	k.nodes = slices.Insert(k.nodes, i, &node{name: name, capacity: capacity})
	k.fill(k.tl.Now())
	return nil
}

// RemoveNode takes a machine away: its pods fail with this reason, such as
// "NodeShutdown" or "Preempting". False when there is no such node.
func (k *Kubernetes) RemoveNode(name, reason string) bool {
	i, found := k.findNode(name)
	if !found {
		return false
	}
	n := k.nodes[i]
	k.nodes = slices.Delete(k.nodes, i, i+1)
	now := k.tl.Now()
	k.abandon(now, n)
	for _, p := range slices.Clone(n.pods) {
		k.finish(now, p, fleet.PhaseFailed, reason)
	}
	return true
}

// Nodes counts the machines.
func (k *Kubernetes) Nodes() int { return len(k.nodes) }

// PodNode is the name of the node that an instance's pod stands on; empty when
// it has none.
func (k *Kubernetes) PodNode(kind fleet.Kind, id fleet.InstanceID) string {
	if p := k.pods(kind).pods[id]; p != nil && p.node != nil {
		return p.node.name
	}
	return ""
}

func (k *Kubernetes) findNode(name string) (int, bool) {
	return slices.BinarySearchFunc(k.nodes, name, func(n *node, name string) int { return cmp.Compare(n.name, name) })
}

// place chooses a pod's node: the one with the fewest pods, the first by name
// among those. Without room the pod waits.
func (k *Kubernetes) place(now time.Duration, p *pod) {
	if p.Phase != fleet.PhasePending || p.Terminating || p.started {
		return
	}
	if k.limited {
		if !k.assign(p) {
			p.Reason = "Unschedulable"
			k.waiting = append(k.waiting, p)
			k.announce(now, p, false)
			return
		}
	}
	k.begin(now, p)
}

func (k *Kubernetes) assign(p *pod) bool {
	var best *node
	for _, n := range k.nodes {
		if n.takes() && (best == nil || len(n.pods) < len(best.pods)) {
			best = n
		}
	}
	if best == nil {
		return false
	}
	p.node = best
	best.pods = append(best.pods, p)
	k.fact(k.tl.Now(), p, PodWasBound)
	return true
}

// fill places the pods that wait, oldest first, as far as there is room.
func (k *Kubernetes) fill(now time.Duration) {
	for len(k.waiting) > 0 {
		p := k.waiting[0]
		if !k.assign(p) {
			return
		}
		k.waiting = slices.Delete(k.waiting, 0, 1)
		p.Reason = ""
		k.announce(now, p, false)
		k.begin(now, p)
	}
}

// vacate takes a pod off its node, or out of those that wait for one.
func (k *Kubernetes) vacate(now time.Duration, p *pod) {
	same := func(x *pod) bool { return x == p }
	if len(k.images) > 0 {
		k.images = slices.DeleteFunc(k.images, same)
	}
	if p.node != nil {
		p.node.pods = slices.DeleteFunc(p.node.pods, same)
		p.node = nil
		k.fill(now)
	} else {
		k.waiting = slices.DeleteFunc(k.waiting, same)
	}
}

// evicted is the reason of a pod that the kubelet ends by itself.
const evicted = "Evicted"

// Finish ends an instance's pod in phase Failed or Succeeded, with Kubernetes'
// reason for it, such as "Error", "OOMKilled", "Evicted" or "Completed". The
// program ends at once. The pod has the phase once its kubelet has told of it: at
// once where no program runs and when it is evicted, else after
// KubernetesConfig.Kubelet. False when it has no pod, or one that has ended
// already, noticed or not.
func (k *Kubernetes) Finish(kind fleet.Kind, id fleet.InstanceID, phase fleet.Phase, reason string) bool {
	p := k.pods(kind).pods[id]
	if p == nil || phase != fleet.PhaseFailed && phase != fleet.PhaseSucceeded {
		return false
	}
	return k.end(k.tl.Now(), p, phase, reason)
}

// end is the end of a pod by itself.
func (k *Kubernetes) end(now time.Duration, p *pod, phase fleet.Phase, reason string) bool {
	seen := !p.unreachable()
	switch {
	case p.final() || p.ended != fleet.PhaseMissing || !seen && !p.running:
		return false
	case !p.running || seen && reason == evicted:
		k.finish(now, p, phase, reason)
		return true
	}
	k.stop(now, p, false)
	p.ended, p.why = phase, reason
	if !seen { // rejoin tells of it
		return true
	}
	if late := k.kubelet.draw(); late > 0 {
		k.tl.After(late, k, opEndNoticed, 0, p)
	} else {
		k.endNoticed(now, p)
	}
	return true
}

// endNoticed is the moment at which the kubelet tells that a program has ended,
// unless the pod is gone or its node has become unreachable: then rejoin tells.
func (k *Kubernetes) endNoticed(now time.Duration, p *pod) {
	if p.kind.pods[p.Instance] == p && !p.unreachable() {
		k.finish(now, p, p.ended, p.why)
	}
}

// final says whether the API server knows that the pod has ended.
func (p *pod) final() bool {
	return p.Phase == fleet.PhaseFailed || p.Phase == fleet.PhaseSucceeded
}

// finish gives a pod its last phase, and ends its program if it runs. Its node
// answers, if it has one.
func (k *Kubernetes) finish(now time.Duration, p *pod, phase fleet.Phase, reason string) {
	if p.final() {
		return
	}
	if phase == fleet.PhaseFailed {
		k.stats.Failed++
	}
	k.stop(now, p, false)
	p.Phase, p.Reason = phase, reason
	k.announce(now, p, false)
	k.vacate(now, p)
}

// LoseNode is the loss of the machine under an instance's pod: the program ends
// with it, yet the pod is said to run, with NodeLost, until the phase becomes
// Unknown. False when no pod of that name runs.
func (k *Kubernetes) LoseNode(kind fleet.Kind, id fleet.InstanceID) bool {
	p := k.pods(kind).pods[id]
	if p == nil || !p.running {
		return false
	}
	now := k.tl.Now()
	k.stop(now, p, false)
	k.lose(now, p)
	return true
}

// lose tells that a pod's node does not answer.
func (k *Kubernetes) lose(now time.Duration, p *pod) {
	p.NodeLost = true
	p.losses++
	k.announce(now, p, false)
	k.tl.After(k.cfg.NodeUnknown, k, opNodeUnknown, p.losses, p)
}

func (k *Kubernetes) nodeUnknown(now time.Duration, loss int64, p *pod) {
	if p.kind.pods[p.Instance] == p && p.Phase == fleet.PhaseRunning && p.losses == loss {
		p.Phase, p.Reason = fleet.PhaseUnknown, "NodeLost"
		k.announce(now, p, false)
	}
}
