package tape

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// moves are a kind's committed placements, the newest last.
type moves struct {
	list    []Moved
	dropped bool                             // some are no longer kept
	flight  map[machineKey]*reconcile.Commit // not answered yet
	away    map[string]fleet.InstanceID      // resources that exist and stand nowhere, and where they stood
}

// Moved is a placement that was committed.
type Moved struct {
	Event int64
	At    time.Duration
	placement.Move
}

func (m *Moved) stamp() stamp { return stamp{m.Event, m.At} }

func (t *Tape) sent(k *kindTape, key machineKey, c reconcile.Commit) {
	k.moves.flight[key] = &c
}

// committed notes what a transaction has done, once it has.
func (t *Tape) committed(k *kindTape, key machineKey, ev reconcile.Committed) {
	c := k.moves.flight[key]
	if delete(k.moves.flight, key); c == nil || c.Txn == nil || c.Txn.ID != ev.Txn || ev.Outcome != fleet.OutcomeDone {
		return
	}
	count := 0
	for i := range c.Txn.Changes {
		ch := &c.Txn.Changes[i]
		count += len(ch.Add) + len(ch.Remove)
		switch ch.Kind {
		case fleet.ChangeCreate:
			t.tell(k, key.process, Entry{Type: EntryInstance, Instance: ch.Instance, Code: "opened"})
		case fleet.ChangeDelete:
			t.tell(k, key.process, Entry{Type: EntryInstance, Instance: ch.Instance, Code: "gone"})
		}
	}
	for i := range c.Decisions {
		d := &c.Decisions[i]
		t.remember(k, d)
		if t.moved(k, key, d) {
			t.cell(k).moves++
		}
		if i < toldMoves {
			t.tell(k, key.process, Entry{Type: EntryMove, Instance: fleet.NoInstance, Resource: d.Resource, From: d.From, To: d.To, Why: d.Why})
		}
	}
	t.tell(k, key.process, Entry{Type: EntryCommit, Instance: fleet.NoInstance, Code: ev.Outcome.String(), Count: count})
	t.cell(k).commits++
}

// maxAway bounds the resources of a kind that are followed from one instance to
// the next over more than one transaction.
const maxAway = 1 << 17

// moved says that a placement ends a move between instances: at once, or, as in a
// strict handoff, after another has taken the resource off its former one.
func (t *Tape) moved(k *kindTape, key machineKey, d *placement.Move) bool {
	if d.To == fleet.NoInstance {
		if _, exists := t.crew.machine(key).Where(d.Resource); exists && len(k.moves.away) < maxAway {
			k.moves.away[d.Resource] = d.From
		}
		return false
	}
	from := d.From
	if from == fleet.NoInstance {
		var away bool
		if from, away = k.moves.away[d.Resource]; !away {
			return false
		}
		delete(k.moves.away, d.Resource)
	}
	return from != d.To
}

func (t *Tape) remember(k *kindTape, d *placement.Move) {
	m := &k.moves
	m.dropped = m.dropped || len(m.list) >= t.cfg.MaxMoves
	m.list = append(trimmed(m.list, t.cfg.MaxMoves), Moved{t.place.n, t.now, *d})
}

// Moves answers where a resource was placed up to the moment, the newest first, at
// most limit; since is from when on every placement of the kind is remembered, and
// all says that none has been forgotten.
func (m *Moment) Moves(kind fleet.Kind, resource string, limit int) (list []Moved, since time.Duration, all bool) {
	k := m.t.kind(kind)
	if k == nil {
		return nil, 0, false
	}
	for i := upTo(k.moves.list, m.stamp(), (*Moved).stamp) - 1; i >= 0 && len(list) < limit; i-- {
		if mv := &k.moves.list[i]; mv.Resource == resource {
			list = append(list, *mv)
		}
	}
	if k.moves.dropped && len(k.moves.list) > 0 {
		return list, k.moves.list[0].At, false
	}
	return list, m.t.began, true
}
