package serve

import (
	"context"
	"strings"
	"time"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/sim"
)

// given is an order that a simulation's machine has been told.
type given struct {
	kind        answer.Kind
	answered    chan string   // capacity 1: what is wrong, or nothing
	at          time.Duration // when it was, once it is
	maintenance bool          // the mode was on
}

// give tells a simulation's machine an order, unless something speaks against it.
// It stays so when nobody waits for the answer, and waits for time to pass when
// that stands still. look, unless nil, sees the machine before.
func (s *Server) give(kind string, order reconcile.Order, look func(state)) (*given, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.kind(kind)
	if err != nil {
		return nil, err
	}
	if why := s.readOnly(); why != "" {
		return nil, api.Errorf(api.CodeRefused, "%s", why)
	}
	st, err := s.leading(k, false)
	if err != nil {
		return nil, err
	}
	if err := k.Against(st.machine, st.config.Limits, order); err != nil {
		return nil, err
	}
	if look != nil {
		look(st)
	}
	g := &given{kind: k, answered: make(chan string, 1), maintenance: st.machine.Control().Maintenance}
	s.run.Order(fleet.Kind(kind), order, func(err string) {
		g.at = s.tape.End()
		g.answered <- err
	})
	s.happened()
	return g, nil
}

// wait answers what came of the order: nil once it is done, or ctx's own error.
func (g *given) wait(ctx context.Context) error {
	select {
	case err := <-g.answered:
		return g.outcome(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refused answers what speaks against the order, if that has been said.
func (g *given) refused() error {
	select {
	case err := <-g.answered:
		return g.outcome(err)
	default:
		return nil
	}
}

// atOnce is refused for an order that is done or refused as it is given.
func (g *given) atOnce() error { return answer.OwnState(g.refused(), g.maintenance) }

// outcome translates what the core, or the simulation, has answered.
func (g *given) outcome(text string) error {
	switch {
	case text == "":
		return nil
	case strings.HasPrefix(text, "not ready: "):
		return api.Errorf(api.CodeUnavailable, "%s", text)
	case strings.HasPrefix(text, "no longer the leader: "):
		return g.kind.Interrupted(text)
	case text == sim.ErrEnded.Error():
		return api.Errorf(api.CodeUnavailable, "the simulation ended before the order was done")
	}
	return api.Errorf(api.CodeRefused, "%s", text)
}

// Orchestrate is part of rest.Operator. While time stands still the answer waits.
func (s *Server) Orchestrate(ctx context.Context, kind string, req api.OrchestrateRequest) (api.Orchestrated, error) {
	var moves int
	var was map[fleet.InstanceID]bool
	var began time.Duration
	g, err := s.give(kind, reconcile.Orchestrate{Request: answer.Request(req)}, func(st state) {
		began, moves, was = s.end(), st.machine.Stats().Moves, instances(st.machine)
	})
	if err == nil {
		err = g.wait(ctx)
	}
	if err != nil {
		return api.Orchestrated{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.at(s.tape.Live(), g.kind) // it is done, whatever has become of the leadership since
	if err != nil {
		return api.Orchestrated{}, err
	}
	m := st.machine
	is := instances(m)
	out := api.Orchestrated{Resource: kind, Instances: len(is), Resources: m.Resources(), ResourcePerInstance: m.Control().Capacity,
		Moves: max(0, m.Stats().Moves-moves), TookSeconds: (g.at - began).Seconds()}
	answer.Grown(&out, was, is)
	return out, nil
}

// instances is those that stand in ZooKeeper, as far as a machine knows.
func instances(m *reconcile.Machine) map[fleet.InstanceID]bool {
	set := map[fleet.InstanceID]bool{}
	m.EachInstance(func(in reconcile.Instance) bool {
		if in.Exists {
			set[in.ID] = true
		}
		return true
	})
	return set
}

// onInstance gives an order about an instance.
func (s *Server) onInstance(kind string, instance int, order func(fleet.InstanceID) reconcile.Order) (*given, error) {
	id := fleet.InstanceID(instance)
	if int(id) != instance {
		k, err := s.kind(kind)
		if err == nil {
			err = k.NoInstance(instance)
		}
		return nil, err
	}
	return s.give(kind, order(id), nil)
}

func drain(id fleet.InstanceID) reconcile.Order   { return reconcile.Drain{Instance: id} }
func undrain(id fleet.InstanceID) reconcile.Order { return reconcile.Undrain{Instance: id} }
func replace(id fleet.InstanceID) reconcile.Order { return reconcile.Replace{Instance: id} }

// Drain is part of rest.Operator.
func (s *Server) Drain(ctx context.Context, kind string, instance int, wait bool) error {
	g, err := s.onInstance(kind, instance, drain)
	switch {
	case err != nil:
		return err
	case wait:
		return g.wait(ctx)
	}
	return g.refused()
}

// Undrain is part of rest.Operator.
func (s *Server) Undrain(_ context.Context, kind string, instance int) error {
	g, err := s.onInstance(kind, instance, undrain)
	if err != nil {
		return err
	}
	return g.atOnce()
}

// Replace is part of rest.Operator.
func (s *Server) Replace(_ context.Context, kind string, instance int) error {
	g, err := s.onInstance(kind, instance, replace)
	if err != nil {
		return err
	}
	return g.atOnce()
}

// SetMaintenance is part of rest.Operator.
func (s *Server) SetMaintenance(_ context.Context, kind string, on bool) error {
	g, err := s.give(kind, reconcile.Maintenance{On: on}, nil)
	if err != nil {
		return err
	}
	return g.refused()
}
