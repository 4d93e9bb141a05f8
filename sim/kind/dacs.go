package kind

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
)

// dacs is what the DACs do, as far as it can be seen from the outside. A DAC runs
// the list as of the times that it has confirmed last; it lives from its pod's
// being Running, or its first confirmation, until its pod ends, is gone, or was
// broken by the run itself.
//
// What cannot be seen so: what it does before it confirms, so that overlaps look
// shorter by that time, and gaps longer; and a program that outlives its pod's
// object for some moments, as those do whose pods are deleted without grace.
type dacs struct {
	facts  wire.Facts
	reader *wire.TreeReader
	names  map[string]fleet.Kind // kinds by the names of their instances

	mu    sync.Mutex
	kinds map[fleet.Kind]map[fleet.InstanceID]*instance
}

// instance is one instance: its list, and the program that works it off.
type instance struct {
	kind  fleet.Kind
	id    fleet.InstanceID
	list  map[string]bool // as far as it was confirmed, or nobody can have read less
	later []step          // what the list's later states differ in

	pod     string // uid of the newest; empty for none
	dead    string // uid of the one whose program has ended
	alive   bool   // its program works
	hung    bool
	runs    bool  // it runs list; else nothing
	session int64 // of its program at ZooKeeper
	former  int64 // that of the program before it
	early   *confirmation
}

// confirmation is one that was seen before the pod of whoever has confirmed: pods are
// watched, and ZooKeeper's log is read, each as fast as they can be.
type confirmation struct{ session, times int64 }

// step is one change of a list.
type step struct {
	times       int64
	add, remove []string
}

func newDACs(kinds []wire.Kind, facts wire.Facts) *dacs {
	d := &dacs{facts: facts, reader: wire.NewTreeReader(kinds), names: map[string]fleet.Kind{}, kinds: map[fleet.Kind]map[fleet.InstanceID]*instance{}}
	for _, k := range kinds {
		d.names[k.InstanceName], d.kinds[k.Kind] = k.Kind, map[fleet.InstanceID]*instance{}
	}
	d.reader.Committed = d.committed
	return d
}

// tree takes in what ZooKeeper has carried out.
func (d *dacs) tree(session int64, changes []zookeeper.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reader.Read(session, changes)
	for _, c := range changes {
		rest, of := strings.CutPrefix(c.Path, orchestrationRoot)
		parts := strings.Split(rest, "/")
		if !of || len(parts) != 4 || parts[2] != "tmp" || parts[3] != "status" {
			continue
		}
		id, err := strconv.ParseInt(parts[1], 10, 32)
		if err != nil {
			continue
		}
		in := d.instance(fleet.Kind(parts[0]), fleet.InstanceID(id))
		if c.Op == "delete" { // a session has ended, and with it whoever was to come
			in.early = nil
			continue
		}
		var status struct{ Times *int64 }
		if json.Unmarshal(c.Data, &status) == nil && status.Times != nil {
			d.confirmed(in, session, *status.Times)
		}
	}
}

func (d *dacs) instance(kind fleet.Kind, id fleet.InstanceID) *instance {
	in := d.kinds[kind][id]
	if in == nil {
		in = &instance{kind: kind, id: id, list: map[string]bool{}}
		d.kinds[kind][id] = in
	}
	return in
}

// committed follows the lists.
func (d *dacs) committed(kind fleet.Kind, _ int64, txn *fleet.Txn) {
	for i := range txn.Changes {
		c := &txn.Changes[i]
		in := d.instance(kind, c.Instance)
		if c.Kind == fleet.ChangeDelete { // its program hears of it, and nobody is told
			ran := in.runs
			d.stop(in)
			in.runs = ran
			in.list, in.later, in.early = map[string]bool{}, nil, nil
			continue
		}
		in.later = append(in.later, step{c.Times, c.Add, c.Remove})
	}
}

// advance has the list be that as of times, and answers what differs.
func (in *instance) advance(times int64) (added, removed []string) {
	was := map[string]bool{}
	n := 0
	for ; n < len(in.later) && in.later[n].times <= times; n++ {
		for _, id := range in.later[n].remove {
			if _, met := was[id]; !met {
				was[id] = in.list[id]
			}
			delete(in.list, id)
		}
		for _, id := range in.later[n].add {
			if _, met := was[id]; !met {
				was[id] = in.list[id]
			}
			in.list[id] = true
		}
	}
	in.later = slices.Clone(in.later[n:])
	for _, id := range slices.Sorted(maps.Keys(was)) {
		switch {
		case in.list[id] && !was[id]:
			added = append(added, id)
		case !in.list[id] && was[id]:
			removed = append(removed, id)
		}
	}
	return added, removed
}

