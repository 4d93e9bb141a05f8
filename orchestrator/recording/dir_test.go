package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

func openDir(t *testing.T, change func(*DirConfig)) *Dir {
	t.Helper()
	cfg := DirConfig{Path: filepath.Join(t.TempDir(), "new", "recordings"), Program: "test", Began: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
		Kinds: []reconcile.Config{reconcile.DefaultConfig("Thing"), reconcile.DefaultConfig("a/b")}}
	if change != nil {
		change(&cfg)
	}
	d, err := OpenDir(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// follow steps a machine that follows, with an event that it does nothing about
// and that no packing makes small.
func follow(d *Dir, m *reconcile.Machine, n int) {
	word := d.Stats().Events + d.Stats().Lost
	for i := range n {
		word = word*6364136223846793005 + 1442695040888963407
		tell(d, "Thing", m, time.Duration(i), word)
	}
}

func tell(d *Dir, kind fleet.Kind, m *reconcile.Machine, at time.Duration, word uint64) {
	ev := reconcile.Notified{Token: uint64(at), Note: &fleet.Notification{Op: fleet.OpDelete, Table: "Thing",
		Resources: []fleet.Resource{{ID: fmt.Sprintf("%016x%016x", word, word*word)}}}}
	d.Told(kind, at, ev)
	d.Answered(kind, at, m.Step(at, ev), m)
}

func machine(t *testing.T) *reconcile.Machine {
	t.Helper()
	m, err := reconcile.New(reconcile.DefaultConfig("Thing"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// read is all entries of a file, and what ended them.
func read(t *testing.T, path string) (Header, []Entry, error) {
	t.Helper()
	h, entries, err := readSoFar(t, path)
	if h.Kinds == nil {
		t.Fatalf("%s: %v", path, err)
	}
	return h, entries, err
}

// readSoFar is read of a file that may not have been begun.
func readSoFar(t *testing.T, path string) (Header, []Entry, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		return Header{}, nil, err
	}
	var out []Entry
	for {
		e, err := r.Next()
		if err != nil {
			return r.Header(), out, err
		}
		out = append(out, e)
	}
}

func files(t *testing.T, d *Dir) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(d.cfg.Path, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Segments follow each other without a gap, each with the state that it begins
// with; the oldest go.
func TestDirRotates(t *testing.T) {
	d := openDir(t, func(c *DirConfig) { c.Segment, c.Total = 600<<10, 2<<20 })
	m := machine(t)
	for range 40 {
		follow(d, m, 5000)
		eventually(t, func() bool { return idle(d) }) // a disk that keeps up
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	st := d.Stats()
	if st.Segments < 6 || st.Lost > 0 || st.Failures > 0 || st.Events != 200_000 {
		t.Fatalf("%+v", st)
	}
	total, next, events := int64(0), -1, 0
	for _, path := range files(t, d) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
		if perm := info.Mode().Perm(); perm != 0o600 {
			t.Errorf("%s has mode %o", path, perm)
		}
		h, entries, err := read(t, path)
		if err != io.EOF {
			t.Fatalf("%s: %v", path, err)
		}
		if h.Kinds[0].Config.Kind == "a/b" {
			continue
		}
		if next >= 0 && h.Segment != next {
			t.Errorf("%s is segment %d, want %d", path, h.Segment, next)
		}
		next = h.Segment + 1
		if h.Segment > 0 && entries[0].Snapshot == nil {
			t.Errorf("%s begins with %+v", path, entries[0])
		}
		events += len(entries) - 2
		if last := entries[len(entries)-1].Closing; last.Continued != (uint64(next) < st.Segments-1) || last.Lost != "" {
			t.Errorf("%s ends with %+v", path, last)
		}
	}
	if total > 2<<20 || next < 5 || events < 20_000 {
		t.Errorf("%d bytes in the end, %d segments, %d events", total, next, events)
	}
	if info, err := os.Stat(d.cfg.Path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What is recorded is in the file soon, without an end.
func TestDirFlushes(t *testing.T) {
	d := openDir(t, nil)
	defer d.Close()
	m := machine(t)
	follow(d, m, 3)
	eventually(t, func() bool {
		for _, path := range files(t, d) {
			if strings.Contains(path, "/Thing-20260504T030201.000Z-0000.dacrec") {
				_, entries, err := readSoFar(t, path)
				var end *EndError
				return len(entries) >= 3 && errors.As(err, &end) && end.Cut && end.Err == nil
			}
		}
		return false
	})
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	again, late := time.NewTicker(5*time.Millisecond), time.NewTimer(30*time.Second)
	defer again.Stop()
	defer late.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatal("it did not come about in 30 s")
		}
	}
}

// A queue that is full ends the segment with a gap, and the next begins with the
// state.
func TestDirOverflows(t *testing.T) {
	held := holding{held: make(chan struct{}), free: make(chan struct{})}
	d := openDir(t, func(c *DirConfig) { c.Queue, c.Log = 1<<20, slog.New(held) })
	m := machine(t)
	// A segment that is there already cannot be begun, which is logged.
	d.disk.push(item{to: d.streams["a/b"].out, open: &Header{Began: d.cfg.Began}})
	<-held.held
	follow(d, m, 200_000)
	if st := d.Stats(); st.Lost == 0 || st.Events == 0 {
		t.Fatalf("%+v", st)
	}
	close(held.free)
	eventually(t, func() bool { return !d.disk.halfFull() })
	follow(d, m, 10)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var segments []int
	for _, path := range files(t, d) {
		h, entries, err := read(t, path)
		if h.Kinds[0].Config.Kind != "Thing" {
			continue // given up
		}
		if err != io.EOF {
			t.Fatalf("%s: %v", path, err)
		}
		if segments = append(segments, h.Segment); h.Segment == 0 && entries[len(entries)-1].Closing.Lost == "" {
			t.Error("the gap is not told of")
		} else if h.Segment == 1 && (entries[0].Snapshot == nil || len(entries) < 10) {
			t.Errorf("segment 1: %+v", entries)
		}
	}
	if !slices.Equal(segments, []int{0, 1}) {
		t.Errorf("segments %v", segments)
	}
}

// idle says that all has been written.
func idle(d *Dir) bool {
	waits, _ := d.disk.waiting()
	return waits == 0
}

// holding is a log that keeps whoever logs an error.
type holding struct {
	slog.Handler
	held, free chan struct{}
}

func (h holding) Enabled(_ context.Context, level slog.Level) bool { return level == slog.LevelError }

func (h holding) Handle(context.Context, slog.Record) error {
	close(h.held)
	<-h.free
	return nil
}

// A disk that refuses stops the recording and nothing else; later it goes on, even
// when somebody has deleted the directory.
func TestDirSurvives(t *testing.T) {
	d := openDir(t, nil)
	m := machine(t)
	follow(d, m, 10)
	eventually(t, func() bool { return len(files(t, d)) == 2 && idle(d) })
	if err := os.RemoveAll(d.cfg.Path); err != nil { // the open files go on, for nobody
		t.Fatal(err)
	}
	if err := os.WriteFile(d.cfg.Path, nil, 0o600); err != nil { // and no other can be made
		t.Fatal(err)
	}
	s := d.streams["Thing"]
	s.mu.Lock()
	s.end(Closing{})
	s.begin(10, m)
	s.mu.Unlock()
	d.disk.nudge()
	eventually(t, func() bool { return s.out.broken.Load() == 1 })
	lost := d.Stats().Lost
	follow(d, m, 10)
	if st := d.Stats(); st.Lost != lost+10 || st.Failures == 0 {
		t.Fatalf("%+v", st)
	}
	if err := os.Remove(d.cfg.Path); err != nil {
		t.Fatal(err)
	}
	s.out.mu.Lock()
	s.out.retry = time.Time{} // the wait is over
	s.out.mu.Unlock()
	follow(d, m, 1) // is not recorded, but begins the segment
	follow(d, m, 10)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if st := d.Stats(); st.Lost != lost+11 || st.Events != 20 {
		t.Fatalf("%+v", st)
	}
	if _, entries, err := read(t, filepath.Join(d.cfg.Path, "Thing-20260504T030201.000Z-0002.dacrec")); err != io.EOF || len(entries) < 12 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func TestDirRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]DirConfig{
		"record.dir: mkdir " + file + ": not a directory":          {Path: file},
		`record.total: 3 is not valid: want at least 134217728: a`: {Path: t.TempDir(), Total: 3, Kinds: []reconcile.Config{{}}},
	} {
		if _, err := OpenDir(cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// BenchmarkTold measures what a driver pays for an event that is recorded.
func BenchmarkTold(b *testing.B) {
	d, err := OpenDir(DirConfig{Path: b.TempDir(), Kinds: []reconcile.Config{reconcile.DefaultConfig("Thing")}})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	m, err := reconcile.New(reconcile.DefaultConfig("Thing"))
	if err != nil {
		b.Fatal(err)
	}
	at := time.Duration(0)
	for b.Loop() {
		at += 731 * time.Microsecond
		d.Told("Thing", at, reconcile.Heartbeat{Instance: fleet.InstanceID(at % 100)})
		d.Answered("Thing", at, nil, m)
	}
	b.ReportMetric(float64(d.Stats().Lost)/float64(b.N), "lost/op")
}
