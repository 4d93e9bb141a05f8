package placement

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"dacorch/orchestrator/fleet"

	"pgregory.net/rapid"
)

func movesBetween(p *Plan) int {
	n := 0
	for _, m := range p.Moves {
		if m.From != fleet.NoInstance && m.To != fleet.NoInstance {
			n++
		}
	}
	return n
}

// bound computes, from the state before the plan, how many moves nothing can
// save (from closed instances, and to another group) and the bound on the
// others. It is not tight when some instance ends at its limit.
func (m *mirror) bound(p *Plan, added []fleet.Resource, gone []string) (forced, bound int, tight bool) {
	groupNow := maps.Clone(m.group)
	for _, r := range added {
		groupNow[r.ID] = r.Group
	}
	key := func(g string) string {
		if m.policy != fleet.PolicyGroup {
			return ""
		}
		return g
	}
	after := maps.Clone(m.owner)
	for _, mv := range p.Moves {
		after[mv.Resource] = mv.To
		if from := mv.From; from != fleet.NoInstance && mv.To != fleet.NoInstance &&
			(m.closed[from] || key(m.group[mv.Resource]) != key(groupNow[mv.Resource])) {
			forced++
		}
	}
	loads := map[string]map[fleet.InstanceID]int{} // by group, of those that could stay
	for id, at := range m.owner {
		g := key(m.group[id])
		if at == fleet.NoInstance || m.closed[at] || g != key(groupNow[id]) || slices.Contains(gone, id) {
			continue
		}
		if loads[g] == nil {
			loads[g] = map[fleet.InstanceID]int{}
		}
		loads[g][at]++
	}
	open := map[fleet.InstanceID]bool{}
	for i := range m.capacity {
		open[i] = !m.closed[i]
	}
	for _, o := range p.Opened {
		open[o.Instance] = true
	}
	for _, r := range p.Released {
		open[r.Instance] = false
	}
	used := map[string]map[fleet.InstanceID]int{}
	for id, at := range after {
		if at == fleet.NoInstance || !open[at] || slices.Contains(gone, id) {
			continue
		}
		g := key(groupNow[id])
		if used[g] == nil {
			used[g] = map[fleet.InstanceID]int{}
		}
		used[g][at]++
		if used[g][at] >= m.size.Ceiling {
			return 0, 0, false
		}
	}
	n := 0
	for i := range open {
		if open[i] {
			n++
		}
	}
	for g, before := range loads {
		total, instances := 0, len(used[g])
		for _, u := range used[g] {
			total += u
		}
		if m.policy != fleet.PolicyGroup {
			instances = n
		}
		bound += LowerBound(m.policy, slices.Collect(maps.Values(before)), total, instances, m.size.ResourcePerInstance)
	}
	if m.policy == fleet.PolicyFill && len(p.Capacities)+len(p.Released) == 0 {
		bound = 0 // nothing but a new size makes fill move what stands on an open instance
	}
	for _, c := range p.Capacities {
		tight = tight || c.To > m.size.ResourcePerInstance
	}
	return forced, bound, !tight
}

// TestBruteForce compares re-orchestration, and LowerBound, with the best of
// all assignments of up to 6 resources.
func TestBruteForce(t *testing.T) {
	for _, policy := range []fleet.Policy{fleet.PolicyFill, fleet.PolicyBalance} {
		t.Run(string(policy), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				loads := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 4).Filter(func(l []int) bool { return sum(l) <= 6 }).Draw(t, "loads")
				total := sum(loads)
				n := rapid.IntRange(1, 4).Draw(t, "instances")
				capacity := max(1, ceilDiv(total, n)) + rapid.IntRange(0, 1).Draw(t, "slack")
				best := bruteForce(policy, loads, n, capacity)
				if got := LowerBound(policy, loads, total, n, capacity); got != best {
					t.Fatalf("LowerBound %d, brute force %d", got, best)
				}
				a, p := New(Config{Policy: policy, Limits: Limits{ResourcePerInstance: 100}}), Plan{}
				var instances []Instance
				var placed []Placed
				for i, l := range loads {
					instances = append(instances, Instance{ID: fleet.InstanceID(i), Capacity: 9, Born: 1})
					for j := range l {
						placed = append(placed, Placed{fleet.Resource{ID: fmt.Sprint(i, j)}, fleet.InstanceID(i)})
					}
				}
				if policy == fleet.PolicyBalance {
					restoreUneven(a, instances, placed)
				} else if err := a.Restore(instances, placed, &p); err != nil {
					t.Fatal(err)
				}
				if err := a.Reorchestrate(Size{Instances: n, ResourcePerInstance: capacity, MaxInstances: n}, &p); err != nil {
					t.Fatal(err)
				}
				if got := movesBetween(&p); got != best {
					t.Fatalf("%d moves, brute force %d\n%s", got, best, show(&p))
				}
			})
		})
	}
}

// restoreUneven restores without evening out, which no public call can do.
func restoreUneven(a *Assignment, instances []Instance, placed []Placed) {
	if err := a.restoreInstances(instances); err != nil {
		panic(err)
	}
	for s := range a.inst {
		a.bind(int32(s), a.shared)
	}
	hs, err := a.restoreResources(placed)
	if err != nil {
		panic(err)
	}
	for _, h := range hs {
		a.attach(h, a.res[h].slot)
	}
	a.policy.index(a, a.shared)
}

func sum(l []int) (s int) {
	for _, n := range l {
		s += n
	}
	return s
}

// bruteForce tries every assignment of the resources to today's instances and n
// new ones.
func bruteForce(policy fleet.Policy, loads []int, n, capacity int) int {
	var at []int
	for i, l := range loads {
		for range l {
			at = append(at, i)
		}
	}
	best := len(at) + 1
	used := make([]int, len(loads)+n)
	var try func(r, moves int)
	try = func(r, moves int) {
		if moves >= best {
			return
		}
		if r < len(at) {
			for i := range used {
				used[i]++
				more := 0
				if i != at[r] {
					more = 1
				}
				try(r+1, moves+more)
				used[i]--
			}
			return
		}
		if allowed(policy, used, len(at), n, capacity) {
			best = moves
		}
	}
	try(0, 0)
	return best
}

func allowed(policy fleet.Policy, used []int, total, n, capacity int) bool {
	filled, more := 0, 0
	for _, u := range used {
		if u > capacity {
			return false
		}
		if u > 0 {
			filled++
		}
		if policy == fleet.PolicyBalance && u > 0 {
			if u < total/n || u > total/n+1 {
				return false
			}
			if u == total/n+1 {
				more++
			}
		}
	}
	return filled <= n && (policy != fleet.PolicyBalance || more == total%n)
}
