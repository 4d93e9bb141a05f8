package sweep

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"dacorch/scenarios"
)

// Variant is one column of a comparison: a scenario with something changed.
type Variant struct {
	Name     string
	Scenario *scenarios.Scenario
}

// CompareOptions say what to set beside each other.
type CompareOptions struct {
	Play
	Variants []Variant
	Seeds    int // each variant is played under the seeds From … From+Seeds-1
	From     uint64
	Jobs     int                // runs at a time; 0: as many as there are cores
	Watch    func(done, of int) // unless nil, is told of each run that ends
}

// Comparison is a table of what each variant came to.
type Comparison struct {
	Scenario string   `json:"scenario"`
	Seeds    int      `json:"seeds"`
	From     uint64   `json:"seed_from"`
	Variants []string `json:"variants"`
	// Failed is in how many runs of each variant an invariant broke or something
	// did not settle.
	Failed []int `json:"failed"`
	Rows   []Row `json:"metrics"`
}

// Row is one metric of all variants.
type Row struct {
	Metric string `json:"metric"`
	Unit   string `json:"unit"`
	Cells  []Cell `json:"variants"`
}

// Cell is the spread of a metric over the seeds; durations are in seconds.
type Cell struct {
	Min    float64 `json:"min"`
	P10    float64 `json:"p10"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	Max    float64 `json:"max"`
}

// compared are the metrics of a comparison, those that there are, in its order.
var compared = []string{
	"instances", "instances_created", "moves_made", "moves_excess", "imbalance_max_end", "capacity_used_max",
	"settle_time_p50", "settle_time_p99", "settle_time_max", "recover_time_p99", "recover_time_max",
	"resources_unplaced_max", "unowned_time_p99", "unowned_time_max", "overlap_time_p99", "overlap_time_max",
	"detection_time_max", "instances_replaced", "instances_replaced_needlessly", "transactions", "transactions_conflicted",
	"orchestration_time_max", "alarms",
}

// Compare plays every variant under the same seeds. The error is the context's,
// or that a variant cannot be played.
func Compare(ctx context.Context, opts CompareOptions) (*Comparison, error) {
	if opts.Jobs <= 0 {
		opts.Jobs = runtime.GOMAXPROCS(0)
	}
	total := opts.Seeds * len(opts.Variants)
	outs := make([]Outcome, total) // variant by variant
	var next atomic.Int64
	var mu sync.Mutex
	var failed error
	done := 0
	var workers sync.WaitGroup
	for range opts.Jobs {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < total; i = int(next.Add(1)) - 1 {
				sc := clone(opts.Variants[i/opts.Seeds].Scenario)
				sc.Seed = opts.From + uint64(i%opts.Seeds)
				out, err := opts.Play.Run(ctx, sc)
				outs[i] = out
				mu.Lock()
				if done++; err != nil && failed == nil {
					failed = err
				} else if out.Report == nil && failed == nil {
					failed = fmt.Errorf("%s, seed %d: %s", opts.Variants[i/opts.Seeds].Name, sc.Seed, out.Failures[0].Reason)
				}
				stop := failed != nil
				if opts.Watch != nil && !stop {
					opts.Watch(done, total)
				}
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	workers.Wait()
	if failed != nil {
		return nil, failed
	}
	return tabulate(opts, outs), nil
}

// tabulate makes the table of outcomes that come variant by variant.
func tabulate(opts CompareOptions, outs []Outcome) *Comparison {
	c := &Comparison{Scenario: opts.Variants[0].Scenario.Name, Seeds: opts.Seeds, From: opts.From}
	for v := range opts.Variants {
		c.Variants = append(c.Variants, opts.Variants[v].Name)
		n := 0
		for _, o := range outs[v*opts.Seeds : (v+1)*opts.Seeds] {
			if len(o.Failures) > 0 {
				n++
			}
		}
		c.Failed = append(c.Failed, n)
	}
	for _, name := range compared {
		m, ok := scenarios.MetricNamed(name)
		if !ok {
			continue
		}
		row, zero := Row{Metric: name, Unit: string(m.Unit)}, true
		for v := range opts.Variants {
			cell := spread(outs[v*opts.Seeds:(v+1)*opts.Seeds], name)
			row.Cells = append(row.Cells, cell)
			zero = zero && cell.Max == 0
		}
		if !zero {
			c.Rows = append(c.Rows, row)
		}
	}
	return c
}

func spread(outs []Outcome, metric string) Cell {
	var values []float64
	for _, o := range outs {
		if v, ok := o.Report.Metric(metric); ok && !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return Cell{}
	}
	slices.Sort(values)
	at := func(q float64) float64 { return values[int(math.Round(q*float64(len(values)-1)))] } // the nearest that was
	return Cell{Min: at(0), P10: at(0.1), Median: at(0.5), P90: at(0.9), Max: at(1)}
}

// Table writes the comparison for people: the median, and from the 10th to the
// 90th percentile where they differ.
func (c *Comparison) Table(w io.Writer) error {
	cells := [][]string{append([]string{""}, c.Variants...)}
	failed := []string{"runs failed"}
	for _, n := range c.Failed {
		failed = append(failed, fmt.Sprintf("%d of %d", n, c.Seeds))
	}
	for _, r := range c.Rows {
		m, _ := scenarios.MetricNamed(r.Metric)
		line := []string{r.Metric}
		for _, cell := range r.Cells {
			s := m.Format(cell.Median)
			if cell.P10 != cell.P90 {
				s += fmt.Sprintf(" (%s-%s)", m.Format(cell.P10), m.Format(cell.P90))
			}
			line = append(line, s)
		}
		cells = append(cells, line)
	}
	cells = append(cells, failed)
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, s := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(s))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seeds %d to %d: medians, and the 10th to the 90th percentile where they differ\n\n", c.Scenario, c.From, c.From+uint64(c.Seeds)-1)
	for _, line := range cells {
		for i, s := range line {
			fmt.Fprintf(&b, "%s%*s", s, widths[i]-utf8.RuneCountInString(s)+2, "")
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, trimmed(b.String()))
	return err
}

// trimmed has no blanks at the ends of lines.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
