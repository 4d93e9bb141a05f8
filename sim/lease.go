package sim

import (
	"time"

	"dacorch/sim/internal/timeline"
)

// lease is a leader's own clock on its leadership, as production has it
// (orchestrator/internal/zookeeper/lease.go): it proves itself four times within
// a session timeout, relies on nine tenths of the timeout, and takes a proof to
// vouch for what was a quarter of the timeout before. So when no sign of life
// comes any more, the lease still lasts for between 0.4 and 0.65 of the timeout.
// Within that time a leader whose session the ensemble has ended beforehand acts
// beside its successor; without the timer it would for as long as it is deaf.
type lease struct {
	doubted bool          // no sign of life comes
	until   time.Duration // then: when the lease is over
	over    bool          // and then nothing is begun any more
	timer   timeline.Token
}

// doubt says that no sign of life comes from the session from now on.
func (p *process) doubt(now time.Duration) {
	if p.lease.doubted || p.lease.over {
		return
	}
	p.lease.doubted = true
	p.lease.until = now + p.run.leaseLeft()
	p.armLease()
}

func (p *process) armLease() {
	p.run.tl.Cancel(p.lease.timer)
	p.lease.timer = p.run.tl.At(p.lease.until, p, opLeaseOver, 0, p.session)
}

// leaseLeft draws how long a lease lasts from a moment on at which proofs stop.
func (r *run) leaseLeft() time.Duration {
	timeout := r.worldCfg.ZooKeeper.SessionTimeout
	return time.Duration((0.65 - 0.25*r.leases.Float64()) * float64(timeout))
}

// assure says that the session has given a sign of life. One that comes once the
// lease is over is too late, also when that had not been noticed: what was commanded
// in between has not been executed.
func (p *process) assure() {
	now := p.run.tl.Now()
	switch {
	case p.deaf || p.lease.over || !p.session.Connected():
		return
	case !p.proved(now):
		p.layDown(now)
		return
	}
	p.run.tl.Cancel(p.lease.timer)
	p.lease = lease{}
}

// proved says that this process can prove that it leads, as far as it knows.
func (p *process) proved(now time.Duration) bool {
	return !p.lease.over && (!p.lease.doubted || now < p.lease.until)
}

// layDown ends the leadership of a process that cannot prove it any more. It
// stands again once its session is known to live.
func (p *process) layDown(now time.Duration) {
	p.run.tl.Cancel(p.lease.timer)
	p.lease = lease{over: true}
	p.depose(now, "the leadership could not be proved in time")
	if !p.dead && !p.deaf && p.session.Connected() {
		p.standAgain()
	}
}

const (
	opLeaseOver uint32 = iota
	opSessionForgotten
	opBrokerForgets
	opGroupForgets
)

// Handle is the process's part of the timeline.
func (p *process) Handle(now time.Duration, op uint32, _ int64, data any) {
	switch {
	case p.dead:
	case op != opLeaseOver:
		if s := data.(*stopped); s == p.stopped {
			p.forgotten(op)
		}
	case p.stopped == nil && data == p.session && p.lease.doubted:
		p.layDown(now)
	}
}
