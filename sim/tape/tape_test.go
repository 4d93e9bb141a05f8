package tape_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim"
	"dacorch/sim/tape"
)

// memory keeps segments.
type memory struct {
	files map[int]*bytes.Buffer
	fail  error // of Create
}

func newMemory() *memory { return &memory{files: map[int]*bytes.Buffer{}} }

type file struct{ *bytes.Buffer }

func (file) Close() error { return nil }

func (m *memory) Create(n int) (io.WriteCloser, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	m.files[n] = &bytes.Buffer{}
	return file{m.files[n]}, nil
}

func (m *memory) Open(n int) (io.ReadCloser, error) {
	f := m.files[n]
	if f == nil {
		return nil, fmt.Errorf("no segment %d", n)
	}
	return io.NopCloser(bytes.NewReader(f.Bytes())), nil
}

func (m *memory) Remove(n int) error {
	delete(m.files, n)
	return nil
}

func (m *memory) bytes() (n int) {
	for _, f := range m.files {
		n += f.Len()
	}
	return n
}

// both tells a tape and a recording.
type both struct {
	*tape.Recorder
	w *recording.Writer
}

func (b both) Process(n int, skew time.Duration) { b.Recorder.Process(n, skew); b.w.Process(n, skew) }
func (b both) Event(at time.Duration, kind int, ev reconcile.Event) {
	b.w.Event(at, kind, ev)
	b.Recorder.Event(at, kind, ev)
}
func (b both) Commands(at time.Duration, kind int, c []reconcile.Command) {
	b.w.Commands(at, kind, c)
	b.Recorder.Commands(at, kind, c)
}
func (b both) Restarted(at time.Duration, kind int) {
	b.w.Restarted(at, kind)
	b.Recorder.Restarted(at, kind)
}
func (b both) Mark(at time.Duration, kind int, m recording.Mark) {
	b.w.Mark(at, kind, m)
	_ = b.w.Flush() // a block: its error stays
	b.Recorder.Mark(at, kind, m)
}
func (b both) Close(c recording.Closing) error {
	return errors.Join(b.w.Close(c), b.Recorder.Close(c))
}

