package invariant

import (
	"cmp"
	"slices"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// Live is what a kind looks like now.
type Live struct {
	Resources int // rows in the database
	Instances int // in ZooKeeper
	Unplaced  int // rows that no list holds
	Unsettled int // rows that not exactly one DAC runs
	Pending   int // ids that are not settled: those rows, and what remains of deleted ones
}

// Live answers what a kind looks like now, in constant time; all zero for a
// kind that is not configured.
func (c *Checker) Live(kind fleet.Kind) Live {
	for _, k := range c.kinds {
		if k.cfg.Kind == kind {
			return Live{Resources: k.rows, Instances: k.exist, Unplaced: k.unplaced, Unsettled: k.unsettled, Pending: k.pendings}
		}
	}
	return Live{}
}

// Started says that a kind's start is over: every row that was there has run,
// or is gone, and a DAC works.
func (c *Checker) Started(kind fleet.Kind) bool {
	for _, k := range c.kinds {
		if k.cfg.Kind == kind {
			return k.started
		}
	}
	return false
}

// Figures are the metrics of every kind, in the configured order, and of all
// together. Times of all kinds together come from the merged histograms, and
// the most unplaced of all is the most at one moment. Call it after End.
func (c *Checker) Figures() ([]history.KindFigures, history.Figures) {
	var all measures
	kinds := make([]history.KindFigures, len(c.kinds))
	for n, k := range c.kinds {
		f := k.counted
		f[history.Resources] = float64(k.rows)
		f[history.Instances] = float64(k.exist)
		f[history.MovesExcess] = max(f[history.MovesMade]-f[history.MovesNeeded], 0)
		f[history.ResourcesUnplacedMax] = float64(k.unplacedMax)
		f[history.ResourcesUnplacedEnd] = float64(k.unplaced)
		f[history.UnsettledEnd] = float64(k.unsettled + k.idleEnd)
		f[history.ImbalanceMaxEnd] = float64(k.imbalanceEnd)
		f[history.CapacityUsedMax] = k.capacityMax
		f[history.Violations] = float64(k.broken)
		f[history.ImbalanceMean] = k.loads.mean()
		k.measures.into(&f)
		all.merge(&k.measures)
		kinds[n] = history.KindFigures{Kind: k.cfg.Kind, Figures: f}
	}
	total := history.Sum(kinds)
	all.into(&total)
	total[history.ResourcesUnplacedMax] = float64(c.unplacedMax)
	total[history.Violations] = 0
	for _, n := range c.counts {
		total[history.Violations] += float64(n)
	}
	return kinds, total
}

// measures are the times of a kind, or of all.
type measures struct {
	settle    history.Histogram
	recover   history.Histogram // those times without an owner that follow a failure
	outage    history.Histogram // all times without an owner
	overlap   history.Histogram
	detection history.Histogram
}

func (m *measures) merge(other *measures) {
	m.settle.Merge(&other.settle)
	m.recover.Merge(&other.recover)
	m.outage.Merge(&other.outage)
	m.overlap.Merge(&other.overlap)
	m.detection.Merge(&other.detection)
}

func (m *measures) into(f *history.Figures) {
	f[history.SettleTimeP50] = m.settle.Quantile(0.50).Seconds()
	f[history.SettleTimeP99] = m.settle.Quantile(0.99).Seconds()
	f[history.SettleTimeMax] = m.settle.Max().Seconds()
	f[history.RecoverTimeP99] = m.recover.Quantile(0.99).Seconds()
	f[history.RecoverTimeMax] = m.recover.Max().Seconds()
	f[history.UnownedTimeP50] = m.outage.Quantile(0.50).Seconds()
	f[history.UnownedTimeP99] = m.outage.Quantile(0.99).Seconds()
	f[history.UnownedTimeMax] = m.outage.Max().Seconds()
	f[history.OverlapTimeP50] = m.overlap.Quantile(0.50).Seconds()
	f[history.OverlapTimeP99] = m.overlap.Quantile(0.99).Seconds()
	f[history.OverlapTimeMax] = m.overlap.Max().Seconds()
	f[history.DetectionTimeP50] = m.detection.Quantile(0.50).Seconds()
	f[history.DetectionTimeP99] = m.detection.Quantile(0.99).Seconds()
	f[history.DetectionTimeMax] = m.detection.Max().Seconds()
}

// Distributions are for each kind all its times, for plots. A measure that has
// none is left out. Call it after End.
func (c *Checker) Distributions() []history.Distribution {
	var all []history.Distribution
	for _, k := range c.kinds {
		for _, m := range []struct {
			name  string
			times *history.Histogram
		}{
			{"settle_time", &k.settle}, {"unowned_time", &k.outage}, {"overlap_time", &k.overlap}, {"detection_time", &k.detection},
		} {
			if m.times.Count() > 0 {
				all = append(all, m.times.Distribution(k.cfg.Kind, m.name))
			}
		}
	}
	return all
}

// imbalance is the number of resources on the fullest instance less that on the
// emptiest. Where resources have groups, only instances that hold the same group
// are compared with each other, and the largest difference counts.
func (k *kindState) imbalance() int {
	grouped := false
	for i := range k.recs {
		grouped = grouped || k.recs[i].group != ""
	}
	if !grouped {
		return k.spread()
	}
	type share struct {
		group string
		by    fleet.InstanceID
	}
	var shares []share
	for i := range k.recs {
		for _, by := range k.owners(int32(i)) {
			shares = append(shares, share{k.recs[i].group, by})
		}
	}
	slices.SortFunc(shares, func(a, b share) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.by, b.by))
	})
	worst, low, high := 0, 0, 0
	for from := 0; from < len(shares); {
		to := from
		for to < len(shares) && shares[to] == shares[from] {
			to++
		}
		if n := to - from; from > 0 && shares[from-1].group == shares[from].group {
			low, high = min(low, n), max(high, n)
		} else {
			low, high = n, n
		}
		worst = max(worst, high-low)
		from = to
	}
	return worst
}

// spread is the most less the fewest resources on an instance.
func (k *kindState) spread() int {
	low, high, seen := 0, 0, false
	for i := range k.instances {
		in := &k.instances[i]
		if !in.exists {
			continue
		}
		if !seen {
			low, high, seen = in.used, in.used, true
		}
		low, high = min(low, in.used), max(high, in.used)
	}
	return high - low
}
