package tape_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/sim/tape"
)

// fresh is a tape of one kind that has been told nothing.
func fresh(t testing.TB, cfg tape.Config) *tape.Tape {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = newMemory()
	}
	tp, err := tape.New(recording.Header{Program: "test", Kinds: []recording.Kind{{Config: reconcile.DefaultConfig("Thing")}}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tp
}

// TestBytes drops the oldest segments when all are too large, and says from when
// on there is something to show.
func TestBytes(t *testing.T) {
	const most = 64 << 10
	store := newMemory()
	tp, data := ran(t, parsed(t, crashes), tape.Config{Store: store, MaxBytes: most, SegmentEntries: 100})
	if tp.Bytes() > most || store.bytes() > most+most/2 || len(store.files) < 2 {
		t.Errorf("%d bytes in %d segments, it says %d", store.bytes(), len(store.files), tp.Bytes())
	}
	if tp.Begin() == 0 || tp.FirstEvent() == 0 {
		t.Fatalf("it begins at %v, event %d", tp.Begin(), tp.FirstEvent())
	}
	for _, n := range []int64{-1, tp.FirstEvent() - 1, tp.Events() + 1, math.MaxInt64} {
		if _, err := tp.AtEvent(n); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("event %d: %v", n, err)
		}
	}
	for _, at := range []time.Duration{-1, tp.Begin() - 1, tp.End() + 1} {
		if _, err := tp.At(at); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%v: %v", at, err)
		}
	}
	w := newTwin(t, data)
	for _, n := range []int64{tp.FirstEvent(), tp.FirstEvent() + 1, tp.Events()} {
		m, err := tp.AtEvent(n)
		if err != nil {
			t.Fatal(err)
		}
		w.to(n, m.At())
		w.same(t, m)
	}
}

