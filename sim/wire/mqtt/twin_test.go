package mqtt

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"dacorch/orchestrator/porttest/real"
)

// The same script, packet by packet, for this broker and for Mosquitto: both must
// answer alike.
func TestSameAsMosquitto(t *testing.T) {
	theirs := real.Mosquitto(t)
	ours := start(t, Config{})
	a, b := transcript(t, ours.Addr()), transcript(t, theirs.Addr)
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Errorf("line %d differs\n  stand-in: %q\n Mosquitto: %q", i, a[i:min(i+1, len(a))], b[i:min(i+1, len(b))])
		}
	}
	if len(a) < 40 {
		t.Errorf("only %d lines: the script was not played", len(a))
	}
}

// raw is a client that says exactly what it is told.
type raw struct {
	t     *testing.T
	name  string
	nc    net.Conn
	lines *[]string
}

// talk opens a connection and says CONNECT.
func talk(t *testing.T, lines *[]string, addr, name string, change func(*packets.ConnectPacket)) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	c := &raw{t, name, nc, lines}
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.ClientIdentifier, hello.Keepalive = "MQTT", 4, name, 60
	if change != nil {
		change(hello)
	}
	c.say(hello)
	c.hear(1)
	return c
}

func (c *raw) say(p packets.ControlPacket) {
	c.t.Helper()
	if err := p.Write(c.nc); err != nil {
		c.t.Fatalf("%s: %v", c.name, err)
	}
}

// read is the next packet, as a line; "closed" when there is none to come.
func (c *raw) read() (string, packets.ControlPacket) {
	p, err := packets.ReadPacket(c.nc)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("%s: %v", c.name, err)
		}
		return c.name + " closed", nil
	}
	switch p := p.(type) {
	case *packets.ConnackPacket:
		return fmt.Sprintf("%s CONNACK %d, present %t", c.name, p.ReturnCode, p.SessionPresent), p
	case *packets.SubackPacket:
		return fmt.Sprintf("%s SUBACK %d %v", c.name, p.MessageID, p.ReturnCodes), p
	case *packets.PublishPacket:
		return fmt.Sprintf("%s PUBLISH %s %q qos %d dup %t retain %t", c.name, p.TopicName, p.Payload, p.Qos, p.Dup, p.Retain), p
	case *packets.PubrelPacket: // Mosquitto spends ids on overlapping subscriptions that it then leaves out
		return c.name + " PUBREL", p
	}
	return fmt.Sprintf("%s %s %d", c.name, packets.PacketNames[kindOf(p)], p.Details().MessageID), p
}

func kindOf(p packets.ControlPacket) byte {
	for kind := byte(1); kind <= 14; kind++ {
		if fmt.Sprintf("%T", packets.NewControlPacket(kind)) == fmt.Sprintf("%T", p) {
			return kind
		}
	}
	return 0
}

// hear notes the next n packets.
func (c *raw) hear(n int) {
	c.t.Helper()
	for range n {
		line, _ := c.read()
		*c.lines = append(*c.lines, line)
	}
}

// rest notes all that has been sent to the client by now, and acknowledges it if
// it is to. Pings tell when it is all: what was due before one is answered is here
// before the next is, and an acknowledgement may bring more.
func (c *raw) rest(acknowledge bool) {
	c.t.Helper()
	var got []string
	for range 4 {
		c.say(packets.NewControlPacket(packets.Pingreq))
		for {
			line, p := c.read()
			if _, pong := p.(*packets.PingrespPacket); pong || p == nil {
				break
			}
			got = append(got, line)
			if acknowledge {
				c.acknowledge(p)
			}
		}
	}
	*c.lines = append(*c.lines, got...)
	*c.lines = append(*c.lines, c.name+" "+fmt.Sprint(len(got))+" packets")
}

func (c *raw) acknowledge(p packets.ControlPacket) {
	c.t.Helper()
	switch p := p.(type) {
	case *packets.PublishPacket:
		if p.Qos > 0 {
			c.say(withID([]byte{1: packets.Puback, 2: packets.Pubrec}[p.Qos], p.MessageID))
		}
	case *packets.PubrelPacket:
		c.say(withID(packets.Pubcomp, p.MessageID))
	}
}

