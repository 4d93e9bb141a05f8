package replay

import (
	"maps"
	"slices"
	"time"

	"dacorch/scenarios"
)

// latencies are how long the steps of the surroundings took, by the latency of
// the scenario's world that they decide.
type latencies map[string]*samples

// samples are measurements of one step.
type samples struct {
	took []time.Duration // the first ones
	next int             // from then on, the place that is taken next
}

const (
	maxSamples   = 4096
	leastSamples = 3 // fewer say nothing
)

func (l latencies) add(name string, took time.Duration) {
	s := l[name]
	if s == nil {
		s = &samples{}
		l[name] = s
	}
	if took < 0 {
		return
	}
	if len(s.took) < maxSamples {
		s.took = append(s.took, took)
		return
	}
	s.took[s.next] = took
	s.next = (s.next + 1) % maxSamples
}

// mean is that of a step, or what stands for it while it was not measured.
func (l latencies) mean(name string, usual time.Duration) time.Duration {
	if got, ok := l.measured(name); ok {
		return got.Mean
	}
	return usual
}

// measured is the shortest, the mean and the longest, without those that are far
// beyond the most: something was wrong with them.
func (l latencies) measured(name string) (got scenarios.Latency, ok bool) {
	s := l[name]
	if s == nil || len(s.took) < leastSamples {
		return got, false
	}
	sorted := slices.Sorted(slices.Values(s.took))
	most := 20 * max(sorted[len(sorted)/2], time.Millisecond)
	var sum time.Duration
	n := 0
	for _, d := range sorted {
		if d <= most {
			sum, got.Max = sum+d, d
			n++
		}
	}
	got.Name, got.Min, got.Mean = name, sorted[0], sum/time.Duration(n)
	return got, true
}

// shares are how a round trip that was measured is divided into the world's steps,
// in hundredths, after taking off what other steps take of it.
var shares = map[string]struct {
	of   map[string]int
	less string // the mean of this step is part of it
}{
	"zookeeper.request":  {of: map[string]int{"zookeeper.request": 70, "zookeeper.answer": 30}},
	"zookeeper.readTree": {of: map[string]int{"zookeeper.readTree": 100}, less: "zookeeper.request"},
	"database.answer":    {of: map[string]int{"database.query": 20, "database.answer": 80}},
	"kubernetes.request": {of: map[string]int{"kubernetes.request": 66, "kubernetes.answer": 34}},
	"kubernetes.start":   {of: map[string]int{"kubernetes.schedule": 10, "kubernetes.start": 90}},
	"kubernetes.delete":  {of: map[string]int{"kubernetes.delete": 100}},
	"dac.load":           {of: map[string]int{"dac.load": 100}, less: "zookeeper.request"},
	"dac.apply":          {of: map[string]int{"dac.apply": 100}, less: "zookeeper.request"},
}

// world is how fast the surroundings were, as far as the recording shows.
func (l latencies) world() scenarios.World {
	var w scenarios.World
	for _, d := range scenarios.LatencyDefaults {
		w.Latencies = append(w.Latencies, d.Latency)
	}
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		got, ok := l.measured(name)
		if !ok {
			continue
		}
		if less := shares[name].less; less != "" {
			part := l.mean(less, 0)
			got.Min, got.Mean, got.Max = max(got.Min-part, 0), max(got.Mean-part, 0), max(got.Max-part, 0)
		}
		for step, hundredths := range shares[name].of {
			at := slices.IndexFunc(w.Latencies, func(x scenarios.Latency) bool { return x.Name == step })
			w.Latencies[at] = scenarios.Latency{Name: step,
				Min: share(got.Min, hundredths), Mean: share(got.Mean, hundredths), Max: share(got.Max, hundredths)}
		}
	}
	return w
}

// share is so many hundredths, to 10 µs, and at most what a scenario takes.
func share(d time.Duration, hundredths int) time.Duration {
	return (min(d, 24*time.Hour) * time.Duration(hundredths) / 100).Round(10 * time.Microsecond)
}
