package kubernetes

import (
	"cmp"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// room is what the scheduler knows of a node.
type room struct {
	ip       string
	capacity int // pods
	open     bool
	labels   labels.Set
}

// AddNode adds an empty node that takes pods.
func (s *Server) AddNode(name string) error { return s.addNode(name) }

func (s *Server) addNode(name string) error {
	cpu, memory := quantity.MustParse("64"), quantity.MustParse("256Gi")
	capacity := corev1.ResourceList{corev1.ResourcePods: *quantity.NewQuantity(int64(s.config.PodsPerNode), quantity.DecimalSI),
		corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}}}
	if err := nodes.prepareNew(n); err != nil {
		return fmt.Errorf("kubernetes: node %q: %w", name, err)
	}
	existing, version := s.store.now(nodes, "")
	n.Status = corev1.NodeStatus{Capacity: capacity, Allocatable: capacity.DeepCopy(),
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.%d.%d", version>>8&255, (int(version)+len(existing))&255)},
			{Type: corev1.NodeHostName, Address: name}},
		NodeInfo: corev1.NodeSystemInfo{KubeletVersion: Version, ContainerRuntimeVersion: "simulated://1",
			OSImage: "simulated", KernelVersion: "simulated", OperatingSystem: "linux", Architecture: "amd64"}}
	setReady(n, corev1.ConditionTrue, "KubeletReady")
	if _, err := s.store.create(nodes, n); err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	return nil
}

// LoseNode cuts a node off, as a machine that loses its power: its programs are
// killed, and nobody hears of that. Its pods stay Running, not ready; deleted
// ones stay Terminating until they are removed by force. After EvictAfter they
// are all marked for deletion.
func (s *Server) LoseNode(name string) error { return s.isolate(name, false) }

// PartitionNode cuts a node off, as a machine that loses its network: all is told
// of its pods as after LoseNode, but their programs run on. Whom those reach, their
// Runner knows. What is deleted meanwhile ends when the node is back.
func (s *Server) PartitionNode(name string) error { return s.isolate(name, true) }

func (s *Server) isolate(name string, runsOn bool) error {
	k := s.kubelet
	if err := s.turn(name, corev1.ConditionUnknown, "NodeStatusUnknown"); err != nil {
		return err
	}
	k.mu.Lock()
	k.lost[name] = struct{}{}
	var silenced []*worker
	for _, w := range k.workers {
		if !runsOn && w.pod.Spec.NodeName == name {
			w.silent = true
			silenced = append(silenced, w)
		}
	}
	if runsOn {
		k.apart[name] = struct{}{}
	}
	if s.config.EvictAfter > 0 {
		k.evict = append(k.evict, time.AfterFunc(s.config.EvictAfter, func() { k.evictFrom(name) }))
	}
	k.mu.Unlock()
	for _, w := range silenced {
		w.kill()
	}
	k.ready(name, corev1.ConditionFalse, "NodeNotReady")
	return nil
}

// ready sets whether the pods of a node are.
func (k *kubelet) ready(node string, is corev1.ConditionStatus, reason corev1.PodConditionType) {
	for _, p := range k.on(node) {
		k.store.mutate(pods, keyOf(p), func(o object) object {
			if o.GetUID() != p.UID || ended(o.(*corev1.Pod)) || o.(*corev1.Pod).Status.Phase != corev1.PodRunning {
				return nil
			}
			return withStatus(o.(*corev1.Pod), func(st *corev1.PodStatus) { setCondition(st, corev1.PodReady, is, reason) })
		})
	}
}

// parted says that a pod runs on a node that nobody reaches. It needs the lock.
func (k *kubelet) parted(w *worker) bool {
	_, apart := k.apart[w.pod.Spec.NodeName]
	return apart
}

// RestoreNode brings a lost node back. What should run there starts again, or has
// run on, what should not is removed.
func (s *Server) RestoreNode(name string) error {
	k := s.kubelet
	k.mu.Lock()
	_, ranOn := k.apart[name]
	delete(k.lost, name)
	delete(k.apart, name)
	for _, w := range k.workers {
		if w.pod.Spec.NodeName != name {
			continue
		}
		select {
		case <-w.gone:
			w.silent = true // its end has been told to nobody
		default:
		}
		k.dirty[incarnation{keyOf(w.pod), w.pod.UID}] = struct{}{}
	}
	k.mu.Unlock()
	if ranOn {
		k.ready(name, corev1.ConditionTrue, "")
	}
	return s.turn(name, corev1.ConditionTrue, "KubeletReady")
}

// DrainNode closes a node to new pods and evicts those that are there, each with
// so much time to stop, rounded up to seconds.
func (s *Server) DrainNode(name string, grace time.Duration) error {
	if err := s.Cordon(name, true); err != nil {
		return err
	}
	seconds := int64((grace + time.Second - 1) / time.Second)
	for _, p := range s.kubelet.on(name) {
		options := &metav1.DeleteOptions{GracePeriodSeconds: &seconds, Preconditions: &metav1.Preconditions{UID: &p.UID}}
		_, _ = s.deleteObject(pods, keyOf(p), options, false) // it is gone already
	}
	return nil
}

// Nodes answers the names of the nodes that are not cordoned, in order.
func (s *Server) Nodes() (names []string) {
	all, _ := s.store.now(nodes, "")
	for _, o := range all {
		if !o.(*corev1.Node).Spec.Unschedulable {
			names = append(names, o.GetName())
		}
	}
	return names
}

