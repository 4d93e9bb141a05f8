package tape

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// inPeoplesWords is one of every event, in each of the ways that it can be, in words.
var inPeoplesWords = []struct {
	ev   reconcile.Event
	want string
}{
	{reconcile.Led{Epoch: 4}, "the orchestrator leads, with epoch 4"},
	{reconcile.Deposed{Why: "its session expired"}, "the orchestrator leads no longer: its session expired"},
	{reconcile.TreeRead{Tree: fleet.Tree{Instances: make([]fleet.TreeInstance, 10)}}, "ZooKeeper has been read: 10 instances"},
	{reconcile.TreeRead{Err: "timeout"}, "ZooKeeper could not be read: timeout"},
	{reconcile.Listed{Digest: fleet.Digest{Count: 2000}}, "the database has been read: 2000 rows"},
	{reconcile.Listed{Rows: make([]fleet.Resource, 1)}, "the database has been read: 1 row"},
	{reconcile.Listed{Err: "refused"}, "the database could not be read: refused"},
	{reconcile.PodsListed{Pods: make([]fleet.Pod, 3)}, "Kubernetes has listed 3 pods"},
	{reconcile.PodsListed{Err: "503"}, "Kubernetes could not list the pods: 503"},
	{reconcile.Notified{}, "a notification of nothing"},
	{reconcile.Notified{Note: &fleet.Notification{}}, "notification: something has changed in the table"},
	{reconcile.Notified{Note: &fleet.Notification{Op: 200}}, "notification: something has changed in the table"},
	{reconcile.Notified{Note: &fleet.Notification{Op: fleet.OpBulkDelete}}, "notification: rows were deleted, it does not say which"},
	{reconcile.Notified{Note: &fleet.Notification{Op: fleet.OpCreate, Resources: []fleet.Resource{{ID: "a"}}}}, "notification: a was created"},
	{reconcile.Notified{Note: &fleet.Notification{Op: fleet.OpBulkUpdate, Resources: []fleet.Resource{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}}},
		"notification: 4 rows were changed: a, b, c, …"},
	{reconcile.NotificationChannel{}, "the way that notifications come, MQTT, is down"},
	{reconcile.HeartbeatChannel{Up: true}, "the way that heartbeats come, Kafka, is up"},
	{reconcile.Heartbeat{Instance: 7}, "heartbeat of instance 7"},
	{reconcile.PodSeen{Pod: fleet.Pod{Instance: 3, Phase: fleet.PhaseFailed, Reason: "Error"}}, "instance 3's pod is Failed: Error"},
	{reconcile.PodSeen{Pod: fleet.Pod{Instance: 3, Phase: fleet.PhaseRunning, Terminating: true}}, "instance 3's pod is Running, and is being deleted"},
	{reconcile.PodSeen{Pod: fleet.Pod{Instance: 3, Phase: fleet.PhaseRunning, NodeLost: true}}, "instance 3's pod is Running; its node does not answer"},
	{reconcile.PodGone{Instance: 3}, "instance 3's pod is gone, its name is free"},
	{reconcile.PodCreated{Instance: 3}, "Kubernetes has created instance 3's pod"},
	{reconcile.PodCreated{Instance: 3, Answer: reconcile.PodAlreadyExists, Err: "409"}, "Kubernetes has not created instance 3's pod: there is still one of that name"},
	{reconcile.PodCreated{Instance: 3, Answer: reconcile.PodRefused, Err: "quota"}, "Kubernetes has not created instance 3's pod: quota"},
	{reconcile.PodDeleted{Instance: 3}, "Kubernetes is deleting instance 3's pod"},
	{reconcile.PodDeleted{Instance: 3, Answer: reconcile.PodNotFound}, "Kubernetes has no pod of instance 3 to delete"},
	{reconcile.PodDeleted{Instance: 3, Answer: reconcile.PodRefused, Err: "500"}, "Kubernetes has not deleted instance 3's pod: 500"},
	{reconcile.Committed{Txn: 12}, "ZooKeeper has taken transaction 12"},
	{reconcile.Committed{Txn: 12, Outcome: fleet.OutcomeConflict}, "ZooKeeper has refused transaction 12: something else stands there"},
	{reconcile.Committed{Txn: 12, Outcome: fleet.OutcomeDeposed, Err: "epoch 5"}, "ZooKeeper has refused transaction 12: a newer leader is known there (epoch 5)"},
	{reconcile.Committed{Txn: 12, Outcome: fleet.OutcomeFailed, Err: "throttled"}, "transaction 12 did not reach ZooKeeper: throttled"},
	{reconcile.Committed{Txn: 12, Outcome: fleet.OutcomeUnknown, Err: "cut off"}, "nobody knows whether ZooKeeper has taken transaction 12: cut off"},
	{reconcile.StatusSeen{Instance: 11, Status: fleet.Status{Present: true, Times: 39}}, "instance 11's DAC has applied list 39"},
	{reconcile.StatusSeen{Instance: 11, Status: fleet.Status{Present: true, Times: -1}}, "instance 11's DAC has a session with ZooKeeper"},
	{reconcile.StatusSeen{Instance: 11}, "instance 11's DAC has no session with ZooKeeper"},
	{reconcile.Tick{}, "the orchestrator looks whether something is due"},
	{reconcile.Ordered{Order: reconcile.Orchestrate{}}, "an operator's order: re-orchestrate"},
	{reconcile.Ordered{Order: reconcile.Orchestrate{Request: placement.Request{ResourcePerInstance: new(50), MaxInstances: new(20)}}},
		"an operator's order: re-orchestrate, 50 resources an instance, at most 20 instances"},
	{reconcile.Ordered{Order: reconcile.Drain{Instance: 2}}, "an operator's order: drain instance 2"},
	{reconcile.Ordered{Order: reconcile.Undrain{Instance: 2}}, "an operator's order: open instance 2 again"},
	{reconcile.Ordered{Order: reconcile.Replace{Instance: 2}}, "an operator's order: replace instance 2's pod"},
	{reconcile.Ordered{Order: reconcile.Maintenance{On: true}}, "an operator's order: maintenance on"},
	{reconcile.Ordered{Order: reconcile.Maintenance{}}, "an operator's order: maintenance off"},
}

