package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

func replayed(t *testing.T, files ...*bytes.Buffer) *Result {
	t.Helper()
	res, err := load(t, files...).Replay(nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestTheSameAgain(t *testing.T) {
	var file bytes.Buffer
	s := record(t, &file, config(), 12)
	s.churn(40)
	s.close()
	res := replayed(t, &file)
	if res.Difference != nil || len(res.Gaps) > 0 || res.Events < 200 || res.Commands < 80 {
		t.Fatalf("%+v, %+v", res, res.Difference)
	}
}

// Segments are replayed as one recording; without the first, from the state at the
// beginning of the next.
func TestSegments(t *testing.T) {
	var files [3]bytes.Buffer
	s := record(t, &files[0], config(), 12)
	s.churn(10)
	s.next(&files[1], 1)
	s.churn(10)
	s.next(&files[2], 2)
	s.churn(10)
	s.close()
	all := replayed(t, &files[2], &files[0], &files[1]) // in any order
	if all.Difference != nil || len(all.Gaps) > 0 {
		t.Fatalf("%+v, %+v", all, all.Difference)
	}
	late := replayed(t, &files[1], &files[2])
	if late.Difference != nil || len(late.Gaps) != 1 || late.Events >= all.Events || late.Commands == 0 {
		t.Fatalf("%+v, %+v", late, late.Difference)
	}
	if holed := replayed(t, &files[0], &files[2]); holed.Difference != nil || len(holed.Gaps) != 1 {
		t.Fatalf("%+v, %+v", holed, holed.Difference)
	}
}

// What a process in production keeps in files is replayed: all of it, and what is
// left once the oldest files are gone.
func TestFilesOnDisk(t *testing.T) {
	dir := t.TempDir()
	d, err := recording.OpenDir(recording.DirConfig{Path: dir, Segment: 20 << 10, Program: "test", Began: time.Unix(1e9, 0), Kinds: []reconcile.Config{config()}})
	if err != nil {
		t.Fatal(err)
	}
	s := record(t, io.Discard, config(), 12)
	s.dir = d
	for deadline := time.Now().Add(30 * time.Second); d.Stats().Segments < 5; {
		if s.churn(500); time.Now().After(deadline) {
			t.Fatalf("%+v", d.Stats())
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for skip := range 3 {
		var files []*bytes.Buffer
		for _, name := range names[skip:] {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, bytes.NewBuffer(data))
		}
		res := replayed(t, files...)
		if res.Difference != nil || len(res.Gaps) != min(skip, 1) || skip == 0 && res.Events != int(d.Stats().Events) {
			t.Fatalf("without %d: %+v, %+v", skip, res, res.Difference)
		}
	}
}

// A recording that is cut off anywhere is the same as far as it goes.
func TestCutOff(t *testing.T) {
	var file bytes.Buffer
	s := record(t, &file, config(), 12)
	for range 5 {
		s.churn(4)
		if err := s.w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	s.close()
	whole := file.Bytes()
	for n := len(whole) - 1; n > 0; n -= 7 {
		if _, err := recording.NewReader(bytes.NewReader(whole[:n])); err != nil {
			var end *recording.EndError
			if !errors.As(err, &end) && !errors.Is(err, recording.ErrNoRecording) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			continue
		}
		res := replayed(t, bytes.NewBuffer(whole[:n]))
		if res.Difference != nil || len(res.Gaps) != 1 || !strings.Contains(res.Gaps[0], "cut off at byte") {
			t.Fatalf("%d bytes: %+v, %+v", n, res, res.Difference)
		}
	}
}

// Another configuration is another core: the difference is found where it first
// shows, and told with both sides.
func TestADifference(t *testing.T) {
	var file bytes.Buffer
	s := record(t, &file, config(), 12)
	s.churn(10)
	s.close()
	other := config()
	other.Limits.ResourcePerInstance = 4
	res, err := load(t, rewritten(t, &file, other)).Replay(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := res.Difference
	if d == nil || d.Kind != "Thing" || !strings.HasPrefix(d.Event, "pods-listed") || len(d.Recorded) == 0 || reflect.DeepEqual(d.Recorded, d.Answered) || d.What == "" {
		t.Fatalf("%+v", d)
	}
	if _, err := json.Marshal(d); err != nil {
		t.Fatal(err)
	}
}

// TestParting finds each field that differs.
func TestParting(t *testing.T) {
	for _, c := range []struct {
		a, b []reconcile.Command
		want string
	}{
		{[]reconcile.Command{reconcile.Ack{Token: 1}}, []reconcile.Command{reconcile.Ack{Token: 2}}, "command 1.Token: 1, and 2"},
		{nil, []reconcile.Command{reconcile.Ack{Token: 2}}, "command, how many: 0, and 1"},
		{[]reconcile.Command{reconcile.Ack{}}, []reconcile.Command{reconcile.StepDown{}}, "command 1: Ack, and StepDown"},
		{[]reconcile.Command{reconcile.ListRows{IDs: []string{"a", "b"}}}, []reconcile.Command{reconcile.ListRows{IDs: []string{"a", "c"}}},
			`command 1.IDs 2: "b", and "c"`},
	} {
		if got := parting("command", c.a, c.b); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestDiff(t *testing.T) {
	var one, again, more, other bytes.Buffer
	for _, c := range []struct {
		to   *bytes.Buffer
		rows int
		r    int
	}{{&one, 12, 5}, {&again, 12, 5}, {&more, 13, 5}, {&other, 12, 4}} {
		cfg := config()
		cfg.Limits.ResourcePerInstance = c.r
		s := record(t, c.to, cfg, c.rows)
		s.churn(10)
		s.close()
	}
	diff := func(a, b *bytes.Buffer) *Diff {
		d, err := Compare(load(t, a), load(t, b))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := diff(&one, &again); !d.Same() || d.Kinds[0].Same < 50 || d.Kinds[0].A != d.Kinds[0].B || d.Kinds[0].A.Transactions == 0 || d.Kinds[0].A.Placed == 0 {
		t.Errorf("the same twice: %+v", d.Kinds[0])
	}
	if d := diff(&one, &more); d.Same() || d.Kinds[0].World == nil || d.Kinds[0].Core != nil || !strings.Contains(d.Kinds[0].World.What, "Digest.Count: 12, and 13") {
		t.Errorf("a row more: %+v", d.Kinds[0].World)
	}
	d := diff(&one, &other)
	if d.Same() || d.Kinds[0].World != nil || d.Kinds[0].Core == nil || len(d.Settings) != 1 || d.Settings[0].Name != "Thing.limits.resourcePerInstance" {
		t.Errorf("another setting: %+v, %+v", d.Kinds[0].Core, d.Settings)
	}
}

// rewritten is the recording under another configuration.
func rewritten(t *testing.T, file *bytes.Buffer, cfg reconcile.Config) *bytes.Buffer {
	t.Helper()
	r, err := recording.NewReader(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	h := r.Header()
	h.Kinds[0].Config = cfg
	w := recording.NewWriter(&out, h)
	for {
		e, err := r.Next()
		switch {
		case err == io.EOF:
			return &out
		case err != nil:
			t.Fatal(err)
		case e.Event != nil:
			w.Event(e.At, e.Kind, e.Event)
		case e.Commands != nil:
			w.Commands(e.At, e.Kind, e.Commands)
		case e.Closing != nil:
			if err := w.Close(*e.Closing); err != nil {
				t.Fatal(err)
			}
		}
	}
}
