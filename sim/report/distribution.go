package report

import (
	"math"
	"time"

	"dacorch/sim/internal/history"
)

// binsPerDecade and the ends of a distribution's bins, as powers of ten seconds.
const (
	binsPerDecade = 8
	lowestDecade  = -4 // 100 µs
	highestDecade = 6  // 11 days
)

// Distribution counts durations in bins that are even on a logarithmic axis.
type Distribution struct {
	Bins [(highestDecade - lowestDecade) * binsPerDecade]int // see BinStart

	exact  history.Histogram
	report *history.Report // whose figures are exact, where the bins alone were told
	count  int
}

// distributionOf is what a simulation's report tells of settle times.
func distributionOf(rep *history.Report) Distribution {
	d := Distribution{report: rep}
	for i := range rep.Distributions {
		from := &rep.Distributions[i]
		if from.Measure != "settle_time" {
			continue
		}
		for j := range min(len(from.Counts), len(from.BoundsS)) {
			n := int(min(from.Counts[j], math.MaxInt32))
			d.Bins[binOf(from.BoundsS[j])] += n
			d.count += n
		}
	}
	return d
}

// Add counts a duration.
func (d *Distribution) Add(v time.Duration) {
	d.exact.Add(v)
	d.Bins[binOf(v.Seconds())]++
	d.count++
}

func binOf(seconds float64) int {
	const last = (highestDecade-lowestDecade)*binsPerDecade - 1
	if !(seconds > 0) { // NaN, too
		return 0
	}
	at := (math.Log10(seconds) - lowestDecade) * binsPerDecade
	return int(min(max(math.Floor(at+1e-9), 0), last))
}

// BinStart is where bin i begins, in seconds. The first holds what is shorter,
// too, and the last what is longer.
func BinStart(i int) float64 {
	return math.Pow(10, lowestDecade+float64(i)/binsPerDecade)
}

// Count is how many durations there are.
func (d *Distribution) Count() int { return d.count }

// P50, P99 and Max are the durations that half of them, 99 of 100 of them, and
// all of them do not exceed; of several kinds, those of the worst.
func (d *Distribution) P50() time.Duration { return d.quantile(0.5, history.SettleTimeP50) }

// P99 is described at P50.
func (d *Distribution) P99() time.Duration { return d.quantile(0.99, history.SettleTimeP99) }

// Max is described at P50.
func (d *Distribution) Max() time.Duration { return d.quantile(1, history.SettleTimeMax) }

func (d *Distribution) quantile(q float64, m history.Metric) time.Duration {
	if d.report != nil {
		return seconds(d.report.Totals[m])
	}
	return d.exact.Quantile(q)
}

// seconds is a report's figure as a duration, held inside what one can be.
func seconds(v float64) time.Duration {
	const most = float64(math.MaxInt64 / 2)
	if !(v > 0) {
		return 0
	}
	return time.Duration(min(v*float64(time.Second), most))
}
