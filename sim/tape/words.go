package tape

import (
	"fmt"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// words says in one line what has happened, to people who know of instances and
// resources but not of the core's events.
func words(ev reconcile.Event) string {
	switch ev := ev.(type) {
	case reconcile.Led:
		return fmt.Sprintf("the orchestrator leads, with epoch %d", ev.Epoch)
	case reconcile.Deposed:
		return "the orchestrator leads no longer" + because(ev.Why)
	case reconcile.TreeRead:
		return answered("ZooKeeper has been read: "+amount(len(ev.Tree.Instances), "instance"), "ZooKeeper could not be read", ev.Err)
	case reconcile.Listed:
		n := max(ev.Digest.Count, len(ev.Rows)) // a part is listed with its rows alone
		return answered("the database has been read: "+amount(n, "row"), "the database could not be read", ev.Err)
	case reconcile.PodsListed:
		return answered("Kubernetes has listed "+amount(len(ev.Pods), "pod"), "Kubernetes could not list the pods", ev.Err)
	case reconcile.Notified:
		return notified(ev.Note)
	case reconcile.NotificationChannel:
		return "the way that notifications come, MQTT, " + upDown(ev.Up)
	case reconcile.HeartbeatChannel:
		return "the way that heartbeats come, Kafka, " + upDown(ev.Up)
	case reconcile.Heartbeat:
		return fmt.Sprintf("heartbeat of instance %v", ev.Instance)
	case reconcile.StatusSeen:
		return status(ev)
	case reconcile.Tick:
		return "the orchestrator looks whether something is due"
	case reconcile.Ordered:
		return "an operator's order: " + order(ev.Order)
	case reconcile.Committed:
		return committed(ev)
	}
	return podWords(ev)
}

// podWords says what has become of a pod.
func podWords(ev reconcile.Event) string {
	switch ev := ev.(type) {
	case reconcile.PodSeen:
		p := ev.Pod
		text := fmt.Sprintf("instance %v's pod is %v%s", p.Instance, p.Phase, because(p.Reason))
		if p.Terminating {
			text += ", and is being deleted"
		}
		if p.NodeLost {
			text += "; its node does not answer"
		}
		return text
	case reconcile.PodGone:
		return fmt.Sprintf("instance %v's pod is gone, its name is free", ev.Instance)
	case reconcile.PodCreated:
		switch ev.Answer {
		case reconcile.PodAccepted:
			return fmt.Sprintf("Kubernetes has created instance %v's pod", ev.Instance)
		case reconcile.PodAlreadyExists:
			return fmt.Sprintf("Kubernetes has not created instance %v's pod: there is still one of that name", ev.Instance)
		}
		return fmt.Sprintf("Kubernetes has not created instance %v's pod%s", ev.Instance, because(ev.Err))
	case reconcile.PodDeleted:
		switch ev.Answer {
		case reconcile.PodAccepted:
			return fmt.Sprintf("Kubernetes is deleting instance %v's pod", ev.Instance)
		case reconcile.PodNotFound:
			return fmt.Sprintf("Kubernetes has no pod of instance %v to delete", ev.Instance)
		}
		return fmt.Sprintf("Kubernetes has not deleted instance %v's pod%s", ev.Instance, because(ev.Err))
	}
	return reconcile.Describe(ev)
}

func committed(ev reconcile.Committed) string {
	switch ev.Outcome {
	case fleet.OutcomeDone:
		return fmt.Sprintf("ZooKeeper has taken transaction %d", ev.Txn)
	case fleet.OutcomeConflict:
		return fmt.Sprintf("ZooKeeper has refused transaction %d: something else stands there%s", ev.Txn, inBrackets(ev.Err))
	case fleet.OutcomeDeposed:
		return fmt.Sprintf("ZooKeeper has refused transaction %d: a newer leader is known there%s", ev.Txn, inBrackets(ev.Err))
	case fleet.OutcomeUnknown:
		return fmt.Sprintf("nobody knows whether ZooKeeper has taken transaction %d%s", ev.Txn, because(ev.Err))
	}
	return fmt.Sprintf("transaction %d did not reach ZooKeeper%s", ev.Txn, because(ev.Err))
}

func status(ev reconcile.StatusSeen) string {
	switch {
	case !ev.Status.Present:
		return fmt.Sprintf("instance %v's DAC has no session with ZooKeeper", ev.Instance)
	case ev.Status.Times < 0:
		return fmt.Sprintf("instance %v's DAC has a session with ZooKeeper", ev.Instance)
	}
	return fmt.Sprintf("instance %v's DAC has applied list %d", ev.Instance, ev.Status.Times)
}

// operations are what notifications say has been done to rows.
var operations = map[fleet.Op]string{
	fleet.OpCreate: "created", fleet.OpUpdate: "changed", fleet.OpDelete: "deleted",
	fleet.OpBulkCreate: "created", fleet.OpBulkUpdate: "changed", fleet.OpBulkDelete: "deleted",
}

const shownIDs = 3 // that are written out of a list

func notified(n *fleet.Notification) string {
	if n == nil {
		return "a notification of nothing"
	}
	done, known := operations[n.Op]
	switch ids := len(n.Resources); {
	case !known:
		return "notification: something has changed in the table"
	case ids == 0:
		return fmt.Sprintf("notification: rows were %s, it does not say which", done)
	case ids == 1:
		return fmt.Sprintf("notification: %s was %s", n.Resources[0].ID, done)
	default:
		var list []string
		for _, r := range n.Resources[:min(ids, shownIDs)] {
			list = append(list, r.ID)
		}
		if ids > shownIDs {
			list = append(list, "…")
		}
		return fmt.Sprintf("notification: %d rows were %s: %s", ids, done, strings.Join(list, ", "))
	}
}

// order is what an operator wants done.
func order(o reconcile.Order) string {
	switch o := o.(type) {
	case reconcile.Orchestrate:
		text := "re-orchestrate"
		if n := o.Request.ResourcePerInstance; n != nil {
			text += fmt.Sprintf(", %d resources an instance", *n)
		}
		if n := o.Request.MaxInstances; n != nil {
			text += fmt.Sprintf(", at most %s", amount(*n, "instance"))
		}
		return text
	case reconcile.Drain:
		return fmt.Sprintf("drain instance %v", o.Instance)
	case reconcile.Undrain:
		return fmt.Sprintf("open instance %v again", o.Instance)
	case reconcile.Replace:
		return fmt.Sprintf("replace instance %v's pod", o.Instance)
	case reconcile.Maintenance:
		if o.On {
			return "maintenance on"
		}
		return "maintenance off"
	}
	return fmt.Sprintf("%T", o)
}

func answered(done, failed, err string) string {
	if err != "" {
		return failed + because(err)
	}
	return done
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func inBrackets(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

func upDown(up bool) string {
	if up {
		return "is up"
	}
	return "is down"
}

// amount is so many of something.
func amount(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// EventText says what the last event was, where it befell, and the most telling of
// what followed from it at once, as far as the log has it; empty when there was no
// event.
func (m *Moment) EventText() string {
	_, p, err := m.there()
	if err != nil || p.n == 0 {
		return ""
	}
	k := m.t.byNum[p.last.kind]
	text := string(k.name)
	if m.t.several() {
		text += fmt.Sprintf(", process %d", p.last.process+1)
	}
	text += ": " + p.last.words()
	if done := m.t.transaction(k, p.n); done != "" {
		text += ": " + done
	}
	if e, more := m.t.followed(k, p); e != nil {
		text += " → " + consequence(e)
		if more > 0 {
			text += fmt.Sprintf(", and %d more such", more)
		}
	}
	return shortened(text)
}

// transaction says what the transaction has done that was committed with an event;
// empty: there was none.
func (t *Tape) transaction(k *kindTape, n int64) string {
	var placed, moved, removed int
	at := stamp{n, 1<<63 - 1}
	for i := upTo(k.moves.list, at, (*Moved).stamp) - 1; i >= 0 && k.moves.list[i].Event == n; i-- {
		switch mv := &k.moves.list[i]; {
		case mv.From == fleet.NoInstance:
			placed++
		case mv.To == fleet.NoInstance:
			removed++
		default:
			moved++
		}
	}
	var parts []string
	for _, part := range []struct {
		n    int
		text string
	}{{placed, "placed"}, {moved, "moved"}, {removed, "taken off"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", amount(part.n, "resource"), part.text))
		}
	}
	return strings.Join(parts, ", ")
}

// telling ranks what may follow from an event: the highest is told. What is not
// here is the event itself, or a part of it.
var telling = map[string]int{
	EntryAlarm: 9, EntryAlarmOver: 8, EntryPodCreate: 7, EntryPodDelete: 6, EntryMaintenance: 5, EntryProgress: 4, EntryOrder: 3,
	EntryInstance: 2, EntryNote: 1,
}

// followed is the most telling of the log's entries that followed from the event at
// a place, the first of its type, and how many more of that type there are; nil:
// nothing that is told.
func (t *Tape) followed(k *kindTape, p *place) (most *Entry, more int) {
	list := t.log.list
	at := stamp{p.n, p.last.at}
	for i := upTo(list, at, (*Entry).stamp) - 1; i >= 0 && list[i].Event == p.n; i-- {
		e := &list[i]
		switch {
		case e.Kind != k.name || e.Process != p.last.process || telling[e.Type] == 0:
		case most != nil && most.Type == e.Type:
			most, more = e, more+1
		case most == nil || telling[e.Type] > telling[most.Type]:
			most, more = e, 0
		}
	}
	return most, more
}

// consequence is an entry of the log as what followed from an event.
func consequence(e *Entry) string {
	switch e.Type {
	case EntryAlarm:
		return "alarm " + e.Code + because(e.Text)
	case EntryAlarmOver:
		return "the alarm " + e.Code + " is over"
	case EntryPodCreate:
		return fmt.Sprintf("instance %v's pod is created%s", e.Instance, inBrackets(e.Text))
	case EntryPodDelete:
		return fmt.Sprintf("instance %v's pod is deleted%s", e.Instance, inBrackets(e.Text))
	case EntryMaintenance:
		return order(reconcile.Maintenance{On: e.On})
	case EntryProgress:
		return "re-orchestration" + because(e.Text)
	case EntryOrder:
		return "order " + e.Code + because(e.Text)
	case EntryInstance:
		return fmt.Sprintf("instance %v is %s", e.Instance, e.Code)
	}
	if e.Instance != fleet.NoInstance {
		return fmt.Sprintf("instance %v %s", e.Instance, e.Text)
	}
	return e.Text
}

// happening is an event and where it befell.
type happening struct {
	at            time.Duration
	kind, process int
	ev            reconcile.Event // nil: text says it
	text          string
}

// words are the event's.
func (h *happening) words() string {
	if h.ev != nil {
		return words(h.ev)
	}
	return h.text
}
