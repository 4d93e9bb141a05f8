package wire

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"

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
		due := r.began.Add(r.real(next.at))
		if late := now.Sub(due); late < 0 {
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

// schedule puts everything that the scenario foresees on the agenda.
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
	for _, k := range r.kinds {
		r.nextOp(k)
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

// nextOp puts a kind's next statement on the agenda.
func (r *run) nextOp(k *kind) {
	op, ok := k.cast.Generator.Next()
	if !ok || op.At >= r.sc.Duration {
		return
	}
	r.plan(op.At, func(time.Duration) error {
		defer r.nextOp(k)
		return r.churn(k, &op)
	})
}

// churn has the data centre do a statement. What it changed is a fact before
// anybody is told.
func (r *run) churn(k *kind, op *churn.Op) error {
	s := Statement{Kind: k.name, Rows: op.Resources, Bulk: op.Bulk, Named: op.Named,
		Verb: [...]Verb{churn.Create: Create, churn.Update: Update, churn.Delete: Delete}[op.Verb]}
	s.Committed = func(changed []fleet.Resource) {
		r.queue.add(func(at time.Time) {
			now := r.at(at)
			for _, row := range changed {
				switch s.Verb {
				case Create:
					r.check.RowInserted(now, k.name, row)
				case Update:
					r.check.RowUpdated(now, k.name, row)
				case Delete:
					r.check.RowDeleted(now, k.name, row.ID)
				}
			}
			r.pics.levels(now)
		})
	}
	_, err := r.Centre.Do(r.ctx, s)
	announced := 1
	if !s.Bulk && s.Named {
		announced = len(s.Rows)
	}
	r.check.Add(k.name, history.Notifications, float64(announced))
	if errors.Is(err, errNotAnnounced) {
		r.check.Add(k.name, history.NotificationsLost, float64(announced))
		return nil
	}
	return err
}

// order gives an operator's order over REST, and takes the answer when it comes.
func (r *run) order(now time.Duration, o *scenarios.Order) error {
	r.open[o] = now
	if o.What == scenarios.Replace {
		r.ordered[dacAt{fleet.Kind(o.Kind), fleet.InstanceID(o.Instance)}] = true
	}
	client := r.Crew.Client()
	r.hearing.Go(func() {
		err := give(r.ctx, client, o.Kind+r.Suffix, o)
		answered := func() { r.replied(r.at(time.Now()), o, err) }
		select {
		case r.answers <- answered:
		case <-r.ctx.Done():
		}
	})
	return nil
}

func give(ctx context.Context, client *api.Client, kind string, o *scenarios.Order) error {
	switch o.What {
	case scenarios.Drain:
		_, err := client.Drain(ctx, kind, o.Instance, false)
		return err
	case scenarios.Undrain:
		_, err := client.Undrain(ctx, kind, o.Instance)
		return err
	case scenarios.Replace:
		_, err := client.Replace(ctx, kind, o.Instance)
		return err
	case scenarios.Maintenance:
		_, err := client.SetMaintenance(ctx, kind, o.On)
		return err
	}
	var req api.OrchestrateRequest
	if o.MaxInstances > 0 {
		req.MaxInstances = &o.MaxInstances
	}
	if o.ResourcePerInstance > 0 {
		req.ResourcePerInstance = &o.ResourcePerInstance
	}
	_, err := client.Orchestrate(ctx, kind, req)
	return err
}

// replied notes the answer to an order.
func (r *run) replied(now time.Duration, o *scenarios.Order, err error) {
	given := r.open[o]
	delete(r.open, o)
	kind := fleet.Kind(o.Kind)
	switch {
	case err != nil:
		fmt.Fprintf(r.opts.Log, "%v: %s of %s: %v\n", now.Round(time.Millisecond), o.What, o.Kind, err)
		r.pics.series.Mark(now, string(o.What)+" refused")
		switch o.What {
		case scenarios.Orchestrate:
			r.check.Add(kind, history.OrchestrationsRefused, 1)
		case scenarios.Replace:
			delete(r.ordered, dacAt{kind, fleet.InstanceID(o.Instance)})
		}
	case o.What == scenarios.Orchestrate:
		r.check.Add(kind, history.OrchestrationsDone, 1)
		r.check.Raise(kind, history.OrchestrationTimeMax, (now - given).Seconds())
	}
}
