package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers the REST interface. New makes one, Serve runs it.
type Server struct {
	cfg     Config
	service Service
	tree    *node
	tokens  *tokens
	cert    *certificate // nil without TLS
	ids     *requestIDs
	access  *accessLog
	forward *forwarder

	reads, orders, streams *gate

	anonymous Scope         // what a request without a token may do here
	closing   chan struct{} // closed when Serve ends
	once      sync.Once
}

// maxOrders bounds the orders that are carried out at once: an orchestration or
// a drain that is waited for may take minutes.
const maxOrders = 64

// New makes a server. It reads the token file and the certificate: a mistake in
// them is an error that names file and line.
func New(cfg Config, service Service) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, service: service, tree: newTree(routes), closing: make(chan struct{}),
		ids: newRequestIDs(), access: newAccessLog(cfg), forward: newForwarder(cfg)}
	s.reads = newGate(cfg.MaxAtOnce, cfg.MaxWaiting, cfg.MaxWait)
	s.orders = newGate(maxOrders, cfg.MaxWaiting, cfg.MaxWait)
	s.streams = newGate(cfg.MaxStreams, 0, 0)
	var err error
	if s.tokens, err = loadTokens(cfg); err != nil {
		return nil, err
	}
	if cfg.CertFile != "" {
		if s.cert, err = loadCertificate(cfg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (c Config) check() error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("rest: TLS needs both CertFile and KeyFile")
	}
	if c.MaxBody < 0 || c.MaxBody > 64<<20 {
		return fmt.Errorf("rest: MaxBody is %d bytes: want at most %d", c.MaxBody, 64<<20)
	}
	for name, n := range map[string]int{"MaxHeader": c.MaxHeader, "MaxAtOnce": c.MaxAtOnce, "MaxWaiting": c.MaxWaiting, "MaxConns": c.MaxConns, "MaxStreams": c.MaxStreams} {
		if n < 0 {
			return fmt.Errorf("rest: %s is %d: want 0 (the default) or more", name, n)
		}
	}
	if c.Anonymous > ScopeWrite {
		return fmt.Errorf("rest: Anonymous is %d: want ScopeNone, ScopeRead or ScopeWrite", c.Anonymous)
	}
	return nil
}

// CheckAddr says whether the server may listen at an address: an error says why
// not and what to do. Serve checks it; it is here for checking a configuration.
// A nil addr stands for one that is not loopback.
func (s *Server) CheckAddr(addr net.Addr) error {
	switch loop := loopback(addr); {
	case !loop && s.cfg.Anonymous != ScopeNone:
		return fmt.Errorf("rest: %v is not a loopback address, and anonymous requests are allowed (%v): listen on 127.0.0.1, or set anonymous to none and name a token file", addr, s.cfg.Anonymous)
	case !loop && !s.tokens.any():
		return fmt.Errorf("rest: %v is not a loopback address, and there is no token: name a token file with at least one line \"<name> <read|write> <token>\", or listen on 127.0.0.1", addr)
	case s.cfg.Anonymous == ScopeNone && !s.tokens.any():
		return errors.New("rest: nobody could call: there is no token and anonymous is none: name a token file, or set anonymous to read or write (loopback only)")
	}
	return nil
}

func loopback(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// Serve answers requests that come to ln until ctx ends, then finishes: event
// streams end with a last event, running requests have Config.Shutdown to end,
// then they are cut. It answers nil after that, or why it could not go on. It
// can be called once, and closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	if err := s.CheckAddr(ln.Addr()); err != nil {
		return err
	}
	first := false
	s.once.Do(func() { first = true })
	if !first {
		return errors.New("rest: Serve was called before: make a new Server")
	}
	s.anonymous = s.cfg.Anonymous
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var conns sync.WaitGroup
	srv := s.httpServer(base, &conns)
	served := make(chan error, 1)
	go func() { served <- s.accept(srv, ln) }()

	var err error
	select {
	case err = <-served:
		served <- err
	case <-ctx.Done():
	}
	close(s.closing)
	bound, done := context.WithTimeout(base, s.cfg.Shutdown)
	defer done()
	if late := srv.Shutdown(bound); late != nil {
		s.cfg.Log.Warn("requests are cut: they did not end in time", "after", s.cfg.Shutdown)
	}
	cut()
	srv.Close()
	<-served
	s.forward.close()
	conns.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) accept(srv *http.Server, ln net.Listener) error {
	if s.cert != nil {
		return srv.ServeTLS(ln, "", "")
	}
	return srv.Serve(ln)
}

// httpServer makes the server. conns counts the goroutines of its connections:
// they are counted before Serve of net/http returns.
func (s *Server) httpServer(base context.Context, conns *sync.WaitGroup) *http.Server {
	var open atomic.Int64
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeader,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState: func(conn net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
				if open.Add(1) > int64(s.cfg.MaxConns) {
					conn.Close()
				}
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
				conns.Done()
			}
		},
	}
	if s.cert != nil {
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.cert.get}
	}
	return srv
}

// gate bounds how many go through at once, and how many wait for it how long.
type gate struct {
	slots   chan struct{}
	waiting chan struct{}
	most    time.Duration
}

func newGate(slots, waiting int, most time.Duration) *gate {
	return &gate{slots: make(chan struct{}, slots), waiting: make(chan struct{}, waiting), most: most}
}

// enter takes a slot; leave gives it back. It answers false when there is none,
// or ctx ends first.
func (g *gate) enter(ctx context.Context) bool {
	select {
	case g.slots <- struct{}{}:
		return true
	default:
	}
	select {
	case g.waiting <- struct{}{}:
		defer func() { <-g.waiting }()
	default:
		return false
	}
	patience := time.NewTimer(g.most)
	defer patience.Stop()
	select {
	case g.slots <- struct{}{}:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

func (g *gate) leave() { <-g.slots }
