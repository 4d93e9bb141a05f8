package world

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// MQTT is the broker of the topic cm/notify: quality of service 1, persistent
// sessions, one publisher. Messages stay in order. The broker keeps its sessions
// through an outage of its own.
type MQTT struct {
	tl  *timeline.Timeline
	cfg MQTTConfig

	publish, deliver, ack, detect delay

	up       bool
	sessions []*Subscriber // in order of first subscription
	stats    MQTTStats

	// OnMessage, unless nil, decides what befalls a notification. It is asked when
	// the notification reaches the broker.
	OnMessage func(now time.Duration, n *fleet.Notification) MessageFault
	// OnLost, unless nil, hears of each notification that Stats counts as Lost or
	// Overflowed.
	OnLost func(now time.Duration, n *fleet.Notification)

	// The publisher's connection.
	connected bool
	gen       int64 // of the connection; events of an older one are void
	inbound   queue[*fleet.Notification]
	inPipe    pipe
	buffered  queue[*fleet.Notification]
}

// MQTTStats counts messages since the start.
type MQTTStats struct {
	Published   uint64 // given to Publish
	Lost        uint64 // never reached the broker
	Overflowed  uint64 // dropped because a subscriber's queue was full
	Delivered   uint64 // handed to subscribers, repeated ones included
	Redelivered uint64 // handed over with Dup
	Unparseable uint64 // of PublishGarbage, received by subscribers; not in Delivered
}

// Delivery is one message as a subscriber receives it.
type Delivery struct {
	Token        uint64 // rises with every delivery to this client id
	Dup          bool   // sent before; the subscriber may have seen it
	Notification *fleet.Notification
}

// Subscriber is a client id's session at the broker. It outlives connections
// and the subscribing process.
type Subscriber struct {
	mqtt   *MQTT
	client string
	on     func(now time.Duration, d Delivery)
	state  func(now time.Duration, up bool)

	open      bool // a process subscribes
	connected bool
	gen       int64 // of the connection
	pipe      pipe
	ackPipe   pipe

	pending queue[pendingMessage] // not known to be acknowledged, oldest first
	next    int                   // in pending: what this connection delivers next
	acked   int                   // in pending: how many the subscriber has acknowledged
	token   uint64                // of the delivery made last
	first   uint64                // token of this connection's first delivery
	popped  uint64                // how many of this connection's have left pending
}

type pendingMessage struct {
	n     *fleet.Notification // nil: nobody can parse it
	ackAt time.Duration       // when the acknowledgement reaches the broker, once given
	dup   bool
}

// NewMQTT is a broker that is up. The configuration must be valid.
func NewMQTT(tl *timeline.Timeline, seed timeline.Seed, cfg MQTTConfig) *MQTT {
	stream := func(name string) *timeline.Stream { return seed.Stream("world", "mqtt", name) }
	return &MQTT{
		tl: tl, cfg: cfg, up: true, connected: true,
		publish: delay{cfg.Publish, stream("publish")},
		deliver: delay{cfg.Deliver, stream("deliver")},
		ack:     delay{cfg.Ack, stream("ack")},
		detect:  delay{cfg.Detect, stream("detect")},
	}
}

const (
	opArrive uint32 = iota
	opPublisherAttempt
	opDeliver
	opBroken
	opAttempt
	opLate
)

// Handle is the broker's part of the timeline.
func (m *MQTT) Handle(now time.Duration, op uint32, gen int64, data any) {
	s, _ := data.(*Subscriber)
	switch {
	case s == nil && gen == m.gen && op == opArrive:
		m.arrive(now, m.inbound.pop())
	case s == nil && gen == m.gen && op == opPublisherAttempt:
		m.connectPublisher(now)
	case op == opLate:
		m.enqueue(now, data.(*fleet.Notification), int(gen))
	case s == nil || gen != s.gen: // of a connection that is no more
	case op == opDeliver:
		s.receive(now)
	case op == opBroken:
		m.tl.After(m.cfg.Reconnect, m, opAttempt, s.gen, s)
		s.state(now, false)
	case op == opAttempt:
		s.connect(now)
	}
}

// Stats is what has been counted so far.
func (m *MQTT) Stats() MQTTStats { return m.stats }

// IsUp says whether the broker is up.
func (m *MQTT) IsUp() bool { return m.up }

// Publish sends a message from the data centre. It must not be changed after.
func (m *MQTT) Publish(n *fleet.Notification) {
	m.stats.Published++
	switch {
	case m.connected:
		m.send(n)
	case m.cfg.PublisherBuffers && m.buffered.len() < m.cfg.PublisherBound:
		m.buffered.push(n)
	default:
		m.lose(n)
	}
}

func (m *MQTT) send(n *fleet.Notification) {
	m.inbound.push(n)
	m.tl.At(m.inPipe.arrival(m.tl.Now()+m.publish.draw()), m, opArrive, m.gen, nil)
}

// Down stops the broker: every connection breaks, and what is on its way to the
// broker is lost unless the publisher buffers.
func (m *MQTT) Down() {
	if !m.up {
		return
	}
	m.up = false
	m.BreakPublisher()
	for _, s := range m.sessions {
		s.Break()
	}
}

// Up starts the broker again. Clients come back at their next attempt.
func (m *MQTT) Up() { m.up = true }

