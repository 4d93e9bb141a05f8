package placement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"

	"pgregory.net/rapid"
)

// mirror is a deliberately dumb twin: it knows only what plans said, and checks
// every plan and the Assignment's answers against that.
type mirror struct {
	policy   fleet.Policy
	owner    map[string]fleet.InstanceID // every known resource
	group    map[string]string
	capacity map[fleet.InstanceID]int
	closed   map[fleet.InstanceID]bool
	leave    map[fleet.InstanceID]bool // closed, to be evacuated
	size     Size
}

func newMirror(a *Assignment, policy fleet.Policy) *mirror {
	return &mirror{
		policy: policy, size: a.Size(),
		owner: map[string]fleet.InstanceID{}, group: map[string]string{},
		capacity: map[fleet.InstanceID]int{}, closed: map[fleet.InstanceID]bool{}, leave: map[fleet.InstanceID]bool{},
	}
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// follow takes the plan over; added and gone are what the call was told to add
// and to remove.
func (m *mirror) follow(t fataler, p *Plan, added []fleet.Resource, gone []string) {
	t.Helper()
	forced, bound, tight := m.bound(p, added, gone)
	if between := movesBetween(p); tight && between != forced+bound {
		t.Fatalf("%d moves, of which %d are forced, but the bound on the others is %d\n%s", between, forced, bound, show(p))
	}
	m.followUnbound(t, p, added, gone)
}

// followUnbound takes a plan over without counting its moves.
func (m *mirror) followUnbound(t fataler, p *Plan, added []fleet.Resource, gone []string) {
	t.Helper()
	for _, r := range added {
		if _, ok := m.owner[r.ID]; !ok {
			m.owner[r.ID] = fleet.NoInstance
		}
		m.group[r.ID] = r.Group
	}
	for _, o := range p.Opened {
		if _, ok := m.capacity[o.Instance]; ok {
			t.Fatalf("opened instance %v, which exists", o.Instance)
		}
		for i := range o.Instance {
			if _, ok := m.capacity[i]; !ok {
				t.Fatalf("opened instance %v although %v is free", o.Instance, i)
			}
		}
		m.capacity[o.Instance] = o.Capacity
		requireReason(t, o.Why)
	}
	for _, c := range p.Capacities {
		if m.capacity[c.Instance] != c.From || c.From == c.To {
			t.Fatalf("capacity change %+v, had %d", c, m.capacity[c.Instance])
		}
		m.capacity[c.Instance] = c.To
		requireReason(t, c.Why)
	}
	for _, r := range p.Released {
		if m.closed[r.Instance] {
			t.Fatalf("released closed instance %v", r.Instance)
		}
		m.closed[r.Instance], m.leave[r.Instance] = true, true
		requireReason(t, r.Why)
	}
	seen := map[string]bool{}
	for _, mv := range p.Moves {
		if at, ok := m.owner[mv.Resource]; !ok || at != mv.From || mv.From == mv.To {
			t.Fatalf("move %+v, but it stands on %v (known %v)", mv, at, ok)
		}
		if seen[mv.Resource] {
			t.Fatalf("%s moves twice", mv.Resource)
		}
		seen[mv.Resource] = true
		if mv.To != fleet.NoInstance && m.closed[mv.To] {
			t.Fatalf("move %+v to a closed instance", mv)
		}
		m.owner[mv.Resource] = mv.To
		requireReason(t, mv.Why)
	}
	for _, id := range gone {
		if at, ok := m.owner[id]; ok && at != fleet.NoInstance {
			t.Fatalf("%s was removed but stands on %v", id, at)
		}
		delete(m.owner, id)
		delete(m.group, id)
	}
	for _, r := range p.Released {
		for id, at := range m.owner {
			if at == r.Instance {
				t.Fatalf("released instance %v holds %s", at, id)
			}
		}
	}
}

func requireReason(t fataler, r Reason) {
	t.Helper()
	if r.String() == "" {
		t.Fatalf("no reason: %#v", r)
	}
}

// check compares the Assignment with the mirror, and holds it to its policy.
func (m *mirror) check(t fataler, a *Assignment) {
	t.Helper()
	if a.Len() != len(m.owner) {
		t.Fatalf("Len %d, want %d", a.Len(), len(m.owner))
	}
	used := map[fleet.InstanceID]int{}
	for id, at := range m.owner {
		if got, ok := a.Owner(id); !ok || got != at {
			t.Fatalf("owner of %s: %v %v, want %v", id, got, ok, at)
		}
		if a.Group(id) != m.group[id] {
			t.Fatalf("group of %s: %q, want %q", id, a.Group(id), m.group[id])
		}
		used[at]++
	}
	if a.Unplaced() != used[fleet.NoInstance] {
		t.Fatalf("Unplaced %d, want %d", a.Unplaced(), used[fleet.NoInstance])
	}
	m.checkUnplaced(t, a)
	ids := slices.Sorted(maps.Keys(m.capacity))
	if got := slices.Collect(a.Instances()); !slices.Equal(got, ids) {
		t.Fatalf("instances %v, want %v", got, ids)
	}
	for _, i := range ids {
		if a.Used(i) != used[i] || a.Capacity(i) != m.capacity[i] || a.Closed(i) != m.closed[i] || !a.Has(i) {
			t.Fatalf("instance %v: used %d/%d capacity %d/%d closed %v/%v", i, a.Used(i), used[i], a.Capacity(i), m.capacity[i], a.Closed(i), m.closed[i])
		}
		n := 0
		a.Each(i, func(id string) bool {
			n++
			if m.owner[id] != i {
				t.Fatalf("Each(%v) has %s, which stands on %v", i, id, m.owner[id])
			}
			return true
		})
		if n != used[i] {
			t.Fatalf("Each(%v) has %d, want %d", i, n, used[i])
		}
		if used[i] > m.capacity[i] && !m.closed[i] {
			t.Fatalf("instance %v holds %d of %d", i, used[i], m.capacity[i])
		}
	}
	m.checkPolicy(t, used)
}

func (m *mirror) checkUnplaced(t fataler, a *Assignment) {
	t.Helper()
	last, n := "", 0
	a.EachUnplaced(func(r fleet.Resource, why Reason) bool {
		if m.owner[r.ID] != fleet.NoInstance || m.group[r.ID] != r.Group || n > 0 && r.ID <= last {
			t.Fatalf("unplaced %+v after %q", r, last)
		}
		requireReason(t, why)
		last = r.ID
		n++
		return true
	})
	if n != a.Unplaced() {
		t.Fatalf("EachUnplaced: %d, want %d", n, a.Unplaced())
	}
}

// checkPolicy: who stands nowhere or is stuck finds no room, groups do not mix,
// and balanced loads differ by at most one unless a limit forbids.
func (m *mirror) checkPolicy(t fataler, used map[fleet.InstanceID]int) {
	t.Helper()
	open := 0
	for i := range m.capacity {
		if !m.closed[i] {
			open++
		}
	}
	most := max(m.size.MaxInstances, m.size.Instances)
	groupOf := map[fleet.InstanceID]string{}
	homeless := map[string]int{} // by group, those that wait or are stuck
	for id, at := range m.owner {
		g := m.group[id]
		if m.policy != fleet.PolicyGroup {
			g = ""
		}
		if at == fleet.NoInstance || m.leave[at] {
			homeless[g]++
		}
		if at != fleet.NoInstance {
			if other, ok := groupOf[at]; ok && other != g && !m.closed[at] {
				t.Fatalf("instance %v has groups %q and %q", at, other, g)
			}
			groupOf[at] = g
		}
	}
	byGroup := map[string][]fleet.InstanceID{}
	for _, i := range slices.Sorted(maps.Keys(m.capacity)) {
		if m.closed[i] {
			continue
		}
		g, ok := groupOf[i]
		if m.policy == fleet.PolicyGroup && !ok {
			continue // empty: of a group that the mirror cannot know
		}
		byGroup[g] = append(byGroup[g], i)
	}
	for g, n := range homeless {
		if n > 0 && open < most {
			t.Fatalf("%d resources of group %q have no place, but only %d of %d instances are open", n, g, open, most)
		}
		for _, i := range byGroup[g] {
			if n > 0 && used[i] < max(m.capacity[i], m.size.Ceiling) {
				t.Fatalf("%d resources of group %q have no place, but instance %v holds %d", n, g, i, used[i])
			}
		}
	}
	if m.policy == fleet.PolicyFill {
		return
	}
	for g, ids := range byGroup {
		most := slices.MaxFunc(ids, func(x, y fleet.InstanceID) int { return cmp.Compare(used[x], used[y]) })
		for _, i := range ids {
			if used[most]-used[i] > 1 && used[i] < max(m.capacity[i], m.size.Ceiling) {
				t.Fatalf("group %q is not balanced: instance %v has %d, %v has %d", g, most, used[most], i, used[i])
			}
		}
	}
}

var testLimits = Limits{ResourcePerInstance: 6, MaxInstances: 8, InitInstances: 2}

func drawResource(t *rapid.T) fleet.Resource {
	return fleet.Resource{ID: fmt.Sprintf("r%02d", rapid.IntRange(0, 59).Draw(t, "id")), Group: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "group")}
}

