package kubernetes

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"dacorch/orchestrator/fleet"
)

// Watch tells every pod at first, then all changes; gone when a pod has finally
// gone, once for each UID that was told. It runs until ctx ends, and answers
// why. Cuts, a server's restarts and expired versions (410) are healed by
// watching again or listing; what happened meanwhile is told as the difference.
// While a function blocks, the connection is not read, so nothing piles up here.
func (c *Client) Watch(ctx context.Context, kind fleet.Kind, seen func(fleet.Pod), gone func(id fleet.InstanceID, uid string)) error {
	k, err := c.kind(kind)
	if err != nil {
		return err
	}
	log := logr.FromSlogHandler(quiet{c.log.With("kind", string(kind)).Handler()})
	ctx = klog.NewContext(ctx, log)
	w := &podWatch{c: c, kind: k, ctx: ctx, seen: seen, gone: gone, known: map[fleet.InstanceID]fleet.Pod{}}
	defer w.forget()
	cache.NewReflectorWithOptions(w, &corev1.Pod{}, w, cache.ReflectorOptions{Name: "pods of " + string(kind), Logger: &log}).RunWithContext(ctx)
	return ctx.Err()
}

// podWatch is both what a reflector reads from and what it writes to. It keeps
// of each pod only what was told.
type podWatch struct {
	c     *Client
	kind  *podKind
	ctx   context.Context // of the Watch
	seen  func(fleet.Pod)
	gone  func(fleet.InstanceID, string)
	known map[fleet.InstanceID]fleet.Pod // as told last
}

// IsWatchListSemanticsUnSupported makes the reflector list first and then watch:
// streaming a list saves a server with many thousands of objects memory, and
// ends a listing only with a bookmark that older servers never send.
func (w *podWatch) IsWatchListSemanticsUnSupported() bool { return true }

// List is ListWithContext's older form, which the reflector does not use.
func (w *podWatch) List(opts metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(w.ctx, opts)
}

// Watch is WatchWithContext's older form, which the reflector does not use.
func (w *podWatch) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(w.ctx, opts)
}

// ListWithContext reads a page for the reflector.
func (w *podWatch) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	if opts.Continue == "" {
		err := w.c.adoptAll(ctx, w.kind)
		if err != nil && worthAnother(err) {
			w.failed("list", err)
			return nil, err
		}
		if err != nil { // without the permission to adopt, our own pods are still to be watched
			w.c.log.Warn("pods that are nobody's could not be adopted", "kind", w.kind.kind, "error", err)
		}
	}
	if opts.ResourceVersion == "0" {
		opts.ResourceVersion = "" // not from a cache that may be far behind
	}
	if opts.Limit != 0 {
		opts.Limit = int64(w.c.cfg.PageSize)
	}
	opts.LabelSelector = w.kind.selector
	page, err := w.c.page(ctx, opts)
	if err != nil {
		w.failed("list", err)
		return nil, err
	}
	if page.Continue == "" {
		w.c.count.lists.Add(1)
	}
	return page, nil
}

// WatchWithContext opens a watch for the reflector.
func (w *podWatch) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	if err := w.c.limiter.wait(ctx); err != nil {
		return nil, err
	}
	opts.Watch = true
	opts.LabelSelector = w.kind.selector
	cancel := func() {}
	if s := opts.TimeoutSeconds; s != nil {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*s)*time.Second+watchGrace)
	}
	stream, err := w.c.pods(w.c.rest.Get()).VersionedParams(&opts, w.c.params).Watch(ctx)
	if err != nil {
		cancel()
		w.failed("watch", err)
		return nil, err
	}
	w.c.count.watches.Add(1)
	return &boundedWatch{stream, cancel}, nil
}

// watchGrace is how long after its time, 5 to 10 minutes, a watch that the
// server has not ended is ended here: whoever holds the connection is dead.
const watchGrace = 30 * time.Second

type boundedWatch struct {
	watch.Interface
	cancel context.CancelFunc
}

// Stop ends the watch.
func (b *boundedWatch) Stop() {
	b.cancel()
	b.Interface.Stop()
}

// failed counts and logs. The reflector tries again by itself, with growing waits.
func (w *podWatch) failed(what string, err error) {
	if w.ctx.Err() != nil {
		return
	}
	w.c.count.watchErrors.Add(1)
	level := slog.LevelWarn
	if isExpired(err) {
		level = slog.LevelDebug // the reflector lists anew
	}
	w.c.log.Log(w.ctx, level, "pods: "+what+" failed, it is tried again", "kind", w.kind.kind, "error", err)
}

// Add is the reflector's word of a new pod.
func (w *podWatch) Add(obj any) error { return w.Update(obj) }

