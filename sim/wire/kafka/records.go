package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Record is one record of a topic.
type Record struct {
	Partition int32
	Offset    int64
	Time      time.Time // as the producer or the broker has set it
	Key       []byte
	Value     []byte
}

// Records reads all that a topic holds now, partition by partition, in the order
// of offsets. It comes over the wire, through whatever faults are on; it fails
// when they outlast ctx.
func (s *Server) Records(ctx context.Context, topic string) ([]Record, error) {
	consumer, err := sarama.NewConsumer(s.Addrs(), s.clientConfig())
	if err != nil {
		return nil, fmt.Errorf("records of %s: %w", topic, err)
	}
	var records []Record
	for _, p := range s.cluster.PartitionInfos(topic) {
		if records, err = readPartition(ctx, consumer, topic, p.Partition, p.HighWatermark, records); err != nil {
			break
		}
	}
	return records, errors.Join(err, consumer.Close())
}

func readPartition(ctx context.Context, consumer sarama.Consumer, topic string, partition int32, end int64, records []Record) ([]Record, error) {
	if end == 0 {
		return records, nil
	}
	reader, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return records, fmt.Errorf("records of %s, partition %d: %w", topic, partition, err)
	}
	for next := int64(0); next < end; {
		select {
		case m := <-reader.Messages():
			next = m.Offset + 1
			records = append(records, Record{partition, m.Offset, m.Timestamp, m.Key, m.Value})
		case err := <-reader.Errors():
			return records, errors.Join(err, reader.Close())
		case <-ctx.Done():
			return records, errors.Join(fmt.Errorf("records of %s, partition %d from offset %d: %w",
				topic, partition, next, context.Cause(ctx)), reader.Close())
		}
	}
	return records, reader.Close()
}

// clientConfig is that of a client that may do everything.
func (s *Server) clientConfig() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.ClientID = "dacorch-stand-in"
	cfg.Consumer.Return.Errors = true
	if s.cfg.User != "" {
		cfg.Net.SASL.Enable = true
		cfg.Net.SASL.User, cfg.Net.SASL.Password = s.cfg.User, s.cfg.Password
	}
	if s.cfg.TLS != nil {
		cfg.Net.TLS.Enable = true
		cfg.Net.TLS.Config = &tls.Config{InsecureSkipVerify: true} // the Server speaks to itself, over loopback
	}
	return cfg
}