// Cordon closes a node to new pods, or opens it again.
func (s *Server) Cordon(name string, on bool) error {
	return s.change(name, func(n *corev1.Node) {
		n.Spec.Unschedulable = on
		n.Spec.Taints = nil
		if on {
			n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}}
		}
	})
}

func (s *Server) turn(name string, ready corev1.ConditionStatus, reason string) error {
	return s.change(name, func(n *corev1.Node) { setReady(n, ready, reason) })
}

func (s *Server) change(name string, f func(*corev1.Node)) error {
	found := s.store.mutate(nodes, key{name: name}, func(o object) object {
		n := o.(*corev1.Node).DeepCopy()
		f(n)
		return n
	})
	if found == nil {
		return fmt.Errorf("kubernetes: there is no node %q", name)
	}
	return nil
}

func setReady(n *corev1.Node, is corev1.ConditionStatus, reason string) {
	now := stampOf(time.Now())
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: is, Reason: reason,
		Message: "simulated", LastHeartbeatTime: now, LastTransitionTime: now}}
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// on answers the pods of a node.
func (k *kubelet) on(node string) []*corev1.Pod {
	all, _ := k.store.now(pods, "")
	var there []*corev1.Pod
	for _, o := range all {
		if p := o.(*corev1.Pod); p.Spec.NodeName == node {
			there = append(there, p)
		}
	}
	return there
}

// evictFrom marks the pods of a node for deletion, if it is still lost.
func (k *kubelet) evictFrom(node string) {
	k.mu.Lock()
	_, lost := k.lost[node]
	k.mu.Unlock()
	if !lost || k.ctx.Err() != nil {
		return
	}
	for _, p := range k.on(node) {
		options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}}
		_, _ = k.deleteObject(pods, keyOf(p), options, false) // it is gone already
	}
}

// lookAtNodes learns what nodes there are. The pods of new ones are added to
// dirty, those of removed ones are removed with them.
func (k *kubelet) lookAtNodes(dirty map[incarnation]struct{}) {
	now := map[string]room{}
	all, _ := k.store.now(nodes, "")
	for _, o := range all {
		n := o.(*corev1.Node)
		r := room{capacity: int(n.Status.Allocatable.Pods().Value()), labels: n.Labels,
			open: nodeReady(n) && !n.Spec.Unschedulable && n.DeletionTimestamp == nil}
		if len(n.Status.Addresses) > 0 {
			r.ip = n.Status.Addresses[0].Address
		}
		now[n.Name] = r
	}
	k.mu.Lock()
	before := k.rooms
	k.rooms = now
	k.mu.Unlock()
	for name := range before {
		if _, still := now[name]; !still {
			for _, p := range k.on(name) {
				k.remove(p)
			}
		}
	}
	for name := range now {
		if _, known := before[name]; !known {
			for _, p := range k.on(name) {
				dirty[incarnation{keyOf(p), p.UID}] = struct{}{}
			}
		}
	}
}

// schedule gives a pod the least loaded node that takes it, or says that there
// is none.
func (k *kubelet) schedule(p *corev1.Pod) {
	one := incarnation{keyOf(p), p.UID}
	wants := labels.SelectorFromSet(p.Spec.NodeSelector)
	best := ""
	for name, r := range k.rooms {
		if !r.open || k.load[name] >= r.capacity || !wants.Matches(r.labels) {
			continue
		}
		if best == "" || cmp.Or(cmp.Compare(k.load[name], k.load[best]), cmp.Compare(name, best)) < 0 {
			best = name
		}
	}
	if best == "" && k.waiting[one.key] == one.uid {
		return // it has been said
	}
	var done bool
	k.store.mutate(pods, one.key, func(o object) object {
		old := o.(*corev1.Pod)
		if done = old.UID == p.UID && old.Spec.NodeName == "" && old.DeletionTimestamp == nil; !done {
			return nil
		}
		now := withStatus(old, func(st *corev1.PodStatus) { scheduled(st, best, len(k.rooms)) })
		now.Spec.NodeName = best
		return now
	})
	switch {
	case !done:
	case best == "":
		k.waiting[one.key] = one.uid
		k.note(p, "default-scheduler", corev1.EventTypeWarning, "FailedScheduling", "0/%d nodes are available", len(k.rooms))
	default:
		k.place(one, best)
		k.note(p, "default-scheduler", corev1.EventTypeNormal, "Scheduled",
			"Successfully assigned %s/%s to %s", p.Namespace, p.Name, best)
	}
}

// scheduled is the status of a pod that got a node, or found none.
func scheduled(st *corev1.PodStatus, node string, of int) {
	if node != "" {
		setCondition(st, corev1.PodScheduled, corev1.ConditionTrue, "")
		return
	}
	setCondition(st, corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable)
	for i := range st.Conditions {
		if st.Conditions[i].Type == corev1.PodScheduled {
			st.Conditions[i].Message = fmt.Sprintf("0/%d nodes are available: all are full, closed or not ready", of)
		}
	}
}

// retry schedules the pods that fitted nowhere, now that there may be room.
func (k *kubelet) retry() {
	for at, uid := range k.waiting {
		if o, err := k.store.get(pods, at); err == nil && o.GetUID() == uid {
			k.schedule(o.(*corev1.Pod))
		} else {
			delete(k.waiting, at)
		}
	}
}
