package churn

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"dacorch/orchestrator/fleet"
)

const (
	maxIDBytes   = 512        // longer ids are no ids
	maxTraceRows = 20_000_000 // a few GB while reading; Limit and Where reach further
	forever      = math.MaxInt64
)

// life is when a row is there: from created until before deleted, in µs of the
// trace's own time.
type life struct {
	created, deleted int64 // deleted is forever for a row that lives on
	line             uint32
	shared, dropped  bool // shared: another row bears the same id
}

// traceBuilder gathers the rows of a file. rows and lives run in parallel, in
// file order.
type traceBuilder struct {
	columns *columns
	clock   clock
	tally   tally

	rows   []fleet.Resource
	lives  []life
	ids    arena
	byID   map[string]int32  // id → the first row that bears it
	groups map[string]string // each group's name, kept once
	joined []byte            // the id being put together
}

func (b *traceBuilder) read(t *table, limit int) error {
	for limit == 0 || len(b.rows) < limit {
		fields, problem, err := t.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		b.tally.rows++
		if problem != "" {
			b.tally.skip(brokenRow, t.line, "", problem)
			continue
		}
		b.add(t, fields)
		if len(b.rows) > maxTraceRows {
			return fmt.Errorf("%s:%d: more than %d rows: want a limit, or a where that keeps fewer", t.file, t.line, maxTraceRows)
		}
	}
	_, _, err := t.next()
	b.tally.more = err != io.EOF
	return nil
}

// add keeps the row or counts why not.
func (b *traceBuilder) add(t *table, fields [][]byte) {
	c := b.columns
	if len(fields) != t.columns {
		b.tally.skip(wrongColumns, t.line, "", fmt.Sprintf("%d, want %d", len(fields), t.columns))
		return
	}
	for _, w := range c.where {
		if string(fields[w.column]) != w.value {
			b.tally.filtered++
			return
		}
	}
	id, ok := b.id(t, fields)
	if !ok {
		return
	}
	created, ok := b.time(t, fields[c.created], id, missingCreated, badCreated)
	if !ok {
		return
	}
	deleted := int64(forever)
	if c.deleted >= 0 && len(bytes.TrimSpace(fields[c.deleted])) > 0 {
		if deleted, ok = b.time(t, fields[c.deleted], id, badDeleted, badDeleted); !ok {
			return
		}
	}
	if deleted < created {
		b.tally.skip(deletedFirst, t.line, id, fmt.Sprintf("created %s, deleted %s", fields[c.created], fields[c.deleted]))
		return
	}
	group, ok := b.group(t, fields, id)
	if !ok {
		return
	}
	l := life{created: created, deleted: deleted, line: uint32(t.line)}
	if first, ok := b.byID[id]; ok {
		l.shared, b.lives[first].shared = true, true
	} else {
		b.byID[id] = int32(len(b.rows))
	}
	b.rows = append(b.rows, fleet.Resource{ID: id, Group: group})
	b.lives = append(b.lives, l)
}

func (b *traceBuilder) id(t *table, fields [][]byte) (string, bool) {
	b.joined = b.joined[:0]
	empty := true
	for i, column := range b.columns.id {
		if i > 0 {
			b.joined = append(b.joined, '-')
		}
		empty = empty && len(fields[column]) == 0
		b.joined = append(b.joined, fields[column]...)
	}
	if empty {
		b.tally.skip(emptyID, t.line, "", "")
		return "", false
	}
	if len(b.joined) > maxIDBytes {
		b.tally.skip(badID, t.line, string(b.joined), fmt.Sprintf("want at most %d bytes, not %d", maxIDBytes, len(b.joined)))
		return "", false
	}
	id := b.ids.keep(b.joined)
	if err := fleet.CheckResourceID(id, maxIDBytes); err != nil {
		b.tally.skip(badID, t.line, id, wanted(err))
		return "", false
	}
	return id, true
}

func (b *traceBuilder) time(t *table, field []byte, id string, missing, bad reason) (int64, bool) {
	field = bytes.TrimSpace(field)
	if len(field) == 0 {
		b.tally.skip(missing, t.line, id, "")
		return 0, false
	}
	at, ok := b.clock.parse(string(field))
	if !ok {
		b.tally.skip(bad, t.line, id, fmt.Sprintf("%q, want %s", shorten(string(field)), b.clock.want()))
	}
	return at, ok
}

