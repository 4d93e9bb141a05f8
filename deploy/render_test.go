package deploy

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	helmchart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// installation is what the chart renders, each object decoded strictly.
type installation struct {
	StatefulSet    *appsv1.StatefulSet
	Config         *corev1.ConfigMap
	Templates      *corev1.ConfigMap
	Service        *corev1.Service
	Pods           *corev1.Service
	ServiceAccount *corev1.ServiceAccount
	Role           *rbacv1.Role
	RoleBinding    *rbacv1.RoleBinding
	Budget         *policyv1.PodDisruptionBudget
	Network        *networkingv1.NetworkPolicy
	Monitor        *serviceMonitor
	Notes          string
}

// serviceMonitor is as much of the Prometheus operator's type as the chart uses.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port, Path, Interval, Scheme string
			Authorization                struct {
				Credentials corev1.SecretKeySelector `json:"credentials"`
			} `json:"authorization"`
			TLSConfig struct {
				ServerName string `json:"serverName"`
				CA         struct {
					Secret    *corev1.SecretKeySelector    `json:"secret"`
					ConfigMap *corev1.ConfigMapKeySelector `json:"configMap"`
				} `json:"ca"`
			} `json:"tlsConfig"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// container is the orchestrator's.
func (in *installation) container() *corev1.Container {
	return &in.StatefulSet.Spec.Template.Spec.Containers[0]
}

// loadChart loads the chart as it is embedded.
func loadChart(t testing.TB) *helmchart.Chart {
	t.Helper()
	var files []*archive.BufferedFile
	err := fs.WalkDir(Chart, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Chart, path)
		files = append(files, &archive.BufferedFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render renders the chart as release "it" in namespace "iota", as helm does:
// values over the chart's, held to the schema. apis are what the cluster has besides.
func render(c *helmchart.Chart, values map[string]any, apis ...string) (*installation, error) {
	return renderAs(c, "it", values, apis...)
}

func renderAs(c *helmchart.Chart, release string, values map[string]any, apis ...string) (*installation, error) {
	caps := common.DefaultCapabilities.Copy()
	caps.APIVersions = append(caps.APIVersions, apis...)
	all, err := chartutil.ToRenderValues(c, values, common.ReleaseOptions{Name: release, Namespace: "iota", Revision: 1, IsInstall: true}, caps)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	in := &installation{}
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			in.Notes = text
			continue
		}
		for _, doc := range separator.Split(text, -1) {
			if err := in.take([]byte(doc)); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", name, err, doc)
			}
		}
	}
	return in, nil
}

var separator = regexp.MustCompile(`(?m)^---$`)

// take decodes a document into the field of its kind, which must be free.
func (in *installation) take(doc []byte) error {
	var what metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(doc, &what); err != nil {
		return err
	}
	switch what.APIVersion + " " + what.Kind {
	case " ":
		if rest := bytes.TrimSpace(comment.ReplaceAll(doc, nil)); len(rest) > 0 {
			return fmt.Errorf("no object: %q", rest)
		}
		return nil
	case "apps/v1 StatefulSet":
		return decode(doc, &in.StatefulSet)
	case "v1 ConfigMap":
		if strings.HasSuffix(what.Name, "-templates") {
			return decode(doc, &in.Templates)
		}
		return decode(doc, &in.Config)
	case "v1 Service":
		if strings.HasSuffix(what.Name, "-pods") {
			return decode(doc, &in.Pods)
		}
		return decode(doc, &in.Service)
	case "v1 ServiceAccount":
		return decode(doc, &in.ServiceAccount)
	case "rbac.authorization.k8s.io/v1 Role":
		return decode(doc, &in.Role)
	case "rbac.authorization.k8s.io/v1 RoleBinding":
		return decode(doc, &in.RoleBinding)
	case "policy/v1 PodDisruptionBudget":
		return decode(doc, &in.Budget)
	case "networking.k8s.io/v1 NetworkPolicy":
		return decode(doc, &in.Network)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return decode(doc, &in.Monitor)
	}
	return fmt.Errorf("an object of an unexpected type %s %s", what.APIVersion, what.Kind)
}

var comment = regexp.MustCompile(`(?m)^\s*#.*$`)

func decode[T any](doc []byte, into **T) error {
	if *into != nil {
		return fmt.Errorf("a second %T", *into)
	}
	*into = new(T)
	return yaml.UnmarshalStrict(doc, *into)
}

// valuesOf reads values as helm does.
func valuesOf(t testing.TB, text string) map[string]any {
	t.Helper()
	values, err := loader.LoadValues(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// valuesFile reads a file of testdata.
func valuesFile(t testing.TB, name string) map[string]any {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return valuesOf(t, string(data))
}

// over lays values over others, as several --values do.
func over(base, values map[string]any) map[string]any { return loader.MergeMaps(base, values) }
