package kind

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/jackc/pgx/v5/stdlib"

	"dacorch/e2e/rig"
	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire"
	"dacorch/sim/wire/zookeeper"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
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

const (
	sessionTimeout = 10 * time.Second
	goneEvery      = 250 * time.Millisecond
)

// openSite claims a rig, starts what a run that was killed has taken away,
// connects, and clears away what else such a one has left behind.
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
	if err := s.claim(); err != nil {
		return nil, err
	}
	for _, service := range rig.ServiceNames {
		if err := r.StartService(ctx, service); err != nil {
			return nil, fmt.Errorf("a server of the rig does not come up (dacorch rig up repairs a rig): %w", err)
		}
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.clear(ctx); err != nil {
		return nil, fmt.Errorf("clearing away what an earlier run has left on the rig: %w", err)
	}
	s.onClose(s.clear)
	return s, nil
}

// claim takes the rig for this run. Whatever becomes of this process and of the
// servers, it is held for as long as the process is there, and no longer.
func (s *site) claim() error {
	held, err := s.rig.Claim("sim")
	if errors.Is(err, rig.ErrClaimed) {
		return fmt.Errorf("another run has the rig, wait until it has ended: %w", err)
	} else if err != nil {
		return err
	}
	s.onClose(func(context.Context) error { return held.Close() })
	return nil
}

// connect connects to the servers.
func (s *site) connect(ctx context.Context) (err error) {
	to := s.rig.REST()
	to.WarningHandler = rest.NoWarnings{} // which would go to standard error
	if s.set, err = kubernetes.NewForConfig(to); err != nil {
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

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
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

// readPatience bounds the tries to read ZooKeeper while its connection comes back.
const readPatience = 10 * time.Second

// nodes reads a kind's instances from ZooKeeper, called as in the scenario.
func (s *site) nodes(ctx context.Context, kind fleet.Kind) (nodes []zookeeper.Node, err error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	for {
		if nodes, err = s.tryNodes(ctx, kind); !again(err) || pause(ctx, goneEvery) != nil {
			return nodes, err
		}
	}
}

func (s *site) tryNodes(ctx context.Context, kind fleet.Kind) (nodes []zookeeper.Node, err error) {
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
