package sim

import (
	"time"

	"dacorch/orchestrator/reconcile"
)

// stopped is a process that has been stopped (SIGSTOP) and will be resumed. What
// the servers send lies in its connections' buffers, in order, until they give it
// up: the ensemble ends its session, the broker drops a connection that answers
// no ping, the consumer group goes on without it. What the broker and the group
// then keep for it comes once it connects again.
type stopped struct {
	inbox    []heard
	late     map[*driver]bool // whose tick has been due
	expired  bool             // the ensemble has ended its session
	unlinked bool             // the broker has dropped its connection
	expelled bool             // the groups have gone on without it
}

// heard is something that the process would have been told: an event for one
// machine, or something to do.
type heard struct {
	d  *driver
	ev reconcile.Event
	do func(now time.Duration)
}

// brokerPatience is when a broker drops a client that is silent: one and a half
// of the ten seconds after which production's client pings.
const brokerPatience = 15 * time.Second

// keep puts what comes in the inbox. Once the session has expired, what only its
// leadership could use is let go, so that an inbox holds what comes within
// seconds, however long the pause.
func (s *stopped) keep(h heard) {
	if s.expired && h.ev != nil {
		switch h.ev.(type) {
		case reconcile.Notified, reconcile.NotificationChannel, reconcile.Ordered:
		default:
			return
		}
	}
	s.inbox = append(s.inbox, h)
}

// pause stops the process: it handles nothing and executes nothing until resume.
func (p *process) pause(now time.Duration) {
	r := p.run
	p.doubt(now)
	p.stopped = &stopped{late: map[*driver]bool{}}
	r.tl.After(r.worldCfg.ZooKeeper.SessionTimeout, p, opSessionForgotten, 0, p.stopped)
	r.tl.After(brokerPatience, p, opBrokerForgets, 0, p.stopped)
	r.tl.After(r.worldCfg.Kafka.SessionTimeout, p, opGroupForgets, 0, p.stopped)
}

// forgotten is a server's giving up a process that is paused.
func (p *process) forgotten(op uint32) {
	switch op {
	case opSessionForgotten:
		p.session.Expire()
		p.stopped.expired = true
	case opBrokerForgets:
		p.sub.Close()
		p.stopped.unlinked = true
	case opGroupForgets:
		for _, d := range p.kinds {
			if d.consumer != nil {
				d.consumer.Close()
			}
		}
		p.stopped.expelled = true
	}
}

// resume lets the process go on. Timers that are long due and what lies in the
// buffers are there at once, and nobody says which a real process handles first:
// each machine's tick comes before the rest or after it, as drawn. Whether the
// leadership can still be proved is asked before anything is executed; that it is
// over is heard at the end, by production's driver too.
func (p *process) resume(now time.Duration) {
	s := p.stopped
	p.stopped = nil
	for _, d := range p.kinds {
		if s.late[d] && p.run.leases.Bool(0.5) && !p.dead {
			delete(s.late, d)
			d.ticking(now)
		}
	}
	for _, h := range s.inbox {
		switch {
		case p.dead:
			return
		case h.do != nil:
			h.do(now)
		default:
			h.d.told(now, h.ev)
		}
	}
	for _, d := range p.kinds {
		if s.late[d] && !p.dead && d.armed && d.tickAt-p.skew <= now {
			d.ticking(now)
		}
	}
	if p.dead {
		return
	}
	p.reconnect(now, s)
	switch {
	case p.dead:
	case !p.proved(now) && !p.lease.over:
		p.layDown(now)
	default:
		p.assure()
	}
}

// reconnect finds the connections that the servers have given up, and makes them
// anew.
func (p *process) reconnect(now time.Duration, s *stopped) {
	for _, d := range p.kinds {
		if s.unlinked && !p.dead {
			p.notesUp = false
			d.told(now, reconcile.NotificationChannel{Up: false})
		}
		if s.expelled && !p.dead && d.consumer != nil {
			d.channel(now, false)
		}
	}
	if p.dead {
		return
	}
	if s.unlinked {
		p.subscribe()
	}
	for _, d := range p.kinds {
		if s.expelled && d.consumer != nil {
			d.join()
		}
	}
}