// TestRandomHistory feeds random calls and checks every plan and the state
// after each.
func TestRandomHistory(t *testing.T) {
	for _, policy := range fleet.Policies {
		t.Run(string(policy), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { randomHistory(t, policy) })
		})
	}
}

func randomHistory(t *rapid.T, policy fleet.Policy) {
	limits := testLimits
	if rapid.Bool().Draw(t, "many instances") {
		limits = Limits{ResourcePerInstance: 3, MaxInstances: 30, InitInstances: 12}
	}
	a := New(Config{Policy: policy, Limits: limits})
	twin := New(Config{Policy: policy, Limits: limits}) // is given the same in another order
	m := newMirror(a, policy)
	var p, q Plan
	instance := func() fleet.InstanceID {
		return fleet.InstanceID(rapid.IntRange(0, 2*limits.InitInstances+5).Draw(t, "instance"))
	}
	step := func(added []fleet.Resource, gone []string) {
		t.Helper()
		if got, want := show(&q), show(&p); got != want {
			t.Fatalf("the order of inputs matters:\n%s\n%s", want, got)
		}
		m.follow(t, &p, added, gone)
		m.check(t, a)
	}
	both := func(f func(a *Assignment, p *Plan)) {
		p.Reset()
		q.Reset()
		f(a, &p)
		f(twin, &q)
	}
	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			r := drawResource(t)
			both(func(a *Assignment, p *Plan) { a.Add(r, p) })
			step([]fleet.Resource{r}, nil)
		},
		"remove": func(t *rapid.T) {
			r := drawResource(t)
			both(func(a *Assignment, p *Plan) { a.Remove(r.ID, p) })
			step(nil, []string{r.ID})
		},
		"apply": func(t *rapid.T) {
			add := rapid.SliceOfNDistinct(rapid.Custom(drawResource), 0, 30, func(r fleet.Resource) string { return r.ID }).Draw(t, "add")
			var gone []string
			for _, r := range rapid.SliceOfN(rapid.Custom(drawResource), 0, 20).Draw(t, "remove") {
				if !slices.ContainsFunc(add, func(x fleet.Resource) bool { return x.ID == r.ID }) {
					gone = append(gone, r.ID)
				}
			}
			p.Reset()
			q.Reset()
			a.Apply(add, gone, &p)
			twin.Apply(rapid.Permutation(add).Draw(t, "add again"), rapid.Permutation(gone).Draw(t, "remove again"), &q)
			step(add, gone)
		},
		"close": func(t *rapid.T) {
			i, j, evacuate := instance(), instance(), rapid.Bool().Draw(t, "evacuate")
			p.Reset()
			q.Reset()
			a.CloseAll([]fleet.InstanceID{i, j}, evacuate, &p)
			twin.CloseAll([]fleet.InstanceID{j, i}, evacuate, &q)
			for _, i := range []fleet.InstanceID{i, j} {
				if _, ok := m.capacity[i]; ok {
					m.closed[i], m.leave[i] = true, evacuate
				}
			}
			step(nil, nil)
		},
		"open": func(t *rapid.T) {
			i := instance()
			both(func(a *Assignment, p *Plan) { a.Open(i, p) })
			if a.Has(i) && !a.Closed(i) {
				m.closed[i], m.leave[i] = false, false
			}
			step(nil, nil)
		},
		"forget": func(t *rapid.T) {
			i := instance()
			both(func(a *Assignment, _ *Plan) { a.Forget(i) })
			if !a.Has(i) {
				if m.closed[i] {
					delete(m.capacity, i)
				}
				delete(m.closed, i)
				delete(m.leave, i)
			}
			step(nil, nil)
		},
		"reorchestrate": func(t *rapid.T) {
			r, n := rapid.IntRange(1, limits.ResourcePerInstance-1).Draw(t, "R"), rapid.IntRange(3, limits.MaxInstances-1).Draw(t, "max")
			s, err := limits.Size(a.Len(), Request{&r, &n})
			if err != nil {
				s = Size{Instances: n, ResourcePerInstance: r, MaxInstances: n}
			}
			was := a.Size()
			var failed error
			both(func(a *Assignment, p *Plan) { failed = a.Reorchestrate(s, p) })
			if failed != nil && a.Size() != was {
				t.Fatalf("size changed although: %v", failed)
			}
			m.size = a.Size()
			step(nil, nil)
		},
	})
}

// show is a plan as text.
func show(p *Plan) string {
	var b strings.Builder
	for _, o := range p.Opened {
		fmt.Fprintf(&b, "open %v capacity %d group %q: %v\n", o.Instance, o.Capacity, o.Group, o.Why)
	}
	for _, c := range p.Capacities {
		fmt.Fprintf(&b, "capacity of %v from %d to %d: %v\n", c.Instance, c.From, c.To, c.Why)
	}
	for _, m := range p.Moves {
		fmt.Fprintf(&b, "move %s from %v to %v: %v\n", m.Resource, m.From, m.To, m.Why)
	}
	for _, r := range p.Released {
		fmt.Fprintf(&b, "release %v: %v\n", r.Instance, r.Why)
	}
	return b.String()
}
