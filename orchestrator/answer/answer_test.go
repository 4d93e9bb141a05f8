package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

var things = Kind{Name: "Thing", InstanceName: "iota-dac"}

// world answers a machine's commands at once, as servers without faults would.
type world struct {
	machine *reconcile.Machine
	rows    []fleet.Resource
	now     time.Duration
	uid     int
	told    []api.Event
}

// started is a machine that leads and has placed so many rows.
func started(t *testing.T, rows int) *world {
	t.Helper()
	cfg := reconcile.DefaultConfig("Thing")
	cfg.Limits = placement.Limits{ResourcePerInstance: 10, MaxInstances: 10, InitInstances: 3}
	m, err := reconcile.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{machine: m, now: time.Second}
	for i := range rows {
		w.rows = append(w.rows, fleet.Resource{ID: fmt.Sprintf("bridge-%02d", i)})
	}
	w.tell(reconcile.Led{Epoch: 1})
	if m.Stage() != reconcile.StageActive {
		t.Fatalf("the machine is %v: %v", m.Stage(), m.Pending(10))
	}
	return w
}

func (w *world) tell(ev reconcile.Event) {
	for queue := []reconcile.Event{ev}; len(queue) > 0; queue = queue[1:] {
		for _, c := range slices.Clone(w.machine.Step(w.now, queue[0])) {
			queue = append(queue, w.answers(c)...)
		}
	}
}

func (w *world) answers(c reconcile.Command) []reconcile.Event {
	switch c := c.(type) {
	case reconcile.ReadTree:
		return []reconcile.Event{reconcile.TreeRead{Req: c.Req, Tree: fleet.Tree{ControlVersion: -1}}}
	case reconcile.ListRows:
		var d fleet.Digest
		for _, r := range w.rows {
			d.Add(r)
		}
		return []reconcile.Event{reconcile.Listed{Req: c.Req, Rows: slices.Clone(w.rows), Digest: d}}
	case reconcile.ListPods:
		return []reconcile.Event{reconcile.PodsListed{Req: c.Req}}
	case reconcile.Commit:
		w.told = append(w.told, Happened{Kind: "Thing", Type: "commit", Txn: c.Txn, Decisions: c.Decisions}.Events("me")...)
		return []reconcile.Event{reconcile.Committed{Txn: c.Txn.ID, Outcome: fleet.OutcomeDone}}
	case reconcile.CreatePod:
		w.uid++
		pod := fleet.Pod{Instance: c.Instance, UID: fmt.Sprint("uid-", w.uid), Phase: fleet.PhaseRunning}
		return []reconcile.Event{reconcile.PodCreated{Instance: c.Instance, UID: pod.UID}, reconcile.PodSeen{Pod: pod}}
	case reconcile.DeletePod: // it takes its time
		return []reconcile.Event{reconcile.PodDeleted{Instance: c.Instance, UID: c.UID},
			reconcile.PodSeen{Pod: fleet.Pod{Instance: c.Instance, UID: c.UID, Phase: fleet.PhaseRunning, Terminating: true}}}
	}
	return nil
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func has(t *testing.T, what string, v any, parts ...string) {
	t.Helper()
	got := text(v)
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s: %s lacks %s", what, got, part)
		}
	}
}

func TestMachine(t *testing.T) {
	w := started(t, 25)
	w.now += 5 * time.Second
	w.tell(reconcile.Heartbeat{Instance: 0})
	w.now += 2 * time.Second
	see := func(id fleet.InstanceID) api.Instance {
		in, ok := FindInstance(w.machine, id)
		if !ok {
			t.Fatalf("instance %d is gone", id)
		}
		return things.Instance(in, w.now)
	}
	has(t, "instance 0", see(0), `"pod":"iota-dac-0"`, `"used":5,"capacity":10`, `"phase":"Running"`, `"up":true`, `"heartbeatAgeSeconds":2`, `"arriving":0`)
	if in := see(1); in.ConfirmedTimes != nil || in.Confirms {
		t.Errorf("instance 1 has confirmed nothing: %+v", in)
	}
	has(t, "status", things.Status(w.machine), `"stage":"active"`, `"instances":3,"resources":25,"unplaced":0`, `"alarms":[]`, `"pending":[`, `"committed":`)
	has(t, "progress", things.Progress(w.machine, w.now), `{"resource":"Thing","running":false,`, `"sinceSeconds":0`)

	w.tell(reconcile.PodSeen{Pod: fleet.Pod{Instance: 1, UID: "uid-2", Phase: fleet.PhaseFailed, Reason: "OOMKilled"}})
	w.now += 3 * time.Second
	has(t, "a failed instance, that is being deleted", see(1), `"up":false`, `"downForSeconds":3`, `"terminating":true`)
}

