package tui

import (
	"slices"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// flood keeps what the event stream has told: events within bounds, how many a
// second, and which resources have just moved.
type flood struct {
	flows []flowsAt // oldest first, of the last data.Fade
	since time.Time // when count began
	count int
	left  time.Time // when events were left out the last time
	err   error     // why there is no stream
}

type flowsAt struct {
	at    time.Time
	flows map[data.Place]data.Flow
}

// rateOver is the time over which the events a second are counted.
const rateOver = 2 * time.Second

// happened takes a batch of events.
func (m *model) happened(b batch, now time.Time) {
	f, s := &m.flood, &m.state
	m.dirty = m.dirty || len(b.events) > 0 || b.fresh || b.jumped || b.gap || (b.err == nil) != (f.err == nil)
	f.err = b.err
	if b.jumped {
		m.asks.jump()
		f.flows, s.Flows = nil, nil
	}
	if b.fresh {
		s.Events = nil
		m.cutTracks()
	}
	s.Events = append(s.Events, b.events...)
	if n := len(s.Events) - data.MaxEvents; n > 0 {
		s.Events = slices.Clone(s.Events[n:]) // what stood before may be collected
	}
	s.Skipped += b.skipped
	if b.skipped > 0 {
		f.left = now
	}
	f.rate(now, b.seen, s)
	if len(b.flows) > 0 {
		f.flows = append(f.flows, flowsAt{now, b.flows})
		f.add(s, b.flows, 1)
	}
	m.asks.stale(func(q data.Query) bool { return b.fresh || b.gap || b.touches(q) })
	m.followFound(b.events)
}

// rate counts events a second.
func (f *flood) rate(now time.Time, seen int, s *data.State) {
	f.count += seen
	if f.since.IsZero() {
		f.since = now
	}
	if over := now.Sub(f.since); over >= rateOver {
		s.Rate = float64(f.count) / over.Seconds()
		f.count, f.since = 0, now
	}
}

// expire forgets moves that can be seen no longer.
func (f *flood) expire(now time.Time, s *data.State) {
	s.Sampled = !f.left.IsZero() && now.Sub(f.left) < data.Fade
	if !f.since.IsZero() && now.Sub(f.since) > 2*rateOver {
		s.Rate, f.count, f.since = 0, 0, time.Time{}
	}
	gone := 0
	for gone < len(f.flows) && !now.Before(f.flows[gone].at.Add(data.Fade)) {
		gone++
	}
	if gone > 0 {
		for _, old := range f.flows[:gone] {
			f.add(s, old.flows, -1)
		}
		f.flows = slices.Clone(f.flows[gone:])
	}
}

// add counts flows, or takes them back with a sign of -1.
func (f *flood) add(s *data.State, flows map[data.Place]data.Flow, sign int) {
	if s.Flows == nil {
		s.Flows = map[data.Place]data.Flow{}
	}
	for at, flow := range flows {
		sum := s.Flows[at]
		sum.In += sign * flow.In
		sum.Out += sign * flow.Out
		if sum == (data.Flow{}) {
			delete(s.Flows, at)
			continue
		}
		s.Flows[at] = sum
	}
}

// nextExpiry is when a move that is seen now is to be seen no longer.
func (f *flood) nextExpiry() time.Time {
	if len(f.flows) == 0 {
		return time.Time{}
	}
	return f.flows[0].at.Add(data.Fade)
}

// cutTracks forgets the figures of what has not happened at the moment shown.
func (m *model) cutTracks() {
	if _, ok := m.state.Clock(); !ok {
		return
	}
	now := m.state.Moment()
	for _, t := range m.state.History {
		for n := len(t.Points); n > 0 && t.Points[n-1].At.After(now); n-- {
			t.Points = t.Points[:n-1]
		}
	}
}

// followFound lets the highlight go along with the resource.
func (m *model) followFound(events []api.Event) {
	f := m.state.Found
	if f == nil {
		return
	}
	for i := range events {
		if ev := &events[i]; ev.Type == api.EventMove && ev.ResourceID == f.ID && ev.Resource == m.state.Kind {
			m.state.Found = &api.Found{ID: f.ID, Instance: ev.To}
			f = m.state.Found
		}
	}
}
