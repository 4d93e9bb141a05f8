package serve

import (
	"context"
	"slices"
	"strings"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// Kinds is part of rest.Reader.
func (s *Server) Kinds(context.Context) ([]api.KindSummary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]api.KindSummary, 0, len(s.names))
	for _, name := range s.names {
		k := s.kinds[name]
		st, err := s.at(s.moment, k)
		if err != nil {
			return nil, err
		}
		sum := api.KindSummary{Resource: name, InstanceName: k.InstanceName, Leader: st.leader}
		switch m, l, err := s.known(k); {
		case err != nil: // nothing was known yet
		case m != nil:
			sum.Totals = list(m, false).totals()
		default:
			sum.Totals = l.totals()
		}
		out = append(out, sum)
	}
	return out, nil
}

// Where is part of rest.Reader.
func (s *Server) Where(kind, id string) (api.Location, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.kind(kind)
	if err != nil {
		return api.Location{}, err
	}
	m, l, err := s.known(k)
	if err != nil {
		return api.Location{}, err
	}
	on, known := fleet.NoInstance, false
	if m != nil {
		on, known = m.Where(id)
	} else if i := l.from(id); i < len(l.rows) && l.rows[i].id == id {
		on, known = l.rows[i].on, true
	}
	switch {
	case on != fleet.NoInstance:
		return api.Location{RunIn: k.Pod(on), Instance: int(on), Phase: phase(m, on)}, nil
	case known:
		return api.Location{}, api.Errorf(api.CodeUnplaced, "%s %q exists and stands on no instance yet: …/%s/status tells why", kind, id, kind)
	}
	return api.Location{}, api.Errorf(api.CodeUnknownResource, "no %s %q stands on an instance", kind, id)
}

// phase is that of an instance's pod, where it is known.
func phase(m *reconcile.Machine, id fleet.InstanceID) string {
	if m == nil {
		return ""
	}
	in, ok := answer.FindInstance(m, id)
	if !ok {
		return ""
	}
	return in.Phase.String()
}

// Orchestration is part of rest.Reader.
func (s *Server) Orchestration(ctx context.Context, kind string, ids bool, each func(api.InstanceList) error) (api.Totals, error) {
	k, err := s.kind(kind)
	if err != nil {
		return api.Totals{}, err
	}
	l, err := s.lists(k, ids)
	if err != nil {
		return api.Totals{}, err
	}
	on := map[fleet.InstanceID][]string{}
	if ids {
		for _, in := range l.instances {
			on[in.id] = make([]string, 0, in.used)
		}
		for _, r := range l.rows {
			on[r.on] = append(on[r.on], r.id)
		}
	}
	for _, in := range l.instances {
		if err := ctx.Err(); err != nil {
			return api.Totals{}, err
		}
		if err := each(api.InstanceList{ID: int(in.id), Pod: k.Pod(in.id), Used: in.used, Cap: in.capacity, IDs: on[in.id]}); err != nil {
			return api.Totals{}, err
		}
	}
	return l.totals(), nil
}

// lists is the kind's placement, with its rows or without.
func (s *Server) lists(k answer.Kind, rows bool) (*listing, error) {
	if rows {
		return s.placement(k)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, l, err := s.known(k)
	if m != nil {
		l = list(m, false)
	}
	return l, err
}

// wanted says which resources a page is of.
type wanted struct {
	prefix, after string
	on            fleet.InstanceID // NoInstance: of all
	limit         int
}

func (w *wanted) matches(id string, on fleet.InstanceID) bool {
	return (w.after == "" || id > w.after) && strings.HasPrefix(id, w.prefix) && (w.on == fleet.NoInstance || w.on == on)
}

// Search is part of rest.Reader.
func (s *Server) Search(_ context.Context, kind, prefix, after string, limit int) ([]api.Found, bool, error) {
	k, err := s.kind(kind)
	if err != nil {
		return nil, false, err
	}
	return s.find(k, wanted{prefix, after, fleet.NoInstance, limit + 1})
}

// Resources is part of rest.Reader.
func (s *Server) Resources(_ context.Context, kind string, instance int, after string, limit int) ([]api.Found, bool, error) {
	k, err := s.kind(kind)
	if err != nil {
		return nil, false, err
	}
	id := fleet.InstanceID(instance)
	l, err := s.lists(k, false)
	if err != nil {
		return nil, false, err
	}
	if int(id) != instance || !slices.ContainsFunc(l.instances, func(in listed) bool { return in.id == id }) {
		return nil, false, k.NoInstance(instance)
	}
	return s.find(k, wanted{"", after, id, limit + 1})
}

// find is a page, of one more than is told: that says that there are more. While
// time passes each page looks at all resources; while it stands still they are
// sorted once.
func (s *Server) find(k answer.Kind, w wanted) ([]api.Found, bool, error) {
	rows, moving, err := s.least(k, &w)
	if err == nil && !moving {
		rows, err = s.page(k, &w)
	}
	if err != nil {
		return nil, false, err
	}
	limit := w.limit - 1
	out := make([]api.Found, 0, min(limit, len(rows)))
	for _, r := range rows[:min(limit, len(rows))] {
		f := api.Found{ID: r.id, Instance: answer.Place(r.on)}
		if f.Instance != nil {
			f.RunIn = k.Pod(r.on)
		}
		out = append(out, f)
	}
	return out, len(rows) > limit, nil
}

// page is the rows wanted of the sorted placement.
func (s *Server) page(k answer.Kind, w *wanted) (rows []row, err error) {
	l, err := s.placement(k)
	if err != nil {
		return nil, err
	}
	for _, r := range l.rows[l.from(max(w.prefix, w.after)):] {
		if len(rows) == w.limit || !strings.HasPrefix(r.id, w.prefix) {
			break
		}
		if w.matches(r.id, r.on) {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// least is page without a sorted placement, for a moment that passes; moving says
// whether it does.
func (s *Server) least(k answer.Kind, w *wanted) (rows []row, moving bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, _, err := s.known(k)
	if err != nil || m == nil || !s.moves() {
		return nil, false, err
	}
	l := &listing{}
	last := "" // an id that is not smaller is not among those wanted; "": none is known
	cut := func() {
		l.sort()
		if len(l.rows) >= w.limit {
			l.rows = l.rows[:w.limit]
			last = l.rows[w.limit-1].id
		}
	}
	m.EachPlace(func(id string, on fleet.InstanceID) bool {
		if (last == "" || id < last) && w.matches(id, on) {
			if l.rows = append(l.rows, row{id, on}); len(l.rows) >= 2*w.limit+64 {
				cut()
			}
		}
		return true
	})
	cut()
	return l.rows, true, nil
}
