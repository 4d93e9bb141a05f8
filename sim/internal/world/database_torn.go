package world

import (
	"cmp"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// tornPages is how many pages a torn listing is read in.
const tornPages = 8

// tornListing is a listing that is read page by page, by key: a row that stands
// all the while is in it once, one that comes or goes may be in it or not.
type tornListing struct {
	bounds []string // the first id of each page but the first, ascending
	page   int      // to be read next
	every  time.Duration
}

// SetDelay makes listings take this much longer; 0 ends it. Their rows are as
// much older when they come.
func (d *Database) SetDelay(by time.Duration) { d.slow = by }

// SetTorn makes listings of all rows be read page by page over this time, while
// rows change: a row counts as it is when its page is read. 0 ends it, for
// listings that have not begun.
func (d *Database) SetTorn(over time.Duration) { d.torn = over }

func (d *Database) firstPage(now time.Duration, q *listQuery) {
	ids := make([]string, 0, len(q.table.rows))
	for i := range q.table.rows {
		ids = append(ids, q.table.rows[i].ID)
	}
	slices.Sort(ids)
	q.torn.every = d.torn / (tornPages - 1)
	for i := 1; i < tornPages && len(ids) >= tornPages; i++ {
		q.torn.bounds = append(q.torn.bounds, ids[i*len(ids)/tornPages])
	}
	d.nextPage(now, q)
}

// nextPage reads a page; true when it was the last.
func (d *Database) nextPage(_ time.Duration, q *listQuery) bool {
	t, l := &q.torn, &q.listing
	for _, r := range q.table.rows {
		at, found := slices.BinarySearch(t.bounds, r.ID)
		if found {
			at++
		}
		if at == t.page {
			l.Rows = append(l.Rows, r)
			l.Digest.Add(r)
		}
	}
	t.page++
	if t.page < tornPages {
		d.tl.After(t.every, d, opListPage, 0, q)
		return false
	}
	slices.SortFunc(l.Rows, func(a, b fleet.Resource) int { return cmp.Compare(a.ID, b.ID) })
	return true
}

// fail is the end of a listing during which the database is down.
func (q *listQuery) fail() {
	q.listing.Rows, q.listing.Digest, q.listing.Err = nil, fleet.Digest{}, ErrDatabaseDown
}
