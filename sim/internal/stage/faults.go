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
		f := &s.Scenario.Faults[i]
		spec := fault.Spec{
			Text: scenarios.FormatFault(*f), At: f.At, For: f.For, Every: f.Every, Once: f.Once(),
			Chance: f.Chance, Stable: f.Stable, Count: f.Count, Share: f.Share,
		}
		for _, c := range f.Where {
			spec.Where = append(spec.Where, fault.Condition{Field: c.Field, Op: c.Op, Value: c.Value})
		}
		specs[i] = spec
	}
	return fault.New(s.Seed, specs)
}
