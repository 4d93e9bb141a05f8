package fault

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"dacorch/orchestrator/fleet"
)

// Candidate is one whom a fault can hit, with what conditions compare.
type Candidate struct {
	Instance  fleet.InstanceID
	Resources int           // on its list
	Load      float64       // of its capacity; 1 is full
	Age       time.Duration // of its pod
}

// Condition compares one of a candidate's properties with a number.
type Condition struct {
	Field string  // "instance", "resources", "load" or "age" (in seconds)
	Op    string  // "==", "!=", "<", "<=", ">" or ">="
	Value float64 // in the field's unit
}

// Holds says whether the candidate meets the condition; false for a field or an
// operator that is none.
func (c Condition) Holds(of Candidate) bool {
	var v float64
	switch c.Field {
	case "instance":
		v = float64(of.Instance)
	case "resources":
		v = float64(of.Resources)
	case "load":
		v = of.Load
	case "age":
		v = of.Age.Seconds()
	default:
		return false
	}
	switch c.Op {
	case "==":
		return v == c.Value
	case "!=":
		return v != c.Value
	case "<":
		return v < c.Value
	case "<=":
		return v <= c.Value
	case ">":
		return v > c.Value
	case ">=":
		return v >= c.Value
	}
	return false
}

// Allows says whether a candidate meets all conditions.
func (f *Fault) Allows(c Candidate) bool {
	return !slices.ContainsFunc(f.Where, func(w Condition) bool { return !w.Holds(c) })
}

// Choose answers the instances that the fault hits now, ascending: of the
// candidates that its conditions allow all, or as many as Count or Share say,
// each set equally likely; of these, those whom its die hits. Every choice is
// drawn anew. Who is chosen hardly depends on who else is there: one candidate
// more puts at most one other out.
func (f *Fault) Choose(now time.Duration, candidates []Candidate) []fleet.InstanceID {
	var ids []fleet.InstanceID
	for _, c := range candidates {
		if f.Allows(c) {
			ids = append(ids, c.Instance)
		}
	}
	ids = f.Draw(ids)
	return slices.DeleteFunc(ids, func(id fleet.InstanceID) bool { return !f.Hits(now, id.String()) })
}

// Draw takes as many of the instances as Count or Share say, each set equally
// likely, or all; ascending.
func (f *Fault) Draw(ids []fleet.InstanceID) []fleet.InstanceID {
	slices.Sort(ids)
	drawn := draw(f, ids, fleet.InstanceID.String)
	slices.Sort(drawn)
	return drawn
}

// DrawNames is Draw for what has a name, such as machines; or it answers the one
// that is meant, if it is among them.
func (f *Fault) DrawNames(names []string) []string {
	if f.Name != "" {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name != f.Name })
	}
	slices.Sort(names)
	drawn := draw(f, names, func(s string) string { return s })
	slices.Sort(drawn)
	return drawn
}

// draw gives each element a lot of its own and takes those with the smallest.
func draw[T any](f *Fault, from []T, key func(T) string) []T {
	n := len(from)
	switch {
	case f.Count > 0:
		n = min(f.Count, n)
	case f.Share > 0:
		n = min(int(math.Ceil(f.Share*float64(n)-1e-9)), n) // 30% of 10 is 3, whatever binary fractions say
	}
	f.chose++
	if n == len(from) {
		return slices.Clone(from)
	}
	type lot struct {
		number uint64
		of     T
	}
	lots := make([]lot, len(from))
	choice := strconv.FormatInt(f.chose, 10)
	for i, of := range from {
		lots[i] = lot{f.Stream("choice", choice, key(of)).Uint64(), of}
	}
	slices.SortStableFunc(lots, func(a, b lot) int { return cmp.Compare(a.number, b.number) })
	out := make([]T, n)
	for i := range out {
		out[i] = lots[i].of
	}
	return out
}
