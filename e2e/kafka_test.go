package e2e_test

import (
	"context"
	"errors"
	"fmt"

	"dacorch/e2e/rig"

	"github.com/IBM/sarama"
)

// removeGroup removes a kind's consumer group, which Kafka would keep for a week.
// It refuses while somebody is a member: an orchestrator that has gone has left.
func (w *world) removeGroup(k *kind) error {
	cfg := w.rig.KafkaConfig(rig.UserPlatform)
	admin, err := sarama.NewClusterAdmin([]string{w.rig.State().Services[rig.Kafka].Outside}, cfg)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	group := "iota-orchestrator-" + k.name
	err = retry(context.Background(), goneWithin, func(context.Context) error {
		err := admin.DeleteConsumerGroup(group)
		if errors.Is(err, sarama.ErrGroupIDNotFound) { // no heartbeats, or it never came so far
			return nil
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("consumer group %s: %w", group, err)
	}
	return errors.Join(err, admin.Close())
}