// TestWords: every event of the core has words of its own, and so has every order.
func TestWords(t *testing.T) {
	said := map[string]bool{}
	for _, c := range inPeoplesWords {
		if got := words(c.ev); got != c.want {
			t.Errorf("%#v is said %q, want %q", c.ev, got, c.want)
		}
		said[reflect.TypeOf(c.ev).Name()] = true
		if o, is := c.ev.(reconcile.Ordered); is {
			said[reflect.TypeOf(o.Order).Name()] = true
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../../orchestrator/reconcile/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, d := range file.Decls {
		f, is := d.(*ast.FuncDecl)
		if !is || f.Recv == nil || f.Name.Name != "event" && f.Name.Name != "order" {
			continue
		}
		known++
		if name := f.Recv.List[0].Type.(*ast.Ident).Name; !said[name] {
			t.Errorf("%s has no words here", name)
		}
	}
	if known < 20 {
		t.Fatalf("event.go has %d events and orders: they are looked for in a wrong way", known)
	}
	for _, e := range []Entry{
		{Type: EntryAlarm, Code: "heartbeats-down", Text: "all silent"}, {Type: EntryPodCreate, Instance: 3}, {Type: EntryPodDelete, Instance: 3, Text: "Failed"},
		{Type: EntryInstance, Instance: 4, Code: "opened"}, {Type: EntryOrder, Code: "done", Text: "drain"}, {Type: EntryProgress, Text: "ended"},
		{Type: EntryMaintenance, On: true}, {Type: EntryAlarmOver, Code: "x"}, {Type: EntryNote, Text: "active", Instance: fleet.NoInstance},
	} {
		if text := consequence(&e); telling[e.Type] == 0 || text == "" || strings.Contains(text, "%!") {
			t.Errorf("%s is said %q", e.Type, text)
		}
	}
}
