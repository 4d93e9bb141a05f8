package real

import (
	"os/exec"
	"syscall"
)

// bind ends the server with the test, also when the test is killed, and runs it
// as the user given, if any.
func bind(cmd *exec.Cmd, as *owner) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if as != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
	return cmd
}
