package placement

import (
	"fmt"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"

	"pgregory.net/rapid"
)

// TestRestore restores random trees, in two orders, and checks what follows.
func TestRestore(t *testing.T) {
	for _, policy := range fleet.Policies {
		t.Run(string(policy), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { randomRestore(t, policy) })
		})
	}
}

func randomRestore(t *rapid.T, policy fleet.Policy) {
	instances := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Instance {
		return Instance{
			ID:       fleet.InstanceID(rapid.IntRange(0, 9).Draw(t, "id")),
			Capacity: rapid.IntRange(-1, 9).Draw(t, "capacity"),
			Born:     int64(rapid.IntRange(0, 5).Draw(t, "born")),
			Closed:   rapid.IntRange(0, 3).Draw(t, "closed") == 0,
		}
	}), 0, 6, func(i Instance) fleet.InstanceID { return i.ID }).Draw(t, "instances")
	placed := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Placed {
		at := fleet.NoInstance
		if n := rapid.IntRange(0, len(instances)).Draw(t, "at"); n < len(instances) {
			at = instances[n].ID
		}
		return Placed{drawResource(t), at}
	}), 0, 40, func(p Placed) string { return p.ID }).Draw(t, "placed")

	a, twin := New(Config{Policy: policy, Limits: testLimits}), New(Config{Policy: policy, Limits: testLimits})
	m := newMirror(a, policy)
	var p, q Plan
	if err := a.Restore(instances, placed, &p); err != nil {
		t.Fatal(err)
	}
	if err := twin.Restore(rapid.Permutation(instances).Draw(t, "instances again"), rapid.Permutation(placed).Draw(t, "placed again"), &q); err != nil {
		t.Fatal(err)
	}
	if show(&p) != show(&q) {
		t.Fatalf("the order of inputs matters:\n%s\n%s", show(&p), show(&q))
	}
	for _, i := range instances {
		m.capacity[i.ID] = max(0, i.Capacity)
		if i.Closed {
			m.closed[i.ID], m.leave[i.ID] = true, true
		}
	}
	for _, r := range placed {
		m.owner[r.ID], m.group[r.ID] = r.At, r.Group
	}
	if policy == fleet.PolicyFill {
		for _, mv := range p.Moves {
			if mv.From != fleet.NoInstance && !m.closed[mv.From] {
				t.Fatalf("move %+v from an open instance", mv)
			}
		}
	}
	m.followUnbound(t, &p, nil, nil)
	m.check(t, a)
	// The state goes on as any other.
	p.Reset()
	a.Add(fleet.Resource{ID: "new", Group: "a"}, &p)
	m.followUnbound(t, &p, []fleet.Resource{{ID: "new", Group: "a"}}, nil)
	m.check(t, a)
}

func TestRestoreRefuses(t *testing.T) {
	one := []Instance{{ID: 0, Capacity: 5}}
	for want, f := range map[string]func(*Assignment) error{
		"instance 0 is given twice": func(a *Assignment) error {
			return a.Restore(append(one, one...), nil, &Plan{})
		},
		"instance -2: id is negative": func(a *Assignment) error {
			return a.Restore([]Instance{{ID: -2}}, nil, &Plan{})
		},
		`resource "x" is given twice`: func(a *Assignment) error {
			return a.Restore(one, []Placed{{fleet.Resource{ID: "x"}, 0}, {fleet.Resource{ID: "x"}, fleet.NoInstance}}, &Plan{})
		},
		`resource "x" stands on unknown instance 7`: func(a *Assignment) error {
			return a.Restore(one, []Placed{{fleet.Resource{ID: "x"}, 7}}, &Plan{})
		},
	} {
		a := New(Config{})
		if err := f(a); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if a.Len() != 0 || a.Has(0) {
			t.Errorf("%s: not empty: %v", want, a)
		}
	}
}

// TestRestoreSparseIDs: an instance id far from the others costs no memory.
func TestRestoreSparseIDs(t *testing.T) {
	a, p := New(Config{Policy: fleet.PolicyFill}), Plan{}
	if err := a.Restore([]Instance{{ID: 1<<31 - 1, Capacity: 1}, {ID: 0, Capacity: 1}}, nil, &p); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		a.Add(fleet.Resource{ID: fmt.Sprint(i)}, &p)
	}
	if at, _ := a.Owner("2"); at != 1 {
		t.Fatalf("on %v\n%s", at, show(&p))
	}
}

// TestRestoreMajority: a mixed instance belongs to the group with the most
// resources, the first by name among equals.
func TestRestoreMajority(t *testing.T) {
	a, p := New(Config{Policy: fleet.PolicyGroup}), Plan{}
	at := func(id, g string, i fleet.InstanceID) Placed { return Placed{fleet.Resource{ID: id, Group: g}, i} }
	err := a.Restore([]Instance{{ID: 0, Capacity: 9}, {ID: 1, Capacity: 9}, {ID: 2, Capacity: 9}}, []Placed{
		at("1", "b", 0), at("2", "b", 0), at("3", "a", 0),
		at("4", "b", 1), at("5", "a", 1),
	}, &p)
	if err != nil {
		t.Fatal(err)
	}
	if got := show(&p); strings.Count(got, "move") != 2 || !strings.Contains(got, "move 3 from 0 to 1") || !strings.Contains(got, "move 4 from 1 to 0") || !strings.Contains(got, "release 2") {
		t.Fatal(got)
	}
}