// BreakPublisher breaks the publisher's connection; it comes back by itself.
func (m *MQTT) BreakPublisher() {
	if !m.connected {
		return
	}
	m.connected = false
	m.gen++
	m.inPipe = pipe{}
	for m.inbound.len() > 0 {
		if n := m.inbound.pop(); m.cfg.PublisherBuffers && m.buffered.len() < m.cfg.PublisherBound {
			m.buffered.push(n)
		} else {
			m.lose(n)
		}
	}
	m.tl.After(m.detect.draw()+m.cfg.Reconnect, m, opPublisherAttempt, m.gen, nil)
}

func (m *MQTT) connectPublisher(time.Duration) {
	if !m.up {
		m.tl.After(m.cfg.Reconnect, m, opPublisherAttempt, m.gen, nil)
		return
	}
	m.connected = true
	for m.buffered.len() > 0 {
		m.send(m.buffered.pop())
	}
}

// Subscribe connects a client, after the delivery latency, to its persistent
// session: messages that came since it was last connected, and those it had not
// acknowledged, are delivered first. on receives every message; state hears true
// at each connection and false when one is found broken. A second Subscribe of
// the same client takes the session over: the callbacks before hear no more.
func (m *MQTT) Subscribe(client string, on func(now time.Duration, d Delivery), state func(now time.Duration, up bool)) *Subscriber {
	var s *Subscriber
	for _, known := range m.sessions {
		if known.client == client {
			s = known
			s.Close()
		}
	}
	if s == nil {
		s = &Subscriber{mqtt: m, client: client}
		m.sessions = append(m.sessions, s)
	}
	s.on, s.state, s.open = on, state, true
	s.gen++
	m.tl.After(m.deliver.draw(), m, opAttempt, s.gen, s)
	return s
}

// Connected says whether the session has a connection that works.
func (s *Subscriber) Connected() bool { return s.connected }

// Pending counts the messages the broker keeps for the session.
func (s *Subscriber) Pending() int { return s.pending.len() }

// Ack acknowledges every message delivered on this connection up to token.
// Tokens of earlier connections, and of none, are ignored: those messages are
// delivered again.
func (s *Subscriber) Ack(token uint64) {
	now := s.mqtt.tl.Now()
	if !s.connected || token < s.first {
		return
	}
	until := min(int(token-s.first+1-s.popped), s.next)
	if token-s.first+1 <= s.popped || until <= s.acked {
		return
	}
	for until < s.next && s.pending.at(until).n == nil {
		until++
	}
	at := s.ackPipe.arrival(now + s.mqtt.ack.draw())
	for ; s.acked < until; s.acked++ {
		s.pending.at(s.acked).ackAt = at
	}
	s.trim(now)
}

// Break cuts the connection. The client notices after the detection latency and
// connects again at its next attempt.
func (s *Subscriber) Break() {
	if s.drop() && s.open {
		s.mqtt.tl.After(s.mqtt.detect.draw(), s.mqtt, opBroken, s.gen, s)
	}
}

// Close ends the subscribing process, tidily or not: its callbacks hear no more.
// The session stays, and messages queue.
func (s *Subscriber) Close() {
	s.drop()
	s.open = false
	s.gen++
}

// drop forgets the connection: acknowledgements on their way are lost, and all
// that has been sent counts as sent before.
func (s *Subscriber) drop() bool {
	if !s.connected {
		return false
	}
	s.trim(s.mqtt.tl.Now())
	s.connected = false
	s.gen++
	s.acked, s.next = 0, 0
	for i := range s.pending.len() {
		s.pending.at(i).dup = true
	}
	return true
}

func (s *Subscriber) connect(now time.Duration) {
	m := s.mqtt
	if !m.up {
		m.tl.After(m.cfg.Reconnect, m, opAttempt, s.gen, s)
		return
	}
	s.connected = true
	s.pipe, s.ackPipe = pipe{}, pipe{}
	s.first, s.popped = s.token+1, 0
	s.state(now, true)
	if !s.connected { // the callback closed or broke it
		return
	}
	for range s.pending.len() {
		s.transmit(now)
	}
}

func (s *Subscriber) enqueue(now time.Duration, msg pendingMessage) {
	s.trim(now)
	if s.pending.len() >= s.mqtt.cfg.QueueBound {
		s.mqtt.overflow(now, msg)
		return
	}
	s.pending.push(msg)
	if s.connected {
		s.transmit(now)
	}
}

func (s *Subscriber) transmit(now time.Duration) {
	s.mqtt.tl.At(s.pipe.arrival(now+s.mqtt.deliver.draw()), s.mqtt, opDeliver, s.gen, s)
}

func (s *Subscriber) receive(now time.Duration) {
	msg := s.pending.at(s.next)
	s.next++
	s.token++
	if msg.n == nil {
		s.skip()
		return
	}
	s.mqtt.stats.Delivered++
	if msg.dup {
		s.mqtt.stats.Redelivered++
	}
	s.on(now, Delivery{Token: s.token, Dup: msg.dup, Notification: msg.n})
}

// trim forgets the messages whose acknowledgement has reached the broker.
func (s *Subscriber) trim(now time.Duration) {
	for s.acked > 0 && s.pending.at(0).ackAt <= now {
		s.pending.pop()
		s.acked--
		s.next--
		s.popped++
	}
}
