package history

import (
	"math"
	"math/bits"
	"time"

	"dacorch/orchestrator/fleet"
)

// subBits sets the histogram's precision: 2^subBits buckets for each doubling,
// so that a bucket is at most 1/128 (0.8 %) of its values wide.
const subBits = 7

// Histogram counts durations in log-linear buckets, as HDR histograms do:
// nanoseconds below 256 exactly, everything above within 0.8 %. It takes at
// most 58 KiB, whatever it is fed. The zero value is empty and ready.
type Histogram struct {
	buckets []uint64 // as long as the largest value so far needs
	count   uint64
	max     time.Duration
}

// Add counts d. A negative duration counts as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	i := bucketOf(uint64(d))
	if i >= len(h.buckets) {
		h.grow(i)
	}
	h.buckets[i]++
	h.count++
	h.max = max(h.max, d)
}

// Merge counts everything that other has counted.
func (h *Histogram) Merge(other *Histogram) {
	if n := len(other.buckets); n > len(h.buckets) {
		h.grow(n - 1)
	}
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count is how many durations were counted.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the longest of them, exactly; zero when there is none.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the smallest duration that at least the share q of the counted
// ones does not exceed (nearest rank), rounded up to its bucket's end, so that
// it understates nothing, but never above Max. q is held inside 0…1; an empty
// histogram answers zero.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(1)
	if q >= 1 {
		rank = h.count
	} else if q > 0 { // false for NaN
		rank = min(max(uint64(math.Ceil(q*float64(h.count))), 1), h.count)
	}
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen >= rank {
			return min(time.Duration(bucketEnd(i)), h.max)
		}
	}
	return h.max
}

// distributionBuckets bounds the buckets of a Distribution.
const distributionBuckets = 64

// Distribution sums the histogram up in at most 64 buckets, each doubling of time
// divided into as many as fit. Empty buckets at the beginning are left out.
func (h *Histogram) Distribution(kind fleet.Kind, measure string) Distribution {
	d := Distribution{Kind: kind, Measure: measure, BoundsS: []float64{}, Counts: []uint64{}}
	if h.count == 0 {
		return d
	}
	first, last := 0, bucketOf(uint64(h.max))
	for h.buckets[first] == 0 {
		first++
	}
	shift := 0
	for last>>shift-first>>shift >= distributionBuckets {
		shift++
	}
	for from := first >> shift; from <= last>>shift; from++ {
		var n uint64
		for i := from << shift; i < (from+1)<<shift && i < len(h.buckets); i++ {
			n += h.buckets[i]
		}
		end := min(time.Duration(bucketEnd((from+1)<<shift-1)), h.max)
		d.BoundsS, d.Counts = append(d.BoundsS, end.Seconds()), append(d.Counts, n)
	}
	return d
}

func (h *Histogram) grow(i int) {
	grown := make([]uint64, min((i>>subBits+1)<<subBits, (65-subBits)<<subBits))
	copy(grown, h.buckets)
	h.buckets = grown
}

// bucketOf is the bucket of v: values below 2^(subBits+1) have one each, later
// doublings share 2^subBits.
func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// bucketEnd is the largest value of bucket i.
func bucketEnd(i int) uint64 {
	shift := max(i>>subBits-1, 0)
	return (uint64(i-shift<<subBits)+1)<<shift - 1
}
