package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// ask asks again and again where the partitions end, until ctx ends.
func (l *listener) ask(ctx context.Context, via *lines) {
	client, err := sarama.NewClient(l.cfg.Brokers, l.askConfig(via))
	if err != nil { // New has tried the configuration; nothing has been connected yet
		l.failed("cannot make a client", err)
		return
	}
	tick := time.NewTicker(l.cfg.Fresh / 4)
	defer tick.Stop()
	for wait := firstWait; ctx.Err() == nil; {
		a := answer{at: time.Now(), read: l.progress.read()}
		if a.ends, err = ends(client, l.cfg.Topic); err == nil {
			wait = firstWait
			l.progress.answered(a)
			l.tell()
		} else if ctx.Err() == nil {
			l.failed("the brokers do not say where the topic ends", err)
			wait = min(pause(ctx, wait), max(firstWait, l.cfg.Fresh))
			_ = client.RefreshMetadata(l.cfg.Topic) // the next question tells whether that has helped
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	_ = client.Close() // it has nothing to hand in
}

// ends asks the partitions' leaders for the offset after each one's last record.
func ends(client sarama.Client, topic string) (map[int32]int64, error) {
	partitions, err := client.Partitions(topic)
	if err != nil {
		return nil, fmt.Errorf("partitions of %s: %w", topic, err)
	}
	questions := map[*sarama.Broker]*sarama.OffsetRequest{}
	for _, p := range partitions {
		leader, err := client.Leader(topic, p)
		if err != nil {
			return nil, fmt.Errorf("leader of %s, partition %d: %w", topic, p, err)
		}
		if questions[leader] == nil {
			questions[leader] = sarama.NewOffsetRequest(client.Config().Version)
		}
		questions[leader].AddBlock(topic, p, sarama.OffsetNewest, 1)
	}
	ends := make(map[int32]int64, len(partitions))
	for leader, question := range questions {
		reply, err := leader.GetAvailableOffsets(question)
		if err != nil {
			_ = leader.Close() // a broken connection; the next question opens another
			return nil, fmt.Errorf("ends of %s, from broker %d: %w", topic, leader.ID(), err)
		}
		for p, block := range reply.Blocks[topic] {
			switch {
			case !errors.Is(block.Err, sarama.ErrNoError):
				return nil, fmt.Errorf("end of %s, partition %d: %w", topic, p, block.Err)
			case len(block.Offsets) != 1:
				return nil, fmt.Errorf("end of %s, partition %d: %d offsets: want one", topic, p, len(block.Offsets))
			}
			ends[p] = block.Offsets[0]
		}
	}
	if len(ends) != len(partitions) {
		return nil, fmt.Errorf("ends of %s: %d partitions of %d answered", topic, len(ends), len(partitions))
	}
	return ends, nil
}
