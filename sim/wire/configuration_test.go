package wire

import (
	"os"
	"path/filepath"
	"testing"
)

// A directory that is used again may hold links, and files that others may read.
func TestWritePrivate(t *testing.T) {
	dir := t.TempDir()
	elsewhere, link, open := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link"), filepath.Join(dir, "open")
	for _, path := range []string{elsewhere, open} {
		if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, open, filepath.Join(dir, "new")} {
		if err := writePrivate(path, []byte("secret")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if data, err := os.ReadFile(elsewhere); err != nil || string(data) != "before" {
		t.Errorf("written through the link: %q, %v", data, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := writePrivate(filepath.Join(dir, "none", "file"), nil); err == nil {
		t.Error("written to a directory that is not there")
	}
}
