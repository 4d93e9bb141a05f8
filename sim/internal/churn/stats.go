package churn

import (
	"fmt"
	"strings"
)

// Stats says what became of a file's rows: Rows = Used + Filtered + those in
// Skipped. Blank lines are no rows.
type Stats struct {
	Rows     int // read
	Used     int
	Filtered int    // not what Format.Where keeps
	Skipped  []Skip // those that cannot be used, by reason; the reasons in fixed order
	Initial  int    // used rows that exist at the scenario's start
	First    string // the earliest time of a used row, as the file writes times
	Last     string // the latest, creation or deletion
	More     bool   // Limit ended the reading before the file's end
}

// Skip is the rows that cannot be used for one reason.
type Skip struct {
	Reason   string
	Count    int
	Examples []Example // the first few
}

// Example is one row that cannot be used.
type Example struct {
	Line   int    // in the file, from 1; where the row begins
	ID     string // empty when it could not be told; long ones are cut
	Detail string // what is wrong with it, where Reason does not say it all
}

// SkippedRows counts the rows that cannot be used, whatever the reason.
func (s Stats) SkippedRows() int {
	n := 0
	for _, skip := range s.Skipped {
		n += skip.Count
	}
	return n
}

// String reads `deleted before created: 12 rows, such as line 17, id "x": …`.
func (s Skip) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s", s.Reason, plural(s.Count, "row"))
	for i, e := range s.Examples {
		if i == 0 {
			out.WriteString(", such as ")
		} else {
			out.WriteString("; ")
		}
		fmt.Fprintf(&out, "line %d", e.Line)
		if e.ID != "" {
			fmt.Fprintf(&out, ", id %q", e.ID)
		}
		if e.Detail != "" {
			out.WriteString(": " + e.Detail)
		}
	}
	return out.String()
}

// why explains a file of which nothing can be used.
func (s Stats) why() string {
	var parts []string
	if s.Filtered > 0 {
		parts = append(parts, plural(s.Filtered, "row")+" not what where keeps")
	}
	for _, skip := range s.Skipped {
		skip.Examples = skip.Examples[:1]
		parts = append(parts, skip.String())
	}
	return strings.Join(parts, "; ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// reason is why a row cannot be used.
type reason uint8

const (
	brokenRow reason = iota
	wrongColumns
	emptyID
	badID
	missingCreated
	badCreated
	badDeleted
	deletedFirst
	badGroup
	overlaps
	goneByOrigin
	missingTime
	badTime
	badVerb
	alreadyThere
	notThere
	reasons // how many there are
)

var reasonNames = [reasons]string{
	brokenRow:      "not a CSV row",
	wrongColumns:   "wrong number of columns",
	emptyID:        "empty id",
	badID:          "id that no list can hold",
	missingCreated: "no time of creation",
	badCreated:     "malformed time of creation",
	badDeleted:     "malformed time of deletion",
	deletedFirst:   "deleted before created",
	badGroup:       "malformed group",
	overlaps:       "overlaps an earlier row of the same id",
	goneByOrigin:   "deleted by the time of the origin",
	missingTime:    "no time",
	badTime:        "malformed time",
	badVerb:        "neither an addition nor a removal",
	alreadyThere:   "addition of a node that is there",
	notThere:       "removal of a node that is not there",
}

const (
	maxExamples = 5
	maxShown    = 60 // bytes of the file's own text in an example
)

// tally counts rows as they are read.
type tally struct {
	rows, used, filtered, initial int
	first, last                   string
	more                          bool
	skips                         [reasons]Skip
}

func (t *tally) skip(r reason, line int, id, detail string) {
	s := &t.skips[r]
	s.Reason = reasonNames[r]
	s.Count++
	if len(s.Examples) < maxExamples {
		s.Examples = append(s.Examples, Example{Line: line, ID: shorten(id), Detail: detail})
	}
}

func (t *tally) stats() Stats {
	s := Stats{Rows: t.rows, Used: t.used, Filtered: t.filtered, Initial: t.initial, First: t.first, Last: t.last, More: t.more}
	for _, skip := range t.skips {
		if skip.Count > 0 {
			s.Skipped = append(s.Skipped, skip)
		}
	}
	return s
}

// shorten cuts text from a file to what an example shows. It copies, so that
// the example keeps nothing else in memory.
func shorten(s string) string {
	if len(s) <= maxShown {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}
