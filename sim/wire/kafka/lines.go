package kafka

import (
	"net"
	"sync"
	"time"
)

// lines are the listeners and connections of all brokers, and the faults on them.
type lines struct {
	mu    sync.Mutex
	conns map[*line]struct{}
	down  bool
	delay time.Duration
	flow  chan struct{} // closed while answers flow; replaced by an open one by a stall
	ended chan struct{} // closed with the server
	end   sync.Once
}

func newLines() *lines {
	l := &lines{conns: map[*line]struct{}{}, flow: make(chan struct{}), ended: make(chan struct{})}
	close(l.flow)
	return l
}

// Down makes the brokers unreachable: every connection is cut, and each new one
// as soon as it is made. down=false ends that.
func (s *Server) Down(down bool) {
	l := s.lines
	l.mu.Lock()
	l.down = down
	l.mu.Unlock()
	if down {
		s.Cut()
	}
}

// Cut closes every connection. Clients may connect again at once.
func (s *Server) Cut() {
	for _, c := range s.lines.all() {
		_ = c.Close() // a connection that is gone needs no cut
	}
}

// Stall holds back every answer: requests are taken and acted upon, connections
// stay open, and nothing comes back until stalled=false, when all of it does.
func (s *Server) Stall(stalled bool) {
	l := s.lines
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flow:
		if stalled {
			l.flow = make(chan struct{})
		}
	default:
		if !stalled {
			close(l.flow)
		}
	}
}

// Delay holds back each answer by d, those of one connection one after the other.
func (s *Server) Delay(d time.Duration) {
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	s.lines.delay = d
}

func (l *lines) all() []*line {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*line, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	return all
}

// close ends what is held back, and every connection.
func (l *lines) close() {
	l.end.Do(func() { close(l.ended) })
	for _, c := range l.all() {
		_ = c.Close() // the server is gone: nobody is left to hear of an error
	}
}

func (l *lines) listen(network, address string) (net.Listener, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &listener{Listener: ln, lines: l}, nil
}

type listener struct {
	net.Listener
	lines *lines
}

// Accept cuts what comes while the brokers are down.
func (ln *listener) Accept() (net.Conn, error) {
	for {
		conn, err := ln.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := ln.lines.add(conn); c != nil {
			return c, nil
		}
		_ = conn.Close() // cut: an error would only say that it is cut already
	}
}

// add takes up a connection, nil while the brokers are down.
func (l *lines) add(conn net.Conn) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil
	}
	c := &line{Conn: conn, lines: l, closed: make(chan struct{})}
	l.conns[c] = struct{}{}
	return c
}

// line is one connection, on the brokers' side.
type line struct {
	net.Conn
	lines  *lines
	once   sync.Once
	closed chan struct{}
}

// Write sends an answer, as late as the faults want it.
func (c *line) Write(b []byte) (int, error) {
	if err := c.hold(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// hold waits for as long as answers are held back.
func (c *line) hold() error {
	c.lines.mu.Lock()
	delay, flow := c.lines.delay, c.lines.flow
	c.lines.mu.Unlock()
	if delay > 0 {
		late := time.NewTimer(delay)
		defer late.Stop()
		select {
		case <-late.C:
		case <-c.closed:
			return net.ErrClosed
		case <-c.lines.ended:
			return net.ErrClosed
		}
	}
	select {
	case <-flow:
		return nil
	case <-c.closed:
		return net.ErrClosed
	case <-c.lines.ended:
		return net.ErrClosed
	}
}

// Close ends the connection and what is held back on it.
func (c *line) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.lines.mu.Lock()
		delete(c.lines.conns, c)
		c.lines.mu.Unlock()
	})
	return c.Conn.Close()
}
