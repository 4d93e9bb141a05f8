// Package rest answers the REST interface (CONTRACT.md, and what goes beyond it)
// over a Service that it declares. Every process answers reads of the placement
// itself; what only a kind's leader knows or can do is forwarded to it.
//
// A request passes, in this order: its id, the route, the token or the checks of
// host and origin, the limit on requests at once, the body's bound, and then the
// handler or the way to the leader (handle.go). routes.go has the table of
// routes; the description is made from it (openapi.go).
package rest

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// Config is what a Server is made with. A field of 0 stands for its default.
type Config struct {
	// TokenFile names the file of bearer tokens (see ParseTokens); it is looked at
	// again when it has changed, at most each TokenCheck (default 2 s). A file that
	// cannot be read any more, or has a mistake, leaves the old tokens valid and is
	// logged.
	TokenFile  string
	TokenCheck time.Duration
	// Tokens are further tokens that do not change, such as the platform's one
	// from the environment.
	Tokens []Token
	// Anonymous is what a request without a token may do; it counts only on a
	// loopback listener. Default ScopeNone.
	Anonymous Scope
	// Hosts are names beyond localhost and the loopback addresses that the Host
	// header of an anonymous request may have: what a browser was pointed at.
	Hosts []string

	// CertFile and KeyFile switch TLS on (1.2 or newer); they are read anew when
	// they change. Both or neither.
	CertFile, KeyFile string
	// ForwardTLS is used towards a leader whose URL is https; nil: the system's
	// roots.
	ForwardTLS *tls.Config

	// Program, Name and Title are what /v1/api/about tells: the program with its
	// version, the process, and what is watched, for people; empty for production.
	Program, Name, Title string
	// Time and Faults answer /v1/api/time, /v1/api/timeline and /v1/api/faults; nil:
	// 404 not_offered.
	Time   Time
	Faults Faults

	Events  *Events      // the stream of /v1/api/events; nil: one that nobody publishes to
	Metrics http.Handler // answers /metrics; nil: 404
	// Observe is told of every request once it is answered: the path's template
	// ("none" for one that is not known; a stream counts when it ends), the method
	// as it was given, and the status, 0 when nothing was answered. It must not
	// wait. nil: nobody is.
	Observe func(path, method string, status int, took time.Duration)
	Log     *slog.Logger // nil: nothing is logged
	// AccessLevel is the level of a request's line in the log; an answer of 500 or
	// more is a warning, an order or a refused token at least information. At most AccessRate lines a second are written (default
	// 100, negative: all); how many were left out is told.
	AccessLevel slog.Level
	AccessRate  int

	MaxBody       int64         // bytes of a body; default 1 MiB, at most 64 MiB
	MaxHeader     int           // bytes of a request's head; default 16 KiB
	MaxAtOnce     int           // requests that are worked on at once; default 512
	MaxWaiting    int           // requests that wait for that; default 8192. More are answered 503
	MaxWait       time.Duration // how long one waits at most; default 10 s
	MaxConns      int           // connections; default 20,000. More are closed as they come
	MaxStreams    int           // event streams at once; default 256. They are not counted in MaxAtOnce
	HeaderTimeout time.Duration // to read a request's head; default 10 s
	ReadTimeout   time.Duration // to read a request as a whole; default 30 s
	WriteTimeout  time.Duration // to answer, from the end of the head; default 60 s. Of a stream: each write
	IdleTimeout   time.Duration // of a connection between requests; default 120 s
	ReadLimit     time.Duration // for which a call that changes nothing is worked on; default 30 s
	OrderLimit    time.Duration // for which an order is waited for; default 15 min. The order itself goes on
	Shutdown      time.Duration // for which Serve waits for running requests at its end; default 10 s
	Beat          time.Duration // between comments on a silent event stream; default 15 s
}

func (c Config) withDefaults() Config {
	def(&c.TokenCheck, 2*time.Second)
	def(&c.AccessRate, 100)
	def(&c.MaxBody, 1<<20)
	def(&c.MaxHeader, 16<<10)
	def(&c.MaxAtOnce, 512)
	def(&c.MaxWaiting, 8192)
	def(&c.MaxWait, 10*time.Second)
	def(&c.MaxConns, 20_000)
	def(&c.MaxStreams, 256)
	def(&c.HeaderTimeout, 10*time.Second)
	def(&c.ReadTimeout, 30*time.Second)
	def(&c.WriteTimeout, 60*time.Second)
	def(&c.IdleTimeout, 120*time.Second)
	def(&c.ReadLimit, 30*time.Second)
	def(&c.OrderLimit, 15*time.Minute)
	def(&c.Shutdown, 10*time.Second)
	def(&c.Beat, 15*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Events == nil {
		c.Events = NewEvents(0)
	}
	return c
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
