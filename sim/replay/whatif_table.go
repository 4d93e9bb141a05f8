package replay

import (
	"fmt"
	"io"
	"unicode/utf8"

	"dacorch/sim/internal/history"
)

// outcomeRows are the table's rows: what a figure is called, and how it is written.
var outcomeRows = []struct {
	name string
	as   history.Metric // whose unit and writing it has
	of   func(*Outcome) float64
}{
	{"resources at the end", history.Resources, func(o *Outcome) float64 { return float64(o.Resources) }},
	{"instances at the end", history.Instances, func(o *Outcome) float64 { return float64(o.Instances) }},
	{"instances at most", history.Instances, func(o *Outcome) float64 { return float64(o.InstancesMax) }},
	{"instances created", history.InstancesCreated, func(o *Outcome) float64 { return float64(o.Created) }},
	{"instances replaced", history.InstancesReplaced, func(o *Outcome) float64 { return float64(o.Replaced) }},
	{"instances released", history.InstancesReleased, func(o *Outcome) float64 { return float64(o.Released) }},
	{"moves made", history.MovesMade, func(o *Outcome) float64 { return float64(o.MovesMade) }},
	{"moves needed", history.MovesNeeded, func(o *Outcome) float64 { return float64(o.MovesNeeded) }},
	{"moves in excess", history.MovesExcess, func(o *Outcome) float64 { return float64(o.MovesExcess) }},
	{"transactions", history.Transactions, func(o *Outcome) float64 { return float64(o.Transactions) }},
	{"settle time p50", history.SettleTimeP50, func(o *Outcome) float64 { return o.SettleP50S }},
	{"settle time p99", history.SettleTimeP99, func(o *Outcome) float64 { return o.SettleP99S }},
	{"settle time max", history.SettleTimeMax, func(o *Outcome) float64 { return o.SettleMaxS }},
	{"times unowned", history.Transactions, func(o *Outcome) float64 { return float64(o.Unowned) }},
	{"unowned time p50", history.UnownedTimeP50, func(o *Outcome) float64 { return o.UnownedP50S }},
	{"unowned time p99", history.UnownedTimeP99, func(o *Outcome) float64 { return o.UnownedP99S }},
	{"unowned time max", history.UnownedTimeMax, func(o *Outcome) float64 { return o.UnownedMaxS }},
	{"resources unplaced at most", history.ResourcesUnplacedMax, func(o *Outcome) float64 { return float64(o.UnplacedMax) }},
	{"imbalance on average", history.ImbalanceMean, func(o *Outcome) float64 { return o.Imbalance }},
	{"imbalance at the end", history.ImbalanceMaxEnd, func(o *Outcome) float64 { return float64(o.ImbalanceEnd) }},
	{"capacity used at the end", history.CapacityUsedMax, func(o *Outcome) float64 { return o.CapacityUsed }},
	{"capacity used at most, of one", history.CapacityUsedMax, func(o *Outcome) float64 { return o.CapacityMax }},
	{"orders", history.OrchestrationsDone, func(o *Outcome) float64 { return float64(o.Orders) }},
	{"orders refused", history.OrchestrationsRefused, func(o *Outcome) float64 { return float64(o.Refused) }},
	{"alarms", history.Alarms, func(o *Outcome) float64 { return float64(o.Alarms) }},
}

// Table writes the outcomes side by side. asked is the title of the last column.
func (a *Answer) Table(w io.Writer, asked string) error {
	columns := []struct {
		title string
		of    *Outcome
	}{{"recorded", a.Recorded}, {"simulated", a.Simulated}, {asked, a.Asked}}
	if a.Asked == nil {
		columns = columns[:2]
	}
	lines := make([]string, len(outcomeRows)+1)
	wide := 0
	for i, r := range outcomeRows {
		lines[i+1] = r.name
		wide = max(wide, len(r.name))
	}
	for i := range lines {
		lines[i] = fmt.Sprintf("%-*s", wide, lines[i])
	}
	for _, c := range columns {
		cells := []string{c.title}
		for _, r := range outcomeRows {
			cells = append(cells, r.as.Format(r.of(c.of)))
		}
		wide := 0
		for _, cell := range cells {
			wide = max(wide, utf8.RuneCountInString(cell))
		}
		for i, cell := range cells {
			lines[i] += fmt.Sprintf("  %*s", wide, cell)
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
