package rest

import "dacorch/orchestrator/api"

// recentTurn is how many events are looked at before whoever publishes gets a
// turn.
const recentTurn = 256

// recent answers the latest events that are wanted, newest first, at most limit.
func (e *Events) recent(w *wanted, limit int) api.Recent {
	l := look{wanted: w, limit: limit}
	for e.turn(&l) {
	}
	return l.found
}

// wanted says which events recent is asked for. The zero fields stand for all.
type wanted struct {
	kind       string
	instance   int // anyInstance for all
	resourceID string
	typ        api.EventType
}

const anyInstance, maxInstance = -1, 1<<31 - 1

func (w *wanted) matches(ev *api.Event) bool {
	is := func(n *int) bool { return n != nil && *n == w.instance }
	return (w.kind == "" || ev.Resource == w.kind) && (w.typ == "" || ev.Type == w.typ) &&
		(w.resourceID == "" || ev.ResourceID == w.resourceID) &&
		(w.instance == anyInstance || is(ev.Instance) || is(ev.From) || is(ev.To))
}

// look is how far recent has come.
type look struct {
	*wanted
	limit int
	base  uint64 // it was when the look began; 0: it has yet to begin
	at    uint64 // number of the next to look at, downwards
	found api.Recent
}

// turn goes on with recent, or begins it anew when all has been replaced
// meanwhile. It says whether what is older may still be told.
func (e *Events) turn(l *look) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.base != e.base {
		l.base, l.at = e.base, e.next-1
		l.found = api.Recent{Events: []api.Event{}, Last: e.id(l.at)}
	}
	oldest := e.oldest()
	for range recentTurn {
		if l.at < oldest {
			e.beyond(l)
			return false
		}
		if !l.take(&e.ring[l.at%uint64(len(e.ring))], e.id, l.at) {
			return false
		}
		l.at--
	}
	return true
}

// beyond ends a look that has come to the ring's end: what is older is among the
// rare events alone.
func (e *Events) beyond(l *look) {
	for i := range e.rare.list {
		switch x := e.rare.latest(i); {
		case x.n > l.at:
		case x.n < e.begin:
			l.found.Complete = e.whole && (l.at < e.begin || comesSeldom(l.typ))
			return
		case !l.take(&x.ev, e.id, x.n):
			return
		}
	}
	l.found.Complete = e.whole && (l.at < e.begin || comesSeldom(l.typ) && len(e.rare.list) < e.rare.most)
}

// take adds an event if it is wanted; false when there is no room for it.
func (l *look) take(ev *api.Event, id func(uint64) string, n uint64) bool {
	if !l.matches(ev) {
		return true
	}
	if len(l.found.Events) == l.limit {
		return false
	}
	l.found.Events = append(l.found.Events, *ev)
	l.found.Events[len(l.found.Events)-1].ID = id(n)
	return true
}

// rare remembers events for longer than the ring: an import of many rows must not
// make anybody forget the alarm before it.
type rare struct {
	most int
	list []numbered // the latest stands before at, around the end
	at   int
}

// numbered is an event, without its ID, and its number.
type numbered struct {
	n  uint64
	ev api.Event
}

// comesSeldom says of a type that its events do not come with each resource.
func comesSeldom(t api.EventType) bool {
	return t != "" && t != api.EventMove && t != api.EventCommit
}

func (r *rare) add(n uint64, ev api.Event) {
	if len(r.list) < r.most {
		r.list = append(r.list, numbered{n, ev})
		return
	}
	r.list[r.at] = numbered{n, ev}
	r.at = (r.at + 1) % r.most
}

// latest answers the one before which i newer ones came.
func (r *rare) latest(i int) *numbered {
	return &r.list[(r.at+2*len(r.list)-1-i)%len(r.list)]
}
