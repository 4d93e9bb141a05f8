package kafka

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/porttest"
	wire "dacorch/sim/wire/kafka"
)

var _ loop.Heartbeats = (*Consumer)(nil)

func TestHeartbeats(t *testing.T) {
	t.Run("one partition", func(t *testing.T) {
		porttest.Heartbeats(t, func(t *testing.T) porttest.HeartbeatsFixture { return standIn(t, 1, 1) })
	})
	t.Run("partitions on several brokers", func(t *testing.T) {
		porttest.Heartbeats(t, func(t *testing.T) porttest.HeartbeatsFixture { return standIn(t, 3, 4) })
	})
}

// standIn is a fixture on the stand-in.
func standIn(t *testing.T, brokers, partitions int) porttest.HeartbeatsFixture {
	server := startWire(t, wire.Config{Brokers: brokers, Topics: map[string]int{"HeartBeat": partitions}})
	producer := newProducer(t, server)
	return porttest.HeartbeatsFixture{
		New:     func(t *testing.T) loop.Heartbeats { return newConsumer(t, server, Config{}) },
		Produce: func(t *testing.T, value []byte) { produce(t, producer, value) },
		Outage:  func(t *testing.T, on bool) { server.Down(on) },
		Stall:   func(t *testing.T, on bool) { server.Stall(on) },
		MaxAge:  90 * time.Second,
	}
}

func startWire(t testing.TB, cfg wire.Config) *wire.Server {
	t.Helper()
	server, err := wire.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func newConsumer(t testing.TB, server *wire.Server, cfg Config) *Consumer {
	t.Helper()
	cfg.Brokers = server.Addrs()
	if cfg.Fresh == 0 {
		cfg.Fresh = time.Second
	}
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newProducer(t testing.TB, server *wire.Server) sarama.SyncProducer {
	t.Helper()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Producer.Return.Successes = true
	cfg.Producer.Partitioner = sarama.NewRoundRobinPartitioner
	producer, err := sarama.NewSyncProducer(server.Addrs(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = producer.Close() })
	return producer
}

func produce(t testing.TB, producer sarama.SyncProducer, value []byte) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: "HeartBeat", Value: sarama.ByteEncoder(value)})
		if err == nil {
			return
		}
		if deadline.Err() != nil {
			t.Fatalf("cannot produce: %v", err)
		}
	}
}
