package sweep

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"dacorch/scenarios"

	"pgregory.net/rapid"
)

// shipped are the scenarios of the program that run in virtual time.
func shipped(t testing.TB) []*scenarios.Scenario {
	t.Helper()
	var all []*scenarios.Scenario
	for _, name := range scenarios.Names() {
		sc, err := scenarios.Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		if sc.On != scenarios.OnWire {
			all = append(all, sc)
		}
	}
	return all
}

// plain is a scenario without what only a file gives it.
func plain(sc *scenarios.Scenario) *scenarios.Scenario {
	c := clone(sc)
	c.File = ""
	for i := range c.Expect {
		c.Expect[i].Line = 0
	}
	return c
}

// same fails unless two scenarios are the same value.
func same(t interface{ Fatalf(string, ...any) }, got, want *scenarios.Scenario) {
	a, b := reflect.ValueOf(*plain(got)), reflect.ValueOf(*plain(want))
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		if (x.Kind() != reflect.Slice || x.Len()+y.Len() > 0) && !reflect.DeepEqual(x.Interface(), y.Interface()) {
			t.Fatalf("%s:\n got %+v\nwant %+v", a.Type().Field(i).Name, x.Interface(), y.Interface())
		}
	}
}

// TestSwarmIsScenario says of everything that the swarm draws that the loader
// takes it, and reads back what it was.
func TestSwarmIsScenario(t *testing.T) {
	bases := shipped(t)
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom(bases).Draw(t, "base")
		sc := Swarm(base, rapid.Uint64().Draw(t, "seed"))
		text := scenarios.Format(sc)
		back, err := scenarios.Parse("swarm.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		same(t, back, sc)
		if err := Possible(sc); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if sc.Duration > 2*time.Hour || sc.Duration < sc.Heal+2*time.Minute || sc.Heal > longestHeal {
			t.Fatalf("it heals at %v and ends at %v", sc.Heal, sc.Duration)
		}
		resources := 0
		for _, k := range sc.Kinds {
			resources += k.Resources
		}
		if resources > maxResources {
			t.Fatalf("%d resources", resources)
		}
	})
}

// TestSwarmDrawsApart adds a word to a class and finds that every other class
// draws as it did.
func TestSwarmDrawsApart(t *testing.T) {
	base := shipped(t)[0]
	of := func(c Class) [][]scenarios.Fault {
		var all [][]scenarios.Fault
		for seed := range uint64(40) {
			sc := Swarm(base, seed)
			all = append(all, slices.DeleteFunc(sc.Faults, func(f scenarios.Fault) bool { return Class(f.What.Subject()) != c }))
		}
		return all
	}
	before := map[Class][][]scenarios.Fault{}
	for _, c := range Classes {
		before[c] = of(c)
	}
	words := scenarios.FaultWords
	defer func() { scenarios.FaultWords = words }()
	scenarios.FaultWords = append([]scenarios.FaultWord{{What: "mqtt-eaten", Case: "message"}}, words...)
	for _, c := range Classes {
		if now := of(c); reflect.DeepEqual(now, before[c]) != (c != "mqtt") {
			t.Errorf("another word of mqtt: what %s draws changes: %v, want %v", c, !reflect.DeepEqual(now, before[c]), c == "mqtt")
		}
	}
}

// TestSwarmReaches says that a few hundred seeds meet every word of every class,
// every order, and both handoffs.
func TestSwarmReaches(t *testing.T) {
	seen := map[string]bool{}
	for i, base := range shipped(t) {
		for seed := range uint64(60) {
			sc := Swarm(base, seed+1000*uint64(i))
			for _, f := range sc.Faults {
				seen[string(f.What)] = true
				seen["command "+f.Command] = true
			}
			for _, o := range sc.Orders {
				seen[string(o.What)] = true
			}
			for _, k := range sc.Kinds {
				seen[k.Policy], seen[k.Handoff] = true, true
			}
		}
	}
	want := slices.Concat(scenarios.Policies, scenarios.Handoffs, []string{"orchestrate", "drain", "undrain", "replace", "maintenance"})
	for _, w := range scenarios.FaultWords {
		want = append(want, string(w.What))
	}
	for _, c := range scenarios.Commands {
		want = append(want, "command "+c)
	}
	for _, w := range want {
		if !seen[w] {
			t.Errorf("no seed draws %s", w)
		}
	}
}

// TestSwarmRepeats says that a seed makes the same scenario each time, and leaves
// the base as it was.
func TestSwarmRepeats(t *testing.T) {
	for _, base := range shipped(t) {
		was := clone(base)
		a, b := Swarm(base, 7), Swarm(base, 7)
		same(t, a, b)
		same(t, base, was)
		if string(scenarios.Format(a)) == string(scenarios.Format(Swarm(base, 8))) {
			t.Errorf("%s: two seeds, one scenario", base.Name)
		}
	}
}
