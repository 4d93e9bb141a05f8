package timeline

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Seed is the one number that a run's randomness comes from.
type Seed uint64

// Stream is the random stream that bears this name under this seed. Streams of
// different names are independent, and drawing from one never changes another:
// a part of the simulator that is given its own name leaves every other part's
// numbers as they were. The names are parts: ("a", "b") is not ("ab").
func (s Seed) Stream(name ...string) *Stream {
	key := mix(uint64(s))
	for _, n := range name {
		key = mix(key ^ fnv1a(n))
	}
	var r Stream
	for i := range r.s {
		key += splitmixGamma
		r.s[i] = mix(key)
	}
	return &r
}

// Stream is xoshiro256++ 1.0 (Blackman and Vigna, 2019, prng.di.unimi.it), seeded
// by SplitMix64 as its authors advise. Its integers are the same everywhere;
// numbers that pass through a logarithm are the same for one binary. It is for
// one goroutine.
type Stream struct{ s [4]uint64 }

// Uint64 is uniform over all 64-bit numbers.
func (r *Stream) Uint64() uint64 {
	s := &r.s
	out := bits.RotateLeft64(s[0]+s[3], 23) + s[0]
	t := s[1] << 17
	s[2] ^= s[0]
	s[3] ^= s[1]
	s[1] ^= s[2]
	s[0] ^= s[3]
	s[2] ^= t
	s[3] = bits.RotateLeft64(s[3], 45)
	return out
}

// Float64 is uniform over [0, 1), in steps of 2⁻⁵³.
func (r *Stream) Float64() float64 { return float64(r.Uint64()>>11) * 0x1p-53 }

// IntN is uniform over [0, n), without bias (Lemire, "Fast random integer
// generation in an interval", 2019). It panics unless n > 0.
func (r *Stream) IntN(n int) int {
	if n <= 0 {
		panic(fmt.Sprintf("timeline: IntN(%d): want n > 0", n))
	}
	hi, lo := bits.Mul64(r.Uint64(), uint64(n))
	if lo < uint64(n) {
		for floor := -uint64(n) % uint64(n); lo < floor; {
			hi, lo = bits.Mul64(r.Uint64(), uint64(n))
		}
	}
	return int(hi)
}

// Bool is true with probability p: never for p ≤ 0, always for p ≥ 1.
func (r *Stream) Bool(p float64) bool { return r.Float64() < p }

// Exp is exponentially distributed with this mean; at most 36.8 times the mean.
func (r *Stream) Exp(mean float64) float64 {
	return -mean * ln(1-r.Float64())
}

// Normal is normally distributed (Box–Muller: two numbers drawn, one used, so
// that a stream has no state but its position).
func (r *Stream) Normal(mean, sigma float64) float64 {
	radius := math.Sqrt(-2 * math.Log(1-r.Float64()))
	return mean + sigma*radius*math.Cos(2*math.Pi*r.Float64())
}

// LogNormal is log-normally distributed: half the numbers lie below median, and
// the logarithm's standard deviation is sigma.
func (r *Stream) LogNormal(median, sigma float64) float64 {
	return median * math.Exp(r.Normal(0, sigma))
}

// Shuffle brings n elements into random order, every order equally likely
// (Fisher–Yates).
func (r *Stream) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, r.IntN(i+1))
	}
}

// Pick is one of the elements, each equally likely. It panics when there is none.
func Pick[T any](r *Stream, from []T) T { return from[r.IntN(len(from))] }

// Latency is a delay that is drawn anew each time: Min plus an exponentially
// distributed rest, Mean on average before the cap at Max. The zero value is no
// delay.
type Latency struct{ Min, Mean, Max time.Duration }

// Draw draws a delay in [Min, Max] from a valid Latency. It takes exactly one
// number from the stream, whatever the values are, so that a changed latency
// shifts no later draw.
func (l Latency) Draw(r *Stream) time.Duration {
	rest := r.Exp(float64(l.Mean - l.Min))
	if rest >= float64(l.Max-l.Min) {
		return l.Max
	}
	return l.Min + time.Duration(rest)
}

// Validate answers an error that names the field unless 0 ≤ Min ≤ Mean ≤ Max.
func (l Latency) Validate() error {
	switch {
	case l.Min < 0:
		return fmt.Errorf("min: %v is not valid: want at least 0s", l.Min)
	case l.Mean < l.Min:
		return fmt.Errorf("mean: %v is not valid: want at least min, %v", l.Mean, l.Min)
	case l.Max < l.Mean:
		return fmt.Errorf("max: %v is not valid: want at least mean, %v", l.Max, l.Mean)
	}
	return nil
}

const splitmixGamma = 0x9e3779b97f4a7c15

// mix is SplitMix64's output function (Steele, Lea and Flood, 2014; Vigna's
// splitmix64.c): every bit of the input moves every bit of the output.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// fnv1a is the 64-bit FNV-1a hash (Fowler, Noll and Vo).
func fnv1a(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}
