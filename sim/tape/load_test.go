package tape_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/sim"
	"dacorch/sim/replay"
	"dacorch/sim/tape"
)

func loaded(t testing.TB, cfg tape.Config, files ...[]byte) *tape.Tape {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = newMemory()
	}
	tp, err := tape.Load(recorded(t, files...), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tp
}

func recorded(t testing.TB, files ...[]byte) *replay.Recording {
	t.Helper()
	var list []replay.File
	for i, data := range files {
		list = append(list, replay.File{Name: fmt.Sprintf("%d.dacrec", i), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }})
	}
	rec, err := replay.Load(list)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestLoad makes the same tape of a run's recording as of the run itself.
func TestLoad(t *testing.T) {
	run, data := ran(t, parsed(t, crashes), tape.Config{SegmentEntries: 900})
	var told []replay.Progress
	tp, err := tape.Load(recorded(t, data), tape.Config{Store: newMemory(), SegmentEntries: 1500}, func(p replay.Progress) error {
		told = append(told, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	noProblems(t, tp)
	if tp.Events() != run.Events() || !tp.Closed() || !bytes.Equal(tp.Report(), run.Report()) {
		t.Errorf("%d events, closed %v: want %d, closed", tp.Events(), tp.Closed(), run.Events())
	}
	if got, want := drawn(tp), drawn(run); got != want {
		t.Errorf("loaded, it shows\n%s\nand while it ran\n%s", got, want)
	}
	if len(told) != int(tp.Events())/4096 {
		t.Errorf("%d calls of progress for %d events", len(told), tp.Events())
	}
	w := newTwin(t, data)
	for n := int64(1); n <= tp.Events(); n += tp.Events() / 13 {
		m, err := tp.AtEvent(n)
		if err != nil {
			t.Fatal(err)
		}
		w.to(n, m.At())
		w.same(t, m)
	}
	no := errors.New("no more")
	if _, err := tape.Load(recorded(t, data), tape.Config{Store: newMemory()}, func(replay.Progress) error { return no }); !errors.Is(err, no) {
		t.Errorf("the loading that was ended answers %v", err)
	}
}

// TestCutOff shows a recording that is cut off as far as it goes, and one that is
// damaged likewise.
func TestCutOff(t *testing.T) {
	_, data := ran(t, parsed(t, crashes), tape.Config{})
	tp := loaded(t, tape.Config{}, data[:len(data)*2/3])
	problems, _ := tp.Problems()
	if len(problems) != 1 || !strings.Contains(problems[0], "cut off") {
		t.Errorf("%q", problems)
	}
	if tp.Events() < 100 || tp.End() > 19*time.Minute {
		t.Errorf("%d events to %v", tp.Events(), tp.End())
	}
	if _, err := tp.At(tp.End() / 2); err != nil {
		t.Error(err)
	}
	bad := bytes.Clone(data)
	bad[len(bad)*2/3] ^= 1
	tp = loaded(t, tape.Config{}, bad)
	if problems, _ = tp.Problems(); len(problems) != 1 || !strings.Contains(problems[0], "damaged") {
		t.Errorf("%q", problems)
	}
	var empty bytes.Buffer
	if err := recording.NewWriter(&empty, tp.Header()).Close(recording.Closing{}); err != nil {
		t.Fatal(err)
	}
	if _, err := tape.Load(recorded(t, empty.Bytes()), tape.Config{Store: newMemory()}, nil); err == nil || !strings.Contains(err.Error(), "no events") {
		t.Errorf("a recording without an event: %v", err)
	}
}

// production records a small process of production: a row for each kind, on its
// own clock, in two segments.
type production struct {
	began time.Time
	cfg   reconcile.Config
	m     *reconcile.Machine
	out   []*bytes.Buffer
	w     *recording.Writer
	now   time.Duration
}

func produce(t *testing.T, kind fleet.Kind, began time.Time) *production {
	p := &production{began: began, cfg: reconcile.DefaultConfig(kind)}
	p.cfg.Limits.InitInstances, p.cfg.Limits.ResourcePerInstance = 2, 5
	m, err := reconcile.New(p.cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.m = m
	p.segment()
	p.told(reconcile.Led{Epoch: 3})
	return p
}

func (p *production) segment() {
	number := len(p.out)
	if p.w != nil {
		_ = p.w.Close(recording.Closing{Continued: true}) // writes to memory
	}
	p.out = append(p.out, &bytes.Buffer{})
	p.w = recording.NewWriter(p.out[number], recording.Header{Program: "test", Began: p.began, Segment: number, Kinds: []recording.Kind{{Config: p.cfg}}})
	if number > 0 {
		p.w.Snapshot(p.now, 0, p.m.Snapshot(nil))
	}
}

// told tells an event, and all that follows from it.
func (p *production) told(queue ...reconcile.Event) {
	for len(queue) > 0 {
		ev := queue[0]
		queue = queue[1:]
		p.now += time.Second
		p.w.Event(p.now, 0, ev)
		commands := p.m.Step(p.now, ev)
		p.w.Commands(p.now, 0, commands)
		for _, c := range commands {
			switch c := c.(type) {
			case reconcile.ReadTree:
				queue = append(queue, reconcile.TreeRead{Req: c.Req, Tree: fleet.Tree{ControlVersion: -1}})
			case reconcile.ListRows:
				ev := reconcile.Listed{Req: c.Req}
				for i := range 8 {
					r := fleet.Resource{ID: fmt.Sprintf("%s-%d", p.cfg.Kind, i)}
					ev.Rows = append(ev.Rows, r)
					ev.Digest.Add(r)
				}
				queue = append(queue, ev)
			case reconcile.ListPods:
				queue = append(queue, reconcile.PodsListed{Req: c.Req})
			case reconcile.Commit:
				queue = append(queue, reconcile.Committed{Txn: c.Txn.ID, Outcome: fleet.OutcomeDone})
			case reconcile.CreatePod:
				uid := fmt.Sprintf("uid-%d-%v", p.began.Unix(), p.now)
				queue = append(queue, reconcile.PodCreated{Instance: c.Instance, UID: uid},
					reconcile.PodSeen{Pod: fleet.Pod{Instance: c.Instance, UID: uid, Phase: fleet.PhaseRunning}})
			}
		}
	}
}

func (p *production) files() (list [][]byte) {
	_ = p.w.Close(recording.Closing{}) // writes to memory
	for _, f := range p.out {
		list = append(list, f.Bytes())
	}
	return list
}

// TestProduction shows the rows of two processes, of which the second began a
// minute later, on one clock.
func TestProduction(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	thing, rule, later := produce(t, "Thing", noon), produce(t, "Rule", noon), produce(t, "Thing", noon.Add(time.Minute))
	thing.segment()
	thing.told(reconcile.Heartbeat{Instance: 0}, reconcile.Deposed{Why: "the test wants it"})
	later.told(reconcile.Heartbeat{Instance: 1})
	files := append(append(thing.files(), rule.files()...), later.files()...)
	tp := loaded(t, tape.Config{SegmentEntries: 16}, files...)
	noProblems(t, tp)
	if !tp.Header().Began.Equal(noon) || len(tp.Kinds()) != 2 || tp.Begin() != 0 {
		t.Errorf("%+v", tp.Header())
	}
	m, err := tp.At(59 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	a := m.Machine("Thing")
	if a.Leads || a.Epoch != 3 || a.Process != 0 || a.Now != m.At() {
		t.Errorf("the first process: %+v", a)
	}
	end := tp.Live().Machine("Thing")
	if !end.Leads || end.Process == a.Process || end.Now != tp.End()-time.Minute || end.Machine.Resources() != 8 {
		t.Errorf("the second process: %+v", end)
	}
	if r := tp.Live().Machine("Rule"); !r.Leads || r.Process != a.Process {
		t.Errorf("the other kind: %+v", r)
	}
	if p := tp.Live().Pod("Thing", 0); !p.Running || p.UID == "" || len(p.Past) != 1 || !p.Past[0].Gone {
		t.Errorf("%+v", p)
	}

	// What was before the second segment is gone.
	only := thing.files()[1]
	tp = loaded(t, tape.Config{}, only)
	problems, _ := tp.Problems()
	if len(problems) != 1 || !strings.Contains(problems[0], "has been deleted") {
		t.Errorf("%q", problems)
	}
	a = tp.Live().Machine("Thing")
	if a.Leads || tp.Begin() == 0 || tp.Events() != 2 {
		t.Errorf("begins at %v, %+v", tp.Begin(), a)
	}
	if m, err := tp.At(tp.Begin()); err != nil || m.Event() != 0 || m.Machine("Thing").Machine.Resources() != 8 || !m.Machine("Thing").Leads {
		t.Errorf("the beginning: %+v, %v", m, err)
	}
}

// TestDifference tells once that a recording's answers are not this program's, and
// shows it all the same.
func TestDifference(t *testing.T) {
	header := sim.RecordingHeader("test", parsed(t, crashes))
	tp, err := tape.New(header, tape.Config{Store: newMemory()})
	if err != nil {
		t.Fatal(err)
	}
	r := tp.Recorder()
	for i := range 3 {
		r.Event(time.Duration(i)*time.Second, 0, reconcile.Led{Epoch: int64(i + 1)})
		r.Commands(time.Duration(i)*time.Second, 0, []reconcile.Command{reconcile.StepDown{Why: "a different mind"}})
	}
	r.Event(5*time.Second, 7, reconcile.Tick{})
	r.Commands(5*time.Second, 0, []reconcile.Command{reconcile.StepDown{}})
	tp.Pass(6 * time.Second)
	problems, more := tp.Problems()
	if len(problems) != 3 || more != 0 || !strings.Contains(problems[0], "step-down: a different mind") ||
		!strings.Contains(problems[1], "kind number 7") || !strings.Contains(problems[2], "answer no event") {
		t.Errorf("%q", problems)
	}
	if tp.Events() != 3 || tp.End() != 6*time.Second {
		t.Errorf("%d events to %v", tp.Events(), tp.End())
	}
}

// FuzzLoad has anything as a recording: it is shown as far as it goes, or refused.
func FuzzLoad(f *testing.F) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	p := produce(&testing.T{}, "Thing", noon)
	p.segment()
	p.told(reconcile.Heartbeat{Instance: 0})
	for _, file := range p.files() {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := replay.Load([]replay.File{{Name: "fuzz", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}})
		if err != nil {
			return
		}
		for i := range rec.Rows[0].Header.Kinds {
			if l := rec.Rows[0].Header.Kinds[i].Config.Limits; max(l.MaxInstances, l.InitInstances) > 1000 {
				return
			}
		}
		tp, err := tape.Load(rec, tape.Config{Store: newMemory(), SegmentEntries: 16}, nil)
		if err != nil {
			return
		}
		for _, n := range []int64{tp.Events(), tp.FirstEvent(), (tp.FirstEvent() + tp.Events()) / 2} {
			m, err := tp.AtEvent(n)
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range tp.Kinds() {
				_ = m.EventText()
				m.Pod(kind, 0)
				m.Reorchestrations(kind, 3)
				if a, err := m.Ask(kind); err != nil || a.Machine == nil {
					t.Fatal(err)
				}
			}
		}
		tp.Marks(100)
		tp.Series(50)
	})
}
