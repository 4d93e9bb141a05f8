package world

import (
	"time"

	"dacorch/orchestrator/fleet"
)

// PublishGarbage sends a message that nobody can parse: it takes its place in the
// queues and a token of the subscribers, is counted in Stats.Unparseable, and is
// acknowledged as soon as all before it are. No callback hears of it. While the
// publisher has no connection nothing is sent.
func (m *MQTT) PublishGarbage() {
	if m.connected {
		m.send(nil)
	}
}

// skip is what a subscriber does with a message that it cannot parse.
func (s *Subscriber) skip() {
	s.mqtt.stats.Unparseable++
	if s.acked == s.next-1 {
		s.Ack(s.token)
	}
}

// arrive is the moment at which the broker has a message.
func (m *MQTT) arrive(now time.Duration, n *fleet.Notification) {
	if m.OnMessage == nil || n == nil {
		m.enqueue(now, n, 0)
		return
	}
	f := m.OnMessage(now, n)
	switch {
	case f.Lose:
		m.lose(n)
	case f.Delay > 0:
		m.tl.After(f.Delay, m, opLate, int64(f.Copies), n)
	default:
		m.enqueue(now, n, f.Copies)
	}
}

// enqueue gives every session a message, and copies of it.
func (m *MQTT) enqueue(now time.Duration, n *fleet.Notification, copies int) {
	for _, s := range m.sessions {
		s.enqueue(now, pendingMessage{n: n})
		for range copies {
			s.enqueue(now, pendingMessage{n: n, dup: true})
		}
	}
}

// lose counts a notification that never was in a queue.
func (m *MQTT) lose(n *fleet.Notification) {
	if n == nil {
		return
	}
	m.stats.Lost++
	if m.OnLost != nil {
		m.OnLost(m.tl.Now(), n)
	}
}

// overflow counts a message for which a queue has no room; a copy is no loss.
func (m *MQTT) overflow(now time.Duration, msg pendingMessage) {
	if msg.n == nil || msg.dup {
		return
	}
	m.stats.Overflowed++
	if m.OnLost != nil {
		m.OnLost(now, msg.n)
	}
}
