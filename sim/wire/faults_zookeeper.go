package wire

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/wire/zookeeper"
)

// about says that a fault of ZooKeeper is about a client: one of the class, and a
// DAC only if it is hit. It needs the lock.
func (f *faults) about(now time.Duration, b *broken, at dacAt, dac bool) bool {
	if !dac {
		return b.Of != scenarios.OfDACs && !b.Targeted() && b.Kind == ""
	}
	return b.Of != scenarios.OfOrchestrator && f.hits(now, b, at)
}

// victimSessions are the connected sessions that a fault is about, in the order of
// their ids.
func (f *faults) victimSessions(now time.Duration, b *broken) (ids []int64) {
	if f.gone {
		return nil
	}
	sessions := f.r.p.ZooKeeper.Sessions()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range sessions {
		if at, dac := f.classOf(s); s.Connected && f.about(now, b, at, dac) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// expireSessions ends sessions, if the server runs.
func (f *faults) expireSessions(ends func(id int64) bool) {
	if !f.gone {
		f.r.p.ZooKeeper.Expire(func(s zookeeper.Session) bool { return ends(s.ID) })
	}
}

// cutOff breaks the connections of those that match.
func (f *faults) cutOff(match func(s zookeeper.Session) bool) {
	if !f.gone {
		f.r.p.ZooKeeper.Cut(match)
	}
}

// barKey names a client that does not reach ZooKeeper: a DAC, or the orchestrator
// with a session.
func barKey(s zookeeper.Session, at dacAt, dac bool) string {
	if dac {
		return at.key()
	}
	return fmt.Sprintf("session %x", s.ID)
}

// refused says whether a client that connects is turned away: by a fault that cut
// it off for a while, or one that lasts.
func (f *faults) refused(s zookeeper.Session) bool {
	at, dac := f.classOf(s)
	f.mu.Lock()
	defer f.mu.Unlock()
	if until, is := f.barred[barKey(s, at, dac)]; is {
		if time.Now().Before(until) {
			return true
		}
		delete(f.barred, barKey(s, at, dac))
	}
	now := f.now()
	for _, b := range f.active[scenarios.ZooKeeperDown] {
		if b.on && f.about(now, b, at, dac) {
			return true
		}
	}
	for _, b := range f.active[scenarios.ZooKeeperReadOnly] {
		if b.on && s.ID == 0 && f.about(now, b, at, dac) {
			return true // a session is written too
		}
	}
	return false
}

var writes = []string{"create", "create2", "setData", "delete", "multi", "setACL"}

// request is asked about each request that reaches ZooKeeper.
func (f *faults) request(op zookeeper.Op) zookeeper.Fault {
	at, dac := f.classOf(op.Session)
	write := slices.Contains(writes, op.Name)
	if word := requestWord(op); word != "" && !dac {
		if hit, before := f.strike(word); hit && before {
			return zookeeper.Refuse
		} else if hit {
			return zookeeper.CutAfter
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if write {
		for _, b := range f.active[scenarios.ZooKeeperCut] {
			if f.about(now, b, at, dac) && b.strikes(now, map[bool]string{true: at.key()}[dac]) {
				f.barred[barKey(op.Session, at, dac)] = time.Now().Add(f.r.real(b.By))
				if b.before.Bool(0.5) {
					return zookeeper.Refuse
				}
				return zookeeper.CutAfter
			}
		}
	}
	hit := func(what scenarios.FaultKind, do func(b *broken)) {
		for _, b := range f.active[what] {
			if b.on && f.about(now, b, at, dac) {
				do(b)
			}
		}
	}
	fault, late := zookeeper.Pass, time.Duration(0)
	hit(scenarios.ZooKeeperSlow, func(b *broken) { late += f.r.real(b.By) })
	if late > 0 {
		fault = zookeeper.Late(late)
	}
	if write && op.Name != "delete" {
		hit(scenarios.ZooKeeperFull, func(*broken) { fault = zookeeper.Full })
	}
	if write {
		hit(scenarios.ZooKeeperReadOnly, func(*broken) { fault = zookeeper.ReadOnly })
	}
	return fault
}

// requestWord is what Fault.Command calls an orchestrator's request: a transaction
// of the contract's tree, or the reading of a kind's instances.
func requestWord(op zookeeper.Op) string {
	of := func(path string) bool { return strings.HasPrefix(path, orchestrationRoot) }
	switch op.Name {
	case "multi", "setData", "create", "delete":
		if slices.ContainsFunc(op.Paths, of) {
			return "commit"
		}
	case "getChildren", "getChildren2":
		if len(op.Paths) == 1 && of(op.Paths[0]) && strings.Count(op.Paths[0], "/") == strings.Count(orchestrationRoot, "/") {
			return "read-tree"
		}
	}
	return ""
}

// restartsZooKeeper says that a fault stops the server and starts it again.
func (f *faults) restartsZooKeeper() bool {
	return slices.ContainsFunc(f.broken, func(b *broken) bool { return b.What == scenarios.ZooKeeperDown })
}

// zookeeperDown stops the server while any fault of the sort is about everybody,
// and starts it again with what it has written; one that is about some breaks
// their connections until it ends.
func zookeeperDown(f *faults, now time.Duration, b *broken) error {
	everybody := func(b *broken) bool { return !b.Targeted() && b.Kind == "" && b.Of == scenarios.OfAll }
	if b.on && !everybody(b) {
		victims := f.victimSessions(now, b)
		f.cutOff(func(s zookeeper.Session) bool { return slices.Contains(victims, s.ID) })
		return nil
	}
	all := slices.ContainsFunc(f.active[b.What], func(b *broken) bool { return b.on && everybody(b) })
	switch {
	case all && !f.gone:
		f.gone = true
		return f.r.Breaker.Server(b.What, true)
	case !all && f.gone:
		if err := f.r.Breaker.Server(b.What, false); err != nil {
			return err
		}
		f.gone = false
	}
	return nil
}
