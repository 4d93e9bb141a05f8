package kubernetes

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// Observe has f told of every change of a pod, in order and before any client
// hears of it: what happened, the pod as it was (nil when added) and as it is.
// nil tells nobody. f is called with the server standing still: it must be quick,
// must not call the server, and must not change the pods.
func (s *Server) Observe(f func(what watch.EventType, was, is *corev1.Pod)) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if f == nil {
		s.store.observe = nil
		return
	}
	s.store.observe = func(c change) {
		is, pod := c.object.(*corev1.Pod)
		if !pod {
			return
		}
		was, _ := c.old.(*corev1.Pod)
		f(c.kind, was, is)
	}
}