func (c *raw) subscribe(id uint16, asks ...any) {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID = id
	for pair := range slices.Chunk(asks, 2) {
		p.Topics, p.Qoss = append(p.Topics, pair[0].(string)), append(p.Qoss, byte(pair[1].(int)))
	}
	c.say(p)
}

func (c *raw) publish(id uint16, topic, payload string, qos byte, retain bool) {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.MessageID, p.TopicName, p.Payload, p.Qos, p.Retain = id, topic, []byte(payload), qos, retain
	c.say(p)
	if qos > 0 {
		c.hear(1)
	}
}

func transcript(t *testing.T, addr string) (lines []string) {
	clean := func(p *packets.ConnectPacket) { p.CleanSession = true }
	pub := talk(t, &lines, addr, "pub", clean)

	sub := talk(t, &lines, addr, "sub", nil)
	sub.subscribe(7, "a/+", 2, "a/#", 2, "b", 0, "$SYS/none/+", 1)
	sub.hear(1)
	for qos := range byte(3) { // overlapping subscriptions, each quality
		pub.publish(10+uint16(qos), "a/x", fmt.Sprint("q", qos), qos, false)
		if qos == 2 {
			pub.say(withID(packets.Pubrel, 12))
			pub.hear(1)
		}
		sub.rest(true)
	}
	pub.publish(13, "b", "less", 1, false) // granted 0
	sub.rest(true)
	pub.publish(14, "a", "one level up", 1, false)
	sub.rest(false) // and never acknowledged
	sub.nc.Close()

	sub = talk(t, &lines, addr, "sub", nil) // the session is present, the message comes again
	sub.rest(true)
	sub.say(packets.NewControlPacket(packets.Disconnect))
	sub.hear(1)
	for i := range 3 { // offline: 1 and 2 are kept, 0 is not
		pub.publish(20+uint16(i), "a/y", fmt.Sprint("offline ", i), byte(i), false)
	}
	pub.say(withID(packets.Pubrel, 22))
	pub.hear(1)
	sub = talk(t, &lines, addr, "sub", nil)
	sub.rest(true)
	unsubscribe := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	unsubscribe.MessageID, unsubscribe.Topics = 9, []string{"a/#", "not subscribed"}
	sub.say(unsubscribe)
	sub.hear(1)
	pub.publish(30, "a/b/c", "unsubscribed", 1, false)
	sub.rest(true)

	pub.publish(40, "r/1", "kept", 1, true) // retained
	pub.publish(41, "r/2", "forgotten", 1, true)
	pub.publish(42, "r/2", "", 1, true)
	late := talk(t, &lines, addr, "late", clean)
	late.subscribe(1, "r/+", 1)
	late.rest(true)
	late.subscribe(2, "r/+", 0) // again, with less
	late.rest(true)
	pub.publish(43, "r/1", "live", 1, true)
	late.rest(true)

	will := func(p *packets.ConnectPacket) {
		p.WillFlag, p.WillTopic, p.WillMessage, p.WillQos, p.CleanSession = true, "r/will", []byte("died"), 1, true
	}
	dying := talk(t, &lines, addr, "dying", will)
	again := talk(t, &lines, addr, "dying", will) // a takeover
	dying.hear(1)
	late.hear(1)
	again.say(packets.NewControlPacket(packets.Disconnect))
	again.hear(1)
	late.rest(true) // no will

	nameless := func(p *packets.ConnectPacket) { p.ClientIdentifier = "" }
	talk(t, &lines, addr, "nameless", nameless)
	talk(t, &lines, addr, "nameless", func(p *packets.ConnectPacket) { nameless(p); clean(p) })
	talk(t, &lines, addr, "version", func(p *packets.ConnectPacket) { p.ProtocolVersion = 9 })
	for _, bad := range [][]any{{"a/#/b", 1}, {"a", 3}, {"", 1}} {
		c := talk(t, &lines, addr, "bad", clean)
		c.subscribe(1, bad...)
		c.hear(1)
	}
	wild := talk(t, &lines, addr, "wild", clean)
	wild.publish(1, "a/+", "x", 1, false)
	twice := talk(t, &lines, addr, "twice", clean)
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.ClientIdentifier = "MQTT", 4, "twice"
	twice.say(hello)
	twice.hear(1)
	return lines
}
