//go:build !unix

package wire

import "os"

// The signals that stop a process and let it go on: there are none.
var stopSignal, contSignal os.Signal
