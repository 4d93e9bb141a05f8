package wire

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"
)

// clerk has the data centre do what churn foresees, one statement after the other,
// each when it is due. It has a goroutine of its own: the run's, which may wait
// until a process has ended or a leader has answered, holds up no statement, and its
// statements hold up no fault and no order. They are what it may be late with; there
// is no queue of them, since it asks churn for the next one when it has done the last.
type clerk struct {
	ctx  context.Context // ends it
	stop context.CancelFunc
	work sync.WaitGroup
}

// clerkPatience bounds how long a run waits at its end for what was due before.
const clerkPatience = 10 * time.Second

// beginChurn has the clerk begin.
func (r *run) beginChurn() {
	next := make([]upcoming, len(r.kinds))
	for i, k := range r.kinds {
		next[i].take(k)
	}
	r.clerk.work.Go(func() {
		for {
			i := soonest(next)
			if i < 0 || next[i].op.At >= r.sc.Duration || !pause(r.clerk.ctx, time.Until(r.due(next[i].op.At))) {
				return
			}
			r.churn(r.kinds[i], next[i].op)
			next[i].take(r.kinds[i])
		}
	})
}

// endChurn waits until the clerk has done what was due until now, and ends it.
func (r *run) endChurn() {
	done := make(chan struct{})
	go func() {
		r.clerk.work.Wait()
		close(done)
	}()
	if !r.deserted() {
		wait, end := context.WithTimeout(r.ctx, clerkPatience)
		defer end()
		select {
		case <-done:
		case <-wait.Done():
			r.notes = append(r.notes, fmt.Sprintf("The data centre was still behind %v after the end: what was left of churn was not done.", clerkPatience))
		}
	}
	r.clerk.stop()
	<-done
}

// upcoming is a kind's next statement.
type upcoming struct {
	op churn.Op
	is bool // there is one
}

func (u *upcoming) take(k *kind) { u.op, u.is = k.cast.Generator.Next() }

// soonest is whose statement comes first; of those of one moment it is the kind that
// stands first. -1 for none.
func soonest(next []upcoming) int {
	first := -1
	for i := range next {
		if next[i].is && (first < 0 || next[i].op.At < next[first].op.At) {
			first = i
		}
	}
	return first
}

// due is the moment in real time.
func (r *run) due(at time.Duration) time.Time { return r.began.Add(r.real(at)) }

// churn has the data centre do a statement. What it changed is a fact before
// anybody is told.
func (r *run) churn(k *kind, op churn.Op) {
	late := time.Since(r.due(op.At))
	s := Statement{Kind: k.name, Rows: op.Resources, Bulk: op.Bulk, Named: op.Named,
		Verb: [...]Verb{churn.Create: Create, churn.Update: Update, churn.Delete: Delete}[op.Verb]}
	announced := 1.0
	if !s.Bulk && s.Named {
		announced = float64(len(s.Rows))
	}
	s.Committed = func(changed []fleet.Resource) {
		r.queue.add(func(at time.Time) {
			r.behind = max(r.behind, late)
			r.check.Add(k.name, history.Notifications, announced)
			r.changed(r.at(at), k.name, s.Verb, changed)
		})
	}
	_, err := r.Centre.Do(r.ctx, s) // also when the clerk ends meanwhile: cut off, nobody could say whether it was done
	switch {
	case errors.Is(err, errNotAnnounced):
		r.queue.add(func(time.Time) { r.check.Add(k.name, history.NotificationsLost, announced) })
	case err != nil && r.ctx.Err() == nil:
		r.queue.add(func(time.Time) { fmt.Fprintf(r.opts.Log, "%v: %v\n", op.At, err) })
	}
}

// changed tells the checker of rows that the data centre has changed.
func (r *run) changed(now time.Duration, kind fleet.Kind, verb Verb, rows []fleet.Resource) {
	for _, row := range rows {
		switch verb {
		case Create:
			r.check.RowInserted(now, kind, row)
		case Update:
			r.check.RowUpdated(now, kind, row)
		case Delete:
			r.check.RowDeleted(now, kind, row.ID)
		}
	}
	r.pics.levels(now)
}
