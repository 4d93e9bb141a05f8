package fault

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// specs draws faults; some of them are the very same.
func specs(t *rapid.T, label string) []Spec {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Spec {
		s := Spec{
			Chance: rapid.Float64Range(0.05, 0.95).Draw(t, "chance"),
			Stable: time.Duration(rapid.IntRange(0, 5).Draw(t, "stable")) * time.Second,
			Count:  rapid.IntRange(0, 5).Draw(t, "count"),
		}
		if s.Count == 0 {
			s.Share = rapid.SampledFrom([]float64{0, 0.1, 0.5, 1}).Draw(t, "share")
		}
		s.Text = fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "text"))
		return s
	}), 1, 6).Draw(t, label)
}

func candidates(n int) []Candidate {
	out := make([]Candidate, n)
	for i := range out {
		out[i] = Candidate{Instance: fleet.InstanceID(i), Resources: 10 * i, Load: float64(i) / float64(n), Age: time.Duration(i) * time.Minute}
	}
	return out
}

// decisions is all that a fault decides in a little while.
func decisions(f *Fault) string {
	out := ""
	for now := time.Duration(0); now < 20*time.Second; now += 700 * time.Millisecond {
		for _, key := range []string{"", "1", "2"} {
			out += map[bool]string{true: "x", false: "."}[f.Hits(now, key)]
		}
	}
	return out + fmt.Sprint(f.Choose(0, candidates(20)), f.Choose(0, candidates(20)), f.ByKey("7"), f.Stream("else").Uint64())
}

// TestEachDrawsAlone adds a fault anywhere and finds that every other decides as
// it did; only faults of the very same text share a name, and are numbered.
func TestEachDrawsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := timeline.Seed(rapid.Uint64().Draw(t, "seed"))
		all := specs(t, "faults")
		at := rapid.IntRange(0, len(all)).Draw(t, "at")
		more := specs(t, "more")[0]
		more.Text = "another"
		before, after := New(seed, all), New(seed, slices.Insert(slices.Clone(all), at, more))
		decisions(after[at]) // drawing from one changes no other
		after = slices.Delete(after, at, at+1)
		for i := range before {
			if a, b := decisions(before[i]), decisions(after[i]); a != b {
				t.Fatalf("fault %d decides %s, and with another beside it %s", i, a, b)
			}
		}
		twins := New(seed, []Spec{all[0], all[0]})
		if decisions(twins[0]) != decisions(New(seed, all[:1])[0]) {
			t.Fatal("the first of two alike decides otherwise than alone")
		}
		if twins[0].Stream("else").Uint64() == twins[1].Stream("else").Uint64() {
			t.Fatal("two alike draw the same")
		}
	})
}

// TestStable holds what was decided to the time for which it stands.
func TestStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const stable = 10 * time.Second
		f := New(timeline.Seed(rapid.Uint64().Draw(t, "seed")), []Spec{{Chance: 0.5, Stable: stable}})[0]
		var decided time.Duration
		var hit, begun bool
		changes := 0
		for now := time.Duration(0); now < 1000*time.Second; now += time.Duration(rapid.IntRange(1, 3000).Draw(t, "step")) * time.Millisecond {
			f.Hits(now, "another")
			got := f.Hits(now, "a")
			if begun && now < decided+stable && got != hit {
				t.Fatalf("at %v it answers %v, at %v it was %v", now, got, decided, hit)
			}
			if !begun || now >= decided+stable {
				changes += map[bool]int{true: 1}[begun && got != hit]
				decided, hit, begun = now, got, true
			}
		}
		if changes == 0 {
			t.Fatal("in a thousand seconds it never changed its mind")
		}
	})
}

// TestChanceHasNoBias counts decisions over time, keys and seeds.
func TestChanceHasNoBias(t *testing.T) {
	for _, p := range []float64{0.01, 0.3, 0.9} {
		for _, by := range []string{"time", "key", "seed", "share"} {
			const n = 20000
			f := New(1, []Spec{{Chance: p, Share: p}})[0]
			hits := 0
			for i := range n {
				key, now := "k", time.Duration(i)*time.Second
				switch by {
				case "key", "share":
					key = fmt.Sprint(i)
				case "seed":
					f = New(timeline.Seed(i), []Spec{{Chance: p}})[0]
				}
				hit := by == "share" && f.ByKey(key) || by != "share" && f.Hits(now, key)
				hits += map[bool]int{true: 1}[hit]
			}
			sigma := math.Sqrt(n * p * (1 - p))
			if math.Abs(float64(hits)-n*p) > 4*sigma {
				t.Errorf("chance %v by %s: %d hits of %d", p, by, hits, n)
			}
		}
	}
}

// TestCertain says that without a chance everything is hit.
func TestCertain(t *testing.T) {
	for _, p := range []float64{0, 1, -1, math.NaN(), 2} {
		f := New(1, []Spec{{Chance: p}})[0]
		for i := range 100 {
			if !f.Hits(time.Duration(i), "a") {
				t.Errorf("chance %v: not hit", p)
			}
		}
	}
}

