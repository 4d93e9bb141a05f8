package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// The bound of all files is kept at every moment, also where all kinds begin a
// segment at once; what others keep in the directory is not touched.
func TestDirStaysBelowTotal(t *testing.T) {
	const segment, total = 200 << 10, 900 << 10
	path := t.TempDir()
	other := []string{"incident.dacrec", "Thing-notes.dacrec", "Thing-20250101T000000.000Z-0000.dacrec.gz", "README"}
	for _, name := range other {
		if err := os.WriteFile(filepath.Join(path, name), make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 { // of an earlier process
		old := filepath.Join(path, fmt.Sprintf("Gone-20250101T000000.000Z-%04d.dacrec", i))
		if err := os.WriteFile(old, make([]byte, segment), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	machines := map[fleet.Kind]*reconcile.Machine{}
	d := openDir(t, func(c *DirConfig) {
		c.Path, c.Segment, c.Total = path, segment, total
		c.Kinds = nil
		for _, kind := range []fleet.Kind{"A", "B", "C"} {
			k := reconcile.DefaultConfig(kind)
			c.Kinds = append(c.Kinds, k)
			m, err := reconcile.New(k)
			if err != nil {
				t.Fatal(err)
			}
			machines[kind] = m
		}
	})
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		for kind, m := range machines {
			for range 500 {
				tell(d, kind, m, 1, random.Uint64())
			}
		}
		for _, s := range d.streams {
			s.flush()
		}
		d.disk.nudge()
		eventually(t, func() bool { return idle(d) })
		if n := inUse(t, path); n > total {
			t.Fatalf("%d bytes are in the directory, want at most %d", n, total)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if st := d.Stats(); st.Segments < 9 || st.Lost > 0 || st.Failures > 0 {
		t.Errorf("%+v", st)
	}
	for _, name := range other {
		if _, err := os.Stat(filepath.Join(path, name)); err != nil {
			t.Error(err)
		}
	}
}

// Kinds that are told at once, with a segment every moment, leave whole files.
func TestDirIsBusy(t *testing.T) {
	kinds := []fleet.Kind{"A", "B", "C"}
	d := openDir(t, func(c *DirConfig) {
		c.Segment, c.Kinds = 8<<10, nil
		for _, kind := range kinds {
			c.Kinds = append(c.Kinds, reconcile.DefaultConfig(kind))
		}
	})
	var drivers sync.WaitGroup
	for i, kind := range kinds {
		m, err := reconcile.New(reconcile.DefaultConfig(kind))
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, uint64(i)))
		drivers.Go(func() {
			for n := range 20_000 {
				if tell(d, kind, m, time.Duration(n), random.Uint64()); n%200 == 0 {
					d.streams[kind].flush()
					d.disk.nudge()
				}
			}
		})
	}
	drivers.Wait()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	events := 0
	for _, path := range files(t, d) {
		_, entries, err := read(t, path)
		if err != io.EOF {
			t.Errorf("%s: %v", path, err)
		}
		for _, e := range entries {
			if e.Event != nil {
				events++
			}
		}
	}
	if st := d.Stats(); events != 60_000 || st.Lost > 0 || st.Failures > 0 || st.Segments < 6 {
		t.Errorf("%d events are in the files: %+v", events, st)
	}
}

// inUse is the bytes of the segments in a directory.
func inUse(t *testing.T, path string) (n int64) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && ownName.MatchString(e.Name()) {
			n += info.Size()
		}
	}
	return n
}

// Two processes in one directory keep off each other's open files, and what does
// not fit any more is not recorded.
func TestDirIsShared(t *testing.T) {
	if err := lock(nil); err == nil {
		t.Skip("there are no advisory locks here")
	}
	path := t.TempDir()
	open := func(second int) *Dir {
		return openDir(t, func(c *DirConfig) {
			c.Path, c.Segment, c.Total, c.Kinds = path, 100<<10, 300<<10, c.Kinds[:1]
			c.Began = c.Began.Add(time.Duration(second) * time.Second)
		})
	}
	one := open(0)
	m := machine(t)
	follow(one, m, 1000)
	eventually(t, func() bool { return idle(one) && one.Stats().Bytes > 10_000 })
	first := files(t, one)
	two := open(1)
	for range 60 {
		follow(two, m, 1000)
		eventually(t, func() bool { return idle(two) })
		if n := inUse(t, path); n > 300<<10 {
			t.Fatalf("%d bytes are in the directory", n)
		}
	}
	if st := two.Stats(); st.Bytes < 600<<10 || st.Failures > 0 {
		t.Errorf("%+v", st)
	}
	if _, err := os.Stat(first[0]); err != nil || len(first) != 1 {
		t.Errorf("%q: %v", first, err)
	}
	if err := errors.Join(one.Close(), two.Close()); err != nil {
		t.Fatal(err)
	}
}

// A file that somebody deletes while it is written is noticed: the next begins.
func TestDirMissesItsFile(t *testing.T) {
	d := openDir(t, func(c *DirConfig) { c.Kinds = c.Kinds[:1] })
	defer d.Close()
	m := machine(t)
	follow(d, m, 10)
	eventually(t, func() bool { return len(files(t, d)) == 1 && idle(d) })
	if err := os.Remove(files(t, d)[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.Stats().Failures > 0 })
	if s := d.streams["Thing"]; s.out.broken.Load() != 0 {
		t.Error("segment 0 goes on")
	}
}

// A directory that cannot be made now is no reason not to start.
func TestDirComesLater(t *testing.T) {
	away := filepath.Join(t.TempDir(), "mounted", "later")
	link := filepath.Join(t.TempDir(), "recordings")
	if err := os.Symlink(away, link); err != nil {
		t.Skip(err)
	}
	d := openDir(t, func(c *DirConfig) { c.Path, c.Kinds = link, c.Kinds[:1] })
	m := machine(t)
	s := d.streams["Thing"]
	eventually(t, func() bool { return s.out.broken.Load() == 0 })
	follow(d, m, 3)
	if err := os.MkdirAll(away, 0o700); err != nil {
		t.Fatal(err)
	}
	s.out.mu.Lock()
	s.out.retry = time.Time{} // the wait is over
	s.out.mu.Unlock()
	follow(d, m, 4)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, entries, err := read(t, filepath.Join(away, "Thing-20260504T030201.000Z-0001.dacrec"))
	events := 0
	for _, e := range entries {
		if e.Event != nil {
			events++
		}
	}
	if events != 3 || entries[0].Snapshot == nil {
		t.Errorf("%d events, %v", events, err)
	}
	if _, err := os.Stat(filepath.Join(away, "Thing-20260504T030201.000Z-0000.dacrec")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
