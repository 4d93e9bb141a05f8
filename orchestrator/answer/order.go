package answer

import (
	"errors"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// Against tells what speaks against an order now, before the machine is asked:
// unknown_instance, conflict, or what SizeError says; nil when nothing does. The
// machine may still refuse, as it does in maintenance mode.
func (k Kind) Against(m *reconcile.Machine, limits placement.Limits, order reconcile.Order) error {
	switch o := order.(type) {
	case reconcile.Orchestrate:
		if p := m.Progress(); p.Running {
			return api.Errorf(api.CodeConflict, "an orchestration is running: %v", p)
		}
		_, err := limits.Size(m.Resources(), o.Request)
		return SizeError(err)
	case reconcile.Drain:
		return k.againstInstance(m, o.Instance, func(in reconcile.Instance) error {
			if in.Closing {
				return api.Errorf(api.CodeConflict, "instance %d is being drained already", in.ID)
			}
			return nil
		})
	case reconcile.Undrain:
		return k.againstInstance(m, o.Instance, func(in reconcile.Instance) error {
			if !in.Closing {
				return api.Errorf(api.CodeConflict, "instance %d is not being drained", in.ID)
			}
			return nil
		})
	case reconcile.Replace:
		return k.againstInstance(m, o.Instance, func(in reconcile.Instance) error {
			if in.Phase == fleet.PhaseMissing || in.Terminating {
				return api.Errorf(api.CodeConflict, "instance %d has no pod that could be replaced now: it is on its way", in.ID)
			}
			return nil
		})
	}
	return nil
}

func (k Kind) againstInstance(m *reconcile.Machine, id fleet.InstanceID, look func(reconcile.Instance) error) error {
	in, ok := FindInstance(m, id)
	switch {
	case !ok:
		return k.NoInstance(int(id))
	case m.Control().Maintenance:
		return nil // the machine refuses, and says so
	}
	return look(in)
}

// NoInstance is the error for an instance that there is not.
func (k Kind) NoInstance(id int) error {
	return api.Errorf(api.CodeUnknownInstance, "%s has no instance %d", k.Name, id)
}

// FindInstance answers what a machine knows of an instance, and whether it knows
// it at all.
func FindInstance(m *reconcile.Machine, id fleet.InstanceID) (found reconcile.Instance, ok bool) {
	m.EachInstance(func(in reconcile.Instance) bool {
		if in.ID == id {
			found, ok = in, true
		}
		return in.ID < id
	})
	return found, ok
}

// Grown counts the instances that an orchestration has opened and released: those
// that were there, and those that are.
func Grown(out *api.Orchestrated, was, is map[fleet.InstanceID]bool) {
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
}

// Interrupted is the error of an order that was cut short, and why.
func (k Kind) Interrupted(why any) error {
	return api.Errorf(api.CodeUnavailable, "%v; whoever leads %s next goes on with what of it stands in ZooKeeper: see …/progress and …/status", why, k.Name)
}

// OwnState makes a conflict of the refusal of an order about an instance: but for
// maintenance mode, it is about the instance's own state.
func OwnState(err error, maintenance bool) error {
	var refused *api.Error
	if !maintenance && errors.As(err, &refused) && refused.Code == api.CodeRefused {
		refused.Code = api.CodeConflict
	}
	return err
}
