package churn

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// NodeEvent is a machine that joins or leaves, such as a spot instance that is
// granted or taken back.
type NodeEvent struct {
	At   time.Duration // since the scenario's start
	Add  bool          // it joins; else it leaves
	Node string
}

// NodeFormat describes a file of node events: a CSV, one event per row. Columns
// are named as in Format.
type NodeFormat struct {
	File     string // the file's name for messages
	Comma    rune   // what separates columns: one ASCII character; 0: ','
	NoHeader bool   // the first row is data

	At   string // column: when it happens
	Verb string // column: what happens
	Node string // column: to which node

	Add, Remove string // how Verb says that a node joins or leaves; "": "add", "remove"

	Time   string // as in Format
	Origin string // as in Format; "": the earliest event. Events before it happen at 0
	Scale  Scale  // as in Format
	Limit  int    // stops after so many usable rows; 0: reads all
}

func (f NodeFormat) name() string {
	if f.File == "" {
		return "trace"
	}
	return f.File
}

// Validate answers a *fleet.FieldError unless the description makes sense by
// itself. Whether the columns exist is for ReadNodes to say.
func (f NodeFormat) Validate() error {
	for _, c := range [][2]string{{"at", f.At}, {"verb", f.Verb}, {"node", f.Node}} {
		if c[1] == "" {
			return &fleet.FieldError{Field: c[0], Value: `""`, Want: "a column"}
		}
	}
	if add, remove := f.words(); add == remove {
		return &fleet.FieldError{Field: "remove", Value: fmt.Sprintf("%q", remove), Want: "another word than add's"}
	}
	if err := firstError(checkComma(f.Comma), checkLayout(f.Time), f.Scale.Validate(), checkLimit(f.Limit)); err != nil {
		return err
	}
	return checkOrigin(f.Origin, f.Time)
}

func (f NodeFormat) words() (add, remove string) {
	return cmp.Or(f.Add, "add"), cmp.Or(f.Remove, "remove")
}

// ReadNodes reads a file of node events, plain or gzip, and answers them in time
// order, at equal times in the file's. Rows that cannot be used are counted and
// named as by ReadTrace; among them are additions of a node that is there, and
// removals of one that is not. Stats.Initial counts the additions at time 0.
func ReadNodes(r io.Reader, f NodeFormat) ([]NodeEvent, Stats, error) {
	if err := f.Validate(); err != nil {
		return nil, Stats{}, fmt.Errorf("%s: %w", f.name(), err)
	}
	t, err := openTable(r, f.name(), f.Comma, f.NoHeader)
	if err != nil {
		return nil, Stats{}, err
	}
	b := nodeBuilder{clock: newClock(f.Time, f.Scale), names: map[string]string{}}
	b.add, b.remove = f.words()
	for _, c := range []struct {
		field, name string
		into        *int
	}{{"at", f.At, &b.at}, {"verb", f.Verb, &b.verb}, {"node", f.Node, &b.node}} {
		if *c.into, err = t.column(c.field, c.name); err != nil {
			return nil, Stats{}, err
		}
	}
	if err := b.read(t, f.Limit); err != nil {
		return nil, b.tally.stats(), err
	}
	events, err := b.build(f)
	return events, b.tally.stats(), err
}

// nodeRow is an event of the file.
type nodeRow struct {
	at   int64 // µs, in the trace's own time
	line int
	add  bool
	node string
}

type nodeBuilder struct {
	clock          clock
	at, verb, node int // columns
	add, remove    string

	tally tally
	rows  []nodeRow
	names map[string]string // each node's name, kept once
}

func (b *nodeBuilder) read(t *table, limit int) error {
	for limit == 0 || len(b.rows) < limit {
		fields, problem, err := t.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		b.tally.rows++
		switch {
		case problem != "":
			b.tally.skip(brokenRow, t.line, "", problem)
		case len(fields) != t.columns:
			b.tally.skip(wrongColumns, t.line, "", fmt.Sprintf("%d, want %d", len(fields), t.columns))
		default:
			b.keep(t.line, fields)
		}
		if len(b.rows) > maxTraceRows {
			return fmt.Errorf("%s:%d: more than %d rows: want a limit", t.file, t.line, maxTraceRows)
		}
	}
	_, _, err := t.next()
	b.tally.more = err != io.EOF
	return nil
}

// keep keeps the row or counts why not.
func (b *nodeBuilder) keep(line int, fields [][]byte) {
	node, ok := b.names[string(fields[b.node])]
	if !ok {
		node = string(fields[b.node])
		if node == "" {
			b.tally.skip(emptyID, line, "", "")
			return
		}
		if err := fleet.CheckResourceID(node, maxIDBytes); err != nil { // a node's name obeys the same rules
			b.tally.skip(badID, line, node, wanted(err))
			return
		}
		b.names[node] = node
	}
	verb := string(bytes.TrimSpace(fields[b.verb]))
	if verb != b.add && verb != b.remove {
		b.tally.skip(badVerb, line, node, fmt.Sprintf("%q, want %s or %s", shorten(verb), b.add, b.remove))
		return
	}
	when := string(bytes.TrimSpace(fields[b.at]))
	if when == "" {
		b.tally.skip(missingTime, line, node, "")
		return
	}
	at, ok := b.clock.parse(when)
	if !ok {
		b.tally.skip(badTime, line, node, fmt.Sprintf("%q, want %s", shorten(when), b.clock.want()))
		return
	}
	b.rows = append(b.rows, nodeRow{at: at, line: line, add: verb == b.add, node: node})
}

// build brings the rows into time order and drops those that change nothing.
func (b *nodeBuilder) build(f NodeFormat) ([]NodeEvent, error) {
	slices.SortStableFunc(b.rows, func(x, y nodeRow) int { return cmp.Compare(x.at, y.at) })
	if f.Origin != "" {
		b.clock.origin, _ = b.clock.parse(f.Origin) // Validate has parsed it
	} else if len(b.rows) > 0 {
		b.clock.origin = b.rows[0].at
	}
	there := map[string]bool{}
	var events []NodeEvent
	for _, r := range b.rows {
		if there[r.node] == r.add {
			why := notThere
			if r.add {
				why = alreadyThere
			}
			b.tally.skip(why, r.line, r.node, "at "+b.clock.format(r.at))
			continue
		}
		there[r.node] = r.add
		e := NodeEvent{At: b.clock.scenario(r.at), Add: r.add, Node: r.node}
		if e.Add && e.At == 0 {
			b.tally.initial++
		}
		if b.tally.used == 0 {
			b.tally.first = b.clock.format(r.at)
		}
		b.tally.last = b.clock.format(r.at)
		b.tally.used++
		events = append(events, e)
	}
	if b.tally.used == 0 {
		if b.tally.rows == 0 {
			return nil, fmt.Errorf("%s: no rows: want at least one", f.name())
		}
		return nil, fmt.Errorf("%s: none of %d rows can be used: %s", f.name(), b.tally.rows, b.tally.stats().why())
	}
	return events, nil
}
