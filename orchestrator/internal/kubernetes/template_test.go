package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"dacorch/orchestrator/fleet"
)

func TestTemplateMistakes(t *testing.T) {
	with := func(old, young string) string {
		if !strings.Contains(plainTemplate, old) {
			t.Fatalf("the template has no %q", old)
		}
		return strings.Replace(plainTemplate, old, young, 1)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":               {"", []string{"0 documents"}},
		"only a comment":        {"# nothing\n", []string{"0 documents"}},
		"two documents":         {plainTemplate + "---\n" + plainTemplate, []string{"2 documents"}},
		"no YAML":               {"a: [1,\nb: }", []string{"line 1"}},
		"no mapping":            {"- 1\n", []string{"pod template"}},
		"unknown field":         {with("image: dac:1", "imagee: dac:1"), []string{"line 11", `"spec.containers[0].imagee"`}},
		"unknown field, nested": {with("  name: placeholder", "  name: a\n  nmespace: b"), []string{"line 6", `"metadata.nmespace"`}},
		"a field twice":         {with("image: dac:1", "image: dac:1\n      image: dac:2"), []string{"image"}},
		"wrong type":            {with("image: dac:1", "image: [1]"), []string{"image"}},
		"no Pod":                {with("kind: Pod", "kind: Deployment"), []string{"line 3", `kind: "Deployment"`, "want Pod"}},
		"no version":            {with("apiVersion: v1", ""), []string{"apiVersion", "want v1"}},
		"no containers":         {with("spec:", "spec: {}\nignored:"), []string{"ignored"}},
		"empty spec":            {"apiVersion: v1\nkind: Pod\nspec: {containers: []}\n", []string{"line 3", "spec.containers", "at least one container"}},
		"no variables": {"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - {name: a, image: b}\n",
			[]string{"line 5", "spec.containers[0].env: nothing", "at least one variable"}},
		"a source": {with(`{name: INSTANCE_ID, value: ""}`, `{name: I, valueFrom: {fieldRef: {fieldPath: metadata.name}}}`),
			[]string{"line 13", "env[0].valueFrom"}},
		"a variable twice":    {with("name: OTHER", "name: INSTANCE_ID"), []string{"line 14", "env[1].name", "the last one counts"}},
		"no image":            {with("image: dac:1", `image: ""`), []string{"line 11", "spec.containers[0].image"}},
		"no container's name": {with("name: dac", `name: "a b"`), []string{"line 10", "spec.containers[0].name"}},
		"our label":           {with("app: dac", "app.kubernetes.io/managed-by: Helm"), []string{"metadata.labels", "managed-by=Helm"}},
		"generateName":        {with("name: placeholder", "generateName: x-"), []string{"metadata.generateName"}},
		"a node":              {with("spec:", "spec:\n  nodeName: n1"), []string{"spec.nodeName"}},
		"read from a cluster": {with("name: placeholder", "name: placeholder\n  uid: abc"), []string{"metadata", "no uid"}},
		"an owner": {with("name: placeholder", "ownerReferences: [{apiVersion: v1, kind: Node, name: n, uid: u}]"),
			[]string{"metadata.ownerReferences"}},
		"too large": {strings.Repeat("#", maxTemplate+1), []string{"more than"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod, err := ParseTemplate([]byte(c.text))
			if err == nil {
				t.Fatalf("understood as %v", pod)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not contain %q", err, want)
				}
			}
		})
	}
}

func TestLoadTemplate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pod.yml")
	if _, err := LoadTemplate(path); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte("kind: Pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTemplate(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
}

// TestMade is the contract: name, label, first variable, and nothing of the
// template lost.
func TestMade(t *testing.T) {
	cfg := Config{Orchestrator: "blue", Kinds: map[fleet.Kind]KindConfig{
		things: {InstanceName: "iota-dac", Template: template(t), Labels: map[string]string{"team": "a"}}}}
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	kinds, err := cfg.kinds()
	if err != nil {
		t.Fatal(err)
	}
	pod := kinds[things].pod(3)
	if pod.Name != "iota-dac-3" || pod.Namespace != "iota" {
		t.Errorf("made %s/%s, want iota/iota-dac-3", pod.Namespace, pod.Name)
	}
	for key, want := range map[string]string{"instanceId": "3", "app": "dac", "team": "a",
		"app.kubernetes.io/managed-by": "dacorch", "dacorch.io/kind": "Thing", "dacorch.io/orchestrator": "blue"} {
		if pod.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, pod.Labels[key], want)
		}
	}
	if env := pod.Spec.Containers[0].Env; env[0].Value != "3" || env[1].Value != "7" || pod.Annotations["note"] != "kept" {
		t.Errorf("made with %v, %v", env, pod.Annotations)
	}
	if other := kinds[things].pod(4); other.Spec.Containers[0].Env[0].Value != "4" || pod.Spec.Containers[0].Env[0].Value != "3" {
		t.Error("two pods share a template's variable")
	}
	if original := cfg.Kinds[things].Template; original.Labels["team"] != "" || original.Spec.Containers[0].Env[0].Value != "" {
		t.Error("the caller's template was modified")
	}
}

