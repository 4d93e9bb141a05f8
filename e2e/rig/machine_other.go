//go:build !unix

package rig

import (
	"os"
	"os/exec"
)

// lockFile does nothing where there are no advisory locks: two runs at once are
// the user's to avoid.
func lockFile(*os.File) error { return nil }

// endsWithContext leaves the command to be killed when its context ends.
func endsWithContext(*exec.Cmd) {}
