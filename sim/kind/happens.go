package kind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// The roots of the trees (CONTRACT.md, ZooKeeper).
const (
	orchestrationRoot = "/iota/orchestration/"
	ownRoot           = "/iota/orchestrator/"
)

// logPeriod is how often the transaction log is looked at.
const logPeriod = 10 * time.Millisecond

// begin is wire.Scene.Begin: from here on the run is told what happens.
func (g *ground) begin(context.Context) error {
	log, err := zookeeper.FollowLog(filepath.Join(g.rig.ZooKeeperData(), "version-2"))
	if err != nil {
		return err
	}
	g.works.Go(func() { g.follow(log) })
	g.s.Told.Hear(g.crew.client)
	return nil
}

// watch watches the pods in the namespace. There are none yet, so nothing is told.
func (g *ground) watch(ctx context.Context) error {
	g.works.Go(func() { g.pods.informer.RunWithContext(klog.NewContext(g.ctx, g.pods.log)) })
	if !cache.WaitForCacheSync(ctx.Done(), g.pods.informer.HasSynced) {
		return fmt.Errorf("the watch of the pods in %s: %w", namespace, context.Cause(ctx))
	}
	return nil
}

// following is how far ZooKeeper's log was read.
type following struct {
	asked chan chan<- struct{} // to be closed when all was read that was there before
	lost  chan struct{}        // closed when it is not read any more
}

func newFollowing() following {
	return following{make(chan chan<- struct{}), make(chan struct{})}
}

// follow tells what ZooKeeper carries out, until the site ends.
func (g *ground) follow(log *zookeeper.Log) {
	defer close(g.lost)
	defer log.Close() // it was only read
	every := time.NewTicker(logPeriod)
	defer every.Stop()
	tell := func(session int64, _ time.Time, changes []zookeeper.Change) {
		if changes = g.ours(changes); len(changes) > 0 {
			g.s.Told.Tree(session, changes)
			g.dacs.tree(session, changes)
		}
	}
	for {
		var asked chan<- struct{}
		select {
		case <-every.C:
		case asked = <-g.asked:
		case <-g.ctx.Done():
			return
		}
		if err := log.Read(tell); err != nil {
			g.s.Told.Lost(fmt.Errorf("%w: %w", errLost, err))
			return
		}
		if asked != nil {
			close(asked)
		}
	}
}

// caughtUp waits until all was told that ZooKeeper has carried out by now.
func (g *ground) caughtUp(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case g.asked <- done:
	case <-g.lost:
		return errLost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-done:
		return nil
	case <-g.lost:
		return errLost
	}
}

var errLost = errors.New("what ZooKeeper did is not known any more")

// ours are the changes in the trees of the run's kinds, as if these were called as
// in the scenario.
func (g *ground) ours(changes []zookeeper.Change) (ours []zookeeper.Change) {
	for _, c := range changes {
		for _, root := range []string{orchestrationRoot, ownRoot} {
			rest, below := strings.CutPrefix(c.Path, root)
			called, node, _ := strings.Cut(rest, "/")
			kind, run := strings.CutSuffix(called, suffix)
			if below && run && g.dacs.kinds[fleet.Kind(kind)] != nil {
				c.Path = strings.TrimSuffix(root+kind+"/"+node, "/")
				ours = append(ours, c)
			}
		}
	}
	return ours
}

// pods follows the pods of the run's instances and of its orchestrators.
type pods struct {
	g        *ground
	store    cache.Store
	informer cache.Controller
	log      klog.Logger // client-go's own words, which would go to standard error

	mu sync.Mutex // one event at a time
}

func newPods(g *ground) *pods {
	p := &pods{g: g, log: logr.FromSlogHandler(slog.NewTextHandler(g.s.Log, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	of := g.set.CoreV1().Pods(namespace)
	p.store, p.informer = cache.NewInformerWithOptions(cache.InformerOptions{
		Logger:     &p.log,
		ObjectType: &corev1.Pod{},
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return of.List(ctx, o) },
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return of.Watch(ctx, o)
			},
		},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(is any) { p.happened(nil, is.(*corev1.Pod)) },
			UpdateFunc: func(was, is any) {
				was0, is0 := was.(*corev1.Pod), is.(*corev1.Pod)
				if was0.UID != is0.UID { // the watch was away meanwhile
					p.happened(was0, nil)
					was0 = nil
				}
				p.happened(was0, is0)
			},
			DeleteFunc: func(was any) {
				if gone, late := was.(cache.DeletedFinalStateUnknown); late {
					was = gone.Obj
				}
				if pod, is := was.(*corev1.Pod); is {
					p.happened(pod, nil)
				}
			},
		},
	})
	return p
}

// happened tells of a pod: nil before stands for none, nil after for gone. A
// program ends after its pod was deleted, but before it is known to have failed.
func (p *pods) happened(was, is *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tell, dacs := p.g.s.Told.Pod, p.g.dacs
	p.g.crew.seen(was, is)
	if is != nil && evicted(is) && (was == nil || !evicted(was)) {
		if kind, id, ok := dacs.named(is.Name); ok {
			p.g.s.Told.Evicted(kind, id)
		}
	}
	switch {
	case is == nil:
		tell(watch.Deleted, was, was)
		dacs.gone(was)
	case was == nil:
		tell(watch.Added, nil, is)
		dacs.created(is)
	default:
		dacs.changed(is)
		tell(watch.Modified, was, is)
	}
}

// evicted says that the API server was asked to evict a pod, and does so.
func evicted(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason == "EvictionByEvictionAPI"
	})
}

// pod is a pod as the watch knows it; nil for none.
func (p *pods) pod(name string) *corev1.Pod {
	found, there, err := p.store.GetByKey(namespace + "/" + name)
	if err != nil || !there {
		return nil
	}
	return found.(*corev1.Pod)
}
