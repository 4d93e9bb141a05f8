package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/fault"
	"dacorch/sim/internal/history"
)

// breakPods crashes, hangs or otherwise breaks the pods that a fault is about: of
// those whose program runs and works, by a count or a share; or the one named.
func breakPods(f *faults, now time.Duration, b *broken) error {
	r, kind := f.r, fleet.Kind(b.Kind)
	var errs []error
	for _, id := range f.victims(now, b) {
		ended, err := r.Breaker.Break(b.What, kind, id)
		if ended {
			r.crashed(kind)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// crashed counts a DAC whose program a fault has ended.
func (r *run) crashed(kind fleet.Kind) { r.check.Add(kind, history.PodsCrashed, 1) }

// victims are the instances that a pod fault hits now.
func (f *faults) victims(now time.Duration, b *broken) []fleet.InstanceID {
	kind := fleet.Kind(b.Kind)
	working := f.r.Look.Working(kind)
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.One {
		if id := fleet.InstanceID(b.Instance); b.strikes(now, id.String()) {
			return []fleet.InstanceID{id}
		}
		return nil
	}
	var there []fault.Candidate
	for _, id := range working {
		there = append(there, f.candidate(now, dacAt{kind, id}))
	}
	ids := b.dice.Choose(now, there)
	b.met += len(ids)
	return ids
}

// crashLoopLeast and crashLoopMost are how long after its start a pod in a crash
// loop crashes.
const crashLoopLeast, crashLoopMost = time.Second, 8 * time.Second

// starting is part of troubles. Whether a pod's image is there is decided once,
// until a fault that keeps it away ends.
func (f *faults) starting(at dacAt, uid string) (t startTrouble) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.images[uid] {
		return startTrouble{noImage: true}
	}
	now := f.now()
	for _, b := range f.active[scenarios.PodNoImage] {
		t.noImage = f.befalls(now, b, at) || t.noImage
	}
	if t.noImage {
		f.images[uid] = true
		return t
	}
	for _, b := range f.active[scenarios.PodSlowStart] {
		if f.befalls(now, b, at) {
			t.late += f.r.real(b.By)
		}
	}
	for _, b := range f.active[scenarios.PodCrashLoop] {
		if f.befalls(now, b, at) {
			t.crash = f.r.real(crashLoopLeast + time.Duration(b.before.Float64()*float64(crashLoopMost-crashLoopLeast)))
		}
	}
	return t
}

// retryImages lets the pods without an image be asked about anew.
func retryImages(f *faults, _ time.Duration, b *broken) error {
	if !b.on {
		f.mu.Lock()
		defer f.mu.Unlock()
		clear(f.images)
	}
	return nil
}

// drainGrace is the time that a drain leaves a pod's program to stop, as
// Kubernetes' default has it.
const drainGrace = 30 * time.Second

// breakNodes loses, parts or drains machines, chosen when the fault begins among
// those that take pods. One that several faults hit comes back with the last.
func breakNodes(f *faults, now time.Duration, b *broken) error {
	kube := f.r.p.Kubernetes
	var errs []error
	switch {
	case b.on && b.What == scenarios.NodeDrain:
		for _, name := range f.pickNodes(now, b) {
			if f.drains[name]++; f.drains[name] == 1 {
				for _, at := range f.r.p.DACs.on(name) {
					f.r.evicted[at] = true
				}
				errs = append(errs, kube.DrainNode(name, f.r.real(drainGrace)))
			}
		}
	case b.on:
		for _, name := range f.pickNodes(now, b) {
			errs = append(errs, f.loseNode(now, name, b.What))
		}
	default:
		for _, name := range b.nodes {
			if b.What != scenarios.NodeDrain {
				errs = append(errs, f.returnNode(now, name))
			} else if f.drains[name]--; f.drains[name] == 0 {
				errs = append(errs, kube.Cordon(name, false))
			}
		}
		b.nodes = nil
	}
	return errors.Join(errs...)
}

// pickNodes chooses the machines. Those of a fault that comes and goes stay the
// same throughout.
func (f *faults) pickNodes(now time.Duration, b *broken) []string {
	names := f.r.p.Kubernetes.Nodes()
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.What == scenarios.NodeFlap {
		if b.flapping == nil {
			b.flapping = b.dice.DrawNames(names)
		}
		b.nodes = b.flapping
		return b.nodes
	}
	b.nodes = slices.DeleteFunc(b.dice.DrawNames(names), func(name string) bool { return !b.strikes(now, name) })
	return b.nodes
}

// loseNode takes a machine away from everybody else. The DACs that run on there
// are cut off.
func (f *faults) loseNode(now time.Duration, name string, what scenarios.FaultKind) error {
	if f.out[name]++; f.out[name] > 1 {
		return nil
	}
	if what == scenarios.NodeLose {
		return f.r.p.Kubernetes.LoseNode(name)
	}
	for _, at := range f.r.p.DACs.on(name) {
		f.parted[at] = append(f.parted[at], name)
		f.r.check.Disturbed(now, at.kind, at.id, true, cannotBeReached)
	}
	f.r.p.DACs.part(name, true)
	return f.r.p.Kubernetes.PartitionNode(name)
}

const cannotBeReached = "its machine cannot be reached"

// returnNode brings a machine back. What runs on there has its sessions again a
// while later.
func (f *faults) returnNode(now time.Duration, name string) error {
	if f.out[name]--; f.out[name] > 0 {
		return nil
	}
	f.r.p.DACs.part(name, false)
	err := f.r.p.Kubernetes.RestoreNode(name)
	f.r.plan(now+f.r.scaled(f.r.ComingBack), func(now time.Duration) error {
		for _, at := range f.everyDAC() {
			if i := slices.Index(f.parted[at], name); i >= 0 {
				f.parted[at] = slices.Delete(f.parted[at], i, i+1)
				f.r.check.Disturbed(now, at.kind, at.id, false, cannotBeReached)
			}
		}
		return nil
	})
	return err
}

// sending is part of troubles.
func (f *faults) sending(at dacAt) (t sendTrouble) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	each := func(what scenarios.FaultKind, do func(b *broken)) {
		for _, b := range f.active[what] {
			if f.befalls(now, b, at) {
				do(b)
			}
		}
	}
	each(scenarios.HeartbeatsLose, func(*broken) { t.lost = true })
	each(scenarios.HeartbeatsDelay, func(b *broken) { t.late += f.r.real(b.By) })
	each(scenarios.HeartbeatsDouble, func(*broken) { t.copies++ })
	each(scenarios.HeartbeatsSkew, func(b *broken) { t.skew += b.By }) // a wrong clock, not an interval
	for _, b := range f.active[scenarios.KafkaPartition] {
		t.gone = t.gone || b.on && f.hits(now, b, at)
	}
	return t
}

// beatLate is part of troubles.
func (f *faults) beatLate(at dacAt) (late time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for _, b := range f.active[scenarios.HeartbeatsDrift] {
		if f.befalls(now, b, at) {
			late += f.r.real(b.By)
		}
	}
	return late
}

// strayRows is how many rows that never were a flood of notifications names.
const strayRows = 100

// floodMost bounds the messages of a turn, if a run is far behind.
const floodMost = 1000

// flood publishes what has come due of messages that tell nothing: about a row
// that does not exist, or one that has not changed.
func flood(f *faults, now time.Duration, b *broken) error {
	return f.pour(now, b, func() []byte {
		k := f.r.kinds[b.before.IntN(len(f.r.kinds))]
		op, about := "u", fleet.Resource{ID: fmt.Sprint("stray-", b.before.IntN(strayRows))}
		switch rows := k.cast.Initial; {
		case len(rows) > 0 && b.before.Bool(0.5):
			about = rows[b.before.IntN(len(rows))]
		case b.before.Bool(0.5):
			op = "c"
		default:
			op = "d"
		}
		payload, err := json.Marshal(message{Op: op, Table: f.r.called(k.name), Key: &key{about.ID}, Instance: &row{about.ID, about.Group}, By: centreName})
		if err != nil {
			panic("sim/wire: a message of texts cannot be written: " + err.Error())
		}
		return payload
	})
}

// garbage publishes what has come due of messages that nobody can parse.
func garbage(f *faults, now time.Duration, b *broken) error {
	return f.pour(now, b, func() []byte {
		return []byte([]string{"", "\x00\xff\xfe", "{", `{"o":`, `["c"]`, `{"o":7,"t":{}}`, "garbage", `{"o":"c","t":"Thing","k":`}[b.before.IntN(8)])
	})
}

// pour publishes the messages of a turn: as many as fall into its time, each if
// the die says so.
func (f *faults) pour(now time.Duration, b *broken, make func() []byte) error {
	if !b.on {
		return nil
	}
	n := min(max(1, int(float64(b.Rate)*f.r.scaled(leastRealTurn).Seconds())), floodMost)
	var errs []error
	for i := range n {
		if b.strikes(now+time.Duration(i), "") {
			errs = append(errs, f.r.Centre.publish(make()))
		}
	}
	return errors.Join(errs...)
}
