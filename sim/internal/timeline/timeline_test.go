package timeline

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"pgregory.net/rapid"
)

// fired is one call of a handler as a recorder saw it.
type fired struct {
	at  time.Duration
	op  uint32
	arg int64
	who string
}

type recorder struct {
	name string
	log  *[]fired
	then func()
}

func (r *recorder) Handle(now time.Duration, op uint32, arg int64, data any) {
	*r.log = append(*r.log, fired{now, op, arg, fmt.Sprint(r.name, data)})
	if r.then != nil {
		r.then()
	}
}

func TestEventsFireInOrderOfTimeThenOfScheduling(t *testing.T) {
	var log []fired
	tl := New()
	a, b := &recorder{name: "a", log: &log}, &recorder{name: "b", log: &log}
	tl.At(2*time.Second, a, 1, 10, "x")
	tl.At(time.Second, b, 2, 20, "y")
	tl.At(2*time.Second, b, 3, 30, "z")
	if at, ok := tl.Next(); !ok || at != time.Second {
		t.Fatalf("Next = %v, %v", at, ok)
	}
	for tl.Step() {
	}
	want := []fired{{time.Second, 2, 20, "by"}, {2 * time.Second, 1, 10, "ax"}, {2 * time.Second, 3, 30, "bz"}}
	if !slices.Equal(log, want) {
		t.Fatalf("fired %v, want %v", log, want)
	}
	if tl.Now() != 2*time.Second || tl.Fired() != 3 || tl.Len() != 0 {
		t.Fatalf("now %v, fired %d, len %d", tl.Now(), tl.Fired(), tl.Len())
	}
	if _, ok := tl.Next(); ok || tl.Step() {
		t.Fatal("an empty timeline has no next event")
	}
}

func TestThePastIsNow(t *testing.T) {
	var log []fired
	tl := New()
	r := &recorder{log: &log}
	r.then = func() {
		if len(log) == 1 { // at 5 s
			tl.After(0, r, 1, 0, nil)
			tl.At(time.Second, r, 2, 0, nil)
			tl.After(-time.Second, r, 3, 0, nil)
			tl.After(math.MaxInt64, r, 4, 0, nil)
		}
	}
	tl.At(5*time.Second, r, 0, 0, nil)
	for tl.Step() {
	}
	const s = time.Second
	want := []time.Duration{5 * s, 5 * s, 5 * s, 5 * s, math.MaxInt64}
	for i, f := range log {
		if f.at != want[i] || f.op != uint32(i) {
			t.Errorf("event %d: op %d at %v, want op %d at %v", i, f.op, f.at, i, want[i])
		}
	}
	if len(log) != len(want) {
		t.Errorf("%d events fired, want %d", len(log), len(want))
	}
}

func TestCancel(t *testing.T) {
	var log []fired
	tl := New()
	r := &recorder{log: &log}
	first := tl.At(1, r, 1, 0, nil)
	second := tl.At(2, r, 2, 0, nil)
	if tl.Cancel(Token{}) {
		t.Error("the zero token names no event")
	}
	if !tl.Cancel(first) || tl.Cancel(first) {
		t.Error("an event is cancelled once")
	}
	if tl.Len() != 1 {
		t.Errorf("len %d, want 1", tl.Len())
	}
	reused := tl.At(3, r, 3, 0, nil) // takes the slot of first
	if tl.Cancel(first) {
		t.Error("an old token cancels the event that took its slot")
	}
	if at, _ := tl.Next(); at != 2 {
		t.Errorf("next at %d, want 2", at)
	}
	tl.Step()
	if tl.Cancel(second) {
		t.Error("a fired event is cancelled")
	}
	if !tl.Cancel(reused) || tl.Step() || len(log) != 1 || tl.Fired() != 1 {
		t.Errorf("fired %v", log)
	}
}

// A timer that is armed and cancelled over and over, far ahead of its time,
// takes no more memory than the events that are really pending.
func TestCancelledEventsTakeNoMemory(t *testing.T) {
	tl := New()
	r := &recorder{log: new([]fired)}
	for i := range 10 {
		tl.At(time.Hour, r, 0, int64(i), nil)
	}
	for range 100_000 {
		tl.Cancel(tl.At(time.Minute, r, 0, 0, nil))
	}
	if tl.Len() != 10 || len(tl.heap) > 200 || len(tl.slab) > 11 {
		t.Errorf("len %d, heap %d, slab %d", tl.Len(), len(tl.heap), len(tl.slab))
	}
}

func TestDataIsReleasedOnFire(t *testing.T) {
	tl := New()
	r := &recorder{log: new([]fired)}
	data := new([1 << 16]byte)
	gone := weak.Make(data)
	tl.At(1, discard{}, 0, 0, data)
	tl.At(2, r, 0, 0, nil)
	tl.Step()
	runtime.GC()
	if gone.Value() != nil {
		t.Error("the timeline keeps the data of a fired event")
	}
	if tl.Len() != 1 {
		t.Errorf("len %d, want 1", tl.Len())
	}
}

type discard struct{}

func (discard) Handle(time.Duration, uint32, int64, any) {}

// twin is the dumb timeline: a slice that is sorted before every step.
type twin struct {
	now     time.Duration
	pending []fired
}

func (w *twin) at(at time.Duration, op uint32) {
	w.pending = append(w.pending, fired{at: max(at, w.now), op: op})
}

