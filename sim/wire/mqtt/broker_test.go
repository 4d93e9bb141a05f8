package mqtt

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a", false}, {"a", "a/b", false}, {"a/b", "a/c", false},
		{"+", "a", true}, {"+", "", true}, {"+", "a/b", false}, {"a/+", "a/b", true}, {"a/+", "a/", true}, {"a/+", "a", false},
		{"+/b", "a/b", true}, {"+/+", "/a", true}, {"/+", "/a", true}, {"+", "/a", false},
		{"#", "a/b/c", true}, {"a/#", "a", true}, {"a/#", "a/b/c", true}, {"a/#", "ab", false}, {"a/+/#", "a", false}, {"a/+/#", "a/b", true},
		{"#", "$SYS/x", false}, {"+/x", "$SYS/x", false}, {"$SYS/#", "$SYS/x", true}, {"$SYS/+", "$SYS/x", true},
	} {
		if err := checkFilter(c.filter); err != nil {
			t.Error(err)
		}
		if got := matches(c.filter, c.topic); got != c.want {
			t.Errorf("filter %q, topic %q: %t", c.filter, c.topic, got)
		}
	}
	for _, bad := range []string{"", "a#", "#/a", "a/b+", "+a", "a\x00", "\xff", strings.Repeat("a", 65536)} {
		if checkFilter(bad) == nil {
			t.Errorf("filter %.20q is accepted", bad)
		}
	}
	for _, bad := range []string{"", "a/+", "#", "a\x00"} {
		if checkTopic(bad) == nil {
			t.Errorf("topic %q is accepted", bad)
		}
	}
}

// payloads of messages, with ! for a retained one and ? for a repeated one.
func payloads(ms []paho.Message) []string {
	var out []string
	for _, m := range ms {
		s := string(m.Payload())
		if m.Retained() {
			s += "!"
		}
		if m.Duplicate() {
			s += "?"
		}
		out = append(out, s)
	}
	return out
}

func (b *inbox) want(t *testing.T, what ...string) {
	t.Helper()
	if got := payloads(b.first(t, len(what))); !slices.Equal(got, what) {
		t.Fatalf("got %q, want %q", got, what)
	}
}

func publish(t testing.TB, s *Server, topic, payload string, qos byte, retain bool) {
	t.Helper()
	if err := s.Publish(topic, []byte(payload), qos, retain); err != nil {
		t.Fatal(err)
	}
}

// subscribe connects a client that acknowledges on its own or, with manual, not at
// all, and subscribes it.
func subscribe(t testing.TB, s *Server, id, filter string, qos byte, manual bool) (paho.Client, *inbox) {
	t.Helper()
	box := newInbox()
	c := connect(t, s.Addr(), id, func(o *paho.ClientOptions) {
		o.SetDefaultPublishHandler(box.take).SetAutoAckDisabled(manual)
	})
	done(t, "subscribing", c.Subscribe(filter, qos, nil))
	return c, box
}

func TestQualities(t *testing.T) {
	s := start(t, Config{})
	_, box := subscribe(t, s, "sub", "q/#", 2, false)
	pub := connect(t, s.Addr(), "pub", nil)
	for i := range 30 {
		done(t, "publishing", pub.Publish("q/x", byte(i%3), false, number(i)))
		if m := box.first(t, i+1)[i]; int(m.Qos()) != i%3 || numberOf(m) != i {
			t.Fatalf("message %d came with quality of service %d", i, m.Qos())
		}
	}
	await(t, s, "all acknowledged", empty)
	if got := s.Stats(); got.Published != 30 || got.Delivered != 30 || got.Acked != 20 || got.Redelivered+got.Dropped != 0 {
		t.Errorf("%+v", got)
	}
	_, one := subscribe(t, s, "one", "q/#", 1, false)
	publish(t, s, "q/y", "less", 2, false)
	if m := one.first(t, 1)[0]; m.Qos() != 1 {
		t.Errorf("quality of service %d, granted 1", m.Qos())
	}
}