// TestInstance tells of an instance in each state.
func TestInstance(t *testing.T) {
	const now = time.Minute
	in := func(change func(*reconcile.Instance)) reconcile.Instance {
		x := reconcile.Instance{ID: 3, Exists: true, Used: 4, Capacity: 5, Times: 7, Phase: fleet.PhaseRunning, UID: "u", Status: fleet.Status{Times: -1}}
		change(&x)
		return x
	}
	for name, c := range map[string]struct {
		in   reconcile.Instance
		want []string
		not  string
	}{
		"well": {in(func(x *reconcile.Instance) { x.Heard, x.LastBeat = true, 59*time.Second }),
			[]string{`"id":3,"pod":"iota-dac-3","used":4,"capacity":5,"phase":"Running","up":true`, `"heartbeatAgeSeconds":1,`, `"times":7`, `"confirms":false`}, "downForSeconds"},
		"confirms": {in(func(x *reconcile.Instance) { x.Status = fleet.Status{Present: true, Times: 0} }),
			[]string{`"session":true,"confirms":true,"times":7,"confirmedTimes":0`}, "heartbeatAge"},
		"evacuated": {in(func(x *reconcile.Instance) {
			x.Phase, x.Reason, x.Down, x.Evacuated, x.Used = fleet.PhasePending, "Unschedulable", true, true, 0
		}), []string{`"used":0`, `"phase":"Pending","reason":"Unschedulable","up":false`, `"downForSeconds":60`}, "confirmedTimes"},
		"down, though Kubernetes says that it runs": {in(func(x *reconcile.Instance) { x.Down, x.DownSince = true, now }), []string{`"up":false`, `"downForSeconds":0`}, "heartbeatAge"},
		"silent":      {in(func(x *reconcile.Instance) { x.Silent = true }), []string{`"up":false`, `"silent":true`}, "downForSeconds"},
		"terminating": {in(func(x *reconcile.Instance) { x.Terminating = true }), []string{`"up":false`, `"terminating":true`}, "downForSeconds"},
		"node lost":   {in(func(x *reconcile.Instance) { x.NodeLost = true }), []string{`"up":false`, `"nodeLost":true`}, "downForSeconds"},
		"closing":     {in(func(x *reconcile.Instance) { x.Closing, x.Arriving, x.Leaving = true, 1, 2 }), []string{`"up":true,"closing":true`, `"arriving":1,"leaving":2`}, "node\""},
	} {
		got := things.Instance(c.in, now)
		has(t, name, got, c.want...)
		if strings.Contains(text(got), c.not) {
			t.Errorf("%s: %s has %s", name, text(got), c.not)
		}
	}
}

func TestPlan(t *testing.T) {
	w := started(t, 25)
	size, plan, err := w.machine.Preview(Request(api.OrchestrateRequest{ResourcePerInstance: new(5)}))
	if err != nil {
		t.Fatal(err)
	}
	planned, err := plan()
	if err != nil {
		t.Fatal(err)
	}
	whole := things.Plan(25, size, planned, 1000)
	if whole.MovesTruncated || whole.Cost.Moves != len(whole.Moves) || whole.Cost.Opened != len(whole.Opened) || whole.Instances != 6 || whole.Moves[0].Reason == "" {
		t.Errorf("the plan is %+v", whole)
	}
	if part := things.Plan(25, size, planned, 2); !part.MovesTruncated || len(part.Moves) != 2 || part.Cost != whole.Cost {
		t.Errorf("two moves of the plan are %+v", part)
	}
	has(t, "an empty plan", things.Plan(0, placement.Size{}, &placement.Plan{}, 1), `"moves":[]`, `"opened":[]`, `"released":[]`, `"recapacitated":[]`)
}

func TestAgainst(t *testing.T) {
	w := started(t, 25)
	limits := placement.Limits{ResourcePerInstance: 10, MaxInstances: 10, InitInstances: 3}
	check := func(order reconcile.Order, code api.Code, says string) {
		t.Helper()
		err := things.Against(w.machine, limits, order)
		var e *api.Error
		if code == "" && err != nil || code != "" && (!errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, says)) {
			t.Errorf("%+v: %v, want %s %q", order, err, code, says)
		}
	}
	check(reconcile.Drain{Instance: 9}, api.CodeUnknownInstance, "Thing has no instance 9")
	check(reconcile.Undrain{Instance: 1}, api.CodeConflict, "not being drained")
	check(reconcile.Drain{Instance: 1}, "", "")
	check(reconcile.Replace{Instance: 1}, "", "")
	check(reconcile.Maintenance{On: true}, "", "")
	check(reconcile.Orchestrate{Request: Request(api.OrchestrateRequest{ResourcePerInstance: new(2)})}, api.CodeRefused, "require instances more than the max: 13/10")
	check(reconcile.Orchestrate{Request: Request(api.OrchestrateRequest{MaxInstances: new(1)})}, api.CodeOutOfRange, "maxInstances")
	check(reconcile.Orchestrate{}, "", "")
	w.tell(reconcile.Ordered{Req: 1, Order: reconcile.Drain{Instance: 1}})
	check(reconcile.Drain{Instance: 1}, api.CodeConflict, "drained already")
	check(reconcile.Undrain{Instance: 1}, "", "")
	w.tell(reconcile.Ordered{Req: 2, Order: reconcile.Replace{Instance: 2}})
	check(reconcile.Replace{Instance: 2}, api.CodeConflict, "on its way")
	w.tell(reconcile.Ordered{Req: 3, Order: reconcile.Maintenance{On: true}})
	check(reconcile.Replace{Instance: 2}, "", "") // the machine refuses that itself
	check(reconcile.Replace{Instance: 7}, api.CodeUnknownInstance, "")
}

