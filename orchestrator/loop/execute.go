package loop

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// execute begins what a command demands. What takes time runs in a goroutine of
// its own, for which the term's end waits, and posts its answer, which counts
// only while the leadership lasts.
func (d *driver) execute(c reconcile.Command) {
	switch c := c.(type) {
	case reconcile.Ack:
		d.l.acks.safe(d.kind, c.Token)
		return
	case reconcile.Reply:
		d.reply(c)
		return
	case reconcile.Alarm:
		d.alarm(c)
		return
	case reconcile.Note:
		d.log.Info(c.Text, instance(c.Instance)...)
		d.note(EntryNote, c.Instance, "%s", c.Text)
		return
	case reconcile.StepDown:
		d.log.Warn("steps down", "why", c.Why)
		select {
		case d.term.stepDown <- c.Why:
		default: // it is on its way already
		}
		return
	}
	if !d.proved() {
		return // the term is about to end, and nobody waits for the answer
	}
	t := d.term
	switch c := c.(type) {
	case reconcile.Commit:
		d.flight = &c
		t.work.Go(func() { d.commit(t, c) })
	case reconcile.ReadTree:
		t.work.Go(func() { d.readTree(t, c.Req) })
	case reconcile.ListRows:
		t.work.Go(func() { d.listRows(t, c) })
	case reconcile.ListPods:
		t.work.Go(func() { d.listPods(t, c.Req) })
	case reconcile.CreatePod:
		d.log.Info("creates the pod", "instance", int(c.Instance), "why", c.Why)
		d.note(EntryPodCreate, c.Instance, "%s", c.Why)
		t.work.Go(func() { d.createPod(t, c) })
	case reconcile.DeletePod:
		d.log.Info("deletes the pod", "instance", int(c.Instance), "uid", c.UID, "why", c.Why)
		d.tell(Entry{Type: EntryPodDelete, Instance: c.Instance, Code: c.Purpose.String(), Text: c.Why})
		t.work.Go(func() { d.deletePod(t, c) })
	default:
		panic(fmt.Sprintf("loop: unknown command %T", c))
	}
}

func instance(id fleet.InstanceID) []any {
	if id == fleet.NoInstance {
		return nil
	}
	return []any{"instance", int(id)}
}

func (d *driver) reply(c reconcile.Reply) {
	o, ok := d.orders[c.Req]
	if !ok {
		return
	}
	delete(d.orders, c.Req)
	switch {
	case c.Err == "":
		d.tellOrder(o.order, orderDone, "")
		o.answer <- nil
	case d.machine.Stage() == reconcile.StageFollower:
		d.tellOrder(o.order, "interrupted", c.Err)
		o.answer <- fmt.Errorf("%w: %s", ErrInterrupted, c.Err)
	default:
		d.tellOrder(o.order, "refused", c.Err)
		o.answer <- &RefusedError{c.Err}
	}
}

// orderDone is EntryOrder's code for an order that is done.
const orderDone = "done"

func (d *driver) alarm(c reconcile.Alarm) {
	if c.On {
		d.log.Warn("alarm", "code", c.Code, "text", c.Text)
		d.tell(Entry{Type: EntryAlarm, Instance: fleet.NoInstance, Code: c.Code, Text: c.Text})
	} else {
		d.log.Info("alarm is over", "code", c.Code)
		d.tell(Entry{Type: EntryAlarmOver, Instance: fleet.NoInstance, Code: c.Code, Text: c.Text})
	}
}

// commit executes a transaction; what it did shows in the view before the
// machine hears of it.
func (d *driver) commit(t *term, c reconcile.Commit) {
	began := d.l.now()
	ctx, cancel := context.WithTimeout(t.ctx, d.l.cfg.CommitTimeout)
	defer cancel()
	outcome, err := d.l.ports.Store.Commit(ctx, d.kind, c.Txn)
	if d.l.cfg.Observe != nil {
		d.l.cfg.Observe.Committed(d.kind, outcome, d.l.now()-began)
	}
	if outcome != fleet.OutcomeDone {
		d.log.Warn("transaction", "txn", c.Txn.ID, "outcome", outcome.String(), "error", err)
	}
	d.post(work{term: t, do: func(now time.Duration) {
		d.flight = nil
		if outcome == fleet.OutcomeDone {
			d.view.apply(c.Txn)
			d.moves.add(now, c.Decisions)
			d.tell(Entry{Type: EntryCommit, Instance: fleet.NoInstance, Txn: c.Txn, Decisions: c.Decisions})
		}
		d.step(reconcile.Committed{Txn: c.Txn.ID, Outcome: outcome, Err: text(err)})
		if t.draining && d.flight == nil {
			close(t.idle)
		}
	}})
}

