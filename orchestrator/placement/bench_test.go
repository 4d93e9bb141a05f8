package placement

import (
	"fmt"
	"testing"

	"dacorch/orchestrator/fleet"
)

// benchResources are n resources with ids like UUIDs, in no order.
func benchResources(n int) []fleet.Resource {
	out := make([]fleet.Resource, n)
	x := uint64(1)
	next := func() uint64 { // splitmix64
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	for i := range out {
		a, b := next(), next()
		out[i].ID = fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48, b&0xffffffffffff)
	}
	return out
}

func benchSize(b *testing.B, resources, instances int) (Limits, Size) {
	l := Limits{ResourcePerInstance: resources, MaxInstances: 2*instances + 10, InitInstances: instances}
	s, err := l.Size(resources, Request{})
	if err != nil {
		b.Fatal(err)
	}
	return l, s
}

func BenchmarkScratch(b *testing.B) {
	for _, sz := range [][2]int{{100_000, 1000}, {1_000_000, 10_000}} {
		res := benchResources(sz[0])
		l, s := benchSize(b, sz[0], sz[1])
		for _, policy := range []fleet.Policy{fleet.PolicyFill, fleet.PolicyBalance} {
			b.Run(fmt.Sprintf("resources=%d/instances=%d/%s", sz[0], sz[1], policy), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					a := New(Config{Policy: policy, Limits: l})
					var p Plan
					if err := a.Reorchestrate(s, &p); err != nil {
						b.Fatal(err)
					}
					a.Apply(res, nil, &p)
				}
			})
		}
		b.Run(fmt.Sprintf("resources=%d/instances=%d/map", sz[0], sz[1]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := make(map[string]fleet.InstanceID, sz[0])
				for i := range res {
					m[res[i].ID] = fleet.InstanceID(i % sz[1])
				}
			}
		})
	}
}
