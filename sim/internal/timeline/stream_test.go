package timeline

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The first outputs of xoshiro256++ from the state {1, 2, 3, 4}: computed with
// the authors' C code; the same test stands in Rust's rand_xoshiro.
func TestXoshiroKnownAnswers(t *testing.T) {
	r := Stream{s: [4]uint64{1, 2, 3, 4}}
	for i, want := range []uint64{
		41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205,
		9973669472204895162, 14011001112246962877, 12406186145184390807, 15849039046786891736, 10450023813501588000,
	} {
		if got := r.Uint64(); got != want {
			t.Errorf("output %d: %d, want %d", i, got, want)
		}
	}
}

// The first outputs of splitmix64.c from the state 1234567.
func TestSplitMixKnownAnswers(t *testing.T) {
	state := uint64(1234567)
	for i, want := range []uint64{
		6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
	} {
		state += splitmixGamma
		if got := mix(state); got != want {
			t.Errorf("output %d: %d, want %d", i, got, want)
		}
	}
}

// Test vectors of the FNV authors' page (isthe.com/chongo/tech/comp/fnv).
func TestFNVKnownAnswers(t *testing.T) {
	for s, want := range map[string]uint64{"": 0xcbf29ce484222325, "a": 0xaf63dc4c8601ec8c, "foobar": 0x85944171f73967e8} {
		if got := fnv1a(s); got != want {
			t.Errorf("fnv1a(%q) = %#x, want %#x", s, got, want)
		}
	}
}

// Streams must stay what they are for ever: a changed number here changes every
// recorded trace hash.
func TestNamedStreamsAreStable(t *testing.T) {
	var got []string
	for _, names := range [][]string{{}, {"churn"}, {"churn", "Thing"}, {"world", "zookeeper"}} {
		got = append(got, fmt.Sprintf("%s: %d", strings.Join(names, "/"), Seed(7).Stream(names...).Uint64()))
	}
	want := []string{
		": 3457923652123551931",
		"churn: 5714208756882442180",
		"churn/Thing: 8231784722610445085",
		"world/zookeeper: 4757351228652851538",
	}
	if !slices.Equal(got, want) {
		t.Errorf("streams are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestStreamsDifferBySeedAndByName(t *testing.T) {
	first := map[uint64]string{}
	for seed := range Seed(50) {
		for _, names := range [][]string{{}, {""}, {"", ""}, {"a"}, {"b"}, {"ab"}, {"a", "b"}, {"b", "a"}, {"a", "b", ""}, {"a", ""}} {
			key := fmt.Sprintf("seed %d, %q", seed, names)
			x := seed.Stream(names...).Uint64()
			if other, ok := first[x]; ok {
				t.Errorf("%s and %s start alike", key, other)
			}
			first[x] = key
			if x != seed.Stream(names...).Uint64() {
				t.Errorf("%s: two streams of one name differ", key)
			}
		}
	}
}

func TestNumbersLieInTheirRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Seed(rapid.Uint64().Draw(t, "seed")).Stream("range")
		n := rapid.IntRange(1, math.MaxInt).Draw(t, "n")
		for range 50 {
			if f := r.Float64(); f < 0 || f >= 1 {
				t.Fatalf("Float64 = %v", f)
			}
			if i := r.IntN(n); i < 0 || i >= n {
				t.Fatalf("IntN(%d) = %d", n, i)
			}
			if x := r.Exp(3); x < 0 || x > 3*36.8 {
				t.Fatalf("Exp(3) = %v", x)
			}
			if x := r.Normal(1, 2); math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("Normal = %v", x)
			}
			if r.Bool(0) || !r.Bool(1) {
				t.Fatal("Bool(0) is never true, Bool(1) always")
			}
		}
		l := Latency{Min: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "min"))}
		l.Mean = l.Min + time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "mean"))
		l.Max = l.Mean + time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "max"))
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			if d := l.Draw(r); d < l.Min || d > l.Max {
				t.Fatalf("%+v draws %v", l, d)
			}
		}
	})
}

