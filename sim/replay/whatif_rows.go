package replay

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dacorch/orchestrator/fleet"
)

// maxLives bounds the rows of a recording that a simulation is made of.
const maxLives = 4 << 20

// maxRowID is the longest id that a trace file's reader takes, in bytes.
const maxRowID = 512

// errManyLives says that a recording tells of too many rows.
var errManyLives = fmt.Errorf("the recording tells of more than %d rows: too many to be simulated in memory", maxLives)

// announced is how long a notification is on its way by the world's defaults:
// the row has changed so long before the core was told.
const announced = 15 * time.Millisecond

// life is when a row is in the table.
type life struct {
	id, group string
	from, to  time.Duration // on the recording's clock; below 0: since before it, and for ever
}

// rows is a kind's table over time, as far as the core was told of it.
type rows struct {
	lives  []life
	live   map[string]int32         // by id: in the table as far as told
	ended  map[string]time.Duration // deletions told of since the last question to the database
	listed bool                     // the whole table has been read
	digest fleet.Digest             // of what is live; groups count for nothing

	found, lost int // rows that came and went, and only a listing told
	bulk        int // rows of bulk messages
	updated     int
	unnamed     int // messages that name no rows
	bad         int // ids that cannot be simulated
}

func newRows() *rows { return &rows{live: map[string]int32{}, ended: map[string]time.Duration{}} }

// begin puts a row into the table.
func (r *rows) begin(row fleet.Resource, at time.Duration) error {
	if len(r.lives) == maxLives {
		return errManyLives
	}
	if fleet.CheckResourceID(row.ID, maxRowID) != nil || row.Group != "" && fleet.CheckResourceID(row.Group, maxRowID) != nil {
		r.bad++
		return nil
	}
	r.digest.Add(fleet.Resource{ID: row.ID})
	r.live[row.ID] = int32(len(r.lives))
	r.lives = append(r.lives, life{id: row.ID, group: row.Group, from: at, to: -1})
	return nil
}

func (r *rows) end(id string, at time.Duration) {
	if i, ok := r.live[id]; ok {
		r.lives[i].to = max(at, r.lives[i].from, 0)
		delete(r.live, id)
		r.digest.Remove(fleet.Resource{ID: id})
	}
}

// same says that a listing holds what is known already.
func (r *rows) same(d fleet.Digest) bool {
	return r.listed && d.Count == r.digest.Count && d.IDs == r.digest.IDs
}

// notified takes a message over.
func (r *rows) notified(n *fleet.Notification, at time.Duration) error {
	at = max(at-announced, 0)
	if len(n.Resources) == 0 {
		r.unnamed++
		return nil
	}
	for i := range n.Resources {
		row := n.Resources[i]
		switch n.Op {
		case fleet.OpBulkCreate, fleet.OpBulkDelete:
			r.bulk++
		}
		_, known := r.live[row.ID]
		switch n.Op {
		case fleet.OpCreate, fleet.OpBulkCreate:
			if known {
				r.regroup(row, at, n.GroupKnown)
			} else if err := r.begin(row, at); err != nil {
				return err
			}
			delete(r.ended, row.ID)
		case fleet.OpDelete, fleet.OpBulkDelete:
			r.end(row.ID, at)
			if len(r.ended) < maxLives {
				r.ended[row.ID] = at
			}
		case fleet.OpUpdate, fleet.OpBulkUpdate:
			r.updated++
			if err := r.regroup(row, at, n.GroupKnown); err != nil {
				return err
			}
		}
	}
	return nil
}

// regroup has a row bear another group from now on: as if it were deleted and
// created.
func (r *rows) regroup(row fleet.Resource, at time.Duration, known bool) error {
	i, ok := r.live[row.ID]
	if !ok || !known || r.lives[i].group == row.Group {
		return nil
	}
	if r.lives[i].group == "" { // nobody has said yet
		r.lives[i].group = row.Group
		return nil
	}
	r.end(row.ID, at)
	return r.begin(row, at)
}

// table takes a listing of all rows over that was asked for at a time: what it
// tells anew has happened at when. The first says what there is at the start.
func (r *rows) table(all []fleet.Resource, asked, when time.Duration) error {
	first := !r.listed
	r.listed = true
	there := make(map[string]struct{}, len(all))
	for _, row := range all {
		there[row.ID] = struct{}{}
		if i, ok := r.live[row.ID]; ok {
			if r.lives[i].group == "" {
				r.lives[i].group = row.Group
			}
			continue
		}
		gone, deleted := r.ended[row.ID]
		deleted = deleted && gone >= asked // since the listing was asked for
		switch {
		case first:
			if err := r.begin(row, -1); err != nil {
				return err
			}
			if deleted {
				r.end(row.ID, gone)
			}
		case !deleted:
			r.found++
			if err := r.begin(row, when); err != nil {
				return err
			}
		}
	}
	for id, i := range r.live {
		if _, ok := there[id]; !ok && r.lives[i].from < asked-2*announced {
			r.lost++
			r.end(id, when)
		}
	}
	clear(r.ended)
	return nil
}

// some takes over a listing of some rows: it tells groups that no message told.
func (r *rows) some(listed []fleet.Resource) {
	for _, row := range listed {
		if i, ok := r.live[row.ID]; ok && r.lives[i].group == "" {
			r.lives[i].group = row.Group
		}
	}
}

// csv writes the lives from origin on as a trace file, times in µs since then;
// nil when there is none. used is how many.
func (r *rows) csv(origin, until time.Duration) (file []byte, used int, err error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	err = w.Write([]string{"id", "created", "deleted", "group"})
	for i := range r.lives {
		l := &r.lives[i]
		from, to := max(l.from-origin, 0), l.to-origin
		if l.to >= 0 && to <= 0 || from >= until {
			continue
		}
		gone := ""
		if l.to >= 0 && to < until {
			gone = strconv.FormatInt(max(to, from).Microseconds(), 10)
		}
		err = errors.Join(err, w.Write([]string{l.id, strconv.FormatInt(from.Microseconds(), 10), gone, l.group}))
		used++
	}
	w.Flush()
	if used == 0 || errors.Join(err, w.Error()) != nil {
		return nil, 0, errors.Join(err, w.Error())
	}
	return out.Bytes(), used, nil
}
