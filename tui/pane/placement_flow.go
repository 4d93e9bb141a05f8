package pane

import (
	"time"

	"dacorch/tui/data"
)

// change is by how much an instance has grown or shrunk since the answers before.
// Resources that are created or removed move nowhere, so no event tells of them.
type change struct {
	net   int
	since time.Time // it is added up: for data.Fade
	until time.Time // it is shown
}

// compare takes down what has changed since the answer before, when that was of
// the same kind and of a moment before.
func (o *placed) compare(s *data.State, before *placed) {
	o.moment, o.changes = s.Moment(), make([]change, len(o.of))
	if before.made.kind != o.made.kind || o.moment.Before(before.moment) {
		return
	}
	old := 0
	for i := range o.of {
		for old < len(before.of) && before.of[old].ID < o.of[i].ID {
			old++
		}
		if old == len(before.of) || before.of[old].ID != o.of[i].ID {
			continue
		}
		if was := before.changes[old]; was.until.After(s.Now) {
			o.changes[i] = was
		}
		if net := o.of[i].Used - before.of[old].Used; net != 0 {
			change := &o.changes[i]
			if s.Now.Sub(change.since) >= data.Fade {
				change.net, change.since = 0, s.Now
			}
			change.net, change.until = change.net+net, s.Now.Add(data.Fade)
		}
	}
}

// flow is what goes over the border of the instance at a position of the order:
// what has just moved, or else how it has changed, and what is on its way.
func (o *placed) flow(s *data.State, place int) data.Flow {
	i := o.list[place]
	in := &o.of[i]
	flow := s.Flows[data.Place{Kind: s.Kind, Instance: in.ID}]
	if flow == (data.Flow{}) && o.changes[i].until.After(s.Now) {
		net := o.changes[i].net
		flow = data.Flow{In: max(net, 0), Out: max(-net, 0)}
	}
	return data.Flow{In: flow.In + in.Arriving, Out: flow.Out + in.Leaving}
}
