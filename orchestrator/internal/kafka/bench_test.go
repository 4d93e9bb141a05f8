package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest"
	wire "dacorch/sim/wire/kafka"
)

// BenchmarkConsume compares heartbeats per second through the adapter with those
// of a bare sarama consumer that looks at none of them, on the same records, from
// the first one's arrival to the last one's.
func BenchmarkConsume(b *testing.B) {
	server := startWire(b, wire.Config{Topics: map[string]int{"HeartBeat": 2}})
	const records = 200_000
	fill(b, server, records)
	var bare, adapter time.Duration
	for i := range b.N { // by turns: what else the machine does hits both
		bare += consumeBare(b, server, records)
		group := fmt.Sprintf("bench-%d-%d-", b.N, i)
		rewind(b, server, group+"Thing")
		adapter += consumeAdapter(b, server, group, records)
	}
	all := records * float64(b.N)
	b.ReportMetric(all/bare.Seconds(), "bare-beats/s")
	b.ReportMetric(all/adapter.Seconds(), "beats/s")
	b.ReportMetric(100*bare.Seconds()/adapter.Seconds(), "%-of-bare")
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
func consumeBare(b *testing.B, server *wire.Server, n int64) time.Duration {
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
	return reader.last.Sub(reader.first)
}

type bareReader struct {
	left        int64
	end         context.CancelFunc
	began       sync.Once
	first, last time.Time
}

func (r *bareReader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (r *bareReader) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (r *bareReader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		r.began.Do(func() { r.first = time.Now() })
		session.MarkMessage(m, "")
		if atomic.AddInt64(&r.left, -1) == 0 {
			r.last = time.Now()
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

func consumeAdapter(b *testing.B, server *wire.Server, group string, n int) time.Duration {
	c := newConsumer(b, server, Config{GroupPrefix: group})
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	beats := 0
	var first, last time.Time
	_ = c.Listen(ctx, "Thing", func(fleet.InstanceID) {
		switch beats++; beats {
		case 1:
			first = time.Now()
		case n:
			last = time.Now()
			cancel()
		}
	}, func(bool) {})
	if beats < n {
		b.Fatalf("%d of %d heartbeats: %+v", beats, n, c.Stats())
	}
	return last.Sub(first)
}
