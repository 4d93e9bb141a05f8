package orchestrator

import (
	"context"
	"errors"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
)

// begin has the machine take up an order, unless look finds something against it.
// After an error nothing was done.
func (s *service) begin(ctx context.Context, kind string, order reconcile.Order, look func(loop.State) error) (*loop.Taken, error) {
	taken, err := s.loop.Begin(ctx, fleet.Kind(kind), order, look)
	switch {
	case errors.Is(err, loop.ErrUnknownKind):
		return nil, s.unknown(kind)
	case errors.Is(err, loop.ErrNotLeader):
		return nil, s.notLeader(kind)
	case errors.Is(err, loop.ErrLoading):
		return nil, api.Errorf(api.CodeUnavailable, "%s is loading: %v", kind, err)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, api.Errorf(api.CodeUnavailable, "the machine of %s is long at work on something else: nothing was done", kind)
	}
	return taken, err
}

// ended translates what came of an order that was taken up.
func (s *service) ended(kind string, err error) error {
	var refused *loop.RefusedError
	switch {
	case errors.Is(err, loop.ErrInterrupted):
		return api.Errorf(api.CodeUnavailable, "%v; whoever leads %s next goes on with what of it stands in ZooKeeper: see …/progress and …/status", err, kind)
	case errors.As(err, &refused):
		return &api.Error{Code: api.CodeRefused, Message: refused.Why}
	}
	return err
}

// Orchestrate is part of rest.Operator.
func (s *service) Orchestrate(ctx context.Context, kind string, req api.OrchestrateRequest) (api.Orchestrated, error) {
	began := time.Now()
	before := 0
	var was map[fleet.InstanceID]bool
	taken, err := s.begin(ctx, kind, reconcile.Orchestrate{Request: request(req)}, func(st loop.State) error {
		if p := st.Machine.Progress(); p.Running {
			return api.Errorf(api.CodeConflict, "an orchestration is running: %v", p)
		}
		before, was = st.Machine.Stats().Moves, s.instanceSet(kind)
		_, err := st.Config.Limits.Size(st.Machine.Resources(), request(req))
		return sizeError(err)
	})
	if err != nil {
		return api.Orchestrated{}, err
	}
	if err := s.ended(kind, taken.Wait(ctx)); err != nil {
		return api.Orchestrated{}, err
	}
	out := api.Orchestrated{Resource: kind}
	is := s.instanceSet(kind)
	out.Instances = len(is)
	_, out.Resources = s.loop.View(fleet.Kind(kind)).Totals()
	// It is done, whatever has become of the leadership since.
	_ = s.inspect(ctx, kind, func(st loop.State) {
		if st.Machine.Stage() == reconcile.StageActive {
			out.Instances, out.Resources = st.Machine.Instances(), st.Machine.Resources()
			out.ResourcePerInstance = st.Machine.Control().Capacity
		}
		out.Moves = st.Machine.Stats().Moves - before
	})
	for id := range is {
		if !was[id] {
			out.Opened++
		}
	}
	for id := range was {
		if !is[id] {
			out.Released++
		}
	}
	out.TookSeconds = time.Since(began).Seconds()
	return out, nil
}

// instanceSet is the instances that stand in ZooKeeper now.
func (s *service) instanceSet(kind string) map[fleet.InstanceID]bool {
	set := map[fleet.InstanceID]bool{}
	for _, in := range s.loop.View(fleet.Kind(kind)).List(false) {
		set[in.ID] = true
	}
	return set
}

// onInstance has the machine take up an order about an instance, unless look
// finds something against it.
func (s *service) onInstance(ctx context.Context, kind string, instance int, order reconcile.Order, look func(reconcile.Instance) error) (*loop.Taken, error) {
	return s.begin(ctx, kind, order, func(st loop.State) error {
		var found *reconcile.Instance
		if id := fleet.InstanceID(instance); int(id) == instance {
			found = instanceOf(st.Machine, id)
		}
		if found == nil {
			return api.Errorf(api.CodeUnknownInstance, "%s has no instance %d", kind, instance)
		}
		if st.Machine.Control().Maintenance {
			return nil // the machine refuses, and says so
		}
		return look(*found)
	})
}

// atOnce is onInstance for an order that is done or refused as it is taken up. A
// refusal that is not maintenance mode's is about the instance's own state.
func (s *service) atOnce(ctx context.Context, kind string, instance int, order reconcile.Order, look func(reconcile.Instance) error) error {
	looked := false
	taken, err := s.onInstance(ctx, kind, instance, order, func(in reconcile.Instance) error {
		looked = true
		return look(in)
	})
	if err != nil {
		return err
	}
	err = s.ended(kind, taken.Refused())
	var refused *api.Error
	if looked && errors.As(err, &refused) && refused.Code == api.CodeRefused {
		refused.Code = api.CodeConflict
	}
	return err
}

func instanceOf(m *reconcile.Machine, id fleet.InstanceID) (found *reconcile.Instance) {
	m.EachInstance(func(in reconcile.Instance) bool {
		if in.ID == id {
			found = &in
		}
		return in.ID < id
	})
	return found
}

// Drain is part of rest.Operator.
func (s *service) Drain(ctx context.Context, kind string, instance int, wait bool) error {
	taken, err := s.onInstance(ctx, kind, instance, reconcile.Drain{Instance: fleet.InstanceID(instance)}, func(in reconcile.Instance) error {
		if in.Closing {
			return api.Errorf(api.CodeConflict, "instance %d is being drained already", instance)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case wait:
		return s.ended(kind, taken.Wait(ctx))
	}
	return s.ended(kind, taken.Refused())
}

// Undrain is part of rest.Operator.
func (s *service) Undrain(ctx context.Context, kind string, instance int) error {
	return s.atOnce(ctx, kind, instance, reconcile.Undrain{Instance: fleet.InstanceID(instance)}, func(in reconcile.Instance) error {
		if !in.Closing {
			return api.Errorf(api.CodeConflict, "instance %d is not being drained", instance)
		}
		return nil
	})
}

// Replace is part of rest.Operator.
func (s *service) Replace(ctx context.Context, kind string, instance int) error {
	return s.atOnce(ctx, kind, instance, reconcile.Replace{Instance: fleet.InstanceID(instance)}, func(in reconcile.Instance) error {
		if in.Phase == fleet.PhaseMissing || in.Terminating {
			return api.Errorf(api.CodeConflict, "instance %d has no pod that could be replaced now: it is on its way", instance)
		}
		return nil
	})
}

// SetMaintenance is part of rest.Operator.
func (s *service) SetMaintenance(ctx context.Context, kind string, on bool) error {
	taken, err := s.begin(ctx, kind, reconcile.Maintenance{On: on}, nil)
	if err != nil {
		return err
	}
	return s.ended(kind, taken.Refused())
}
