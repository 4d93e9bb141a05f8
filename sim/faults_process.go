package sim

import (
	"time"

	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
)

// commandWords are what Fault.Command calls the commands that reach beyond the
// process.
func commandWord(c reconcile.Command) string {
	switch c.(type) {
	case reconcile.ReadTree:
		return "read-tree"
	case reconcile.ListRows:
		return "list-rows"
	case reconcile.ListPods:
		return "list-pods"
	case reconcile.Commit:
		return "commit"
	case reconcile.CreatePod:
		return "create-pod"
	case reconcile.DeletePod:
		return "delete-pod"
	case reconcile.Ack:
		return "ack"
	}
	return ""
}

// strikes says whether a fault strikes the process down at this command, and
// whether before it is executed: half of the times it is.
func (r *run) strikes(now time.Duration, c reconcile.Command) (by *broken, before bool) {
	for _, b := range r.active[scenarios.OrchestratorCrash] {
		if b.Command == "" {
			continue
		}
		if word := commandWord(c); word != "" && (b.Command == "any" || b.Command == word) && b.dice.Hits(now, word) {
			return b, b.before.Bool(0.5)
		}
	}
	return nil, false
}

// struck is the crash of a process at a command. Another starts after By, and
// when the fault ends at the latest.
func (r *run) struck(now time.Duration, p *process, b *broken) {
	p.crash()
	r.pics.mark(now, "crashed at a command")
	r.tl.At(min(now+b.By, b.dice.End()), r, opRestart, 0, nil)
}

// restart starts the orchestrator, unless one runs or a fault keeps it down.
func (r *run) restart() {
	for _, b := range r.active[scenarios.OrchestratorCrash] {
		if b.Command == "" {
			return
		}
	}
	if p := r.leader(); p == nil || p.deaf {
		r.startProcess()
	}
}

// crashed is a crash that lasts: every process is gone, until the last such fault
// ends.
func crashed(r *run, _ time.Duration, b *broken) {
	switch {
	case b.Command != "":
	case b.on:
		for len(r.procs) > 0 {
			r.procs[0].crash()
		}
	default:
		r.restart()
	}
}

// paused stops the process that leads, and lets it go on at the end. While
// several such faults last, it is the first that has stopped it.
func paused(r *run, now time.Duration, b *broken) {
	p := r.leader()
	if !b.on || p == nil || p.stopped != nil {
		return
	}
	r.recordProcess(now, p, "pause", 0)
	p.pause(now)
	b.undo = append(b.undo, func(now time.Duration) { r.letGo(now, p) })
}

// letGo resumes a process, or leaves that to the pause that lasts longer.
func (r *run) letGo(now time.Duration, p *process) {
	switch others := r.active[scenarios.OrchestratorPause]; {
	case p.dead:
	case len(others) > 0:
		others[0].undo = append(others[0].undo, func(now time.Duration) { r.letGo(now, p) })
	default:
		r.recordProcess(now, p, "resume", 0)
		p.resume(now)
	}
}

// split has ZooKeeper end the session of the process that leads without a word to
// it, and starts another, which comes to lead. The old one believes that it leads
// until its lease is over (lease.go): within that window its commands do reach
// Kubernetes. Its calls to ZooKeeper are answered by nobody; or, half of the
// times, they travel by a connection that its library has made anew: then its
// transactions are refused for their epoch. When the fault ends it is stopped in
// order, as a replica that is rolled: one remains. Splits do not add up: while
// one lasts, another does nothing.
func split(r *run, now time.Duration, b *broken) {
	p := r.leader()
	if !b.on || r.apart || p == nil || p.stopped != nil {
		return
	}
	r.recordProcess(now, p, "split", 0)
	r.apart, p.deaf = true, true
	p.doubt(now)
	p.session.ExpireUnheard()
	if b.before.Bool(0.5) {
		p.calls = r.world.ZooKeeper.Open(nil)
	}
	r.startProcess()
	b.undo = append(b.undo, func(now time.Duration) {
		r.apart = false
		if !p.dead {
			p.close(now)
		}
	})
}

// clock lets the clock of every process jump ahead. Deadlines follow; so does the
// lease, for which production asks the calendar too: where a proof could lie
// longer ago than it holds, the leadership is laid down.
func clock(r *run, now time.Duration, b *broken) {
	for _, p := range append([]*process(nil), r.procs...) {
		r.recordProcess(now, p, "clock", b.By)
		p.skew += b.By
		for _, d := range p.kinds {
			if d.armed {
				r.tl.Cancel(d.tick)
				d.tick = r.tl.At(max(d.tickAt-p.skew, now), d, opTick, 0, nil)
			}
		}
		switch left := r.leaseLeft(); {
		case p.lease.over:
		case p.lease.doubted:
			p.lease.until -= b.By
			p.armLease()
		case b.By >= left:
			p.lease.doubted, p.lease.until = true, now
			p.armLease()
		}
	}
}
