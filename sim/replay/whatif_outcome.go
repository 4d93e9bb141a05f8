package replay

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/sim/internal/history"
)

// Outcome is what came of a stretch of a recording, by what the core was told and
// did, so that a run in production and one in a simulation are measured alike.
type Outcome struct {
	LengthS      float64 `json:"length_s"`
	Resources    int     `json:"resources_end"` // in the table, as far as told
	Instances    int     `json:"instances_end"` // in ZooKeeper
	InstancesMax int     `json:"instances_max"`
	Created      int     `json:"instances_created"`  // by transactions, the first ones included
	Replaced     int     `json:"instances_replaced"` // pods deleted to be created anew
	Released     int     `json:"instances_released"`
	MovesMade    int     `json:"moves_made"`   // times a resource got another instance than its last
	MovesNeeded  int     `json:"moves_needed"` // that plans asked for, each plan the fewest
	MovesExcess  int     `json:"moves_excess"`
	Transactions int     `json:"transactions"` // that happened
	// Settle times are from a message about a row until the transaction that has it
	// on a list, or off it, was answered: what of it a DAC does, the core is not told.
	Settled    int     `json:"settled"`
	SettleP50S float64 `json:"settle_time_p50_s"`
	SettleP99S float64 `json:"settle_time_p99_s"`
	SettleMaxS float64 `json:"settle_time_max_s"`
	// Unowned times are how long a resource that had been on an instance whose pod
	// ran was on none, or on one whose pod did not run or had not read its list.
	Unowned     int     `json:"unowned"`
	UnownedP50S float64 `json:"unowned_time_p50_s"`
	UnownedP99S float64 `json:"unowned_time_p99_s"`
	UnownedMaxS float64 `json:"unowned_time_max_s"`
	// Imbalance is the fullest less the emptiest instance as a share of the mean, on
	// average over time; and in resources at the end.
	Imbalance    float64 `json:"imbalance_mean"`
	ImbalanceEnd int     `json:"imbalance_end"`
	CapacityUsed float64 `json:"capacity_used_end"` // of all instances together
	CapacityMax  float64 `json:"capacity_used_max"` // that an instance ever had
	UnplacedMax  int     `json:"unplaced_max"`      // resources on no list at once, once all had a place
	Orders       int     `json:"orders"`
	Refused      int     `json:"orders_refused"`
	Alarms       int     `json:"alarms"` // that lasted for a second or more
}

// outcome measures a recording from one moment to another, on its clock.
func (rec *Recording) outcome(from, to time.Duration) (*Outcome, error) {
	g := &gauges{from: from, to: to, kinds: map[fleet.Kind]*gauge{}}
	for i := range rec.Rows {
		for _, k := range rec.Rows[i].Header.Kinds {
			if g.kinds[k.Config.Kind] == nil {
				g.names = append(g.names, k.Config.Kind)
				g.kinds[k.Config.Kind] = &gauge{gauges: g, machines: map[int]*twin{}, sent: map[int]reconcile.Commit{},
					asked: map[question]asking{}, places: map[uint64]place{}, slots: map[fleet.InstanceID]*standing{}, alarms: map[string]time.Duration{}}
			}
		}
	}
	if err := rec.passed(func(m moment) error {
		if m.now > to {
			return nil
		}
		return g.kinds[m.kind].moment(m)
	}, func(string) {}); err != nil {
		return nil, err
	}
	return g.outcome(), nil
}

// gauges measure all kinds.
type gauges struct {
	from, to time.Duration
	names    []fleet.Kind
	kinds    map[fleet.Kind]*gauge
	settle   history.Histogram
	unowned  history.Histogram
	followed int // resources
	now      time.Duration
}

// outcome adds the kinds up: counts add, the rest is that of the worst kind.
func (g *gauges) outcome() *Outcome {
	o := &Outcome{LengthS: (g.to - g.from).Seconds()}
	var used, capacity int
	for _, name := range g.names {
		k := g.kinds[name]
		k.finish(g.to)
		o.Resources += k.on + k.waiting
		o.Instances += k.instances
		o.InstancesMax += k.out.InstancesMax
		o.Created += k.out.Created
		o.Replaced += k.out.Replaced
		o.Released += k.out.Released
		o.MovesMade += k.out.MovesMade
		o.MovesNeeded += max(k.out.MovesNeeded, 0)
		o.MovesExcess += max(k.out.MovesMade-max(k.out.MovesNeeded, 0), 0)
		o.Transactions += k.out.Transactions
		o.Orders += k.out.Orders
		o.Refused += k.out.Refused
		o.Alarms += k.out.Alarms
		o.UnplacedMax = max(o.UnplacedMax, k.out.UnplacedMax)
		o.CapacityMax = max(o.CapacityMax, k.out.CapacityMax)
		o.Imbalance = max(o.Imbalance, k.out.Imbalance)
		o.ImbalanceEnd = max(o.ImbalanceEnd, k.out.ImbalanceEnd)
		used, capacity = used+k.used, capacity+k.capacity
	}
	if capacity > 0 {
		o.CapacityUsed = float64(used) / float64(capacity)
	}
	o.Settled, o.Unowned = int(g.settle.Count()), int(g.unowned.Count())
	o.SettleP50S, o.SettleP99S, o.SettleMaxS = quantiles(&g.settle)
	o.UnownedP50S, o.UnownedP99S, o.UnownedMaxS = quantiles(&g.unowned)
	return o
}

func quantiles(h *history.Histogram) (p50, p99, most float64) {
	return h.Quantile(0.5).Seconds(), h.Quantile(0.99).Seconds(), h.Max().Seconds()
}
