package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest"
	wire "dacorch/sim/wire/kafka"
)

// BenchmarkConsume compares heartbeats per second through the adapter with those
// of a bare sarama consumer that looks at none of them, on the same records.
func BenchmarkConsume(b *testing.B) {
	server := startWire(b, wire.Config{Topics: map[string]int{"HeartBeat": 2}})
	const records = 200_000
	fill(b, server, records)
	b.Run("bare sarama", func(b *testing.B) {
		for range b.N {
			consumeBare(b, server, records)
		}
		b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "beats/s")
	})
	b.Run("adapter", func(b *testing.B) {
		for i := range b.N {
			group := fmt.Sprintf("bench-%d-%d-", b.N, i)
			b.StopTimer()
			rewind(b, server, group+"Thing")
			b.StartTimer()
			consumeAdapter(b, server, group, records)
		}
		b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "beats/s")
	})
}

// fill produces heartbeats of the contract's form.
func fill(b *testing.B, server *wire.Server, n int) {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Producer.Partitioner = sarama.NewRoundRobinPartitioner
	cfg.Producer.Flush.Frequency = 5 * time.Millisecond
	producer, err := sarama.NewAsyncProducer(server.Addrs(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		producer.Input() <- &sarama.ProducerMessage{Topic: "HeartBeat",
			Value: sarama.ByteEncoder(porttest.HeartbeatValue("Thing", fleet.InstanceID(i%100), time.Now()))}
	}
	if err := producer.Close(); err != nil {
		b.Fatal(err)
	}
	if got := server.Count("HeartBeat"); got != int64(n) {
		b.Fatalf("%d records, want %d", got, n)
	}
}

// consumeBare reads everything with a group's member that does nothing else.
func consumeBare(b *testing.B, server *wire.Server, n int64) {
	c := newConsumer(b, server, Config{})
	cfg := c.groupConfig(nil)
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Offsets.AutoCommit.Enable = false
	group, err := sarama.NewConsumerGroup(server.Addrs(), fmt.Sprintf("bare-%d", time.Now().UnixNano()), cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	reader := &bareReader{left: n, end: cancel}
	if err := group.Consume(ctx, []string{"HeartBeat"}, reader); err != nil {
		b.Fatal(err)
	}
	if left := atomic.LoadInt64(&reader.left); left > 0 {
		b.Fatalf("%d records were not read", left)
	}
	_ = group.Close()
}

type bareReader struct {
	left int64
	end  context.CancelFunc
}

func (r *bareReader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (r *bareReader) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (r *bareReader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		session.MarkMessage(m, "")
		if atomic.AddInt64(&r.left, -1) == 0 {
			r.end()
		}
	}
	return nil
}

// rewind has a group begin at the topic's first record.
func rewind(b *testing.B, server *wire.Server, name string) {
	c := newConsumer(b, server, Config{})
	group, err := sarama.NewConsumerGroup(server.Addrs(), name, c.groupConfig(nil))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	if err := group.Consume(ctx, []string{"HeartBeat"}, rewinder{end: cancel}); err != nil {
		b.Fatal(err)
	}
	_ = group.Close()
	if at := server.Committed(name, "HeartBeat", 1); at != 0 {
		b.Fatalf("the group begins at %d, want 0", at)
	}
}

type rewinder struct{ end context.CancelFunc }

func (r rewinder) Setup(session sarama.ConsumerGroupSession) error {
	for topic, partitions := range session.Claims() {
		for _, p := range partitions {
			session.MarkOffset(topic, p, 0, "")
		}
	}
	session.Commit()
	r.end()
	return nil
}
func (r rewinder) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (r rewinder) ConsumeClaim(sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim) error {
	return nil
}

func consumeAdapter(b *testing.B, server *wire.Server, group string, n int) {
	c := newConsumer(b, server, Config{GroupPrefix: group})
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	beats := 0
	_ = c.Listen(ctx, "Thing", func(fleet.InstanceID) {
		if beats++; beats == n {
			cancel()
		}
	}, func(bool) {})
	if beats < n {
		b.Fatalf("%d of %d heartbeats: %+v", beats, n, c.Stats())
	}
}
