package dac

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire/kafka"
)

func startKafka(t *testing.T) *kafka.Server {
	t.Helper()
	s, err := kafka.Start(kafka.Config{Topics: map[string]int{"HeartBeat": 2}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestKafkaBeats: one producer for many DACs; each heartbeat is as the contract
// wants it.
func TestKafkaBeats(t *testing.T) {
	s := startKafka(t)
	b, err := NewBeats(BeatsConfig{Brokers: s.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	before := time.Now().Unix()
	var all sync.WaitGroup
	for id := range fleet.InstanceID(100) {
		all.Go(func() {
			if err := b.Send(ctx, "Thing", id); err != nil {
				t.Errorf("instance %d: %v", id, err)
			}
		})
	}
	all.Wait()
	records, err := s.Records(ctx, "HeartBeat")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range records {
		var m map[string]string
		if err := json.Unmarshal(r.Value, &m); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		seen[m["instanceId"]] = true
		at, err := strconv.ParseInt(m["timestamp"], 10, 64)
		if m["resource"] != "Thing" || err != nil || at < before || at > time.Now().Unix() || len(m) != 3 {
			t.Errorf("%s is not the heartbeat that was wanted", r.Value)
		}
	}
	if len(records) != 100 || len(seen) != 100 {
		t.Errorf("%d records of %d instances, want 100 of 100", len(records), len(seen))
	}
}

// TestSendEnds: Send answers when its context ends, and after Close.
func TestSendEnds(t *testing.T) {
	s := startKafka(t)
	s.Stall(true)
	b, err := NewBeats(BeatsConfig{Brokers: s.Addrs(), Configure: func(c *sarama.Config) {
		c.Net.ReadTimeout = time.Second
		c.Metadata.Retry.Max = 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := b.Send(ctx, "Thing", 1); err == nil || ctx.Err() == nil {
		t.Errorf("Send answers %v from stalled brokers", err)
	}
	b.Close()
	if err := b.Send(t.Context(), "Thing", 1); err == nil {
		t.Error("Send succeeds after Close")
	}
}

// TestBeatsAreSentOnceBrokersAreBack: however often it has failed, each Send asks the
// brokers.
func TestBeatsAreSentOnceBrokersAreBack(t *testing.T) {
	s := startKafka(t)
	addrs := s.Addrs()
	s.Close()
	b, err := NewBeats(BeatsConfig{Brokers: addrs, Configure: func(c *sarama.Config) {
		c.Metadata.Retry.Backoff, c.Producer.Retry.Backoff = time.Millisecond, time.Millisecond
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 10 {
		if err := b.Send(ctx, "Thing", 1); err == nil || strings.Contains(err.Error(), "circuit breaker") {
			t.Fatalf("nobody was there, and Send answers %v", err)
		}
	}
}

// stuck is a producer that takes nothing.
type stuck struct {
	sarama.AsyncProducer
	asked chan struct{}
}

func (s stuck) Input() chan<- *sarama.ProducerMessage { s.asked <- struct{}{}; return nil }
func (stuck) AsyncClose()                             {}

// TestSendBehindAnother: a Send that a failed producer does not take keeps no other
// waiting, and comes along to the next producer.
func TestSendBehindAnother(t *testing.T) {
	s := startKafka(t)
	b, err := NewBeats(BeatsConfig{Brokers: s.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.now.AsyncClose() // the one that stuck stands for
	b.now = &producer{AsyncProducer: stuck{asked: make(chan struct{})}, over: make(chan struct{})}
	first := b.now
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answers := make(chan error, 2)
	go func() { answers <- b.Send(ctx, "Thing", 1) }()
	<-first.AsyncProducer.(stuck).asked
	first.failed.Store(true)
	go func() { answers <- b.Send(ctx, "Thing", 2) }()
	for range 2 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := s.Count("HeartBeat"); n != 2 {
		t.Errorf("%d heartbeats, want both", n)
	}
}

// TestHeartbeats: one at once, then one in each interval; lost ones are counted.
func TestHeartbeats(t *testing.T) {
	r := newRig(t)
	beats := &counter{}
	u := r.run(Config{Heartbeat: true, Interval: time.Hour, Beats: beats})
	r.await("the first heartbeat", func() bool { return u.State().Beats == 1 })
	u.end()
	beats.fail.Store(true)
	u = r.run(Config{Heartbeat: true, Interval: time.Millisecond, Beats: beats})
	r.await("lost heartbeats", func() bool { return u.State().Lost > 3 })
	beats.fail.Store(false)
	r.await("heartbeats", func() bool { return u.State().Beats > 3 })
	u.end()
}

// TestProgram: the DAC as a pod's program, from its environment, with a producer
// of its own.
func TestProgram(t *testing.T) {
	r, s := newRig(t), startKafka(t)
	r.create(4, 9, "a")
	vars := map[string]string{"DAC_INSTANCE_ID": "4", "IOTA_KIND": "Thing", "IOTA_ZOOKEEPER": r.server.Addr(),
		"IOTA_KAFKA": strings.Join(s.Addrs(), ","), "IOTA_HEARTBEAT_INTERVAL": "20ms"}
	cfg, err := ConfigFromEnv(func(name string) string { return vars[name] })
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	r.awaitStatus(4, `{"times":9}`)
	r.await("three heartbeats", func() bool { return s.Count("HeartBeat") >= 3 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.awaitNoStatus(4)
}

func TestConfigFromEnv(t *testing.T) {
	least := map[string]string{"DAC_INSTANCE_ID": "3", "IOTA_KIND": "Rule"}
	cfg, err := ConfigFromEnv(func(name string) string { return least[name] })
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Kind: "Rule", Instance: 3, ZooKeeper: []string{"localhost:2181"}, Session: 10 * time.Second,
		Kafka: []string{"localhost:9092"}, Heartbeat: true, Interval: time.Minute, Topic: "HeartBeat", Confirms: true}
	if fmt.Sprint(cfg) != fmt.Sprint(want) {
		t.Errorf("got %+v\nwant %+v", cfg, want)
	}
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{
		"DAC_INSTANCE_ID": "x", "IOTA_KIND": "", "IOTA_ZOOKEEPER": "zk", "IOTA_ZOOKEEPER_SESSION": "10",
		"IOTA_KAFKA": "a:1,,b:2", "IOTA_HEARTBEAT": "yes", "IOTA_HEARTBEAT_INTERVAL": "0s",
		"IOTA_CONFIRMS": "1", "IOTA_APPLY_LATENCY": "-1s", "IOTA_APPLY_COST": "much",
	} {
		_, err := ConfigFromEnv(func(n string) string {
			if n == name {
				return value
			}
			return least[n]
		})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%q: error %v does not name it", name, value, err)
		}
	}
	from := map[string]string{"DAC_INSTANCE_ID_FROM": "MY_ID", "MY_ID": "7", "IOTA_KIND": "Rule"}
	if cfg, err := ConfigFromEnv(func(name string) string { return from[name] }); err != nil || cfg.Instance != 7 {
		t.Errorf("instance %d, %v: want that of the variable that is named", cfg.Instance, err)
	}
}

func FuzzList(f *testing.F) {
	f.Add([]byte(`{"ids":["b","a","b"]}`))
	f.Add([]byte(`{"ids":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := parseList(data)
		if err != nil {
			return
		}
		for i := 1; i < len(ids); i++ {
			if ids[i-1] >= ids[i] {
				t.Fatalf("%q are not ascending", ids)
			}
		}
		gone, come := differences(nil, ids)
		if len(gone) != 0 || len(come) != len(ids) {
			t.Fatalf("from nothing to %q: %q go, %q come", ids, gone, come)
		}
	})
}
