package world

import (
	"slices"

	"dacorch/orchestrator/fleet"
)

// idSet is a set of resource ids in a stable order: that of joining, with the
// last taking the place of one that leaves.
type idSet struct {
	ids []string
	pos map[string]int32
}

func (s *idSet) has(id string) bool {
	_, ok := s.pos[id]
	return ok
}

func (s *idSet) add(id string) bool {
	if s.pos == nil {
		s.pos = map[string]int32{}
	}
	// One look-up for what hardly ever fails: the map grows, or the id was there.
	if s.pos[id] = int32(len(s.ids)); len(s.pos) == len(s.ids) {
		s.pos[id] = int32(slices.Index(s.ids, id))
		return false
	}
	s.ids = append(s.ids, id)
	return true
}

func (s *idSet) remove(id string) bool {
	i, ok := s.pos[id]
	if !ok {
		return false
	}
	last := len(s.ids) - 1
	if moved := s.ids[last]; int(i) != last {
		s.ids[i] = moved
		s.pos[moved] = i
	}
	s.ids[last] = ""
	s.ids = s.ids[:last]
	delete(s.pos, id)
	return true
}

// The bounds of an idList's log: how many versions back a difference is kept,
// and the largest difference worth keeping.
const (
	logVersions = 16
	logIDs      = 256
)

// idList is the data of a resources node: the ids, their bytes as JSON, and the
// latest differences, so that who holds a recent version need not read it all.
type idList struct {
	idSet
	bytes   int
	version int32
	log     [logVersions]listDelta // of version v at v % logVersions
	logFrom int32                  // the oldest version that the log leads on from
}

type listDelta struct{ add, remove []string }

// listEdit is one step from one version of a list to a later one.
type listEdit struct {
	id  string
	add bool
}

// create makes the list anew, at version 0.
func (l *idList) create(ids []string) {
	l.ids, l.pos, l.bytes = nil, nil, 0
	l.version, l.logFrom = 0, 0
	for _, id := range ids {
		if l.add(id) {
			l.bytes += fleet.ListBytes(id)
		}
	}
}

// change makes the next version.
func (l *idList) change(add, remove []string) {
	l.version++
	d := &l.log[l.version%logVersions]
	d.add, d.remove = d.add[:0], d.remove[:0]
	for _, id := range remove {
		if l.remove(id) {
			l.bytes -= fleet.ListBytes(id)
			d.remove = append(d.remove, id)
		}
	}
	for _, id := range add {
		if l.add(id) {
			l.bytes += fleet.ListBytes(id)
			d.add = append(d.add, id)
		}
	}
	l.logFrom = max(l.logFrom, l.version-logVersions)
	if len(d.add)+len(d.remove) > logIDs {
		l.logFrom = l.version
		*d = listDelta{}
	}
}

// since appends the edits that lead from version u to the newest; false when
// the log does not reach back that far.
func (l *idList) since(u int32, edits []listEdit) ([]listEdit, bool) {
	if u < l.logFrom || u > l.version {
		return edits, false
	}
	for v := u + 1; v <= l.version; v++ {
		d := &l.log[v%logVersions]
		for _, id := range d.remove {
			edits = append(edits, listEdit{id: id})
		}
		for _, id := range d.add {
			edits = append(edits, listEdit{id: id, add: true})
		}
	}
	return edits, true
}
