package timeline

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestLn compares ln with math.Log all over (0, 1].
func TestLn(t *testing.T) {
	check := func(x float64) {
		t.Helper()
		want := math.Log(x)
		if ln(x) > 0 {
			t.Errorf("ln(%v) = %v is above 0", x, ln(x))
		}
		if got := ln(x); math.Abs(got-want) > 1e-15+1e-14*math.Abs(want) {
			t.Errorf("ln(%v) = %v, want %v", x, got, want)
		}
	}
	for _, x := range []float64{1, 0.5, 0x1p-53, 0x1p-1000, math.Nextafter(1, 0), math.Nextafter(0.5, 0), 1 - 0x1p-9} {
		check(x)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(rapid.Float64Range(0x1p-1022, 1).Draw(t, "x"))
		check(math.Ldexp(rapid.Float64Range(0.5, 1).Draw(t, "mantissa"), -rapid.IntRange(0, 60).Draw(t, "exponent")))
	})
}

func BenchmarkLn(b *testing.B) {
	x, sum := 0.9, 0.0
	for b.Loop() {
		sum += ln(x)
		x = 0.1 + x*0.7
	}
	_ = sum
}
