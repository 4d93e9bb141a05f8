package pane

import (
	"time"

	"dacorch/tui/data"
)

// change is by how much an instance has grown or shrunk since the answers before.
// Of a large transaction not every move is told.
type change struct {
	net   int
	since time.Time // it is added up: for data.Fade
	until time.Time // it is shown
}

// compare takes down what has changed since the answer before, when that was of
// the same kind and of a moment before.
func (o *placed) compare(s *data.State, before *placed) {
	o.moment, o.changes = s.Moment(), map[int]change{}
	if before.made.kind != o.made.kind || o.moment.Before(before.moment) {
		return
	}
	for id, was := range before.changes {
		if was.until.After(s.Now) {
			o.changes[id] = was
		}
	}
	old := 0
	for i := range o.of {
		in := &o.of[i]
		for old < len(before.of) && before.of[old].ID < in.ID {
			old++
		}
		if old == len(before.of) || before.of[old].ID != in.ID || before.of[old].Used == in.Used {
			continue
		}
		was := o.changes[in.ID]
		if s.Now.Sub(was.since) >= data.Fade {
			was.net, was.since = 0, s.Now
		}
		o.changes[in.ID] = change{net: was.net + in.Used - before.of[old].Used, since: was.since, until: s.Now.Add(data.Fade)}
	}
}

// flow is what goes over the border of the instance at a position of the order:
// what has just moved, or else how it has changed, and what is on its way.
func (o *placed) flow(s *data.State, place int) data.Flow {
	in := o.in(place)
	flow := s.Flows[data.Place{Kind: s.Kind, Instance: in.ID}]
	if flow == (data.Flow{}) && len(o.changes) > 0 {
		if was := o.changes[in.ID]; was.until.After(s.Now) {
			flow = data.Flow{In: max(was.net, 0), Out: max(-was.net, 0)}
		}
	}
	return data.Flow{In: flow.In + in.Arriving, Out: flow.Out + in.Leaving}
}
