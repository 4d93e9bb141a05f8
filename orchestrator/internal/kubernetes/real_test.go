package kubernetes

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest"
	"dacorch/orchestrator/porttest/real"
)

// TestPodsOnRealKubernetes holds the adapter to its contract on a real API
// server, with the token of a service account that may do no more than the chart
// grants.
func TestPodsOnRealKubernetes(t *testing.T) {
	cluster := real.Kubernetes(t)
	n := 0
	porttest.Pods(t, func(t *testing.T) porttest.PodsFixture {
		n++
		return newTenant(t, cluster, fmt.Sprintf("iota-%d", n)).fixture(t)
	})
}

// TestRolesOnRealKubernetes proves the roles by the server that holds clients to
// them.
func TestRolesOnRealKubernetes(t *testing.T) {
	cluster := real.Kubernetes(t)
	tenant := newTenant(t, cluster, "iota")
	api := tenant.as(t, tenant.token)
	granted := grantedVerbs(t)
	for _, what := range []string{"pods", "pods/status", "pods/log", "pods/exec", "pods/eviction", "pods/binding", "events", "secrets",
		"configmaps", "serviceaccounts", "serviceaccounts/token", "resourcequotas", "roles", "rolebindings", "leases", "nodes", "namespaces"} {
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
			for _, namespace := range []string{"iota", "elsewhere", ""} {
				want := namespace == "iota" && slices.Contains(granted, verb+" "+what)
				if got := tenant.may(t, api, verb, what, namespace); got != want {
					t.Errorf("%s %s in namespace %q: allowed %v, want %v", verb, what, namespace, got, want)
				}
			}
		}
	}
	pod := template(t)
	pod.Name = "elsewhere"
	if _, err := api.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a pod in another namespace: %v, want it forbidden", err)
	}
	if _, err := api.CoreV1().Secrets("iota").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("secrets: %v, want them forbidden", err)
	}
	for _, token := range []string{"", "guessed"} {
		if _, err := tenant.as(t, token).CoreV1().Pods("iota").List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			t.Errorf("with the token %q: %v, want it unauthorized", token, err)
		}
	}
}

// TestQuotaOnRealKubernetes meets a quota that is used up: what the server says
// reaches whoever asked for the pod.
func TestQuotaOnRealKubernetes(t *testing.T) {
	tenant := newTenant(t, real.Kubernetes(t), "iota")
	limit := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: limit}}
	quotas := tenant.admin.CoreV1().ResourceQuotas("iota")
	quota, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	quota.Status = corev1.ResourceQuotaStatus{Hard: limit, Used: limit}
	if _, err := quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	client := tenant.client(t)
	until(t, "the quota is heeded", func() bool {
		id := fleet.InstanceID(0)
		uid, err := client.Create(t.Context(), things, id, "too many")
		if err == nil { // the server had not heard of the quota yet
			err = client.Delete(t.Context(), things, id, uid, "again")
			until(t, "it is gone", func() bool { return tenant.uid(t, "iota-dac-0") == "" })
			return err != nil
		}
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: none") {
			t.Fatalf("beyond the quota: %v", err)
		}
		return true
	})
}

// tenant is an adapter's namespace in a real cluster, and the service account
// that may work there.
type tenant struct {
	cluster   *real.Cluster
	namespace string
	token     string // the service account's
	admin     clients.Interface
	kubelet   *testKubelet
	line      line
}

func newTenant(t *testing.T, cluster *real.Cluster, namespace string) *tenant {
	t.Helper()
	n := &tenant{cluster: cluster, namespace: namespace}
	n.admin = n.as(t, cluster.Token)
	meta := metav1.ObjectMeta{Name: "dacorch", Namespace: namespace}
	no := false
	made := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	core, roles := n.admin.CoreV1(), n.admin.RbacV1()
	made(core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}))
	accounts := core.ServiceAccounts(namespace)
	made(accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}))
	made(accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}, // the pods'
		AutomountServiceAccountToken: &no}, metav1.CreateOptions{}))
	made(roles.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: policy(grantedVerbs(t))}, metav1.CreateOptions{}))
	made(roles.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "dacorch"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "dacorch", Namespace: namespace}}}, metav1.CreateOptions{}))
	token, err := accounts.CreateToken(t.Context(), "dacorch", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	made(token, err)
	n.token = token.Status.Token
	api := n.as(t, n.token)
	until(t, "the server has heard of the role", func() bool { return n.may(t, api, "create", "pods", namespace) })
	n.kubelet = startKubelet(t, n.admin, namespace)
	t.Cleanup(n.kubelet.letEnd)
	return n
}

// policy turns "verb resource" into the rules of a role.
func policy(granted []string) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, g := range granted {
		verb, what, _ := strings.Cut(g, " ")
		all = append(all, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{what}, Verbs: []string{verb}})
	}
	return all
}

