package mqtt

import (
	"maps"
	"slices"
	"strings"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// message is one published message; sessions share it.
type message struct {
	seq     uint64 // unique, rising
	topic   string
	payload []byte
	qos     byte
	kept    bool // the journal has it; guarded by the server's mutex
}

// session is what the broker keeps for a client id. All is guarded by the
// server's mutex.
type session struct {
	id    string
	clean bool // ends with its connection
	conn  *conn
	subs  map[string]byte // filter → quality of service

	flight []*delivery // sent and not acknowledged for good, in the order of sending
	again  int         // how many of flight, from the start, this connection must still send
	queue  []*delivery // not yet sent, in order
	direct []*delivery // of quality of service 0: they wait for no window
	lastID uint16
	inUse  map[uint16]bool

	received map[uint16]bool // ids of quality of service 2 from the client, not yet released
}

// delivery is a message on its way to one session.
type delivery struct {
	m        *message
	qos      byte
	retained bool
	id       uint16 // given when it is first sent
	dup      bool   // it may have been sent before
	released bool   // quality of service 2: PUBREC has come, PUBREL goes out
}

func newSession(id string, clean bool) *session {
	return &session{id: id, clean: clean, subs: map[string]byte{}, inUse: map[uint16]bool{}, received: map[uint16]bool{}}
}

// wants answers the highest quality of service of the subscriptions that hold a
// topic.
func (ss *session) wants(topic string) (byte, bool) {
	var qos byte
	found := false
	for filter, q := range ss.subs {
		if matches(filter, topic) {
			qos, found = max(qos, q), true
		}
	}
	return qos, found
}

// enqueue keeps a message for the session, unless its queue is full. Messages of
// quality of service 0 are only for who is there.
func (ss *session) enqueue(s *Server, m *message, qos byte, retained bool) {
	d := &delivery{m: m, qos: qos, retained: retained}
	if qos == 0 {
		switch {
		case ss.conn == nil:
		case len(ss.direct) >= s.cfg.MaxQueued:
			s.stats.Dropped++
		default:
			ss.direct = append(ss.direct, d)
		}
		return
	}
	if len(ss.queue) >= s.cfg.MaxQueued {
		s.stats.Dropped++
		return
	}
	ss.queue = append(ss.queue, d)
	if !ss.clean {
		s.journal.queued(ss, d)
	}
}

// attach makes c the session's connection: what is in flight is to be sent again.
func (ss *session) attach(c *conn) {
	ss.conn = c
	ss.again = len(ss.flight)
}

// detach forgets the connection. What it was sent may have been seen.
func (ss *session) detach() {
	ss.conn = nil
	ss.direct = nil
	for _, d := range ss.flight {
		d.dup = true
	}
}

// next takes up to n packets that the session's connection may send now. cut says
// that it is to be cut after them.
func (ss *session) next(s *Server, n int) (out []packets.ControlPacket, cut bool) {
	for len(out) < n && !cut {
		d := ss.take(s)
		if d == nil {
			break
		}
		out = append(out, ss.packet(s, d))
		cut = s.faults.strikes(ss.id)
	}
	return out, cut
}

// take is the delivery to send next, nil when there is none: repeated ones first,
// in the order of the first time.
func (ss *session) take(s *Server) *delivery {
	switch {
	case ss.again > 0:
		ss.again--
		return ss.flight[len(ss.flight)-ss.again-1]
	case len(ss.direct) > 0:
		d := ss.direct[0]
		ss.direct = shift(ss.direct)
		return d
	case len(ss.queue) > 0 && len(ss.flight) < s.cfg.MaxInflight:
		d := ss.queue[0]
		ss.queue = shift(ss.queue)
		d.id = ss.freeID()
		ss.flight = append(ss.flight, d)
		return d
	}
	return nil
}

// shift takes the first element off and lets go of it.
func shift(ds []*delivery) []*delivery {
	ds[0] = nil
	if len(ds) == 1 {
		return nil
	}
	return ds[1:]
}

// freeID is the next packet id that is not in flight. The window is smaller than
// the number of ids, so there is one.
func (ss *session) freeID() uint16 {
	for {
		ss.lastID++
		if ss.lastID != 0 && !ss.inUse[ss.lastID] {
			ss.inUse[ss.lastID] = true
			return ss.lastID
		}
	}
}

func (ss *session) packet(s *Server, d *delivery) packets.ControlPacket {
	if d.released {
		return withID(packets.Pubrel, d.id)
	}
	s.stats.Delivered++
	if d.dup {
		s.stats.Redelivered++
	}
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Payload, p.MessageID = d.m.topic, d.m.payload, d.id
	p.Qos, p.Retain, p.Dup = d.qos, d.retained, d.dup
	return p
}

// find answers where the delivery with a packet id stands in flight, or -1.
func (ss *session) find(id uint16) int {
	return slices.IndexFunc(ss.flight, func(d *delivery) bool { return d.id == id })
}

// done forgets a delivery that the client has acknowledged for good. An id that
// is not in flight is none of ours: a late acknowledgement.
func (ss *session) done(s *Server, id uint16) {
	i := ss.find(id)
	if i < 0 || i >= len(ss.flight)-ss.again { // not sent on this connection
		return
	}
	if !ss.clean {
		s.journal.acked(ss, ss.flight[i])
	}
	ss.flight = slices.Delete(ss.flight, i, i+1)
	delete(ss.inUse, id)
	s.stats.Acked++
}

// Session is what the broker holds for a client id, for inspection.
type Session struct {
	ClientID      string
	Connected     bool
	Clean         bool
	Subscriptions map[string]byte // filter → quality of service granted
	Queued        int             // messages that wait to be sent
	Inflight      int             // messages sent and not acknowledged
}

// Sessions lists what the broker holds, by client id.
func (s *Server) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view()
}

func (s *Server) view() []Session {
	out := make([]Session, 0, len(s.sessions))
	for _, ss := range s.sessions {
		out = append(out, Session{
			ClientID: ss.id, Connected: ss.conn != nil, Clean: ss.clean, Subscriptions: maps.Clone(ss.subs),
			Queued: len(ss.queue) + len(ss.direct), Inflight: len(ss.flight),
		})
	}
	slices.SortFunc(out, func(a, b Session) int { return strings.Compare(a.ClientID, b.ClientID) })
	return out
}
