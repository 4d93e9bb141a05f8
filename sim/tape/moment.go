package tape

import (
	"errors"
	"fmt"
	"math"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// Moment answers about one moment of a tape. It stays good while the tape goes on,
// as long as the moment is kept. All moments of the past share one set of
// machines: one of them holds them only until another is asked.
type Moment struct {
	t    *Tape
	to   stamp
	live bool
}

// Live is the end, whatever is told from now on.
func (t *Tape) Live() *Moment { return &Moment{t: t, live: true} }

// At is the moment after everything that has happened at or before a time, from
// Begin to End.
func (t *Tape) At(at time.Duration) (*Moment, error) {
	t.finish(nil)
	if at < t.Begin() || at > t.End() {
		return nil, fmt.Errorf("tape: %v cannot be shown: want %v to %v", at, t.Begin(), t.End())
	}
	if at >= t.place.at {
		return &Moment{t: t, to: stamp{t.place.n, at}}, nil
	}
	if err := t.cursor.seek(stamp{math.MaxInt64, at}); err != nil {
		return nil, err
	}
	return &Moment{t: t, to: stamp{t.cursor.place.n, at}}, nil
}

// AtEvent is the moment just after an event, from FirstEvent to Events. Before
// the first event, with the number 0, it is Begin.
func (t *Tape) AtEvent(n int64) (*Moment, error) {
	t.finish(nil)
	if n < t.FirstEvent() || n > t.Events() {
		return nil, fmt.Errorf("tape: event %d cannot be shown: want %d to %d", n, t.FirstEvent(), t.Events())
	}
	if n == t.place.n && n > 0 && t.place.at == t.place.last.at {
		return &Moment{t: t, to: stamp{n, t.place.at}}, nil
	}
	at, err := t.cursor.atEvent(n)
	if err != nil {
		return nil, err
	}
	return &Moment{t: t, to: stamp{n, at}}, nil
}

func (m *Moment) stamp() stamp {
	if m.live {
		return m.t.stamp()
	}
	return m.to
}

// At is the moment's time.
func (m *Moment) At() time.Duration { return m.stamp().at }

// Event is the number of the last event that has happened; 0: none.
func (m *Moment) Event() int64 { return m.stamp().n }

// Live says that the moment is the end, and goes on with it.
func (m *Moment) Live() bool { return m.live }

// there answers the machines as they were.
func (m *Moment) there() (*crew, *place, error) {
	t, to := m.t, m.stamp()
	if to.holds(t.place.stamp) {
		return &t.crew, &t.place, nil
	}
	if err := t.cursor.seek(to); err != nil {
		return nil, nil, err
	}
	return &t.cursor.crew, &t.cursor.place, nil
}

// several says that there has been more than one process.
func (t *Tape) several() bool {
	for i := range t.skews {
		if t.skews[i].process != t.skews[0].process {
			return true
		}
	}
	return false
}

// Answering is the machine that answers for a kind.
type Answering struct {
	// Machine is only to be asked, until another moment's machine is or the tape is
	// told more.
	Machine *reconcile.Machine
	Config  reconcile.Config // that it was made with
	Process int              // from 0
	Leads   bool             // else it is the last that did, or nobody has led yet
	Epoch   int64            // of the leadership; 0: not known
	Now     time.Duration    // on its own clock
}

// errNoKind is answered for a kind that is not in the header.
var errNoKind = errors.New("tape: no such kind")

// Ask answers the machine that leads a kind with the newest epoch, or the last
// that led.
func (m *Moment) Ask(kind fleet.Kind) (Answering, error) {
	k := m.t.kind(kind)
	if k == nil {
		return Answering{}, fmt.Errorf("%w: %q", errNoKind, kind)
	}
	crew, _, err := m.there()
	if err != nil {
		return Answering{}, err
	}
	to := m.stamp()
	l := leading{key: machineKey{kind: k.first}}
	if n := upTo(k.leads, to, (*leading).when); n > 0 {
		l = k.leads[n-1]
	}
	return Answering{
		Machine: crew.machine(l.key), Config: crew.kinds[l.key.kind].Config, Process: l.key.process, Leads: l.leads, Epoch: l.epoch,
		Now: to.at + m.t.skewAt(to, l.key.process),
	}, nil
}

// Machine is Ask where nothing can go wrong but what the tape then tells among its
// problems: Machine is nil.
func (m *Moment) Machine(kind fleet.Kind) Answering {
	a, err := m.Ask(kind)
	if err != nil {
		m.t.problem("%v", err)
	}
	return a
}

// Log answers the entries of the log up to the moment that want accepts, the
// newest first, at most limit; all says that no older one has been forgotten or
// left out. They are good until the tape is told more.
func (m *Moment) Log(limit int, want func(*Entry) bool) (list []Entry, all bool) {
	l := &m.t.log
	for i := upTo(l.list, m.stamp(), (*Entry).stamp) - 1; i >= 0; i-- {
		if want != nil && !want(&l.list[i]) {
			continue
		}
		if len(list) >= limit {
			return list, false
		}
		list = append(list, l.list[i])
	}
	return list, l.last == int64(len(l.list))
}

// LastEntry is the Seq of the newest entry of the log up to the moment.
func (m *Moment) LastEntry() int64 {
	l := &m.t.log
	return l.last - int64(len(l.list)-upTo(l.list, m.stamp(), (*Entry).stamp))
}

func (t *Tape) kind(name fleet.Kind) *kindTape {
	for _, k := range t.kinds {
		if k.name == name {
			return k
		}
	}
	return nil
}
