// Package world models the servers around the orchestrator, and the DAC pods, in
// virtual time: the database, the MQTT broker, Kafka, ZooKeeper, Kubernetes, and
// the programs in the instance pods. Each model stands alone; World wires them.
//
// Everything runs on one timeline and on one goroutine. What a client asks for is
// answered through a callback after latencies that are drawn from streams of
// their own, so that two worlds of one seed that are used alike answer alike.
// Callbacks are called from the timeline only, never from within a call into the
// world, except the observers (On…), which are called at the moment they tell of
// and must not change the world. Callbacks get back what was handed in (a
// reference number, the transaction), so that one function value serves every
// request. Nothing here breaks by chance: faults are what the caller calls, or what
// its hooks answer (OnSubmit, OnCall and the like), each of which is asked about
// one case. No hook and no fault, no random number drawn for it.
package world

import (
	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// World is one of each model, wired together.
type World struct {
	Timeline   *timeline.Timeline
	Database   *Database
	MQTT       *MQTT
	Kafka      *Kafka
	ZooKeeper  *ZooKeeper
	Kubernetes *Kubernetes
	DACs       *DACs
}

// New is an empty world: no rows, no nodes, no pods. The error is that of
// Config.Validate.
func New(tl *timeline.Timeline, seed timeline.Seed, cfg Config) (*World, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &World{
		Timeline:  tl,
		Database:  NewDatabase(tl, seed, cfg.Database),
		MQTT:      NewMQTT(tl, seed, cfg.MQTT),
		Kafka:     NewKafka(tl, seed, cfg.Kafka),
		ZooKeeper: NewZooKeeper(tl, seed, cfg.ZooKeeper),
	}
	w.DACs = NewDACs(tl, seed, cfg.DAC, w.ZooKeeper, w.Kafka)
	w.Kubernetes = NewKubernetes(tl, seed, cfg.Kubernetes, w.DACs)
	return w, nil
}

// AddKind makes a kind known to the pods and their programs; an error when the
// kind or its instance name is taken.
func (w *World) AddKind(spec KindSpec) error {
	if err := w.Kubernetes.AddKind(spec.Kind, spec.InstanceName); err != nil {
		return err
	}
	return w.DACs.AddKind(spec)
}

// CrashPod ends an instance's program with an error: its pod is Failed, its
// session expires after the timeout. False when it has no pod that could crash.
func (w *World) CrashPod(kind fleet.Kind, id fleet.InstanceID) bool {
	return w.Kubernetes.Finish(kind, id, fleet.PhaseFailed, "Error")
}

// HangPod makes an instance's program hang: see DACs.Hang.
func (w *World) HangPod(kind fleet.Kind, id fleet.InstanceID) bool {
	return w.DACs.Hang(kind, id)
}
