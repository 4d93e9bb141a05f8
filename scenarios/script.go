package scenarios

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Churn is how a kind's rows change: exactly one of Rates, Burst, Day and Trace
// is set.
type Churn struct {
	Kind  string
	Rates *Rates
	Burst *Burst
	Day   *Day
	Trace *Trace
	// From and Until bound the entry: it acts at From ≤ t < Until. Until is Heal
	// unless the entry says otherwise; a trace's From is 0. A burst has its own
	// times: From is its start, Until its end.
	From, Until time.Duration
}

// The words of Rates.Arrivals.
const (
	Poisson  = "poisson"  // independent of each other, with the rate as their mean
	Constant = "constant" // evenly spaced
)

// Rates changes rows one at a time. At least one rate is above 0.
type Rates struct {
	Create, Delete, Update Rate
	Arrivals               string // Poisson or Constant
}

// The words of Burst.Verb.
const (
	Create = "create"
	Update = "update"
	Delete = "delete"
)

// The words of Burst.Condition.
const (
	ConditionIDs   = "ids"   // the message names the ids
	ConditionOther = "other" // the message names a condition of the database's own
)

// Burst changes many rows in a short time.
type Burst struct {
	Count int           // rows, ≥ 1
	Verb  string        // Create, Update or Delete
	Over  time.Duration // evenly spread over this time; 0 at once
	// Bulk is how many rows one statement changes: they are announced in one bc,
	// bu or bd. 0 changes and announces each row alone (c, u or d).
	Bulk      int
	Condition string // of a bulk update or delete: ConditionIDs or ConditionOther; else empty
}

// Day is rates that swing between trough and peak in a cosine, with arrivals
// independent of each other.
type Day struct {
	Create, Delete, Update Swing
	Period                 time.Duration // from peak to peak
	PeakAt                 time.Duration // offset of a peak in the period; 0 ≤ PeakAt < Period
}

// Swing bounds a swinging rate: 0 ≤ Trough ≤ Peak.
type Swing struct{ Peak, Trough Rate }

// Table says how a trace file is read: text in rows and columns, plain or gzip
// (told by its first bytes), quoted as in RFC 4180.
type Table struct {
	File   string // as written, or as set
	Path   string // File as seen from where Load was told the scenario lies
	Source string // what the file is, and where its origin is named: for the error when it is missing
	Header bool   // the first row names the columns; else they are "1", "2", …
	Comma  rune   // between two columns
	Time   Clock  // how the file writes times
	Scale  Scale  // the file's time against the scenario's
	// Origin is the file's time that falls on the start of the run, in the file's
	// own writing (Time.Parse reads it); empty: the earliest time in the file.
	Origin string
	Limit  int // at most so many rows are used, in the order of the file; 0: all
}

// Match is a condition on a row: the column holds the one value of Values.
type Match struct {
	Column string
	Values []string
}

// Trace creates and deletes rows as a file says: each of its rows is one
// resource's life. A resource created before the origin exists at the start, or
// is skipped if it was deleted before it.
type Trace struct {
	Table
	ID      []string // the columns whose values, joined by "-", are the id
	Created string   // the column of the time of creation
	Deleted string   // the column of the time of deletion; empty, or an empty value: never
	Group   string   // the column of the group; empty: none
	Where   []Match  // rows that match all are used; in the order of the file
}

// Nodes are the nodes on which pods can run: Count of them for the whole run, or
// where that is 0, coming and going as a file says. A pod on a node that goes is
// lost with it; one that fits on no node is Pending.
type Nodes struct {
	Count int // nodes named node-0, node-1, …; then there is no Table
	Table
	At      string // the column of the time
	Node    string // the column of the node's name
	Action  string // the column that says whether the node comes or goes
	Add     string // the value of Action for a node that comes
	Remove  string // the value of Action for a node that goes
	PerNode int    // pods that one node holds, ≥ 1
}

// NodeName is what the node of a number is called where nodes are counted.
func NodeName(number int) string { return fmt.Sprint("node-", number) }

// Could says whether there could be a node of this name: always, where a file says
// which there are.
func (n *Nodes) Could(name string) bool {
	number, err := strconv.Atoi(strings.TrimPrefix(name, "node-"))
	return n.Count == 0 || err == nil && number >= 0 && number < n.Count && NodeName(number) == name
}

// words are the counted nodes for people.
func (n *Nodes) words() string {
	if n.Count == 1 {
		return NodeName(0)
	}
	return NodeName(0) + " to " + NodeName(n.Count-1)
}

// OrderKind names what an operator asks for.
type OrderKind string

// The orders.
const (
	Orchestrate OrderKind = "orchestrate" // re-orchestrate
	Drain       OrderKind = "drain"       // empty an instance and keep it empty
	Undrain     OrderKind = "undrain"     // let it have resources again
	Replace     OrderKind = "replace"     // delete its pod and create it anew
	Maintenance OrderKind = "maintenance" // pause or resume every automatic action
)

// Order is something that an operator does.
type Order struct {
	What OrderKind
	At   time.Duration
	Kind string

	Instance            int  // of Drain, Undrain and Replace
	MaxInstances        int  // of Orchestrate; 0: not given
	ResourcePerInstance int  // of Orchestrate; 0: not given
	On                  bool // of Maintenance
}

// Subject is what an order is about: a later one about the same takes it back.
func (o *Order) Subject() Order {
	s := Order{Kind: o.Kind, Instance: o.Instance, What: o.What}
	if o.What == Undrain {
		s.What = Drain
	}
	return s
}

// place makes the table's path from where the scenario lies.
func (t *Table) place(scenario string, set bool) {
	switch {
	case set || filepath.IsAbs(t.File):
		t.Path = filepath.Clean(t.File)
	default:
		t.Path = filepath.Join(filepath.Dir(scenario), filepath.FromSlash(t.File))
	}
}
