package world

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// nodeState says whether a machine answers.
type nodeState uint8

const (
	nodeReady nodeState = iota
	nodeFailed
	nodePartitioned
)

// takes says whether a node has room for another pod.
func (n *node) takes() bool {
	return len(n.pods) < n.capacity && n.state == nodeReady && !n.cordoned
}

// unreachable says whether the pod stands on a node that does not answer.
func (p *pod) unreachable() bool { return p.node != nil && p.node.state != nodeReady }

// holds says whether a pod's program runs on, though nobody knows.
func (n *node) holds(p *pod) bool { return n.state == nodePartitioned && p.running }

// NodeNames are the machines, by name.
func (k *Kubernetes) NodeNames() []string {
	names := make([]string, 0, len(k.nodes))
	for _, n := range k.nodes {
		names = append(names, n.name)
	}
	return names
}

// node is the machine of this name in this state, nil when there is none.
func (k *Kubernetes) node(name string) *node {
	if i, found := k.findNode(name); found {
		return k.nodes[i]
	}
	return nil
}

// FailNode is the loss of a machine with all its pods: their programs end. Those
// that were said to run still are, with NodeLost, until their phase becomes
// Unknown. A pod that is deleted with a grace period ends when the machine is
// back, one without goes at once. False when there is no such node, or it does
// not answer already.
func (k *Kubernetes) FailNode(name string) bool { return k.isolate(name, nodeFailed) }

// PartitionNode makes a machine unreachable: its pods are told of as after
// FailNode, yet their programs run on, without ZooKeeper and Kafka. False as with
// FailNode. A pod that is deleted with grace period 0 is forgotten while its
// program runs on; one with a longer period ends when the machine is back.
func (k *Kubernetes) PartitionNode(name string) bool { return k.isolate(name, nodePartitioned) }

func (k *Kubernetes) isolate(name string, state nodeState) bool {
	n := k.node(name)
	if n == nil || n.state != nodeReady {
		return false
	}
	n.state = state
	now := k.tl.Now()
	for _, p := range slices.Clone(n.pods) {
		switch {
		case !p.running && p.ended == fleet.PhaseMissing: // it has not come to run
			continue
		case state == nodeFailed:
			k.stop(now, p, false)
		case p.running:
			k.reach(now, p, false)
		}
		k.lose(now, p)
	}
	return true
}

func (k *Kubernetes) reach(now time.Duration, p *pod, reachable bool) {
	k.runtime.ReachContainer(now, p.kind.kind, p.Instance, p.UID, reachable)
}

// ReturnNode makes a machine answer again. One that failed is empty: its pods are
// Failed, reason "ContainerStatusUnknown". One that was partitioned tells of its
// pods as they are, and ends the programs of those that were deleted. False when
// there is no such node, or it answers.
func (k *Kubernetes) ReturnNode(name string) bool {
	n := k.node(name)
	if n == nil || n.state == nodeReady {
		return false
	}
	failed := n.state == nodeFailed
	n.state = nodeReady
	now := k.tl.Now()
	for _, p := range slices.Clone(n.pods) {
		p.losses++ // the wait for Unknown is over
		p.NodeLost = false
		switch {
		case p.stuck:
			k.resumeDeletion(now, p)
		case p.Terminating: // opGone is on its way
			if p.running {
				k.reach(now, p, true)
			}
		case failed:
			k.finish(now, p, fleet.PhaseFailed, "ContainerStatusUnknown")
		default:
			k.rejoin(now, p)
		}
	}
	for _, p := range n.strays {
		if !p.running { // it crashed meanwhile
			continue
		}
		k.reach(now, p, true)
		k.tl.After(k.deletion.draw(), k, opEndStray, 0, p)
	}
	n.strays = nil
	k.fill(now)
	return true
}

// rejoin tells what a pod has become while its node was cut off.
func (k *Kubernetes) rejoin(now time.Duration, p *pod) {
	switch {
	case p.running:
		p.Phase, p.Reason = fleet.PhaseRunning, ""
		k.reach(now, p, true)
		k.announce(now, p, false)
	case p.ended != fleet.PhaseMissing:
		k.finish(now, p, p.ended, p.why)
	case p.due:
		k.tl.After(0, k, opStart, 0, p)
	case p.Phase != fleet.PhasePending: // LoseNode had taken its program
		k.finish(now, p, fleet.PhaseFailed, "ContainerStatusUnknown")
	}
}

// resumeDeletion ends a pod that was deleted while its node was cut off.
func (k *Kubernetes) resumeDeletion(now time.Duration, p *pod) {
	p.stuck = false
	if p.running {
		k.reach(now, p, true)
	}
	p.killed = true
	k.tl.After(k.deletion.draw()+min(p.grace, k.shutdown.draw()), k, opGone, 0, p)
}

// force has the deletion of a pod whose node does not answer go through, if it
// is one with grace period 0.
func (k *Kubernetes) force(p *pod, grace time.Duration) {
	if p.stuck && grace == 0 {
		p.stuck, p.grace = false, 0
		k.tl.After(k.deletion.draw()/10, k, opGone, 0, p)
	}
}

// forget is the end of a pod whose node does not answer, as the API server sees
// it. False when it must wait for the node.
func (k *Kubernetes) forget(p *pod) bool {
	if p.grace > 0 {
		p.stuck = true
		return false
	}
	if p.node.holds(p) {
		p.node.strays = append(p.node.strays, p)
	}
	return true
}

// abandon is the end of a machine that did not answer, if it is one: what ran on
// it ends, what was to be deleted is.
func (k *Kubernetes) abandon(now time.Duration, n *node) {
	if n.state == nodeReady {
		return
	}
	n.state = nodeReady
	for _, p := range n.strays {
		k.stop(now, p, false)
	}
	n.strays = nil
	for _, p := range slices.Clone(n.pods) {
		p.losses++
		p.NodeLost = false
		if p.stuck {
			k.gone(now, p)
		}
	}
}

// DrainNode cordons a machine and deletes its pods with a grace period, as
// kubectl drain does. False when there is no such node.
func (k *Kubernetes) DrainNode(name string, grace time.Duration) bool {
	n := k.node(name)
	if n == nil {
		return false
	}
	n.cordoned = true
	for _, p := range slices.Clone(n.pods) {
		if !p.Terminating {
			k.terminate(k.tl.Now(), p, grace)
		}
	}
	return true
}

// Uncordon lets pods onto a drained machine again. False when there is no such node.
func (k *Kubernetes) Uncordon(name string) bool {
	n := k.node(name)
	if n == nil {
		return false
	}
	n.cordoned = false
	k.fill(k.tl.Now())
	return true
}
