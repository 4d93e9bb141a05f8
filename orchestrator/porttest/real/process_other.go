//go:build !linux

package real

import "os/exec"

// bind runs the server as the test's own user; it outlives a test that is killed.
func bind(cmd *exec.Cmd, _ *owner) *exec.Cmd { return cmd }
