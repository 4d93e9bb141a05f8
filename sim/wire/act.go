package wire

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"time"

	"dacorch/sim/internal/churn"

	corev1 "k8s.io/api/core/v1"
)

// worker keeps what is still to be done, by the scenario's time.
type worker struct {
	actions   agenda
	scheduled int
}

// action is something that the scenario foresees.
type action struct {
	at time.Duration
	n  int // order of scheduling: at one moment the first comes first
	do func(now time.Duration) error
}

type agenda []action

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(a[i].at, a[j].at), cmp.Compare(a[i].n, a[j].n)) < 0
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(action)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = action{}
	*a = (*a)[:last]
	return x
}

func (r *run) plan(at time.Duration, do func(now time.Duration) error) {
	r.work.scheduled++
	heap.Push(&r.work.actions, action{at, r.work.scheduled, do})
}

// perform does what is due, and answers in how much real time the next thing is.
func (r *run) perform(now time.Time) time.Duration {
	for len(r.work.actions) > 0 {
		next := &r.work.actions[0]
		if late := now.Sub(r.due(next.at)); late < 0 {
			return -late
		} else if late > r.behind {
			r.behind = late
		}
		a := heap.Pop(&r.work.actions).(action)
		r.takeFacts() // what came before it has an earlier moment
		if err := a.do(r.at(time.Now())); err != nil && r.ctx.Err() == nil {
			fmt.Fprintf(r.opts.Log, "%v: %v\n", a.at, err)
		}
		now = time.Now()
	}
	return time.Hour
}

// schedule puts everything that the scenario foresees on the agenda, but for churn
// (clerk.go).
func (r *run) schedule() error {
	for _, b := range r.faults.broken {
		r.plan(b.At, func(now time.Duration) error { return r.faults.begin(now, b) })
		if b.For == 0 {
			r.pics.series.Mark(b.At, b.Label())
		} else {
			r.pics.series.Band(b.Label(), b.At, b.At+b.For)
		}
	}
	for i := range r.sc.Orders {
		o := &r.sc.Orders[i]
		r.plan(o.At, func(now time.Duration) error { return r.order(now, o) })
		r.pics.series.Mark(o.At, string(o.What))
	}
	r.plan(r.sc.Heal, func(now time.Duration) error {
		r.healed = true
		r.check.Heal(now)
		return nil
	})
	for i := range r.sc.Load {
		r.plan(r.sc.Load[i].From, func(now time.Duration) error { return r.beginLoad(now, i) })
	}
	nodes, err := r.script.Nodes()
	if err != nil {
		return err
	}
	for _, ev := range nodes {
		r.plan(ev.At, func(time.Duration) error { return r.node(ev) })
	}
	return nil
}

// node has a machine come or go. One that is taken back ends its pods, which
// fail; it stays listed, closed, until it comes again.
func (r *run) node(ev churn.NodeEvent) error {
	if ev.Add {
		if r.machines[ev.Node] {
			return r.p.Kubernetes.Cordon(ev.Node, false)
		}
		r.machines[ev.Node] = true
		return r.p.Kubernetes.AddNode(ev.Node)
	}
	errs := []error{r.p.Kubernetes.Cordon(ev.Node, true)}
	for _, pod := range r.p.Kubernetes.Pods() {
		if phase := pod.Status.Phase; pod.Spec.NodeName == ev.Node && phase != corev1.PodFailed && phase != corev1.PodSucceeded {
			errs = append(errs, r.p.Kubernetes.FailPod(Namespace, pod.Name, "Preempting"))
		}
	}
	return errors.Join(errs...)
}
