package answer

import (
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// Happened is something that has happened to a kind. Type is one of the loop's
// entry types, and the fields are those of loop.Entry.
type Happened struct {
	Kind     fleet.Kind
	Type     string
	Instance fleet.InstanceID // NoInstance for the kind as a whole
	Code     string           // of alarm: its name; of pod-delete: what for; of order: what it came to
	On       bool             // of progress: it runs; of maintenance: the mode
	Text     string           // of leader: the name
	Phase    fleet.Phase      // of pod

	// Of commit.
	Txn       *fleet.Txn
	Decisions []placement.Move
}

// toldMoves bounds the moves of one transaction that become events: readers that
// need all of them read the orchestration.
const toldMoves = 100

// Events are the events that tell of it, in their order. self is the name of the
// process that tells. At is left to the caller.
func (h Happened) Events(self string) []api.Event {
	ev := api.Event{Resource: string(h.Kind), Instance: Place(h.Instance), Text: h.Text}
	switch h.Type {
	case "leader":
		ev.Type, ev.Code, ev.Text = api.EventLeader, h.Text, ""
		ev.On = new(h.Text == self)
	case "note", "led", "deposed":
		ev.Type = api.EventNote
	case "alarm", "alarm-over":
		ev.Type, ev.Code = api.EventAlarm, h.Code
		ev.On = new(h.Type == "alarm")
	case "pod-create":
		ev.Type, ev.Code = api.EventInstance, "create"
	case "pod-delete":
		ev.Type, ev.Code = api.EventInstance, h.Code
	case "pod":
		ev.Type, ev.Code = api.EventPod, h.Phase.String()
	case "order":
		ev.Type, ev.Code = api.EventOrder, h.Code
	case "progress":
		ev.Type, ev.On = api.EventProgress, new(h.On)
	case "maintenance":
		ev.Type, ev.On = api.EventMaintenance, new(h.On)
	case "commit":
		return h.committed()
	default:
		ev.Type = api.EventNote
	}
	return []api.Event{ev}
}

// committed tells of a transaction: what it did to each instance, and which
// resources moved.
func (h Happened) committed() (out []api.Event) {
	count := 0
	for i := range h.Txn.Changes {
		c := &h.Txn.Changes[i]
		count += len(c.Add) + len(c.Remove)
		switch c.Kind {
		case fleet.ChangeCreate:
			out = append(out, Changed(h.Kind, c.Instance, "opened"))
		case fleet.ChangeDelete:
			out = append(out, Changed(h.Kind, c.Instance, "gone"))
		}
	}
	for i := range h.Decisions[:min(len(h.Decisions), toldMoves)] {
		out = append(out, Moved(h.Kind, &h.Decisions[i]))
	}
	return append(out, Committed(h.Kind, count))
}

// Changed tells that a transaction has made an instance's nodes, opened, or has
// deleted them, gone.
func Changed(kind fleet.Kind, instance fleet.InstanceID, code string) api.Event {
	return api.Event{Type: api.EventInstance, Resource: string(kind), Instance: Place(instance), Code: code}
}

// Moved tells that a resource has got a place, another one, or none.
func Moved(kind fleet.Kind, m *placement.Move) api.Event {
	return api.Event{Type: api.EventMove, Resource: string(kind), ResourceID: m.Resource,
		From: Place(m.From), To: Place(m.To), Text: m.Why.String()}
}

// Committed tells that a transaction has put so many resources on lists, or taken
// them off.
func Committed(kind fleet.Kind, count int) api.Event {
	return api.Event{Type: api.EventCommit, Resource: string(kind), Code: fleet.OutcomeDone.String(), Count: count}
}