func (d *driver) readTree(t *term, req uint64) {
	ctx, cancel := context.WithTimeout(t.ctx, d.l.cfg.CallTimeout)
	defer cancel()
	began := d.l.now()
	tree, err := d.l.ports.Store.ReadTree(ctx, d.kind)
	d.called("zookeeper", began, err)
	var content *content
	if err == nil {
		content = contentOf(tree.Instances)
	}
	d.post(work{term: t, do: func(time.Duration) {
		if content != nil {
			d.view.set(content)
		}
		d.step(reconcile.TreeRead{Req: req, Tree: tree, Err: text(err)})
	}})
}

func (d *driver) listRows(t *term, c reconcile.ListRows) {
	ctx, cancel := context.WithTimeout(t.ctx, 10*d.l.cfg.CallTimeout)
	defer cancel()
	began := d.l.now()
	answer := reconcile.Listed{Req: c.Req}
	if c.IDs == nil { // about as many as last time: growing to a million costs several
		answer.Rows = make([]fleet.Resource, 0, d.rows.Load()*17/16)
	}
	err := d.l.ports.Database.List(ctx, d.kind, c.IDs, func(page []fleet.Resource) error {
		answer.Rows = append(answer.Rows, page...)
		if c.IDs == nil {
			for _, r := range page {
				answer.Digest.Add(r)
			}
		}
		return nil
	})
	d.called("database", began, err)
	if c.IDs == nil && err == nil {
		d.rows.Store(int64(len(answer.Rows)))
	}
	answer.Err = text(err)
	d.post(work{term: t, ev: answer})
}

func (d *driver) listPods(t *term, req uint64) {
	ctx, cancel := context.WithTimeout(t.ctx, d.l.cfg.CallTimeout)
	defer cancel()
	began := d.l.now()
	pods, err := d.l.ports.Pods.List(ctx, d.kind)
	d.called("kubernetes", began, err)
	d.post(work{term: t, ev: reconcile.PodsListed{Req: req, Pods: pods, Err: text(err)}})
}

func (d *driver) createPod(t *term, c reconcile.CreatePod) {
	var uid string
	err := d.podCall(t, func(ctx context.Context) (err error) {
		uid, err = d.l.ports.Pods.Create(ctx, d.kind, c.Instance, c.Why)
		return err
	})
	d.post(work{term: t, ev: reconcile.PodCreated{Instance: c.Instance, UID: uid, Answer: answer(err), Err: text(err)}})
}

func (d *driver) deletePod(t *term, c reconcile.DeletePod) {
	err := d.podCall(t, func(ctx context.Context) error {
		return d.l.ports.Pods.Delete(ctx, d.kind, c.Instance, c.UID, c.Why)
	})
	d.post(work{term: t, ev: reconcile.PodDeleted{Instance: c.Instance, UID: c.UID, Answer: answer(err), Err: text(err)}})
}

// podCall waits for its turn, then asks once more whether this process leads:
// Kubernetes, unlike ZooKeeper, takes orders from a deposed leader.
func (d *driver) podCall(t *term, call func(ctx context.Context) error) error {
	select {
	case d.pods <- struct{}{}:
	case <-t.ctx.Done():
		return context.Cause(t.ctx)
	}
	defer func() { <-d.pods }()
	if !t.held() {
		return ErrNotLeader
	}
	ctx, cancel := context.WithTimeout(t.ctx, d.l.cfg.CallTimeout)
	defer cancel()
	began := d.l.now()
	err := call(ctx)
	d.called("kubernetes", began, err)
	return err
}

func (d *driver) called(port string, began time.Duration, err error) {
	if d.l.cfg.Observe != nil {
		d.l.cfg.Observe.Called(d.kind, port, d.l.now()-began, err)
	}
}

// text is what the machine is told of an error, and so what stands in alarms,
// events and recordings. Adapters keep their secrets out of their errors; a
// library's that names a URL with a login in it is seen to here.
func text(err error) string {
	if err == nil {
		return ""
	}
	return login.ReplaceAllString(err.Error(), "://***@")
}

var login = regexp.MustCompile(`://[^/?#\s"]*@`)

func answer(err error) reconcile.PodAnswer {
	switch {
	case err == nil:
		return reconcile.PodAccepted
	case errors.Is(err, fleet.ErrPodExists):
		return reconcile.PodAlreadyExists
	case errors.Is(err, fleet.ErrPodNotFound):
		return reconcile.PodNotFound
	}
	return reconcile.PodRefused
}
