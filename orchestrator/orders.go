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

// order has the loop carry out an order and translates what comes of it.
func (s *service) order(ctx context.Context, kind string, order reconcile.Order) error {
	err := s.loop.Order(ctx, fleet.Kind(kind), order)
	var refused *loop.RefusedError
	switch {
	case errors.Is(err, loop.ErrUnknownKind):
		return s.unknown(kind)
	case errors.Is(err, loop.ErrNotLeader):
		return s.notLeader(kind)
	case errors.As(err, &refused):
		return &api.Error{Code: api.CodeRefused, Message: refused.Why}
	}
	return err
}

// Orchestrate is part of rest.Operator.
func (s *service) Orchestrate(ctx context.Context, kind string, req api.OrchestrateRequest) (api.Orchestrated, error) {
	began := time.Now()
	before := 0
	err := s.lead(ctx, kind, false, func(st loop.State) error {
		if p := st.Machine.Progress(); p.Running {
			return api.Errorf(api.CodeConflict, "an orchestration is running: %v", p)
		}
		before = st.Machine.Stats().Moves
		_, err := st.Config.Limits.Size(st.Machine.Resources(), request(req))
		return sizeError(err)
	})
	if err != nil {
		return api.Orchestrated{}, err
	}
	was := s.instanceSet(kind)
	if err := s.order(ctx, kind, reconcile.Orchestrate{Request: request(req)}); err != nil {
		return api.Orchestrated{}, err
	}
	out := api.Orchestrated{Resource: kind}
	err = s.lead(ctx, kind, true, func(st loop.State) error {
		out.Instances, out.Resources = st.Machine.Instances(), st.Machine.Resources()
		out.ResourcePerInstance = st.Machine.Control().Capacity
		out.Moves = st.Machine.Stats().Moves - before
		return nil
	})
	if err != nil {
		return api.Orchestrated{}, err
	}
	is := s.instanceSet(kind)
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

// onInstance gives an order about an instance, once look finds nothing against it.
func (s *service) onInstance(ctx context.Context, kind string, instance int, order reconcile.Order, look func(reconcile.Instance) error) error {
	err := s.lead(ctx, kind, false, func(st loop.State) error {
		var found *reconcile.Instance
		if id := fleet.InstanceID(instance); int(id) == instance {
			found = instanceOf(st.Machine, id)
		}
		if found == nil {
			return api.Errorf(api.CodeUnknownInstance, "%s has no instance %d", kind, instance)
		}
		return look(*found)
	})
	if err != nil {
		return err
	}
	return s.order(ctx, kind, order)
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

// acceptPatience is how long Drain waits for a refusal when it is not to wait
// for the end: the machine answers an order that it refuses at once.
const acceptPatience = 250 * time.Millisecond

// Drain is part of rest.Operator.
func (s *service) Drain(ctx context.Context, kind string, instance int, wait bool) error {
	inner := ctx
	if !wait {
		var cancel context.CancelFunc
		inner, cancel = context.WithTimeout(ctx, acceptPatience)
		defer cancel()
	}
	err := s.onInstance(inner, kind, instance, reconcile.Drain{Instance: fleet.InstanceID(instance)}, func(in reconcile.Instance) error {
		if in.Closing {
			return api.Errorf(api.CodeConflict, "instance %d is being drained already", instance)
		}
		return nil
	})
	if !wait && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return s.accepted(ctx, kind, instance)
	}
	return err
}

// accepted says whether a drain whose end nobody waited for is under way.
func (s *service) accepted(ctx context.Context, kind string, instance int) error {
	return s.lead(ctx, kind, true, func(st loop.State) error {
		if in := instanceOf(st.Machine, fleet.InstanceID(instance)); in != nil && !in.Closing {
			return api.Errorf(api.CodeUnavailable, "%s does not say whether instance %d will be drained: ask for its state", kind, instance)
		}
		return nil
	})
}

// Undrain is part of rest.Operator.
func (s *service) Undrain(ctx context.Context, kind string, instance int) error {
	return s.onInstance(ctx, kind, instance, reconcile.Undrain{Instance: fleet.InstanceID(instance)}, func(in reconcile.Instance) error {
		if !in.Closing {
			return api.Errorf(api.CodeConflict, "instance %d is not being drained", instance)
		}
		return nil
	})
}

// Replace is part of rest.Operator.
func (s *service) Replace(ctx context.Context, kind string, instance int) error {
	return s.onInstance(ctx, kind, instance, reconcile.Replace{Instance: fleet.InstanceID(instance)}, func(in reconcile.Instance) error {
		if in.Phase == fleet.PhaseMissing || in.Terminating {
			return api.Errorf(api.CodeConflict, "instance %d has no pod that could be replaced now: it is on its way", instance)
		}
		return nil
	})
}

// SetMaintenance is part of rest.Operator.
func (s *service) SetMaintenance(ctx context.Context, kind string, on bool) error {
	return s.order(ctx, kind, reconcile.Maintenance{On: on})
}
