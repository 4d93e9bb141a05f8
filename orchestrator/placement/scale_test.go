package placement

import (
	"fmt"
	"slices"
	"testing"

	"dacorch/orchestrator/fleet"
)

// TestNoAllocation: once its memory has grown, adding and removing allocate nothing.
func TestNoAllocation(t *testing.T) {
	for _, policy := range fleet.Policies {
		t.Run(string(policy), func(t *testing.T) {
			a, p := New(Config{Policy: policy, Limits: Limits{ResourcePerInstance: 100, MaxInstances: 50}}), Plan{}
			var res []fleet.Resource
			for i := range 2000 {
				res = append(res, fleet.Resource{ID: fmt.Sprint("r", i), Group: fmt.Sprint("g", i%3)})
			}
			a.Apply(res, nil, &p)
			i := 0
			round := func() {
				p.Reset()
				r := res[i*7919%len(res)]
				i++
				a.Remove(r.ID, &p)
				a.Add(r, &p)
			}
			for range 5000 {
				round()
			}
			if n := testing.AllocsPerRun(1000, round); n > 0 {
				t.Fatalf("%v allocations a round", n)
			}
		})
	}
}

// TestScale: sizes far beyond the contract's, with the fewest moves throughout.
func TestScale(t *testing.T) {
	const count, instances = 20_000, 1_000
	res := benchResources(count)
	for _, policy := range []fleet.Policy{fleet.PolicyFill, fleet.PolicyBalance} {
		t.Run(string(policy), func(t *testing.T) {
			limits := Limits{ResourcePerInstance: 10_000, MaxInstances: 20_000}
			a, p := New(Config{Policy: policy, Limits: limits}), Plan{}
			m := newMirror(a, policy)
			step := func(added []fleet.Resource, gone []string) {
				t.Helper()
				m.size = a.Size()
				loads := make(map[fleet.InstanceID]int)
				for i := range a.Instances() {
					loads[i] = a.Used(i)
				}
				m.followUnbound(t, &p, added, gone)
				level := a.Len() / openOf(a)
				for i, n := range loads {
					if policy == fleet.PolicyBalance && !a.Closed(i) && (n < level || n > level+1) {
						t.Fatalf("instance %v has %d, the level is %d", i, n, level)
					}
				}
				p.Reset()
			}
			orchestrate := func(n int) {
				t.Helper()
				r := count/n + 1
				size, err := limits.Size(count, Request{ResourcePerInstance: &r})
				if err != nil {
					t.Fatal(err)
				}
				var loads []int
				for i := range a.Instances() {
					if !a.Closed(i) {
						loads = append(loads, a.Used(i))
					}
				}
				if err := a.Reorchestrate(size, &p); err != nil {
					t.Fatal(err)
				}
				if got, want := movesBetween(&p), LowerBound(policy, loads, a.Len(), size.Instances, size.ResourcePerInstance); got != want {
					t.Fatalf("to %d instances: %d moves, the bound is %d", n, got, want)
				}
			}
			orchestrate(instances)
			a.Apply(res, nil, &p)
			step(res, nil)
			var lost []fleet.InstanceID
			for i := range instances / 100 {
				lost = append(lost, fleet.InstanceID(i*80+50))
			}
			a.CloseAll(lost, true, &p)
			for _, i := range lost {
				m.closed[i], m.leave[i] = true, true
				if a.Used(i) > 0 {
					t.Fatalf("instance %v is not empty", i)
				}
			}
			step(nil, nil)
			for _, n := range []int{instances / 2, instances, 100, instances - 1} {
				orchestrate(n)
				step(nil, nil)
			}
			var gone []string
			for _, r := range res[:count/10] {
				gone = append(gone, r.ID)
			}
			a.Apply(nil, gone, &p)
			step(nil, gone)
			m.check(t, a)
			if a.Unplaced() > 0 || a.Len() != count-len(gone) {
				t.Fatal(a)
			}
		})
	}
}

func openOf(a *Assignment) int {
	return len(slices.DeleteFunc(slices.Collect(a.Instances()), a.Closed))
}
