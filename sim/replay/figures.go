package replay

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// Figures are what happened to a kind by its recording.
type Figures struct {
	From          time.Duration `json:"from"`
	To            time.Duration `json:"to"`
	Events        int           `json:"events"`
	Commands      int           `json:"commands"`
	Notifications int           `json:"notifications"` // of the kind
	Heartbeats    int           `json:"heartbeats"`
	Leaderships   int           `json:"leaderships"`
	Transactions  int           `json:"transactions"` // that happened
	Failed        int           `json:"failed"`       // that did not, or are not known to
	Placed        int           `json:"placed"`       // resources that came to stand somewhere
	Moves         int           `json:"moves"`        // from one instance to another
	PodsCreated   int           `json:"podsCreated"`  // demanded
	PodsReplaced  int           `json:"podsReplaced"` // deleted to be created anew
	Orders        int           `json:"orders"`
	Alarms        int           `json:"alarms"`
}

// Figures adds up what happened to a kind.
func (rec *Recording) Figures(kind fleet.Kind) (Figures, error) {
	f := Figures{From: -1}
	flying := map[int]reconcile.Commit{} // by process
	for e, err := range rec.each(kind) {
		if err != nil {
			return f, err
		}
		if e.Event != nil {
			f.event(e, kind, flying)
		}
		f.Commands += len(e.Commands)
		for _, c := range e.Commands {
			switch c := c.(type) {
			case reconcile.Commit:
				flying[e.Process] = c
			case reconcile.CreatePod:
				f.PodsCreated++
			case reconcile.DeletePod:
				if c.Purpose != reconcile.PurposeRelease {
					f.PodsReplaced++
				}
			case reconcile.Alarm:
				if c.On {
					f.Alarms++
				}
			}
		}
	}
	f.From = max(f.From, 0)
	return f, nil
}

func (f *Figures) event(e placed, kind fleet.Kind, flying map[int]reconcile.Commit) {
	if f.From < 0 {
		f.From = e.At
	}
	f.To = max(f.To, e.At)
	f.Events++
	switch ev := e.Event.(type) {
	case reconcile.Notified:
		if ev.Note != nil && ev.Note.Table == string(kind) {
			f.Notifications++
		}
	case reconcile.Heartbeat:
		f.Heartbeats++
	case reconcile.Led:
		f.Leaderships++
		delete(flying, e.Process)
	case reconcile.Ordered:
		f.Orders++
	case reconcile.Committed:
		f.committed(ev, flying[e.Process])
		delete(flying, e.Process)
	}
}

func (f *Figures) committed(ev reconcile.Committed, c reconcile.Commit) {
	if ev.Outcome != fleet.OutcomeDone {
		f.Failed++
		return
	}
	f.Transactions++
	if c.Txn == nil || c.Txn.ID != ev.Txn {
		return
	}
	for i := range c.Decisions {
		switch m := &c.Decisions[i]; {
		case m.To == fleet.NoInstance:
		case m.From == fleet.NoInstance:
			f.Placed++
		default:
			f.Moves++
		}
	}
}
