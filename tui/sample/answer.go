package sample

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// Answer puts an answer in for each query that has none.
func Answer(s *data.State, queries ...data.Query) {
	for _, q := range queries {
		if s.Answers[q] == nil {
			put(s, q, value(s, q))
		}
	}
}

// value is what the server would say to a query.
func value(s *data.State, q data.Query) any {
	switch q.What {
	case data.AskAbout:
		return api.About{Program: "dacorch 1.4.0", Name: "simulation", Title: "rolling-restart.yaml, seed 1", Scope: "write", Time: true, Faults: true}
	case data.AskKinds:
		return kinds(s)
	case data.AskStatus:
		return status(s, q.Kind)
	case data.AskInstances:
		return api.Instances{Resource: q.Kind, Instances: []api.Instance{}}
	case data.AskPod:
		return pod(s, q)
	case data.AskList:
		return list(s, q)
	case data.AskSearch:
		return search(s, q)
	case data.AskMoves:
		return moves(s, q)
	case data.AskRecent:
		return recent(s, q)
	case data.AskReorchestrations:
		return runs(s, q.Kind)
	case data.AskPlan:
		return plan(s, q)
	case data.AskHealth:
		return api.Health{Live: true, Ready: true, Checks: []api.Check{{Name: "zookeeper", OK: true}, {Name: "kafka", OK: true}, {Name: "kubernetes", OK: true}, {Name: "database", OK: true}}}
	case data.AskClock:
		return clock()
	case data.AskTimeline:
		return timeline(s, q.N)
	case data.AskFaults:
		return faults(s)
	}
	return nil
}

// sums are a kind's totals.
func sums(s *data.State, kind string) api.Totals {
	list, _ := s.Instances(kind)
	t := api.Totals{InstanceCount: len(list)}
	for i := range list {
		t.Used += list[i].Used
		t.Capacity += list[i].Capacity
	}
	for t.Unplaced < 12 && unplacedOf(t.Used+t.Unplaced+1) > t.Unplaced {
		t.Unplaced++
	}
	return t
}

// unwell is how many of a kind's instances are not up.
func unwell(s *data.State, kind string) int {
	list, _ := s.Instances(kind)
	n := 0
	for i := range list {
		if !list[i].Up {
			n++
		}
	}
	return n
}

func kinds(s *data.State) api.Kinds {
	var k api.Kinds
	for _, kind := range kindNames {
		k.Kinds = append(k.Kinds, api.KindSummary{
			Resource: kind, InstanceName: strings.TrimSuffix(podName(kind, 0), "-0"),
			Leader: api.Leader{Self: true, Name: "simulation"}, Totals: sums(s, kind),
		})
	}
	return k
}

func status(s *data.State, kind string) api.Status {
	t := sums(s, kind)
	st := api.Status{
		Resource: kind, Leader: api.Leader{Self: true, Name: "simulation"}, Epoch: 3, Stage: "active",
		Instances: t.InstanceCount, Resources: t.Used + t.Unplaced, Unplaced: t.Unplaced,
		Alarms: []api.Alarm{}, Pending: []string{},
		Counters: map[string]int64{"commits": 1204, "moves": 2211, "heartbeats": 48_112},
	}
	if n := unwell(s, kind); kind == "Thing" && n > 0 {
		st.Alarms = []api.Alarm{{Code: "instances-down", Text: fmt.Sprintf("%d of %d instances of Thing are not up", n, t.InstanceCount)}}
		st.Pending = []string{"instance 5 of Thing: its pod is Pending for 12 s"}
	}
	return st
}

func pod(s *data.State, q data.Query) api.Pod {
	p := api.Pod{Resource: q.Kind, Instance: q.Instance, Name: podName(q.Kind, q.Instance), Phase: "Missing", Events: []api.PodEvent{}}
	list, _ := s.Instances(q.Kind)
	if q.Instance < 0 || q.Instance >= len(list) {
		return p
	}
	in := &list[q.Instance]
	p.UID, p.Phase, p.Reason, p.Node, p.Image = fmt.Sprintf("9f1c7a52-%04x", q.Instance), in.Phase, in.Reason, in.Node, "iota/dac:2.7.1"
	p.Restarts, p.AgeSeconds = in.Restarts, in.AgeSeconds
	p.Events = []api.PodEvent{
		{AgeSeconds: 48, Type: "Warning", Reason: "Unhealthy", Text: "Readiness probe failed: HTTP probe failed with statuscode: 503", Count: 4, Source: "kubelet"},
		{AgeSeconds: 700, Type: "Normal", Reason: "Started", Text: "Started container dac", Count: 1, Source: "kubelet"},
		{AgeSeconds: 702, Type: "Normal", Reason: "Pulled", Text: "Container image \"iota/dac:2.7.1\" already present on machine", Count: 1, Source: "kubelet"},
		{AgeSeconds: 705, Type: "Normal", Reason: "Scheduled", Text: "Successfully assigned iota/" + p.Name + " to " + in.Node, Count: 1, Source: "default-scheduler"},
	}
	return p
}

