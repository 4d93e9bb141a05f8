package world

import "dacorch/orchestrator/fleet"

// PodFact is what has just become true of a pod.
type PodFact uint8

// The facts of a pod's life.
const (
	PodWasCreated    PodFact = iota
	PodWasRefused            // its name was taken; UID is that of the pod that bears it
	PodIsTerminating         // its deletion was requested for the first time
	PodIsGone                // its name is free
)

// Tree is what stands for a kind at this moment, without latency.
func (z *ZooKeeper) Tree(kind fleet.Kind) fleet.Tree { return z.tree(kind).snapshot() }
