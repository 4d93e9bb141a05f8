// Package mqtt is a broker of MQTT 3.1.1 in this process, for harnesses that must
// prove that nothing is lost: it loses and reorders nothing of quality of service
// 1 and 2 across reconnects, takeovers and, with a data directory, restarts. What
// a full queue refuses is counted. Its fault hooks cut, refuse, stall, delay and
// lose acknowledgements on demand.
//
// It grants what Mosquitto grants: every quality of service, persistent sessions,
// retained messages, wildcards, wills, keepalive, takeover of a session by its
// newest connection, a window of 20 messages in flight.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Config says how the broker behaves. The zero value is a broker on a free port
// of loopback that keeps everything in memory.
type Config struct {
	// Addr is where it listens; 127.0.0.1:0 when empty.
	Addr string
	// Listener, unless nil, is used instead of Addr. Close closes it.
	Listener net.Listener
	// TLS, unless nil, is what connections must speak.
	TLS *tls.Config
	// User and Password are demanded of every client when User is not empty.
	User, Password string
	// DataDir, unless empty, is a directory (made when missing) in which
	// persistent sessions, their messages and retained messages survive a restart
	// of the process. The operating system writes in its own time: a crash of the
	// machine may lose the last of them. Repeated publishes of quality of service
	// 2 are not recognised across a restart.
	DataDir string
	// MaxQueued bounds the messages that wait for a session beyond those in
	// flight; 100,000 when zero. What comes on top is dropped and counted.
	MaxQueued int
	// MaxInflight bounds the messages sent to a client and not yet acknowledged;
	// 20 when zero, as Mosquitto has it; at most 65,535.
	MaxInflight int
	// MaxPacket bounds a packet's bytes; 16 MiB when zero. A larger one ends the
	// connection.
	MaxPacket int
	// Log hears of clients that break the protocol; nothing when nil.
	Log *slog.Logger
}

func (c *Config) complete() error {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.MaxQueued == 0 {
		c.MaxQueued = 100_000
	}
	if c.MaxInflight == 0 {
		c.MaxInflight = 20
	}
	if c.MaxPacket == 0 {
		c.MaxPacket = 16 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.MaxQueued < 1:
		return fmt.Errorf("mqtt broker: MaxQueued: %d is not valid: want at least 1", c.MaxQueued)
	case c.MaxInflight < 1 || c.MaxInflight > 65535:
		return fmt.Errorf("mqtt broker: MaxInflight: %d is not valid: want 1 to 65535", c.MaxInflight)
	case c.MaxPacket < 16:
		return fmt.Errorf("mqtt broker: MaxPacket: %d bytes is not valid: want at least 16", c.MaxPacket)
	case c.User == "" && c.Password != "":
		return errors.New("mqtt broker: Password without User: want both or none")
	}
	return nil
}

// Server is a running broker. Its methods are safe for concurrent use.
type Server struct {
	cfg Config
	ln  net.Listener
	wg  sync.WaitGroup
	end chan struct{} // closed by Close

	mu       sync.Mutex
	changed  sync.Cond // on mu: something was sent, queued, acknowledged, connected, …
	closed   bool
	conns    map[*conn]struct{}
	sessions map[string]*session
	retained map[string]*message
	journal  *journal // nil without a data directory
	failed   error    // of the journal
	seq      uint64   // of the newest message
	stats    Stats
	faults   faults
}

// Stats counts since the start.
type Stats struct {
	Connections uint64 // clients that were let in
	Refused     uint64 // clients that were not
	Published   uint64 // messages from clients, from inside, and wills
	Delivered   uint64 // messages sent to clients, repeated ones included
	Redelivered uint64 // of those, sent with DUP
	Acked       uint64 // messages that a client has acknowledged for good
	Dropped     uint64 // messages that a session's full queue refused
}

