package serve

import (
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/sim/tape"
)

// state is a kind's machine at a moment.
type state struct {
	machine *reconcile.Machine // until another moment is asked
	config  reconcile.Config
	now     time.Duration // on its own clock
	leader  api.Leader    // empty while nobody leads
	epoch   int64
}

// kind is a kind as it is named.
func (s *Server) kind(name string) (answer.Kind, error) {
	k, ok := s.kinds[name]
	if !ok {
		return k, api.Errorf(api.CodeUnknownKind, "there is no kind %q here: there are %v", name, s.names)
	}
	return k, nil
}

// at is what is known of a kind at a moment.
func (s *Server) at(m *tape.Moment, k answer.Kind) (state, error) {
	a, err := m.Ask(fleet.Kind(k.Name))
	if err != nil {
		return state{}, api.Errorf(api.CodeUnavailable, "this moment cannot be shown: %v", err)
	}
	st := state{machine: a.Machine, config: a.Config, now: a.Now, epoch: a.Epoch}
	if a.Leads {
		st.leader = api.Leader{Self: true, Name: processName(a.Process)}
	}
	return st, nil
}

// leading is the machine that leads a kind at the moment shown. A leader that
// still reads what there is will do with loading alone.
func (s *Server) leading(k answer.Kind, loading bool) (state, error) {
	st, err := s.at(s.moment, k)
	switch {
	case err != nil:
		return st, err
	case st.leader.Name == "" || st.machine.Stage() == reconcile.StageFollower:
		return st, api.Errorf(api.CodeNoLeader, "nobody leads %s at this moment", k.Name)
	case st.machine.Stage() != reconcile.StageActive && !loading:
		return st, api.Errorf(api.CodeUnavailable, "%s is %v: ZooKeeper, the database and the pods are being read", k.Name, st.machine.Stage())
	}
	return st, nil
}

// views are what was worked out of the moment shown.
type views struct {
	listings  map[string]*listing // by kind
	instances map[string]api.Instances
}

// shows changes the moment shown.
func (s *Server) shows(m *tape.Moment, at time.Duration, live bool) {
	s.moment, s.clock.now, s.clock.live = m, at, live
	s.views = views{listings: map[string]*listing{}, instances: map[string]api.Instances{}}
	s.turn++
}

// stood is what stood in ZooKeeper when a kind was last led by who knew it.
type stood struct {
	since int64 // the entry of the log from which on nobody does
	*listing
}

// listing is a kind's placement at a moment. It does not change once it is sorted.
type listing struct {
	instances []listed // ascending
	rows      []row    // ascending by id
	unplaced  int
}

type listed struct {
	id             fleet.InstanceID
	used, capacity int
}

// row is a resource and the instance that it stands on, NoInstance for none.
type row struct {
	id string
	on fleet.InstanceID
}

// list is what a machine knows. Without rows it is quick.
func list(m *reconcile.Machine, rows bool) *listing {
	l := &listing{unplaced: m.Unplaced()}
	m.EachInstance(func(in reconcile.Instance) bool {
		if in.Exists {
			l.instances = append(l.instances, listed{in.ID, in.Used, in.Capacity})
		}
		return true
	})
	if !rows {
		return l
	}
	l.rows = make([]row, 0, m.Resources())
	m.EachPlace(func(id string, on fleet.InstanceID) bool {
		l.rows = append(l.rows, row{id, on})
		return true
	})
	return l
}

func (l *listing) sort() {
	slices.SortFunc(l.rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
}

// from is the place of the first id that is not smaller.
func (l *listing) from(id string) int {
	i, _ := slices.BinarySearchFunc(l.rows, id, func(r row, id string) int { return strings.Compare(r.id, id) })
	return i
}

func (l *listing) totals() api.Totals {
	t := api.Totals{Unplaced: l.unplaced, InstanceCount: len(l.instances)}
	for _, in := range l.instances {
		t.Used += in.used
		t.Capacity += in.capacity
	}
	return t
}

// known is the machine that knows a kind's placement at the moment shown; or, where
// whoever leads does not know it yet or nobody leads, what stood when it was known
// last.
func (s *Server) known(k answer.Kind) (*reconcile.Machine, *listing, error) {
	st, err := s.at(s.moment, k)
	if err != nil {
		return nil, nil, err
	}
	if st.machine.Stage() == reconcile.StageActive {
		return st.machine, nil, nil
	}
	l, err := s.whatStood(k)
	return nil, l, err
}

// stoodTries is how many changes of leadership are gone back by.
const stoodTries = 20

// whatStood goes back to when the kind was led by who knew what stands where.
func (s *Server) whatStood(k answer.Kind) (*listing, error) {
	changes, _ := s.moment.Log(stoodTries, func(e *tape.Entry) bool {
		return string(e.Kind) == k.Name && (e.Type == tape.EntryLed || e.Type == tape.EntryDeposed || e.Type == tape.EntryNote && e.Instance == fleet.NoInstance)
	})
	unread := api.Errorf(api.CodeUnavailable, "ZooKeeper has not been read yet")
	if len(changes) == 0 {
		return nil, unread
	}
	since := changes[0].Seq
	if v := s.stood[k.Name]; v.listing != nil && v.since == since {
		return v.listing, nil
	}
	for _, e := range changes {
		for _, n := range []int64{e.Event, e.Event - 1} {
			if n < s.tape.FirstEvent() {
				continue
			}
			m, err := s.tape.AtEvent(n)
			if err != nil {
				return nil, unread
			}
			if st, err := s.at(m, k); err == nil && st.machine.Stage() == reconcile.StageActive {
				l := list(st.machine, true)
				l.sort()
				s.stood[k.Name] = stood{since, l}
				return l, nil
			}
		}
	}
	return nil, unread
}

// placement is the kind's placement at the moment shown, sorted. What takes long
// is done beside the lock, and once for a moment.
func (s *Server) placement(k answer.Kind) (*listing, error) {
	s.mu.Lock()
	if l := s.views.listings[k.Name]; l != nil {
		s.mu.Unlock()
		return l, nil
	}
	turn := s.turn
	m, l, err := s.known(k)
	if m != nil {
		l = list(m, true)
	}
	s.mu.Unlock()
	if err != nil || m == nil {
		return l, err
	}
	l.sort()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn == turn {
		s.views.listings[k.Name] = l
	}
	return l, nil
}
