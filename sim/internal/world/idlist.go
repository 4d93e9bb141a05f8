package world

import (
	"maps"
	"slices"

	"dacorch/orchestrator/fleet"
)

// idSet is a set of resource ids. It keeps no order, so that joining and leaving
// cost one look-up each; whoever goes through all of them has them sorted.
type idSet struct{ in map[string]struct{} }

func (s *idSet) has(id string) bool {
	_, ok := s.in[id]
	return ok
}

func (s *idSet) add(id string) bool {
	if s.in == nil {
		s.in = map[string]struct{}{}
	}
	n := len(s.in)
	s.in[id] = struct{}{}
	return len(s.in) > n
}

func (s *idSet) remove(id string) bool {
	n := len(s.in)
	delete(s.in, id)
	return len(s.in) < n
}

// sorted is a copy in order of id.
func (s *idSet) sorted() []string { return slices.Sorted(maps.Keys(s.in)) }

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
	l.idSet, l.bytes = idSet{}, 0
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