func (b *traceBuilder) group(t *table, fields [][]byte, id string) (string, bool) {
	if b.columns.group < 0 || len(fields[b.columns.group]) == 0 {
		return "", true
	}
	field := fields[b.columns.group]
	if group, ok := b.groups[string(field)]; ok {
		return group, true
	}
	group := string(field)
	if err := fleet.CheckResourceID(group, maxIDBytes); err != nil { // a group's name obeys the same rules
		b.tally.skip(badGroup, t.line, id, fmt.Sprintf("%q, %s", shorten(group), wanted(err)))
		return "", false
	}
	b.groups[group] = group
	return group, true
}

// dropOverlaps skips each row whose id is still taken when its life begins.
func (b *traceBuilder) dropOverlaps() {
	b.byID = nil
	var shared []int32
	for i, l := range b.lives {
		if l.shared {
			shared = append(shared, int32(i))
		}
	}
	slices.SortFunc(shared, func(i, j int32) int {
		l, m := b.lives[i], b.lives[j]
		return cmp.Or(strings.Compare(b.rows[i].ID, b.rows[j].ID), cmp.Compare(l.created, m.created),
			cmp.Compare(l.deleted, m.deleted), cmp.Compare(i, j))
	})
	holder := int32(-1) // the row that had the id last
	for _, i := range shared {
		l := &b.lives[i]
		if holder >= 0 && b.rows[holder].ID == b.rows[i].ID && l.created < b.lives[holder].deleted {
			l.dropped = true
		} else {
			holder = i
		}
	}
	slices.Sort(shared) // examples in file order
	for _, i := range shared {
		if b.lives[i].dropped {
			b.tally.skip(overlaps, int(b.lives[i].line), b.rows[i].ID, "")
		}
	}
}

// begin settles the trace's time that is the scenario's 0, and skips the rows
// that are gone by then.
func (b *traceBuilder) begin(f Format) error {
	first, last := int64(forever), int64(math.MinInt64)
	for _, l := range b.lives {
		if !l.dropped {
			first = min(first, l.created)
		}
	}
	b.clock.origin = first
	if f.Origin != "" {
		b.clock.origin, _ = b.clock.parse(f.Origin) // Validate has parsed it
	}
	first = forever
	for i := range b.lives {
		l := &b.lives[i]
		switch {
		case l.dropped:
			continue
		case l.deleted <= b.clock.origin:
			l.dropped = true
			b.tally.skip(goneByOrigin, int(l.line), b.rows[i].ID, "deleted "+b.clock.format(l.deleted))
			continue
		case l.created <= b.clock.origin:
			b.tally.initial++
		}
		b.tally.used++
		first, last = min(first, l.created), max(last, l.created)
		if l.deleted != forever {
			last = max(last, l.deleted)
		}
	}
	if b.tally.used > 0 {
		b.tally.first, b.tally.last = b.clock.format(first), b.clock.format(last)
		return nil
	}
	if b.tally.rows == 0 {
		return fmt.Errorf("%s: no rows: want at least one", f.name())
	}
	return fmt.Errorf("%s: none of %d rows can be used: %s", f.name(), b.tally.rows, b.tally.stats().why())
}

// build makes the trace of the rows that are left.
func (b *traceBuilder) build(name string) *Trace {
	t := &Trace{name: name, clock: b.clock}
	t.rows = make([]fleet.Resource, 0, b.tally.used)
	t.initial = make([]fleet.Resource, 0, b.tally.initial)
	t.events = make([]traceEvent, 0, 2*b.tally.used-b.tally.initial)
	for i, l := range b.lives {
		if l.dropped {
			continue
		}
		row := int32(len(t.rows))
		t.rows = append(t.rows, b.rows[i])
		switch {
		case l.created <= b.clock.origin:
			t.initial = append(t.initial, b.rows[i])
		case l.created == l.deleted:
			t.events = append(t.events, traceEvent{at: l.created, row: row, order: moment})
			continue
		default:
			t.events = append(t.events, traceEvent{at: l.created, row: row, order: creation})
		}
		if l.deleted != forever {
			t.events = append(t.events, traceEvent{at: l.deleted, row: row, order: deletion})
		}
	}
	slices.SortFunc(t.events, func(x, y traceEvent) int {
		return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.order, y.order), cmp.Compare(x.row, y.row))
	})
	return t
}

// arena keeps short strings in few large allocations.
type arena struct{ chunk strings.Builder }

func (a *arena) keep(s []byte) string {
	if a.chunk.Cap()-a.chunk.Len() < len(s) {
		a.chunk = strings.Builder{}
		a.chunk.Grow(max(64<<10, len(s)))
	}
	from := a.chunk.Len()
	a.chunk.Write(s)
	return a.chunk.String()[from:]
}

// wanted is what a *fleet.FieldError asks for.
func wanted(err error) string {
	var f *fleet.FieldError
	if errors.As(err, &f) {
		return "want " + f.Want
	}
	return err.Error()
}