func (w *twin) cancel(op uint32) bool {
	n := len(w.pending)
	w.pending = slices.DeleteFunc(w.pending, func(f fired) bool { return f.op == op })
	return len(w.pending) < n
}

func (w *twin) step() (fired, bool) {
	if len(w.pending) == 0 {
		return fired{}, false
	}
	slices.SortStableFunc(w.pending, func(a, b fired) int { return cmp.Compare(a.at, b.at) })
	f := w.pending[0]
	w.pending = w.pending[1:]
	w.now = f.at
	return f, true
}

func TestTimelineAgreesWithASortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []fired
		tl, w := New(), &twin{}
		r := &recorder{log: &log}
		var tokens []Token
		for range rapid.IntRange(1, 400).Draw(t, "actions") {
			switch rapid.SampledFrom([]string{"at", "at", "at", "after", "burst", "cancel", "purge", "step", "step"}).Draw(t, "action") {
			case "at":
				at := time.Duration(rapid.IntRange(0, 50).Draw(t, "time"))
				w.at(at, uint32(len(tokens)))
				tokens = append(tokens, tl.At(at, r, uint32(len(tokens)), 0, nil))
			case "after":
				d := time.Duration(rapid.IntRange(-5, 50).Draw(t, "delay"))
				w.at(w.now+d, uint32(len(tokens)))
				tokens = append(tokens, tl.After(d, r, uint32(len(tokens)), 0, nil))
			case "burst":
				for i := range 40 {
					at := time.Duration(i * 7 % 11)
					w.at(at, uint32(len(tokens)))
					tokens = append(tokens, tl.At(at, r, uint32(len(tokens)), 0, nil))
				}
			case "cancel":
				if len(tokens) > 0 {
					i := rapid.IntRange(0, len(tokens)-1).Draw(t, "token")
					if got, want := tl.Cancel(tokens[i]), w.cancel(uint32(i)); got != want {
						t.Fatalf("Cancel = %v, want %v", got, want)
					}
				}
			case "purge": // most at once: reaches the sweep
				for i := range tokens {
					if i%5 != 0 {
						if got, want := tl.Cancel(tokens[i]), w.cancel(uint32(i)); got != want {
							t.Fatalf("Cancel = %v, want %v", got, want)
						}
					}
				}
			case "step":
				compareStep(t, tl, w, &log)
			}
			if tl.Len() != len(w.pending) {
				t.Fatalf("len %d, want %d", tl.Len(), len(w.pending))
			}
		}
		for compareStep(t, tl, w, &log) {
		}
	})
}

func compareStep(t *rapid.T, tl *Timeline, w *twin, log *[]fired) bool {
	next, has := tl.Next()
	*log = (*log)[:0]
	want, ok := w.step()
	if stepped := tl.Step(); stepped != ok || has != ok {
		t.Fatalf("Step = %v, Next = %v, want %v", stepped, has, ok)
	}
	if ok && ((*log)[0].op != want.op || (*log)[0].at != want.at || next != want.at || tl.Now() != want.at) {
		t.Fatalf("fired %v at %v (next %v), want %v at %v", (*log)[0].op, (*log)[0].at, next, want.op, want.at)
	}
	return ok
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	tl, b := busy(1000)
	if n := testing.AllocsPerRun(10_000, func() { tl.Step() }); n != 0 {
		t.Errorf("%v allocations per event, want 0", n)
	}
	if b.count == 0 {
		t.Error("nothing fired")
	}
}

// rescheduler keeps as many events pending as it started with: each that fires
// schedules the next of its own.
type rescheduler struct {
	tl    *Timeline
	r     *Stream
	count int
}

func (b *rescheduler) Handle(now time.Duration, op uint32, arg int64, _ any) {
	b.count++
	b.tl.After(time.Duration(b.r.Uint64()%uint64(time.Minute)), b, op, arg, nil)
}

func busy(pending int) (*Timeline, *rescheduler) {
	b := &rescheduler{tl: New(), r: Seed(1).Stream("busy")}
	for i := range pending {
		b.tl.At(time.Duration(b.r.Uint64()%uint64(time.Minute)), b, 1, int64(i), nil)
	}
	return b.tl, b
}

func BenchmarkStep(b *testing.B) {
	for _, pending := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			tl, _ := busy(pending)
			b.ReportAllocs()
			for b.Loop() {
				tl.Step()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// Pass moves the clock between events, never past one and never back.
func TestPassStopsShortOfTheNextEvent(t *testing.T) {
	var log []fired
	tl := New()
	tl.At(10, &recorder{name: "a", log: &log}, 0, 0, "")
	for _, c := range []struct{ to, want time.Duration }{{4, 4}, {2, 4}, {9, 9}, {50, 10}, {60, 10}} {
		if tl.Pass(c.to); tl.Now() != c.want {
			t.Errorf("Pass(%d): it is %d, want %d", c.to, tl.Now(), c.want)
		}
	}
	if !tl.Step() || len(log) != 1 || log[0].at != 10 {
		t.Errorf("fired %v, want the event of 10", log)
	}
	if tl.Pass(70); tl.Now() != 70 || tl.Fired() != 1 {
		t.Errorf("with nothing to come it is %d, want 70", tl.Now())
	}
}
