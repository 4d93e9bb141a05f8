package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"dacorch/orchestrator/api"

	"github.com/IBM/sarama"
)

// BenchmarkHeartbeats has an orchestrator read a backlog of heartbeats, from the
// records to the machine that has noted each. Beside it, in turns, on the same
// broker and the same records: a bare sarama consumer group with the adapter's
// settings that looks at none of them. Both are measured from when a tenth has
// been read, so that joining the group does not count.
func BenchmarkHeartbeats(b *testing.B) {
	const records, rounds, instances = 2_000_000, 3, 3
	rows := (instances-1)*perInstance + 1000
	p := benchPlatform(b, Config{}, Kind{Kind: "Thing", InstanceName: "iota-dac", Heartbeat: true, Idle: true}, rows)
	beats(b, p, records, instances)
	var whole, raw time.Duration
	for range rounds {
		newGroup(b, p, heartbeatGroup).rewind()
		whole += consumeWhole(b, p, records)
		raw += newGroup(b, p, "bare").consume(records)
	}
	const measured = rounds * (records - records/10)
	tell := func(by string, took time.Duration) {
		rowOf(b, by, took/measured, map[string]float64{"heartbeats/s": measured / took.Seconds(), "%-of-raw": 100 * float64(raw) / float64(took)})
	}
	tell("raw", raw)
	tell("orchestrator", whole)
}

const heartbeatGroup = "iota-orchestrator-Thing"

// beats produces heartbeats of the contract's form.
func beats(b *testing.B, p *Platform, n, instances int) {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Producer.Partitioner = sarama.NewRoundRobinPartitioner
	cfg.Producer.Flush.Frequency = 5 * time.Millisecond
	producer, err := sarama.NewAsyncProducer(p.Kafka.Addrs(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		value := fmt.Sprintf(`{"resource":"Thing","instanceId":%d,"timestamp":"%d"}`, i%instances, time.Now().Unix())
		producer.Input() <- &sarama.ProducerMessage{Topic: "HeartBeat", Value: sarama.StringEncoder(value)}
	}
	if err := producer.Close(); err != nil {
		b.Fatal(err)
	}
	if got := p.Kafka.Count("HeartBeat"); got != int64(n) {
		b.Fatalf("%d records, want %d", got, n)
	}
}

// consumeWhole runs an orchestrator until its machine has noted every heartbeat.
func consumeWhole(b *testing.B, p *Platform, records int64) time.Duration {
	r := &rig{b: b, p: p}
	p.Kafka.Stall(true) // what it does when it starts is not what is measured
	defer r.start(entryOf)()
	r.quiet()
	p.Kafka.Stall(false)
	var first time.Time
	var already int64
	await(b, "every heartbeat to be noted", func() bool {
		heard := r.heartbeats()
		if first.IsZero() && heard >= records/10 {
			first, already = time.Now(), heard
		}
		return heard >= records
	})
	if already > records/2 {
		b.Fatalf("%d of %d heartbeats had been read at the first look", already, records)
	}
	// What was read before the first look took as long as what was read later.
	return time.Duration(float64(time.Since(first)) * float64(records-records/10) / float64(records-already))
}

// heartbeats is how many the machine has noted; the client of the package api
// would pause when the orchestrator does not lead yet.
func (r *rig) heartbeats() int64 {
	resp, err := http.Get("http://" + r.addr + "/v1/api/orchestrations/Thing/status")
	if err != nil {
		r.b.Fatal(err)
	}
	defer resp.Body.Close()
	var st api.Status
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		r.b.Fatal(err)
	}
	return st.Counters["heartbeats"]
}

// group is a bare member of a consumer group.
type group struct {
	b     *testing.B
	group sarama.ConsumerGroup

	rewinds     bool
	all, read   int64
	first, last time.Time
	end         context.CancelFunc
}

// newGroup has the settings of the orchestrator's adapter, except for where a new
// group begins.
func newGroup(b *testing.B, p *Platform, name string) *group {
	b.Helper()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Consumer.MaxWaitTime = 250 * time.Millisecond
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	cfg.Consumer.Group.Session.Timeout = 10 * time.Second
	cfg.Consumer.Group.Heartbeat.Interval = 2500 * time.Millisecond
	g, err := sarama.NewConsumerGroup(p.Kafka.Addrs(), name, cfg)
	if err != nil {
		b.Fatal(err)
	}
	return &group{b: b, group: g}
}

func (g *group) run() {
	ctx, cancel := context.WithTimeout(g.b.Context(), patience)
	defer cancel()
	g.end = cancel
	if err := g.group.Consume(ctx, []string{"HeartBeat"}, g); err != nil {
		g.b.Fatal(err)
	}
	if err := g.group.Close(); err != nil {
		g.b.Fatal(err)
	}
}

// rewind has the group begin at the topic's first record.
func (g *group) rewind() {
	g.rewinds = true
	g.run()
}

// consume reads so many records and answers how long that took from when a tenth
// had been read.
func (g *group) consume(n int64) time.Duration {
	g.all = n
	g.run()
	if g.read < n {
		g.b.Fatalf("%d of %d records", g.read, n)
	}
	return g.last.Sub(g.first)
}

// Setup is sarama's.
func (g *group) Setup(session sarama.ConsumerGroupSession) error {
	for topic, partitions := range session.Claims() {
		for _, p := range partitions {
			session.ResetOffset(topic, p, 0, "")
			session.MarkOffset(topic, p, 0, "")
		}
	}
	session.Commit()
	if g.rewinds {
		g.end()
	}
	return nil
}

// Cleanup is sarama's.
func (g *group) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim is sarama's.
func (g *group) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	if g.rewinds {
		return nil
	}
	for m := range claim.Messages() {
		session.MarkMessage(m, "")
		switch read := atomic.AddInt64(&g.read, 1); {
		case read == g.all/10:
			g.first = time.Now()
		case read == g.all:
			g.last = time.Now()
			g.end()
		}
	}
	return nil
}
