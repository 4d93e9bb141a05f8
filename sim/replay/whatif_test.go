package replay

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim"
)

func setting(text string) scenarios.Setting {
	s, err := scenarios.ParseSetting(text)
	if err != nil {
		panic(err)
	}
	return s
}

func settingsOf(texts ...string) []scenarios.Setting {
	var out []scenarios.Setting
	for _, text := range texts {
		out = append(out, setting(text))
	}
	return out
}

// ran records a run of a shipped scenario.
func ran(t *testing.T, name string, set ...string) *Recording {
	t.Helper()
	sc, err := scenarios.Shipped(name, settingsOf(set...)...)
	if err != nil {
		t.Fatal(err)
	}
	return recorded(t, sc, sim.Options{})
}

func recorded(t *testing.T, sc *scenarios.Scenario, opts sim.Options) *Recording {
	t.Helper()
	var file bytes.Buffer
	opts.Record = recording.NewWriter(&file, sim.RecordingHeader("test", sc))
	if _, err := sim.Run(sc, opts); err != nil {
		t.Fatal(err)
	}
	return load(t, &file)
}

func derived(t *testing.T, rec *Recording) *Derived {
	t.Helper()
	d, err := rec.Derive("story")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func answer(t *testing.T, d *Derived, q Question) *Answer {
	t.Helper()
	a, err := d.Ask(q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// exact are the figures that a simulation of what is recorded must meet to the
// last: nothing in them is drawn anew.
func exact(o *Outcome) string {
	return fmt.Sprintf("resources %d, instances %d of %d, created %d, released %d, replaced %d, moves %d of %d, orders %d (%d refused), alarms %d",
		o.Resources, o.Instances, o.InstancesMax, o.Created, o.Released, o.Replaced, o.MovesMade, o.MovesNeeded, o.Orders, o.Refused, o.Alarms)
}

func near(t *testing.T, name, what string, a, b, share float64) {
	t.Helper()
	if math.Abs(a-b) > share*max(a, b) {
		t.Errorf("%s: %s: recorded %v, simulated %v", name, what, a, b)
	}
}

// What happened, simulated with the settings that it happened with, is what
// happened.
func TestSimulatedAsRecorded(t *testing.T) {
	for name, set := range map[string][]string{
		"first-light":     nil,
		"steady-churn":    {"duration=20m", "kinds.Thing.resources=5000"},
		"pod-crash-storm": {"kinds.Thing.resources=8000"},
		"silent-hang":     {"kinds.Thing.resources=4000"},
		"zombie-pods":     {"kinds.Thing.resources=4000"},
		"kafka-outage":    {"kinds.Thing.resources=4000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := answer(t, derived(t, ran(t, name, set...)), Question{})
			if a.Asked != nil {
				t.Error("nothing was asked")
			}
			if r, s := exact(a.Recorded), exact(a.Simulated); r != s {
				t.Errorf("recorded:  %s\nsimulated: %s\n%q", r, s, a.Remarks)
			}
			if a.Recorded.Settled == 0 || a.Recorded.Resources == 0 {
				t.Errorf("%+v", a.Recorded)
			}
			near(t, name, "settled", float64(a.Recorded.Settled), float64(a.Simulated.Settled), 0.01)
			near(t, name, "transactions", float64(a.Recorded.Transactions), float64(a.Simulated.Transactions), 0.02)
			near(t, name, "settle time p50", a.Recorded.SettleP50S, a.Simulated.SettleP50S, 0.15)
			near(t, name, "settle time p99", a.Recorded.SettleP99S, a.Simulated.SettleP99S, 0.25)
			near(t, name, "imbalance", a.Recorded.Imbalance, a.Simulated.Imbalance, 0.1)
		})
	}
}

// Where rows come and go while a plan is made, which of them it moves depends on
// milliseconds.
func TestSimulatedNearRecorded(t *testing.T) {
	for name, set := range map[string][]string{
		"re-orchestrate-under-churn": {"kinds.Thing.resources=4000", "churn.0.create=2/s", "churn.0.delete=2/s"},
		"drain-and-maintenance":      nil,
		"orchestrator-crash":         {"kinds.Thing.resources=4000", "churn.0.create=1/s", "churn.0.delete=1/s"},
		"image-never-there":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := answer(t, derived(t, ran(t, name, set...)), Question{})
			r, s := a.Recorded, a.Simulated
			if r.Instances != s.Instances || r.InstancesMax != s.InstancesMax || r.Replaced != s.Replaced {
				t.Errorf("recorded:  %s\nsimulated: %s\n%q", exact(r), exact(s), a.Remarks)
			}
			near(t, name, "resources", float64(r.Resources), float64(s.Resources), 0.01)
			near(t, name, "moves", float64(r.MovesMade), float64(s.MovesMade), 0.03)
		})
	}
}

