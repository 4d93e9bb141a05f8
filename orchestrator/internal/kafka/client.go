package kafka

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// fetchWait is how long a fetch waits at the broker for something to come. One
// lock of the client is held meanwhile, and commits and the group's heartbeats
// queue behind it: it must stay well below Fresh.
const fetchWait = 250 * time.Millisecond

// clientConfig is what every connection shares.
func (c *Consumer) clientConfig(via *lines) *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.ClientID = c.cfg.ClientID
	// A client is made while no broker answers, and knows our topic alone.
	cfg.Metadata.Full = false
	cfg.Metadata.AllowAutoTopicCreation = false
	// How soon added partitions are noticed.
	cfg.Metadata.RefreshFrequency = 30 * time.Second
	if via != nil {
		cfg.Net.Proxy.Enable = true
		cfg.Net.Proxy.Dialer = via
	}
	if c.cfg.TLS != nil {
		cfg.Net.TLS.Enable = true
		cfg.Net.TLS.Config = c.cfg.TLS
	}
	if s := c.cfg.SASL; s.Mechanism != "" {
		cfg.Net.SASL.Enable = true
		cfg.Net.SASL.User, cfg.Net.SASL.Password = s.User, s.Password
		cfg.Net.SASL.Mechanism = sarama.SASLMechanism(s.Mechanism)
		hash := scram.HashGeneratorFcn(sha256.New)
		if s.Mechanism == sarama.SASLTypeSCRAMSHA512 {
			hash = sha512.New
		}
		cfg.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: hash} }
	}
	return cfg
}

// groupConfig is that of the consumer group's member.
func (c *Consumer) groupConfig(via *lines) *sarama.Config {
	cfg := c.clientConfig(via)
	cfg.Consumer.Return.Errors = true
	cfg.Consumer.MaxWaitTime = min(fetchWait, c.cfg.Fresh/4)
	cfg.Consumer.Retry.Backoff = 250 * time.Millisecond
	cfg.Consumer.Offsets.Initial = sarama.OffsetNewest
	cfg.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	cfg.Consumer.Group.Session.Timeout = c.cfg.Session
	cfg.Consumer.Group.Heartbeat.Interval = c.cfg.Session / 4
	cfg.Consumer.Group.Rebalance.Timeout = c.cfg.Session
	cfg.Consumer.Group.Rebalance.Retry.Backoff = 250 * time.Millisecond
	// A join is answered when the rebalance ends, which may take its timeout and
	// the brokers' delay of an empty group's first one (3 s).
	cfg.Net.ReadTimeout = c.cfg.Session + 5*time.Second
	cfg.Net.WriteTimeout = 5 * time.Second
	return cfg
}

// askConfig is that of the client that asks where partitions end. It gives up
// soon: an answer that comes late is none.
func (c *Consumer) askConfig(via *lines) *sarama.Config {
	cfg := c.clientConfig(via)
	cfg.Metadata.Retry.Max = 0
	cfg.Net.ReadTimeout = 2 * c.cfg.Fresh
	cfg.Net.WriteTimeout = 2 * c.cfg.Fresh
	return cfg
}

// conversation is a SCRAM login, as sarama wants it.
type conversation struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

// Begin starts a login.
func (c *conversation) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	c.ClientConversation = client.NewConversation()
	return nil
}

// lines are the connections of one Listen. sarama's own timeouts are long, and
// none of its calls heeds a context: cut is how a Listen ends in time.
type lines struct {
	dialer net.Dialer
	ctx    context.Context // ended by cut
	end    context.CancelFunc

	mu   sync.Mutex
	open map[*line]struct{}
}

func newLines(timeout time.Duration) *lines {
	ctx, end := context.WithCancel(context.Background())
	return &lines{dialer: net.Dialer{Timeout: timeout}, ctx: ctx, end: end, open: map[*line]struct{}{}}
}

// Dial makes sarama's connections.
func (l *lines) Dial(network, address string) (net.Conn, error) {
	conn, err := l.dialer.DialContext(l.ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ctx.Err(); err != nil {
		_ = conn.Close() // it was never used
		return nil, err
	}
	c := &line{Conn: conn, lines: l}
	l.open[c] = struct{}{}
	return c, nil
}

// cut ends every connection and lets no other be made.
func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	for c := range l.open {
		_ = c.Conn.Close() // whoever uses it hears of it there
	}
	clear(l.open)
}

type line struct {
	net.Conn
	lines *lines
}

// Close ends the connection.
func (c *line) Close() error {
	c.lines.mu.Lock()
	delete(c.lines.open, c)
	c.lines.mu.Unlock()
	return c.Conn.Close()
}
