package world

import (
	"errors"
	"slices"
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
	slow, torn    time.Duration
}

// Listing answers List. IDs and Rows are good only during the callback.
type Listing struct {
	Kind   fleet.Kind
	Ref    uint64           // as given to List
	IDs    []string         // as given to List; nil for all rows
	Rows   []fleet.Resource // in a stable order that is not that of the ids
	At     time.Duration    // the moment at which the rows, or the last page of them, were read
	Digest fleet.Digest     // of Rows, when they are all rows
	Err    error            // nil, or ErrDatabaseDown
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
	if _, ok := t.pos[r.ID]; ok {
		return false
	}
	t.pos[r.ID] = int32(len(t.rows))
	t.rows = append(t.rows, r)
	t.digest.Add(r)
	return true
}

// Update changes a row's group; false when there is no such row.
func (d *Database) Update(kind fleet.Kind, r fleet.Resource) bool {
	t := d.table(kind)
	i, ok := t.pos[r.ID]
	if ok {
		t.digest.Remove(t.rows[i])
		t.rows[i].Group = r.Group
		t.digest.Add(t.rows[i])
	}
	return ok
}

// Delete removes a row; false when there is no such row.
func (d *Database) Delete(kind fleet.Kind, id string) bool {
	t := d.table(kind)
	i, ok := t.pos[id]
	if !ok {
		return false
	}
	t.digest.Remove(t.rows[i])
	last := len(t.rows) - 1
	if int(i) != last {
		t.rows[i] = t.rows[last]
		t.pos[t.rows[i].ID] = i
	}
	t.rows[last] = fleet.Resource{}
	t.rows = t.rows[:last]
	delete(t.pos, id)
	return true
}

// Len counts the kind's rows.
func (d *Database) Len(kind fleet.Kind) int { return len(d.table(kind).rows) }

// Has says whether a row exists.
func (d *Database) Has(kind fleet.Kind, id string) bool {
	_, ok := d.table(kind).pos[id]
	return ok
}

// Get is one row.
func (d *Database) Get(kind fleet.Kind, id string) (fleet.Resource, bool) {
	t := d.table(kind)
	i, ok := t.pos[id]
	if !ok {
		return fleet.Resource{}, false
	}
	return t.rows[i], true
}

// Rows are a kind's rows as they stand now, in stable order. The slice is the
// table's own: it is good until the next change, and must not be changed.
func (d *Database) Rows(kind fleet.Kind) []fleet.Resource { return d.table(kind).rows }

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
	opListPage
)

type listQuery struct {
	table   *table
	listing Listing
	done    func(time.Duration, *Listing)
	torn    tornListing
}

// Handle is the database's part of the timeline.
func (d *Database) Handle(now time.Duration, op uint32, _ int64, data any) {
	q := data.(*listQuery)
	if op == opListAnswer {
		q.done(now, &q.listing)
		if q.listing.IDs == nil && q.listing.Err == nil {
			q.table.release(q.listing.Rows)
		}
		return
	}
	q.listing.At = now
	switch {
	case d.down:
		q.fail()
	case op == opListPage:
		if !d.nextPage(now, q) {
			return
		}
	case q.listing.IDs == nil && d.torn > 0:
		d.firstPage(now, q)
		return
	case q.listing.IDs == nil:
		q.listing.Rows, q.listing.Digest = q.table.snapshot(), q.table.digest
	default:
		q.listing.Rows = q.table.pick(q.listing.IDs)
	}
	d.tl.After(d.answer.draw()+d.slow, d, opListAnswer, 0, q)
}

func (d *Database) table(kind fleet.Kind) *table {
	t := d.tables[kind]
	if t == nil {
		t = &table{pos: map[string]int32{}}
		d.tables[kind] = t
	}
	return t
}

// table holds a kind's rows in a stable order: that of insertion, with the last
// taking the place of one that is deleted.
type table struct {
	rows   []fleet.Resource
	pos    map[string]int32
	digest fleet.Digest
	spare  [][]fleet.Resource // buffers that no listing reads
}

// snapshot copies the rows into a buffer that release takes back.
func (t *table) snapshot() []fleet.Resource {
	var buf []fleet.Resource
	if n := len(t.spare); n > 0 {
		buf, t.spare = t.spare[n-1], t.spare[:n-1]
	}
	return append(buf[:0], t.rows...)
}

func (t *table) release(buf []fleet.Resource) {
	t.spare = append(t.spare, buf)
}

func (t *table) pick(ids []string) []fleet.Resource {
	found := make([]int32, 0, len(ids))
	for _, id := range ids {
		if i, ok := t.pos[id]; ok {
			found = append(found, i)
		}
	}
	slices.Sort(found)
	rows := make([]fleet.Resource, 0, len(found))
	for _, i := range slices.Compact(found) {
		rows = append(rows, t.rows[i])
	}
	return rows
}
