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

	mu     sync.RWMutex // held by Send while it hands over, so that nothing follows the end
	now    *producer
	closed bool
}

// producer is one of sarama's.
type producer struct {
	sarama.AsyncProducer
	failed atomic.Bool
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
		b.now.AsyncClose()
	}
	p := &producer{AsyncProducer: made}
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

// ready replaces a producer that has failed.
func (b *KafkaBeats) ready() error {
	b.mu.RLock()
	failed := b.now.failed.Load()
	b.mu.RUnlock()
	if !failed {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || !b.now.failed.Load() { // somebody else was faster
		return nil
	}
	return b.renew()
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
	if err := b.ready(); err != nil {
		return err
	}
	if err := b.hand(ctx, m); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("heartbeat not acknowledged: %w", context.Cause(ctx))
	}
}

func (b *KafkaBeats) hand(ctx context.Context, m *sarama.ProducerMessage) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return errClosed
	}
	select {
	case b.now.Input() <- m:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("heartbeat not taken: %w", context.Cause(ctx))
	}
}

// Close ends the producer. What is not yet acknowledged gets its few attempts.
func (b *KafkaBeats) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		b.now.AsyncClose()
	}
	b.mu.Unlock()
	b.answers.Wait()
}