func TestRetained(t *testing.T) {
	s := start(t, Config{})
	publish(t, s, "r/a", "old", 1, true)
	publish(t, s, "r/a", "a", 1, true)
	publish(t, s, "r/b", "b", 0, true)
	publish(t, s, "r/c", "c", 1, true)
	publish(t, s, "r/c", "", 1, true)
	_, box := subscribe(t, s, "sub", "r/#", 1, false)
	box.first(t, 2)
	publish(t, s, "r/a", "now", 1, true)
	got := payloads(box.first(t, 3))
	slices.Sort(got[:2]) // one is of quality of service 0, which waits for nothing
	if want := []string{"a!", "b!", "now"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWill(t *testing.T) {
	s := start(t, Config{})
	_, box := subscribe(t, s, "sub", "will/#", 1, false)
	will := func(o *paho.ClientOptions) { o.SetWill("will/"+o.ClientID, o.ClientID+" died", 1, false) }
	polite := connect(t, s.Addr(), "polite", will)
	connect(t, s.Addr(), "cut", will)
	connect(t, s.Addr(), "twin", will)
	polite.Disconnect(1000)
	s.Cut(func(id string) bool { return id == "cut" })
	connect(t, s.Addr(), "twin", nil)
	box.want(t, "cut died", "twin died")
}

func TestKeepalive(t *testing.T) {
	s := start(t, Config{})
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.ClientIdentifier, hello.Keepalive = "MQTT", 4, "silent", 1
	if err := hello.Write(nc); err != nil {
		t.Fatal(err)
	}
	await(t, s, "the client", func(ss []Session) bool { return len(ss) == 1 && ss[0].Connected })
	await(t, s, "its end", func(ss []Session) bool { return !ss[0].Connected })
}

func TestSessionsAndTakeover(t *testing.T) {
	s := start(t, Config{})
	first, box := subscribe(t, s, "x", "t", 1, false)
	lost := make(chan struct{})
	_ = first
	second := connect(t, s.Addr(), "x", func(o *paho.ClientOptions) {
		o.SetDefaultPublishHandler(box.take).SetConnectionLostHandler(func(paho.Client, error) { close(lost) })
	})
	if got := s.Sessions(); len(got) != 1 || !got[0].Connected || got[0].Subscriptions["t"] != 1 {
		t.Errorf("%+v: want one session with its subscription", got)
	}
	publish(t, s, "t", "to the second", 1, false)
	box.want(t, "to the second")
	third := connect(t, s.Addr(), "x", func(o *paho.ClientOptions) { o.SetCleanSession(true) })
	<-lost
	_ = second
	if got := s.Sessions(); len(got) != 1 || !got[0].Clean || len(got[0].Subscriptions) != 0 {
		t.Errorf("%+v: want one clean session", got)
	}
	third.Disconnect(1000)
	await(t, s, "no session", func(ss []Session) bool { return len(ss) == 0 })
}

func TestQueueIsBounded(t *testing.T) {
	s := start(t, Config{MaxQueued: 5, MaxInflight: 2})
	c, _ := subscribe(t, s, "x", "t", 1, false)
	c.Disconnect(1000)
	await(t, s, "offline", func(ss []Session) bool { return !ss[0].Connected })
	for i := range 8 {
		publish(t, s, "t", fmt.Sprint(i), 1, false)
	}
	publish(t, s, "t", "of quality 0, for nobody who is there", 0, false)
	if got := s.Stats().Dropped; got != 3 {
		t.Errorf("dropped %d, want 3", got)
	}
	_, box := subscribe(t, s, "x", "t", 1, true)
	box.want(t, "0", "1")
	if got := s.Sessions()[0]; got.Inflight != 2 || got.Queued != 3 {
		t.Errorf("%+v: want 2 in flight, 3 queued", got)
	}
	for i := range 5 {
		box.first(t, min(i+1, 5))[i].Ack()
	}
	box.want(t, "0", "1", "2", "3", "4")
}

func TestCredentials(t *testing.T) {
	s := start(t, Config{User: "u", Password: "p"})
	for _, c := range []struct{ user, password string }{{"", ""}, {"u", ""}, {"u", "q"}, {"v", "p"}} {
		_, err := client(t, s.Addr(), "x", func(o *paho.ClientOptions) { o.SetUsername(c.user).SetPassword(c.password) })
		if err == nil || !strings.Contains(err.Error(), "not Authorized") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	connect(t, s.Addr(), "x", func(o *paho.ClientOptions) { o.SetUsername("u").SetPassword("p") })
	if got := s.Stats(); got.Refused != 4 || got.Connections != 1 {
		t.Errorf("%+v", got)
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{DataDir: dir, MaxInflight: 3})
	c, box := subscribe(t, s, "x", "t/#", 2, true)
	done(t, "subscribing", c.Subscribe("u", 1, nil))
	done(t, "unsubscribing", c.Unsubscribe("u"))
	_, clean := subscribe(t, s, "y", "t/#", 1, false)
	for i := range 10 {
		publish(t, s, "t/x", fmt.Sprint(i), 1, i == 9)
	}
	publish(t, s, "t/gone", "x", 1, true)
	publish(t, s, "t/gone", "", 1, true)
	box.first(t, 1)[0].Ack()
	await(t, s, "the acknowledgement", func(ss []Session) bool { return ss[0].Queued == 8 })
	clean.first(t, 12)
	connect(t, s.Addr(), "y", func(o *paho.ClientOptions) { o.SetCleanSession(true) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = start(t, Config{DataDir: dir, MaxInflight: 100})
	if got := s.Sessions(); len(got) != 1 || got[0].ClientID != "x" || len(got[0].Subscriptions) != 1 || got[0].Queued != 11 {
		t.Fatalf("%+v", got)
	}
	box = newInbox()
	connect(t, s.Addr(), "x", func(o *paho.ClientOptions) { o.SetDefaultPublishHandler(box.take) })
	box.want(t, "1?", "2?", "3?", "4?", "5?", "6?", "7?", "8?", "9?", "x?", "?")
	await(t, s, "all acknowledged", empty)
	_, box = subscribe(t, s, "z", "t/#", 1, false)
	box.want(t, "9!")
}
