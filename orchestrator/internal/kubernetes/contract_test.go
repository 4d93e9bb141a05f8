package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	strict "sigs.k8s.io/yaml"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/porttest"
	standin "dacorch/sim/wire/kubernetes"
)

var _ loop.Pods = (*Client)(nil)

const deploy = "../../../deploy/"

func TestPods(t *testing.T) {
	granted := grantedVerbs(t)
	porttest.Pods(t, func(t *testing.T) porttest.PodsFixture {
		c := startCluster(t, standin.Config{EvictAfter: -1})
		client := c.client(t, nil)
		t.Cleanup(func() {
			for _, what := range c.requests.asked() {
				if !slices.Contains(granted, what) {
					t.Errorf("%q is not granted in rbac.yaml", what)
				}
			}
		})
		return fixture(c, client)
	})
}

func fixture(c *cluster, client *Client) porttest.PodsFixture {
	name := func(kind fleet.Kind, id fleet.InstanceID) string { return client.kinds[kind].name(id) }
	return porttest.PodsFixture{
		Pods: client, Kind: things, Slow: rules,
		LetEnd: func(*testing.T) { c.programs.letEnd() },
		Fail: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) {
			if err := c.FailPod("iota", name(kind, id), "Evicted"); err != nil {
				t.Fatal(err)
			}
		},
		LoseNode: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) {
			if err := c.LoseNode(c.pod(name(kind, id)).Spec.NodeName); err != nil {
				t.Fatal(err)
			}
		},
		Remove: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) { c.remove(t, name(kind, id)) },
		Foreign: func(t *testing.T, kind fleet.Kind, id fleet.InstanceID) string {
			return c.create(t, name(kind, id), map[string]string{labelInstance: id.String(), labelManagedBy: "Helm"})
		},
		UID: func(_ *testing.T, kind fleet.Kind, id fleet.InstanceID) string {
			return string(c.pod(name(kind, id)).UID)
		},
		Events: func(t *testing.T, uid string) []string {
			var messages []string
			for _, e := range c.events(t) {
				if string(e.InvolvedObject.UID) == uid {
					messages = append(messages, e.Message)
				}
			}
			return messages
		},
		Cut: func(*testing.T) { c.CutWatches() },
		RefuseReads: func(*testing.T) func() {
			return c.Refuse(standin.Always, http.StatusInternalServerError, func(method, path string) bool {
				return method == http.MethodGet && strings.HasSuffix(path, "/pods")
			})
		},
		Compact:       func(*testing.T) { c.Compact() },
		AnswerThenCut: func(*testing.T) { c.AnswerThenCut(1, isPost) },
	}
}

// TestRoles does everything that the adapter can do, and compares what it asked
// for with what the roles grant.
func TestRoles(t *testing.T) {
	c := startCluster(t, standin.Config{})
	c.create(t, "iota-dac-9", map[string]string{labelInstance: "9"}) // to be adopted
	client := c.client(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan struct{}, 100)
	watched := make(chan error, 1)
	go func() {
		watched <- client.Watch(ctx, rules, func(fleet.Pod) { running <- struct{}{} }, func(fleet.InstanceID, string) {})
	}()
	uid, err := client.Create(ctx, rules, 0, "new")
	if err != nil {
		t.Fatal(err)
	}
	<-running
	if _, err := client.Create(ctx, rules, 0, "again"); err == nil { // reads whose it is
		t.Fatal("created twice")
	}
	for range 2 { // the second event raises the first one's count
		if err := client.Delete(ctx, rules, 0, uid, "released"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.List(ctx, things); err != nil {
		t.Fatal(err)
	}
	c.event(t, uid, reasonDeleted, "released", 2)
	if _, err := client.PodEvents(ctx, rules, 0); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-watched
	asked := c.requests.asked()
	if granted := grantedVerbs(t); !slices.Equal(asked, granted) {
		t.Errorf("rbac.yaml grants %q\nthe adapter asks for %q", granted, asked)
	}
}

// grantedVerbs reads what the chart's Role grants: "verb resource", sorted.
// deploy's own tests hold the Role to this file.
func grantedVerbs(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(deploy + "chart/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules []rbacv1.PolicyRule
	if err := strict.UnmarshalStrict(data, &rules); err != nil {
		t.Fatal(err)
	}
	var granted []string
	for _, rule := range rules {
		if !slices.Equal(rule.APIGroups, []string{""}) {
			t.Errorf("rbac.yaml: API groups %q", rule.APIGroups)
		}
		if len(rule.ResourceNames) > 0 || len(rule.NonResourceURLs) > 0 {
			t.Errorf("rbac.yaml: %+v names more than resources", rule)
		}
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				granted = append(granted, verb+" "+resource)
			}
		}
	}
	slices.Sort(granted)
	return granted
}

// TestShippedTemplates parses the templates of the platform's two kinds.
func TestShippedTemplates(t *testing.T) {
	kinds := map[fleet.Kind]KindConfig{}
	for kind, name := range map[fleet.Kind]string{"Thing": "iota-dac", "Rule": "iota-rules-engine"} {
		pod, err := LoadTemplate(deploy + "chart/pod-templates/" + name + "/pod-template.yml")
		if err != nil {
			t.Fatal(err)
		}
		env := pod.Spec.Containers[0].Env
		names := make([]string, len(env))
		for i, v := range env {
			names[i] = v.Name
		}
		if want := []string{"DAC_INSTANCE_ID", "IOTA_KIND", "IOTA_ZOOKEEPER", "IOTA_KAFKA"}; !slices.Equal(names[:4], want) {
			t.Errorf("%s: variables %q, want first %q", name, names, want)
		}
		if env[1].Value != string(kind) {
			t.Errorf("%s: IOTA_KIND is %q, want %q", name, env[1].Value, kind)
		}
		kinds[kind] = KindConfig{InstanceName: name, Template: pod}
	}
	cfg := Config{Kinds: kinds}
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	made, err := cfg.kinds()
	if err != nil {
		t.Fatal(err)
	}
	pod := made["Rule"].pod(12)
	if got := fmt.Sprint(pod.Name, pod.Namespace, pod.Labels["app.kubernetes.io/name"], pod.Spec.Containers[0].Env[0]); got !=
		fmt.Sprint("iota-rules-engine-12", "iota", "iota-rules-engine", corev1.EnvVar{Name: "DAC_INSTANCE_ID", Value: "12"}) {
		t.Errorf("made of the template: %s", got)
	}
}
