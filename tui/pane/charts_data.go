package pane

import (
	"math"
	"slices"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// reading is a figure that holds for a span of time, in seconds.
type reading struct{ from, to, value float64 }

// how says what stands for a column of a chart into which several readings fall.
type how uint8

const (
	theLast how = iota
	theMost
	theFewest
	theMean
)

// curve is a figure over time: readings by time, that do not overlap. Where there
// is none nobody watched, or there was nothing to know.
type curve struct {
	how      how
	readings []reading
}

// add appends a reading; NaN and spans without length are none.
func (k *curve) add(from, to, value float64) {
	if to > from && !math.IsNaN(value) {
		k.readings = append(k.readings, reading{from, to, value})
	}
}

// at is the figure at a moment; NaN: not known. At the end of the last reading it
// is that one's.
func (k *curve) at(moment float64) float64 {
	i, found := slices.BinarySearchFunc(k.readings, moment, func(s reading, m float64) int {
		switch {
		case s.to <= m:
			return -1
		case s.from > m:
			return 1
		}
		return 0
	})
	if found {
		return k.readings[i].value
	}
	if n := len(k.readings); i == n && n > 0 && moment <= k.readings[n-1].to {
		return k.readings[n-1].value
	}
	return math.NaN()
}

// mean is the mean over a span of time; NaN: not known.
func (k *curve) mean(from, to float64) float64 {
	sum, weight := 0.0, 0.0
	for _, r := range k.readings {
		if w := min(r.to, to) - max(r.from, from); w > 0 {
			sum, weight = sum+r.value*w, weight+w
		}
	}
	return sum / weight
}

// columns spreads the time from one moment to another over n columns; NaN: a gap.
func (k *curve) columns(from, to float64, n int) []float64 {
	out := make([]float64, n)
	step := (to - from) / float64(n)
	first := 0
	for c := range out {
		lo, hi := from+float64(c)*step, from+float64(c+1)*step
		for first < len(k.readings) && k.readings[first].to <= lo {
			first++
		}
		value, weight := math.NaN(), 0.0
		for _, s := range k.readings[first:] {
			if s.from >= hi {
				break
			}
			w := min(s.to, hi) - max(s.from, lo)
			switch {
			case math.IsNaN(value), k.how == theLast:
				value = s.value
			case k.how == theMost:
				value = max(value, s.value)
			case k.how == theFewest:
				value = min(value, s.value)
			case k.how == theMean && weight+w > 0:
				value = (value*weight + s.value*w) / (weight + w)
			}
			weight += w
		}
		out[c] = value
	}
	return out
}

// figures are all that is charted of a kind.
type figures struct {
	from, to float64 // seconds: the time that they are about
	moment   float64 // that is shown, or the last
	seekable bool    // there is a clock: another moment can be shown
	resources, unplaced, instances, up,
	moves, commits, heartbeat curve
	silent bool // nobody sends heartbeats
}

// newFigures has each curve summed up as its figure asks for.
func newFigures() *figures {
	f := &figures{silent: true}
	f.unplaced.how, f.heartbeat.how = theMost, theMost
	f.up.how = theFewest
	f.moves.how, f.commits.how = theMean, theMean
	return f
}

// ofSeries are the figures that a server with a clock has kept.
func ofSeries(clock api.Clock, line api.Timeline, kind string) (*figures, bool) {
	i := slices.IndexFunc(line.Series, func(s api.Series) bool { return s.Resource == kind })
	if i < 0 || !(line.Bucket > 0) || !(line.End > line.Begin) {
		return nil, false
	}
	se := &line.Series[i]
	f := newFigures()
	f.from, f.to, f.seekable = line.Begin, line.End, true
	f.moment = min(max(clock.Now, f.from), f.to) // the clock is asked more often than the timeline
	span := func(i int) (from, to float64) {
		from = line.Begin + float64(i)*line.Bucket
		return from, min(from+line.Bucket, line.End)
	}
	whole := func(k *curve, values []int, perMinute bool) {
		for i, v := range values {
			from, to := span(i)
			value := float64(v)
			if perMinute { // a bucket that has just begun says little
				value *= 60 / max(to-from, line.Bucket/2)
			}
			k.add(from, to, value)
		}
	}
	whole(&f.resources, se.Resources, false)
	whole(&f.unplaced, se.Unplaced, false)
	whole(&f.instances, se.Instances, false)
	whole(&f.up, se.Up, false)
	whole(&f.moves, se.Moves, true)
	whole(&f.commits, se.Commits, true)
	for i, v := range se.HeartbeatAge {
		if from, to := span(i); v >= 0 {
			f.heartbeat.add(from, to, v)
			f.silent = false
		}
	}
	return f, true
}

// ofTrack are the figures that this terminal has watched, seconds before now.
func ofTrack(t *data.Track, s *data.State) (*figures, bool) {
	if t == nil || len(t.Points) == 0 {
		return nil, false
	}
	points := t.Points
	now := s.Now
	if last := points[len(points)-1].At; now.Before(last) {
		now = last
	}
	longest := watchedGap(points)
	f := newFigures()
	f.to = now.Sub(points[0].At).Seconds()
	f.moment = f.to
	for i, p := range points {
		from, until, next := p.At.Sub(points[0].At).Seconds(), now, (*data.Point)(nil)
		if i+1 < len(points) {
			next = &points[i+1]
			until = next.At
		}
		to := until.Sub(points[0].At).Seconds()
		if gap := to-from > longest; gap {
			to, next = from+longest/3, nil
		}
		f.addPoint(p, next, from, to)
	}
	return f, true
}

// addPoint adds what was seen at one look, and what changed until the next.
func (f *figures) addPoint(p data.Point, next *data.Point, from, to float64) {
	f.resources.add(from, to, float64(p.Resources))
	f.unplaced.add(from, to, float64(p.Unplaced))
	f.instances.add(from, to, float64(p.Instances))
	f.up.add(from, to, float64(p.Up))
	if p.HeartbeatAge >= 0 {
		f.heartbeat.add(from, to, p.HeartbeatAge)
		f.silent = false
	}
	if next == nil {
		return
	}
	rate := func(before, after int64) float64 {
		if after < before { // another leader counts from 0
			return math.NaN()
		}
		return float64(after-before) * 60 / (to - from)
	}
	f.moves.add(from, to, rate(p.Moves, next.Moves))
	f.commits.add(from, to, rate(p.Commits, next.Commits))
}

// watchedGap is how many seconds may lie between two looks before that is a gap:
// three times what is usual.
func watchedGap(points []data.Point) float64 {
	var apart []float64
	for i := 1; i < len(points); i++ {
		apart = append(apart, points[i].At.Sub(points[i-1].At).Seconds())
	}
	if len(apart) == 0 {
		return 15
	}
	slices.Sort(apart)
	return max(3*apart[len(apart)/2], 15)
}
