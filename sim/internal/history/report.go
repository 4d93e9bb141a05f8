package history

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
)

// SettledName is the name of the invariant that after heal everything settles.
const SettledName = "settled"

// Report is everything that a run has shown. Its JSON field names are stable;
// those of times end in their unit.
type Report struct {
	Scenario string `json:"scenario"`
	About    string `json:"about,omitempty"`
	Seed     uint64 `json:"seed"`

	VirtualS float64 `json:"virtual_s"`        // simulated time, seconds
	WallS    float64 `json:"wall_s,omitempty"` // real time, seconds; zero: not measured
	Events   uint64  `json:"events"`
	Records  uint64  `json:"trace_records"`
	Trace    string  `json:"trace"`          // "sha256:…", see Trace.Sum; empty for a run in real time
	Real     bool    `json:"real,omitempty"` // in real time, over real protocols: nothing was simulated but the DACs

	Kinds  []KindFigures `json:"kinds"`
	Totals Figures       `json:"totals"`

	Expectations []Expectation `json:"expectations"`

	// Invariants names every invariant that was checked, with how often it broke.
	Invariants []InvariantCount `json:"invariants"`
	Violations []Violation      `json:"violations"` // the first ones

	// Slowest are the slowest settlements and the longest times without an owner,
	// for each kind the slowest first.
	Slowest       []Slow         `json:"slowest"`
	Distributions []Distribution `json:"distributions"`

	HealS   float64   `json:"heal_s,omitempty"` // when faults stopped, seconds; zero: never
	Pending []Pending `json:"pending"`          // what was not settled at the end

	Skipped []Skipped `json:"skipped,omitempty"` // input that could not be used
	Notes   []string  `json:"notes,omitempty"`   // what else a reader must know of the run
}

// KindFigures are the figures of one kind.
type KindFigures struct {
	Kind    fleet.Kind `json:"kind"`
	Figures Figures    `json:"figures"`
}

// Expectation is one line of a scenario's expect: and what became of it.
type Expectation struct {
	Text  string  `json:"text"`            // as the scenario has it
	Value float64 `json:"value"`           // what the metric was, in its unit
	Shown string  `json:"shown,omitempty"` // the value for people; Value when empty
	Met   bool    `json:"met"`
}

// InvariantCount says how often an invariant broke.
type InvariantCount struct {
	Name   string `json:"name"`
	Broken uint64 `json:"broken"`
}

// Violation is one break of an invariant.
type Violation struct {
	At        time.Duration `json:"at_ns"`
	Kind      fleet.Kind    `json:"kind"`
	Invariant string        `json:"invariant"`
	Reason    string        `json:"reason"`
}

// Slow is a settlement that was slow, or a long time without an owner, and why.
type Slow struct {
	Kind     fleet.Kind    `json:"kind"`
	Resource string        `json:"resource"`
	What     string        `json:"what"` // settle, delete, recover (after a failure) or move (otherwise)
	From     time.Duration `json:"from_ns"`
	Took     time.Duration `json:"took_ns"`
	Open     bool          `json:"open,omitempty"` // not over when the run ended
	Instance int           `json:"instance"`       // whose list held it then; -1: none's
	Why      string        `json:"why"`
}

// Distribution is how a kind's times of one measure are spread: Counts[i] of them
// are above BoundsS[i-1] and at most BoundsS[i], in seconds; the last bound is the
// longest of all.
type Distribution struct {
	Kind    fleet.Kind `json:"kind"`
	Measure string     `json:"measure"` // settle_time, unowned_time, overlap_time, detection_time
	BoundsS []float64  `json:"bounds_s"`
	Counts  []uint64   `json:"counts"`
}

// Pending is a group of resources that are not settled for the same reason.
type Pending struct {
	Kind  fleet.Kind    `json:"kind"`
	Why   string        `json:"why"`
	Count int           `json:"count"`
	Since time.Duration `json:"since_ns"` // when the first of them came unsettled
	IDs   []string      `json:"ids"`      // the first few, in order
}

// Skipped counts the rows of a trace that could not be used, by reason.
type Skipped struct {
	File    string `json:"file"`
	Why     string `json:"why"`
	Rows    int    `json:"rows"`
	Example string `json:"example,omitempty"` // the first such row, with its line
}

// Metric is the value of a metric by its name: over all kinds ("alarms"), or of
// one ("Thing.alarms"). Times are in seconds. It answers false for a name that
// is no metric, and for a kind that the run did not have.
func (r *Report) Metric(name string) (float64, bool) {
	kind, metric, ofKind := strings.Cut(name, ".")
	if !ofKind {
		metric = name
	}
	m, ok := ParseMetric(metric)
	if !ok {
		return 0, false
	}
	if !ofKind {
		return r.Totals[m], true
	}
	for i := range r.Kinds {
		if string(r.Kinds[i].Kind) == kind {
			return r.Kinds[i].Figures[m], true
		}
	}
	return 0, false
}

// Speed is simulated time over real time; zero when that was not measured.
func (r *Report) Speed() float64 {
	if r.WallS <= 0 {
		return 0
	}
	return r.VirtualS / r.WallS
}

// OK says whether every expectation was met and no invariant broke.
func (r *Report) OK() bool {
	for _, e := range r.Expectations {
		if !e.Met {
			return false
		}
	}
	return r.broken() == 0
}

// broken is how often invariants broke, all together.
func (r *Report) broken() uint64 {
	var n uint64
	for _, c := range r.Invariants {
		n += c.Broken
	}
	return n
}

// JSON writes the report as one indented object, lists never null. The field
// "speed" is added when wall_s was measured.
func (r *Report) JSON(w io.Writer) error {
	full := *r
	full.Kinds = notNil(full.Kinds)
	full.Expectations = notNil(full.Expectations)
	full.Invariants = notNil(full.Invariants)
	full.Violations = notNil(full.Violations)
	full.Pending = notNil(full.Pending)
	full.Slowest = notNil(full.Slowest)
	full.Distributions = notNil(full.Distributions)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Report
		OK    bool    `json:"ok"`
		Speed float64 `json:"speed,omitempty"`
	}{full, r.OK(), r.Speed()})
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
