package dac

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"dacorch/orchestrator/fleet"
)

// Beats sends heartbeats.
type Beats interface {
	// Send sends one heartbeat, of now, and answers once it has been acknowledged;
	// with ctx's error when that takes longer. Safe for concurrent use.
	Send(ctx context.Context, kind fleet.Kind, id fleet.InstanceID) error
}

// BeatsConfig says where KafkaBeats sends.
type BeatsConfig struct {
	Brokers []string
	Topic   string      // "HeartBeat" by default
	TLS     *tls.Config // spoken with the brokers unless nil
	SASL    SASL
	// Configure, unless nil, may change the client's configuration, such as its
	// timeouts.
	Configure func(*sarama.Config)
}

// KafkaBeats sends heartbeats to Kafka (CONTRACT.md). One of them serves any
// number of DACs with a connection to each broker.
//
// A producer that has failed is replaced by a new one with the next heartbeat:
// sarama's own would refuse all for ten seconds after three failures, and so be
// silent although the brokers are back.
type KafkaBeats struct {
	brokers []string
	topic   string
	client  *sarama.Config
	answers sync.WaitGroup

	mu     sync.Mutex // nothing waits that holds it
	now    *producer
	closed bool
}

// producer is one of sarama's.
type producer struct {
	sarama.AsyncProducer
	failed  atomic.Bool
	over    chan struct{}  // closed once another is in its place, or none
	handing sync.WaitGroup // those who hand over to it, so that nothing follows its end
}

// NewBeats makes a producer. It connects when there is something to send, so
// that it can be made while no broker answers; the error is a configuration's.
func NewBeats(cfg BeatsConfig) (*KafkaBeats, error) {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	c.ClientID = "dacorch-dac"
	c.Metadata.Full = false
	c.Metadata.Retry.Max = 1
	c.Net.DialTimeout = 5 * time.Second
	c.Net.ReadTimeout = 10 * time.Second
	c.Net.WriteTimeout = 5 * time.Second
	c.Producer.Return.Successes = true
	c.Producer.Return.Errors = true
	c.Net.TLS.Enable, c.Net.TLS.Config = cfg.TLS != nil, cfg.TLS
	if err := cfg.SASL.check(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	cfg.SASL.configure(c)
	if cfg.Configure != nil {
		cfg.Configure(c)
	}
	b := &KafkaBeats{brokers: cfg.Brokers, topic: cmp.Or(cfg.Topic, "HeartBeat"), client: c}
	if err := b.renew(); err != nil {
		return nil, err
	}
	return b, nil
}

// renew makes a producer in the place of the last. What that one still holds gets
// its few attempts.
func (b *KafkaBeats) renew() error {
	made, err := sarama.NewAsyncProducer(b.brokers, b.client)
	if err != nil {
		return fmt.Errorf("kafka %v: %w", b.brokers, err)
	}
	if b.now != nil {
		b.retire()
	}
	p := &producer{AsyncProducer: made, over: make(chan struct{})}
	b.now = p
	b.answers.Go(func() {
		for m := range p.Successes() {
			m.Metadata.(chan error) <- nil
		}
	})
	b.answers.Go(func() {
		for e := range p.Errors() {
			p.failed.Store(true)
			e.Msg.Metadata.(chan error) <- e.Err
		}
	})
	return nil
}

// retire ends the producer once those have gone who hand over to it.
func (b *KafkaBeats) retire() {
	p := b.now
	close(p.over)
	b.answers.Go(func() {
		p.handing.Wait()
		p.AsyncClose()
	})
}

// ready answers a producer that has not failed, a new one if need be. The caller
// hands over to it, and says when that is done.
func (b *KafkaBeats) ready() (*producer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	if b.now.failed.Load() {
		if err := b.renew(); err != nil {
			return nil, err
		}
	}
	b.now.handing.Add(1)
	return b.now, nil
}

// errClosed is what Send answers after Close.
var errClosed = errors.New("the producer is closed")

// Send is Beats' Send.
func (b *KafkaBeats) Send(ctx context.Context, kind fleet.Kind, id fleet.InstanceID) error {
	return b.SendAt(ctx, kind, id, time.Now())
}

// SendAt is Send for whom the time is another.
func (b *KafkaBeats) SendAt(ctx context.Context, kind fleet.Kind, id fleet.InstanceID, at time.Time) error {
	value, err := json.Marshal(map[string]string{
		"resource": string(kind), "instanceId": id.String(), "timestamp": strconv.FormatInt(at.Unix(), 10)})
	if err != nil {
		return err
	}
	answer := make(chan error, 1)
	m := &sarama.ProducerMessage{Topic: b.topic, Metadata: answer,
		Key: sarama.StringEncoder(string(kind) + "-" + id.String()), Value: sarama.ByteEncoder(value)}
	for taken := false; !taken; {
		p, err := b.ready()
		if err != nil {
			return err
		}
		if taken, err = p.hand(ctx, m); err != nil {
			return err
		}
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("heartbeat not acknowledged: %w", context.Cause(ctx))
	}
}

// hand hands a heartbeat over; it is not taken by a producer that is over meanwhile.
func (p *producer) hand(ctx context.Context, m *sarama.ProducerMessage) (taken bool, err error) {
	defer p.handing.Done()
	select {
	case p.Input() <- m:
		return true, nil
	case <-p.over:
		return false, nil
	case <-ctx.Done():
		return false, fmt.Errorf("heartbeat not taken: %w", context.Cause(ctx))
	}
}

// Close ends the producer. What is not yet acknowledged gets its few attempts.
func (b *KafkaBeats) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		b.retire()
	}
	b.mu.Unlock()
	b.answers.Wait()
}
