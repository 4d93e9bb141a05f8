package serve

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// directory keeps a tape's segments as files.
type directory struct {
	path string
	own  bool // made here, and removed at the end
}

// newDirectory uses the directory given, or makes one where temporary files go.
func newDirectory(path string) (*directory, error) {
	if path != "" {
		return &directory{path: path}, os.MkdirAll(path, 0o700)
	}
	path, err := os.MkdirTemp("", "dacorch-tape-*")
	if err != nil {
		return nil, fmt.Errorf("a place for what has happened: %w", err)
	}
	return &directory{path: path, own: true}, nil
}

func (d *directory) file(n int) string { return filepath.Join(d.path, fmt.Sprintf("segment-%06d", n)) }

// Create is tape.Store's.
func (d *directory) Create(n int) (io.WriteCloser, error) {
	return os.OpenFile(d.file(n), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

// Open is tape.Store's.
func (d *directory) Open(n int) (io.ReadCloser, error) { return os.Open(d.file(n)) }

// Remove is tape.Store's.
func (d *directory) Remove(n int) error { return os.Remove(d.file(n)) }

// close removes what was kept, where the directory was made here.
func (d *directory) close() error {
	if !d.own {
		return nil
	}
	if err := os.RemoveAll(d.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
