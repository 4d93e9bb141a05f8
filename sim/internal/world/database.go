package world

import (
	"errors"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// ErrDatabaseDown answers a listing while the database is down.
var ErrDatabaseDown = errors.New("database: connection refused")

// Database holds the rows of every kind. Changes take effect at once; listings
// are answered after a latency with the rows of one moment inside it.
type Database struct {
	tl            *timeline.Timeline
	query, answer delay
	tables        map[fleet.Kind]*table
	down          bool
}

// Listing answers List. IDs and Rows are good only during the callback.
type Listing struct {
	Kind fleet.Kind
	Ref  uint64           // as given to List
	IDs  []string         // as given to List; nil for all rows
	Rows []fleet.Resource // by id, ascending
	At   time.Duration    // the moment at which the rows were read
	Err  error            // nil, or ErrDatabaseDown
}

// NewDatabase is an empty database. The configuration must be valid.
func NewDatabase(tl *timeline.Timeline, seed timeline.Seed, cfg DatabaseConfig) *Database {
	return &Database{
		tl:     tl,
		query:  delay{cfg.Query, seed.Stream("world", "database", "query")},
		answer: delay{cfg.Answer, seed.Stream("world", "database", "answer")},
		tables: map[fleet.Kind]*table{},
	}
}

// Insert adds a row; false, and nothing changes, when its id exists.
func (d *Database) Insert(kind fleet.Kind, r fleet.Resource) bool {
	t := d.table(kind)
	if _, ok := t.groups[r.ID]; ok {
		return false
	}
	t.groups[r.ID] = r.Group
	t.touch(r.ID)
	return true
}

// Update changes a row's group; false when there is no such row.
func (d *Database) Update(kind fleet.Kind, r fleet.Resource) bool {
	t := d.table(kind)
	if _, ok := t.groups[r.ID]; !ok {
		return false
	}
	t.groups[r.ID] = r.Group
	t.touch(r.ID)
	return true
}

// Delete removes a row; false when there is no such row.
func (d *Database) Delete(kind fleet.Kind, id string) bool {
	t := d.table(kind)
	if _, ok := t.groups[id]; !ok {
		return false
	}
	delete(t.groups, id)
	t.touch(id)
	return true
}

// Len counts the kind's rows.
func (d *Database) Len(kind fleet.Kind) int { return len(d.table(kind).groups) }

// Has says whether a row exists.
func (d *Database) Has(kind fleet.Kind, id string) bool {
	_, ok := d.table(kind).groups[id]
	return ok
}

// Get is one row.
func (d *Database) Get(kind fleet.Kind, id string) (fleet.Resource, bool) {
	group, ok := d.table(kind).groups[id]
	return fleet.Resource{ID: id, Group: group}, ok
}

// SetDown makes listings fail (true) or succeed again. Rows still change.
func (d *Database) SetDown(down bool) { d.down = down }

// List reads all rows of a kind, or with ids those of them that exist. done is
// called once, with ref handed back. ids must not change until then.
func (d *Database) List(kind fleet.Kind, ids []string, ref uint64, done func(now time.Duration, l *Listing)) {
	q := &listQuery{table: d.table(kind), listing: Listing{Kind: kind, Ref: ref, IDs: ids}, done: done}
	d.tl.After(d.query.draw(), d, opListRead, 0, q)
}

const (
	opListRead uint32 = iota
	opListAnswer
)

type listQuery struct {
	table   *table
	listing Listing
	buf     *rowBuffer
	done    func(time.Duration, *Listing)
}

// Handle is the database's part of the timeline.
func (d *Database) Handle(now time.Duration, op uint32, _ int64, data any) {
	q := data.(*listQuery)
	if op == opListAnswer {
		q.done(now, &q.listing)
		if q.buf != nil {
			q.table.release(q.buf)
		}
		return
	}
	q.listing.At = now
	switch {
	case d.down:
		q.listing.Err = ErrDatabaseDown
	case q.listing.IDs == nil:
		q.buf = q.table.snapshot()
		q.listing.Rows = q.buf.rows
	default:
		q.listing.Rows = q.table.pick(q.listing.IDs)
	}
	d.tl.After(d.answer.draw(), d, opListAnswer, 0, q)
}

func (d *Database) table(kind fleet.Kind) *table {
	t := d.tables[kind]
	if t == nil {
		t = &table{groups: map[string]string{}, sorted: &rowBuffer{}}
		d.tables[kind] = t
	}
	return t
}

// table holds a kind's rows in a map, and their order as of the last snapshot:
// a snapshot merges the ids changed since into it.
type table struct {
	groups  map[string]string // by id
	sorted  *rowBuffer
	changed []string // ids touched since sorted was made; may repeat
	spare   []*rowBuffer
}

// rowBuffer is rows sorted by id, and how many unanswered listings read them.
type rowBuffer struct {
	rows    []fleet.Resource
	readers int
}

func (t *table) touch(id string) {
	t.changed = append(t.changed, id)
	if len(t.changed) > 1024 && len(t.changed) > 2*len(t.groups) {
		t.compact() // nobody lists: keep no more than the rows themselves warrant
	}
}

func (t *table) compact() {
	slices.Sort(t.changed)
	t.changed = slices.Compact(t.changed)
	if len(t.changed) > len(t.groups) {
		t.merge()
	}
}

// snapshot is the table now. release gives it back.
func (t *table) snapshot() *rowBuffer {
	if len(t.changed) > 0 {
		slices.Sort(t.changed)
		t.changed = slices.Compact(t.changed)
		t.merge()
	}
	t.sorted.readers++
	return t.sorted
}

func (t *table) release(b *rowBuffer) {
	b.readers--
	if b.readers == 0 && b != t.sorted {
		t.spare = append(t.spare, b)
	}
}

// merge brings sorted up to date. The runs of rows between two changed ids are
// copied whole.
func (t *table) merge() {
	old := t.sorted
	next := &rowBuffer{}
	if n := len(t.spare); n > 0 {
		next, t.spare = t.spare[n-1], t.spare[:n-1]
	}
	rest, out := old.rows, slices.Grow(next.rows[:0], len(t.groups))
	for _, id := range t.changed {
		i, found := seek(rest, id)
		out = append(out, rest[:i]...)
		if found {
			i++
		}
		rest = rest[i:]
		if group, ok := t.groups[id]; ok {
			out = append(out, fleet.Resource{ID: id, Group: group})
		}
	}
	next.rows = append(out, rest...)
	t.sorted = next
	clear(t.changed)
	t.changed = t.changed[:0]
	if old.readers == 0 {
		t.spare = append(t.spare, old)
	}
}

// seek is a binary search whose bounds gallop from the front: the next changed
// id is usually near.
func seek(rows []fleet.Resource, id string) (int, bool) {
	bound := 1
	for bound < len(rows) && rows[bound].ID < id {
		bound *= 2
	}
	from := bound / 2
	i, found := slices.BinarySearchFunc(rows[from:min(bound+1, len(rows))], id, func(r fleet.Resource, id string) int {
		return strings.Compare(r.ID, id)
	})
	return from + i, found
}

func (t *table) pick(ids []string) []fleet.Resource {
	rows := make([]fleet.Resource, 0, len(ids))
	for _, id := range ids {
		if group, ok := t.groups[id]; ok {
			rows = append(rows, fleet.Resource{ID: id, Group: group})
		}
	}
	slices.SortFunc(rows, fleet.Resource.Compare)
	return slices.Compact(rows)
}
