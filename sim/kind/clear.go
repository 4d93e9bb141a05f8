package kind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/go-zookeeper/zk"

	"dacorch/e2e/rig"
	"dacorch/sim/wire"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clear removes what runs have put on the rig, of whatever kinds: one that was
// killed leaves its own to the next, which has others.
func (s *site) clear(ctx context.Context) error {
	return errors.Join(
		s.clearNamespace(ctx), // first: nobody writes any more
		s.clearToken(),
		s.clearSessions(ctx),
		s.clearTrees(ctx, orchestrationRoot),
		s.clearTrees(ctx, ownRoot),
		s.clearTables(ctx),
		s.clearGroups(ctx))
}

// clearNamespace deletes the namespace with everything in it, and waits for its end.
func (s *site) clearNamespace(ctx context.Context) error {
	spaces := s.set.CoreV1().Namespaces()
	now := int64(0)
	err := s.set.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	for {
		err := spaces.Delete(ctx, namespace, metav1.DeleteOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil && !apierrors.IsConflict(err):
			return fmt.Errorf("namespace %s: %w", namespace, err)
		}
		if err := pause(ctx, goneEvery); err != nil {
			return fmt.Errorf("namespace %s: its end: %w", namespace, err)
		}
	}
}

// clearToken removes the file with the release's token, as Uninstall does.
func (s *site) clearToken() error {
	err := os.Remove(s.rig.TokenFile(namespace, release))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// brokerPatience bounds one connection to Mosquitto, which answers in milliseconds.
const brokerPatience = 10 * time.Second

// clearSessions ends the orchestrators' sessions at the broker.
func (s *site) clearSessions(ctx context.Context) error {
	for i := range mostOrchestrators {
		ctx, cancel := context.WithTimeout(ctx, brokerPatience)
		err := s.rig.ForgetSession(ctx, rig.ClientID(namespace, release, i))
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// clearTrees removes what runs' kinds have below a root.
func (s *site) clearTrees(ctx context.Context, root string) error {
	for {
		err := s.clearKinds(strings.TrimSuffix(root, "/"))
		if !again(err) || pause(ctx, goneEvery) != nil {
			return err
		}
	}
}

// again says that a failure of ZooKeeper's may be over at the next try: the
// connection went, or a program that is about to end has made a node meanwhile.
func again(err error) bool {
	return errors.Is(err, zk.ErrNotEmpty) || errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) || errors.Is(err, zk.ErrSessionExpired) || errors.Is(err, zk.ErrSessionMoved)
}

func (s *site) clearKinds(root string) error {
	kinds, _, err := s.zk.Children(root)
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	for _, kind := range kinds {
		if ofRun(kind) {
			err = errors.Join(err, s.clearNodes(path.Join(root, kind)))
		}
	}
	return err
}

// ofRun says that a kind is one of a run: its own name ends so.
func ofRun(kind string) bool { return strings.HasSuffix(kind, suffix) }

// clearNodes removes a node with all below it.
func (s *site) clearNodes(at string) error {
	children, _, err := s.zk.Children(at)
	for _, name := range children {
		err = errors.Join(err, s.clearNodes(path.Join(at, name)))
	}
	if err == nil {
		err = s.zk.Delete(at, -1)
	}
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// clearTables drops the tables of runs' kinds.
func (s *site) clearTables(ctx context.Context) error {
	tables, err := s.tables(ctx)
	for _, table := range tables {
		_, dropped := s.db.ExecContext(ctx, `DROP TABLE IF EXISTS "`+strings.ReplaceAll(table, `"`, `""`)+`"`)
		err = errors.Join(err, dropped)
	}
	if err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	return nil
}

// tables are those of runs' kinds, be they out of the orchestrator's sight.
func (s *site) tables(ctx context.Context) (tables []string, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return nil, err
		}
		if ofRun(strings.TrimSuffix(table, wire.HiddenSuffix)) {
			tables = append(tables, table)
		}
	}
	return tables, rows.Err()
}

// kafkaPatience bounds the wait for a Kafka that has just been started, and for it
// to notice that the members of a group are gone.
const kafkaPatience = time.Minute

// groupPrefix begins the names of the orchestrators' consumer groups, which end
// with the kind (CONTRACT.md, Kafka).
const groupPrefix = "iota-orchestrator-"

// clearGroups removes the consumer groups of runs' kinds, so that the next run's
// begin anew.
func (s *site) clearGroups(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	for {
		err := s.tryGroups()
		if err == nil || pause(ctx, 4*goneEvery) != nil {
			return err
		}
	}
}

func (s *site) tryGroups() error {
	admin, err := sarama.NewClusterAdmin([]string{s.rig.State().Services[rig.Kafka].Outside}, s.rig.KafkaConfig(rig.UserPlatform))
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	groups, err := admin.ListConsumerGroups()
	for group := range groups {
		kind, is := strings.CutPrefix(group, groupPrefix)
		if !is || !ofRun(kind) {
			continue
		}
		if gone := admin.DeleteConsumerGroup(group); gone != nil && !errors.Is(gone, sarama.ErrGroupIDNotFound) {
			err = errors.Join(err, fmt.Errorf("consumer group %s: %w", group, gone))
		}
	}
	if err = errors.Join(err, admin.Close()); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}
