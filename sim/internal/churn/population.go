package churn

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// Population is the live rows of a kind's table. Adding, removing and picking
// one at random take constant time. It is deterministic: the same calls give
// the same rows in the same order.
type Population struct {
	kind   fleet.Kind
	groups *picker
	stream *timeline.Stream // draws groups

	rows   []*liveRow
	index  map[string]*liveRow // by id; nil until somebody asks for a row by its id
	serial int                 // of the newest synthetic id
}

// liveRow is a row and its place among the rows: one that changes its place is
// not looked up by its id.
type liveRow struct {
	fleet.Resource
	at int
}

// NewPopulation is an empty table. Groups may be nil: rows then have none. The
// error names the group that is not valid.
func NewPopulation(kind fleet.Kind, groups Groups, seed timeline.Seed) (*Population, error) {
	if err := groups.Validate(); err != nil {
		return nil, err
	}
	return &Population{
		kind:   kind,
		groups: newPicker(groups),
		stream: seed.Stream("churn", string(kind), "groups"),
	}, nil
}

// Len is the number of live rows.
func (p *Population) Len() int { return len(p.rows) }

// Has says whether a live row bears this id.
func (p *Population) Has(id string) bool {
	p.byID()
	_, ok := p.index[id]
	return ok
}

// byID makes the index. Rows that only come with synthetic ids and go by chance
// do without: their ids are unique as they are made.
func (p *Population) byID() {
	if p.index != nil {
		return
	}
	p.index = make(map[string]*liveRow, len(p.rows))
	for _, r := range p.rows {
		p.index[r.ID] = r
	}
}

// Rows is a copy of the live rows, in an order that depends only on the calls
// so far.
func (p *Population) Rows() []fleet.Resource { return copyRows(p.rows) }

func copyRows(live []*liveRow) []fleet.Resource {
	rows := make([]fleet.Resource, len(live))
	for i, r := range live {
		rows[i] = r.Resource
	}
	return rows
}

// Seed adds n new rows and returns them. Their ids are "<kind>-<7 digits>",
// counted up and never used twice; their groups are drawn by weight.
func (p *Population) Seed(n int) []fleet.Resource {
	made := make([]fleet.Resource, 0, max(n, 0))
	p.rows = slices.Grow(p.rows, max(n, 0))
	for len(made) < n {
		p.serial++
		row := fleet.Resource{ID: syntheticID(p.kind, p.serial), Group: p.groups.pick(p.stream)}
		if p.index == nil {
			p.append(row)
		} else if !p.Add(row) {
			continue // a trace has brought a row of this very name
		}
		made = append(made, row)
	}
	return made
}

// Add adds a row that bears its own id, as from a trace; false when a live row
// has that id.
func (p *Population) Add(row fleet.Resource) bool {
	if p.Has(row.ID) {
		return false
	}
	p.index[row.ID] = p.append(row)
	return true
}

func (p *Population) append(row fleet.Resource) *liveRow {
	r := &liveRow{Resource: row, at: len(p.rows)}
	p.rows = append(p.rows, r)
	return r
}

// Remove removes a row and returns it; false when there is none of that id.
func (p *Population) Remove(id string) (fleet.Resource, bool) {
	p.byID()
	r, ok := p.index[id]
	if !ok {
		return fleet.Resource{}, false
	}
	p.drop(r)
	return r.Resource, true
}

func (p *Population) drop(r *liveRow) {
	last := len(p.rows) - 1
	p.swap(r.at, last)
	p.rows[last] = nil
	p.rows = p.rows[:last]
	delete(p.index, r.ID)
}

// Take removes n different live rows, or all when there are fewer, each subset
// equally likely, and returns them.
func (p *Population) Take(stream *timeline.Stream, n int) []fleet.Resource {
	taken := make([]fleet.Resource, 0, max(0, min(n, len(p.rows))))
	for len(taken) < cap(taken) {
		r := p.rows[stream.IntN(len(p.rows))]
		taken = append(taken, r.Resource)
		p.drop(r)
	}
	return taken
}

// Sample is n different live rows, or all when there are fewer, each subset
// equally likely. It costs O(n), whatever the number of rows.
func (p *Population) Sample(stream *timeline.Stream, n int) []fleet.Resource {
	n = max(0, min(n, len(p.rows)))
	for i := range n {
		p.swap(i, i+stream.IntN(len(p.rows)-i))
	}
	return copyRows(p.rows[:n])
}

func (p *Population) swap(i, j int) {
	p.rows[i], p.rows[j] = p.rows[j], p.rows[i]
	p.rows[i].at, p.rows[j].at = i, j
}

// syntheticID is "<kind>-<serial>", the serial at least seven digits long.
func syntheticID(kind fleet.Kind, serial int) string {
	id := make([]byte, 0, len(kind)+21)
	id = append(append(id, kind...), '-')
	for least := 1_000_000; least > serial && least > 1; least /= 10 {
		id = append(id, '0')
	}
	return string(strconv.AppendInt(id, int64(serial), 10))
}

// Groups are the groups that new rows belong to. Nil: rows have no group.
type Groups []Group

// Group is a group's name and how often it is drawn in proportion to the others.
type Group struct {
	Name   string
	Weight float64 // > 0
}

// Validate answers an error that names the group unless every name is there
// once and every weight is a positive number.
func (g Groups) Validate() error {
	seen := map[string]bool{}
	for i, group := range g {
		field := fmt.Sprintf("groups[%d]", i)
		switch {
		case group.Name == "":
			return &fleet.FieldError{Field: field + ".name", Value: `""`, Want: "a name"}
		case seen[group.Name]:
			return &fleet.FieldError{Field: field + ".name", Value: fmt.Sprintf("%q", group.Name), Want: "each group once"}
		case !(group.Weight > 0) || math.IsInf(group.Weight, 0):
			return &fleet.FieldError{Field: field + ".weight", Value: fmt.Sprint(group.Weight), Want: "a number above 0"}
		}
		seen[group.Name] = true
	}
	return nil
}

// picker draws a group's name by weight.
type picker struct {
	names []string
	upTo  []float64 // running sum of the weights
}

func newPicker(groups Groups) *picker {
	p := &picker{}
	sum := 0.0
	for _, g := range groups {
		sum += g.Weight
		p.names = append(p.names, g.Name)
		p.upTo = append(p.upTo, sum)
	}
	return p
}

func (p *picker) pick(stream *timeline.Stream) string {
	if len(p.names) == 0 {
		return ""
	}
	last := len(p.names) - 1
	x := stream.Float64() * p.upTo[last]
	return p.names[min(sort.Search(last, func(i int) bool { return x < p.upTo[i] }), last)]
}
