package wire

import (
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// zookeeper takes in what ZooKeeper has carried out. The server stands still
// meanwhile, so it is only noted.
func (r *run) zookeeper(session int64, changes []zookeeper.Change) {
	r.queue.add(func(at time.Time) {
		now := r.at(at)
		r.reader.Committed = func(kind fleet.Kind, epoch int64, txn *fleet.Txn) {
			r.check.Committed(now, kind, epoch, txn)
			r.faults.resize(kind, txn)
			r.overlooked(at, kind, txn)
			r.pics.Commits.Add(now, 1)
			r.pics.levels(now)
		}
		r.reader.Began = func(kind fleet.Kind, epoch int64) { r.check.Leads(now, kind, epoch) }
		r.reader.Led = func(kind fleet.Kind) { r.check.Add(kind, history.LeaderChanges, 1) }
		r.reader.Read(session, changes)
	})
}

// kubernetes takes in what has happened to a pod.
func (r *run) kubernetes(what watch.EventType, was, is *corev1.Pod) {
	k, id, ok := r.instanceOf(is.Name)
	if !ok {
		return
	}
	uid := string(is.UID)
	marked := is.DeletionTimestamp != nil && (was == nil || was.DeletionTimestamp == nil)
	failed := is.Status.Phase == corev1.PodFailed || is.Status.Phase == corev1.PodSucceeded
	if is.Status.Phase != corev1.PodRunning && was != nil && was.Status.Phase == corev1.PodRunning {
		failed = true
	}
	failed = failed || unreachable(was)
	r.queue.add(func(at time.Time) {
		now := r.at(at)
		switch {
		case what == watch.Added:
			r.faults.created(now, dacAt{k.name, id})
			r.check.PodCreated(now, k.name, id, uid)
		case what == watch.Deleted:
			if was == nil || was.DeletionTimestamp == nil { // with a grace period of 0 it goes at once
				r.deleted(now, k, id, uid, failed)
			}
			r.check.PodGone(now, k.name, id, uid)
			delete(r.ordered, dacAt{k.name, id}) // a later pod is another matter
		case marked:
			r.deleted(now, k, id, uid, failed)
		}
	})
}

// unreachable says that a pod is one of a node that does not answer.
func unreachable(pod *corev1.Pod) bool {
	return pod != nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionFalse && c.Reason == "NodeNotReady"
	})
}

// deleted notes that a pod's deletion was asked for. When its instance stays, it
// is being replaced. What its DAC did then is told by the facts before this one:
// by now its kubelet may have ended it.
func (r *run) deleted(now time.Duration, k *kind, id fleet.InstanceID, uid string, failed bool) {
	r.check.PodDeleted(now, k.name, id, uid)
	reader := r.reader.kinds[k.name]
	if reader.instances[id] == nil || slices.Contains(reader.control.Closing, id) {
		return
	}
	at := dacAt{k.name, id}
	if r.evicted[at] {
		delete(r.evicted, at)
		return
	}
	r.check.Replaced(now, k.name, id, !failed && r.pics.up[at] && !r.ordered[at])
	delete(r.ordered, at)
	r.pics.Replacing.Add(now, 1)
}

// called is what a kind is called on the ground, and scenarioKind the other way
// round.
func (r *run) called(kind fleet.Kind) string { return string(kind) + r.Suffix }
func (r *run) scenarioKind(called string) fleet.Kind {
	return fleet.Kind(strings.TrimSuffix(called, r.Suffix))
}

// instanceOf tells the kind and the number that a pod's name stands for.
func (r *run) instanceOf(pod string) (*kind, fleet.InstanceID, bool) {
	for _, k := range r.kinds {
		if number, ok := strings.CutPrefix(pod, k.spec.InstanceName+"-"); ok {
			if id, ok := instanceNumber(number); ok {
				return k, id, true
			}
		}
	}
	return nil, 0, false
}

// podState describes an instance's pod for the checker's reasons.
func (r *run) podState(kind fleet.Kind, id fleet.InstanceID) string {
	pod := r.Look.Pod(kind, id)
	if pod == nil {
		return fleet.PhaseMissing.String()
	}
	s := string(pod.Status.Phase)
	if pod.Status.Reason != "" {
		s += " (" + pod.Status.Reason + ")"
	}
	if pod.DeletionTimestamp != nil {
		s += ", terminating"
	}
	return s
}

