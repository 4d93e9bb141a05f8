package reconcile

import (
	"fmt"
	"strings"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// shownIDs bounds the ids that Describe writes out of a list.
const shownIDs = 8

// Describe answers one line that a person can read about an Event or a Command.
func Describe(x any) string {
	switch x := x.(type) {
	case Led:
		return fmt.Sprintf("led epoch=%d", x.Epoch)
	case Deposed:
		return "deposed: " + x.Why
	case TreeRead:
		if x.Err != "" {
			return "tree-read failed: " + x.Err
		}
		return fmt.Sprintf("tree-read %d instances", len(x.Tree.Instances))
	case Listed:
		if x.Err != "" {
			return "listed failed: " + x.Err
		}
		return fmt.Sprintf("listed %d rows", len(x.Rows))
	case PodsListed:
		if x.Err != "" {
			return "pods-listed failed: " + x.Err
		}
		return fmt.Sprintf("pods-listed %d", len(x.Pods))
	case Notified:
		return fmt.Sprintf("notified %v %s%s", x.Note.Op, x.Note.Table, rows(x.Note.Resources))
	case NotificationChannel:
		return "notification-channel " + upDown(x.Up)
	case Heartbeat:
		return fmt.Sprintf("heartbeat %v", x.Instance)
	case HeartbeatChannel:
		return "heartbeat-channel " + upDown(x.Up)
	case PodSeen:
		s := fmt.Sprintf("pod-seen %v %v uid=%s%s", x.Pod.Instance, x.Pod.Phase, x.Pod.UID, because(x.Pod.Reason))
		if x.Pod.Terminating {
			s += " terminating"
		}
		if x.Pod.NodeLost {
			s += " node-lost"
		}
		return s
	case PodGone:
		return fmt.Sprintf("pod-gone %v uid=%s", x.Instance, x.UID)
	case PodCreated:
		return fmt.Sprintf("pod-created %v %v%s", x.Instance, x.Answer, because(x.Err))
	case PodDeleted:
		return fmt.Sprintf("pod-deleted %v %v%s", x.Instance, x.Answer, because(x.Err))
	case Committed:
		return fmt.Sprintf("committed %v%s", x.Outcome, because(x.Err))
	case StatusSeen:
		return fmt.Sprintf("status-seen %v present=%t times=%d", x.Instance, x.Status.Present, x.Status.Times)
	case Tick:
		return "tick"
	case Ordered:
		return "ordered " + describeOrder(x.Order)
	}
	return describeCommand(x)
}

func describeCommand(x any) string {
	switch x := x.(type) {
	case ReadTree:
		return "read-tree"
	case ListRows:
		if x.IDs == nil {
			return "list-rows"
		}
		return "list-rows" + list("", x.IDs)
	case ListPods:
		return "list-pods"
	case Commit:
		return "commit" + DescribeTxn(x.Txn, x.Decisions)
	case CreatePod:
		return fmt.Sprintf("create-pod %v: %s", x.Instance, x.Why)
	case DeletePod:
		return fmt.Sprintf("delete-pod %v uid=%s: %s", x.Instance, x.UID, x.Why)
	case Ack:
		return fmt.Sprintf("ack %d", x.Token)
	case Reply:
		if x.Err == "" {
			return fmt.Sprintf("reply %d done", x.Req)
		}
		return fmt.Sprintf("reply %d refused: %s", x.Req, x.Err)
	case StepDown:
		return "step-down: " + x.Why
	case Alarm:
		if x.On {
			return "alarm " + x.Code + ": " + x.Text
		}
		return "alarm-off " + x.Code
	case Note:
		if x.Instance == fleet.NoInstance {
			return "note " + x.Text
		}
		return fmt.Sprintf("note instance %v %s", x.Instance, x.Text)
	}
	return fmt.Sprintf("unknown %T", x)
}

func describeOrder(o Order) string {
	switch o := o.(type) {
	case Orchestrate:
		s := "orchestrate"
		if o.Request.MaxInstances != nil {
			s += fmt.Sprintf(" maxInstances=%d", *o.Request.MaxInstances)
		}
		if o.Request.ResourcePerInstance != nil {
			s += fmt.Sprintf(" resourcePerInstance=%d", *o.Request.ResourcePerInstance)
		}
		return s
	case Drain:
		return fmt.Sprintf("drain %v", o.Instance)
	case Undrain:
		return fmt.Sprintf("undrain %v", o.Instance)
	case Replace:
		return fmt.Sprintf("replace %v", o.Instance)
	case Maintenance:
		return fmt.Sprintf("maintenance %t", o.On)
	}
	return fmt.Sprintf("%T", o)
}

// Told is an order as people are told what became of it: its name, and the instance
// that it is about, NoInstance for the kind as a whole.
func Told(o Order) (name string, about fleet.InstanceID) {
	switch o := o.(type) {
	case Orchestrate:
		return "orchestrate", fleet.NoInstance
	case Drain:
		return "drain", o.Instance
	case Undrain:
		return "undrain", o.Instance
	case Replace:
		return "replace", o.Instance
	case Maintenance:
		if o.On {
			return "maintenance on", fleet.NoInstance
		}
		return "maintenance off", fleet.NoInstance
	}
	return describeOrder(o), fleet.NoInstance
}

// DescribeTxn answers what a transaction does, one line a change, and why each
// resource of it stands where it does.
func DescribeTxn(t *fleet.Txn, decisions []placement.Move) string {
	var b strings.Builder
	if t.Control != nil {
		fmt.Fprintf(&b, "\n  control %s", describeControl(t.Control))
	}
	for i := range t.Changes {
		ch := &t.Changes[i]
		fmt.Fprintf(&b, "\n  %v %v used=%d/%d times=%d%s%s", ch.Kind, ch.Instance, ch.Used, ch.Capacity, ch.Times, list(" +", ch.Add), list(" -", ch.Remove))
	}
	for i, d := range decisions {
		if i == shownIDs {
			fmt.Fprintf(&b, "\n  … %d decisions more", len(decisions)-shownIDs)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %v → %v: %v", d.Resource, d.From, d.To, d.Why)
	}
	return b.String()
}

func describeControl(c *fleet.Control) string {
	s := fmt.Sprintf("capacity=%d", c.Capacity)
	if c.TargetInstances != 0 {
		s += fmt.Sprintf(" target=%d", c.TargetInstances)
	}
	if len(c.Closing) > 0 {
		s += fmt.Sprintf(" closing=%v", c.Closing)
	}
	if c.Maintenance {
		s += " maintenance"
	}
	return s
}

func rows(rs []fleet.Resource) string {
	ids := make([]string, len(rs))
	for i, r := range rs {
		ids[i] = r.ID
	}
	return list(" ", ids)
}

func list(prefix string, ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	if len(ids) > shownIDs {
		return fmt.Sprintf("%s[%s … %d more]", prefix, strings.Join(ids[:shownIDs], " "), len(ids)-shownIDs)
	}
	return prefix + "[" + strings.Join(ids, " ") + "]"
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}
