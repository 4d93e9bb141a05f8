package kubernetes

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// kubelet is the scheduler and the kubelets of all nodes: one goroutine that
// looks at each pod that changed, and one worker for each pod that has a node.
type kubelet struct {
	*Server
	mu      sync.Mutex
	dirty   map[incarnation]struct{} // pods to look at
	leaving map[string]struct{}      // namespaces that may have become empty
	changed bool                     // something about nodes changed
	workers map[types.UID]*worker    // of pods that have a node, until they are removed
	lost    map[string]struct{}      // nodes that answer nothing
	apart   map[string]struct{}      // of those, the ones whose programs run on
	evict   []*time.Timer            // what empties lost nodes
	wake    chan struct{}            // has one slot: look again

	// The loop's own.
	rooms   map[string]room      // nodes
	placed  map[types.UID]string // each pod's node, as long as it takes room there
	load    map[string]int       // how many pods take room on a node
	waiting map[key]types.UID    // pods that fit nowhere
	ips     uint32               // pod addresses given out

	loop     sync.WaitGroup
	programs sync.WaitGroup // programs and their workers
}

// incarnation is one pod, told from others of the same name.
type incarnation struct {
	key
	uid types.UID
}

func newKubelet(s *Server) *kubelet {
	k := &kubelet{Server: s,
		dirty: map[incarnation]struct{}{}, leaving: map[string]struct{}{}, workers: map[types.UID]*worker{},
		changed: true, lost: map[string]struct{}{}, apart: map[string]struct{}{}, wake: make(chan struct{}, 1), rooms: map[string]room{},
		placed: map[types.UID]string{}, load: map[string]int{}, waiting: map[key]types.UID{}}
	k.again()
	s.store.mu.Lock()
	s.store.onChange = k.see
	s.store.mu.Unlock()
	k.loop.Go(k.run)
	return k
}

// close kills every program and waits for them. The server's context has ended.
func (k *kubelet) close() {
	k.loop.Wait()
	k.mu.Lock()
	for _, timer := range k.evict {
		timer.Stop()
	}
	k.mu.Unlock()
	k.programs.Wait()
}

// see notes what a change asks for. It is called under the store's lock.
func (k *kubelet) see(c change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case c.res == pods:
		k.dirty[incarnation{keyOf(c.object), c.object.GetUID()}] = struct{}{}
	case c.res == nodes:
		k.changed = true
	}
	if c.kind == watch.Deleted && c.res.namespaced {
		k.leaving[c.object.GetNamespace()] = struct{}{}
	} else if c.res != pods && c.res != nodes {
		return
	}
	k.again()
}

func (k *kubelet) again() {
	select {
	case k.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// vanish has a namespace removed as soon as it is empty.
func (k *kubelet) vanish(namespace string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leaving[namespace] = struct{}{}
	k.again()
}

func (k *kubelet) run() {
	for {
		select {
		case <-k.wake:
		case <-k.ctx.Done():
			return
		}
		k.mu.Lock()
		dirty, leaving, nodesToo := k.dirty, k.leaving, k.changed
		k.dirty, k.leaving, k.changed = map[incarnation]struct{}{}, map[string]struct{}{}, false
		k.mu.Unlock()
		if nodesToo {
			k.lookAtNodes(dirty)
		}
		freed := nodesToo
		for one := range dirty {
			freed = k.look(one) || freed
		}
		if freed {
			k.retry()
		}
		for name := range leaving {
			k.finishNamespace(name)
		}
	}
}

// look brings one pod closer to what its object says, and answers whether that
// made room on a node.
func (k *kubelet) look(one incarnation) (freed bool) {
	o, err := k.store.get(pods, one.key)
	if err != nil || o.GetUID() != one.uid {
		k.end(one.uid, true)
		return k.unplace(one)
	}
	switch p := o.(*corev1.Pod); {
	case ended(p):
		k.end(one.uid, false)
		if p.DeletionTimestamp != nil && k.answers(p.Spec.NodeName) {
			k.remove(p)
		}
		return k.unplace(one)
	case p.Spec.NodeName == "":
		k.schedule(p)
	default:
		k.place(one, p.Spec.NodeName)
		k.attend(p)
	}
	return false
}

// remove removes a pod that has stopped.
func (k *kubelet) remove(p *corev1.Pod) {
	options := &metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &p.UID}}
	_, _ = k.deleteObject(pods, keyOf(p), options, false) // somebody else was faster
}

// answers says whether a node is registered and not lost.
func (k *kubelet) answers(node string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, known := k.rooms[node]
	_, lost := k.lost[node]
	return known && !lost
}

// attend starts a pod's worker, or tells it of the pod's deletion.
func (k *kubelet) attend(p *corev1.Pod) {
	if !k.answers(p.Spec.NodeName) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.workers[p.UID]
	if w == nil || w.silent {
		var after <-chan struct{}
		if w != nil {
			after = w.gone
		}
		k.ips++
		w = newWorker(k, p, after)
		w.hostIP = k.rooms[p.Spec.NodeName].ip
		w.ip = fmt.Sprintf("10.%d.%d.%d", 64+k.ips>>16&63, k.ips>>8&255, k.ips&255)
		k.workers[p.UID] = w
		k.programs.Go(w.live)
	}
	if p.DeletionTimestamp != nil {
		w.terminate(*p.DeletionGracePeriodSeconds)
	}
}

