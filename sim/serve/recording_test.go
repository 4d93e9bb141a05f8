package serve

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/recording"
	"dacorch/sim"
	"dacorch/sim/replay"
)

// recorded is the recording of a scenario's run, of which this share was kept.
func recorded(t testing.TB, text string, kept float64) *replay.Recording {
	t.Helper()
	sc := parsed(t, text)
	var file bytes.Buffer
	w := recording.NewWriter(&file, sim.RecordingHeader("test", sc))
	if _, err := sim.Run(sc, sim.Options{Record: w}); err != nil {
		t.Fatal(err)
	}
	data := file.Bytes()[:int(kept*float64(file.Len()))]
	rec, err := replay.Load([]replay.File{{Name: "small.dacrec", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestRecording: of a recording the interface says what it said of the simulation
// that was recorded.
func TestRecording(t *testing.T) {
	live := paused(t, small)
	s := made(t, Config{Recording: recorded(t, small, 1), Paused: true})
	c, of, ctx := client(t, s), client(t, live), t.Context()
	if clock := ok[api.Clock](t)(c.Clock(ctx)); clock.Source != "recording" || !clock.Ended || clock.Now != 0 || clock.ReadOnly != "a recording cannot be changed" || s.wrong(clock) != "" {
		t.Errorf("at the beginning: %+v: %s", clock, s.wrong(clock))
	}
	for _, at := range []time.Duration{time.Second, 4 * time.Minute, 9*time.Minute + 2*time.Second, 12*time.Minute + 20*time.Second, 13 * time.Minute, 28 * time.Minute} {
		live.until(at)
		ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Seek: new(at.Seconds())}))
		was, now := answers(t, of), answers(t, c)
		delete(was, "faults") // a recording offers none
		delete(now, "faults")
		for name := range was {
			if now[name] != was[name] {
				t.Errorf("%s at %v\n of the simulation %s\n of the recording  %s", name, at, was[name], now[name])
			}
		}
	}
	_, err := c.Replace(ctx, "Thing", 1)
	wantCode(t, "an order", err, api.CodeRefused, "a recording cannot be changed")
	_, err = c.Faults(ctx)
	wantCode(t, "faults", err, api.CodeNotOffered, "")
	if end := ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Live: new(true)})); !end.Live || !end.Ended || s.wrong(end) != "" {
		t.Errorf("at the end: %+v: %s", end, s.wrong(end))
	}
	if s.pass() != never {
		t.Error("time passes at the end of a recording")
	}
	if r, ended := s.Result(); r != nil || ended {
		t.Error("a recording has a result")
	}
}

// TestRecordingPasses: time passes in a recording until its end.
func TestRecordingPasses(t *testing.T) {
	s := made(t, Config{Recording: recorded(t, small, 1), At: 5 * time.Minute})
	before := s.moment.LastEntry()
	s.until(6 * time.Minute)
	if s.clock.now != 6*time.Minute || s.clock.live || s.published != s.moment.LastEntry() || s.published == before {
		t.Errorf("a minute later: %+v, %d entries published", s.clock, s.published-before)
	}
	s.until(time.Hour)
	if !s.clock.live || s.clock.now != s.tape.End() {
		t.Errorf("at the end: %+v", s.clock)
	}
}

// TestRecordingCut: one that is cut off is shown as far as it goes, and that is
// said.
func TestRecordingCut(t *testing.T) {
	busy := strings.Replace(small, "create: 1/s, delete: 1/s", "create: 10/s, delete: 10/s", 1)
	s := made(t, Config{Recording: recorded(t, busy, 0.8), Paused: true, At: time.Minute})
	if list, _ := s.Problems(); len(list) == 0 {
		t.Error("nothing is said of the cut")
	}
	if kinds := ok[[]api.KindSummary](t)(s.Kinds(t.Context())); kinds[0].Used == 0 {
		t.Errorf("a minute after the beginning: %+v", kinds)
	}
	if clock := ok[api.Clock](t)(s.Clock(t.Context())); clock.End <= 60 || clock.End > 1700 {
		t.Errorf("the clock: %+v", clock)
	}
}
