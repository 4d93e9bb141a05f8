package kind

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/go-zookeeper/zk"
	"github.com/jackc/pgx/v5/stdlib"

	"dacorch/e2e/rig"
	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire"
	"dacorch/sim/wire/zookeeper"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// site is what a run has on a rig, and the connections through which it is put
// there and cleared away. A run that was killed leaves its site behind: the next
// one clears it away first.
type site struct {
	rig   *rig.Rig
	set   *kubernetes.Clientset
	zk    *zk.Conn
	db    *sql.DB
	kinds []wire.Kind
	ctx   context.Context // ends with the site
	end   context.CancelFunc
	done  []func(ctx context.Context) error // what closes it, the last first
}

// claim is the ephemeral node of the run that has the rig.
const claim = "/iota/sim"

const (
	sessionTimeout = 10 * time.Second
	claimPatience  = 2 * sessionTimeout // a run that was killed holds it for a session
	goneEvery      = 250 * time.Millisecond
)

// openSite connects to a rig, waits until no other run has it, and clears away what
// such a one has left behind.
func openSite(ctx context.Context, name string, kinds []wire.Kind) (_ *site, err error) {
	r, err := rig.Open(name)
	if err != nil {
		return nil, err
	}
	s := &site{rig: r, kinds: kinds}
	s.onClose(func(context.Context) error { return r.Close() })
	s.ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			s.end()
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.claim(ctx); err != nil {
		return nil, err
	}
	if err := s.clear(ctx); err != nil {
		return nil, fmt.Errorf("clearing away what an earlier run has left on the rig: %w", err)
	}
	s.onClose(s.clear)
	return s, nil
}

// connect connects to the servers.
func (s *site) connect(ctx context.Context) (err error) {
	if s.set, err = kubernetes.NewForConfig(s.rig.REST()); err != nil {
		return err
	}
	if s.zk, err = s.rig.ConnectZooKeeper(ctx, rig.UserOrchestrator, sessionTimeout); err != nil {
		return err
	}
	s.onClose(func(context.Context) error { s.zk.Close(); return nil })
	cfg, err := s.rig.DatabaseConfig(rig.UserPlatform)
	if err != nil {
		return err
	}
	s.db = stdlib.OpenDB(*cfg)
	s.onClose(func(context.Context) error { return s.db.Close() })
	return nil
}

func (s *site) onClose(f func(ctx context.Context) error) { s.done = append(s.done, f) }

// close clears the site away and ends its connections.
func (s *site) close(ctx context.Context) error {
	var errs []error
	for _, f := range slices.Backward(s.done) {
		errs = append(errs, f(ctx))
	}
	s.done = nil
	return errors.Join(errs...)
}

// claim takes the rig for this run.
func (s *site) claim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	for {
		_, err := s.zk.Create(claim, nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		if !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
		if pause(ctx, goneEvery) != nil {
			return fmt.Errorf("another run has the rig (%s at ZooKeeper): wait until it has ended", claim)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// clear removes what a run has put on the rig.
func (s *site) clear(ctx context.Context) error {
	errs := []error{s.clearNamespace(ctx)} // first: nobody writes any more
	for _, k := range s.kinds {
		called := string(k.Kind) + suffix
		errs = append(errs, s.clearTree(ctx, orchestrationRoot+called), s.clearTree(ctx, ownRoot+called), s.clearGroup(ctx, called))
		for _, table := range []string{called, called + wire.HiddenSuffix} {
			_, err := s.db.ExecContext(ctx, `DROP TABLE IF EXISTS "`+strings.ReplaceAll(table, `"`, `""`)+`"`)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
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

// clearTree removes a node with all below it; what a program that is about to end
// makes there meanwhile too.
func (s *site) clearTree(ctx context.Context, at string) error {
	for {
		err := s.clearNodes(at)
		if !errors.Is(err, zk.ErrNotEmpty) || pause(ctx, goneEvery) != nil {
			return err
		}
	}
}

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

// kafkaPatience bounds the wait for a Kafka that has just been started.
const kafkaPatience = time.Minute

// clearGroup removes a kind's consumer group, so that the next run's begins anew.
func (s *site) clearGroup(ctx context.Context, kind string) error {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	group := "iota-orchestrator-" + kind
	for {
		admin, err := sarama.NewClusterAdmin([]string{s.rig.State().Services[rig.Kafka].Outside}, s.rig.KafkaConfig(rig.UserPlatform))
		if err == nil {
			err = errors.Join(admin.DeleteConsumerGroup(group), admin.Close())
		}
		switch {
		case err == nil || errors.Is(err, sarama.ErrGroupIDNotFound):
			return nil
		case pause(ctx, 4*goneEvery) != nil:
			return fmt.Errorf("kafka: consumer group %s: %w", group, err)
		}
	}
}

// centre makes the data centre, on the rig's database and broker.
func (s *site) centre() (*wire.DataCentre, error) {
	publish, end, err := wire.Publisher(s.rig.MQTTOptions(rig.UserPlatform, "dacorch-sim"))
	if err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { end(); return nil })
	return wire.NewCentre(s.db, s.kinds, publish)
}

// nodes reads a kind's instances from ZooKeeper, called as in the scenario.
func (s *site) nodes(ctx context.Context, kind fleet.Kind) (nodes []zookeeper.Node, err error) {
	root := orchestrationRoot + string(kind) + suffix
	instances, _, err := s.zk.Children(root)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	for _, id := range instances {
		for _, what := range []string{"", "resources", "_reload"} {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			data, stat, err := s.zk.Get(path.Join(root, id, what))
			if errors.Is(err, zk.ErrNoNode) {
				continue // it was deleted in between
			} else if err != nil {
				return nil, err
			}
			nodes = append(nodes, zookeeper.Node{Path: path.Join(orchestrationRoot, string(kind), id, what), Data: data, Stat: zookeeper.Stat{Version: stat.Version}})
		}
	}
	return nodes, err
}
