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

// wire makes the library's connections. It reads along until it has seen which
// session timeout the server granted, which the library does not tell; it bounds
// the handshake, for which the library would wait ten times too long; and it
// closes the connection that the library forgets when a session has expired.
type wire struct {
	cfg     *Config
	running context.Context
	timeout atomic.Int64 // a time.Duration

	mu     sync.Mutex
	last   net.Conn
	closed bool
}

var errWireClosed = errors.New("zookeeper: closed")

// dial is the library's dialer.
func (w *wire) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	w.drop()
	ctx, cancel := context.WithTimeout(w.running, timeout)
	defer cancel()
	conn, err := w.cfg.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if w.cfg.TLS != nil {
		if conn, err = w.encrypt(ctx, conn, address); err != nil {
			return nil, err
		}
	}
	c := &greeted{Conn: conn, wire: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		conn.Close()
		return nil, errWireClosed
	}
	w.last = c
	return c, nil
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
	}
}

func (w *wire) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.drop()
}

// greeted is a connection whose first packet, the server's greeting, is read
// along: length, protocol version, session timeout (ms), session.
type greeted struct {
	net.Conn
	wire *wire
	head [12]byte
	n    int
	done atomic.Bool
}

func (g *greeted) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if g.n < len(g.head) {
		g.n += copy(g.head[g.n:], b[:n])
		if g.n == len(g.head) {
			if ms := int32(binary.BigEndian.Uint32(g.head[8:])); ms > 0 {
				g.wire.timeout.Store(int64(time.Duration(ms) * time.Millisecond))
			}
			g.done.Store(true)
		}
	}
	return n, err
}

func (g *greeted) SetReadDeadline(t time.Time) error {
	if !g.done.Load() {
		if soon := time.Now().Add(g.wire.cfg.SessionTimeout / 2); t.IsZero() || t.After(soon) {
			t = soon
		}
	}
	return g.Conn.SetReadDeadline(t)
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
