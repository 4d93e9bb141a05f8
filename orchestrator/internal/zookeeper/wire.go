package zookeeper

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire makes the library's connections, and mends what the library leaves to
// chance. It reads along which session timeout the server granted, which the
// library does not tell. It bounds the handshake, for which the library would wait
// ten times too long. It closes the connection that the library forgets when a
// session has expired. And it keeps the number of the last transaction that was
// seen, see framed; it outlives the session, so that no server is read from that
// lags behind what has been told.
type wire struct {
	cfg     *Config
	running context.Context
	timeout atomic.Int64 // a time.Duration
	zxid    atomic.Int64 // of the newest answer
	told    atomic.Int64 // up to which every watch has told what happened

	mu     sync.Mutex
	last   *framed
	closed bool
	// complained is when the log was last told that a server cannot be reached.
	complained time.Time
}

var (
	errWireClosed = errors.New("zookeeper: closed")
	errHugePacket = errors.New("zookeeper: a packet longer than any answer: this is no ZooKeeper")
	errBadPacket  = errors.New("zookeeper: a packet shorter than its header: this is no ZooKeeper")
)

// dial is the library's dialer.
func (w *wire) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	w.drop()
	ctx, cancel := context.WithTimeout(w.running, timeout)
	defer cancel()
	conn, err := w.cfg.Dial(ctx, network, address)
	if err == nil && w.cfg.TLS != nil {
		conn, err = w.encrypt(ctx, conn, address)
	}
	if err != nil {
		w.complain(address, err)
		return nil, err
	}
	c := &framed{Conn: conn, wire: w, since: w.told.Load()}
	c.last.Store(-1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		conn.Close()
		return nil, errWireClosed
	}
	w.last = c
	return c, nil
}

// complainEvery is how often the log is told that a server cannot be reached.
const complainEvery = 10 * time.Second

func (w *wire) complain(address string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); !w.closed && now.Sub(w.complained) >= complainEvery {
		w.complained = now
		w.cfg.Log.Warn("zookeeper: a server cannot be reached; it is tried again", "server", address, "error", err)
	}
}

func (w *wire) encrypt(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	cfg := w.cfg.TLS
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			conn.Close()
			return nil, err
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

func (w *wire) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last != nil {
		w.last.Close()
		w.last.lost()
	}
}

func (w *wire) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.drop()
}

// framed is a connection that knows where packets begin.
//
// After a reconnect the library asks for its watches anew, with the number of the
// last transaction that it has seen, so that the server tells what happened since.
// It reads that number while answers on the new connection may already raise it:
// what happened in between would never be told. So here the number that stood
// when the connection began is written into those requests, and the library sees
// none at all. Many watches take many such requests, one after the other: a
// connection that breaks before the last is answered leaves that number to the
// next.
type framed struct {
	net.Conn
	wire    *wire
	since   int64        // up to which all watches have told what happened
	greeted atomic.Bool  // the server's greeting has come
	last    atomic.Int32 // the number of the last request for watches; -1 before it
	watched atomic.Bool  // every watch is known to this connection's server

	wrote bool     // the client's greeting has gone
	fresh bool     // it asks for a new session, which has no watches
	head  [20]byte // of the packet that is being read: its length, then its header
	off   int      // how much of it has been read
	size  int      // of it, with the length itself
}

const (
	opSetWatches = 101
	zxidAt       = 8         // of an answer: after length and request number
	maxGreeting  = 1 << 10   // bytes
	minBound     = 64 << 20  // bytes, see bound
	fullWatches  = 126 << 10 // bytes: the library fills all but the last to 128 KiB, less a path
)

// lost takes from a connection that is over what the next one begins with.
func (f *framed) lost() {
	if f.watched.Load() {
		f.wire.told.Store(f.wire.zxid.Load())
	}
}

func (f *framed) Write(b []byte) (int, error) {
	at, since := 0, f.since
	switch {
	case !f.wrote: // length, protocol version, last transaction seen
		f.wrote, at = true, 8
		since = f.wire.zxid.Load()
		f.fresh = len(b) >= 28 && binary.BigEndian.Uint64(b[20:]) == 0 // after the zxid the timeout, then the session
	case len(b) >= 20 && binary.BigEndian.Uint32(b[8:]) == opSetWatches: // length, number, operation, since
		at = 12
		if len(b) < fullWatches {
			f.last.Store(int32(binary.BigEndian.Uint32(b[4:])))
		}
	}
	if at > 0 && len(b) >= at+8 {
		b = append([]byte(nil), b...)
		binary.BigEndian.PutUint64(b[at:], uint64(since))
	}
	return f.Conn.Write(b)
}

