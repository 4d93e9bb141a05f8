package kubernetes

import (
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// metricsVersion is the group of pod metrics. It is answered in JSON alone.
var metricsVersion = schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1beta1"}

// podMetrics is what a pod used in the last window.
type podMetrics struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Timestamp         metav1.Time        `json:"timestamp"`
	Window            metav1.Duration    `json:"window"`
	Containers        []containerMetrics `json:"containers"`
}

type containerMetrics struct {
	Name  string              `json:"name"`
	Usage corev1.ResourceList `json:"usage"`
}

// metrics answers the metrics of one pod, or of those that run and match.
func (c *call) metrics() {
	c.form, c.res = jsonForm, pods
	if c.r.Method != http.MethodGet {
		c.fail(apierrors.NewMethodNotSupported(schema.GroupResource{Group: metricsVersion.Group, Resource: "pods"}, c.r.Method))
		return
	}
	if c.name == "" {
		c.listMetrics()
		return
	}
	o, err := c.store.get(pods, c.key())
	if err != nil || o.(*corev1.Pod).Status.Phase != corev1.PodRunning {
		c.fail(apierrors.NewNotFound(schema.GroupResource{Group: metricsVersion.Group, Resource: "podmetrics"}, c.namespace+"/"+c.name))
		return
	}
	writeJSON(c.w, c.measure(o.(*corev1.Pod)))
}

func (c *call) listMetrics() {
	ask, err := c.question()
	if err != nil {
		c.fail(err)
		return
	}
	all, version := c.store.now(pods, c.namespace)
	all = slices.DeleteFunc(all, func(o object) bool {
		return o.(*corev1.Pod).Status.Phase != corev1.PodRunning || !ask.matches(o)
	})
	list := struct {
		metav1.TypeMeta `json:",inline"`
		metav1.ListMeta `json:"metadata"`
		Items           []podMetrics `json:"items"`
	}{Items: make([]podMetrics, len(all))}
	list.APIVersion, list.Kind = metricsVersion.String(), "PodMetricsList"
	list.ResourceVersion = formatVersion(version)
	for i, o := range all {
		list.Items[i] = c.measure(o.(*corev1.Pod))
	}
	writeJSON(c.w, list)
}

// measure asks the runner. All of a pod's use is its first container's: there is
// one program for all of them.
func (c *call) measure(p *corev1.Pod) podMetrics {
	var milliCPU, memory int64
	if m, is := c.config.Runner.(Meter); is {
		milliCPU, memory = m.Usage(p.DeepCopy())
	}
	now := time.Now()
	m := podMetrics{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, Labels: p.Labels, CreationTimestamp: stampOf(now)},
		Timestamp:  stampOf(now), Window: metav1.Duration{Duration: 15 * time.Second},
	}
	m.APIVersion, m.Kind = metricsVersion.String(), "PodMetrics"
	for i := range p.Spec.Containers {
		use := corev1.ResourceList{corev1.ResourceCPU: *quantity.NewQuantity(0, quantity.DecimalSI),
			corev1.ResourceMemory: *quantity.NewQuantity(0, quantity.BinarySI)}
		if i == 0 {
			use[corev1.ResourceCPU] = *quantity.NewMilliQuantity(milliCPU, quantity.DecimalSI)
			use[corev1.ResourceMemory] = *quantity.NewQuantity(memory, quantity.BinarySI)
		}
		m.Containers = append(m.Containers, containerMetrics{Name: p.Spec.Containers[i].Name, Usage: use})
	}
	return m
}
