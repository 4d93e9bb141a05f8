package rest

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"dacorch/orchestrator/api"
)

// call is a request on its way.
type call struct {
	http.ResponseWriter
	req   *http.Request
	route *route // nil until known
	needs Scope  // to be let in
	limit limit  // what it is counted in
	args  args
	id    string            // the request's
	who   string            // the token's name; empty for nobody
	scope Scope             // what it may do
	token [sha256.Size]byte // its hash
	body  []byte            // read before the handler

	status  int // answered; 0 while nothing is
	bytes   int64
	rolling time.Duration // each write may take that long; 0: the server's deadline holds
	fault   error         // what only the log tells
}

// WriteHeader notes the status.
func (c *call) WriteHeader(status int) {
	if c.status == 0 && status >= 200 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write counts, and moves the deadline of a stream.
func (c *call) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	if c.rolling > 0 {
		_ = http.NewResponseController(c.ResponseWriter).SetWriteDeadline(time.Now().Add(c.rolling))
	}
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

var (
	errNoPath   = api.Errorf(api.CodeNotFound, "no such path: see /openapi.json for those that there are")
	errNoSuchID = api.Errorf(api.CodeBadRequest, "the path is not percent-encoded UTF-8")
)

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c := &call{ResponseWriter: w, req: r, id: s.ids.of(r)}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler || c.status != 0 {
				s.done(c, began)
				panic(http.ErrAbortHandler) // the client must see that the answer is not whole
			}
			s.cfg.Log.Error("a handler failed", "request", c.id, "panic", p, "stack", string(debug.Stack()))
			s.fail(c, api.Errorf(api.CodeInternal, "a fault of the server: its log has it under the request id"))
		}
		s.done(c, began)
	}()
	s.head(c)
	if err := s.answer(c); err != nil {
		s.fail(c, err)
	}
}

// done tells that a request has been answered, or cut.
func (s *Server) done(c *call, began time.Time) {
	s.access.write(c, began)
	if s.cfg.Observe != nil {
		path := "none"
		if c.route != nil {
			path = c.route.path
		}
		s.cfg.Observe(path, c.req.Method, c.status, time.Since(began))
	}
}

var (
	headerNosniff = []string{"nosniff"}
	headerNoStore = []string{"no-store"}
	headerPolicy  = []string{"default-src 'none'; frame-ancestors 'none'"}
	headerHSTS    = []string{"max-age=31536000"}
	headerJSON    = []string{"application/json"}
)

// ownHeaders are those that every answer has. A forwarded one has ours alone.
var ownHeaders = []string{"X-Request-Id", "X-Content-Type-Options", "Cache-Control", "Content-Security-Policy", "Strict-Transport-Security"}

func (s *Server) head(c *call) {
	h := c.Header()
	h["X-Request-Id"] = []string{c.id}
	h["X-Content-Type-Options"] = headerNosniff
	h["Cache-Control"] = headerNoStore
	h["Content-Security-Policy"] = headerPolicy
	if c.req.TLS != nil {
		h["Strict-Transport-Security"] = headerHSTS
	}
}

// answer finds the route, checks that the request may take it, and takes it.
func (s *Server) answer(c *call) error {
	at, a, err := s.match(c.req.URL)
	if err != nil {
		return err
	}
	method := c.req.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	rt := at.route[method]
	if rt == nil {
		c.Header().Set("Allow", at.allow())
		return api.Errorf(api.CodeMethod, "%.20q is no method of this path: want %s", c.req.Method, at.allow())
	}
	c.route, c.args, c.needs, c.limit = rt, a, rt.scope, rt.limit
	if rt.preview && c.isPreview() {
		c.needs, c.limit = ScopeRead, limitRead
	}
	if err := s.authorize(c); err != nil {
		return err
	}
	if g := s.gate(c.limit); g != nil {
		if !g.enter(c.req.Context()) {
			return s.busy(c)
		}
		defer g.leave()
	}
	return s.work(c)
}

func (s *Server) gate(l limit) *gate {
	switch l {
	case limitRead:
		return s.reads
	case limitOrder:
		return s.orders
	case limitStream:
		return s.streams
	}
	return nil
}

func (s *Server) busy(c *call) error {
	if c.req.Context().Err() != nil {
		return c.req.Context().Err()
	}
	return api.Errorf(api.CodeBusy, "the server has as many requests as it takes: come again")
}

// work reads the body, bounds the time, and answers here or at the leader.
func (s *Server) work(c *call) error {
	if c.route.method != http.MethodGet {
		if err := s.readBody(c); err != nil {
			return err
		}
	}
	if c.route.place == here && c.route.limit == limitRead && c.route.path == wherePath {
		return c.route.handle(s, c) // the most frequent call needs nothing of what follows
	}
	ctx, done := s.bounded(c)
	defer done()
	c.req = c.req.WithContext(ctx)
	if c.route.place == here {
		return c.route.handle(s, c)
	}
	return s.lead(c)
}

const wherePath = kindPath + "/{id}/instances"

// bounded limits the time that a call may take, and sets the connection's
// deadlines where they differ from the server's.
func (s *Server) bounded(c *call) (context.Context, context.CancelFunc) {
	ctx := c.req.Context()
	conn := http.NewResponseController(c.ResponseWriter)
	switch c.limit {
	case limitRead:
		return context.WithTimeout(ctx, s.cfg.ReadLimit)
	case limitOrder:
		_ = conn.SetReadDeadline(time.Time{}) // else the context ends with it
		_ = conn.SetWriteDeadline(time.Now().Add(s.cfg.OrderLimit + s.cfg.WriteTimeout))
		return context.WithTimeout(ctx, s.cfg.OrderLimit)
	case limitStream:
		_ = conn.SetReadDeadline(time.Time{})
		_ = conn.SetWriteDeadline(time.Time{}) // each write sets its own
		c.rolling = s.cfg.WriteTimeout
	}
	return ctx, func() {}
}

// lead answers here when this process leads, else has the leader answer.
func (s *Server) lead(c *call) error {
	leader, err := s.leaderFor(c)
	if err != nil {
		return err
	}
	if !leader.Self {
		return s.pass(c, leader)
	}
	err = c.route.handle(s, c)
	if err == nil || c.status != 0 || !errors.Is(err, &api.Error{Code: api.CodeNotLeader}) {
		return err
	}
	// The leadership has gone meanwhile, and nothing was done.
	if leader, err = s.leaderFor(c); err != nil {
		return err
	}
	if leader.Self {
		leader = api.Leader{} // it does not know itself yet
	}
	return s.pass(c, leader)
}

// leaderFor answers who leads what the call is about.
func (s *Server) leaderFor(c *call) (api.Leader, error) {
	if c.route.place == atStream {
		return s.streamLeader(c)
	}
	return s.service.Leader(c.args.v[0])
}
