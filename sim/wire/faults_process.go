package wire

import (
	"errors"
	"slices"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/wire/zookeeper"
)

// leader is the name of the orchestrator that leads the first kind, and its session
// at ZooKeeper: the one that has written the epoch last; empty and 0 when there is
// none.
func (f *faults) leader() (name string, session int64) {
	if f.gone {
		return "", 0
	}
	k := f.r.reader.kinds[f.r.kinds[0].name]
	for id, epoch := range k.epochs {
		if epoch == k.epoch {
			session = id
		}
	}
	for _, c := range k.candidates {
		if c.session == session {
			return c.name, session
		}
	}
	return "", 0
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
		r.Crew.Kill()
		clear(f.paused)
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
	if err := f.r.Crew.Start(); err != nil {
		f.r.wrong.add(f.r.last, "", invariantProcess, err.Error())
	}
	return nil
}

// strike says whether a fault strikes the orchestrators down at a command that a
// server has just received, and whether before it is executed: half of the times
// it is. They have ended when it answers.
func (f *faults) strike(word string) (hit, before bool) {
	running := f.r.procs.running()
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
	name, _ := f.leader()
	if !b.on || f.paused[name] {
		return nil
	}
	resume, err := f.r.Crew.Pause(name)
	switch {
	case errors.Is(err, ErrNotRunning): // or none leads
		f.soon(now, b)
		return nil
	case err != nil:
		return err
	}
	f.paused[name] = true
	b.met++
	b.undo = append(b.undo, func(time.Duration) { f.letGo(name, resume) })
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

// letGo resumes an orchestrator, or leaves that to the pause that lasts longer.
func (f *faults) letGo(name string, resume func()) {
	if others := f.active[scenarios.OrchestratorPause]; len(others) > 0 {
		others[0].undo = append(others[0].undo, func(time.Duration) { f.letGo(name, resume) })
		return
	}
	delete(f.paused, name)
	resume()
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
	name, session := f.leader()
	p := f.r.procs.named(name)
	if p == nil || p.stopped {
		f.soon(now, b)
		return nil
	}
	f.apart = true
	b.met++
	key := barKey(zookeeper.Session{ID: session}, dacAt{}, false)
	f.mu.Lock()
	f.barred[key] = time.Now().Add(f.r.real(b.For) + time.Minute)
	f.mu.Unlock()
	alone := len(f.r.procs.running()) < 2
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
	return f.r.procs.add()
}