func TestConfigMistakes(t *testing.T) {
	one := func(k KindConfig) map[fleet.Kind]KindConfig { return map[fleet.Kind]KindConfig{things: k} }
	good := template(t)
	elsewhere := template(t)
	elsewhere.Namespace = "elsewhere"
	for want, cfg := range map[string]Config{
		"namespace":                     {Namespace: "No Good"},
		"orchestrator":                  {Orchestrator: "-"},
		"qps":                           {QPS: -1},
		"burst":                         {Burst: -1},
		"requestTimeout":                {RequestTimeout: time.Hour},
		"pageSize":                      {PageSize: -1},
		"kinds: nothing":                {},
		`kinds: "no label"`:             {Kinds: map[fleet.Kind]KindConfig{"no label": {InstanceName: "a", Template: good}}},
		"instanceName":                  {Kinds: one(KindConfig{InstanceName: "UPPER", Template: good})},
		"1 to 55":                       {Kinds: one(KindConfig{InstanceName: strings.Repeat("a", 56), Template: good})},
		"gracePeriod":                   {Kinds: one(KindConfig{InstanceName: "a", Template: good, GracePeriod: time.Millisecond})},
		"template: nothing":             {Kinds: one(KindConfig{InstanceName: "a"})},
		"template: apiVersion":          {Kinds: one(KindConfig{InstanceName: "a", Template: &corev1.Pod{}})},
		"metadata.namespace":            {Kinds: one(KindConfig{InstanceName: "a", Template: elsewhere})},
		"labels: dacorch.io":            {Kinds: one(KindConfig{InstanceName: "a", Template: good, Labels: map[string]string{labelKind: "x"}})},
		"labels: a b=":                  {Kinds: one(KindConfig{InstanceName: "a", Template: good, Labels: map[string]string{"a b": ""}})},
		"their pods would bear":         {Kinds: map[fleet.Kind]KindConfig{"A": {InstanceName: "a", Template: good}, "B": {InstanceName: "a", Template: good}}},
		"want the path of a kubeconfig": {Kinds: one(KindConfig{InstanceName: strings.Repeat("a", 55), Template: good})},
		"kubeconfig":                    {Kubeconfig: filepath.Join(t.TempDir(), "none"), Kinds: one(KindConfig{InstanceName: "a", Template: good})},
	} {
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

// FuzzTemplate: no template makes the parser panic, and of what it accepts each
// instance's pod can be made.
func FuzzTemplate(f *testing.F) {
	f.Add([]byte(plainTemplate))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","image":"b","env":[{"name":"I"}]}]}}`))
	f.Add([]byte("apiVersion: v1\nkind: Pod\nspec:\n  containers: [{name: a, image: b, env: [{name: X, valueFrom: {}}]}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("---\n---\n"))
	f.Add([]byte("spec: {containers: [{imagee: 1}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pod, err := ParseTemplate(data)
		if err != nil {
			return
		}
		cfg := Config{Namespace: pod.Namespace, Kinds: map[fleet.Kind]KindConfig{things: {InstanceName: "iota-dac", Template: pod}}}
		if cfg.complete() != nil {
			return // the template names a namespace that cannot be
		}
		kinds, err := cfg.kinds()
		if err != nil {
			t.Fatalf("accepted as a template, refused as a kind's: %v", err)
		}
		made := kinds[things].pod(7)
		if made.Name != "iota-dac-7" || made.Labels[labelInstance] != "7" || made.Spec.Containers[0].Env[0].Value != "7" {
			t.Errorf("made %s, %v, %v", made.Name, made.Labels, made.Spec.Containers[0].Env)
		}
	})
}
