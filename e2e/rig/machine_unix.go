//go:build unix

package rig

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// lockFile makes the file this process's own until it is closed, or the process
// ends in whatever way.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// endsWithContext has a command and all that it started be interrupted when its
// context ends, and killed ten seconds later.
func endsWithContext(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
}
