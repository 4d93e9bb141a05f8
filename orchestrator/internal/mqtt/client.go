// Package mqtt is the adapter for notifications (CONTRACT.md, MQTT): it listens
// to the data centre's messages with quality of service 1 and a persistent
// session, and acknowledges each only when told that it was dealt with.
package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"dacorch/orchestrator/fleet"
)

// Config says where the broker is and how to speak to it.
type Config struct {
	// URL is the broker: mqtt://host:port or, with TLS, mqtts://host:port. The port
	// is 1883 or 8883 when missing. mqtt://localhost:1883 when empty.
	URL string
	// Topic is what to subscribe to; cm/notify when empty. It may have wildcards.
	Topic string
	// ClientID names the session at the broker. It must be this process's alone
	// (two with one id cut each other off for ever) and the same after a restart
	// (else what came in between is lost to it, and the broker keeps messages for
	// the old one for ever). Required.
	ClientID string
	// User and Password are sent when User is not empty.
	User, Password string
	// TLS holds for mqtts alone.
	TLS TLS
	// GroupColumn names, per kind, the column of the row from which a resource's
	// group is read. A kind that is missing has none: its messages leave the group
	// unknown.
	GroupColumn map[fleet.Kind]string
	// Reconnect bounds the wait between two attempts to connect; 10 s when zero.
	// The waits grow up to it; each is made up to half as long again by chance.
	Reconnect time.Duration
	// KeepAlive is how long the line may be silent before the broker is asked for a
	// sign of life, in whole seconds; 10 s when zero. It has half as long again to
	// give one. A dead line is noticed after at most about twice that.
	KeepAlive time.Duration
	// Timeout bounds each step of connecting, and a write; 10 s when zero.
	Timeout time.Duration
	// Dial opens the connection; a net.Dialer's when nil.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Log hears of connections lost and messages that do not parse; slog.Default()
	// when nil.
	Log *slog.Logger
}

// TLS is what an encrypted connection needs. Files are read anew for each
// connection, so that a renewed certificate counts. The least version is 1.2.
type TLS struct {
	CA         string // file with the certificates to trust, PEM; the system's when empty
	Cert, Key  string // files with the client's certificate and key, PEM; both or none
	ServerName string // that the broker's certificate must bear; the URL's host when empty
}

func (c *Config) complete() error {
	c.URL = orElse(c.URL, "mqtt://localhost:1883")
	c.Topic = orElse(c.Topic, "cm/notify")
	c.Reconnect = orElse(c.Reconnect, 10*time.Second)
	c.KeepAlive = orElse(c.KeepAlive, 10*time.Second)
	c.Timeout = orElse(c.Timeout, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	bad := func(field, value, want string) error {
		return &fleet.FieldError{Field: "mqtt " + field, Value: excerpt([]byte(value)), Want: want}
	}
	switch {
	case c.ClientID == "" || !utf8.ValidString(c.ClientID) || len(c.ClientID) > 65535 || strings.Contains(c.ClientID, "\x00"):
		return bad("client id", c.ClientID, "a name that is this process's alone and outlives its restarts")
	case !utf8.ValidString(c.Topic) || len(c.Topic) > 65535 || strings.ContainsAny(c.Topic, "\x00"):
		return bad("topic", c.Topic, "UTF-8 of at most 65535 bytes without NUL")
	case strings.HasPrefix(c.Topic, "$share/") || strings.HasPrefix(c.Topic, "$queue/"):
		return bad("topic", c.Topic, "one that is not shared: every process needs every message")
	case c.User == "" && c.Password != "":
		return bad("user", c.User, "a user, since there is a password")
	case c.KeepAlive < time.Second || c.KeepAlive > 65535*time.Second || c.KeepAlive%time.Second != 0:
		return bad("keep-alive", c.KeepAlive.String(), "whole seconds, 1 to 65535")
	case c.Reconnect < 0:
		return bad("reconnect", c.Reconnect.String(), "a time above zero")
	case c.Timeout < 0:
		return bad("timeout", c.Timeout.String(), "a time above zero")
	}
	return nil
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Client listens to notifications. Its methods are safe for concurrent use.
type Client struct {
	cfg       Config
	addr      string // host:port
	encrypted bool
	host      string
	parser    Parser

	listening atomic.Bool
	token     atomic.Uint64 // of the newest message handed over
	mu        sync.Mutex
	conn      *connection // nil when there is none

	received, bad, acked, connects atomic.Uint64
	complaint                      complaint
}

// Stats counts since New.
type Stats struct {
	Received   uint64 // messages, repeated ones and bad ones included
	Bad        uint64 // messages that did not parse
	Acked      uint64 // acknowledgements given
	Reconnects uint64 // subscriptions after the first
}

// New checks the configuration and reads its files. It does not connect.
func New(cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, parser: Parser{GroupColumn: cfg.GroupColumn}}
	if err := c.address(); err != nil {
		return nil, err
	}
	if _, err := c.tls(); err != nil {
		return nil, err
	}
	return c, nil
}

// address takes the URL apart.
func (c *Client) address() error {
	u, err := url.Parse(c.cfg.URL)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		value := c.cfg.URL
		if err == nil && u.User != nil || strings.Contains(value, "@") {
			value = "(not shown: it holds a user)"
		}
		return &fleet.FieldError{Field: "mqtt url", Value: value, Want: "mqtt://host:port or mqtts://host:port; user and password have fields of their own"}
	}
	port := "1883"
	switch u.Scheme {
	case "mqtt", "tcp":
	case "mqtts", "ssl", "tls":
		c.encrypted, port = true, "8883"
	default:
		return &fleet.FieldError{Field: "mqtt url", Value: c.cfg.URL, Want: "mqtt:// or mqtts:// before the host"}
	}
	if !c.encrypted && c.cfg.TLS != (TLS{}) {
		return &fleet.FieldError{Field: "mqtt url", Value: c.cfg.URL, Want: "mqtts://, since TLS is configured"}
	}
	c.host = u.Hostname()
	c.addr = net.JoinHostPort(c.host, orElse(u.Port(), port))
	return nil
}

