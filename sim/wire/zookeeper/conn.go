package zookeeper

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// conn is one client connection: a reader that carries out requests, and a
// writer that sends what is in the outbox.
type conn struct {
	s      *Server
	nc     net.Conn
	in     *bufio.Reader
	remote string
	out    outbox
	gone   chan struct{} // closed when the connection is

	// Guarded by the server's lock.
	session *session // nil before the handshake and after the end
	ids     []identity
	closed  bool

	// Used by the reader alone.
	frame   []byte
	request request
}

const readBuffer = 64 << 10

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, in: bufio.NewReaderSize(nc, readBuffer), remote: nc.RemoteAddr().String(), gone: make(chan struct{})}
	host, _, err := net.SplitHostPort(c.remote)
	if err != nil {
		host = c.remote
	}
	c.ids = []identity{{"ip", host}}
	c.out.init()
	return c
}

// close cuts the connection at once. The session lives on. It needs the server's
// lock.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	close(c.gone)
	c.out.kill()
	c.nc.Close()
	c.s.dataWatches.drop(c)
	c.s.childWatches.drop(c)
	delete(c.s.conns, c)
	if c.session != nil && c.session.conn == c {
		c.session.conn = nil
	}
}

func (c *conn) cut() {
	c.s.mu.Lock()
	c.close()
	c.s.mu.Unlock()
}

// read runs until the connection ends. What ends it is the client's affair: an
// unfit packet costs it the connection, as with the real server.
func (c *conn) read() {
	defer c.s.running.Done()
	defer c.leave()
	_ = c.nc.SetReadDeadline(time.Now().Add(handshakeTimeout))
	word, err := c.in.Peek(4)
	if err != nil || !c.s.faults.pass(c.gone) {
		return
	}
	if c.answerWord(string(word)) {
		return
	}
	frame, err := c.next()
	if err != nil || !c.connect(frame) {
		return
	}
	_ = c.nc.SetReadDeadline(time.Time{})
	for {
		if c.in.Buffered() < 4 {
			c.out.send()
		}
		frame, err := c.next()
		if err != nil || !c.s.faults.pass(c.gone) || !c.handle(frame) {
			return
		}
		c.out.wait()
		c.s.log.wait()
	}
}

// leave ends the connection after its last answer, when there is one.
func (c *conn) leave() {
	c.out.mu.Lock()
	answered := c.out.last
	c.out.mu.Unlock()
	if !answered {
		c.cut()
		return
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(handshakeTimeout)) // it may have stopped reading
}

var errPacket = errors.New("zookeeper: packet length out of range")

// next reads one packet. It is valid until the next call.
func (c *conn) next() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n < 0 || n > c.s.config.MaxBuffer {
		return nil, fmt.Errorf("%w: %d, want 0 to %d", errPacket, n, c.s.config.MaxBuffer)
	}
	if c.in.Buffered() < n {
		c.out.send() // the rest may take a while
	}
	return c.body(n)
}

// body reads n bytes. Memory grows with what has come, not with what was said.
func (c *conn) body(n int) ([]byte, error) {
	if cap(c.frame) > 4*readBuffer && n <= readBuffer {
		c.frame = nil // large packets are rare: do not keep their room
	}
	if cap(c.frame) >= n {
		c.frame = c.frame[:n]
		_, err := io.ReadFull(c.in, c.frame)
		return c.frame, err
	}
	if n <= readBuffer {
		c.frame = make([]byte, n, max(2*n, 1024))
		_, err := io.ReadFull(c.in, c.frame)
		return c.frame, err
	}
	buf := bytes.NewBuffer(c.frame[:0])
	_, err := io.CopyN(buf, c.in, int64(n))
	c.frame = buf.Bytes()
	return c.frame, err
}

// write sends what the outbox gives.
func (c *conn) write() {
	defer c.s.running.Done()
	defer c.cut()
	for {
		chunks := c.out.take()
		if chunks == nil {
			return
		}
		for _, ch := range chunks {
			if !c.due(ch.due) || !c.s.log.reached(ch.seq) || !c.s.faults.pass(c.gone) {
				return
			}
			if _, err := c.nc.Write(ch.data); err != nil {
				return
			}
			c.out.written(ch)
		}
	}
}

// due waits for a time, and says whether the connection still stands then.
func (c *conn) due(at time.Time) bool {
	if at.IsZero() {
		return true
	}
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.gone:
		return false
	}
}

// send queues a frame. It needs the server's lock.
func (c *conn) send(late time.Duration, put func([]byte) []byte) {
	var due time.Time
	if late += c.s.faults.delayed(); late > 0 {
		due = time.Now().Add(late)
	}
	c.s.sent.Add(1)
	c.out.add(due, c.s.log.latest(), put)
}

// notify sends a watch's event, unless the client may not read the node.
func (c *conn) notify(event int32, path string, acl []ACL) {
	if !permitted(acl, permRead, c.ids) {
		return
	}
	c.send(0, func(b []byte) []byte {
		b = putInt(putLong(putInt(b, xidNotification), -1), 0)
		return putString(putInt(putInt(b, event), stateSyncConnected), path)
	})
	c.out.send()
}

// connect is the handshake: it opens a session or resumes one.
func (c *conn) connect(frame []byte) bool {
	d := &decoder{b: frame}
	d.int() // protocol version, 0
	seen, timeout, id, password := d.long(), d.int(), d.long(), d.buffer()
	if d.err != nil {
		return false
	}
	toldReadOnly := len(d.b) > 0 // clients before 3.4 do not know that field
	s := c.s
	s.received.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.closed || seen > s.zxid || s.faults.refuses(Session{ID: id, RemoteAddr: c.remote}) {
		return false
	}
	now := time.Now()
	negotiated := min(max(time.Duration(timeout)*time.Millisecond, s.config.MinSessionTimeout), s.config.MaxSessionTimeout)
	var ses *session
	if id == 0 {
		ses = s.openSession(negotiated, now)
	} else if known := s.sessions[id]; known != nil {
		if known.conn != nil {
			known.conn.close()
		}
		if bytes.Equal(password, passwordOf(id)) {
			ses = known
			ses.timeout = negotiated
			s.touch(ses, now)
		}
	}
	c.send(0, func(b []byte) []byte {
		if ses == nil {
			b = putBuffer(putLong(putInt(putInt(b, 0), 0), 0), make([]byte, 16))
		} else {
			b = putBuffer(putLong(putInt(putInt(b, 0), int32(ses.timeout.Milliseconds())), ses.id), passwordOf(ses.id))
		}
		if toldReadOnly {
			b = putBool(b, false)
		}
		return b
	})
	if ses == nil {
		c.out.end()
		return false
	}
	c.session, ses.conn = ses, c
	return true
}
