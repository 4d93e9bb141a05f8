package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/rest"
)

// service answers the REST interface from the loop.
type service struct {
	loop  *loop.Loop
	kinds []string
	names map[string]string // instanceName by kind

	adapters *adapters
	refused  func(fleet.Kind) string // why this process cannot lead a kind; "" or nil: nothing is known of that
	details  podDetails              // nil: nothing is known
	runs     *runs
}

var _ rest.Service = (*service)(nil)

// readPatience bounds what a read that is answered from memory asks the machine
// besides.
const readPatience = 200 * time.Millisecond

// kind is the kind as answers name it.
func (s *service) kind(name string) answer.Kind {
	return answer.Kind{Name: name, InstanceName: s.names[name]}
}

func (s *service) pod(kind string, id fleet.InstanceID) string { return s.kind(kind).Pod(id) }

func (s *service) view(kind string) (*loop.View, error) {
	v := s.loop.View(fleet.Kind(kind))
	if v == nil {
		return nil, s.unknown(kind)
	}
	return v, nil
}

func (s *service) unknown(kind string) error {
	return api.Errorf(api.CodeUnknownKind, "no kind %q is configured: there are %v", kind, s.kinds)
}

// ready is a view that has been read once.
func (s *service) ready(kind string) (*loop.View, error) {
	v, err := s.view(kind)
	if err == nil && !v.Ready() {
		err = api.Errorf(api.CodeUnavailable, "ZooKeeper has not been read yet")
	}
	return v, err
}

// Kinds is part of rest.Reader.
func (s *service) Kinds(ctx context.Context) ([]api.KindSummary, error) {
	out := make([]api.KindSummary, 0, len(s.kinds))
	for _, kind := range s.kinds {
		k := api.KindSummary{Resource: kind, InstanceName: s.names[kind]}
		k.Leader, _ = s.Leader(kind)
		for _, in := range s.loop.View(fleet.Kind(kind)).List(false) {
			k.InstanceCount++
			k.Used += in.Used
			k.Capacity += in.Capacity
		}
		k.Unplaced = s.unplaced(ctx, kind)
		out = append(out, k)
	}
	return out, nil
}

// Where is part of rest.Reader.
func (s *service) Where(kind, id string) (api.Location, error) {
	v, err := s.view(kind)
	if err != nil {
		return api.Location{}, err
	}
	if in, ok := v.Where(id); ok {
		return api.Location{RunIn: s.pod(kind, in), Instance: int(in)}, nil
	}
	if !v.Ready() {
		return api.Location{}, api.Errorf(api.CodeUnavailable, "ZooKeeper has not been read yet")
	}
	if _, self := s.loop.Leader(fleet.Kind(kind)); self {
		ctx, cancel := context.WithTimeout(context.Background(), readPatience)
		defer cancel()
		known := false
		err := s.inspect(ctx, kind, func(st loop.State) { _, known = st.Machine.Where(id) })
		if in, ok := v.Where(id); ok { // placed meanwhile
			return api.Location{RunIn: s.pod(kind, in), Instance: int(in)}, nil
		}
		if err == nil && known {
			return api.Location{}, api.Errorf(api.CodeUnplaced, "%s %q exists and stands on no instance yet: …/%s/status tells why", kind, id, kind)
		}
	}
	return api.Location{}, api.Errorf(api.CodeUnknownResource, "no %s %q stands on an instance", kind, id)
}

// Orchestration is part of rest.Reader.
func (s *service) Orchestration(ctx context.Context, kind string, ids bool, each func(api.InstanceList) error) (api.Totals, error) {
	var t api.Totals
	v, err := s.ready(kind)
	if err != nil {
		return t, err
	}
	for _, in := range v.List(ids) {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		t.InstanceCount++
		t.Used += in.Used
		t.Capacity += in.Capacity
		slices.Sort(in.IDs)
		if err := each(api.InstanceList{ID: int(in.ID), Pod: s.pod(kind, in.ID), Used: in.Used, Cap: in.Capacity, IDs: in.IDs}); err != nil {
			return t, err
		}
	}
	t.Unplaced = s.unplaced(ctx, kind)
	return t, nil
}