func moves(s *data.State, q data.Query) api.Moves {
	m := api.Moves{Resource: q.Kind, ID: q.Text, Moves: []api.MoveRecord{}, Since: Began, Complete: true}
	r := of(s, q.Kind)
	n, ok := r.find(q.Text)
	if !ok {
		return m
	}
	if at := r.instance(n); at != nil {
		first, second := (*at+3)%len(r.list), (*at+7)%len(r.list)
		m.Moves = []api.MoveRecord{
			{At: s.Now.Add(-41 * time.Second), From: new(first), To: at, Reason: "evened out: the re-orchestration of 03:11"},
			{At: s.Now.Add(-4 * time.Minute), From: new(second), To: new(first), Reason: fmt.Sprintf("instance %d was drained", second)},
			{At: s.Now.Add(-11 * time.Minute), To: new(second), Reason: "newly created"},
		}
	}
	return m
}

func runs(s *data.State, kind string) api.Reorchestrations {
	end := func(ago time.Duration) *time.Time { return new(s.Now.Add(-ago)) }
	return api.Reorchestrations{Resource: kind, Since: Began, Runs: []api.Reorchestration{
		{StartedAt: s.Now.Add(-9 * time.Second), Outcome: "running", Moves: 310, Create: 1, Text: "212 of 310 resources moved"},
		{StartedAt: s.Now.Add(-5 * time.Minute), EndedAt: end(281 * time.Second), Outcome: "done", Moves: 1240, Create: 3, Release: 1},
		{StartedAt: s.Now.Add(-8 * time.Minute), EndedAt: end(450 * time.Second), Outcome: "interrupted", Moves: 97, Text: "another process leads now"},
		{StartedAt: s.Now.Add(-12 * time.Minute), EndedAt: end(718 * time.Second), Outcome: "done"},
	}}
}

func plan(s *data.State, q data.Query) api.Plan {
	r := of(s, q.Kind)
	t := sums(s, q.Kind)
	p := api.Plan{Resource: q.Kind, Resources: t.Used + t.Unplaced, Instances: t.InstanceCount, ResourcePerInstance: 1, Moves: []api.PlannedMove{},
		Opened: []api.PlannedOpen{}, Released: []api.PlannedClose{}, Recapacitated: []api.Recapacity{}}
	if len(r.list) == 0 {
		return p
	}
	p.ResourcePerInstance = p.Resources/len(r.list) + 1
	if q.Per > 0 {
		p.ResourcePerInstance, p.Instances = q.Per, p.Resources/q.Per+1
	}
	p.Cost = api.Cost{Moves: p.Resources / 9, Placements: t.Unplaced}
	for id := len(r.list); id < p.Instances && id < len(r.list)+50; id++ {
		p.Opened = append(p.Opened, api.PlannedOpen{ID: id, Capacity: p.ResourcePerInstance, Reason: "the resources need it"})
	}
	for id := p.Instances; id < len(r.list) && id < p.Instances+50; id++ {
		p.Released = append(p.Released, api.PlannedClose{ID: id, Reason: "not needed any longer"})
	}
	p.Cost.Opened, p.Cost.Released = len(p.Opened), len(p.Released)
	for n := range min(max(q.N, 0), p.Cost.Moves) {
		from := n % len(r.list)
		p.Moves = append(p.Moves, api.PlannedMove{ID: r.id(n * 9), From: new(from), To: new((from + 4) % len(r.list)), Reason: "evens out"})
	}
	p.MovesTruncated = len(p.Moves) < p.Cost.Moves
	return p
}

func recent(s *data.State, q data.Query) api.Recent {
	is := func(p *int) bool { return p != nil && *p == q.Instance }
	r := api.Recent{Events: []api.Event{}, Last: "1"}
	for _, ev := range slices.Backward(s.Events) {
		if q.Kind != "" && ev.Resource != q.Kind || q.Text != "" && ev.ResourceID != q.Text ||
			q.Instance >= 0 && q.Text == "" && !is(ev.Instance) && !is(ev.From) && !is(ev.To) {
			continue
		}
		if len(r.Events) == max(q.N, 1) {
			return r
		}
		r.Events = append(r.Events, ev)
	}
	r.Complete = true
	return r
}
