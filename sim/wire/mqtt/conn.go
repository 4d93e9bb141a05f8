package mqtt

import (
	"bufio"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	connectTimeout = 10 * time.Second // from the connection to CONNECT, TLS included
	batch          = 64               // messages written at once
	maxReplies     = 1024             // answers that wait for a client that does not read
)

// conn is one client's connection. What follows raw is guarded by the server's
// mutex.
type conn struct {
	s   *Server
	nc  net.Conn
	raw net.Conn // under TLS

	ss      *session // nil before CONNECT was accepted
	replies []packets.ControlPacket
	will    *packets.ConnectPacket // nil when there is none, or it is not to be published
	gone    bool
}

// cut closes the network connection without a word; serve ends of it.
func (c *conn) cut() { c.raw.Close() }

// end takes the connection from its session, publishing the will when there is
// one and it is wanted. The mutex is held.
func (c *conn) end(will bool) {
	if c.gone {
		return
	}
	c.gone = true
	c.cut()
	delete(c.s.conns, c)
	if ss := c.ss; ss != nil {
		ss.detach()
		if ss.clean {
			delete(c.s.sessions, ss.id)
		}
	}
	if w := c.will; will && w != nil && !c.s.closed {
		c.s.publish(w.WillTopic, w.WillMessage, w.WillQos, w.WillRetain)
	}
	c.s.changed.Broadcast()
}

// serve reads what the client sends until the connection ends.
func (c *conn) serve() {
	err := c.read()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err != nil && !c.gone {
		id := ""
		if c.ss != nil {
			id = c.ss.id
		}
		c.s.cfg.Log.Info("mqtt broker: connection ended", "client", id, "remote", c.nc.RemoteAddr(), "err", err)
	}
	c.end(true)
}

func (c *conn) read() error {
	r := bufio.NewReader(c.nc)
	c.nc.SetDeadline(time.Now().Add(connectTimeout))
	p, err := c.packet(r)
	if err != nil {
		return err
	}
	hello, ok := p.(*packets.ConnectPacket)
	if !ok {
		return fmt.Errorf("the first packet is %T: want CONNECT", p)
	}
	if err := c.connect(hello); err != nil {
		return err
	}
	c.s.wg.Go(c.write)
	c.nc.SetDeadline(time.Time{})
	for {
		if hello.Keepalive > 0 {
			c.nc.SetReadDeadline(time.Now().Add(time.Duration(hello.Keepalive) * 1500 * time.Millisecond))
		}
		p, err := c.packet(r)
		if err != nil {
			if errors.Is(err, errStalled) {
				continue
			}
			return err
		}
		if over, err := c.handle(p); over || err != nil {
			return err
		}
	}
}

var errStalled = errors.New("the broker stood still")

// packet reads one packet, after any stall. errStalled says that nothing came in
// time, and that the broker itself may be to blame.
func (c *conn) packet(r *bufio.Reader) (packets.ControlPacket, error) {
	_, err := r.Peek(1)
	stalled, gone := c.hold()
	if gone {
		return nil, net.ErrClosed
	}
	if err != nil {
		if e := net.Error(nil); stalled && errors.As(err, &e) && e.Timeout() {
			return nil, errStalled
		}
		return nil, err
	}
	if err := c.measure(r); err != nil {
		return nil, err
	}
	return packets.ReadPacket(r)
}

// measure refuses a packet that is too large before memory is taken for it.
func (c *conn) measure(r *bufio.Reader) error {
	length := 0
	for i := 1; i <= 4; i++ {
		head, err := r.Peek(i + 1)
		if err != nil {
			return err
		}
		length |= int(head[i]&0x7f) << (7 * (i - 1))
		if length > c.s.cfg.MaxPacket {
			return fmt.Errorf("a packet of more than %d bytes: want at most that", c.s.cfg.MaxPacket)
		}
		if head[i]&0x80 == 0 {
			return nil
		}
	}
	return errors.New("a packet whose length has more than four bytes")
}

// hold waits while the broker is stalled.
func (c *conn) hold() (stalled, gone bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for c.s.faults.stall && !c.gone && !c.s.closed {
		stalled = true
		c.s.changed.Wait()
	}
	return stalled, c.gone || c.s.closed
}

