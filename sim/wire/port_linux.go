package wire

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// reservePort keeps a port of 127.0.0.1 for one program until it is closed, and
// answers its address. It is bound, but nobody listens there: by the kernel's
// rules whoever asks for it by number and with SO_REUSEADDR gets it, as Go's
// servers do, but nobody is given it who takes any. So the program finds its port
// free when it starts, and when it starts again.
func reservePort() (addr string, port io.Closer, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			_ = syscall.Close(fd) // there is an error to tell already
		}
	}()
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return "", nil, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", nil, err
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		return "", nil, err
	}
	in, ok := at.(*syscall.SockaddrInet4)
	if !ok {
		return "", nil, fmt.Errorf("bound to an address of type %T, want IPv4", at)
	}
	return fmt.Sprintf("127.0.0.1:%d", in.Port), os.NewFile(uintptr(fd), "a port that is kept"), nil
}
