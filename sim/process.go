package sim

import (
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/stage"
	"dacorch/sim/internal/timeline"
	"dacorch/sim/internal/world"
)

// process is the orchestrator's process: what the production loop is to the
// core, here over the world's models. A crash drops it; callbacks that were on
// their way to it find it dead.
type process struct {
	run     *run
	dead    bool
	session *world.Session
	sub     *world.Subscriber
	kinds   []*driver
}

// driver hands events to the machine of one kind and executes its commands.
type driver struct {
	p        *process
	k        *kind
	name     fleet.Kind
	machine  *reconcile.Machine
	consumer *world.Consumer
	pods     *world.PodWatch
	tick     timeline.Token
	tickAt   time.Duration // when the tick is due; zero for none
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

// stepDownPause is how long a process waits after giving up the leadership
// before it stands for election again.
const stepDownPause = time.Second

// maxTicks bounds the ticks at one moment: virtual time must go on.
const maxTicks = 100_000

const (
	opTick uint32 = iota
	opElect
)

func (r *run) newProcess() *process {
	p := &process{run: r}
	for _, k := range r.kinds {
		d := &driver{p: p, k: k, name: k.name}
		d.bind()
		p.kinds = append(p.kinds, d)
	}
	return p
}

// start connects to everything and stands for election.
func (p *process) start() {
	r := p.run
	p.sub = r.world.MQTT.Subscribe("dacorch", func(now time.Duration, m world.Delivery) {
		r.arrived(m.Notification)
		for _, d := range p.kinds {
			d.step(now, reconcile.Notified{Token: m.Token, Note: m.Notification})
		}
	}, func(now time.Duration, up bool) {
		for _, d := range p.kinds {
			d.step(now, reconcile.NotificationChannel{Up: up})
		}
	})
	for _, d := range p.kinds {
		cfg := stage.Machine(d.k.spec)
		m, err := reconcile.New(cfg)
		if err != nil {
			panic("sim: a configuration that was validated is refused: " + err.Error())
		}
		d.machine = m
		d.pods = r.world.Kubernetes.WatchPods(d.name, func(now time.Duration, pod fleet.Pod) {
			d.step(now, reconcile.PodSeen{Pod: pod})
		}, func(now time.Duration, id fleet.InstanceID, uid string) {
			d.step(now, reconcile.PodGone{Instance: id, UID: uid})
		})
		if d.k.spec.Heartbeat {
			d.consumer = r.world.Kafka.Join("iota-orchestrator-"+string(d.name), d.heartbeat, func(now time.Duration, up bool) {
				d.step(now, reconcile.HeartbeatChannel{Up: up})
			})
		}
	}
	p.connect()
}

// connect opens a session and stands for election with it.
func (p *process) connect() {
	p.session = p.run.world.ZooKeeper.Open(func(now time.Duration, state world.SessionState) {
		if state != world.SessionExpired {
			return
		}
		for _, d := range p.kinds {
			d.step(now, reconcile.Deposed{Why: "the ZooKeeper session has expired"})
		}
		p.connect()
	})
	for _, d := range p.kinds {
		p.session.WatchStatus(d.name, func(now time.Duration, id fleet.InstanceID, st fleet.Status) {
			d.step(now, reconcile.StatusSeen{Instance: id, Status: st})
		})
		d.elect()
	}
}

func (d *driver) elect() {
	d.p.session.Elect(d.name, func(now time.Duration, epoch int64) {
		if d.k.led {
			d.p.run.check.Add(d.name, history.LeaderChanges, 1)
		}
		d.k.led = true
		d.step(now, reconcile.Led{Epoch: epoch})
	})
}

// kill is the crash of the process: all that it held in memory is gone.
func (p *process) kill() {
	p.leave(true)
	p.dead = true
	p.run.dropOrders(p.run.tl.Now())
	p.sub.Close()
	p.session.Kill()
	for _, d := range p.kinds {
		d.pods.Close()
		p.run.tl.Cancel(d.tick)
		if d.consumer != nil {
			d.consumer.Kill()
		}
	}
}

// leave keeps the figures that die with the machines.
func (p *process) leave(crashed bool) {
	if p.dead {
		return
	}
	for _, d := range p.kinds {
		p.run.leaveMachine(d, crashed)
	}
}

func (d *driver) heartbeat(now time.Duration, h world.Heartbeat) {
	d.consumer.Commit(h.Offset + 1)
	if h.Kind == d.name {
		d.step(now, reconcile.Heartbeat{Instance: h.Instance})
	}
}

// bind makes the function values that answers come back through.
func (d *driver) bind() {
	d.onTree = func(now time.Duration, ref uint64, tree fleet.Tree, err error) {
		d.step(now, reconcile.TreeRead{Req: ref, Tree: tree, Err: text(err)})
	}
	d.onListing = func(now time.Duration, l *world.Listing) {
		d.step(now, reconcile.Listed{Req: l.Ref, Rows: l.Rows, Digest: l.Digest, Err: text(l.Err)})
	}
	d.onPods = func(now time.Duration, l world.PodList) {
		d.step(now, reconcile.PodsListed{Req: l.Ref, Pods: l.Pods})
	}
	d.onCommit = func(now time.Duration, _ fleet.Kind, txn *fleet.Txn, outcome fleet.Outcome) {
		if d.sent.txn == txn {
			d.sent.txn = nil
		}
		if outcome == fleet.OutcomeConflict {
			d.p.run.check.Add(d.name, history.TransactionsConflicted, 1)
		}
		d.step(now, reconcile.Committed{Txn: txn.ID, Outcome: outcome})
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

// step hands an event to the machine and executes what it answers.
func (d *driver) step(now time.Duration, ev reconcile.Event) {
	if d.p.dead {
		return
	}
	r := d.p.run
	r.recordEvent(now, d.k, ev)
	for _, c := range d.machine.Step(now, ev) {
		r.recordCommand(now, d.k, c)
		d.execute(now, c)
	}
	d.setTick(now)
}

// setTick sees to it that the machine gets a Tick at its deadline.
func (d *driver) setTick(now time.Duration) {
	at, ok := d.machine.Deadline()
	if !ok || at == d.tickAt {
		return
	}
	if d.tickAt != 0 {
		d.p.run.tl.Cancel(d.tick)
	}
	d.tickAt = at
	d.tick = d.p.run.tl.At(max(at, now), d, opTick, 0, nil)
}

// Handle is the driver's part of the timeline.
func (d *driver) Handle(now time.Duration, op uint32, _ int64, _ any) {
	if d.p.dead {
		return
	}
	switch op {
	case opTick:
		if d.tickAt = 0; now > d.ticked {
			d.ticked, d.ticks = now, 0
		}
		if d.ticks++; d.ticks > maxTicks {
			panic(fmt.Sprintf("sim: the machine of %s asks for a tick at %v for ever", d.name, now))
		}
		d.step(now, reconcile.Tick{})
	case opElect:
		d.elect()
	}
}

func (d *driver) execute(now time.Duration, c reconcile.Command) {
	r, w := d.p.run, d.p.run.world
	switch c := c.(type) {
	case reconcile.Commit:
		d.sent = underway{txn: c.Txn}
		d.p.session.Submit(d.name, c.Txn, d.onCommit)
	case reconcile.Ack:
		d.ack(c.Token)
	case reconcile.ReadTree:
		d.p.session.ReadTree(d.name, c.Req, d.onTree)
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
	case reconcile.Reply:
		r.replied(now, d, c)
	case reconcile.StepDown:
		r.tl.After(stepDownPause, d, opElect, 0, nil)
	case reconcile.Alarm:
		if c.On {
			r.check.Add(d.name, history.Alarms, 1)
		}
	case reconcile.Note:
		// for people: in the log
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
