package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"dacorch/orchestrator/fleet"
	standin "dacorch/sim/wire/kubernetes"
)

// watching runs a watch of Thing until stop is called, or the test ends.
func watching(t *testing.T, client *Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = client.Watch(ctx, things, func(fleet.Pod) {}, func(fleet.InstanceID, string) {})
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// TestDetail follows a pod from its creation to its end: a restart, which the
// port does not tell, shows; what has gone, or is watched no more, is forgotten.
func TestDetail(t *testing.T) {
	c := startCluster(t, standin.Config{RestartBackoff: time.Millisecond})
	client := c.client(t, nil)
	stop := watching(t, client)
	is := func(what string, good func(Detail) bool) {
		t.Helper()
		until(t, what, func() bool { d, ok := client.Detail(things, 3); return ok && good(d) })
	}
	uid, err := client.Create(t.Context(), things, 3, "new")
	if err != nil {
		t.Fatal(err)
	}
	is("the pod runs on a node", func(d Detail) bool { return d.Node != "" && d.UID == uid })
	d, _ := client.Detail(things, 3)
	if pod := c.pod("iota-dac-3"); d.Node != pod.Spec.NodeName || d.Image != "dac:1" || !d.Created.Equal(pod.CreationTimestamp.Time) || d.Restarts != 0 {
		t.Errorf("%+v of the pod %+v", d, pod.ObjectMeta)
	}
	if _, ok := client.Detail(rules, 3); ok {
		t.Error("another kind's instance 3 is known")
	}
	until(t, "a program has crashed", func() bool { return c.CrashPod("iota", "iota-dac-3") == nil })
	is("the restart is counted", func(d Detail) bool { return d.Restarts == 1 && d.UID == uid })

	if err := client.Delete(t.Context(), things, 3, uid, "ordered"); err != nil {
		t.Fatal(err)
	}
	until(t, "it is forgotten", func() bool { _, ok := client.Detail(things, 3); return !ok })
	var second string
	until(t, "there is another", func() bool { second, err = client.Create(t.Context(), things, 3, "new"); return err == nil })
	is("the other one is known", func(d Detail) bool { return d.UID == second && d.Restarts == 0 })
	stop()
	if _, ok := client.Detail(things, 3); ok {
		t.Error("it is known without a watch")
	}
}

// TestDetailsDrop: the end of a pod does not forget the one that came after it.
func TestDetailsDrop(t *testing.T) {
	var d details
	at := slot{things, 1}
	d.set(at, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "new"}})
	d.drop(at, "old")
	if x, ok := d.of(at); !ok || x.UID != "new" {
		t.Errorf("%+v, %t", x, ok)
	}
	d.set(slot{rules, 1}, &corev1.Pod{})
	d.clear(rules)
	if _, ok := d.of(at); !ok || len(d.known) != 1 {
		t.Errorf("%v", d.known)
	}
}

// post makes an event about a pod of Thing; n is part of its name.
func (c *cluster) post(t *testing.T, pod string, n int, e corev1.Event) {
	t.Helper()
	e.Name = fmt.Sprintf("%s.%d", pod, n)
	e.InvolvedObject = corev1.ObjectReference{Kind: "Pod", Namespace: "iota", Name: pod, UID: "7f1a"}
	c.do(t, http.MethodPost, "events", &e, nil)
}

