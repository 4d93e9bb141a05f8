package kubernetes_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clients "k8s.io/client-go/kubernetes"

	"dacorch/sim/wire/kubernetes"
)

func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case e, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch ended")
		}
		return e
	case <-time.After(deadline):
		t.Fatal("no event in time")
	}
	panic("not reached")
}

func metaOf(t *testing.T, e watch.Event) metav1.Object {
	t.Helper()
	o, is := e.Object.(metav1.Object)
	if !is {
		t.Fatalf("%s %v", e.Type, e.Object)
	}
	return o
}

// TestWatchThroughSelectors sees an object come and go as its labels change.
func TestWatchThroughSelectors(t *testing.T) {
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		s := start(t, kubernetes.Config{})
		config := restConfig(s)
		config.ContentType, config.AcceptContentTypes = media, media
		all, err := clients.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		c := all.CoreV1().ConfigMaps(namespace)
		if _, err := c.Create(within(t), configMap("before"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w, err := c.Watch(within(t), metav1.ListOptions{LabelSelector: "!off"})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"default", "iota"} {
			if _, err := all.CoreV1().ConfigMaps(k).Create(within(t), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cm"}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, patch := range []string{`{"data":{"a":"2"}}`, `{"metadata":{"labels":{"off":"1"}}}`, `{"data":{"a":"3"}}`,
			`{"metadata":{"labels":{"off":null}}}`} {
			if _, err := c.Patch(within(t), "cm", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Delete(within(t), "cm", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for range 6 {
			e := next(t, w)
			got = append(got, fmt.Sprint(e.Type, " ", metaOf(t, e).GetName()))
		}
		want := "ADDED before, ADDED cm, MODIFIED cm, DELETED cm, ADDED cm, DELETED cm"
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %v, not %s", media, got, want)
		}
		w.Stop()
	}
}

func TestBookmarks(t *testing.T) {
	s, c := maps(t, kubernetes.Config{BookmarkEvery: time.Millisecond})
	if _, err := c.Create(within(t), configMap("cm"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	yes := true
	w, err := c.Watch(within(t), metav1.ListOptions{AllowWatchBookmarks: true, SendInitialEvents: &yes,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if e := next(t, w); e.Type != watch.Added {
		t.Errorf("%s comes first", e.Type)
	}
	e := next(t, w)
	if e.Type != watch.Bookmark || metaOf(t, e).GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("what stood ends with %s %v", e.Type, e.Object)
	}
	version := metaOf(t, e).GetResourceVersion()
	// Another resource moves the version on, and bookmarks follow.
	create(t, client(t, s), pod("dac-0"))
	for {
		if e := next(t, w); e.Type != watch.Bookmark {
			t.Fatalf("%s %v", e.Type, e.Object)
		} else if metaOf(t, e).GetResourceVersion() != version {
			break
		}
	}
	if _, err := c.Watch(within(t), metav1.ListOptions{SendInitialEvents: &yes}); !apierrors.IsInvalid(err) {
		t.Errorf("initial events without a match: %v", err)
	}
}

// TestInformerRecovers loses nothing when watches are cut, nor when what they
// missed is forgotten.
func TestInformerRecovers(t *testing.T) {
	s := start(t, kubernetes.Config{Runner: &program{}})
	c := client(t, s)
	n := follow(t, s)
	create(t, c, pod("dac-0"))
	n.until(t, 1, 1)

	s.CutWatches()
	create(t, c, pod("dac-1"))
	n.until(t, 2, 2)

	refuse := s.Drop(kubernetes.Always, func(method, _ string) bool { return method == http.MethodGet })
	s.CutWatches()
	create(t, c, pod("dac-2"))
	if err := c.CoreV1().Pods(namespace).Delete(within(t), "dac-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(deadline); len(s.Pods()) != 2 || !running(&s.Pods()[1]); runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatalf("the pods are not as they should be in time: %+v", s.Pods())
		}
	}
	s.Compact()
	refuse()
	n.until(t, 2, 2)
}

func TestWatchFromBefore(t *testing.T) {
	s, c := maps(t, kubernetes.Config{History: 10})
	list, err := c.List(within(t), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if _, err := c.Create(within(t), configMap(fmt.Sprintf("cm-%d", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Watch(within(t), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	e := next(t, w)
	if e.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
		t.Errorf("a version that is forgotten: %s %v", e.Type, e.Object)
	}
	if list, err = c.List(within(t), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	one := int64(1)
	if w, err = c.Watch(within(t), metav1.ListOptions{ResourceVersion: list.ResourceVersion, TimeoutSeconds: &one}); err != nil {
		t.Fatal(err)
	}
	for e := range w.ResultChan() {
		t.Errorf("%s %v", e.Type, e.Object)
	}
	s.Close()
	if _, err := c.List(within(t), metav1.ListOptions{}); err == nil {
		t.Error("a closed server answers")
	}
}
