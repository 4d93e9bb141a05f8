package placement

import (
	"slices"

	"dacorch/orchestrator/fleet"
)

// LowerBound is the least number of moves between instances with which any
// planner can bring one pool to a new size. loads are the resources on each open
// instance; afterwards total resources (those, and whatever else is to be
// placed) stand on n instances of that capacity, where total ≤ n·capacity.
// Under the group policy it bounds one group; sum over the groups.
//
// Derivation. A resource that does not move stays on its instance, so with
// stays(i) resources staying on instance i, the moves are Σ loads − Σ stays(i),
// and the bound follows from the most that can stay.
//
//   - At most n instances of today's are kept; nothing stays on another.
//   - fill: a kept instance ends with at most capacity resources, so
//     stays(i) ≤ min(loads(i), capacity). The sum is greatest over the n greatest
//     of these.
//   - balance: with total = q·n + r and 0 ≤ r < n, each instance ends with q
//     resources, and r of them with one more. So stays(i) ≤ min(loads(i), q),
//     plus one for at most r instances, each with loads(i) > q. Both parts are
//     greatest over the n greatest loads.
//
// Resources that are newly placed are not moves. Those on closed instances are
// moves that nothing can save: add their number. The bound is reached, not only
// approached: keeping just these resources leaves room for all the others.
func LowerBound(policy fleet.Policy, loads []int, total, n, capacity int) int {
	sorted := slices.Clone(loads)
	slices.Sort(sorted)
	slices.Reverse(sorted)
	sum := 0
	for _, l := range sorted {
		sum += l
	}
	if n <= 0 {
		return sum
	}
	level, extra := capacity, 0
	if policy != fleet.PolicyFill {
		level, extra = total/n, total%n
	}
	stays := 0
	for _, l := range sorted[:min(n, len(sorted))] {
		stays += min(l, level)
		if l > level && extra > 0 {
			stays++
			extra--
		}
	}
	return sum - stays
}
