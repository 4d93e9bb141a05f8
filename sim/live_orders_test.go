package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

const quietWorld = `
duration: 1h
heal: 10m
kinds:
  - {kind: Thing, resources: 300, resourcePerInstance: 100, initInstances: 6, maxInstances: 20}
  - {kind: Rule, resources: 60, resourcePerInstance: 30, initInstances: 4, maxInstances: 10, handoff: strict}
nodes: {count: 3, podsPerNode: 8}
`

// read is what a scenario has as a fault, without its at.
func read(t *testing.T, sc *scenarios.Scenario, text string) scenarios.Fault {
	t.Helper()
	f, err := sc.ParseFault([]byte(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func inject(t *testing.T, l *Live, text string) scenarios.Fault {
	t.Helper()
	f, err := l.Inject(read(t, l.run.sc, text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestOrdersInALiveRun gives orders in every situation: each is answered once,
// when its fate is known.
func TestOrdersInALiveRun(t *testing.T) {
	forty := 40
	for name, c := range map[string]struct {
		before string        // a fault that is injected
		then   time.Duration // before the order
		kind   fleet.Kind
		order  reconcile.Order
		after  string        // a fault that is injected then
		within time.Duration // of the answer
		want   string        // is in it; empty: it is done
	}{
		"it is done":             {kind: "Thing", order: reconcile.Orchestrate{Request: placement.Request{ResourcePerInstance: &forty}}, within: 10 * time.Minute},
		"done at once":           {kind: "Thing", order: reconcile.Maintenance{On: true}, within: time.Second},
		"the answer is no":       {kind: "Thing", order: reconcile.Replace{Instance: 77}, want: "77"},
		"no such kind":           {kind: "Pump", order: reconcile.Replace{}, want: `kind "Pump" is not valid: want one of the scenario's (Thing, Rule)`},
		"no such order":          {kind: "Thing", want: "order <nil> is not valid"},
		"nobody runs":            {before: "{orchestrator: crash, for: 1m}", kind: "Thing", order: reconcile.Replace{Instance: 1}, want: "not ready: no process"},
		"nobody leads yet":       {before: "{orchestrator: crash, for: 10s}", then: 10*time.Second + time.Millisecond, kind: "Thing", order: reconcile.Replace{Instance: 1}, want: "not ready: this process is"},
		"it stands still":        {before: "{orchestrator: pause, for: 3s}", then: time.Second, kind: "Thing", order: reconcile.Maintenance{On: true}, within: time.Minute},
		"the process dies":       {before: "{orchestrator: crash, command: any, for: 5m}", kind: "Thing", order: reconcile.Drain{Instance: 1}, want: "no longer the leader: "},
		"the process dies later": {kind: "Thing", order: reconcile.Drain{Instance: 1}, after: "{orchestrator: crash, for: 1m}", within: time.Minute, want: "no longer the leader: its process has died"},
		"the leadership is lost": {before: "{zookeeper: expire}", kind: "Thing", order: reconcile.Drain{Instance: 1}, within: time.Minute, want: "no longer the leader: "},
	} {
		t.Run(name, func(t *testing.T) {
			l := begin(t, parse(t, quietWorld), Options{})
			goTo(t, l, 12*time.Minute, nil)
			if c.before != "" {
				inject(t, l, c.before)
			}
			goTo(t, l, l.Now()+c.then, nil)
			var answers []string
			l.Order(c.kind, c.order, func(err string) { answers = append(answers, err) })
			if len(answers) == 1 != (c.within == 0) {
				t.Errorf("answered at once: %q", answers)
			}
			if c.after != "" {
				inject(t, l, c.after)
			}
			goTo(t, l, l.Now()+c.within, nil)
			if len(answers) != 1 || !strings.Contains(answers[0], c.want) || c.want == "" && answers[0] != "" {
				t.Fatalf("answers %q, want one with %q", answers, c.want)
			}
			goTo(t, l, time.Hour, nil)
			if rep := closed(t, l); len(answers) != 1 || !rep.OK() {
				t.Errorf("answers %q, %+v", answers, rep.Violations)
			}
		})
	}
}

// TestOrderAtTheEnd has an order wait when the run is closed, and gives another
// one afterwards.
func TestOrderAtTheEnd(t *testing.T) {
	l := begin(t, parse(t, quietWorld), Options{})
	goTo(t, l, 5*time.Minute, nil)
	var answers []string
	note := func(err string) { answers = append(answers, err) }
	l.Order("Thing", reconcile.Drain{Instance: 2}, note)
	rep := closed(t, l)
	l.Order("Thing", reconcile.Drain{Instance: 2}, note)
	if want := []string{ErrEnded.Error(), ErrEnded.Error()}; !slices.Equal(answers, want) {
		t.Errorf("answers %q, want %q", answers, want)
	}
	if rep.VirtualS != 300 || len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0], "ended after 5m of 1h") {
		t.Errorf("%v s, notes %q", rep.VirtualS, rep.Notes)
	}
	if _, err := l.Close(); !errors.Is(err, ErrEnded) {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := l.Inject(scenarios.NewFault(scenarios.KubernetesGone)); !errors.Is(err, ErrEnded) {
		t.Errorf("a fault after the end: %v", err)
	}
	if n, reached := l.Advance(time.Hour, 9); n != 0 || !reached || !l.Ended() || l.Now() != 5*time.Minute {
		t.Errorf("after the end %d events happen, and it is %v", n, l.Now())
	}
	if at, more := l.Next(); more {
		t.Errorf("after the end something is to come at %v", at)
	}
}

// TestInjectedHitsWhomItNames breaks the pod of one instance, and no other.
func TestInjectedHitsWhomItNames(t *testing.T) {
	for _, word := range []string{"crash", "oom", "evict", "hang", "zombie"} {
		var kept marks
		l := begin(t, parse(t, quietWorld), Options{Record: &kept})
		goTo(t, l, 12*time.Minute, nil)
		f := inject(t, l, "{pod: "+word+", kind: Thing, instance: 3}")
		if f.At != 12*time.Minute {
			t.Errorf("%s began at %v", word, f.At)
		}
		var hit []string
		for _, m := range kept.all {
			if m.at == f.At && (m.What == recording.ProgramEnded || m.What == recording.ProgramHung) {
				hit = append(hit, fmt.Sprint(m.kind, " ", m.Instance))
			}
		}
		if want := []string{"0 3"}; !slices.Equal(hit, want) {
			t.Errorf("%s hit %q, want %q", word, hit, want)
		}
		goTo(t, l, time.Hour, nil)
		if rep := closed(t, l); !rep.OK() || word == "crash" && rep.Totals[history.InstancesReplaced] != 1 {
			t.Errorf("%s: %+v, %v replaced", word, rep.Violations, rep.Totals[history.InstancesReplaced])
		}
	}
}

// TestInjectedHitsTheNodeItNames breaks one machine: what runs there is hit, and
// nothing else.
func TestInjectedHitsTheNodeItNames(t *testing.T) {
	for _, word := range []string{"lose", "drain", "partition", "flap"} {
		var kept marks
		l := begin(t, parse(t, quietWorld), Options{Record: &kept})
		goTo(t, l, 12*time.Minute, nil)
		var there, hit []string
		for kind, name := range []fleet.Kind{"Thing", "Rule"} {
			for id := range fleet.InstanceID(6) {
				if l.Node(name, id) == "node-2" {
					there = append(there, fmt.Sprint(kind, " ", id))
				}
			}
		}
		f := inject(t, l, "{node: "+word+", name: node-2, for: 5m}")
		b := l.run.broken[len(l.run.broken)-1]
		if f.Node != "node-2" || !slices.Equal(b.nodes, []string{"node-2"}) {
			t.Errorf("%s %+v hits %q", word, f, b.nodes)
		}
		goTo(t, l, f.At+time.Minute, nil)
		for _, m := range kept.all {
			if m.at >= f.At && m.What == recording.ProgramEnded {
				hit = append(hit, fmt.Sprint(m.kind, " ", m.Instance))
			}
		}
		slices.Sort(hit)
		slices.Sort(there)
		if ends := word == "lose" || word == "drain"; len(there) == 0 || ends && !slices.Equal(hit, there) {
			t.Errorf("%s ended %q, on the machine stood %q", word, hit, there)
		}
		goTo(t, l, time.Hour, nil)
		if rep := closed(t, l); !rep.OK() {
			t.Errorf("%s: %+v", word, rep.Violations)
		}
	}
}

// TestNodeThatCame: where a file says which machines there are, those can be named
// that are there at the moment.
func TestNodeThatCame(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nodes.csv")
	if err := os.WriteFile(file, []byte("0,old,add\n0,older,add\n180000,old,remove\n180000,new,add\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	world := strings.Replace(quietWorld, "count: 3", "trace: {file: "+strconv.Quote(file)+", source: ours, time: ms, at: 1, node: 2, action: 3, header: false}", 1)
	l := begin(t, parse(t, world), Options{})
	goTo(t, l, 5*time.Minute, nil)
	var errs scenarios.Errors
	_, err := l.Inject(read(t, l.run.sc, "{node: lose, name: old, for: 5m}"))
	if !errors.As(err, &errs) || errs[0].Key != "name" || err.Error() != `no node "old" now: want one of new, older` {
		t.Errorf("a machine that has gone: %v", err)
	}
	inject(t, l, "{node: lose, name: new, for: 5m}")
	closed(t, l)
}

// marks is a Recorder that keeps marks alone.
type marks struct {
	all    []marked
	closed int
}

type marked struct {
	at   time.Duration
	kind int
	recording.Mark
}

func (m *marks) Process(int, time.Duration)                       {}
func (m *marks) Event(time.Duration, int, reconcile.Event)        {}
func (m *marks) Commands(time.Duration, int, []reconcile.Command) {}
func (m *marks) Restarted(time.Duration, int)                     {}
func (m *marks) Close(recording.Closing) error                    { m.closed++; return nil }
func (m *marks) Mark(at time.Duration, kind int, mark recording.Mark) {
	m.all = append(m.all, marked{at, kind, mark})
}

// TestMarksOfALiveRun reads what a recording says of what was done in a run.
func TestMarksOfALiveRun(t *testing.T) {
	var kept marks
	l := begin(t, parse(t, quietWorld), Options{Record: &kept})
	if nodes := l.Nodes(); !slices.Equal(nodes, []string{"node-0", "node-1", "node-2"}) {
		t.Errorf("nodes %q", nodes)
	}
	goTo(t, l, 8*time.Minute, nil)
	inject(t, l, "{kafka: down, for: 4m}") // heal is put off
	goTo(t, l, 20*time.Minute, nil)
	inject(t, l, "{pod: crash, kind: Rule, instance: 1}") // heal is not told anew
	goTo(t, l, 30*time.Minute, nil)
	inject(t, l, "{node: partition, count: 1, for: 5m}")
	inject(t, l, "{mqtt: down, for: 7m}") // heal once, after both
	l.Order("Thing", reconcile.Replace{Instance: 4}, func(string) {})
	goTo(t, l, 33*time.Minute, nil)
	if active := l.Faults(); len(active) != 2 || active[0].At != 30*time.Minute || active[0].What != scenarios.NodePartition || active[1].For != 7*time.Minute {
		t.Errorf("active: %+v", active)
	}
	goTo(t, l, time.Hour, nil)
	if active := l.Faults(); len(active) > 0 || !l.Ended() {
		t.Errorf("at the end: %+v", active)
	}
	bound := map[fleet.InstanceID]string{}
	var got []string
	for _, m := range kept.all {
		switch m.What {
		case recording.PodBound:
			if m.kind == 0 {
				bound[m.Instance] = m.Text
			}
		case recording.FaultBegan, recording.FaultEnded, recording.OrderGiven, recording.Healed, recording.Broken:
			got = append(got, fmt.Sprint(m.at, " ", m.What, " ", m.Text))
		}
	}
	want := []string{
		fmt.Sprint("8m0s ", recording.FaultBegan, " {at: 8m, for: 4m, kafka: down}"),
		fmt.Sprint("12m0s ", recording.FaultEnded, " {at: 8m, for: 4m, kafka: down}"),
		fmt.Sprint("12m0s ", recording.Healed, " "),
		fmt.Sprint("20m0s ", recording.FaultBegan, " {at: 20m, pod: crash, kind: Rule, instance: 1}"),
		fmt.Sprint("30m0s ", recording.FaultBegan, " {at: 30m, for: 5m, node: partition, count: 1}"),
		fmt.Sprint("30m0s ", recording.FaultBegan, " {at: 30m, for: 7m, mqtt: down}"),
		fmt.Sprint("30m0s ", recording.OrderGiven, " replace 4"),
		fmt.Sprint("35m0s ", recording.FaultEnded, " {at: 30m, for: 5m, node: partition, count: 1}"),
		fmt.Sprint("37m0s ", recording.FaultEnded, " {at: 30m, for: 7m, mqtt: down}"),
		fmt.Sprint("37m0s ", recording.Healed, " "),
	}
	if !slices.Equal(got, want) {
		t.Errorf("marks\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for id := range fleet.InstanceID(6) {
		if node := l.Node("Thing", id); node == "" || node != bound[id] {
			t.Errorf("instance %d is on %q, and its last mark says %q", id, node, bound[id])
		}
	}
	if l.Node("Pump", 0) != "" || l.Violations() != 0 {
		t.Errorf("a kind that is none is on %q; %d violations", l.Node("Pump", 0), l.Violations())
	}
	if closed(t, l); kept.closed != 1 {
		t.Errorf("the recorder was closed %d times", kept.closed)
	}
}

// TestInjectionRefused says what is wrong with a fault that cannot be.
func TestInjectionRefused(t *testing.T) {
	l := begin(t, parse(t, strings.Replace(quietWorld, "nodes:", "#", 1)), Options{})
	before := closed(t, begin(t, l.run.sc, Options{})).Trace
	for want, f := range map[string]scenarios.Fault{
		`fault "" is not valid`:                      {},
		"for":                                        scenarios.NewFault(scenarios.KafkaDown),
		"there are no nodes that could break":        {What: scenarios.NodeLose, For: time.Minute, Chance: 1, Target: scenarios.Target{Count: 1}},
		`no kind "Pump": want one of Thing`:          {What: scenarios.PodCrash, Chance: 1, Target: scenarios.Target{Kind: "Pump", One: true}},
		`instance: "20" is not valid`:                {What: scenarios.PodCrash, Chance: 1, Target: scenarios.Target{Kind: "Thing", One: true, Instance: 20}},
		"for has no meaning beside kubernetes: gone": {What: scenarios.KubernetesGone, Chance: 1, For: time.Second},
		`fault "pump-burst" is not valid`:            {What: "pump-burst", Chance: 1},
	} {
		if got, err := l.Inject(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %+v, %v; want %q", f, got, err, want)
		}
	}
	if after := closed(t, l).Trace; after != before || len(l.Nodes()) != 0 {
		t.Errorf("what was refused has left something: trace %s, was %s", after, before)
	}
	l = begin(t, l.run.sc, Options{})
	for range maxInjected {
		inject(t, l, "{pod: crash, kind: Thing, instance: 1}")
	}
	if _, err := l.Inject(read(t, l.run.sc, "{pod: crash, kind: Thing, instance: 1}")); err == nil || !strings.Contains(err.Error(), "at most 10000 in a run") {
		t.Errorf("one more than fits: %v", err)
	}
}

// TestInjectedLuckIsItsOwn injects what has no consequence into a run in which
// much is left to chance, and a fault whose like the scenario has.
func TestInjectedLuckIsItsOwn(t *testing.T) {
	sc := faulty(t, 5, []scenarios.Fault{
		{What: scenarios.MQTTLose, At: time.Minute, For: 5 * time.Minute, Chance: 0.3},
		{What: scenarios.PodCrash, At: 3 * time.Minute, For: 5 * time.Minute, Every: 30 * time.Second, Chance: 0.5, Target: scenarios.Target{Kind: "Thing", Count: 3}},
	})
	want := mustRun(t, sc).Report.Trace
	skew := act{at: 2 * time.Minute, fault: &scenarios.Fault{What: scenarios.HeartbeatsSkew, For: 8 * time.Minute, By: time.Second, Chance: 0.4}}
	if got := perform(t, begin(t, sc, Options{}), []act{skew, {at: 150 * time.Second, fault: skew.fault}}, nil).Trace; got != want {
		t.Errorf("with nothing but wrong timestamps the trace is %s, without %s", got, want)
	}
	var kept marks
	l := begin(t, sc, Options{Record: &kept})
	goTo(t, l, 3*time.Minute, nil)
	again := sc.Faults[1]
	again.For, again.Every = 0, 0
	for range 40 {
		if _, err := l.Inject(again); err != nil {
			t.Fatal(err)
		}
		l.Advance(l.Now()+200*time.Millisecond, math.MaxInt)
	}
	hit := map[fleet.InstanceID]int{}
	for _, m := range kept.all {
		if m.at >= 3*time.Minute && m.What == recording.ProgramEnded && m.kind == 0 {
			hit[m.Instance]++
		}
	}
	if len(hit) < 4 {
		t.Errorf("40 faults of one text hit %v: want them to differ", hit)
	}
}

// TestNoRecorder takes a nil *recording.Writer for none.
func TestNoRecorder(t *testing.T) {
	var none *recording.Writer
	l := begin(t, parse(t, quietWorld), Options{Record: none})
	l.Advance(time.Minute, math.MaxInt)
	closed(t, l)
	var file bytes.Buffer
	sc := parse(t, quietWorld)
	l = begin(t, sc, Options{Record: recording.NewWriter(&file, RecordingHeader("test", sc))})
	l.Advance(time.Minute, math.MaxInt)
	if closed(t, l); file.Len() == 0 {
		t.Error("nothing was recorded")
	}
}