// end kills what runs for a pod that is gone or over. What it wrote is kept until
// the pod is forgotten.
func (k *kubelet) end(uid types.UID, forget bool) {
	k.mu.Lock()
	w := k.workers[uid]
	switch {
	case w != nil && k.parted(w):
		w = nil // it hears of it when its node is back
	case forget:
		delete(k.workers, uid)
	}
	k.mu.Unlock()
	if w != nil {
		w.abandon()
	}
}

func (k *kubelet) place(one incarnation, node string) {
	delete(k.waiting, one.key)
	if k.placed[one.uid] == "" {
		k.placed[one.uid] = node
		k.load[node]++
	}
}

func (k *kubelet) unplace(one incarnation) bool {
	if k.waiting[one.key] == one.uid {
		delete(k.waiting, one.key)
	}
	node := k.placed[one.uid]
	if node == "" {
		return false
	}
	delete(k.placed, one.uid)
	k.load[node]--
	return true
}

// finishNamespace removes a namespace that is leaving and empty.
func (k *kubelet) finishNamespace(name string) {
	o, err := k.store.get(namespaces, key{name: name})
	if err == nil && o.GetDeletionTimestamp() != nil && !k.populated(name) {
		_, _ = k.store.remove(namespaces, o) // when it has changed, another look follows
	}
}

// worker answers the worker of a pod, if its program was ever started and its
// node is there.
func (k *kubelet) worker(p *corev1.Pod) *worker {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.workers[p.UID]
}

// note writes an event about a pod, where events are wanted.
func (k *kubelet) note(p *corev1.Pod, component, kind, reason, format string, args ...any) {
	if !k.config.Events {
		return
	}
	now := metav1.Now()
	e := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", p.Name, now.UnixNano()), Namespace: p.Namespace},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: p.Namespace, Name: p.Name,
			UID: p.UID, ResourceVersion: p.ResourceVersion},
		Reason: reason, Message: fmt.Sprintf(format, args...), Type: kind, Count: 1,
		FirstTimestamp: now, LastTimestamp: now, Source: corev1.EventSource{Component: component, Host: p.Spec.NodeName},
		ReportingController: component,
	}
	if events.prepareNew(e) != nil {
		return // the pod's name is too long for an event's: it goes without
	}
	if n, err := k.store.get(namespaces, key{name: p.Namespace}); err != nil || n.GetDeletionTimestamp() != nil {
		return
	}
	_, _ = k.store.create(events, e) // two in one nanosecond are one
	k.trimEvents()
}

// FailPod makes a running or pending pod fail, as an eviction by the kubelet
// does: its program is killed, its phase is Failed with that reason.
func (s *Server) FailPod(namespace, name, reason string) error {
	var failed bool
	o := s.store.mutate(pods, key{namespace, name}, func(o object) object {
		old := o.(*corev1.Pod)
		if failed = !ended(old); !failed {
			return nil
		}
		return withStatus(old, func(st *corev1.PodStatus) {
			st.Phase, st.Reason = corev1.PodFailed, reason
			setCondition(st, corev1.PodReady, corev1.ConditionFalse, "PodFailed")
			setCondition(st, corev1.ContainersReady, corev1.ConditionFalse, "PodFailed")
			for i := range st.ContainerStatuses {
				terminate(&st.ContainerStatuses[i], outcome{code: exitKilled, reason: "Error"})
			}
		})
	})
	switch {
	case o == nil:
		return apierrors.NewNotFound(pods.groupResource(), name)
	case !failed:
		return fmt.Errorf("kubernetes: pod %s/%s has ended already", namespace, name)
	}
	return nil
}

// HangPod makes a pod's program hang: its phase stays Running, its context stays
// open. The Runner must be a Hanger.
func (s *Server) HangPod(namespace, name string) error {
	h, is := s.config.Runner.(Hanger)
	if !is {
		return fmt.Errorf("kubernetes: the runner cannot hang a pod: it has no method Hang")
	}
	o, err := s.store.get(pods, key{namespace, name})
	if err != nil {
		return err
	}
	h.Hang(o.(*corev1.Pod).DeepCopy())
	return nil
}

// CrashPod kills a pod's program, as running out of memory does. The
// restartPolicy says what follows.
func (s *Server) CrashPod(namespace, name string) error {
	o, err := s.store.get(pods, key{namespace, name})
	if err != nil {
		return err
	}
	w := s.kubelet.worker(o.(*corev1.Pod))
	if w == nil || !w.crash() {
		return fmt.Errorf("kubernetes: pod %s/%s runs no program", namespace, name)
	}
	return nil
}

type killedKey struct{}

// Killed answers the context that ends when the program's grace period is over,
// or at once when there is none. ctx is what Run got.
func Killed(ctx context.Context) context.Context {
	if killed, is := ctx.Value(killedKey{}).(context.Context); is {
		return killed
	}
	return ctx
}