// TestOldMoment is asked again after what it was about has been dropped.
func TestOldMoment(t *testing.T) {
	tp := fresh(t, tape.Config{SegmentEntries: 16, MaxBytes: 1})
	r := tp.Recorder()
	r.Event(0, 0, reconcile.Led{Epoch: 1})
	for i := range 20 {
		r.Event(time.Duration(i)*time.Second, 0, reconcile.Heartbeat{Instance: 1})
	}
	m, err := tp.AtEvent(3)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := m.Ask("Thing"); err != nil || !a.Leads {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := m.Ask("Rule"); err == nil || !strings.Contains(err.Error(), `"Rule"`) {
		t.Errorf("a kind that there is not: %v", err)
	}
	random := rand.NewChaCha8([32]byte{})
	text := make([]byte, 256)
	for i := range 2000 {
		random.Read(text) // never fails
		r.Event(time.Minute, 0, reconcile.Listed{Req: uint64(i), Err: fmt.Sprintf("%x", text)})
	}
	if tp.FirstEvent() <= 3 {
		t.Fatalf("it still begins with event %d", tp.FirstEvent())
	}
	if _, err := m.Ask("Thing"); err == nil || !strings.Contains(err.Error(), "nothing is kept but from") {
		t.Errorf("%v", err)
	}
	if a := m.Machine("Thing"); a.Machine != nil {
		t.Errorf("%+v", a)
	}
	if text := m.EventText(); text != "" {
		t.Errorf("%q", text)
	}
}

// TestLists holds every list to its bound, and to say what is missing.
func TestLists(t *testing.T) {
	tp := fresh(t, tape.Config{MaxLog: 20, MaxMarks: 8, MaxPodFacts: 8, MaxBuckets: 4, MaxMoves: 16})
	r := tp.Recorder()
	for i := range 200 {
		at := time.Duration(i) * time.Second
		r.Event(at, 0, reconcile.Led{Epoch: int64(i + 1)})
		r.Mark(at, 0, recording.Mark{What: recording.FaultBegan, Instance: fleet.NoInstance, Text: fmt.Sprintf("{at: %ds, pod: crash, kind: Thing, instance: 1}", i)})
		r.Mark(at, 0, recording.Mark{What: recording.FaultBegan, Instance: fleet.NoInstance, Text: fmt.Sprintf("{at: %ds, for: 1m, kafka: down}", i)})
		r.Mark(at, 0, recording.Mark{What: recording.Broken, Instance: 2, Text: "one-owner: it has two"})
		r.Event(at, 0, reconcile.PodsListed{Pods: []fleet.Pod{{Instance: 3, UID: fmt.Sprint("uid-", i), Phase: fleet.PhaseRunning}}})
	}
	marks, all := tp.Marks(1000)
	count := map[tape.MarkClass]int{}
	for _, m := range marks {
		count[m.Class]++
	}
	if all || count[tape.MarkViolation] > 8 || count[tape.MarkViolation] < 5 || count[tape.MarkLeader] > 8 || count[tape.MarkFault] > 24 {
		t.Errorf("all %v, %v", all, count)
	}
	if marks[0].At != 0 || marks[len(marks)-1].At != 199*time.Second {
		t.Errorf("from %v to %v", marks[0].At, marks[len(marks)-1].At)
	}
	if few, all := tp.Marks(6); all || len(few) > 8 {
		t.Errorf("%d marks of 6, all %v", len(few), all)
	}
	live := tp.Live()
	if n := live.Violations(); n != 200 {
		t.Errorf("%d violations", n)
	}
	half, err := tp.At(99 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if n := half.Violations(); n != 100 {
		t.Errorf("%d violations half way", n)
	}
	if faults := live.Faults(); len(faults) == 0 || len(faults) > 24 || faults[0].Once {
		t.Errorf("%+v", faults)
	}
	log, all := live.Log(1000, nil)
	if all || len(log) > 20 || len(log) < 15 || log[0].Seq != tp.Last() {
		t.Errorf("%d entries, all %v", len(log), all)
	}
	if p := live.Pod("Thing", 3); p.Complete || len(p.Facts) > 12 || p.UID != "uid-199" || len(p.Past) == 0 {
		t.Errorf("%+v", p)
	}
	from, width, list := tp.Series(100)
	if from != 0 || width != 64*time.Second || len(list) != 1 || len(list[0].Up) != 4 {
		t.Errorf("from %v each %v, %+v", from, width, list)
	}
	if _, width, list = tp.Series(1); len(list[0].Up) != 1 || width != 256*time.Second {
		t.Errorf("each %v, %+v", width, list)
	}
}

// TestFollow hands the log on, without a gap where there is none.
func TestFollow(t *testing.T) {
	tp := fresh(t, tape.Config{MaxLog: 50})
	r := tp.Recorder()
	var seq int64
	seen := 0
	for i := range 100 {
		for process := range 2 {
			r.Process(process, 0)
			r.Restarted(time.Duration(i)*time.Second, 0)
		}
		if i%10 != 0 {
			continue
		}
		for {
			list, missed := tp.Follow(seq, 7)
			if missed {
				t.Fatalf("after %d something is missing", seq)
			}
			if len(list) == 0 {
				break
			}
			for _, e := range list {
				if seq++; e.Seq != seq {
					t.Fatalf("entry %d after %d", e.Seq, seq-1)
				}
				seen++
			}
		}
	}
	if seen != 182 || seq != 182 || tp.Last() != 200 {
		t.Errorf("%d seen, up to %d of %d", seen, seq, tp.Last())
	}
	if _, missed := tp.Follow(10, 7); !missed {
		t.Error("what is no longer kept is not said to be missing")
	}
	if list, missed := tp.Follow(1000, 7); missed || len(list) != 0 {
		t.Errorf("beyond the end: %d, %v", len(list), missed)
	}
}

// TestMoves finds where a resource was, up to a moment.
func TestMoves(t *testing.T) {
	tp, _ := ran(t, shipped(t, "drain-and-maintenance"), tape.Config{})
	live := tp.Live()
	moved, all := live.Log(1<<20, func(e *tape.Entry) bool {
		return e.Type == tape.EntryMove && strings.Contains(e.Why.String(), "instance 4 is closed") && e.To != fleet.NoInstance
	})
	if len(moved) < 200 || !all {
		t.Fatalf("%d moves told, all %v", len(moved), all)
	}
	last := moved[0]
	if last.From != fleet.NoInstance || last.To == 4 { // a strict handoff: it was taken off before
		t.Errorf("%+v", last)
	}
	then, err := tp.AtEvent(last.Event)
	if err != nil {
		t.Fatal(err)
	}
	list, since, all := then.Moves("Thing", last.Resource, 10)
	if len(list) != 3 || since != 0 || !all || list[0].To != last.To || list[1].From != 4 || list[2].To != 4 || list[2].From != fleet.NoInstance {
		t.Errorf("%+v since %v, all %v", list, since, all)
	}
	before, err := tp.AtEvent(last.Event - 1)
	if err != nil {
		t.Fatal(err)
	}
	if list, _, _ = before.Moves("Thing", last.Resource, 10); len(list) != 2 {
		t.Errorf("before: %+v", list)
	}
	if on, known := before.Machine("Thing").Machine.Where(last.Resource); !known || on != fleet.NoInstance {
		t.Errorf("before, it stands on %v", on)
	}
	if list, _, _ = then.Moves("Thing", last.Resource, 1); len(list) != 1 {
		t.Errorf("one: %+v", list)
	}
}

// TestNoStore shows what happens where nothing can be stored.
func TestNoStore(t *testing.T) {
	store := newMemory()
	store.fail = errors.New("the disk is full")
	tp := fresh(t, tape.Config{Store: store})
	r := tp.Recorder()
	r.Event(time.Second, 0, reconcile.Led{Epoch: 1})
	r.Event(2*time.Second, 0, reconcile.Heartbeat{Instance: 1})
	if a := tp.Live().Machine("Thing"); !a.Leads || a.Machine.Stage() != reconcile.StageLoading {
		t.Errorf("%+v", a)
	}
	if problems, _ := tp.Problems(); len(problems) != 2 || !strings.Contains(problems[0], "disk is full") {
		t.Errorf("%q", problems)
	}
	if m, err := tp.AtEvent(1); err == nil {
		t.Errorf("%+v", m)
	}
	if _, err := tape.New(tp.Header(), tape.Config{}); err == nil || !strings.Contains(err.Error(), "Config.Store") {
		t.Errorf("%v", err)
	}
}

// TestSettings refuses kinds whose machine cannot be made, and says why.
func TestSettings(t *testing.T) {
	bad := reconcile.DefaultConfig("Thing")
	bad.RetryMin = 0
	_, err := tape.New(recording.Header{Program: "dacorch v0", Kinds: []recording.Kind{{Config: bad}}}, tape.Config{Store: newMemory()})
	if err == nil || !strings.Contains(err.Error(), "Thing") || !strings.Contains(err.Error(), "retryMin") {
		t.Errorf("%v", err)
	}
}

// TestNewestLeads has the newest epoch answer, whatever an older leader still
// hears.
func TestNewestLeads(t *testing.T) {
	tp := fresh(t, tape.Config{})
	r := tp.Recorder()
	tell := func(process int, at time.Duration, ev reconcile.Event) {
		r.Process(process, 0)
		r.Event(at, 0, ev)
	}
	tell(1, time.Second, reconcile.Led{Epoch: 5})
	tell(0, 2*time.Second, reconcile.Led{Epoch: 3})
	tell(0, 3*time.Second, reconcile.NotificationChannel{Up: false})
	tell(0, 4*time.Second, reconcile.Deposed{Why: "another leads"})
	tell(1, 5*time.Second, reconcile.Deposed{Why: "the test is over"})
	for at, want := range []tape.Answering{{}, {Process: 1, Epoch: 5, Leads: true}, {Process: 1, Epoch: 5, Leads: true}, 3: {Process: 1, Epoch: 5, Leads: true},
		4: {Process: 1, Epoch: 5, Leads: true}, 5: {Process: 1, Epoch: 5}} {
		m, err := tp.At(time.Duration(at) * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if a := m.Machine("Thing"); a.Process != want.Process || a.Epoch != want.Epoch || a.Leads != want.Leads {
			t.Errorf("at %ds: %+v", at, a)
		}
	}
	marks, _ := tp.Marks(100)
	if i := slices.IndexFunc(marks, func(m tape.Mark) bool { return m.Class == tape.MarkOutage }); i < 0 || marks[i].Open || marks[i].Until != 4*time.Second {
		t.Errorf("the outage that ended with the leadership: %+v", marks)
	}
}

// TestProcessDied has a process lead no more from its death on.
func TestProcessDied(t *testing.T) {
	tp := fresh(t, tape.Config{})
	r := tp.Recorder()
	r.Process(1, 0)
	r.Event(time.Second, 0, reconcile.Led{Epoch: 5})
	r.Event(2*time.Second, 0, reconcile.NotificationChannel{Up: false})
	r.Process(2, 0)
	r.Mark(3*time.Second, 0, recording.Mark{What: recording.ProcessDied}) // another, which was told nothing
	r.Process(1, 0)
	r.Mark(4*time.Second, 0, recording.Mark{What: recording.ProcessDied})
	r.Restarted(6*time.Second, 0)
	r.Event(7*time.Second, 0, reconcile.Led{Epoch: 6})
	for at, want := range []tape.Answering{{}, {Process: 1, Epoch: 5, Leads: true}, {Process: 1, Epoch: 5, Leads: true}, {Process: 1, Epoch: 5, Leads: true},
		{Process: 1, Epoch: 5}, {Process: 1, Epoch: 5}, {Process: 1, Epoch: 5}, {Process: 1, Epoch: 6, Leads: true}} {
		m, err := tp.At(time.Duration(at) * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if a := m.Machine("Thing"); a.Process != want.Process || a.Epoch != want.Epoch || a.Leads != want.Leads {
			t.Errorf("at %ds: %+v", at, a)
		}
	}
	var told []string
	marks, _ := tp.Marks(100)
	for _, m := range marks {
		if told = append(told, m.Text); m.Class == tape.MarkOutage && (m.Open || m.Until != 4*time.Second) {
			t.Errorf("the outage lasts to %v", m.Until)
		}
	}
	if i := slices.Index(told, "process 2 died"); i < 0 || slices.Contains(told, "process 3 died") {
		t.Errorf("the marks are %q", told)
	}
	m := tp.Live()
	if entries, _ := m.Log(1, func(e *tape.Entry) bool { return e.Type == tape.EntryDeposed }); len(entries) != 1 || entries[0].At != 4*time.Second || entries[0].Process != 1 {
		t.Errorf("the log says %+v", entries)
	}
}

// TestFaults are those that last at a moment, also when they are over by now.
func TestFaults(t *testing.T) {
	tp := fresh(t, tape.Config{})
	r := tp.Recorder()
	r.Event(0, 0, reconcile.Led{Epoch: 1})
	const down = "{at: 1s, for: 4s, kafka: down}"
	r.Mark(time.Second, 0, recording.Mark{What: recording.FaultBegan, Text: down})
	r.Mark(2*time.Second, 0, recording.Mark{What: recording.FaultBegan, Text: "{at: 2s, pod: crash, kind: Thing, instance: 1}"})
	r.Mark(5*time.Second, 0, recording.Mark{What: recording.FaultEnded, Text: down})
	r.Event(9*time.Second, 0, reconcile.Tick{})
	for at, want := range []int{0, 1, 1, 1, 1, 0, 0} {
		m, err := tp.At(time.Duration(at) * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if f := m.Faults(); len(f) != want || want > 0 && (f[0].Text != down || !f[0].Open) {
			t.Errorf("at %ds: %+v", at, f)
		}
	}
}