// facts is the run as the DACs tell it what they do.
type facts struct{ r *run }

// Ran is part of Facts.
func (f facts) Ran(kind fleet.Kind, id fleet.InstanceID, pod, resource string, on bool) {
	f.r.queue.add(func(at time.Time) { f.r.check.RunningPod(f.r.at(at), kind, id, pod, resource, on) })
}

// Reloaded is part of Facts.
func (f facts) Reloaded(kind fleet.Kind, id fleet.InstanceID, times int64) {
	f.r.queue.add(func(at time.Time) { f.r.check.Reloaded(f.r.at(at), kind, id, times) })
}

// Alive is part of Facts.
func (f facts) Alive(kind fleet.Kind, id fleet.InstanceID, pod string, able bool) {
	f.r.queue.add(func(at time.Time) {
		now := f.r.at(at)
		if able && f.r.p != nil {
			f.r.faults.rejoined(now, dacAt{kind, id}, f.r.p.DACs.node(dacAt{kind, id}))
		}
		f.r.check.AlivePod(now, kind, id, pod, able)
		f.r.pics.alive(now, kind, id, pod, able)
	})
}

// Hung is part of Facts.
func (f facts) Hung(kind fleet.Kind, id fleet.InstanceID) {
	f.r.queue.add(func(at time.Time) {
		now := f.r.at(at)
		f.r.check.Hung(now, kind, id)
		f.r.pics.alive(now, kind, id, f.r.pics.pods[dacAt{kind, id}], false)
	})
}

// Zombie is part of Facts.
func (f facts) Zombie(kind fleet.Kind, id fleet.InstanceID) {
	f.r.queue.add(func(at time.Time) {
		now := f.r.at(at)
		f.r.check.Zombie(now, kind, id)
		f.r.pics.alive(now, kind, id, f.r.pics.pods[dacAt{kind, id}], false)
	})
}

// Beat is part of Facts.
func (f facts) Beat(kind fleet.Kind, _ fleet.InstanceID) {
	f.r.queue.add(func(time.Time) {
		f.r.beats++
		f.r.check.Add(kind, history.Heartbeats, 1)
	})
}

// pictures are the run's time series.
type pictures struct {
	history.RunRows
	r      *run
	series *history.Series
	up     map[dacAt]bool   // whose program does its work
	pods   map[dacAt]string // the uid of that program's pod
}

func newPictures(r *run) *pictures {
	s := history.NewSeries(r.sc.Duration, history.RunBuckets)
	return &pictures{
		r: r, series: s, up: map[dacAt]bool{}, pods: map[dacAt]string{},
		RunRows: s.RunRows(),
	}
}

// alive counts the pods whose programs do their work.
func (p *pictures) alive(now time.Duration, kind fleet.Kind, id fleet.InstanceID, pod string, able bool) {
	at := dacAt{kind, id}
	if !able && p.pods[at] != pod {
		return // an older one's, that nobody reached
	}
	if p.pods[at] = pod; able == p.up[at] {
		return
	}
	if p.up[at] = able; able {
		p.Running.Add(now, 1)
	} else {
		p.Running.Add(now, -1)
	}
}

// levels notes the levels that have just changed, so that no peak is missed.
func (p *pictures) levels(now time.Duration) {
	var unplaced, unsettled int
	for _, k := range p.r.kinds {
		if !p.r.check.Started(k.name) {
			continue // it has a figure of its own
		}
		live := p.r.check.Live(k.name)
		unplaced += live.Unplaced
		unsettled += live.Unsettled
	}
	p.Unplaced.Set(now, float64(unplaced))
	p.Unsettled.Set(now, float64(unsettled))
}

// sample notes the levels that change slowly.
func (p *pictures) sample(now time.Duration) {
	var resources, instances int
	for _, k := range p.r.kinds {
		live := p.r.check.Live(k.name)
		resources += live.Resources
		instances += live.Instances
	}
	p.Resources.Set(now, float64(resources))
	p.Instances.Set(now, float64(instances))
	p.levels(now)
}
