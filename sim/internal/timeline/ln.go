package timeline

import "math"

// ln is the natural logarithm of x in (0, 1], right to 1e-14 of its size or 1e-15.
// It is made of a table and of products and sums that are each rounded, so that
// it is the same on every machine, and costs a third of math.Log.
func ln(x float64) float64 {
	bits := math.Float64bits(x)
	exponent := float64(int(bits>>52) - 1023)
	i := bits >> (52 - lnBits) & (lnCells - 1)
	mantissa := math.Float64frombits(bits&(1<<52-1) | 1023<<52) // in [1, 2)
	scaled := mantissa * lnTable[i].inverse
	r := scaled - 1 // at most half a cell: its series ends soon
	r2 := r * r
	r4 := r2 * r2
	half, third := r2/2, r2*r
	third /= 3
	fourth, fifth := r4/4, r4*r
	fifth /= 5
	power := exponent * math.Ln2
	sum := r - half
	sum += third
	sum -= fourth
	sum += fifth
	sum += lnTable[i].ln
	return min(sum+power, 0)
}

const (
	lnBits  = 8
	lnCells = 1 << lnBits
)

// lnTable has, for each cell of [1, 2), one over its middle, and what that is the
// logarithm of.
var lnTable = func() (t [lnCells]struct{ inverse, ln float64 }) {
	for i := range t {
		middle := 1 + (float64(i)+0.5)/lnCells
		t[i].inverse = 1 / middle
		// ln c = 2 artanh((c-1)/(c+1)), for the c whose inverse is the one rounded.
		z := (1 - t[i].inverse) / (1 + t[i].inverse)
		z2 := z * z
		power, sum := z, 0.0
		for k := 1.0; k < 60; k += 2 {
			term := power / k
			sum += term
			power *= z2
		}
		t[i].ln = 2 * sum
	}
	return t
}()
