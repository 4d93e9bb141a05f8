package report

import (
	"math"
	"time"

	"dacorch/sim/internal/history"
)

// Track is one figure over time, a value for each bucket.
type Track struct {
	Values []float64
	agg    history.Aggregate
	level  float64
	begun  bool
}

// Tracks are the figures that a story follows over time.
type Tracks struct {
	Resources    Track // known, as a bucket ended
	Instances    Track // in ZooKeeper, as a bucket ended
	Running      Track // of them, those whose pod runs; the fewest of a bucket
	Unplaced     Track // the most of a bucket
	Transactions Track // that happened in a bucket
	Moves        Track
	Replaced     Track
	Settle       Track // the longest that ended in a bucket, seconds
}

func (t *Tracks) all() [8]*Track {
	return [8]*Track{&t.Resources, &t.Instances, &t.Running, &t.Unplaced, &t.Transactions, &t.Moves, &t.Replaced, &t.Settle}
}

func newTracks() Tracks {
	return Tracks{
		Resources: Track{agg: history.Last}, Instances: Track{agg: history.Last},
		Running: Track{agg: history.Min}, Unplaced: Track{agg: history.Max},
		Transactions: Track{agg: history.Total}, Moves: Track{agg: history.Total},
		Replaced: Track{agg: history.Total}, Settle: Track{agg: history.Max},
	}
}

// advance makes bucket b the newest.
func (t *Track) advance(b int) {
	for len(t.Values) <= b {
		v := t.level
		if t.agg == history.Total {
			v = 0
		}
		t.Values = append(t.Values, v)
	}
}

// set gives the level from now on.
func (t *Track) set(b int, v float64) {
	fresh := len(t.Values) <= b
	t.advance(b)
	slot := &t.Values[len(t.Values)-1]
	switch {
	case !t.begun, fresh && t.agg == history.Last:
		*slot = v
	default:
		*slot = merged(t.agg, *slot, v)
	}
	t.level, t.begun = v, true
}

// add counts into the newest bucket.
func (t *Track) add(b int, v float64) {
	t.advance(b)
	t.Values[len(t.Values)-1] += v
}

// peak keeps the largest of what happened in a bucket; nothing carries over.
func (t *Track) peak(b int, v float64) {
	t.advance(b)
	slot := &t.Values[len(t.Values)-1]
	*slot = max(*slot, v)
}

// fold makes two buckets one.
func (t *Track) fold() {
	n := (len(t.Values) + 1) / 2
	for i := range n {
		v := t.Values[2*i]
		if 2*i+1 < len(t.Values) {
			v = merged(t.agg, v, t.Values[2*i+1])
		}
		t.Values[i] = v
	}
	t.Values = t.Values[:n]
}

func merged(agg history.Aggregate, earlier, later float64) float64 {
	switch agg {
	case history.Max:
		return max(earlier, later)
	case history.Min:
		return min(earlier, later)
	case history.Total:
		return earlier + later
	}
	return later
}

// Max is the largest value; 0 for an empty track.
func (t *Track) Max() float64 {
	m := 0.0
	for _, v := range t.Values {
		m = max(m, v)
	}
	return m
}

// Sum is that of the values.
func (t *Track) Sum() float64 {
	var sum float64
	for _, v := range t.Values {
		sum += v
	}
	return sum
}

// advance gives the lane its cells up to bucket b.
func (l *Lane) advance(b int) {
	for len(l.Cells) <= b {
		l.Cells = append(l.Cells, l.now)
	}
}

// become says what the lane is from now on.
func (l *Lane) become(b int, now Cell) {
	l.advance(b) // as it was until now
	l.now = now
	c := &l.Cells[len(l.Cells)-1]
	c.State = max(c.State, now.State)
	if now.State != Absent {
		c.Load = now.Load
	}
}

func (l *Lane) fold() {
	n := (len(l.Cells) + 1) / 2
	for i := range n {
		c := l.Cells[2*i]
		if 2*i+1 < len(l.Cells) {
			later := l.Cells[2*i+1]
			c.State = max(c.State, later.State)
			c.Ticks = uint8(min(int(c.Ticks)+int(later.Ticks), math.MaxUint8))
			if later.State != Absent {
				c.Load = later.Load
			}
		}
		l.Cells[i] = c
	}
	l.Cells = l.Cells[:n]
}

// firstBucket is the width of a bucket as a story begins.
const firstBucket = 125 * time.Millisecond

// bucket is that of a time. When it lies beyond the last that there may be,
// buckets are made twice as wide until it does not.
func (t *teller) bucket(now time.Duration) int {
	s := t.story
	for (now-s.From)/s.Bucket >= MaxBuckets && s.Bucket < math.MaxInt64/4 {
		s.Bucket *= 2
		for _, track := range s.Tracks.all() {
			track.fold()
		}
		for _, l := range s.Lanes {
			l.fold()
		}
	}
	return min(int((now-s.From)/s.Bucket), MaxBuckets-1)
}
