package invariant

import "time"

// loads counts instances by how many resources they hold, so that the fullest,
// the emptiest and the mean are at hand after every change.
type loads struct {
	by        []int32 // how many instances hold so many
	n, sum    int     // instances, and resources on them
	low, high int

	// the imbalance over time, in seconds
	area, over float64
	since      time.Duration
}

// imbalance is the fullest less the emptiest instance, as a share of the mean.
func (l *loads) imbalance() float64 {
	if l.sum == 0 {
		return 0
	}
	return float64(l.high-l.low) * float64(l.n) / float64(l.sum)
}

// pass adds the time until now, unless the kind is still starting.
func (l *loads) pass(now time.Duration, counts bool) {
	if counts {
		d := (now - l.since).Seconds()
		l.area += d * l.imbalance()
		l.over += d
	}
	l.since = now
}

// mean is the imbalance over the time that has passed.
func (l *loads) mean() float64 {
	if l.over == 0 {
		return 0
	}
	return l.area / l.over
}

// move notes that an instance held so many and now holds so many; -1: it did not,
// or does not, exist.
func (l *loads) move(from, to int) {
	if from == to {
		return
	}
	if to >= 0 {
		for to >= len(l.by) {
			l.by = append(l.by, 0)
		}
		l.by[to]++
		if l.n++; l.n == 1 {
			l.low, l.high = to, to
		}
		l.sum += to
		l.low, l.high = min(l.low, to), max(l.high, to)
	}
	if from >= 0 {
		l.by[from]--
		l.n--
		l.sum -= from
		for l.n > 0 && l.by[l.low] == 0 {
			l.low++
		}
		for l.n > 0 && l.by[l.high] == 0 {
			l.high--
		}
	}
}

// weigh brings the loads to an instance's list.
func (k *kindState) weigh(in *instance) {
	load := -1
	if in.exists {
		load = in.used
	}
	k.loads.move(in.weighed-1, load)
	in.weighed = load + 1
}