func TestSizeError(t *testing.T) {
	if err := SizeError(nil); err != nil {
		t.Errorf("nothing wrong: %v", err)
	}
	if err := SizeError(errors.New("not ready")); !errors.Is(err, &api.Error{Code: api.CodeUnavailable}) {
		t.Errorf("not ready: %v", err)
	}
}

func TestEvents(t *testing.T) {
	w := started(t, 25)
	opened, commits := 0, 0
	for _, ev := range w.told {
		switch {
		case ev.Type == api.EventInstance && ev.Code == "opened":
			opened++
		case ev.Type == api.EventCommit && ev.Code == "done" && ev.Count > 0:
			commits++
		}
	}
	if opened != 3 || commits == 0 {
		t.Errorf("%d instances opened in %d commits: %s", opened, commits, text(w.told))
	}
	many := make([]placement.Move, 3*toldMoves)
	for i := range many {
		many[i] = placement.Move{Resource: fmt.Sprint(i), From: 1, To: 2}
	}
	events := Happened{Kind: "Thing", Type: "commit", Txn: &fleet.Txn{}, Decisions: many}.Events("")
	if len(events) != toldMoves+1 || events[len(events)-1].Type != api.EventCommit {
		t.Errorf("%d moves are told by %d events", len(many), len(events))
	}
	none := fleet.NoInstance
	for _, c := range []struct {
		h    Happened
		want string
	}{
		{Happened{Type: "leader", Instance: none, Text: "me"}, `[{"type":"leader","at":"0001-01-01T00:00:00Z","on":true,"code":"me"}]`},
		{Happened{Type: "leader", Instance: none}, `[{"type":"leader","at":"0001-01-01T00:00:00Z","on":false}]`},
		{Happened{Type: "alarm", Instance: none, Code: "c", Text: "t"}, `[{"type":"alarm","at":"0001-01-01T00:00:00Z","on":true,"code":"c","text":"t"}]`},
		{Happened{Type: "alarm-over", Instance: none, Code: "c"}, `[{"type":"alarm","at":"0001-01-01T00:00:00Z","on":false,"code":"c"}]`},
		{Happened{Type: "pod-create", Instance: 3}, `[{"type":"instance","at":"0001-01-01T00:00:00Z","instance":3,"code":"create"}]`},
		{Happened{Type: "pod-delete", Instance: 3, Code: "ordered"}, `[{"type":"instance","at":"0001-01-01T00:00:00Z","instance":3,"code":"ordered"}]`},
		{Happened{Type: "pod", Instance: 3, Phase: fleet.PhaseFailed}, `[{"type":"pod","at":"0001-01-01T00:00:00Z","instance":3,"code":"Failed"}]`},
		{Happened{Type: "order", Instance: 3, Code: "done", Text: "drain"}, `[{"type":"order","at":"0001-01-01T00:00:00Z","instance":3,"code":"done","text":"drain"}]`},
		{Happened{Type: "progress", Instance: none, On: true, Text: "x"}, `[{"type":"progress","at":"0001-01-01T00:00:00Z","on":true,"text":"x"}]`},
		{Happened{Type: "maintenance", Instance: none}, `[{"type":"maintenance","at":"0001-01-01T00:00:00Z","on":false}]`},
		{Happened{Type: "led", Instance: none, Text: "x"}, `[{"type":"note","at":"0001-01-01T00:00:00Z","text":"x"}]`},
		{Happened{Type: "something new", Instance: none, Text: "x"}, `[{"type":"note","at":"0001-01-01T00:00:00Z","text":"x"}]`},
	} {
		if got := text(c.h.Events("me")); got != c.want {
			t.Errorf("%+v\n got %s\nwant %s", c.h, got, c.want)
		}
	}
}