// Update is the reflector's word of a changed pod.
func (w *podWatch) Update(obj any) error {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return errNoPod
	}
	p, ok := w.kind.told(pod)
	if !ok {
		w.c.odd(pod)
		return nil
	}
	w.c.details.set(slot{w.kind.kind, p.Instance}, pod)
	w.tell(p)
	return nil
}

var errNoPod = errors.New("the watch brought something that is no pod")

// Delete is the reflector's word that a pod no longer matches: it has gone, or
// has lost its labels.
func (w *podWatch) Delete(obj any) error {
	if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = last.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return errNoPod
	}
	for id, p := range w.known {
		if p.UID == string(pod.UID) {
			p.Terminating = p.Terminating || pod.DeletionTimestamp != nil
			w.drop(id, p)
			break
		}
	}
	return nil
}

// Replace is the reflector's listing: what is not in it has gone unseen.
func (w *podWatch) Replace(objs []any, _ string) error {
	var pods []fleet.Pod
	there := map[string]bool{}
	for _, obj := range objs {
		pod, ok := obj.(*corev1.Pod)
		if !ok {
			return errNoPod
		}
		if p, ok := w.kind.told(pod); ok {
			pods = append(pods, p)
			there[p.UID] = true
			w.c.details.set(slot{w.kind.kind, p.Instance}, pod)
		} else {
			w.c.odd(pod)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.known)) {
		if p := w.known[id]; !there[p.UID] {
			w.drop(id, p)
		}
	}
	for _, p := range pods {
		w.tell(p)
	}
	return nil
}

// Resync is not used: there is nothing to repeat.
func (w *podWatch) Resync() error { return nil }

// tell tells a pod that is new or has changed. Another UID under the name says
// that the pod before has gone, which a watch that was cut may have missed.
func (w *podWatch) tell(p fleet.Pod) {
	before, told := w.known[p.Instance]
	if w.ctx.Err() != nil || told && before == p {
		return
	}
	if told && before.UID != p.UID {
		w.end(p.Instance, before.UID)
		if w.ctx.Err() != nil {
			return
		}
	}
	w.known[p.Instance] = p
	w.c.mu.Lock()
	if w.c.ours[p.UID] == nil {
		w.c.ours[p.UID] = &record{}
	}
	w.c.mu.Unlock()
	w.seen(p)
}

// drop tells that a pod has gone, unless it has only lost its labels and gets
// them again.
func (w *podWatch) drop(id fleet.InstanceID, p fleet.Pod) {
	if (p.Terminating || w.deleting(p.UID) || !w.stillThere(id, p.UID)) && w.ctx.Err() == nil {
		w.end(id, p.UID)
	}
}

func (w *podWatch) end(id fleet.InstanceID, uid string) {
	delete(w.known, id)
	w.c.details.drop(slot{w.kind.kind, id}, uid)
	w.c.mu.Lock()
	delete(w.c.ours, uid)
	w.c.mu.Unlock()
	w.gone(id, uid)
}

func (w *podWatch) deleting(uid string) bool {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	r := w.c.ours[uid]
	return r != nil && r.deleting
}

// stillThere asks whether a pod that nobody was seen to delete exists on. A
// watch by labels says "deleted" also of a pod whose labels were taken away. It
// would be wrong to call such a pod gone: it runs on, and its resources might be
// given to another. So it is adopted anew, if that is allowed, and the watch
// brings it again.
func (w *podWatch) stillThere(id fleet.InstanceID, uid string) bool {
	name := w.kind.name(id)
	for attempt := 1; ; attempt++ {
		pod, err := w.c.get(w.ctx, name)
		switch {
		case apierrors.IsNotFound(err):
			return false
		case err == nil && string(pod.UID) != uid:
			return false
		case err == nil && w.kind.owner(pod) == ownerUs:
			return true // somebody has put the labels back
		case err == nil && w.kind.owner(pod) == ownerOther:
			w.c.log.Warn("a pod has lost this orchestrator's labels and is left alone: it may run on", "pod", name)
			return false
		case err == nil:
			err = w.c.adopt(w.ctx, w.kind, pod)
		}
		if err == nil {
			return true
		}
		w.failed("look at "+name, err)
		if !sleep(w.ctx, backoff(attempt)) {
			return true // it is not told any more
		}
	}
}

// quiet makes all that client-go logs debugging: failures are logged by failed.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }

// forget ends what the client knows through this watch.
func (w *podWatch) forget() {
	w.c.details.clear(w.kind.kind)
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	for _, p := range w.known {
		delete(w.c.ours, p.UID)
	}
}