// confirmed takes in that a program has applied its list as of times.
func (d *dacs) confirmed(in *instance, session, times int64) {
	switch {
	case session == in.former: // of a program that is at its end
		return
	case in.pod == "" || in.pod == in.dead:
		in.early = &confirmation{session, times}
		return
	}
	in.session = session
	added, removed := in.advance(times)
	d.live(in)
	if !in.runs {
		in.runs = true
		added, removed = slices.Sorted(maps.Keys(in.list)), nil
	}
	for _, id := range removed {
		d.facts.Ran(in.kind, in.id, in.pod, id, false)
	}
	for _, id := range added {
		d.facts.Ran(in.kind, in.id, in.pod, id, true)
	}
	d.facts.Reloaded(in.kind, in.id, times)
}

// live notes that a program works.
func (d *dacs) live(in *instance) {
	if !in.alive && !in.hung && in.pod != in.dead {
		in.alive = true
		d.facts.Alive(in.kind, in.id, in.pod, true)
	}
}

// stop tells that a program runs nothing any more.
func (d *dacs) stop(in *instance) {
	if in.runs {
		for _, id := range slices.Sorted(maps.Keys(in.list)) {
			d.facts.Ran(in.kind, in.id, in.pod, id, false)
		}
	}
	in.runs = false
}

// over tells that a program is at its end.
func (d *dacs) over(in *instance) {
	d.stop(in)
	if in.alive || in.hung {
		d.facts.Alive(in.kind, in.id, in.pod, false)
	}
	in.alive, in.hung, in.dead = false, false, in.pod
	if in.session != 0 {
		in.former, in.session = in.session, 0
	}
}

// named tells which instance a pod's name stands for.
func (d *dacs) named(pod string) (fleet.Kind, fleet.InstanceID, bool) {
	i := strings.LastIndex(pod, "-")
	if i < 0 {
		return "", 0, false
	}
	id, err := strconv.ParseInt(pod[i+1:], 10, 32)
	kind, known := d.names[pod[:i]]
	return kind, fleet.InstanceID(id), err == nil && known
}

// of is the instance that a pod is of; nil for another pod.
func (d *dacs) of(pod *corev1.Pod) *instance {
	kind, id, ok := d.named(pod.Name)
	if !ok {
		return nil
	}
	return d.instance(kind, id)
}

// created takes in a pod that is new. Whatever its program will read is at least as
// new as what is there now.
func (d *dacs) created(pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	in := d.of(pod)
	if in == nil {
		return
	}
	d.over(in)
	in.pod = string(pod.UID)
	early := in.early
	in.early = nil
	if early == nil || early.session == in.former {
		if n := len(in.later); n > 0 {
			in.advance(in.later[n-1].times)
		}
		d.phase(in, pod)
		return
	}
	d.phase(in, pod)
	if in.pod != in.dead {
		d.confirmed(in, early.session, early.times)
	}
}

// changed takes in that a pod is in another phase.
func (d *dacs) changed(pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in := d.of(pod); in != nil && in.pod == string(pod.UID) {
		d.phase(in, pod)
	}
}

func (d *dacs) phase(in *instance, pod *corev1.Pod) {
	switch pod.Status.Phase {
	case corev1.PodRunning:
		d.live(in)
	case corev1.PodFailed, corev1.PodSucceeded:
		d.over(in)
	}
}

// gone takes in that a pod is no more.
func (d *dacs) gone(pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in := d.of(pod); in != nil && in.pod == string(pod.UID) {
		d.over(in)
		in.pod = ""
	}
}

// killed and hangs take in what the run itself has done to an instance's program.
func (d *dacs) killed(kind fleet.Kind, id fleet.InstanceID, pod string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in := d.instance(kind, id); in.pod == pod {
		d.over(in)
	}
}

func (d *dacs) hangs(kind fleet.Kind, id fleet.InstanceID, pod string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in := d.instance(kind, id); in.pod == pod && in.alive {
		in.hung = true
		d.facts.Hung(kind, id)
	}
}

// working are the instances whose program works, ascending.
func (d *dacs) working(kind fleet.Kind) (ids []fleet.InstanceID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, in := range d.kinds[kind] {
		if in.alive && !in.hung {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// running is what each program runs.
func (d *dacs) running(kind fleet.Kind) map[fleet.InstanceID][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[fleet.InstanceID][]string{}
	for id, in := range d.kinds[kind] {
		if in.runs {
			all[id] = slices.Sorted(maps.Keys(in.list))
		}
	}
	return all
}