// tls reads the files; nil for a connection in the clear.
func (c *Client) tls() (*tls.Config, error) {
	if !c.encrypted {
		return nil, nil
	}
	t := c.cfg.TLS
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: orElse(t.ServerName, c.host)}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("mqtt tls ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("mqtt tls ca: %s holds no certificate: want PEM with at least one", t.CA)
		}
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("mqtt tls cert and key (want both, PEM): %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// Listen satisfies loop.Notifications. While note does not return, at most 64 MiB
// of messages are kept; then the broker must wait, and may lose the connection
// over it. Only one Listen runs at a time.
func (c *Client) Listen(ctx context.Context, note func(token uint64, n *fleet.Notification), channel func(up bool)) error {
	if !c.listening.CompareAndSwap(false, true) {
		return errors.New("mqtt: Listen runs already: want one at a time")
	}
	defer c.listening.Store(false)
	for wait := c.cfg.Reconnect / 16; ; wait = min(2*wait, c.cfg.Reconnect) {
		began := time.Now()
		err := c.listen(ctx, note, channel)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > c.cfg.Reconnect+c.cfg.Timeout { // it worked for a while
			wait = c.cfg.Reconnect / 16
		}
		pause := wait + rand.N(wait/2+1)
		c.cfg.Log.Warn("mqtt: not connected", "broker", c.addr, "client", c.cfg.ClientID, "topic", c.cfg.Topic, "err", err, "again_in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// listen is one connection, from the attempt to its end.
func (c *Client) listen(ctx context.Context, note func(uint64, *fleet.Notification), channel func(bool)) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	defer c.use(nil)
	c.use(conn)
	if c.connects.Add(1) > 1 && !conn.resumed {
		c.cfg.Log.Warn("mqtt: the broker has forgotten the session: what it held for us is lost", "broker", c.addr, "client", c.cfg.ClientID)
	}
	c.cfg.Log.Info("mqtt: subscribed", "broker", c.addr, "client", c.cfg.ClientID, "topic", c.cfg.Topic, "resumed", conn.resumed)
	channel(true)
	for {
		m, err := conn.next(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			channel(false)
			return err
		}
		token := c.token.Add(1)
		c.received.Add(1)
		n, err := c.parser.Parse(m.Payload())
		if err != nil {
			c.bad.Add(1)
			c.complaint.say(c.cfg.Log, m.Topic(), m.Payload(), err)
			conn.handed(token, m, true)
			continue
		}
		conn.handed(token, m, false)
		note(token, n)
	}
}

func (c *Client) use(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
}

// Ack satisfies loop.Notifications. It does not wait; tokens of messages that came
// in an earlier connection change nothing: those come again.
func (c *Client) Ack(token uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.ack(min(token, c.token.Load()))
	}
}

// Stats is what has been counted so far.
func (c *Client) Stats() Stats {
	connects := c.connects.Load()
	return Stats{
		Received: c.received.Load(), Bad: c.bad.Load(), Acked: c.acked.Load(),
		Reconnects: connects - min(connects, 1),
	}
}

// complaint keeps a flood of bad messages from flooding the log: one line a
// second, which says how many it leaves out. One goroutine uses it.
type complaint struct {
	last    time.Time
	silence int
}

func (c *complaint) say(log *slog.Logger, topic string, payload []byte, err error) {
	if time.Since(c.last) < time.Second {
		c.silence++
		return
	}
	log.Warn("mqtt: a message does not parse: skipped", "topic", topic, "bytes", len(payload),
		"payload", excerpt(payload), "err", err, "not_logged_before", c.silence)
	c.last, c.silence = time.Now(), 0
}