// connect lets the client in, or says why not.
func (c *conn) connect(p *packets.ConnectPacket) error {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	code := p.Validate()
	if code == packets.Accepted && s.cfg.User != "" && !s.known(p) {
		code = packets.ErrRefusedNotAuthorised // as Mosquitto says it
	}
	ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	ack.ReturnCode = code
	if code != packets.Accepted {
		s.stats.Refused++
		if code != packets.ErrProtocolViolation { // which has no answer in the protocol
			ack.Write(c.nc)
		}
		return fmt.Errorf("refused %q: %s", p.ClientIdentifier, packets.ConnackReturnCodes[code])
	}
	if p.WillFlag {
		if err := checkTopic(p.WillTopic); err != nil {
			return fmt.Errorf("will: %w", err)
		}
		if p.WillQos > 2 {
			return fmt.Errorf("will: quality of service %d: want 0, 1 or 2", p.WillQos)
		}
		c.will = p
	}
	s.stats.Connections++
	if p.ClientIdentifier == "" {
		p.ClientIdentifier = fmt.Sprintf("auto-%d", s.stats.Connections)
	}
	c.ss, ack.SessionPresent = s.session(p.ClientIdentifier, p.CleanSession)
	c.ss.attach(c)
	c.replies = append(c.replies, ack)
	s.note()
	return nil
}

func (s *Server) known(p *packets.ConnectPacket) bool {
	return subtle.ConstantTimeCompare([]byte(p.Username), []byte(s.cfg.User))&
		subtle.ConstantTimeCompare(p.Password, []byte(s.cfg.Password)) == 1
}

// session finds or makes the session of a client id, and ends the connection that
// it had before.
func (s *Server) session(id string, clean bool) (ss *session, present bool) {
	ss = s.sessions[id]
	if ss != nil && ss.conn != nil {
		ss.conn.end(true)
		ss = s.sessions[id] // a clean one is gone
	}
	if ss != nil && !clean {
		return ss, true
	}
	if ss != nil {
		s.journal.ended(ss)
	}
	ss = newSession(id, clean)
	s.sessions[id] = ss
	if !clean {
		s.journal.began(ss)
	}
	return ss, false
}

// handle does what a packet asks for. over says that the client took its leave.
func (c *conn) handle(p packets.ControlPacket) (over bool, err error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(c.replies) > maxReplies && !c.gone {
		s.changed.Wait()
	}
	if c.gone || s.closed {
		return true, nil
	}
	switch p := p.(type) {
	case *packets.PublishPacket:
		err = c.published(p)
	case *packets.PubackPacket:
		if !s.faults.dropAcks {
			c.ss.done(s, p.MessageID)
		}
	case *packets.PubrecPacket:
		c.received(p.MessageID)
	case *packets.PubrelPacket:
		delete(c.ss.received, p.MessageID)
		c.acknowledge(packets.Pubcomp, p.MessageID)
	case *packets.PubcompPacket:
		if !s.faults.dropAcks {
			c.ss.done(s, p.MessageID)
		}
	case *packets.SubscribePacket:
		err = c.subscribe(p)
	case *packets.UnsubscribePacket:
		for _, filter := range p.Topics {
			delete(c.ss.subs, filter)
			s.journal.unsubscribed(c.ss, filter)
		}
		c.replies = append(c.replies, withID(packets.Unsuback, p.MessageID))
	case *packets.PingreqPacket:
		c.replies = append(c.replies, packets.NewControlPacket(packets.Pingresp))
	case *packets.DisconnectPacket:
		c.will = nil
		return true, nil
	default:
		err = fmt.Errorf("%T where no client sends it", p)
	}
	s.note()
	return false, err
}

// published takes a client's message. It is acknowledged once every session that
// wants it has it.
func (c *conn) published(p *packets.PublishPacket) error {
	if err := checkTopic(p.TopicName); err != nil {
		return fmt.Errorf("PUBLISH: %w", err)
	}
	if p.Qos > 2 || p.Qos > 0 && p.MessageID == 0 {
		return fmt.Errorf("PUBLISH: quality of service %d, packet id %d: want 0, or 1 or 2 with an id that is not zero", p.Qos, p.MessageID)
	}
	if p.Qos < 2 || !c.ss.received[p.MessageID] {
		c.s.publish(p.TopicName, p.Payload, p.Qos, p.Retain)
	}
	if p.Qos == 2 {
		if len(c.ss.received) >= 65535 {
			return errors.New("PUBLISH: no packet id of quality of service 2 was ever released: want PUBREL")
		}
		c.ss.received[p.MessageID] = true
	}
	if c.s.faults.strikes(c.ss.id) {
		c.end(true)
		return nil
	}
	switch p.Qos {
	case 1:
		c.acknowledge(packets.Puback, p.MessageID)
	case 2:
		c.acknowledge(packets.Pubrec, p.MessageID)
	}
	return nil
}

