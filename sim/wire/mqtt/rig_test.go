package mqtt

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// patience only ever fails a test; nothing waits for its end.
const patience = 60 * time.Second

func start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func await(t testing.TB, s *Server, what string, ok func([]Session) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Await(ctx, ok); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// empty says that nothing waits and nothing is in flight.
func empty(ss []Session) bool {
	for _, s := range ss {
		if s.Queued+s.Inflight > 0 {
			return false
		}
	}
	return true
}

// inbox collects what a subscriber receives.
type inbox struct {
	mu      sync.Mutex
	changed chan struct{}
	got     []paho.Message
}

func newInbox() *inbox { return &inbox{changed: make(chan struct{})} }

func (b *inbox) take(_ paho.Client, m paho.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, m)
	close(b.changed)
	b.changed = make(chan struct{})
}

// await waits until the messages are as ok wants them, and answers them.
func (b *inbox) await(t testing.TB, what string, ok func([]paho.Message) bool) []paho.Message {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		got, changed := b.got, b.changed
		b.mu.Unlock()
		if ok(got) {
			return got
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: got %d messages", what, len(got))
		}
	}
}

func (b *inbox) first(t testing.TB, n int) []paho.Message {
	t.Helper()
	return b.await(t, fmt.Sprintf("want %d messages", n), func(got []paho.Message) bool { return len(got) >= n })
}

// client connects a paho client; change sets what differs from a persistent
// session without reconnects.
func client(t testing.TB, addr, id string, change func(*paho.ClientOptions)) (paho.Client, error) {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetProtocolVersion(4)
	o.SetCleanSession(false).SetAutoReconnect(false).SetConnectTimeout(patience)
	if change != nil {
		change(o)
	}
	c := paho.NewClient(o)
	t.Cleanup(func() { c.Disconnect(100) })
	token := c.Connect()
	if !token.WaitTimeout(patience) {
		t.Fatalf("%s: no answer to CONNECT", id)
	}
	return c, token.Error()
}

func connect(t testing.TB, addr, id string, change func(*paho.ClientOptions)) paho.Client {
	t.Helper()
	c, err := client(t, addr, id, change)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return c
}

func done(t testing.TB, what string, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatalf("%s: no answer", what)
	}
	if err := token.Error(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func number(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

func numberOf(m paho.Message) int {
	if len(m.Payload()) != 4 {
		return -1
	}
	return int(binary.BigEndian.Uint32(m.Payload()))
}