// unplaced is how many resources stand nowhere; 0 where that is not known, which
// is everywhere but at the leader, and there while the machine is long at work.
func (s *service) unplaced(ctx context.Context, kind string) (n int) {
	if _, self := s.loop.Leader(fleet.Kind(kind)); !self {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	_ = s.inspect(ctx, kind, func(st loop.State) { n = st.Machine.Unplaced() })
	return n
}

// Search is part of rest.Reader.
func (s *service) Search(_ context.Context, kind, prefix, after string, limit int) ([]api.Found, bool, error) {
	v, err := s.ready(kind)
	if err != nil {
		return nil, false, err
	}
	found := v.Search(prefix, after, limit+1)
	more := len(found) > limit
	out := make([]api.Found, 0, limit)
	for _, f := range found[:min(limit, len(found))] {
		in := int(f.Instance)
		out = append(out, api.Found{ID: f.ID, RunIn: s.pod(kind, f.Instance), Instance: &in})
	}
	return out, more, nil
}

// Resources is part of rest.Reader.
func (s *service) Resources(_ context.Context, kind string, instance int, after string, limit int) ([]api.Found, bool, error) {
	v, err := s.ready(kind)
	if err != nil {
		return nil, false, err
	}
	id := fleet.InstanceID(instance)
	ids, ok := v.On(id)
	if !ok || int(id) != instance {
		return nil, false, s.kind(kind).NoInstance(instance)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id <= after })
	slices.Sort(ids)
	more := len(ids) > limit
	out := make([]api.Found, 0, limit)
	for _, found := range ids[:min(limit, len(ids))] {
		out = append(out, api.Found{ID: found, RunIn: s.pod(kind, id), Instance: &instance})
	}
	return out, more, nil
}

// inspect reads the kind's machine.
func (s *service) inspect(ctx context.Context, kind string, look func(loop.State)) error {
	err := s.loop.Inspect(ctx, fleet.Kind(kind), look)
	switch {
	case errors.Is(err, loop.ErrUnknownKind):
		return s.unknown(kind)
	case err != nil && ctx.Err() == nil:
		return api.Errorf(api.CodeUnavailable, "%v", err)
	}
	return err
}

// lead reads the machine of a kind that this process leads.
func (s *service) lead(ctx context.Context, kind string, loading bool, look func(loop.State) error) error {
	var inner error
	err := s.inspect(ctx, kind, func(st loop.State) {
		switch stage := st.Machine.Stage(); {
		case !st.Leading || stage == reconcile.StageFollower:
			inner = s.notLeader(kind)
		case stage != reconcile.StageActive && !loading:
			inner = api.Errorf(api.CodeUnavailable, "%s is %v: ZooKeeper, the database and the pods are being read", kind, stage)
		default:
			inner = look(st)
		}
	})
	if err == nil {
		err = inner
	}
	return err
}

func (s *service) notLeader(kind string) error {
	return api.Errorf(api.CodeNotLeader, "this process does not lead %s", kind)
}

// Leader is part of rest.Leadership.
func (s *service) Leader(kind string) (api.Leader, error) {
	if _, ok := s.names[kind]; !ok {
		return api.Leader{}, s.unknown(kind)
	}
	who, self := s.loop.Leader(fleet.Kind(kind))
	if who.Name == "" && !self && s.refused != nil {
		if why := s.refused(fleet.Kind(kind)); why != "" {
			return api.Leader{}, api.Errorf(api.CodeNoLeader, "nobody is known to lead %s, and this process cannot: %s", kind, why)
		}
	}
	return api.Leader{Self: self, Name: who.Name, URL: who.URL}, nil
}