// shipped is a scenario of the project.
func shipped(t testing.TB, name string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func parsed(t testing.TB, text string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// ran is the tape of a whole run, and its recording.
func ran(t testing.TB, sc *scenarios.Scenario, cfg tape.Config) (*tape.Tape, []byte) {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = newMemory()
	}
	header := sim.RecordingHeader("test", sc)
	tp, err := tape.New(header, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := sim.Run(sc, sim.Options{Record: both{tp.Recorder(), recording.NewWriter(&out, header)}}); err != nil {
		t.Fatal(err)
	}
	noProblems(t, tp)
	return tp, out.Bytes()
}

func noProblems(t testing.TB, tp *tape.Tape) {
	t.Helper()
	if list, more := tp.Problems(); len(list) > 0 || more > 0 {
		t.Fatalf("%d more: %s", more, strings.Join(list, "\n"))
	}
}

// twin steps machines from the start, as a recording tells.
type twin struct {
	t        testing.TB
	header   recording.Header
	entries  []recording.Entry // that machines hear of
	next     int
	n        int64
	machines map[[2]int]*reconcile.Machine
	led      map[fleet.Kind][2]int // the machine that led last
}

func newTwin(t testing.TB, data []byte) *twin {
	t.Helper()
	r, err := recording.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	w := &twin{t: t, header: r.Header()}
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if e.Event != nil || e.Restarted {
			w.entries = append(w.entries, e)
		}
	}
	w.begin()
	return w
}

func (w *twin) begin() {
	w.next, w.n = 0, 0
	w.machines, w.led = map[[2]int]*reconcile.Machine{}, map[fleet.Kind][2]int{}
}

func (w *twin) machine(key [2]int) *reconcile.Machine {
	if w.machines[key] == nil {
		m, err := reconcile.New(w.header.Kinds[key[1]].Config)
		if err != nil {
			w.t.Fatal(err)
		}
		w.machines[key] = m
	}
	return w.machines[key]
}

// number is how many events have happened with the next entry.
func (w *twin) number() int64 {
	if w.entries[w.next].Event != nil {
		return w.n + 1
	}
	return w.n
}

// count is how many entries happened up to event n and up to at.
func (w *twin) count(n int64, at time.Duration) int {
	twin := twin{entries: w.entries}
	for twin.next < len(w.entries) {
		number := twin.number()
		if number > n || w.entries[twin.next].At > at {
			break
		}
		twin.next, twin.n = twin.next+1, number
	}
	return twin.next
}

// to goes on to the moment after event n and all up to at.
func (w *twin) to(n int64, at time.Duration) {
	for count := w.count(n, at); w.next < count; {
		w.one()
	}
}

// one tells a machine the next entry.
func (w *twin) one() {
	e := &w.entries[w.next]
	w.n = w.number()
	w.next++
	key := [2]int{e.Process, e.Kind}
	if e.Restarted {
		delete(w.machines, key)
		w.machine(key)
		return
	}
	ev := e.Event
	if read, is := ev.(reconcile.TreeRead); is { // the machine keeps it
		read.Tree.Instances = append([]fleet.TreeInstance{}, read.Tree.Instances...)
		for i := range read.Tree.Instances {
			read.Tree.Instances[i].IDs = append([]string{}, read.Tree.Instances[i].IDs...)
		}
		ev = read
	}
	if _, is := ev.(reconcile.Led); is {
		w.led[w.header.Kinds[e.Kind].Config.Kind] = key
	}
	w.machine(key).Step(e.At+e.Skew, ev)
}

// leading is the machine that led last of the kind with a number.
func (w *twin) leading(number int) (process int, m *reconcile.Machine) {
	key := w.led[w.header.Kinds[number].Config.Kind]
	key[1] = number
	return key[0], w.machine(key)
}

// sum stands for the states of the machines that led last.
func (w *twin) sum() uint64 {
	sum := fnv.New64a()
	for number := range w.header.Kinds {
		process, m := w.leading(number)
		fmt.Fprint(sum, process)
		sum.Write(m.Snapshot(nil))
	}
	return sum.Sum64()
}

// same holds a moment to the machines stepped from the start.
func (w *twin) same(t testing.TB, m *tape.Moment) {
	t.Helper()
	for number := range w.header.Kinds {
		kind := w.header.Kinds[number].Config.Kind
		a, err := m.Ask(kind)
		if err != nil {
			t.Fatalf("%v, event %d: %v", m.At(), m.Event(), err)
		}
		process, want := w.leading(number)
		if process != a.Process {
			t.Fatalf("%v, event %d: process %d answers for %s, want %d", m.At(), m.Event(), a.Process, kind, process)
		}
		if !bytes.Equal(want.Snapshot(nil), a.Machine.Snapshot(nil)) {
			t.Fatalf("%v, event %d: the machine of %s is not what it was (%v)", m.At(), m.Event(), kind, m.EventText())
		}
	}
}

// crashes has two kinds, and processes that crash, pause and split.
const crashes = `
name: crashes
about: Rows come and go while orchestrators do.
duration: 20m
heal: 14m
kinds:
  - {kind: Thing, resources: 120, resourcePerInstance: 30}
  - {kind: Rule, resources: 40, resourcePerInstance: 30}
nodes: {count: 4, podsPerNode: 20}
churn:
  - {kind: Thing, create: 1/s, delete: 1/s}
faults:
  - {at: 2m, for: 20s, orchestrator: crash}
  - {at: 4m, for: 1m, orchestrator: split}
  - {at: 6m, orchestrator: clock, by: 30s}
  - {at: 7m, for: 2m, every: 1m, pod: crash, kind: Thing, share: 30%}
  - {at: 9m, for: 2m, kafka: down}
  - {at: 10m, for: 1m, mqtt: down}
orders:
  - {at: 5m, kind: Thing, orchestrate: {resourcePerInstance: 20}}
  - {at: 11m, kind: Thing, replace: 2}
expect: [resources > 0]
`

// TestMoments goes to random moments, in any order, and finds the machines as
// they were.
func TestMoments(t *testing.T) {
	tp, data := ran(t, parsed(t, crashes), tape.Config{SegmentEntries: 700})
	w := newTwin(t, data)
	if int64(len(w.entries)) < tp.Events() || tp.Events() < 500 {
		t.Fatalf("%d events, %d entries", tp.Events(), len(w.entries))
	}
	sums := []uint64{w.sum()} // after so many entries
	for w.next < len(w.entries) {
		w.one()
		sums = append(sums, w.sum())
	}
	rapid.Check(t, func(r *rapid.T) {
		var before int64
		for range rapid.IntRange(1, 5).Draw(r, "seeks") {
			m, err := draw(r, tp, before)
			if err != nil {
				r.Fatalf("%v", err)
			}
			before = m.Event()
			sum := fnv.New64a()
			for _, kind := range tp.Kinds() {
				a, err := m.Ask(kind)
				if err != nil {
					r.Fatalf("%v", err)
				}
				fmt.Fprint(sum, a.Process)
				sum.Write(a.Machine.Snapshot(nil))
			}
			if n := w.count(m.Event(), m.At()); sum.Sum64() != sums[n] {
				r.Fatalf("%v, event %d, entry %d: a machine is not what it was (%s)", m.At(), m.Event(), n, m.EventText())
			}
		}
	})
	noProblems(t, tp)
}

// TestShipped goes through shipped scenarios, back and forth.
func TestShipped(t *testing.T) {
	for _, name := range []string{"split-brain", "orchestrator-crash", "drain-and-maintenance"} {
		t.Run(name, func(t *testing.T) {
			tp, data := ran(t, shipped(t, name), tape.Config{SegmentEntries: 700})
			w := newTwin(t, data)
			r := rand.New(rand.NewPCG(5, 6))
			for n := r.Int64N(500); n <= tp.Events(); n += 1 + r.Int64N(tp.Events()/6) {
				if _, err := tp.AtEvent(r.Int64N(tp.Events())); err != nil { // somewhere else, in between
					t.Fatal(err)
				}
				m, err := tp.AtEvent(n)
				if err != nil {
					t.Fatal(err)
				}
				w.to(n, m.At())
				w.same(t, m)
			}
			noProblems(t, tp)
		})
	}
}

// draw goes to a moment: anywhere, or a few events away from the last one.
func draw(r *rapid.T, tp *tape.Tape, last int64) (*tape.Moment, error) {
	switch rapid.IntRange(0, 3).Draw(r, "how") {
	case 0:
		return tp.At(time.Duration(rapid.Int64Range(int64(tp.Begin()), int64(tp.End())).Draw(r, "at")))
	case 1:
		return tp.AtEvent(rapid.Int64Range(0, tp.Events()).Draw(r, "event"))
	default:
		return tp.AtEvent(min(max(last+rapid.Int64Range(-3, 3).Draw(r, "step"), 0), tp.Events()))
	}
}

// TestEachEvent steps through every event there and back, across the ends of
// segments.
func TestEachEvent(t *testing.T) {
	sc := parsed(t, crashes)
	sc.Duration, sc.Heal = 5*time.Minute, 5*time.Minute
	tp, data := ran(t, sc, tape.Config{SegmentEntries: 300})
	w := newTwin(t, data)
	var at []time.Duration
	for n := int64(0); n <= tp.Events(); n++ {
		m, err := tp.AtEvent(n)
		if err != nil {
			t.Fatal(err)
		}
		if m.Event() != n || n > 0 && m.At() < at[n-1] {
			t.Fatalf("%d: event %d at %v", n, m.Event(), m.At())
		}
		at = append(at, m.At())
		w.to(n, m.At())
		w.same(t, m)
	}
	back := tp.Events()
	for ; back >= 0; back -= 7 {
		m, err := tp.AtEvent(back)
		if err != nil {
			t.Fatal(err)
		}
		if m.Event() != back || m.At() != at[back] {
			t.Fatalf("back at event %d, %v: want %d, %v", m.Event(), m.At(), back, at[back])
		}
		w.begin()
		w.to(back, m.At())
		w.same(t, m)
	}
}

// TestWhileItRuns goes back while the run goes on, and finds the end where it was.
func TestWhileItRuns(t *testing.T) {
	sc := parsed(t, crashes)
	header := sim.RecordingHeader("test", sc)
	store := newMemory()
	tp, err := tape.New(header, tape.Config{Store: store, SegmentEntries: 500})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	run, err := sim.Begin(sc, sim.Options{Record: both{tp.Recorder(), recording.NewWriter(&out, header)}})
	if err != nil {
		t.Fatal(err)
	}
	live := tp.Live()
	r := rand.New(rand.NewPCG(1, 2))
	type seen struct {
		n     int64
		at    time.Duration
		state []byte
	}
	var all []seen
	for !run.Ended() {
		for reached := false; !reached; {
			_, reached = run.Advance(run.Now()+7*time.Second, 1000)
		}
		tp.Pass(run.Now())
		if live.At() != run.Now() || live.Event() != tp.Events() {
			t.Fatalf("the end is %v, event %d, want %v, %d", live.At(), live.Event(), run.Now(), tp.Events())
		}
		all = append(all, seen{live.Event(), live.At(), live.Machine("Thing").Machine.Snapshot(nil)})
		s := all[r.IntN(len(all))]
		m, err := tp.At(s.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Machine("Thing").Machine.Snapshot(nil); m.Event() != s.n || !bytes.Equal(got, s.state) {
			t.Fatalf("at %v: event %d and %d bytes, want %d and %d", s.at, m.Event(), len(got), s.n, len(s.state))
		}
	}
	if _, err := run.Close(); err != nil {
		t.Fatal(err)
	}
	noProblems(t, tp)
	if !tp.Closed() || len(tp.Report()) == 0 {
		t.Error("it has not been closed with its report")
	}
}
