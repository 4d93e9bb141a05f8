package history

import "time"

// Aggregate says what a time bucket keeps of the values that fall into it.
type Aggregate uint8

// The aggregates. Max, Min and Last treat the series as a level that stays
// until it changes: a bucket without a sample has the level that it began with.
const (
	Last Aggregate = iota
	Max
	Min
	Total // the sum of what was added; nothing carries over
)

// maxBands and maxMarks bound what a run can put under its timeline.
const (
	maxBands = 1000
	maxMarks = 1000
)

// Series is a set of time series over a run, each sampled into the same fixed
// number of buckets, with bands for faults and marks for orders.
type Series struct {
	duration time.Duration
	buckets  int
	rows     []*Row
	bands    []band
	marks    []mark
	dropped  int // bands and marks beyond the bounds
}

// Row is one time series.
type Row struct {
	name   string
	agg    Aggregate
	set    *Series
	values []float64 // up to bucket at, inclusive
	level  float64
	begun  bool
}

type band struct {
	name     string
	from, to time.Duration
}

type mark struct {
	at    time.Duration
	label string
}

// NewSeries makes an empty set over a run of the given duration. Both duration
// and buckets are held to at least 1; 240 buckets show well at every width.
func NewSeries(duration time.Duration, buckets int) *Series {
	return &Series{duration: max(duration, 1), buckets: max(buckets, 1)}
}

// Row adds a series. Timelines show the rows in the order they were added.
func (s *Series) Row(name string, agg Aggregate) *Row {
	r := &Row{name: name, agg: agg, set: s, values: make([]float64, 0, s.buckets)}
	s.rows = append(s.rows, r)
	return r
}

// Band says that something, usually a fault, lasted from…to, of which the part
// inside the run is kept. Bands of one name share a line. At most 1,000 are kept; the timeline says how many were not.
func (s *Series) Band(name string, from, to time.Duration) {
	if len(s.bands) >= maxBands {
		s.dropped++
		return
	}
	from = min(max(from, 0), s.duration)
	s.bands = append(s.bands, band{name, from, min(max(to, from), s.duration)})
}

// Mark says that something, usually an order, happened once. At most 1,000 are
// kept; the timeline says how many were not.
func (s *Series) Mark(at time.Duration, label string) {
	if len(s.marks) >= maxMarks {
		s.dropped++
		return
	}
	s.marks = append(s.marks, mark{at, label})
}

// Set gives the level of a Last, Max or Min series from now on; on a Total
// series it adds, like Add. Times past the duration fall into the last bucket;
// a time before the newest bucket counts into the newest.
func (r *Row) Set(now time.Duration, v float64) {
	if r.agg == Total {
		r.Add(now, v)
		return
	}
	fresh := r.advance(now)
	slot := &r.values[len(r.values)-1]
	switch {
	case !r.begun, fresh && r.agg == Last:
		*slot = v
	case r.agg == Max:
		*slot = max(*slot, v)
	case r.agg == Min:
		*slot = min(*slot, v)
	default:
		*slot = v
	}
	r.level, r.begun = v, true
}

// Add adds v to the bucket of now of a Total series; on the others it changes
// the level by v.
func (r *Row) Add(now time.Duration, v float64) {
	if r.agg != Total {
		r.Set(now, r.level+v)
		return
	}
	r.advance(now)
	r.values[len(r.values)-1] += v
}

// advance makes the bucket of now the newest, filling the ones between, and
// says whether it had to.
func (r *Row) advance(now time.Duration) bool {
	at := r.set.bucket(now)
	fresh := false
	for len(r.values) <= at {
		r.values = append(r.values, r.carried())
		fresh = true
	}
	return fresh
}

// carried is what a bucket without a sample holds.
func (r *Row) carried() float64 {
	if r.agg == Total {
		return 0
	}
	return r.level
}

// bucket is the bucket of a time, held inside the run.
func (s *Series) bucket(now time.Duration) int {
	share := min(max(float64(now)/float64(s.duration), 0), 1)
	return min(int(share*float64(s.buckets)), s.buckets-1)
}

// resampled is the row in n cells: each aggregates the buckets that it covers,
// or repeats the one that covers it.
func (r *Row) resampled(n int) []float64 {
	cells := make([]float64, n)
	for c := range cells {
		from := c * r.set.buckets / n
		to := max((c+1)*r.set.buckets/n, from+1)
		v := r.at(from)
		for b := from + 1; b < to; b++ {
			switch r.agg {
			case Max:
				v = max(v, r.at(b))
			case Min:
				v = min(v, r.at(b))
			case Total:
				v += r.at(b)
			default:
				v = r.at(b)
			}
		}
		cells[c] = v
	}
	return cells
}

func (r *Row) at(b int) float64 {
	if b < len(r.values) {
		return r.values[b]
	}
	return r.carried()
}

// RunRows are the rows of a run's timeline: what an engineer wants to see first.
type RunRows struct {
	Resources, Instances, Running, Unplaced, Unsettled, Commits, Replacing *Row
}

// RunRows adds the rows of a run.
func (s *Series) RunRows() RunRows {
	return RunRows{
		Resources: s.Row("resources", Last),
		Instances: s.Row("instances", Last),
		Running:   s.Row("pods running", Min),
		Unplaced:  s.Row("unplaced", Max),
		Unsettled: s.Row("unsettled", Max),
		Commits:   s.Row("transactions", Total),
		Replacing: s.Row("replaced", Total),
	}
}

// RunBuckets is the number of buckets of a run's timeline: it divides well into
// every terminal's width.
const RunBuckets = 240