// TestPodEvents reads both forms of events, in pages, and no other pod's.
func TestPodEvents(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, func(cfg *Config) { cfg.PageSize = 2 })
	now := time.Now().Truncate(time.Second)
	at := func(before time.Duration) metav1.Time { return metav1.NewTime(now.Add(-before)) }
	micro := func(before time.Duration) metav1.MicroTime { return metav1.NewMicroTime(now.Add(-before)) }
	c.post(t, "iota-dac-1", 0, corev1.Event{Type: "Normal", Reason: "Old", FirstTimestamp: at(time.Hour), LastTimestamp: at(time.Hour), Count: 1, Source: corev1.EventSource{Component: "kubelet"}})
	c.post(t, "iota-dac-1", 1, corev1.Event{Type: "Warning", Reason: "BackOff", Message: "again", FirstTimestamp: at(time.Hour), LastTimestamp: at(time.Minute), Count: 7, Source: corev1.EventSource{Component: "kubelet"}})
	c.post(t, "iota-dac-1", 2, corev1.Event{Type: "Normal", Reason: "Scheduled", EventTime: micro(2 * time.Minute), ReportingController: "default-scheduler", ReportingInstance: "s", Action: "Binding"})
	c.post(t, "iota-dac-1", 3, corev1.Event{Type: "Warning", Reason: "FailedScheduling", EventTime: micro(time.Hour), ReportingController: "default-scheduler", ReportingInstance: "s", Action: "Scheduling",
		Series: &corev1.EventSeries{Count: 4, LastObservedTime: micro(3 * time.Minute)}})
	c.post(t, "iota-dac-1", 4, corev1.Event{Type: "Normal", Reason: "Bare"})
	c.post(t, "iota-dac-11", 0, corev1.Event{Type: "Normal", Reason: "Another", LastTimestamp: at(0), Count: 1})
	events, err := client.PodEvents(t.Context(), things, 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events[1:] {
		got = append(got, fmt.Sprintf("%v %s %s %s %d %s", now.Sub(e.Last), e.Type, e.Reason, e.Message, e.Count, e.Source))
	}
	want := []string{"1m0s Warning BackOff again 7 kubelet", "2m0s Normal Scheduled  1 default-scheduler",
		"3m0s Warning FailedScheduling  4 default-scheduler", "1h0m0s Normal Old  1 kubelet"}
	if !slices.Equal(got, want) || events[0].Reason != "Bare" || events[0].Count != 1 || now.Sub(events[0].Last) > time.Minute {
		t.Errorf("%q after %+v, want %q", got, events[0], want)
	}
	if n := c.requests.count("list events"); n != 3 {
		t.Errorf("%d requests for 5 events in pages of 2", n)
	}
}

// TestPodEventsFail: what was read is told with the error; nothing is tried
// again, and who waits too long is answered.
func TestPodEventsFail(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, func(cfg *Config) { cfg.PageSize = 1 })
	for n := range 2 {
		c.post(t, "iota-dac-1", n, corev1.Event{Type: "Normal", Reason: "Started"})
	}
	served := 0
	c.Refuse(standin.Always, http.StatusForbidden, func(_, path string) bool {
		served++
		return strings.HasSuffix(path, "/events") && served > 1
	})
	events, err := client.PodEvents(t.Context(), things, 1)
	if err == nil || len(events) != 1 || !strings.Contains(err.Error(), "events of pod iota/iota-dac-1") {
		t.Errorf("%+v, %v", events, err)
	}
	if n := c.requests.count("list events"); n != 2 {
		t.Errorf("%d requests", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.PodEvents(ctx, things, 1); err == nil {
		t.Error("no error of a caller that has gone")
	}
	if _, err := client.PodEvents(t.Context(), "Nothing", 1); err == nil {
		t.Error("no error for an unknown kind")
	}
	client.looks.SetLimit(0.001)
	client.looks.SetBurst(0)
	if _, err := client.PodEvents(t.Context(), things, 1); err == nil || !strings.Contains(err.Error(), "many ask for events now") {
		t.Errorf("too many: %v", err)
	}
}

// TestPodEventsBound stops where there are very many.
func TestPodEventsBound(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, nil)
	for n := range maxEventsRead + 1 {
		c.post(t, "iota-dac-1", n, corev1.Event{Type: "Normal", Reason: "Started"})
	}
	events, err := client.PodEvents(t.Context(), things, 1)
	if err == nil || len(events) != maxEventsRead || !strings.Contains(err.Error(), "more than 2000") {
		t.Errorf("%d events, %v", len(events), err)
	}
}
