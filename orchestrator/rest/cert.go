package rest

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// certificate is the server's, read anew when its files have changed. One that
// cannot be read leaves the old one in use and is logged.
type certificate struct {
	certFile, keyFile string
	every             time.Duration
	log               *slog.Logger

	now atomic.Pointer[tls.Certificate]
	due atomic.Int64 // Unix nanoseconds of the next look

	mu     sync.Mutex // held by whoever looks
	stamps [2]stamp
	failed string // the last error logged
}

func loadCertificate(cfg Config) (*certificate, error) {
	c := &certificate{certFile: cfg.CertFile, keyFile: cfg.KeyFile, every: cfg.TokenCheck, log: cfg.Log}
	c.due.Store(time.Now().Add(c.every).UnixNano())
	return c, c.reload()
}

func (c *certificate) reload() error {
	stamps := [2]stamp{stampOf(c.certFile), stampOf(c.keyFile)}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.now.Store(&pair)
	c.stamps = stamps
	return nil
}

// get is called with every handshake.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := time.Now().UnixNano()
	if now >= c.due.Load() && c.mu.TryLock() {
		defer c.mu.Unlock()
		c.due.Store(now + int64(c.every))
		if c.stamps != [2]stamp{stampOf(c.certFile), stampOf(c.keyFile)} {
			c.renew()
		}
	}
	return c.now.Load(), nil
}

func (c *certificate) renew() {
	err := c.reload()
	switch {
	case err == nil:
		c.failed = ""
		c.log.Info("certificate read anew", "file", c.certFile)
	case err.Error() != c.failed:
		c.failed = err.Error()
		c.log.Error("certificate cannot be read anew; the old one stays in use", "err", err)
	}
}
