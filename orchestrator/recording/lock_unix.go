//go:build unix

package recording

import (
	"errors"
	"os"
	"syscall"
)

// lock says to other processes that the file is being written, until it is closed
// or this process ends in whatever way.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// locked says that another process writes the file.
func locked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false // deleting it will tell
	}
	defer f.Close()
	return errors.Is(lock(f), syscall.EWOULDBLOCK)
}