// rest is how a client with a token reaches the cluster.
func (n *tenant) rest(token string) *rest.Config {
	return &rest.Config{Host: n.cluster.URL, BearerToken: token, QPS: 1000, Burst: 1000,
		TLSClientConfig: rest.TLSClientConfig{CAData: n.cluster.CA}}
}

func (n *tenant) as(t *testing.T, token string) clients.Interface {
	t.Helper()
	api, err := clients.NewForConfig(n.rest(token))
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// may asks the server whether a client is allowed something.
func (n *tenant) may(t *testing.T, api clients.Interface, verb, what, namespace string) bool {
	t.Helper()
	kind, sub, _ := strings.Cut(what, "/")
	group := map[string]string{"roles": rbacv1.GroupName, "rolebindings": rbacv1.GroupName, "leases": "coordination.k8s.io"}[kind]
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: group, Resource: kind, Subresource: sub}}}
	got, err := api.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.Allowed
}

// client is an adapter with the service account's token, on a line that the test
// can cut.
func (n *tenant) client(t *testing.T) *Client {
	t.Helper()
	cfg := configOf(t, n.rest(n.token), n.namespace)
	cfg.Rest.Wrap(n.line.wrap)
	return newClient(t, cfg)
}

func (n *tenant) fixture(t *testing.T) porttest.PodsFixture {
	client := n.client(t)
	pods := n.admin.CoreV1().Pods(n.namespace)
	name := func(kind fleet.Kind, id fleet.InstanceID) string { return client.kinds[kind].name(id) }
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return porttest.PodsFixture{
		Pods: client, Kind: things, Slow: rules,
		LetEnd: func(*testing.T) { n.kubelet.letEnd() },
		Fail: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) {
			must(t, n.kubelet.write(t.Context(), name(kind, id), corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}))
		},
		LoseNode: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) {
			must(t, n.kubelet.lose(t.Context(), name(kind, id)))
		},
		Remove: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) {
			now, uid := int64(0), n.uid(t, name(kind, id))
			must(t, pods.Delete(t.Context(), name(kind, id), metav1.DeleteOptions{GracePeriodSeconds: &now}))
			until(t, name(kind, id)+" is gone", func() bool { return n.uid(t, name(kind, id)) != uid })
		},
		Foreign: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) string {
			pod := template(t)
			pod.Name, pod.Labels = name(kind, id), map[string]string{labelInstance: id.String(), labelManagedBy: "Helm"}
			made, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
			must(t, err)
			return string(made.UID)
		},
		UID: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) string { return n.uid(t, name(kind, id)) },
		Events: func(t *testing.T, uid string) []string {
			list, err := n.admin.CoreV1().Events(n.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.uid=" + uid})
			must(t, err)
			var messages []string
			for _, e := range list.Items {
				messages = append(messages, e.Message)
			}
			return messages
		},
		Cut:           func(*testing.T) { n.line.cut() },
		RefuseReads:   func(*testing.T) func() { return n.line.refuseReads() },
		Compact:       func(t *testing.T) { n.cluster.Compact(t) },
		AnswerThenCut: func(*testing.T) { n.line.loseAnswer() },
	}
}

// uid is that of the pod of a name, "" when there is none.
func (n *tenant) uid(t *testing.T, name string) string {
	t.Helper()
	p, err := n.admin.CoreV1().Pods(n.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(p.UID)
}

// line is what lies between an adapter and a real server, where a test breaks
// things.
type line struct {
	next    http.RoundTripper
	mu      sync.Mutex
	watches map[io.Closer]struct{}
	refuses bool
	loses   bool // the next creation's answer
}

func (l *line) wrap(next http.RoundTripper) http.RoundTripper {
	l.next, l.watches = next, map[io.Closer]struct{}{}
	return l
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	refuses := l.refuses && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pods")
	loses := l.loses && isPost(r.Method, r.URL.Path)
	l.loses = l.loses && !loses
	l.mu.Unlock()
	if refuses {
		return &http.Response{StatusCode: http.StatusInternalServerError, Status: "500 refused", Header: http.Header{}, Request: r,
			ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(bytes.NewReader(nil))}, nil
	}
	resp, err := l.next.RoundTrip(r)
	switch {
	case err != nil:
	case loses:
		resp.Body.Close()
		return nil, io.ErrUnexpectedEOF
	case r.URL.Query().Has("watch"):
		l.mu.Lock()
		l.watches[resp.Body] = struct{}{}
		l.mu.Unlock()
	}
	return resp, err
}

// cut ends every watch.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.watches {
		w.Close()
	}
	clear(l.watches)
}

func (l *line) refuseReads() (heal func()) {
	set := func(refuses bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refuses = refuses
	}
	set(true)
	return func() { set(false) }
}

func (l *line) loseAnswer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loses = true
}
