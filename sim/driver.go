package sim

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/timeline"
	"dacorch/sim/internal/world"
)

// driver hands events to the machine of one kind and executes its commands.
type driver struct {
	p        *process
	k        *kind
	name     fleet.Kind
	machine  *reconcile.Machine
	consumer *world.Consumer
	pods     *world.PodWatch
	leads    bool // as far as it knows
	led      bool // it has led before
	epoch    int64
	tick     timeline.Token
	armed    bool          // a tick is due
	tickAt   time.Duration // when, by the process's clock
	ticked   time.Duration // when the last one was
	ticks    int           // how many there were at that moment
	acked    uint64
	sent     underway

	// One function value for each kind of answer, so that a command costs no
	// closure.
	onTree    func(time.Duration, uint64, fleet.Tree, error)
	onListing func(time.Duration, *world.Listing)
	onPods    func(time.Duration, world.PodList)
	onCommit  func(time.Duration, fleet.Kind, *fleet.Txn, fleet.Outcome)
	onCreated func(time.Duration, world.PodReply)
	onDeleted func(time.Duration, world.PodReply)
}

// maxTicks bounds the ticks at one moment: virtual time must go on.
const maxTicks = 100_000

const (
	opTick uint32 = iota
	opElect
)

// step hands an event to the machine, or keeps it while the process is paused.
func (d *driver) step(now time.Duration, ev reconcile.Event) {
	switch {
	case d.p.dead:
	case d.p.stopped != nil:
		d.p.stopped.keep(heard{d: d, ev: ev})
	default:
		d.told(now, ev)
	}
}

// told hands an event to the machine and executes what it answers.
func (d *driver) told(now time.Duration, ev reconcile.Event) {
	r := d.p.run
	r.recordEvent(now, d, ev)
	switch ev := ev.(type) {
	case reconcile.Deposed:
		d.leads = false
		r.forgo(d)
	case reconcile.Committed:
		d.committed(ev)
	}
	r.keepEvent(now, d, ev)
	commands := d.machine.Step(now+d.p.skew, ev)
	r.keepCommands(now, d, commands)
	for _, c := range commands {
		r.recordCommand(now, d, c)
		d.carryOut(now, c)
		if d.p.dead {
			return
		}
	}
	d.setTick(now)
	if !d.leads && d.consumer != nil {
		d.unjoin(now)
	}
}

// committed notes the answer to the transaction in flight.
func (d *driver) committed(ev reconcile.Committed) {
	switch ev.Outcome {
	case fleet.OutcomeConflict:
		d.p.run.check.Add(d.name, history.TransactionsConflicted, 1)
	case fleet.OutcomeDeposed:
		d.leads = false
		d.p.run.forgo(d)
	}
	if d.sent.txn != nil && d.sent.txn.ID == ev.Txn {
		d.sent.txn = nil
	}
}

// setTick sees to it that the machine gets a Tick at its deadline.
func (d *driver) setTick(now time.Duration) {
	at, ok := d.machine.Deadline()
	if !ok || d.armed && at == d.tickAt {
		return
	}
	if d.armed {
		d.p.run.tl.Cancel(d.tick)
	}
	d.armed, d.tickAt = true, at
	d.tick = d.p.run.tl.At(max(at-d.p.skew, now), d, opTick, 0, nil)
}

// Handle is the driver's part of the timeline.
func (d *driver) Handle(now time.Duration, op uint32, _ int64, data any) {
	switch {
	case d.p.dead:
	case op == opElect:
		d.p.hear(now, func(time.Duration) {
			if data == d.p.session { // else it stands with a younger one already
				d.elect()
			}
		})
	case d.p.stopped != nil:
		d.p.stopped.late[d] = true
	default:
		d.ticking(now)
	}
}

func (d *driver) ticking(now time.Duration) {
	if d.armed = false; now > d.ticked {
		d.ticked, d.ticks = now, 0
	}
	if d.ticks++; d.ticks > maxTicks {
		panic(fmt.Sprintf("sim: the machine of %s asks for a tick at %v for ever", d.name, now))
	}
	d.told(now, reconcile.Tick{})
}

// elect stands for election with the process's session.
func (d *driver) elect() {
	if d.p.deaf {
		return
	}
	d.p.lease.over = false
	s := d.p.session
	s.Elect(d.name, func(now time.Duration, epoch int64) {
		d.p.hear(now, func(now time.Duration) {
			if s == d.p.session && !d.p.lease.over {
				d.gained(now, epoch)
			}
		})
	})
}

func (d *driver) gained(now time.Duration, epoch int64) {
	if d.k.led {
		d.p.run.check.Add(d.name, history.LeaderChanges, 1)
	}
	d.k.led = true
	again := d.led
	d.leads, d.led, d.epoch = true, true, epoch
	d.p.run.check.Leads(now, d.name, epoch)
	d.told(now, reconcile.Led{Epoch: epoch})
	if (again || d.p.notesUp) && !d.p.dead { // a machine that followed was not told; one that has just begun hears soon
		d.told(now, reconcile.NotificationChannel{Up: d.p.notesUp})
	}
	if !d.p.dead && d.leads && d.consumer == nil {
		d.join()
	}
}

