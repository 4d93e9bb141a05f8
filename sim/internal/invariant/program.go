package invariant

import (
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// RunningPod is Running for a world in which a program can outlive its pod, since
// nobody reaches its machine: pod is the uid of the pod that the program was
// started in. Once the instance's next pod runs something, what the old one runs
// on is told apart. Strict handoff promises that no two DACs run a resource at
// once, unless the pod of one was gone from Kubernetes before the other was given
// the resource: for the orchestrator that one is dead, and nobody can tell it
// otherwise. That a pod is unreachable, or its phase unknown, excuses nothing.
func (c *Checker) RunningPod(now time.Duration, kind fleet.Kind, by fleet.InstanceID, pod, id string, on bool) {
	k := c.kind(now, kind)
	if k == nil || c.instance(k, by) == nil {
		return
	}
	by = c.programOf(k, by, pod, on)
	if on {
		c.started(k, by, id)
	} else {
		c.stopped(k, by, id)
	}
}

// AlivePod is Alive for such a world. That a program ends or fails which is not
// the instance's newest says nothing about the instance.
func (c *Checker) AlivePod(now time.Duration, kind fleet.Kind, id fleet.InstanceID, pod string, healthy bool) {
	k := c.kind(now, kind)
	if k == nil {
		return
	}
	in := c.instance(k, id)
	if in == nil {
		return
	}
	if healthy {
		in.alivePod = pod
	} else if in.alivePod != pod {
		return
	}
	c.Alive(now, kind, id, healthy)
}

// orphan is a program that runs on although another pod has its instance.
type orphan struct {
	instance // what was known of it when the other came
	of       fleet.InstanceID
}

// program finds what is known about who runs something: numbers from
// maxInstanceID on are orphans.
func (k *kindState) program(by fleet.InstanceID) *instance {
	if by >= maxInstanceID {
		return &k.orphans[by-maxInstanceID].instance
	}
	return &k.instances[by]
}

// programOf is the number of the program in a pod; the first thing that a new
// pod's starts makes the program before it an orphan, and so does the first thing
// that one before it starts after it.
func (c *Checker) programOf(k *kindState, by fleet.InstanceID, pod string, on bool) fleet.InstanceID {
	in := &k.instances[by]
	if in.dac == pod {
		return by
	}
	for n := range k.orphans {
		if o := &k.orphans[n]; o.of == by && o.dac == pod && o.runs > 0 {
			return fleet.InstanceID(maxInstanceID + n)
		}
	}
	if !on {
		return by
	}
	if in.alivePod != "" && in.alivePod != pod { // it ran nothing when the next came, whose name was free
		n := k.freeOrphan()
		k.orphans[n] = orphan{of: by, instance: instance{dac: pod, outlived: true}}
		return fleet.InstanceID(maxInstanceID + n)
	}
	if in.runs > 0 && in.dac != "" {
		c.makeOrphan(k, by, in)
	}
	in.dac, in.outlived = pod, false
	return by
}

// freeOrphan is the place of an orphan that runs nothing any more, or a new one.
func (k *kindState) freeOrphan() int {
	n := slices.IndexFunc(k.orphans, func(o orphan) bool { return o.runs == 0 })
	if n < 0 {
		n = len(k.orphans)
		k.orphans = append(k.orphans, orphan{})
	}
	return n
}

// makeOrphan gives what an instance's program runs a number of its own. It looks
// at every resource: programs seldom outlive their pods.
func (c *Checker) makeOrphan(k *kindState, by fleet.InstanceID, in *instance) {
	n := k.freeOrphan()
	k.orphans[n] = orphan{of: by, instance: instance{dac: in.dac, runs: in.runs, outlived: in.outlived, hanging: in.hanging, ends: in.ends}}
	in.runs = 0
	number := fleet.InstanceID(maxInstanceID + n)
	for i := range k.recs {
		r := &k.recs[i]
		if !k.runs(int32(i), by) {
			continue
		}
		if r.runner == by {
			r.runner = number
		} else {
			more := k.moreRunners[int32(i)]
			more[slices.Index(more, by)] = number
		}
		c.update(k, int32(i), false)
	}
}

// living is how many run a resource that the orchestrator cannot know to be dead.
func (k *kindState) living(i int32) int {
	n := 0
	for _, by := range k.runners(i) {
		if !k.program(by).outlived {
			n++
		}
	}
	return n
}

// tooSoon says that a resource is given to an instance while a program runs it
// whose pod is there.
func (k *kindState) tooSoon(i int32, by fleet.InstanceID) bool {
	return slices.ContainsFunc(k.runners(i), func(other fleet.InstanceID) bool {
		return other != by && !k.program(other).outlived
	})
}
