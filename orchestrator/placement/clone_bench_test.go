package placement

import (
	"fmt"
	"testing"

	"dacorch/orchestrator/fleet"
)

// BenchmarkPreview is what a preview costs for a million resources: the copy,
// for which the machine must wait, and the plan, for which it need not.
func BenchmarkPreview(b *testing.B) {
	const resources, instances = 1_000_000, 250
	a := New(Config{Policy: fleet.PolicyFill, Limits: Limits{ResourcePerInstance: 5000, MaxInstances: 1000, InitInstances: 10}})
	rows := make([]fleet.Resource, resources)
	for i := range rows {
		rows[i].ID = fmt.Sprintf("5f3c1c1e-7a6e-4a3e-9d0a-%012d", i)
	}
	var p Plan
	if err := a.Reorchestrate(Size{Instances: instances, ResourcePerInstance: 5000, MaxInstances: 1000}, &p); err != nil {
		b.Fatal(err)
	}
	a.Apply(rows, nil, &p)
	var copied *Assignment
	b.Run("copy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			copied = a.Clone()
		}
	})
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			copied = a.Clone()
			b.StartTimer()
			p.Reset()
			if err := copied.Reorchestrate(Size{Instances: instances + 50, ResourcePerInstance: 4000, MaxInstances: 1000}, &p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
