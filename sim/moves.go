package sim

import (
	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// underway is a transaction whose answer its process has not heard.
type underway struct {
	txn    *fleet.Txn
	landed bool // it has happened
}

// landed follows the transactions that happen: the moves of one whose process
// died before it happened were needed, and no restart plans them again.
func (r *run) landed(kind fleet.Kind, txn *fleet.Txn) {
	for _, p := range r.procs {
		for _, d := range p.kinds {
			if d.sent.txn == txn {
				d.sent.landed = true
			}
		}
	}
	if r.orphans[txn] {
		delete(r.orphans, txn)
		r.countMoves(kind, txn)
	}
}

// countMoves counts the rows that a transaction takes off a list: those that
// still exist are on their way to another.
func (r *run) countMoves(kind fleet.Kind, txn *fleet.Txn) {
	n := 0
	for i := range txn.Changes {
		for _, id := range txn.Changes[i].Remove {
			if r.world.Database.Has(kind, id) {
				n++
			}
		}
	}
	r.check.Add(kind, history.MovesNeeded, float64(n))
}

// forgo takes back, before a machine forgets it, what it has planned of a
// re-orchestration and not done. Its successor plans it again: counted twice, it
// would hide as many moves too many.
func (r *run) forgo(d *driver) {
	p := d.machine.Progress()
	if !p.Running {
		return
	}
	r.check.Add(d.name, history.MovesNeeded, -float64(p.MovesLeft))
	switch {
	case d.sent.txn == nil:
	case d.sent.landed:
		r.countMoves(d.name, d.sent.txn)
	default:
		r.orphans[d.sent.txn] = true
	}
	d.sent = underway{}
}

// leaveMachine keeps what only the machine knows, before it is dropped.
func (r *run) leaveMachine(d *driver, crashed bool) {
	if crashed {
		r.forgo(d)
	}
	r.check.Add(d.name, history.MovesNeeded, float64(d.machine.Stats().MovesPlanned))
}
