package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/wire/zookeeper"
)

// leader is the process that leads the first kind, and its session at ZooKeeper:
// the one that has written the epoch last; nil and 0 when there is none.
func (f *faults) leader() (p *process, session int64) {
	r := f.r
	if f.gone {
		return nil, 0
	}
	k := r.reader.kinds[r.kinds[0].name]
	for id, epoch := range k.epochs {
		if epoch == k.epoch {
			session = id
		}
	}
	under := ownRoot + string(r.kinds[0].name) + "/candidates/"
	for _, n := range r.p.ZooKeeper.Dump() {
		var who fleet.Candidate
		if strings.HasPrefix(n.Path, under) && n.Stat.EphemeralOwner == session && json.Unmarshal(n.Data, &who) == nil {
			if i := slices.IndexFunc(r.procs, func(p *process) bool { return p.name == who.Name && !p.over() }); i >= 0 {
				return r.procs[i], session
			}
		}
	}
	return nil, 0
}

// crashed is a crash that lasts: every process is gone, until the last such fault
// ends.
func crashed(f *faults, _ time.Duration, b *broken) error {
	r := f.r
	switch {
	case b.Command != "":
		return nil
	case b.on:
		b.met++
		r.leave(true)
		for _, p := range r.procs {
			p.kill()
			p.stopped = false
		}
		r.takeFacts()
		r.asked = time.Time{}
		return nil
	}
	return f.startAgain()
}

// keptDown says that a fault keeps the orchestrators down, or is about to start
// them again.
func (f *faults) keptDown() bool {
	return f.restarts > 0 || slices.ContainsFunc(f.active[scenarios.OrchestratorCrash], func(b *broken) bool { return b.Command == "" })
}

// startAgain starts the processes that a fault has ended, unless another keeps
// them down.
func (f *faults) startAgain() error {
	if f.keptDown() {
		return nil
	}
	var errs []error
	for _, p := range f.r.procs {
		if p.over() && !p.retired {
			errs = append(errs, p.start())
		}
	}
	if err := errors.Join(errs...); err != nil {
		f.r.wrong.add(f.r.last, "", invariantProcess, err.Error())
	}
	return nil
}

// strike says whether a fault strikes the orchestrators down at a command that a
// server has just received, and whether before it is executed: half of the times
// it is. They have ended when it answers.
func (f *faults) strike(word string) (hit, before bool) {
	running := f.r.running()
	if len(running) == 0 {
		return false, false // one that is dead has said it
	}
	by := f.struckBy(word)
	if by == nil {
		return false, false
	}
	for _, p := range running {
		p.kill()
	}
	f.mu.Lock()
	before = by.before.Bool(0.5)
	f.mu.Unlock()
	f.r.queue.add(func(at time.Time) {
		now := f.r.at(at)
		f.restarts++
		f.r.pics.series.Mark(now, "crashed at a command")
		f.note("What an orchestrator that was struck down at a command had planned is not known: moves_needed leaves it out.")
		f.at(min(now+by.By, max(by.dice.End(), now)), func(time.Duration) {
			f.restarts--
			_ = f.startAgain() // what goes wrong is in the report
		})
	})
	return true, before
}

// struckBy is the fault that strikes at a command; nil for none.
func (f *faults) struckBy(word string) *broken {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for _, b := range f.active[scenarios.OrchestratorCrash] {
		if (b.Command == "any" || b.Command == word) && b.strikes(now, word) {
			return b
		}
	}
	return nil
}

// paused stops the process that leads, and lets it go on at the end. While
// several such faults last, it is the first that has stopped it.
func paused(f *faults, now time.Duration, b *broken) error {
	p, session := f.leader()
	if !b.on || p != nil && p.stopped {
		return nil
	}
	if p == nil || session == 0 {
		f.soon(now, b)
		return nil
	}
	if err := p.signal(stopSignal); err != nil {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	p.stopped = true
	b.met++
	b.undo = append(b.undo, func(time.Duration) { f.letGo(p) })
	return nil
}

// soon tries again, while the fault lasts, what nobody is there for: between two
// leaderships nobody leads.
func (f *faults) soon(now time.Duration, b *broken) {
	f.r.plan(now+f.r.scaled(leastRealTurn), func(now time.Duration) error {
		if !slices.Contains(f.active[b.What], b) {
			return nil
		}
		return f.change(now, b)
	})
}

// letGo resumes a process, or leaves that to the pause that lasts longer.
func (f *faults) letGo(p *process) {
	if others := f.active[scenarios.OrchestratorPause]; len(others) > 0 {
		others[0].undo = append(others[0].undo, func(time.Duration) { f.letGo(p) })
		return
	}
	p.stopped = false
	_ = p.signal(contSignal) // it was killed meanwhile
}

// split has ZooKeeper end the session of the process that leads, and turn it away
// when it comes back, so that it does not hear of that; another, which is started
// unless several run, comes to lead. When the fault ends the old one hears of its
// end; if another was started for the split, the old one is stopped in order, as a
// replica that is rolled. Splits do not add up: while one lasts, another does
// nothing.
func split(f *faults, now time.Duration, b *broken) error {
	if !b.on || f.apart {
		return nil
	}
	p, session := f.leader()
	if p == nil || session == 0 || p.stopped {
		f.soon(now, b)
		return nil
	}
	f.apart = true
	b.met++
	key := barKey(zookeeper.Session{ID: session}, dacAt{}, false)
	f.mu.Lock()
	f.barred[key] = time.Now().Add(f.r.real(b.For) + time.Minute)
	f.mu.Unlock()
	alone := len(f.r.running()) < 2
	if alone { // it will never lead again
		f.r.leave(true)
	}
	f.expireSessions(func(id int64) bool { return id == session })
	f.r.takeFacts()
	f.r.asked = time.Time{}
	b.undo = append(b.undo, func(time.Duration) {
		f.apart = false
		f.mu.Lock()
		delete(f.barred, key)
		f.mu.Unlock()
		if alone {
			p.retired = true
			go func() { _ = p.end() }() // close waits for its end, and says what went wrong
		}
	})
	if !alone {
		return nil
	}
	return f.r.addProcess()
}
