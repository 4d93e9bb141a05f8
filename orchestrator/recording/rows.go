package recording

import (
	"fmt"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// manyRows is from how many rows on their ids are kept out of the table of
// strings: they would push everything else out of it.
const manyRows = wordsMost / 4

// listed writes a listing. One of the whole table is written as a change of the
// one before, which costs a byte or two where nothing has changed.
func (e *encoder) listed(ev *reconcile.Listed) {
	e.uint(ev.Req)
	e.string(ev.Err)
	e.int(int64(ev.Digest.Count))
	e.uint(ev.Digest.IDs)
	e.uint(ev.Digest.Groups)
	last := &e.lists[e.kind]
	whole := wholeTable(ev)
	if !whole || !last.known || !e.changed(last, ev) {
		id := (*encoder).string
		if len(ev.Rows) > manyRows {
			id = (*encoder).unkept
		}
		e.byte(rowsPlain)
		e.resources(ev.Rows, id)
	}
	if whole {
		last.remember(ev)
	}
}

// wholeTable says that a listing was of all rows: only then it has a digest.
func wholeTable(ev *reconcile.Listed) bool { return ev.Err == "" && ev.Digest.Count > 0 }

func (l *listing) remember(ev *reconcile.Listed) {
	if l.known && l.digest == ev.Digest && len(l.rows) == len(ev.Rows) {
		return
	}
	l.known, l.digest = true, ev.Digest
	l.rows = append(l.rows[:0], ev.Rows...)
}

// changed writes rows as a change of those listed before; false, and nothing
// written, where they do not ascend. Equal digests spare it from looking: a port
// lists ascending, so the rows are the same.
func (e *encoder) changed(last *listing, ev *reconcile.Listed) bool {
	old, rows := last.rows, ev.Rows
	if last.digest == ev.Digest && len(rows) > 0 && len(old) == len(rows) && same(old, rows) {
		e.byte(rowsSame)
		e.count(rowsKeep)
		e.count(len(rows))
		e.count(rowsEnd)
		return true
	}
	if len(rows) == 0 || !ascend(rows) || !ascend(old) {
		return false
	}
	e.byte(rowsSame)
	for len(old)+len(rows) > 0 {
		kept := 0
		for kept < len(old) && kept < len(rows) && old[kept] == rows[kept] {
			kept++
		}
		e.run(rowsKeep, kept)
		old, rows = old[kept:], rows[kept:]
		gone := 0
		for gone < len(old) && (len(rows) == 0 || old[gone].Compare(rows[0]) < 0) {
			gone++
		}
		e.run(rowsDrop, gone)
		old = old[gone:]
		come := 0
		for come < len(rows) && (len(old) == 0 || rows[come].Compare(old[0]) < 0) {
			come++
		}
		e.run(rowsAdd, come)
		for i := range rows[:come] {
			e.string(rows[i].ID)
			e.string(rows[i].Group)
		}
		rows = rows[come:]
	}
	e.count(rowsEnd)
	return true
}

func (e *encoder) run(what, n int) {
	if n > 0 {
		e.count(what)
		e.count(n)
	}
}

// same spot-checks rows that have one digest: the ends and the middle.
func same(a, b []fleet.Resource) bool {
	for _, i := range [...]int{0, len(a) / 2, len(a) - 1} {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func ascend(rows []fleet.Resource) bool {
	for i := 1; i < len(rows); i++ {
		if rows[i-1].Compare(rows[i]) >= 0 {
			return false
		}
	}
	return true
}

// listed reads a listing.
func (d *decoder) listed() reconcile.Listed {
	ev := reconcile.Listed{Req: d.uint(), Err: d.string()}
	ev.Digest = fleet.Digest{Count: int(d.int()), IDs: d.uint(), Groups: d.uint()}
	switch how := d.byte(); how {
	case rowsPlain:
		ev.Rows = d.resources()
	case rowsSame:
		ev.Rows = d.changed(&d.lists[d.kind])
	default:
		d.fail(fmt.Errorf("rows are written in no way that is known (%d)", how))
	}
	if wholeTable(&ev) && d.err == nil {
		d.lists[d.kind].remember(&ev)
	}
	return ev
}

func (d *decoder) changed(last *listing) []fleet.Resource {
	if !last.known {
		d.fail(fmt.Errorf("a listing changes one that is not there"))
		return nil
	}
	old, rows := last.rows, make([]fleet.Resource, 0, len(last.rows))
	for d.err == nil {
		what := d.uint()
		if what == rowsEnd {
			return rows
		}
		n := d.length()
		if what != rowsAdd && n > len(old) {
			d.fail(fmt.Errorf("a listing speaks of %d rows of the one before, which has %d left", n, len(old)))
			return nil
		}
		switch what {
		case rowsKeep:
			rows, old = append(rows, old[:n]...), old[n:]
		case rowsDrop:
			old = old[n:]
		case rowsAdd:
			for range n {
				rows = append(rows, fleet.Resource{ID: d.string(), Group: d.string()})
				if d.err != nil {
					return nil
				}
			}
		default:
			d.fail(fmt.Errorf("a listing is changed in no way that is known (%d)", what))
		}
	}
	return nil
}
