package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func producer(t *testing.T, s *Server) sarama.SyncProducer {
	t.Helper()
	cfg := s.clientConfig()
	cfg.Producer.Return.Successes = true
	cfg.Producer.Retry.Max = 0
	cfg.Metadata.Retry.Max = 1
	cfg.Metadata.Retry.Backoff = time.Millisecond
	p, err := sarama.NewSyncProducer(s.Addrs(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func send(p sarama.SyncProducer, value string) error {
	_, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: "HeartBeat", Value: sarama.StringEncoder(value)})
	return err
}

func values(t *testing.T, s *Server) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	records, err := s.Records(ctx, "HeartBeat")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, r := range records {
		values = append(values, string(r.Value))
	}
	return values
}

func TestRecordsOutliveTheServer(t *testing.T) {
	cfg := Config{Topics: map[string]int{"HeartBeat": 1}, DataDir: t.TempDir()}
	first := start(t, cfg)
	p := producer(t, first)
	for i := range 3 {
		if err := send(p, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Addr = first.Addrs()[0]
	first.Close()

	second := start(t, cfg)
	if second.Addrs()[0] != cfg.Addr {
		t.Errorf("listens on %s, want %s", second.Addrs()[0], cfg.Addr)
	}
	if got := fmt.Sprint(values(t, second)); got != "[0 1 2]" {
		t.Errorf("records %s, want [0 1 2]", got)
	}
	if n := second.Count("HeartBeat"); n != 3 {
		t.Errorf("Count %d, want 3", n)
	}
}

func TestDown(t *testing.T) {
	s := start(t, Config{Topics: map[string]int{"HeartBeat": 1}})
	p := producer(t, s)
	s.Down(true)
	if err := send(p, "lost"); err == nil {
		t.Error("a record was taken while the brokers were down")
	}
	s.Down(false)
	for deadline := time.Now().Add(time.Minute); send(p, "kept") != nil; {
		if time.Now().After(deadline) {
			t.Fatal("nothing can be produced once the brokers are back")
		}
	}
	if got := fmt.Sprint(values(t, s)); got != "[kept]" {
		t.Errorf("records %s, want [kept]", got)
	}
}

// TestStall: what a stalled broker has taken is there, and its answer comes.
func TestStall(t *testing.T) {
	s := start(t, Config{Topics: map[string]int{"HeartBeat": 1}})
	p := producer(t, s)
	if err := send(p, "first"); err != nil { // a connection is made by answers too
		t.Fatal(err)
	}
	s.Stall(true)
	t.Cleanup(func() { s.Stall(false) })
	answered := make(chan error, 1)
	go func() { answered <- send(p, "slow") }()
	for deadline := time.Now().Add(time.Minute); s.Count("HeartBeat") == 1; {
		if time.Now().After(deadline) {
			t.Fatal("the stalled broker has not taken the record")
		}
	}
	select {
	case err := <-answered:
		t.Fatalf("answered %v while stalled", err)
	default:
	}
	s.Stall(false)
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("the late answer is %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("no answer after the stall")
	}
}

func TestDelay(t *testing.T) {
	s := start(t, Config{Topics: map[string]int{"HeartBeat": 1}})
	p := producer(t, s)
	s.Delay(50 * time.Millisecond)
	began := time.Now()
	if err := send(p, "late"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("answered after %s, want at least 50ms", took)
	}
}

func TestFailFetches(t *testing.T) {
	s := start(t, Config{Topics: map[string]int{"HeartBeat": 1}})
	if err := send(producer(t, s), "1"); err != nil {
		t.Fatal(err)
	}
	s.FailFetches("HeartBeat", true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.Records(ctx, "HeartBeat"); err == nil || ctx.Err() != nil {
		t.Errorf("Records answers %v while fetches fail", err)
	}
	s.FailFetches("HeartBeat", false)
	if got := fmt.Sprint(values(t, s)); got != "[1]" {
		t.Errorf("records %s, want [1]", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Addr: "localhost"}, "host:port"},
		{Config{Addr: "127.0.0.1:70000"}, "0 to 65535"},
		{Config{Addr: "0.0.0.0:0"}, "loopback"},
		{Config{Brokers: -1}, "Brokers"},
		{Config{Topics: map[string]int{"HeartBeat": 0}}, "partitions"},
		{Config{User: "u"}, "Password"},
	} {
		if s, err := Start(c.cfg); err == nil {
			s.Close()
			t.Errorf("%+v is taken", c.cfg)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %q does not say %q", err, c.want)
		}
	}
	taken := start(t, Config{})
	if s, err := Start(Config{Addr: taken.Addrs()[0]}); err == nil {
		s.Close()
		t.Error("two servers on one port")
	}
}

// reader is a group's member that tells of its sessions and of what it reads.
type reader struct {
	sessions chan struct{}
	read     chan string
}

func (r *reader) Setup(sarama.ConsumerGroupSession) error   { r.sessions <- struct{}{}; return nil }
func (r *reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (r *reader) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for m := range c.Messages() {
		s.MarkMessage(m, "")
		r.read <- string(m.Value)
	}
	return nil
}

// TestGroupsAreUpset: a group's member joins again after Rebalance, and reads
// everything again after ResetOffsets.
func TestGroupsAreUpset(t *testing.T) {
	s := start(t, Config{Topics: map[string]int{"HeartBeat": 2}, MinSession: 100 * time.Millisecond})
	cfg := s.clientConfig()
	// The newest offset is asked for after Setup, so that what is produced in
	// between would never be read.
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Group.Session.Timeout = 10 * time.Second
	cfg.Consumer.Group.Heartbeat.Interval = 50 * time.Millisecond
	group, err := sarama.NewConsumerGroup(s.Addrs(), "g", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = group.Close() })
	r := &reader{sessions: make(chan struct{}, 10), read: make(chan string, 100)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = group.Consume(ctx, []string{"HeartBeat"}, r) // it is tried again
		}
	}()
	defer func() { cancel(); <-ended }()
	awaitMember := func(what string) {
		t.Helper()
		select {
		case <-r.sessions:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
	awaitMember("it never joined")
	s.Rebalance("g", 1)
	awaitMember("it did not join again after a rebalance")
	p := producer(t, s)
	want := map[string]bool{}
	for i := range 20 {
		want[fmt.Sprint(i)] = true
		if err := send(p, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	all := func(what string) {
		t.Helper()
		for got := map[string]bool{}; len(got) < len(want); {
			select {
			case v := <-r.read:
				got[v] = true
			case <-ctx.Done():
				t.Fatalf("%s: %d of %d were read", what, len(got), len(want))
			}
		}
	}
	all("at first")
	s.ResetOffsets("g", "HeartBeat", 1)
	awaitMember("it did not join again when its offsets were reset")
	all("again")
}
