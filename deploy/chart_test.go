package deploy

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// TestConfigFile compares the dacorch.yaml of both sets of values with testdata.
// cmd/dacorch's tests hold these files to the program's own check.
func TestConfigFile(t *testing.T) {
	for _, name := range []string{"least", "full"} {
		in, err := render(loadChart(t), valuesFile(t, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".dacorch.yaml")
		got := in.Config.Data["dacorch.yaml"]
		if *rewrite {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs (go test ./deploy -rewrite writes it anew):\n%s", golden, got)
		}
	}
}

func TestLint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dacorch")
	if err := WriteChart(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"least", "full"} {
		result := lint.RunAll(dir, valuesFile(t, name), "iota")
		for _, m := range result.Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// TestWriteChart: what is written is the chart of the source tree, hidden files too.
func TestWriteChart(t *testing.T) {
	dir := t.TempDir()
	if err := WriteChart(dir); err != nil {
		t.Fatal(err)
	}
	list := func(fsys fs.FS) (files []string) {
		err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				data, err := fs.ReadFile(fsys, path)
				if err != nil {
					return err
				}
				files = append(files, path+"\n"+string(data))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if got, want := list(os.DirFS(dir)), list(os.DirFS("chart")); !slices.Equal(got, want) {
		t.Errorf("written were %d files, want these %d as they are", len(got), len(want))
	}
	if err := WriteChart(dir); err == nil || !strings.Contains(err.Error(), "want an empty directory") {
		t.Errorf("written over a chart: %v", err)
	}
}

func TestPodTemplate(t *testing.T) {
	for _, name := range []string{"iota-dac", "iota-rules-engine"} {
		data, err := PodTemplate(name)
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.Pod
		if err := yaml.UnmarshalStrict(data, &pod); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := pod.Spec.Containers[0]
		if pod.Namespace != "" || c.Image != "dacorch-dac:latest" || !hardened(&pod.Spec) {
			t.Errorf("%s: namespace %q, image %q, security %+v %+v", name, pod.Namespace, c.Image, pod.Spec.SecurityContext, c.SecurityContext)
		}
	}
	if _, err := PodTemplate("iota-other"); err == nil || !strings.Contains(err.Error(), "want iota-dac or iota-rules-engine") {
		t.Errorf("another name: %v", err)
	}
}

// TestDockerfile: two targets from nothing, as nobody, the orchestrator last.
func TestDockerfile(t *testing.T) {
	var stages, users []string
	for line := range strings.Lines(string(Dockerfile)) {
		line = strings.TrimSpace(line)
		if from, ok := strings.CutPrefix(line, "FROM "); ok {
			stages = append(stages, from)
		}
		if user, ok := strings.CutPrefix(line, "USER "); ok {
			users = append(users, user)
		}
	}
	if want := []string{"scratch AS dac", "scratch AS orchestrator"}; !slices.Equal(stages, want) {
		t.Errorf("stages %q, want %q", stages, want)
	}
	if want := []string{"65532:65532", "65532:65532"}; !slices.Equal(users, want) {
		t.Errorf("users %q, want %q", users, want)
	}
}

// TestRole: the Role is what rbac.yaml says, which the adapter's tests hold to what
// it asks for; it holds in the namespace of the pods and for this account alone.
func TestRole(t *testing.T) {
	var rules []rbacv1.PolicyRule
	data, err := fs.ReadFile(Chart, "rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &rules); err != nil {
		t.Fatal(err)
	}
	for name, namespace := range map[string]string{"least": "iota", "full": "devices"} {
		in, err := render(loadChart(t), valuesFile(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(in.Role.Rules, rules, equalRules) {
			t.Errorf("%s: rules %+v, want %+v", name, in.Role.Rules, rules)
		}
		if in.Role.Namespace != namespace || in.RoleBinding.Namespace != namespace {
			t.Errorf("%s: the role is in %q, its binding in %q, want %q", name, in.Role.Namespace, in.RoleBinding.Namespace, namespace)
		}
		want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "it-dacorch", Namespace: "iota"}}
		if got := in.RoleBinding; !slices.Equal(got.Subjects, want) || got.RoleRef.Kind != "Role" || got.RoleRef.Name != in.Role.Name {
			t.Errorf("%s: binding %+v", name, got)
		}
		if got := in.StatefulSet.Spec.Template.Spec.ServiceAccountName; got != want[0].Name || in.ServiceAccount.Name != got {
			t.Errorf("%s: the pods run as %q, the account is %q", name, got, in.ServiceAccount.Name)
		}
	}
}

func equalRules(a, b rbacv1.PolicyRule) bool {
	return slices.Equal(a.APIGroups, b.APIGroups) && slices.Equal(a.Resources, b.Resources) && slices.Equal(a.Verbs, b.Verbs) &&
		slices.Equal(a.ResourceNames, b.ResourceNames) && slices.Equal(a.NonResourceURLs, b.NonResourceURLs)
}

// TestSchema: every value of the chart is in the schema with a description of its
// shape, and every value of the schema has a default.
func TestSchema(t *testing.T) {
	data, err := fs.ReadFile(Chart, "values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.UnmarshalStrict(data, &schema); err != nil {
		t.Fatal(err)
	}
	values, err := fs.ReadFile(Chart, "values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "", valuesOf(t, string(values)), schema)
}

func compare(t *testing.T, path string, values, schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	if properties == nil {
		return // free, such as config
	}
	if free := schema["additionalProperties"]; free != false {
		t.Errorf("schema of %q: additionalProperties is %v, want false: misspelt values go unnoticed", path, free)
	}
	for key, value := range values {
		property, ok := properties[key].(map[string]any)
		if !ok {
			t.Errorf("values.yaml: %s%s is not in the schema", path, key)
			continue
		}
		if below, ok := value.(map[string]any); ok {
			compare(t, path+key+".", below, property)
		}
	}
	optional := []string{"global", "initialDelaySeconds", "rollingUpdate", "claims"}
	for key := range properties {
		if _, ok := values[key]; !ok && !slices.Contains(optional, key) {
			t.Errorf("schema: %s%s has no default in values.yaml", path, key)
		}
	}
}

// hardened says whether a pod runs as nobody, and can neither write nor rise.
func hardened(pod *corev1.PodSpec) bool {
	p, c := pod.SecurityContext, pod.Containers[0].SecurityContext
	return *p.RunAsNonRoot && *p.RunAsUser == 65532 && p.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault &&
		!*c.AllowPrivilegeEscalation && *c.ReadOnlyRootFilesystem && slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) &&
		len(c.Capabilities.Add) == 0 && !pod.HostNetwork && !pod.HostPID && len(pod.Containers) == 1
}
