package serve

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/placement"
	"dacorch/sim/tape"
)

// publishAtOnce is how many entries of the log are read at a time.
const publishAtOnce = 1000

// publish tells the stream what has happened since it was told last, up to the
// moment shown.
func (s *Server) publish() {
	last := s.moment.LastEntry()
	for s.published < last {
		entries, _ := s.tape.Follow(s.published, int(min(last-s.published, publishAtOnce)))
		if len(entries) == 0 {
			break
		}
		for i := range entries {
			if s.published = entries[i].Seq; s.published > last { // the log has forgotten those between
				break
			}
			for _, ev := range s.eventsOf(&entries[i]) {
				s.events.Publish(ev)
			}
		}
	}
	s.published = last
}

// jumped tells the stream that another moment is shown, and has it remember what
// had happened until then.
func (s *Server) jumped() {
	entries, whole := s.moment.Log(s.events.Remembers(), nil)
	if n := len(entries); !whole && n > 0 { // of what is older, what does not come with each resource
		older, _ := s.moment.Log(s.events.Remembers()/4, func(e *tape.Entry) bool {
			return e.Seq < entries[n-1].Seq && e.Type != tape.EntryMove && e.Type != tape.EntryCommit
		})
		entries = append(entries, older...)
	}
	past := make([]api.Event, 0, len(entries))
	clear(s.told)
	for _, e := range slices.Backward(entries) {
		past = append(past, s.eventsOf(&e)...)
	}
	s.published = s.moment.LastEntry()
	s.events.Rewind(past, whole, api.Event{Type: api.EventTime, At: s.wall(s.clock.now), Text: fmt.Sprintf("the moment shown is %v", inWords(s.clock.now))})
}

// wall is the wall clock at a moment.
func (s *Server) wall(at time.Duration) time.Time { return s.began.Add(at) }

// eventsOf are the events that tell of an entry of the log, in production's words.
func (s *Server) eventsOf(e *tape.Entry) []api.Event {
	var out []api.Event
	switch e.Type {
	case tape.EntryCommit:
		out = []api.Event{answer.Committed(e.Kind, e.Count)}
	case tape.EntryInstance:
		out = []api.Event{answer.Changed(e.Kind, e.Instance, e.Code)}
	case tape.EntryMove:
		out = []api.Event{answer.Moved(e.Kind, &placement.Move{Resource: e.Resource, From: e.From, To: e.To, Why: e.Why})}
	default:
		h := answer.Happened{Kind: e.Kind, Type: e.Type, Instance: e.Instance, Code: e.Code, On: e.On, Text: e.Text, Phase: e.Phase}
		out = h.Events("")
	}
	if lead := s.leaderEvent(e); lead != nil {
		out = append(out, *lead)
	}
	for i := range out {
		out[i].At = s.wall(e.At)
	}
	return out
}

// leaderEvent tells who leads from an entry on; nil when that is as it was. One who
// hears late that another leads changes nothing.
func (s *Server) leaderEvent(e *tape.Entry) *api.Event {
	leads, known := s.told[e.Kind]
	switch {
	case e.Type == tape.EntryLed:
		s.told[e.Kind] = e.Process
		return &api.Event{Type: api.EventLeader, Resource: string(e.Kind), Code: processName(e.Process), On: new(true)}
	case e.Type == tape.EntryDeposed && (!known || leads == e.Process):
		s.told[e.Kind] = nobody
		return &api.Event{Type: api.EventLeader, Resource: string(e.Kind), On: new(false)}
	}
	return nil
}

// nobody is no process.
const nobody = -1

// processName is what a process of a simulation or a recording is called.
func processName(number int) string { return fmt.Sprintf("process %d", number+1) }
