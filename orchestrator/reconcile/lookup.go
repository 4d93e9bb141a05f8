package reconcile

import "dacorch/orchestrator/fleet"

// maxLookup bounds the ids looked up one by one; more of them make the machine
// list the whole table.
const maxLookup = 10_000

// lookUp asks the database about some ids.
func (m *Machine) lookUp(rs []fleet.Resource) {
	if len(rs) == 0 {
		return
	}
	if len(m.lookupNext)+len(rs) > maxLookup {
		m.lookupNext = nil
		m.resyncSoon()
		return
	}
	for _, r := range rs {
		m.lookupNext = append(m.lookupNext, r.ID)
	}
	m.askLookup()
}

func (m *Machine) askLookup() {
	if m.lookupReq != 0 || len(m.lookupNext) == 0 {
		return
	}
	if m.lookupFails > 0 && m.lookupRetry > m.now {
		m.wakeAt(m.lookupRetry)
		return
	}
	m.lookup, m.lookupNext = m.lookupNext, nil
	m.lookupReq = m.req()
	m.emit(ListRows{Req: m.lookupReq, IDs: m.lookup})
}

// lookedUp makes the plan agree with the table for some ids, except for those
// that notifications named since the lookup began.
func (m *Machine) lookedUp(ids []string, rows []fleet.Resource, fresh map[string]struct{}) {
	exists := make(map[string]struct{}, len(rows))
	add := make([]fleet.Resource, 0, len(rows))
	for _, r := range rows {
		exists[r.ID] = struct{}{}
		if _, young := fresh[r.ID]; !young && m.validID(r.ID) {
			add = append(add, r)
		}
	}
	var remove []string
	for _, id := range ids {
		_, ok := exists[id]
		if _, young := fresh[id]; !ok && !young {
			remove = append(remove, id)
		}
	}
	m.placeAll(add, remove)
}
