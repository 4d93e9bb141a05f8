package scenarios

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheck(t *testing.T) {
	run := map[string]float64{
		"moves_made": 120, "moves_needed": 118, "instances_replaced": 0, "settle_time_p99": 1.25, "settle_time_max": 75.123456,
		"capacity_used_max": 0.87654, "Rule.alarms": 2, "alarms": 3, "recover_time_max": math.NaN(), "transactions": 1.5e7,
	}
	value := func(name string) (float64, bool) { v, ok := run[name]; return v, ok }
	for _, c := range []struct {
		text  string
		ok    bool
		shown string
	}{
		{"instances_replaced == 0", true, "instances_replaced = 0"},
		{"instances_replaced != 0", false, "instances_replaced = 0"},
		{"moves_made == moves_needed", false, "moves_made = 120, moves_needed = 118"},
		{"moves_made > moves_needed", true, "moves_made = 120, moves_needed = 118"},
		{"settle_time_p99 < 1250ms", false, "settle_time_p99 = 1.25s"},
		{"settle_time_p99<=1250ms", true, "settle_time_p99 = 1.25s"},
		{"settle_time_max >= 75s", true, "settle_time_max = 1m15.1s"},
		{"capacity_used_max < 90%", true, "capacity_used_max = 87.65%"},
		{"capacity_used_max > 0.9", false, "capacity_used_max = 87.65%"},
		{"Rule.alarms == 2", true, "Rule.alarms = 2"},
		{"Rule.alarms < alarms", true, "Rule.alarms = 2, alarms = 3"},
		{"transactions < 20_000_000", true, "transactions = 15000000"},
		{"violations == 0", false, "violations has no value"},
		{"alarms > violations", false, "violations has no value"},
		{"recover_time_max != 1s", false, "recover_time_max has no value"},
	} {
		e, err := ParseExpectation(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if ok, shown := e.Check(value); ok != c.ok || shown != c.shown {
			t.Errorf("%q: %v, %q: want %v, %q", c.text, ok, shown, c.ok, c.shown)
		}
	}
}

// TestOpposites: of an expectation and its opposite, exactly one is met.
func TestOpposites(t *testing.T) {
	opposite := map[string]string{"==": "!=", "<": ">=", ">": "<="}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float64().Draw(t, "a"), rapid.Float64().Draw(t, "b")
		value := func(name string) (float64, bool) {
			if name == "alarms" {
				return a, true
			}
			return b, true
		}
		for op, other := range opposite {
			x, err1 := ParseExpectation("alarms " + op + " instances")
			y, err2 := ParseExpectation("alarms " + other + " instances")
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			ok1, _ := x.Check(value)
			ok2, _ := y.Check(value)
			if ok1 == ok2 {
				t.Fatalf("%v against %v: %s says %v and %s too", a, b, op, ok1, other)
			}
		}
	})
}

func FuzzExpectation(f *testing.F) {
	for _, s := range []string{"alarms == 0", "Thing.settle_time_p99 < 30s", "capacity_used_max<=90%", "a=b", "moves_made == moves_needed", "x.y.z > 1", "!", "alarms == 1_0.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseExpectation(text)
		if err != nil {
			if problem, want, _ := strings.Cut(err.Error(), ": "); problem == "" || want == "" {
				t.Fatalf("%q: the error %q lacks what is wrong or what would be right", text, err)
			}
			return
		}
		again, err := ParseExpectation(e.Metric + " " + e.Op + text[strings.Index(text, e.Op)+len(e.Op):])
		if err != nil || again.Op != e.Op || again.Value != e.Value || again.Other != e.Other || !(e.Value >= 0) {
			t.Fatalf("%q reads as %+v, and that as %+v: %v", text, e, again, err)
		}
	})
}
