package sim

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// Production's store does not leave a leader alone with an unknown outcome
// (orchestrator/internal/zookeeper/resolve.go): once it is connected again it
// reads what has become of the transaction. So the answer may come late, after
// much that follows from it: DACs have confirmed what the machine does not know
// that it has given them. What the store cannot tell stays unknown.

const (
	// resolvedShare is how often the nodes tell: not when they have been written
	// since, or only such were written as come and go.
	resolvedShare = 0.75
	// commitTimeout is how long production's loop waits for a transaction.
	commitTimeout = 30 * time.Second
	// resolveLeast and resolveMost are what sync and the reading of the nodes take.
	resolveLeast, resolveMost = 2 * time.Millisecond, 300 * time.Millisecond
	resolveAgain              = 200 * time.Millisecond
)

// answered hands the outcome of a transaction to the machine, or finds out first.
func (d *driver) answered(now time.Duration, txn *fleet.Txn, outcome fleet.Outcome) {
	if outcome == fleet.OutcomeUnknown && d.p.run.resolves.Bool(resolvedShare) {
		d.resolve(now, txn, now+commitTimeout)
		return
	}
	d.step(now, reconcile.Committed{Txn: txn.ID, Outcome: outcome})
}

// resolve waits until the nodes can be read, or for no longer than until.
func (d *driver) resolve(now time.Duration, txn *fleet.Txn, until time.Duration) {
	d.p.hear(now, func(now time.Duration) {
		r := d.p.run
		switch {
		case d.sent.txn != txn: // nobody waits for it any more
		case now >= until:
			d.told(now, reconcile.Committed{Txn: txn.ID, Outcome: fleet.OutcomeUnknown})
		case !d.p.calls.Serves():
			r.at(now+resolveAgain, func(now time.Duration) { d.resolve(now, txn, until) })
		default:
			took := resolveLeast + time.Duration(r.resolves.Float64()*float64(resolveMost-resolveLeast))
			r.at(now+took, func(now time.Duration) { d.resolved(now, txn, until) })
		}
	})
}

// resolved is the end of the reading.
func (d *driver) resolved(now time.Duration, txn *fleet.Txn, until time.Duration) {
	if d.sent.txn != txn { // nobody waits for it any more
		return
	}
	if !d.p.calls.Serves() {
		d.resolve(now, txn, until)
		return
	}
	outcome := d.became()
	d.p.hear(now, func(now time.Duration) {
		if d.sent.txn == txn {
			d.told(now, reconcile.Committed{Txn: txn.ID, Outcome: outcome})
		}
	})
}

// became is what the nodes tell of the transaction that was sent last.
func (d *driver) became() fleet.Outcome {
	newer := d.p.run.world.ZooKeeper.Epoch(d.name) != d.sent.txn.Epoch
	switch {
	case d.sent.landed && newer: // what a newer leader has written hides it
		return fleet.OutcomeUnknown
	case d.sent.landed:
		return fleet.OutcomeDone
	case newer:
		return fleet.OutcomeDeposed
	}
	return fleet.OutcomeFailed
}
