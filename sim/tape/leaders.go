package tape

import (
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// maxLeads bounds the changes of a kind's leader, and those of clocks, that are
// remembered.
const maxLeads = 1 << 14

// leading is which machine answers for a kind from some moment on: the one with
// the newest epoch, or, when it leads no longer, the one that did last.
type leading struct {
	stamp
	key   machineKey
	epoch int64
	leads bool
}

func (l *leading) when() stamp { return l.stamp }

// skew is how far a process's clock is ahead from some moment on.
type skew struct {
	stamp
	process int
	by      time.Duration
}

func (s *skew) when() stamp { return s.stamp }

// leader is which machine answers now.
func (k *kindTape) leader() leading {
	if n := len(k.leads); n > 0 {
		return k.leads[n-1]
	}
	return leading{key: machineKey{kind: k.first}}
}

// become notes which machine answers from now on.
func (t *Tape) become(k *kindTape, l leading) {
	l.stamp = t.stamp()
	k.leads = append(trimmed(k.leads, maxLeads), l)
}

func (t *Tape) led(k *kindTape, key machineKey, epoch int64) {
	if epoch >= k.leader().epoch || !k.leader().leads {
		t.become(k, leading{key: key, epoch: epoch, leads: true})
	}
	text := fmt.Sprintf("process %d leads with epoch %d", key.process+1, epoch)
	t.tell(k, key.process, Entry{Type: EntryLed, Instance: fleet.NoInstance, Text: text})
	t.once(k, MarkLeader, fleet.NoInstance, text)
}

func (t *Tape) deposed(k *kindTape, key machineKey, why string) {
	t.leadsNoMore(k, key)
	t.tell(k, key.process, Entry{Type: EntryDeposed, Instance: fleet.NoInstance, Text: fmt.Sprintf("process %d follows: %s", key.process+1, why)})
}

// leadsNoMore ends what only a leader knows.
func (t *Tape) leadsNoMore(k *kindTape, key machineKey) {
	if l := k.leader(); l.key == key && l.leads {
		l.leads = false
		t.become(k, l)
	}
	delete(k.moves.flight, key)
	t.endAll(key, MarkOutage)
	t.endAll(key, MarkAlarm)
}

// died notes that a process has ended all at once, for each kind of which it was
// told anything.
func (t *Tape) died(process int) {
	text := fmt.Sprintf("process %d died", process+1)
	for kind, k := range t.byNum {
		key := machineKey{process, kind}
		if t.crew.machines[key] == nil {
			continue
		}
		e := Entry{Type: EntryNote, Instance: fleet.NoInstance, Text: text}
		if l := k.leader(); l.key == key && l.leads {
			e.Type = EntryDeposed
		}
		t.ended(k, key)
		t.tell(k, process, e)
		t.once(k, MarkLeader, fleet.NoInstance, text)
	}
}

// ended ends what goes with a process.
func (t *Tape) ended(k *kindTape, key machineKey) {
	t.interrupted(k, key)
	t.leadsNoMore(k, key)
	t.runEnded(k, key, "interrupted", "the process ended")
}

// beganAnew notes that a process has begun in the place of one that has ended.
func (t *Tape) beganAnew(key machineKey) {
	k := t.byNum[key.kind]
	t.ended(k, key)
	text := fmt.Sprintf("process %d began", key.process+1)
	t.tell(k, key.process, Entry{Type: EntryNote, Instance: fleet.NoInstance, Text: text})
	t.once(k, MarkLeader, fleet.NoInstance, text)
}

// tookOver notes that a machine goes on with a state that was recorded.
func (t *Tape) tookOver(key machineKey) {
	k := t.byNum[key.kind]
	delete(t.told.differed, key)
	leads := t.crew.machine(key).Stage() != reconcile.StageFollower
	if l := k.leader(); leads && !l.leads {
		t.become(k, leading{key: key, leads: true})
	}
	t.level(k, key)
}

// skewed notes how far a process's clock is ahead.
func (t *Tape) skewed(process int, by time.Duration) {
	for i := len(t.skews) - 1; i >= 0; i-- {
		if s := &t.skews[i]; s.process == process {
			if s.by == by {
				return
			}
			break
		}
	}
	t.skews = append(trimmed(t.skews, maxLeads), skew{t.stamp(), process, by})
}

// skewAt is how far a process's clock was ahead.
func (t *Tape) skewAt(to stamp, process int) time.Duration {
	for i := upTo(t.skews, to, (*skew).when) - 1; i >= 0; i-- {
		if t.skews[i].process == process {
			return t.skews[i].by
		}
	}
	return 0
}
