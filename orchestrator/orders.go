package orchestrator

import (
	"context"
	"errors"
	"time"

	"dacorch/orchestrator/answer"
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
		return s.kind(kind).Interrupted(err)
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
	order := reconcile.Orchestrate{Request: answer.Request(req)}
	taken, err := s.begin(ctx, kind, order, func(st loop.State) error {
		before, was = st.Machine.Stats().Moves, s.instanceSet(kind)
		return s.kind(kind).Against(st.Machine, st.Config.Limits, order)
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
	answer.Grown(&out, was, is)
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

// onInstance has the machine take up an order about an instance, unless
// something speaks against it. maintenance says that the mode was on.
func (s *service) onInstance(ctx context.Context, kind string, instance int, order reconcile.Order) (taken *loop.Taken, maintenance bool, err error) {
	taken, err = s.begin(ctx, kind, order, func(st loop.State) error {
		if id := fleet.InstanceID(instance); int(id) != instance {
			return s.kind(kind).NoInstance(instance)
		}
		maintenance = st.Machine.Control().Maintenance
		return s.kind(kind).Against(st.Machine, st.Config.Limits, order)
	})
	return taken, maintenance, err
}

// atOnce is onInstance for an order that is done or refused as it is taken up.
func (s *service) atOnce(ctx context.Context, kind string, instance int, order reconcile.Order) error {
	taken, maintenance, err := s.onInstance(ctx, kind, instance, order)
	if err != nil {
		return err
	}
	return answer.OwnState(s.ended(kind, taken.Refused()), maintenance)
}

// Drain is part of rest.Operator.
func (s *service) Drain(ctx context.Context, kind string, instance int, wait bool) error {
	taken, _, err := s.onInstance(ctx, kind, instance, reconcile.Drain{Instance: fleet.InstanceID(instance)})
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
	return s.atOnce(ctx, kind, instance, reconcile.Undrain{Instance: fleet.InstanceID(instance)})
}

// Replace is part of rest.Operator.
func (s *service) Replace(ctx context.Context, kind string, instance int) error {
	return s.atOnce(ctx, kind, instance, reconcile.Replace{Instance: fleet.InstanceID(instance)})
}

// SetMaintenance is part of rest.Operator.
func (s *service) SetMaintenance(ctx context.Context, kind string, on bool) error {
	taken, err := s.begin(ctx, kind, reconcile.Maintenance{On: on}, nil)
	if err != nil {
		return err
	}
	return s.ended(kind, taken.Refused())
}