// Moves is part of rest.Observer.
func (s *service) Moves(ctx context.Context, kind, id string) (api.Moves, error) {
	const shown = 1000
	out := api.Moves{Resource: kind, ID: id, Moves: []api.MoveRecord{}}
	err := s.lead(ctx, kind, true, func(st loop.State) error {
		for _, m := range st.Moved(id, shown) {
			out.Moves = append(out.Moves, api.MoveRecord{At: s.loop.Wall(m.At).UTC(), From: answer.Place(m.From), To: answer.Place(m.To), Reason: m.Why.String()})
		}
		since, complete := st.Remembers()
		out.Since, out.Complete = s.loop.Wall(since).UTC(), complete && len(out.Moves) < shown
		return nil
	})
	return out, err
}

// Preview is part of rest.Observer.
func (s *service) Preview(ctx context.Context, kind string, req api.OrchestrateRequest, limit int) (api.Plan, error) {
	var size placement.Size
	var plan func() (*placement.Plan, error)
	resources := 0
	err := s.lead(ctx, kind, false, func(st loop.State) (err error) {
		resources = st.Machine.Resources()
		size, plan, err = st.Machine.Preview(answer.Request(req))
		return answer.SizeError(err)
	})
	if err != nil {
		return api.Plan{}, err
	}
	planned, err := plan() // the machine goes on meanwhile
	if err != nil {
		return api.Plan{}, answer.SizeError(err)
	}
	return s.kind(kind).Plan(resources, size, planned, limit), nil
}

// Progress is part of rest.Observer.
func (s *service) Progress(ctx context.Context, kind string) (api.Progress, error) {
	out := api.Progress{Resource: kind}
	err := s.lead(ctx, kind, false, func(st loop.State) error {
		out = s.kind(kind).Progress(st.Machine, st.Now)
		return nil
	})
	return out, err
}

// Maintenance is part of rest.Observer.
func (s *service) Maintenance(ctx context.Context, kind string) (out api.Maintenance, err error) {
	err = s.lead(ctx, kind, false, func(st loop.State) error {
		out.On = st.Machine.Control().Maintenance
		return nil
	})
	return out, err
}

// Status is part of rest.Observer.
func (s *service) Status(ctx context.Context, kind string) (api.Status, error) {
	out := api.Status{Resource: kind, Alarms: []api.Alarm{}, Pending: []string{}}
	leader, _ := s.Leader(kind)
	err := s.lead(ctx, kind, true, func(st loop.State) error {
		out = s.kind(kind).Status(st.Machine)
		out.Epoch = st.Epoch
		return nil
	})
	out.Leader = leader
	return out, err
}

// Health is part of rest.Health.
func (s *service) Health(context.Context) api.Health {
	h := api.Health{Live: true, Ready: true}
	check := func(name string, ok bool, format string, args ...any) {
		c := api.Check{Name: name, OK: ok}
		if !ok {
			c.Text = fmt.Sprintf(format, args...)
		}
		h.Checks = append(h.Checks, c)
	}
	for _, kind := range s.kinds {
		ready := s.loop.View(fleet.Kind(kind)).Ready()
		h.Ready = h.Ready && ready
		check("orchestration "+kind, ready, "ZooKeeper has not been read yet")
		who, _ := s.loop.Leader(fleet.Kind(kind))
		check("leader "+kind, who.Name != "", "nobody is known to lead")
		busy := s.loop.Busy(fleet.Kind(kind))
		h.Live = h.Live && busy < stuckAfter
		check("machine "+kind, busy < stuckAfter, "has been at work on one event for %v", busy.Round(time.Second))
	}
	if s.adapters != nil {
		switch st := s.adapters.zookeeper.Stats(); {
		case st.Refused != "":
			check("zookeeper", false, "we cannot stand for election: check zookeeper.user and its password, and whose the node is: %s", st.Refused)
		default:
			check("zookeeper", st.Connected, "not connected: nothing can change, and placement is told as it was last")
		}
	}
	check("notifications", s.loop.NotificationsUp(), "MQTT is not connected: changes are found by comparison with the database")
	return h
}

// stuckAfter is for how long a machine may work on one event before the process
// counts as stuck. A million rows take about a second.
const stuckAfter = time.Minute
