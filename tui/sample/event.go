package sample

import (
	"fmt"
	"strconv"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// script is what happens again and again, each time to the next instance.
var script = []api.Event{
	{Type: api.EventPod, Code: "Pending", Text: "ContainerCreating"},
	{Type: api.EventPod, Code: "Running"},
	{Type: api.EventMove, Text: "evens out"},
	{Type: api.EventMove, Text: "evens out"},
	{Type: api.EventMove, Text: "evens out"},
	{Type: api.EventCommit, Code: "committed", Count: 3},
	{Type: api.EventInstance, Code: "opened", Text: "the resources need it"},
	{Type: api.EventInstance, Code: "create"},
	{Type: api.EventInstance, Code: "replace", Text: "no heartbeat for 3 min"},
	{Type: api.EventInstance, Code: "ordered", Text: "an operator's order"},
	{Type: api.EventInstance, Code: "release"},
	{Type: api.EventInstance, Code: "gone"},
	{Type: api.EventOrder, Code: "accepted", Text: "replace"},
	{Type: api.EventProgress, Text: "a re-orchestration has begun: 310 moves", Count: 310},
	{Type: api.EventMove},
	{Type: api.EventCommit, Code: "failed", Count: 1, Text: "zookeeper: connection lost"},
	{Type: api.EventMaintenance, On: new(false)},
	{Type: api.EventAlarm, Code: "heartbeats-down", On: new(true), Text: "heartbeats do not come: no instance is replaced for its silence"},
	{Type: api.EventLeader, Code: "simulation", On: new(true), Text: "simulation leads Thing"},
	{Type: api.EventNote, Text: "instance 7 is silent for 3 min: it is replaced"},
	{Type: api.EventGap, Count: 12},
	{Type: api.EventTime, Text: "the moment shown has jumped"},
}

// events are 300 over the time that has passed, the last of them moves of this
// very moment.
func events(s *data.State) []api.Event {
	r := of(s, "Thing")
	if len(r.list) == 0 || r.count == 0 {
		return nil
	}
	const count, moving = 300, 24
	events := make([]api.Event, count)
	for i := range events {
		ev := script[i%len(script)]
		at := Shown * float64(i+1) / count
		if i >= count-moving {
			ev, at = api.Event{Type: api.EventMove, Text: "evens out"}, Shown-float64(count-i)*0.1
		}
		ev.At, ev.Resource, ev.ID = Began.Add(time.Duration(at*float64(time.Second))), "Thing", strconv.Itoa(i+1)
		id := int(share(i, 9) * float64(len(r.list)))
		switch ev.Type {
		case api.EventMove:
			ev.ResourceID, ev.From, ev.To = r.id(int(share(i, 8)*float64(r.count))), new(id), new((id+1+i%max(min(3, len(r.list)-1), 1))%len(r.list))
			if i%7 == 0 {
				ev.From = nil
			}
			if i%11 == 0 {
				ev.To = nil
			}
		case api.EventPod, api.EventInstance:
			ev.Instance = new(id)
		case api.EventOrder:
			ev.Instance, ev.Text = new(id), fmt.Sprintf("replace Thing %d", id)
		case api.EventGap, api.EventTime:
			ev.Resource, ev.ID = "", ""
		}
		events[i] = ev
	}
	return events
}

// flows counts the moves that can still be seen.
func flows(s *data.State) {
	for _, ev := range s.Events {
		if ev.Type != api.EventMove || s.Now.Sub(ev.At) >= data.Fade {
			continue
		}
		if ev.From != nil {
			at := data.Place{Kind: ev.Resource, Instance: *ev.From}
			f := s.Flows[at]
			f.Out++
			s.Flows[at] = f
		}
		if ev.To != nil {
			at := data.Place{Kind: ev.Resource, Instance: *ev.To}
			f := s.Flows[at]
			f.In++
			s.Flows[at] = f
		}
	}
}
