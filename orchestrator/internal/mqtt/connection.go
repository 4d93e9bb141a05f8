package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// maxHeld bounds the bytes of messages that were received and are not yet dealt
// with.
const maxHeld = 64 << 20

// farewell bounds how long a broker may take to close a connection that took
// leave; paho is given twice as long to end with it.
const farewell = 3 * time.Second

// connection is one connection to the broker, with a client of its own: what is
// known of one connection never leaks into the next.
type connection struct {
	c       *Client
	paho    paho.Client
	wire    *wire
	resumed bool // the broker had the session already

	connected bool // the broker let us in

	stop  chan struct{} // closed by close
	ready chan struct{} // something is in queue
	room  chan struct{} // held became smaller
	acks  chan struct{} // something is to be acknowledged
	done  sync.WaitGroup

	mu      sync.Mutex
	queue   []paho.Message
	pending []pending // handed over, not acknowledged; tokens rise
	upTo    uint64    // to be acknowledged
	held    int       // bytes in queue and pending
}

type pending struct {
	token uint64
	m     paho.Message
	bad   bool // nobody will acknowledge it: it goes with those before it
}

// connect opens a connection and subscribes. Messages may arrive before the
// subscription is confirmed: they wait in the queue.
func (c *Client) connect(ctx context.Context) (*connection, error) {
	conn := &connection{
		c: c, stop: make(chan struct{}),
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1), acks: make(chan struct{}, 1),
	}
	raw, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the broker: %w", err)
	}
	conn.wire = &wire{Conn: raw, frames: newFrames(raw), timeout: c.cfg.Timeout, broken: make(chan struct{})}
	conn.paho = paho.NewClient(conn.options())
	conn.done.Go(conn.acknowledge)
	if err := conn.open(ctx); err != nil {
		conn.close()
		return nil, err
	}
	return conn, nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	secret, err := c.tls()
	if err != nil {
		return nil, err
	}
	raw, err := c.cfg.Dial(ctx, "tcp", c.addr)
	if err != nil || secret == nil {
		return raw, err
	}
	conn := tls.Client(raw, secret)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return conn, nil
}

func (conn *connection) options() *paho.ClientOptions {
	cfg := conn.c.cfg
	o := paho.NewClientOptions().AddBroker("tcp://" + conn.c.addr)
	o.SetClientID(cfg.ClientID).SetCleanSession(false).SetProtocolVersion(4)
	if cfg.User != "" {
		o.SetUsername(cfg.User).SetPassword(cfg.Password)
	}
	o.SetAutoReconnect(false).SetConnectRetry(false) // Listen does that
	o.SetOrderMatters(true).SetAutoAckDisabled(true).SetDefaultPublishHandler(conn.take)
	o.SetStore(noStore{})
	o.SetKeepAlive(cfg.KeepAlive).SetPingTimeout(cfg.KeepAlive / 2)
	o.SetConnectTimeout(cfg.Timeout).SetWriteTimeout(farewell)
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return conn.wire, nil })
	return o
}

// open says CONNECT and SUBSCRIBE, and explains a refusal.
func (conn *connection) open(ctx context.Context) error {
	cfg := conn.c.cfg
	connected := conn.paho.Connect()
	err := conn.await(ctx, connected)
	conn.connected = connected.Error() == nil
	if err != nil {
		return explain(err, cfg)
	}
	conn.resumed = connected.(*paho.ConnectToken).SessionPresent()
	subscribed := conn.paho.Subscribe(cfg.Topic, 1, nil)
	if err := conn.await(ctx, subscribed); err != nil {
		return fmt.Errorf("no answer to the subscription: %w", err)
	}
	switch granted, ok := subscribed.(*paho.SubscribeToken).Result()[cfg.Topic]; {
	case !ok || granted > 2:
		return fmt.Errorf("the broker refuses the subscription to %q: want the right to read it for user %q", cfg.Topic, cfg.User)
	case granted == 0:
		return fmt.Errorf("the broker grants the subscription to %q quality of service 0 only: want 1, or messages are lost with every connection", cfg.Topic)
	}
	return nil
}

// await waits for the broker's answer. A connection that is given up is closed, so
// that the answer cannot come later.
func (conn *connection) await(ctx context.Context, t paho.Token) error {
	timer := time.NewTimer(conn.c.cfg.Timeout)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		conn.wire.fail(ctx.Err())
	case <-timer.C:
		conn.wire.fail(fmt.Errorf("no answer within %v", conn.c.cfg.Timeout))
	case <-conn.wire.broken:
		if _, ok := t.(*paho.ConnectToken); ok {
			<-t.Done() // paho has read the refusal, and closed
			if t.Error() != nil {
				return t.Error()
			}
		}
		return conn.wire.why()
	}
	if _, ok := t.(*paho.ConnectToken); ok {
		<-t.Done() // the handshake ends with its connection
	}
	return conn.wire.why()
}

