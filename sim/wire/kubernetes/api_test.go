package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	clients "k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"dacorch/sim/wire/kubernetes"
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Data: map[string]string{"a": "1"}}
}

func maps(t *testing.T, config kubernetes.Config) (*kubernetes.Server, typed.ConfigMapInterface) {
	t.Helper()
	s := start(t, config)
	return s, client(t, s).CoreV1().ConfigMaps(namespace)
}

func TestConflicts(t *testing.T) {
	_, c := maps(t, kubernetes.Config{})
	first, err := c.Create(within(t), configMap("cm"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(within(t), configMap("cm"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a taken name: %v", err)
	}
	changed := first.DeepCopy()
	changed.Data["a"] = "2"
	second, err := c.Update(within(t), changed, metav1.UpdateOptions{})
	if err != nil || second.ResourceVersion == first.ResourceVersion || second.UID != first.UID {
		t.Fatalf("update: %+v, %v", second, err)
	}
	if _, err := c.Update(within(t), changed, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an update of an old version: %v", err)
	}
	same, err := c.Update(within(t), second, metav1.UpdateOptions{})
	if err != nil || same.ResourceVersion != second.ResourceVersion {
		t.Errorf("an update that changes nothing: %v, %v", same, err)
	}
	other := second.DeepCopy()
	other.UID, other.ResourceVersion = "other", ""
	if _, err := c.Update(within(t), other, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an update of another object of that name: %v", err)
	}
	for _, p := range []metav1.Preconditions{{UID: &other.UID}, {ResourceVersion: &first.ResourceVersion}} {
		if err := c.Delete(within(t), "cm", metav1.DeleteOptions{Preconditions: &p}); !apierrors.IsConflict(err) {
			t.Errorf("a deletion of what it is not: %v", err)
		}
	}
	exact := metav1.Preconditions{UID: &second.UID, ResourceVersion: &second.ResourceVersion}
	if err := c.Delete(within(t), "cm", metav1.DeleteOptions{Preconditions: &exact}); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(within(t), "cm", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after its deletion: %v", err)
	}
}

// TestNameStaysTaken is what an orchestrator that creates too early meets.
func TestNameStaysTaken(t *testing.T) {
	release := make(chan struct{})
	s := start(t, kubernetes.Config{Runner: &program{run: func(ctx context.Context, _ *corev1.Pod, _ io.Writer) error {
		<-ctx.Done()
		<-release
		return nil
	}}})
	c := client(t, s)
	old := create(t, c, pod("dac-0"))
	await(t, c, "dac-0", "running", running)
	if err := c.CoreV1().Pods(namespace).Delete(within(t), "dac-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p, err := c.CoreV1().Pods(namespace).Get(within(t), "dac-0", metav1.GetOptions{})
	if err != nil || p.DeletionTimestamp == nil || *p.DeletionGracePeriodSeconds != 30 || p.Status.Phase != corev1.PodRunning {
		t.Fatalf("a terminating pod: %+v, %v", p, err)
	}
	if _, err := c.CoreV1().Pods(namespace).Create(within(t), pod("dac-0"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("its name is free: %v", err)
	}
	close(release)
	await(t, c, "dac-0", "gone", gone)
	if now := create(t, c, pod("dac-0")); now.UID == old.UID {
		t.Error("the same pod came back")
	}
	now := int64(0)
	if err := c.CoreV1().Pods(namespace).Delete(within(t), "dac-0", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	create(t, c, pod("dac-0")) // with no grace, the name is free at once
}

func TestInvalid(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s)
	for what, spoil := range map[string]func(*corev1.Pod){
		"metadata.name":           func(p *corev1.Pod) { p.Name = "Not_a_name" },
		"metadata.labels":         func(p *corev1.Pod) { p.Labels = map[string]string{"-": "-"} },
		"spec.containers":         func(p *corev1.Pod) { p.Spec.Containers = nil },
		"spec.containers[0].name": func(p *corev1.Pod) { p.Spec.Containers[0].Name = "" },
		"spec.containers[0].image": func(p *corev1.Pod) {
			p.Spec.Containers[0].Image = ""
		},
		"spec.containers[1].name": func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0])
		},
		"spec.restartPolicy": func(p *corev1.Pod) { p.Spec.RestartPolicy = "Sometimes" },
	} {
		p := pod("dac-0")
		spoil(p)
		_, err := c.CoreV1().Pods(namespace).Create(within(t), p, metav1.CreateOptions{})
		var status *apierrors.StatusError
		if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.ErrStatus.Code != http.StatusUnprocessableEntity ||
			!slices.ContainsFunc(status.ErrStatus.Details.Causes, func(c metav1.StatusCause) bool { return c.Field == what }) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p := create(t, c, pod("dac-0"))
	p.Spec.Containers[0].Command = []string{"other"}
	p.ResourceVersion = ""
	if _, err := c.CoreV1().Pods(namespace).Update(within(t), p, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("another command for a pod: %v", err)
	}
	if _, err := c.CoreV1().Pods("nowhere").Create(within(t), &corev1.Pod{Spec: p.Spec}, metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a namespace that is not there: %v", err)
	}
	if _, err := c.CoreV1().ConfigMaps("default").Create(within(t), configMap("cm"), metav1.CreateOptions{}); !apierrors.IsBadRequest(err) {
		t.Errorf("two namespaces: %v", err)
	}
}

func TestGenerateNameAndDryRun(t *testing.T) {
	_, c := maps(t, kubernetes.Config{})
	seen := map[string]bool{}
	for range 20 {
		cm := configMap("")
		cm.GenerateName = "cm-"
		got, err := c.Create(within(t), cm, metav1.CreateOptions{})
		if err != nil || len(got.Name) != len("cm-")+5 || seen[got.Name] {
			t.Fatalf("%v, %v", got, err)
		}
		seen[got.Name] = true
	}
	dry := []string{metav1.DryRunAll}
	if got, err := c.Create(within(t), configMap("dry"), metav1.CreateOptions{DryRun: dry}); err != nil || got.UID == "" {
		t.Errorf("%v, %v", got, err)
	}
	if err := c.DeleteCollection(within(t), metav1.DeleteOptions{DryRun: dry}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	list, err := c.List(within(t), metav1.ListOptions{})
	if err != nil || len(list.Items) != 20 {
		t.Errorf("%d config maps, %v", len(list.Items), err)
	}
	if _, err := c.Create(within(t), configMap("dry"), metav1.CreateOptions{DryRun: []string{"Some"}}); !apierrors.IsInvalid(err) {
		t.Errorf("dryRun=Some: %v", err)
	}
}

func TestPages(t *testing.T) {
	s, c := maps(t, kubernetes.Config{})
	for i := range 25 {
		if _, err := c.Create(within(t), configMap(fmt.Sprintf("cm-%02d", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	options := metav1.ListOptions{Limit: 10}
	version := ""
	for {
		list, err := c.List(within(t), options)
		if err != nil {
			t.Fatal(err)
		}
		if version == "" {
			version = list.ResourceVersion
			if list.RemainingItemCount == nil || *list.RemainingItemCount != 15 {
				t.Errorf("remaining: %v", list.RemainingItemCount)
			}
		}
		if list.ResourceVersion != version {
			t.Errorf("the pages are of versions %s and %s", version, list.ResourceVersion)
		}
		for _, cm := range list.Items {
			names = append(names, cm.Name)
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
		// What happens between pages does not show in them.
		if err := c.Delete(within(t), fmt.Sprintf("cm-%02d", len(names)), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Create(within(t), configMap(fmt.Sprintf("cm-%02d-late", len(names))), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(names) != 25 || !slices.IsSorted(names) || slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "late") }) {
		t.Errorf("pages of %v", names)
	}
	list, err := c.List(within(t), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Compact()
	if _, err := c.List(within(t), metav1.ListOptions{Limit: 1, Continue: list.Continue}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a page from before the compaction: %v", err)
	}
	if _, err := c.List(within(t), metav1.ListOptions{Continue: "%"}); !apierrors.IsBadRequest(err) {
		t.Errorf("a continue token of nobody's: %v", err)
	}
	c = once(t, s).CoreV1().ConfigMaps(namespace)
	if _, err := c.List(within(t), metav1.ListOptions{ResourceVersion: "999999"}); !apierrors.IsTimeout(err) {
		t.Errorf("a version from the future: %v", err)
	}
}

func TestSelectors(t *testing.T) {
	s := start(t, kubernetes.Config{Nodes: 2, PodsPerNode: 2})
	c := client(t, s)
	for i := range 5 {
		p := pod(fmt.Sprintf("dac-%d", i))
		p.Labels["instanceId"] = fmt.Sprint(i)
		create(t, c, p)
	}
	for i := range 4 {
		await(t, c, fmt.Sprintf("dac-%d", i), "running", running)
	}
	for selectors, want := range map[[2]string]int{
		{"app=dac", ""}: 5, {"instanceId in (1,2)", ""}: 2, {"!app", ""}: 0, {"instanceId!=3", ""}: 4,
		{"", "metadata.name=dac-3"}: 1, {"", "status.phase=Running"}: 4, {"", "status.phase!=Running"}: 1,
		{"", "spec.nodeName=node-0"}: 2, {"", "spec.nodeName="}: 1, {"", "metadata.namespace=iota,spec.nodeName=node-1"}: 2,
		{"instanceId=4", "status.phase=Pending"}: 1,
	} {
		list, err := c.CoreV1().Pods("").List(within(t), metav1.ListOptions{LabelSelector: selectors[0], FieldSelector: selectors[1]})
		if err != nil || len(list.Items) != want {
			t.Errorf("%q: %d pods, not %d: %v", selectors, len(list.Items), want, err)
		}
	}
	for _, o := range []metav1.ListOptions{{LabelSelector: "a=b=c"}, {FieldSelector: "spec.colour=red"}, {FieldSelector: "red"},
		{ResourceVersion: "x"}} {
		if _, err := c.CoreV1().Pods("").List(within(t), o); !apierrors.IsBadRequest(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestPatches(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s).CoreV1().Pods(namespace)
	create(t, client(t, s), pod("dac-0"))
	for _, p := range []struct {
		kind types.PatchType
		data string
		is   func(*corev1.Pod) bool
	}{
		{types.JSONPatchType, `[{"op":"add","path":"/metadata/labels/a","value":"1"}]`,
			func(p *corev1.Pod) bool { return p.Labels["a"] == "1" && p.Labels["app"] == "dac" }},
		{types.MergePatchType, `{"metadata":{"labels":{"a":null,"b":"2"}}}`,
			func(p *corev1.Pod) bool { _, is := p.Labels["a"]; return !is && p.Labels["b"] == "2" }},
		{types.StrategicMergePatchType, `{"spec":{"containers":[{"name":"dac","image":"dac:2"}]}}`,
			func(p *corev1.Pod) bool {
				return p.Spec.Containers[0].Image == "dac:2" && len(p.Spec.Containers[0].Env) == 1
			}},
	} {
		got, err := c.Patch(within(t), "dac-0", p.kind, []byte(p.data), metav1.PatchOptions{})
		if err != nil || !p.is(got) {
			t.Errorf("%s: %+v, %v", p.kind, got, err)
		}
	}
	for _, p := range []struct {
		kind types.PatchType
		data string
		is   func(error) bool
	}{
		{types.JSONPatchType, `[{"op":"test","path":"/metadata/name","value":"x"}]`, apierrors.IsInvalid},
		{types.JSONPatchType, `{`, apierrors.IsBadRequest},
		{types.MergePatchType, `{"metadata":{"resourceVersion":"1"}}`, apierrors.IsConflict},
		{types.MergePatchType, `{"metadata":{"name":"x"}}`, apierrors.IsBadRequest},
		{types.MergePatchType, `{"spec":{"containers":null}}`, apierrors.IsInvalid},
		{types.PatchType("text/plain"), `{}`, apierrors.IsUnsupportedMediaType},
		{types.ApplyPatchType, `{}`, apierrors.IsInvalid},
	} {
		if _, err := c.Patch(within(t), "dac-0", p.kind, []byte(p.data), metav1.PatchOptions{}); !p.is(err) {
			t.Errorf("%s %s: %v", p.kind, p.data, err)
		}
	}
	got, err := c.Patch(within(t), "dac-0", types.MergePatchType, []byte(`{"status":{"message":"m"},"metadata":{"labels":{"c":"3"}},"spec":{"nodeName":"n"}}`),
		metav1.PatchOptions{}, "status")
	if err != nil || got.Status.Message != "m" || got.Labels["c"] != "3" {
		t.Errorf("a status patch: %+v, %v", got, err)
	}
}

func TestServerSideApply(t *testing.T) {
	_, c := maps(t, kubernetes.Config{})
	apply := func(manager, k, v string, force bool) (*corev1.ConfigMap, error) {
		return c.Apply(within(t), corev1apply.ConfigMap("cm", namespace).WithData(map[string]string{k: v}),
			metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	if got, err := apply("one", "a", "1", false); err != nil || got.Data["a"] != "1" || got.UID == "" {
		t.Fatalf("%v, %v", got, err)
	}
	if got, err := apply("two", "b", "2", false); err != nil || got.Data["a"] != "1" || got.Data["b"] != "2" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := apply("two", "a", "3", false); !apierrors.IsConflict(err) {
		t.Errorf("another's field: %v", err)
	}
	got, err := apply("two", "a", "3", true)
	if err != nil || got.Data["a"] != "3" || got.Data["b"] != "" {
		t.Errorf("with force: %v, %v", got, err)
	}
}

func TestOtherResources(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s)
	holder := "me"
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lead"}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
	got, err := c.CoordinationV1().Leases(namespace).Create(within(t), lease, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CoordinationV1().Leases(namespace).Update(within(t), got, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	got.ResourceVersion = ""
	if _, err := c.CoordinationV1().Leases(namespace).Update(within(t), got, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a lease without a version: %v", err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"a": "b"}}
	if got, err := c.CoreV1().Secrets(namespace).Create(within(t), secret, metav1.CreateOptions{}); err != nil || string(got.Data["a"]) != "b" {
		t.Errorf("%v, %v", got, err)
	}
	event := &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Note: "it rained", Reason: "Rain", Type: "Normal",
		Regarding: corev1.ObjectReference{Kind: "Pod", Name: "dac-0", Namespace: namespace}, EventTime: metav1.NowMicro(),
		ReportingController: "sky", ReportingInstance: "cloud-0", Action: "Raining"}
	if _, err := c.EventsV1().Events(namespace).Create(within(t), event, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	old, err := c.CoreV1().Events(namespace).List(within(t), metav1.ListOptions{FieldSelector: "involvedObject.name=dac-0,reason=Rain"})
	if err != nil || len(old.Items) != 1 || old.Items[0].Message != "it rained" {
		t.Errorf("the same event in the old group: %v, %v", old, err)
	}
	news, err := c.EventsV1().Events("").List(within(t), metav1.ListOptions{FieldSelector: "regarding.name=dac-0"})
	if err != nil || len(news.Items) != 1 || news.Items[0].Note != "it rained" {
		t.Errorf("in the new group: %v, %v", news, err)
	}
	if _, err := c.EventsV1().Events(namespace).Patch(within(t), "e", types.StrategicMergePatchType,
		[]byte(`{"series":{"count":3,"lastObservedTime":"2026-01-01T00:00:00.000000Z"}}`), metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
}

func TestEvictionAndNamespaces(t *testing.T) {
	s := start(t, kubernetes.Config{Runner: &program{}})
	c := client(t, s)
	create(t, c, pod("dac-0"))
	create(t, c, pod("dac-1"))
	await(t, c, "dac-0", "running", running)
	await(t, c, "dac-1", "running", running)
	err := c.CoreV1().Pods(namespace).EvictV1(within(t), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "dac-0", Namespace: namespace}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, "dac-0", "gone", gone)
	w, err := c.CoreV1().Namespaces().Watch(within(t), metav1.ListOptions{FieldSelector: "metadata.name=" + namespace})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if err := c.CoreV1().Namespaces().Delete(within(t), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for e := range w.ResultChan() {
		if e.Type == "DELETED" {
			break
		}
	}
	if len(s.Pods()) != 0 {
		t.Errorf("pods without a namespace: %v", s.Pods())
	}
	if err := c.CoreV1().Namespaces().Delete(within(t), namespace, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("deleted twice: %v", err)
	}
}

// TestPlainRequests holds answers to the API's rules where client-go cannot ask.
func TestPlainRequests(t *testing.T) {
	s := start(t, kubernetes.Config{})
	c := client(t, s)
	for _, x := range []struct {
		method, path, accept, content, body string
		status                              int
		reason                              metav1.StatusReason
	}{
		{"GET", "/api/v1/namespaces/iota/pods/x", "", "", "", 404, metav1.StatusReasonNotFound},
		{"PUT", "/api/v1/namespaces/iota/pods", "", "", "{}", 405, metav1.StatusReasonMethodNotAllowed},
		{"POST", "/api/v1/pods", "", "", "{}", 405, metav1.StatusReasonMethodNotAllowed},
		{"POST", "/api/v1/namespaces/iota/pods", "", "text/plain", "{}", 415, metav1.StatusReasonUnsupportedMediaType},
		{"POST", "/api/v1/namespaces/iota/pods", "", "", "{", 400, metav1.StatusReasonBadRequest},
		{"POST", "/api/v1/namespaces/iota/pods", "", "", `{"apiVersion":"v1","kind":"ConfigMap"}`, 400, metav1.StatusReasonBadRequest},
		{"POST", "/api/v1/namespaces/iota/configmaps", "", "", strings.Repeat(" ", 3<<20+1), 413, metav1.StatusReasonRequestEntityTooLarge},
		{"POST", "/api/v1/namespaces/iota/configmaps?fieldValidation=Strict", "", "",
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"colour":"red"}`, 400, metav1.StatusReasonBadRequest},
		{"GET", "/api/v1/pods", "text/html", "", "", 406, "NotAcceptable"},
		{"GET", "/api/v1/pods?limit=x", "", "", "", 400, metav1.StatusReasonBadRequest},
		{"DELETE", "/api/v1/namespaces/iota/pods/x", "", "", "[]", 400, metav1.StatusReasonBadRequest},
		{"POST", "/version", "", "", "", 405, metav1.StatusReasonMethodNotAllowed},
	} {
		r, err := http.NewRequestWithContext(within(t), x.method, s.URL()+x.path, strings.NewReader(x.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", x.accept)
		r.Header.Set("Content-Type", x.content)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var status metav1.Status
		if err := json.NewDecoder(a.Body).Decode(&status); err != nil || a.StatusCode != x.status ||
			status.Reason != x.reason || status.Kind != "Status" || int(status.Code) != x.status {
			t.Errorf("%s %s: %d %+v, %v", x.method, x.path, a.StatusCode, status, err)
		}
		a.Body.Close()
	}
	discovered(t, c)
}

func discovered(t *testing.T, c *clients.Clientset) {
	t.Helper()
	_, lists, err := c.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range lists {
		for _, r := range l.APIResources {
			all = append(all, l.GroupVersion+" "+r.Name)
		}
	}
	for _, want := range []string{"v1 pods", "v1 pods/log", "coordination.k8s.io/v1 leases", "events.k8s.io/v1 events", "metrics.k8s.io/v1beta1 pods"} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is not among %v", want, all)
		}
	}
	if v, err := c.Discovery().ServerVersion(); err != nil || v.GitVersion != kubernetes.Version {
		t.Errorf("%v, %v", v, err)
	}
}
