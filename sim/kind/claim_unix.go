//go:build unix

package kind

import (
	"os"
	"syscall"
)

// lockFile makes the file this process's own until it is closed, or the process
// ends in whatever way.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
