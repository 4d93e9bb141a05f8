package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
)

// Faults is part of rest.Faults.
func (s *Server) Faults(context.Context) (api.Faults, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := api.Faults{Offered: []api.FaultWord{}, Active: []api.Mark{}, Nodes: []string{}}
	for i := range scenarios.FaultWords {
		w := &scenarios.FaultWords[i]
		if w.What.Subject() == "node" && s.cfg.Scenario.Nodes == nil {
			continue // there are none that could break
		}
		out.Offered = append(out.Offered, offered(w))
	}
	active := s.moment.Faults()
	for i := range active {
		out.Active = append(out.Active, mark(&active[i]))
	}
	if n := s.cfg.Scenario.Nodes; s.clock.live {
		out.Nodes = append(out.Nodes, s.run.Nodes()...)
	} else if n != nil { // which of a file's there were is not kept
		for i := range n.Count {
			out.Nodes = append(out.Nodes, scenarios.NodeName(i))
		}
	}
	return out, nil
}

// offered is a word of the vocabulary as the interface has it.
func offered(w *scenarios.FaultWord) api.FaultWord {
	f := scenarios.NewFault(w.What)
	out := api.FaultWord{Subject: w.What.Subject(), Word: w.What.Word(), About: w.About, Once: f.Once(),
		Needs: len(w.Needs) > 0, Keys: slices.Clone(w.Keys), By: w.By.Seconds()}
	switch {
	case out.Subject == "node":
		out.Target = "node"
	case slices.Contains(w.Keys, "instance"):
		out.Target = "instance"
	}
	if out.Once {
		out.Keys = append(out.Keys, "every")
	}
	out.Keys = append(out.Keys, "stable")
	return out
}

// Inject is part of rest.Faults.
func (s *Server) Inject(_ context.Context, fault []byte) (api.Injected, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := s.readOnly(); why != "" {
		return api.Injected{}, api.Errorf(api.CodeRefused, "%s", why)
	}
	f, err := s.cfg.Scenario.ParseFault(fault, s.run.Now())
	if err != nil {
		return api.Injected{}, faultError(err)
	}
	if err := s.targeted(&f); err != nil {
		return api.Injected{}, err
	}
	done, err := s.run.Inject(f)
	if err != nil {
		return api.Injected{}, faultError(err)
	}
	s.run.Advance(s.run.Now(), biteEvents) // what it does at once is seen while time stands still
	s.happened()
	return api.Injected{At: done.At.Seconds(), Text: words(done)}, nil
}

// words is a fault as an entry of a scenario, without its at.
func words(f scenarios.Fault) string {
	_, text, _ := strings.Cut(scenarios.FormatFault(f), ", ")
	return "{" + text
}

// targeted refuses a fault that is to hit an instance that there is not.
func (s *Server) targeted(f *scenarios.Fault) error {
	if !f.One {
		return nil
	}
	st, err := s.at(s.moment, s.kinds[f.Kind])
	if err != nil {
		return err
	}
	if _, ok := answer.FindInstance(st.machine, fleet.InstanceID(f.Instance)); ok || st.machine.Stage() != reconcile.StageActive {
		return nil
	}
	return &api.Error{Code: api.CodeOutOfRange, Field: "instance",
		Message: fmt.Sprintf("%s has no instance %d now: want one of %s", f.Kind, f.Instance, ranges(st.machine))}
}

// ranges are the instances that there are, as "0-4, 7".
func ranges(m *reconcile.Machine) string {
	var parts []string
	first, last := fleet.NoInstance, fleet.NoInstance
	end := func() {
		switch {
		case first == fleet.NoInstance:
		case first == last:
			parts = append(parts, first.String())
		default:
			parts = append(parts, first.String()+"-"+last.String())
		}
	}
	m.EachInstance(func(in reconcile.Instance) bool {
		if last != fleet.NoInstance && in.ID == last+1 {
			last = in.ID
			return true
		}
		end()
		first, last = in.ID, in.ID
		return len(parts) < 20
	})
	end()
	return strings.Join(parts, ", ")
}

// faultError is the interface's error for a mistake in a fault.
func faultError(err error) error {
	var errs scenarios.Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		return api.Errorf(api.CodeRefused, "%v", err)
	}
	e := errs[0]
	out := &api.Error{Code: api.CodeOutOfRange, Field: e.Key, Message: e.Error()}
	switch {
	case e.Key == "":
		out.Code = api.CodeBadRequest
	case strings.HasPrefix(e.Problem, "unknown key"):
		out.Code = api.CodeUnknownField
	}
	return out
}
