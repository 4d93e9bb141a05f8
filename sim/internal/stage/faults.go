package stage

import (
	"dacorch/scenarios"
	"dacorch/sim/internal/fault"
)

// Faults are the scenario's faults in its order, each with its streams: the same
// ones whatever the run runs on.
func (s *Script) Faults() []*fault.Fault {
	specs := make([]fault.Spec, len(s.Scenario.Faults))
	for i := range s.Scenario.Faults {
		specs[i] = spec(&s.Scenario.Faults[i])
	}
	return fault.New(s.Seed, specs)
}

// Injected is a fault that somebody lets happen in a run under way, with streams
// of its own: earlier is how many of the very same text were injected before.
func (s *Script) Injected(f *scenarios.Fault, earlier int) *fault.Fault {
	return fault.Injected(s.Seed, spec(f), earlier)
}

func spec(f *scenarios.Fault) fault.Spec {
	spec := fault.Spec{
		Text: scenarios.FormatFault(*f), At: f.At, For: f.For, Every: f.Every, Once: f.Once(),
		Chance: f.Chance, Stable: f.Stable, Name: f.Node, Count: f.Count, Share: f.Share,
	}
	for _, c := range f.Where {
		spec.Where = append(spec.Where, fault.Condition{Field: c.Field, Op: c.Op, Value: c.Value})
	}
	return spec
}
