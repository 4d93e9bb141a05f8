// Package zookeeper is a ZooKeeper server inside the process. It speaks the real
// client protocol, so that real clients (go-zookeeper, zkCli, the Java library)
// work against it unchanged, and it can be made to fail in every way that
// matters to them: see Cut, Refuse, Stall, Delay, Expire and Hook.
//
// What it answers is what one real server answers, down to error codes, versions
// and the order of watch events and replies; a differential test holds it to a
// real one. Not there: ensembles, quotas, SASL; containers, TTLs, persistent
// watches and whoAmI, which are answered Unimplemented.
//
// One lock guards everything. A request is carried out under it and its answer
// queued under it, together with the events that it fires on every connection:
// hence no client can see a change in an answer before its watch's event.
package zookeeper

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config is how a server runs. The zero value is a server in memory on a free
// port of the loopback address.
type Config struct {
	// Addr to listen on, default 127.0.0.1:0. Port 0 takes a free one: see
	// Server.Addr.
	Addr string
	// Listener, when set, is used instead of Addr, and closed by Close. It may
	// be in memory, for tests in virtual time.
	Listener net.Listener
	// TLS, when set, is what clients must speak.
	TLS *tls.Config

	// DataDir keeps nodes and sessions over a restart, in a log and snapshots.
	// Empty: nothing survives Close. Only one server may use it at a time.
	DataDir string
	// Sync waits for the disk before a change is answered. Without it changes
	// survive the end of the process, but not of the machine.
	Sync bool
	// SnapshotEvery is the number of log bytes after which a snapshot is taken
	// and the log started anew, default 64 MiB.
	SnapshotEvery int64

	// TickTime is how exactly sessions end, default 2 s: a session that is not
	// heard of for its timeout expires at the tick after.
	TickTime time.Duration
	// MinSessionTimeout and MaxSessionTimeout bound what clients may ask for,
	// default 2 and 20 ticks.
	MinSessionTimeout, MaxSessionTimeout time.Duration
	// MaxBuffer is the largest packet in bytes (jute.maxbuffer), default
	// 1,048,575. A larger one costs the client its connection.
	MaxBuffer int
}

const handshakeTimeout = 10 * time.Second

func (c Config) withDefaults() (Config, error) {
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:0")
	c.TickTime = cmp.Or(c.TickTime, 2*time.Second)
	c.MinSessionTimeout = cmp.Or(c.MinSessionTimeout, 2*c.TickTime)
	c.MaxSessionTimeout = cmp.Or(c.MaxSessionTimeout, 20*c.TickTime)
	c.MaxBuffer = cmp.Or(c.MaxBuffer, 0xfffff)
	c.SnapshotEvery = cmp.Or(c.SnapshotEvery, 64<<20)
	switch {
	case c.TickTime < time.Millisecond:
		return c, fmt.Errorf("zookeeper: TickTime %v, want at least 1ms", c.TickTime)
	case c.MinSessionTimeout < time.Millisecond || c.MinSessionTimeout > c.MaxSessionTimeout:
		return c, fmt.Errorf("zookeeper: session timeouts from %v to %v, want 1ms or more, in order",
			c.MinSessionTimeout, c.MaxSessionTimeout)
	case c.MaxSessionTimeout >= 24*24*time.Hour:
		return c, fmt.Errorf("zookeeper: MaxSessionTimeout %v, want less than 24 days: clients count milliseconds in 32 bits",
			c.MaxSessionTimeout)
	case c.MaxBuffer < 64 || c.MaxBuffer > 1<<28:
		return c, fmt.Errorf("zookeeper: MaxBuffer %d, want 64 to %d", c.MaxBuffer, 1<<28)
	case c.SnapshotEvery < 1:
		return c, fmt.Errorf("zookeeper: SnapshotEvery %d, want 1 or more bytes", c.SnapshotEvery)
	}
	return c, nil
}

// Server is a running server. Its methods may be called at any time, from any
// goroutine.
type Server struct {
	config   Config
	listener net.Listener
	started  time.Time
	done     chan struct{} // closed by Close
	running  sync.WaitGroup
	faults   faults
	log      *journal // nil in memory

	mu           sync.Mutex
	tree         *tree
	dataWatches  watchTable
	childWatches watchTable
	sessions     map[int64]*session
	conns        map[*conn]struct{}
	zxid         int64
	nextSession  int64
	txn          txn // reused
	observer     func(session int64, changes []Change)
	closed       bool

	received, sent atomic.Int64 // packets, for srvr
}

// Start runs a server. It answers once clients can connect.
func Start(config Config) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: config, started: time.Now(), done: make(chan struct{}),
		tree: newTree(), dataWatches: newWatchTable(), childWatches: newWatchTable(),
		sessions: map[int64]*session{}, conns: map[*conn]struct{}{},
	}
	s.nextSession = firstSession(s.started)
	if config.DataDir != "" {
		if err := s.recover(); err != nil {
			return nil, err
		}
	}
	if s.listener = config.Listener; s.listener == nil {
		if s.listener, err = net.Listen("tcp", config.Addr); err != nil {
			return nil, errors.Join(fmt.Errorf("zookeeper: %w", err), s.log.close())
		}
	}
	if config.TLS != nil {
		s.listener = tls.NewListener(s.listener, config.TLS)
	}
	s.running.Add(2)
	go s.accept()
	go s.expireSessions()
	if s.log != nil {
		s.running.Add(1)
		go s.keepLog()
	}
	return s, nil
}

// Addr is the address to connect to, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends every connection and waits until nothing of the server runs any
// more. Sessions are not closed: with a DataDir, a later Start resumes them.
// Only the first call does anything.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.done)
	for c := range s.conns {
		c.close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	s.running.Wait()
	if logErr := s.log.close(); logErr != nil {
		return logErr
	}
	if err != nil {
		return fmt.Errorf("zookeeper: %w", err)
	}
	return nil
}

func (s *Server) accept() {
	defer s.running.Done()
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			select {
			case <-s.done:
				return
			default:
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			s.pause(10 * time.Millisecond) // too many open files, perhaps
			continue
		}
		s.serve(nc)
	}
}

// pause waits, or until Close.
func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.done:
	}
}

func (s *Server) serve(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.faults.refusesAll() {
		nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.running.Add(2)
	go c.read()
	go c.write()
}
