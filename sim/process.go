package sim

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/sim/internal/stage"
	"dacorch/sim/internal/world"
)

// process is one process of the orchestrator: what the production loop is to the
// core, here over the world's models. A crash drops it; callbacks that were on
// their way to it find it dead. There is one, but during a split two.
type process struct {
	run    *run
	number int // from 1, the smallest that no other living process has
	dead   bool
	kinds  []*driver

	session *world.Session // what it stands for election with
	calls   *world.Session // what its calls travel by: session, but in a split
	lease   lease
	deaf    bool // a split: it hears nothing of its session
	sub     *world.Subscriber
	notesUp bool

	stopped *stopped      // what has come since it was paused
	skew    time.Duration // how far its clock has jumped ahead
}

// stepDownPause is how long a process waits after giving up the leadership
// before it stands for election again.
const stepDownPause = time.Second

// startProcess starts a process of the orchestrator.
func (r *run) startProcess() {
	p := &process{run: r, number: 1}
	for slices.ContainsFunc(r.procs, func(q *process) bool { return q.number == p.number }) {
		p.number++
	}
	r.procs = append(r.procs, p)
	for _, k := range r.kinds {
		d := &driver{p: p, k: k, name: k.name}
		d.bind()
		p.kinds = append(p.kinds, d)
	}
	p.start()
}

// leader is the process that calls and faults reach: of those that live the
// youngest, since one that is older is about to go; nil while none lives.
func (r *run) leader() *process {
	if n := len(r.procs); n > 0 {
		return r.procs[n-1]
	}
	return nil
}

// start connects to everything and stands for election.
func (p *process) start() {
	p.subscribe()
	for _, d := range p.kinds {
		m, err := reconcile.New(stage.Machine(d.k.spec))
		if err != nil {
			panic("sim: a configuration that was validated is refused: " + err.Error())
		}
		d.machine = m
		p.run.keepStart(d)
		d.pods = p.run.world.Kubernetes.WatchPods(d.name, func(now time.Duration, pod fleet.Pod) {
			d.step(now, reconcile.PodSeen{Pod: pod})
		}, func(now time.Duration, id fleet.InstanceID, uid string) {
			d.step(now, reconcile.PodGone{Instance: id, UID: uid})
		})
	}
	p.connect()
}

// subscribe listens to the notifications, each process as a client of its own.
func (p *process) subscribe() {
	client := "dacorch"
	if p.number > 1 {
		client = fmt.Sprint("dacorch-", p.number)
	}
	p.sub = p.run.world.MQTT.Subscribe(client, func(now time.Duration, m world.Delivery) {
		p.run.arrived(m.Notification)
		for _, d := range p.kinds {
			d.step(now, reconcile.Notified{Token: m.Token, Note: m.Notification})
		}
	}, func(now time.Duration, up bool) {
		p.notesUp = up
		for _, d := range p.kinds {
			d.step(now, reconcile.NotificationChannel{Up: up})
		}
	})
}

// join listens to the kind's heartbeats, which like in production a leader alone does.
func (d *driver) join() {
	if !d.k.spec.Heartbeat {
		return
	}
	var c *world.Consumer
	c = d.p.run.world.Kafka.Join("iota-orchestrator-"+string(d.name), d.heartbeat, func(now time.Duration, up bool) {
		d.p.hear(now, func(now time.Duration) {
			if c == d.consumer {
				d.channel(now, up)
			}
		})
	})
	d.consumer = c
}

// unjoin leaves the heartbeats to the next leader.
func (d *driver) unjoin(now time.Duration) {
	d.consumer.Close()
	d.consumer = nil
	d.channel(now, false)
}

// connect opens a session and stands for election with it.
func (p *process) connect() {
	p.lease = lease{}
	var s *world.Session
	s = p.run.world.ZooKeeper.Open(func(now time.Duration, state world.SessionState) {
		p.hear(now, func(now time.Duration) {
			if s == p.session {
				p.sessionState(now, state)
			}
		})
	})
	p.session, p.calls = s, s
	for _, d := range p.kinds {
		s.WatchStatus(d.name, func(now time.Duration, id fleet.InstanceID, st fleet.Status) {
			d.step(now, reconcile.StatusSeen{Instance: id, Status: st})
		})
		d.elect()
	}
}

// sessionState hears what has become of the session.
func (p *process) sessionState(now time.Duration, state world.SessionState) {
	switch {
	case p.deaf:
	case state == world.SessionExpired:
		p.depose(now, "the ZooKeeper session has expired")
		if !p.dead { // struck down at its last command
			p.connect()
		}
	case state == world.SessionDisconnected:
		p.doubt(now)
	case p.lease.over: // laid down while it was cut off
		p.standAgain()
	default:
		p.assure()
	}
}

// depose tells every machine that the leadership is over, if it was one.
func (p *process) depose(now time.Duration, why string) {
	for _, d := range p.kinds {
		if !p.dead {
			d.told(now, reconcile.Deposed{Why: why})
		}
	}
}

// standAgain stands for election after the usual pause, at the end of the queue.
func (p *process) standAgain() {
	for _, d := range p.kinds {
		p.run.tl.After(stepDownPause, d, opElect, 0, p.session)
	}
}

// hear lets the process do something now, or once it goes on after a pause.
func (p *process) hear(now time.Duration, do func(now time.Duration)) {
	switch {
	case p.dead:
	case p.stopped != nil:
		p.stopped.keep(heard{do: do})
	default:
		do(now)
	}
}

// crash is the sudden end of the process: all that it held in memory is gone.
func (p *process) crash() {
	p.run.keepDeath(p.run.tl.Now(), p)
	p.end(true)
	p.session.Kill()
	p.finish(func(c *world.Consumer) { c.Kill() })
}

// close ends the process in order, as when a replica is rolled.
func (p *process) close(now time.Duration) {
	p.depose(now, "the process ends")
	if p.dead { // struck down at its last command
		return
	}
	p.end(false)
	p.session.Close()
	p.finish(func(c *world.Consumer) { c.Close() })
}

// end takes the process out of the run.
func (p *process) end(crashed bool) {
	r := p.run
	p.leave(crashed)
	p.dead = true
	r.procs = slices.DeleteFunc(r.procs, func(q *process) bool { return q == p })
	r.dropOrders(r.tl.Now(), p)
	p.sub.Close()
}

// finish ends what else it held open.
func (p *process) finish(end func(*world.Consumer)) {
	if p.calls != p.session {
		p.calls.Kill()
	}
	for _, d := range p.kinds {
		d.pods.Close()
		p.run.tl.Cancel(d.tick)
		if d.consumer != nil {
			end(d.consumer)
		}
	}
}

// leave keeps the figures that die with the machines.
func (p *process) leave(crashed bool) {
	for _, d := range p.kinds {
		p.run.leaveMachine(d, crashed)
	}
}