// The moments of 200,000 draws lie within five standard errors of what they should be.
func TestDistributions(t *testing.T) {
	const n = 200_000
	r := Seed(3).Stream("moments")
	check := func(name string, draw func() float64, mean, sigma float64) {
		sum := 0.0
		for range n {
			sum += draw()
		}
		if got, allowed := sum/n, 5*sigma/math.Sqrt(n); math.Abs(got-mean) > allowed {
			t.Errorf("%s: mean %v, want %v ± %v", name, got, mean, allowed)
		}
	}
	square := func(draw func() float64) func() float64 {
		return func() float64 { x := draw(); return x * x }
	}
	normal := func() float64 { return r.Normal(0, 1) }
	check("Float64", r.Float64, 0.5, math.Sqrt(1.0/12))
	check("Exp", func() float64 { return r.Exp(2) }, 2, 2)
	check("Exp²", square(func() float64 { return r.Exp(2) }), 8, math.Sqrt(24*16-64))
	check("Normal", normal, 0, 1)
	check("Normal²", square(normal), 1, math.Sqrt2)
	check("log LogNormal", func() float64 { return math.Log(r.LogNormal(5, 0.5)) }, math.Log(5), 0.5)
	check("Bool", func() float64 { return toFloat(r.Bool(0.3)) }, 0.3, math.Sqrt(0.21))
	// Min 1 s plus an exponential rest of mean 1 s, cut at Max: the cut takes e⁻⁹.
	l := Latency{Min: time.Second, Mean: 2 * time.Second, Max: 10 * time.Second}
	check("Latency", func() float64 { return l.Draw(r).Seconds() }, 2-math.Exp(-9), 1)
	for i := range 3 {
		check(fmt.Sprintf("IntN(3) = %d", i), func() float64 { return toFloat(r.IntN(3) == i) }, 1.0/3, math.Sqrt(2.0/9))
		check(fmt.Sprintf("Pick %d", i), func() float64 { return toFloat(Pick(r, []int{0, 1, 2}) == i) }, 1.0/3, math.Sqrt(2.0/9))
	}
	// A range of 3·2⁶¹ would show the bias of a plain remainder.
	check("IntN(3·2⁶¹)", func() float64 { return toFloat(r.IntN(3<<61) < 1<<61) }, 1.0/3, math.Sqrt(2.0/9))
	orders := map[[3]int]int{}
	for range 60_000 {
		a := [3]int{0, 1, 2}
		r.Shuffle(3, func(i, j int) { a[i], a[j] = a[j], a[i] })
		orders[a]++
	}
	for _, a := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		if c := orders[a]; c < 9_500 || c > 10_500 {
			t.Errorf("order %v came %d times of 60000, want about 10000", a, c)
		}
	}
}

func toFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func TestALatencyTakesOneNumberWhateverItIs(t *testing.T) {
	for _, l := range []Latency{{}, {Min: 1, Mean: 1, Max: 1}, {Mean: time.Second, Max: time.Minute}} {
		a, b := Seed(1).Stream("l"), Seed(1).Stream("l")
		d := l.Draw(a)
		if l == (Latency{}) && d != 0 {
			t.Errorf("the zero latency draws %v", d)
		}
		b.Uint64()
		if a.Uint64() != b.Uint64() {
			t.Errorf("%+v does not take exactly one number", l)
		}
	}
}

func TestInvalidLatencies(t *testing.T) {
	for want, l := range map[string]Latency{
		"min: -1ns is not valid: want at least 0s":        {Min: -1},
		"mean: 0s is not valid: want at least min, 1s":    {Min: time.Second},
		"max: 1s is not valid: want at least mean, 1m0s":  {Mean: time.Minute, Max: time.Second},
		"mean: -1s is not valid: want at least min, 0s":   {Mean: -time.Second},
		"max: 0s is not valid: want at least mean, 500ms": {Mean: time.Second / 2},
	} {
		if err := l.Validate(); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", l, err, want)
		}
	}
}

func TestIntNOfNothingPanics(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); got != "timeline: IntN(0): want n > 0" {
			t.Errorf("panic %q", got)
		}
	}()
	Seed(1).Stream().IntN(0)
}

func BenchmarkUint64(b *testing.B) {
	r := Seed(1).Stream("bench")
	for b.Loop() {
		r.Uint64()
	}
}
