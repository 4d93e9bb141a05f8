package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"dacorch/orchestrator/api"
)

// hopHeader marks a request that has been forwarded: it is not forwarded again,
// so that two processes that take each other for the leader do not send it to
// and fro.
const hopHeader = "Dacorch-Forwarded"

// forwarder has the leader answer.
type forwarder struct {
	transport *http.Transport
	quiet     *log.Logger
}

func newForwarder(c Config) *forwarder {
	dial := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &forwarder{
		quiet: log.New(io.Discard, "", 0),
		transport: &http.Transport{
			DialContext:         dial.DialContext,
			TLSClientConfig:     c.ForwardTLS.Clone(), // a transport changes it
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: c.MaxAtOnce,
			IdleConnTimeout:     c.IdleTimeout / 2, // ends before the leader's: a write to a closing connection is not repeated
			DisableCompression:  true,
		},
	}
}

func (f *forwarder) close() { f.transport.CloseIdleConnections() }

// pass has the leader answer the call, with the caller's own token.
func (s *Server) pass(c *call, leader api.Leader) error {
	if leader.URL == "" {
		return api.Errorf(api.CodeNoLeader, "nobody is known to lead now: come again")
	}
	if c.req.Header.Get(hopHeader) != "" {
		return api.Errorf(api.CodeNoLeader, "another process took this one for the leader, which it is not: come again")
	}
	base, err := url.Parse(leader.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return api.Errorf(api.CodeUpstream, "the leader's address %.100q is none: want http://host:port or https://host:port", leader.URL)
	}
	if s.cert != nil && base.Scheme != "https" {
		// Whoever can write to ZooKeeper must not make us hand tokens to the network.
		return api.Errorf(api.CodeUpstream, "the leader's address %.100q is not encrypted, as this process is: want https in its api.advertise", leader.URL)
	}
	ctx, done := context.WithCancel(c.req.Context())
	defer done()
	if c.limit == limitStream {
		stop := context.AfterFunc(s.closed(), done)
		defer stop()
	}
	var failed error
	proxy := httputil.ReverseProxy{
		Transport: s.forward.transport,
		ErrorLog:  s.forward.quiet,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = base.Scheme, base.Host, base.Host
			prefix := strings.TrimSuffix(base.EscapedPath(), "/")
			p.Out.URL.RawPath = prefix + p.In.URL.EscapedPath()
			p.Out.URL.Path = strings.TrimSuffix(base.Path, "/") + p.In.URL.Path
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			// What a browser says of itself was judged here.
			for _, h := range []string{"Origin", "Referer", "Cookie", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
				p.Out.Header.Del(h)
			}
			p.Out.Header.Del("Connection") // nothing here becomes another protocol
			p.Out.Header.Del("Upgrade")
			p.Out.Header.Set(hopHeader, "1")
			p.Out.Header.Set("X-Request-Id", c.id)
			p.Out.Body, p.Out.ContentLength, p.Out.TransferEncoding = http.NoBody, 0, nil
			if len(c.body) > 0 {
				body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.body)), nil }
				p.Out.Body, _ = body()
				p.Out.GetBody, p.Out.ContentLength = body, int64(len(c.body)) // a connection that had gone stale
			}
		},
		ModifyResponse: func(answer *http.Response) error {
			for _, h := range ownHeaders {
				answer.Header.Del(h)
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
	}
	proxy.ServeHTTP(c, c.req.WithContext(ctx))
	return upstreamError(c, failed)
}

// upstreamError says what went wrong on the way to the leader.
func upstreamError(c *call, err error) error {
	switch {
	case err == nil:
		return nil
	case c.req.Context().Err() != nil:
		return c.req.Context().Err()
	case errors.Is(err, context.Canceled):
		return api.Errorf(api.CodeUnavailable, "the server shuts down")
	}
	c.fault = err
	return api.Errorf(api.CodeUpstream, "the leader does not answer: come again")
}

// closed is a context that ends when the server does.
func (s *Server) closed() context.Context { return closing{context.Background(), s.closing} }

type closing struct {
	context.Context
	done <-chan struct{}
}

func (c closing) Done() <-chan struct{} { return c.done }

func (c closing) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}
