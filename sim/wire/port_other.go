//go:build !linux

package wire

import (
	"io"
	"net"
)

// reservePort answers an address whose port was free a moment ago: here nothing
// keeps it free.
func reservePort() (addr string, port io.Closer, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return l.Addr().String(), nothing{}, l.Close()
}

type nothing struct{}

// Close is io.Closer's.
func (nothing) Close() error { return nil }
