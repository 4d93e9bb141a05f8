// Package zookeeper keeps the orchestration in ZooKeeper: the contract's tree
// below /iota/orchestration, and what the orchestrators themselves need (the
// candidates for the leadership, its epoch, the control node) below
// /iota/orchestrator. Client satisfies the loop's Election and Store.
//
// One connection serves every kind; requests of several callers are pipelined on
// it. Whatever comes from the tree is checked; whatever is written is compact
// JSON as the platform writes it.
package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// Config says how to reach ZooKeeper.
type Config struct {
	// Servers are host:port; one is tried after the other, from a random one on.
	// At least one. Names are looked up anew at every attempt.
	Servers []string
	// SessionTimeout is how long a session outlives its connection; default 10 s.
	// The server may grant another. It bounds how long a dead leader is missed.
	SessionTimeout time.Duration
	// RequestTimeout bounds each read, and the wait for a resignation to be
	// confirmed; default 5 s. Writes are bounded by their caller's context.
	RequestTimeout time.Duration
	// MaxRequest is the server's jute.maxbuffer in bytes; default 1,048,575. A
	// transaction that is larger is refused here: the server would cut the
	// connection.
	MaxRequest int
	// Reads is how many instances are read at a time; default 64.
	Reads int
	// Coalesce is the least time between two readings of the tree by one
	// WatchTree; default 100 ms. Negative for none.
	Coalesce time.Duration

	// User and Password identify the orchestrator by digest authentication; none
	// when User is empty. Created nodes then belong to that user; everybody else
	// may do with them what OthersMay says.
	User, Password string
	// OthersMay is what those who are not User may do with created nodes: letters
	// of "crwda"; default "r". Below tmp they may always create and delete too,
	// as instances write there. Without User everybody may do everything.
	OthersMay string

	// TLS, unless nil, encrypts the connection. An empty ServerName is the host's.
	TLS *tls.Config
	// Dial makes connections, below TLS; default net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log takes connection changes and what was skipped; default discards.
	Log *slog.Logger
}

func (cfg *Config) complete() error {
	orDefault(&cfg.SessionTimeout, 10*time.Second)
	orDefault(&cfg.RequestTimeout, 5*time.Second)
	orDefault(&cfg.Coalesce, 100*time.Millisecond)
	orDefault(&cfg.MaxRequest, 1_048_575)
	orDefault(&cfg.Reads, 64)
	orDefault(&cfg.OthersMay, "r")
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if len(cfg.Servers) == 0 {
		return errors.New("zookeeper: servers: none given, want at least one host:port")
	}
	for _, s := range cfg.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return fmt.Errorf("zookeeper: servers: %q is not valid, want host:port: %w", s, err)
		}
	}
	if cfg.SessionTimeout < 100*time.Millisecond || cfg.SessionTimeout > time.Hour {
		return fmt.Errorf("zookeeper: session timeout: %v is not valid, want 100ms to 1h", cfg.SessionTimeout)
	}
	if cfg.RequestTimeout < 0 || cfg.MaxRequest < 1024 || cfg.MaxRequest > 1<<30 || cfg.Reads < 1 {
		return errors.New("zookeeper: want a positive request timeout, 1024 to 2^30 bytes for a request, and at least one read at a time")
	}
	_, err := permissions(cfg.OthersMay)
	return err
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Stats count what the client has done since New.
type Stats struct {
	Connected    bool
	Session      int64         // the session's number; 0 before the first
	Timeout      time.Duration // of the session, as the server granted it
	Connections  uint64        // sessions begun or resumed
	Expired      uint64        // sessions that the server had ended
	WatchEvents  uint64
	Done         uint64 // transactions by outcome
	Conflicts    uint64
	Deposed      uint64
	Failed       uint64
	Unknown      uint64
	Resolved     uint64 // transactions whose outcome was found out by reading
	BytesWritten uint64 // of transactions, as packets
	BadNodes     uint64 // nodes that did not parse, met by watches
	Elected      uint64 // leaderships won

	Refused string // what Client.Refused says of one of the kinds
}

// Client is a connection to ZooKeeper with its session. It reconnects by itself
// and opens a new session when the old one has expired.
type Client struct {
	cfg     Config
	conn    *zk.Conn
	wire    *wire
	running context.Context // ends with Close
	stop    context.CancelFunc
	tasks   sync.WaitGroup // what goes on after the call that began it
	ready   chan struct{}  // closed once the user is known to the connection

	mu      sync.Mutex
	state   zk.State
	changed chan struct{} // closed and replaced whenever state changes
	closed  bool
	subs    map[*notices]bool
	kinds   map[string]*kindState

	count struct {
		connections, expired, events, badNodes, resolved, bytes, elected atomic.Uint64
		outcomes                                                         [5]atomic.Uint64
	}
}

// ErrClosed: the client was closed.
var ErrClosed = errors.New("zookeeper: the client is closed")

// errNotConnected: there is no session at this moment.
var errNotConnected = errors.New("zookeeper: not connected")