// TestChoose takes as many as it should, none that is not allowed, hardly others
// when one more is there, and each as often as any other.
func TestChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Spec{Text: "f"}
		n := rapid.IntRange(0, 40).Draw(t, "n")
		want := n
		switch rapid.IntRange(0, 2).Draw(t, "by") {
		case 0:
			s.Count = rapid.IntRange(1, 50).Draw(t, "count")
			want = min(n, s.Count)
		case 1:
			percent := rapid.IntRange(1, 100).Draw(t, "percent")
			s.Share = float64(percent) / 100
			want = (n*percent + 99) / 100
		}
		seed := timeline.Seed(rapid.Uint64().Draw(t, "seed"))
		got := New(seed, []Spec{s})[0].Choose(0, candidates(n))
		if len(got) != want || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != want {
			t.Fatalf("%+v of %d candidates: %v, want %d", s, n, got, want)
		}
		turned := candidates(n)
		slices.Reverse(turned)
		if other := New(seed, []Spec{s})[0].Choose(0, turned); !slices.Equal(got, other) {
			t.Fatalf("in another order %v, not %v", other, got)
		}
		if s.Count == 0 {
			return
		}
		missing := 0
		more := New(seed, []Spec{s})[0].Choose(0, append(candidates(n), Candidate{Instance: 99}))
		for _, id := range got {
			if !slices.Contains(more, id) {
				missing++
			}
		}
		if missing > 1 {
			t.Fatalf("one candidate more: %v instead of %v", more, got)
		}
	})
	f := New(3, []Spec{{Count: 3}})[0]
	var often [10]int
	for range 10000 {
		for _, id := range f.Choose(0, candidates(10)) {
			often[id]++
		}
	}
	for id, n := range often {
		if n < 2800 || n > 3200 {
			t.Errorf("candidate %d was chosen %d times of 10000, want about 3000", id, n)
		}
	}
}

// TestConditions compares each property with each operator.
func TestConditions(t *testing.T) {
	c := Candidate{Instance: 3, Resources: 40, Load: 0.8, Age: 90 * time.Second}
	for _, w := range []struct {
		field, op string
		value     float64
		want      bool
	}{
		{"instance", "==", 3, true}, {"instance", "!=", 3, false}, {"resources", ">", 39, true}, {"resources", ">=", 41, false},
		{"load", "<", 0.81, true}, {"load", "<=", 0.79, false}, {"age", ">=", 90, true}, {"age", "<", 90, false},
		{"colour", "==", 3, false}, {"age", "~", 90, false},
	} {
		cond := Condition{w.field, w.op, w.value}
		if got := cond.Holds(c); got != w.want {
			t.Errorf("%+v holds: %v", cond, got)
		}
	}
	f := New(1, []Spec{{Count: 2, Where: []Condition{{"instance", "<", 5}, {"resources", ">", 10}}}})[0]
	for range 100 {
		for _, id := range f.Choose(0, candidates(20)) {
			if id < 2 || id > 4 {
				t.Fatalf("chose %d", id)
			}
		}
	}
}

// TestTimes lists when a fault happens.
func TestTimes(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want []time.Duration // in seconds
	}{
		{Spec{Once: true, At: 10}, nil},
		{Spec{Once: true, At: 10, For: 30, Every: 10}, []time.Duration{20, 30}},
		{Spec{Once: true, At: 10, For: 31, Every: 10}, []time.Duration{20, 30, 40}},
		{Spec{Once: true, At: 0, For: 3, Every: 5}, nil},
		{Spec{At: 10, For: 30, Every: 10}, nil},
	} {
		f := New(1, []Spec{c.spec})[0]
		var got []time.Duration
		for now, again := c.spec.At, true; ; {
			if now, again = f.Next(now); !again {
				break
			}
			got = append(got, now)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v happens again at %v, want %v", c.spec, got, c.want)
		}
	}
	if at, ok := New(1, []Spec{{Once: true, At: 10, For: 5, Every: 10}})[0].Next(3); at != 10 || !ok {
		t.Errorf("the first time is at %v, %v", at, ok)
	}
}

// TestInjectedHasStreamsOfItsOwn compares an injected fault with the scenario's of
// the same text, and with another one that was injected.
func TestInjectedHasStreamsOfItsOwn(t *testing.T) {
	s := Spec{Text: "{at: 1m, mqtt: lose, chance: 50%}", Chance: 0.5}
	draws := func(f *Fault) (out string) {
		for range 64 {
			out += map[bool]string{true: "x", false: "."}[f.Hits(0, "")]
		}
		return out
	}
	script := draws(New(7, []Spec{s})[0])
	first, second := draws(Injected(7, s, 0)), draws(Injected(7, s, 1))
	if first == script || second == script || first == second {
		t.Errorf("the scenario's draws %s, the injected %s and %s: want them to differ", script, first, second)
	}
	if again := draws(Injected(7, s, 0)); again != first {
		t.Errorf("injected again it draws %s, not %s", again, first)
	}
}
