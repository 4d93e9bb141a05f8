package kind

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
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
	return nil
}

// watch begins to watch the pods, of which there are none yet.
func (g *ground) watch(ctx context.Context) error {
	g.works.Go(func() { g.pods.informer.RunWithContext(g.ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), g.pods.informer.HasSynced) {
		return fmt.Errorf("the watch of the pods in %s: %w", namespace, context.Cause(ctx))
	}
	return nil
}

// follow tells what ZooKeeper carries out, until the site ends.
func (g *ground) follow(log *zookeeper.Log) {
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
		if err := log.Read(tell); err != nil {
			g.unseen(fmt.Errorf("what ZooKeeper did is not known any more: %w", err))
			return
		}
		select {
		case <-every.C:
		case <-g.ctx.Done():
			return
		}
	}
}

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

// pods follows the pods of the run's instances.
type pods struct {
	g        *ground
	store    cache.Store
	informer cache.Controller

	mu sync.Mutex // one event at a time
}

func newPods(g *ground) *pods {
	p := &pods{g: g}
	of := g.set.CoreV1().Pods(namespace)
	p.store, p.informer = cache.NewInformerWithOptions(cache.InformerOptions{
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

// pod is an instance's pod; nil for none.
func (p *pods) pod(name string) *corev1.Pod {
	found, there, err := p.store.GetByKey(namespace + "/" + name)
	if err != nil || !there {
		return nil
	}
	return found.(*corev1.Pod)
}
