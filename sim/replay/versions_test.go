package replay

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// A recording whose segments begin with states of another version: with the first
// segment its events and answers are compared all the same; without, who can replay
// it is said.
func TestStateOfAnotherVersion(t *testing.T) {
	var files [2]bytes.Buffer
	s := record(t, &files[0], config(), 12)
	s.churn(10)
	if err := s.w.Close(recording.Closing{Continued: true}); err != nil {
		t.Fatal(err)
	}
	h := recording.Header{Program: "dacorch v9", Seed: 1, Segment: 1, Kinds: []recording.Kind{{Config: config()}}}
	s.w = recording.NewWriter(&files[1], h)
	state := s.machine.Snapshot(nil)
	version, reads := reconcile.SnapshotVersion(state)
	if version != reads || version == 0 {
		t.Fatalf("version %d of %d", version, reads)
	}
	state[len("n"+"dacorch machine")] = 99
	if version, _ := reconcile.SnapshotVersion(state); version != 99 {
		t.Fatal(version)
	}
	s.w.Snapshot(s.now, 0, state)
	s.churn(10)
	s.close()
	res := replayed(t, &files[0], &files[1])
	if res.Difference != nil || len(res.Gaps) != 1 || !strings.Contains(res.Gaps[0], "of version 99, this program's of version") {
		t.Errorf("%+v, %+v", res, res.Difference)
	}
	if _, err := load(t, &files[1]).Replay(nil); err == nil || !strings.Contains(err.Error(), "version 99") || !strings.Contains(err.Error(), "replay it with what wrote it (dacorch v9)") {
		t.Error(err)
	}
	if version, _ := reconcile.SnapshotVersion([]byte("anything")); version != 0 {
		t.Error(version)
	}
}

// What a machine was told by a setting that this program does not know is said to
// be missing; a setting that is no longer valid says which, and who wrote it.
func TestOtherSettings(t *testing.T) {
	cfg := config()
	cfg.RetryMin = 0
	var file bytes.Buffer
	w := recording.NewWriter(&file, recording.Header{Program: "dacorch v0", Kinds: []recording.Kind{{Config: cfg}}})
	if err := w.Close(recording.Closing{}); err != nil {
		t.Fatal(err)
	}
	_, err := load(t, &file).Replay(nil)
	if err == nil || !strings.Contains(err.Error(), "as dacorch v0 was told to: retryMin") {
		t.Error(err)
	}
	cfg.Limits.MaxInstances = 1 << 30
	file.Reset()
	recording.NewWriter(&file, recording.Header{Kinds: []recording.Kind{{Config: cfg}}})
	_, err = Load([]File{{"huge", func() (io.ReadCloser, error) { return io.NopCloser(&file), nil }}})
	if err == nil || err.Error() != "huge: Thing may have 1073741824 instances, and no more than 131072 can be replayed" {
		t.Error(err)
	}
}
