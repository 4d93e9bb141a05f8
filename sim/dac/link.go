package dac

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is the DAC's way to ZooKeeper. It can fall silent without a word, bounds the
// handshake, for which the client library would wait for more than six sessions,
// closes the connection that the library forgets when a session has expired, and
// keeps the number of the last transaction that was seen, see line.
type link struct {
	via     func(network, address string, timeout time.Duration) (net.Conn, error)
	tls     *tls.Config   // nil: none
	session time.Duration // half of it, and a second at least, a server has to greet
	zxid    atomic.Int64

	mu     sync.Mutex
	silent bool
	last   net.Conn // nil before the first
}

var errSilent = errors.New("the DAC hangs or has ended")

func (l *link) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := l.via(network, address, timeout)
	if err != nil {
		return nil, err
	}
	bare := conn
	if l.tls != nil {
		if conn, err = encrypt(bare, l.tls, address, timeout); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last != nil {
		_ = l.last.Close() // in most cases it is closed already
	}
	if l.silent {
		_ = bare.Close() // it was never used
		return nil, errSilent
	}
	l.last = &line{Conn: conn, bare: bare, link: l}
	return l.last, nil
}

// mute has nothing more be sent, not even the end of the session: the connection
// is cut, as when a process dies.
func (l *link) mute() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
	if l.last != nil {
		_ = l.last.Close() // whoever uses it hears of it there
	}
}

// line is one connection. It hides the transactions' numbers from the library,
// which after a reconnect reads the last of them while answers may already write
// it, and tells the server the number by which no server that lags behind takes
// the session. As the library knows none, each of its watches fires after a
// reconnect; the DAC reads everything again then in any case.
type line struct {
	net.Conn
	bare  net.Conn // below TLS
	link  *link
	wrote bool // the client's greeting has gone

	greeted bool   // the server's greeting has come
	off     int    // how much of the packet has been read, its length included
	size    uint32 // of the packet, without its length
	xid     uint32 // of the request that it answers; the greeting's means nothing
	zxid    uint64
}

// Close says nothing to the server: TLS would, and wait for one that does not read.
func (c *line) Close() error { return c.bare.Close() }

func (c *line) SetReadDeadline(t time.Time) error {
	if !c.greeted {
		if soon := time.Now().Add(max(c.link.session/2, time.Second)); t.IsZero() || t.After(soon) {
			t = soon
		}
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *line) Write(b []byte) (int, error) {
	if !c.wrote && len(b) >= 16 { // length, protocol version, last transaction seen
		c.wrote = true
		b = append([]byte(nil), b...)
		binary.BigEndian.PutUint64(b[8:], uint64(c.link.zxid.Load()))
	}
	return c.Conn.Write(b)
}

func (c *line) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for p := b[:n]; len(p) > 0; {
		k := 1
		switch {
		case c.off < 4:
			c.size = c.size<<8 | uint32(p[0])
		case c.off < 8:
			c.xid = c.xid<<8 | uint32(p[0])
		case c.off < 16:
			c.zxid = c.zxid<<8 | uint64(p[0])
			if c.greeted {
				p[0] = 0
			}
		default:
			k = min(len(p), max(4+int(c.size)-c.off, 1))
		}
		c.off += k
		p = p[k:]
		if c.off >= 4+int(c.size) && c.off >= 4 {
			c.packet()
		}
	}
	return n, err
}

// packet ends a packet.
func (c *line) packet() {
	if c.greeted && int32(c.xid) >= 0 && int64(c.zxid) > c.link.zxid.Load() {
		c.link.zxid.Store(int64(c.zxid))
	}
	c.greeted, c.off, c.size, c.xid, c.zxid = true, 0, 0, 0, 0
}
