// Package sample makes up what a server could have answered: the state of the
// terminal UI for tests, benchmarks and documents. It is the same each time.
//
//	s := sample.State(40, 4000)
//	sample.Answer(s, pane.Needs(s)...)
//
// Every health, every load, flows, events of every type, a clock and a timeline
// are in it as soon as there are some dozen instances.
package sample

import (
	"fmt"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// Began is the moment at which the sample's clock was at 0; Shown is where the
// clock is, in seconds.
var Began = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// Shown is the moment that the sample's clock shows, seconds since Began.
const Shown = 750.4

// Now is the moment of the frame.
func Now() time.Time { return Began.Add(time.Duration(Shown * float64(time.Second))) }

// State is a simulation that is watched live: kind Thing with so many instances
// and resources, and a small kind Rule beside it. Numbers below 0 count as 0.
func State(instances, resources int) *data.State {
	instances, resources = max(instances, 0), max(resources, 0)
	s := &data.State{
		Now:        Now(),
		Connection: data.Connection{URL: "http://127.0.0.1:8080", Up: true, Since: Now().Add(-12 * time.Minute), Latency: 4 * time.Millisecond},
		Kind:       "Thing",
		Answers:    map[data.Query]*data.Answer{},
		Rate:       3.4,
		Flows:      map[data.Place]data.Flow{},
		History:    map[string]*data.Track{},
		Orders: []data.Order{
			{At: Now().Add(-4 * time.Minute), Text: "replace Thing 3", Done: true, Says: "instance 3 of Thing is replaced"},
			{At: Now().Add(-9 * time.Second), Text: "drain Thing 1"},
		},
	}
	put(s, data.Query{What: data.AskInstances, Kind: "Thing"}, api.Instances{Resource: "Thing", Heartbeat: true, Instances: fleet(instances, resources)})
	put(s, data.Query{What: data.AskInstances, Kind: "Rule"}, api.Instances{Resource: "Rule", Instances: fleet(min(instances, 10), resources/20)})
	s.Events = events(s)
	flows(s)
	for _, kind := range kindNames {
		s.History[kind] = track(s, kind)
	}
	Answer(s,
		data.Query{What: data.AskAbout}, data.Query{What: data.AskKinds}, data.Query{What: data.AskHealth},
		data.Query{What: data.AskStatus, Kind: "Thing"}, data.Query{What: data.AskStatus, Kind: "Rule"},
		data.Query{What: data.AskClock}, data.Query{What: data.AskFaults})
	return s
}

// Production makes it a server that has no clock and breaks nothing.
func Production(s *data.State) *data.State {
	for q := range s.Answers {
		if q.What == data.AskClock || q.What == data.AskTimeline || q.What == data.AskFaults {
			delete(s.Answers, q)
		}
	}
	put(s, data.Query{What: data.AskAbout}, api.About{Program: "dacorch 1.4.0", Name: "dacorch-7d9f", Scope: "write"})
	return s
}

// kindNames are the kinds that there are, in the configuration's order.
var kindNames = []string{"Thing", "Rule"}

// podName is how a kind's pods are named.
func podName(kind string, id int) string {
	if kind == "Thing" {
		return fmt.Sprintf("iota-dac-%d", id)
	}
	return fmt.Sprintf("iota-rules-engine-%d", id)
}

func put(s *data.State, q data.Query, value any) {
	s.Answers[q] = &data.Answer{Value: value, At: s.Now.Add(-400 * time.Millisecond), Took: 6 * time.Millisecond}
}

// mix is a number that looks drawn, for a stable key.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// share is a number from 0 up to 1 that looks drawn.
func share(key ...int) float64 {
	n := uint64(1)
	for _, k := range key {
		n = mix(n ^ uint64(k))
	}
	return float64(n>>11) / (1 << 53)
}

// unplacedOf is how many of a kind's resources stand nowhere.
func unplacedOf(resources int) int { return min(12, resources/100) }

// fleet is a kind's instances: most are well, and of each way to be unwell there
// are a few, some of them in one stretch, as a lost rack would have it.
func fleet(instances, resources int) []api.Instance {
	list := make([]api.Instance, instances)
	capacity := 1
	if instances > 0 {
		capacity = resources*5/(instances*4) + 1
	}
	left := resources - unplacedOf(resources)
	for i := range list {
		list[i] = instance(i, instances, capacity)
		left -= list[i].Used
	}
	level(list, left)
	return list
}

// level spreads what is left (below 0: too much) so that used adds up.
func level(list []api.Instance, left int) {
	for left != 0 && len(list) > 0 {
		before := left
		for i := range list {
			in := &list[i]
			if left == 0 || in.Used == 0 || left > 0 && (in.Used >= in.Capacity-1 || !in.Up || in.Closing) {
				continue
			}
			step := min(max(left/len(list), 1), in.Capacity-1-in.Used)
			if left < 0 {
				step = max(left/len(list)-1, left, -in.Used)
			}
			in.Used, left = in.Used+step, left-step
		}
		if before == left {
			list[0].Used, left = list[0].Used+left, 0
		}
	}
}

// instance is one of them. The more there are, the fewer of a hundred are unwell.
func instance(id, of, capacity int) api.Instance {
	rare := 1
	if of > 60 {
		rare = 3
	}
	if of > 1000 {
		rare = 40
	}
	restarts, age := int(share(id, 2)*share(id, 3)*6), 750.4+share(id, 4)*86400*9
	beat, times := share(id, 5)*60, int64(3+share(id, 6)*40)
	in := api.Instance{
		ID: id, Pod: podName("Thing", id), Capacity: capacity, Used: int(float64(capacity) * load(id)),
		Phase: "Running", Up: true, Session: true, Confirms: true, Times: times, ConfirmedTimes: new(times),
		HeartbeatAgeSeconds: new(beat), Node: fmt.Sprintf("node-%d", 1+int(share(id, 7)*float64(3+of/40))),
		Restarts: new(restarts), AgeSeconds: new(age),
	}
	rack := of > 500 && id*100/of == 41
	switch {
	case rack, id%(37*rare) == 17:
		in.Up, in.NodeLost, in.Node, in.HeartbeatAgeSeconds, in.DownForSeconds = false, true, "node-2", new(214.0), new(154.0)
	case id%(17*rare) == 5:
		in.Up, in.Phase, in.Reason, in.Session, in.Used = false, "Pending", "ContainerCreating", false, capacity/7
		in.HeartbeatAgeSeconds, in.DownForSeconds, in.AgeSeconds, in.ConfirmedTimes = nil, new(14.0), new(12.0), nil
	case id%(23*rare) == 7:
		in.Up, in.Silent, in.HeartbeatAgeSeconds, in.DownForSeconds = false, true, new(312.0), new(132.0)
	case id%(29*rare) == 11:
		in.Up, in.Phase, in.Reason, in.Session, in.DownForSeconds = false, "Failed", "OOMKilled", false, new(47.0)
		in.HeartbeatAgeSeconds = new(71.0)
	case id%(31*rare) == 13:
		in.Closing, in.Leaving, in.Used = true, min(capacity/8, 40), max(capacity/5, 1)
	case id%(41*rare) == 19:
		in.Up, in.Phase, in.Node, in.Reason, in.Session = false, "Pending", "", "Unschedulable", false
		in.HeartbeatAgeSeconds, in.Restarts, in.DownForSeconds = nil, nil, new(1803.0)
	case id%(13*rare) == 3:
		in.Arriving = min(capacity/12, 25)
	}
	return in
}

// load is how full an instance is: most between half and all, some empty, full
// or over.
func load(id int) float64 {
	switch n := share(id, 1); {
	case n < 0.03:
		return 0
	case n < 0.08:
		return 1
	case n < 0.10:
		return 1.1
	case n < 0.25:
		return 0.15 + 2*n
	default:
		return 0.55 + 0.45*n
	}
}