func (f *framed) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	for p := b[:n]; len(p) > 0; {
		if f.off < len(f.head) {
			k := copy(f.head[f.off:], p)
			if f.greeted.Load() {
				for i := max(zxidAt-f.off, 0); i < k && f.off+i < zxidAt+8; i++ {
					p[i] = 0
				}
			}
			before := f.off
			f.off += k
			p = p[k:]
			// The library sets aside what the length says before it reads on.
			if before < 4 && f.off >= 4 && int64(binary.BigEndian.Uint32(f.head[:])) > f.bound() {
				return 0, errHugePacket
			}
			if f.off == len(f.head) && !f.header() {
				return 0, errBadPacket
			}
			continue
		}
		k := min(len(p), f.size-f.off)
		f.off += k
		p = p[k:]
		if f.off == f.size {
			f.off = 0
			f.greeted.Store(true)
		}
	}
	return n, err
}

// bound is the greatest length that a packet may name: a greeting is short, and no
// answer is much longer than what a node may hold, but for the names of very many
// children.
func (f *framed) bound() int64 {
	if !f.greeted.Load() {
		return maxGreeting
	}
	return max(minBound, 4*int64(f.wire.cfg.MaxRequest))
}

// header takes what is wanted of a packet's beginning; false for one that is none.
func (f *framed) header() bool {
	f.size = 4 + int(binary.BigEndian.Uint32(f.head[:]))
	if f.size < f.off {
		return false
	}
	if f.size == f.off { // it ends here
		f.off = 0
	}
	if !f.greeted.Load() { // length, protocol version, session timeout (ms), session
		if ms := int32(binary.BigEndian.Uint32(f.head[8:])); ms > 0 {
			f.wire.timeout.Store(int64(time.Duration(ms) * time.Millisecond))
		}
		f.watched.Store(f.fresh)
		return true
	}
	zxid := int64(binary.BigEndian.Uint64(f.head[zxidAt:]))
	xid := int32(binary.BigEndian.Uint32(f.head[4:]))
	if xid >= 0 && zxid > f.wire.zxid.Load() {
		f.wire.zxid.Store(zxid)
	}
	if xid == f.last.Load() && binary.BigEndian.Uint32(f.head[16:]) == 0 {
		f.watched.Store(true)
	}
	return true
}

func (f *framed) SetReadDeadline(t time.Time) error {
	if !f.greeted.Load() {
		if soon := time.Now().Add(f.wire.cfg.SessionTimeout / 2); t.IsZero() || t.After(soon) {
			t = soon
		}
	}
	return f.Conn.SetReadDeadline(t)
}

// servers hands one address after the other to the library, which pauses for a
// second whenever all have been tried in vain. Unlike the library's own it does
// not pause after a first loss, and leaves the names to be looked up by the
// dialer each time: addresses change.
type servers struct {
	mu     sync.Mutex
	hosts  []string
	next   int
	failed int // attempts since the last connection that lasted
	since  time.Time
}

func (s *servers) Init(hosts []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts, s.next = hosts, rand.IntN(len(hosts))
	return nil
}

func (s *servers) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hosts)
}

func (s *servers) Next() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.since.IsZero() && time.Since(s.since) >= time.Second {
		s.failed = 0
	}
	s.since = time.Time{}
	pause := s.failed >= len(s.hosts)
	if pause {
		s.failed = 0
	}
	s.failed++
	host := s.hosts[s.next]
	s.next = (s.next + 1) % len(s.hosts)
	return host, pause
}

func (s *servers) Connected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Now()
}

// backoff is the wait between attempts: it doubles up to two seconds, less up to
// half by chance, so that many do not come at once.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 20 * time.Millisecond} }

func (b *backoff) reset() { b.next = 20 * time.Millisecond }

// sleep waits; ctx's error when it ends first.
func (b *backoff) sleep(ctx context.Context) error {
	t := time.NewTimer(b.next - time.Duration(rand.Int64N(int64(b.next)/2)))
	defer t.Stop()
	b.next = min(2*b.next, 2*time.Second)
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