// Start runs a broker until Close.
func Start(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, ln: cfg.Listener, end: make(chan struct{}),
		conns: map[*conn]struct{}{}, sessions: map[string]*session{}, retained: map[string]*message{},
	}
	s.changed.L = &s.mu
	if cfg.DataDir != "" {
		if err := s.restore(); err != nil {
			return nil, fmt.Errorf("mqtt broker: data directory %s: %w", cfg.DataDir, err)
		}
	}
	if s.ln == nil {
		ln, err := net.Listen("tcp", cfg.Addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("mqtt broker: %w", err), s.journal.close())
		}
		s.ln = ln
	}
	s.wg.Go(s.accept)
	return s, nil
}

// Addr is host and port of the broker.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// URL is the broker's address as clients take it: mqtt:// or, with TLS, mqtts://.
func (s *Server) URL() string {
	if s.cfg.TLS != nil {
		return "mqtts://" + s.Addr()
	}
	return "mqtt://" + s.Addr()
}

// Close cuts every connection, publishes no wills, and waits until all has
// ended. It answers what kept the data directory from being complete.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.closed = true
	close(s.end)
	for c := range s.conns {
		c.cut()
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	err := s.ln.Close()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.failed, s.journal.close())
}

func (s *Server) accept() {
	for wait := time.Millisecond; ; {
		nc, err := s.ln.Accept()
		s.mu.Lock()
		switch {
		case s.closed:
			s.mu.Unlock()
			if err == nil {
				nc.Close()
			}
			return
		case err != nil:
			s.mu.Unlock()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			s.cfg.Log.Warn("mqtt broker: cannot accept", "err", err)
			s.wait(wait) // too many open files, say
			wait = min(2*wait, time.Second)
			continue
		case s.faults.refuse:
			s.stats.Refused++
			s.mu.Unlock()
			nc.Close()
			continue
		}
		wait = time.Millisecond
		c := &conn{s: s, nc: nc, raw: nc}
		if s.cfg.TLS != nil {
			c.nc = tls.Server(nc, s.cfg.TLS)
		}
		s.conns[c] = struct{}{}
		s.wg.Go(c.serve)
		s.mu.Unlock()
	}
}

// wait passes time; false when the broker was closed meanwhile.
func (s *Server) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.end:
		return false
	}
}

// Publish publishes a message from inside, as a client would. The payload must
// not be changed after.
func (s *Server) Publish(topic string, payload []byte, qos byte, retain bool) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	if qos > 2 {
		return fmt.Errorf("quality of service %d is not valid: want 0, 1 or 2", qos)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("mqtt broker: closed")
	}
	s.publish(topic, payload, qos, retain)
	return s.failed
}

// publish hands a message to every session that subscribes to its topic, and
// keeps it when it is to be retained. An empty retained message forgets.
func (s *Server) publish(topic string, payload []byte, qos byte, retain bool) {
	s.stats.Published++
	s.seq++
	m := &message{seq: s.seq, topic: topic, payload: payload, qos: qos}
	if retain {
		if len(payload) == 0 {
			delete(s.retained, topic)
		} else {
			s.retained[topic] = m
		}
		s.journal.retain(m)
	}
	for _, ss := range s.sessions {
		if granted, ok := ss.wants(topic); ok {
			ss.enqueue(s, m, min(qos, granted), false)
		}
	}
	s.note()
}

// note wakes whoever waits for a change, and writes what was journalled. A
// journal that cannot be written ends the broker's promises: every connection is
// cut rather than acknowledged.
func (s *Server) note() {
	if err := s.journal.flush(s); err != nil && s.failed == nil {
		s.failed = fmt.Errorf("mqtt broker: data directory %s: %w", s.cfg.DataDir, err)
		s.cfg.Log.Error("mqtt broker: cannot keep sessions", "err", s.failed)
	}
	if s.failed != nil {
		for c := range s.conns {
			c.cut()
		}
	}
	s.changed.Broadcast()
}

// Stats is what has been counted so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Await blocks until the sessions are as ok wants them, or ctx ends. ok runs at
// first and after every change, with the broker standing still: it must be quick
// and not call the Server.
func (s *Server) Await(ctx context.Context, ok func([]Session) bool) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !ok(s.view()) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("mqtt broker: the sessions are not as awaited: %w: %+v", err, s.view())
		}
		if s.closed {
			return errors.New("mqtt broker: closed")
		}
		s.changed.Wait()
	}
	return nil
}