func explain(err error, cfg Config) error {
	switch {
	case errors.Is(err, packets.ErrorRefusedNotAuthorised), errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword):
		return fmt.Errorf("the broker refuses user %q (%w): want a user and password that it knows", cfg.User, err)
	case errors.Is(err, packets.ErrorRefusedIDRejected):
		return fmt.Errorf("the broker refuses the client id %q (%w): want one that it allows", cfg.ClientID, err)
	}
	return fmt.Errorf("no connection: %w", err)
}

// take is called by paho for each message, in order. It blocks while too much is
// held.
func (conn *connection) take(_ paho.Client, m paho.Message) {
	for {
		conn.mu.Lock()
		if conn.held == 0 || conn.held+len(m.Payload()) <= maxHeld {
			conn.held += len(m.Payload())
			conn.queue = append(conn.queue, m)
			conn.mu.Unlock()
			signal(conn.ready)
			return
		}
		conn.mu.Unlock()
		select {
		case <-conn.room:
		case <-conn.wire.broken:
			return
		case <-conn.stop:
			return
		}
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// next is the message to hand over next. What has come before the connection
// broke is handed over before its end is told.
func (conn *connection) next(ctx context.Context) (paho.Message, error) {
	for broken := false; ; {
		conn.mu.Lock()
		if len(conn.queue) > 0 {
			m := conn.queue[0]
			conn.queue[0] = nil
			conn.queue = conn.queue[1:]
			conn.mu.Unlock()
			return m, ctx.Err()
		}
		conn.mu.Unlock()
		if broken {
			return nil, fmt.Errorf("the connection broke: %w", conn.wire.why())
		}
		select {
		case <-conn.ready:
		case <-conn.wire.broken:
			broken = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// handed notes that a message goes to the listener under a token.
func (conn *connection) handed(token uint64, m paho.Message, bad bool) {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if m.Qos() == 0 {
		conn.release(m)
		return
	}
	conn.pending = append(conn.pending, pending{token, m, bad})
	if bad && len(conn.pending) == 1 {
		signal(conn.acks)
	}
}

func (conn *connection) release(m paho.Message) {
	conn.held -= len(m.Payload())
	signal(conn.room)
}

// ack lets the messages up to the token go.
func (conn *connection) ack(token uint64) {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if token > conn.upTo {
		conn.upTo = token
		signal(conn.acks)
	}
}

// acknowledge sends the acknowledgements, in the order in which the messages
// came, until the connection ends; those already asked for are sent before.
func (conn *connection) acknowledge() {
	for {
		over := false
		select {
		case <-conn.acks:
		case <-conn.stop:
			over = true
		}
		for {
			m := conn.settled()
			if m == nil {
				break
			}
			m.Ack()
			conn.c.acked.Add(1)
		}
		if over {
			return
		}
	}
}

// settled takes the oldest message off if it may be acknowledged.
func (conn *connection) settled() paho.Message {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if len(conn.pending) == 0 || conn.pending[0].token > conn.upTo && !conn.pending[0].bad {
		return nil
	}
	m := conn.pending[0].m
	conn.pending[0] = pending{}
	conn.pending = conn.pending[1:]
	conn.release(m)
	return m
}

// close takes leave of the broker, if it is there, and waits until all has ended.
func (conn *connection) close() {
	close(conn.stop)
	conn.done.Wait()
	if conn.connected { // else there is nothing to end, and paho would wait for it
		conn.wire.leaving.Store(true)
		conn.paho.Disconnect(uint(2 * farewell / time.Millisecond))
	}
	conn.wire.fail(net.ErrClosed)
}

// wire tells when and why the network connection ended, and bounds each write.
type wire struct {
	net.Conn
	frames  *frames
	timeout time.Duration
	leaving atomic.Bool // DISCONNECT is on its way
	once    sync.Once
	err     error
	broken  chan struct{}
}

// fail ends the connection; the first reason counts.
func (w *wire) fail(err error) {
	w.once.Do(func() {
		w.err = err
		close(w.broken)
	})
	w.Conn.Close()
}

// why is the reason for the end; nil while there is none.
func (w *wire) why() error {
	select {
	case <-w.broken:
		return w.err
	default:
		return nil
	}
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.frames.Read(p)
	if err != nil {
		w.fail(fmt.Errorf("reading: %w", err))
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	w.Conn.SetWriteDeadline(time.Now().Add(w.timeout))
	n, err := w.Conn.Write(p)
	if err != nil {
		w.fail(fmt.Errorf("writing: %w", err))
	}
	return n, err
}

// Close is called by paho: when it has sent DISCONNECT, and when a ping stays
// unanswered. After DISCONNECT the broker is to close the connection: then it has
// read every acknowledgement, and whoever connects next gets none of it again.
func (w *wire) Close() error {
	if w.leaving.Load() {
		timer := time.NewTimer(farewell)
		defer timer.Stop()
		select {
		case <-w.broken:
		case <-timer.C:
		}
	}
	w.fail(errors.New("the broker gave no sign of life, or broke the protocol"))
	return nil
}

// noStore keeps nothing: we publish nothing, and what is not acknowledged the
// broker sends again.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
