package dac

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"

	"dacorch/orchestrator/fleet"
)

// Login is a name and a password. It prints without the password.
type Login struct{ User, Password string }

// String tells the user.
func (l Login) String() string { return fmt.Sprintf("as %q", l.User) }

// GoString is String: a password does not get into a log by way of %#v.
func (l Login) GoString() string { return l.String() }

// check wants both or neither; where says whose they are.
func (l Login) check(where string) error {
	if (l.User == "") != (l.Password == "") {
		return fmt.Errorf("%s: user or password is empty: want both or neither", where)
	}
	return nil
}

// SASL is a login at Kafka; none where Mechanism is empty.
type SASL struct {
	Mechanism string // "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512"
	Login
}

// String tells the mechanism and the user.
func (s SASL) String() string { return s.Mechanism + " " + s.Login.String() }

// GoString is String.
func (s SASL) GoString() string { return s.String() }

func (s SASL) check() error {
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" {
			return &fleet.FieldError{Field: "sasl.mechanism", Value: `""`, Want: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 where there is a user"}
		}
		return nil
	case sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512:
		if s.User == "" {
			return errors.New("sasl: there is a mechanism and no user: want user and password")
		}
		return s.Login.check("sasl")
	}
	return &fleet.FieldError{Field: "sasl.mechanism", Value: fmt.Sprintf("%.40q", s.Mechanism), Want: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"}
}

// configure has the client log in.
func (s SASL) configure(c *sarama.Config) {
	if s.Mechanism == "" {
		return
	}
	c.Net.SASL.Enable = true
	c.Net.SASL.Mechanism = sarama.SASLMechanism(s.Mechanism)
	c.Net.SASL.User, c.Net.SASL.Password = s.User, s.Password
	hash := scram.HashGeneratorFcn(sha256.New)
	if s.Mechanism == sarama.SASLTypeSCRAMSHA512 {
		hash = sha512.New
	}
	c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &proof{hash: hash} }
}

// proof is one login with SCRAM, as sarama wants it.
type proof struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

// Begin starts the login.
func (p *proof) Begin(user, password, authzID string) error {
	client, err := p.hash.NewClient(user, password, authzID)
	if err == nil {
		p.ClientConversation = client.NewConversation()
	}
	return err
}

// encrypt begins TLS with the server at address, for which it takes timeout at
// most. The connection is closed if that fails.
func encrypt(conn net.Conn, cfg *tls.Config, address string, timeout time.Duration) (net.Conn, error) {
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	secure := tls.Client(conn, cfg)
	err := conn.SetDeadline(time.Now().Add(timeout))
	if err == nil {
		err = secure.Handshake()
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("TLS with %s: %w", address, err), conn.Close())
	}
	return secure, nil
}

// servers are tried in turn, by name: an address that a name had at the start may
// be another's by now. After a round in vain the library waits a second.
type servers struct {
	mu    sync.Mutex
	all   []string
	next  int
	tried int // since the last session
}

// Init takes the servers.
func (s *servers) Init(all []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = all
	return nil
}

// Len is how many there are.
func (s *servers) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// Next is the server to try, and whether to wait before.
func (s *servers) Next() (server string, wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait = s.tried == len(s.all); wait {
		s.tried = 0
	}
	s.tried++
	server = s.all[s.next]
	s.next = (s.next + 1) % len(s.all)
	return server, wait
}

// Connected hears that a session stands.
func (s *servers) Connected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = 0
}