// New opens a connection. It does not wait for it: a server that cannot be
// reached is tried again until Close. The error says what is wrong in cfg.
func New(cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, ready: make(chan struct{}), changed: make(chan struct{}),
		subs: map[*notices]bool{}, kinds: map[string]*kindState{},
	}
	c.running, c.stop = context.WithCancel(context.Background())
	c.wire = &wire{cfg: &c.cfg, running: c.running}
	c.wire.timeout.Store(int64(cfg.SessionTimeout))
	conn, events, err := zk.Connect(cfg.Servers, cfg.SessionTimeout,
		zk.WithDialer(c.wire.dial), zk.WithHostProvider(new(servers)), zk.WithEventCallback(c.event),
		zk.WithLogger(quiet{cfg.Log}), zk.WithLogInfo(false),
		zk.WithMaxConnBufferSize(max(cfg.MaxRequest, 256<<10)+4096)) // it asks for watches anew in packets of 128 KiB
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("zookeeper: %w", err)
	}
	c.conn = conn
	c.tasks.Go(func() {
		for range events { // closed when the library has ended; the callback has them all
		}
	})
	if cfg.User == "" {
		close(c.ready)
	} else {
		c.tasks.Go(c.authenticate)
	}
	return c, nil
}

// authenticate tells the library the user; it repeats it at every connection.
// Nothing else is sent before.
func (c *Client) authenticate() {
	for wait := newBackoff(); ; {
		err := c.conn.AddAuth("digest", []byte(c.cfg.User+":"+c.cfg.Password))
		if err == nil {
			close(c.ready)
			return
		}
		if wait.sleep(c.running) != nil {
			return
		}
	}
}

// Close ends the session, and with it every candidacy, and waits for what is
// under way. Calls that are running answer errors.
func (c *Client) Close() {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if !closed {
		c.stop() // first: whoever leads holds nothing any more once the session ends
		c.conn.Close()
		c.wire.close()
	}
	c.tasks.Wait()
}

// Stats are the counts so far.
func (c *Client) Stats() Stats {
	n := &c.count
	return Stats{
		Refused:   c.anyRefused(),
		Connected: c.connected(), Session: c.conn.SessionID(), Timeout: c.sessionTimeout(),
		Connections: n.connections.Load(), Expired: n.expired.Load(), WatchEvents: n.events.Load(),
		Done: n.outcomes[0].Load(), Conflicts: n.outcomes[1].Load(), Deposed: n.outcomes[2].Load(),
		Failed: n.outcomes[3].Load(), Unknown: n.outcomes[4].Load(), Resolved: n.resolved.Load(),
		BytesWritten: n.bytes.Load(), BadNodes: n.badNodes.Load(), Elected: n.elected.Load(),
	}
}

// sessionTimeout is what the server granted last.
func (c *Client) sessionTimeout() time.Duration { return time.Duration(c.wire.timeout.Load()) }

// event is called by the library for everything that happens. It must not block.
func (c *Client) event(e zk.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Type != zk.EventSession {
		c.count.events.Add(1)
		for s := range c.subs {
			s.fire(e.Path)
		}
		return
	}
	was := c.state
	c.state = e.State
	close(c.changed)
	c.changed = make(chan struct{})
	switch {
	case e.State == zk.StateHasSession:
		c.count.connections.Add(1)
		c.cfg.Log.Info("zookeeper: connected", "server", e.Server)
	case e.State == zk.StateExpired:
		c.count.expired.Add(1)
		c.cfg.Log.Warn("zookeeper: the session has expired", "server", e.Server)
	case was == zk.StateHasSession && c.running.Err() == nil:
		c.cfg.Log.Warn("zookeeper: connection lost", "server", e.Server)
	}
}

func (c *Client) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == zk.StateHasSession
}

// background lets something go on after the call that began it; Close waits for
// it. false when the client is closed already.
func (c *Client) background(task func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.tasks.Go(task)
	return true
}

// awaitConnection waits until there is a session, ctx ends or the client closes.
func (c *Client) awaitConnection(ctx context.Context) error {
	for {
		c.mu.Lock()
		connected, changed, closed := c.state == zk.StateHasSession, c.changed, c.closed
		c.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case connected:
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.running.Done():
			return ErrClosed
		}
	}
}

// answer is what a request came to.
type answer[T any] struct {
	value T
	err   error
}

// ask makes a request and waits for its answer or ctx's end. In the latter case
// it may still be carried out: the library holds requests across reconnects. Its
// answer is then thrown away.
func ask[T any](ctx context.Context, c *Client, request func(*zk.Conn) (T, error)) (T, error) {
	var none T
	select {
	case <-c.ready:
	case <-ctx.Done():
		return none, ctx.Err()
	case <-c.running.Done():
		return none, ErrClosed
	}
	answers := make(chan answer[T], 1)
	go func() { // ends at the latest with the connection
		v, err := request(c.conn)
		answers <- answer[T]{v, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil && c.running.Err() != nil {
			return none, fmt.Errorf("%w: %w", ErrClosed, a.err)
		}
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// quiet takes the library's own messages: they repeat at every attempt to connect.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("zookeeper: " + fmt.Sprintf(format, args...))
}
