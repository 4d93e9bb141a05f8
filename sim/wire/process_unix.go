//go:build unix

package wire

import (
	"os"
	"syscall"
)

// The signals that stop a process and let it go on; nil where there are none.
var stopSignal, contSignal os.Signal = syscall.SIGSTOP, syscall.SIGCONT
