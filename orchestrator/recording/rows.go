package recording

import (
	"fmt"
	"slices"

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
	if whole && last.known {
		e.changed(last.rows, ev.Rows)
	} else {
		id := (*encoder).string
		if n := len(ev.Rows); n > manyRows {
			id = (*encoder).unkept
			e.buf = slices.Grow(e.buf, n*(len(ev.Rows[0].ID)+8))
		}
		e.byte(rowsPlain)
		e.resources(ev.Rows, id)
	}
	if whole {
		last.remember(ev)
	}
}

// wholeTable says that a listing was of all rows: only then it has a digest.
func wholeTable(ev *reconcile.Listed) bool {
	return ev.Err == "" && ev.Digest.Count > 0 && ev.Rows != nil
}

func (l *listing) remember(ev *reconcile.Listed) {
	l.known = true
	l.rows = append(l.rows[:0], ev.Rows...)
}

// changed writes rows as a change of those listed before. It is right for any
// order; short where both ascend, as a port lists them, or where single rows have
// taken others' places.
func (e *encoder) changed(old, rows []fleet.Resource) {
	e.byte(rowsSame)
	differ := byPlace
	for whole := true; len(old)+len(rows) > 0; {
		kept := 0
		for kept < len(old) && kept < len(rows) && old[kept] == rows[kept] {
			kept++
		}
		e.run(rowsKeep, kept)
		if old, rows = old[kept:], rows[kept:]; whole {
			if whole = false; ascend(old) && ascend(rows) {
				differ = byOrder
			}
		}
		gone, come := differ(old, rows)
		e.run(rowsDrop, gone)
		e.run(rowsAdd, come)
		for i := range rows[:come] {
			e.string(rows[i].ID)
			e.string(rows[i].Group)
		}
		old, rows = old[gone:], rows[come:]
	}
	e.count(rowsEnd)
}

func (e *encoder) run(what, n int) {
	if n > 0 {
		e.count(what)
		e.count(n)
	}
}

// byOrder answers how many of the old rows go, and how many new ones come in
// their place, where both ascend and the first of each differ.
func byOrder(old, rows []fleet.Resource) (gone, come int) {
	for gone < len(old) && (len(rows) == 0 || old[gone].Compare(rows[0]) < 0) {
		gone++
	}
	for come < len(rows) && (gone == len(old) || rows[come].Compare(old[gone]) < 0) {
		come++
	}
	return gone, come
}

// byPlace is byOrder where rows keep their place, but for those that have taken
// another's.
func byPlace(old, rows []fleet.Resource) (gone, come int) {
	for n := range min(len(old), len(rows)) {
		if old[n] == rows[n] {
			return n, n
		}
	}
	return len(old), len(rows)
}

func ascend(rows []fleet.Resource) bool {
	return slices.IsSortedFunc(rows, fleet.Resource.Compare)
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
		d.remember(&ev)
	}
	return ev
}

func (d *decoder) remember(ev *reconcile.Listed) {
	last := &d.lists[d.kind]
	d.kept -= last.bytes
	last.bytes = 0
	for i := range ev.Rows {
		last.bytes += rowBytes + len(ev.Rows[i].ID) + len(ev.Rows[i].Group)
	}
	if d.kept += last.bytes; d.kept > d.most {
		d.fail(fmt.Errorf("the listings of all kinds take more than %d MiB of memory", d.most>>20))
		return
	}
	last.remember(ev)
}

const rowBytes = 32 // the strings apart

func (d *decoder) changed(last *listing) []fleet.Resource {
	if !last.known {
		d.fail(fmt.Errorf("a listing changes one that is not there"))
		return nil
	}
	d.spend(rowBytes * len(last.rows))
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
				d.spend(rowBytes)
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