// channel hears whether heartbeats can arrive.
func (d *driver) channel(now time.Duration, up bool) { d.told(now, reconcile.HeartbeatChannel{Up: up}) }

// staleBeat is how old a heartbeat may be that still says anything, as production
// has it: offsets can be lost, and a backlog can be long.
const staleBeat = 90 * time.Second

func (d *driver) heartbeat(now time.Duration, h world.Heartbeat) {
	if d.p.stopped == nil && d.consumer != nil { // else it has not read it
		d.consumer.Commit(h.Offset + 1)
	}
	if h.Kind == d.name && (now-h.Appended <= staleBeat || now-h.SentAt <= staleBeat) {
		d.step(now, reconcile.Heartbeat{Instance: h.Instance})
	}
}

// bind makes the function values that answers come back through.
func (d *driver) bind() {
	d.onTree = func(now time.Duration, ref uint64, tree fleet.Tree, err error) {
		d.step(now, reconcile.TreeRead{Req: ref, Tree: tree, Err: text(err)})
	}
	d.onListing = func(now time.Duration, l *world.Listing) {
		rows := l.Rows
		if d.p.stopped != nil {
			rows = slices.Clone(rows) // they are good now alone
		}
		d.step(now, reconcile.Listed{Req: l.Ref, Rows: rows, Digest: l.Digest, Err: text(l.Err)})
	}
	d.onPods = func(now time.Duration, l world.PodList) {
		d.step(now, reconcile.PodsListed{Req: l.Ref, Pods: l.Pods, Err: text(l.Err)})
	}
	d.onCommit = func(now time.Duration, _ fleet.Kind, txn *fleet.Txn, outcome fleet.Outcome) {
		d.answered(now, txn, outcome)
	}
	d.onCreated = func(now time.Duration, r world.PodReply) {
		d.step(now, reconcile.PodCreated{Instance: r.Instance, UID: r.UID, Answer: answer(r.Err), Err: text(r.Err)})
	}
	d.onDeleted = func(now time.Duration, r world.PodReply) {
		d.step(now, reconcile.PodDeleted{Instance: r.Instance, UID: r.UID, Answer: answer(r.Err), Err: text(r.Err)})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func answer(err error) reconcile.PodAnswer {
	switch err {
	case nil:
		return reconcile.PodAccepted
	case world.ErrAlreadyExists:
		return reconcile.PodAlreadyExists
	case world.ErrNotFound:
		return reconcile.PodNotFound
	}
	return reconcile.PodRefused
}

// carryOut executes a command, unless the process is struck down at it.
func (d *driver) carryOut(now time.Duration, c reconcile.Command) {
	by, before := d.p.run.strikes(now, c)
	if !before {
		d.execute(now, c)
	}
	if by != nil {
		d.p.run.struck(now, d.p, by)
	}
}

func (d *driver) execute(now time.Duration, c reconcile.Command) {
	r, w := d.p.run, d.p.run.world
	switch c := c.(type) {
	case reconcile.Ack:
		d.ack(c.Token)
		return
	case reconcile.Reply:
		r.replied(now, d, c)
		return
	case reconcile.StepDown:
		if !d.p.deaf {
			r.tl.After(stepDownPause, d, opElect, 0, d.p.session)
		}
		return
	case reconcile.Alarm:
		if c.On {
			r.check.Add(d.name, history.Alarms, 1)
		}
		r.check.Alarm(now, d.name, d.epoch, c.Code, c.On)
		return
	case reconcile.Note: // for people: in the log
		return
	}
	if !d.p.proved(now) {
		return // the leadership is about to end, and nobody waits for the answer
	}
	r.acts(now, d, c)
	switch c := c.(type) {
	case reconcile.Commit:
		d.sent = underway{txn: c.Txn}
		d.p.calls.Submit(d.name, c.Txn, d.onCommit)
	case reconcile.ReadTree:
		d.p.calls.ReadTree(d.name, c.Req, d.onTree)
	case reconcile.ListRows:
		w.Database.List(d.name, c.IDs, c.Req, d.onListing)
	case reconcile.ListPods:
		w.Kubernetes.ListPods(d.name, c.Req, d.onPods)
	case reconcile.CreatePod:
		w.Kubernetes.CreatePod(d.name, c.Instance, 0, d.onCreated)
	case reconcile.DeletePod:
		if c.Purpose != reconcile.PurposeRelease {
			r.replaced(now, d, c)
		}
		w.Kubernetes.DeletePod(d.name, c.Instance, c.UID, 0, 0, d.onDeleted)
	}
}

// ack tells the broker what every kind's machine has made safe.
func (d *driver) ack(token uint64) {
	d.acked = token
	for _, other := range d.p.kinds {
		token = min(token, other.acked)
	}
	d.p.sub.Ack(token)
}
