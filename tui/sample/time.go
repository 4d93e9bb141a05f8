package sample

import (
	"maps"
	"math"
	"slices"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

const planned = 1800 // seconds that the simulation will run

// partition is a fault that lasts, as a scenario has it.
const partition = "{at: 8m56s, for: 15m, node: partition, name: node-2}"

func clock() api.Clock {
	return api.Clock{
		Source: "simulation", Began: Began, Now: Shown, End: Shown, Planned: planned, Live: true, Speed: 10,
		Event: 4211, Text: "kafka: down, for 5 min", Violations: 1, Faults: []string{"kafka: down, for: 5m", partition},
	}
}

// marks are of every class, some of them over each other.
func marks() []api.Mark {
	return []api.Mark{
		{At: 0, Once: true, Class: api.MarkLeader, Text: "simulation leads"},
		{At: 60, Until: new(180.0), Class: api.MarkFault, Text: "zookeeper: slow, by 0.4 s"},
		{At: 62, Until: new(181.5), Class: api.MarkOutage, Text: "ZooKeeper does not answer"},
		{At: 203, Once: true, Class: api.MarkFault, Resource: "Thing", Instance: new(3), Text: "pod of Thing 3: crash"},
		{At: 204.2, Until: new(221.0), Class: api.MarkAlarm, Resource: "Thing", Text: "an instance of Thing is down"},
		{At: 301.7, Once: true, Class: api.MarkViolation, Resource: "Thing", Text: "resource 51eb851e stood on two instances for 0.3 s"},
		{At: 455, Once: true, Class: api.MarkLeader, Text: "simulation began anew"},
		{At: 510, Once: true, Class: api.MarkOrder, Resource: "Thing", Instance: new(3), Text: "replace Thing 3"},
		{At: 536, Class: api.MarkFault, Text: partition},
		{At: 540, Class: api.MarkAlarm, Resource: "Thing", Text: "instances of Thing are not up"},
		{At: 600, Until: new(900.0), Class: api.MarkFault, Text: "kafka: down, for 5 min"},
		{At: 603, Class: api.MarkOutage, Text: "heartbeats do not come"},
		{At: 741.4, Once: true, Class: api.MarkOrder, Resource: "Thing", Instance: new(1), Text: "drain Thing 1"},
		{At: 1500, Once: true, Class: api.MarkHeal, Text: "no fault begins from here on"},
	}
}

// wave is a figure that goes up and down around 1.
func wave(t, period, phase float64) float64 { return 1 + math.Sin(t/period*2*math.Pi+phase) }

// figures are a kind's at a moment: it grows, breaks at 203 s and at 540 s, and
// mends.
func figures(sum api.Totals, unwell int, kind string, t float64) data.Point {
	p := data.Point{
		At:        Began.Add(time.Duration(t * float64(time.Second))),
		Resources: int(float64(sum.Used+sum.Unplaced) * (0.9 + 0.1*t/Shown)),
		Instances: sum.InstanceCount, Up: sum.InstanceCount,
		Moves: int64(2.1*t + 40*wave(t, 180, 0)), Commits: int64(1.2*t + 12*wave(t, 90, 1)),
		HeartbeatAge: 30 * wave(t, 60, 2),
	}
	if t > 203 && t < 221 {
		p.Up, p.Unplaced = max(p.Up-1, 0), int((221-t)*3)
	}
	if t > 540 {
		p.Up, p.Unplaced = max(p.Up-unwell, 0), sum.Unplaced
		p.HeartbeatAge = t - 540 + 60
	}
	if kind == "Rule" {
		p.HeartbeatAge = -1
	}
	return p
}

func track(s *data.State, kind string) *data.Track {
	t, sum, bad := &data.Track{}, sums(s, kind), unwell(s, kind)
	for n := range data.MaxPoints {
		t.Add(figures(sum, bad, kind, Shown*float64(n+1)/data.MaxPoints))
	}
	return t
}

// timeline has so many buckets, of which those that have begun have figures.
func timeline(s *data.State, buckets int) api.Timeline {
	buckets = min(max(buckets, 1), 2000)
	t := api.Timeline{End: Shown, Planned: planned, Bucket: planned / float64(buckets)}
	for _, m := range marks() {
		if m.At <= Shown || m.Class == api.MarkHeal {
			t.Marks = append(t.Marks, m)
		}
	}
	for _, kind := range kindNames {
		one := api.Series{Resource: kind}
		sum, bad := sums(s, kind), unwell(s, kind)
		before := figures(sum, bad, kind, 0)
		for at := 0.0; at < Shown; at += t.Bucket {
			p := figures(sum, bad, kind, min(at+t.Bucket, Shown))
			one.Resources = append(one.Resources, p.Resources)
			one.Unplaced = append(one.Unplaced, p.Unplaced)
			one.Instances = append(one.Instances, p.Instances)
			one.Up = append(one.Up, p.Up)
			one.Moves = append(one.Moves, max(int(p.Moves-before.Moves), 0))
			one.Commits = append(one.Commits, max(int(p.Commits-before.Commits), 0))
			one.HeartbeatAge = append(one.HeartbeatAge, p.HeartbeatAge)
			before = p
		}
		t.Series = append(t.Series, one)
	}
	return t
}

// nodes are those that pods are on, by name.
func nodes(s *data.State) []string {
	names := map[string]bool{}
	for _, kind := range kindNames {
		list, _ := s.Instances(kind)
		for i := range list {
			if list[i].Node != "" {
				names[list[i].Node] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// faults are some of a simulation's, in its own words.
func faults(s *data.State) api.Faults {
	pods := []string{"kind", "instance", "count", "share", "where", "every", "stable"}
	f := api.Faults{Nodes: nodes(s), Offered: []api.FaultWord{
		{Subject: "pod", Word: "crash", About: "Pods go to Failed, reason Error.", Once: true, Target: "instance", Needs: true, Keys: pods},
		{Subject: "pod", Word: "hang", About: "Pods stay Running and run on what they run, but confirm and send nothing, until they are replaced.", Once: true, Target: "instance", Needs: true, Keys: pods},
		{Subject: "node", Word: "partition", About: "Nobody reaches what runs on the nodes, and it runs on.", Target: "node", Needs: true, Keys: []string{"name", "count", "share", "stable"}},
		{Subject: "kafka", Word: "down", About: "No heartbeat arrives; those sent meanwhile are lost.", Keys: []string{"stable"}},
		{Subject: "kafka", Word: "slow", About: "Records arrive `by` later.", Keys: []string{"by", "stable"}, By: 5},
		{Subject: "mqtt", Word: "lose", About: "Notifications are lost, as with quality of service 0.", Keys: []string{"stable"}},
		{Subject: "zookeeper", Word: "slow", About: "Requests take `by` longer.", Keys: []string{"by", "of", "stable"}, By: 1},
		{Subject: "zookeeper", Word: "down", About: "A restart: no connection until it ends; what was written is there.", Target: "instance",
			Keys: []string{"of", "kind", "instance", "count", "share", "where", "stable"}},
		{Subject: "database", Word: "down", About: "Listings fail.", Keys: []string{"stable"}},
		{Subject: "orchestrator", Word: "crash", About: "The orchestrator is gone with all it held in memory, and starts again in the end. With `command`: struck down at such commands, and back after `by` each time.",
			Keys: []string{"command", "by", "stable"}},
	}}
	for _, m := range marks() {
		if m.Class == api.MarkFault && !m.Once && (m.Until == nil || *m.Until > Shown) {
			f.Active = append(f.Active, m)
		}
	}
	return f
}
