package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestTidyRuns keeps the newest recordings, so many and so large together, and
// what else lies in the directory.
func TestTidyRuns(t *testing.T) {
	now := time.Now()
	file := func(dir, name string, size int64, age time.Duration) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil { // takes no room
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	left := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	many := t.TempDir()
	want := []string{".unfinished-young", "notes.txt"}
	for i := range keptRuns + 5 {
		name := fmt.Sprintf("run-%02d.dacrec", i)
		file(many, name, 10, time.Duration(i)*time.Minute)
		if i < keptRuns {
			want = append(want, name)
		}
	}
	file(many, "notes.txt", keptBytes, 1000*time.Hour)
	file(many, ".unfinished-young", keptBytes, time.Hour)
	file(many, ".unfinished-old", 1, 2*leftOver)
	tidyRuns(many, now)
	if got := left(many); !slices.Equal(got, want) {
		t.Errorf("of many there remain %q, want %q", got, want)
	}
	large := t.TempDir()
	for i := range 4 {
		file(large, fmt.Sprintf("run-%d.dacrec", i), recordedMost-1, time.Duration(i)*time.Minute)
	}
	tidyRuns(large, now)
	if got := left(large); !slices.Equal(got, []string{"run-0.dacrec", "run-1.dacrec"}) {
		t.Errorf("of large ones there remain %q", got)
	}
	tidyRuns(filepath.Join(large, "nowhere"), now)
}

// TestKeptRunNeverFails has what keeps a run in a file that cannot be written.
func TestKeptRunNeverFails(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Open(os.DevNull) // for reading
	if err != nil {
		t.Fatal(err)
	}
	k := &keptRun{file: file, path: filepath.Join(dir, "run.dacrec")}
	if n, err := k.Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("written: %d, %v", n, err)
	}
	k.file.Close()
	if k.file, err = os.CreateTemp(dir, unfinished+"*"); err != nil {
		t.Fatal(err)
	}
	if path := k.keep(); path != "" {
		t.Errorf("kept in %s", path)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there remain %v, %v", left, err)
	}
	k.discard()
	(*keptRun)(nil).discard()
}

// ownCache has the test keep its runs in a directory of its own.
func ownCache(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CACHE_HOME", dir)
}

func TestQuoted(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b-1.dacrec": "/a/b-1.dacrec", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "é": "'é'",
	} {
		if got := quoted(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
