package world

// PodFact is what has just become true of a pod.
type PodFact uint8

// The facts of a pod's life.
const (
	PodWasCreated    PodFact = iota
	PodWasRefused            // its name was taken; UID is that of the pod that bears it
	PodWasBound              // it has found its node; told only where there are nodes
	PodIsTerminating         // its deletion was requested for the first time
	PodIsGone                // its name is free
)
