package rest

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"dacorch/orchestrator/api"
)

// authorize sets who asks and what it may do, and refuses what it may not.
func (s *Server) authorize(c *call) error {
	if err := s.identify(c); err != nil {
		if c.needs == ScopeNone {
			return nil // a probe with an old token is still a probe
		}
		return err
	}
	if c.scope >= c.needs {
		return nil
	}
	if c.who == "" && c.scope == ScopeNone {
		c.Header().Set("WWW-Authenticate", `Bearer realm="dacorch"`)
		return api.Errorf(api.CodeUnauthorized, "no token: send the header Authorization: Bearer <token>")
	}
	return api.Errorf(api.CodeForbidden, "the scope is %v: this call needs %v", c.scope, c.needs)
}

// identify finds the token. A request without one is nobody's: it has what
// anonymous requests are allowed, once it is known that no web page of another
// site makes a browser send it.
func (s *Server) identify(c *call) error {
	header := c.req.Header["Authorization"]
	if len(header) == 0 {
		if s.anonymous == ScopeNone {
			return nil
		}
		if err := s.fromHere(c.req); err != nil {
			return err
		}
		c.scope = s.anonymous
		return nil
	}
	scheme, plain, _ := strings.Cut(header[0], " ")
	if strings.EqualFold(scheme, "Bearer") && len(header) == 1 && len(plain) <= maxTokenBytes {
		if t, ok := s.tokens.find(strings.TrimSpace(plain)); ok {
			c.who, c.scope, c.token = t.Name, t.Scope, t.Hash
			return nil
		}
	}
	c.Header().Set("WWW-Authenticate", `Bearer realm="dacorch", error="invalid_token"`)
	return api.Errorf(api.CodeUnauthorized, "the token is not known: want the header Authorization: Bearer <token>")
}

// fromHere refuses what a browser was made to send by a page of another site: it
// names a host that is not us (DNS rebinding) or an origin that is not the host.
func (s *Server) fromHere(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !s.ourName(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")) {
		return api.Errorf(api.CodeMisdirected, "the host %.100q is none of ours: without a token, ask localhost", host)
	}
	for _, origin := range r.Header["Origin"] {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return api.Errorf(api.CodeForbidden, "a page of the origin %.100q may not ask without a token", origin)
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return api.Errorf(api.CodeForbidden, "a page of another site may not ask without a token")
	}
	return nil
}

func (s *Server) ourName(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost") ||
		slices.ContainsFunc(s.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}
