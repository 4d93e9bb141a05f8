package serve

import (
	"bytes"
	"io"
	"testing"

	"dacorch/orchestrator/recording"
	"dacorch/sim"
	"dacorch/sim/replay"
)

// recorded is the recording of a scenario.
func recorded(t testing.TB, text string) *replay.Recording {
	t.Helper()
	sc := parsed(t, text)
	var file bytes.Buffer
	w := recording.NewWriter(&file, sim.RecordingHeader("test", sc))
	if _, err := sim.Run(sc, sim.Options{Record: w}); err != nil {
		t.Fatal(err)
	}
	rec, err := replay.Load([]replay.File{{Name: "small.dacrec", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(file.Bytes())), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestRec(t *testing.T) {
	s := made(t, Config{Recording: recorded(t, small), Paused: true})
	for _, live := range []bool{false, true} {
		if live {
			s.goLive()
		}
		t.Log(s.Clock(t.Context()))
		t.Log(s.Kinds(t.Context()))
		t.Log(s.Status(t.Context(), "Thing"))
	}
	for range 6 {
		s.showEvent(s.moment.Event() - 1)
		t.Log(s.Clock(t.Context()))
	}
	t.Log(s.Problems())
}
