package placement

import (
	"testing"

	"dacorch/orchestrator/fleet"

	"pgregory.net/rapid"
)

// TestClone draws a history; at every step a clone is asked first, and must
// answer what the original then does. What the clone does must leave no mark.
func TestClone(t *testing.T) {
	for _, policy := range fleet.Policies {
		t.Run(string(policy), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { cloneHistory(t, policy) })
		})
	}
}

func cloneHistory(t *rapid.T, policy fleet.Policy) {
	a := New(Config{Policy: policy, Limits: Limits{ResourcePerInstance: 6, MaxInstances: 8, InitInstances: 2}})
	var p, q Plan
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		var do func(*Assignment, *Plan)
		switch in := fleet.InstanceID(rapid.IntRange(0, 8).Draw(t, "instance")); rapid.IntRange(0, 6).Draw(t, "op") {
		case 0, 1, 2:
			r := drawResource(t)
			do = func(x *Assignment, p *Plan) { x.Add(r, p) }
		case 3:
			id := drawResource(t).ID
			do = func(x *Assignment, p *Plan) { x.Remove(id, p) }
		case 4:
			evacuate := rapid.Bool().Draw(t, "evacuate")
			do = func(x *Assignment, p *Plan) { x.Close(in, evacuate, p) }
		case 5:
			do = func(x *Assignment, p *Plan) { x.Open(in, p); x.Forget(in) }
		case 6:
			n := rapid.IntRange(1, 7).Draw(t, "instances")
			do = func(x *Assignment, p *Plan) {
				_ = x.Reorchestrate(Size{Instances: n, ResourcePerInstance: 6, MaxInstances: 7}, p)
			}
		}
		before := a.String()
		clone := a.Clone()
		q.Reset()
		do(clone, &q)
		if got := a.String(); got != before {
			t.Fatalf("the clone's change shows in the original:\n%s\n%s", before, got)
		}
		p.Reset()
		do(a, &p)
		if want, got := show(&p), show(&q); want != got {
			t.Fatalf("the clone answered\n%s\nthe original then did\n%s", got, want)
		}
		checkSame(t, a, clone)
	}
}

func checkSame(t *rapid.T, a, b *Assignment) {
	if a.String() != b.String() {
		t.Fatalf("original %s\nclone    %s", a, b)
	}
	for i := range a.Instances() {
		if a.Used(i) != b.Used(i) || a.Capacity(i) != b.Capacity(i) || a.Closed(i) != b.Closed(i) {
			t.Fatalf("instance %v differs", i)
		}
		a.Each(i, func(id string) bool {
			if at, _ := b.Owner(id); at != i || a.Group(id) != b.Group(id) {
				t.Fatalf("%s stands on %v, in the clone on %v", id, i, at)
			}
			return true
		})
	}
}