// Half as much room on an instance takes twice as many instances.
func TestHalved(t *testing.T) {
	d := derived(t, ran(t, "steady-churn", "duration=15m", "kinds.Thing.resources=5000", "kinds.Thing.initInstances=5", "kinds.Thing.resourcePerInstance=500"))
	a := answer(t, d, Question{Set: settingsOf("resourcePerInstance=250")})
	if r, s, w := a.Recorded.Instances, a.Simulated.Instances, a.Asked.Instances; r != s || w < 2*r-2 || w > 2*r+2 {
		t.Errorf("%d instances recorded, %d simulated, %d asked", r, s, w)
	}
	if a.Asked.MovesMade != 0 || a.Asked.Resources != a.Recorded.Resources {
		t.Errorf("%s", exact(a.Asked))
	}
	for _, key := range []string{"resourcePerInstance", "Thing.resourcePerInstance", "kinds.Thing.resourcePerInstance", "kinds.0.resourcePerInstance"} {
		if sc, _, err := d.With(settingsOf(key+"=250"), false); err != nil || sc.Kinds[0].ResourcePerInstance != 250 {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// What stood at the start stands in the simulation, and another sizing is an
// operator's order, which moves resources; from nothing there is nothing to move.
func TestStanding(t *testing.T) {
	sc, err := scenarios.Shipped("steady-churn", settingsOf("duration=20m", "heal=15m", "kinds.Thing.resources=600", "kinds.Thing.initInstances=3",
		"kinds.Thing.resourcePerInstance=200", "churn.0.create=2/s", "churn.0.delete=2/s")...)
	if err != nil {
		t.Fatal(err)
	}
	start := sim.Standing{Tree: fleet.Tree{ControlVersion: 3, Control: fleet.Control{ResourcePerInstance: 200, MaxInstances: 100, Capacity: 200}}}
	for i := range 4 {
		in := fleet.TreeInstance{ID: fleet.InstanceID(i), Capacity: 200, Used: 150, Times: 3, Born: int64(i + 1), Status: fleet.Status{Present: true, Times: 3}}
		for n := range 150 {
			in.IDs = append(in.IDs, fmt.Sprintf("Thing-%07d", 150*i+n+1))
		}
		start.Tree.Instances = append(start.Tree.Instances, in)
		start.Running = append(start.Running, in.ID)
	}
	d := derived(t, recorded(t, sc, sim.Options{Start: map[fleet.Kind]sim.Standing{"Thing": start}}))
	if got := d.Start["Thing"]; len(got.Tree.Instances) != 4 || len(got.Running) != 4 || got.Tree.Control.Capacity != 200 {
		t.Fatalf("%+v", got)
	}
	a := answer(t, d, Question{Set: settingsOf("resourcePerInstance=100")})
	if r, s := exact(a.Recorded), exact(a.Simulated); r != s || a.Recorded.Created != 0 || a.Recorded.Instances != 4 {
		t.Errorf("recorded:  %s\nsimulated: %s", r, s)
	}
	if w := a.Asked; w.Instances != 7 || w.MovesMade == 0 || w.MovesExcess != 0 || w.Orders != 1 || w.Refused != 0 || w.Replaced != 0 {
		t.Errorf("asked: %s\n%q", exact(w), a.Remarks)
	}
	if said := strings.Join(a.Remarks, "\n"); !strings.Contains(said, "stood on 4 instances") {
		t.Error(said)
	}
	if w := answer(t, d, Question{Set: settingsOf("resourcePerInstance=100"), FromNothing: true}).Asked; w.Instances != 7 || w.MovesMade != 0 || w.Created != 7 || w.Orders != 0 {
		t.Errorf("from nothing: %s", exact(w))
	}
}

// A recording whose beginning was deleted tells the same from its first segment on.
func TestBeginningMissing(t *testing.T) {
	var whole, late bytes.Buffer
	sc, err := scenarios.Shipped("pod-crash-storm", settingsOf("duration=40m", "heal=35m", "faults.0.for=20m", "kinds.Thing.resources=4000", "kinds.Thing.resourcePerInstance=1000")...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.Run(sc, sim.Options{Record: recording.NewWriter(&whole, sim.RecordingHeader("test", sc))}); err != nil {
		t.Fatal(err)
	}
	rewrite(t, whole.Bytes(), &late, recording.Header{Program: "test", Segment: 3}, 10*time.Minute)
	d := derived(t, load(t, &late))
	if start := d.Start["Thing"]; len(start.Tree.Instances) != 40 || len(start.Running) != 40 || d.From < 9*time.Minute {
		t.Fatalf("%d instances, %d run, from %v", len(start.Tree.Instances), len(start.Running), d.From)
	}
	if said := strings.Join(d.Remarks, "\n"); !strings.Contains(said, "is missing") {
		t.Error(said)
	}
	a := answer(t, d, Question{Set: settingsOf("initInstances=80")})
	if r, s := exact(a.Recorded), exact(a.Simulated); r != s || a.Recorded.Replaced < 40 || a.Recorded.Created != 0 {
		t.Errorf("recorded:  %s\nsimulated: %s", r, s)
	}
	if w := a.Asked; w.Instances < 80 || w.MovesMade == 0 {
		t.Errorf("asked: %s", exact(w))
	}
}

// rewrite copies a recording from a moment on, with another header; where that is of
// a later segment, it begins with the state of the machine.
func rewrite(t *testing.T, data []byte, out *bytes.Buffer, h recording.Header, from time.Duration) {
	t.Helper()
	r, err := recording.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	h.Kinds = r.Header().Kinds
	m, err := reconcile.New(h.Kinds[0].Config)
	if err != nil {
		t.Fatal(err)
	}
	w := recording.NewWriter(out, h)
	begun := h.Segment == 0
	for {
		e, err := r.Next()
		if err != nil {
			break
		}
		if e.Event != nil && !begun && e.At >= from {
			begun = true
			w.Snapshot(e.At, 0, m.Snapshot(nil))
		}
		if e.Event != nil {
			if begun {
				w.Event(e.At, 0, e.Event)
			}
			if commands := m.Step(e.At, e.Event); begun {
				w.Commands(e.At, 0, commands)
			}
		}
	}
	if err := w.Close(recording.Closing{}); err != nil {
		t.Fatal(err)
	}
}

// Two processes that ran one after the other are one story, with a time between
// them in which nobody orchestrated.
func TestOneAfterTheOther(t *testing.T) {
	sc, err := scenarios.Shipped("steady-churn", settingsOf("duration=20m")...)
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if _, err := sim.Run(sc, sim.Options{Record: recording.NewWriter(&whole, sim.RecordingHeader("test", sc))}); err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var files [3]bytes.Buffer
	rewrite(t, whole.Bytes(), &files[0], recording.Header{Program: "test", Began: began}, 0)
	rewrite(t, whole.Bytes(), &files[1], recording.Header{Program: "test", Began: began.Add(30 * time.Minute)}, 0)
	rewrite(t, whole.Bytes(), &files[2], recording.Header{Program: "test", Began: began.Add(40 * time.Minute)}, 0)
	d := derived(t, load(t, &files[0], &files[1]))
	away := bytes.Contains(d.Scenario, []byte("orchestrator: crash"))
	if !away || d.Length < 49*time.Minute || d.Length > 50*time.Minute {
		t.Errorf("%v long\n%s", d.Length, d.Scenario)
	}
	if _, err := load(t, &files[0], &files[1], &files[2]).Derive("story"); err == nil || !strings.Contains(err.Error(), "one after the other") {
		t.Errorf("two at once: %v", err)
	}
}

func TestWrongSettings(t *testing.T) {
	d := derived(t, ran(t, "first-light"))
	for set, want := range map[string]string{
		"resorcePerInstance=100":    "--set kinds.Thing.resorcePerInstance: unknown key \"resorcePerInstance\": did you mean resourcePerInstance?",
		"resourcePerInstance=0":     "--set kinds.Thing.resourcePerInstance: resourcePerInstance: \"0\" is not valid",
		"Rule.policy=balance":       "--set Rule.policy: no kind \"Rule\" in the recording: want one of Thing",
		"Thing.policy=even":         "want fill or balance or group",
		"kinds.9.policy=fill":       "kinds has no \"9\"",
		"world.zookeeper.requst=1s": "did you mean request?",
	} {
		_, err := d.Ask(Question{Set: settingsOf(set)})
		var errs scenarios.Errors
		if !errors.As(err, &errs) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", set, err, want)
		}
	}
}

// Orders of the recording give way to the sizing that is asked for, and faults of
// instances that it does away with are left out.
func TestGivesWay(t *testing.T) {
	d := derived(t, ran(t, "first-light"))
	sc, remarks, err := d.With(settingsOf("resourcePerInstance=1500", "initInstances=2", "maxInstances=3"), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(sc.Orders) != 1 || sc.Orders[0].ResourcePerInstance != 0 || len(sc.Faults) != 0 || len(remarks) != 2 {
		t.Errorf("%+v, %+v, %q", sc.Orders, sc.Faults, remarks)
	}
}

// A pod's program is taken to have ended before its kubelet told of it, but for an
// eviction, and not before it began to run.
func TestEndsBeforeTold(t *testing.T) {
	sc, err := scenarios.Shipped("first-light", settingsOf("orders=[]",
		"faults=[{at: 4m, pod: crash, kind: Thing, instance: 1}, {at: 6m, pod: oom, kind: Thing, instance: 2}, {at: 8m, pod: evict, kind: Thing, instance: 3}]")...)
	if err != nil {
		t.Fatal(err)
	}
	sc, _, err = derived(t, recorded(t, sc, sim.Options{})).With(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range sc.Faults {
		got = append(got, fmt.Sprintf("%s of %d at %v", f.What, f.Instance, f.At.Round(3*time.Second)))
		if f.What == scenarios.PodEvict && (f.At-8*time.Minute).Abs() > 200*time.Millisecond {
			t.Errorf("the eviction at 8m is taken to have been at %v", f.At)
		}
	}
	if want := []string{"pod-crash of 1 at 4m0s", "pod-oom of 2 at 6m0s", "pod-evict of 3 at 8m0s"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if s := (slot{running: 10 * time.Second}); s.ended(11*time.Second) != 10*time.Second || s.ended(20*time.Second) != 20*time.Second-seenLate-endLate {
		t.Errorf("a program that ran from 10s on ended at %v or %v", s.ended(11*time.Second), s.ended(20*time.Second))
	}
	if s := (slot{}); s.ended(time.Minute) != time.Minute-seenLate {
		t.Errorf("a pod that has not run ended at %v", s.ended(time.Minute))
	}
}

func TestNobodyLeads(t *testing.T) {
	var file bytes.Buffer
	w := recording.NewWriter(&file, recording.Header{Program: "test", Kinds: []recording.Kind{{Config: config()}}})
	if err := w.Close(recording.Closing{}); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, &file).Derive("story"); !errors.Is(err, ErrNoLead) {
		t.Errorf("%v", err)
	}
}

// The scenario with its tables is a scenario like any other.
func TestDerivedScenario(t *testing.T) {
	rec := ran(t, "first-light")
	d := derived(t, rec)
	if again := derived(t, rec); !bytes.Equal(d.Scenario, again.Scenario) || !bytes.Equal(d.Tables["story-Thing.csv"], again.Tables["story-Thing.csv"]) {
		t.Error("derived twice, it is not the same")
	}
	sc, err := scenarios.Parse("derived.yaml", d.Scenario)
	if err != nil {
		t.Fatal(err)
	}
	if again := scenarios.Format(sc); !bytes.Equal(again, d.Scenario) {
		t.Errorf("%s\n%s", again, d.Scenario)
	}
	if sc.Heal != d.Length || len(d.Tables) != 1 || d.Tables["story-Thing.csv"] == nil {
		t.Errorf("heal %v of %v, %d tables", sc.Heal, d.Length, len(d.Tables))
	}
	res, err := sim.Run(sc, sim.Options{Open: d.open(nil)})
	if err != nil || !res.Report.OK() {
		t.Errorf("%v, %+v", err, res)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	a := &Answer{Recorded: &Outcome{Instances: 10}, Simulated: &Outcome{Instances: 10}, Asked: &Outcome{Instances: 1041, SettleP50S: 0.0125}}
	if err := a.Table(&out, "asked"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"                               recorded  simulated   asked\n",
		"instances at the end                 10         10   1,041\n",
		"settle time p50                      0s         0s  12.5ms\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
}
