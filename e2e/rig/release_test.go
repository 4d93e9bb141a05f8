package rig

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"dacorch/deploy"
)

// prepared is a rig as it is before anything runs.
func prepared(t *testing.T) *Rig {
	t.Helper()
	inCache(t)
	s, err := newState("try")
	if err != nil {
		t.Fatal(err)
	}
	s.Images = AirGappedImages()
	s.Images.Dacorch, s.Images.DAC = "dacorch-rig/dacorch:abc", "dacorch-rig/dac:abc"
	r := &Rig{state: s}
	for _, name := range ServiceNames {
		r.enterService(name)
	}
	if _, err := r.prepareCertificates(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.prepareSecrets(); err != nil {
		t.Fatal(err)
	}
	return r
}

var twoKinds = Release{Namespace: "here", Name: "dacorch", Replicas: 3, Kinds: []ReleaseKind{
	{Kind: "Thing", Settings: map[string]any{"timings": map[string]any{"silence": "6s", "pending": nil}}, DAC: map[string]string{"IOTA_APPLY_COST": "1ms"}},
	{Kind: "Rule"},
	{Kind: "Freeze", InstanceName: "e2e-freeze", Template: "kind: Pod\n"},
}}

// render renders the chart with a release's values, by file name.
func render(t *testing.T, r *Rig, rel Release) map[string]string {
	t.Helper()
	values, err := r.values(rel, keptSecrets{hash: "0123"}, 30081)
	if err != nil {
		t.Fatal(err)
	}
	var files []*archive.BufferedFile
	err = fs.WalkDir(deploy.Chart, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(deploy.Chart, path)
		files = append(files, &archive.BufferedFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	chart, err := loader.LoadFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.Marshal(values) // as helm reads them
	if err != nil {
		t.Fatal(err)
	}
	read, err := common.ReadValues(data)
	if err != nil {
		t.Fatal(err)
	}
	top, err := chartutil.ToRenderValues(chart, read, common.ReleaseOptions{Name: rel.Name, Namespace: rel.Namespace, IsInstall: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := engine.Render(chart, top)
	if err != nil {
		t.Fatal(err)
	}
	short := map[string]string{}
	for name, text := range out {
		short[name[strings.LastIndex(name, "/")+1:]] = text
	}
	return short
}

func TestReleaseRendersTheChart(t *testing.T) {
	r := prepared(t)
	out := render(t, r, twoKinds)
	for file, wants := range map[string][]string{
		"statefulset.yaml": {"replicas: 3", "image: dacorch-rig/dacorch:abc", "dacorch.rig/secrets: 0123", "name: dacorch-rig"},
		"service.yaml":     {"nodePort: 30081", "name: dacorch-pods"},
		"configmap.yaml": {"zookeeper:2281", "kafka:9093", "SCRAM-SHA-512", "mqtts://mosquitto:8883", "sslmode=verify-full&sslrootcert=",
			"silence: 6s", "instanceName: e2e-freeze", "image: dacorch-rig/dac:abc", "IOTA_APPLY_COST"},
	} {
		for _, want := range wants {
			if !strings.Contains(strings.ReplaceAll(out[file], `"`, ""), want) {
				t.Errorf("%s does not hold %q:\n%s", file, want, out[file])
			}
		}
	}
	for file, text := range out {
		for _, name := range ServiceNames {
			for _, user := range []string{UserOrchestrator, UserDAC, UserPlatform} {
				if p := r.Password(name, user); p != "" && strings.Contains(text, p) {
					t.Errorf("%s holds the password of %s at %s", file, user, name)
				}
			}
		}
	}
}

func TestDACsTemplate(t *testing.T) {
	r := prepared(t)
	for _, k := range twoKinds.Kinds[:2] {
		text, err := dacTemplate(k, kindEntry(k), r.State())
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.Pod
		if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
			t.Fatal(err)
		}
		c := pod.Spec.Containers[0]
		if c.Env[0].Name != "DAC_INSTANCE_ID" || c.Image != "dacorch-rig/dac:abc" {
			t.Errorf("%s: the first variable is %s, the image %s", k.Kind, c.Env[0].Name, c.Image)
		}
		env := map[string]string{}
		for _, v := range c.Env {
			env[v.Name] = v.Value
		}
		heartbeat := map[string]string{"Thing": "on", "Rule": "off"}[k.Kind]
		for name, want := range map[string]string{"IOTA_KIND": k.Kind, "IOTA_HEARTBEAT": heartbeat, "IOTA_HEARTBEAT_INTERVAL": "2s",
			"IOTA_APPLY_COST": k.DAC["IOTA_APPLY_COST"], "IOTA_KAFKA": "kafka:9093"} {
			if env[name] != want {
				t.Errorf("%s: %s is %q, want %q", k.Kind, name, env[name], want)
			}
		}
		if pod.Spec.SecurityContext.FSGroup == nil || len(pod.Spec.Volumes) != 1 || pod.Spec.Volumes[0].Secret.SecretName != dacSecret {
			t.Errorf("%s: the pod cannot read its secrets: %+v", k.Kind, pod.Spec)
		}
	}
}

func TestReleaseKeepsTokensAndCertificate(t *testing.T) {
	r := prepared(t)
	set := fake.NewClientset()
	ctx := t.Context()
	rel := Release{Namespace: "here", Name: "dacorch"}
	secret := func() map[string][]byte {
		s, err := set.CoreV1().Secrets("here").Get(ctx, "dacorch-rig", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Data
	}
	first, err := r.ensureReleaseSecrets(ctx, set, rel)
	if err != nil {
		t.Fatal(err)
	}
	before := secret()
	if got, want := string(before["tokens"]), fmt.Sprintf("rig write %s\nreader read %s\n", first.write, first.read); got != want || first.read == first.write {
		t.Error("the tokens are not those of the release")
	}
	again, err := r.ensureReleaseSecrets(ctx, set, rel)
	if err != nil {
		t.Fatal(err)
	}
	same(t, again, first)
	same(t, secret(), before)

	rel.WrongPassword = Kafka
	wrong, err := r.ensureReleaseSecrets(ctx, set, rel)
	if err != nil {
		t.Fatal(err)
	}
	if after := secret(); wrong.hash == first.hash || string(after["kafka"]) == string(before["kafka"]) || string(after["zookeeper"]) != string(before["zookeeper"]) {
		t.Error("one password was to be wrong, and the pods to be told")
	}
	dac, err := set.CoreV1().Secrets("here").Get(ctx, dacSecret, metav1.GetOptions{})
	if err != nil || string(dac.Data["kafka"]) != r.Password(Kafka, UserDAC) || len(dac.Data) != 3 {
		t.Errorf("the pods' secret has %d entries, %v", len(dac.Data), err)
	}
}

// TestReleaseIsNotMadeWithoutPasswords: empty ones would be refused minutes later.
func TestReleaseIsNotMadeWithoutPasswords(t *testing.T) {
	r := prepared(t)
	must(t, os.WriteFile(filepath.Join(r.state.Dir, secretsFile), []byte("{"), 0o600))
	set := fake.NewClientset()
	_, err := r.ensureReleaseSecrets(t.Context(), set, Release{Namespace: "here", Name: "dacorch"})
	holds(t, err, secretsFile)
	if made, err := set.CoreV1().Secrets("here").List(t.Context(), metav1.ListOptions{}); err != nil || len(made.Items) > 0 {
		t.Errorf("%d secrets were made, %v", len(made.Items), err)
	}
}

// TestFailedInstallGivesItsPortBack, and leaves no file behind: here there is no helm.
func TestFailedInstallGivesItsPortBack(t *testing.T) {
	withStandIn(t, map[string]string{"GET /containers/try-control-plane/json": `{"HostConfig": {"PortBindings":
		{"30080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}], "30081/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18081"}]}}}`})
	r := prepared(t)
	var err error
	r.docker, err = connectDocker(t.Context())
	must(t, err)
	defer r.docker.Close()
	cluster := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if list := strings.HasSuffix(req.URL.Path, "/services") || strings.HasSuffix(req.URL.Path, "/pods"); req.Method == http.MethodGet && !list || req.Method == http.MethodPut {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`)
			return
		}
		fmt.Fprint(w, `{"apiVersion": "v1"}`)
	}))
	defer cluster.Close()
	r.rest = &rest.Config{Host: cluster.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	t.Chdir(t.TempDir()) // not in the source tree, which has a helm
	fails := func(namespace string, left bool) {
		t.Helper()
		_, err := r.Install(t.Context(), Release{Namespace: namespace, Kinds: twoKinds.Kinds})
		holds(t, err, "install dacorch in "+namespace, "helm, which is not on the PATH")
		if len(r.ports) > 0 {
			t.Errorf("these ports are given out: %v", r.ports)
		}
		if _, err := os.Stat(r.TokenFile(namespace, "dacorch")); (err == nil) != left {
			t.Errorf("the token of %s: %v", namespace, err)
		}
	}
	fails("here", false)
	must(t, os.WriteFile(r.TokenFile("here", "dacorch"), nil, 0o600))
	fails("here", true)       // one of before
	fails(ownNamespace, true) // the rig's own, for whoever looks into it
}

func TestImageOfAReleaseNeedsATag(t *testing.T) {
	r := prepared(t)
	rel := twoKinds
	rel.Image = "localhost:5000/dacorch"
	_, err := r.values(rel, keptSecrets{}, 30081)
	holds(t, err, "has no tag")
	rel.Image = "localhost:5000/dacorch:2"
	values, err := r.values(rel, keptSecrets{}, 30081)
	if err != nil {
		t.Fatal(err)
	}
	same(t, values["image"], any(map[string]any{"repository": "localhost:5000/dacorch", "tag": "2"}))
}

func TestReleaseIsRefusedWithoutKinds(t *testing.T) {
	_, err := (&Rig{}).Install(context.Background(), Release{Namespace: "here"})
	holds(t, err, "Kinds")
	_, err = (&Rig{}).Install(context.Background(), Release{Kinds: twoKinds.Kinds})
	holds(t, err, "Namespace")
}

func TestMerged(t *testing.T) {
	base := map[string]any{"a": 1, "b": map[string]any{"c": 2, "d": 3}, "e": 4}
	got := merged(base, map[string]any{"b": map[string]any{"c": 5, "d": nil, "n": map[string]any{"x": nil, "y": 1}}, "e": nil, "f": []any{6}})
	same(t, got, map[string]any{"a": 1, "b": map[string]any{"c": 5, "n": map[string]any{"y": 1}}, "f": []any{6}})
	same(t, base, map[string]any{"a": 1, "b": map[string]any{"c": 2, "d": 3}, "e": 4})
}

func TestNodePortsAreGivenOutOnce(t *testing.T) {
	mapped := map[int32]string{30080: "127.0.0.1:18080", 30081: "127.0.0.1:18081", 30082: "127.0.0.1:18082"}
	service := func(namespace string, port int32) corev1.Service {
		return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: Name},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}, {NodePort: port}}}}
	}
	for _, c := range []struct {
		namespace string
		services  []corev1.Service
		given     map[int32]string
		want      int32
	}{
		{ownNamespace, nil, nil, 30080},
		{"a", nil, nil, 30081},
		{"a", []corev1.Service{service("b", 30081)}, nil, 30082},
		{"a", []corev1.Service{service("a", 30082)}, nil, 30082},
		{"a", nil, map[int32]string{30081: "b/dacorch"}, 30082},
		{"a", nil, map[int32]string{30081: "a/dacorch"}, 30081},
	} {
		got, err := choosePort(mapped, c.services, c.given, Release{Namespace: c.namespace, Name: Name})
		if err != nil || got != c.want {
			t.Errorf("%+v: port %d, %v", c, got, err)
		}
	}
	_, err := choosePort(mapped, []corev1.Service{service("b", 30081), service("c", 30082)}, nil, Release{Namespace: "a", Name: Name})
	holds(t, err, "no node port is left of the 3", "30081 by b/dacorch, 30082 by c/dacorch")
}

func TestPodsThatAreNotReadyAreTold(t *testing.T) {
	pod := func(phase corev1.PodPhase, c corev1.ContainerStatus) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "here"},
			Status: corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{c}}}
	}
	for want, p := range map[string]*corev1.Pod{
		"":                             pod(corev1.PodRunning, corev1.ContainerStatus{Ready: true}),
		"not ready, restarted 2 times": pod(corev1.PodRunning, corev1.ContainerStatus{RestartCount: 2}),
		"ErrImagePull: none": pod(corev1.PodPending, corev1.ContainerStatus{State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "none"}}}),
		"ended with exit code 2 (Error)": pod(corev1.PodFailed, corev1.ContainerStatus{State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}}}),
		"Pending: no room": {Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Status: corev1.ConditionFalse, Message: "no room"}}}},
	} {
		if got := notReady(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	set := fake.NewClientset(pod(corev1.PodRunning, corev1.ContainerStatus{}))
	if got := diagnose(t.Context(), set, "here"); !strings.Contains(got, "pod p: not ready") || !strings.Contains(got, "its last lines") {
		t.Errorf("%q", got)
	}
}