// received takes a PUBREC: from here on the message itself is not sent again.
func (c *conn) received(id uint16) {
	if c.s.faults.dropAcks {
		return
	}
	if i := c.ss.find(id); i >= 0 {
		c.ss.flight[i].released = true
	}
	c.replies = append(c.replies, withID(packets.Pubrel, id))
}

func (c *conn) acknowledge(kind byte, id uint16) {
	if !c.s.faults.dropAcks {
		c.replies = append(c.replies, withID(kind, id))
	}
}

func (c *conn) subscribe(p *packets.SubscribePacket) error {
	if len(p.Topics) == 0 || len(p.Topics) != len(p.Qoss) {
		return errors.New("SUBSCRIBE without a filter: want at least one, each with its quality of service")
	}
	ack := withID(packets.Suback, p.MessageID).(*packets.SubackPacket)
	for i, filter := range p.Topics {
		if err := checkFilter(filter); err != nil {
			return fmt.Errorf("SUBSCRIBE: %w", err)
		}
		if p.Qoss[i] > 2 {
			return fmt.Errorf("SUBSCRIBE: %q: quality of service %d: want 0, 1 or 2", filter, p.Qoss[i])
		}
		if strings.HasPrefix(filter, "$share/") { // not kept here
			ack.ReturnCodes = append(ack.ReturnCodes, 0x80)
			continue
		}
		ack.ReturnCodes = append(ack.ReturnCodes, p.Qoss[i])
	}
	c.replies = append(c.replies, ack)
	for i, filter := range p.Topics {
		if ack.ReturnCodes[i] != 0x80 {
			c.s.subscribe(c.ss, filter, p.Qoss[i])
		}
	}
	return nil
}

func (s *Server) subscribe(ss *session, filter string, qos byte) {
	ss.subs[filter] = qos
	if !ss.clean {
		s.journal.subscribed(ss, filter, qos)
	}
	var kept []*message
	for topic, m := range s.retained {
		if matches(filter, topic) {
			kept = append(kept, m)
		}
	}
	slices.SortFunc(kept, func(a, b *message) int { return int(int64(a.seq) - int64(b.seq)) })
	for _, m := range kept {
		ss.enqueue(s, m, min(m.qos, qos), true)
	}
}

// write sends the answers and the session's messages until the connection ends.
func (c *conn) write() {
	w := bufio.NewWriter(c.nc)
	for {
		out, delay, last, ok := c.turn()
		if !ok {
			return
		}
		if delay > 0 && !c.s.wait(delay) {
			return
		}
		for _, p := range out {
			if p.Write(w) != nil {
				break // Flush says it again
			}
		}
		if err := w.Flush(); err != nil || last {
			c.s.mu.Lock()
			c.end(true)
			c.s.mu.Unlock()
			return
		}
	}
}

// turn waits for something to write. last says that the connection is to be cut
// when it is written; not ok that the connection has ended.
func (c *conn) turn() (out []packets.ControlPacket, delay time.Duration, last, ok bool) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if c.gone || s.closed {
			return nil, 0, false, false
		}
		if !s.faults.stall {
			var messages []packets.ControlPacket
			messages, last = c.ss.next(s, batch)
			out, c.replies = append(c.replies, messages...), nil
			if len(out) > 0 {
				s.changed.Broadcast() // who waits for room among the answers, or for the queue's end
				return out, s.faults.delay, last, true
			}
		}
		s.changed.Wait()
	}
}

// withID is a packet that carries little but an id.
func withID(kind byte, id uint16) packets.ControlPacket {
	p := packets.NewControlPacket(kind)
	switch p := p.(type) {
	case *packets.PubackPacket:
		p.MessageID = id
	case *packets.PubrecPacket:
		p.MessageID = id
	case *packets.PubrelPacket:
		p.MessageID = id
	case *packets.PubcompPacket:
		p.MessageID = id
	case *packets.SubackPacket:
		p.MessageID = id
	case *packets.UnsubackPacket:
		p.MessageID = id
	}
	return p
}
